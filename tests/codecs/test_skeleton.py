"""Joints become a trajectory that does not depend on the stage, and come back exactly."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from motion_files import bvh_text, dancing, shared

from dancenet.codecs.base import View
from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.codecs.skeleton_rows import Placement, to_rows
from dancenet.data.mocap.read import read_skeleton
from dancenet.data.motion.camera import CameraView
from dancenet.data.motion.clip import SkeletonClip
from dancenet.data.motion.draw_body import draw_bodies
from dancenet.data.motion.feet import floor_height
from dancenet.data.motion.joints import JOINTS
from dancenet.support.errors import UserError

EXACT = 1e-5  # of the body's size


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    """A clip of nineteen joints that walks a circle, 8 s."""
    path = tmp_path_factory.mktemp("codec") / "a.bvh"
    path.write_text(bvh_text(dancing(240)))
    return read_skeleton(path, frame_rate=30)


def strangers(clip, count):
    """Returns a clip with `count` joints without names or bones, rigidly mixed from another."""
    rng = np.random.default_rng(0)
    pick = rng.integers(0, len(clip.names), (count, 2))
    positions = clip.positions[:, pick].mean(axis=2)
    return replace(
        clip, positions=positions, names=tuple(f"joint_{i}" for i in range(count)), parents=None
    )


def flat(clip):
    return replace(clip, positions=clip.positions[..., :2].copy())


def turned(clip, angle, shift):
    """Returns the clip on another place of the stage, turned about the vertical."""
    x, y, z = np.moveaxis(clip.positions.astype(np.float64), -1, 0)
    cos, sin = np.cos(angle), np.sin(angle)
    positions = np.stack([x * cos + z * sin, y, z * cos - x * sin], axis=-1) + shift
    return replace(clip, positions=positions.astype(np.float32))


def error(codec, clip):
    """Returns the largest error of a round trip, in sizes of the body."""
    back = codec.decode(codec.encode(clip.positions), codec.placement(clip.positions))
    return np.abs(back - clip.positions).max() / codec.size


KINDS = {
    "19 joints": lambda clip: clip,
    "25 joints": lambda clip: strangers(clip, 25),
    "55 joints": lambda clip: strangers(clip, 55),
    "19 joints in a picture": flat,
    "17 joints in a picture": lambda clip: flat(strangers(clip, 17)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_round_trip_is_exact_for_any_skeleton(body, kind):
    clip = KINDS[kind](body)
    codec = SkeletonCodec.fit([clip])
    vectors = codec.encode(clip.positions)
    assert vectors.shape == (240, codec.dim) and vectors.dtype == np.float32
    assert error(codec, clip) < EXACT
    assert codec.decode(vectors).shape == clip.positions.shape


def test_a_clip_that_was_not_fitted_on_comes_back_exactly_where_the_same_joints_move(body):
    codec = SkeletonCodec.fit([body.cut(range(0, 150))])
    assert error(codec, body) < EXACT


def test_an_hour_of_steps_ends_where_it_ended_to_a_tenth_of_a_millimetre(body):
    # The same 8 s over and over, so that what is rounded is rounded the same way every time.
    hour = replace(
        body, positions=np.concatenate([body.positions] * 450), ok=np.ones(108_000, bool)
    )
    assert error(SkeletonCodec.fit([body]), hour) < 10 * EXACT


@pytest.mark.parametrize("num_frames", [1, 2])
def test_one_frame_and_two_come_back(body, num_frames):
    assert error(SkeletonCodec.fit([body]), body.cut(range(num_frames))) < EXACT


def test_model_units_have_no_mean_and_unit_spread(body):
    vectors = SkeletonCodec.fit([body]).encode(body.positions)
    assert np.abs(vectors.mean(axis=0)).max() < 1e-3
    assert vectors.std(axis=0).max() < 1.001 and vectors.std(axis=0).min() > 0.01


@pytest.mark.parametrize("kind", ["19 joints", "25 joints"])
def test_a_step_is_the_same_wherever_on_the_stage_it_is_danced(body, kind):
    clip = KINDS[kind](body)
    codec = SkeletonCodec.fit([clip])
    elsewhere = turned(clip, 2.0, [3.0, 0.0, -5.0])
    assert codec.encode(elsewhere.positions) == pytest.approx(
        codec.encode(clip.positions), abs=2e-3
    )
    assert error(codec, elsewhere) < EXACT
    there = codec.placement(elsewhere.positions)
    here = codec.placement(clip.positions)
    turn = np.angle(np.exp(1j * (there.heading - here.heading)))
    assert turn == pytest.approx(2.0, abs=1e-4)


def test_a_dancer_that_turns_and_walks_has_a_constant_turn_and_step():
    # A stiff figure that looks where it walks, on a circle of 1 m once in 100 frames.
    angle = 2 * np.pi * np.arange(100) / 100
    cos, sin = np.cos(angle), np.sin(angle)
    local = np.zeros((19, 3))
    local[:, 1] = np.linspace(0, 1.7, 19)
    for name, x in (("l_hip", 0.1), ("r_hip", -0.1), ("l_shoulder", 0.2), ("r_shoulder", -0.2)):
        local[JOINTS.index(name), 0] = x
    local[JOINTS.index("pelvis")] = [0, 0.9, 0]
    turned_joints = np.stack(
        [
            local[:, 0] * cos[:, None] + local[:, 2] * sin[:, None],
            np.broadcast_to(local[:, 1], (100, 19)),
            local[:, 2] * cos[:, None] - local[:, 0] * sin[:, None],
        ],
        axis=-1,
    )
    # Heading a faces (sin a, cos a) in x and z; a circle walked that way has this place.
    place = np.stack([-cos, np.zeros(100), sin], axis=-1)
    positions = (turned_joints + place[:, None]).astype(np.float32)
    facing = np.zeros((19, 2))
    facing[JOINTS.index("l_hip"), 0], facing[JOINTS.index("r_hip"), 0] = 1, -1
    middle = np.eye(19)[0]
    rows, start = to_rows(positions, middle, facing, 30.0)
    inner = slice(12, -12)  # the smoothing holds the heading at the ends
    assert rows[inner, 0] == pytest.approx(2 * np.pi / 100, abs=1e-5)
    step = 2 * np.sin(np.pi / 100)  # the chord
    assert rows[inner, 2] == pytest.approx(step * np.cos(np.pi / 100), abs=1e-5)
    assert rows[inner, 1] == pytest.approx(step * np.sin(np.pi / 100), abs=1e-5)
    assert rows[:, 3] == pytest.approx(0.9, abs=1e-6)
    assert np.ptp(rows[inner, 4:], axis=0).max() < 1e-5
    assert start.place == pytest.approx((-1, 0), abs=0.1)


def test_the_heading_can_be_kept_fixed(body):
    codec = SkeletonCodec.fit([body], heading=False)
    assert not codec.facing.any() and not codec.kept[0]
    assert error(codec, body) < EXACT
    assert codec.placement(body.positions).heading == 0


def test_what_never_moves_is_left_out_and_put_back(body):
    clip = replace(body, positions=body.positions.copy())
    codec = SkeletonCodec.fit([clip])
    # The pelvis is the middle: its own three coordinates are 0.
    assert codec.dim == 4 + 18 * 3
    # Two joints in one place, and a middle that never moves.
    clip.positions[:, JOINTS.index("head")] = clip.positions[:, JOINTS.index("neck")]
    assert SkeletonCodec.fit([clip]).dim == 4 + 17 * 3
    still = replace(body, positions=body.positions - body.positions[:, :1])
    codec = SkeletonCodec.fit([still], heading=False)
    assert codec.dim == 18 * 3
    for one in (clip, still):
        assert error(SkeletonCodec.fit([one]), one) < EXACT


def test_a_coordinate_that_hardly_moves_is_not_blown_up(body):
    clip = replace(body, positions=body.positions.copy())
    jitter = np.random.default_rng(0).normal(0, 2e-5, (240, 3))
    clip.positions[:, JOINTS.index("spine")] = (
        clip.positions[:, JOINTS.index("pelvis")] + jitter + [0, 0.1, 0]
    )
    codec = SkeletonCodec.fit([clip])
    assert codec.dim == 4 + 18 * 3
    assert codec.encode(clip.positions)[:, 4:7].std(axis=0).max() < 0.1
    assert error(codec, clip) < EXACT


def test_joints_that_part_for_a_moment_are_not_one(body, monkeypatch):
    monkeypatch.setattr("dancenet.codecs.skeleton_fit.SAMPLED", 3)
    clip = replace(body, positions=body.positions.copy())
    clip.positions[:, JOINTS.index("head")] = clip.positions[:, JOINTS.index("neck")]
    clip.positions[5, JOINTS.index("head"), 1] += 0.1
    assert error(SkeletonCodec.fit([clip]), clip) < EXACT


def test_the_first_step_is_as_the_second(body):
    vectors = SkeletonCodec.fit([body]).encode(body.positions)
    assert vectors[0, :3] == pytest.approx(vectors[1, :3], abs=1e-5)


def test_a_dancer_looks_square_to_hips_and_shoulders_in_any_spelling(body, tmp_path):
    (tmp_path / "a.bvh").write_text(bvh_text(dancing(60)))
    own = read_skeleton(tmp_path / "a.bvh", own=True, frame_rate=30)
    for clip, names in (
        (body, ("l_hip", "r_hip", "l_shoulder", "r_shoulder", "pelvis")),
        (own, ("LeftUpLeg", "RightUpLeg", "LeftArm", "RightArm", "Hips")),
    ):
        codec = SkeletonCodec.fit([clip])
        across = {name: x for name, (x, z) in zip(codec.names, codec.facing) if x or z}
        assert across == dict(zip(names, (1.0, -1.0, 1.0, -1.0)))
        assert dict(zip(codec.names, codec.middle))[names[4]] == 1.0


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="needs the extra 'train'")
def test_fewer_dimensions_keep_the_variance_that_was_asked_for(body):
    whole, fewer = SkeletonCodec.fit([body]), SkeletonCodec.fit([body], variance=0.95)
    assert 4 < fewer.dim < whole.dim
    back = fewer.decode(fewer.encode(body.positions), fewer.placement(body.positions))
    # The root's path is kept exactly, the joints in 95 % of their variance.
    assert back[:, 0] == pytest.approx(body.positions[:, 0], abs=1e-4)
    rows, _ = to_rows(body.positions, fewer.middle, fewer.facing, 30.0)
    rows_back, _ = to_rows(back, fewer.middle, fewer.facing, 30.0)
    lost = ((rows - rows_back)[:, 4:] ** 2).sum() / rows[:, 4:].var(axis=0).sum() / len(rows)
    assert lost < 0.05


def test_a_long_trajectory_can_be_decoded_in_parts(body):
    codec = SkeletonCodec.fit([body])
    vectors, start = codec.encode(body.positions), codec.placement(body.positions)
    whole = codec.decode(vectors, start)
    parts, here = [], start
    for first in range(0, 240, 7):
        part, here = codec.continue_from(vectors[first : first + 7], here)
        parts.append(part)
    assert np.concatenate(parts) == pytest.approx(whole, abs=1e-5)
    empty, after = codec.continue_from(vectors[:0], here)
    assert empty.shape == (0, 19, 3) and after == here


def test_a_dance_begins_where_it_is_told(body):
    codec = SkeletonCodec.fit([body])
    vectors = codec.encode(body.positions)
    here = codec.decode(vectors)
    there = codec.decode(vectors, Placement(np.pi, (2.0, -1.0)))
    assert there[..., 0] == pytest.approx(2.0 - here[..., 0], abs=1e-5)
    assert there[..., 2] == pytest.approx(-1.0 - here[..., 2], abs=1e-5)


def test_a_codec_is_saved_and_loaded(body, tmp_path):
    for clip in (body, replace(strangers(body, 25), offsets=np.ones((25, 3))), flat(body)):
        codec = SkeletonCodec.fit([clip])
        codec.save(tmp_path / "codec.npz")
        loaded = SkeletonCodec.load(tmp_path / "codec.npz")
        vectors = codec.encode(clip.positions)
        assert np.array_equal(loaded.encode(clip.positions), vectors)
        assert np.array_equal(loaded.decode(vectors), codec.decode(vectors))
        assert (loaded.names, loaded.parents, loaded.fps, loaded.size) == (
            codec.names,
            codec.parents,
            codec.fps,
            codec.size,
        )
        assert (loaded.offsets is None) == (clip.offsets is None)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"format": np.int64(2)}, "format 2; this version reads 1"),
        ({"middle": np.zeros(3)}, r"middle must be floats of shape \(19\)"),
        ({"constant": np.full(61, np.nan)}, "constant holds NaN"),
        ({"kept": np.ones(60, bool), "constant": np.zeros(60)}, "kept .60,. does not fit 19"),
        ({"kept": np.ones(61, bool)}, "kept has 61 columns"),
        ({"parents": np.zeros(19, int)}, "one root"),
        ({"twin": np.full(19, 40)}, "twin must be joints"),
        ({"scale": np.zeros(58, np.float32)}, "greater than 0"),
        ({"fps": np.float64(0)}, "fps must be 0.01 or more"),
        ({"fps": np.zeros(2)}, "fps is float64 of shape"),
        ({"size": np.float64("inf")}, "size must be greater than 0"),
        ({"feet": np.zeros(1), "rest": np.zeros(1)}, "feet must be joints"),
        ({"parents": np.full(19, np.nan)}, "parents is float64"),
        ({"lengths": np.array(["a"] * 19)}, "lengths must be floats"),
        ({"joints": np.array("a")}, "joints is <U1 of shape"),
        ({"joints": np.array(["a"] * 18)}, "does not fit 18 joints"),
    ],
)
def test_a_codec_that_cannot_work_is_refused(body, tmp_path, changes, message):
    SkeletonCodec.fit([body]).save(tmp_path / "codec.npz")
    arrays = {**np.load(tmp_path / "codec.npz"), **changes}
    np.savez(tmp_path / "codec.npz", **arrays)
    with pytest.raises(UserError, match=message):
        SkeletonCodec.load(tmp_path / "codec.npz")


def test_a_file_of_something_else_is_no_codec(tmp_path):
    np.savez(tmp_path / "codec.npz", x=np.zeros(3))
    with pytest.raises(UserError, match="is not a skeleton codec: it lacks format"):
        SkeletonCodec.load(tmp_path / "codec.npz")


def test_another_skeleton_is_refused(body):
    codec = SkeletonCodec.fit([body])
    with pytest.raises(UserError, match="dances with 19 joints in 3 dimensions.*25, 3"):
        codec.encode(strangers(body, 25).positions)
    with pytest.raises(UserError, match="19 joints in 3 dimensions.*19, 2"):
        codec.placement(flat(body).positions)
    broken = body.positions.copy()
    broken[17, 3] = np.nan
    with pytest.raises(
        UserError, match="1 of 240 frames hold NaN or infinity, the first is frame 18"
    ):
        codec.encode(broken)


def test_clips_that_do_not_fit_together_are_refused(body):
    with pytest.raises(UserError, match="have 15, 30 frames/s; resample"):
        SkeletonCodec.fit([body, body.resample(15)])
    with pytest.raises(UserError, match="has 25 joints and a.bvh has 19"):
        SkeletonCodec.fit([body, replace(strangers(body, 25), source="b.npy")])
    with pytest.raises(UserError, match="in one place"):
        SkeletonCodec.fit([replace(body, positions=np.zeros_like(body.positions))])
    one = replace(body, positions=np.repeat(body.positions[:1], 240, axis=0))
    with pytest.raises(UserError, match="Nothing moves"):
        SkeletonCodec.fit([one])


def test_the_body_is_drawn_as_render_mocap_draws_it(body):
    codec = SkeletonCodec.fit([body])
    positions = codec.decode(codec.encode(body.positions))[:20]
    expected = np.stack(list(draw_bodies(positions, 30.0, CameraView(yaw=40))))
    assert np.array_equal(np.stack(list(codec.draw(positions, yaw=40))), expected)
    parts = codec.parts(codec.clip(positions, "a"), View(yaw=40))
    drawn = np.concatenate([part.draw() for part in parts])
    assert drawn.dtype == np.float32 and np.array_equal(drawn * 255, expected)


def test_other_skeletons_are_drawn_as_figures(body):
    for clip in (strangers(body, 25), flat(body)):
        codec = SkeletonCodec.fit([clip])
        frames = np.stack(list(codec.draw(clip.positions[:5])))
        assert frames.shape == (5, 120, 208) and 0.005 < (frames == 0).mean() < 0.3


def test_the_bones_of_a_new_dance_are_steadied(body):
    codec = SkeletonCodec.fit([body])
    rng = np.random.default_rng(0)
    vectors = codec.encode(body.positions)
    danced = codec.decode(vectors + rng.normal(0, 0.1, vectors.shape))
    steady = codec.steady(danced)
    shin = [JOINTS.index("l_knee"), JOINTS.index("l_ankle")]
    before, after = (
        np.linalg.norm(np.diff(places[:, shin], axis=1), axis=2) for places in (danced, steady)
    )
    assert before.std() > 0.002 and after.std() < 1e-6
    assert after.mean() == pytest.approx(0.42, abs=1e-4)
    assert steady.dtype == np.float32 and np.array_equal(steady[:, 0], danced[:, 0])


def test_what_was_danced_is_a_clip_of_the_skeleton(body):
    codec = SkeletonCodec.fit([body])
    clip = codec.clip(codec.decode(codec.encode(body.positions)), "dance")
    assert isinstance(clip, SkeletonClip) and clip.is_body
    assert (clip.num_frames, clip.fps, clip.source) == (240, 30, "dance")


@pytest.mark.parametrize("name", ["cmu_05_11", "cmu_60_04", "cmu_94_13", "cmu_charleston1"])
def test_recorded_dances_come_back_exactly_and_their_heading_needs_no_names(name):
    clip = read_skeleton(shared(f"npz/{name}.npz"))
    clip = clip.cut(max((run for run, _ in clip.good_runs()), key=len))
    named = SkeletonCodec.fit([clip])
    nameless = SkeletonCodec.fit(
        [replace(clip, parents=None, names=tuple(f"joint_{i}" for i in range(19)))]
    )
    assert error(named, clip) < EXACT and error(nameless, clip) < EXACT
    turns = []
    for codec in (named, nameless):
        rows, _ = to_rows(clip.positions, codec.middle, codec.facing, clip.fps)
        turns.append(np.cumsum(rows[:, 0]))
    apart = np.angle(np.exp(1j * (turns[0] - turns[1])))
    apart = np.angle(np.exp(1j * (apart - np.median(apart))))
    assert np.degrees(np.median(np.abs(apart))) < 20


def test_the_dance_of_fifty_five_joints_comes_back_exactly():
    clip = read_skeleton(shared("dance.npy"))
    clip = clip.cut(max((run for run, _ in clip.good_runs()), key=len))
    codec = SkeletonCodec.fit([clip])
    assert len(codec.names) == 55 and codec.dim == 4 + 165
    assert error(codec, clip) < EXACT


def test_joints_of_a_picture_are_finished_as_they_are(body):
    positions = flat(body).positions
    assert np.array_equal(SkeletonCodec.fit([flat(body)]).finish(positions), positions)


def test_what_is_finished_has_steady_bones_and_a_floor_and_its_poses(body):
    rng = np.random.default_rng(3)
    clip = body
    codec = SkeletonCodec.fit([clip])
    wild = clip.positions + rng.normal(0, 0.01, clip.positions.shape).astype(np.float32)
    wild[..., 1] += 0.2
    mended = codec.finish(wild)
    bones = mended - mended[:, np.maximum(codec.parents, 0)]
    lengths = np.linalg.norm(bones, axis=-1)
    np.testing.assert_allclose(lengths, np.broadcast_to(codec.lengths, lengths.shape), atol=1e-5)
    assert floor_height(mended) == pytest.approx(codec.rest.min(), abs=1e-5)
    np.testing.assert_allclose(
        mended - mended[:, :1], codec.steady(wild) - codec.steady(wild)[:, :1], atol=1e-5
    )


@pytest.mark.parametrize("moves", ["walks", "turns", "does both"])
def test_a_body_that_moves_as_a_whole_is_no_dance(body, moves):
    angles = np.linspace(0, 6, body.num_frames) * (moves != "walks")
    walk = np.linspace(0, 3, body.num_frames) * (moves != "turns")
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x, y, z = np.moveaxis(np.tile(body.positions[:1].astype(np.float64), (len(walk), 1, 1)), -1, 0)
    positions = np.stack([x * cos + z * sin + walk[:, None], y, z * cos - x * sin], axis=-1)
    stiff = replace(body, positions=positions.astype(np.float32))
    with pytest.raises(UserError, match="no joint moves against the others"):
        SkeletonCodec.fit([stiff])


@pytest.mark.parametrize("pair", [("L_Hip", "R_Hip"), ("thigh.L", "thigh.R"), ("lfemur", "rfemur")])
def test_a_dancer_looks_square_to_hips_of_any_name_in_an_unknown_skeleton(body, pair):
    chosen = [JOINTS.index(name) for name in ("pelvis", "l_hip", "r_hip", "head", "l_wrist")]
    part = replace(
        body,
        positions=body.positions[:, chosen],
        names=("base", *pair, "top", "tip"),
        parents=None,
    )
    codec = SkeletonCodec.fit([part])
    assert codec.facing[:, 0].tolist() == [0, 1, -1, 0, 0] and not codec.facing[:, 1].any()

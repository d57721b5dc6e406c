"""Motion written as BVH comes back within the bones' own change of length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from motion_files import BODY, bvh_text, dancing, shared

from dancenet.data.mocap.bvh_writer import (
    _STIFFNESS,
    BASE,
    _euler,
    _swing,
    _twist,
    fit_skeleton,
    write_bvh,
)
from dancenet.data.mocap.formats.bvh import joint_positions, rotation
from dancenet.data.mocap.formats.bvh_text import read_bvh
from dancenet.data.mocap.read import read_skeleton
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.support.errors import UserError


def recording(tmp_path, own=False, num_frames=120):
    (tmp_path / "in.bvh").write_text(bvh_text(dancing(num_frames)))
    return read_skeleton(tmp_path / "in.bvh", own=own, frame_rate=30)


def rigid(tmp_path):
    """Returns nineteen joints whose bones keep their lengths and their angles in the trunk."""
    values = dancing(120)
    for joint, (name, _, _) in enumerate(BODY):
        if name in ("Spine", "Spine1", "Spine2", "Neck", "LeftShoulder", "RightShoulder"):
            values[:, 3 + 3 * joint : 6 + 3 * joint] = 0
    text = bvh_text(values).replace("OFFSET 0 0 5", "OFFSET 0 0 0")
    (tmp_path / "rigid.bvh").write_text(text)
    return read_skeleton(tmp_path / "rigid.bvh", frame_rate=30)


def read_back(path, names):
    """Returns (T, J, 3) metres of the joints in a file we wrote."""
    places = joint_positions(read_bvh(path))
    return np.stack([places[name] for name in names], axis=1) / 100


def away(positions, clip):
    return np.linalg.norm(positions - clip.positions, axis=-1)


def random_turns(count, seed=0):
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(count, 3, 3)))
    q = q * np.sign(np.einsum("tii->ti", r))[:, None]
    return q * np.sign(np.linalg.det(q))[:, None, None]


def test_angles_give_back_the_rotation():
    turns = random_turns(500)
    channels = ("zrotation", "xrotation", "yrotation")
    assert np.allclose(rotation(channels, _euler(turns)), turns, atol=1e-9)
    straight_up = rotation(channels, np.array([[20.0, 90.0, 35.0], [20.0, -90.0, 35.0]]))
    assert np.allclose(rotation(channels, _euler(straight_up)), straight_up, atol=1e-6)


def test_a_swing_is_the_smallest_turn_between_two_directions():
    rng = np.random.default_rng(0)
    start, end = rng.normal(size=(2, 300, 3))
    start[:2], end[0], end[1] = [1.0, 0, 0], [2.0, 0, 0], [-3.0, 0, 0]  # the same, and opposite
    turns = _swing(start, end)
    unit = end / np.linalg.norm(end, axis=1, keepdims=True)
    moved = np.einsum("tij,tj->ti", turns, start / np.linalg.norm(start, axis=1, keepdims=True))
    assert np.allclose(moved, unit, atol=1e-6)
    assert np.allclose(np.linalg.det(turns), 1)
    cos = np.einsum("ti,ti->t", start, unit) / np.linalg.norm(start, axis=1)
    assert np.allclose((np.trace(turns, axis1=1, axis2=2) - 1) / 2, cos, atol=1e-6)


def test_a_limb_twists_towards_its_bend_the_more_the_further_it_bends():
    axis = np.tile([2.0, 0.0, 0.0], (4, 1))
    rest = np.tile([1.0, 0.0, 0.04], (4, 1))  # leans to z
    wanted = np.array([[0, 0, 3.0], [0, -3.0, 0], [1, -0.1, 0], [5.0, 0, 0]])
    turns = _twist(axis, rest, wanted)
    assert np.allclose(turns[:, :, 0], [1, 0, 0])  # about the bone
    angle = np.degrees(np.arctan2(turns[:, 2, 1], turns[:, 1, 1]))
    right = np.degrees(np.arctan2(1, _STIFFNESS))
    assert angle[[0, 1, 3]] == pytest.approx([0, right, 0], abs=1e-6)
    assert 0 < angle[2] < 20
    straight = np.tile([1.0, 0.0, 0.0], (4, 1))  # that does not say how it bends
    assert np.allclose(_twist(axis, straight, wanted), np.eye(3))


def test_a_recording_is_written_with_its_own_hierarchy_and_comes_back(tmp_path):
    clip = recording(tmp_path, own=True)
    reported = write_bvh(tmp_path / "out.bvh", clip)
    source, written = read_bvh(tmp_path / "in.bvh"), read_bvh(tmp_path / "out.bvh")
    assert written.names == source.names and written.parents == source.parents
    assert np.allclose(written.offsets[1:], source.offsets[1:], atol=1e-5)
    assert 1 / written.frame_time == pytest.approx(30, rel=1e-6)
    distance = away(read_back(tmp_path / "out.bvh", clip.names), clip)
    assert distance.max() < 1e-4  # metres
    assert reported < 1e-4


def test_nineteen_joints_come_back_through_our_own_reader(tmp_path):
    clip = rigid(tmp_path)
    assert write_bvh(tmp_path / "out.bvh", clip) < 1e-4
    again = read_skeleton(tmp_path / "out.bvh")
    assert again.is_body and again.fps == 30
    assert away(again.positions, clip).max() < 5e-4


def test_the_bones_keep_the_length_they_usually_have(tmp_path):
    clip = recording(tmp_path)
    rng = np.random.default_rng(0)
    noisy = replace(
        clip, positions=clip.positions + rng.normal(0, 0.005, clip.positions.shape).astype("f4")
    )
    reported = write_bvh(tmp_path / "out.bvh", noisy)
    positions = read_back(tmp_path / "out.bvh", JOINTS)
    lengths = np.linalg.norm(positions - positions[:, np.maximum(PARENTS, 0)], axis=-1)
    assert np.ptp(lengths, axis=0).max() < 1e-5
    distance = away(positions, noisy)
    assert distance.mean() == pytest.approx(reported, rel=1e-3)
    assert distance.mean() < 0.012 and distance[:, 0].max() < 1e-5


def test_errors_do_not_add_up_along_a_chain(tmp_path):
    # Every bone is drawn 1 cm too long; each joint is aimed at where it should be.
    clip = recording(tmp_path, own=True)
    longer = (
        clip.offsets * (1 + 0.01 / np.maximum(np.linalg.norm(clip.offsets, axis=1), 0.01))[:, None]
    )
    fitted = fit_skeleton(clip.positions, clip.names, clip.parents, longer)
    places = fitted.positions[:, : len(clip.names)]
    hand = clip.names.index("LeftHand")
    chain = 7  # bones from the hips to the hand
    assert away(places, clip)[:, hand].mean() < 0.01 * chain * 0.7


def test_bones_that_move_against_each_other_get_a_joint_of_their_own(tmp_path):
    clip = rigid(tmp_path)
    assert fit_skeleton(clip.positions, JOINTS, PARENTS).names == JOINTS
    # The left arm goes up and down at the chest, and keeps its length but for millimetres.
    arm = [JOINTS.index(f"l_{limb}") for limb in ("shoulder", "elbow", "wrist")]
    positions = clip.positions.copy()
    positions[:, arm, 1] += 0.04 * np.sin(np.arange(120) / 10)[:, None]
    loose = replace(clip, positions=positions)
    fitted = fit_skeleton(loose.positions, JOINTS, PARENTS)
    assert "l_shoulder" + BASE in fitted.names and "l_hip" + BASE not in fitted.names
    assert write_bvh(tmp_path / "out.bvh", loose) < 0.006
    again = read_skeleton(tmp_path / "out.bvh")
    assert again.is_body
    assert away(again.positions, loose).mean() < 0.007


def test_the_rest_pose_of_nineteen_joints_spreads_its_arms(tmp_path):
    clip = recording(tmp_path)
    fitted = fit_skeleton(clip.positions, clip.names, clip.parents)
    # Elbows and knees lean by 4 % to the side to which they bend.
    forearm, shin = np.array([1, 0, 0.04]), np.array([0, -1, -0.04])
    size = np.hypot(1, 0.04)
    for name, offset in (
        ("l_wrist", 0.26 * forearm / size),
        ("l_ankle", 0.42 * shin / size),
        ("l_elbow", [0.28, 0, 0]),
        ("r_elbow", [-0.28, 0, 0]),
    ):
        assert fitted.offsets[JOINTS.index(name)] == pytest.approx(offset, abs=1e-3)
    assert fitted.offsets[JOINTS.index("r_wrist")][0] == pytest.approx(-0.26, abs=1e-3)


def test_angles_do_not_jump_by_a_whole_turn(tmp_path):
    write_bvh(tmp_path / "out.bvh", recording(tmp_path, own=True, num_frames=240))
    steps = np.abs(np.diff(read_bvh(tmp_path / "out.bvh").values[:, 3:], axis=0))
    assert steps.max() < 180
    assert np.ptp(read_bvh(tmp_path / "out.bvh").values[:, 5]) > 700  # two turns of the body


def test_a_skeleton_whose_rest_pose_is_not_known_is_written_too(tmp_path):
    clip = replace(recording(tmp_path, own=True), offsets=None)
    assert write_bvh(tmp_path / "out.bvh", clip) < 1e-4


def test_joints_may_stand_in_any_order(tmp_path):
    clip = recording(tmp_path, own=True)
    order = np.random.default_rng(0).permutation(len(clip.names))
    new = np.argsort(order)
    shuffled = replace(
        clip,
        positions=clip.positions[:, order],
        offsets=clip.offsets[order],
        names=tuple(clip.names[joint] for joint in order),
        parents=tuple(
            -1 if clip.parents[joint] < 0 else int(new[clip.parents[joint]]) for joint in order
        ),
    )
    assert write_bvh(tmp_path / "out.bvh", shuffled) < 1e-4
    distance = away(read_back(tmp_path / "out.bvh", clip.names), clip)
    assert distance.max() < 1e-4


def test_names_with_blanks_become_one_word(tmp_path):
    clip = recording(tmp_path)
    names = tuple(f"Bip01 {name}" for name in clip.names)
    write_bvh(tmp_path / "out.bvh", replace(clip, names=names))
    assert "Bip01_l_knee" in read_bvh(tmp_path / "out.bvh").names


def test_a_file_is_not_written_over_and_never_half_written(tmp_path, monkeypatch):
    clip = recording(tmp_path)
    out = tmp_path / "out.bvh"
    out.write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        write_bvh(out, clip)
    assert out.read_text() == "mine"
    write_bvh(out, clip, overwrite=True)
    assert out.read_text().startswith("HIERARCHY")
    assert {path.name for path in tmp_path.iterdir()} == {"in.bvh", "out.bvh"}
    with pytest.raises(UserError, match="does not exist"):
        write_bvh(tmp_path / "none" / "out.bvh", clip)


def test_what_is_no_body_in_space_is_refused(tmp_path):
    clip = recording(tmp_path)
    with pytest.raises(UserError, match="points of a picture.*write an .npz"):
        write_bvh(tmp_path / "a.bvh", replace(clip, positions=clip.positions[..., :2].copy()))
    names = tuple(f"joint_{index}" for index in range(19))
    with pytest.raises(UserError, match="which joints its bones connect; write an .npz"):
        write_bvh(tmp_path / "a.bvh", replace(clip, names=names, parents=None))


def test_every_name_of_the_body_is_in_the_hierarchy(tmp_path):
    assert len(BODY) == 22  # what the other tests count on
    write_bvh(tmp_path / "out.bvh", rigid(tmp_path))
    written = read_bvh(tmp_path / "out.bvh")
    assert tuple(name for name in written.names if "/" not in name) == JOINTS
    assert written.channels[0][:3] == ("xposition", "yposition", "zposition")


@pytest.mark.parametrize(
    "name", ["cmu_05_07", "cmu_60_02", "cmu_94_06", "cmu_lambada", "rokoko_jesse_dance"]
)
def test_recorded_dances_come_back_within_millimetres(tmp_path, name):
    clip = read_skeleton(shared(f"npz/{name}.npz"))
    clip = clip.cut(max((run for run, _ in clip.good_runs()), key=len))
    write_bvh(tmp_path / "out.bvh", clip)
    distance = away(read_back(tmp_path / "out.bvh", JOINTS), clip)
    assert distance.mean() < 0.002 and np.percentile(distance, 99) < 0.03


def test_limbs_turn_smoothly():
    clip = read_skeleton(shared("npz/cmu_05_13.npz"))  # legs thrown high, feet pointed
    clip = clip.cut(max((run for run, _ in clip.good_runs()), key=len))
    turns = fit_skeleton(clip.positions, clip.names, clip.parents).turns
    steps = np.swapaxes(turns[:-1], 2, 3) @ turns[1:]
    cos = (np.trace(steps, axis1=2, axis2=3) - 1) / 2
    assert np.degrees(np.arccos(np.clip(cos, -1, 1))).max() < 60


@pytest.mark.parametrize("name", ["cmu_60_10_daz.bvh.gz", "rokoko_jesse_dance.bvh.gz"])
def test_real_hierarchies_come_back_to_a_tenth_of_a_millimetre(tmp_path, name):
    clip = read_skeleton(shared(f"raw/{name}"), own=True)
    clip = clip.cut(range(20, 120))
    write_bvh(tmp_path / "out.bvh", clip)
    distance = away(read_back(tmp_path / "out.bvh", clip.names), clip)
    assert distance.max() < 1e-4

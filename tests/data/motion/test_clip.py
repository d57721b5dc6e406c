"""Clips of any skeleton: what they must be, and which belong together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bodies import body_clip

from dancenet.data.mocap.read import read_skeleton
from dancenet.data.motion.clip import SkeletonClip, check_body, check_same_skeleton
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.data.motion.tree import check_tree, top_down
from dancenet.support.errors import UnknownSkeleton, UserError


def make_clip(num_frames=40, source="a.npz", **changes):
    rng = np.random.default_rng(0)
    values = {
        "positions": rng.normal(size=(num_frames, 3, 3)).astype(np.float32),
        "fps": 30.0,
        "ok": np.ones(num_frames, bool),
        "names": ("hip", "knee", "foot"),
        "parents": (-1, 0, 1),
        "offsets": None,
        "source": source,
        **changes,
    }
    return SkeletonClip(**values)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"positions": np.zeros((40, 4, 3), np.float32)}, "must be .T, 3, 2 or 3"),
        ({"positions": np.full((40, 3, 3), np.nan, np.float32)}, "finite"),
        ({"ok": np.ones(3, bool)}, r"ok must be \(40,\)"),
        ({"fps": 0.0}, "above 0"),
        ({"names": ("hip", "hip", "foot")}, "a name of its own"),
        ({"parents": (-1, 2, 1)}, "circle"),
        ({"parents": (-1, -1, 1)}, "one root"),
        ({"parents": (-1, 0, 7)}, "joints of the skeleton"),
        ({"offsets": np.zeros((2, 3))}, "offsets must be"),
    ],
)
def test_a_clip_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_clip(**changes)


def test_parents_come_before_children_in_the_order_from_the_top():
    assert top_down((2, 0, -1, 2)) == [2, 0, 3, 1]
    check_tree((2, 0, -1, 2), 4)


def test_every_joint_but_the_pelvis_hangs_from_an_earlier_one():
    assert len(JOINTS) == len(PARENTS) == len(set(JOINTS)) == 19
    assert PARENTS[0] == -1
    assert all(0 <= parent < index for index, parent in enumerate(PARENTS) if index)


def test_nineteen_joints_in_space_are_a_body():
    clip = body_clip(np.zeros((5, 19, 3)))
    assert clip.is_body and clip.num_frames == 5
    check_body(clip)
    assert not make_clip().is_body


def test_another_skeleton_is_no_body_and_names_its_joints():
    with pytest.raises(UnknownSkeleton, match="3 joints are hip, knee, foot.*as in Mixamo"):
        check_body(make_clip())
    flat = replace(body_clip(np.zeros((5, 19, 3))), positions=np.zeros((5, 19, 2), np.float32))
    with pytest.raises(UnknownSkeleton, match="points of a picture"):
        check_body(flat)


def test_runs_end_at_glitches_and_say_whether_they_are_long_enough():
    ok = [True] * 10 + [False] * 2 + [True] * 4 + [False]
    clip = make_clip(17, fps=10.0, ok=np.array(ok))
    assert list(clip.good_runs(1.0)) == [(range(0, 10), True), (range(12, 16), False)]
    assert clip.cut(range(12, 16)).num_frames == 4


@pytest.mark.parametrize("flat", [False, True])
def test_a_saved_clip_is_read_as_it_was(tmp_path, flat):
    clip = make_clip(ok=np.arange(40) > 4, offsets=np.arange(9.0).reshape(3, 3))
    if flat:
        clip = replace(clip, positions=clip.positions[..., :2].copy())
    clip.save(tmp_path / "a.npz")
    read = read_skeleton(tmp_path / "a.npz")
    assert np.array_equal(read.positions, clip.positions)
    assert np.array_equal(read.ok, clip.ok) and np.array_equal(read.offsets, clip.offsets)
    assert (read.names, read.parents, read.fps) == (clip.names, clip.parents, clip.fps)
    assert (read.source, read.warnings) == ("a.npz", ())


def test_a_recording_is_not_written_over(tmp_path):
    clip = make_clip()
    clip.save(tmp_path / "a.npz")
    with pytest.raises(UserError, match="exists already"):
        clip.save(tmp_path / "a.npz")
    clip.save(tmp_path / "a.npz", overwrite=True)


def test_clips_of_one_skeleton_belong_together():
    check_same_skeleton([make_clip(), make_clip(20, "b.npz")])


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"positions": np.zeros((40, 3, 2), np.float32)},
            "b.bvh has positions in 2 dimensions and a.npz in 3",
        ),
        ({"names": ("hip", "knee", "toe")}, "b.bvh has a joint 'toe' where a.npz has 'foot'"),
        ({"parents": (-1, 0, 0)}, "joints of b.bvh have other parents than those of a.npz"),
        (
            {
                "positions": np.zeros((40, 2, 3), np.float32),
                "names": ("hip", "knee"),
                "parents": (-1, 0),
            },
            "b.bvh has 2 joints and a.npz has 3",
        ),
    ],
)
def test_mixed_skeletons_are_refused_by_name(changes, message):
    with pytest.raises(UserError, match=message + ".*One model dances with one skeleton"):
        check_same_skeleton([make_clip(), make_clip(source="b.bvh", **changes)])

"""Arrays of joint positions: which axis is time, and which are refused."""

from __future__ import annotations

import numpy as np
import pytest
from motion_files import shared, standing_joints

from dancenet.data.mocap.read import read_skeleton
from dancenet.data.motion.clip import check_body
from dancenet.data.motion.joints import JOINTS
from dancenet.support.errors import UserError


def save(tmp_path, array, name="dance.npy"):
    np.save(tmp_path / name, array)
    return tmp_path / name


@pytest.mark.parametrize("axes", ["TJ", "JT", None])
def test_an_array_is_read_in_either_order(tmp_path, axes):
    positions = standing_joints(19 if axes else 50)
    positions[:, :, 0] += np.linspace(0, 1, len(positions))[:, None]
    array = positions.swapaxes(0, 1) if axes == "JT" else positions
    clip = read_skeleton(save(tmp_path, array), axes=axes, frame_rate=25)
    moved = clip.positions - clip.positions[0]
    assert clip.fps == 25
    assert np.allclose(moved[-1], [1, 0, 0], atol=1e-5)


def test_the_axes_of_nineteen_frames_of_nineteen_joints_follow_continuity(tmp_path):
    positions = standing_joints(19)
    positions[:, :, 0] += np.linspace(0, 0.2, 19)[:, None]
    first = read_skeleton(save(tmp_path, positions, "a.npy"))
    second = read_skeleton(save(tmp_path, positions.swapaxes(0, 1), "b.npy"))
    assert np.array_equal(first.positions, second.positions)
    assert "taken to be (frames, joints, 3)" in first.warnings[0]
    assert "taken to be (joints, frames, 3)" in second.warnings[0]
    assert any("30 frames/s are assumed" in sentence for sentence in first.warnings)


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((30, 57)), "must hold joint positions .* shape \\(30, 57\\)"),
        (np.full((30, 19, 3), np.nan), "never says where pelvis is"),
        (np.zeros((30, 19, 3)), "one place"),
        (np.zeros((0, 19, 3)), "no frame"),
    ],
)
def test_an_array_that_is_no_body_is_refused(tmp_path, array, message):
    with pytest.raises(UserError, match=message):
        read_skeleton(save(tmp_path, array))


def test_pickled_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "dance.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="not an array of plain numbers"):
        read_skeleton(tmp_path / "dance.npy")


def test_an_npz_of_ours_is_read_as_it_stands(tmp_path):
    positions = standing_joints(5).astype(np.float32)
    np.savez(tmp_path / "a.npz", pos=positions, fps=30.0, joints=np.array(JOINTS))
    assert np.array_equal(read_skeleton(tmp_path / "a.npz").positions, positions)
    assert read_skeleton(tmp_path / "a.npz", frame_rate=24).fps == 24


def test_frames_that_are_no_numbers_are_mended_if_they_are_few_and_said(tmp_path):
    positions = standing_joints(60).astype(np.float32)
    positions[2, 3, 1] = np.nan
    positions[20:40, 3] = np.nan
    np.savez(tmp_path / "a.npz", pos=positions, fps=30.0, joints=np.array(JOINTS))
    clip = read_skeleton(tmp_path / "a.npz")
    assert np.flatnonzero(~clip.ok).tolist() == list(range(20, 40))
    assert np.allclose(clip.positions, standing_joints(60), atol=1e-6)
    assert "in 21 of 60 frames joints are NaN" in clip.warnings[0]


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, pos=standing_joints(5), fps=30.0, joints=np.array(JOINTS))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UserError, match="a.npz"):
        read_skeleton(path)


def test_unlabelled_markers_are_no_body():
    with pytest.raises(UserError, match="is not a body .* 55 joints"):
        check_body(read_skeleton(shared("dance.npy")))

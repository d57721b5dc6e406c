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


ROOTED = np.arange(-1, 18)


def npz(tmp_path, **changes):
    arrays = {"pos": standing_joints(40), "fps": 30.0, **changes}
    np.savez(tmp_path / "a.npz", **arrays)
    return tmp_path / "a.npz"


@pytest.mark.parametrize(
    "changes",
    [
        {"parents": ROOTED.astype(float)},
        {"fps": np.array([30.0])},
        {"fps": 30},
        {"pos": np.asfortranarray(standing_joints(40))},
        {"pos": standing_joints(40).astype(np.float16)},
        {"pos": standing_joints(40).astype(">f8")},
        {"ok": np.ones(40, np.uint8)},
    ],
)
def test_other_types_of_the_same_numbers_are_read(tmp_path, changes):
    clip = read_skeleton(npz(tmp_path, **changes))
    assert clip.fps == 30 and clip.ok.all()
    assert clip.positions == pytest.approx(standing_joints(40), abs=2e-3)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "cp932"])
def test_names_that_are_bytes_are_decoded(tmp_path, encoding):
    joint = "j" if encoding == "ascii" else "左足"
    names = [f"{joint}{number}" for number in range(19)]
    found = read_skeleton(npz(tmp_path, joints=np.array([name.encode(encoding) for name in names])))
    assert found.names == tuple(names)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"parents": np.full(19, np.nan)}, "a whole number for each joint as parents"),
        ({"parents": ROOTED + 0.5}, "a whole number for each joint as parents"),
        ({"parents": ROOTED.astype(str)}, "a whole number for each joint as parents"),
        ({"parents": ROOTED.reshape(19, 1)}, "a whole number for each joint as parents"),
        ({"parents": np.where(ROOTED == 4, 9, ROOTED)}, "must not run in a circle"),
        ({"parents": np.full(19, 99)}, "make no skeleton"),
        ({"parents": ROOTED[:5]}, "make no skeleton"),
        ({"joints": np.array(["a"] * 19)}, "1 different names"),
        ({"joints": np.arange(19)}, "a list of names as joints"),
        ({"joints": np.array([["a"] * 19])}, "a list of names as joints"),
        ({"fps": np.array("30")}, "one number above 0 as fps"),
        ({"fps": np.array([30.0, 30.0])}, "one number above 0 as fps"),
        ({"fps": np.nan}, "one number above 0 as fps"),
        ({"fps": 1e9}, "a dance has 5 to 1000"),
        ({"fps": 2}, "a dance has 5 to 1000"),
        ({"pos": standing_joints(40).astype(complex)}, "holds complex128 and no numbers"),
        ({"pos": standing_joints(40) > 1}, "holds bool and no numbers"),
        ({"pos": np.full((40, 19, 3), np.inf)}, "never says where"),
        ({"pos": standing_joints(40) + 1e6}, "has a joint 1e\\+06 m away"),
        ({"pos": np.zeros((2, 2000, 3))}, "has 2,000 joints, and no dancer has more"),
        ({"ok": np.full(40, np.nan)}, "'ok' of shape"),
        ({"offsets": np.full((19, 3), np.inf)}, "holds offsets of"),
        ({"offsets": np.zeros((19, 3), complex)}, "holds offsets of"),
    ],
)
def test_arrays_that_are_not_what_they_should_be_are_one_sentence(tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        read_skeleton(npz(tmp_path, **changes))
    assert str(caught.value).isprintable()


def test_angles_of_a_body_model_are_told_from_positions(tmp_path):
    np.savez(tmp_path / "a.npz", poses=np.zeros((9, 156)), trans=np.zeros((9, 3)))
    with pytest.raises(UserError, match="angles of a body .as AMASS and SMPL write"):
        read_skeleton(tmp_path / "a.npz")

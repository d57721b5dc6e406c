"""Files of poses are read back by the readers of keypoints, and as the poses they were."""

from __future__ import annotations

import json

import numpy as np
import pytest
from kill import check_full_disk, check_kills, needs_fork
from mutation import check_reader

from dancenet.data.mocap.formats.keypoints import OPENPOSE_25, read_keypoints
from dancenet.data.mocap.read import read_skeleton
from dancenet.data.people import poses as files
from dancenet.data.people.landmarks import COCO_NAMES, LANDMARK_NAMES
from dancenet.data.people.poses import Poses, read_npz, write_coco, write_npz, write_openpose
from dancenet.support.errors import UserError

FPS = 30.0
STANDING = np.array(
    [(0, 0.07), (0.02, 0.05), (-0.02, 0.05), (0.04, 0.06), (-0.04, 0.06)]
    + [(0.11, 0.18), (-0.11, 0.18), (0.14, 0.33), (-0.14, 0.33), (0.15, 0.46), (-0.15, 0.46)]
    + [(0.07, 0.5), (-0.07, 0.5), (0.08, 0.73), (-0.08, 0.73), (0.08, 0.96), (-0.08, 0.96)]
)


def dancing(frames: int = 60, people: int = 1, names=COCO_NAMES) -> Poses:
    """People who sway, of 180 pixels, beside each other."""
    time = np.arange(frames) / FPS
    xy = np.tile(STANDING * 180 + (160, 30), (frames, people, 1, 1))
    xy[..., 0] += 12 * np.sin(3 * time)[:, None, None] + 120 * np.arange(people)[:, None]
    xy[:, :, 9:11, 1] -= 30 * (1 + np.sin(5 * time))[:, None, None]
    whole = np.full((frames, people, len(names), 2), 100.0)
    for place, name in enumerate(COCO_NAMES):
        whole[:, :, names.index(name)] = xy[:, :, place]
    return Poses(
        tuple(names),
        whole.astype(np.float32),
        np.full(whole.shape[:3], 0.9, np.float32),
        (640, 240),
        FPS,
    )


def without(poses: Poses, frames, joints=slice(None)) -> Poses:
    """Takes joints out of some frames."""
    poses.xy[frames, :, joints] = np.nan
    poses.score[frames, :, joints] = 0
    return poses


def test_a_recording_is_what_the_reader_makes_of_the_keypoints(tmp_path):
    poses = without(dancing(), slice(20, 24), 9)
    write_npz(tmp_path / "me.npz", poses)
    own = {
        "fps": FPS,
        "names": list(COCO_NAMES),
        "keypoints": np.where(
            np.isfinite(poses.xy[:, 0]), poses.xy[:, 0].astype(float), 0
        ).tolist(),
    }
    for row in range(20, 24):
        own["keypoints"][row][9] = None
    (tmp_path / "me.json").write_text(json.dumps(own))
    one, other = read_skeleton(tmp_path / "me.npz"), read_skeleton(tmp_path / "me.json")
    assert one.names == other.names and one.parents == other.parents and one.fps == other.fps
    np.testing.assert_allclose(one.positions, other.positions, atol=1e-5)
    assert (one.ok == other.ok).all() and one.ok.all()


def test_poses_come_back_as_they_were(tmp_path):
    poses = without(dancing(names=LANDMARK_NAMES), slice(0, 3))
    world = np.random.default_rng(0).normal(size=(*poses.score.shape, 3)).astype(np.float32)
    poses = Poses(poses.names, poses.xy, poses.score, poses.size, FPS, world)
    write_npz(tmp_path / "me.npz", poses)
    back = read_npz(tmp_path / "me.npz")
    assert (back.names, back.size, back.fps) == (poses.names, poses.size, poses.fps)
    for name in ("xy", "score", "world"):
        np.testing.assert_array_equal(getattr(back, name), getattr(poses, name))
    assert back.found[:, 0].tolist() == [False] * 3 + [True] * 57


def test_a_joint_that_is_never_seen_is_said_and_nothing_is_lost(tmp_path):
    poses = dancing()
    poses.score[:, :, 15:] = 0.05
    (said,) = write_npz(tmp_path / "me.npz", poses)
    assert "l_ankle, r_ankle" in said
    with pytest.raises(UserError, match="never says where l_ankle"):
        read_skeleton(tmp_path / "me.npz")
    np.testing.assert_array_equal(read_npz(tmp_path / "me.npz").xy, poses.xy)


def test_one_picture_makes_a_file_of_one_frame(tmp_path):
    write_npz(tmp_path / "me.npz", dancing(1))
    assert read_skeleton(tmp_path / "me.npz").positions.shape == (1, 15, 2)


@pytest.mark.parametrize("kind", ["coco", "openpose file", "openpose folder"])
def test_json_is_read_back_by_the_reader_of_keypoints(tmp_path, kind):
    poses = without(dancing(), slice(10, 13))
    path = tmp_path / ("out.json" if "folder" not in kind else "out")
    if kind == "coco":
        write_coco(path, poses)
    else:
        write_openpose(path, poses, "dance")
    found = read_keypoints(path)
    names = COCO_NAMES if kind == "coco" else OPENPOSE_25
    assert found.positions.shape == (60, len(names), 2)
    known = poses.joints(names) if kind == "coco" else poses
    for name in ("left_wrist", "right_ankle", "nose"):
        place = list(found.names).index(files.plain_name(name))
        wanted = known.joints([name]).xy[:, 0, 0]
        np.testing.assert_allclose(found.positions[:, place], wanted, atol=1e-3)
    assert np.isnan(found.positions[10:13]).all()


def test_openpose_has_neck_and_hips_between_and_the_feet_of_mediapipe(tmp_path):
    write_openpose(tmp_path / "a.json", dancing(2))
    write_openpose(tmp_path / "b.json", dancing(2, names=LANDMARK_NAMES))
    for name, feet in (("a.json", 0.0), ("b.json", 100.0)):
        frames = json.loads((tmp_path / name).read_text())
        points = np.reshape(frames[1]["people"][0]["pose_keypoints_2d"], (25, 3))
        xy = dancing(2).xy[1, 0]
        np.testing.assert_allclose(points[1, :2], xy[5:7].mean(axis=0), atol=1e-3)
        np.testing.assert_allclose(points[8, :2], xy[11:13].mean(axis=0), atol=1e-3)
        assert points[OPENPOSE_25.index("l_toe"), 0] == feet
        assert points[OPENPOSE_25.index("l_small_toe"), 2] == 0


def test_coco_holds_everybody_with_a_number(tmp_path):
    poses = dancing(3, people=2)
    poses.xy[1, 0], poses.score[1, 0] = np.nan, 0
    write_coco(tmp_path / "two.json", poses)
    rows = json.loads((tmp_path / "two.json").read_text())
    assert [(row["image_id"], row["track_id"]) for row in rows] == [
        (0, 1),
        (0, 2),
        (1, 2),
        (2, 1),
        (2, 2),
    ]
    assert all(len(row["keypoints"]) == 51 for row in rows)


def test_nothing_is_overwritten_unasked(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    for name, write in (("a.npz", write_npz), ("a.json", write_coco), ("b.json", write_openpose)):
        (tmp_path / name).write_text("mine")
        with pytest.raises(UserError, match="overwrite"):
            write(tmp_path / name, dancing(3))
        write(tmp_path / name, dancing(3), overwrite=True)
    with pytest.raises(UserError, match="holds files already"):
        write_openpose(mine, dancing(3))
    write_openpose(mine, dancing(3), overwrite=True)
    write_openpose(mine, dancing(2), overwrite=True)
    assert (mine / "notes.txt").read_text() == "mine"
    assert len(list(mine.glob("*_keypoints.json"))) == 2


def test_nobody_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="Nobody was found"):
        write_npz(tmp_path / "me.npz", without(dancing(5), slice(None)))
    assert not (tmp_path / "me.npz").exists()


def test_a_recording_of_mocap_is_no_file_of_poses(tmp_path):
    np.savez(tmp_path / "a.npz", pos=np.zeros((2, 19, 3)), fps=30)
    with pytest.raises(UserError, match="holds no 'keypoints'"):
        read_npz(tmp_path / "a.npz")


def test_spoilt_files_of_poses_end_in_one_sentence(tmp_path):
    write_npz(tmp_path / "me.npz", dancing(4))
    check_reader(read_npz, tmp_path / "me.npz", seed=3)


def older(place) -> None:
    """Prepares a folder of three frames with a file of the user's beside them."""
    write_openpose(place / "frames", dancing(3))
    (place / "frames" / "notes.txt").write_text("mine")


def newer(place) -> None:
    write_openpose(place / "frames", dancing(2), "other", overwrite=True)


@needs_fork
def test_a_killed_writer_of_frames_loses_nothing(tmp_path):
    assert check_kills(tmp_path, older, newer) > 5


def test_a_full_disk_leaves_the_older_frames(tmp_path):
    assert check_full_disk(tmp_path, older, newer) > 2

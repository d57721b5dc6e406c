"""Joints belong to the frames they were written with, whatever happens to the folder."""

from __future__ import annotations

import json

import numpy as np
import pytest
from kill import check_full_disk, check_kills, content_of, needs_fork
from motion_files import standing_joints
from mutation import check_reader

from dancenet.cli import load_script
from dancenet.data.frames.clips import read_clips
from dancenet.data.frames.folder import FrameFolder
from dancenet.data.frames.poses import POSES_FILE, FramePoses, read_poses
from dancenet.data.frames.writer import FrameWriter
from dancenet.data.motion.camera import CameraView
from dancenet.data.motion.draw_body import draw_bodies, place_joints
from dancenet.data.motion.joints import JOINTS
from dancenet.support.errors import UserError


def swaying(count: int) -> np.ndarray:
    """A body (T, 19, 3) that goes to and fro and lifts its left arm."""
    positions = standing_joints(count)
    time = np.arange(count) / 30
    positions[:, :, 0] += 0.3 * np.sin(2 * time)[:, None]
    wrist = JOINTS.index("l_wrist")
    positions[:, wrist, 1] += 0.4 * np.sin(3 * time) ** 2
    return positions.astype(np.float32)


def frames(count: int) -> np.ndarray:
    made = np.full((count, 120, 208), 255, np.uint8)
    made[:, 20:100, 90:120] = 0
    return made


def joints(count: int, seed: int) -> FramePoses:
    return FramePoses.exact(np.random.default_rng(seed).uniform(0, 120, (count, 19, 2)))


def add(folder, count: int, seed: int, overwrite: bool = False) -> None:
    """Adds a clip whose joints are those of `seed`; a negative one has none. Once only."""
    with FrameWriter(folder, overwrite) as writer:
        if not any(clip.source == str(seed) for clip in writer.clips):
            poses = joints(count, seed) if seed >= 0 else None
            writer.add_clip(frames(count), source=str(seed), fps=30.0, method="test", poses=poses)


def read(folder) -> FramePoses:
    folder = FrameFolder.open(folder)
    return read_poses(folder.path, folder.clips)


def wanted(*clips) -> np.ndarray:
    """Joints of clips of (count, seed) in a row."""
    parts = [joints(n, seed) if seed >= 0 else FramePoses.unknown(n) for n, seed in clips]
    return np.concatenate([part.xy for part in parts])


def test_rows_are_those_of_the_frames_when_clips_append_and_are_removed(tmp_path):
    folder = tmp_path / "imgs"
    add(folder, 3, 1)
    add(folder, 2, -1)
    add(folder, 4, 2)
    np.testing.assert_array_equal(read(folder).xy, wanted((3, 1), (2, -1), (4, 2)))
    assert read(folder).score.sum() == 7 * 19
    with FrameWriter(folder) as writer:
        writer.keep(2)
    np.testing.assert_array_equal(read(folder).xy, wanted((3, 1), (2, -1)))
    add(folder, 5, 7, overwrite=True)
    np.testing.assert_array_equal(read(folder).xy, wanted((5, 7)))
    arrays = np.load(folder / POSES_FILE)
    assert arrays["xy"].shape == (5, 19, 2) and tuple(arrays["joints"]) == JOINTS
    FrameWriter(folder).clear()
    assert not folder.exists()


def test_a_folder_without_joints_has_no_file_of_them_and_its_record_stays_as_it_was(tmp_path):
    add(tmp_path / "imgs", 2, -1)
    assert not (tmp_path / "imgs" / POSES_FILE).exists()
    assert "poses" not in json.loads((tmp_path / "imgs" / "clips.json").read_text())["clips"][0]


def test_a_mirrored_clip_has_mirrored_joints(tmp_path):
    folder = tmp_path / "imgs"
    add(folder, 2, 3)
    with FrameWriter(folder) as writer:
        writer.add_mirrored(writer.clips[0])
        writer.add_mirrored(writer.clips[1])
    found = read(folder).xy
    left, right = JOINTS.index("l_wrist"), JOINTS.index("r_wrist")
    np.testing.assert_allclose(found[2:4, left, 0], 208 - found[:2, right, 0], rtol=1e-6)
    np.testing.assert_allclose(found[2:4, left, 1], found[:2, right, 1])
    np.testing.assert_allclose(found[4:], found[:2], atol=1e-4)


def test_joints_of_a_film_are_asked_for_when_its_frames_are_written(tmp_path):
    seen = []

    def film():
        for frame in frames(3):
            seen.append(len(seen))
            yield frame

    with FrameWriter(tmp_path / "imgs") as writer:
        writer.add_clip(
            film(), source="film", fps=30.0, method="test", poses=lambda: joints(len(seen), 5)
        )
    np.testing.assert_array_equal(read(tmp_path / "imgs").xy, wanted((3, 5)))


def test_joints_for_other_frames_are_a_bug_and_leave_nothing(tmp_path):
    with pytest.raises(ValueError, match="3 frames have joints for 2"):
        FrameWriter(tmp_path / "imgs").add_clip(
            frames(3), source="x", fps=30.0, method="test", poses=joints(2, 1)
        )
    assert not (tmp_path / "imgs").exists()


def test_another_file_of_that_name_is_not_replaced(tmp_path):
    folder = tmp_path / "imgs"
    add(folder, 2, -1)
    np.savez(folder / POSES_FILE, mine=np.arange(3))
    before = content_of(folder)
    with pytest.raises(UserError, match="poses.npz is not dancenet's"):
        add(folder, 2, 1)
    assert content_of(folder) == before
    add(folder, 2, -2)
    assert (folder / POSES_FILE).read_bytes() == before[POSES_FILE]


def test_a_damaged_file_is_said_and_the_next_run_goes_on(tmp_path, capsys):
    folder = tmp_path / "imgs"
    add(folder, 2, 1)
    (folder / POSES_FILE).write_bytes(b"PK nonsense")
    with pytest.raises(UserError, match="poses.npz"):
        read(folder)
    add(folder, 3, 2)
    assert "are lost; the frames are whole" in capsys.readouterr().err
    np.testing.assert_array_equal(read(folder).xy[2:], wanted((3, 2)))
    assert np.isnan(read(folder).xy[:2]).all()


def test_spoilt_files_of_joints_end_in_one_sentence(tmp_path):
    folder = tmp_path / "imgs"
    add(folder, 2, 1)
    clips = read_clips(folder / "clips.json")

    def read_one(path):
        content = path.read_bytes()
        (folder / POSES_FILE).write_bytes(content)
        return read_poses(folder, clips)

    copy = tmp_path / "poses.npz"
    copy.write_bytes((folder / POSES_FILE).read_bytes())
    check_reader(read_one, copy, seed=5)


def two_clips(place) -> None:
    add(place / "imgs", 2, 1)
    add(place / "imgs", 1, -1)
    (place / "imgs" / "notes.txt").write_text("mine")


def mirror(place) -> None:
    with FrameWriter(place / "imgs") as writer:
        if len(writer.clips) == 2:
            writer.add_mirrored(writer.clips[0])


WRITERS = {
    "the first clip": (lambda place: None, lambda place: add(place / "imgs", 2, 5)),
    "another clip": (two_clips, lambda place: add(place / "imgs", 1, 5)),
    "a mirrored clip": (two_clips, mirror),
    "another in place of two": (two_clips, lambda place: add(place / "imgs", 2, 5, True)),
    "one clip kept": (two_clips, lambda place: FrameWriter(place / "imgs").keep(1)),
}


@needs_fork
@pytest.mark.parametrize("case", WRITERS)
def test_a_killed_writer_leaves_joints_that_fit_their_frames(tmp_path, case):
    every = 1 if case == "another clip" else 4  # the others take mostly the same steps
    assert check_kills(tmp_path, *WRITERS[case], every=every) > 10


def known(place):
    """What a reader of the folder sees."""
    if not (place / "imgs" / "clips.json").exists():
        return None
    clips = read_clips(place / "imgs" / "clips.json")
    return [clip.source for clip in clips], read_poses(place / "imgs", clips).xy.tobytes()


@pytest.mark.parametrize("case", WRITERS)
def test_a_full_disk_leaves_joints_that_fit_their_frames(tmp_path, case):
    assert check_full_disk(tmp_path, *WRITERS[case], read=known) > 3


@pytest.mark.parametrize("view", [CameraView(30, True, "fixed"), CameraView()])
def test_joints_are_where_the_body_is_drawn(view):
    positions = swaying(60)
    pictures = np.stack(list(draw_bodies(positions, 30.0, view)))
    placed = place_joints(positions, 30.0, view)
    # The flesh lies around these bones, whichever way they point.
    for name in ("pelvis", "chest", "l_elbow", "r_elbow", "l_knee", "r_knee", "l_wrist"):
        x, y = np.floor(placed[:, JOINTS.index(name)]).astype(int).T
        assert (pictures[np.arange(60), y, x] == 0).all(), name


def test_motion_capture_is_drawn_with_its_joints(tmp_path):
    positions = swaying(45)
    np.savez(
        tmp_path / "a.npz", pos=positions, fps=30.0, joints=np.array(JOINTS), ok=np.ones(45, bool)
    )
    script = load_script("render-mocap")
    arguments = [str(tmp_path / "a.npz"), "-o", str(tmp_path / "imgs"), "--yaw", "0", "90"]
    assert script.main(arguments) == 0
    assert script.main([*arguments, "--mirror"]) == 0
    found = read(tmp_path / "imgs")
    assert found.xy.shape == (180, 19, 2) and (found.score == 1).all()
    np.testing.assert_allclose(found.xy[:45], place_joints(positions, 30.0), atol=1e-3)
    np.testing.assert_allclose(found.xy[90:135, :, 0], 208 - found.xy[:45, :, 0], atol=0.01)

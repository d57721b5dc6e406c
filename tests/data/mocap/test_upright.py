"""Which axis points up is measured on all files of a training together."""

from __future__ import annotations

import numpy as np
import pytest
from motion_files import bvh_text, dancing, still

from dancenet.data.mocap.read import read_skeleton, read_together
from dancenet.data.mocap.reading import ReadOptions
from dancenet.data.mocap.recordings import RecordingOptions, read_recordings
from dancenet.data.motion.joints import JOINTS

HEAD, HIP = JOINTS.index("head"), JOINTS.index("pelvis")


def dance(folder, name, turn=(0.0, 0.0, 0.0), seconds=2, moving=True):
    values = dancing(30 * seconds) if moving else still(30 * seconds)
    values[:, 3:6] = turn
    path = folder / name
    path.write_text(bvh_text(values))
    return path


def jump(seconds: float) -> np.ndarray:
    """Returns (T, 24, 3) of a body whose feet are pulled up while its head keeps still."""
    legs = [[x, y, 0] for x in (0.1, -0.1) for y in np.linspace(0, 0.8, 8)]
    body = np.array([[0, y, 0] for y in np.linspace(0.9, 1.6, 8)] + legs)
    time = np.arange(int(60 * seconds)) / 60
    lift = 0.25 * np.clip(np.sin(6 * time), 0, 1)
    motion = np.tile(body, (len(time), 1, 1))
    motion[:, 8:, 1] += lift[:, None] * (1 - np.linspace(0, 1, 8))[None].repeat(2, 0).ravel()
    return motion


@pytest.mark.parametrize("seconds", [1, 5, 20])
def test_a_jump_is_not_stood_on_its_head(tmp_path, seconds):
    np.save(tmp_path / "jump.npy", jump(seconds))
    clip = read_skeleton(tmp_path / "jump.npy", frame_rate=60, unit=1)
    assert clip.positions[0, 7, 1] == pytest.approx(1.6, abs=1e-3)
    assert any("up is taken to be y, as is usual" in sentence for sentence in clip.warnings)
    given = read_skeleton(tmp_path / "jump.npy", frame_rate=60, unit=1, up="-y")
    assert given.positions[0, 7, 1] < 0.1


@pytest.mark.parametrize("turn", [(180, 0, 0), (90, 0, 0), (0, 90, 0)])
def test_a_clip_on_its_head_or_side_among_others_is_left_so(tmp_path, turn):
    paths = [dance(tmp_path, f"{n}.bvh") for n in range(3)]
    paths.append(dance(tmp_path, "odd.bvh", turn=turn, moving=False))
    clips = dict(read_together(paths, ReadOptions(frame_rate=30)))
    odd = clips[paths[-1]].positions
    if turn == (0, 90, 0):
        # Upright along z for the whole file is another program's axis, and not a dance.
        assert odd[0, HEAD, 1] > odd[0, HIP, 1] + 0.3
    else:
        assert odd[0, HEAD, 1] < odd[0, HIP, 1] + 0.3
        assert any("as in the other recordings" in line for line in clips[paths[-1]].warnings)
    for path in paths[:3]:
        assert clips[path].positions[0, HEAD, 1] > 1.2
    # A file alone has nothing to be compared with.
    assert read_skeleton(paths[-1]).positions[0, HEAD, 1] > 1.2


def test_files_that_are_all_turned_are_all_stood_up(tmp_path):
    paths = [dance(tmp_path, f"{n}.bvh", turn=(0, 90, 0)) for n in range(3)]
    for _, clip in read_together(paths, ReadOptions(frame_rate=30)):
        assert clip.positions[0, HEAD, 1] > 1.2
    for _, clip in read_together(paths, ReadOptions(frame_rate=30, up="y")):
        assert clip.positions[0, HEAD, 1] < 1.0


def test_a_training_measures_its_files_together(tmp_path, capsys):
    paths = [dance(tmp_path, f"{n}.bvh") for n in range(2)]
    paths.append(dance(tmp_path, "odd.bvh", turn=(180, 0, 0), moving=False))
    found = read_recordings(paths, RecordingOptions(reading=ReadOptions(frame_rate=30)))
    assert found.clips[-1].positions[0, HEAD, 1] < found.clips[-1].positions[0, HIP, 1]
    assert "odd.bvh: up is taken to be y, as in the other recordings" in capsys.readouterr().err


def test_more_files_than_are_held_are_read_again(tmp_path, monkeypatch):
    paths = [dance(tmp_path, f"{n}.bvh") for n in range(3)]
    held = [clip.positions for _, clip in read_together(paths)]
    monkeypatch.setattr("dancenet.data.mocap.read.HELD", 0)
    again = [clip.positions for _, clip in read_together(paths)]
    assert all(np.array_equal(one, two) for one, two in zip(held, again))


@pytest.mark.parametrize("sign, up", [(1, "y"), (-1, "-y")])
def test_points_of_a_picture_stand_on_the_end_that_rests(tmp_path, sign, up):
    time = np.arange(240) / 30
    low = np.zeros((240, 2, 2)) + [[-0.1, 0], [0.1, 0]]
    high = np.stack([0.2 * np.sin(3 * time), 1.5 + 0.3 * np.sin(5 * time)], axis=1)[:, None]
    np.save(tmp_path / "a.npy", np.concatenate([low, high], axis=1) * [1, sign])
    clip = read_skeleton(tmp_path / "a.npy", axes="TJ", frame_rate=30, unit=1)
    assert clip.positions[0, 2, 1] > 1
    np.save(tmp_path / "b.npy", np.concatenate([low, high], axis=1)[:20] * [1, sign])
    short = read_skeleton(tmp_path / "b.npy", axes="TJ", frame_rate=30, unit=1)
    assert bool(short.positions[0, 2, 1] > 1) is (up == "-y")  # rows are counted downwards

"""Trajectories in files: written in parts, checked, and read in windows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dancenet.sequence.trajectory_file import TrajectoryFiles, write_trajectory
from dancenet.support.errors import UserError


def walk(num_rows: int, dim: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(size=(num_rows, dim)), axis=0).astype(np.float32)


@pytest.fixture()
def path(tmp_path: Path) -> Path:
    return tmp_path / "walk.npy"


def test_what_is_written_in_chunks_is_one_array_that_numpy_reads(path: Path) -> None:
    rows = walk(1000)
    parts = [rows[:1], rows[1:1], rows[1:700].astype(np.float64), np.asfortranarray(rows[700:])]
    assert write_trajectory(path, iter(parts)) == [
        range(0, 1),
        range(1, 1),
        range(1, 700),
        range(700, 1000),
    ]
    found = np.load(path, allow_pickle=False)
    assert found.dtype == np.float32 and np.array_equal(found, rows)


def test_a_writer_takes_a_chunk_only_when_the_one_before_is_written(path: Path) -> None:
    def chunks() -> Iterator[np.ndarray]:
        for count in range(1, 9):
            yield np.full((25_000, 4), count, np.float32)  # 400 kB, more than a buffer holds
            (temporary,) = path.parent.glob(".walk.*")
            assert temporary.stat().st_size >= 400_000 * count

    write_trajectory(path, chunks())
    assert TrajectoryFiles(path).num_rows == 200_000


def test_a_writer_that_is_stopped_leaves_what_was_there_before(path: Path) -> None:
    def chunks() -> Iterator[np.ndarray]:
        yield walk(10)
        raise RuntimeError("stopped")

    write_trajectory(path, [walk(5)])
    with pytest.raises(RuntimeError, match="stopped"):
        write_trajectory(path, chunks())
    assert np.array_equal(np.load(path), walk(5))
    assert [file.name for file in path.parent.iterdir()] == ["walk.npy"]


@pytest.mark.parametrize(
    "chunks, message",
    [
        ([], "no row to write"),
        ([np.zeros((0, 3), np.float32)], "no row to write"),
        ([walk(4), walk(4, 2)], "have 3 dimensions, but chunk 2 has 2"),
        ([walk(4), np.zeros(3, np.float32)], r"chunk 2 .* float32 of shape \(3,\)"),
        ([np.zeros((4, 3), int)], "chunk 1 .* is int64"),
        ([walk(4), np.array([[0, np.inf, 0]], np.float32)], "Row 4 .* NaN or infinity"),
        ([np.array([[0, 1e300, 0]])], "Row 0 .* NaN or infinity"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_what_is_no_trajectory_is_not_written(path: Path, chunks: list, message: str) -> None:
    with pytest.raises(UserError, match=message):
        write_trajectory(path, chunks)
    assert not list(path.parent.iterdir())


def test_windows_are_the_rows_of_the_array_and_short_ones_end_with_their_last_row(
    path: Path,
) -> None:
    rows = walk(50)
    write_trajectory(path, [rows])
    found = TrajectoryFiles(path).read_windows(np.array([[40, 6], [0, 6], [7, 4], [0, 6]]), 6)
    assert np.array_equal(found[0], rows[40:46])
    assert np.array_equal(found[1], rows[:6]) and np.array_equal(found[3], rows[:6])
    assert np.array_equal(found[2], rows[[7, 8, 9, 10, 10, 10]])


def test_several_files_are_numbered_through_and_each_is_a_clip(tmp_path: Path) -> None:
    parts = [walk(20, seed=1), walk(1, seed=2), walk(30, seed=3)]
    paths = [tmp_path / f"{index}.npy" for index in range(3)]
    for path, part in zip(paths, parts):
        np.save(path, part)
    files = TrajectoryFiles(paths)
    assert files.clips == [range(0, 20), range(20, 21), range(21, 51)]
    assert (files.num_rows, files.dim) == (51, 3)
    found = files.read_windows(np.array([[25, 5], [3, 5], [20, 1], [46, 5]]), 5)
    whole = np.concatenate(parts)
    assert np.array_equal(found[0], whole[25:30]) and np.array_equal(found[1], whole[3:8])
    assert np.array_equal(found[2], whole[[20] * 5]) and np.array_equal(found[3], whole[46:])
    with pytest.raises(UserError, match="Rows 18 to 22 are not inside one file"):
        files.read(range(18, 22))
    with pytest.raises(UserError, match="Rows 19 to 21 are not inside one file"):
        TrajectoryFiles(paths, [range(0, 10), range(19, 21)])


@pytest.mark.parametrize("rows", [range(45, 51), range(-1, 4), range(60, 70)])
def test_rows_that_are_not_there_are_refused(path: Path, rows: range) -> None:
    np.save(path, walk(50))
    with pytest.raises(UserError, match="not inside one file"):
        TrajectoryFiles(path).read(rows)


def test_no_rows_are_an_empty_array(path: Path) -> None:
    np.save(path, walk(50))
    assert TrajectoryFiles(path).read(range(7, 7)).shape == (0, 3)


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((4, 3)), "float64 of shape"),
        (np.zeros((4, 3), ">f4"), ">f4 of shape"),
        (np.zeros(12, np.float32), r"shape \(12,\)"),
        (np.zeros((0, 3), np.float32), r"shape \(0, 3\)"),
        (np.asfortranarray(walk(4)), "Fortran's order"),
        (np.array([[None, 1]], object), "object of shape"),
    ],
)
def test_another_array_is_refused_with_what_it_is(
    path: Path, array: np.ndarray, message: str
) -> None:
    np.save(path, array)
    with pytest.raises(UserError, match=message):
        TrajectoryFiles(path)


@pytest.mark.parametrize(
    "content", [b"", b"no array", b"\x93NUMPY\x01\x00\x05\x00abc", b"\x93NUMPY\x07\x00"]
)
def test_a_file_that_is_no_array_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError, match="is not an .npy file, or its beginning is damaged"):
        TrajectoryFiles(path)


def test_a_missing_file_and_files_that_do_not_fit_together_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", walk(4))
    np.save(tmp_path / "b.npy", walk(4, 2))
    with pytest.raises(UserError, match="no trajectory at .*c.npy"):
        TrajectoryFiles([tmp_path / "a.npy", tmp_path / "c.npy"])
    with pytest.raises(UserError, match="b.npy has vectors of 2 dimensions and .*a.npy of 3"):
        TrajectoryFiles([tmp_path / "a.npy", tmp_path / "b.npy"])


@pytest.mark.parametrize("change", [-12, -1, 1, 12])
def test_a_file_that_is_not_as_long_as_it_says_is_refused(path: Path, change: int) -> None:
    np.save(path, walk(50))
    size = path.stat().st_size
    os.truncate(path, size + change)
    with pytest.raises(UserError, match=f"has {size + change} bytes .* header says {size}; it was"):
        TrajectoryFiles(path)


def test_a_file_that_is_cut_altered_replaced_or_removed_after_its_check_is_not_read(
    path: Path,
) -> None:
    np.save(path, walk(50))
    files = TrajectoryFiles(path)
    assert np.array_equal(files.read(range(50)), walk(50))
    os.utime(path, ns=(0, 1_000_000_000))
    with pytest.raises(UserError, match="walk.npy was cut or altered while it was read from"):
        files.read(range(3))
    files = TrajectoryFiles(path)
    os.truncate(path, 200)
    with pytest.raises(UserError, match="was cut or altered"):
        files.read(range(3))
    np.save(path, walk(50))
    files = TrajectoryFiles(path)
    other = path.with_name("other.npy")
    np.save(other, walk(50))
    os.utime(other, ns=(0, path.stat().st_mtime_ns))
    os.replace(other, path)
    with pytest.raises(UserError, match="was cut or altered"):
        files.read(range(3))
    path.unlink()
    with pytest.raises(UserError, match="cannot be read any more"):
        files.read(range(3))


def test_a_row_that_is_not_finite_is_named_when_it_is_read_and_not_before(tmp_path: Path) -> None:
    rows = walk(50)
    rows[33, 1] = np.nan
    np.save(tmp_path / "a.npy", walk(20))
    np.save(tmp_path / "b.npy", rows)
    files = TrajectoryFiles([tmp_path / "a.npy", tmp_path / "b.npy"])
    assert np.array_equal(files.read(range(20, 53)), rows[:33])
    with pytest.raises(UserError, match="b.npy holds NaN or infinity in row 33;"):
        files.read_windows(np.array([[0, 5], [50, 5]]), 5)


def test_a_sample_of_little_is_all_of_it(path: Path) -> None:
    rows = walk(1000)
    np.save(path, rows)
    clips = [range(0, 300), range(300, 300), range(400, 1000)]
    vectors, held, places = TrajectoryFiles(path).sample(clips, 900)
    assert held == [range(0, 300), range(300, 900)] and places == [clips[0], clips[2]]
    assert np.array_equal(vectors, np.concatenate([rows[:300], rows[400:]]))


def test_a_sample_of_much_is_spread_over_it_and_stays_inside_clips(path: Path) -> None:
    rows = walk(100_000)
    np.save(path, rows)
    clips = [range(0, 60_000), range(60_010, 60_020), range(70_000, 100_000)]
    vectors, held, places = TrajectoryFiles(path).sample(clips, 5_000)
    assert 4_000 < len(vectors) <= 5_000
    for inside, place in zip(held, places):
        assert np.array_equal(vectors[inside.start : inside.stop], rows[place.start : place.stop])
        assert any(clip.start <= place.start and place.stop <= clip.stop for clip in clips)
    assert places[0].start == 0 and places[-1].stop == 100_000
    assert max(b.start - a.stop for a, b in zip(places, places[1:])) < 25_000

"""Trajectories in `.npy` files that may be larger than memory: written in parts, read in windows.

A file is a plain array (T, D) of little-endian float32, which `np.load` reads, too. It is read
with seeks and not mapped, because the pages of a map count as the process's memory, which would
seem to grow with the file. Nothing stays open between two reads, so any number of files and
threads can be used.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from dancenet.support import files
from dancenet.support.arrays import read_npy_header
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, shortened

FLOAT = np.dtype("<f4")
_SAMPLE_ROWS = 512  # in a piece of a sample


def write_trajectory(path: str | Path, chunks: Iterable[np.ndarray]) -> list[range]:
    """Writes a trajectory that is never in memory as a whole, atomically.

    Args:
        path: the `.npy` file; it appears when the last chunk is written.
        chunks: (n, D) floats in model units, each taken when the one before is written. If each
            chunk is a clip, the clips are returned.

    Returns:
        The rows that each chunk became.

    Raises:
        UserError: there is no row, or a chunk is not finite or does not fit those before it.
    """
    written: list[range] = []
    dim, num_rows = -1, 0
    with files.atomic_path(path) as temporary, open(temporary, "wb") as file:
        begin = 0
        for number, chunk in enumerate(chunks):
            if chunk.ndim != 2 or chunk.dtype.kind != "f" or not chunk.shape[1]:
                raise UserError(
                    f"A trajectory is written in floats of shape (n, D); chunk {number + 1} for "
                    f"{quoted(path)} is {chunk.dtype} of shape {chunk.shape}."
                )
            if dim < 0:
                dim = chunk.shape[1]
                begin = _write_header(file, (0, dim))
            if chunk.shape[1] != dim:
                raise UserError(
                    f"All rows of {quoted(path)} have {dim} dimensions, but chunk {number + 1} has "
                    f"{chunk.shape[1]}; write it to another file."
                )
            rows = np.ascontiguousarray(chunk, FLOAT)
            bad = ~np.isfinite(rows).all(axis=1)
            if bad.any():
                raise UserError(
                    f"Row {num_rows + int(np.argmax(bad))} for {quoted(path)} is NaN or infinity; "
                    "cut it out first."
                )
            file.write(rows.data)
            written.append(range(num_rows, num_rows + len(rows)))
            num_rows += len(rows)
        if not num_rows:
            raise UserError(f"There is no row to write to {quoted(path)}; give at least one.")
        # NumPy pads the header for any number of rows, so it keeps its size.
        file.seek(0)
        if _write_header(file, (num_rows, dim)) != begin:
            raise RuntimeError("the header of an .npy file changed its size")
    return written


def _write_header(file: BinaryIO, shape: tuple[int, int]) -> int:
    """Writes the header of an array of some shape; returns where its data begins."""
    header = {"descr": FLOAT.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


@dataclass(frozen=True)
class _File:
    """One checked file."""

    path: Path
    begin: int  # byte of its first row
    rows: range  # among the rows of all files
    stamp: tuple[int, int, int]  # inode, size in bytes, and time of the last change


class Sample(NamedTuple):
    """Pieces of a trajectory that fit into memory."""

    vectors: np.ndarray  # (N, D) float32
    clips: list[range]  # rows of `vectors`, one range a piece
    rows: list[range]  # rows of each piece in the files


class TrajectoryFiles:
    """Rows (T, D) in one file or in several, numbered through all of them.

    Type, shape and length of a file are checked at once, its numbers when they are read.

    Args:
        paths: one `.npy` file, or several.
        clips: the clips, each inside a file; None makes each file a clip.

    Attributes:
        dim: D.
        num_rows: T.
        clips: row ranges.

    Raises:
        UserError: a file is missing, cut, or not a trajectory; the files do not fit together; a
            clip is not inside a file.
    """

    def __init__(
        self, paths: str | Path | Sequence[str | Path], clips: Sequence[range] | None = None
    ) -> None:
        if isinstance(paths, (str, Path)):
            paths = [paths]
        if not paths:
            raise ValueError("there must be one file at least.")
        self._files: list[_File] = []
        self.num_rows, self.dim = 0, 0
        for path in map(Path, paths):
            begin, num_rows, dim, stamp = _check(path)
            if self._files and dim != self.dim:
                raise UserError(
                    f"{quoted(path)} has vectors of {dim} dimensions and "
                    f"{quoted(self._files[0].path)} of {self.dim}; all files of a training have "
                    "the same."
                )
            self.dim = dim
            rows = range(self.num_rows, self.num_rows + num_rows)
            self._files.append(_File(path, begin, rows, stamp))
            self.num_rows = rows.stop
        self._starts = np.array([file.rows.start for file in self._files])
        self._stops = np.array([file.rows.stop for file in self._files])
        self.clips = [file.rows for file in self._files] if clips is None else list(clips)
        self._files_of(
            np.array([clip.start for clip in self.clips], np.int64),
            np.array([len(clip) for clip in self.clips], np.int64),
        )

    def read(self, rows: range) -> np.ndarray:
        """Returns rows (n, D) of one file.

        Raises:
            UserError: see `read_windows`.
        """
        if not len(rows):
            return np.zeros((0, self.dim), FLOAT)
        return self.read_windows(np.array([[rows.start, len(rows)]]), len(rows))[0]

    def read_windows(self, windows: np.ndarray, length: int) -> np.ndarray:
        """Reads windows, each from one file.

        Args:
            windows: (B, 2), first row and number of rows, at most `length`.
            length: T, rows of a returned window; a short window is filled up with its last row.

        Returns:
            (B, T, D) float32.

        Raises:
            UserError: a file was cut or changed since it was checked, or a row is not finite.
        """
        found = np.empty((len(windows), length, self.dim), FLOAT)
        row_size = self.dim * FLOAT.itemsize
        starts, counts = windows.T
        numbers = self._files_of(starts, counts)
        offsets = ((starts - self._starts[numbers]) * row_size).tolist()
        order = np.argsort(starts, kind="stable").tolist()  # the order on the disk
        counts, numbers = counts.tolist(), numbers.tolist()
        for number, group in itertools.groupby(order, key=numbers.__getitem__):
            place = self._files[number]
            with _open(place) as file:
                for index in group:
                    file.seek(place.begin + offsets[index])
                    count = counts[index]
                    _fill(file, found[index, :count], place.path)
                    if count < length:
                        found[index, count:] = found[index, count - 1]
        finite = np.isfinite(found)
        if not finite.all():
            index, row = np.argwhere(~finite.all(axis=2))[0]
            place = self._files[numbers[index]]
            row += starts[index] - place.rows.start
            raise UserError(
                f"{quoted(place.path)} holds NaN or infinity in row {row}; cut it out, and write "
                "the file again."
            )
        return found

    def sample(self, clips: Sequence[range], most: int) -> Sample:
        """Reads pieces spread evenly over clips, to fit a scaler or to choose seed clips.

        Args:
            clips: row ranges to read from.
            most: about the number of rows to read; clips with fewer rows are read whole.

        Raises:
            UserError: see `read_windows`.
        """
        pieces = [clip for clip in clips if len(clip)]
        if sum(map(len, pieces)) > most:
            parts = [
                clip[first : first + _SAMPLE_ROWS]
                for clip in pieces
                for first in range(0, len(clip), _SAMPLE_ROWS)
            ]
            count = min(len(parts), max(1, most // _SAMPLE_ROWS))
            chosen = np.unique(np.linspace(0, len(parts) - 1, count).round().astype(int))
            pieces = [parts[index] for index in chosen]
        vectors = np.empty((sum(map(len, pieces)), self.dim), FLOAT)
        held: list[range] = []
        for rows in pieces:
            stop = held[-1].stop if held else 0
            held.append(range(stop, stop + len(rows)))
            vectors[stop : stop + len(rows)] = self.read(rows)
        return Sample(vectors, held, pieces)

    def _files_of(self, starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Returns the number of the file that holds each range of rows."""
        numbers = np.searchsorted(self._starts, starts, side="right") - 1
        inside = (starts >= 0) & (counts > 0) & (starts + counts <= self._stops[numbers])
        if not inside.all():
            index = int(np.argmin(inside))
            place = self._files[max(0, numbers[index])]
            raise UserError(
                f"Rows {starts[index]} to {starts[index] + counts[index]} are not inside one file: "
                f"{quoted(place.path)} has rows {place.rows.start} to {place.rows.stop}. Give the "
                "clips of these files."
            )
        return numbers


def _check(path: Path) -> tuple[int, int, int, tuple[int, int, int]]:
    """Returns the byte at which rows begin, T, D, and the stamp of a file."""
    try:
        with files.open_regular(path, "trajectory") as file:
            shape, fortran_order, dtype = read_npy_header(file)
            begin, stamp = file.tell(), _stamp(file)
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{quoted(path)} is not an .npy file, or its beginning is damaged; write it again."
        ) from error
    if dtype != FLOAT or len(shape) != 2 or fortran_order or 0 in shape:
        order = " in Fortran's order" if fortran_order else ""
        raise UserError(
            f"{quoted(path)} holds {shortened(dtype)} of shape {shortened(shape)}{order}; a "
            "trajectory is float32 of shape (T, D), row after row. Convert it."
        )
    expected = begin + shape[0] * shape[1] * FLOAT.itemsize
    if stamp[1] != expected:
        raise UserError(
            f"{quoted(path)} has {stamp[1]:,} bytes and its header says {expected:,}; it was cut "
            "or altered, so write it again."
        )
    return begin, shape[0], shape[1], stamp


def _stamp(file: BinaryIO) -> tuple[int, int, int]:
    status = os.fstat(file.fileno())
    return status.st_ino, status.st_size, status.st_mtime_ns


def _open(place: _File) -> BinaryIO:
    """Opens a file without a buffer, unless it has changed since it was checked."""
    try:
        file = open(place.path, "rb", buffering=0)
    except OSError as error:
        raise UserError(
            f"{quoted(place.path)} cannot be read any more ({error.strerror}); put it back and "
            "restart."
        ) from error
    if _stamp(file) != place.stamp:
        file.close()
        raise _altered(place.path)
    return file


def _altered(path: Path) -> UserError:
    return UserError(
        f"{quoted(path)} was cut or altered while it was read from; write it again, and start anew."
    )


def _fill(file: BinaryIO, rows: np.ndarray, path: Path) -> None:
    """Reads on from the current place until `rows` (n, D), a contiguous array, are full."""
    left = rows.data.cast("B")
    while left:
        count = file.readinto(left)  # type: ignore[attr-defined]
        if not count:
            raise _altered(path)
        left = left[count:]

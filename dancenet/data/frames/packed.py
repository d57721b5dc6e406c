"""Packs every silhouette of a folder into one file, for training."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancenet.data.frames.folder import FrameFolder
from dancenet.data.frames.picture import BACKGROUND, HEIGHT, WIDTH
from dancenet.support import arrays, checked, files, terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.threads import ordered_map

PACKED_FILE = ".frames.bits.npy"


class PackedFrames:
    """Every silhouette of a folder at one bit a pixel, memory-mapped from a cache beside them.

    3,120 bytes a frame: an hour at 30 frames a second is 337 MB on disk, and what is resident
    is what the operating system chooses to keep.
    """

    def __init__(self, path: Path, bits: np.ndarray) -> None:
        self._path = path
        self._bits = bits
        self._reads = 0

    @classmethod
    def open(cls, folder: FrameFolder) -> PackedFrames:
        """Opens the cache of `folder`, making it first if the pictures have changed."""
        path = folder.path / PACKED_FILE
        stamp = _Stamp.of(folder)
        stamp_path = path.with_suffix(".json")
        bits = _map(path, folder.num_frames) if _read_stamp(stamp_path) == stamp else None
        if bits is None:
            cls._pack(folder, path)
            files.write_json(stamp_path, dataclasses.asdict(stamp))
            bits = _map(path, folder.num_frames)
        if bits is None:
            raise UserError(f"{quoted(path)} was altered while it was read; start again.")
        return cls(path, bits)

    @staticmethod
    def _pack(folder: FrameFolder, path: Path) -> None:
        chunk, threads = 64, 2

        def pack(first: int) -> tuple[int, np.ndarray]:
            frames = folder.read(first, min(first + chunk - 1, folder.num_frames))
            return first, np.packbits(frames.reshape(len(frames), -1) > 0, axis=1)

        firsts = range(1, folder.num_frames + 1, chunk)
        with files.atomic_path(path) as temporary:
            bits = np.lib.format.open_memmap(
                temporary, "w+", np.uint8, (folder.num_frames, HEIGHT * WIDTH // 8)
            )
            _take_room(temporary)
            with (
                terminal.progress(total=folder.num_frames, description="Reading frames") as bar,
                ordered_map(pack, firsts, threads) as packed,
            ):
                for first, rows in packed:
                    bits[first - 1 : first - 1 + len(rows)] = rows
                    bar.update(len(rows))
            bits.flush()
            del bits

    def __len__(self) -> int:
        return len(self._bits)

    def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the frames at 0-based `indices` as (B, H, W) uint8, 0 or 255."""
        self._reads += len(indices)
        if self._reads > 200_000:
            # Touched pages count as this process's memory until the map is made anew.
            bits = _map(self._path, len(self._bits))
            if bits is not None:
                self._bits = bits
            self._reads = 0
        pixels = np.unpackbits(self._bits[np.asarray(indices, dtype=np.int64)], axis=1)
        return (pixels * np.uint8(BACKGROUND)).reshape(-1, HEIGHT, WIDTH)


def _take_room(path: Path) -> None:
    """Takes the room of a mapped file: a disk that is full later would end the process (SIGBUS)."""
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


@dataclass(frozen=True)
class _Stamp:
    """What the pictures of a folder were when they were packed: any edit changes it."""

    frames: int
    size_bytes: int
    newest_ns: int

    @classmethod
    def of(cls, folder: FrameFolder) -> _Stamp:
        # Sizes and times of all pictures are cheap to get.
        total = newest = 0
        for number in range(1, folder.num_frames + 1):
            status = (folder.path / f"{number}.jpg").stat()
            total += status.st_size
            newest = max(newest, status.st_mtime_ns)
        return cls(folder.num_frames, total, newest)


def _read_stamp(path: Path) -> _Stamp | None:
    try:
        return checked.build(_Stamp, checked.read_json(path, "stamp of packed frames"), str(path))
    except UserError:
        return None


def _map(path: Path, num_frames: int) -> np.ndarray | None:
    """Maps a file of packed frames; None if it is missing, cut, or of other frames."""
    shape = (num_frames, HEIGHT * WIDTH // 8)
    try:
        with files.open_regular(path, "file of packed frames") as file:
            found = arrays.read_npy_header(file)
            begin, size = file.tell(), os.fstat(file.fileno()).st_size
            if found != (shape, False, np.uint8) or size != begin + shape[0] * shape[1]:
                return None
            return np.memmap(file, np.uint8, "r", begin, shape)
    except (OSError, ValueError):  # it is made anew
        return None

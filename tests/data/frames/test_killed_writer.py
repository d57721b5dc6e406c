"""A frame folder whose writer was killed, starved or not alone loses and doubles nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kill import check_full_disk, check_kills, needs_fork

from dancenet.data.frames.writer import FrameWriter


def frames(count: int, shade: int = 0) -> np.ndarray:
    made = np.full((count, 120, 208), 255, np.uint8)
    for index, frame in enumerate(made):
        frame[20 : 40 + shade, 30 + 5 * index : 60 + 5 * index] = 0
    return made


def add(folder: Path, count: int, shade: int = 0, overwrite: bool = False) -> None:
    """Adds a clip, unless it is there."""
    with FrameWriter(folder / "imgs", overwrite) as writer:
        if not any(clip.source == str(shade) for clip in writer.clips):
            writer.add_clip(frames(count, shade), source=str(shade), fps=30.0, method="test")


def nothing(folder: Path) -> None:
    """Prepares an empty folder."""


def two_clips(folder: Path) -> None:
    """Prepares frames with a file of the user's beside them."""
    add(folder, 2, 1)
    add(folder, 1, 2)
    (folder / "imgs" / "notes.txt").write_text("mine")


def mirror(folder: Path) -> None:
    """Mirrors the first clip, unless that was done."""
    with FrameWriter(folder / "imgs") as writer:
        if not any(clip.details.get("mirror") for clip in writer.clips):
            writer.add_mirrored(writer.clips[0])


WRITERS = {
    "the first clip": (nothing, lambda folder: add(folder, 2, 5)),
    "a mirrored clip": (two_clips, mirror),
    "fewer frames over more": (two_clips, lambda folder: add(folder, 1, 5, overwrite=True)),
    "more frames over fewer": (two_clips, lambda folder: add(folder, 4, 5, overwrite=True)),
    "one clip kept": (two_clips, lambda folder: FrameWriter(folder / "imgs").keep(1)),
}


@needs_fork
@pytest.mark.parametrize("case", WRITERS)
def test_a_killed_writer_loses_and_doubles_nothing(tmp_path, case):
    assert check_kills(tmp_path, *WRITERS[case]) > 10


@pytest.mark.parametrize("case", WRITERS)
def test_a_full_disk_leaves_the_frames_as_they_were(tmp_path, case):
    assert check_full_disk(tmp_path, *WRITERS[case]) > 3

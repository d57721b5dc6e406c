"""A frame folder whose writer was killed, starved or not alone loses and doubles nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kill import check_full_disk, check_kills, needs_fork

from dancenet.data.frames.origin import Origin, SourceWriter
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


def take(folder: Path) -> None:
    """Takes a source of two clips, with their mirror images, as `extract_frames` does."""
    path = folder / "film.mp4"
    with FrameWriter(folder / "imgs") as writer:
        source = SourceWriter(writer, Origin.of("film.mp4", path, {"fps": 30.0}))
        if not source.is_finished:
            for shade in (7, 8):
                source.add_clip(frames(1, shade), source="film.mp4", fps=30.0, method="test")
        source.add_mirrored()
        source.finish()


def film(folder: Path) -> None:
    """Prepares a film that was not taken yet."""
    (folder / "film.mp4").write_text("a film")


WRITERS = {
    "the first clip": (nothing, lambda folder: add(folder, 2, 5)),
    "a source of two clips": (film, take),
    "fewer frames over more": (two_clips, lambda folder: add(folder, 1, 5, overwrite=True)),
    "more frames over fewer": (two_clips, lambda folder: add(folder, 4, 5, overwrite=True)),
    "one clip kept": (two_clips, lambda folder: FrameWriter(folder / "imgs").keep(1)),
}


@needs_fork
@pytest.mark.parametrize("case", WRITERS)
def test_a_killed_writer_loses_and_doubles_nothing(tmp_path, case):
    every = 7 if case == "a source of two clips" else 1
    assert check_kills(tmp_path, *WRITERS[case], every=every) > 10


@pytest.mark.parametrize("case", [case for case in WRITERS if case != "a source of two clips"])
def test_a_full_disk_leaves_the_frames_as_they_were(tmp_path, case):
    assert check_full_disk(tmp_path, *WRITERS[case]) > 3

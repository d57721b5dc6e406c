"""Reads a folder of numbered silhouettes, `1.jpg`, `2.jpg`, …, and the clips they belong to."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dancenet.data.frames.clips import CLIPS_FILE, MOST_FRAMES, PENDING_FILE, Clip, read_clips
from dancenet.data.frames.picture import numbered_pictures, read_picture
from dancenet.support import terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import command, option

_DEFAULT_FPS = 30.0


class FrameFolder:
    """A checked folder of silhouettes. Open it with `FrameFolder.open`."""

    def __init__(self, path: Path, clips: Sequence[Clip]) -> None:
        self.path = path
        self.clips = tuple(clips)

    @classmethod
    def open(cls, path: str | Path) -> FrameFolder:
        """Opens a folder and checks its numbering against `clips.json`.

        A folder without `clips.json` (frames made by other tools) is read as one clip of
        30 frames a second, and says so. Files that are no numbered pictures are left
        alone; pictures with other names are named in a warning.

        Raises:
            UserError: the folder is missing or empty, a number is missing, or
                `clips.json` does not fit the pictures.
        """
        path = Path(path)
        if not path.is_dir():
            raise UserError(
                f"There is no folder {quoted(path)}; make one with {command('extract-frames')}."
            )
        numbers, strays = numbered_pictures(path)
        if strays:
            shown = ", ".join(map(quoted, strays[:3]))
            terminal.warn(
                f"{len(strays)} pictures in {quoted(path)} are not named like 1.jpg and are left "
                f"out: {shown}{' …' if len(strays) > 3 else ''}"
            )
        clips_path = path / CLIPS_FILE
        if clips_path.exists():
            clips = read_clips(clips_path)
        elif numbers and not (path / PENDING_FILE).exists():
            terminal.warn(
                f"{quoted(path)} has no {CLIPS_FILE}; its {len(numbers)} pictures are taken as one "
                f"clip of {_DEFAULT_FPS:g} frames a second."
            )
            if max(numbers) > MOST_FRAMES:
                raise UserError(
                    f"{quoted(path)} holds {str(max(numbers))[:40]}.jpg, a number too large for "
                    "a frame; rename or remove it."
                )
            clips = [Clip(str(path), _DEFAULT_FPS, 1, max(numbers), "unknown")]
        else:
            clips = []
        begun = (path / PENDING_FILE).exists()
        if not clips and begun:
            raise UserError(_interrupted(path))
        if not clips:
            raise UserError(
                f"{quoted(path)} holds no frames (1.jpg, 2.jpg, …); "
                f"make some with {command('extract-frames', 'VIDEO', '--out', 'imgs')}."
            )
        last = clips[-1].last
        present = sum(number <= last for number in numbers)
        if present < last and begun:
            raise UserError(_interrupted(path))
        if present < last:
            # As many as there are pictures are looked at, however many the record claims.
            missing = itertools.islice((n for n in itertools.count(1) if n not in numbers), 3)
            shown = ", ".join(f"{number}.jpg" for number in missing if number <= last)
            raise UserError(
                f"{quoted(path)} lacks {last - present} of its {last} pictures "
                f"({shown}{' …' if last - present > 3 else ''}); extract the frames again."
            )
        return cls(path, clips)

    @property
    def num_frames(self) -> int:
        return self.clips[-1].last

    @property
    def fps(self) -> float:
        """Frames per second.

        Raises:
            UserError: the clips have different rates.
        """
        rates = sorted({clip.fps for clip in self.clips})
        if len(rates) > 1:
            raise UserError(
                f"The clips in {quoted(self.path)} have different frame rates "
                f"({', '.join(f'{rate:g}' for rate in rates)}); extract them again with one "
                f"{option('fps', f'{rates[0]:g}')}."
            )
        return rates[0]

    def read(self, first: int, last: int) -> np.ndarray:
        """Reads pictures `first` to `last` (1-based, inclusive) as (T, H, W) uint8, 0 or 255.

        Raises:
            UserError: a picture cannot be read or is not of the size of a frame.
        """
        paths = [self.path / f"{number}.jpg" for number in range(first, last + 1)]
        return np.stack([read_picture(path) for path in paths])


def _interrupted(path: Path) -> str:
    return (
        f"{quoted(path)} is being written, or the command that wrote it was killed; run that one "
        "again, which puts the folder in order."
    )

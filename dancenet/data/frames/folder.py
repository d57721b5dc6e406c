"""Reads a folder of numbered silhouettes, `1.jpg`, `2.jpg`, …, and the clips they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dancenet.data.frames.clips import CLIPS_FILE, Clip, read_clips
from dancenet.data.frames.picture import HEIGHT, WIDTH, numbered_pictures, read_picture
from dancenet.support import terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import command, option

PENDING_FILE = ".pending.json"  # present while a clip is moved into the folder

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
                f"There is no folder {path}; make one with {command('extract-frames')}."
            )
        numbers, strays = numbered_pictures(path)
        if strays:
            shown = ", ".join(repr(name) for name in strays[:3])
            terminal.warn(
                f"{len(strays)} pictures in {path} are not named like 1.jpg and are left out: "
                f"{shown}{' …' if len(strays) > 3 else ''}"
            )
        clips_path = path / CLIPS_FILE
        if clips_path.exists():
            clips = read_clips(clips_path)
        elif numbers and not (path / PENDING_FILE).exists():
            terminal.warn(
                f"{path} has no {CLIPS_FILE}; its {len(numbers)} pictures are taken as one clip "
                f"of {_DEFAULT_FPS:g} frames a second."
            )
            clips = [Clip(str(path), _DEFAULT_FPS, 1, max(numbers), "unknown")]
        else:
            clips = []
        begun = (path / PENDING_FILE).exists()
        if not clips and begun:
            raise UserError(_interrupted(path))
        if not clips:
            raise UserError(
                f"{path} holds no frames (1.jpg, 2.jpg, …); "
                f"make some with {command('extract-frames', 'VIDEO --out imgs')}."
            )
        missing = sorted(set(range(1, clips[-1].last + 1)) - numbers)
        if missing and begun:
            raise UserError(_interrupted(path))
        if missing:
            shown = ", ".join(f"{number}.jpg" for number in missing[:3])
            raise UserError(
                f"{path} lacks {len(missing)} of its {clips[-1].last} pictures "
                f"({shown}{' …' if len(missing) > 3 else ''}); extract the frames again."
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
                f"The clips in {self.path} have different frame rates "
                f"({', '.join(f'{rate:g}' for rate in rates)}); extract them again with one "
                f"{option('fps', f'{rates[0]:g}')}."
            )
        return rates[0]

    def read(self, first: int, last: int) -> np.ndarray:
        """Reads pictures `first` to `last` (1-based, inclusive) as (T, H, W) uint8, 0 or 255.

        Raises:
            UserError: a picture cannot be read or is not of the size of the first one.
        """
        paths = [self.path / f"{number}.jpg" for number in range(first, last + 1)]
        pictures = [read_picture(path) for path in paths]
        for path, picture in zip(paths, pictures):
            if picture.shape != (HEIGHT, WIDTH):
                raise UserError(
                    f"{path} is {picture.shape[1]}x{picture.shape[0]}; frames are "
                    f"{WIDTH}x{HEIGHT}. Make them with "
                    f"{command('extract-frames', f'{self.path} --out another_folder')}, which "
                    "also takes a folder of pictures."
                )
        return np.stack(pictures)


def _interrupted(path: Path) -> str:
    return (
        f"{quoted(path)} is being written, or the command that wrote it was killed; run that one "
        "again, which puts the folder in order."
    )

"""Reads a folder of pictures as if it were a film."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np

from dancenet.support import errors
from dancenet.support.errors import UserError
from dancenet.support.wording import option

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
MAX_SIDE = 960  # longer pictures are reduced while reading: a frame is 208x120 in the end


@dataclass(frozen=True)
class PictureFolder:
    """A folder of pictures, in the order of the numbers in their names."""

    paths: tuple[Path, ...]
    name: str
    width: int
    height: int
    fps: float
    source_fps: float
    expected_seconds: float | None

    @classmethod
    def open(
        cls,
        path: str | Path,
        fps: float = 30.0,
        start: float = 0.0,
        seconds: float | None = None,
    ) -> PictureFolder:
        """Lists a folder's pictures; they are taken to be `fps` a second.

        Raises:
            UserError: the folder holds no pictures, or the first one is not readable.
        """
        path = Path(path)
        paths = sorted(
            (
                entry
                for entry in path.iterdir()
                if entry.suffix.lower() in PICTURE_SUFFIXES and not entry.name.startswith(".")
            ),
            key=lambda entry: _natural_key(entry.name),
        )
        if not paths:
            raise UserError(f"The folder {path} holds no pictures ({', '.join(PICTURE_SUFFIXES)}).")
        first = round(start * fps)
        last = len(paths) if seconds is None else first + round(seconds * fps)
        chosen = tuple(paths[first:last])
        if not chosen:
            raise UserError(
                f"{path} holds {len(paths) / fps:.1f} seconds of pictures at {fps:g} a second; "
                f"nothing is left after {option('start', f'{start:g}')}."
            )
        height, width = _read_rgb(chosen[0]).shape[:2]
        return cls(
            paths=chosen,
            name=str(path),
            width=width,
            height=height,
            fps=fps,
            source_fps=fps,
            expected_seconds=len(chosen) / fps,
        )

    def frames(self, side: int | None = None) -> Iterator[np.ndarray]:
        """Yields (H, W, 3) uint8 RGB, as `VideoFile.frames` does.

        Raises:
            UserError: a picture cannot be read, or is not of the size of the first one.
        """
        size = reduced_size(self.width, self.height, side or MAX_SIDE)
        for path in self.paths:
            picture = _read_rgb(path)
            if picture.shape[:2] != (self.height, self.width):
                raise UserError(
                    f"{path} is {picture.shape[1]}x{picture.shape[0]}, but {self.paths[0].name} "
                    f"is {self.width}x{self.height}; put pictures of one size into one folder."
                )
            if size != (self.width, self.height):
                picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            yield picture

    def loss(self, num_frames: int) -> str | None:
        """Returns None: a picture that cannot be read is an error."""
        return None


def reduced_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Returns (width, height) with the same aspect and no side longer than `side`."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _natural_key(name: str) -> list[tuple[int, int, str]]:
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part.lower())
        for part in re.split(r"(\d+)", name)
        if part
    ]


def _read_rgb(path: Path) -> np.ndarray:
    try:
        return iio.imread(path, plugin="pillow", index=0, mode="RGB", rotate=True)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's for a damaged file
        errors.let_through(error)
        raise UserError(
            f"{path} ({path.stat().st_size} bytes) is not a readable picture; take it out of the "
            "folder."
        ) from error

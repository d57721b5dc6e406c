"""Reads a folder of pictures as if it were a film."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageOps

from dancenet.data.footage.film import matte
from dancenet.support import errors
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import option

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
MAX_SIDE = 960  # longer pictures are reduced while reading: a frame is 208x120 in the end
MAX_PIXELS = 40_000_000  # of a picture of a film: 8K, of which a decoder holds a dozen
LEAST_FPS = 4.0  # slower than this, neighbouring pictures show no movement
MOST_FPS = 1200.0

_LARGEST_JPEG = 170_000_000  # pixels of a photograph, which is decoded to a smaller one
_LONGEST = 1 << 14  # pixels of a side; FFmpeg's scaler and OpenCV take twice as many
_SHORTEST = 16  # pixels of a side in which a dancer may be seen
_NARROWEST = 8  # how many times longer one side may be than the other
# Pillow's names. It would run other programs to read some kinds of file.
_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "TIFF")
_OTHER_SUFFIXES = (".heic", ".heif", ".avif", ".gif", ".jxl", ".jp2", ".dng", ".cr2", ".nef")
_STILL_FPS = 30.0  # of a single picture, which has no rate
_LOOKED_AT = 48  # pictures of a folder whose transparency is looked at


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
    facts: tuple[str, ...] = ()  # what was found, for the report
    has_matte: bool = False  # its transparency shows the dancer
    shows_matte: bool = False  # `frames` yields the transparency, black on white

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
        check_rate(fps)
        paths, others = _pictures_in(path)
        first = round(min(start * fps, len(paths)))
        last = len(paths) if seconds is None else first + round(min(seconds * fps, len(paths)))
        chosen = tuple(paths[first:last])
        if not chosen:
            raise UserError(
                f"{quoted(path)} holds {len(paths) / fps:.1f} seconds of pictures at {fps:g} a "
                f"second; nothing is left after {option('start', f'{start:g}')}."
            )
        height, width = _read_picture(chosen[0]).shape[:2]
        check_size(chosen[0], width, height)
        opened = cls(
            paths=chosen,
            name=str(path),
            width=width,
            height=height,
            fps=fps,
            source_fps=fps,
            expected_seconds=len(chosen) / fps,
            facts=(
                f"{len(chosen)} pictures of {width}x{height}, taken to be {fps:g} a second",
                *([f"Files of other kinds ({others}) are left out."] if others else []),
            ),
        )
        return replace(opened, has_matte=opened._finds_matte())

    @classmethod
    def of_picture(cls, path: str | Path) -> PictureFolder:
        """Returns one picture as if it were a folder that holds no other.

        Raises:
            UserError: it is missing, not readable, or too small to show a person.
        """
        height, width = _read_picture(Path(path)).shape[:2]
        check_size(Path(path), width, height)
        return cls(
            paths=(Path(path),),
            name=str(path),
            width=width,
            height=height,
            fps=_STILL_FPS,
            source_fps=_STILL_FPS,
            expected_seconds=1 / _STILL_FPS,
        )

    def as_matte(self) -> PictureFolder:
        """Returns the same pictures as their transparency shows them, black on white."""
        return replace(self, shows_matte=True)

    def stretches(self, side: int | None = None) -> Iterator[Iterator[np.ndarray]]:
        """Yields the pictures of each stretch without a gap: all of them."""
        yield self.frames(side)

    def frames(self, side: int | None = None) -> Iterator[np.ndarray]:
        """Yields (H, W, 3) uint8 RGB, as `VideoFile.frames` does.

        Raises:
            UserError: a picture cannot be read, or is not of the size of the first one.
        """
        size = reduced_size(self.width, self.height, side or MAX_SIDE)
        for path in self.paths:
            picture = _read_picture(path, self.shows_matte)
            if picture.shape[:2] != (self.height, self.width):
                raise UserError(
                    f"{quoted(path)} is {picture.shape[1]}x{picture.shape[0]}, but "
                    f"{quoted(self.paths[0].name)} is {self.width}x{self.height}; put pictures of "
                    "one size into one folder."
                )
            if size != (self.width, self.height):
                picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            yield picture

    def loss(self, num_frames: int) -> str | None:
        """Returns None: a picture that cannot be read is an error."""
        return None

    def _finds_matte(self) -> bool:
        step = max(1, len(self.paths) // _LOOKED_AT)
        some = [path for path in self.paths[::step] if _has_alpha(path)]
        # White is transparent in the pictures of a matte.
        return matte.shows_dancer(255 - _read_picture(path, True)[..., 0] for path in some)


def check_rate(fps: float) -> None:
    """Raises UserError where an asked number of pictures a second is not one of a dance."""
    if not LEAST_FPS <= fps <= MOST_FPS:
        raise UserError(
            f"Nothing can dance at {option('fps', f'{fps:g}')}; choose {LEAST_FPS:g} to "
            f"{MOST_FPS:g} frames a second, usually 15 to 30."
        )


def check_most(path: Path, width: int, height: int, largest: int) -> None:
    """Raises UserError where pictures are too large to be decoded."""
    if max(width, height) > _LONGEST or width * height > largest:
        raise UserError(
            f"{quoted(path)} has pictures of {width}x{height}; at most {_LONGEST} pixels a side "
            f"and {largest // 1_000_000} million in all are read. Make them smaller."
        )


def check_size(path: Path, width: int, height: int) -> None:
    """Raises UserError where pictures are too narrow for a dancer."""
    if min(width, height) < _SHORTEST or max(width, height) > _NARROWEST * min(width, height):
        raise UserError(
            f"{quoted(path)} has pictures of {width}x{height}, in which no dancer can be seen; "
            f"they need {_SHORTEST} pixels a side at least, and no side more than {_NARROWEST} "
            "times as long as the other."
        )


def reduced_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Returns (width, height) with the same aspect and no side longer than `side`."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _pictures_in(path: Path) -> tuple[list[Path], str]:
    """Returns a folder's pictures in the order of the numbers in their names.

    The second value names the kinds of pictures there that are not read.
    """
    try:
        entries = [
            Path(entry.path)
            for entry in os.scandir(path)
            if not entry.name.startswith(".") and entry.is_file()
        ]
    except OSError as error:
        raise UserError(f"{quoted(path)} cannot be read ({error.strerror}).") from error
    paths = [entry for entry in entries if entry.suffix.lower() in PICTURE_SUFFIXES]
    others = ", ".join(
        sorted({entry.suffix for entry in entries if entry.suffix.lower() in _OTHER_SUFFIXES})
    )
    if not paths:
        raise UserError(
            f"The folder {quoted(path)} holds no pictures ({', '.join(PICTURE_SUFFIXES)})"
            + (f"; convert its {others} files to .jpg." if others else ".")
        )
    return sorted(paths, key=lambda entry: _natural_key(entry.name)), others


def _natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    # \d matches the digits that int() reads, of any script; isdigit() is true of "²", too.
    parts = [
        (0, int(part), "") if index % 2 else (1, 0, part.lower())
        for index, part in enumerate(re.split(r"(\d+)", name))
        if part
    ]
    return parts, name


def _has_alpha(path: Path) -> bool:
    with _opened(path) as image:
        return "A" in image.getbands() or "transparency" in image.info


def _read_picture(path: Path, shows_matte: bool = False) -> np.ndarray:
    """Returns (H, W, 3) uint8 RGB, upright; of the transparency, if that is asked for."""
    with _opened(path) as image:
        try:
            if image.width * image.height > MAX_PIXELS:
                image.draft("RGB", (2 * MAX_SIDE, 2 * MAX_SIDE))
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
        except Exception as error:  # Pillow lets anything out of a damaged file
            errors.let_through(error)
            raise _unreadable(path) from error
        if shows_matte:
            return matte.as_picture(np.asarray(image.convert("RGBA"))[..., 3])
        plain = _eight_bits(image)
        return np.asarray(plain if plain.mode == "RGB" else plain.convert("RGB"))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Yields a picture whose header was read."""
    try:
        file = open(path, "rb")
    except OSError as error:
        errors.let_through(error)
        raise UserError(f"{quoted(path)} cannot be read ({error.strerror}).") from error
    with file, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(file, formats=_FORMATS)
        except Image.DecompressionBombError as error:
            raise UserError(
                f"{quoted(path)} has more than {_LARGEST_JPEG // 1_000_000} million pixels; make "
                "it smaller."
            ) from error
        except Exception as error:
            errors.let_through(error)
            raise _unreadable(path) from error
        is_jpeg = image.format in ("JPEG", "MPO")
        check_most(path, image.width, image.height, _LARGEST_JPEG if is_jpeg else MAX_PIXELS)
        yield image


def _eight_bits(image: Any) -> Any:
    """Returns a picture of more than 8 bits a pixel in 8; Pillow would cut them off at 255."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image, np.float32)
    if image.mode == "F":
        values = np.nan_to_num(values) * (255 if np.nanmax(values, initial=0) <= 1 else 1)
    else:
        values = values / np.float32(257)  # 16 bits
    return Image.fromarray(np.clip(np.round(values), 0, 255).astype(np.uint8))


def _unreadable(path: Path) -> UserError:
    try:
        size = f"{path.stat().st_size} bytes"
    except OSError as error:
        size = str(error.strerror)
    return UserError(
        f"{quoted(path)} ({size}) is not a readable picture; convert it, or leave it out."
    )

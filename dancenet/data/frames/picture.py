"""One silhouette: its size, its two levels, and its JPEG file."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from dancenet.support.errors import UserError

HEIGHT, WIDTH = 120, 208
DANCER, BACKGROUND = 0, 255

_JPEG_QUALITY = 95
_THRESHOLD = 128
_NAME = re.compile(r"[1-9][0-9]*\.jpg\Z")
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"}


def read_picture(path: Path) -> np.ndarray:
    """Reads one silhouette as (H, W) uint8, exactly 0 (dancer) or 255 (background).

    Raises:
        UserError: the file is missing or not a picture.
    """
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError as error:
        raise UserError(f"The picture {path} is missing; extract the frames again.") from error
    grey = None
    # A cut JPEG decodes to a picture with a grey lower half; its end marker is the tell.
    if len(data) and (path.suffix.lower() != ".jpg" or _has_jpeg_end(data)):
        grey = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise UserError(
            f"{path} ({len(data)} bytes) is not a readable picture; "
            "extract the frames again, or remove the clip it belongs to."
        )
    return np.where(grey < _THRESHOLD, np.uint8(DANCER), np.uint8(BACKGROUND))


def _has_jpeg_end(data: np.ndarray) -> bool:
    return b"\xff\xd9" in data[-64:].tobytes()


def write_picture(path: Path, frame: np.ndarray) -> None:
    """Writes one silhouette as a JPEG."""
    done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise RuntimeError(f"OpenCV could not encode {path.name} as JPEG.")
    path.write_bytes(data.tobytes())


def check_frame(frame: np.ndarray) -> None:
    """Raises ValueError unless `frame` is (120, 208) uint8 of 0 and 255."""
    if frame.shape != (HEIGHT, WIDTH) or frame.dtype != np.uint8:
        raise ValueError(
            f"Frames are ({HEIGHT}, {WIDTH}) uint8; received {frame.shape} {frame.dtype}."
        )
    if not np.isin(frame, (DANCER, BACKGROUND)).all():
        raise ValueError("Frames hold 0 (dancer) and 255 (background) only.")


def numbered_pictures(path: Path) -> tuple[set[int], list[str]]:
    """Returns the numbers of a folder's pictures, and the names of its other pictures."""
    numbers: set[int] = set()
    strays: list[str] = []
    for entry in path.iterdir():
        name = entry.name
        if _NAME.match(name):
            numbers.add(int(name[:-4]))
        elif not name.startswith(".") and Path(name).suffix.lower() in _SUFFIXES:
            strays.append(name)
    return numbers, sorted(strays)

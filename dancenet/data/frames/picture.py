"""One silhouette: its size, its two levels, and its JPEG file."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from dancenet.support import files
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import command

HEIGHT, WIDTH = 120, 208
DANCER, BACKGROUND = 0, 255

_JPEG_QUALITY = 95
_JPEG_END = b"\xff\xd9"
_FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers
_LARGEST = 4 << 20  # bytes of a picture
_THRESHOLD = 128
_NAME = re.compile(r"[1-9][0-9]*\.jpg\Z")
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"}


def read_picture(path: Path) -> np.ndarray:
    """Reads one silhouette as (120, 208) uint8, exactly 0 (dancer) or 255 (background).

    The size is read from the file's header first: a picture of a few kilobytes may say that it has
    a thousand million pixels.

    Raises:
        UserError: the file is missing, not a JPEG, or of another size.
    """
    try:
        with files.open_regular(path, "picture") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise UserError(f"{quoted(path)} cannot be read ({error.strerror}).") from error
    advice = "extract the frames again, or remove the clip it belongs to."
    if len(data) > _LARGEST:
        raise UserError(
            f"{quoted(path)} has more than {_LARGEST:,} bytes: it is no frame; {advice}"
        )
    size = jpeg_size(data)
    if size is not None and size != (WIDTH, HEIGHT):
        raise _other_size(path, size)
    grey = None
    # A cut JPEG decodes to a picture with a grey lower half; its end marker is the tell.
    if size is not None and _JPEG_END in data[-64:]:
        grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise UserError(f"{quoted(path)} ({len(data)} bytes) is not a readable picture; {advice}")
    if grey.shape != (HEIGHT, WIDTH):  # turned, as its Exif data says
        raise _other_size(path, grey.shape[::-1])
    return np.where(grey < _THRESHOLD, np.uint8(DANCER), np.uint8(BACKGROUND))


def _other_size(path: Path, size: tuple[int, ...]) -> UserError:
    again = command("extract-frames", path.parent, "--out", "another_folder")
    return UserError(
        f"{quoted(path)} is {size[0]}x{size[1]}; frames are {WIDTH}x{HEIGHT}. Make them with "
        f"{again}, which also takes a folder of pictures."
    )


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Returns the width and height in a JPEG's header (ITU T.81, B.2.2); None if there is none."""
    if not data.startswith(b"\xff\xd8"):
        return None
    place = 2
    while True:
        place = data.find(b"\xff", place)
        while data[place : place + 1] == b"\xff" and place >= 0:  # padding
            place += 1
        marker = data[place : place + 8]
        if place < 0 or len(marker) < 8:
            return None
        if marker[0] in _FRAME_HEADERS:
            return int.from_bytes(marker[6:8]), int.from_bytes(marker[4:6])
        if marker[0] == 0xDA:  # the picture itself
            return None
        alone = marker[0] in (0x00, 0x01) or 0xD0 <= marker[0] <= 0xD7
        place += 1 if alone else 1 + int.from_bytes(marker[1:3])


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

"""The settings that made a video, stored in it as a comment and read back."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from dancenet import __version__
from dancenet.support import checked, errors, files
from dancenet.support.errors import MissingFFmpeg, UserError
from dancenet.support.names import quoted

GENERATOR = "dancenet"
SETTINGS_FILE = "settings.json"  # beside the pictures of the format 'frames'

LARGEST_SETTINGS = 1 << 26  # bytes beside pictures: eight for each of millions
_COMMENT_LIMIT = 1 << 20  # bytes of settings that are read from a file
_MOST_MARKERS = 8  # of a comment, in the last bytes of a GIF
# How the containers that we write begin.
_MARKS: tuple[Callable[[bytes], bool], ...] = (
    lambda beginning: beginning[4:8] == b"ftyp",
    lambda beginning: beginning.startswith(b"\x1a\x45\xdf\xa3"),
)
_GIF_COMMENT, _GIF_END = b"\x21\xfe", b"\x00\x3b"


def to_json(settings: dict[str, Any], indent: int | None = None) -> str:
    """Returns the settings as ASCII text, with the program's name and version."""
    content = {"generator": GENERATOR, "version": __version__, **settings}
    return json.dumps(content, indent=indent)


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads back the settings that a `VideoWriter` stored.

    Args:
        path: a video file, or a folder of pictures.

    Raises:
        UserError: there is no such file, or it was not made by dancenet.
    """
    path = Path(path)
    if not path.exists():
        with contextlib.suppress(UserError, OSError):
            files.open_folder(path)  # where a run was killed that replaced it
    if not (path.is_file() or path.is_dir()):
        raise UserError(f"There is no video at {quoted(path)}.")
    try:
        settings = checked.parse_json(_read_text(path), "its settings")
    except MissingFFmpeg:
        raise
    except (OSError, ValueError) as error:
        errors.let_through(error)
        settings = None
    if not isinstance(settings, dict) or settings.get("generator") != GENERATOR:
        raise UserError(
            f"{quoted(path)} does not say how it was made: it is not a video by dancenet, or "
            "another program removed the settings from it."
        )
    return settings


def is_ours(path: str | os.PathLike[str]) -> bool:
    """Tells whether dancenet made this video or folder of pictures."""
    try:
        read_settings(path)
    except MissingFFmpeg:
        raise  # who made it cannot be told
    except UserError:
        return False
    return True


def append_gif_comment(path: Path, text: str) -> None:
    """Adds a comment extension before a GIF's trailer (GIF89a specification, section 24)."""
    comment = text.encode("ascii")
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(_GIF_COMMENT)
        for begin in range(0, len(comment), 255):
            part = comment[begin : begin + 255]
            file.write(bytes([len(part)]) + part)
        file.write(_GIF_END)


def _read_text(path: Path) -> str:
    if path.is_dir():
        with files.open_regular(path / SETTINGS_FILE, "record of settings") as file:
            return file.read(LARGEST_SETTINGS).decode("utf-8-sig")
    with files.open_regular(path, "video") as file:
        beginning = file.read(12)
        if beginning.startswith(b"GIF8"):
            return _read_gif_comment(file)
    if not any(marks(beginning) for marks in _MARKS):
        return ""
    # Imported when a film is read, because pictures and a dance of joints need no FFmpeg.
    from dancenet.data.footage.film.opening import opened

    with opened(path) as film:
        # Matroska's keys are upper case.
        tags = {key.lower(): value for key, value in film.metadata.items()}
    return tags.get("comment", "")[:_COMMENT_LIMIT]


def _read_gif_comment(file: BinaryIO) -> str:
    """Returns the comment at the end of a GIF; empty if there is none."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _COMMENT_LIMIT))
    tail = file.read(_COMMENT_LIMIT)
    # The text is ASCII, but a block's length may complete the marker: the first that fits counts.
    begin = len(tail)
    for _ in range(_MOST_MARKERS):
        begin = tail.rfind(_GIF_COMMENT, 0, begin)
        if begin < 0:
            break
        parts, position = [], begin + len(_GIF_COMMENT)
        while position < len(tail) and tail[position]:
            parts.append(tail[position + 1 : position + 1 + tail[position]])
            position += 1 + tail[position]
        if tail[position:] == _GIF_END:
            return b"".join(parts).decode("ascii", errors="replace")
    return ""

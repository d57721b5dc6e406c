"""The settings that made a video, stored in it as a comment and read back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import av

from dancenet import __version__
from dancenet.support.errors import UserError
from dancenet.support.names import quoted

GENERATOR = "dancenet"
SETTINGS_FILE = "settings.json"  # beside the pictures of the format 'frames'

_COMMENT_LIMIT = 1 << 20  # bytes of settings that are read from a file
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
        raise UserError(f"There is no video at {quoted(path)}.")
    try:
        settings = json.loads(_read_text(path))
    except (OSError, ValueError, av.error.FFmpegError):
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
        return (path / SETTINGS_FILE).read_text(encoding="utf-8")
    with open(path, "rb") as file:
        is_gif = file.read(4) == b"GIF8"
    if is_gif:
        return _read_gif_comment(path)
    with av.open(str(path)) as film:
        # Matroska's keys are upper case.
        tags = {key.lower(): value for key, value in film.metadata.items()}
    return tags.get("comment", "")


def _read_gif_comment(path: Path) -> str:
    """Returns the comment at the end of a GIF; empty if there is none."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _COMMENT_LIMIT))
        tail = file.read()
    # The text is ASCII, but a block's length may complete the marker: the first that fits counts.
    begin = tail.rfind(_GIF_COMMENT)
    while begin >= 0:
        text, position = b"", begin + len(_GIF_COMMENT)
        while position < len(tail) and tail[position]:
            text += tail[position + 1 : position + 1 + tail[position]]
            position += 1 + tail[position]
        if tail[position:] == _GIF_END:
            return text.decode("ascii", errors="replace")
        begin = tail.rfind(_GIF_COMMENT, 0, begin)
    return ""

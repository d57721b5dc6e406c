"""Which pictures of a folder of the format 'frames' are dancenet's own, byte by byte."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dancenet.output.video_settings import GENERATOR, LARGEST_SETTINGS, SETTINGS_FILE
from dancenet.support import checked, files
from dancenet.support.errors import UserError
from dancenet.support.lock import LOCK
from dancenet.support.names import quoted
from dancenet.support.wording import option

_SUMS = "pictures_crc32"  # in the settings: eight hexadecimal digits for each picture, in order
_NAME = re.compile(r"[0-9]{6,}\.png\Z")
# What file managers leave; it stays, and nobody misses it.
_OF_THE_SYSTEM = (".DS_Store", "Thumbs.db", "desktop.ini", LOCK)


def picture_name(number: int) -> str:
    """Returns the name of a picture, from 1."""
    return f"{number:06d}.png"


def record(sums: Sequence[int]) -> dict[str, Any]:
    """Returns what the settings say of the pictures, from the CRC-32 of each file."""
    return {_SUMS: "".join(f"{value:08x}" for value in sums)}


def made_files(folder: Path) -> Iterator[Path]:
    """Yields the pictures of a folder that are as dancenet wrote them, then the settings."""
    settings = folder / SETTINGS_FILE
    content = _read(settings)
    if content is None:
        return
    sums = content.get(_SUMS)
    if isinstance(sums, str):
        for number in range(1, len(sums) // 8 + 1):
            path = folder / picture_name(number)
            if _crc32(path) == sums[8 * number - 8 : 8 * number]:
                yield path
    else:  # of a version that kept no sums, but wrote the settings last
        for entry in sorted(folder.iterdir()):
            if _NAME.match(entry.name) and _is_older(entry, settings):
                yield entry
    yield settings


def check_replaceable(folder: Path, overwrite: bool) -> None:
    """Raises UserError if a folder holds what dancenet did not make, or what was changed since.

    Args:
        folder: exists.
        overwrite: files whose names are not needed may be there; they stay.
    """
    if os.path.samefile(folder, os.curdir):
        raise UserError(
            "The current folder itself cannot be replaced; name a folder in it, or another output."
        )
    made = {path.name for path in made_files(folder)}
    if not made and any(folder.iterdir()):
        raise UserError(
            f"{quoted(folder)} exists and is not a folder of pictures made by dancenet; "
            "choose another output."
        )
    others = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.name not in made and entry.name not in _OF_THE_SYSTEM
    )
    taken = [name for name in others if _NAME.match(name) or name == SETTINGS_FILE]
    if taken:
        raise UserError(
            f"{quoted(folder)} holds {quoted(taken[0])}, which dancenet did not write or which was "
            "changed since, so the folder is not replaced; choose another output."
        )
    if others and not overwrite:
        raise UserError(
            f"{quoted(folder)} holds {quoted(others[0])}, which dancenet did not write; choose "
            f"another output, or say {option('overwrite')} to replace the pictures beside it."
        )


def _read(settings: Path) -> dict[str, Any] | None:
    try:
        content = checked.read_json(settings, "record of settings", largest=LARGEST_SETTINGS)
    except UserError:
        return None
    is_ours = isinstance(content, dict) and content.get("generator") == GENERATOR
    return content if is_ours else None


def _crc32(path: Path) -> str | None:
    try:
        if path.is_symlink():
            return None
        with files.open_regular(path, "picture") as file:
            return f"{zlib.crc32(file.read()):08x}"
    except (OSError, UserError):
        return None


def _is_older(path: Path, settings: Path) -> bool:
    try:
        is_file = path.is_file() and not path.is_symlink()
        return is_file and os.stat(path).st_mtime_ns <= os.stat(settings).st_mtime_ns
    except OSError:
        return False

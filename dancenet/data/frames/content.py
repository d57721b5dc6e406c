"""Knows a source by its content, wherever it lies and whatever it is called."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_END_BYTES = 1 << 20  # at the front and at the back of a file, enough to know it by


def content_key(path: Path) -> str:
    """Hashes size and ends of a file; of a folder names, sizes, and size and ends of each file."""
    if not path.is_dir():
        return _key_of_file(path)
    digest = hashlib.sha256(listing_key(path).encode())
    for entry in _entries(path):
        if entry.is_file():
            digest.update(_key_of_file(entry).encode())
    return digest.hexdigest()


def listing_key(path: Path) -> str:
    """Hashes names and sizes in a folder, by which older projects know it."""
    digest = hashlib.sha256()
    for entry in _entries(path):
        digest.update(b"%s %d\n" % (os.fsencode(entry.name), entry.stat().st_size))
    return digest.hexdigest()


def _entries(folder: Path) -> list[Path]:
    """Returns what a folder holds, without what file managers leave there."""
    return [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]


def _key_of_file(path: Path) -> str:
    size = path.stat().st_size
    digest = hashlib.sha256(f"{size}\n".encode())
    with open(path, "rb") as file:
        digest.update(file.read(_END_BYTES))
        file.seek(max(0, size - _END_BYTES))
        digest.update(file.read(_END_BYTES))
    return digest.hexdigest()

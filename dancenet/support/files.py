"""Writes files atomically, and refuses to overwrite what is not ours."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dancenet.support import signals
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import option


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """Returns the folder for downloads: the one named by DANCENET_CACHE, or the user's cache."""
    named = os.environ.get("DANCENET_CACHE")
    if named:
        return Path(named)
    import pooch

    return Path(pooch.os_cache("dancenet"))


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames it to `path` if the block succeeds.

    The temporary file keeps the suffix (writers choose the format by it) and is
    removed if the block raises, so `path` is either the old file or the whole new one.

    Args:
        path: the final path. Its folder must exist.

    Raises:
        UserError: the folder does not exist or cannot be written.
    """
    path = Path(path)
    check_parent(path)
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent
        )
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}). Choose another path with "
            f"{option('out')}, or free the disk."
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        with signals.temporary(temporary):
            yield temporary
        # mkstemp makes files private; a result should have the permissions of any new file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a new folder beside `path`; renames it to `path` if the block succeeds.

    Parent folders are created; an existing `path` is replaced. The new folder is removed if the
    block raises.

    Raises:
        UserError: the parent folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise UserError(f"The folder {path} cannot be made ({error.strerror}).") from error
    try:
        with signals.temporary(temporary):
            yield temporary
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o777 & ~umask)
        replace_folder(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def replace_folder(source: Path, target: Path) -> None:
    """Replaces a folder by another on the same disk; the old content is removed."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    source.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def check_parent(path: str | os.PathLike[str]) -> None:
    """Raises UserError unless the parent folder of `path` exists and can be written."""
    parent = Path(path).absolute().parent
    if not parent.is_dir():
        raise UserError(f"The folder {parent} does not exist; create it, or choose another output.")
    if not os.access(parent, os.W_OK):
        raise UserError(f"The folder {parent} cannot be written; choose another output.")


def check_space(folder: str | os.PathLike[str], needed: float, what: str, advice: str) -> None:
    """Raises UserError unless a disk has room for something.

    Args:
        folder: on the disk; it, or one of its parents, exists.
        needed: bytes, estimated low: who is refused would certainly have failed.
        what: what is to be written.
        advice: what to do.
    """
    place = Path(folder).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError:  # some network disks do not tell
        return
    if needed > free:
        raise UserError(
            f"There is not enough space in {quoted(place)}: {what} would take about "
            f"{format_bytes(needed)}, and {format_bytes(free)} are free; {advice}."
        )


def format_bytes(size: float) -> str:
    """Formats a number of bytes: '0.05 MB', '48 MB', '1.2 GB', '75,000 GB'."""
    if size < 1e9:
        return f"{size / 1e6:.2f} MB" if size < 1e6 else f"{size / 1e6:.0f} MB"
    return f"{size / 1e9:,.1f} GB" if size < 1e11 else f"{size / 1e9:,.0f} GB"


def make_folder(path: str | os.PathLike[str]) -> None:
    """Creates a folder and its parents, if needed.

    Raises:
        UserError: it cannot be created.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The folder {path} cannot be made ({error.strerror}); choose another output."
        ) from error


def check_overwrite(
    path: str | os.PathLike[str],
    overwrite: bool,
    is_ours: Callable[[Path], bool] | None = None,
) -> None:
    """Refuses to overwrite a file or folder.

    Args:
        path: the file or folder about to be written.
        overwrite: the user allows replacing it.
        is_ours: tells whether an existing file was written by the same step, and may be replaced
            in any case.

    Raises:
        UserError: `path` exists and may not be replaced.
    """
    path = Path(path)
    if overwrite or not path.exists():
        return
    if path.is_file() and is_ours is not None and is_ours(path):
        return
    raise UserError(
        f"{path} exists already; choose another output, or replace it with {option('overwrite')}."
    )


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a UTF-8 text file atomically, with "\\n" at the end of lines on every system.

    Bytes of a name that are not UTF-8 (lone surrogates in Python) are written as `\\udcXX`, which
    JSON reads back.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_npz(path: str | os.PathLike[str], **arrays: Any) -> None:
    """Writes arrays to a compressed .npz atomically. Object arrays are refused by readers."""
    with atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

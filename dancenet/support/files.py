"""Writes files atomically, and refuses to overwrite what is not ours."""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import json
import os
import shutil
import stat
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dancenet.support import lock, signals, terminal
from dancenet.support.errors import SpoiltFile, UserError, write_failed
from dancenet.support.names import derived, is_allowed_here, quoted, shortened
from dancenet.support.temporary import short_stem, sweep, temporary_name
from dancenet.support.wording import option

# Returns the files of a folder that dancenet made.
Ours = Callable[[Path], Iterable[Path]]

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_HELD = (5, 32)  # Windows: access denied, and a sharing violation
_PAUSES = (0.05, 0.1, 0.2, 0.3, 0.4)  # seconds between two tries


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_regular(path: str | os.PathLike[str], what: str) -> io.BufferedReader:
    """Opens a regular file to read; a pipe or a device might never end.

    Raises:
        UserError: it is missing, not a regular file, or cannot be read.
    """
    try:
        # Without waiting for whoever writes to a pipe.
        file = open(path, "rb", opener=_open_at_once)
    except FileNotFoundError as error:
        raise SpoiltFile(f"There is no {what} at {quoted(path)}") from error
    except OSError as error:
        raise UserError(f"{quoted(path)} cannot be read ({error.strerror}).") from error
    except ValueError as error:  # a name that no file can have
        raise UserError(f"{quoted(path)} cannot be read ({shortened(error)}).") from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UserError(f"{quoted(path)} is not a regular file; a {what} is one.")
    return file


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def cache_folder() -> Path:
    """Returns the folder for downloads: the one named by DANCENET_CACHE, or the user's cache."""
    named = os.environ.get("DANCENET_CACHE")
    if named:
        return Path(named)
    import pooch

    return Path(pooch.os_cache("dancenet"))


def check_apart(out: str | os.PathLike[str], sources: Iterable[str | os.PathLike[str]]) -> None:
    """Raises UserError if an output is one of the files it is made from, by whatever name."""
    for source in sources:
        try:
            same = os.path.samefile(out, source)
        except (OSError, ValueError):  # one of them does not exist
            continue
        if same:
            raise UserError(
                f"{quoted(out)} is both the source and the output; choose another output."
            )


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames it to `path` if the block succeeds.

    The temporary file keeps the suffix (writers choose the format by it) and is
    removed if the block raises, so `path` is either the old file or the whole new one. A link
    stays a link, and its target is replaced; permissions stay as they were. What killed runs
    left in the folder is removed.

    Args:
        path: the final path. Its folder must exist.

    Raises:
        UserError: the folder does not exist or cannot be written, `path` is no file or is
            write-protected, or the disk is full.
    """
    final = _final(Path(path))
    check_parent(final)
    sweep(final.parent)
    temporary = final.with_name(temporary_name(final.name))
    try:
        mode = _mode(final)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        os.close(os.open(temporary, flags, 0o666 if mode is None else 0o600))
        if mode is not None:
            os.chmod(temporary, mode)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise write_failed(path, error) from error
    try:
        with signals.temporary(temporary):
            yield temporary
        _sync(temporary)
        replace(temporary, final)
        _sync(final.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise write_failed(path, error) from error
        raise


@contextmanager
def atomic_folder(path: str | os.PathLike[str], ours: Ours) -> Iterator[Path]:
    """Yields a new folder beside `path`; puts it in the place of `path` if the block succeeds.

    Parent folders are created. The new folder is removed if the block raises. Of an existing
    `path` only what `ours` returns is removed; see `replace_folder`. The caller holds the lock
    `lock.beside(path)`.

    Raises:
        UserError: the parent folder cannot be written, or the disk is full.
    """
    final = _final(Path(path))
    make_folder(final.parent)
    sweep(final.parent)
    restore_folder(final)
    temporary = final.with_name(temporary_name(final.name))
    try:
        temporary.mkdir()
    except OSError as error:
        raise write_failed(path, error) from error
    try:
        with signals.temporary(temporary):
            yield temporary
        replace_folder(temporary, final, ours)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise write_failed(path, error) from error
        raise


def replace_folder(source: Path, target: Path, ours: Ours) -> None:
    """Puts a folder in the place of another on the same disk.

    What dancenet did not make in the old one is moved into the new one. A kill leaves either the
    old or the new folder to `restore_folder`. The caller holds the lock `lock.beside(target)`.

    Args:
        source: the new folder.
        target: the place; it may be missing.
        ours: returns the files of a folder that dancenet made and that may be removed, in order.
    """
    restore_folder(target, ours)
    if target.exists():
        if os.name == "posix":
            os.chmod(source, stat.S_IMODE(target.stat().st_mode))
        replace(target, old_folder(target))
    try:
        replace(source, target)
    except BaseException:
        restore_folder(target)
        raise
    _sync(target.parent)
    restore_folder(target, ours)


def restore_folder(target: Path, ours: Ours | None = None) -> None:
    """Finishes what a killed `replace_folder` began; the caller holds the same lock.

    Args:
        target: the place of the folder.
        ours: see `replace_folder`; None to bring back a missing folder only.
    """
    old = old_folder(target)
    if not os.path.lexists(old):
        return
    if not target.exists():
        replace(old, target)
    elif ours is not None:
        remove_files(ours(old), old)
        if old.exists():
            _move_missing(old, target)
        if old.exists():
            named, kept = _named(old), _kept_folder(target)
            # It would stand in the way of the next one, and nobody sees it.
            replace(old, kept)
            terminal.warn(
                f"{quoted(target)} was replaced, but its old files {named} have names that are "
                f"taken now; they are kept in {quoted(kept)}."
            )


def is_no_room(error: OSError) -> bool:
    """Tells whether a disk or a quota is full, a file too large for it, or it is read only."""
    return error.errno in _NO_ROOM


def open_folder(target: Path, ours: Ours | None = None) -> None:
    """Calls `restore_folder` if there is anything to do, with its lock."""
    target = _final(target)
    if target.name and os.path.lexists(old_folder(target)):
        with lock.hold(lock.beside(target), target, "choose another", wait=True):
            restore_folder(target, ours)


def remove_files(paths: Iterable[Path], folder: Path) -> None:
    """Removes files of a folder, and then those folders that are empty by that."""
    emptied = {folder}
    for path in paths:
        path.unlink(missing_ok=True)
        emptied.update(parent for parent in path.parents if folder in parent.parents)
    _remove_empty(emptied)


def replace(source: Path, target: Path) -> None:
    """Renames a file or folder, also over a file; waits for programs that hold it on Windows.

    Raises:
        UserError: another program holds it.
    """
    for pause in (*_PAUSES, None):
        try:
            os.replace(source, target)
            return
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _HELD:
                raise
            if pause is None:
                raise UserError(
                    f"{quoted(target)} is open in another program, so it cannot be replaced; "
                    "close it there, and run this again."
                ) from error
            time.sleep(pause)


def _final(path: Path) -> Path:
    """Returns where a link leads, so that its target is replaced and it stays."""
    has_name = path.name not in ("", "..")
    return path if has_name and not path.is_symlink() else Path(os.path.realpath(path))


def _mode(path: Path) -> int | None:
    """Returns the permissions of a file to be replaced; None if there is none."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "no ordinary file"
        raise UserError(f"{quoted(path)} is {kind}, so it is not replaced; choose another output.")
    if not os.access(path, os.W_OK):
        raise UserError(
            f"{quoted(path)} is write-protected, so it is not replaced; choose another output, or "
            "allow to write it."
        )
    return stat.S_IMODE(mode)


def old_folder(target: Path) -> Path:
    """Returns where a folder stands while another takes its place."""
    # The hash tells apart long names that begin alike.
    number = zlib.crc32(os.fsencode(target.name))
    return target.with_name(f".{short_stem(target.name)}.dancenet-old-{number:08x}")


def _kept_folder(target: Path) -> Path:
    """Returns a free name beside a folder, for files of it that have no place in the new one."""
    numbered = (f"-kept-{number}" for number in itertools.count(1))
    names = (target.with_name(derived(target.name, ending)) for ending in numbered)
    return next(path for path in names if not os.path.lexists(path))


def _move_missing(old: Path, target: Path) -> None:
    """Moves what has a free name in `target` there, and removes the folders left empty."""
    for place, folders, names in os.walk(old, topdown=True):
        there = target / Path(place).relative_to(old)
        for name in list(folders):
            if not os.path.lexists(there / name):
                os.rename(Path(place) / name, there / name)
                folders.remove(name)
        if there.is_dir() and not there.is_symlink():
            for name in names:
                if not os.path.lexists(there / name):
                    os.rename(Path(place) / name, there / name)
    _remove_empty(Path(place) for place, _, _ in os.walk(old))


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        with suppress(OSError):  # it holds something else
            folder.rmdir()


def _named(folder: Path) -> str:
    """Returns the names of some files of a folder."""
    names = [
        os.path.relpath(os.path.join(place, name), folder)
        for place, _, found in os.walk(folder)
        for name in found
    ]
    return ", ".join(map(quoted, sorted(names)[:3])) + (" …" if len(names) > 3 else "")


def _sync(path: Path) -> None:
    """Asks the disk to keep a file or folder over a power cut."""
    is_folder = path.is_dir()
    if is_folder and os.name != "posix":
        return
    try:
        descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in _NO_ROOM and not is_folder:  # some disks notice only now
            raise
    finally:
        os.close(descriptor)


def check_parent(path: str | os.PathLike[str]) -> None:
    """Raises UserError unless the parent folder of `path` exists and can be written."""
    name = Path(path).name
    if name and not is_allowed_here(name):
        raise UserError(
            f"Windows allows no file of the name {quoted(path)}; choose another output."
        )
    parent = Path(path).absolute().parent
    if not parent.is_dir():
        raise UserError(
            f"The folder {quoted(parent)} does not exist; create it, or choose another output."
        )
    if not os.access(parent, os.W_OK):
        raise UserError(f"The folder {quoted(parent)} cannot be written; choose another output.")


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
            f"{terminal.format_bytes(needed)}, and {terminal.format_bytes(free)} are free; "
            f"{advice}."
        )


def make_folder(path: str | os.PathLike[str]) -> None:
    """Creates a folder and its parents, if needed.

    Raises:
        UserError: it cannot be created.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The folder {quoted(path)} cannot be made ({error.strerror}); choose another output."
        ) from error


def check_overwrite(
    path: str | os.PathLike[str],
    overwrite: bool,
    is_ours: Callable[[Path], bool] | None = None,
) -> None:
    """Refuses to overwrite a file or folder.

    Args:
        path: the file or folder about to be written; a file with `is_ours`.
        overwrite: the user allows replacing it.
        is_ours: tells whether an existing file was written by the same step, and may be replaced
            in any case.

    Raises:
        UserError: `path` exists and may not be replaced.
    """
    path = Path(path)
    if is_ours is not None and path.is_dir():
        raise UserError(f"{quoted(path)} is a folder; name a file.")
    if overwrite or not path.exists():
        return
    if path.is_file() and is_ours is not None and is_ours(path):
        return
    raise UserError(
        f"{quoted(path)} exists already; choose another output, or replace it with "
        f"{option('overwrite')}."
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

"""Temporary files whose names say which process made them, so that the next one clears up.

A killed process leaves its temporary files behind. Their names hold its host, number and start, so
a later run removes those of processes that have ended, and never those of one at work.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from dancenet.support import signals

_MARK = re.compile(r"\.dancenet-([0-9a-f]{8})-([0-9a-f]+)-([0-9a-f]+)-[0-9a-f]{8}(\.[^/]*)?\Z")
_LONGEST_STEM = 60  # bytes of the final name that are repeated; a name has at most 255
_LONGEST_SUFFIX = 32  # bytes
_ABANDONED = 7 * 86400.0  # seconds; of other hosts nothing is known but the time of the last change

_swept: set[tuple[int, str]] = set()  # process and folder


def temporary_name(name: str) -> str:
    """Returns a hidden name for a temporary file of this process, with the suffix of `name`.

    Where there are two, both are kept: Keras asks for `.weights.h5`.
    """
    suffix = "".join(Path(name).suffixes[-2:])
    if len(os.fsencode(suffix)) > _LONGEST_SUFFIX:
        suffix = Path(name).suffix
    if len(os.fsencode(suffix)) > _LONGEST_SUFFIX:
        suffix = ""
    stem = short_stem(name.removesuffix(suffix).lstrip("."))
    pid = os.getpid()
    owner = f"{_host()}-{pid:x}-{_start_of(pid):x}"
    return f".{stem}.dancenet-{owner}-{secrets.token_hex(4)}{suffix}"


def short_stem(name: str) -> str:
    """Returns the front of a name, at most 60 bytes of it."""
    while len(os.fsencode(name)) > _LONGEST_STEM:
        name = name[:-1]
    return name


@contextlib.contextmanager
def temporary_folder(parent: Path | None = None, name: str = "work") -> Iterator[Path]:
    """Yields a new folder that is removed at the end of the block.

    Args:
        parent: where it is made; None for the system's folder of temporary files.
        name: a word for its name.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    sweep(place)
    folder = place / temporary_name(name)
    # Private in the folder that is shared with other people.
    folder.mkdir(mode=0o700 if parent is None else 0o777)
    try:
        with signals.temporary(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Removes the temporary files that processes which have ended left in a folder.

    Each process looks once into each folder. Nothing is raised: it may not be ours to write.
    """
    key = (os.getpid(), os.path.realpath(folder))
    if key in _swept:
        return
    _swept.add(key)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in list(entries):
            mark = _MARK.search(entry.name) if entry.name.startswith(".") else None
            if mark is None or not _is_abandoned(entry, *mark.groups()[:3]):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def is_alive(pid: int, start: int = 0) -> bool:
    """Tells whether a process of this host runs; `start` tells it from a later one of its number.

    In doubt it does.
    """
    if not 0 < pid < 1 << 32:
        return False
    if sys.platform == "win32":
        return _is_alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # of another user
        pass
    now = _start_of(pid)
    return not start or not now or start == now


def start_of_this() -> int:
    """Returns a number for the moment this process began; 0 where the system does not tell."""
    return _start_of(os.getpid())


def _is_abandoned(entry: os.DirEntry[str], host: str, pid: str, start: str) -> bool:
    if host == _host():
        return not is_alive(int(pid, 16), int(start, 16))
    status = entry.stat(follow_symlinks=False)
    newest = status.st_mtime
    if entry.is_dir(follow_symlinks=False):
        with os.scandir(entry.path) as inner:
            newest = max([newest, *(one.stat(follow_symlinks=False).st_mtime for one in inner)])
    return time.time() - newest > _ABANDONED


def _host() -> str:
    """Returns a hash of what numbers of processes hold within: a host, or a container on it."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    text = f"{socket.gethostname()} {space}"
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]


def _start_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name of the program stands in brackets and may hold any byte.
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def _is_alive_on_windows(pid: int) -> bool:
    # `os.kill` ends a process there, whatever the signal.
    import ctypes

    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009  other systems have none
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return bool(kernel.GetLastError() == 5)  # ERROR_ACCESS_DENIED
    code = ctypes.c_ulong()
    known = kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return not known or code.value == 259  # STILL_ACTIVE

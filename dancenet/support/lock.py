"""One writer at a time: a lock that the system releases when its holder ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dancenet.support import terminal
from dancenet.support.errors import UserError, write_failed
from dancenet.support.names import quoted, visible
from dancenet.support.temporary import is_alive, short_stem, start_of_this, sweep

LOCK = ".dancenet.lock"  # inside a folder that is written; of no meaning when nobody holds it

_TRIES = 100  # to open a file that others remove
_PATIENCE = 25  # times that an empty record is read
_PAUSE = 0.2  # seconds between two tries
_BUSY = {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK}
_FIXED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FAR = 1 << 30  # offset of the byte that Windows locks: the record before it stays readable
_LARGEST_RECORD = 4096  # bytes


@contextmanager
def hold_folder(folder: Path, advice: str) -> Iterator[int]:
    """Holds a folder for one writer; yields the descriptor of the lock, for children to inherit.

    Both locks of the folder are taken, first the one beside it: who replaces the folder as a whole
    takes that one alone. The folder is made, with its parents, and removed again if nothing is put
    into it. What killed runs left in it is removed. Readers need no lock.

    Args:
        folder: the folder.
        advice: what else can be done, after "wait until it has ended, or".

    Raises:
        UserError: another process holds it, or it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{quoted(folder)} is a file, and a folder is needed; choose another.")
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        with (
            _held_in_place(folder, advice),
            hold(folder / LOCK, folder, advice) as descriptor,
        ):
            sweep(folder)
            yield descriptor
    finally:
        with contextlib.suppress(OSError):  # it holds something, or is another's by now
            for one in new:
                one.rmdir()


def beside(path: Path) -> Path:
    """Returns the lock of a folder that is replaced as a whole, so it cannot lie inside."""
    if path.is_symlink() or path.name in ("", ".."):
        path = Path(os.path.realpath(path))
    return path.with_name(f".{short_stem(path.name)}{LOCK}")


@contextmanager
def _held_in_place(folder: Path, advice: str) -> Iterator[None]:
    """Holds the lock beside a folder, unless nobody can put another in its place."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold(beside(folder), folder, advice))
        except UserError as error:
            # A volume in a container: it can be written, and the folder around it cannot.
            why = error.__cause__
            if not isinstance(why, OSError) or why.errno not in _FIXED:
                raise
        yield


@contextmanager
def hold(file: Path, what: Path, advice: str, *, wait: bool = False) -> Iterator[int]:
    """Holds a lock; yields its descriptor.

    Args:
        file: the file that stands for it; removed at the end. Its folder is made if needed.
        what: what is written, for messages.
        advice: what else can be done, after "wait until it has ended, or".
        wait: wait for the other writer, and say so, instead of raising.

    Raises:
        UserError: another process holds it, or the file cannot be made.
    """
    descriptor = _open_locked(file)
    if descriptor is None and wait:
        terminal.say(f"{_who(file, what)}; waiting until it has ended.")
        while descriptor is None:
            time.sleep(_PAUSE)
            descriptor = _open_locked(file)
    if descriptor is None:
        raise UserError(f"{_who(file, what)}; wait until it has ended, or {advice}.")
    try:
        _write_record(descriptor)
        yield descriptor
    finally:
        # Removed while it is held: whoever opened it before finds that it is gone, and tries again.
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                os.unlink(file)
        os.close(descriptor)
        if sys.platform == "win32":
            with contextlib.suppress(OSError):
                os.unlink(file)


def _open_locked(file: Path) -> int | None:
    """Opens and locks the file; None if another process holds it."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    for left in reversed(range(_TRIES)):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, flags, 0o666)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and left:
                continue  # the other has just removed a folder that stayed empty
            raise write_failed(file, error) from error
        try:
            taken = _try(descriptor, file)
            if taken and _is_still_there(descriptor, file):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if not taken:
            return None
    return None


def _try(descriptor: int, file: Path) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, _FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        # Some network disks have no locks. The record of a process at work still counts.
        if _is_held_by_record(file):
            return False
        terminal.warn(
            f"{quoted(file.parent)} is on a disk without locks ({error.strerror}); let one command "
            "at a time write there."
        )
    return True


def _is_still_there(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    except FileNotFoundError:
        return False


def _write_record(descriptor: int) -> None:
    record = {
        "pid": os.getpid(),
        "start": start_of_this(),
        "host": socket.gethostname(),
        "since": time.time(),
        "command": _command(),
    }
    with contextlib.suppress(OSError):  # a full disk: the lock holds, only its name is missing
        content = json.dumps(record).encode()
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, content)
        os.truncate(descriptor, len(content))


def _command() -> str:
    """Returns the name of the script, or of the subcommand."""
    words = sys.argv[1:2] if "dancenet.cli" in sys.modules else sys.argv[:1]
    name = Path(words[0]).stem if words else ""
    return "" if name.startswith("-") or name == "__main__" else name


def _read_record(file: Path) -> dict[str, Any]:
    try:
        for _ in range(_PATIENCE):
            with open(file, "rb") as opened:
                content = opened.read(_LARGEST_RECORD)
            if content:
                break
            time.sleep(_PAUSE / 10)  # its holder is just writing it
        record = json.loads(content)
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _is_held_by_record(file: Path) -> bool:
    record = _read_record(file)
    pid, start = record.get("pid"), record.get("start")
    if not isinstance(pid, int) or record.get("host") != socket.gethostname() or pid < 1:
        return False
    return pid != os.getpid() and is_alive(pid, start if isinstance(start, int) else 0)


def _who(file: Path, what: Path) -> str:
    """Returns "X is being written by process N since T", as far as it is known."""
    record = _read_record(file)
    pid, since, host = record.get("pid"), record.get("since"), record.get("host")
    said = "another process"
    if isinstance(pid, int):
        command = visible(str(record.get("command") or ""))
        said = f"process {pid}{f' ({command})' if command else ''}"
        if isinstance(host, str) and host != socket.gethostname():
            said += f" on {visible(host)}"
        elif not is_alive(pid):
            said = f"a stage of process {pid}, which has ended,"
    if isinstance(since, (int, float)) and 0 < since < 1e11:
        began = time.localtime(since)
        today = began[:3] == time.localtime()[:3]
        said += time.strftime(" since %H:%M" if today else " since %Y-%m-%d %H:%M", began)
    return f"{quoted(what)} is being written by {said}"

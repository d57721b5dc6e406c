"""Kills or starves an operation at each of its steps on the disk, and checks what is left.

A step is a file opened for writing, a write, a rename, a removal, or a folder made. An audit hook
sees those of every library that goes through Python.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from dancenet.support.errors import UserError

Operation = Callable[[Path], object]
Content = dict[str, bytes | None]  # of a folder: path to bytes, or None for a folder

MOST_STEPS = 1000
_KILLED = 137

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def content_of(folder: Path) -> Content:
    """Returns everything below a folder, hidden files too."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def check_kills(
    place: Path,
    prepare: Operation,
    operate: Operation,
    read: Callable[[Path], Any] = content_of,
    every: int = 1,
) -> int:
    """Kills an operation before each step in turn, runs it again, and compares with a calm run.

    Args:
        place: an empty folder.
        prepare: fills a new folder with what was there before.
        operate: works in that folder.
        read: returns what is to be the same; by default names and bytes of everything.
        every: of an operation that is made of others which are killed at each step, only these
            steps; in `make fuzz` all.

    Returns:
        The number of steps.
    """
    calm = _new(place, "calm", prepare)
    operate(calm)
    wanted = read(calm)
    for step in range(1, MOST_STEPS, 1 if "DANCENET_FUZZ" in os.environ else every):
        folder = _new(place, f"killed_{step}", prepare)
        code = _run_in_fork(lambda: _killed_at(step, folder, operate))
        if code == 0:
            assert step > 1, "the operation takes no step that could be killed"
            assert read(folder) == wanted
            return step - 1
        assert code == _KILLED, f"killed at step {step}, it ended with {code} instead"
        found = "nothing"
        try:
            operate(folder)
            found = read(folder)
        except BaseException as error:
            raise AssertionError(
                f"killed before step {step}, it cannot be run again; there are "
                f"{sorted(content_of(folder))}"
            ) from error
        assert found == wanted, (
            f"killed before step {step} and run again:\n{_differ(found, wanted)}"
        )
    raise AssertionError(f"the operation takes more than {MOST_STEPS} steps")


def check_full_disk(
    place: Path,
    prepare: Operation,
    operate: Operation,
    number: int = errno.ENOSPC,
    read: Callable[[Path], Any] = content_of,
) -> int:
    """Lets the disk be full from each step on, and checks that everything is as it was.

    Args:
        place, prepare, operate, read: see `check_kills`.
        number: the error of opening, writing and making folders; names can still be changed.

    Returns:
        The number of failures that were answered in a sentence.
    """
    calm = _new(place, "calm", prepare)
    before = read(calm)
    operate(calm)
    wanted = read(calm)
    for step in range(1, MOST_STEPS):
        folder = _new(place, f"full_{step}", prepare)
        with _steps(folder, step, lambda: _raise(number)) as counted:
            try:
                operate(folder)
                expected = wanted
            except UserError as error:
                assert "\n" not in str(error)
                expected = before
        if counted[0] < step:
            return step - 1
        found = read(folder)
        assert found == expected, f"full from step {step} on:\n{_differ(found, expected)}"
    raise AssertionError(f"the operation takes more than {MOST_STEPS} steps")


def _new(place: Path, name: str, prepare: Operation) -> Path:
    """Returns a new folder as `prepare` left its first one."""
    first = place / "prepared"
    if not first.exists():
        first.mkdir(parents=True)
        prepare(first)
    return Path(shutil.copytree(first, place / name, symlinks=True))


def _run_in_fork(work: Callable[[], object]) -> int:
    """Runs something in a child; returns its exit status, 1 after an exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of threads, which the child leaves be
        child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _killed_at(step: int, folder: Path, operate: Operation) -> None:
    with _steps(folder, step, lambda: os._exit(_KILLED), every=True):
        operate(folder)


def _raise(number: int) -> NoReturn:
    raise OSError(number, os.strerror(number))


_watch: Callable[[str, tuple[Any, ...]], None] | None = None
_is_hooked = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watch is not None:
        _watch(event, arguments)


@contextmanager
def _steps(
    folder: Path, step: int, act: Callable[[], object], every: bool = False
) -> Iterator[list[int]]:
    """Acts before step number `step` and all after it; yields the number of steps so far.

    With `every`, renames and removals are steps, too, and a write is half done before.
    """
    global _watch, _is_hooked
    if not _is_hooked:
        sys.addaudithook(_hook)
        _is_hooked = True
    counted = [0]
    events = {"os.mkdir": 0, "open": 0}
    if every:
        events |= {"os.rename": 1, "os.remove": 0, "os.rmdir": 0, "os.truncate": 0, "os.link": 1}

    def is_here(name: Any) -> bool:
        if isinstance(name, int):
            return False
        # Names below a descriptor are relative.
        text = os.fsdecode(name)
        return not os.path.isabs(text) or text.startswith(str(folder))

    def count() -> None:
        counted[0] += 1
        if counted[0] >= step:
            act()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in events or not is_here(arguments[events[event]]):
            return
        if event == "open":
            mode, flags = arguments[1], arguments[2]
            writes = any(letter in mode for letter in "wax+") if mode else flags & _WRITING
            if not writes:
                return
        count()

    class Writer(io.BufferedWriter):
        def write(self, data: Any) -> int:
            if counted[0] + 1 >= step:
                self.raw.write(memoryview(data).cast("B")[: memoryview(data).nbytes // 2])
            count()
            return super().write(data)

    def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if mode in ("wb", "xb", "ab") and not isinstance(file, int) and is_here(file):
            return Writer(io.FileIO(file, mode[0]))
        return real(file, mode, *arguments, **options)

    real = builtins.open
    builtins.open = io.open = opened  # type: ignore[assignment]
    _watch = watch
    try:
        yield counted
    finally:
        _watch = None
        builtins.open = io.open = real


_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _differ(found: Any, wanted: Any) -> str:
    if not isinstance(found, dict) or not isinstance(wanted, dict):
        return f"{found!r:.1500}\ninstead of\n{wanted!r:.1500}"
    lines = [f"left behind: {sorted(set(found) - set(wanted))}"]
    lines.append(f"lost: {sorted(set(wanted) - set(found))}")
    for name in sorted(set(found) & set(wanted)):
        if found[name] != wanted[name]:
            lines.append(f"other: {name}: {found[name]!r:.500} instead of {wanted[name]!r:.500}")
    return "\n".join(lines)

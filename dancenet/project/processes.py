"""Runs stages in processes of their own, one run at a time in a project."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from dancenet.support import files, lock, signals
from dancenet.support.wording import option


@contextmanager
def locked(folder: Path) -> Iterator[int | None]:
    """Holds a project for one run; yields the file descriptor that stands for it.

    A stage inherits it, so that the project stays taken while one is at work whose parent was
    killed.
    """
    if not folder.is_dir():
        files.check_parent(folder)
    with lock.hold_folder(folder, f"choose another {option('project')}") as descriptor:
        # On Windows nothing is inherited; nor do stages outlive their parent there.
        yield descriptor if os.name == "posix" else None


class Processes:
    """Runs each stage in a process of its own, and passes signals on to it, once each.

    The process stands in a group of its own: a Ctrl-C at the terminal would otherwise reach it
    twice, which stages take for impatience. Its standard input is a pipe that nobody writes to;
    when this process ends, however it does, the pipe is closed, and the stage saves and ends.
    """

    def __init__(self, lock: int | None) -> None:
        self._lock = lock

    def __call__(self, command: str, arguments: list[str], where: Path = Path()) -> int:
        # Found where this package was found, whatever the working directory holds.
        root = str(Path(__file__).resolve().parents[2])
        program = (
            f"import sys; sys.path.append({root!r}); "
            "from dancenet.support import signals; signals.end_with_parent(); "
            "from dancenet.cli import main; sys.exit(main())"
        )
        options: dict[str, Any] = {}
        if os.name == "posix":
            options = {"process_group": 0, "pass_fds": [self._lock] if self._lock else []}
        else:
            options = {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        process: subprocess.Popen[bytes] | None = None
        received: list[int] = []

        def forward(number: int, frame: FrameType | None) -> None:
            received.append(number)
            if process is not None:
                _pass_on(process, received)

        def suspend(number: int, frame: FrameType | None) -> None:
            if sys.platform == "win32":  # where no terminal suspends
                return
            if process is not None:
                process.send_signal(signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
            if process is not None:
                process.send_signal(signal.SIGCONT)

        with signals.passed_on(forward), _handler("SIGTSTP", suspend):
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", program, command, *arguments],
                stdin=subprocess.PIPE,
                cwd=where,
                **options,
            )
            with process:
                if received:  # while it was being started
                    _pass_on(process, received)
                return process.wait()


def _pass_on(process: subprocess.Popen[bytes], received: list[int]) -> None:
    """Passes the last signal received on to a stage."""
    if os.name == "posix":
        process.send_signal(received[-1])
    elif len(received) > 1:
        process.terminate()
    elif process.stdin is not None:  # Windows: no signal reaches another group for certain
        process.stdin.close()


@contextmanager
def _handler(name: str, handler: Callable[..., None]) -> Iterator[None]:
    """Handles a signal in the block, if the system has it and it is not ignored."""
    number = getattr(signal, name, None)
    if number is None or signals.is_ignored(number):
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)

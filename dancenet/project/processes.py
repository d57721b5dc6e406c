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

from dancenet.support import files
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import option

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[int | None]:
    """Holds a project for one run; yields the file descriptor that stands for it.

    A stage inherits it, so that the project stays taken while one is at work whose parent was
    killed.
    """
    if not folder.is_dir():
        if folder.exists():
            raise UserError(
                f"{quoted(folder)} is a file; choose a folder with {option('project')}."
            )
        files.check_parent(folder)
        folder.mkdir()
    files.check_parent(folder / LOCK)
    try:
        import fcntl
    except ImportError:  # Windows has no such lock; nor do its stages outlive their parent
        yield None
        return
    with open(folder / LOCK, "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"Another run is at work in {quoted(folder)}; wait until it has ended, or choose "
                f"another {option('project')}."
            ) from error
        yield file.fileno()


class Processes:
    """Runs each stage in a process of its own, and passes signals on to it, once each.

    The process stands in a group of its own: a Ctrl-C at the terminal would otherwise reach it
    twice, which stages take for impatience.
    """

    def __init__(self, lock: int | None) -> None:
        self._lock = lock

    def __call__(self, command: str, arguments: list[str], where: Path = Path()) -> int:
        # Found where this package was found, whatever the working directory holds.
        root = str(Path(__file__).resolve().parents[2])
        program = (
            f"import sys; sys.path.append({root!r}); "
            "from dancenet.cli import main; sys.exit(main())"
        )
        options: dict[str, Any] = {}
        if os.name == "posix":
            options = {"process_group": 0, "pass_fds": [self._lock] if self._lock else []}
        process: subprocess.Popen[bytes] | None = None
        received: list[int] = []

        def forward(number: int, frame: FrameType | None) -> None:
            received.append(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)
            if process is not None:
                process.send_signal(received[-1])

        def suspend(number: int, frame: FrameType | None) -> None:
            if process is not None:
                process.send_signal(signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
            if process is not None:
                process.send_signal(signal.SIGCONT)

        with _handlers(forward, suspend):
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", program, command, *arguments],
                stdin=subprocess.DEVNULL,
                cwd=where,
                **options,
            )
            if received:  # while it was being started
                process.send_signal(received[-1])
            return process.wait()


@contextmanager
def _handlers(forward: Callable[..., None], suspend: Callable[..., None]) -> Iterator[None]:
    handlers: dict[int, Any] = {signal.SIGINT: forward, signal.SIGTERM: forward}
    if os.name == "posix":
        handlers |= {signal.SIGHUP: forward, signal.SIGTSTP: suspend}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

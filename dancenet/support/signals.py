"""Handles every signal that asks a program to end like Ctrl-C: finish, save, say how to go on.

SIGTERM comes from `kill` and from a computer that shuts down, SIGHUP from a terminal that was
closed, SIGXCPU from a limit of time, SIGBREAK from Ctrl-Break on Windows. A signal that is ignored
when the program starts, as with `nohup`, stays ignored.

The first signal sets the event of `finishing`, or raises `Stopped` where no such block is open. The
second one raises `Stopped`. One that comes after that, or a second one while the interpreter waits
for a library, removes temporary files and ends the process.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

STOPPING = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK", "SIGXCPU")
    if hasattr(signal, name)
)

_PATIENCE = 2.0  # seconds in which the interpreter must take notice of a second signal
_LOOK = 0.2  # seconds between two looks at the parent's pipe, on Windows
# Seconds in which further signals count as one: `timeout` and many wrappers send theirs to the
# process and to its group, and a shutdown sends several kinds.
_BOUNCE = 0.3


class Stopped(KeyboardInterrupt):
    """A signal asked for the end; the text says what was kept and how to go on."""


@dataclass
class _State:
    """The signals received, and what is to be done at the next one."""

    owns_process: bool  # a command, which may end the process; not a call from Python
    received: list[int] = field(default_factory=list)
    events: list[threading.Event] = field(default_factory=list)  # of the open `finishing` blocks
    notice: Callable[[int], None] | None = None
    raised: bool = False
    asked: int = 0  # signals that came, counted by the watching thread
    noticed: int = 0  # of these, the ones that were handled
    last: float = 0.0  # when the last one was handled


_state: _State | None = None
_temporaries: set[Path] = set()


@contextmanager
def handled() -> Iterator[None]:
    """Handles signals while a command is at work. Outside the main thread nothing changes."""
    global _state
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, _state = _state, _State(owns_process=True)
    try:
        with _installed(_handle), _watched(_state):
            yield
    finally:
        _state = before


def was_stopped() -> bool:
    """Tells whether `Stopped` was raised; a library may turn it into an error of its own."""
    return _state is not None and _state.raised


def exit_status() -> int:
    """Returns the exit status of a command that was stopped: 128 and the signal's number."""
    received = _state.received if _state is not None else []
    return 128 + (received[0] if received else signal.SIGINT)


@contextmanager
def finishing(notice: Callable[[int], None] | None = None) -> Iterator[threading.Event]:
    """Yields an event that the first signal sets, so that current work can be finished.

    The event is set at once if a signal came before the block and did not end the program. Outside
    the main thread, which alone gets signals, it is never set.

    Args:
        notice: called with the first signal's number, between any two instructions.
    """
    global _state
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    with contextlib.ExitStack() as stack:
        state = _state
        if state is None:  # called from Python, not by a command
            state = _state = _State(owns_process=False)
            stack.callback(_forget)
            stack.enter_context(_installed(_handle))
        before = state.notice
        state.events.append(event)
        state.notice = notice
        if state.received:
            event.set()
        try:
            yield event
        finally:
            state.events.remove(event)
            state.notice = before


def check() -> None:
    """Raises Stopped if a signal came that did not end what was at work then."""
    if _state is not None and _state.received:
        raise Stopped


def fulfil_interrupt() -> None:
    """Takes Ctrl-C for a wish that was fulfilled, such as the end of a recording: work goes on.

    The next signal counts as the first one.

    Raises:
        Stopped: another signal came, which asks for the end of everything.
    """
    if _state is None or not _state.received:
        return
    if set(_state.received) != {signal.SIGINT}:
        raise Stopped
    _state.received.clear()
    _state.asked = _state.noticed = 0
    _state.raised = False


@contextmanager
def saying(sentence: Callable[[], str]) -> Iterator[None]:
    """Gives a stop in the block a text, unless it has one: what was kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if stop.args:
            raise
        raise Stopped(sentence()) from None


@contextmanager
def by_default() -> Iterator[None]:
    """Lets signals end the process at once, while a library waits and Python handles none."""
    with _installed(signal.SIG_DFL):
        yield


@contextmanager
def passed_on(forward: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Gives signals to a handler that passes them on, and remembers the first one.

    They are not handled here: the process that gets them ends, and its end is seen.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if _state is not None:
            _state.received.append(number)
            _state.noticed += 1
        forward(number, frame)

    with _installed(handle):
        yield


@contextmanager
def temporary(path: Path) -> Iterator[None]:
    """Removes a file or folder if the process is ended at once; the caller does so otherwise."""
    _temporaries.add(path)
    try:
        yield
    finally:
        _temporaries.discard(path)


def end_with_parent() -> None:
    """Stops this process, as a signal would, when the parent ends: standard input is its pipe.

    The parent never writes to the pipe. It is closed when the parent ends, however it does.
    """
    main = threading.main_thread().ident
    assert main is not None
    if signal.getsignal(signal.SIGTERM) == signal.SIG_IGN:  # inherited, but this one must end
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def wait() -> None:
        with contextlib.suppress(OSError):
            _wait_for_end_of_input()
        if _state is not None and _state.received:
            return  # it is ending, and this is no second request
        if sys.platform != "win32":
            signal.pthread_kill(main, signal.SIGTERM)  # also wakes a main thread that waits
        elif _state is None:  # nothing is handled yet, and nothing was begun
            os._exit(128 + signal.SIGTERM)
        else:
            import _thread

            _thread.interrupt_main(getattr(signal, "SIGBREAK", signal.SIGINT))

    threading.Thread(target=wait, name="parent", daemon=True).start()


def _wait_for_end_of_input() -> None:
    """Returns when the pipe that is standard input has no writer any more."""
    if sys.platform != "win32":
        while os.read(0, 1024):
            pass
        return
    import ctypes
    import msvcrt

    # A read that waits would keep every other use of the handle waiting, also by a library or a
    # child that only asks what kind of file standard input is.
    peek = ctypes.WinDLL("kernel32").PeekNamedPipe
    peek.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_ulong] + [ctypes.c_void_p] * 3
    nothing_asked = (None, 0, None, None, None)
    while peek(msvcrt.get_osfhandle(0), *nothing_asked):  # fails when the pipe is broken
        time.sleep(_LOOK)


def is_ignored(number: int) -> bool:
    """Tells whether a signal is to be left alone: ignored, or handled by another library."""
    return signal.getsignal(number) in (signal.SIG_IGN, None)


def _handle(number: int, frame: FrameType | None) -> None:
    state, now = _state, time.monotonic()
    assert state is not None
    waiting = state.asked > state.noticed + 1  # another one came while a library was at work
    if state.owns_process and state.received and now - state.last < _BOUNCE and not waiting:
        return
    state.last = now
    state.received.append(number)
    state.noticed = max(state.noticed + 1, state.asked)
    is_first = not state.raised and not all(event.is_set() for event in state.events)
    for event in state.events:
        event.set()
    if is_first and state.noticed == 1:
        if state.notice is not None:
            # A terminal that was closed cannot be written to, and a print may be interrupted.
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                state.notice(number)
        return
    if state.raised and state.owns_process:
        _leave(number)
    state.raised = True
    raise Stopped


def _forget() -> None:
    global _state
    _state = None


@contextmanager
def _installed(handler: Any) -> Iterator[None]:
    """Installs a handler for every stopping signal that is not ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPPING if not is_ignored(number)}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def _watched(state: _State) -> Iterator[None]:
    """Ends the process at a second signal if the interpreter does not take notice of it.

    It cannot while a library computes or waits: a signal is handled between two instructions.
    """
    try:
        receiver, sender = socket.socketpair()
    except OSError:  # no descriptor is left; the rest works without
        yield
        return
    with receiver, sender:
        sender.setblocking(False)

        def watch() -> None:
            last = -math.inf
            while number := receiver.recv(1):
                now = time.monotonic()
                if number[0] not in STOPPING or now - last < _BOUNCE:
                    continue
                last = now
                state.asked += 1
                if state.asked > 1 and not _takes_notice(state):
                    _leave(number[0])

        try:
            thread = threading.Thread(target=watch, name="signals", daemon=True)
            thread.start()
        except RuntimeError:  # no thread can be started
            yield
            return
        before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            sender.shutdown(socket.SHUT_WR)
            thread.join()


def _takes_notice(state: _State) -> bool:
    """Waits until the last signal is handled; tells whether it was."""
    end = time.monotonic() + _PATIENCE
    while state.noticed < state.asked:
        if time.monotonic() > end:
            return False
        time.sleep(_PATIENCE / 40)
    return True


def _leave(number: int) -> None:
    """Removes temporary files, and ends the process without any further step of it."""
    for path in list(_temporaries):
        with contextlib.suppress(OSError):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    with contextlib.suppress(Exception):
        sys.stderr.flush()
    os._exit(128 + number)

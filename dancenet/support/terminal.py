"""Shared by all scripts: one-line errors, progress bars, Ctrl-C, argument types."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from dancenet.support import errors, signals
from dancenet.support.errors import UserError
from dancenet.support.wording import called_as

T = TypeVar("T")

INTERRUPTED = 130  # the exit status of a shell command stopped by Ctrl-C

_BEGIN_AGAIN = "Nothing half-written was left; the same command begins again."


def run(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], int | None],
    argv: Sequence[str] | None = None,
) -> int:
    """Parses `argv`, calls `work`, and prints a user's mistake as one line.

    Args:
        parser: the script's parser; a usage error exits with 2, as argparse does.
        work: the script's body. It may return an exit status; None is 0.
        argv: the arguments, `sys.argv[1:]` if None.

    Returns:
        0 on success, 1 if the work failed, 128 and the signal's number if it was stopped: 130 for
        Ctrl-C, 143 for SIGTERM.
    """
    arguments = parser.parse_args(argv)
    # Read when TensorFlow is imported; otherwise it prints pages about the processor.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # its warnings repeat our messages
    with signals.handled():
        try:
            with called_as(parser.prog):
                try:
                    return work(arguments) or 0
                except UserError:
                    raise
                except Exception as error:
                    message = errors.explain(error, tuple(vars(arguments)))
                    if message is None or isinstance(error, BrokenPipeError):
                        raise
        except UserError as error:
            message = str(error)
        except KeyboardInterrupt as stop:
            say_error(parser.prog, f"stopped. {str(stop) or _BEGIN_AGAIN}")
            return signals.exit_status()
        except BrokenPipeError:
            return 1
        say_error(parser.prog, message)
        return 1


@contextmanager
def finish_on_interrupt(what: str = "") -> Iterator[threading.Event]:
    """Turns the first Ctrl-C, or another signal to stop, into an event: see `signals.finishing`.

    Args:
        what: what is finished first, for a message: "this step". No message if empty.
    """

    def notice(number: int) -> None:
        again = "if you press Ctrl-C again" if number == signal.SIGINT else "at a second signal"
        warn(f"stopping after {what}, or at once {again}")

    with signals.finishing(notice if what else None) as stopped:
        yield stopped


@contextmanager
def quiet_import() -> Iterator[None]:
    """Hides what a library writes to standard error while it is imported.

    TensorFlow's C++ part writes to the file descriptor before its log level is read.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


_silent = False


@contextmanager
def silence() -> Iterator[None]:
    """Mutes `say` and progress bars; errors and warnings are still printed."""
    global _silent
    before, _silent = _silent, True
    try:
        yield
    finally:
        _silent = before


def say(message: str) -> None:
    """Prints a line without breaking a progress bar."""
    from tqdm import tqdm

    if _silent:
        return
    tqdm.write(message, file=sys.stdout)
    sys.stdout.flush()


def say_error(program: str, message: str) -> None:
    """Prints an error as one paragraph on standard error."""
    print(f"{program}: error: {message}", file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """Prints a warning on standard error without breaking a progress bar."""
    from tqdm import tqdm

    tqdm.write(f"warning: {message}", file=sys.stderr)


def progress(
    items: Iterable[T] | None = None,
    *,
    total: float | None = None,
    description: str = "",
    unit: str = "frame",
    scale: bool = False,
    enabled: bool | None = None,
) -> Any:
    """Wraps `items` in a progress bar with a rate and an ETA on standard error.

    Args:
        items: the items to iterate; None for a bar that is moved with `.update(n)`.
        total: the number of items, if `items` has no length.
        description: the text before the bar.
        unit: the name of one item.
        scale: write large counts with k, M and G.
        enabled: None shows the bar on a terminal only.
    """
    from tqdm import tqdm

    return tqdm(
        items,
        total=total,
        desc=description,
        unit=unit if scale else f" {unit}",
        unit_scale=scale,
        disable=True if _silent else None if enabled is None else not enabled,
        dynamic_ncols=True,
        delay=0.5,
        smoothing=0.1,
    )


def format_seconds(seconds: float) -> str:
    """Formats a duration: '48 s', '12 min', '3 h 05 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def positive(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Returns an argparse type that accepts finite numbers greater than zero."""

    def parse(text: str) -> Any:
        value = _number(kind, text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"must be greater than 0, received {text}")
        return value

    return parse


def not_negative(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Returns an argparse type that accepts finite numbers of at least zero."""

    def parse(text: str) -> Any:
        value = _number(kind, text)
        if not value >= 0:
            raise argparse.ArgumentTypeError(f"must be 0 or more, received {text}")
        return value

    return parse


def finite(text: str) -> float:
    """Parses any finite number; an argparse type."""
    return float(_number(float, text))


def _number(kind: Callable[[str], Any], text: str) -> Any:
    try:
        value = kind(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a number, received {text!r}") from error
    if value - value != 0:  # infinity and NaN
        raise argparse.ArgumentTypeError(f"must be a finite number, received {text}")
    return value

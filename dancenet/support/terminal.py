"""Shared by all scripts: one-line errors, progress bars, Ctrl-C, argument types."""

from __future__ import annotations

import argparse
import glob
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from dancenet.support import errors, signals
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, visible, visible_lines
from dancenet.support.streams import FULL, Stream, courteous, courteous_stream
from dancenet.support.wording import called_as

T = TypeVar("T")

_FOLDER = r"[^/\\]*[/\\]+" if os.name == "nt" else "[^/]*/+"

_LINK = r"[A-Za-z][A-Za-z0-9+.-]+://"  # of one letter it is a drive
_BEGIN_AGAIN = "Nothing half-written was left; the same command begins again."


class Parser(argparse.ArgumentParser):
    """A parser that takes any name a file can have, and shows it harmlessly in its errors."""

    def error(self, message: str) -> NoReturn:
        """Prints a usage error and exits with 2."""
        super().error(visible_lines(message))

    # The names are argparse's.
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parses arguments in which names may begin with a dash; see `_tell_names`."""
        given = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(self._tell_names(given), namespace)

    def _tell_names(self, arguments: list[str]) -> list[str]:
        """Returns arguments in which names that begin with a dash cannot be taken for flags.

        A shell makes such arguments of `*`. What is a flag stays one. What follows a flag that
        takes a value is that value, and a file that is there is a file.
        """
        told: list[str] = []
        for position, argument in enumerate(arguments):
            if argument == "--":
                return told + arguments[position:]
            dashed = argument.startswith("-") and not _is_number(argument)
            if not dashed or argument == "-" or self._is_flag(argument):
                told.append(argument)
                continue
            before = self._option_string_actions.get(told[-1]) if told else None
            if before is not None and before.nargs is None:
                told[-1] = f"{before.option_strings[-1]}={argument}"
            elif os.path.lexists(argument):
                told.append(f"./{argument}")
            else:
                told.append(argument)
        return told

    def _is_flag(self, argument: str) -> bool:
        if argument.startswith("--"):
            name = argument.partition("=")[0]
            return any(flag.startswith(name) for flag in self._option_string_actions)
        return argument in self._option_string_actions


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@courteous()
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
                    errors.check_memory(errors.LEAST_MEMORY, "The command")
                    return work(arguments) or 0
                except Exception as error:
                    if signals.was_stopped():  # an import that is stopped fails as if broken
                        raise signals.Stopped from error
                    if isinstance(error, UserError):
                        raise
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
    courteous_stream(sys.stderr).flush()
    try:
        kept = os.dup(2)
    except OSError:  # it is closed, so nothing is shown anyway
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        courteous_stream(sys.stderr).flush()
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
    """Prints a line on standard output without breaking a progress bar.

    Here and below, what a terminal would obey instead of showing it is shown as U+FFFD, and
    failures of the stream are swallowed.
    """
    if not _silent:
        _print(visible_lines(message), sys.stdout)


def answer(text: str) -> None:
    """Prints what the command was asked for, such as JSON to be stored.

    Raises:
        UserError: the disk that standard output goes to is full.
    """
    stream = _print(text, sys.stdout)
    if isinstance(stream.lost, OSError) and stream.lost.errno in FULL:
        raise UserError(
            f"Standard output cannot be written ({stream.lost.strerror}); free some space, or "
            "send it elsewhere."
        )


def say_error(program: str, message: str) -> None:
    """Prints an error as one paragraph on standard error."""
    _print(visible_lines(f"{program}: error: {message}"), sys.stderr)


def warn(message: str) -> None:
    """Prints a warning on standard error without breaking a progress bar."""
    _print(visible_lines(f"warning: {message}"), sys.stderr)


def _print(line: str, to: Any) -> Stream:
    stream = courteous_stream(to)
    # Where tqdm was not imported, there is no bar to break.
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    try:
        with tqdm.external_write_mode(file=to) if tqdm else nullcontext():
            stream.write(f"{line}\n")
            stream.flush()
    except (OSError, ValueError):  # of a bar that another library draws
        pass
    return stream


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

    options: dict[str, Any] = {
        "total": total,
        "desc": visible(description),
        "file": courteous_stream(sys.stderr),
        "unit": unit if scale else f" {unit}",
        "unit_scale": scale,
        "dynamic_ncols": True,
        "delay": 0.5,
        "smoothing": 0.1,
    }
    try:
        return tqdm(
            items,
            disable=True if _silent else None if enabled is None else not enabled,
            **options,
        )
    except (OSError, ValueError):  # it flushes standard error itself
        return tqdm(items, disable=True, **options)


def format_seconds(seconds: float) -> str:
    """Formats a duration: '48 s', '12 min', '3 h 05 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def path(text: str) -> Path:
    """Parses the path of a file or folder; an argparse type.

    `~` is the user's home, where the shell left it, unless there is a file of that name.
    """
    return Path(path_text(text))


def path_text(text: str) -> str:
    """Parses a path as text, for arguments that may be something else; see `path`."""
    if re.match(_LINK, text) and not os.path.isdir(text.partition("/")[0]):
        raise argparse.ArgumentTypeError(
            "must be a file or folder of this computer, because links are neither read nor "
            f"written; download {quoted(text)} first, and name the file"
        )
    return path_or_link(text)


def path_or_link(text: str) -> str:
    """Parses a path, or an address, as text, for arguments that fetch."""
    if not text:
        raise argparse.ArgumentTypeError("must be the name of a file or folder, received ''")
    if "\0" in text:
        raise argparse.ArgumentTypeError(f"must not contain a zero byte, received {text!r}")
    if text == "-":
        raise argparse.ArgumentTypeError(
            "must be the name of a file or folder; received -, which is ./- if that is its name"
        )
    if text.startswith("~") and not os.path.lexists(text):
        return os.path.expanduser(text)
    return text


def model(text: str) -> str:
    """Parses the name of a model, or the path of its folder; an argparse type."""
    if not text.strip():
        raise argparse.ArgumentTypeError(
            f"must be the name of a model, or its folder, received {text!r}"
        )
    return path_text(text)


def expand(names: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Replaces patterns (`*`, `?`, `[…]`, `**`) by the files they match, in natural order.

    Shells of Windows do not, nor any shell within quotes. What exists under the name as it is
    written is no pattern.

    Raises:
        UserError: a pattern matches nothing.
    """
    found: list[str] = []
    for name in [os.fspath(name) for name in names]:
        if not glob.has_magic(name) or os.path.lexists(name):
            found.append(name)
            continue
        matching = glob.glob(_without_existing(name), recursive=True)
        if not matching:
            raise UserError(
                f"No file matches {quoted(name)}; check the folder and the pattern, or name the "
                "files one by one."
            )
        found += sorted(matching, key=natural)
    return found


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Returns a key that sorts take2 before take10."""
    parts = re.split("([0-9]+)", name)
    # Texts and numbers alternate, so that numbers meet numbers.
    return [(int(part) if part.isdecimal() else 0, part.lower()) for part in parts], name


def _without_existing(pattern: str) -> str:
    """Escapes the folders at the front of a pattern that exist as they are written."""
    kept, rest = "", pattern
    while match := re.match(_FOLDER, rest):
        if glob.has_magic(match[0]) and not os.path.lexists(kept + match[0]):
            break
        kept, rest = kept + match[0], rest[match.end() :]
    return glob.escape(kept) + rest


def format_bytes(size: float) -> str:
    """Formats a number of bytes: '0.05 MB', '48 MB', '1.2 GB', '75,000 GB'."""
    if size < 1e9:
        return f"{size / 1e6:.2f} MB" if size < 1e6 else f"{size / 1e6:.0f} MB"
    return f"{size / 1e9:,.1f} GB" if size < 1e11 else f"{size / 1e9:,.0f} GB"


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

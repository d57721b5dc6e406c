"""Standard output and standard error whose failures stop no work.

    with courteous():
        ...

A terminal may be absent (`pythonw`), closed, too narrow in its letters, or gone in the middle of
the work, and its disk may be full. What cannot be shown is then lost, and the work goes on.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_BUSY = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)
# For terminals without these letters.
_PLAINER = str.maketrans(
    {"…": "...", "×": "x", "±": "+-", "≥": ">=", "≤": "<=", "→": "->", "–": "-", "\ufffd": "?"}
)


class Stream:
    """A text stream that loses what it cannot write.

    Letters that its encoding lacks are written as `\\xe9` or `\\u017f`. After a failure everything
    else goes nowhere, also what libraries and child processes write to the same descriptor.

    Args:
        wrapped: the stream; None for one that is not there.
    """

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped
        self.lost: Exception | None = None  # why it stopped writing

    def write(self, text: str) -> int:
        """Writes what can be written; returns the number of letters, as other streams do."""
        if self._wrapped is None or self.lost is not None:
            return len(text)
        try:
            try:
                self._wrapped.write(text)
            except UnicodeError:
                self._wrapped.write(_encodable(text, self._wrapped.encoding))
        except (OSError, ValueError) as error:  # a ValueError: the stream is closed
            self._fail(error)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Writes texts one after the other."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Brings what was written to its end, if it can be."""
        if self._wrapped is None or self.lost is not None:
            return
        try:
            self._wrapped.flush()
        except (OSError, ValueError) as error:
            self._fail(error)

    def isatty(self) -> bool:
        """Tells whether a person is there to see it."""
        try:
            return self._wrapped is not None and self.lost is None and bool(self._wrapped.isatty())
        except (OSError, ValueError, AttributeError):
            return False

    def _fail(self, error: Exception) -> None:
        if isinstance(error, OSError) and error.errno in _BUSY:
            return
        self.lost = error
        # The interpreter writes what is left in the buffer when it ends, and would fail again.
        try:
            descriptor = self._wrapped.fileno()
            if descriptor in (1, 2):
                _point_nowhere(descriptor)
        except (OSError, ValueError, AttributeError):
            pass

    def __getattr__(self, name: str) -> Any:
        if name == "_wrapped":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self._wrapped, name)

    # Progress bars ask whether they share a terminal with a line about to be printed.
    def __eq__(self, other: object) -> bool:
        return self._wrapped is getattr(other, "_wrapped", other)

    def __hash__(self) -> int:
        return hash(id(self._wrapped))


def courteous_stream(stream: TextIO | None) -> Stream:
    """Returns a stream that loses what it cannot write, and is the same otherwise."""
    return stream if isinstance(stream, Stream) else Stream(stream)


@contextmanager
def courteous() -> Iterator[None]:
    """Makes standard output and standard error courteous for the block; see `Stream`."""
    _open_missing()
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # libraries ask a stream for more
        after = courteous_stream(sys.stdout or nowhere), courteous_stream(sys.stderr or nowhere)
        sys.stdout, sys.stderr = after
        try:
            yield
        finally:
            _finish(after)
            if sys.stdout is after[0]:
                sys.stdout = before[0]
            if sys.stderr is after[1]:
                sys.stderr = before[1]


def _finish(streams: tuple[Stream, Stream]) -> None:
    """Flushes standard output and standard error, and says on the latter if words were lost."""
    output, errors = streams
    output.flush()
    if isinstance(output.lost, OSError) and output.lost.errno in FULL:
        why = output.lost.strerror
        errors.write(f"warning: standard output cannot be written ({why}); only words are lost.\n")
    errors.flush()


def _open_missing() -> None:
    """Opens the descriptors 0 to 2 where they are closed.

    The next file would get such a number, and whatever a library prints would land in it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            _point_nowhere(descriptor)


def _point_nowhere(descriptor: int) -> None:
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != descriptor:
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
        os.set_inheritable(descriptor, True)
    except OSError:  # no descriptor is left: the work will say so itself
        pass


def _encodable(text: str, encoding: str | None) -> str:
    """Returns a text in letters that an encoding has."""
    encoding = encoding or "ascii"
    letters = []
    for letter in text:
        try:
            letter.encode(encoding)
            letters.append(letter)
        except UnicodeError:
            plainer = letter.translate(_PLAINER)
            letters.append(plainer.encode("ascii", "backslashreplace").decode("ascii"))
    return "".join(letters)

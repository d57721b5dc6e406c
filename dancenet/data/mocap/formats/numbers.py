"""Numbers written by other programs: read strictly, with the decimal signs of any language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from dancenet.support.errors import UserError
from dancenet.support.names import quoted, visible

LARGEST = 1e9  # beyond it nothing is a length or an angle of a body

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_WHOLE = re.compile("[0-9]{1,15}")


def number(word: str) -> float | None:
    """Returns the number that a word is, or None; NaN and infinity are no numbers."""
    if not _NUMBER.fullmatch(word):
        return None
    value = float(word)
    return value if abs(value) <= LARGEST else None


def whole(word: str) -> int | None:
    """Returns the number that a word of digits is, or None."""
    return int(word) if _WHOLE.fullmatch(word) else None


def comma_meaning(lines: Iterable[str]) -> str:
    """Returns what stands for a comma among the numbers of a file: ".", a space, or itself.

    A comma before a space separates, and so does one between numbers with points. Where no number
    has a point, a comma inside a word is the decimal sign.
    """
    text = "\n".join(lines)
    if "," not in text:
        return ","
    inside = [word for word in text.split() if "," in word.strip(",")]
    if inside and "." not in text:
        return "."
    return " " if all("." in word for word in inside) else ","


def parse_rows(
    path: str | Path, rows: Sequence[Sequence[str]], columns: Sequence[str], first: int = 1
) -> np.ndarray:
    """Turns rows of words into (T, C) numbers.

    Args:
        path: the file, for the message.
        rows: T rows of C words.
        columns: C names, for the message.
        first: the number of the frame in the first row.

    Raises:
        UserError: a word is not a finite number, or beyond LARGEST; names its frame and channel.
    """
    text = " ".join(map(" ".join, rows))
    try:
        # NumPy takes digits of any script and underscores.
        if not text.isascii() or "_" in text:
            raise ValueError(text[:60])
        values = np.array(rows, dtype=np.float64)
        bad = ~(np.abs(values) <= LARGEST)
    except ValueError:
        bad = np.array([[number(word) is None for word in row] for row in rows])
    if bad.any():
        frame, column = np.argwhere(bad)[0]
        raise UserError(
            f"Frame {first + frame} of {quoted(path)} has {visible(rows[frame][column])!r:.60} for "
            f"{visible(columns[column])}, which is not a finite number of a length or an angle "
            f"({np.count_nonzero(bad.any(axis=1))} such frames). Export the file again, or cut "
            "these frames out."
        )
    return values

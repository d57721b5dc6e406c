"""Finds the number of a frame in the names that pose estimators give their pictures and files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dancenet.support.errors import UserError
from dancenet.support.names import quoted, visible

# Numbers that span more frames than these allow belong to more than one film.
_SPARSEST = 10  # frames to a file
_FEW = 100  # frames, more than that
_DIGITS = re.compile("[0-9]+")
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,4}$")  # of a picture's name
_LONGEST = 18  # digits of a number; the time of a picture in nanoseconds has 19


def numbers_of(path: Path, names: Sequence[Any]) -> list[int]:
    """Returns the number of the frame of each name.

    A name is a whole number, or text. Among the numbers in a text, the one that differs between
    names is the frame's: `frame_00012_720p.jpg` is frame 12. If several differ, it is the one in
    which no two names agree and which leaves the fewest gaps.

    Args:
        path: where the names were found, for the message.
        names: of frames; the same name may come more than once.

    Raises:
        UserError: a name has no number, two names have the same, or the numbers leave too much
            out for one film.
    """
    texts = list(dict.fromkeys(_text(path, name) for name in names))
    found = dict(zip(texts, _tell_apart(path, texts)))
    seen: dict[int, str] = {}
    for text, number in found.items():
        if number in seen:
            raise UserError(
                f"{quoted(path)}: {visible(seen[number])!r:.80} and {visible(text)!r:.80} have one "
                f"number of a frame, {number}; keep the frames of one film together, each with a "
                "number of its own."
            )
        seen[number] = text
    if seen:
        first, last = min(seen), max(seen)
        if last - first + 1 > _SPARSEST * len(seen) + _FEW:
            raise UserError(
                f"The frames of {quoted(path)} are numbered from {first} to {last} and there are "
                f"only {len(seen)}; keep the frames of one film in a folder or file of their own."
            )
    return [found[_text(path, name)] for name in names]


def _text(path: Path, name: Any) -> str:
    if type(name) is float and name.is_integer() and abs(name) < 10**_LONGEST:
        name = int(name)
    if type(name) is int and 0 <= name < 10**_LONGEST:
        return str(name)
    if isinstance(name, str):
        return name
    raise UserError(
        f"{quoted(path)} names a frame {visible(repr(name)):.60}; it must be a whole number or the "
        "name of a picture."
    )


def _tell_apart(path: Path, texts: Sequence[str]) -> list[int]:
    rows = []
    first = ""
    for text in texts:
        text = _SUFFIX.sub("", text)
        runs = _DIGITS.findall(text)
        if not runs or max(map(len, runs)) > _LONGEST:
            raise UserError(
                f"{quoted(path)}: the name {visible(text)!r:.80} holds no number of a frame."
            )
        rows.append([int(run) for run in runs])
        first = first or text
        if _DIGITS.sub("0", text) != _DIGITS.sub("0", first):
            raise UserError(
                f"{quoted(path)}: {visible(first)!r:.80} and {visible(text)!r:.80} are named "
                "differently; keep the frames of one film together, and other files elsewhere."
            )
    columns = list(zip(*rows))
    changing = [column for column in columns if len(set(column)) > 1]
    if len(changing) == 1:
        return list(changing[0])
    apart = [column for column in changing if len(set(column)) == len(rows)]
    if apart:
        return list(min(apart, key=lambda column: max(column) - min(column)))
    return list(columns[-1])

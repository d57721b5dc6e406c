"""Counts what people answered on the pages of blind looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dancenet.support import checked
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, visible

KIND = "blind look"
FORMAT = 1
_LARGEST = 1_000_000  # bytes of a file of answers
_SHOWN = ("real", "generated", "beside", "frozen", "shuffled", "broken", "twin")
_KNOWN = ("frozen", "shuffled", "broken")  # everyone sees that they are not real


@dataclass(frozen=True)
class Answer:
    """What someone chose of one pair."""

    left: str  # what was shown there
    right: str
    chosen: str  # "left" or "right": it looked more like a recorded dancer

    def __post_init__(self) -> None:
        for side in (self.left, self.right):
            if side not in _SHOWN:
                raise ValueError(f"a side shows one of {', '.join(_SHOWN)}. Received: {side!r}")
        if self.left == self.right:
            raise ValueError(f"both sides of a pair show {self.left!r}")
        if self.chosen not in ("left", "right"):
            raise ValueError(f"chosen must be left or right. Received: {self.chosen!r}")

    @property
    def taken(self) -> str:
        """What the chosen side showed."""
        return self.left if self.chosen == "left" else self.right


@dataclass(frozen=True)
class Sheet:
    """The answers of one person."""

    kind: str
    format: int
    model: str
    beside: str | None  # another model, if one was shown
    seed: int
    answers: tuple[Answer, ...]

    def __post_init__(self) -> None:
        if self.kind != KIND:
            raise ValueError(f"kind must be {KIND!r}. Received: {self.kind!r}")
        if self.format != FORMAT:
            raise ValueError(f"format must be {FORMAT}. Received: {self.format}")


@dataclass(frozen=True)
class Share:
    """How often one thing was chosen."""

    count: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share (Wilson 1927)."""
        return wilson(self.count, self.of)

    def __str__(self) -> str:
        if not self.of:
            return "no answers"
        low, high = self.interval
        return f"{self.count} of {self.of} = {self.count / self.of:.2f} ({low:.2f} to {high:.2f})"


def wilson(count: int, of: int, z: float = 1.959964) -> tuple[float, float]:
    """Computes the interval of a share.

    Args:
        count: how often it happened.
        of: how often it could have happened; 0 gives 0 to 1.
        z: standard deviations, by default of 95 %.

    Returns:
        The lower and the upper end (Wilson, "Probable inference", 1927).
    """
    if of == 0:
        return 0.0, 1.0
    share = count / of
    middle = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z / (1 + z**2 / of) * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def read_sheet(path: str | Path) -> Sheet:
    """Reads the answers of one person.

    Raises:
        UserError: the file holds none.
    """
    content = checked.read_json(path, "file of answers", largest=_LARGEST)
    return checked.build(Sheet, content, quoted(path))


def share(answers: Sequence[Answer], one: str, other: str) -> Share:
    """Counts how often `one` was chosen where it stood beside `other`."""
    asked = [answer for answer in answers if {answer.left, answer.right} == {one, other}]
    return Share(sum(answer.taken == one for answer in asked), len(asked))


def checks(answers: Sequence[Answer]) -> Share:
    """Counts how many of the pairs whose answer is known were answered right."""
    found = [share(answers, "real", check) for check in _KNOWN]
    return Share(sum(one.count for one in found), sum(one.of for one in found))


def summary(sheets: Sequence[Sheet]) -> list[str]:
    """Returns what the answers of some people say, in lines.

    Raises:
        UserError: the sheets are about different models.
    """
    about = {(sheet.model, sheet.beside) for sheet in sheets}
    if len(about) != 1:
        names = ", ".join(sorted(visible(_named(*pair)) for pair in about))
        raise UserError(f"These answers are about different pages ({names}); count each apart.")
    ((model, beside),) = about
    answers = [answer for sheet in sheets for answer in sheet.answers]
    people = f"{len(sheets)} {'person' if len(sheets) == 1 else 'people'}"
    lines = [
        f"{visible(_named(model, beside))}, {people}, {len(answers)} answers. In brackets: the "
        "95 % interval (Wilson 1927).",
        "Taken for the recorded dancer beside a recorded one: "
        f"{share(answers, 'generated', 'real')}",
    ]
    if beside is not None:
        lines.append(f"Preferred to {visible(beside)}: {share(answers, 'generated', 'beside')}")
    lines.append("0.50 means that nobody can tell.")
    right = checks(answers)
    lines.append(f"Checks answered right: {right.count} of {right.of}.")
    careless = sum(checks(sheet.answers).count < checks(sheet.answers).of for sheet in sheets)
    if careless:
        lines.append(f"{careless} of the sheets missed a check; consider leaving them out.")
    return lines


def _named(model: str, beside: str | None) -> str:
    return model if beside is None else f"{model} beside {beside}"

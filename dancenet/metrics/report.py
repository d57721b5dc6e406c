"""The figures of an evaluation, judged by their bars: a record in JSON and a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dancenet.metrics.definitions import COLUMNS, MEASURES, MODEL, Limits, Measure
from dancenet.metrics.reference import Value

KIND = "evaluation"
FORMAT = 2


@dataclass(frozen=True)
class Cell:
    """A measure's figure for each seed, or the reason why there is none."""

    seeds: tuple[float | None, ...] = ()  # None for a seed without a figure
    reason: str = ""  # why a seed has no figure

    @classmethod
    def of(cls, values: Sequence[Value]) -> Cell:
        """Collects the values of some seeds."""
        reasons = [value for value in values if isinstance(value, str)]
        return cls(
            tuple(None if isinstance(value, str) else value for value in values),
            reasons[0] if reasons else "",
        )

    @property
    def values(self) -> tuple[float, ...]:
        """The figures, without the seeds that have none."""
        return tuple(value for value in self.seeds if value is not None)

    @property
    def mean(self) -> float | None:
        """The mean over the seeds; None if there is no figure."""
        return float(np.mean(self.values)) if self.values else None

    @property
    def spread(self) -> float | None:
        """The standard deviation over the seeds; None if fewer than two have a figure."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Row:
    """A measure with its figures in every column, and its limits."""

    measure: Measure
    cells: Mapping[str, Cell]  # by column
    limits: Limits | None

    def verdict(self, column: str = MODEL) -> bool | None:
        """Returns whether a column passes the bar; None if there is no bar, or no figure."""
        mean = self.cells[column].mean
        if self.limits is None or mean is None:
            return None
        if self.limits.low is None and self.limits.high is None:
            return None
        return self.limits.hold(mean)

    def to_json(self) -> dict[str, Any]:
        """Returns the record of the row."""
        return {
            "key": self.measure.key,
            "group": self.measure.group,
            "title": self.measure.title,
            "unit": self.measure.unit,
            "definition": self.measure.definition,
            "reading": self.measure.reading,
            "bar": None
            if self.limits is None
            else {
                "low": self.limits.low,
                "high": self.limits.high,
                "from": self.limits.note or None,
            },
            "passed": self.verdict(),
            "columns": {
                name: {
                    "mean": _finite(cell.mean),
                    "spread": _finite(cell.spread),
                    "seeds": [_finite(value) for value in cell.seeds],
                    "reason": cell.reason or None,
                    "passed": self.verdict(name),
                }
                for name, cell in self.cells.items()
            },
        }


@dataclass(frozen=True)
class Report:
    """The result of an evaluation."""

    model: str  # its name
    rows: tuple[Row, ...]
    facts: Mapping[str, Any]  # about the model, the data and the settings
    notes: tuple[str, ...] = ()  # sentences for the reader
    # By title and column, the bins over time of each seed.
    series: Mapping[str, Mapping[str, list[list[float]]]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: str,
        values: Mapping[str, Mapping[str, Sequence[Value]]],
        facts: Mapping[str, Any],
        measures: Sequence[Measure] = MEASURES,
        **rest: Any,
    ) -> Report:
        """Judges figures by the bars of their measures.

        Args:
            model: its name.
            values: by column, then by key, one value for each seed; a missing one is shown as a
                dash.
            facts: see the class.
            measures: the rows, such as `bodies.definitions.JOINT_MEASURES`.
            rest: notes and series.
        """
        table = {
            column: {key: Cell.of(found) for key, found in keys.items()}
            for column, keys in values.items()
        }

        def means(key: str, column: str) -> float | None:
            return table.get(column, {}).get(key, Cell()).mean

        rows = tuple(
            Row(
                measure=measure,
                cells={name: table.get(name, {}).get(measure.key, Cell()) for name in COLUMNS},
                limits=measure.bar(means) if measure.bar else None,
            )
            for measure in measures
        )
        return cls(model=model, rows=rows, facts=facts, **rest)

    def row(self, key: str) -> Row:
        """Returns the row of a measure."""
        return next(row for row in self.rows if row.measure.key == key)

    @property
    def counts(self) -> tuple[int, int, int]:
        """The numbers of bars that the model passes, fails, and cannot be judged by."""
        verdicts = [row.verdict() for row in self.rows if row.limits is not None]
        return verdicts.count(True), verdicts.count(False), verdicts.count(None)

    def to_json(self) -> dict[str, Any]:
        """Returns the record; a figure that is not finite becomes null."""
        return {
            "format": FORMAT,
            "kind": KIND,
            "model": self.model,
            **self.facts,
            "notes": list(self.notes),
            "measures": [row.to_json() for row in self.rows],
            "series": {
                name: {
                    column: [[_finite(v) for v in line] for line in lines]
                    for column, lines in columns.items()
                }
                for name, columns in self.series.items()
            },
        }

    def to_table(self) -> str:
        """Returns a table for a terminal; figures are mean ± standard deviation over seeds."""
        names = list(COLUMNS)
        heads = ["", *(COLUMNS[name] for name in names), "bar", ""]
        lines: list[list[str] | str] = [heads]
        group = ""
        for row in self.rows:
            if row.measure.group != group:
                group = row.measure.group
                lines.append(group)
            lines.append(
                [
                    f"  {row.measure.title}",
                    *(show_cell(row.cells[name], name == MODEL) for name in names),
                    "" if row.limits is None else show_limits(row.limits),
                    verdict_word(row),
                ]
            )
        cells = [line for line in lines if not isinstance(line, str)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
        text = []
        for line in lines:
            if isinstance(line, str):
                text.append(line)
                continue
            first, *rest = line
            padded = [first.ljust(widths[0])]
            padded += [word.rjust(width) for word, width in zip(rest[:-1], widths[1:-1])]
            text.append("  ".join([*padded, rest[-1]]).rstrip())
        return "\n".join(text)


def verdict_word(row: Row) -> str:
    """Returns 'pass' or 'FAIL', '?' if it is unknown, or '' if there is no bar."""
    if row.limits is None:
        return ""
    return {True: "pass", False: "FAIL", None: "?"}[row.verdict()]


def show_limits(limits: Limits) -> str:
    """Returns limits such as '≥ 0.920', or '?' if they are unknown."""
    if limits.low is not None and limits.high is not None:
        return f"{show(limits.low)} – {show(limits.high)}"
    if limits.low is not None:
        return f"≥ {show(limits.low)}"
    return f"≤ {show(limits.high)}" if limits.high is not None else "?"


def show_cell(cell: Cell, with_spread: bool) -> str:
    """Returns a figure; 'too few' if there were too few windows for one, otherwise '–'.

    If only some seeds have a figure, their number follows.
    """
    if cell.mean is None:
        return "too few" if cell.reason.startswith("too few") else "–"
    spread = cell.spread
    text = show(cell.mean) + (f" ± {show(spread)}" if with_spread and spread is not None else "")
    partial = len(cell.values) < len(cell.seeds)
    return text + (f" ({len(cell.values)} of {len(cell.seeds)})" if partial else "")


def show(value: float) -> str:
    """Returns a number with three significant digits, or all digits before the point."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    if abs(value) >= 1e5 or abs(value) < 5e-4:
        return f"{value:.1e}"
    digits = max(0, min(3, 2 - math.floor(math.log10(abs(value)))))
    return f"{value:.{digits}f}"


def _finite(value: float | None) -> float | None:
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None

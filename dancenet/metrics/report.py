"""The measures with their bars, and what is written of them: a table, a record, a page."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dancenet.metrics import plots
from dancenet.metrics.measures import Value

MODEL, REAL, COPY, FREEZE, AR1, RECIPE_2018 = (
    "model",
    "real",
    "copy",
    "freeze",
    "ar1",
    "recipe_2018",
)
COLUMNS = {
    MODEL: "model",
    REAL: "real",
    COPY: "copy",
    FREEZE: "freeze",
    AR1: "AR(1)",
    RECIPE_2018: "2018 recipe",
}
WHAT_IS = {
    MODEL: "dances that the model makes",
    REAL: "half of the real dances, beside the other half: the floor",
    COPY: "training dances, encoded and decoded: what the picture network alone costs",
    FREEZE: "one training frame, held",
    AR1: "a linear map of each latent to the next, with noise, fitted on the training dances",
    RECIPE_2018: "a network that sees one vector, with the sampler and the feedback of 2018",
}
GAUSSIAN = "gaussian"  # a sixth, of the likelihood alone

KIND = "evaluation"
FORMAT = 1


@dataclass(frozen=True)
class Cell:
    """One figure for each seed, or the reason why there is none."""

    seeds: tuple[float | None, ...] = ()  # None for a seed that has no figure
    reason: str = ""  # why one has none

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
        """The figures of the seeds that have one."""
        return tuple(value for value in self.seeds if value is not None)

    @property
    def mean(self) -> float | None:
        """The mean over the seeds, None if there is no figure."""
        return float(np.mean(self.values)) if self.values else None

    @property
    def spread(self) -> float | None:
        """The standard deviation over the seeds, None with fewer than two."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Limits:
    """Where a figure has to lie; None is no limit."""

    low: float | None = None
    high: float | None = None
    note: str = ""  # where the limits come from, if they depend on other figures

    def hold(self, value: float) -> bool:
        """Tells whether a value lies between them."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            return f"{show(self.low)} – {show(self.high)}"
        if self.low is not None:
            return f"≥ {show(self.low)}"
        return f"≤ {show(self.high)}" if self.high is not None else "?"


# The mean of a measure in a column, None if it is not known.
Means = Callable[[str, str], float | None]
Bar = Callable[[Means], Limits]


def _fixed(low: float | None = None, high: float | None = None) -> Bar:
    return lambda means: Limits(low, high)


def _one_dancer(means: Means) -> Limits:
    real = means("one_dancer", REAL)
    return Limits(low=None if real is None else 0.98 * real, note=".98 × real")


def _freeze(means: Means) -> Limits:
    real = means("freeze", REAL)
    return Limits(high=None if real is None else real + 0.02, note="real + .02")


def _loop(means: Means) -> Limits:
    return Limits(high=means("loop_limit", MODEL), note="real's 99th percentile")


def _frechet(key: str) -> Bar:
    def bar(means: Means) -> Limits:
        floor, old = means(key, REAL), means(key, RECIPE_2018)
        if floor is None:
            return Limits(note="2 × real")
        if old is None or 2 * floor <= old / 2:
            return Limits(high=2 * floor, note="2 × real")
        return Limits(high=old / 2, note="half of the 2018 recipe")

    return bar


def _likelihood(means: Means) -> Limits:
    rivals = {
        name: value
        for name, column in (("AR(1)", AR1), ("one Gaussian", GAUSSIAN))
        if (value := means("foretold", column)) is not None
    }
    if not rivals:
        return Limits()
    best = min(rivals, key=rivals.__getitem__)
    return Limits(high=rivals[best], note=best)


@dataclass(frozen=True)
class Measure:
    """One line of the report."""

    key: str
    group: str
    title: str
    definition: str
    bar: Bar | None = None


MEASURES = (
    Measure(
        "iou",
        "reconstruction, held out",
        "IoU",
        "intersection over union of the dancer at .5",
        _fixed(low=0.92),
    ),
    Measure(
        "boundary_f",
        "reconstruction, held out",
        "boundary F",
        "F of the outlines at 2 pixels (Csurka et al. 2013)",
        _fixed(low=0.85),
    ),
    Measure("psnr", "reconstruction, held out", "PSNR, dB", "peak signal-to-noise ratio"),
    Measure("ssim", "reconstruction, held out", "SSIM", "structural similarity (Wang et al. 2004)"),
    Measure(
        "soft",
        "logit_gain",
        "soft pixels",
        "share with .1 < p < .9 among those with p < .9",
        _fixed(high=0.15),
    ),
    Measure(
        "hazy",
        "logit_gain",
        "hazy frames",
        "share of frames with more than 10 % of the background in (.5, .97)",
        _fixed(high=0.01),
    ),
    Measure(
        "one_dancer",
        "logit_gain",
        "one dancer",
        "share of frames whose largest component holds 97 % of the mask",
        _one_dancer,
    ),
    Measure(
        "energy",
        "motion",
        "energy, latents",
        "mean squared latent speed over real",
        _fixed(0.8, 1.25),
    ),
    Measure(
        "mask_change",
        "motion",
        "energy, pictures",
        "mean share of pixels that change sides, over real",
        _fixed(0.8, 1.25),
    ),
    Measure(
        "freeze",
        "motion",
        "freeze",
        "share of frames whose smoothed speed stays under a tenth of the training median for "
        "half a second",
        _freeze,
    ),
    Measure(
        "jerk", "motion", "convulsion, jerk", "mean third difference over real", _fixed(high=1.3)
    ),
    Measure(
        "fast",
        "motion",
        "convulsion, fast",
        "share of steps faster than real's 99.9th percentile",
        _fixed(high=0.005),
    ),
    Measure(
        "loop",
        "motion",
        "loop",
        "highest autocorrelation of the path at lags over 1 s: 90th percentile over windows "
        "of 10 s",
        _loop,
    ),
    Measure(
        "drift_energy",
        "drift",
        "energy",
        "mean squared speed in the last 10 s over the first",
        _fixed(0.8, 1.25),
    ),
    Measure(
        "drift_softness",
        "drift",
        "softness",
        "soft pixels in the last 10 s over the first",
        _fixed(0.8, 1.25),
    ),
    Measure(
        "drift_distance",
        "drift",
        "distance",
        "mean Mahalanobis distance in the last 10 s over the first",
        _fixed(0.8, 1.25),
    ),
    Measure(
        "frechet_latents",
        "distribution",
        "Fréchet, latents",
        "of statistics of 2 s windows, over real's variance",
        _frechet("frechet_latents"),
    ),
    Measure(
        "frechet_flow",
        "distribution",
        "Fréchet, flow",
        "of flow histograms of 2 s windows, over real's variance",
        _frechet("frechet_flow"),
    ),
    Measure(
        "density",
        "distribution",
        "density",
        "mean number of real balls (k = 5) a window lies in, over k (Naeem et al. 2020)",
    ),
    Measure(
        "coverage",
        "distribution",
        "coverage",
        "share of real balls (k = 5) that hold a window (Naeem et al. 2020)",
        _fixed(low=0.7),
    ),
    Measure(
        "precision",
        "distribution",
        "precision",
        "share of windows among the real (k = 3; Kynkäänniemi et al. 2019)",
    ),
    Measure(
        "recall",
        "distribution",
        "recall",
        "share of real windows among these (k = 3; Kynkäänniemi et al. 2019)",
    ),
    Measure(
        "novelty_z",
        "novelty",
        "Z",
        "Mann-Whitney Z of the distance to the nearest training window, against held out",
        _fixed(low=-3.0),
    ),
    Measure(
        "near",
        "novelty",
        "near",
        "share of windows nearer to training than held out's 5th percentile",
        _fixed(high=0.1),
    ),
    Measure(
        "foretold",
        "likelihood, nats",
        "held out, foretold",
        "negative log density of held-out dances, nats per dimension and step; smaller is better",
        _likelihood,
    ),
    Measure(
        "free_running",
        "likelihood, nats",
        "its own dance",
        "the same of the dances it makes: near the line above if it is as sure of its own "
        "dance as of a real one",
    ),
)


def _slide(means: Means) -> Limits:
    real = means("slide", REAL)
    return Limits(high=None if real is None else 1.5 * real, note="1.5 × real")


def _steered(means: Means) -> Limits:
    real = means("steered", REAL)
    return Limits(low=None if real is None else 0.8 * real, note=".8 × held out")


_OF_PICTURES = {"reconstruction, held out", "logit_gain"}
JOINT_MEASURES = (
    *(
        measure
        for measure in MEASURES
        if measure.group not in _OF_PICTURES and measure.key != "drift_softness"
    ),
    # The recordings themselves spread by .002.
    Measure(
        "bones",
        "body",
        "bones",
        "standard deviation over time of a bone's length over its mean, mean of all bones",
        _fixed(high=0.005),
    ),
    Measure(
        "bones_decoded",
        "body",
        "bones, as danced",
        "the same before bones are given one length: what the dancer knows of bones",
    ),
    Measure(
        "slide",
        "body",
        "foot slide, m/s",
        "speed of feet within 2.5 cm of the floor, weighted by height (Zhang et al. 2018)",
        _slide,
    ),
    Measure(
        "kinetic",
        "body",
        "Fréchet, kinetic",
        "of kinetic features of 2 s windows (Onuma et al. 2008; Li et al. 2021), over real's "
        "variance",
        _frechet("kinetic"),
    ),
    Measure(
        "diversity",
        "body",
        "diversity, kinetic",
        "mean distance of two windows in those features, over real's",
    ),
    Measure(
        "steered",
        "style",
        "style as asked",
        "share of windows of dances of a style that are nearest to training windows of it, "
        "mean over styles",
        _steered,
    ),
)


@dataclass(frozen=True)
class Row:
    """A measure with its figures, its limits, and whether the model keeps within them."""

    measure: Measure
    cells: Mapping[str, Cell]
    limits: Limits | None

    def verdict(self, column: str = MODEL) -> bool | None:
        """Returns whether a column passes; None if there is no bar, or no figure."""
        mean = self.cells[column].mean
        if self.limits is None or mean is None:
            return None
        if self.limits.low is None and self.limits.high is None:
            return None
        return self.limits.hold(mean)


@dataclass(frozen=True)
class Report:
    """All that is known of a model."""

    model: str
    rows: tuple[Row, ...]
    facts: Mapping[str, Any]  # of model, data and settings; for the record
    notes: tuple[str, ...] = ()  # what a reader has to know
    series: Mapping[str, Mapping[str, list[list[float]]]] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()

    @classmethod
    def of(
        cls,
        model: str,
        values: Mapping[str, Mapping[str, Sequence[Value]]],
        facts: Mapping[str, Any],
        measures: Sequence[Measure] = MEASURES,
        **rest: Any,
    ) -> Report:
        """Judges figures.

        Args:
            model: its name.
            values: by column, then by key, one value a seed; what lacks is shown as a dash.
            facts: see the class.
            measures: the lines, `MEASURES` or `JOINT_MEASURES`.
            rest: notes, series and pictures.
        """
        table = {
            column: {key: Cell.of(found) for key, found in keys.items()}
            for column, keys in values.items()
        }

        def means(key: str, column: str) -> float | None:
            return table.get(column, {}).get(key, Cell()).mean

        rows = tuple(
            Row(
                measure,
                {name: table.get(name, {}).get(measure.key, Cell()) for name in COLUMNS},
                measure.bar(means) if measure.bar else None,
            )
            for measure in measures
        )
        return cls(model, rows, facts, **rest)

    def row(self, key: str) -> Row:
        """Returns the row of a measure."""
        return next(row for row in self.rows if row.measure.key == key)

    def to_json(self) -> dict[str, Any]:
        """Returns the record; a figure that is not finite is null."""
        measures = []
        for row in self.rows:
            limits = row.limits
            measures.append(
                {
                    "key": row.measure.key,
                    "group": row.measure.group,
                    "title": row.measure.title,
                    "definition": row.measure.definition,
                    "bar": None
                    if limits is None
                    else {
                        "low": limits.low,
                        "high": limits.high,
                        "from": limits.note or None,
                    },
                    "passed": row.verdict(),
                    "columns": {
                        name: {
                            "mean": _finite(cell.mean),
                            "spread": _finite(cell.spread),
                            "seeds": [_finite(value) for value in cell.seeds],
                            "reason": cell.reason or None,
                            "passed": row.verdict(name),
                        }
                        for name, cell in row.cells.items()
                    },
                }
            )
        return {
            "format": FORMAT,
            "kind": KIND,
            "model": self.model,
            **self.facts,
            "notes": list(self.notes),
            "measures": measures,
            "series": {
                name: {
                    column: [[_finite(v) for v in line] for line in lines]
                    for column, lines in columns.items()
                }
                for name, columns in self.series.items()
            },
        }

    def to_table(self) -> str:
        """Returns the table for a terminal, figures as mean ± standard deviation over seeds."""
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
                    "" if row.limits is None else str(row.limits),
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

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many bars the model passes, fails, and cannot be judged by."""
        verdicts = [row.verdict() for row in self.rows if row.limits is not None]
        return verdicts.count(True), verdicts.count(False), verdicts.count(None)

    def to_html(self) -> str:
        """Returns a page that needs no other file."""
        passed, failed, unknown = self.counts
        judged = f"{passed} of {passed + failed + unknown} bars passed, {failed} failed"
        judged += f", {unknown} not judged" if unknown else ""
        body = [
            f"<h1>{_text(self.model)}: is it a dance?</h1>",
            f"<p class=sum>{judged}.</p>",
            "<ul>" + "".join(f"<li>{_text(note)}</li>" for note in self.notes) + "</ul>",
            self._html_table(),
            "<dl>"
            + "".join(
                f"<dt>{_text(COLUMNS[name])}</dt><dd>{_text(words)}</dd>"
                for name, words in WHAT_IS.items()
            )
            + "</dl>",
            "<h2>Seed by seed</h2><p>Each dot is a seed; shaded is what the bar allows.</p>",
            "<div class=plots>"
            + "".join(
                plots.strip(
                    f"{row.measure.group}: {row.measure.title}",
                    {COLUMNS[name]: cell.values for name, cell in row.cells.items()},
                    row.limits.low if row.limits else None,
                    row.limits.high if row.limits else None,
                )
                for row in self.rows
            )
            + "</div>",
            "<h2>Over time</h2><p>In bins of ten seconds; one line is one seed.</p>",
            "<div class=plots>"
            + "".join(
                plots.lines(
                    title,
                    {words: columns.get(name, []) for name, words in COLUMNS.items()},
                    "seconds",
                    10,
                )
                for title, columns in self.series.items()
            )
            + "</div>",
        ]
        body += [picture.to_html() for picture in self.pictures]
        facts = html.escape(_pretty(self.facts))
        body.append(f"<h2>How it was measured</h2><pre>{facts}</pre>")
        return _PAGE.format(title=_text(f"{self.model}: evaluation"), body="\n".join(body))

    def _html_table(self) -> str:
        heads = "".join(f"<th>{_text(name)}</th>" for name in COLUMNS.values())
        lines = [f"<table><tr><th></th>{heads}<th>bar</th><th></th></tr>"]
        group = ""
        for row in self.rows:
            if row.measure.group != group:
                group = row.measure.group
                span = len(COLUMNS) + 3
                lines.append(f"<tr><th class=group colspan={span}>{_text(group)}</th></tr>")
            cells = "".join(
                f"<td class={_CLASS[row.verdict(name)]} title='{_text(cell.reason)}'>"
                f"{_text(show_cell(cell, True))}</td>"
                for name, cell in row.cells.items()
            )
            bar = "" if row.limits is None else str(row.limits)
            if row.limits is not None and row.limits.note:
                bar += f" <small>{_text(row.limits.note)}</small>"
            lines.append(
                f"<tr><td title='{_text(row.measure.definition)}'>{_text(row.measure.title)}</td>"
                f"{cells}<td>{bar}</td>"
                f"<td class={_CLASS[row.verdict()]}>{verdict_word(row)}</td></tr>"
            )
        definitions = "".join(
            f"<li>{_text(row.measure.group)}, {_text(row.measure.title)}: "
            f"{_text(row.measure.definition)}</li>"
            for row in self.rows
        )
        lines.append("</table><details><summary>Definitions</summary>")
        lines.append(f"<ul>{definitions}</ul></details>")
        return "\n".join(lines)


@dataclass(frozen=True)
class Picture:
    """A contact sheet for the page, with a short film beside it."""

    title: str
    words: str
    png: str  # base64
    mp4: str = ""  # base64; none if empty

    def to_html(self) -> str:
        """Returns its part of the page."""
        film = (
            f"<video controls loop muted src='data:video/mp4;base64,{self.mp4}'></video>"
            if self.mp4
            else ""
        )
        return (
            f"<h2>{_text(self.title)}</h2><p>{_text(self.words)}</p><div class=look>"
            f"<img alt='{_text(self.title)}' src='data:image/png;base64,{self.png}'>{film}</div>"
        )


def verdict_word(row: Row) -> str:
    """Returns 'pass', 'FAIL', '?' for what is not known, or '' where there is no bar."""
    if row.limits is None:
        return ""
    return {True: "pass", False: "FAIL", None: "?"}[row.verdict()]


def show_cell(cell: Cell, with_spread: bool) -> str:
    """Returns a figure in a few letters; '–' if there is none, 'too few' if that is why.

    Where some seeds have no figure it says how many have.
    """
    if cell.mean is None:
        return "too few" if cell.reason.startswith("too few") else "–"
    spread = cell.spread
    text = show(cell.mean) + (f" ± {show(spread)}" if with_spread and spread is not None else "")
    partial = len(cell.values) < len(cell.seeds)
    return text + (f" ({len(cell.values)} of {len(cell.seeds)})" if partial else "")


def show(value: float) -> str:
    """Returns a number with three figures that matter, or as many as it has before the point."""
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


def _text(words: str) -> str:
    return html.escape(words, quote=True)


def _pretty(facts: Mapping[str, Any]) -> str:
    import json

    return json.dumps(facts, indent=2, ensure_ascii=False)


_CLASS = {True: "pass", False: "fail", None: "none"}
_PAGE = """<!DOCTYPE html>
<html lang=en><head><meta charset=utf-8><title>{title}</title>
<meta name=viewport content="width=device-width">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1120px; margin: 2em auto; padding: 0 1em;
  color: #222; background: #fff; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }}
td, th {{ padding: .25em .6em; text-align: right; white-space: nowrap; }}
td:first-child, th.group {{ text-align: left; }}
th.group {{ padding-top: .8em; }}
tr {{ border-bottom: 1px solid #eee; }}
td.pass {{ color: #17692c; }} td.fail {{ color: #b3261e; }} td small {{ color: #666; }}
td:nth-child(2) {{ font-weight: 600; }}
.sum {{ font-size: 1.2em; }}
.plots {{ display: flex; flex-wrap: wrap; gap: 10px; }}
.look {{ display: flex; flex-wrap: wrap; gap: 10px; align-items: flex-start; }}
.look img {{ max-width: 100%; }} .look video {{ width: 312px; }}
dt {{ font-weight: 600; float: left; clear: left; width: 7em; }} dd {{ margin-left: 8em; }}
pre {{ background: #f6f6f6; padding: 1em; overflow: auto; font-size: 12px; }}
</style></head><body>
{body}
</body></html>
"""

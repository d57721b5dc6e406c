"""The report as one HTML page that needs no other file."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass

from dancenet.evaluation.report import plots
from dancenet.metrics.definitions import COLUMN_NOTES, COLUMNS
from dancenet.metrics.motion import BIN_SECONDS
from dancenet.metrics.report import Report, Row, show_cell, show_limits, verdict_word


@dataclass(frozen=True)
class Picture:
    """A contact sheet, with a short film beside it."""

    title: str
    caption: str
    png: str  # base64
    mp4: str = ""  # base64; empty if there is no film

    def to_html(self) -> str:
        """Returns its section of the page."""
        film = (
            f"<video controls loop muted src='data:video/mp4;base64,{self.mp4}'></video>"
            if self.mp4
            else ""
        )
        return (
            f"<h2>{_text(self.title)}</h2><p>{_text(self.caption)}</p><div class=look>"
            f"<img alt='{_text(self.title)}' src='data:image/png;base64,{self.png}'>{film}</div>"
        )


def to_html(report: Report, pictures: Sequence[Picture] = ()) -> str:
    """Returns the page of a report."""
    passed, failed, unknown = report.counts
    judged = f"{passed} of {passed + failed + unknown} bars passed, {failed} failed"
    judged += f", {unknown} not judged" if unknown else ""
    facts = json.dumps(report.facts, indent=2, ensure_ascii=False)
    body = [
        f"<h1>{_text(report.model)}: is it a dance?</h1>",
        f"<p class=sum>{judged}.</p>",
        "<ul>" + "".join(f"<li>{_text(note)}</li>" for note in report.notes) + "</ul>",
        _table(report.rows),
        _columns(),
        _definitions(report.rows),
        "<h2>Seed by seed</h2><p>Each dot is one seed. The shaded range passes the bar.</p>",
        _strips(report.rows),
        "<h2>Over time</h2>"
        f"<p>Means over bins of {BIN_SECONDS:g} seconds. Each line is one seed.</p>",
        _curves(report),
        *(picture.to_html() for picture in pictures),
        f"<h2>Model, data and settings</h2><pre>{html.escape(facts)}</pre>",
    ]
    return _PAGE.format(title=_text(f"{report.model}: evaluation"), body="\n".join(body))


def _table(rows: Sequence[Row]) -> str:
    heads = "".join(f"<th>{_text(name)}</th>" for name in COLUMNS.values())
    lines = [f"<table><tr><th></th>{heads}<th>bar</th><th></th></tr>"]
    group = ""
    for row in rows:
        measure = row.measure
        if measure.group != group:
            group = measure.group
            span = len(COLUMNS) + 3
            lines.append(f"<tr><th class=group colspan={span}>{_text(group)}</th></tr>")
        cells = "".join(
            f"<td class={_CLASS[row.verdict(name)]} title='{_text(cell.reason)}'>"
            f"{_text(show_cell(cell, True))}</td>"
            for name, cell in row.cells.items()
        )
        bar = "" if row.limits is None else show_limits(row.limits)
        if row.limits is not None and row.limits.note:
            bar += f" <small>{_text(row.limits.note)}</small>"
        lines.append(
            f"<tr><td title='{_text(measure.definition)}'>{_text(measure.title)}</td>"
            f"{cells}<td>{bar}</td>"
            f"<td class={_CLASS[row.verdict()]}>{verdict_word(row)}</td></tr>"
        )
    return "\n".join([*lines, "</table>"])


def _columns() -> str:
    entries = "".join(
        f"<dt>{_text(COLUMNS[name])}</dt><dd>{_text(note)}</dd>"
        for name, note in COLUMN_NOTES.items()
    )
    return f"<dl>{entries}</dl>"


def _definitions(rows: Sequence[Row]) -> str:
    entries = "".join(
        f"<li><b>{_text(row.measure.group)}, {_text(row.measure.title)}</b>"
        + (f" ({_text(row.measure.unit)})" if row.measure.unit else "")
        + f": {_text(row.measure.definition)} {_text(row.measure.reading)}</li>"
        for row in rows
    )
    return (
        "<details><summary>Definitions</summary><p>x_t is the vector of frame t in the model's "
        "units. p is the background probability of a pixel: 0 is dancer, 1 is background. "
        "&quot;Real&quot; is the reference half of the real dances.</p>"
        f"<ul>{entries}</ul></details>"
    )


def _strips(rows: Sequence[Row]) -> str:
    strips = (
        plots.strip(
            f"{row.measure.group}: {row.measure.title}",
            {COLUMNS[name]: cell.values for name, cell in row.cells.items()},
            row.limits.low if row.limits else None,
            row.limits.high if row.limits else None,
        )
        for row in rows
    )
    return f"<div class=plots>{''.join(strips)}</div>"


def _curves(report: Report) -> str:
    curves = (
        plots.lines(
            title,
            {label: columns.get(name, []) for name, label in COLUMNS.items()},
            "seconds",
            BIN_SECONDS,
        )
        for title, columns in report.series.items()
    )
    return f"<div class=plots>{''.join(curves)}</div>"


def _text(words: str) -> str:
    return html.escape(words, quote=True)


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

"""Small plots as SVG, drawn without a plotting library."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np

_WIDTH, _LEFT, _RIGHT = 350, 82, 12  # pixels
_LINE = 17  # pixels between two rows of dots
_COLOURS = ("#1b5fc4", "#444444", "#2c8a4b", "#999999", "#c26a12", "#b3261e")


def strip(
    title: str,
    columns: Mapping[str, Sequence[float]],
    low: float | None = None,
    high: float | None = None,
) -> str:
    """Draws a row of dots for each column that has values, on one axis.

    The axis is logarithmic if all values are positive and the largest is over thirty times the
    smallest.

    Args:
        title: shown above the plot.
        columns: the values of each column.
        low: lower end of the shaded range; None for no limit.
        high: upper end of the shaded range; None for no limit.

    Returns:
        An <svg> element, or '' if no column has a finite value.
    """
    rows = {
        name: [value for value in values if math.isfinite(value)]
        for name, values in columns.items()
    }
    rows = {name: values for name, values in rows.items() if values}
    everything = [value for values in rows.values() for value in values]
    if not everything:
        return ""
    everything += [limit for limit in (low, high) if limit is not None]
    axis = _Axis(everything)
    bottom = 26 + _LINE * len(rows)
    left = _LEFT if low is None else axis(low)
    right = _WIDTH - _RIGHT if high is None else axis(high)
    parts = [f"<text x=4 y=14 font-weight=600>{html.escape(title)}</text>"]
    if low is not None or high is not None:
        parts.append(
            f"<rect x={left:.1f} y=22 width={max(right - left, 1):.1f} height={bottom - 20} "
            "fill='#2c8a4b' opacity=.13 />"
        )
    for index, (name, values) in enumerate(rows.items()):
        y = 34 + _LINE * index
        parts.append(
            f"<text x={_LEFT - 8} y={y + 4} text-anchor=end>{html.escape(name)}</text>"
            f"<line x1={_LEFT} x2={_WIDTH - _RIGHT} y1={y} y2={y} stroke='#ddd' />"
        )
        colour = _COLOURS[list(columns).index(name) % len(_COLOURS)]
        parts += [
            f"<circle cx={axis(value):.1f} cy={y} r=3.5 fill='{colour}' opacity=.65 />"
            for value in values
        ]
    parts += axis.ticks(bottom + 12)
    return _svg(parts, bottom + 18)


def lines(
    title: str, columns: Mapping[str, Sequence[Sequence[float]]], unit: str, step: float
) -> str:
    """Draws curves over time, with one colour for each column.

    Args:
        title: shown above the plot.
        columns: the curves of each column, with one value every `step` units.
        unit: unit of the horizontal axis.
        step: distance between two values, in that unit.

    Returns:
        An <svg> element, or '' if there is nothing to draw.
    """
    curves = [
        (name, np.asarray(curve, float))
        for name, found in columns.items()
        for curve in found
        if len(curve) and np.isfinite(curve).all()
    ]
    if not curves:
        return ""
    top = 1.05 * max(float(curve.max()) for _, curve in curves) or 1.0
    longest = max(len(curve) for _, curve in curves)
    height, left, base = 190, 42, 160

    def place(index: int, value: float) -> str:
        x = left + (index + 0.5) / longest * (_WIDTH - left - _RIGHT)
        return f"{x:.1f},{base - value / top * (base - 30):.1f}"

    parts = [f"<text x=4 y=14 font-weight=600>{html.escape(title)}</text>"]
    for value in (0.0, top / 2, top):
        y = base - value / top * (base - 30)
        parts.append(
            f"<line x1={left} x2={_WIDTH - _RIGHT} y1={y:.1f} y2={y:.1f} stroke='#ddd' />"
            f"<text x={left - 4} y={y + 4:.1f} text-anchor=end>{value:.2g}</text>"
        )
    seen: list[str] = []
    for name, curve in curves:
        if name not in seen:
            seen.append(name)
        colour = _COLOURS[list(columns).index(name) % len(_COLOURS)]
        points = " ".join(place(i, float(value)) for i, value in enumerate(curve))
        parts.append(
            f"<polyline points='{points}' fill=none stroke='{colour}' stroke-width=1.4 "
            "opacity=.7 />"
        )
    for index, name in enumerate(seen):
        colour = _COLOURS[list(columns).index(name) % len(_COLOURS)]
        parts.append(f"<text x={left + 76 * index} y=27 fill='{colour}'>{html.escape(name)}</text>")
    parts.append(
        f"<text x={_WIDTH - _RIGHT} y={base + 16} text-anchor=end>"
        f"{longest * step:g} {html.escape(unit)}</text><text x={left} y={base + 16}>0</text>"
    )
    return _svg(parts, height)


class _Axis:
    """Maps values to horizontal pixels."""

    def __init__(self, values: Sequence[float]) -> None:
        smallest, largest = min(values), max(values)
        self._log = smallest > 0 and largest > 30 * smallest
        if not self._log:
            smallest = min(smallest, 0.0) if largest > 0 and smallest < 0.5 * largest else smallest
        self._low, self._high = self._scale(smallest), self._scale(largest)
        if self._low == self._high:
            self._low, self._high = self._low - 0.5, self._high + 0.5

    def _scale(self, value: float) -> float:
        return math.log(value) if self._log else value

    def __call__(self, value: float) -> float:
        share = (self._scale(value) - self._low) / (self._high - self._low)
        return _LEFT + 6 + share * (_WIDTH - _RIGHT - _LEFT - 12)

    def ticks(self, y: float) -> list[str]:
        found = []
        for share in (0.0, 0.5, 1.0):
            value = self._low + share * (self._high - self._low)
            shown = math.exp(value) if self._log else value
            anchor = ("start", "middle", "end")[round(2 * share)]
            x = _LEFT + 6 + share * (_WIDTH - _RIGHT - _LEFT - 12)
            found.append(
                f"<text x={x:.1f} y={y} text-anchor={anchor} fill='#666'>{shown:.3g}</text>"
            )
        return found


def _svg(parts: Sequence[str], height: float) -> str:
    return (
        f"<svg width={_WIDTH} height={height} viewBox='0 0 {_WIDTH} {height}' "
        "font-size=11 font-family='system-ui, sans-serif'>" + "".join(parts) + "</svg>"
    )

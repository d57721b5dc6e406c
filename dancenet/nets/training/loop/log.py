"""The log of a training: one JSON object an epoch, and its curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dancenet.support import files
from dancenet.support.errors import MissingExtra, UserError
from dancenet.support.names import quoted

LOG = "log.jsonl"


def write_log(path: Path, history: list[dict[str, float]]) -> None:
    """Writes one JSON object a line, atomically."""
    files.write_text(path, "".join(json.dumps(record) + "\n" for record in history))


def read_log(path: Path) -> list[dict[str, float]]:
    """Reads a file of `write_log`; a missing file is an empty log.

    Raises:
        UserError: a line is not JSON.
    """
    if not path.exists():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise UserError(f"{quoted(path)} is not a training log: {error}.") from error


def write_curves(path: Path, history: Sequence[dict[str, float]], names: Sequence[str]) -> None:
    """Draws metrics of a training log over the epochs, each on its own axes.

    Args:
        path: the PNG to write.
        history: one record an epoch, as `train` returns.
        names: metrics to draw, each with its `val_` metric, if there is one.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("Drawing loss curves", "train", "matplotlib") from error
    # Not through pyplot, which would look for a display.
    figure = Figure(figsize=(4.5 * len(names), 3.2), layout="constrained")
    epochs = [record["epoch"] for record in history]
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names):
        for key, label in ((name, "training"), (f"val_{name}", "held out")):
            values = [record.get(key, np.nan) for record in history]
            if np.isfinite(values).any():
                axes.plot(epochs, values, ".-", label=label, linewidth=1, markersize=3)
        axes.set_title(name.replace("_", " "))
        axes.set_xlabel("epoch")
        if axes.get_lines():
            axes.legend()
        # The first epochs would flatten the rest of the curve.
        tail = [
            record[key]
            for record in history[min(2, len(history) // 4) :]
            for key in (name, f"val_{name}")
            if np.isfinite(record.get(key, np.nan))
        ]
        if tail and max(tail) > min(tail):
            margin = 0.05 * (max(tail) - min(tail))
            axes.set_ylim(min(tail) - margin, max(tail) + margin)
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)

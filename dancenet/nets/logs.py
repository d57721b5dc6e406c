"""What a training leaves for people: curves, contact sheets, TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dancenet import files
from dancenet.data.sheet import contact_sheet, write_picture
from dancenet.errors import MissingExtra


def write_curves(path: Path, history: Sequence[dict[str, float]], names: Sequence[str]) -> None:
    """Draws figures of a training log over the epochs, each on axes of its own.

    Args:
        path: the PNG to write.
        history: one record an epoch, as `train` returns.
        names: figures to draw; if there is a `val_` figure of that name it shares the axes.

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
        # The first epochs are far off and would flatten what comes after.
        tail = [
            record[key]
            for record in history[min(2, len(history) // 4):]
            for key in (name, f"val_{name}")
            if np.isfinite(record.get(key, np.nan))
        ]
        if tail and max(tail) > min(tail):
            margin = 0.05 * (max(tail) - min(tail))
            axes.set_ylim(min(tail) - margin, max(tail) + margin)
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def write_reconstructions(
    path: Path, frames: np.ndarray, decoded: np.ndarray, columns: int = 8
) -> None:
    """Writes a contact sheet: rows of held-out frames above rows of their reconstructions.

    Args:
        path: the PNG to write.
        frames: (B, H, W) uint8.
        decoded: (B, H, W) whiteness, 0..1.
        columns: pictures in a row.
    """
    pictures = (decoded * 255).round().astype(np.uint8)
    rows: list[np.ndarray] = []
    for first in range(0, len(frames), columns):
        originals = list(frames[first : first + columns])
        blank = [np.full_like(frames[0], 205)] * (columns - len(originals))
        rows += [*originals, *blank, *pictures[first : first + columns], *blank]
    write_picture(path, contact_sheet(rows, columns))


class TensorBoardLog:
    """Writes figures and pictures for TensorBoard, without TensorFlow.

    Raises:
        MissingExtra: tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboard.summary import Writer
        except ImportError as error:
            raise MissingExtra("--tensorboard", "train", "tensorboard") from error
        self._writer: Any = Writer(str(folder))

    def add(self, record: dict[str, float]) -> None:
        """Adds one epoch's record."""
        step = int(record["step"])
        for name, value in record.items():
            if name not in ("epoch", "step"):
                self._writer.add_scalar(name, float(value), step)
        self._writer.flush()

    def close(self) -> None:
        """Finishes the file."""
        self._writer.close()

"""What a training leaves for people: curves, contact sheets, TensorBoard."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dancenet.output.contact_sheet import contact_sheet, write_picture
from dancenet.support import files, terminal
from dancenet.support.errors import MissingExtra

PROJECTOR = "projector_config.pbtxt"  # the name that TensorBoard looks for

_PROJECTOR_TEXT = """embeddings {
  tensor_name: "vectors"
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
}
"""


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
            for record in history[min(2, len(history) // 4) :]
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
        decoded: (B, H, W) background probability, 0..1.
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
    """Writes figures and vectors for TensorBoard, without TensorFlow, and says how to open it.

    Args:
        folder: where to; `tensorboard --logdir` takes it, or any folder above it.
        descriptions: what a figure says, by its name, in a sentence shown beside its curve.

    Raises:
        MissingExtra: tensorboard is not installed.
    """

    def __init__(self, folder: Path, descriptions: Mapping[str, str] | None = None) -> None:
        try:
            from tensorboard.summary import Writer
        except ImportError as error:
            raise MissingExtra("--tensorboard", "train", "tensorboard") from error
        self._writer: Any = Writer(str(folder))
        self._folder = folder
        self._descriptions = dict(descriptions or {})
        terminal.say(
            f"Watch the training with `tensorboard --logdir {shlex.quote(str(folder))}`: it prints "
            "the address to open in a browser, http://localhost:6006 if that is free."
        )

    def add(self, record: dict[str, float]) -> None:
        """Adds one epoch's record."""
        step = int(record["step"])
        for name, value in record.items():
            if name not in ("epoch", "step"):
                self._writer.add_scalar(
                    name, float(value), step, description=self._descriptions.get(name)
                )
        self._writer.flush()

    def add_vectors(self, vectors: np.ndarray, labels: Mapping[str, Sequence[str]]) -> None:
        """Writes vectors for the projector, in the place of those that were there.

        Three files: `vectors.tsv`, `metadata.tsv` and `projector_config.pbtxt`, which names them.

        Args:
            vectors: (N, D).
            labels: N words each, to colour and search the vectors by; two kinds at least,
                because one would be taken for a file without a head.

        Raises:
            ValueError: there are too few kinds of labels, or not one of each for each vector.
        """
        if len(labels) < 2 or any(len(words) != len(vectors) for words in labels.values()):
            raise ValueError(
                f"{len(vectors)} vectors need two kinds of labels and as many of each; received "
                f"{ {name: len(words) for name, words in labels.items()} }."
            )
        lines = ("\t".join(f"{value:.6g}" for value in vector) for vector in vectors)
        files.write_text(self._folder / "vectors.tsv", "".join(f"{line}\n" for line in lines))
        table = [labels.keys(), *zip(*labels.values())]
        # A label with a tab or an end of line in it would be two.
        rows = ("\t".join(" ".join(word.split()) for word in row) for row in table)
        files.write_text(self._folder / "metadata.tsv", "".join(f"{row}\n" for row in rows))
        files.write_text(self._folder / PROJECTOR, _PROJECTOR_TEXT)

    def close(self) -> None:
        """Finishes the file."""
        self._writer.close()

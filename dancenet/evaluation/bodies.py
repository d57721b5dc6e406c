"""Draws dances at the full frame rate, and compares their figures with real ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from dancenet.evaluation.dances import DrawnDances
from dancenet.evaluation.real import RealDances
from dancenet.metrics.bodies.body_fit import Sizes
from dancenet.metrics.bodies.critic import critic_auc, halves
from dancenet.metrics.bodies.scores import FIT_STRIDE, BodyReference, BodyScores
from dancenet.metrics.figure import MASK
from dancenet.metrics.measures import Values, evenly
from dancenet.support import terminal

MODEL_SECONDS = 40.0  # part of a dance of the model whose figures are compared
REFERENCE_SECONDS = 15.0  # part of a reference's dance
MAX_TRAINING_FRAMES = 15_000  # most real figures that others are compared with
MAX_HELD_OUT_FRAMES = 5_000
SIZE_FRAMES = 120  # held-out frames that say how large a body is
_PIECE_SECONDS = 20.0  # of a longer training run, where not all are taken
_BATCH = 64  # pictures drawn at once


class Misfit(NamedTuple):
    """How well a body fits a frame of the model; the worst comes first."""

    iou: float
    dance: int  # in the order they were measured
    frame: int


@dataclass(frozen=True)
class BodyMeasures:
    """Measures the figures of dances, and how dances move in the eyes of a critic."""

    data: RealDances
    fps: float
    reference: BodyReference
    held_out: list[BodyScores]  # the figures of the held-out dances
    sizes: Sizes  # of bodies in the held-out dances
    misfits: list[Misfit] = field(default_factory=list)  # of the model's dances measured so far

    @classmethod
    def prepare(cls, data: RealDances) -> BodyMeasures:
        """Looks at the real pictures."""
        fps = data.statistics.fps
        train = choose_runs(data.train, MAX_TRAINING_FRAMES, round(_PIECE_SECONDS * fps))
        held_out = choose_runs(data.held_out, MAX_HELD_OUT_FRAMES, round(_PIECE_SECONDS * fps))
        sizes = Sizes.of(_some_masks(data))
        total = sum(map(len, train)) + sum(map(len, held_out))
        with terminal.progress(total=total, description="Real figures") as bar:

            def look(rows: range, fit: Sizes | None = None) -> BodyScores:
                scores = BodyScores.of(data.scene.real(rows), fit)
                bar.update(len(rows))
                return scores

            seen = [look(rows) for rows in train], [look(rows, sizes) for rows in held_out]
        return cls(data, fps, BodyReference.fit(*seen, fps), seen[1], sizes)

    def measure_real(self, seed: int) -> Values:
        """Measures the held-out dances, which the critic compares with each other."""
        train, held_out = halves(self.data.train_runs), halves(self.data.held_out_runs)
        auc = critic_auc((train[0], held_out[0]), (train[1], held_out[1]), seed)
        return {**self.reference.measure(self.held_out, self.fps), "critic": auc}

    def measure(self, made: DrawnDances, seed: int, is_model: bool) -> Values:
        """Measures dances: the figures of the first, the motion of all.

        Args:
            made: the dances of a model or a reference.
            seed: of the critic.
            is_model: they are the model's, of which more figures are drawn.
        """
        ours = halves([run for run in made.sample.runs if len(run) > 2])
        real = self.data.train_runs, self.data.held_out_runs
        auc = critic_auc((real[0], ours[0]), (real[1], ours[1]), seed)
        seconds = MODEL_SECONDS if is_model else REFERENCE_SECONDS
        figures = list(_figures(made, round(seconds * self.fps), self.sizes))
        if is_model:
            dance = self.misfits[-1].dance + 1 if self.misfits else 0
            self.misfits.extend(
                Misfit(float(iou), dance, FIT_STRIDE * number)
                for number, iou in enumerate(figures[0].fits if figures else ())
            )
        return {**self.reference.measure(figures, self.fps), "critic": auc}


def choose_runs(runs: Sequence[range], most: int, piece: int) -> list[range]:
    """Takes runs whole, or evenly spread pieces of them if they have more than `most` frames."""
    if sum(map(len, runs)) <= most:
        return list(runs)
    pieces = [rows[first : first + piece] for rows in runs for first in range(0, len(rows), piece)]
    count = max(1, most // piece)
    return [pieces[index * len(pieces) // count] for index in range(min(count, len(pieces)))]


def _some_masks(data: RealDances) -> np.ndarray:
    """Returns held-out figures (B, H, W), chosen evenly."""
    rows = np.concatenate([np.arange(part.start, part.stop) for part in data.held_out])
    rows = evenly(rows, min(len(rows), SIZE_FRAMES))
    pictures = [picture for row in rows for picture in data.scene.real(range(row, row + 1))]
    return np.concatenate(pictures) < MASK


def _figures(made: DrawnDances, most: int, sizes: Sizes) -> Iterator[BodyScores]:
    """Yields the figures of the first `most` frames of the first dance, run by run."""
    begin = 0
    for run in made.sample.dances[0]:
        stop = min(begin + len(run), most)
        if stop - begin > 1:
            yield BodyScores.of(_pictures(made, range(begin, stop), run), sizes)
        begin += len(run)
        if begin >= most:
            return


def _pictures(made: DrawnDances, rows: range, run: np.ndarray) -> Iterator[np.ndarray]:
    if not np.ptp(run, axis=0).any():  # a held picture is drawn only once
        picture = made.draw(range(rows.start, rows.start + 1))
        for first in range(0, len(rows), _BATCH):
            yield np.repeat(picture, min(_BATCH, len(rows) - first), axis=0)
        return
    for first in range(0, len(rows), _BATCH):
        yield made.draw(rows[first : first + _BATCH])

"""What TensorBoard shows of a dancer beside its loss: its mixtures, its paths, its vectors.

A mixture can fail in ways that the loss hardly shows: one component does all the work, or sigma
lies on its floor. Every epoch the same held-out windows, without noise, are asked about that; at
the end real vectors and those of dances are laid beside each other in the projector.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from dancenet.nets.dancer import DancerTrainer, mean_prediction, path_jerk, split_params
from dancenet.nets.training.logs import TensorBoardLog
from dancenet.nets.training.loop import spread
from dancenet.nets.training.windows import SEED_SECONDS, WindowData
from dancenet.sequence.generate import StepModel, generate
from dancenet.sequence.mixture import Mixture, entropy, responsibilities

_WINDOWS = 64  # of those held out, which are measured
_BATCH = 8  # windows; each vector of K = 32 components and D = 169 dimensions has 43 kB
_POINTS = 1000  # real vectors in the projector, and as many generated ones
_DANCES = 10
_DANCE_SECONDS = 20.0

DESCRIPTIONS = {
    "loss": "Nats per dimension in training; below zero is no bug. (Of a regression, with "
    "--head mse: mean square error in squared usual steps.)",
    "val_loss": "The same on what is held out.",
    "jerk": "Mean square second difference of the predicted path in training, in usual steps.",
    "objective": "What is minimised: the loss and the weighted jerk.",
    "gradient_norm": "Norm of the gradient of all weights before it is clipped, mean of the epoch.",
    "gradient_norm_max": "The largest of the epoch.",
    "mixture/entropy": "How undecided the choice of a component is, nats; 0 is always the same.",
    "mixture/entropy_share": "The entropy over log K, which is that of components all alike.",
    "mixture/components_used": "exp of the entropy of the shares that components win.",
    "mixture/sigma_05": "5 % of the winners' sigmas are smaller; in usual steps.",
    "mixture/sigma_50": "Half of the winners' sigmas are smaller; in usual steps.",
    "mixture/sigma_95": "95 % of the winners' sigmas are smaller; in usual steps.",
    "path/jerk": "Mean square second difference of the predicted path, in usual steps.",
    "path/jerk_real": "The same of the real path.",
}
WON = "Share of the held-out vectors for which this component was the most probable one."


@dataclass(frozen=True)
class Stretch:
    """Real vectors that follow each other, and what is known of them."""

    rows: range
    kind: str  # "training" or "held out"
    source: str  # the clip they are of
    style: str = ""


def mixture_figures(
    trainer: DancerTrainer, data: WindowData, windows: np.ndarray, usual_step: np.ndarray
) -> dict[str, float]:
    """Measures the mixtures that a dancer foretells real vectors with.

    Args:
        trainer: the dancer.
        data: real vectors.
        windows: (N, 2), from `WindowData.windows`.
        usual_step: (D,), the unit of sigma and of the jerk, as of `dance_data.fit_step_scale`.

    Returns:
        Figures by the names of `DESCRIPTIONS`, and `won/00`, `won/01`, …, the share of all vectors
        for which each component was the most probable one. Without a share of the entropy if there
        is one component only.
    """
    num_mixtures, dim = trainer.num_mixtures, len(usual_step)
    undecided, winners, sigmas = [], [], []
    jerks, counts = np.zeros(2), 0.0
    for first in range(0, len(windows), _BATCH):
        batch = data.still(windows[first : first + _BATCH])
        params, mask = trainer.predict_on_batch(batch), batch["mask"]
        kept = mask > 0
        mixture = Mixture(
            *(
                keras.ops.convert_to_numpy(part)
                for part in split_params(params[kept], dim, num_mixtures)
            )
        )
        winner = responsibilities(mixture, batch["targets"][kept]).argmax(axis=1)
        undecided.append(entropy(mixture.pi_logits))
        winners.append(winner)
        sigmas.append(mixture.sigma[np.arange(len(winner)), winner] / usual_step)
        count = float((mask[:, 2:] * mask[:, 1:-1] * mask[:, :-2]).sum())
        paths = (mean_prediction(params, dim, num_mixtures), batch["targets"])
        jerks += [
            count * float(keras.ops.convert_to_numpy(path_jerk(path, mask, usual_step)))
            for path in paths
        ]
        counts += count
    nats = float(np.concatenate(undecided).mean(dtype=np.float64))
    shares = np.bincount(np.concatenate(winners), minlength=num_mixtures)
    shares = shares / shares.sum()
    low, middle, high = np.quantile(np.concatenate(sigmas), (0.05, 0.5, 0.95))
    won = shares[shares > 0]
    figures = {
        "mixture/entropy": nats,
        "mixture/components_used": float(np.exp(-(won * np.log(won)).sum())),
        "mixture/sigma_05": float(low),
        "mixture/sigma_50": float(middle),
        "mixture/sigma_95": float(high),
        "path/jerk": float(jerks[0] / max(counts, 1.0)),
        "path/jerk_real": float(jerks[1] / max(counts, 1.0)),
        **{f"won/{index:02d}": float(share) for index, share in enumerate(shares)},
    }
    if num_mixtures > 1:
        figures["mixture/entropy_share"] = nats / math.log(num_mixtures)
    return figures


class DancerBoard:
    """TensorBoard of a dancer's training.

    Args:
        folder: where to.
        trainer: the dancer that is trained.
        data: real vectors.
        windows: (N, 2), held out; some of them are measured after every epoch.
        usual_step: (D,), as of `dance_data.fit_step_scale`.

    Raises:
        MissingExtra: tensorboard is not installed.
    """

    def __init__(
        self,
        folder: Path,
        trainer: DancerTrainer,
        data: WindowData,
        windows: np.ndarray,
        usual_step: np.ndarray,
    ) -> None:
        won = {f"won/{index:02d}": WON for index in range(trainer.num_mixtures)}
        self._log = TensorBoardLog(folder, {**DESCRIPTIONS, **won})
        self._trainer = trainer
        self._data = data
        self._windows = spread(windows, _WINDOWS)
        self._usual_step = usual_step

    def add(self, record: dict[str, float]) -> None:
        """Adds one epoch's record, and what the mixtures look like after it."""
        figures = mixture_figures(self._trainer, self._data, self._windows, self._usual_step)
        self._log.add({**record, **figures})

    def project(
        self,
        vectors: np.ndarray,
        stretches: Sequence[Stretch],
        step_model: StepModel,
        temperature: float,
        fps: float,
        styles: np.ndarray | None = None,
    ) -> None:
        """Lays real vectors and those of dances that go on from them side by side.

        Each has the labels `kind` (that of its stretch, or "generated"), `source`, `style` and
        `second`: of the clip, or since the dance began.

        Args:
            vectors: (T, D) in model units.
            stretches: rows of them.
            step_model: the dancer.
            temperature: of the sampling.
            fps: frames per second.
            styles: (T, S) weights of the styles of the rows; each dance is in that of its stretch.
        """
        points = [
            (vectors[row], stretch.kind, stretch, (row - stretch.rows.start) / fps)
            for stretch in stretches
            for row in stretch.rows
        ]
        points = [points[index] for index in _evenly(len(points), _POINTS)]
        length = min(max(1, round(SEED_SECONDS * fps)), max(len(s.rows) for s in stretches))
        enough = [stretch for stretch in stretches if len(stretch.rows) >= length]
        begun = [enough[index] for index in _evenly(len(enough), _DANCES)]
        seeds = np.stack([vectors[s.rows.start : s.rows.start + length] for s in begun])
        rngs = np.random.default_rng(0).spawn(len(begun))
        style = None if styles is None else styles[[stretch.rows.start for stretch in begun]]
        num_frames = round(_DANCE_SECONDS * fps)
        dances = list(generate(step_model, seeds, num_frames, rngs, temperature, style=style))
        made = [
            (vector, "generated", stretch, frame / fps)
            for frame, moment in enumerate(dances)
            for vector, stretch in zip(moment, begun)
        ]
        points += [made[index] for index in _evenly(len(made), _POINTS)]
        self._log.add_vectors(
            np.stack([vector for vector, *_ in points]),
            {
                "kind": [kind for _, kind, _, _ in points],
                "source": [stretch.source for _, _, stretch, _ in points],
                "style": [stretch.style for _, _, stretch, _ in points],
                "second": [f"{second:.2f}" for *_, second in points],
            },
        )

    def close(self) -> None:
        """Finishes the file."""
        self._log.close()


def _evenly(length: int, count: int) -> np.ndarray:
    """Returns at most `count` of the numbers below `length`, from first to last evenly."""
    return spread(np.arange(length), count)

"""TensorBoard logs of a training; of a dancer also its mixtures, its paths and its vectors.

A mixture can fail in ways that the loss hardly shows: one component wins everywhere, or sigma
stays at its floor. So the same held-out windows, without noise, are measured after every epoch; at
the end real and generated vectors are written for the projector.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dancenet.nets.dancer import split_params
from dancenet.nets.dancer_trainer import DancerTrainer, mean_prediction, path_jerk
from dancenet.nets.training.statistics import SEED_SECONDS, spread
from dancenet.nets.training.windows import WindowData
from dancenet.sequence.generate import StepModel, generate
from dancenet.sequence.mixture import Mixture, entropy, responsibilities
from dancenet.support import errors, files, terminal
from dancenet.support.names import quoted
from dancenet.support.wording import option

PROJECTOR = "projector_config.pbtxt"  # the name that TensorBoard looks for

_PROJECTOR_TEXT = """embeddings {
  tensor_name: "vectors"
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
}
"""
_WINDOWS = 64  # held-out windows to measure
_BATCH = 8  # windows; a mixture of K = 32 components and D = 169 dimensions has 43 kB
_POINTS = 1000  # real vectors in the projector, and as many generated ones
_ROLLOUTS = 10
_ROLLOUT_SECONDS = 20.0

DESCRIPTIONS = {
    "loss": "Nats per dimension in training; a value below zero is not a bug. (With the head "
    "'mse': mean square error in squared RMS steps.)",
    "val_loss": "The same on held-out windows.",
    "jerk": "Mean square second difference of the predicted path in training, in RMS steps.",
    "objective": "The sum that is minimised: the loss and the weighted jerk.",
    "gradient_norm": "Norm of the gradient of all weights before clipping, mean of the epoch.",
    "gradient_norm_max": "The same, maximum of the epoch.",
    "mixture/entropy": "Entropy of the mixture weights, in nats; 0 if one component has all.",
    "mixture/entropy_share": "Entropy divided by log K, its value for equal weights.",
    "mixture/components_used": "exp of the entropy of the shares of vectors that components win.",
    "mixture/sigma_05": "5 % quantile of the winners' sigma, in RMS steps.",
    "mixture/sigma_50": "Median of the winners' sigma, in RMS steps.",
    "mixture/sigma_95": "95 % quantile of the winners' sigma, in RMS steps.",
    "path/jerk": "Mean square second difference of the predicted path, in RMS steps.",
    "path/jerk_real": "The same for the real path.",
}
WON = "Share of the held-out vectors for which this component is the most probable one."


@dataclass(frozen=True)
class SourceClip:
    """Consecutive real vectors and their labels."""

    rows: range
    kind: str  # "training" or "held out"
    source: str  # file name
    style: str = ""


def mixture_figures(
    trainer: DancerTrainer, data: WindowData, windows: np.ndarray, rms_step: np.ndarray
) -> dict[str, float]:
    """Measures the mixtures that a dancer predicts for real vectors.

    Args:
        trainer: the dancer.
        data: real vectors.
        windows: (N, 2), from `WindowData.windows`.
        rms_step: (D,), the unit of sigma and of the jerk; see `statistics.fit_step_scale`.

    Returns:
        Metrics by the names of `DESCRIPTIONS`, and `won/00`, `won/01`, …, the share of all vectors
        for which each component is the most probable one. No `entropy_share` if K = 1.
    """
    num_mixtures, dim = trainer.num_mixtures, len(rms_step)
    entropies, winners, sigmas = [], [], []
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
        entropies.append(entropy(mixture.pi_logits))
        winners.append(winner)
        sigmas.append(mixture.sigma[np.arange(len(winner)), winner] / rms_step)
        count = float((mask[:, 2:] * mask[:, 1:-1] * mask[:, :-2]).sum())
        paths = (mean_prediction(params, dim, num_mixtures), batch["targets"])
        jerks += [
            count * float(keras.ops.convert_to_numpy(path_jerk(path, mask, rms_step)))
            for path in paths
        ]
        counts += count
    nats = float(np.concatenate(entropies).mean(dtype=np.float64))
    shares = np.bincount(np.concatenate(winners), minlength=num_mixtures)
    shares = shares / shares.sum()
    low, middle, high = np.quantile(np.concatenate(sigmas), (0.05, 0.5, 0.95))
    won = shares[shares > 0]
    metrics = {
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
        metrics["mixture/entropy_share"] = nats / math.log(num_mixtures)
    return metrics


class TensorBoardLog:
    """Writes metrics and vectors for TensorBoard, without TensorFlow, and prints how to open it.

    Args:
        folder: for `tensorboard --logdir`, which also takes any folder above it.
        descriptions: a sentence for each metric, by its name, shown beside the curve.

    Raises:
        MissingExtra: tensorboard is not installed.
    """

    def __init__(self, folder: Path, descriptions: Mapping[str, str] | None = None) -> None:
        try:
            from tensorboard.summary import Writer
        except ImportError as error:
            raise errors.why_not_imported(error, option("tensorboard"), "train") from error
        self._writer: Any = Writer(str(folder))
        self._folder = folder
        self._descriptions = dict(descriptions or {})
        terminal.say(
            f"Watch the training with `tensorboard --logdir {quoted(folder)}`: it prints "
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
        """Writes vectors for the projector, and replaces earlier ones.

        Three files: `vectors.tsv`, `metadata.tsv` and `projector_config.pbtxt`, which names them.

        Args:
            vectors: (N, D).
            labels: N words each, to colour and search the vectors by; at least two kinds, because
                TensorBoard takes a file with one column for one without a header.

        Raises:
            ValueError: there are fewer than two kinds of labels, or not N of each.
        """
        if len(labels) < 2 or any(len(words) != len(vectors) for words in labels.values()):
            raise ValueError(
                f"{len(vectors)} vectors need two kinds of labels and as many of each; received "
                f"{ {name: len(words) for name, words in labels.items()} }."
            )
        lines = ("\t".join(f"{value:.6g}" for value in vector) for vector in vectors)
        files.write_text(self._folder / "vectors.tsv", "".join(f"{line}\n" for line in lines))
        table = [labels.keys(), *zip(*labels.values())]
        # A tab or a line end would split a label in two.
        rows = ("\t".join(" ".join(word.split()) for word in row) for row in table)
        files.write_text(self._folder / "metadata.tsv", "".join(f"{row}\n" for row in rows))
        files.write_text(self._folder / PROJECTOR, _PROJECTOR_TEXT)

    def close(self) -> None:
        """Finishes the file."""
        self._writer.close()


class DancerTensorBoard:
    """TensorBoard logs of a dancer's training.

    Args:
        folder: of the logs.
        trainer: the dancer in training.
        data: real vectors.
        windows: (N, 2), held out; some of them are measured after every epoch.
        rms_step: (D,), see `statistics.fit_step_scale`.

    Raises:
        MissingExtra: tensorboard is not installed.
    """

    def __init__(
        self,
        folder: Path,
        trainer: DancerTrainer,
        data: WindowData,
        windows: np.ndarray,
        rms_step: np.ndarray,
    ) -> None:
        won = {f"won/{index:02d}": WON for index in range(trainer.num_mixtures)}
        self._log = TensorBoardLog(folder, {**DESCRIPTIONS, **won})
        self._trainer = trainer
        self._data = data
        self._windows = spread(windows, _WINDOWS)
        self._rms_step = rms_step

    def add(self, record: dict[str, float]) -> None:
        """Adds one epoch's record, and the measures of the mixtures after it."""
        metrics = mixture_figures(self._trainer, self._data, self._windows, self._rms_step)
        self._log.add({**record, **metrics})

    def project(
        self,
        vectors: np.ndarray,
        clips: Sequence[SourceClip],
        step_model: StepModel,
        temperature: float,
        fps: float,
        styles: np.ndarray | None = None,
    ) -> None:
        """Writes real vectors, and vectors generated from them, for the projector.

        Each has the labels `kind` (of its clip, or "generated"), `source`, `style` and `second`,
        from the start of the clip or of the generation.

        Args:
            vectors: (T, D) in model units.
            clips: rows of them, with labels.
            step_model: the dancer.
            temperature: of the sampling.
            fps: frames per second.
            styles: (T, S) weights of the styles of the rows; each rollout keeps the style of its
                seed clip.
        """
        points = [
            (vectors[row], clip.kind, clip, (row - clip.rows.start) / fps)
            for clip in clips
            for row in clip.rows
        ]
        points = [points[index] for index in _evenly(len(points), _POINTS)]
        length = min(max(1, round(SEED_SECONDS * fps)), max(len(clip.rows) for clip in clips))
        enough = [clip for clip in clips if len(clip.rows) >= length]
        begun = [enough[index] for index in _evenly(len(enough), _ROLLOUTS)]
        seeds = np.stack([vectors[clip.rows.start : clip.rows.start + length] for clip in begun])
        rngs = np.random.default_rng(0).spawn(len(begun))
        style = None if styles is None else styles[[clip.rows.start for clip in begun]]
        num_frames = round(_ROLLOUT_SECONDS * fps)
        rollouts = list(generate(step_model, seeds, num_frames, rngs, temperature, style=style))
        made = [
            (vector, "generated", clip, frame / fps)
            for frame, moment in enumerate(rollouts)
            for vector, clip in zip(moment, begun)
        ]
        points += [made[index] for index in _evenly(len(made), _POINTS)]
        self._log.add_vectors(
            np.stack([vector for vector, *_ in points]),
            {
                "kind": [kind for _, kind, _, _ in points],
                "source": [clip.source for _, _, clip, _ in points],
                "style": [clip.style for _, _, clip, _ in points],
                "second": [f"{second:.2f}" for *_, second in points],
            },
        )

    def close(self) -> None:
        """Finishes the file."""
        self._log.close()


def _evenly(length: int, count: int) -> np.ndarray:
    """Returns at most `count` of the numbers below `length`, from first to last evenly."""
    return spread(np.arange(length), count)

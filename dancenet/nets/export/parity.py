"""What a model computes in Keras, to hold against it what was exported for others."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np

from dancenet.codecs.base import Scaler
from dancenet.codecs.skeleton import Placement, SkeletonCodec
from dancenet.model.config import SKELETON, ModelConfig
from dancenet.model.folder import CODEC, DANCER_WEIGHTS, SCALER, SEEDS, VAE_WEIGHTS, ModelFolder
from dancenet.nets.dancer import DancerNetwork, KerasStepModel, load_dancer
from dancenet.nets.export.onnx import (
    ParityError,
    read_seeds,
    trial_frames,
    trial_latents,
    trial_styles,
    trial_vectors,
)
from dancenet.nets.vae import _LOG_VAR_RANGE, load_vae
from dancenet.sequence.generate import State
from dancenet.sequence.mixture import Mixture
from dancenet.support.errors import UserError

_BATCH = 16


@dataclass(frozen=True)
class Networks:
    """A trained model in Keras, as much of it as there is."""

    folder: ModelFolder
    config: ModelConfig
    vae: tuple[keras.Model, keras.Model] | None  # encoder and decoder
    dancer: DancerNetwork | None
    scaler: Scaler | None  # with the dancer, if it has been fitted
    seeds: np.ndarray | None  # (N, S, D) real stretches in model units, likewise
    codec: SkeletonCodec | None = None  # likewise, of a dancer of joints, which has no scaler

    @classmethod
    def load(cls, folder: ModelFolder, parts: Sequence[str]) -> Networks:
        """Reads a model's weights.

        Args:
            folder: the model.
            parts: which networks, "vae" and "dancer".

        Raises:
            UserError: a file is missing, or does not fit the others.
        """
        config, pictures, motion = folder.read_config(), None, None
        scaler, seeds, codec = None, None, None
        if "vae" in parts:
            if config.vae is None:
                raise UserError(f"The model {folder.path} has no picture network.")
            pictures = load_vae(
                config.vae, folder.require(VAE_WEIGHTS, "python scripts/train_vae.py")
            )
        if "dancer" in parts:
            if config.dancer is None:
                raise UserError(f"The model {folder.path} has no dancer in its configuration.")
            motion = load_dancer(
                config.dancer, folder.require(DANCER_WEIGHTS, "python scripts/train_dancer.py")
            )
            if config.space == SKELETON:
                codec = SkeletonCodec.load(folder.require(CODEC, "python scripts/train_dancer.py"))
            elif (folder / SCALER).exists():
                scaler = Scaler.load(folder / SCALER)
            if (folder / SEEDS).exists():
                seeds = read_seeds(folder)
            widths = {
                SCALER: config.dancer.dim if scaler is None else scaler.dim,
                CODEC: config.dancer.dim if codec is None else codec.dim,
                SEEDS: config.dancer.dim if seeds is None else seeds.shape[-1],
            }
            for name, dim in widths.items():
                if dim != config.dancer.dim:
                    raise UserError(
                        f"The files of {folder.path} do not belong together: the dancer has "
                        f"{config.dancer.dim} dimensions and {name} {dim}."
                    )
            if (
                scaler is not None
                and config.vae is not None
                and scaler.latent_dim != config.vae.latent_dim
            ):
                raise UserError(
                    f"The files of {folder.path} do not belong together: the picture network has "
                    f"{config.vae.latent_dim} dimensions and {SCALER} {scaler.latent_dim}."
                )
        return cls(folder, config, pictures, motion, scaler, seeds, codec)

    @cached_property
    def frames(self) -> np.ndarray:
        """(B, H, W) background probability to try an encoder on: what the decoder makes, discs, noise."""
        assert self.vae is not None and self.config.vae is not None
        return np.concatenate([self.decode(self.latents), trial_frames(self.config.vae)[..., 0]])

    @cached_property
    def latents(self) -> np.ndarray:
        """(B, L) to try a decoder on: from the prior, and real ones if there are any."""
        assert self.config.vae is not None
        return trial_latents(self.folder, self.config.vae)

    @cached_property
    def walk(self) -> np.ndarray:
        """(S, B, D) in model units to try a step on: real stretches if any, and noise."""
        assert self.config.dancer is not None
        return trial_vectors(self.folder, self.config.dancer)

    def encode(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Takes background probability (B, H, W); returns `z_mean` and `z_log_var`, as trained."""
        assert self.vae is not None
        z_mean, z_log_var = _predict(self.vae[0], frames[..., None])
        return z_mean, np.clip(z_log_var, *_LOG_VAR_RANGE)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Takes latents (B, L); returns background probability (B, H, W)."""
        assert self.vae is not None
        return _predict(self.vae[1], latents)[0][..., 0]

    @cached_property
    def joints(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What `walk` is on a stage: placements (B, 3), joints (B, S, J, C), and placements after.

        See `tensorflow_graphs.Joints`.
        """
        assert self.codec is not None
        rng = np.random.default_rng(0)
        stages = rng.uniform(-3, 3, (self.walk.shape[1], 3)).astype(np.float32)
        joints, after = [], []
        for vectors, (heading, *place) in zip(self.walk.swapaxes(0, 1), stages.tolist()):
            start = Placement(heading, tuple(place[: 1 if self.codec.is_flat else 2]))
            positions, end = self.codec.continue_from(vectors, start)
            joints.append(positions)
            if self.codec.is_flat:
                end = Placement(heading, (*end.place, place[1]))
            after.append([end.heading, *end.place])
        return stages, np.stack(joints), np.array(after, np.float32)

    @property
    def usual_step(self) -> np.ndarray:
        """(D,) root mean square of the steps of the model's real stretches, in model units."""
        if self.seeds is not None and self.seeds.shape[1] > 1:
            return np.sqrt(np.square(np.diff(self.seeds, axis=1)).mean((0, 1)))
        assert self.dancer is not None
        return self.dancer.step_scale

    @property
    def state_names(self) -> list[str]:
        """The names of the dancer's state in order; see `DancerConfig.state_widths`."""
        assert self.config.dancer is not None
        return list(self.config.dancer.state_widths)

    def first_state(self, batch: int) -> dict[str, np.ndarray]:
        """Returns the state that the steps below begin with, by name, styles to try in it."""
        assert self.config.dancer is not None
        style = trial_styles(self.config.dancer, batch)
        return dict(zip(self.state_names, self.step_model.initial_state(batch, style)))

    @cached_property
    def step_model(self) -> KerasStepModel:
        """The dancer, one step at a time."""
        assert self.dancer is not None
        return KerasStepModel(self.dancer)

    @cached_property
    def steps(self) -> list[tuple[Mixture, State]]:
        """What the dancer gives for each vector of `walk`, its state carried."""
        state, given = tuple(self.first_state(self.walk.shape[1]).values()), []
        for vectors in self.walk:
            mixture, state = self.step_model.step(vectors, state)
            given.append((mixture, state))
        return given


@dataclass(frozen=True)
class Comparison:
    """One exported function beside Keras."""

    name: str  # of the file or signature
    size_bytes: int | None  # None where it is one of many in a file
    error: float  # largest difference, of outputs above 1 as a share of the output's largest value
    limit: float  # what the error may be
    effect: str  # what the difference does, in words, "" if nothing was measured
    milliseconds: float
    keras_milliseconds: float
    fits: bool = True  # the effect is within its own limit

    @property
    def passed(self) -> bool:
        """True if error and effect are within their limits."""
        return self.fits and math.isfinite(self.error) and self.error <= self.limit


def _predict(model: keras.Model, inputs: np.ndarray) -> list[np.ndarray]:
    """Runs a model on one input, or on any number in batches of one size: each size is compiled."""
    size = min(len(inputs), _BATCH)
    given = []
    for first in range(0, len(inputs), size):
        batch = inputs[first : first + size]
        filler = np.zeros((size - len(batch), *batch.shape[1:]), batch.dtype)
        outputs = model.predict_on_batch(np.concatenate([batch, filler]))
        outputs = outputs if isinstance(outputs, list) else [outputs]
        given.append([output[: len(batch)] for output in outputs])
    return [np.concatenate(parts) for parts in zip(*given)]


def largest_difference(expected: np.ndarray, received: np.ndarray) -> float:
    """Returns the largest difference; infinite where one is not finite or the shapes differ."""
    if expected.shape != received.shape:
        return float("inf")
    # NaN must not pass for equal.
    return float(np.nan_to_num(np.abs(expected - received), nan=np.inf, posinf=np.inf).max())


def largest_error(expected: np.ndarray, received: np.ndarray) -> float:
    """Returns the largest difference; of arrays that go beyond 1, as a share of their largest."""
    error = largest_difference(expected, received)
    return error / max(1.0, float(np.abs(expected).max()))


def outline_shift(expected: np.ndarray, received: np.ndarray) -> tuple[float, float]:
    """Measures how far the dancer's outline moved between two runs of pictures.

    Args:
        expected: (B, H, W) background probability.
        received: the same, slightly different.

    Returns:
        Pixels that changed sides for each pixel of the outline's length, which is how many pixels
        the outline moved on average; and the mean IoU of the dancers, 1 where there is none.
    """
    first, second = expected < 0.5, received < 0.5
    edges = (first[:, 1:] != first[:, :-1]).sum() + (first[:, :, 1:] != first[:, :, :-1]).sum()
    # A line of length 1 crosses 4 / pi edges between pixels on average over its directions.
    length = max(float(edges) * np.pi / 4, 1.0)
    union = (first | second).sum((1, 2))
    iou = np.where(union > 0, (first & second).sum((1, 2)) / np.maximum(union, 1), 1.0)
    return float((first != second).sum()) / length, float(iou.mean())


def nats_lost(expected: Mixture, received: Mixture, blur: np.ndarray | float = 0.0) -> float:
    """Returns what it costs to take one mixture for another, in nats per dimension.

    The mean over B of an upper bound of the Kullback-Leibler divergence of two mixtures with
    like components, by its chain rule (Cover and Thomas 2006, theorem 2.5.3):
    KL(pi || pi') + sum_k pi_k KL(N_k || N'_k).

    Args:
        expected: B mixtures.
        received: the same, slightly different.
        blur: deviation, (D,) or a number, of a Gaussian that both are convolved with first: where
            sigma is far below what can be seen, so is most of what differs.
    """
    log_pi, other_log_pi = (
        logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        for logits in (expected.pi_logits.astype(np.float64), received.pi_logits.astype(np.float64))
    )
    sigma, other_sigma = (
        np.hypot(value.astype(np.float64), blur) for value in (expected.sigma, received.sigma)
    )
    ratio = sigma / other_sigma
    shift = (expected.mu.astype(np.float64) - received.mu) / other_sigma
    gaussians = (-np.log(ratio) + (np.square(ratio) + np.square(shift) - 1) / 2).sum(2)
    costs = (np.exp(log_pi) * (log_pi - other_log_pi + gaussians)).sum(1)
    return float(costs.mean()) / expected.mu.shape[2]


def time_beside(
    ours: Callable[[], object], keras_call: Callable[[], object], rounds: int = 9
) -> tuple[float, float]:
    """Returns the median milliseconds of both, called in turn so that the load is shared."""
    taken: list[list[float]] = [[], []]
    for round_ in range(rounds + 1):
        for kept, call in zip(taken, (ours, keras_call)):
            start = time.perf_counter()
            call()
            if round_:  # the first call prepares
                kept.append((time.perf_counter() - start) * 1e3)
    return statistics.median(taken[0]), statistics.median(taken[1])


def format_comparisons(rows: Sequence[Comparison]) -> str:
    """Returns a table of size, error, what it does, and speed."""
    width = max(len(row.name) for row in rows)
    lines = [f"{'':{width}}  {'size':>9}  {'error':>7}  {'ms':>8}  {'Keras, ms':>9}"]
    for row in rows:
        size = "" if row.size_bytes is None else f"{row.size_bytes / 1e6:.2f} MB"
        words = row.effect if row.passed else f"{row.effect}: too much".lstrip(": ")
        lines.append(
            f"{row.name:{width}}  {size:>9}  {row.error:7.1e}  {row.milliseconds:8.2f}  "
            f"{row.keras_milliseconds:9.2f}  {words}".rstrip()
        )
    return "\n".join(lines)


def require_parity(rows: Iterable[Comparison]) -> None:
    """Raises ParityError with a table unless all passed."""
    failed = [row for row in rows if not row.passed]
    if failed:
        raise ParityError(
            "The exported networks do not compute what Keras computes, so they were not kept; the "
            "weights are as they were. This is a mistake in dancenet or a broken installation of "
            f"TensorFlow: please report it with this table.\n{format_comparisons(failed)}"
        )

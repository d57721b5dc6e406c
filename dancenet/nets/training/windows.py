"""What the motion network is trained on: windows of latents, never across a clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dancenet.codecs.base import Scaler, smooth
from dancenet.codecs.latents import Latents
from dancenet.data.mocap.recordings import Recordings
from dancenet.sequence.windows import WindowTable
from dancenet.support.errors import UserError

WARM_UP = 8  # first predictions of a window that do not count: they have seen too little
SEED_SECONDS = 2.0
MAX_SEEDS = 64
_MAX_SEED_BYTES = 1_900_000
_MOST_REPEATS = 4

_LOG_2PI_E = float(np.log(2.0 * np.pi) + 1.0)


@dataclass(frozen=True)
class BatchOptions:
    """What is done to a window before it is learned from."""

    look_back: int = 64  # T, vectors seen
    warm_up: int = WARM_UP  # predictions at the start of a window that do not count
    perturbation: float = 0.0  # largest standard deviation, in model units
    correction_rate: float = 0.0  # share of a displacement that each step takes back, in [0, 1]
    encoder_noise: float = 0.0  # share of the vectors' own deviation that is added to them
    noise_correlation: float = (
        0.0  # correlation of that noise from one vector to the next, in [0, 1)
    )
    style_dropout: float = 0.2  # share of windows whose style is not told

    def __post_init__(self) -> None:
        if not 0 <= self.correction_rate <= 1:
            raise ValueError(f"pull must be in [0, 1]; received {self.correction_rate}.")
        if not 0 <= self.noise_correlation < 1:
            raise ValueError(f"noise_memory must be in [0, 1); received {self.noise_correlation}.")
        for name in ("perturbation", "encoder_noise"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more; received {getattr(self, name)}.")


class WindowRows(NamedTuple):
    """What is in some windows, before anything is done to it."""

    vectors: np.ndarray  # (B, T + 1, D)
    deviation: np.ndarray | None = None  # (B, T + 1, L) where it was asked for


class WindowData:
    """Trajectories in model units, and batches of windows drawn from them.

    Args:
        vectors: (T, D) in model units.
        options: what is done to a window.
        deviation: (T, L), how uncertain each vector is, in the units that `to_model` turns; None
            for vectors without any.
        to_model: (L, D), from those units to model units.
        styles: (T, S) weights of the styles of each row; all zero where none is known.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        options: BatchOptions,
        deviation: np.ndarray | None = None,
        to_model: np.ndarray | None = None,
        styles: np.ndarray | None = None,
    ) -> None:
        self.options = options
        self.vectors = vectors
        self.styles = styles
        self._deviation = np.zeros_like(vectors) if deviation is None else deviation
        self._to_model = np.eye(vectors.shape[1], dtype=np.float32)
        if to_model is not None:
            self._to_model = to_model.astype(np.float32)

    @classmethod
    def of_latents(
        cls, latents: Latents, scaler: Scaler, options: BatchOptions, smoothing: float = 0.0
    ) -> WindowData:
        """Returns the windows of latents, which are as uncertain as their encoder was.

        Args:
            latents: of every frame.
            scaler: into model units; fitted on training clips.
            options: what is done to a window.
            smoothing: of latents over time, in frames; see `codecs.base.smooth`.
        """
        smoothed = smooth(latents.z_mean, latents.clips, smoothing)
        return cls(
            scaler.to_model(smoothed),
            options,
            np.exp(0.5 * latents.z_log_var),
            scaler.basis.T / scaler.scale,
        )

    def windows(
        self, clips: Sequence[range], stride: int, rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """Returns first rows and numbers of rows (N, 2) of the windows inside clips.

        A clip shorter than a window gives one that is shorter; a clip too short to have a
        prediction that counts gives none.

        Args:
            clips: row ranges.
            stride: rows between the starts of two windows of a clip.
            rng: moves the windows of each clip by less than a stride, so that over several
                calls every row has every place in a window; None starts with the first row.

        Raises:
            UserError: there is no window.
        """
        table = self._table(clips, stride, rng)
        return table.rows(np.arange(len(table)))

    def _table(
        self, clips: Sequence[range], stride: int, rng: np.random.Generator | None
    ) -> WindowTable:
        full = self.options.look_back + 1
        least = min(self.options.warm_up + 2, full)
        used: list[range] = []
        for clip in clips:
            if len(clip) >= least:
                room = len(clip) - min(full, len(clip)) + 1
                used.append(clip[0 if rng is None else int(rng.integers(min(stride, room))) :])
        if not used:
            longest = max((len(clip) for clip in clips), default=0)
            part = "held out to validate on" if rng is None else "to learn from"
            raise UserError(
                f"The clips are too short: the longest stretch {part} has {longest} frames, and "
                f"{least} are needed. Film longer clips."
            )
        return WindowTable(used, full, stride)

    def _balanced(self, table: WindowTable) -> WindowTable:
        styles = self._styles_of(table.first_of_clips())
        return table if styles is None else table.repeated(balance_styles(styles, table.counts))

    def count_windows(self, clips: Sequence[range], stride: int) -> int:
        """Returns how many windows a round of `batches` has, if they are not moved.

        Raises:
            UserError: there is no window.
        """
        return len(self._balanced(self._table(clips, stride, None)))

    def batches(
        self,
        clips: Sequence[range],
        stride: int,
        batch_size: int,
        num_steps: int,
        rng: np.random.Generator,
    ) -> Iterator[dict[str, np.ndarray]]:
        """Yields batches to train on: all windows in a random order, and again, moved.

        A round is `rng.permutation(self.windows(clips, stride, rng))`, and holds every window
        once, or more often if its clip has a style of which there is little (`balance_styles`);
        the style of a clip is that of its first window. What is left of a round is fewer than a
        batch and begins the next one, so that all batches have the same size.

        Args:
            clips: row ranges.
            stride: see `windows`.
            batch_size: B.
            num_steps: how many batches.
            rng: of the order, and of what `draw` does to each batch.

        Raises:
            UserError: there is no window.
        """
        left = np.zeros((0, 2), np.int64)
        while num_steps:
            table = self._balanced(self._table(clips, stride, rng))
            order = _Order(left, table, rng.permutation(len(table)))
            count = min(len(order) // batch_size, num_steps)
            noisy = self.options.encoder_noise > 0
            for windows, rows in self._read_batches(order.rows, batch_size, count, noisy):
                yield self._noisy_batch(windows, rows, rng)
            num_steps -= count
            # Where steps are left, this is less than a batch.
            left = order.rows(count * batch_size, len(order)) if num_steps else left

    def draw(self, windows: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Returns a batch to train on, with new noise.

        A dance feeds on its own vectors, and errors add up until it is between poses that no
        picture is known of. So each window is displaced as a whole, by a draw whose size is
        drawn, too, and its targets are the true steps, less a share of the displacement: what
        the network learns to take back is what it can see to be wrong, the way back to the
        poses it knows. A window keeps its displacement, because noise from frame to frame hides
        how fast the dancer moves, which is little next to where the dancer is.

        A little of such noise is needed all the same: without it a network trusts the speeds it
        sees, and a dance swings itself up. It has the shape of the encoder's own uncertainty and
        drifts: with a memory m it is a stationary AR(1) sequence, and the targets follow the mean
        of where it leads, m times what it was.

        Args:
            windows: (B, 2), from `windows`.
            rng: the source of randomness.

        Of some windows with a style it is kept from the network, which so learns to dance without
        being told one.

        Returns:
            `inputs` and `targets` (B, T, D), `mask` (B, T), and `style` (B, S) if there are any;
            all float32.
        """
        return self._noisy_batch(windows, self._read(windows, self.options.encoder_noise > 0), rng)

    def _noisy_batch(
        self, windows: np.ndarray, rows: WindowRows, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        options, vectors = self.options, rows.vectors
        shape = (len(vectors), 1, vectors.shape[2])
        size = rng.uniform(0.0, options.perturbation, (len(vectors), 1, 1)).astype(np.float32)
        off = rng.standard_normal(shape, dtype=np.float32) * size
        inputs = (vectors + off)[:, :-1]
        targets = vectors[:, 1:] + np.float32(1.0 - options.correction_rate) * off
        if rows.deviation is not None:
            noise = self._noise(rng, rows.deviation.shape)
            noise *= np.float32(options.encoder_noise) * rows.deviation
            drift = noise[:, :-1] @ self._to_model
            inputs = inputs + drift
            targets = targets + np.float32(options.noise_correlation) * drift
        batch = self._batch(windows, inputs, targets)
        if "style" in batch:
            told = rng.uniform(size=(len(vectors), 1)) >= options.style_dropout
            batch["style"] = batch["style"] * told.astype(np.float32)
        return batch

    def _noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Returns standard normal draws (B, T, N), correlated along T."""
        noise = rng.standard_normal(shape, dtype=np.float32)
        memory = np.float32(self.options.noise_correlation)
        if memory:
            noise[:, 1:] *= np.sqrt(1 - memory**2)
            for index in range(1, shape[1]):
                noise[:, index] += memory * noise[:, index - 1]
        return noise

    def still(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns a batch without any noise, for validation; see `draw`."""
        vectors = self._read(windows, noisy=False).vectors
        return self._batch(windows, vectors[:, :-1], vectors[:, 1:])

    def _read(self, windows: np.ndarray, noisy: bool) -> WindowRows:
        """Returns what is in windows (B, 2), with its deviation if it is to be noisy."""
        # What a short window lacks is filled with its last row, and masked.
        steps = np.minimum(np.arange(self.options.look_back + 1), windows[:, 1:] - 1)
        rows = windows[:, :1] + steps
        return WindowRows(self.vectors[rows], self._deviation[rows] if noisy else None)

    def _read_batches(
        self,
        order: Callable[[int, int], np.ndarray],
        batch_size: int,
        count: int,
        noisy: bool,
    ) -> Iterator[tuple[np.ndarray, WindowRows]]:
        """Yields windows (B, 2) and what is in them.

        Args:
            order: gives the windows from one place in their order to another, in any thread.
            batch_size: B.
            count: batches.
            noisy: see `_read`.
        """
        for first in range(0, count * batch_size, batch_size):
            windows = order(first, first + batch_size)
            yield windows, self._read(windows, noisy)

    def _styles_of(self, windows: np.ndarray) -> np.ndarray | None:
        """Returns the weights (B, S) of the styles of windows, if there are styles."""
        return None if self.styles is None else self.styles[windows[:, 0]]

    def _batch(
        self, windows: np.ndarray, inputs: np.ndarray, targets: np.ndarray
    ) -> dict[str, np.ndarray]:
        index = np.arange(inputs.shape[1])
        warm_up = min(self.options.warm_up, inputs.shape[1] - 1)
        mask = (index >= warm_up) & (index < windows[:, 1:] - 1)
        batch = {"inputs": inputs, "targets": targets, "mask": mask.astype(np.float32)}
        styles = self._styles_of(windows)
        if styles is not None:
            batch["style"] = styles
        return batch


@dataclass(frozen=True)
class _Order:
    """Windows in the order in which they are learned from: some, and those of a table, shuffled."""

    left: np.ndarray  # (L, 2)
    table: WindowTable
    numbers: np.ndarray  # (N,) of the table

    def __len__(self) -> int:
        return len(self.left) + len(self.numbers)

    def rows(self, first: int, last: int) -> np.ndarray:
        """Returns the windows from one place in the order to another, or to the end of it."""
        size = len(self.left)
        rest = self.table.rows(self.numbers[max(0, first - size) : max(0, last - size)])
        return np.concatenate([self.left[first:last], rest]) if first < size else rest


def balance_styles(styles: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns how often windows are shown, so that styles of which there is little are heard.

    With plain windows a style of ten seconds is hardly heard beside one of ten minutes. A style
    that has a share s of the windows of the commonest is shown 1 / sqrt(s) times, to the nearest
    whole number, and four times at most, for what is repeated too often is learnt by heart.

    Args:
        styles: (C, S) weights of the styles of each clip; all zero where none is known.
        counts: (C,) windows of each clip.

    Returns:
        (C,) int64, at least 1, for each window of a clip.
    """
    count = counts @ styles.astype(np.float64)  # (S,)
    times = np.clip(np.round(np.sqrt(count.max() / np.maximum(count, 1.0))), 1, _MOST_REPEATS)
    # A window without a style counts as the commonest.
    repeats = np.where(styles.any(axis=1), np.maximum(styles @ times, 1), 1)
    return repeats.round().astype(np.int64)


def rows_of(clips: Sequence[range]) -> np.ndarray:
    """Returns the row numbers (T,) of all clips."""
    return np.concatenate([np.zeros(0, np.int64), *(np.arange(c.start, c.stop) for c in clips)])


def fit_scaler(z_mean: np.ndarray, clips: Sequence[range], network: str, look_back: int) -> Scaler:
    """Fits the map into model units on the rows of some clips.

    Args:
        z_mean: (T, L).
        clips: the training clips.
        network: "lean" takes the principal components that move, each with unit variance;
            "dancenet" takes every dimension of the latent, standardised.
        look_back: with 1, "dancenet" has them in 0..1, as in 2018.
    """
    known = z_mean[rows_of(clips)]
    if network == "dancenet":
        return Scaler.fit_range(known) if look_back == 1 else Scaler.fit_columns(known)
    return Scaler.fit_pca(known)


def fit_step_scale(vectors: np.ndarray, clips: Sequence[range]) -> np.ndarray:
    """Returns the root mean square step (D,) from row to row inside clips, > 0."""
    steps = np.concatenate([np.diff(vectors[clip.start : clip.stop], axis=0) for clip in clips])
    scale = np.sqrt(np.mean(np.square(steps, dtype=np.float64), axis=0))
    # A dimension that stands still gets the step of one that hardly moves.
    return np.maximum(scale, max(1e-3 * float(scale.max()), 1e-6)).astype(np.float32)


def choose_seeds(
    vectors: np.ndarray, clips: Sequence[range], names: Sequence[str], fps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chooses real stretches to begin a dance from, spread evenly over all clips.

    Args:
        vectors: (T, D) in model units.
        clips: where to choose from.
        names: of the clips.
        fps: frames per second.

    Returns:
        (N, S, D) float32; N names, each the clip's with the second it begins at; and the first
        row (N,) of each. S is two seconds, or the longest clip if none is that long.
    """
    length = min(max(2, round(SEED_SECONDS * fps)), max(len(clip) for clip in clips))
    count = min(MAX_SEEDS, max(1, _MAX_SEED_BYTES // (length * vectors.shape[1] * 4)))
    pairs = [
        (start, f"{name} {(start - clip.start) / fps:.1f} s")
        for clip, name in zip(clips, names)
        for start in range(clip.start, clip.stop - length + 1, max(1, length // 2))
    ]
    chosen = np.unique(np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int))
    starts = np.array([pairs[index][0] for index in chosen])
    chosen_names = np.array([pairs[index][1] for index in chosen])
    return vectors[starts[:, None] + np.arange(length)], chosen_names, starts


def clip_names(material: Latents | Recordings, clips: Sequence[range]) -> list[str]:
    """Returns the sources of ranges that lie inside the clips of some material."""
    rows = material.rows if isinstance(material, Recordings) else material.clips
    return [
        next(
            source
            for whole, source in zip(rows, material.sources)
            if whole.start <= clip.start < whole.stop
        )
        for clip in clips
    ]


def baselines(
    vectors: np.ndarray, train_clips: Sequence[range], clips: Sequence[range]
) -> dict[str, float]:
    """Measures three dancers without a network, for scale.

    Each is one Gaussian for every dimension, fitted on training clips.

    Args:
        vectors: (T, D) in model units.
        train_clips: what they are fitted on.
        clips: what they are measured on.

    Returns:
        Nats per dimension: `pose`, the same Gaussian for every frame; `stay`, around the last
        vector; `repeat`, around the last vector plus the share of the last step, fitted for
        each dimension, that a next step usually is.
    """
    known = [vectors[clip.start : clip.stop].astype(np.float64) for clip in train_clips]
    asked = [vectors[clip.start : clip.stop].astype(np.float64) for clip in clips]
    mean = np.concatenate(known).mean(axis=0)

    def pairs(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        steps = [np.diff(part, axis=0) for part in parts if len(part) > 2]
        return (
            np.concatenate([step[:-1] for step in steps]),
            np.concatenate([step[1:] for step in steps]),
        )

    before, after = pairs(known)
    share = (before * after).sum(axis=0) / np.maximum((before**2).sum(axis=0), 1e-12)
    before_asked, after_asked = pairs(asked)
    return {
        "pose": _gaussian_nats(np.concatenate(known) - mean, np.concatenate(asked) - mean),
        "stay": _gaussian_nats(after, after_asked),
        "repeat": _gaussian_nats(after - share * before, after_asked - share * before_asked),
    }


def _gaussian_nats(known: np.ndarray, asked: np.ndarray) -> float:
    """Returns the mean loss of residuals (N, D) under N(0, mean square of `known`)."""
    variance = np.maximum(np.mean(known**2, axis=0), 1e-12)
    # 0.5 (log 2 pi + log variance + x^2 / variance), written around the entropy.
    excess = np.mean(asked**2, axis=0) / variance - 1.0
    return float(np.mean(0.5 * (_LOG_2PI_E + np.log(variance) + excess)))

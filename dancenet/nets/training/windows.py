"""Windows of trajectories that the dancer is trained on; a window never crosses clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dancenet.codecs.base import Scaler, smooth
from dancenet.codecs.latents import Latents
from dancenet.data.frames.clips import LEAST_ROWS
from dancenet.sequence.context import running_means
from dancenet.sequence.windows import WindowTable
from dancenet.support.errors import UserError

WARM_UP = LEAST_ROWS - 2  # first predictions of a window; their context is too short to count
_MOST_REPEATS = 4


@dataclass(frozen=True)
class BatchOptions:
    """Length of the windows, and the noise of training; without values, no noise."""

    look_back: int  # T, vectors seen
    warm_up: int = WARM_UP  # predictions at the start of a window that do not count
    perturbation: float = 0.0  # largest standard deviation, in model units
    correction_rate: float = 0.0  # share of a perturbation that each step undoes, in [0, 1]
    encoder_noise: float = 0.0  # noise, times the deviation of each vector
    noise_correlation: float = 0.0  # correlation from one vector to the next, in [0, 1)
    style_dropout: float = 0.2  # share of windows whose style is hidden from the network
    context: tuple[float, ...] = ()  # time constants of running means, in frames
    context_noise: float = 0.0  # largest standard deviation of a window's shift of its means

    def __post_init__(self) -> None:
        if not 0 <= self.correction_rate <= 1:
            raise ValueError(f"correction_rate must be in [0, 1]; received {self.correction_rate}.")
        if not 0 <= self.noise_correlation < 1:
            raise ValueError(
                f"noise_correlation must be in [0, 1); received {self.noise_correlation}."
            )
        for name in ("perturbation", "encoder_noise"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more; received {getattr(self, name)}.")


class WindowRows(NamedTuple):
    """The rows of some windows, without noise."""

    vectors: np.ndarray  # (B, T + 1, D)
    deviation: np.ndarray | None = None  # (B, T + 1, L), if noise is wanted
    context: np.ndarray | None = None  # (B, T + 1, C D), if there are running means


class WindowData:
    """Trajectories in model units, and batches of windows drawn from them.

    Args:
        vectors: (T, D) in model units.
        options: length and noise of the windows.
        deviation: (T, L) standard deviation of each vector, in the units that `to_model` converts;
            None for zero.
        to_model: (L, D), from these units to model units.
        styles: (T, S) weights of the styles of each row; all zero where none is known.
        clips: the rows of each clip, for the running means of `options.context`.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        options: BatchOptions,
        deviation: np.ndarray | None = None,
        to_model: np.ndarray | None = None,
        styles: np.ndarray | None = None,
        clips: Sequence[range] = (),
    ) -> None:
        self.options = options
        self.vectors = vectors
        self.styles = styles
        self._deviation = np.zeros_like(vectors) if deviation is None else deviation
        self._context: np.ndarray | None = None
        if options.context:
            self._context = np.zeros((len(vectors), len(options.context) * vectors.shape[1]), "f4")
            for clip in clips:
                rows = slice(clip.start, clip.stop)
                means = running_means(vectors[rows], options.context)
                self._context[rows] = means.reshape(len(clip), -1)
        self._to_model = np.eye(vectors.shape[1], dtype=np.float32)
        if to_model is not None:
            self._to_model = to_model.astype(np.float32)

    @classmethod
    def of_latents(
        cls, latents: Latents, scaler: Scaler, options: BatchOptions, smoothing: float = 0.0
    ) -> WindowData:
        """Returns the windows of latents, with the deviation of their encoder.

        Args:
            latents: of every frame.
            scaler: into model units; fitted on training clips.
            options: length and noise of the windows.
            smoothing: low-pass over time, in frames; see `codecs.base.smooth`.
        """
        smoothed = smooth(latents.z_mean, latents.clips, smoothing)
        return cls(
            scaler.to_model(smoothed),
            options,
            np.exp(0.5 * latents.z_log_var),
            scaler.basis.T / scaler.scale,
            clips=latents.clips,
        )

    def windows(
        self, clips: Sequence[range], stride: int, rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """Returns first rows and numbers of rows (N, 2) of the windows inside clips.

        A clip shorter than a window gives one shorter window; a clip too short to have a
        prediction that counts gives none.

        Args:
            clips: row ranges.
            stride: rows between the starts of two windows of a clip.
            rng: moves the windows of each clip by less than a stride, so that over several
                calls every row has every position in a window; None starts with the first row.

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
            part = "held out for validation" if rng is None else "to train on"
            raise UserError(
                f"The clips are too short: the longest part {part} has {longest} frames, and "
                f"{least} are needed. Film longer clips."
            )
        return WindowTable(used, full, stride)

    def _balanced(self, table: WindowTable) -> WindowTable:
        styles = self._styles_of(table.first_of_clips())
        return table if styles is None else table.repeated(balance_styles(styles, table.counts))

    def count_windows(self, clips: Sequence[range], stride: int) -> int:
        """Returns the number of windows in a round of `batches` that are not moved.

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
        once, or more often if its clip has a rare style (`balance_styles`); the style of a clip
        is the style of its first window. The rest of a round, less than a batch, begins the next
        one, so that all batches have the same size.

        Args:
            clips: row ranges.
            stride: see `windows`.
            batch_size: B.
            num_steps: how many batches.
            rng: draws the order, and the noise of each batch.

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
            # If steps are left, this is less than a batch.
            left = order.rows(count * batch_size, len(order)) if num_steps else left

    def draw(self, windows: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Returns a batch to train on, with new noise.

        In generation the network gets its own vectors as input, and errors accumulate. So each
        window is shifted as a whole, by a normal draw whose standard deviation is drawn
        uniformly, and its targets are the true steps minus a share of the shift
        (`correction_rate`): the network learns to return to the poses it knows. The shift is
        constant in a window, because independent noise in every frame would hide the velocity,
        which is small beside the position.

        A little noise over time is needed, too: without it the network trusts the velocity it
        sees, and generated motion oscillates with growing amplitude. This noise has the shape of
        the encoder's uncertainty; it is a stationary AR(1) sequence with the correlation m, and
        the targets follow its conditional mean, m times the last value.

        For a share of the windows the style is hidden (`style_dropout`), so that the network also
        learns to dance without one.

        Args:
            windows: (B, 2), from `windows`.
            rng: the source of randomness.

        Returns:
            `inputs` and `targets` (B, T, D), `mask` (B, T), and `context` (B, T, C D) and `style`
            (B, S) if there are any; all float32.
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
        context = rows.context
        if context is not None and options.context_noise:
            # Exact means would tell which clip it is, and the dance would stay in its poses.
            size = rng.uniform(0.0, options.context_noise, (len(vectors), 1, 1)).astype(np.float32)
            shape = (len(vectors), 1, context.shape[2])
            context = context + size * rng.standard_normal(shape, dtype=np.float32)
        batch = self._batch(windows, inputs, targets, context)
        if "style" in batch:
            shown = rng.uniform(size=(len(vectors), 1)) >= options.style_dropout
            batch["style"] = batch["style"] * shown.astype(np.float32)
        return batch

    def _noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Returns standard normal draws (B, T, N), correlated along T."""
        noise = rng.standard_normal(shape, dtype=np.float32)
        correlation = np.float32(self.options.noise_correlation)
        if correlation:
            noise[:, 1:] *= np.sqrt(1 - correlation**2)
            for index in range(1, shape[1]):
                noise[:, index] += correlation * noise[:, index - 1]
        return noise

    def still(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns a batch without any noise, for validation; see `draw`."""
        rows = self._read(windows, noisy=False)
        return self._batch(windows, rows.vectors[:, :-1], rows.vectors[:, 1:], rows.context)

    def _read(self, windows: np.ndarray, noisy: bool) -> WindowRows:
        """Returns the rows of windows (B, 2), with their deviation if noise is wanted."""
        # A short window is filled with its last row, and masked.
        steps = np.minimum(np.arange(self.options.look_back + 1), windows[:, 1:] - 1)
        rows = windows[:, :1] + steps
        return WindowRows(
            self.vectors[rows],
            self._deviation[rows] if noisy else None,
            None if self._context is None else self._context[rows],
        )

    def _read_batches(
        self,
        order: Callable[[int, int], np.ndarray],
        batch_size: int,
        count: int,
        noisy: bool,
    ) -> Iterator[tuple[np.ndarray, WindowRows]]:
        """Yields windows (B, 2) and their rows.

        Args:
            order: returns the windows from one index in their order to another, in any thread.
            batch_size: B.
            count: number of batches.
            noisy: see `_read`.
        """
        for first in range(0, count * batch_size, batch_size):
            windows = order(first, first + batch_size)
            yield windows, self._read(windows, noisy)

    def _styles_of(self, windows: np.ndarray) -> np.ndarray | None:
        """Returns the weights (B, S) of the styles of windows, if there are styles."""
        return None if self.styles is None else self.styles[windows[:, 0]]

    def _batch(
        self,
        windows: np.ndarray,
        inputs: np.ndarray,
        targets: np.ndarray,
        context: np.ndarray | None,
    ) -> dict[str, np.ndarray]:
        index = np.arange(inputs.shape[1])
        warm_up = min(self.options.warm_up, inputs.shape[1] - 1)
        mask = (index >= warm_up) & (index < windows[:, 1:] - 1)
        batch = {"inputs": inputs, "targets": targets, "mask": mask.astype(np.float32)}
        if context is not None:
            batch["context"] = context[:, :-1]
        styles = self._styles_of(windows)
        if styles is not None:
            batch["style"] = styles
        return batch


@dataclass(frozen=True)
class _Order:
    """The order of the windows in training: the rest of the last round, then a shuffled table."""

    left: np.ndarray  # (L, 2)
    table: WindowTable
    numbers: np.ndarray  # (N,) numbers of windows in the table

    def __len__(self) -> int:
        return len(self.left) + len(self.numbers)

    def rows(self, first: int, last: int) -> np.ndarray:
        """Returns the windows from one index in the order to another, or to its end."""
        size = len(self.left)
        rest = self.table.rows(self.numbers[max(0, first - size) : max(0, last - size)])
        return np.concatenate([self.left[first:last], rest]) if first < size else rest


def balance_styles(styles: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns how often to repeat windows, so that the network learns rare styles, too.

    A style with a share s of the windows of the most frequent style is repeated 1 / sqrt(s)
    times, to the nearest whole number, and at most four times, to avoid overfitting.

    Args:
        styles: (C, S) weights of the styles of each clip; all zero where none is known.
        counts: (C,) windows of each clip.

    Returns:
        (C,) int64, at least 1, for each window of a clip.
    """
    count = counts @ styles.astype(np.float64)  # (S,)
    times = np.clip(np.round(np.sqrt(count.max() / np.maximum(count, 1.0))), 1, _MOST_REPEATS)
    # A window without a style counts as the most frequent style.
    repeats = np.where(styles.any(axis=1), np.maximum(styles @ times, 1), 1)
    return repeats.round().astype(np.int64)

"""Does it move as the dance does: energy, standing still, convulsion, loops, drift.

A run is an array (T, D) of vectors in model units that follow each other without a cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SPEED_SECONDS = 0.2  # over which speed is smoothed
STILL_SHARE = 0.1  # of the usual speed; slower is standing still
STILL_SECONDS = 0.5  # shorter is no standing still
LOOP_SECONDS = 10.0  # length of a window in which loops are looked for
LOOP_STRIDE_SECONDS = 2.0
LOOP_LEAST_LAG_SECONDS = 1.0
BIN_SECONDS = 10.0  # of drift

_RIDGE = 1e-6  # share of the mean variance that every direction has at least


def speeds(run: np.ndarray) -> np.ndarray:
    """Returns the length (T - 1,) of each step, model units a frame."""
    return np.linalg.norm(np.diff(run.astype(np.float64), axis=0), axis=1)


def smoothed_speeds(run: np.ndarray, fps: float) -> np.ndarray:
    """Returns the length of the mean step over `SPEED_SECONDS`, model units a frame.

    Steps are averaged as vectors: trembling in place is standing still.

    Returns:
        (T - n,), n the frames of `SPEED_SECONDS`; empty if the run is no longer.
    """
    span = max(1, round(SPEED_SECONDS * fps))
    run = run.astype(np.float64)
    return np.linalg.norm(run[span:] - run[:-span], axis=1) / span


def still_share(runs: Sequence[np.ndarray], fps: float, usual_speed: float) -> float:
    """Returns the share of frames that belong to a freeze.

    A freeze is half a second or more in which the smoothed speed stays under a tenth of the
    usual one.

    Args:
        runs: arrays (T, D).
        fps: frames per second.
        usual_speed: the median of the smoothed speed of the training dances.

    Returns:
        In [0, 1]; NaN if no run is long enough to have a speed.
    """
    least = max(1, round(STILL_SECONDS * fps))
    still = total = 0
    for run in runs:
        slow = smoothed_speeds(run, fps) < STILL_SHARE * usual_speed
        edges = np.flatnonzero(np.diff(np.concatenate([[0], slow.astype(np.int8), [0]])))
        lengths = edges[1::2] - edges[::2]
        still += int(lengths[lengths >= least].sum())
        total += len(slow)
    return still / total if total else float("nan")


def third_differences(run: np.ndarray) -> np.ndarray:
    """Returns the length (T - 3,) of each third difference, model units a frame cubed."""
    return np.linalg.norm(np.diff(run.astype(np.float64), n=3, axis=0), axis=1)


def highest_autocorrelation(window: np.ndarray, fps: float) -> float:
    """Returns how well a window fits itself when moved by more than a second.

    The correlation at lag l is sum <x_t, x_t+l> over the square root of the product of
    sum <x_t, x_t> and sum <x_t+l, x_t+l>, all over the frames that overlap, of vectors less the
    window's mean. Lags go up to half the window.

    Args:
        window: (T, D), T more than twice the frames of a second.
        fps: frames per second.

    Returns:
        In [-1, 1]; 0 where nothing moves, for that is a freeze and no loop.
    """
    centred = window.astype(np.float64) - window.mean(axis=0, dtype=np.float64)
    count = len(centred)
    lags = np.arange(int(LOOP_LEAST_LAG_SECONDS * fps) + 1, count // 2 + 1)
    if not len(lags):
        raise ValueError(f"{count} frames at {fps:g} frames/s are too short to look for a loop.")
    # Wiener-Khinchin; padded so that the end does not meet the beginning.
    spectrum = np.fft.rfft(centred, 2 * count, axis=0)
    products = np.fft.irfft((np.abs(spectrum) ** 2).sum(axis=1))[lags]
    energy = np.concatenate([[0.0], np.cumsum(np.square(centred).sum(axis=1))])
    first, second = energy[count - lags], energy[count] - energy[lags]
    scale = np.sqrt(first * second)
    usual = np.square(window.astype(np.float64)).sum()
    if energy[count] <= 1e-12 * max(usual, 1e-12):
        return 0.0
    return float(np.max(np.where(scale > 0, products / np.maximum(scale, 1e-300), 0.0)))


def autocorrelations(runs: Sequence[np.ndarray], fps: float) -> np.ndarray:
    """Returns `highest_autocorrelation` of the windows (N,) of `LOOP_SECONDS` in some runs."""
    length, stride = round(LOOP_SECONDS * fps), max(1, round(LOOP_STRIDE_SECONDS * fps))
    return np.array(
        [
            highest_autocorrelation(run[start : start + length], fps)
            for run in runs
            for start in range(0, len(run) - length + 1, stride)
        ]
    )


def last_over_first(values: np.ndarray, fps: float, weights: np.ndarray | None = None) -> float:
    """Returns the mean of the last whole bin of `BIN_SECONDS` over that of the first.

    Args:
        values: (T,) or (B, T), `fps` a second.
        weights: of the values, of their shape; what they are shares of. All equal if None.

    Returns:
        The ratio; NaN with less than two bins, or if the first is 0.
    """
    means = bins(values, fps, weights)
    return float(means[-1] / means[0]) if len(means) > 1 and means[0] else float("nan")


def bins(values: np.ndarray, fps: float, weights: np.ndarray | None = None) -> np.ndarray:
    """Returns the mean (N,) of each whole bin of `BIN_SECONDS`; see `last_over_first`."""
    weights = np.ones(values.shape) if weights is None else weights.astype(np.float64)
    size = round(BIN_SECONDS * fps)
    stops = range(size, values.shape[-1] + 1, size)
    return np.array(
        [
            np.average(values[..., stop - size : stop], weights=weights[..., stop - size : stop])
            if weights[..., stop - size : stop].any()
            else 0.0
            for stop in stops
        ]
    )


@dataclass(frozen=True)
class Gaussian:
    """One Gaussian with a full covariance for all vectors."""

    mean: np.ndarray  # (D,) float64
    precision: np.ndarray  # (D, D) float64, the inverse covariance
    log_det: float  # of the covariance

    @classmethod
    def fit(cls, vectors: np.ndarray) -> Gaussian:
        """Fits it to (N, D); a direction that never varies is given a little."""
        vectors = vectors.astype(np.float64)
        covariance = np.atleast_2d(np.cov(vectors, rowvar=False, bias=True))
        least = _RIDGE * max(float(np.trace(covariance)) / len(covariance), 1e-12)
        covariance = covariance + least * np.eye(len(covariance))
        return cls(
            vectors.mean(axis=0),
            np.linalg.inv(covariance),
            float(np.linalg.slogdet(covariance)[1]),
        )

    def distance(self, vectors: np.ndarray) -> np.ndarray:
        """Returns the Mahalanobis distance (N,) of vectors (N, D) from the mean.

        Mahalanobis 1936; its mean square over the vectors it was fitted to is D.
        """
        off = vectors.astype(np.float64) - self.mean
        return np.sqrt(np.maximum(np.einsum("nd,de,ne->n", off, self.precision, off), 0.0))

    def nats(self, vectors: np.ndarray) -> float:
        """Returns the mean negative log density of (N, D), nats per dimension."""
        dim = len(self.mean)
        square = float(np.square(self.distance(vectors)).mean())
        return 0.5 * (float(np.log(2 * np.pi)) + (self.log_det + square) / dim)

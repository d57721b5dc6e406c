"""Measures of motion: speed, standing still, jerk, loops and drift.

A run is an array (T, D) of consecutive vectors in model units, without a cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SPEED_SECONDS = 0.2  # span that smoothed speeds are computed over
STILL_SHARE = 0.1  # share of the median speed below which a frame is still
STILL_SECONDS = 0.5  # shortest time without motion that counts as a freeze
LOOP_SECONDS = 10.0  # length of a window that is searched for loops
LOOP_STRIDE_SECONDS = 2.0
LOOP_LEAST_LAG_SECONDS = 1.0
BIN_SECONDS = 10.0  # length of a bin in which drift is measured

_RIDGE = 1e-6  # share of the mean variance that is added to every direction


def speeds(run: np.ndarray) -> np.ndarray:
    """Computes |x_(t+1) - x_t|, (T - 1,) in model units per frame."""
    return np.linalg.norm(np.diff(run.astype(np.float64), axis=0), axis=1)


def smoothed_speeds(run: np.ndarray, fps: float) -> np.ndarray:
    """Computes |x_(t+n) - x_t| / n, where n is `SPEED_SECONDS` in frames.

    Steps are averaged as vectors, so that jitter in place has no speed.

    Returns:
        (T - n,) in model units per frame; empty if T <= n.
    """
    span = max(1, round(SPEED_SECONDS * fps))
    run = run.astype(np.float64)
    return np.linalg.norm(run[span:] - run[:-span], axis=1) / span


def still_share(runs: Sequence[np.ndarray], fps: float, median_speed: float) -> float:
    """Computes the share of frames that belong to a freeze.

    In a freeze the smoothed speed stays below `STILL_SHARE` of the median speed for
    `STILL_SECONDS` or longer.

    Args:
        runs: arrays (T, D).
        fps: frames per second.
        median_speed: median of the smoothed speeds of the training data.

    Returns:
        In [0, 1]; NaN if no run is long enough to have a speed.
    """
    least = max(1, round(STILL_SECONDS * fps))
    still = total = 0
    for run in runs:
        slow = smoothed_speeds(run, fps) < STILL_SHARE * median_speed
        edges = np.flatnonzero(np.diff(np.concatenate([[0], slow.astype(np.int8), [0]])))
        lengths = edges[1::2] - edges[::2]
        still += int(lengths[lengths >= least].sum())
        total += len(slow)
    return still / total if total else float("nan")


def third_differences(run: np.ndarray) -> np.ndarray:
    """Computes |x_(t+3) - 3 x_(t+2) + 3 x_(t+1) - x_t|, (T - 3,) in model units per frame³."""
    return np.linalg.norm(np.diff(run.astype(np.float64), n=3, axis=0), axis=1)


def highest_autocorrelation(window: np.ndarray, fps: float) -> float:
    """Computes the highest autocorrelation of a window at lags above one second.

    With the window's mean subtracted, the correlation at lag l is
    sum <x_t, x_(t+l)> / sqrt(sum |x_t|² sum |x_(t+l)|²), each sum over the frames t that have a
    frame t + l. Lags go up to half the window.

    Args:
        window: (T, D), T more than twice the frames of a second.
        fps: frames per second.

    Returns:
        In [-1, 1]; 0 if nothing moves, because that is a freeze and not a loop.
    """
    centred = window.astype(np.float64) - window.mean(axis=0, dtype=np.float64)
    count = len(centred)
    lags = np.arange(int(LOOP_LEAST_LAG_SECONDS * fps) + 1, count // 2 + 1)
    if not len(lags):
        raise ValueError(f"{count} frames at {fps:g} frames/s are too short to look for a loop.")
    # Wiener-Khinchin theorem; padded, because the window is not periodic.
    spectrum = np.fft.rfft(centred, 2 * count, axis=0)
    products = np.fft.irfft((np.abs(spectrum) ** 2).sum(axis=1))[lags]
    energy = np.concatenate([[0.0], np.cumsum(np.square(centred).sum(axis=1))])
    first, second = energy[count - lags], energy[count] - energy[lags]
    scale = np.sqrt(first * second)
    uncentred = np.square(window.astype(np.float64)).sum()
    if energy[count] <= 1e-12 * max(uncentred, 1e-12):
        return 0.0
    return float(np.max(np.where(scale > 0, products / np.maximum(scale, 1e-300), 0.0)))


def autocorrelations(runs: Sequence[np.ndarray], fps: float) -> np.ndarray:
    """Computes `highest_autocorrelation` of each window (N,) of `LOOP_SECONDS` inside runs."""
    length, stride = round(LOOP_SECONDS * fps), max(1, round(LOOP_STRIDE_SECONDS * fps))
    return np.array(
        [
            highest_autocorrelation(run[start : start + length], fps)
            for run in runs
            for start in range(0, len(run) - length + 1, stride)
        ]
    )


def last_over_first(values: np.ndarray, fps: float, weights: np.ndarray | None = None) -> float:
    """Divides the mean of the last whole bin of `BIN_SECONDS` by the mean of the first.

    Args:
        values: (T,) or (B, T).
        fps: values per second.
        weights: weight of each value, in the same shape; all equal if None.

    Returns:
        The ratio; NaN if there are fewer than two bins, or the first mean is 0.
    """
    means = bins(values, fps, weights)
    return float(means[-1] / means[0]) if len(means) > 1 and means[0] else float("nan")


def bins(values: np.ndarray, fps: float, weights: np.ndarray | None = None) -> np.ndarray:
    """Computes the mean (N,) of each whole bin of `BIN_SECONDS`; see `last_over_first`."""
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
    """A Gaussian with a full covariance."""

    mean: np.ndarray  # (D,) float64
    precision: np.ndarray  # (D, D) float64, the inverse covariance
    log_det: float  # log determinant of the covariance

    @classmethod
    def fit(cls, vectors: np.ndarray) -> Gaussian:
        """Fits the Gaussian to (N, D); a small variance is added to every direction."""
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
        """Computes the Mahalanobis distance (N,) of vectors (N, D) from the mean.

        Its mean square over the vectors that the Gaussian was fitted to is D (Mahalanobis 1936).
        """
        off = vectors.astype(np.float64) - self.mean
        return np.sqrt(np.maximum(np.einsum("nd,de,ne->n", off, self.precision, off), 0.0))

    def nll(self, vectors: np.ndarray) -> float:
        """Computes the mean negative log-likelihood of (N, D), in nats per dimension."""
        dim = len(self.mean)
        square = float(np.square(self.distance(vectors)).mean())
        return 0.5 * (float(np.log(2 * np.pi)) + (self.log_det + square) / dim)

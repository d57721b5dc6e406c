"""How far two sets of windows are apart, as distributions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAX_DIMS = 16  # principal components that distributions are compared in
LEAST_WINDOWS = 200  # for a Fréchet distance
COVERAGE_NEIGHBOURS = 5
PRECISION_NEIGHBOURS = 3

_CHUNK = 512  # rows of a matrix of distances at once


def latent_statistics(windows: np.ndarray) -> np.ndarray:
    """Returns of each dimension the mean, the standard deviation and the mean absolute step.

    Args:
        windows: (N, T, D) vectors in model units.

    Returns:
        (N, 3 D) float64.
    """
    windows = windows.astype(np.float64)
    steps = np.abs(np.diff(windows, axis=1)).mean(axis=1)
    return np.concatenate([windows.mean(axis=1), windows.std(axis=1), steps], axis=1)


@dataclass(frozen=True)
class Projection:
    """Statistics of windows to the few principal components in which real windows differ."""

    mean: np.ndarray  # (F,) float64
    scale: np.ndarray  # (F,) standard deviations of the real windows, > 0
    basis: np.ndarray  # (P, F) orthonormal rows, P <= MAX_DIMS

    @classmethod
    def fit(cls, real: np.ndarray, standardise: bool = True) -> Projection:
        """Fits it to the statistics (N, F) of real windows.

        Args:
            real: N >= 2 rows.
            standardise: give each statistic the same variance first; not for statistics of one
                unit, whose differences in variance mean something.
        """
        real = real.astype(np.float64)
        mean = real.mean(axis=0)
        spread = real.std(axis=0)
        fixed = spread > 1e-9 * max(float(spread.max()), 1e-300)
        scale = np.where(fixed, spread, 1.0) if standardise else np.ones_like(spread)
        _, _, basis = np.linalg.svd((real - mean) / scale, full_matrices=False)
        return cls(mean, scale, basis[:MAX_DIMS])

    def __call__(self, statistics: np.ndarray) -> np.ndarray:
        """Takes (N, F); returns (N, P) float64."""
        return (statistics - self.mean) / self.scale @ self.basis.T


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the Fréchet distance of the Gaussians fitted to two sets.

    |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½), Dowson and Landau 1982, "The Fréchet distance between
    multivariate normal distributions", equation 4; squared, as Heusel et al. 2017
    (arXiv:1706.08500) use it. The trace of the root is the sum of the square roots of the
    eigenvalues of C1^½ C2 C1^½, which is symmetric.

    Args:
        first: (N, P).
        second: (M, P).
    """
    first, second = first.astype(np.float64), second.astype(np.float64)
    difference = first.mean(axis=0) - second.mean(axis=0)
    one, two = (np.atleast_2d(np.cov(part, rowvar=False)) for part in (first, second))
    values, vectors = np.linalg.eigh(one)
    root = vectors * np.sqrt(values.clip(min=0.0)) @ vectors.T
    product = root @ two @ root
    cross = np.sqrt(np.linalg.eigvalsh((product + product.T) / 2).clip(min=0.0)).sum()
    # Rounding may leave a little less than nothing.
    return max(0.0, float(difference @ difference + np.trace(one) + np.trace(two) - 2 * cross))


def nearest(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the distance (N,) of each row (N, P) to the nearest of (M, P).

    The nearest are found by a product of matrices, and their distances then computed from the
    differences, so that equal rows are at 0.
    """
    found = np.zeros(len(first))
    squares = np.square(second).sum(axis=1)
    for begin in range(0, len(first), _CHUNK):
        part = first[begin : begin + _CHUNK]
        index = np.argmin(squares - 2 * part @ second.T, axis=1)
        found[begin : begin + _CHUNK] = np.linalg.norm(part - second[index], axis=1)
    return found


def _radii(points: np.ndarray, neighbours: int) -> np.ndarray:
    """Returns the distance (N,) of each point to its k-th nearest among the others."""
    if len(points) <= neighbours:
        raise ValueError(f"{len(points)} points have no {neighbours} neighbours each.")
    return np.sort(_exact(points, points), axis=1)[:, neighbours]


def _exact(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns distances from the differences: what is equal is at 0, and in its own ball."""
    return np.stack([np.linalg.norm(row - second, axis=1) for row in first])


def density_and_coverage(
    real: np.ndarray, found: np.ndarray, neighbours: int = COVERAGE_NEIGHBOURS
) -> tuple[float, float]:
    """Returns density and coverage of `found` in the balls around the real points.

    Each real point has a ball that reaches to its k-th nearest real neighbour. Density is the
    mean number of balls that a found point lies in, over k; coverage is the share of balls that
    hold a found point. Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative
    models" (arXiv:2002.09797), equations 4 and 5. For two samples of one distribution both
    expect 1 and 1 - 2^-k, here 0.97.

    Args:
        real: (N, P), N > k.
        found: (M, P); best as many, for coverage grows with M.
        neighbours: k.
    """
    inside = _exact(real, found) <= _radii(real, neighbours)[:, None]
    return float(inside.sum() / (neighbours * len(found))), float(inside.any(axis=1).mean())


def precision_and_recall(
    real: np.ndarray, found: np.ndarray, neighbours: int = PRECISION_NEIGHBOURS
) -> tuple[float, float]:
    """Returns the share of `found` among the real, and of the real among `found`.

    A point is among a set if it lies in the ball of one of the set's points, which reaches to
    the k-th nearest of the set. Kynkäänniemi et al. 2019, "Improved precision and recall metric
    for assessing generative models" (arXiv:1904.06991), equations 1 and 2.

    Args:
        real: (N, P), N > k.
        found: (M, P), M > k.
        neighbours: k.
    """
    apart = _exact(real, found)
    precision = (apart <= _radii(real, neighbours)[:, None]).any(axis=0).mean()
    recall = (apart <= _radii(found, neighbours)[None]).any(axis=1).mean()
    return float(precision), float(recall)

"""Distances between two sets of windows, taken as distributions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import DistanceMetric
from sklearn.neighbors import NearestNeighbors

MAX_DIMS = 16  # most principal components that distributions are compared in
LEAST_WINDOWS = 200  # needed for a Fréchet distance
COVERAGE_NEIGHBOURS = 5
PRECISION_NEIGHBOURS = 3


def latent_statistics(windows: np.ndarray) -> np.ndarray:
    """Computes each dimension's mean, standard deviation and mean absolute step.

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
    """Projects window statistics onto the principal components of real windows."""

    mean: np.ndarray  # (F,) float64
    scale: np.ndarray  # (F,) standard deviations of the real windows, > 0
    basis: np.ndarray  # (P, F) orthonormal rows, P <= MAX_DIMS

    @classmethod
    def fit(cls, real: np.ndarray, standardise: bool = True) -> Projection:
        """Fits the projection to real windows.

        Args:
            real: (N, F) statistics, N >= 2.
            standardise: scale each statistic to unit variance first. Leave it out where all
                statistics share one unit, because then their variances are comparable.
        """
        real = real.astype(np.float64)
        mean = real.mean(axis=0)
        spread = real.std(axis=0)
        varies = spread > 1e-9 * max(float(spread.max()), 1e-300)
        scale = np.where(varies, spread, 1.0) if standardise else np.ones_like(spread)
        pca = PCA(min(MAX_DIMS, *real.shape), svd_solver="full").fit((real - mean) / scale)
        return cls(mean, scale, pca.components_)

    def __call__(self, statistics: np.ndarray) -> np.ndarray:
        """Takes (N, F); returns (N, P) float64."""
        return (statistics - self.mean) / self.scale @ self.basis.T


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Computes the squared Fréchet distance between the Gaussians fitted to two sets.

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
    # Rounding can make the result slightly negative.
    return max(0.0, float(difference @ difference + np.trace(one) + np.trace(two) - 2 * cross))


def nearest(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Computes the distance (N,) from each row of (N, P) to the nearest row of (M, P).

    The neighbour is searched with a matrix product, but its distance is computed from the
    difference, so that equal rows are exactly 0 apart. Without rows there are no distances.
    """
    if not len(first) or not len(second):
        return np.zeros(0)
    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(second)
    index = search.kneighbors(first, return_distance=False)[:, 0]
    return np.linalg.norm(first - second[index], axis=1)


def _radii(points: np.ndarray, neighbours: int) -> np.ndarray:
    """Computes the distance (N,) from each point to its k-th nearest other point."""
    if len(points) <= neighbours:
        raise ValueError(f"{len(points)} points have no {neighbours} neighbours each.")
    # A tree computes distances from differences, as `_distances` does, so that a point on the
    # surface of a ball counts as inside.
    search = NearestNeighbors(n_neighbors=neighbours, algorithm="kd_tree").fit(points)
    return search.kneighbors()[0][:, -1]


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Computes all distances (N, M) from the differences of rows."""
    euclidean = DistanceMetric.get_metric("euclidean")
    return euclidean.pairwise(*(np.ascontiguousarray(part, np.float64) for part in (first, second)))


def density_and_coverage(
    real: np.ndarray, found: np.ndarray, neighbours: int = COVERAGE_NEIGHBOURS
) -> tuple[float, float]:
    """Computes density and coverage of `found` in the balls around the real points.

    Each real point is the centre of a ball that reaches to its k-th nearest real neighbour.
    Density is the mean number of balls that contain a found point, divided by k. Coverage is the
    share of balls that contain at least one found point. Naeem et al. 2020, "Reliable fidelity and
    diversity metrics for generative models" (arXiv:2002.09797), equations 4 and 5. For two samples
    of one distribution the expected values are 1 and 1 - 2^-k (0.97 for k = 5).

    Args:
        real: (N, P), N > k.
        found: (M, P); use M = N, because coverage grows with M.
        neighbours: k.
    """
    inside = _distances(real, found) <= _radii(real, neighbours)[:, None]
    return float(inside.sum() / (neighbours * len(found))), float(inside.any(axis=1).mean())


def precision_and_recall(
    real: np.ndarray, found: np.ndarray, neighbours: int = PRECISION_NEIGHBOURS
) -> tuple[float, float]:
    """Computes the shares of `found` inside the real set, and of `real` inside the found set.

    A point is inside a set if it lies in the ball around one of the set's points; the ball reaches
    to that point's k-th nearest neighbour in the set. Kynkäänniemi et al. 2019, "Improved
    precision and recall metric for assessing generative models" (arXiv:1904.06991), equations 1
    and 2.

    Args:
        real: (N, P), N > k.
        found: (M, P), M > k.
        neighbours: k.
    """
    apart = _distances(real, found)
    precision = (apart <= _radii(real, neighbours)[:, None]).any(axis=0).mean()
    recall = (apart <= _radii(found, neighbours)[None]).any(axis=1).mean()
    return float(precision), float(recall)

"""Is it new? Generated windows beside held-out ones, by how near the training dances are."""

from __future__ import annotations

import numpy as np

NEAR_PERCENTILE = 5.0  # of the held-out windows' distances; what is nearer is near
LEAST_WINDOWS = 20  # for a normal approximation


def mann_whitney_z(first: np.ndarray, second: np.ndarray) -> float:
    """Returns how many standard deviations the ranks of `first` are above chance.

    U less its mean n m / 2, over its standard deviation under the hypothesis that both are of
    one distribution, with the correction for ties and none for continuity. Mann and Whitney
    1947, "On a test of whether one of two random variables is stochastically larger than the
    other"; ties as in Hollander and Wolfe, "Nonparametric statistical methods", section 4.1.

    Args:
        first: (N,).
        second: (M,).

    Returns:
        Negative where `first` is smaller; 0 where all values are equal.
    """
    n, m = len(first), len(second)
    _, inverse, counts = np.unique(
        np.concatenate([first, second]), return_inverse=True, return_counts=True
    )
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # ties share their mean rank
    u = ranks[:n].sum() - n * (n + 1) / 2
    ties = float((counts.astype(np.float64) ** 3 - counts).sum())
    variance = n * m / 12 * ((n + m + 1) - ties / ((n + m) * (n + m - 1)))
    return float((u - n * m / 2) / np.sqrt(variance)) if variance > 0 else 0.0


def near_share(found: np.ndarray, held_out: np.ndarray) -> float:
    """Returns the share of distances below the held-out ones' 5th percentile.

    Args:
        found: (N,) distances to the nearest training window.
        held_out: (M,) the same of held-out windows.
    """
    return float((found < np.percentile(held_out, NEAR_PERCENTILE)).mean())

"""Novelty: are generated windows nearer to the training data than held-out windows are?"""

from __future__ import annotations

import numpy as np

NEAR_PERCENTILE = 5.0  # in the held-out windows' distances; below it a window counts as near
LEAST_WINDOWS = 20  # needed for the normal approximation


def mann_whitney_z(first: np.ndarray, second: np.ndarray) -> float:
    """Computes the Mann-Whitney Z: by how many standard deviations `first` ranks above chance.

    Z = (U - n m / 2) / std(U), where std(U) assumes that both samples have one distribution. It
    is corrected for ties, and not for continuity. Mann and Whitney 1947, "On a test of whether
    one of two random variables is stochastically larger than the other"; ties as in Hollander and
    Wolfe, "Nonparametric statistical methods", section 4.1.

    Args:
        first: (N,).
        second: (M,).

    Returns:
        Negative if `first` is smaller; 0 if all values are equal.
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
    """Computes the share of `found` below the 5th percentile of `held_out`.

    Args:
        found: (N,) distances from generated windows to the nearest training window.
        held_out: (M,) distances from held-out windows to the nearest training window.
    """
    return float((found < np.percentile(held_out, NEAR_PERCENTILE)).mean())

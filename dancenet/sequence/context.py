"""Running means of a trajectory: what a dance was doing in the last seconds.

A dancer sees them beside the vector. Its own memory is a few seconds long, because it is trained on
short windows; a running mean is as long as its time constant, in training and in generation alike.

    m(t) = m(t - 1) + a (x(t) - m(t - 1)),  a = 1 - exp(-1 / time constant),  m(-1) = 0

0 is the mean of all training clips in model units.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def rates(constants: Sequence[float]) -> np.ndarray:
    """Returns the share a (C,) float32 of a new vector, for time constants in frames."""
    return (1 - np.exp(-1 / np.asarray(constants, np.float64))).astype(np.float32)


def running_means(vectors: np.ndarray, constants: Sequence[float]) -> np.ndarray:
    """Returns the running means of one clip, each with the vector of its row.

    Args:
        vectors: (T, D) in model units.
        constants: C time constants, in frames.

    Returns:
        (T, C, D) float32.
    """
    shares = rates(constants)[:, None]
    means = np.empty((len(vectors), len(shares), vectors.shape[1]), np.float32)
    mean = np.zeros(means.shape[1:], np.float32)
    for vector, row in zip(vectors.astype(np.float32), means):
        mean = mean + shares * (vector - mean)
        row[:] = mean
    return means

"""Negative log-likelihood (NLL) of the next vector, and a model without a network to compare with.

All figures are in nats per dimension and step. Lower is better. A figure can be negative, because
a density can exceed 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import Ridge

from dancenet.metrics.motion import Gaussian
from dancenet.sequence.generate import StepModel
from dancenet.sequence.mixture import log_likelihood

WARM_UP = 8  # predictions at the start of a run that are not counted
MAX_RADIUS = 0.999  # largest spectral radius of the AR(1) map when it generates

_RIDGE = 1e-6  # ridge penalty as a share of the mean variance, for directions that never vary


@dataclass(frozen=True)
class FirstOrder:
    """AR(1): the next vector is a linear map of this one, plus Gaussian noise.

    x' = x A + b + e, fitted by least squares, which is maximum likelihood for Gaussian e. The
    covariance of e is full (Lütkepohl 2005, "New introduction to multiple time series analysis",
    section 3.2).
    """

    mean: np.ndarray  # (D,) float64, mean of the vectors
    matrix: np.ndarray  # (D, D) A
    offset: np.ndarray  # (D,) b
    noise: Gaussian  # distribution of e
    factor: np.ndarray  # (D, D), e = standard normal @ factor

    @classmethod
    def fit(cls, runs: Sequence[np.ndarray]) -> FirstOrder:
        """Fits the map to the steps inside runs (T, D), which hold at least one step in all."""
        before = np.concatenate([run[:-1] for run in runs]).astype(np.float64)
        after = np.concatenate([run[1:] for run in runs]).astype(np.float64)
        mean = before.mean(axis=0)
        variance = float(np.square(before - mean).sum()) / before.shape[1]
        linear = Ridge(_RIDGE * max(variance, 1e-12), solver="cholesky").fit(before, after)
        errors = after - linear.predict(before)
        covariance = errors.T @ errors / len(errors)
        values, vectors = np.linalg.eigh(covariance)
        factor = (vectors * np.sqrt(values.clip(min=0.0))).T
        return cls(
            mean=mean,
            matrix=linear.coef_.T,
            offset=linear.intercept_,
            noise=Gaussian.fit(errors),
            factor=factor,
        )

    def nll(self, runs: Sequence[np.ndarray]) -> float:
        """Computes the mean NLL of the steps inside runs (T, D), after the warm-up."""
        errors = [
            run[1:] - run[:-1] @ self.matrix - self.offset
            for run in (run[WARM_UP:].astype(np.float64) for run in runs)
            if len(run) > 1
        ]
        return self.noise.nll(np.concatenate(errors))

    def sample(self, start: np.ndarray, num_frames: int, rng: np.random.Generator) -> np.ndarray:
        """Draws new trajectories.

        An unstable map is scaled down to `MAX_RADIUS` around the mean of the vectors.

        Args:
            start: (B, D) vectors to begin from.
            num_frames: length of each trajectory.
            rng: the source of randomness.

        Returns:
            (B, num_frames, D) float32.
        """
        matrix, offset = self.matrix, self.offset
        radius = float(np.abs(np.linalg.eigvals(matrix)).max())
        if radius > MAX_RADIUS:
            matrix = matrix * (MAX_RADIUS / radius)
            offset = self.mean - self.mean @ matrix
        vectors = start.astype(np.float64)
        made = np.zeros((len(start), num_frames, start.shape[1]), np.float32)
        for index in range(num_frames):
            noise = rng.standard_normal(vectors.shape) @ self.factor
            vectors = vectors @ matrix + offset + noise
            made[:, index] = vectors
        return made


def prediction_nll(step_model: StepModel, runs: Sequence[np.ndarray]) -> float:
    """Computes the mean NLL of each next vector, given the true vectors before it.

    Args:
        step_model: the network; its state is reset for every run.
        runs: (T, D) in its model units.

    Returns:
        The mean over the steps after the warm-up; NaN if there are none.
    """
    runs = [run for run in runs if len(run) > WARM_UP + 1]
    total, count = 0.0, 0
    if not runs:
        return float("nan")
    # All runs form one batch; a run that has ended repeats its last vector, uncounted.
    state = step_model.initial_state(len(runs))
    lengths = np.array([len(run) for run in runs])
    for index in range(int(lengths.max()) - 1):
        vectors = np.stack([run[min(index, len(run) - 1)] for run in runs])
        mixture, state = step_model.step(vectors, state)
        if index < WARM_UP:
            continue
        after = np.stack([run[min(index + 1, len(run) - 1)] for run in runs])
        going = index + 1 < lengths
        total -= float(log_likelihood(mixture, after)[going].sum(dtype=np.float64))
        count += int(going.sum())
    return total / (count * step_model.dim)

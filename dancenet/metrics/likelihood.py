"""How well the next vector is foretold, and two models without a network to compare with.

All figures are negative log densities in nats per dimension and step: smaller is better, and
below zero is no mistake, for a density may exceed 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dancenet.metrics.motion import Gaussian
from dancenet.sequence.generate import StepModel
from dancenet.sequence.mixture import log_likelihood

WARM_UP = 8  # first predictions of a run that do not count: they have seen too little
MAX_RADIUS = 0.999  # of the AR(1) map; a larger one would run away

_RIDGE = 1e-6  # share of the mean variance, against directions that never vary


@dataclass(frozen=True)
class FirstOrder:
    """AR(1): the next vector is a linear map of this one and Gaussian noise.

    x' = x A + b + e, fitted by least squares, which is maximum likelihood for Gaussian e; the
    covariance of e is full (Lütkepohl 2005, "New introduction to multiple time series analysis",
    section 3.2).
    """

    mean: np.ndarray  # (D,) float64, of the vectors
    matrix: np.ndarray  # (D, D) A
    offset: np.ndarray  # (D,) b
    noise: Gaussian  # of e
    factor: np.ndarray  # (D, D), e = standard normal @ factor

    @classmethod
    def fit(cls, runs: Sequence[np.ndarray]) -> FirstOrder:
        """Fits it to the steps inside some runs (T, D), at least one step in all."""
        before = np.concatenate([run[:-1] for run in runs]).astype(np.float64)
        after = np.concatenate([run[1:] for run in runs]).astype(np.float64)
        mean_before, mean_after = before.mean(axis=0), after.mean(axis=0)
        centred = before - mean_before
        moment = centred.T @ centred
        least = _RIDGE * max(float(np.trace(moment)) / len(moment), 1e-12)
        matrix = np.linalg.solve(
            moment + least * np.eye(len(moment)), centred.T @ (after - mean_after)
        )
        offset = mean_after - mean_before @ matrix
        errors = after - before @ matrix - offset
        covariance = errors.T @ errors / len(errors)
        values, vectors = np.linalg.eigh(covariance)
        factor = (vectors * np.sqrt(values.clip(min=0.0))).T
        return cls(mean_before, matrix, offset, Gaussian.fit(errors), factor)

    def nats(self, runs: Sequence[np.ndarray]) -> float:
        """Returns the mean over the steps inside some runs, after the warm-up."""
        errors = [
            run[1:] - run[:-1] @ self.matrix - self.offset
            for run in (run[WARM_UP:].astype(np.float64) for run in runs)
            if len(run) > 1
        ]
        return self.noise.nats(np.concatenate(errors))

    def sample(self, start: np.ndarray, num_frames: int, rng: np.random.Generator) -> np.ndarray:
        """Makes new trajectories.

        Args:
            start: (B, D) vectors to begin from.
            num_frames: how many.
            rng: the source of randomness.

        Returns:
            (B, num_frames, D) float32. A map that would run away is shrunk to `MAX_RADIUS`, about
            the mean of the vectors.
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


def foretold_nats(step_model: StepModel, runs: Sequence[np.ndarray]) -> float:
    """Returns how well a network foretells each next vector when shown the true ones before.

    Args:
        step_model: the network; its state begins anew with every run.
        runs: (T, D) in its model units.

    Returns:
        The mean over the steps after the warm-up; NaN if no run has any.
    """
    runs = [run for run in runs if len(run) > WARM_UP + 1]
    total, count = 0.0, 0
    if not runs:
        return float("nan")
    # Side by side, the ended ones going on with their last vector, uncounted.
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

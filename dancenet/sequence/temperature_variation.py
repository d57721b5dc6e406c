"""Varies the temperature over time, so that a dance rests and rushes as dancers do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MEMORY_SECONDS = 4.0  # after which the correlation has fallen to 1/e


class TemperatureVariation:
    """Factors of the temperature of B dances, step by step.

    A mixture that is sampled at one temperature keeps one pace. The logarithm of the factors is an
    Ornstein-Uhlenbeck process (Uhlenbeck and Ornstein 1930, "On the theory of the Brownian motion",
    Physical Review 36), at the times of the frames: x' = a x + sqrt(1 - a²) n, with a = exp(-1 /
    memory) and n normal, begun in its stationary distribution. The mean of the factors is 1.

    Args:
        rngs: B generators; each step takes one draw from each.
        deviation: standard deviation of the logarithm, >= 0; 0 draws nothing: all factors are 1.
        memory: frames after which the correlation has fallen to 1/e.
    """

    def __init__(
        self, rngs: Sequence[np.random.Generator], deviation: float, memory: float
    ) -> None:
        if not 0 <= deviation < np.inf or not memory > 0:
            raise ValueError(
                f"deviation must be 0 or more and memory above 0; received {deviation}, {memory}."
            )
        self._rngs = rngs
        self._deviation = deviation
        self._kept = np.exp(-1.0 / memory)
        self._log = np.zeros(len(rngs))
        if deviation:
            self._log[:] = self._normal()

    def heat(self, gumbel: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Takes one step, and scales draws as if the temperature were multiplied by the factors.

        `sample_from_draws` multiplies Gumbel draws by the temperature and normal ones by its root,
        so each dance can have a temperature of its own with any step model.

        Args:
            gumbel: (B, K) draws.
            normal: (B, D) draws.
        """
        if not self._deviation:
            return gumbel, normal
        factors = np.exp(self._deviation * self._log - self._deviation**2 / 2)[:, None]
        self._log = self._kept * self._log + np.sqrt(1.0 - self._kept**2) * self._normal()
        return gumbel * factors, normal * np.sqrt(factors)

    def _normal(self) -> np.ndarray:
        return np.array([rng.standard_normal() for rng in self._rngs])

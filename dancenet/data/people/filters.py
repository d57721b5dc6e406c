"""Smooths points over time: the One-Euro filter for a camera, smoothing without lag for a film.

The filter is that of Casiez, Roussel and Vogel, "1€ Filter: A Simple Speed-based Low-pass Filter
for Noisy Input in Interactive Systems", CHI 2012: the faster a point moves, the less it is
smoothed. Its settings are those of MediaPipe's graph `pose_landmark_filtering` and of MoveNet in
TensorFlow.js (both Apache-2.0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_LEAST_SCALE = 1e-6


@dataclass(frozen=True)
class OneEuroSettings:
    """How strongly a One-Euro filter smooths."""

    min_cutoff: float  # Hz, of a point at rest
    beta: float  # Hz per unit of speed
    d_cutoff: float  # Hz, of the speed


# In diameters of the circle around the body per second.
LANDMARKS = OneEuroSettings(0.05, 80.0, 1.0)
AXIS = OneEuroSettings(0.01, 10.0, 1.0)  # of the points of the next region
WORLD = OneEuroSettings(0.1, 40.0, 1.0)  # in metres
MOVENET = OneEuroSettings(6.36, 636.6, 4.77)  # in 0..1 of the picture


class OneEuro:
    """Smooths arrays of one shape as they come."""

    def __init__(self, settings: OneEuroSettings) -> None:
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Forgets what came before, as after a cut or when the person was lost."""
        self._time: float | None = None
        self._raw = self._value = self._speed = np.zeros(0)

    def __call__(self, values: np.ndarray, time: float, scale: float = 1.0) -> np.ndarray:
        """Returns smoothed values.

        Args:
            values: of the same shape each time.
            time: seconds; the steps may be uneven. A time that is not later is answered with the
                values as they are.
            scale: the size of the body in units of the values; speeds are measured by it.

        Returns:
            float64, of the values' shape. The first ones are returned as they are.
        """
        values = np.asarray(values, np.float64)
        if self._time is None or values.shape != self._raw.shape:
            self._time, self._raw, self._value = time, values, values
            self._speed = np.zeros_like(values)
            return values
        step = time - self._time
        if step <= 0:
            return values
        speed = (values - self._raw) / max(scale, _LEAST_SCALE) / step
        share = _share(self._settings.d_cutoff, step)
        self._speed = share * speed + (1 - share) * self._speed
        cutoff = self._settings.min_cutoff + self._settings.beta * np.abs(self._speed)
        share = _share(cutoff, step)
        self._value = share * values + (1 - share) * self._value
        self._time, self._raw = time, values
        return self._value


def _share(cutoff: float | np.ndarray, step: float) -> float | np.ndarray:
    """Returns the weight of a new value in an exponential mean with a cutoff in Hz."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * step))

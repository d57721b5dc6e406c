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

BODY_METRES = 2.0  # diameter of the circle around a body

_LEAST_SCALE = 1e-6

# A film's smoothing. Widths are standard deviations in seconds, speeds diameters a second.
_MOTION = 0.04
_REST = 0.12
_WIDEST = 2.5  # widths that are looked at on either side
_SLOW, _FAST = 0.05, 0.4
_FEWEST = 3  # frames
_LEAST_WEIGHT = 0.02
_RIDGE = 1e-3
_JITTER = 0.004  # diameters that a point trembles by
_OUTLIER = 3.0  # times the usual distance from the neighbours' middle
_ALONE = 1.5  # times the distance of the frames beside


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


def reach(fps: float) -> int:
    """Returns how many frames before and after one are looked at to smooth it."""
    return max(1, math.ceil(_WIDEST * _REST * fps))


def smooth_at(
    values: np.ndarray, weights: np.ndarray, times: np.ndarray, place: int, scale: float
) -> np.ndarray:
    """Smooths points at one time, from those before and after: no lag, and peaks keep their height.

    A parabola is fitted to the points around (Cleveland, "Robust Locally Weighted Regression and
    Smoothing Scatterplots", 1979), over a longer time where a point rests than where it moves.
    What a point does for one frame only is left out.

    Args:
        values: (T, J, D) of consecutive frames.
        weights: (T, J), 0..1, how sure they are.
        times: (T,) seconds.
        place: the index of the time that is asked for.
        scale: the size of the body in units of the values.

    Returns:
        (J, D) float32.
    """
    if len(times) < _FEWEST:
        return values[place].astype(np.float32)
    offsets = times - times[place]
    sure = np.maximum(weights, _LEAST_WEIGHT) ** 2
    sure[_is_spike(values, scale)] *= _LEAST_WEIGHT**2
    narrow, slope = _fit(values, sure, offsets, _MOTION)
    wide, _ = _fit(values, sure, offsets, _REST)
    speed = np.linalg.norm(slope, axis=1) / max(scale, _LEAST_SCALE)
    share = np.clip((speed - _SLOW) / (_FAST - _SLOW), 0, 1)[:, None]
    return (share * narrow + (1 - share) * wide).astype(np.float32)


def _is_spike(values: np.ndarray, scale: float) -> np.ndarray:
    """Returns (T, J) bool: where a point is far from its place between its neighbours in time.

    One frame that is off by some distance is so by all of it, and the frames beside it by half.
    """
    away = np.zeros(values.shape[:2])
    middle = (values[:-2] + values[2:]) / 2
    away[1:-1] = np.linalg.norm(values[1:-1] - middle, axis=2)
    beside = np.zeros_like(away)
    beside[:-1] = away[1:]
    beside[1:] = np.maximum(beside[1:], away[:-1])
    usual = np.median(away, axis=0) + _JITTER * scale
    return (away > _OUTLIER * usual) & (away > _ALONE * beside)


def _fit(
    values: np.ndarray, weights: np.ndarray, offsets: np.ndarray, width: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns value and slope (J, D) at offset 0 of parabolas through points around."""
    near = np.abs(offsets) <= _WIDEST * width * (1 + _LEAST_SCALE)
    x, y = offsets[near] / width, values[near].astype(np.float64)
    powers = np.stack([x**power for power in range(3)])
    share = weights[near] * np.exp(-0.5 * x**2)[:, None]
    matrix = np.einsum("pqt,tj->jpq", powers[:, None] * powers[None], share)
    # Where there are few points, the parabola is not bent to meet them.
    matrix += _RIDGE * matrix[:, :1, :1] * np.diag([0.0, 1.0, 1.0])
    right = np.einsum("pt,tj,tjd->jpd", powers, share, y)
    fitted = np.linalg.solve(matrix, right)
    return fitted[:, 0], fitted[:, 1] / width

"""Feet that do not slide: the model knows of no floor, so a generated dance slips on it."""

from __future__ import annotations

import math

import numpy as np

from dancenet.data.motion.smooth import smooth

FLOOR_PERCENTILE = 5  # percentile of the lowest joint's height that is taken for the floor
_REST_PERCENTILE = 10  # percentile of a joint's height that is taken for its height at rest
_LOW = 0.12  # body heights; a joint that rests below is a foot
_LIFTED = 0.03  # metres above rest at which a foot counts 1/e of one on the floor
_SLOW = 0.15  # m/s; if both feet are low, the slower one counts more
_SMOOTHING = 0.05  # seconds, standard deviation of the Gaussian over the correction
_CUT_OFF = 3  # standard deviations


def find_feet(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds the joints that a body stands on.

    Args:
        positions: (T, J, 3) metres, y up.

    Returns:
        Indices (N,) of the joints, and the height (N,) of each above the floor at rest, metres.
    """
    heights = positions[..., 1] - floor_height(positions)
    rest = np.percentile(heights, _REST_PERCENTILE, axis=0)
    tall = float(np.median(np.ptp(positions[..., 1], axis=1)))
    feet = np.flatnonzero(rest < _LOW * tall)
    return feet, np.maximum(rest[feet], 0.0)


def floor_height(positions: np.ndarray) -> float:
    """Returns the floor's height under (T, J, 3): a low percentile of the lowest joint's."""
    return float(np.percentile(positions[..., 1].min(axis=1), FLOOR_PERCENTILE))


def plant_feet(positions: np.ndarray, fps: float, feet: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Moves the whole body over the floor so that a standing foot stays where it is.

    A model predicts the body's path and its pose apart, so small errors of both make the
    standing foot slide. Each frame is moved back by the weighted mean of the feet's horizontal
    steps. A foot weighs more the lower and the slower it is, and the correction fades out when
    all feet leave the floor. Poses do not change.

    Args:
        positions: (T, J, 3) metres, y up.
        fps: frames per second.
        feet: (N,) indices of joints.
        rest: (N,) metres, their heights above the floor at rest.

    Returns:
        (T, J, 3) of the dtype of `positions`; the first frame is unchanged.
    """
    if len(positions) < 2 or not len(feet):
        return positions.copy()
    places = positions[:, feet].astype(np.float64)
    height = places[..., 1] - floor_height(positions) - rest
    lifted = np.maximum(np.minimum(height[:-1], height[1:]), 0.0)
    steps = np.diff(places[..., [0, 2]], axis=0)  # (T - 1, N, 2)
    standing = np.exp(-((lifted / _LIFTED) ** 2))
    weight = standing / (np.square(steps).sum(axis=-1) * fps**2 + _SLOW**2)
    mean = np.einsum("tn,tnc->tc", weight, steps) / np.maximum(
        weight.sum(axis=1, keepdims=True), 1e-12
    )
    back = -mean * standing.max(axis=1, keepdims=True)
    deviation = _SMOOTHING * fps
    radius = max(1, math.ceil(_CUT_OFF * deviation))
    back = smooth(back, deviation, radius, ends="hold")
    planted = positions.astype(np.float64)
    planted[1:, :, [0, 2]] += np.cumsum(back, axis=0)[:, None]
    return planted.astype(positions.dtype)

"""Feet that stay where they stand: a dance made anew slides, because it knows of no floor."""

from __future__ import annotations

import math

import numpy as np

FLOOR_PERCENTILE = 5  # of the lowest joint's height over a motion, which is the floor
_REST_PERCENTILE = 10  # of a joint's height over the floor: where it is when it stands
_LOW = 0.12  # of the body's height: joints that rest so low are feet
_LIFTED = 0.03  # metres above its rest at which a foot hardly stands any more
_SLOW = 0.15  # m/s; of two low feet the slower one stands
_SMOOTHING = 0.05  # seconds, deviation of the Gaussian over what is corrected


def find_feet(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds the joints a body stands on.

    Args:
        positions: (T, J, 3) metres, y up.

    Returns:
        Numbers (F,) of the joints, and the height (F,) each has above the floor where it stands.
    """
    heights = positions[..., 1] - floor_height(positions)
    rest = np.percentile(heights, _REST_PERCENTILE, axis=0)
    tall = float(np.median(np.ptp(positions[..., 1], axis=1)))
    feet = np.flatnonzero(rest < _LOW * tall)
    return feet, np.maximum(rest[feet], 0.0)


def floor_height(positions: np.ndarray) -> float:
    """Returns the height of the floor under (T, J, 3): where the lowest joint usually is."""
    return float(np.percentile(positions[..., 1].min(axis=1), FLOOR_PERCENTILE))


def plant_feet(positions: np.ndarray, fps: float, feet: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Moves a dancer over the floor so that a foot that stands stays where it is.

    Nothing in a trajectory ties how far the body moves to where its feet are, so small errors
    of both make the standing foot slide. In every frame the whole body is moved back by the mean
    horizontal step of the feet, the lower and slower ones counting most; the less the lowest one
    stands, the less it is moved. Poses stay as they are.

    Args:
        positions: (T, J, 3) metres, y up.
        fps: frames per second.
        feet: (F,) joints.
        rest: (F,) metres, their height above the floor where they stand.

    Returns:
        (T, J, 3) of the dtype of `positions`, beginning where it began.
    """
    if len(positions) < 2 or not len(feet):
        return positions.copy()
    places = positions[:, feet].astype(np.float64)
    height = places[..., 1] - floor_height(positions) - rest
    lifted = np.maximum(np.minimum(height[:-1], height[1:]), 0.0)
    steps = np.diff(places[..., [0, 2]], axis=0)  # (T - 1, F, 2)
    standing = np.exp(-((lifted / _LIFTED) ** 2))
    weight = standing / (np.square(steps).sum(axis=-1) * fps**2 + _SLOW**2)
    mean = np.einsum("tf,tfc->tc", weight, steps) / np.maximum(
        weight.sum(axis=1, keepdims=True), 1e-12
    )
    back = _smooth(-mean * standing.max(axis=1, keepdims=True), _SMOOTHING * fps)
    planted = positions.astype(np.float64)
    planted[1:, :, [0, 2]] += np.cumsum(back, axis=0)[:, None]
    return planted.astype(positions.dtype)


def _smooth(values: np.ndarray, deviation: float) -> np.ndarray:
    """Low-passes (T, C) over time with a Gaussian of so many frames; the ends are held."""
    radius = max(1, math.ceil(3 * deviation))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(deviation, 1e-9)) ** 2)
    padded = np.pad(values, ((radius, radius), (0, 0)), mode="edge")
    return np.stack(
        [np.convolve(column, kernel / kernel.sum(), "valid") for column in padded.T], axis=1
    )

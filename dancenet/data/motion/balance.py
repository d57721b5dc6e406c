"""A check of a recording's frame rate: at a wrong one the body could not keep its balance."""

from __future__ import annotations

import numpy as np

from dancenet.data.motion.joints import JOINTS

GRAVITY = 9.81  # m/s^2
SMOOTHING = 0.2  # seconds; without it second differences of marker data are noise

# Body segments' shares of the mass (Winter, "Biomechanics and Motor Control of Human Movement",
# 4th ed., table 4.1), half of each limb segment put at either end.
_MASSES = {
    "pelvis": 0.199,
    "spine": 0.149,
    "chest": 0.149,
    "neck": 0.0,
    "head": 0.081,
    "shoulder": 0.014,
    "elbow": 0.022,
    "wrist": 0.014,
    "hip": 0.05,
    "knee": 0.073,
    "ankle": 0.031,
    "toe": 0.007,
}
MASSES = np.array([_MASSES[name.split("_")[-1]] for name in JOINTS])

# Measured on 49 recordings. At their true rates the median is 0.04 m to 0.15 m (0.31 m for one
# estimated from video) and at most 2.3 times that at half the rate. At twice the true rate steady
# stepping (salsa, lambada) has 0.17 m to 0.40 m and at least 3.4 times that at half the rate.
# Slow and airborne dances differ less; their rate is then left as the file gives it.
UNBALANCED = 0.14  # metres
BALANCED = 0.12  # metres
RATIO = 3.0
MIN_SECONDS = 2.0  # shorter recordings have too few steps to judge by


def imbalance(positions: np.ndarray, fps: float) -> float:
    """Measures how far the zero moment point strays from the line between the feet.

    A body that does not fall keeps its zero moment point, where the ground's force acts,
    between and under its feet (Vukobratovic and Borovac, "Zero-moment point: thirty-five
    years of its life", 2004). Its distance from the body's middle grows with the square of
    the frame rate, so at a rate that is too high it leaves the feet. Frames in flight are left
    out.

    Args:
        positions: (T, 19, 3) metres, y up, floor at 0.
        fps: frames per second.

    Returns:
        The median distance in metres, NaN if the recording is too short to judge.
    """
    window = np.hanning(max(int(round(SMOOTHING * fps)), 1) + 2)[1:-1]
    if len(positions) < len(window) + MIN_SECONDS * fps:
        return float("nan")
    smooth = _convolve(positions.astype(np.float64), window / window.sum())
    acceleration = np.diff(smooth, 2, axis=0) * fps**2
    place = smooth[1:-1]
    weight = MASSES / MASSES.sum() * (acceleration[..., 1] + GRAVITY)  # (T, J)
    load = weight.sum(axis=1)
    on_ground = load > GRAVITY / 2
    if np.count_nonzero(on_ground) < fps:
        return float("nan")
    push = MASSES / MASSES.sum() * place[..., 1]
    moments = [
        (weight * place[..., axis] - push * acceleration[..., axis]).sum(axis=1) for axis in (0, 2)
    ]
    zero_moment = np.stack(moments, axis=1)[on_ground] / load[on_ground, None]
    left, right = (
        place[on_ground][:, [JOINTS.index(f"{side}_ankle"), JOINTS.index(f"{side}_toe")]].mean(1)
        for side in "lr"
    )
    return float(np.median(_distance(zero_moment, left[:, [0, 2]], right[:, [0, 2]])))


def believable_rate(positions: np.ndarray, fps: float) -> float:
    """Returns `fps`, or half of it if the body keeps its balance at half the rate only."""
    stated, halved = imbalance(positions, fps), imbalance(positions, fps / 2)
    wrong = stated > UNBALANCED and halved < BALANCED and stated > RATIO * halved
    return fps / 2 if wrong else fps


def _convolve(values: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Smooths along the first axis; the ends, which the window does not cover, are left out."""
    length = len(values) - len(window) + 1
    return sum(
        (share * values[start : start + length] for start, share in enumerate(window)),
        start=np.zeros((length, *values.shape[1:])),
    )


def _distance(points: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Returns the distances (T,) of points from the segments between left and right, (T, 2)."""
    across = right - left
    part = ((points - left) * across).sum(1) / np.maximum((across**2).sum(1), 1e-9)
    return np.linalg.norm(points - left - np.clip(part, 0, 1)[:, None] * across, axis=1)

"""Keypoints of a body as the lifting network sees them.

Whatever found the keypoints, they are brought to the points of `POINTS` and to one rate, measured
from the middle of the hips, and divided by the body's size in the picture, so that one unit is
about a metre.
"""

from __future__ import annotations

import numpy as np

from dancenet.data.mocap.formats.keypoints import BLAZEPOSE, COCO

RATE = 30.0  # frames per second of the network's input

_SIDES = tuple(
    f"{side}_{limb}"
    for limb in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "toe")
    for side in "lr"
)
POINTS: tuple[str, ...] = ("nose", "l_ear", "r_ear", *_SIDES)
NUM_FEATURES = 3 * len(POINTS) + 4

# Scores at and below the first count nothing, at and above the second everything.
_SCORES = (0.1, 0.5)
# The toe joint is the ball of the foot; detectors mark the tip, so many times farther out.
_TIP = 1.45

# Bones that measure the body's size in the picture, and their usual lengths in metres.
_MEASURED = tuple(
    (POINTS.index(f"{side}_{start}"), POINTS.index(f"{side}_{end}"), length)
    for side in "lr"
    for start, end, length in (
        ("shoulder", "hip", 0.50),
        ("hip", "knee", 0.42),
        ("knee", "ankle", 0.43),
        ("shoulder", "elbow", 0.27),
        ("elbow", "wrist", 0.25),
    )
)
# A bone that points to the camera is short, so the long ones tell the size.
_LONG = 90  # percentile of measured over usual lengths
_SIZE_WINDOW = 127  # frames over which the size is measured
_SIZE_STEP = 15  # frames from one measurement to the next
_SLOW_WINDOW = 31  # frames; the body's path is split into a slower and a faster part
_FARTHEST = 3.0  # units from the hips to which points are clipped

_HIPS = (POINTS.index("l_hip"), POINTS.index("r_hip"))


def to_points(keypoints: np.ndarray) -> np.ndarray:
    """Brings keypoints to `POINTS`.

    Args:
        keypoints: (T, 17 or 33, 3): COCO's points or MediaPipe's; x and y in pixels, y down, and a
            score in 0 … 1. NaN where a point was not seen.

    Returns:
        (T, P, 3) float64: x, y and a weight in 0 … 1, which is 0 of what was not seen.

    Raises:
        ValueError: another number of points.
    """
    names = {len(COCO): COCO, len(BLAZEPOSE): BLAZEPOSE}.get(keypoints.shape[1])
    if names is None or keypoints.ndim != 3 or keypoints.shape[2] != 3:
        raise ValueError(
            f"keypoints must be (T, {len(COCO)} or {len(BLAZEPOSE)}, 3). "
            f"Received: {keypoints.shape}"
        )
    points = np.zeros((len(keypoints), len(POINTS), 3))
    for index, name in enumerate(POINTS):
        if name in names:
            points[:, index] = keypoints[:, names.index(name)]
    for side in "lr":
        toe, ankle = POINTS.index(f"{side}_toe"), POINTS.index(f"{side}_ankle")
        foot = points[:, toe, :2] - points[:, ankle, :2]
        points[:, toe, :2] = points[:, ankle, :2] + foot / _TIP
    low, high = _SCORES
    weight = np.clip((points[..., 2] - low) / (high - low), 0.0, 1.0)
    seen = np.asarray(np.isfinite(points).all(axis=-1))
    points[..., 2] = np.where(seen, weight, 0.0)
    points[..., :2] = np.where(seen[..., None], points[..., :2], 0.0)
    return fill(points)


def fill(points: np.ndarray) -> np.ndarray:
    """Interpolates the places of points (T, P, 3) over the frames in which their weight is 0."""
    filled = points.copy()
    frames = np.arange(len(points))
    for joint in range(points.shape[1]):
        known = np.flatnonzero(points[:, joint, 2] > 0)
        if 0 < len(known) < len(frames):
            for axis in range(2):
                filled[:, joint, axis] = np.interp(frames, known, points[known, joint, axis])
    return filled


def resample(points: np.ndarray, fps: float, rate: float = RATE) -> np.ndarray:
    """Interpolates points (T, P, 3) at `rate`; the first frame stays the first."""
    if abs(fps - rate) < 1e-9 or len(points) < 2:
        return points
    count = int(np.floor((len(points) - 1) / fps * rate + 1e-6)) + 1
    return at_times(points, np.arange(count) * fps / rate)


def at_times(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Interpolates values (T, ...) linearly at times (N,), counted in frames."""
    here = np.clip(np.floor(times + 1e-6).astype(int), 0, max(len(values) - 2, 0))
    after = np.minimum(here + 1, len(values) - 1)
    part = np.clip(times - here, 0.0, 1.0).reshape(-1, *[1] * (values.ndim - 1))
    return values[here] * (1 - part) + values[after] * part


def body_scale(points: np.ndarray) -> np.ndarray:
    """Measures the body's size in the picture: (T,) pixels for about a metre.

    Args:
        points: (T, P, 3), as `to_points` gives them.
    """
    ratios = np.empty((len(points), len(_MEASURED)))
    for column, (start, end, length) in enumerate(_MEASURED):
        size = np.linalg.norm(points[:, start, :2] - points[:, end, :2], axis=-1) / length
        seen = (points[:, start, 2] > 0) & (points[:, end, 2] > 0)
        ratios[:, column] = np.where(seen, size, np.nan)
    if not np.isfinite(ratios).any():
        return np.ones(len(points))
    centres = np.arange(0, len(points) + _SIZE_STEP - 1, _SIZE_STEP)
    half = _SIZE_WINDOW // 2
    sizes = np.array([_long(ratios[max(0, place - half) : place + half + 1]) for place in centres])
    known = np.isfinite(sizes)
    sizes = np.interp(np.arange(len(points)), centres[known], sizes[known])
    return np.maximum(sizes, 1e-6)


def _long(ratios: np.ndarray) -> float:
    known = ratios[np.isfinite(ratios)]
    if not len(known):
        return np.nan
    rank = (len(known) - 1) * _LONG // 100
    return float(np.partition(known, rank)[rank])


def features(points: np.ndarray) -> np.ndarray:
    """Returns the network's input (T, NUM_FEATURES) float32 for points (T, P, 3) at `RATE`.

    These are the points from the middle of the hips, x to the right and y up, their weights, and
    the path of the hips in the picture: what is left of it beside a moving mean, and the speed of
    that mean.
    """
    scale = body_scale(points)[:, None]
    places = points[..., :2] * np.array([1.0, -1.0])
    weight = points[..., 2]
    root = places[:, list(_HIPS)].mean(axis=1)
    relative = (places - root[:, None]) / scale[:, None]
    relative = np.clip(relative, -_FARTHEST, _FARTHEST) * (weight > 0)[..., None]
    slow = _moving_mean(root, _SLOW_WINDOW)
    speed = np.gradient(slow, axis=0) * RATE if len(slow) > 1 else np.zeros_like(slow)
    path = np.concatenate([root - slow, speed], axis=1) / scale
    path = np.clip(path, -_FARTHEST, _FARTHEST)
    row = [relative.reshape(len(points), -1), weight, path]
    return np.concatenate(row, axis=1).astype(np.float32)


def _moving_mean(values: np.ndarray, length: int) -> np.ndarray:
    """Returns the centred moving mean of (T, C); the ends are held."""
    half = length // 2
    total = np.cumsum(np.pad(values, ((half + 1, half), (0, 0)), mode="edge"), axis=0)
    return (total[length:] - total[:-length]) / length

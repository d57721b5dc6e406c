"""Moves, turns, scales and mirrors silhouettes, so that a VAE sees more than was filmed."""

from __future__ import annotations

import math

import cv2
import numpy as np

from dancenet.data.frames.picture import BACKGROUND, DANCER

# The most at strength 1. A dancer leans and comes nearer; nobody stands on a slope.
_TURN = 8.0  # degrees
_SCALE = 0.35  # change of the logarithm
_STRETCH = 0.1  # change of the logarithm, one axis against the other
_SHEAR = 0.1
_SHIFT = (14.0, 6.0)  # pixels, x and y


def augment(
    frames: np.ndarray, rng: np.random.Generator, strength: float = 1.0, mirror: bool = True
) -> np.ndarray:
    """Draws each dancer at another place, in another size and a little turned.

    A dancer who is wholly in the picture stays in it, so that no limb is cut that was not.

    Args:
        frames: (B, H, W) uint8, 0 dancer and 255 background.
        rng: the source of randomness.
        strength: 0 changes nothing, 1 is right for a clip of a few minutes.
        mirror: swap left and right in half of the frames.

    Returns:
        (B, H, W) uint8, 0 and 255 only.
    """
    out = np.empty_like(frames)
    for frame, target in zip(frames, out):
        # Drawn in any case, so that one empty frame does not change those after it.
        draws, flip = rng.uniform(-1.0, 1.0, 6) * strength, mirror and rng.random() < 0.5
        rows = np.flatnonzero((frame == DANCER).any(axis=1))
        if not len(rows):
            target[:] = frame
            continue
        columns = np.flatnonzero((frame == DANCER).any(axis=0))
        box = np.array([[columns[0], rows[0]], [columns[-1], rows[-1]]], float)
        size = np.array(frame.shape[::-1], float)
        moved = cv2.warpAffine(
            frame,
            _transform(box, size, draws, flip),
            frame.shape[::-1],
            flags=cv2.INTER_LINEAR,
            borderValue=BACKGROUND,
        )
        target[:] = np.where(moved < (DANCER + BACKGROUND) / 2, DANCER, BACKGROUND)
    return out


def _transform(box: np.ndarray, size: np.ndarray, draws: np.ndarray, flip: bool) -> np.ndarray:
    """Returns the affine map (2, 3) of pixel places for six draws in -1..1.

    Args:
        box: (2, 2), x and y of the dancer's first and last pixels.
        size: (2,), width and height of the picture.
        draws: turn, scale, stretch, shear, x and y.
        flip: whether x is mirrored.
    """
    angle = math.radians(_TURN * draws[0])
    scale = math.exp(_SCALE * draws[1])
    stretch = math.exp(_STRETCH * draws[2])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    lean = np.array([[1.0, _SHEAR * draws[3]], [0.0, 1.0]])
    linear = scale * turn @ lean @ np.diag([-stretch if flip else stretch, 1.0 / stretch])
    centre, half = box.mean(axis=0), (box[1] - box[0] + 1) / 2  # to the pixels' outer edges
    inside = ((box[0] > 0) & (box[1] < size - 1)).all()
    reach = np.abs(linear) @ half + 1.0
    if inside:
        shrink = min(1.0, float(((size - 1) / (2 * reach)).min()))
        linear, reach = linear * shrink, reach * shrink
    # A mirrored dancer stands on the other side.
    goal = np.array([size[0] - 1 - centre[0] if flip else centre[0], centre[1]])
    goal = goal + draws[4:] * _SHIFT
    if inside:
        goal = np.clip(goal, reach, size - 1 - reach)
    return np.column_stack([linear, goal - linear @ centre])

"""The place of a figure in its frame: taken out before a frame is encoded, put back when drawn.

The picture network then sees every figure in the middle. What lies between two poses is a body
more often, because it is not also a figure halfway between two places.
"""

from __future__ import annotations

import numpy as np

from dancenet.data.frames.centre import median_column
from dancenet.data.frames.picture import BACKGROUND, DANCER

PIXELS = 8.0  # in one unit of the place, so that it varies about as much as a latent
# Natural logarithm of the variance of a place that was rounded to pixels, in units squared.
LOG_VARIANCE = float(np.log(1 / 12 / PIXELS**2))
# Logits are limited before they are moved: sigmoid(8) is 0.9997, and a far larger one beside an
# outline would displace it.
MAX_LOGIT = 8.0


def take_out(background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moves each figure to the middle.

    Args:
        background: (B, H, W) float32 background probability; below a half is the figure.

    Returns:
        (B, H, W) float32, background where nothing was; and the places (B, 1) float32: how far
        the figure's median column is right of W // 2, in units of `PIXELS`.
    """
    frames = np.where(background < 0.5, np.uint8(DANCER), np.uint8(BACKGROUND))
    offset = (median_column(frames) - background.shape[2] // 2).astype(np.float32)
    moved = 1 - (1 - background) @ _shift(offset, background.shape[2])
    return moved.astype(np.float32), offset[:, None] / np.float32(PIXELS)


def put_back(logits: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Moves each figure from the middle to its place.

    Args:
        logits: (B, H, W) float32, of the background probability.
        places: (B, 1) from `take_out`.

    Returns:
        (B, H, W) float32 background probability.
    """
    figure = np.clip(logits, -MAX_LOGIT, MAX_LOGIT) - np.float32(MAX_LOGIT)
    moved = figure @ _shift(-places[:, 0] * np.float32(PIXELS), logits.shape[2])
    return (1 / (1 + np.exp(-(moved + np.float32(MAX_LOGIT))))).astype(np.float32)


def _shift(offset: np.ndarray, width: int) -> np.ndarray:
    """Returns matrices (B, W, W) that move columns to the left by `offset` (B,), linearly."""
    columns = np.arange(width, dtype=np.float32)
    distance = columns[:, None] - columns - offset[:, None, None].astype(np.float32)
    return np.maximum(0, 1 - np.abs(distance)).astype(np.float32)

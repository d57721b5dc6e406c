"""Moves each figure to the middle of its frame, so that a network need not learn every place."""

from __future__ import annotations

import numpy as np

from dancenet.data.frames.picture import BACKGROUND, DANCER


def median_column(frames: np.ndarray) -> np.ndarray:
    """Returns where the figures stand: the column that halves each.

    Args:
        frames: (B, H, W) uint8, 0 dancer and 255 background.

    Returns:
        (B,) int64, the first column with half of the figure at or left of it; W // 2 in a frame
        without a figure.
    """
    width = frames.shape[2]
    below = np.cumsum((frames == DANCER).sum(axis=1), axis=1)
    total = below[:, -1:]
    return np.where(total[:, 0] > 0, (2 * below < total).sum(axis=1), width // 2)


def centred(frames: np.ndarray) -> np.ndarray:
    """Moves each figure sideways until its median column is W // 2.

    What leaves the frame is lost, and what comes in is background.

    Args:
        frames: (B, H, W) uint8, 0 dancer and 255 background.

    Returns:
        (B, H, W) uint8.
    """
    width = frames.shape[2]
    columns = np.arange(width) + (median_column(frames) - width // 2)[:, None]
    inside = (columns >= 0) & (columns < width)
    moved = np.take_along_axis(frames, np.clip(columns, 0, width - 1)[:, None], axis=2)
    return np.where(inside[:, None], moved, np.uint8(BACKGROUND))

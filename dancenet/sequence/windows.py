"""Windows of a trajectory, never across the end of a clip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class WindowTable:
    """The windows that lie inside clips, numbered clip by clip, without a list of them.

    It holds three numbers a clip, so that a recording of any length can be shuffled in the 8
    bytes a window that a permutation of the numbers takes.

    Args:
        clips: 0-based row ranges, not empty.
        length: rows in a window; for a look-back of n and a target one row on, n + 1. A shorter
            clip is one window of its own length.
        stride: rows between the starts of two windows of a clip.

    Raises:
        ValueError: length or stride is not positive, or a clip is empty.
    """

    def __init__(self, clips: Sequence[range], length: int, stride: int = 1) -> None:
        if length < 1 or stride < 1:
            raise ValueError(
                f"length and stride must be positive; received {length} and {stride}."
            )
        if not all(map(len, clips)):
            raise ValueError("a clip has no rows.")
        self._stride = stride
        self._first = np.array([clip.start for clip in clips], np.int64)
        sizes = np.array([len(clip) for clip in clips], np.int64)
        self._length = np.minimum(sizes, length)
        # (C + 1,), windows before each clip, and in all.
        self._before = np.concatenate([[0], np.cumsum((sizes - self._length) // stride + 1)])

    def __len__(self) -> int:
        return int(self._before[-1])

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Takes numbers (N,) of windows; returns their first rows and numbers of rows (N, 2)."""
        clip = np.searchsorted(self._before, numbers, side="right") - 1
        start = self._first[clip] + self._stride * (numbers - self._before[clip])
        return np.stack([start, self._length[clip]], axis=1)

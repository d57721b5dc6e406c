"""Windows of a trajectory, never across the end of a clip."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np


class WindowTable:
    """The windows that lie inside clips, numbered clip by clip, without a list of them.

    It holds three numbers per clip, so that a dataset of any length can be shuffled with a
    permutation of window numbers, 8 bytes each.

    Args:
        clips: 0-based row ranges, not empty.
        length: rows in a window; for a look-back of n and a target one row on, n + 1. A shorter
            clip is one window of its own length.
        stride: rows between the starts of two windows of a clip.

    Attributes:
        counts: (C,) windows that begin in different rows of each clip.

    Raises:
        ValueError: length or stride is not positive, or a clip is empty.
    """

    def __init__(self, clips: Sequence[range], length: int, stride: int = 1) -> None:
        if length < 1 or stride < 1:
            raise ValueError(f"length and stride must be positive; received {length} and {stride}.")
        if not all(map(len, clips)):
            raise ValueError("a clip has no rows.")
        self._stride = stride
        self._first = np.array([clip.start for clip in clips], np.int64)
        sizes = np.array([len(clip) for clip in clips], np.int64)
        self._length = np.minimum(sizes, length)
        self.counts = (sizes - self._length) // stride + 1
        self._repeats = np.ones_like(self.counts)
        self._number()

    def _number(self) -> None:
        # (C + 1,), the number of windows before each clip, and of all windows.
        self._before = np.concatenate([[0], np.cumsum(self.counts * self._repeats)])

    def repeated(self, repeats: np.ndarray) -> WindowTable:
        """Returns a table that repeats the windows of clip i `repeats[i]` times; `repeats` (C,)."""
        table = copy.copy(self)
        table._repeats = repeats
        table._number()
        return table

    def __len__(self) -> int:
        return int(self._before[-1])

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Takes numbers (N,) of windows; returns their first rows and numbers of rows (N, 2)."""
        clip = np.searchsorted(self._before, numbers, side="right") - 1
        index = (numbers - self._before[clip]) // self._repeats[clip]
        start = self._first[clip] + self._stride * index
        return np.stack([start, self._length[clip]], axis=1)

    def first_of_clips(self) -> np.ndarray:
        """Returns the first window of each clip (C, 2), as `rows` does."""
        return np.stack([self._first, self._length], axis=1)

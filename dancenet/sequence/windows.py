"""Windows of a trajectory, never across the end of a clip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dancenet.errors import UserError


def window_starts(clips: Sequence[range], length: int, stride: int = 1) -> np.ndarray:
    """Returns the first row of every window that lies inside one clip.

    Args:
        clips: 0-based row ranges of the clips.
        length: rows in a window; for a look-back of n and a target one row on, n + 1.
        stride: rows between the starts of two windows of a clip.

    Returns:
        (N,) int64, ascending inside each clip.

    Raises:
        UserError: no clip is as long as a window.
        ValueError: length or stride is not positive.
    """
    if length < 1 or stride < 1:
        raise ValueError(f"length and stride must be positive; received {length} and {stride}.")
    starts = [np.arange(clip.start, clip.stop - length + 1, stride) for clip in clips]
    found = np.concatenate([np.zeros(0, np.int64), *starts]).astype(np.int64)
    if not len(found):
        longest = max((len(clip) for clip in clips), default=0)
        raise UserError(
            f"No clip is long enough: a window needs {length} frames and the longest clip has "
            f"{longest}. Use a smaller --look-back, or film longer clips."
        )
    return found

"""Motion at another frame rate, by Catmull-Rom splines.

Between two frames the motion follows the cubic through them whose slope at each is half the
step between its neighbours (Catmull and Rom, "A class of local interpolating splines", 1974).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

SAME_RATE = 0.005  # two rates closer than this fraction (29.97 and 30) are the same

_ROUNDING = 1e-6  # frames; keeps a last frame that falls on a recorded one
_ON_FRAME = 1e-3  # frames; a new frame so near a recorded one needs no other


def catmull_rom(
    before: np.ndarray,
    here: np.ndarray,
    after: np.ndarray,
    later: np.ndarray,
    part: np.ndarray | np.float32,
) -> np.ndarray:
    """Interpolates between `here` and `after`.

    Args:
        before, here, after, later: arrays of one shape, four frames in a row.
        part: where between `here` (0) and `after` (1), float32 of a shape that broadcasts.

    Returns:
        float32 of that shape.
    """
    t = part
    slope_here, slope_after = (after - before) / 2, (later - here) / 2
    return (
        (2 * t**3 - 3 * t**2 + 1) * here
        + (t**3 - 2 * t**2 + t) * slope_here
        + (3 * t**2 - 2 * t**3) * after
        + (t**3 - t**2) * slope_after
    ).astype(np.float32)


def resample_stream(
    vectors: Iterable[np.ndarray], ratio: float, num_frames: int
) -> Iterator[np.ndarray]:
    """Reads a trajectory at another rate and the same tempo, one frame at a time.

    Args:
        vectors: arrays of one shape, one for each frame; the last two only give slopes.
        ratio: frames of `vectors` for each frame that is yielded.
        num_frames: the most frames to yield.

    Yields:
        float32 arrays of that shape; the arrays themselves if `ratio` is 1.
    """
    source = iter(vectors)
    if ratio == 1:
        yield from (vector for _, vector in zip(range(num_frames), source))
        return
    first = next(source, None)
    if first is None:
        return
    window = deque([first, first], maxlen=4)  # frames base - 1 … base + 2
    window.extend(vector for _, vector in zip(range(2), source))
    base = 0
    for index in range(num_frames):
        place = index * ratio
        # The tiny excess is for products that are rounded below a whole number.
        while base < math.floor(place + 1e-9):
            following = next(source, None)
            if following is None:
                return
            window.append(following)
            base += 1
        if len(window) < 4:
            return
        before, here, after, later = window
        yield catmull_rom(before, here, after, later, np.float32(max(place - base, 0.0)))


def resample_clip(
    positions: np.ndarray, ok: np.ndarray, recorded_fps: float, fps: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Brings a whole clip to another rate, never above its own.

    The first and the last frame stand for the neighbours that they lack. A new frame is good if
    both recorded neighbours are.

    Args:
        positions: (T, J, C) float32.
        ok: (T,) bool, the good frames.
        recorded_fps: frames per second of `positions`.
        fps: frames per second wanted. A rate at or above the recorded one, or within 0.5 % of
            it, leaves the frames as they are.

    Returns:
        Positions (T', J, C), marks (T',), and their rate.
    """
    if fps >= recorded_fps * (1 - SAME_RATE):
        same = abs(fps - recorded_fps) <= recorded_fps * SAME_RATE
        return positions, ok, float(fps) if same else recorded_fps
    last = len(positions) - 1
    times = np.arange(int(last / recorded_fps * fps + _ROUNDING) + 1) * (recorded_fps / fps)
    here = np.minimum(times.astype(int), last)
    after = np.minimum(here + 1, last)
    part = (times - here).astype(np.float32)
    between = catmull_rom(
        positions[np.maximum(here - 1, 0)],
        positions[here],
        positions[after],
        positions[np.minimum(here + 2, last)],
        part[:, None, None],
    )
    return between, ok[here] & (ok[after] | (part < _ON_FRAME)), float(fps)


def frames_needed(num_frames: int, ratio: float) -> int:
    """Returns how many frames `resample_stream` reads to yield `num_frames`."""
    # Two more than the last place, for the last interpolation.
    return num_frames if ratio == 1 else math.ceil((num_frames - 1) * ratio) + 3

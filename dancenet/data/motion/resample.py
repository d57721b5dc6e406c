"""Reads a motion at another frame rate, along a smooth curve through its frames."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np


def catmull_rom(
    before: np.ndarray, here: np.ndarray, after: np.ndarray, later: np.ndarray, t: Any
) -> np.ndarray:
    """Interpolates between `here` and `after`.

    The cubic through both whose slopes there are those between their neighbours (Catmull and
    Rom, "A class of local interpolating splines", 1974), so that a motion has no corners.

    Args:
        before: the frame before `here`.
        here: reached at t = 0.
        after: reached at t = 1.
        later: the frame after `after`.
        t: float32 in [0, 1], a number or an array that fits the frames.

    Returns:
        float32, of the frames' shape.
    """
    slope_here, slope_after = (after - before) / 2, (later - here) / 2
    return (
        (2 * t**3 - 3 * t**2 + 1) * here
        + (t**3 - 2 * t**2 + t) * slope_here
        + (3 * t**2 - 2 * t**3) * after
        + (t**3 - t**2) * slope_after
    ).astype(np.float32)


def resample_stream(
    frames: Iterable[np.ndarray], ratio: float, num_frames: int
) -> Iterator[np.ndarray]:
    """Reads a stream of frames at another rate, at the same tempo.

    Args:
        frames: arrays of one shape; the last two only steer.
        ratio: frames of `frames` per frame that is yielded.
        num_frames: how many to yield at most.

    Yields:
        Arrays of that shape; unchanged ones if `ratio` is 1.
    """
    source = iter(frames)
    if ratio == 1:
        yield from (frame for _, frame in zip(range(num_frames), source))
        return
    first = next(source, None)
    if first is None:
        return
    window = deque([first, first], maxlen=4)  # the frames base - 1 ... base + 2
    window.extend(frame for _, frame in zip(range(2), source))
    base = 0
    for index in range(num_frames):
        place = index * ratio
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


def frames_needed(num_frames: int, ratio: float) -> int:
    """Returns how many frames `resample_stream` reads to yield `num_frames`."""
    # Two more than the last place, for the last interpolation.
    return num_frames if ratio == 1 else math.ceil((num_frames - 1) * ratio) + 3

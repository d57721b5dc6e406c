"""Finds a film's own rate, and where it stands still, from its timestamps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from dancenet.data.footage.pictures import LEAST_FPS

PAUSE_SECONDS = 1.0  # a picture that stays longer is a stretch without pictures ...
BACK_SECONDS = 2.0  # timestamps that go back this far begin anew, as in joined files
_REORDERED = 16  # pictures that may be stored before one that is shown earlier
_PAUSE_INTERVALS = 4.0  # ... or this many usual ones, where nearly every picture stays longer
_LEAST_MOVING = 0.5  # seconds without a pause that make a film of pauses and movement
_FAST = 1 / 8  # seconds between two pictures of a movement, where a film is slow as a whole ...
_LEAST_FAST = 2.0  # ... and the seconds of such pictures that are worth being read alone
HIGHEST_FPS = 1200.0  # timestamps that come faster are the container's clock, not the camera's
_USUAL_FPS = 25.0  # where nothing is known
_WINDOW = 12  # intervals over which the rate of the moving part is averaged
_COMMON_SHARE = 0.6  # of the intervals that must be alike to be the camera's
_ALIKE = 0.05  # share by which alike intervals differ
_AGREES = 0.03  # share by which the header's rate may differ from the timestamps' to be taken
_STANDARD_FPS = (
    *(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120, 240)),
    *map(Fraction, (5, 6, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240, 480, 960)),
    Fraction(25, 2),
)


@dataclass(frozen=True)
class Timing:
    """When a film's pictures are shown."""

    fps: float  # the film's own rate, where it moves
    pause: float  # seconds from which on an interval between pictures is left out
    retimed: bool  # the timestamps are of no use: pictures come `fps` a second
    seconds: float  # of the moving parts
    left_out: float  # seconds in which no new picture came
    num_pauses: int
    reason: str  # where the rate comes from, in words


def measure(
    times: Sequence[float | None], tick: float, header_fps: float | None, has_clock: bool = True
) -> Timing:
    """Measures a film.

    Args:
        times: seconds at which its pictures are shown, in the order of decoding (which is nearly
            the order of showing); None where the film does not say.
        tick: seconds between the nearest times it can tell apart.
        header_fps: the rate that its header claims, None if it claims none.
        has_clock: the film has timestamps of its own; without, FFmpeg makes them from a rate that
            the header claims or FFmpeg supposes.
    """
    known = np.array([time for time in times if time is not None], float)
    parts = _in_order(known)
    intervals = np.concatenate([np.diff(part) for part in parts]) if parts else np.zeros(0)
    intervals = intervals[intervals > 0]
    pause = PAUSE_SECONDS
    if len(intervals) and intervals[intervals <= pause].sum() < _LEAST_MOVING:
        pause = max(pause, _PAUSE_INTERVALS * float(np.median(intervals)))
    moving = intervals[intervals <= pause]
    measured = _rate(moving, tick) if len(moving) else None
    fast = moving[moving <= _FAST]
    if measured is not None and measured < LEAST_FPS and fast.sum() >= _LEAST_FAST:
        # A screen recorder that gives a picture now and then while nothing moves.
        pause, moving, measured = 2 * _FAST, fast, _rate(fast, tick)
    if measured is None or measured > HIGHEST_FPS or len(known) < 0.5 * len(times):
        fps = header_fps if header_fps and LEAST_FPS <= header_fps <= HIGHEST_FPS else _USUAL_FPS
        asked = "from its header" if fps == header_fps else "the usual rate"
        return Timing(
            fps=fps,
            pause=pause,
            retimed=True,
            seconds=len(times) / fps,
            left_out=0.0,
            num_pauses=0,
            reason=f"a guess, {asked}, because its pictures have no usable timestamps",
        )
    if header_fps is not None and abs(header_fps - measured) <= _AGREES * measured:
        fps = header_fps
    else:
        fps = _standard(measured)
    reason = "by its timestamps"
    if not has_clock:
        reason = "a guess from its header, because its pictures have no timestamps"
    pauses = intervals[intervals > pause]
    return Timing(
        fps=fps,
        pause=pause,
        retimed=False,
        seconds=float(moving.sum()) + (len(pauses) + len(parts)) / fps,
        left_out=float(pauses.sum()) - len(pauses) / fps,
        num_pauses=len(pauses),
        reason=reason,
    )


def is_break(previous: float, time: float, pause: float) -> bool:
    """Tells whether a picture does not go on from the one before."""
    return time - previous > pause or previous - time > BACK_SECONDS


def _in_order(times: np.ndarray) -> list[np.ndarray]:
    """Splits times where they go far back, and sorts each part: pictures are coded out of order."""
    parts: list[np.ndarray] = []
    part: list[float] = []
    for time in times.tolist():
        if part and min(part[-_REORDERED:]) - time > BACK_SECONDS:
            parts.append(np.sort(part))
            part = []
        part.append(time)
    return [*parts, np.sort(part)] if part else parts


def _rate(moving: np.ndarray, tick: float) -> float:
    """Returns the rate of the moving part: the most common one, or else the usual average."""
    ticks, counts = np.unique(np.round(moving / tick), return_counts=True)
    for centre in (ticks[counts.argmax()] * tick, float(np.median(moving))):
        alike = moving[np.abs(moving - centre) <= max(1.01 * tick, _ALIKE * centre)]
        if len(alike) >= _COMMON_SHARE * len(moving):
            return 1 / float(alike.mean())
    width = min(_WINDOW, len(moving))
    sums = np.cumsum(np.concatenate([[0.0], moving]))
    return width / float(np.median(sums[width:] - sums[:-width]))


def _standard(fps: float) -> float:
    """Returns the standard rate next to a measured one, if there is one very near."""
    nearest = min(_STANDARD_FPS, key=lambda standard: abs(float(standard) - fps))
    # Hundredths, as in the records of clips that were extracted before.
    return round(float(nearest) if abs(float(nearest) - fps) < 0.005 * fps else fps, 2) or fps

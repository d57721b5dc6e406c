"""Records for reading a motion file: the options, what the file says, and its rate."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import option

SLOWEST, FASTEST = 5.0, 1000.0  # frames per second at which a dance can be recorded
_ROUNDED = 1e-4  # relative error of a frame rate from a frame time of a few digits
_MILLISECONDS = 1000.0
# Rates that are used; a frame time of such a number may be a rate in its place.
_USUAL = (24, 25, 30, 48, 50, 60, 72, 90, 100, 120, 144, 150, 180, 200, 240, 250)
_USUAL_ERROR = 0.002

UP_AXES = ("x", "y", "z", "-x", "-y", "-z")
AXES = ("TJ", "JT")


class ReadOptions(NamedTuple):
    """Choices for reading a motion file; None leaves a choice to the file or a measurement."""

    own: bool = False  # keep the file's own joints
    frame_rate: float | None = None  # frames per second
    axes: str | None = None  # for .npy, one of AXES: frames first (TJ) or joints first (JT)
    up: str | None = None  # the axis that points up, one of UP_AXES
    unit: float | None = None  # metres in one unit of the file
    skeleton: str | Path | None = None  # for .amc, its .asf

    def check(self) -> None:
        """Raises UserError if a value is out of its range."""
        if self.axes is not None and self.axes not in AXES:
            raise UserError(f"The axes of an array are TJ (frames first) or JT, not {self.axes!r}.")
        if self.up is not None and self.up not in UP_AXES:
            raise UserError(
                f"The axis that points up is one of {', '.join(UP_AXES)}, not {self.up!r}."
            )
        for what, value in (("frame rate", self.frame_rate), ("metres in one unit", self.unit)):
            if value is not None and not (np.isfinite(value) and value > 0):
                raise UserError(f"The {what} must be above 0, received {value:g}.")
        if self.frame_rate is not None:
            check_rate(self.frame_rate, "The frame rate")


class Reading(NamedTuple):
    """The facts known about a file before its motion is measured."""

    path: Path
    fps: float  # frames per second
    up: str | None  # the axis that points up; None to measure it
    unit: float | None  # metres in one unit; None to measure it
    warnings: list[str]  # sentences; the steps of reading add to them
    # Frames at the beginning that are no part of the recording. They are kept, so that frames
    # have the file's numbers, but marked as bad and never measured.
    lead: int = 0
    check_rate: bool = False  # whether `fps` may be halved if the body cannot move so
    in_metres: bool = False  # positions are in metres already, y up, floor at 0


class Joints(NamedTuple):
    """A motion in the file's unit and axes."""

    positions: np.ndarray  # (T, J, C) float64, C 2 or 3, NaN where a joint was not seen
    names: tuple[str, ...] | None  # J; None numbers them
    parents: tuple[int, ...] | None  # J, -1 for the root; None where they are not known
    offsets: np.ndarray | None = None  # (J, 3) from the parent in the rest pose, where known
    ok: np.ndarray | None = None  # (T,) bool, False where the file marks a frame as bad
    # (T, 19, 3), the nineteen joints, if they are known and are not `positions`.
    body: np.ndarray | None = None


def check_rate(fps: float, what: str) -> float:
    """Returns a rate at which a dance can be, and raises UserError for any other."""
    if not SLOWEST <= fps <= FASTEST:
        raise UserError(
            f"{what} is {fps:.6g} frames per second; a dance has {SLOWEST:g} to {FASTEST:g}."
        )
    return float(fps)


def whole_rate(fps: float) -> float:
    """Returns the whole rate that a frame time of a few digits means (0.016667 s is 60)."""
    return float(round(fps)) if abs(fps - round(fps)) < _ROUNDED * fps else fps


def rate_of_time(path: Path, seconds: float, warnings: list[str]) -> float:
    """Returns the rate of a file that says the time of a frame.

    A time that fits in milliseconds only is read so, with a warning.

    Raises:
        UserError: the file does not say it, or it fits in neither, or it may be a rate.
    """
    advice = f"give the frame rate yourself, as in {option('frame-rate', 30)}."
    if seconds == 0:
        raise UserError(f"{quoted(path)} does not say its frame time; {advice}")
    if not (np.isfinite(seconds) and seconds > 0):
        raise UserError(f"{quoted(path)} has a frame time that is no number above 0; {advice}")
    fps = 1 / seconds
    if SLOWEST <= fps <= FASTEST:
        return whole_rate(fps)
    thousandths = _MILLISECONDS / seconds
    if SLOWEST <= thousandths <= FASTEST and (_is_usual(thousandths) or not _is_usual(seconds)):
        usual = (rate for rate in _USUAL if abs(thousandths - rate) <= _USUAL_ERROR * rate)
        fps = float(next(usual, whole_rate(thousandths)))
        warnings.append(
            f"{quoted(path.name)}: its frame time of {seconds:g} is taken to be milliseconds, "
            f"which is {fps:.4g} frames/s."
        )
        return fps
    raise UserError(
        f"{quoted(path)} says that a frame takes {seconds:.6g} s; a dance has {SLOWEST:g} to "
        f"{FASTEST:g} frames per second. If it is wrong, {advice}"
    )


def rate_of_file(path: Path, fps: float, warnings: list[str]) -> float:
    """Returns the rate of a file that says it; one that is the time of a frame is read so.

    Raises:
        UserError: a dance cannot have this rate.
    """
    if 0 < fps < SLOWEST and SLOWEST <= 1 / fps <= FASTEST:
        rate = whole_rate(1 / fps)
        warnings.append(
            f"{quoted(path.name)}: its rate of {fps:g} is taken to be the seconds of a frame, "
            f"which is {rate:.4g} frames/s."
        )
        return rate
    if SLOWEST <= fps <= FASTEST:
        return fps
    raise UserError(
        f"{quoted(path)} says {fps:.6g} frames per second; a dance has {SLOWEST:g} to "
        f"{FASTEST:g}. If it is wrong, give the frame rate yourself, as in "
        f"{option('frame-rate', 30)}."
    )


def _is_usual(fps: float) -> bool:
    return any(abs(fps - rate) <= _USUAL_ERROR * rate for rate in _USUAL)

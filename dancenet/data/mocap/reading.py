"""Records for reading a motion file: the options, and what the file says."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dancenet.support.errors import UserError

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

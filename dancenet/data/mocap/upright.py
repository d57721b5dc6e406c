"""Finds which axis of a recording points up, from all files of a training together.

A clip of a second or two may be danced on the hands, or on the floor. Files of one kind come from
one program, which has one axis that points up, so they are measured together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dancenet.data.mocap.reading import Reading
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import option

_UPRIGHT = 0.3  # mean height of the neck above the ankles, in their distance, that tells up
_SURE = 0.8  # the same of a file that is believed against all others
# How much longer than along y a figure must be along another axis to stand along it. Files with
# z up are frequent, with x up they are not.
_LONGER = {"x": 1.5, "y": 1.0, "z": 1.15}
_MUCH_LONGER = 1.5
_NEAR = 0.03  # body heights; an end that is so near to its usual place rests there
_RESTING, _FREE = 0.6, 0.4  # shares of frames in which feet rest, and a head does
_ENOUGH = 3.0  # seconds that can tell head from feet
_FLOOR = 5  # percentile of an end's places that is its usual extreme


class Evidence(NamedTuple):
    """What one recording says of up."""

    num_frames: int
    fps: float
    # (C,) mean vector from the ankles to the neck, in their mean distance; None where they are
    # not known.
    upward: np.ndarray | None
    span: np.ndarray  # (C,) mean extent of the body along each axis
    # (C, 2) share of frames in which the lowest and the highest joint rest at their extremes
    resting: np.ndarray
    deviation: np.ndarray  # (C, 2) standard deviation of the lowest and the highest joint


def measure(reading: Reading, positions: np.ndarray, names: Sequence[str]) -> Evidence:
    """Measures what a recording says of up.

    Args:
        reading: the file.
        positions: (T, J, C) finite, in the file's unit and axes.
        names: J; neck and ankles say where up is, if there are any.

    Raises:
        UserError: all joints are in one place.
    """
    positions = positions[reading.lead :] if len(positions) > reading.lead else positions
    upward = None
    if {"neck", "l_ankle", "r_ankle"} <= set(names):
        neck, left, right = (list(names).index(name) for name in ("neck", "l_ankle", "r_ankle"))
        lines = positions[:, neck] - positions[:, [left, right]].mean(axis=1)
        length = float(np.linalg.norm(lines, axis=1).mean())
        if length < 1e-9 or np.ptp(positions, axis=(0, 1)).max() < 1e-9:
            raise UserError(
                f"All joints of {quoted(reading.path)} are in one place, so there is no body to "
                "draw."
            )
        upward = lines.mean(axis=0) / length
    low, high = positions.min(axis=1), positions.max(axis=1)  # (T, C)
    span = (high - low).mean(axis=0)
    floor, ceiling = np.percentile(low, _FLOOR, axis=0), np.percentile(high, 100 - _FLOOR, axis=0)
    height = np.maximum(span, 1e-12) * _NEAR
    resting = np.stack(
        [
            (np.abs(low - floor) < height).mean(axis=0),
            (np.abs(high - ceiling) < height).mean(axis=0),
        ]
    )
    return Evidence(
        num_frames=len(positions),
        fps=reading.fps,
        upward=upward,
        span=span / max(float(span.max()), 1e-12),
        resting=resting.T,
        deviation=np.stack([low.std(axis=0), high.std(axis=0)], axis=1),
    )


def find_up(all_files: Sequence[Evidence]) -> str:
    """Returns the axis that points up in recordings of one kind, the usual one if none tells.

    With neck and ankles known it is the axis from these to that. Else it is the one along which
    the body is longest, and up is away from the end that rests on the floor; that takes some
    seconds of motion, because a head may keep still for a while.
    """
    weights = np.array([float(one.num_frames) for one in all_files])
    weights /= weights.sum()
    flat = len(all_files[0].span) == 2
    if all_files[0].upward is not None:
        upward = sum(
            (
                weight * one.upward
                for weight, one in zip(weights, all_files)
                if one.upward is not None
            ),
            start=np.zeros(len(all_files[0].span)),
        )
        axis = int(np.argmax(np.abs(upward)))
        if abs(upward[axis]) < _UPRIGHT:
            return "-y" if flat else "y"
        return ("-" if upward[axis] < 0 else "") + "xyz"[axis]
    span = sum(weight * one.span for weight, one in zip(weights, all_files))
    axis = 1 if flat else _longest(np.asarray(span))
    feet, head = sum(weight * one.resting[axis] for weight, one in zip(weights, all_files))
    low, high = sum(weight * one.deviation[axis] for weight, one in zip(weights, all_files))
    seconds = sum(one.num_frames / one.fps for one in all_files)
    tells = seconds >= _ENOUGH
    # Rows of a picture are counted downwards.
    if flat:
        stands = tells and feet > _RESTING and head < _FREE and low < high
        return "y" if stands else "-y"
    fallen = tells and head > _RESTING and feet < _FREE and high < low
    return ("-" if fallen else "") + "xyz"[axis]


def settle(own: Evidence, together: str) -> str:
    """Returns a file's up: that of all files, unless its own is another axis beyond doubt."""
    alone = find_up([own])
    axis, other = "xyz".index(alone[-1]), "xyz".index(together[-1])
    if axis == other or alone not in ("y", "z"):
        return together
    if own.upward is not None:
        sure = bool(own.upward[axis] > _SURE)
    else:
        sure = bool(own.span[axis] > _MUCH_LONGER * own.span[other])
    return alone if sure else together


def sentences(reading: Reading, own: Evidence, up: str, together: bool) -> list[str]:
    """Returns what is to be said of an axis that was found."""
    name = quoted(reading.path.name)
    where = "where the body is long" if own.upward is None else "where the head is"
    alone = find_up([own])
    if together and alone != up:
        return [
            f"{name}: up is taken to be {up}, as in the other recordings; this one alone would "
            f"have {alone}. Say {option('up', alone)} if that is right."
        ]
    usual = "-y" if len(own.span) == 2 else "y"
    guess = _unweighed(own)
    if up == usual and guess != up:
        return [
            f"{name}: up is taken to be {up}, as is usual; the motion could also mean {guess}. Say "
            f"{option('up', guess)} if that is right."
        ]
    return [] if up == "y" else [f"{name}: up is taken to be {up}, {where}."]


def _longest(span: np.ndarray) -> int:
    best = int(np.argmax(span))
    return best if span[best] >= _LONGER["xyz"[best]] * span[1] else 1


def _unweighed(own: Evidence) -> str:
    """Returns the axis that one recording would have without any doubt."""
    if own.upward is not None:
        axis = int(np.argmax(np.abs(own.upward)))
        return ("-" if own.upward[axis] < 0 else "") + "xyz"[axis]
    axis = 1 if len(own.span) == 2 else int(np.argmax(own.span))
    low, high = own.deviation[axis]
    return ("-" if high < low else "") + "xyz"[axis]

"""Brings a motion in any unit and axes to metres, with y up and the floor at 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dancenet.data.mocap.glitches import fast_frames, good_frames, widened
from dancenet.data.mocap.reading import Reading
from dancenet.data.motion.balance import believable_rate
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.support.errors import UserError
from dancenet.support.names import quoted

# Metres in a unit of length. CMU's unit is 1/0.45 inch, the rest are what programs export.
UNITS = {
    "metres": 1.0,
    "centimetres": 0.01,
    "millimetres": 0.001,
    "inches": 0.0254,
    "feet": 0.3048,
    "1/0.45 inches": 0.0254 / 0.45,
}
BODY = 1.40  # metres from ankle to hip and from pelvis to neck along the bones, an adult
BODY_RANGE = (0.95, 1.85)  # metres, from a child of 1.2 m to a man of 2.3 m
FIGURE = 1.6  # metres from the lowest joint to the highest of an adult who stands
FIGURE_RANGE = (1.1, 2.1)  # metres

FLOOR_PERCENTILE = 5  # percentile of the lowest height, because a recorded floor is not exact
# Percentile of the height over all frames; dancers bend, and raise their arms.
_STANDING = 75


@dataclass(frozen=True)
class Standing:
    """The map of a recording to metres with y up and the floor at 0."""

    up: str  # the axis of the file that points up
    unit: float  # metres in one unit of the file
    shift: np.ndarray  # (C,) metres added last
    fps: float  # frames per second
    ok: np.ndarray  # (T,) bool, False where the recording has a glitch

    def place(self, positions: np.ndarray) -> np.ndarray:
        """Takes (T, J, C) in the file's unit and axes; returns (T, J, C) metres."""
        return turn_up(positions, self.up) * self.unit + self.shift


def stand_body(reading: Reading, positions: np.ndarray) -> Standing:
    """Finds the map that stands a body on the floor, measuring what the file does not say.

    Args:
        reading: what is known of the file, up included; warnings of what is assumed are added.
        positions: (T, 19, 3) in the file's unit and axes.

    Raises:
        UserError: the positions are no standing body.
    """
    path, lead, warnings = quoted(reading.path), reading.lead, reading.warnings
    name = quoted(reading.path.name)
    up, unit = _said_up(reading), reading.unit
    positions = turn_up(positions, up)
    if unit is None:
        size = body_size(positions[lead:])
        if not size > 0:
            raise UserError(f"The legs and trunk of {path} have no length, so it is no body.")
        unit, unit_name = nearest_unit(size, BODY, BODY_RANGE)
        if unit_name != "centimetres":
            warnings.append(f"{name}: lengths are taken to be {unit_name}.")
    recorded = positions[lead:] * unit
    middle = np.median(recorded[:, JOINTS.index("pelvis")], axis=0)
    shift = -np.array([middle[0], _toe_floor(recorded), middle[2]])
    recorded = recorded + shift
    rate = believable_rate(recorded, reading.fps) if reading.check_rate else reading.fps
    if rate != reading.fps:
        warnings.append(
            f"{name} says {reading.fps:.4g} frames/s, at which this body could not keep its "
            f"balance; {rate:.4g} is used. Give the frame rate yourself if that is wrong."
        )
    ok = _mark(reading, good_frames(recorded, rate))
    return Standing(up, unit, shift, float(rate), ok)


def stand_figure(reading: Reading, positions: np.ndarray) -> Standing:
    """Finds the map that stands any other skeleton on the floor, as `stand_body` does.

    Args:
        reading: what is known of the file; warnings of what is assumed are added.
        positions: (T, J, C) in the file's unit and axes.

    Raises:
        UserError: the positions have no extent.
    """
    path, lead, warnings = quoted(reading.path), reading.lead, reading.warnings
    up, unit = _said_up(reading), reading.unit
    positions = turn_up(positions, up)
    heights = np.ptp(positions[lead:, :, 1], axis=1)
    height = float(np.percentile(heights, _STANDING))
    if not height > 0:
        raise UserError(f"All joints of {path} are in one place, so there is no body to draw.")
    if unit is None:
        unit, unit_name = nearest_unit(height, FIGURE, FIGURE_RANGE)
        if unit_name != "metres":
            warnings.append(f"{quoted(reading.path.name)}: lengths are taken to be {unit_name}.")
    recorded = positions[lead:] * unit
    shift = -np.median(recorded.mean(axis=1), axis=0)
    shift[1] = -float(np.percentile(recorded[..., 1].min(axis=1), FLOOR_PERCENTILE))
    good = ~widened(fast_frames(recorded, reading.fps), reading.fps)
    return Standing(up, unit, shift, reading.fps, _mark(reading, good))


def stand_as_it_is(reading: Reading, positions: np.ndarray) -> Standing:
    """Leaves positions (T, J, C) where they are: in metres, y up, floor at 0."""
    num_frames, _, dim = positions.shape
    return Standing("y", 1.0, np.zeros(dim), reading.fps, np.ones(num_frames, dtype=bool))


def turn_up(positions: np.ndarray, up: str) -> np.ndarray:
    """Turns the axis `up` to y by a quarter or half turn, without a mirror.

    In a picture (..., 2), whose rows may be counted downwards, only the rows are turned over.
    """
    if positions.shape[-1] == 2:
        return positions * np.array([1.0, -1.0 if up == "-y" else 1.0])
    x, y, z = np.moveaxis(positions, -1, 0)
    turned = {
        "y": (x, y, z),
        "-y": (x, -y, -z),
        "z": (x, z, -y),
        "-z": (x, -z, y),
        "x": (-y, x, z),
        "-x": (y, -x, z),
    }[up]
    return np.stack(turned, axis=-1)


def nearest_unit(size: float, usual: float, limits: tuple[float, float]) -> tuple[float, str]:
    """Returns the metres in the unit in which a size is most usual, and the unit's name.

    Args:
        size: a length of the body in the unit that is sought.
        usual: that length of an adult, metres.
        limits: the shortest and the longest, metres. If the nearest named unit leaves them, the
            unit is the one that makes the size usual.
    """
    name = min(UNITS, key=lambda name: abs(np.log(size * UNITS[name] / usual)))
    if limits[0] <= size * UNITS[name] <= limits[1]:
        return UNITS[name], name
    return usual / size, f"of {usual / size:.3g} m, which makes the body an adult's size"


def body_size(positions: np.ndarray) -> float:
    """Returns the length of a leg from ankle to hip plus the trunk from pelvis to neck."""
    lengths = {
        name: float(np.median(np.linalg.norm(positions[:, j] - positions[:, PARENTS[j]], axis=-1)))
        for j, name in enumerate(JOINTS)
    }
    legs = sum(lengths[f"{side}_{joint}"] for side in "lr" for joint in ("knee", "ankle"))
    return legs / 2 + sum(lengths[joint] for joint in ("spine", "chest", "neck"))


def _said_up(reading: Reading) -> str:
    if reading.up is None:
        raise ValueError("up is measured before a body stands; see `data.mocap.upright`.")
    return reading.up


def _toe_floor(positions: np.ndarray) -> float:
    toes = [JOINTS.index("l_toe"), JOINTS.index("r_toe")]
    return float(np.percentile(positions[:, toes, 1].min(axis=1), FLOOR_PERCENTILE))


def _mark(reading: Reading, good: np.ndarray) -> np.ndarray:
    """Puts the lead's bad frames before the recorded ones (T,), and warns of the bad ones."""
    ok = np.concatenate([np.zeros(reading.lead, dtype=bool), good])
    if not good.all():
        reading.warnings.append(
            f"{quoted(reading.path.name)}: {int((~good).sum())} of {len(ok)} frames move as no "
            "body can and are marked as bad."
        )
    return ok

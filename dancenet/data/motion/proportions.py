"""The proportions of a body: some are measured from a recording, the rest are an adult's.

All lengths are in heights of the body. Segment lengths: Drillis and Contini, "Body segment
parameters" (1966), as given in Winter, "Biomechanics and motor control of human movement",
fig. 4.1. Winter has no breadths of flesh; they were set so that the outline has the usual
breadths of head, neck, shoulders, waist, hips and calves (tests/data/motion/test_draw_body.py
checks them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dancenet.data.motion.joints import JOINTS
from dancenet.support.errors import UserError

SHOULDER_HEIGHT = 0.818
ANKLE_HEIGHT = 0.039
HEAD_HEIGHT = 0.935  # the head's centre
SHOULDER_SPAN = 0.195  # between the joints, which lie inside the deltoids
BALL_HEIGHT = 0.013  # the toe joint above the sole
REACH = 0.1  # the most that flesh is farther out than any joint (fingers, crown)
TOE_REACH = 0.045  # the most that flesh is below the lowest joint

TINY = 1e-9  # keeps lengths that divide above 0
_MIN_STATURE = 0.01  # metres; a smaller body is an error of the file
_MOST_NECK = 0.8  # the longest neck, a fraction of the distance from chest to neck joint
_STEEPEST = 0.9  # sine of the steepest foot


class Slice(NamedTuple):
    """One ellipse of the stack that makes the trunk."""

    place: float  # from the hips (0) to the shoulders (1)
    width: float  # half axis across, body heights
    depth: float  # half axis to the front, body heights
    front: float  # shift to the front, body heights


TRUNK = (
    Slice(-0.22, 0.040, 0.040, -0.008),
    Slice(-0.12, 0.078, 0.060, -0.013),
    Slice(0.00, 0.096, 0.069, -0.014),
    Slice(0.09, 0.096, 0.068, -0.011),
    Slice(0.22, 0.088, 0.060, -0.003),
    Slice(0.38, 0.073, 0.054, 0.003),
    Slice(0.58, 0.080, 0.062, 0.004),
    Slice(0.78, 0.092, 0.066, 0.004),
    Slice(0.93, 0.084, 0.050, -0.004),
)


@dataclass(frozen=True)
class Body:
    """A dancer's measures, the same in every frame of a recording."""

    stature: float  # metres, estimated from the bones
    neck_base: float  # metres from the shoulder line up to the neck joint
    trunk: np.ndarray  # (len(TRUNK), 4) weights of hips, spine, chest, shoulder line
    shoulder_shift: float  # metres each shoulder is moved outwards
    foot_slope: float  # radians by which ankle-toe falls when the sole lies flat
    highest: float  # metres, the top of the highest pose
    lowest: float  # metres, the bottom of the lowest pose; 0 is the floor


def measure(positions: np.ndarray) -> Body:
    """Measures a body from a recording.

    Args:
        positions: (T, 19, 3) metres in the order of JOINTS, y up, floor at 0; good frames only.

    Raises:
        UserError: the bones have no length, or none that can be measured.
    """
    joint = by_name(positions.astype(np.float64))
    legs = [
        _median_length(joint[f"{side}_{a}"] - joint[f"{side}_{b}"])
        for side in "lr"
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    ]
    hips = (joint["l_hip"] + joint["r_hip"]) / 2
    shoulders = (joint["l_shoulder"] + joint["r_shoulder"]) / 2
    up = unit(joint["neck"] - joint["chest"])
    neck_base = float(np.median(dot(joint["neck"] - shoulders, up)))
    chest_to_neck = _median_length(joint["neck"] - joint["chest"])
    neck_base = float(np.clip(neck_base, 0, chest_to_neck * _MOST_NECK))
    line = joint["neck"] - neck_base * up
    lengths = [
        _median_length(joint["spine"] - hips),
        _median_length(joint["chest"] - joint["spine"]),
        _median_length(line - joint["chest"]),
    ]
    stature = (sum(legs) / 2 + sum(lengths)) / (SHOULDER_HEIGHT - ANKLE_HEIGHT)
    if not (np.isfinite(positions).all() and stature > _MIN_STATURE):
        raise UserError(
            f"The recording holds no body that can be drawn: it would be {stature:.3g} m tall. "
            "Check the unit and the joints of the file."
        )
    span = _median_length(joint["l_shoulder"] - joint["r_shoulder"])
    feet = [_median_length(joint[f"{side}_toe"] - joint[f"{side}_ankle"]) for side in "lr"]
    drop = (ANKLE_HEIGHT - BALL_HEIGHT) * stature
    return Body(
        stature=stature,
        neck_base=neck_base,
        trunk=trunk_weights(lengths),
        shoulder_shift=max(0.0, SHOULDER_SPAN * stature - span) / 2,
        foot_slope=float(np.arcsin(np.clip(drop / max(sum(feet) / 2, TINY), 0, _STEEPEST))),
        highest=float(positions[..., 1].max() + REACH * stature),
        lowest=float(min(0.0, positions[..., 1].min() - TOE_REACH * stature)),
    )


def trunk_weights(lengths: list[float]) -> np.ndarray:
    """Returns (len(TRUNK), 4) weights that place each slice along a chain of four points."""
    ends = np.concatenate([[0.0], np.cumsum(np.maximum(lengths, TINY))])
    ends /= ends[-1]
    weights = np.zeros((len(TRUNK), 4))
    for row, (place, *_) in enumerate(TRUNK):
        segment = int(np.clip(np.searchsorted(ends, place, side="right") - 1, 0, 2))
        part = (place - ends[segment]) / (ends[segment + 1] - ends[segment])
        weights[row, segment : segment + 2] = 1 - part, part
    return weights


def by_name(positions: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the places (T, 3) of each joint of (T, 19, 3)."""
    return {name: positions[:, index] for index, name in enumerate(JOINTS)}


def unit(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors (..., 3) of length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), TINY)


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the dot products (T,) of (T, 3) and (T, 3)."""
    return np.einsum("td,td->t", a, b)


def _median_length(vectors: np.ndarray) -> float:
    return float(np.median(np.linalg.norm(vectors, axis=-1)))

"""Draws a body of usual proportions at joints that were read from a picture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dancenet.data.frames.picture import DANCER
from dancenet.data.motion.camera import Pen
from dancenet.data.motion.draw_body import outlines
from dancenet.data.motion.proportions import Body, trunk_weights

SUPERSAMPLE = 2  # as in `data.motion.camera`

NECK_BASE = 0.03  # body heights from the shoulder line up to the neck joint
# A body whose spine and chest divide the way from hips to shoulders into three equal parts.
STANDARD = Body(
    stature=1.0,
    neck_base=NECK_BASE,
    trunk=trunk_weights([1.0, 1.0, 1.0]),
    shoulder_shift=0.0,
    foot_slope=0.37,
    highest=1.2,
    lowest=0.0,
)

_RIGHT = np.array([1, 0, 0], np.float32)
_UPWARDS = np.array([1, -1, 1], np.float32)  # pictures count rows downwards


class Bodies(NamedTuple):
    """Bodies in the plane of a picture of 208×120 pixels; B may be several axes."""

    joints: np.ndarray  # (B, 19, 3) float32 pixels: to the right, down, and towards the viewer
    stature: np.ndarray  # (B,) float32 pixels
    girth: np.ndarray  # (B,) float32, multiplies the thickness of every limb

    def take(self, rows: int | slice) -> Bodies:
        """Returns some of the bodies."""
        return Bodies(*(part[rows] for part in self))


def body_outlines(bodies: Bodies) -> list[np.ndarray]:
    """Returns each part of some bodies as points (B, P, 2) in pixels, whose hull it fills."""
    stature = bodies.stature[:, None, None].astype(np.float32)
    positions = bodies.joints.astype(np.float32) / stature * _UPWARDS
    girth = bodies.girth[:, None, None].astype(np.float32)
    return [
        part * (stature * _UPWARDS[:2]) for part in outlines(positions, STANDARD, _RIGHT, girth)
    ]


def redraw(parts: list[np.ndarray]) -> np.ndarray:
    """Fills outlines; returns (B, 120, 208) bool, True on the dancer."""
    return np.stack([frame == DANCER for frame in Pen(SUPERSAMPLE).draw(parts)])

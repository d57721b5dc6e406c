"""Draws a recorded motion as the silhouette of a body with volume.

Nineteen joints say where the bones are; the flesh around them has the usual proportions of an
adult, so that any skeleton gives the same kind of figure. Each part is the convex hull of a few
circles and ellipses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dancenet.data.frames.picture import WIDTH
from dancenet.data.motion.camera import CIRCLE, SUPERSAMPLE, CameraView, Extent, Pen, aim, fit
from dancenet.data.motion.joints import JOINTS
from dancenet.data.motion.proportions import (
    BALL_HEIGHT,
    HEAD_HEIGHT,
    REACH,
    SHOULDER_HEIGHT,
    TINY,
    TRUNK,
    Body,
    by_name,
    dot,
    measure,
    unit,
)

GIRTHS = (0.6, 1.5)  # beyond, limbs come apart or the body leaves the picture

_CHUNK = 256  # frames whose outlines are held at once


class Flesh(NamedTuple):
    """A ball on a bone."""

    place: float  # from the bone's near joint (0) to its far one (1)
    radius: float  # body heights


class Ball(NamedTuple):
    """A ball beside a joint; each constant below names the axes of its shift."""

    shift: tuple[float, ...]  # body heights along each axis
    radius: float  # body heights


# All in body heights; see `data.motion.proportions` for their source.

# Recordings place the head joint anywhere between the atlas and the crown, and a short bone's
# direction is noisy: the spine steadies it.
_HEAD_STEADIED = 0.35  # share of the spine's direction in the skull's tilt
_HEAD_RAISED = 0.3  # share of the spine's direction in the skull's place over the shoulders
_SKULL = (0.046, 0.060, 0.057)  # half axes across, up and forward
_SKULL_SHIFT = (0.008, -0.004)  # up and forward
_CHIN = Ball((-0.038, 0.018), 0.026)  # up, forward of the head's middle
_NECK_TOP = Ball((-0.03, -0.008), 0.03)  # up, forward of the head's middle
_NECK_BASE = Ball((0.015,), 0.034)  # up from the shoulder line
_COLLAR = Ball((0.03,), 0.03)  # up from the shoulder line: closes the trunk

# The slope from neck to shoulder.
_SLOPE_NECK = Ball((0.026,), 0.026)  # up from the shoulder line
_SLOPE_SHOULDER = Ball((0.016, 0.005), 0.025)  # inward, up from the shoulder
_SLOPE_BASE = Ball((-0.035,), 0.03)  # up from the shoulder line
# The chest's corner under the arm.
_ARMPIT = Ball((0.014, -0.01), 0.031)  # inward, up from the shoulder
_CHEST = Flesh(0.3, 0.05)  # between the shoulder line's middle and the shoulder
_CHEST_LOWERED = 0.055

_SHOULDER_CAP = Flesh(0.02, 0.0285)
_DELTOID = Flesh(0.18, 0.0345)
_BICEPS = Flesh(0.5, 0.0295)
_ELBOW = 0.0225  # radius
_FOREARM = Flesh(0.25, 0.0245)
_WRIST = 0.0155  # radius
_PALM = Ball((0.042,), 0.022)  # beyond the wrist
_FINGERS = Ball((0.086,), 0.0125)  # beyond the wrist

_ILIAC = Ball((0.075, 0.012), 0.034)  # up, forward of the hip: the crest of the pelvis
_HIP = Flesh(0.04, 0.047)
_THIGH = Flesh(0.18, 0.05)
_THIGH_OUT = 0.001  # outward
_LOWER_THIGH = Flesh(0.55, 0.044)
_KNEE = 0.0325  # radius
_CALF = Flesh(0.28, 0.0335)
_CALF_BACK = 0.007  # backward
_SHIN = Flesh(0.92, 0.0195)
_ANKLE = 0.0215  # radius
_HEEL = Ball((-0.026, 0.022), 0.0165)  # level, down from the ankle
_SOLE_BACK = 0.25  # share of the hips' back in the sole's direction
_FOOT_BALL = Ball((0.012,), 0.0135)  # to either side of the toe joint
_FOOT_BALL_RISE = 0.0145  # from the sole up to the ball's middle
_TIP = Ball((0.034, 0.002), 0.0095)  # level, down from the toe joint
_TIP_ASIDE = 0.008  # to either side


def draw_bodies(
    positions: np.ndarray,
    fps: float,
    view: CameraView = CameraView(),
    *,
    body: Body | None = None,
    girth: float = 1.0,
    supersample: int = SUPERSAMPLE,
) -> Iterator[np.ndarray]:
    """Draws one clip, frame by frame. The floor keeps its place in the picture.

    Args:
        positions: (T, 19, 3) metres in the order of JOINTS, y up, floor at 0.
        fps: frames per second of `positions`.
        view: where the camera stands.
        body: measured from more frames than these, if there are more.
        girth: multiplies the thickness of every limb.
        supersample: how many times finer the outline is drawn before it is averaged.

    Yields:
        (120, 208) uint8, 0 dancer and 255 background.

    Raises:
        ValueError: unknown camera, or a girth outside of GIRTHS.
    """
    right = view.right()
    if not GIRTHS[0] <= girth <= GIRTHS[1]:
        raise ValueError(f"girth must be from {GIRTHS[0]} to {GIRTHS[1]}. Received: {girth}")
    body = body or measure(positions)
    scale, floor, centre = _aimed(positions, fps, view, body)
    pen = Pen(supersample)
    for start in range(0, len(positions), _CHUNK):
        rows = slice(start, start + _CHUNK)
        parts = outlines(positions[rows].astype(np.float32), body, right.astype(np.float32), girth)
        origin = centre[rows, None].astype(np.float32)
        for outline in parts:
            outline[..., 0] = (outline[..., 0] - origin) * scale + WIDTH / 2
            outline[..., 1] = floor - outline[..., 1] * scale
        yield from pen.draw(parts)


def place_joints(
    positions: np.ndarray, fps: float, view: CameraView = CameraView(), *, body: Body | None = None
) -> np.ndarray:
    """Returns where the joints are in the pictures that `draw_bodies` draws of the same arguments.

    Returns:
        (T, 19, 2) pixels to the right and downwards, 0 at the left and the upper edge.
    """
    scale, floor, centre = _aimed(positions, fps, view, body or measure(positions))
    across = positions.astype(np.float64) @ view.right()
    return np.stack(
        [(across - centre[:, None]) * scale + WIDTH / 2, floor - positions[..., 1] * scale], axis=-1
    )


def _aimed(
    positions: np.ndarray, fps: float, view: CameraView, body: Body
) -> tuple[float, float, np.ndarray]:
    """Returns pixels per metre, the floor's row, and where the camera looks, (T,) metres across."""
    scale, floor = fit(body.stature, body.highest, body.lowest)
    across = positions.astype(np.float64) @ view.right()  # (T, J)
    reach = REACH * body.stature
    extent = Extent(
        across[:, JOINTS.index("pelvis")], across.min(axis=1) - reach, across.max(axis=1) + reach
    )
    scale, centre = aim(view.camera, scale, extent, fps)
    return scale, floor, centre


class _Drawing:
    """Collects outlines in the plane of the picture: metres to the right, metres up.

    `girth` multiplies balls and flat ellipses, which make limbs and trunk, but not ellipsoids,
    which make the skull. Radii are in heights of the body.
    """

    def __init__(self, right: np.ndarray, girth: float | np.ndarray, height: float) -> None:
        self.height = height  # metres
        self._girth = np.asarray(girth, np.float32)
        self.parts: list[np.ndarray] = []
        self._view = np.stack([right, np.array([0, 1, 0], dtype=np.float32)], axis=1)

    def flat(self, points: np.ndarray) -> np.ndarray:
        """Projects (..., 3) metres to (..., 2)."""
        return points @ self._view

    def ball(self, centre: np.ndarray, radius: float) -> np.ndarray:
        """Returns the outline (T, P, 2) of a ball."""
        return self.flat(centre)[:, None] + radius * self.height * self._girth * CIRCLE

    def on(self, near: np.ndarray, far: np.ndarray, flesh: Flesh) -> np.ndarray:
        """Returns the outline (T, P, 2) of a ball on the bone from `near` to `far`."""
        return self.ball(_between(near, far, flesh.place), flesh.radius)

    def ellipse(self, centre: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Returns the outline (T, P, 2) of a flat ellipse with half axes `a` and `b` (T, 3)."""
        axes = np.stack([self.flat(a), self.flat(b)], axis=1)  # (T, 2 axes, 2)
        return self.flat(centre)[:, None] + CIRCLE @ (self._girth * axes)

    def ellipsoid(self, centre: np.ndarray, *axes: np.ndarray) -> np.ndarray:
        """Returns the outline (T, P, 2) of an ellipsoid with three half axes (T, 3).

        A linear map takes a ball to an ellipsoid with the outline {L c : |c| = 1}, where
        L is any square root of the map's Gram matrix, here the Cholesky factor.
        """
        spread = np.stack([self.flat(axis) for axis in axes], axis=1)  # (T, 3, 2)
        gram = np.einsum("tki,tkj->tij", spread, spread)
        l00 = np.sqrt(np.maximum(gram[:, 0, 0], TINY))
        l10 = gram[:, 1, 0] / l00
        l11 = np.sqrt(np.maximum(gram[:, 1, 1] - l10**2, 0))
        x = l00[:, None] * CIRCLE[:, 0]
        y = l10[:, None] * CIRCLE[:, 0] + l11[:, None] * CIRCLE[:, 1]
        return self.flat(centre)[:, None] + np.stack([x, y], axis=-1)

    def add(self, *outlines: np.ndarray) -> None:
        """Adds a part: the convex hull of some outlines."""
        self.parts.append(np.concatenate(outlines, axis=1))

    def chain(self, outlines: list[np.ndarray]) -> None:
        """Adds a limb: the hull of each outline and the next."""
        for near, far in zip(outlines, outlines[1:]):
            self.add(near, far)


def outlines(
    positions: np.ndarray, body: Body, right: np.ndarray, girth: float | np.ndarray
) -> list[np.ndarray]:
    """Returns every part of the body as points whose convex hull it fills.

    Args:
        positions: (T, 19, 3) float32 metres in the order of JOINTS, y up.
        body: the body's measures.
        right: (3,) float32, the unit vector to the right in the picture.
        girth: multiplies the thickness of every limb; one for all frames, or (T, 1, 1).

    Returns:
        An array (T, P, 2) for each part: metres to the right and up.
    """
    h = body.stature
    joint = by_name(positions)
    draw = _Drawing(right, girth, h)
    hips = (joint["l_hip"] + joint["r_hip"]) / 2
    spine_up = unit(joint["neck"] - joint["chest"])
    line = joint["neck"] - body.neck_base * spine_up
    hip_axis = unit(joint["l_hip"] - joint["r_hip"])
    shoulder_axis = unit(joint["l_shoulder"] - joint["r_shoulder"])
    sides = {"l": 1.0, "r": -1.0}
    for side, sign in sides.items():
        joint[f"{side}_shoulder"] = (
            joint[f"{side}_shoulder"] + sign * body.shoulder_shift * shoulder_axis
        )

    chain = [hips, joint["spine"], joint["chest"], line]
    _draw_trunk(draw, chain, hip_axis, shoulder_axis, body.trunk)
    tilt = unit(unit(joint["head"] - joint["neck"]) + _HEAD_STEADIED * spine_up)
    _draw_head(draw, line, tilt, spine_up, shoulder_axis)
    hip_up = unit(joint["chest"] - hips)
    hip_forward = unit(np.cross(hip_axis, hip_up))
    for side, sign in sides.items():
        arm = [joint[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist")]
        _draw_shoulder(draw, line, arm[0], -sign * shoulder_axis, spine_up)
        _draw_arm(draw, *arm)
        leg = [joint[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "toe")]
        up, forward = _ILIAC.shift
        iliac = leg[0] + up * h * hip_up + forward * h * hip_forward
        level, down = _foot_axes(leg[1:], hip_forward, body.foot_slope)
        _draw_leg(draw, leg[:3], hip_axis * sign, iliac, level)
        _draw_foot(draw, leg[2], leg[3], level, down)
    return draw.parts


def _draw_trunk(
    draw: _Drawing,
    chain: list[np.ndarray],
    hip_axis: np.ndarray,
    shoulder_axis: np.ndarray,
    weights: np.ndarray,
) -> None:
    h = draw.height
    slices = []
    points = np.stack(chain, axis=1)  # (T, 4, 3)
    up_low, up_high = unit(chain[2] - chain[0]), unit(chain[3] - chain[1])
    for shares, (place, width, depth, front) in zip(weights.astype(np.float32), TRUNK):
        turn = min(max(place, 0.0), 1.0)
        up = unit((1 - turn) * up_low + turn * up_high)
        across = (1 - turn) * hip_axis + turn * shoulder_axis
        forward = unit(np.cross(across, up))
        across = np.cross(up, forward)
        centre = np.einsum("k,tkd->td", shares, points) + front * h * forward
        slices.append(draw.ellipse(centre, width * h * across, depth * h * forward))
    for lower, upper in zip(slices, slices[1:]):
        draw.add(lower, upper)
    draw.add(slices[-1], draw.ball(chain[3] + _COLLAR.shift[0] * h * up_high, _COLLAR.radius))


def _draw_head(
    draw: _Drawing,
    line: np.ndarray,
    up: np.ndarray,
    spine_up: np.ndarray,
    shoulder_axis: np.ndarray,
) -> None:
    h = draw.height
    forward = unit(np.cross(shoulder_axis, up))
    across = np.cross(up, forward)
    middle = line + (HEAD_HEIGHT - SHOULDER_HEIGHT) * h * unit(_HEAD_RAISED * spine_up + up)

    def beside(ball: Ball) -> np.ndarray:
        rise, ahead = ball.shift
        return draw.ball(middle + rise * h * up + ahead * h * forward, ball.radius)

    rise, ahead = _SKULL_SHIFT
    skull = draw.ellipsoid(
        middle + rise * h * up + ahead * h * forward,
        _SKULL[0] * h * across,
        _SKULL[1] * h * up,
        _SKULL[2] * h * forward,
    )
    draw.add(skull, beside(_CHIN))
    base = draw.ball(line + _NECK_BASE.shift[0] * h * spine_up, _NECK_BASE.radius)
    draw.add(base, beside(_NECK_TOP))


def _draw_shoulder(
    draw: _Drawing, line: np.ndarray, shoulder: np.ndarray, inward: np.ndarray, up: np.ndarray
) -> None:
    h = draw.height

    def over_line(ball: Ball) -> np.ndarray:
        return draw.ball(line + ball.shift[0] * h * up, ball.radius)

    def beside(ball: Ball) -> np.ndarray:
        aside, rise = ball.shift
        return draw.ball(shoulder + aside * h * inward + rise * h * up, ball.radius)

    draw.add(over_line(_SLOPE_NECK), beside(_SLOPE_SHOULDER), over_line(_SLOPE_BASE))
    chest = _between(line, shoulder, _CHEST.place) - _CHEST_LOWERED * h * up
    draw.add(beside(_ARMPIT), draw.ball(chest, _CHEST.radius))


def _draw_arm(draw: _Drawing, shoulder: np.ndarray, elbow: np.ndarray, wrist: np.ndarray) -> None:
    along = unit(wrist - elbow)

    def beyond(ball: Ball) -> np.ndarray:
        return draw.ball(wrist + ball.shift[0] * draw.height * along, ball.radius)

    draw.chain(
        [
            draw.on(shoulder, elbow, _SHOULDER_CAP),
            draw.on(shoulder, elbow, _DELTOID),
            draw.on(shoulder, elbow, _BICEPS),
            draw.ball(elbow, _ELBOW),
            draw.on(elbow, wrist, _FOREARM),
            draw.ball(wrist, _WRIST),
            beyond(_PALM),
            beyond(_FINGERS),
        ]
    )


def _foot_axes(
    joints: list[np.ndarray], hip_forward: np.ndarray, foot_slope: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns unit vectors (T, 3) along the sole towards the toes, and square to it downwards."""
    knee, ankle, toe = joints
    along = unit(toe - ankle)
    # A pointed foot is in line with the shank, which then does not say where the sole is; the
    # hips' back does.
    shank = unit(ankle - knee)
    sole = unit(_square(shank, along) - _SOLE_BACK * _square(hip_forward, along))
    cos, sin = math.cos(foot_slope), math.sin(foot_slope)
    return cos * along - sin * sole, sin * along + cos * sole


def _draw_leg(
    draw: _Drawing,
    joints: list[np.ndarray],
    outward: np.ndarray,
    iliac: np.ndarray,
    sole: np.ndarray,
) -> None:
    h = draw.height
    hip, knee, ankle = joints
    backward = unit(_square(-sole, unit(ankle - knee)))
    thigh = draw.ball(_between(hip, knee, _THIGH.place) + _THIGH_OUT * h * outward, _THIGH.radius)
    calf = draw.ball(_between(knee, ankle, _CALF.place) + _CALF_BACK * h * backward, _CALF.radius)
    draw.add(thigh, draw.ball(iliac, _ILIAC.radius))
    draw.chain(
        [
            draw.on(hip, knee, _HIP),
            thigh,
            draw.on(hip, knee, _LOWER_THIGH),
            draw.ball(knee, _KNEE),
            calf,
            draw.on(knee, ankle, _SHIN),
            draw.ball(ankle, _ANKLE),
        ]
    )


def _draw_foot(
    draw: _Drawing, ankle: np.ndarray, toe: np.ndarray, level: np.ndarray, down: np.ndarray
) -> None:
    """Draws a foot whose sole runs along `level`; `down` points out of it."""
    h = draw.height
    across = np.cross(level, down)

    def both(middle: np.ndarray, aside: float, radius: float) -> list[np.ndarray]:
        return [
            draw.ball(middle + aside * h * across, radius),
            draw.ball(middle - aside * h * across, radius),
        ]

    back, below = _HEEL.shift
    heel = draw.ball(ankle + back * h * level + below * h * down, _HEEL.radius)
    ball = toe + (BALL_HEIGHT - _FOOT_BALL_RISE) * h * down
    balls = both(ball, _FOOT_BALL.shift[0], _FOOT_BALL.radius)
    draw.add(draw.ball(ankle, _ANKLE), heel, *balls)
    ahead, below = _TIP.shift
    tip = toe + ahead * h * level + below * h * down
    draw.add(*balls, *both(tip, _TIP_ASIDE, _TIP.radius))


def _square(vectors: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Returns vectors (T, 3) without their part along unit vectors (T, 3)."""
    return vectors - dot(vectors, along)[:, None] * along


def _between(a: np.ndarray, b: np.ndarray, part: float) -> np.ndarray:
    return a + part * (b - a)

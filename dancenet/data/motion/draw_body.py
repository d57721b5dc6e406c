"""Draws a recorded motion as the silhouette of a body with volume.

Nineteen joints say where the bones are; the flesh around them is drawn from the usual
proportions of an adult, all in fractions of the body's height, so that any skeleton gives
the same kind of figure. Depth does not matter to a silhouette: each part is the convex hull
of a few circles and ellipses, seen along parallel rays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from dancenet.data.frames.picture import BACKGROUND, DANCER, HEIGHT, WIDTH
from dancenet.data.motion.motion import JOINTS
from dancenet.support.errors import UserError

CAMERAS = ("follow", "fixed")
GIRTHS = (0.6, 1.5)  # beyond, limbs come apart or the body leaves the picture

STANDING = 0.72  # of the picture's height that a standing dancer fills
FLOOR = 0.935  # of the picture's height at which the floor lies
MARGIN = 3.0  # pixels kept free above the highest pose and beside the widest
FOLLOW_SECONDS = 1.5  # time constant of the camera that follows
SUPERSAMPLE = 4

# Segment lengths over body height: Drillis and Contini, "Body segment parameters" (1966), as
# given in Winter, "Biomechanics and motor control of human movement", fig. 4.1.
_SHOULDER_HEIGHT = 0.818
_ANKLE_HEIGHT = 0.039
_HEAD_HEIGHT = 0.935  # of the head's centre
_SHOULDER_SPAN = 0.195  # between the joints, inside the deltoids
_BALL_HEIGHT = 0.013  # of the toe joint above the sole

# The trunk as stacked ellipses: place from the hips (0) to the shoulders (1), then half width,
# half depth and shift to the front in body heights.
_TRUNK = (
    (-0.22, 0.040, 0.040, -0.008),
    (-0.12, 0.078, 0.060, -0.013),
    (0.00, 0.096, 0.069, -0.014),
    (0.09, 0.096, 0.068, -0.011),
    (0.22, 0.088, 0.060, -0.003),
    (0.38, 0.073, 0.054, 0.003),
    (0.58, 0.080, 0.062, 0.004),
    (0.78, 0.092, 0.066, 0.004),
    (0.93, 0.084, 0.050, -0.004),
)
_REACH = 0.1  # body heights by which flesh is at most farther out than any joint (fingers, crown)
_TOE_REACH = 0.045  # the same below the lowest joint

_MIN_STATURE = 0.01  # metres; less is a recording of nothing
_CHUNK = 256  # frames whose outlines are held at once
_SHIFT = 4  # fractional bits of the outline's coordinates
_TINY = 1e-9

_TURN = np.linspace(0, 2 * np.pi, 16, endpoint=False)
# Slightly outside the unit circle, so that the polygon has the circle's area.
CIRCLE = (np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1) * 1.013).astype(np.float32)


@dataclass(frozen=True)
class Body:
    """What is the same in every frame of one dancer's recording."""

    stature: float  # metres, estimated from the bones
    neck_base: float  # metres from the shoulder line up to the neck joint
    trunk: np.ndarray  # (len(_TRUNK), 4) weights of hips, spine, chest, shoulder line
    shoulder_shift: float  # metres each shoulder is moved outwards
    foot_slope: float  # radians by which ankle-toe falls when the sole lies flat
    highest: float  # metres, the top of the highest pose
    lowest: float  # metres, the bottom of the lowest pose; 0 is the floor


def measure(positions: np.ndarray) -> Body:
    """Measures a body from a recording.

    Args:
        positions: (F, 19, 3) metres in the order of JOINTS, y up, floor at 0; good frames only.

    Raises:
        UserError: the bones have no length, or none that can be measured.
    """
    joint = _by_name(positions.astype(np.float64))
    legs = [
        _median_length(joint[f"{side}_{a}"] - joint[f"{side}_{b}"])
        for side in "lr"
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    ]
    hips = (joint["l_hip"] + joint["r_hip"]) / 2
    shoulders = (joint["l_shoulder"] + joint["r_shoulder"]) / 2
    up = _unit(joint["neck"] - joint["chest"])
    neck_base = float(np.median(_dot(joint["neck"] - shoulders, up)))
    neck_base = float(np.clip(neck_base, 0, _median_length(joint["neck"] - joint["chest"]) * 0.8))
    line = joint["neck"] - neck_base * up
    lengths = [
        _median_length(joint["spine"] - hips),
        _median_length(joint["chest"] - joint["spine"]),
        _median_length(line - joint["chest"]),
    ]
    stature = (sum(legs) / 2 + sum(lengths)) / (_SHOULDER_HEIGHT - _ANKLE_HEIGHT)
    if not (np.isfinite(positions).all() and stature > _MIN_STATURE):
        raise UserError(
            f"The recording holds no body that can be drawn: it would be {stature:.3g} m tall. "
            "Check the unit and the joints of the file."
        )
    span = _median_length(joint["l_shoulder"] - joint["r_shoulder"])
    feet = [_median_length(joint[f"{side}_toe"] - joint[f"{side}_ankle"]) for side in "lr"]
    drop = (_ANKLE_HEIGHT - _BALL_HEIGHT) * stature
    return Body(
        stature=stature,
        neck_base=neck_base,
        trunk=_trunk_weights(lengths),
        shoulder_shift=max(0.0, _SHOULDER_SPAN * stature - span) / 2,
        foot_slope=float(np.arcsin(np.clip(drop / max(sum(feet) / 2, _TINY), 0, 0.9))),
        highest=float(positions[..., 1].max() + _REACH * stature),
        lowest=float(min(0.0, positions[..., 1].min() - _TOE_REACH * stature)),
    )


def draw_bodies(
    positions: np.ndarray,
    fps: float,
    *,
    yaw: float = 0.0,
    mirror: bool = False,
    camera: str = "follow",
    body: Body | None = None,
    girth: float = 1.0,
    supersample: int = SUPERSAMPLE,
) -> Iterator[np.ndarray]:
    """Draws one clip, frame by frame.

    The camera looks along parallel rays at the height of the dancer, from the +z side turned
    by `yaw` about the vertical. The floor keeps its place in the picture.

    Args:
        positions: (F, 19, 3) metres in the order of JOINTS, y up, floor at 0.
        fps: frames per second of `positions`.
        yaw: degrees; 90 looks from +x.
        mirror: swap left and right.
        camera: "follow" pans smoothly with the dancer; "fixed" stands still, far enough away
            to see the whole clip.
        body: measured from more frames than these, if there are more.
        girth: how stout the body is; 1 is usual, and every limb is as many times thicker.
        supersample: how many times finer the outline is drawn before area averaging.

    Yields:
        (120, 208) uint8, 0 dancer and 255 background.

    Raises:
        ValueError: unknown camera, or a girth outside of GIRTHS.
    """
    if camera not in CAMERAS:
        raise ValueError(f"camera must be one of {', '.join(CAMERAS)}. Received: {camera!r}")
    if not GIRTHS[0] <= girth <= GIRTHS[1]:
        raise ValueError(f"girth must be from {GIRTHS[0]} to {GIRTHS[1]}. Received: {girth}")
    body = body or measure(positions)
    right = rightwards(yaw, mirror)
    scale, floor = fit(body.stature, body.highest, body.lowest)
    across = positions.astype(np.float64) @ right  # (F, J)
    reach = _REACH * body.stature
    low, high = across.min(axis=1) - reach, across.max(axis=1) + reach
    scale, centre = aim(camera, scale, across[:, JOINTS.index("pelvis")], low, high, fps)
    pen = Pen(supersample)
    for start in range(0, len(positions), _CHUNK):
        rows = slice(start, start + _CHUNK)
        parts = _outlines(positions[rows].astype(np.float32), body, right.astype(np.float32), girth)
        origin = centre[rows, None].astype(np.float32)
        for outline in parts:
            outline[..., 0] = (outline[..., 0] - origin) * scale + WIDTH / 2
            outline[..., 1] = floor - outline[..., 1] * scale
        yield from pen.draw(parts)


def fit(height: float, highest: float, lowest: float) -> tuple[float, float]:
    """Returns pixels per metre and the row of the floor that keep every pose in the picture.

    Args:
        height: metres of a dancer who stands.
        highest: metres above the floor of the top of the highest pose.
        lowest: metres of the bottom of the lowest pose, at most 0.
    """
    floor = FLOOR * HEIGHT
    below = HEIGHT - 1 - floor
    scale = STANDING * HEIGHT / height
    scale = min(scale, (HEIGHT - 1 - MARGIN) / (highest - lowest))
    floor -= max(0.0, -lowest * scale - below)
    return min(scale, (floor - MARGIN) / highest), floor


def aim(
    camera: str, scale: float, middle: np.ndarray, low: np.ndarray, high: np.ndarray, fps: float
) -> tuple[float, np.ndarray]:
    """Returns pixels per metre and where the camera looks, (F,) metres across.

    Args:
        camera: one of CAMERAS.
        scale: pixels per metre that fit the height.
        middle: (F,) metres across, what "follow" follows.
        low: (F,) metres across, the left edge of the figure.
        high: (F,) metres across, its right edge.
        fps: frames per second.
    """
    if camera == "fixed":
        scale = min(scale, (WIDTH - 2 * MARGIN) / (high.max() - low.min()))
        return scale, np.full(len(middle), (high.max() + low.min()) / 2)
    return scale, _follow(middle, low, high, (WIDTH / 2 - MARGIN) / scale, fps)


def _follow(
    pelvis: np.ndarray, low: np.ndarray, high: np.ndarray, half: float, fps: float
) -> np.ndarray:
    """Returns where the camera looks, (F,) metres across.

    The pelvis' path is low-passed without lag, so that the dancer sways in the picture. Where
    that would let a limb out of it, the camera gives way, as smoothly as it can.
    """
    sigma = FOLLOW_SECONDS * fps / 2
    centre = _smooth(pelvis, sigma)
    late = np.maximum(0, high - half - centre)
    early = np.maximum(0, centre - half - low)
    # A maximum over a window no shorter than the smoothing's never falls below the need.
    radius = max(1, round(fps / 2))
    centre = centre + _cover(late, radius) - _cover(early, radius)
    # Needs on both sides within one window cancel; then the picture's edge decides.
    return np.clip(centre, high - half, np.maximum(low + half, high - half))


def _cover(need: np.ndarray, radius: int) -> np.ndarray:
    if not need.any():
        return need
    padded = np.pad(need, radius)
    widest = np.lib.stride_tricks.sliding_window_view(padded, 2 * radius + 1).max(axis=1)
    kernel = np.hanning(2 * radius + 3)[1:-1]
    return np.convolve(np.pad(widest, radius, mode="edge"), kernel / kernel.sum(), "valid")


def _smooth(values: np.ndarray, sigma: float) -> np.ndarray:
    """Low-passes (F,) with a Gaussian of `sigma` frames, the ends continued by point reflection."""
    radius = max(1, round(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    if len(values) == 1:
        return values.copy()
    padded = np.pad(values, radius, mode="reflect", reflect_type="odd")
    # Repeated reflection runs away on a short clip of a travelling dancer; hold it instead.
    padded = np.clip(padded, values.min() - np.ptp(values), values.max() + np.ptp(values))
    return np.convolve(padded, kernel / kernel.sum(), "valid")


class Pen:
    """Fills outlines on a fine canvas and averages it down."""

    def __init__(self, supersample: int) -> None:
        self._fine = supersample
        self._canvas = np.empty((HEIGHT * supersample, WIDTH * supersample), dtype=np.uint8)

    def draw(self, parts: list[np.ndarray]) -> Iterator[np.ndarray]:
        """Yields a picture for each frame of outlines (F, P, 2) in picture pixels."""
        fine, canvas = self._fine, self._canvas
        low = np.min([part.min(axis=1) for part in parts], axis=0)
        high = np.max([part.max(axis=1) for part in parts], axis=0)
        edge = (WIDTH, HEIGHT)
        first = np.clip(np.floor(low) - 1, 0, edge).astype(int)
        last = np.clip(np.ceil(high) + 1, 0, edge).astype(int)
        # OpenCV puts pixel centres on whole coordinates.
        unit = fine << _SHIFT
        whole = [np.rint(part * unit - (1 << _SHIFT) / 2).astype(np.int32) for part in parts]
        for frame in range(len(low)):
            (left, top), (right, bottom) = first[frame], last[frame]
            picture = np.full((HEIGHT, WIDTH), BACKGROUND, dtype=np.uint8)
            if right > left and bottom > top:
                region = canvas[top * fine : bottom * fine, left * fine : right * fine]
                region[:] = BACKGROUND
                for part in whole:
                    hull = cv2.convexHull(part[frame])
                    cv2.fillConvexPoly(canvas, hull, DANCER, cv2.LINE_8, _SHIFT)
                small = cv2.resize(region, (right - left, bottom - top), interpolation=3)
                np.copyto(
                    picture[top:bottom, left:right],
                    np.where(small < 128, np.uint8(DANCER), np.uint8(BACKGROUND)),
                )
            yield picture


class _Drawing:
    """Collects outlines in the plane of the picture: metres to the right, metres up.

    Balls and flat ellipses, which make limbs and trunk, are `girth` times as thick; ellipsoids,
    the skull, are not.
    """

    def __init__(self, right: np.ndarray, girth: float) -> None:
        self._girth = np.float32(girth)
        self.parts: list[np.ndarray] = []
        self._view = np.stack([right, np.array([0, 1, 0], dtype=np.float32)], axis=1)

    def flat(self, points: np.ndarray) -> np.ndarray:
        """Projects (..., 3) metres to (..., 2)."""
        return points @ self._view

    def ball(self, centre: np.ndarray, radius: float) -> np.ndarray:
        """Returns the outline (F, P, 2) of a ball."""
        return self.flat(centre)[:, None] + radius * self._girth * CIRCLE

    def ellipse(self, centre: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Returns the outline (F, P, 2) of a flat ellipse with half axes `a` and `b` (F, 3)."""
        axes = np.stack([self.flat(a), self.flat(b)], axis=1)  # (F, 2 axes, 2)
        return self.flat(centre)[:, None] + CIRCLE @ (self._girth * axes)

    def ellipsoid(self, centre: np.ndarray, *axes: np.ndarray) -> np.ndarray:
        """Returns the outline (F, P, 2) of an ellipsoid with three half axes (F, 3).

        A linear map takes a ball to an ellipsoid with the outline {L c : |c| = 1}, where
        L is any square root of the map's Gram matrix, here the Cholesky factor.
        """
        spread = np.stack([self.flat(axis) for axis in axes], axis=1)  # (F, 3, 2)
        gram = np.einsum("fki,fkj->fij", spread, spread)
        l00 = np.sqrt(np.maximum(gram[:, 0, 0], _TINY))
        l10 = gram[:, 1, 0] / l00
        l11 = np.sqrt(np.maximum(gram[:, 1, 1] - l10**2, 0))
        x = l00[:, None] * CIRCLE[:, 0]
        y = l10[:, None] * CIRCLE[:, 0] + l11[:, None] * CIRCLE[:, 1]
        return self.flat(centre)[:, None] + np.stack([x, y], axis=-1)

    def add(self, *outlines: np.ndarray) -> None:
        """Adds a part: the convex hull of some outlines."""
        self.parts.append(np.concatenate(outlines, axis=1))


def _outlines(
    positions: np.ndarray, body: Body, right: np.ndarray, girth: float
) -> list[np.ndarray]:
    """Returns every part of the body as points (F, P, 2) whose convex hull it fills, metres."""
    h = body.stature
    joint = _by_name(positions)
    draw = _Drawing(right, girth)
    hips = (joint["l_hip"] + joint["r_hip"]) / 2
    spine_up = _unit(joint["neck"] - joint["chest"])
    line = joint["neck"] - body.neck_base * spine_up
    hip_axis = _unit(joint["l_hip"] - joint["r_hip"])
    shoulder_axis = _unit(joint["l_shoulder"] - joint["r_shoulder"])
    sides = {"l": 1.0, "r": -1.0}
    for side, sign in sides.items():
        joint[f"{side}_shoulder"] = (
            joint[f"{side}_shoulder"] + sign * body.shoulder_shift * shoulder_axis
        )

    _draw_trunk(
        draw, [hips, joint["spine"], joint["chest"], line], hip_axis, shoulder_axis, body, h
    )
    _draw_head(draw, joint, line, spine_up, shoulder_axis, h)
    hip_up = _unit(joint["chest"] - hips)
    hip_forward = _unit(np.cross(hip_axis, hip_up))
    for side, sign in sides.items():
        inward = -sign * shoulder_axis
        shoulder = joint[f"{side}_shoulder"]
        # The slope from neck to shoulder, and the chest's corner under the arm.
        draw.add(
            draw.ball(line + 0.026 * h * spine_up, 0.026 * h),
            draw.ball(shoulder + 0.016 * h * inward + 0.005 * h * spine_up, 0.025 * h),
            draw.ball(line - 0.035 * h * spine_up, 0.03 * h),
        )
        draw.add(
            draw.ball(shoulder + 0.014 * h * inward - 0.01 * h * spine_up, 0.031 * h),
            draw.ball(line + 0.3 * (shoulder - line) - 0.055 * h * spine_up, 0.05 * h),
        )
        _draw_arm(draw, shoulder, joint[f"{side}_elbow"], joint[f"{side}_wrist"], h)
        leg = [joint[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "toe")]
        iliac = leg[0] + 0.075 * h * hip_up + 0.012 * h * hip_forward
        _draw_leg(draw, leg, hip_axis * sign, hip_forward, iliac, body.foot_slope, h)
    return draw.parts


def _draw_trunk(
    draw: _Drawing,
    chain: list[np.ndarray],
    hip_axis: np.ndarray,
    shoulder_axis: np.ndarray,
    body: Body,
    h: float,
) -> None:
    slices = []
    points = np.stack(chain, axis=1)  # (F, 4, 3)
    up_low, up_high = _unit(chain[2] - chain[0]), _unit(chain[3] - chain[1])
    for weights, (place, width, depth, front) in zip(body.trunk.astype(np.float32), _TRUNK):
        turn = min(max(place, 0.0), 1.0)
        up = _unit((1 - turn) * up_low + turn * up_high)
        across = (1 - turn) * hip_axis + turn * shoulder_axis
        forward = _unit(np.cross(across, up))
        across = np.cross(up, forward)
        centre = np.einsum("k,fkd->fd", weights, points) + front * h * forward
        slices.append(draw.ellipse(centre, width * h * across, depth * h * forward))
    for lower, upper in zip(slices, slices[1:]):
        draw.add(lower, upper)
    draw.add(slices[-1], draw.ball(chain[3] + 0.03 * h * up_high, 0.03 * h))


def _draw_head(
    draw: _Drawing,
    joint: dict[str, np.ndarray],
    line: np.ndarray,
    spine_up: np.ndarray,
    shoulder_axis: np.ndarray,
    h: float,
) -> None:
    # Recordings place the head joint anywhere between the atlas and the crown, and a short
    # bone's direction is noisy: the spine steadies it.
    up = _unit(_unit(joint["head"] - joint["neck"]) + 0.35 * spine_up)
    forward = _unit(np.cross(shoulder_axis, up))
    across = np.cross(up, forward)
    middle = line + (_HEAD_HEIGHT - _SHOULDER_HEIGHT) * h * _unit(0.3 * spine_up + up)
    draw.add(
        draw.ellipsoid(
            middle + 0.008 * h * up - 0.004 * h * forward,
            0.046 * h * across,
            0.060 * h * up,
            0.057 * h * forward,
        ),
        draw.ball(middle - 0.038 * h * up + 0.018 * h * forward, 0.026 * h),
    )
    draw.add(
        draw.ball(line + 0.015 * h * spine_up, 0.034 * h),
        draw.ball(middle - 0.03 * h * up - 0.008 * h * forward, 0.03 * h),
    )


def _draw_arm(
    draw: _Drawing, shoulder: np.ndarray, elbow: np.ndarray, wrist: np.ndarray, h: float
) -> None:
    deltoid = draw.ball(_between(shoulder, elbow, 0.18), 0.0345 * h)
    biceps = draw.ball(_between(shoulder, elbow, 0.5), 0.0295 * h)
    bent = draw.ball(elbow, 0.0225 * h)
    belly = draw.ball(_between(elbow, wrist, 0.25), 0.0245 * h)
    narrow = draw.ball(wrist, 0.0155 * h)
    draw.add(draw.ball(_between(shoulder, elbow, 0.02), 0.0285 * h), deltoid)
    draw.add(deltoid, biceps)
    draw.add(biceps, bent)
    draw.add(bent, belly)
    draw.add(belly, narrow)
    along = _unit(wrist - elbow)
    palm = draw.ball(wrist + 0.042 * h * along, 0.022 * h)
    draw.add(narrow, palm)
    draw.add(palm, draw.ball(wrist + 0.086 * h * along, 0.0125 * h))


def _draw_leg(
    draw: _Drawing,
    joints: list[np.ndarray],
    outward: np.ndarray,
    hip_forward: np.ndarray,
    iliac: np.ndarray,
    foot_slope: float,
    h: float,
) -> None:
    hip, knee, ankle, toe = joints
    top = draw.ball(_between(hip, knee, 0.04), 0.047 * h)
    upper = draw.ball(_between(hip, knee, 0.18) + 0.001 * h * outward, 0.05 * h)
    middle = draw.ball(_between(hip, knee, 0.55), 0.044 * h)
    draw.add(top, upper)
    draw.add(upper, draw.ball(iliac, 0.034 * h))
    bent = draw.ball(knee, 0.0325 * h)
    draw.add(upper, middle)
    draw.add(middle, bent)
    along = _unit(toe - ankle)
    # Towards the sole and square to the foot. A pointed foot is in line with the shank, which
    # then says nothing; the hips' back does.
    shank = _unit(ankle - knee)
    sole = _unit(_square(shank, along) - 0.25 * _square(hip_forward, along))
    cos, sin = math.cos(foot_slope), math.sin(foot_slope)
    level = cos * along - sin * sole
    down = sin * along + cos * sole
    back = _unit(_square(-level, shank))
    calf = draw.ball(_between(knee, ankle, 0.28) + 0.007 * h * back, 0.0335 * h)
    thin = draw.ball(_between(knee, ankle, 0.92), 0.0195 * h)
    draw.add(bent, calf)
    draw.add(calf, thin)
    joint = draw.ball(ankle, 0.0215 * h)
    draw.add(thin, joint)
    across = np.cross(level, down)
    heel = draw.ball(ankle - 0.026 * h * level + 0.022 * h * down, 0.0165 * h)
    ball = toe + (_BALL_HEIGHT - 0.0145) * h * down
    draw.add(
        joint,
        heel,
        draw.ball(ball + 0.012 * h * across, 0.0135 * h),
        draw.ball(ball - 0.012 * h * across, 0.0135 * h),
    )
    tip = toe + 0.034 * h * level + 0.002 * h * down
    draw.add(
        draw.ball(ball + 0.012 * h * across, 0.0135 * h),
        draw.ball(ball - 0.012 * h * across, 0.0135 * h),
        draw.ball(tip + 0.008 * h * across, 0.0095 * h),
        draw.ball(tip - 0.008 * h * across, 0.0095 * h),
    )


def _trunk_weights(lengths: list[float]) -> np.ndarray:
    """Returns (len(_TRUNK), 4) weights that place each slice along a chain of four points."""
    ends = np.concatenate([[0.0], np.cumsum(np.maximum(lengths, _TINY))])
    ends /= ends[-1]
    weights = np.zeros((len(_TRUNK), 4))
    for row, (place, *_) in enumerate(_TRUNK):
        segment = int(np.clip(np.searchsorted(ends, place, side="right") - 1, 0, 2))
        part = (place - ends[segment]) / (ends[segment + 1] - ends[segment])
        weights[row, segment : segment + 2] = 1 - part, part
    return weights


def rightwards(yaw: float, mirror: bool) -> np.ndarray:
    """Returns the unit vector (3,) that points to the right in the picture."""
    angle = np.deg2rad(yaw)
    return np.array([np.cos(angle), 0.0, -np.sin(angle)]) * (-1.0 if mirror else 1.0)


def _by_name(positions: np.ndarray) -> dict[str, np.ndarray]:
    return {name: positions[:, index] for index, name in enumerate(JOINTS)}


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("fd,fd->f", a, b)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), _TINY)


def _square(vectors: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Returns what is left of (F, 3) vectors without their part along unit vectors."""
    return vectors - _dot(vectors, along)[:, None] * along


def _between(a: np.ndarray, b: np.ndarray, part: float) -> np.ndarray:
    return a + part * (b - a)


def _median_length(vectors: np.ndarray) -> float:
    return float(np.median(np.linalg.norm(vectors, axis=-1)))

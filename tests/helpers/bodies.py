"""Bodies made by hand: nineteen joints that stand, and figures painted as networks find them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from dancenet.data.mocap.formats.keypoints import COCO
from dancenet.data.motion.clip import SkeletonClip
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.data.people import regions
from dancenet.data.people.landmarks import LANDMARK_NAMES, Pose
from dancenet.data.people.regions import Region

# A standing adult of 1.7 m, arms hanging a little away from the body (Winter, fig. 4.1).
HALF = {
    "shoulder": (0.17, 1.39, 0.0),
    "elbow": (0.27, 1.10, -0.01),
    "wrist": (0.33, 0.86, 0.05),
    "hip": (0.09, 0.90, 0.0),
    "knee": (0.10, 0.485, 0.01),
    "ankle": (0.10, 0.066, -0.03),
    "toe": (0.12, 0.022, 0.10),
}
SPINE = {
    "pelvis": (0, 0.93, 0),
    "spine": (0, 1.05, 0),
    "chest": (0, 1.22, 0),
    "neck": (0, 1.44, 0),
    "head": (0, 1.52, 0.01),
}


def stand(num_frames=1, **moved):
    """Returns (T, 19, 3): a standing body, some joints elsewhere."""
    pose = {name: place for name, place in SPINE.items()}
    for name, (x, y, z) in HALF.items():
        pose[f"l_{name}"], pose[f"r_{name}"] = (x, y, z), (-x, y, z)
    pose.update(moved)
    one = np.array([pose[name] for name in JOINTS], np.float32)
    return np.repeat(one[None], num_frames, axis=0)


def body_clip(positions, fps=30.0, ok=None):
    """Returns positions (T, 19, 3) as a clip."""
    return SkeletonClip(
        positions=np.asarray(positions, np.float32),
        fps=fps,
        ok=np.ones(len(positions), bool) if ok is None else np.asarray(ok),
        names=JOINTS,
        parents=PARENTS,
        offsets=None,
        source="test",
    )


# Poses of painted figures, as networks would find them.

YELLOW = (250, 240, 20)
_SIDE = 256

# Places of the landmarks of a standing body: across and down, in heights of the body from the
# middle of the crown. Arms hang obliquely.
_STANDING = {
    "nose": (0.0, 0.08),
    "ear": (0.03, 0.07),
    "eye": (0.02, 0.06),
    "mouth": (0.01, 0.1),
    "shoulder": (0.11, 0.19),
    "elbow": (0.2, 0.34),
    "wrist": (0.28, 0.48),
    "pinky": (0.31, 0.52),
    "index": (0.3, 0.53),
    "thumb": (0.29, 0.52),
    "hip": (0.06, 0.52),
    "knee": (0.08, 0.74),
    "ankle": (0.1, 0.95),
    "heel": (0.1, 0.98),
    "foot_index": (0.14, 0.99),
}
_ARMS = ("elbow", "wrist", "pinky", "index", "thumb")


def standing(x: float, top: float, height: float) -> np.ndarray:
    """Returns the landmarks (33, 2) of a standing body in picture pixels."""
    places = []
    for name in LANDMARK_NAMES:
        part = next(part for part in sorted(_STANDING, key=len, reverse=True) if part in name)
        across, down = _STANDING[part]
        side = -1 if "right" in name else 1
        places.append((x + side * across * height, top + down * height))
    return np.array(places, np.float32)


def limbs_of(name: str) -> list[int]:
    """Returns the landmarks whose names contain a word."""
    return [index for index, full in enumerate(LANDMARK_NAMES) if name in full]


def painted(shape: tuple[int, ...], points: np.ndarray, height: float) -> np.ndarray:
    """Paints a body with limbs of usual thickness as (H, W) bool."""
    mask = np.zeros(shape[:2], np.uint8)
    at = dict(zip(LANDMARK_NAMES, points.astype(float)))

    def limb(near: np.ndarray, far: np.ndarray, radius: float) -> None:
        start, end = (tuple(np.rint(place).astype(int).tolist()) for place in (near, far))
        cv2.line(mask, start, end, 1, max(1, round(2 * radius * height)))

    for side in ("left", "right"):
        names = [f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "index")]
        for near, far, radius in zip(names, names[1:], (0.03, 0.022, 0.02)):
            limb(at[near], at[far], radius)
        names = [f"{side}_{part}" for part in ("hip", "knee", "ankle", "foot_index")]
        for near, far, radius in zip(names, names[1:], (0.045, 0.03, 0.02)):
            limb(at[near], at[far], radius)
        limb(at[f"{side}_shoulder"], at[f"{side}_hip"], 0.05)
    neck = (at["left_shoulder"] + at["right_shoulder"]) / 2
    hips = (at["left_hip"] + at["right_hip"]) / 2
    limb(neck, hips, 0.07)
    limb(neck, at["nose"], 0.04)
    cv2.circle(mask, tuple(np.rint(at["nose"]).astype(int).tolist()), round(0.07 * height), 1, -1)
    return mask > 0


def pose_of(mask: np.ndarray, points: np.ndarray, height: float, seen: object = 1.0) -> Pose:
    """Returns the pose of a body whose mask (H, W) and landmarks are known.

    Args:
        mask: bool.
        points: (33, 2) picture pixels.
        height: the body's, in picture pixels; it is 1.7 m tall.
        seen: how surely the landmarks are seen; one number, or (33,).
    """
    hips = points[limbs_of("hip")].mean(axis=0)
    region = Region(float(hips[0]), float(hips[1]), 1.35 * height)
    to_region = cv2.invertAffineTransform(regions.matrix(region, _SIDE))
    drawn = cv2.warpAffine(mask.astype(np.float32), to_region, (_SIDE, _SIDE))
    surely = np.broadcast_to(np.asarray(seen, np.float32), (33,)).copy()
    world = np.zeros((33, 3), np.float32)
    world[:, :2] = (points - hips) * (1.7 / height)
    return Pose(
        landmarks=np.concatenate([points, np.zeros((33, 1))], axis=1).astype(np.float32),
        visibility=surely,
        presence=surely,
        world=world,
        score=1.0,
        region=region,
        mask=drawn,
        axis=np.stack([hips, hips - (0, 0.5 * height)]).astype(np.float32),
    )


def follow_yellow(pictures: Iterable[np.ndarray], fps: float) -> Iterator[Pose | None]:
    """Takes what is yellow for a standing body whose arms are not seen."""
    seen = np.ones(33)
    seen[[index for part in _ARMS for index in limbs_of(part)]] = 0.1
    for picture in pictures:
        yellow = (picture[..., :2] > 195).all(axis=-1) & (picture[..., 2] < 120)
        rows, columns = np.flatnonzero(yellow.any(axis=1)), np.flatnonzero(yellow.any(axis=0))
        if not len(rows):
            yield None
            continue
        height = float(rows[-1] + 1 - rows[0])
        points = standing((columns[0] + columns[-1]) / 2, float(rows[0]), height)
        yield pose_of(yellow, points, height, seen)


# Marks of the face: across, up and ahead of the body's axis.
FACE = {"nose": (0, 1.52, 0.11), "ear": (0.075, 1.53, 0.0), "eye": (0.03, 1.55, 0.09)}


def turning(num_frames=90, turns=0.5):
    """Returns (T, 19, 3): a body that turns about itself."""
    angle = np.linspace(0, 2 * np.pi * turns, num_frames)
    cos, sin, zero = np.cos(angle), np.sin(angle), np.zeros(num_frames)
    turn = np.stack([cos, zero, -sin, zero, zero + 1, zero, sin, zero, cos], axis=1)
    return stand(num_frames) @ turn.reshape(-1, 3, 3)


def film(positions, names=COCO):
    """Returns keypoints (T, J, 3) of bodies that a far camera sees from +z."""
    turn = positions[:, JOINTS.index("l_shoulder")] - positions[:, JOINTS.index("r_shoulder")]
    left = turn / np.linalg.norm(turn, axis=1, keepdims=True)
    front = np.cross(left, [0.0, 1.0, 0.0])
    seen = np.zeros((len(positions), len(names), 3))
    for index, name in enumerate(names):
        side = {"l": 1.0, "r": -1.0}.get(name[0], 0.0) if name[1:2] == "_" else 0.0
        kind = name.split("_")[-1]
        if name in JOINTS:
            place = positions[:, JOINTS.index(name)]
        elif kind in FACE:
            across, height, ahead = FACE[kind]
            place = side * across * left + ahead * front + np.array([0, height, 0])
        else:
            continue
        seen[:, index] = np.stack(
            [400 + 200 * place[:, 0], 500 - 200 * place[:, 1], np.ones(len(place))], axis=1
        )
    return seen

"""A body of nineteen joints that stands, made by hand."""

from __future__ import annotations

import numpy as np

from dancenet.data.mocap.formats.keypoints import COCO
from dancenet.data.motion.clip import SkeletonClip
from dancenet.data.motion.joints import JOINTS, PARENTS

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

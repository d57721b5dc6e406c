"""Brings lifted joints over the keypoints that they were lifted from.

The network hedges: where it is unsure it makes bones short, and it smooths. What the picture shows
it shows well, across the line of sight; how far a bone then points to the camera or away from it
follows from its length, once the network has told which of the two it is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dancenet.data.motion.bones import bone_lengths
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.data.motion.smooth import smooth
from dancenet.data.motion.tree import top_down
from dancenet.data.people.lift.points import POINTS, body_scale

_SEEN = [index for index, name in enumerate(POINTS) if name in JOINTS]
_OF_SEEN = [JOINTS.index(POINTS[index]) for index in _SEEN]
_OTHER_SIDE = [JOINTS.index({"l_": "r_", "r_": "l_"}.get(n[:2], n[:2]) + n[2:]) for n in JOINTS]
# Joints that no keypoint marks move with the middle of two others, by a share.
_FOLLOWING = {"spine": 0.4, "chest": 0.8, "neck": 1.0, "head": 1.0}
_SHOULDERS = [JOINTS.index("l_shoulder"), JOINTS.index("r_shoulder")]
_HIPS = [JOINTS.index("l_hip"), JOINTS.index("r_hip")]

_PITCHES = np.deg2rad(np.arange(-25, 36, 2.5))  # of the camera, tried
_NEARNESS = np.array([0.0, 0.1, 0.2, 0.3, 0.4])  # 1 / metres to the camera, tried
_TRIED_FRAMES = 400  # spread over the clip, on which they are tried
_SCALE_SMOOTHING = 15.0  # frames, standard deviations of Gaussians
_SHIFT_SMOOTHING = 2.5
_TRUST = 0.6  # weight of the network beside a keypoint that is sure
_FARTHEST = 0.25  # metres by which a joint is moved at most
_UNSURE = 0.06  # metres towards the camera below which the network does not tell the side
# A bone is as long as it is in the picture at a high percentile, less what noise adds there.
_LONG = 90
_NOISE = 0.9
_BY_LENGTH = 0.5  # share of the depth that follows from the lengths; the rest is the network's


class Camera(NamedTuple):
    """How the film's camera looks at a dancer, so far as it can be told."""

    pitch: float  # radians; above 0 it looks down
    nearness: float  # 1 / metres to the dancer

    def turn(self, joints: np.ndarray) -> np.ndarray:
        """Turns joints (..., 3) whose y is up into the camera's axes."""
        return joints @ _about_x(self.pitch)

    def back(self, joints: np.ndarray) -> np.ndarray:
        """Undoes `turn`."""
        return joints @ _about_x(-self.pitch)

    def project(self, turned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the picture (..., 2) of turned joints, and their magnification (..., 1)."""
        near = 1 / np.maximum(1 - self.nearness * turned[..., 2:], 0.2)
        return turned[..., :2] * near, near


def refine_joints(joints: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Brings joints over the keypoints.

    Args:
        joints: (T, 19, 3) metres from the pelvis, as the network gives them.
        points: (T, P, 3) of the same frames, as `points.to_points` gives them.

    Returns:
        (T, 19, 3) metres from the pelvis.
    """
    seen = points[:, _SEEN]
    weight = seen[..., 2]
    if not (weight > 0).any():
        return joints
    places = seen[..., :2] * np.array([1.0, -1.0]) / body_scale(points)[:, None, None]
    camera = find_camera(joints, places, weight)
    turned = camera.turn(joints)
    turned = _shifted(turned, places, weight, camera)
    return camera.back(_deepened(turned))


def find_camera(joints: np.ndarray, places: np.ndarray, weight: np.ndarray) -> Camera:
    """Finds the camera in whose picture joints (T, 19, 3) are nearest to places (T, N, 2)."""
    rows = np.unique(np.linspace(0, len(joints) - 1, min(len(joints), _TRIED_FRAMES)).astype(int))
    best = (np.inf, Camera(0.0, 0.0))
    for pitch in _PITCHES:
        for nearness in _NEARNESS:
            camera = Camera(float(pitch), float(nearness))
            picture, _ = camera.project(camera.turn(joints[rows][:, _OF_SEEN]))
            size, place = _fit(picture, places[rows], weight[rows])
            error = np.abs(picture * size + place - places[rows]).sum(axis=-1)
            # The less it is tilted, the likelier.
            cost = float((weight[rows] * error).sum() / weight[rows].sum()) + 0.02 * pitch**2
            best = min(best, (cost, camera), key=lambda found: found[0])
    return best[1]


def _fit(
    picture: np.ndarray, places: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the size (T, 1, 1) and the place (T, 1, 2) that bring a picture onto places."""
    total = np.maximum(weight.sum(axis=1), 1e-9)[:, None, None]
    share = weight[..., None] / total
    middle, aim = ((share * values).sum(axis=1, keepdims=True) for values in (picture, places))
    own, other = picture - middle, places - aim
    both = (share * own * other).sum(axis=(1, 2))
    square = (share * own * own).sum(axis=(1, 2))
    sure = np.minimum(weight.sum(axis=1), 1.0)
    both, square = (_low_pass(sure * value, _SCALE_SMOOTHING) for value in (both, square))
    size = np.clip(both / np.maximum(square, 1e-9), 0.3, 3.0)[:, None, None]
    return size, aim - middle * size


def _shifted(
    turned: np.ndarray, places: np.ndarray, weight: np.ndarray, camera: Camera
) -> np.ndarray:
    """Moves joints across the line of sight onto their keypoints, as far as these are sure."""
    picture, near = camera.project(turned[:, _OF_SEEN])
    size, place = _fit(picture, places, weight)
    missing = ((places - place) / size - picture) / near
    missing = np.clip(missing, -_FARTHEST, _FARTHEST)
    sure = weight[..., None]
    shape = missing.shape
    moved = _low_pass((sure * missing).reshape(len(turned), -1), _SHIFT_SMOOTHING).reshape(shape)
    moved = moved / (_low_pass(weight, _SHIFT_SMOOTHING)[..., None] + _TRUST)
    shift = np.zeros((len(turned), len(JOINTS), 2))
    shift[:, _OF_SEEN] = moved
    low, high = shift[:, _HIPS].mean(axis=1), shift[:, _SHOULDERS].mean(axis=1)
    shift[:, 0] = low
    for name, share in _FOLLOWING.items():
        shift[:, JOINTS.index(name)] = low * (1 - share) + high * share
    result = turned.copy()
    result[..., :2] += shift
    return result - result[:, :1]


def _deepened(turned: np.ndarray) -> np.ndarray:
    """Gives bones their depth by their lengths."""
    bones = turned - turned[:, np.maximum(PARENTS, 0)]
    across = np.linalg.norm(bones[..., :2], axis=-1)
    longest = _NOISE * np.percentile(across, _LONG, axis=0)
    lengths = np.maximum(bone_lengths(turned, PARENTS), longest)
    lengths = (lengths + lengths[_OTHER_SIDE]) / 2
    deep = np.sqrt(np.maximum(lengths**2 - across**2, 0.0))
    side = np.tanh(bones[..., 2] / _UNSURE)
    result = turned.copy()
    for joint in top_down(PARENTS):
        parent = PARENTS[joint]
        if parent >= 0:
            depth = bones[:, joint, 2]
            if joint in _OF_SEEN:
                depth = _BY_LENGTH * deep[:, joint] * side[:, joint] + (1 - _BY_LENGTH) * depth
            result[:, joint, 2] = result[:, parent, 2] + depth
    return result


def _low_pass(values: np.ndarray, deviation: float) -> np.ndarray:
    if len(values) < 2:
        return values
    return smooth(values, deviation, int(np.ceil(3 * deviation)), ends="hold")


def _about_x(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, cos, sin], [0.0, -sin, cos]])

"""A lifted body in the room: bones of one length, a floor, and feet that stand on it.

The camera of a film may move, so where a dancer goes is not read from the picture: a foot that
stands stays where it is, and carries the body past it. In the air the network's speed counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dancenet.data.motion.bones import bone_lengths, steady_bones
from dancenet.data.motion.feet import FLOOR_PERCENTILE, find_feet, plant_feet
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.data.motion.proportions import measure
from dancenet.data.motion.smooth import smooth
from dancenet.data.people.lift.network import FEET, Lifted

_POSE_SMOOTHING = 0.05  # seconds, standard deviations of the Gaussians that low-pass poses
_PATH_SMOOTHING = 0.06
_LOCK_SMOOTHING = 0.05  # how softly a foot is led to where it stands
_STANDS = 0.5  # probability from which a foot stands
_SHORTEST = 0.1  # seconds that a foot stands at least
_REST_PERCENTILE = 30  # of a standing foot's height that is taken for its height at rest
_HIGHEST_REST = 0.15  # metres
_STRAIGHT = 0.999  # of a leg's length that it is stretched to at most

_OTHER_SIDE = [JOINTS.index({"l_": "r_", "r_": "l_"}.get(n[:2], n[:2]) + n[2:]) for n in JOINTS]


def stand(lifted: Lifted, fps: float, stature: float | None = None) -> np.ndarray:
    """Puts a lifted body on the floor.

    Args:
        lifted: what the network says.
        fps: frames per second of it.
        stature: metres, the height of the dancer; None leaves the size that the network sees.

    Returns:
        (T, 19, 3) float32, metres, y up, floor at 0, the usual place above the origin. Each bone
        has one length, the same on both sides.
    """
    joints = _low_pass(lifted.joints, _POSE_SMOOTHING * fps)
    lengths = bone_lengths(joints, PARENTS)
    lengths = (lengths + lengths[_OTHER_SIDE]) / 2
    joints = steady_bones(joints, PARENTS, lengths)
    size = 1.0 if stature is None else stature / measure(joints).stature
    joints = joints * size
    sure = _low_pass(lifted.standing, 0.5)
    pelvis = np.zeros((len(joints), 3))
    pelvis[:, 1], rest = _rise(joints, lifted.height * size, sure, fps)
    pelvis[:, [0, 2]] = _travel(joints, lifted.velocity * size, sure, fps)
    positions = joints + pelvis[:, None]
    # The network misses some standing feet, which are told by their height and their speed.
    positions = plant_feet(positions, fps, *find_feet(positions))
    legs = [_Leg.of(positions, side, sure, rest, fps) for side in range(2)]
    positions[..., 1] -= _low_pass(_too_high(positions, legs), _LOCK_SMOOTHING * fps)[:, None]
    for leg in legs:
        leg.lock(positions)
    toes = positions[:, [JOINTS.index("l_toe"), JOINTS.index("r_toe")], 1].min(axis=1)
    middle = np.median(positions[:, 0], axis=0)
    floor = np.percentile(toes, FLOOR_PERCENTILE)
    return (positions - np.array([middle[0], floor, middle[2]])).astype(np.float32)


def _low_pass(values: np.ndarray, deviation: float) -> np.ndarray:
    """Smooths values (T, ...) over time, without lag."""
    if len(values) < 2:
        return values
    flat = values.reshape(len(values), -1)
    radius = max(1, int(np.ceil(3 * deviation)))
    return smooth(flat, deviation, radius, ends="hold").reshape(values.shape)


def _rise(
    joints: np.ndarray, height: np.ndarray, sure: np.ndarray, fps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the pelvis' height (T,) and the feet's heights at rest (F,), metres.

    The network's height is corrected so that standing feet are at rest.
    """
    height = _low_pass(height, _PATH_SMOOTHING * fps)
    places = joints[:, list(FEET), 1] + height[:, None]
    rest = np.empty(len(FEET))
    for foot in range(len(FEET)):
        stands = sure[:, foot] > _STANDS
        known = places[stands, foot] if stands.any() else places[:, foot]
        rest[foot] = np.percentile(known, _REST_PERCENTILE)
    rest = np.clip(rest, 0.0, _HIGHEST_REST)
    rest = (rest + np.roll(rest, len(FEET) // 2)) / 2
    weight = sure**2
    missing = (weight * (rest - places)).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
    share = weight.max(axis=1)
    correction = _low_pass(share * missing, _PATH_SMOOTHING * fps)
    return height + correction, rest


def _travel(joints: np.ndarray, velocity: np.ndarray, sure: np.ndarray, fps: float) -> np.ndarray:
    """Returns the pelvis' path over the floor, (T, 2) metres along x and z from the first frame."""
    if len(joints) < 2:
        return np.zeros((len(joints), 2))
    steps = np.diff(joints[:, list(FEET)][..., [0, 2]], axis=0)
    both = np.minimum(sure[1:], sure[:-1]) ** 2
    by_feet = -(both[..., None] * steps).sum(axis=1) / np.maximum(
        both.sum(axis=1, keepdims=True), 1e-9
    )
    share = both.max(axis=1, keepdims=True)
    moved = share * by_feet + (1 - share) * (velocity[1:] + velocity[:-1]) / 2 / fps
    moved = _low_pass(moved, _PATH_SMOOTHING * fps / 2)
    return np.concatenate([np.zeros((1, 2)), np.cumsum(moved, axis=0)])


class _Leg(NamedTuple):
    """A leg, and where its foot has to be so that it stays where it stands."""

    joints: tuple[int, int, int, int]  # hip, knee, ankle, toe
    ankle: np.ndarray  # (T, 3) metres
    foot: np.ndarray  # (T, 3) metres, from ankle to toe

    @classmethod
    def of(
        cls, positions: np.ndarray, side: int, sure: np.ndarray, rest: np.ndarray, fps: float
    ) -> _Leg:
        """Finds where a foot has to be.

        Args:
            positions: (T, 19, 3).
            side: 0 the left, 1 the right.
            sure: (T, F) probabilities that each of FEET stands.
            rest: (F,) metres, their heights at rest.
            fps: frames per second.
        """
        hip, knee, ankle, toe = (
            JOINTS.index(f"{'lr'[side]}_{joint}") for joint in ("hip", "knee", "ankle", "toe")
        )
        lead, share = np.zeros((len(positions), 3)), np.zeros(len(positions))
        pull = np.zeros((len(positions), 3))
        # Where both stand, the ankle leads.
        for part, joint in ((2 * side + 1, toe), (2 * side, ankle)):
            for rows in _runs(sure[:, part] > _STANDS, _SHORTEST * fps):
                place = positions[rows, joint].mean(axis=0)
                place[1] = rest[part]
                lead[rows] = place - positions[rows, joint]
                share[rows] = 1.0
                if joint == toe:
                    pull[rows] = lead[rows]
        lead = _soft(_held(lead, share), share, _LOCK_SMOOTHING * fps)
        foot = positions[:, toe] - positions[:, ankle]
        length = np.linalg.norm(foot, axis=-1, keepdims=True)
        down = np.asarray(pull.any(axis=1))
        pull = np.where(down[:, None], pull - lead, 0.0)
        turned = foot + _soft(pull, down, _LOCK_SMOOTHING * fps)
        size = np.maximum(np.linalg.norm(turned, axis=-1, keepdims=True), 1e-9)
        return cls((hip, knee, ankle, toe), positions[:, ankle] + lead, turned / size * length)

    def lock(self, positions: np.ndarray) -> None:
        """Moves the leg's joints of (T, 19, 3), in place."""
        hip, knee, ankle, toe = self.joints
        _bend(positions, (hip, knee, ankle), self.ankle)
        positions[:, toe] = positions[:, ankle] + self.foot


def _too_high(positions: np.ndarray, legs: Sequence[_Leg]) -> np.ndarray:
    """Returns how far (T,) the body is too high for a leg to reach the foot."""
    needed = np.zeros(len(positions))
    for leg in legs:
        hip, knee, ankle, _ = leg.joints
        bones = np.diff(positions[:, (hip, knee, ankle)], axis=1)
        length = _STRAIGHT * np.linalg.norm(bones, axis=-1).sum(axis=1)
        reach = leg.ankle - positions[:, hip]
        aside = np.minimum((reach[:, [0, 2]] ** 2).sum(axis=1), length**2)
        needed = np.maximum(needed, -reach[:, 1] - np.sqrt(length**2 - aside))
    return needed


def _runs(stands: np.ndarray, shortest: float) -> list[slice]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], stands.astype(np.int8), [0]])))
    return [slice(a, b) for a, b in edges.reshape(-1, 2).tolist() if b - a >= shortest]


def _held(lead: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Fades the lead (T, 3) of standing frames into those between, where a foot is in the air."""
    known = np.flatnonzero(share > 0)
    if not len(known):
        return lead
    frames = np.arange(len(lead))
    return np.stack([np.interp(frames, known, lead[known, axis]) for axis in range(3)], axis=1)


def _soft(values: np.ndarray, share: np.ndarray, deviation: float) -> np.ndarray:
    """Smooths values (T, C), except well within runs in which `share` (T,) is 1."""
    inside = np.clip(2 * _low_pass(share.astype(np.float64), deviation) - 1, 0.0, 1.0)[:, None]
    return inside * values + (1 - inside) * _low_pass(values, deviation)


def _bend(positions: np.ndarray, joints: tuple[int, int, int], wanted: np.ndarray) -> None:
    """Moves a limb's end to `wanted` (T, 3), in place, and its middle joint in the same plane."""
    start, middle, end = (positions[:, joint] for joint in joints)
    upper = np.linalg.norm(middle - start, axis=-1, keepdims=True)
    lower = np.linalg.norm(end - middle, axis=-1, keepdims=True)
    reach = wanted - start
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    along = reach / np.maximum(distance, 1e-9)
    distance = np.clip(distance, np.abs(upper - lower) + 1e-6, _STRAIGHT * (upper + lower))
    aside = (middle - start) - ((middle - start) * along).sum(-1, keepdims=True) * along
    aside = aside / np.maximum(np.linalg.norm(aside, axis=-1, keepdims=True), 1e-9)
    part = (upper**2 - lower**2 + distance**2) / (2 * distance)
    height = np.sqrt(np.maximum(upper**2 - part**2, 0.0))
    positions[:, joints[2]] = start + along * distance
    positions[:, joints[1]] = start + along * part + aside * height

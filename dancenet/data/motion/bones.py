"""The bones between joints, found from their motion where a file does not name them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dancenet.data.motion.tree import top_down

_FRAMES = 500  # frames, evenly spread, that are enough to tell a bone
# Weight of a pair's mean distance beside its deviation: a rigid trunk gets the shortest bones.
_SHORTNESS = 0.03
_ROUNDS = 20  # bones and factors are measured in turn; they converge in ten rounds
_BREADTH = 0.35  # breadth of a body from side to side, in its heights: the first guess
_SINGULAR = 1e9  # condition number from which a system of equations has no one solution


def infer_parents(positions: np.ndarray) -> tuple[int, ...]:
    """Finds the bones of a skeleton: the tree of joints whose distances vary least.

    This is the minimum spanning tree over the standard deviation of each pair's distance, by
    Prim's algorithm ("Shortest connection networks and some generalizations", 1957). Its root is
    the joint nearest to the middle of all.

    Args:
        positions: (T, J, C), C 2 or 3, any unit; frames that are not finite are skipped.

    Returns:
        J parents, -1 for the root; a parent may come after its child.
    """
    known = _sample(positions)
    num_joints = known.shape[1]
    cost = _looseness(known)
    middle = np.linalg.norm(known - known.mean(axis=1, keepdims=True), axis=-1).mean(axis=0)
    root = int(np.argmin(middle))
    parents = np.full(num_joints, root)
    parents[root] = -1
    nearest, waiting = cost[root].copy(), np.ones(num_joints, dtype=bool)
    waiting[root] = False
    while waiting.any():
        joint = int(np.argmin(np.where(waiting, nearest, np.inf)))
        waiting[joint] = False
        closer = waiting & (cost[joint] < nearest)
        nearest[closer] = cost[joint, closer]
        parents[closer] = joint
    return tuple(parents.tolist())


def measure_stretch(positions: np.ndarray) -> np.ndarray:
    """Finds the factors that make bones rigid if each axis was scaled by itself.

    With a, b, c the squares of the factors, the squared length of a bone is
    a dx^2 + b dy^2 + c dz^2. For c = 1, a and b minimise its variance over time, in units of its
    mean. Bones and factors are found in turn.

    Args:
        positions: (T, J, 3); the last axis is up.

    Returns:
        (3,) factors; the last is 1.
    """
    known = _sample(positions)
    extent = np.ptp(known, axis=1).mean(axis=0)
    factors = np.append(_BREADTH * extent[2] / np.maximum(extent[:2], 1e-9), 1.0)
    for _ in range(_ROUNDS):
        evened = known * factors
        parents = np.array(infer_parents(evened))
        joints = np.flatnonzero(parents >= 0)
        squares = (known[:, joints] - known[:, parents[joints]]) ** 2
        length = (squares @ factors**2).mean(axis=0)
        change = (squares - squares.mean(axis=0)) / np.maximum(length, 1e-12)[:, None]
        gram = np.einsum("tji,tjk->ik", change, change)
        if np.linalg.cond(gram[:2, :2]) > _SINGULAR:
            break
        found = -np.linalg.solve(gram[:2, :2], gram[:2, 2])
        if not (found > 0).all():
            break
        factors = np.append(np.sqrt(found), 1.0)
    return factors


def bone_lengths(positions: np.ndarray, parents: Sequence[int]) -> np.ndarray:
    """Returns the median length (J,) of the bone from each joint of (T, J, C) to its parent."""
    bones = positions - positions[:, np.maximum(parents, 0)]
    return np.median(np.linalg.norm(bones, axis=-1), axis=0)


def steady_bones(positions: np.ndarray, parents: Sequence[int], lengths: np.ndarray) -> np.ndarray:
    """Moves joints so that every bone has one length, from the root outwards.

    Each bone points from its parent's new place to its joint's old place, so that the next bone
    makes up for a joint that was moved.

    Args:
        positions: (T, J, C).
        parents: J, -1 for the root, which is not moved.
        lengths: (J,) the bones' lengths.

    Returns:
        (T, J, C) of the dtype of `positions`.
    """
    steady = positions.astype(np.float64)
    for joint in top_down(parents):
        if parents[joint] >= 0:
            start = steady[:, parents[joint]]
            bone = steady[:, joint] - start
            size = np.maximum(np.linalg.norm(bone, axis=1, keepdims=True), 1e-12)
            steady[:, joint] = start + bone / size * lengths[joint]
    return steady.astype(positions.dtype)


def _sample(positions: np.ndarray) -> np.ndarray:
    known = positions[np.isfinite(positions).all(axis=(1, 2))]
    rows = np.unique(np.linspace(0, len(known) - 1, min(len(known), _FRAMES)).round().astype(int))
    return known[rows].astype(np.float64)


def _looseness(positions: np.ndarray) -> np.ndarray:
    """Returns (J, J) costs: the lower, the more likely a pair is the two ends of a bone."""
    rows = []
    for joint in range(positions.shape[1]):
        distance = np.linalg.norm(positions - positions[:, joint : joint + 1], axis=-1)
        rows.append(distance.std(axis=0) + _SHORTNESS * distance.mean(axis=0))
    return np.array(rows)

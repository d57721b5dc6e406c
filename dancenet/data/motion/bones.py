"""What the motion of joints says of the bones between them, where a file does not say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dancenet.data.motion.tree import top_down

_FRAMES = 500  # frames, evenly spread, that are enough to tell a bone
# Of a pair's mean distance, beside its spread: in a rigid trunk the shortest bones are taken.
_SHORTNESS = 0.03
_ROUNDS = 20  # bones and stretch are measured in turn; ten rounds settle
_BREADTH = 0.35  # of a body's height that it usually takes from side to side


def infer_parents(positions: np.ndarray) -> tuple[int, ...]:
    """Finds the bones of a skeleton: the tree of joints whose distances vary least.

    The tree is the minimum spanning tree over the standard deviation of the distance of each
    pair, by Prim's algorithm ("Shortest connection networks and some generalizations", 1957).
    It hangs from the joint that is nearest to the middle of all.

    Args:
        positions: (T, J, C), C 2 or 3, any unit; frames that are not finite are passed over.

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
    """Finds how axes that were scaled each by itself must be multiplied to make bones rigid.

    With a, b, c the squares of the factors, the squared length of a bone is
    a dx^2 + b dy^2 + c dz^2; they are those with the least variance over time, in units of the
    bone's squared length, for c held. Which pairs are bones is found in turn with them.

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
        if np.linalg.cond(gram[:2, :2]) > 1e9:
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

    Each bone aims from where its parent came to be at where its joint was, so that what is
    moved at one joint is made up for at the next.

    Args:
        positions: (T, J, C).
        parents: J, -1 for the root, which stays.
        lengths: (J,) of the bones.

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
    """Returns (J, J): how little each pair of joints looks like the ends of a bone."""
    rows = []
    for joint in range(positions.shape[1]):
        distance = np.linalg.norm(positions - positions[:, joint : joint + 1], axis=-1)
        rows.append(distance.std(axis=0) + _SHORTNESS * distance.mean(axis=0))
    return np.array(rows)

"""Joint positions to a Biovision hierarchy (.bvh) that 3-D programs open.

A BVH holds rotations and bones of fixed length, not positions. Every joint is turned, from the
root outwards, so that its bones point at their far joints. If the bones of the motion keep their
length, the positions are exact, else as near as the bones allow. Positions do not tell how far an
arm or a leg is twisted about itself; the twist is chosen so that knees and elbows bend as hinges.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dancenet.data.mocap.formats.bvh import END
from dancenet.data.motion.bones import bone_lengths
from dancenet.data.motion.clip import SkeletonClip
from dancenet.data.motion.joints import JOINTS
from dancenet.data.motion.tree import top_down
from dancenet.support import files
from dancenet.support.errors import UserError
from dancenet.support.names import quoted

CENTIMETRES = 100.0  # in a metre; files are written in centimetres
CHANNELS = "Zrotation Xrotation Yrotation"
SLACK = 0.003  # metres, RMS; a bone that is further from its joint gets a joint of its own
BASE = "_base"  # the suffix of such a joint's name

_ROUNDS = 5  # rounds in which rest pose and rotations are measured in turn
_PRIOR = 1e-6  # weight of the parent's rotation where a joint may turn freely about its bone
_LEAN = 0.01  # bone lengths; a bone that leans less in the rest pose has no side to bend to
_STIFFNESS = 0.4  # weight of no twist beside the sine of the bend
_FRAMES = 400  # frames, evenly spread, that are enough to measure a rest pose
_OPPOSITE = 1e-9  # 1 + cosine below which two vectors count as opposite

# Directions of the nineteen joints' bones in the rest pose: arms spread, elbows and knees a little
# bent, which says to which side they bend.
_REST = {
    "spine": (0, 1, 0),
    "chest": (0, 1, 0),
    "neck": (0, 1, 0),
    "head": (0, 1, 0.2),
    "shoulder": (1, 0.8, 0),
    "elbow": (1, 0, 0),
    "wrist": (1, 0, 0.04),
    "hip": (1, -0.4, 0),
    "knee": (0, -1, 0),
    "ankle": (0, -1, -0.04),
    "toe": (0, -0.5, 1),
}
# End Sites of last joints, metres, so that programs show a bone there. The head has none, because
# readers take the head for the middle of its joint and its end.
_BEYOND = {
    "l_wrist": (0.1, 0, 0),
    "r_wrist": (-0.1, 0, 0),
    "l_toe": (0, 0, 0.05),
    "r_toe": (0, 0, 0.05),
}


class Fitted(NamedTuple):
    """A skeleton with bones of fixed length, and its rotations.

    Its first joints are the motion's. If bones of one joint move against each other, each of them
    has an added joint in the same place.
    """

    names: tuple[str, ...]  # J
    parents: tuple[int, ...]  # J, -1 for the root
    offsets: np.ndarray  # (J, 3) metres from the parent in the rest pose; 0 for the root
    turns: np.ndarray  # (T, J, 3, 3) rotations in the parent's frame
    positions: np.ndarray  # (T, J, 3) metres, as the rotations place the joints


def write_bvh(path: str | Path, clip: SkeletonClip, overwrite: bool = False) -> float:
    """Writes a motion as BVH, in centimetres with y up, atomically.

    Args:
        path: the file.
        clip: joints in space, with parents.
        overwrite: replace the file if it exists.

    Returns:
        The mean distance, in metres, between the written and the given joints.

    Raises:
        UserError: the joints are in a plane, their bones are not known, or the file cannot be
            written.
    """
    files.check_overwrite(path, overwrite)
    if clip.positions.shape[2] != 3:
        raise UserError(
            f"{quoted(clip.source)} has points of a picture, and a .bvh holds a body in space; "
            "write an .npz."
        )
    if clip.parents is None:
        raise UserError(
            f"{quoted(clip.source)} does not say which joints its bones connect; write an .npz."
        )
    fitted = fit_skeleton(clip.positions, clip.names, clip.parents, clip.offsets)
    lines = _hierarchy(fitted.names, fitted.parents, fitted.offsets)
    ends = _end_sites(fitted.names, fitted.parents)
    order = [joint for joint in _written_order(fitted.parents) if joint not in ends]
    root = order[0]
    angles = np.unwrap(_euler(fitted.turns[:, order]), axis=0, period=360.0)
    places = fitted.positions[:, root] * CENTIMETRES
    rows = np.concatenate([places, angles.reshape(len(angles), -1)], axis=1)
    lines += ["MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / clip.fps:.9g}"]
    # Adding 0 keeps a zero from being written as -0.
    lines += [" ".join(f"{value:.6f}" for value in row) for row in rows + 0.0]
    files.write_text(path, "\n".join(lines) + "\n")
    places = fitted.positions[:, : len(clip.names)]
    return float(np.linalg.norm(places - clip.positions, axis=-1).mean())


def fit_skeleton(
    positions: np.ndarray,
    names: Sequence[str],
    parents: Sequence[int],
    offsets: np.ndarray | None = None,
) -> Fitted:
    """Fits rotations of a hierarchy to joint positions.

    A joint with one bone takes the smallest turn from its parent's frame that points the bone at
    its far joint, and a twist about it that lets the next bone bend as a knee or an elbow does. A
    joint with several bones takes the least-squares rotation (Kabsch, "A solution for the best
    rotation to relate two sets of vectors", 1976); a bone that then ends more than SLACK away
    gets a joint of its own in the same place. Bones start at the placed joint, so that errors do
    not add up.

    Args:
        positions: (T, J, 3) metres.
        names: J; the nineteen of `data.motion.joints` have a rest pose of their own.
        parents: J, -1 for the root.
        offsets: (J, 3) metres from the parent in the rest pose; None measures the lengths of
            bones and takes the directions of the nineteen joints' rest pose, or the first
            frame's.

    Returns:
        The skeleton and its rotations.
    """
    known = positions.astype(np.float64)
    if offsets is None:
        offsets = _rest_pose(known, names, parents)
    offsets = np.array(offsets, np.float64)
    offsets[list(parents).index(-1)] = 0.0
    names, parents = tuple(names), tuple(parents)
    turns, placed = _fit(known, parents, offsets)
    away = np.sqrt(np.mean(np.sum((placed - known) ** 2, axis=2), axis=0))
    for joint in np.flatnonzero((away > SLACK) & offsets.any(axis=1)).tolist():
        above = parents[joint]
        if len(_bones(parents, offsets, above)) < 2:
            continue
        names += (names[joint] + BASE,)
        parents = (*parents[:joint], len(parents), *parents[joint + 1 :], above)
        offsets = np.concatenate([offsets, np.zeros((1, 3))])
        known = np.concatenate([known, known[:, above, None]], axis=1)
    if known.shape != placed.shape:
        turns, placed = _fit(known, parents, offsets)
    return Fitted(names, parents, offsets, turns, placed)


def _fit(
    positions: np.ndarray, parents: Sequence[int], offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the turns (T, J, 3, 3) in the parents' frames and the places (T, J, 3)."""
    num_frames, num_joints = positions.shape[:2]
    whole = np.broadcast_to(np.eye(3), (num_frames, num_joints, 3, 3)).copy()
    turns = whole.copy()
    placed = positions.copy()
    for joint in top_down(parents):
        parent = parents[joint]
        above = np.broadcast_to(np.eye(3), (num_frames, 3, 3))
        if parent >= 0:
            above = whole[:, parent]
            placed[:, joint] = placed[:, parent] + above @ offsets[joint]
        bones = _bones(parents, offsets, joint)
        wanted = positions[:, bones] - placed[:, joint, None]
        if len(bones) == 1:
            whole[:, joint] = _swing(above @ offsets[bones[0]], wanted[:, 0]) @ above
            following = _bones(parents, offsets, bones[0])
            if len(following) == 1:
                beyond = positions[:, following[0]] - positions[:, bones[0]]
                whole[:, joint] = (
                    _twist(wanted[:, 0], whole[:, joint] @ offsets[following[0]], beyond)
                    @ whole[:, joint]
                )
        elif bones:
            whole[:, joint] = _kabsch(offsets[bones], wanted, above)
        else:
            whole[:, joint] = above
        turns[:, joint] = np.swapaxes(above, 1, 2) @ whole[:, joint]
    return turns, placed


def _bones(parents: Sequence[int], offsets: np.ndarray, joint: int) -> list[int]:
    """Returns the far joints of a joint's bones, and of joints added in the same place."""
    found = []
    for child, its in enumerate(parents):
        if its == joint:
            found += [child] if offsets[child].any() else _bones(parents, offsets, child)
    return found


def _swing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Returns the smallest rotations (T, 3, 3) that turn `start` (T, 3) to `end` (T, 3).

    Rodrigues' formula for the axis start x end: R = I + K + K^2 / (1 + cos).
    """
    a, b = _unit(np.broadcast_to(start, end.shape)), _unit(end)
    cos = np.einsum("ti,ti->t", a, b)
    # Opposite directions: half a turn about any axis that is square to them.
    side = _unit(np.cross(a, np.eye(3)[np.argmin(np.abs(a), axis=1)]))
    half = 2 * np.einsum("ti,tj->tij", side, side) - np.eye(3)
    cross = _cross_matrix(np.cross(a, b))
    opposite = cos < -1 + _OPPOSITE
    factor = 1 / np.where(opposite, 1.0, 1 + cos)
    swing = np.eye(3) + cross + cross @ cross * factor[:, None, None]
    return np.where(opposite[:, None, None], half, swing)


def _twist(axis: np.ndarray, rest: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Returns rotations (T, 3, 3) about a bone that let the next bone bend like a hinge.

    The next bone bends towards the side to which it leans in the rest pose. The twist follows it
    more the more it bends, because a straight limb does not determine its twist.

    Args:
        axis: (T, 3) along the bone.
        rest: (T, 3) the next bone in the rest pose.
        wanted: (T, 3) the next bone in the motion.
    """
    axis = _unit(axis)
    length = np.linalg.norm(rest, axis=1, keepdims=True)
    lean = rest - np.einsum("ti,ti->t", rest, axis)[:, None] * axis
    bend = _unit(wanted)
    leans = np.linalg.norm(lean, axis=1) > _LEAN * length[:, 0]
    lean = _unit(lean)
    cos = np.einsum("ti,ti->t", lean, bend) + _STIFFNESS
    sin = np.einsum("ti,ti->t", np.cross(axis, lean), bend)
    angle = np.where(leans, np.arctan2(sin, cos), 0.0)[:, None, None]
    cross = _cross_matrix(axis)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _kabsch(offsets: np.ndarray, wanted: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Returns the rotations (T, 3, 3) that bring offsets (N, 3) nearest to (T, N, 3)."""
    product = np.einsum("tni,nj->tij", wanted, offsets)
    # Bones in one line do not determine the turn about them; it is then the parent's.
    product = product + _PRIOR * np.sum(offsets**2) * above
    left, _, right = np.linalg.svd(product)
    sign = np.sign(np.linalg.det(left @ right))
    left[:, :, 2] *= sign[:, None]
    return left @ right


def _rest_pose(positions: np.ndarray, names: Sequence[str], parents: Sequence[int]) -> np.ndarray:
    """Returns offsets (J, 3) with the median lengths of the bones."""
    rows = np.unique(np.linspace(0, len(positions) - 1, min(len(positions), _FRAMES)).astype(int))
    sample = positions[rows]
    above = np.maximum(parents, 0)
    bones_of = sample - sample[:, above]
    lengths = bone_lengths(sample, parents)
    directions = bones_of[0].copy()
    if tuple(names) == JOINTS:
        for joint, name in enumerate(names):
            side, _, limb = name.rpartition("_")
            mirror = np.array([-1.0 if side == "r" else 1.0, 1.0, 1.0])
            directions[joint] = mirror * _REST.get(limb, (0, 0, 0))
    offsets = _unit(directions) * lengths[:, None]
    # If a joint has several bones, their directions are the motion's: the mean in the joint's own
    # frame, measured in turn with the frame (generalised Procrustes, Gower 1975).
    several = [
        (joint, bones)
        for joint in range(len(parents))
        if len(bones := _bones(parents, offsets, joint)) > 1
    ]
    for _ in range(_ROUNDS if several else 0):
        turns, _placed = _fit(sample, parents, offsets)
        whole = _whole(turns, parents)
        for joint, children in several:
            for child in children:
                own = np.einsum("tji,tj->i", whole[:, joint], bones_of[:, child])
                offsets[child] = _unit(own) * lengths[child]
    return offsets


def _whole(turns: np.ndarray, parents: Sequence[int]) -> np.ndarray:
    """Returns rotations (T, J, 3, 3) in the world's frame, from those in the parents'."""
    whole = turns.copy()
    for joint in top_down(parents):
        if parents[joint] >= 0:
            whole[:, joint] = whole[:, parents[joint]] @ turns[:, joint]
    return whole


def _euler(turns: np.ndarray) -> np.ndarray:
    """Returns degrees (..., 3) about z, x and y for rotations (..., 3, 3) = Rz Rx Ry."""
    x = np.arcsin(np.clip(turns[..., 2, 1], -1.0, 1.0))
    z = np.arctan2(-turns[..., 0, 1], turns[..., 1, 1])
    y = np.arctan2(-turns[..., 2, 0], turns[..., 2, 2])
    return np.degrees(np.stack([z, x, y], axis=-1))


def _written_order(parents: Sequence[int]) -> list[int]:
    """Returns the joints in a BVH's order: each is followed by all below it."""
    order: list[int] = []
    waiting = [list(parents).index(-1)]
    while waiting:
        joint = waiting.pop()
        order.append(joint)
        waiting += [child for child in reversed(range(len(parents))) if parents[child] == joint]
    return order


def _end_sites(names: Sequence[str], parents: Sequence[int]) -> set[int]:
    """Returns the joints that were read from End Sites, and can be written as such again."""
    return {
        joint
        for joint, name in enumerate(names)
        if parents[joint] >= 0 and joint not in parents and name == names[parents[joint]] + END
    }


def _hierarchy(names: Sequence[str], parents: Sequence[int], offsets: np.ndarray) -> list[str]:
    lines = ["HIERARCHY"]

    def numbers(offset: np.ndarray) -> str:
        return " ".join(f"{value:.6f}" for value in offset * CENTIMETRES + 0.0)

    ends = _end_sites(names, parents)

    def write(joint: int, depth: int) -> None:
        tab = "\t" * depth
        if joint in ends:
            lines.extend(
                f"{tab}{line}"
                for line in ("End Site", "{", f"\tOFFSET {numbers(offsets[joint])}", "}")
            )
            return
        children = [child for child, its in enumerate(parents) if its == joint]
        root = parents[joint] < 0
        channels = f"6 Xposition Yposition Zposition {CHANNELS}" if root else f"3 {CHANNELS}"
        lines.extend(
            [
                f"{tab}{'ROOT' if root else 'JOINT'} {_word(names[joint])}",
                f"{tab}{{",
                f"{tab}\tOFFSET {numbers(offsets[joint])}",
                f"{tab}\tCHANNELS {channels}",
            ]
        )
        for child in children:
            write(child, depth + 1)
        if not children:
            beyond = np.array(_BEYOND.get(names[joint], (0, 0, 0)), np.float64)
            lines.extend(
                f"{tab}\t{line}" for line in ("End Site", "{", f"\tOFFSET {numbers(beyond)}", "}")
            )
        lines.append(f"{tab}}}")

    write(list(parents).index(-1), 0)
    return lines


def _word(name: str) -> str:
    """Returns a name without blanks, and without the mark of an End Site."""
    return "_".join(name.replace(END, "_end").split())


def _cross_matrix(vectors: np.ndarray) -> np.ndarray:
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    return np.stack(
        [np.stack([zero, -z, y], -1), np.stack([z, zero, -x], -1), np.stack([-y, x, zero], -1)], -2
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)

"""Biovision hierarchies (.bvh, .bvh.gz): a skeleton, its channels, and its joints' places.

Source: Meredith and Maddock, "Motion Capture File Formats Explained" (University of Sheffield,
2001), section 2.1. Rotations are in degrees and multiplied in the order in which a joint lists its
channels; the frame time is in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

# Fraction of the offset's length beyond which position channels replace the offset; it is near 1
# for programs that replace it and near 0 for others.
_REPLACES = 0.5

AXES = {"x": 0, "y": 1, "z": 2}
CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "xyz")
END = "/end"  # the suffix of an End Site's name; a joint's own name is a single word in practice


@dataclass(frozen=True)
class Bvh:
    """A hierarchy and its motion, with the numbers of the file.

    Parents come before their children. End Sites are joints without channels, named
    after their parent with the suffix `/end`.
    """

    names: tuple[str, ...]  # J
    parents: tuple[int, ...]  # J, -1 for the root
    offsets: np.ndarray  # (J, 3) from the parent, in the file's unit of length
    channels: tuple[tuple[str, ...], ...]  # J, lower case, in the file's order
    values: np.ndarray  # (T, C) degrees and lengths, one column a channel
    frame_time: float  # seconds; 0 if the file does not say, NaN if it is no number
    warnings: tuple[str, ...] = ()  # sentences about what the file lacks

    @property
    def num_frames(self) -> int:
        """The number of whole frames in the file."""
        return len(self.values)


def joint_positions(bvh: Bvh, wanted: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Computes the joints' places in every frame (forward kinematics).

    With p the parent of j, G_j = G_p R_j and x_j = x_p + G_p (offset_j + t_j), where R_j is
    the product of the joint's rotation channels in their order. Whether position channels
    are added to the offset or replace it differs between programs; see `_translation`.

    Args:
        bvh: the skeleton and its motion.
        wanted: names of joints; None for all. The others are not computed.

    Returns:
        For each joint its positions, (T, 3), in the file's unit and axes.
    """
    keep = set(bvh.names if wanted is None else wanted)
    needed = np.zeros(len(bvh.names), dtype=bool)
    for joint in range(len(bvh.names) - 1, -1, -1):
        needed[joint] |= bvh.names[joint] in keep
        if needed[joint] and bvh.parents[joint] >= 0:
            needed[bvh.parents[joint]] = True
    first = np.cumsum([0, *(len(own) for own in bvh.channels)])
    turns: dict[int, np.ndarray] = {}
    places: dict[int, np.ndarray] = {}
    for joint in np.flatnonzero(needed).tolist():
        columns = bvh.values[:, first[joint] : first[joint + 1]]
        local = _translation(bvh, joint, columns)
        turn = rotation(bvh.channels[joint], columns)
        parent = bvh.parents[joint]
        if parent < 0:
            places[joint], turns[joint] = local, turn
        else:
            places[joint] = places[parent] + np.einsum("tij,tj->ti", turns[parent], local)
            turns[joint] = turns[parent] @ turn
    return {bvh.names[joint]: places[joint] for joint in places if bvh.names[joint] in keep}


def rotation(channels: Sequence[str], degrees: np.ndarray) -> np.ndarray:
    """Multiplies rotations about the axes in the order in which they are listed.

    Args:
        channels: names such as "zrotation"; the first letter is the axis, and names that do
            not end in "rotation" are skipped.
        degrees: (T, C), a column a channel, right-handed.

    Returns:
        (T, 3, 3) matrices that turn column vectors.
    """
    result = np.broadcast_to(np.eye(3), (len(degrees), 3, 3))
    for column, channel in enumerate(channels):
        if channel.endswith("rotation"):
            result = result @ axis_rotation(AXES[channel[0]], degrees[:, column])
    return result


def axis_rotation(axis: int, degrees: np.ndarray) -> np.ndarray:
    """Returns the (T, 3, 3) right-handed rotations about axis 0, 1 or 2 by (T,) degrees."""
    angle = np.deg2rad(degrees)
    following, last = (axis + 1) % 3, (axis + 2) % 3
    matrices = np.zeros((len(angle), 3, 3))
    matrices[:, axis, axis] = 1.0
    matrices[:, following, following] = matrices[:, last, last] = np.cos(angle)
    matrices[:, last, following] = np.sin(angle)
    matrices[:, following, last] = -matrices[:, last, following]
    return matrices


def _translation(bvh: Bvh, joint: int, columns: np.ndarray) -> np.ndarray:
    """Returns the joint's place in its parent's frame, (T, 3).

    Some programs (Blender, MotionBuilder, Rokoko) write places that replace OFFSET, others
    (iClone) differences from it. The median over the motion tells them apart: projected on the
    offset it is near 1 for the former and near 0 for the latter. For a root, whose offset is
    constant, the choice only shifts the whole dance.
    """
    offset = bvh.offsets[joint]
    result = np.tile(offset, (len(columns), 1))
    names = bvh.channels[joint]
    moved = [(AXES[name[0]], k) for k, name in enumerate(names) if name.endswith("position")]
    if not moved:
        return result
    axes = [axis for axis, _ in moved]
    places = columns[:, [k for _, k in moved]]
    middle = np.median(places, axis=0)
    length = float(np.dot(offset[axes], offset[axes]))
    replaces = length == 0 or float(np.dot(middle, offset[axes])) / length > _REPLACES
    result[:, axes] = places if replaces else places + offset[axes]
    return result

"""The tree of bones: each joint has a parent, except the root."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

MOST_JOINTS = 1000  # of one skeleton; a body with fingers, face and clothes has some three hundred


def check_tree(parents: Sequence[int], num_joints: int) -> None:
    """Raises ValueError unless J parents form one tree; the root's parent is -1."""
    said = reprlib.repr(list(parents))
    if len(parents) != num_joints or sum(parent == -1 for parent in parents) != 1:
        raise ValueError(f"{num_joints} joints need a parent each, -1 for one root: {said}")
    if not all(-1 <= parent < num_joints for parent in parents):
        raise ValueError(f"parents must be joints of the skeleton: {said}")
    if len(top_down(parents)) != num_joints:
        raise ValueError(f"the bones must not run in a circle: {said}")


def top_down(parents: Sequence[int]) -> list[int]:
    """Returns the joints in an order in which a parent comes before its children."""
    children: dict[int, list[int]] = {}
    for joint, parent in enumerate(parents):
        children.setdefault(max(int(parent), -1), []).append(joint)
    order = list(children.get(-1, ()))
    for joint in order:
        order += children.get(joint, ())
    return order

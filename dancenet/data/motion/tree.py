"""The tree of bones: each joint has a parent, except the root."""

from __future__ import annotations

from collections.abc import Sequence


def check_tree(parents: Sequence[int], num_joints: int) -> None:
    """Raises ValueError unless J parents form one tree; the root's parent is -1."""
    if len(parents) != num_joints or sum(parent == -1 for parent in parents) != 1:
        raise ValueError(f"{num_joints} joints need a parent each, -1 for one root: {parents}")
    if not all(-1 <= parent < num_joints for parent in parents):
        raise ValueError(f"parents must be joints of the skeleton: {parents}")
    if len(top_down(parents)) != num_joints:
        raise ValueError(f"the bones must not run in a circle: {parents}")


def top_down(parents: Sequence[int]) -> list[int]:
    """Returns the joints in an order in which a parent comes before its children."""
    order = [joint for joint, parent in enumerate(parents) if parent < 0]
    for joint in order:
        order += [child for child, parent in enumerate(parents) if parent == joint]
    return order

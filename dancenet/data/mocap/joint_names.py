"""Finds the nineteen joints of `data.motion.joints` in another skeleton, by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dancenet.data.mocap.formats.bvh import END
from dancenet.data.mocap.sides import split_side
from dancenet.support.errors import UnknownSkeleton

# The names that other skeletons give each limb joint, the surest first, without the side.
LIMBS: dict[str, tuple[str, ...]] = {
    "shoulder": ("upperarm", "uparm", "arm", "shldr", "humerus", "shoulder"),
    "elbow": ("forearm", "lowerarm", "lowarm", "loarm", "radius", "elbow"),
    "wrist": ("wrist", "hand"),
    "hip": ("upleg", "upperleg", "thigh", "femur", "hip"),
    "knee": ("shin", "calf", "lowerleg", "lowleg", "leg", "tibia", "knee"),
    "ankle": ("ankle", "foot"),
    "toe": ("toebase", "toe", "toes", "ball", "foot"),
}
# Other skeletons use these names for the collar and the pelvis too; they count only if they are
# the parent of the joint that follows.
UNSURE = {"shoulder": "elbow", "hip": "knee"}
NECK = ("neck", "necktwist", "lowerneck")
HEAD = ("head",)
EYES = ("eye",)
# Words that programs put before every joint's name.
DECORATION = {"mixamorig", "cc", "base", "bip", "j", "c", "def", "org", "character", "skeleton"}


def find_joints(
    path: object, names: Sequence[str], parents: Sequence[int]
) -> dict[str, tuple[str, ...]]:
    """Finds our nineteen joints in a skeleton by its names and its hierarchy.

    Arms, legs, neck and head are found by name (Daz and Poser, iClone, Rokoko, Mixamo,
    MotionBuilder, Unreal and Biped spellings). The pelvis is where the legs meet, the chest
    where the arms and the neck meet, the spine the joint below the chest.

    Args:
        path: the file, for the message.
        names: J names; End Sites end in `/end`.
        parents: J, -1 for the root.

    Returns:
        For each name of `JOINTS` the joints whose mean is its place.

    Raises:
        UnknownSkeleton: joints cannot be found; names them.
    """
    split = [_side_and_name(name) for name in names]
    found = _limbs(split)
    for side in "lr":
        for joint, following in UNSURE.items():
            index = found.get(f"{side}_{joint}")
            below = found.get(f"{side}_{following}")
            if index is not None and split[index][1] == joint:
                if below is None or parents[below] != index:
                    del found[f"{side}_{joint}"]
        ankle = found.get(f"{side}_ankle")
        if ankle is not None and f"{side}_toe" not in found and names[ankle] + END in names:
            found[f"{side}_toe"] = names.index(names[ankle] + END)
    for joint, aliases in (("neck", NECK), ("head", HEAD)):
        index = _first(split, "", aliases)
        if index is not None:
            found[joint] = index
    wanted = [f"{side}_{joint}" for side in "lr" for joint in LIMBS] + ["neck", "head"]
    missing = [joint for joint in wanted if joint not in found]
    if missing:
        raise UnknownSkeleton(f"No joint of {path} was found for {', '.join(missing)}.")
    result: dict[str, tuple[str, ...]] = {joint: (names[found[joint]],) for joint in wanted}
    pelvis = _common(parents, [found["l_hip"], found["r_hip"]])
    chest = _common(parents, [found["l_shoulder"], found["r_shoulder"], found["neck"]])
    spine = parents[chest] if chest >= 0 else -1
    result["pelvis"] = (names[pelvis],)
    if chest in _line(parents, pelvis):
        # Arms and legs start at one joint: the trunk is a straight line to the neck.
        result["chest"] = (names[pelvis], *result["neck"] * 2)
        result["spine"] = (names[pelvis], names[pelvis], *result["neck"])
    else:
        result["chest"] = (names[chest],)
        in_trunk = spine not in _line(parents, pelvis)
        result["spine"] = (names[spine],) if in_trunk else (names[pelvis], names[chest])
    result["head"] = _head(names, parents, split, found["head"])
    return result


def limbs(names: Sequence[str]) -> dict[str, str]:
    """Returns the joints of arms and legs that are found by their names alone."""
    return {limb: names[index] for limb, index in _limbs(list(map(_side_and_name, names))).items()}


def _limbs(split: Sequence[tuple[str, str]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for side in "lr":
        for joint, aliases in LIMBS.items():
            index = _first(split, side, aliases)
            if index is not None and index not in found.values():
                found[f"{side}_{joint}"] = index
    return found


def _head(
    names: Sequence[str],
    parents: Sequence[int],
    split: Sequence[tuple[str, str]],
    head: int,
) -> tuple[str, ...]:
    """Returns the joints whose middle is the head's: the eyes, or its joint and its top."""
    children = [joint for joint, parent in enumerate(parents) if parent == head]
    eyes = [joint for joint in children if split[joint][1] in EYES]
    if len(eyes) == 2:
        return tuple(names[joint] for joint in eyes)
    tops = [joint for joint in children if re.search(r"end|top|nub", names[joint], re.IGNORECASE)]
    return (names[head], *(names[joint] for joint in tops[:1]))


def _side_and_name(name: str) -> tuple[str, str]:
    """Splits "mixamorig:LeftUpLeg" into ("l", "upleg"), "CC_Base_Head" into ("", "head")."""
    if name.endswith(END):
        return "", ""
    side, words = split_side(name)
    while len(words) > 1 and words[0] in DECORATION:
        words = words[1:]
    return side, "".join(words)


def _first(split: Sequence[tuple[str, str]], side: str, aliases: Sequence[str]) -> int | None:
    for alias in aliases:
        if (side, alias) in split:
            return split.index((side, alias))
    return None


def _line(parents: Sequence[int], joint: int) -> list[int]:
    """Returns the joint, its parent, and so on up to the root."""
    line = []
    while joint >= 0:
        line.append(joint)
        joint = parents[joint]
    return line


def _common(parents: Sequence[int], joints: Sequence[int]) -> int:
    """Returns the lowest joint above all of `joints`."""
    lines = [_line(parents, joint) for joint in joints]
    return next(joint for joint in lines[0] if all(joint in line for line in lines))

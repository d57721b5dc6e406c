"""Acclaim motion capture: a skeleton (.asf) and the angles of its bones (.amc).

Source: Lander, "Working with Motion Capture File Formats" (Game Developer, January 1998). A bone
is a direction and a length in the global axes of the rest pose, and turns about axes of its own,
C: with p the parent of bone b, G_b = G_p C_b M_b C_b^-1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dancenet.data.mocap.formats.bvh import axis_rotation
from dancenet.data.mocap.formats.numbers import number, parse_rows, whole
from dancenet.data.mocap.formats.text import lines_of, read_text
from dancenet.data.motion.tree import MOST_JOINTS
from dancenet.support.errors import UserError
from dancenet.support.names import is_litter, quoted, visible

ROOT = "root"
METRES_IN_INCH = 0.0254
LARGEST = 64 << 20  # bytes of an .amc; 8 minutes of CMU's at 120 frames/s
_LARGEST_ASF = 4 << 20  # bytes; a skeleton has some ten thousand
_MOST_WORDS = 12_000_000
_DOF = {f"{kind}{axis}" for kind in "tr" for axis in "xyz"} | {"l"}  # l, a length, is not used
# For each of our joints, the bone of CMU's skeletons whose far end it is.
JOINT_BONES = {
    "pelvis": ROOT,
    "spine": "lowerback",
    "chest": "thorax",
    "neck": "lowerneck",
    "head": "head",
    "l_shoulder": "lclavicle",
    "l_elbow": "lhumerus",
    "l_wrist": "lradius",
    "r_shoulder": "rclavicle",
    "r_elbow": "rhumerus",
    "r_wrist": "rradius",
    "l_hip": "lhipjoint",
    "l_knee": "lfemur",
    "l_ankle": "ltibia",
    "l_toe": "lfoot",
    "r_hip": "rhipjoint",
    "r_knee": "rfemur",
    "r_ankle": "rtibia",
    "r_toe": "rfoot",
}


@dataclass(frozen=True)
class Bone:
    """A bone of a skeleton in its rest pose."""

    parent: str
    vector: np.ndarray  # (3,) from its near end to its far end, in the file's unit
    axis: np.ndarray  # (3, 3) turns the bone's own axes into the global ones
    dof: tuple[str, ...]  # among tx ty tz rx ry rz, in the order of the .amc's columns


@dataclass(frozen=True)
class Skeleton:
    """The bones of an .asf, parents before children; the first is the root."""

    bones: dict[str, Bone]
    unit: float  # metres in one unit of length
    degrees: bool
    warnings: tuple[str, ...] = ()  # sentences about what was assumed


def find_asf(path: Path) -> Path:
    """Finds the skeleton of an .amc among the files beside it.

    It has the same name; or the .amc's name begins with it and with no other (at CMU the
    subject's number: 55.asf and 55_02.amc); or it is the only one in the folder.

    Raises:
        UserError: there is none, or several fit.
    """
    stem = re.sub(r"\.amc(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    candidates = {
        re.sub(r"\.asf(\.gz)?$", "", other.name, flags=re.IGNORECASE): other
        for other in sorted(path.parent.iterdir())
        if re.search(r".\.asf(\.gz)?$", other.name, re.IGNORECASE)
        if other.is_file() and not is_litter(other.name)
    }
    if stem in candidates:
        return candidates[stem]
    fitting = [name for name in candidates if stem.startswith(name)] or list(candidates)
    if len(fitting) == 1:
        return candidates[fitting[0]]
    names = sorted(map(quoted, candidates))
    more = f" and {len(names) - 5} others" if len(names) > 5 else ""
    found = f"there are {', '.join(names[:5])}{more}" if names else "there is none"
    raise UserError(
        f"{quoted(path)} needs its skeleton, a file {quoted(stem + '.asf')} beside it; {found}. "
        "Put it there, or give its path."
    )


def read_asf(path: Path) -> Skeleton:
    """Reads a skeleton.

    Raises:
        UserError: this is not an .asf file, or a part of it is missing or makes no sense.
    """
    text, warnings = read_text(path, largest=_LARGEST_ASF)
    sections = _sections(path, text)
    if "bonedata" not in sections or "hierarchy" not in sections:
        raise UserError(
            f"{quoted(path)} is not an .asf skeleton, or it is cut: it has no "
            f"{'bonedata' if 'bonedata' not in sections else 'hierarchy'} section."
        )
    units = {line[0].lower(): line[1] for line in _split(sections.get("units", [])) if line[1:]}
    degrees = not units.get("angle", "deg").lower().startswith("rad")
    try:
        length = _number(units.get("length", "1"), "the length in :units")
        if not length > 0:
            raise _Nonsense(f"the length in :units is {length:g}")
        bones = _hang(
            _root(sections.get("root", []), degrees),
            _described(sections["bonedata"], degrees),
            sections["hierarchy"],
        )
    except _Nonsense as error:
        raise UserError(
            f"The skeleton {quoted(path)} cannot be read: {visible(str(error))}. Fetch or export "
            "it again."
        ) from error
    return Skeleton(bones, METRES_IN_INCH / length, degrees, warnings)


def read_amc(path: Path, skeleton: Skeleton) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Reads the angles of every bone in every frame.

    Returns:
        For each moving bone its values, (T, degrees of freedom), with angles in degrees, and
        warnings.

    Raises:
        UserError: this is not an .amc file of this skeleton, or a value is not finite.
    """
    text, warnings = read_text(path, largest=LARGEST)
    if text.count(" ") + text.count("\t") > _MOST_WORDS:
        raise UserError(
            f"{quoted(path)} holds more numbers than are read of one file; cut it into several."
        )
    every = [line.split() for line in lines_of(path, text)]
    lines = [words for words in every if words and words[0][0] not in "#:"]
    header = {words[0].lower() for words in every[:50] if words and words[0][0] == ":"}
    starts = [
        at for at, words in enumerate(lines) if len(words) == 1 and whole(words[0]) is not None
    ]
    if not starts or starts[0] != 0:
        found = visible(" ".join(lines[0])[:40]) if lines else "nothing"
        raise UserError(
            f"{quoted(path)} is not an .amc file: after its heading the number of a frame should "
            f"come, found {found!r}."
        )
    moving = {name: len(bone.dof) for name, bone in skeleton.bones.items() if bone.dof}
    if not moving:
        raise UserError(f"No bone of the skeleton of {quoted(path)} can move; use another .asf.")
    rows, cut = _frames(path, lines, starts, skeleton, ends=text.endswith("\n"))
    if cut:
        warnings += (f"{quoted(path.name)} is cut in frame {len(rows) + 1}, which is left out.",)
    numbers = [int(lines[at][0]) for at in starts]
    if any(after != before + 1 for before, after in zip(numbers, numbers[1:])):
        warnings += (
            f"{quoted(path.name)}: the numbers of its frames do not follow one another; the frames "
            "are taken as they stand.",
        )
    columns = [f"{name} {dof}" for name in moving for dof in skeleton.bones[name].dof]
    values = parse_rows(path, rows, columns)
    turns = [column for column, name in enumerate(columns) if name.split()[-1][0] == "r"]
    radians = ":radians" in header or not skeleton.degrees
    said_twice = (":radians" if skeleton.degrees else ":degrees") in header
    if turns and radians and said_twice:
        # The two files disagree, and angles of a body in degrees are not all within a turn.
        radians = float(np.abs(values[:, turns]).max()) <= 2 * np.pi
        warnings += (
            f"{quoted(path.name)} and its skeleton say different units of angles; they are taken "
            f"to be {'radians' if radians else 'degrees'}, which fits their size.",
        )
    if radians:
        values[:, turns] = np.rad2deg(values[:, turns])
    firsts = np.cumsum([0, *moving.values()])
    return {
        name: values[:, first : first + count]
        for (name, count), first in zip(moving.items(), firsts)
    }, warnings


def bone_ends(skeleton: Skeleton, motion: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Computes the place of every bone's far end; for the root, its own place.

    Args:
        skeleton: the bones.
        motion: what `read_amc` returned.

    Returns:
        For each bone (T, 3), in the file's unit.
    """
    num_frames = len(next(iter(motion.values())))
    turns: dict[str, np.ndarray] = {}
    places: dict[str, np.ndarray] = {}
    for name, bone in skeleton.bones.items():
        values = motion.get(name, np.zeros((num_frames, 0)))
        turn = np.broadcast_to(np.eye(3), (num_frames, 3, 3))
        shift = np.zeros((num_frames, 3))
        for column, dof in enumerate(bone.dof):
            axis = "xyz".find(dof[1:])
            if dof[0] == "r" and axis >= 0:
                turn = axis_rotation(axis, values[:, column]) @ turn
            elif dof[0] == "t" and axis >= 0:
                shift[:, axis] = values[:, column]
        local = bone.axis @ turn @ bone.axis.T
        if name == ROOT:
            turns[name], places[name] = local, bone.vector + shift
        else:
            turns[name] = turns[bone.parent] @ local
            places[name] = places[bone.parent] + np.einsum(
                "tij,tj->ti", turns[name], bone.vector + shift
            )
    return places


class _Nonsense(Exception):
    """A skeleton says something that cannot be; the message is a part of a sentence."""


def _frames(
    path: Path,
    lines: Sequence[list[str]],
    starts: Sequence[int],
    skeleton: Skeleton,
    *,
    ends: bool,
) -> tuple[list[list[str]], bool]:
    """Returns the words of each frame, and whether the last was cut and is left out."""
    moving = {name: len(bone.dof) for name, bone in skeleton.bones.items() if bone.dof}
    rows: list[list[str]] = []
    for frame, (start, end) in enumerate(zip(starts, [*starts[1:], len(lines)]), start=1):
        words: dict[str, list[str]] = {}
        twice = None
        for name, *own in lines[start + 1 : end]:
            twice = name if name in words else twice
            words[name] = own
        short = next((name for name in moving if len(words.get(name, ())) != moving[name]), None)
        strange = next((name for name in words if name not in skeleton.bones), None)
        # The last number of a cut file may have lost digits and still be a number.
        if end == len(lines) and rows and (short or not ends):
            return rows, True
        if short is None and strange is None and twice is None:
            rows.append([word for name in moving for word in words[name]])
            continue
        if twice is not None:
            held, expected = f"the bone {visible(twice):.60} twice", "a frame has each once"
        elif short is not None:
            held = f"{len(words.get(short, ()))} values for {visible(short):.60}"
            expected = f"the skeleton has {moving[short]} degrees of freedom there"
        else:
            held = f"a bone {visible(str(strange)):.60}"
            expected = "the skeleton has none of that name"
        raise UserError(
            f"Frame {frame} of {quoted(path)} has {held}; {expected}. "
            "Use the .asf that was recorded with it."
        )
    return rows, False


def _sections(path: Path, text: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    name = ""
    for line in lines_of(path, text):
        line = line.split("#")[0].strip()
        if line.startswith(":"):
            name, _, rest = line[1:].partition(" ")
            name = name.lower()
            sections[name] = [rest] if rest.strip() else []
        elif line and line.lower() not in ("begin", "end"):
            sections.setdefault(name, []).append(line)
        elif line.lower() == "begin" and name == "bonedata":
            sections[name].append("begin")
    return sections


def _split(lines: Sequence[str]) -> Iterator[list[str]]:
    return (line.split() for line in lines if line.strip())


def _number(word: str, what: str) -> float:
    value = number(word)
    if value is None:
        raise _Nonsense(f"{what} is {word!r:.60}, which is no number")
    return value


def _vector(words: Sequence[str], what: str) -> np.ndarray:
    if len(words) != 3:
        raise _Nonsense(f"{what} has {len(words)} numbers instead of 3")
    return np.array([_number(word, what) for word in words])


def _dof(words: Sequence[str], what: str) -> tuple[str, ...]:
    dof = tuple(word.lower() for word in words)
    if not set(dof) <= _DOF or len(set(dof)) != len(dof):
        raise _Nonsense(f"the freedom of {what} is {' '.join(words)!r:.60}")
    return dof


def _root(lines: Sequence[str], degrees: bool) -> Bone:
    words = {line[0].lower(): line[1:] for line in _split(lines)}
    dof = _dof(words.get("order", "TX TY TZ RX RY RZ".split()), "the root")
    order = (words.get("axis") or ["XYZ"])[0]
    none = ["0", "0", "0"]
    orientation = _vector(words.get("orientation", none), "the root's orientation")
    position = _vector(words.get("position", none), "the root's position")
    return Bone("", position, _axis(orientation, order, degrees), dof)


def _described(lines: Sequence[str], degrees: bool) -> dict[str, Bone]:
    """Returns the bones of the section bonedata, whose parents are not known yet."""
    blocks: list[dict[str, list[str]]] = []
    for words in _split(lines):
        if words == ["begin"]:
            blocks.append({})
        elif blocks:
            blocks[-1][words[0].lower()] = words[1:]
    if len(blocks) >= MOST_JOINTS:
        raise _Nonsense(f"it has {len(blocks):,} bones, and no dancer has {MOST_JOINTS:,}")
    bones: dict[str, Bone] = {}
    for count, block in enumerate(blocks, start=1):
        for needed in ("name", "direction", "length"):
            if not block.get(needed):
                raise _Nonsense(f"its bone number {count} has no {needed}")
        name = block["name"][0]
        if not name.isprintable():
            raise _Nonsense(f"the name of its bone number {count} cannot be shown")
        if name in bones or name == ROOT:
            raise _Nonsense(f"two bones are called {name!r:.60}")
        what = f"the bone {name!r:.60}"
        length = _number(block["length"][0], f"the length of {what}")
        direction = _vector(block["direction"], f"the direction of {what}")
        size = float(np.linalg.norm(direction))
        if length and not size:
            raise _Nonsense(f"{what} has a length and no direction")
        *angles, order = block.get("axis", ["0", "0", "0", "XYZ"]) or [""]
        axis = _axis(_vector(angles, f"the axis of {what}"), order, degrees)
        vector = direction / size * length if size else np.zeros(3)
        bones[name] = Bone("", vector, axis, _dof(block.get("dof", []), what))
    return bones


def _hang(root: Bone, described: dict[str, Bone], lines: Sequence[str]) -> dict[str, Bone]:
    """Returns all bones that hang together, parents first, whatever the order of the lines."""
    children: dict[str, list[str]] = {}
    above: dict[str, str] = {}
    for parent, *own in _split(lines):
        for child in own:
            if child not in described:
                raise _Nonsense(f"the bone {child!r:.60} is in its hierarchy and not described")
            if child in above:
                raise _Nonsense(f"the bone {child!r:.60} has two parents")
            above[child] = parent
            children.setdefault(parent, []).append(child)
    depth = {ROOT: 0}
    waiting = [ROOT]
    for parent in waiting:
        for child in children.get(parent, ()):
            depth[child] = depth[parent] + 1
            waiting.append(child)
    lost = next((parent for child, parent in above.items() if child not in depth), None)
    if lost is not None:
        # It is not in the hierarchy, or the bones run in a circle.
        raise _Nonsense(f"the bone {lost!r:.60} has no parent")
    bones = {ROOT: root}
    for child in sorted(above, key=depth.__getitem__):
        bones[child] = replace(described[child], parent=above[child])
    return bones


def _axis(angles: np.ndarray, order: str, degrees: bool) -> np.ndarray:
    """Returns the (3, 3) rotation about fixed axes, in the order of the letters."""
    if sorted(order.lower()) != ["x", "y", "z"]:
        raise _Nonsense(f"the order of an axis is {order!r:.60}")
    matrix = np.eye(3)
    for letter, angle in zip(order.lower(), angles, strict=True):
        angle = angle if degrees else float(np.rad2deg(angle))
        matrix = axis_rotation("xyz".index(letter), np.array([angle]))[0] @ matrix
    return matrix

"""Acclaim motion capture: a skeleton (.asf) and the angles of its bones (.amc).

Source: Lander, "Working with Motion Capture File Formats" (Game Developer, January 1998). A bone
is a direction and a length in the global axes of the rest pose, and turns about axes of its own,
C: with p the parent of bone b, G_b = G_p C_b M_b C_b^-1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancenet.data.mocap.bvh import axis_rotation, parse_rows, read_text
from dancenet.support.errors import UserError

ROOT = "root"
METRES_IN_INCH = 0.0254
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
        if re.search(r"\.asf(\.gz)?$", other.name, re.IGNORECASE)
    }
    if stem in candidates:
        return candidates[stem]
    fitting = [name for name in candidates if stem.startswith(name)] or list(candidates)
    if len(fitting) == 1:
        return candidates[fitting[0]]
    found = f"there are {', '.join(sorted(candidates))}" if candidates else "there is none"
    raise UserError(
        f"{path} needs its skeleton, a file {stem}.asf beside it; {found}. "
        "Put it there, or give its path."
    )


def read_asf(path: Path) -> Skeleton:
    """Reads a skeleton.

    Raises:
        UserError: this is not an .asf file, or a part of it is missing.
    """
    text, _ = read_text(path)
    sections = _sections(text)
    if "bonedata" not in sections or "hierarchy" not in sections:
        raise UserError(
            f"{path} is not an .asf skeleton, or it is cut: it has no "
            f"{'bonedata' if 'bonedata' not in sections else 'hierarchy'} section."
        )
    units = dict(line.split()[:2] for line in sections.get("units", []) if len(line.split()) > 1)
    degrees = not units.get("angle", "deg").lower().startswith("rad")
    try:
        unit = METRES_IN_INCH / float(units.get("length", "1"))
        bones = {ROOT: _root(sections.get("root", []), degrees)}
        described = _bones(sections["bonedata"], degrees)
        # The file may list children before their parents; here parents come first.
        links = [line.split() for line in sections["hierarchy"]]
        waiting = [(child, words[0]) for words in links for child in words[1:]]
        while waiting:
            ready = [(child, parent) for child, parent in waiting if parent in bones]
            if not ready:
                raise UserError(f"In {path} the bone {waiting[0][1]!r} has no parent.")
            for child, parent in ready:
                vector, axis, dof = described[child]
                bones[child] = Bone(parent, vector, axis, dof)
            waiting = [pair for pair in waiting if pair not in ready]
    except (ValueError, KeyError, IndexError, ZeroDivisionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"The skeleton {path} cannot be read ({error}); fetch or export it again."
        ) from error
    return Skeleton(bones, unit, degrees)


def read_amc(path: Path, skeleton: Skeleton) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Reads the angles of every bone in every frame.

    Returns:
        For each moving bone its values, (T, degrees of freedom), and warnings.

    Raises:
        UserError: this is not an .amc file of this skeleton, or a value is not finite.
    """
    text, warnings = read_text(path)
    lines = [line for line in text.splitlines() if line.strip() and line.lstrip()[0] not in "#:"]
    starts = [at for at, line in enumerate(lines) if line.strip().isdigit()]
    if not starts or starts[0] != 0:
        raise UserError(
            f"{path} is not an .amc file: after its heading the number of a frame should come, "
            f"found {lines[0].strip()[:40] if lines else 'nothing'!r}."
        )
    moving = {name: len(bone.dof) for name, bone in skeleton.bones.items() if bone.dof}
    columns = [f"{name} {dof}" for name in moving for dof in skeleton.bones[name].dof]
    rows: list[list[str]] = []
    ends = starts[1:] + [len(lines)]
    for number, (start, end) in enumerate(zip(starts, ends), start=1):
        words = {line.split()[0]: line.split()[1:] for line in lines[start + 1 : end]}
        problem = next((name for name in moving if len(words.get(name, ())) != moving[name]), None)
        strange = next((name for name in words if name not in skeleton.bones), None)
        # The last number of a cut file may have lost digits and still be a number.
        if end == len(lines) and rows and (problem or not text.endswith("\n")):
            warnings += (f"{path} is cut in frame {number}, which is left out.",)
            break
        if problem or strange:
            if problem:
                held = f"{len(words.get(problem, ()))} values for {problem}"
                expected = f"the skeleton has {moving[problem]} degrees of freedom there"
            else:
                held, expected = f"a bone {strange}", "the skeleton has none of that name"
            raise UserError(
                f"Frame {number} of {path} has {held}; {expected}. "
                "Use the .asf that was recorded with it."
            )
        rows.append([word for name in moving for word in words[name]])
    values = parse_rows(path, rows, columns)
    firsts = np.cumsum([0, *moving.values()])
    return {
        name: values[:, first : first + count]
        for (name, count), first in zip(moving.items(), firsts)
    }, warnings


def bone_ends(skeleton: Skeleton, motion: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Computes the place of every bone's far end; for the root, its own place.

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
                degrees = values[:, column] if skeleton.degrees else np.rad2deg(values[:, column])
                turn = axis_rotation(axis, degrees) @ turn
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


def _sections(text: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
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


def _root(lines: list[str], degrees: bool) -> Bone:
    words = {line.split()[0].lower(): line.split()[1:] for line in lines}
    dof = tuple(word.lower() for word in words.get("order", "TX TY TZ RX RY RZ".split()))
    order = words.get("axis", ["XYZ"])[0]
    orientation = [float(word) for word in words.get("orientation", ["0", "0", "0"])]
    position = np.array([float(word) for word in words.get("position", ["0", "0", "0"])])
    return Bone("", position, _axis(orientation, order, degrees), dof)


def _bones(
    lines: list[str], degrees: bool
) -> dict[str, tuple[np.ndarray, np.ndarray, tuple[str, ...]]]:
    bones = {}
    blocks = "\n".join(lines).split("begin")
    for block in blocks[1:]:
        words = {line.split()[0].lower(): line.split()[1:] for line in block.splitlines() if line}
        direction = np.array([float(word) for word in words["direction"]])
        vector = direction / np.linalg.norm(direction) * float(words["length"][0])
        *angles, order = words.get("axis", ["0", "0", "0", "XYZ"])
        axis = _axis([float(angle) for angle in angles], order, degrees)
        dof = tuple(word.lower() for word in words.get("dof", []))
        bones[words["name"][0]] = (vector, axis, dof)
    return bones


def _axis(angles: list[float], order: str, degrees: bool) -> np.ndarray:
    """Returns the (3, 3) rotation about fixed axes, in the order of the letters."""
    matrix = np.eye(3)
    for letter, angle in zip(order.lower(), angles, strict=True):
        angle = angle if degrees else float(np.rad2deg(angle))
        matrix = axis_rotation("xyz".index(letter), np.array([angle]))[0] @ matrix
    return matrix

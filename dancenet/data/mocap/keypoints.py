"""Keypoints of a pose estimator as JSON: our own format, OpenPose's, and COCO results.

Our own format is one object:

    {"fps": 30, "names": ["l_shoulder", …], "parents": [-1, …], "dim": 2, "up": "-y",
     "keypoints": [[[x, y], [x, y, score], null, …], …]}

`keypoints` holds a list for each frame with a point for each joint: `dim` numbers and an optional
score in 0..1. A point or a frame that is null was not seen. Only `keypoints` is required. `dim`
defaults to 2. In two dimensions `up` defaults to -y, because rows of a picture are counted
downwards, and 17, 18 or 25 points without names are COCO's and OpenPose's.

OpenPose writes a file for each frame, {"people": [{"pose_keypoints_2d": [x, y, score, …]}]}; give
their folder, or one file with a list of their contents. COCO results are a list of
{"image_id": …, "keypoints": [x, y, score, …]}. If several people are seen, the reader follows the
one who is largest at first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dancenet.support import checked
from dancenet.support.errors import UserError

MIN_SCORE = 0.2  # a point with a lower score was not seen

# A folder whose numbers span more frames than these allow holds more than one film.
_SPARSEST = 10  # frames to a file
_FEW = 100  # frames, more than that

_LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_FACE = ("nose", "l_eye", "r_eye", "l_ear", "r_ear")
COCO = (*_FACE, *(f"{side}_{limb}" for limb in _LIMBS for side in "lr"))
OPENPOSE_18 = (
    "nose",
    "neck",
    *(f"r_{limb}" for limb in _LIMBS[:3]),
    *(f"l_{limb}" for limb in _LIMBS[:3]),
    *(f"r_{limb}" for limb in _LIMBS[3:]),
    *(f"l_{limb}" for limb in _LIMBS[3:]),
    "r_eye",
    "l_eye",
    "r_ear",
    "l_ear",
)
OPENPOSE_25 = (
    *OPENPOSE_18[:8],
    "pelvis",
    *OPENPOSE_18[8:18],
    "l_toe",
    "l_small_toe",
    "l_heel",
    "r_toe",
    "r_small_toe",
    "r_heel",
)
_BY_COUNT = {len(names): names for names in (COCO, OPENPOSE_18, OPENPOSE_25)}

# The joints that all three can be brought to, so that they can be mixed.
BODY = (
    "pelvis",
    "neck",
    "head",
    *(f"l_{limb}" for limb in _LIMBS),
    *(f"r_{limb}" for limb in _LIMBS),
)
BODY_PARENTS = (-1, 0, 1, 1, 3, 4, 0, 6, 7, 1, 9, 10, 0, 12, 13)


@dataclass(frozen=True)
class Keypoints:
    """The contents of a file of keypoints."""

    positions: np.ndarray  # (T, J, C) float64, NaN where a point was not seen
    names: tuple[str, ...] | None  # J
    parents: tuple[int, ...] | None  # J, -1 for the root
    fps: float | None  # frames per second
    up: str | None  # the axis that points up
    missing: int  # frames in which nobody was seen, or that have no file


def read_keypoints(path: Path) -> Keypoints:
    """Reads a file of keypoints, or a folder of OpenPose's files.

    Raises:
        UserError: it has none of these formats, or a part of it is malformed.
    """
    content = _read_folder(path) if path.is_dir() else checked.read_json(path, "file of keypoints")
    if isinstance(content, dict) and "people" in content:
        content = [content]
    if isinstance(content, dict) and "keypoints" in content:
        return _read_own(path, content)
    if isinstance(content, list) and content and isinstance(content[0], dict):
        if all(isinstance(frame, dict) and "people" in frame for frame in content):
            seen = [
                [_points(path, person, "pose_keypoints_2d") for person in frame["people"]]
                for frame in content
            ]
            return _follow(path, dict(enumerate(seen)))
        if all(
            isinstance(one, dict) and {"image_id", "keypoints"} <= one.keys() for one in content
        ):
            found: dict[int, list[np.ndarray]] = {}
            for one in content:
                number = _frame_number(path, str(one["image_id"]))
                found.setdefault(number, []).append(_points(path, one, "keypoints"))
            return _follow(path, found)
    raise UserError(
        f"{path} holds no keypoints that can be read: expected an object with 'keypoints', a list "
        "of OpenPose's frames with 'people', or COCO results with 'image_id' and 'keypoints'."
    )


def to_body(keypoints: Keypoints) -> Keypoints | None:
    """Brings keypoints to the fifteen joints of BODY; None if joints are missing.

    The head is the mean of the visible points among nose, eyes and ears. If the file has no neck
    or pelvis, they are the middle of the shoulders and of the hips.
    """
    if keypoints.names is None:
        return None
    names = [_plain(name) for name in keypoints.names]
    places = {name: keypoints.positions[:, index] for index, name in enumerate(names)}
    for middle, side in (("neck", "shoulder"), ("pelvis", "hip")):
        if middle not in places and {f"l_{side}", f"r_{side}"} <= places.keys():
            places[middle] = (places[f"l_{side}"] + places[f"r_{side}"]) / 2
    face = [places[name] for name in _FACE if name in places]
    if face:
        points = np.stack(face)  # (points, T, C)
        seen = np.isfinite(points)
        count = seen.sum(axis=0)
        total = np.where(seen, points, 0.0).sum(axis=0)
        places["head"] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    if not set(BODY) <= places.keys():
        return None
    positions = np.stack([places[name] for name in BODY], axis=1)
    return replace(keypoints, positions=positions, names=BODY, parents=BODY_PARENTS)


def _plain(name: str) -> str:
    """Returns "l_shoulder" for "left_shoulder", "Left Shoulder" and "LShoulder"."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    words = [word.lower() for word in words]
    if words and words[0] in ("left", "right"):
        words[0] = words[0][0]
    return {"mid_hip": "pelvis"}.get("_".join(words), "_".join(words))


def _read_own(path: Path, content: dict[str, Any]) -> Keypoints:
    known = {"fps", "names", "parents", "dim", "up", "keypoints"}
    unknown = sorted(content.keys() - known)
    if unknown:
        raise UserError(
            f"{path} has the unknown key {unknown[0]!r}; keypoints have {', '.join(sorted(known))}."
        )
    frames, dim = content["keypoints"], content.get("dim", 2)
    if dim not in (2, 3):
        raise UserError(f"{path} says dim {dim!r}; points have 2 numbers or 3.")
    if not isinstance(frames, list) or not frames:
        raise UserError(f"{path} holds no frame; its 'keypoints' must be a list of frames.")
    names = content.get("names")
    counts = {len(frame) for frame in frames if isinstance(frame, list)}
    if not counts:
        raise UserError(f"{path} holds no frame in which anybody was seen.")
    num_joints = len(names) if isinstance(names, list) else max(counts)
    positions = np.full((len(frames), num_joints, dim), np.nan)
    for number, frame in enumerate(frames, start=1):
        if frame is None:
            continue
        if not isinstance(frame, list) or len(frame) != num_joints:
            held = f"{len(frame)} points" if isinstance(frame, list) else repr(frame)[:40]
            raise UserError(
                f"Frame {number} of {path} has {held} and should have {num_joints}; "
                "a frame in which nobody was seen is null."
            )
        for joint, point in enumerate(frame):
            if point is not None:
                positions[number - 1, joint] = _point(path, number, joint, point, dim)
    if names is None:
        names = _BY_COUNT.get(num_joints) if dim == 2 else None
    up = content.get("up", "-y" if dim == 2 else None)
    missing = int((~np.isfinite(positions).any(axis=(1, 2))).sum())
    return Keypoints(
        positions=positions,
        names=_names(path, names),
        parents=_parents(path, content.get("parents"), num_joints),
        fps=_fps(path, content.get("fps")),
        up=up,
        missing=missing,
    )


def _point(path: Path, frame: int, joint: int, point: Any, dim: int) -> np.ndarray:
    fits = (
        isinstance(point, list)
        and len(point) in (dim, dim + 1)
        and all(value is None or type(value) in (int, float) for value in point)
    )
    if not fits:
        raise UserError(
            f"Point {joint + 1} of frame {frame} of {path} is {repr(point)[:40]}; expected {dim} "
            f'numbers and perhaps a score. Say "dim": {5 - dim} if they are '
            f"{'places in space' if dim == 2 else 'places in a picture'}."
        )
    values = np.array([math.nan if value is None else value for value in point], np.float64)
    unseen = len(values) > dim and not values[dim] >= MIN_SCORE
    return np.full(dim, np.nan) if unseen else values[:dim]


def _names(path: Path, names: Any) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise UserError(f"The names in {path} must be a list of words, received {names!r:.60}.")
    if len(set(names)) != len(names):
        raise UserError(f"Two joints of {path} have one name; its names are {', '.join(names)}.")
    return tuple(names)


def _parents(path: Path, parents: Any, num_joints: int) -> tuple[int, ...] | None:
    if parents is None:
        return None
    fits = isinstance(parents, list) and all(type(parent) is int for parent in parents)
    if not fits or len(parents) != num_joints:
        raise UserError(
            f"The parents in {path} must be {num_joints} whole numbers, -1 for the root."
        )
    return tuple(parents)


def _fps(path: Path, fps: Any) -> float | None:
    if fps is None:
        return None
    if type(fps) not in (int, float) or not (math.isfinite(fps) and fps > 0):
        raise UserError(f"{path} says {fps!r} frames per second; it must be a number above 0.")
    return float(fps)


def _read_folder(path: Path) -> list[dict[str, Any]]:
    """Reads OpenPose's files in the order of their numbers; a missing number is an empty frame."""
    frames = {
        _frame_number(path, file.stem): checked.read_json(file, "file of keypoints")
        for file in sorted(path.glob("*.json"))
    }
    if not frames:
        raise UserError(f"The folder {path} holds no .json file of OpenPose's.")
    first, last = min(frames), max(frames)
    if last - first + 1 > _SPARSEST * len(frames) + _FEW:
        raise UserError(
            f"The files in {path} are numbered from {first} to {last} and there are only "
            f"{len(frames)}; keep the frames of one film in a folder of their own."
        )
    return [frames.get(number, {"people": []}) for number in range(first, last + 1)]


def _frame_number(path: Path, name: str) -> int:
    digits = re.findall(r"\d+", name)
    if not digits:
        raise UserError(f"{path}: the name {name!r} holds no number of a frame.")
    return int(digits[-1])


def _points(path: Path, person: Any, key: str) -> np.ndarray:
    """Returns a person's points (J, 2), NaN where they were not seen."""
    values = person.get(key) if isinstance(person, dict) else None
    if not isinstance(values, list) or not values or len(values) % 3:
        raise UserError(
            f"{path} holds a person whose {key!r} is not a list of x, y and score for each point."
        )
    try:
        points = np.array(values, np.float64).reshape(-1, 3)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} holds a point with a value that is not a number.") from error
    # OpenPose writes zeros for what it did not find.
    seen = (points[:, 2] >= MIN_SCORE) & (points[:, :2] != 0).any(axis=1)
    return np.where(seen[:, None], points[:, :2], np.nan)


def _follow(path: Path, seen: dict[int, list[np.ndarray]]) -> Keypoints:
    """Follows one person through frames that may show several."""
    counts = {len(points) for people in seen.values() for points in people}
    if not counts:
        raise UserError(f"{path} holds no frame in which anybody was seen.")
    if len(counts) > 1:
        raise UserError(
            f"{path} holds people with {' and '.join(str(count) for count in sorted(counts))} "
            "points; all must have as many."
        )
    first, last = min(seen), max(seen)
    positions = np.full((last - first + 1, counts.pop(), 2), np.nan)
    known: np.ndarray | None = None  # the last seen place of each point
    for number in sorted(seen):
        people = [points for points in seen[number] if np.isfinite(points).any()]
        if not people:
            continue
        chosen = _largest(people) if known is None else _nearest(people, known)
        positions[number - first] = chosen
        known = chosen if known is None else np.where(np.isfinite(chosen), chosen, known)
    if known is None:
        raise UserError(f"{path} holds no frame in which anybody was seen.")
    missing = int((~np.isfinite(positions).any(axis=(1, 2))).sum())
    names = _BY_COUNT.get(positions.shape[1])
    return Keypoints(
        positions=positions, names=names, parents=None, fps=None, up="-y", missing=missing
    )


def _largest(people: Sequence[np.ndarray]) -> np.ndarray:
    return max(people, key=lambda points: np.nanmax(points[:, 1]) - np.nanmin(points[:, 1]))


def _nearest(people: Sequence[np.ndarray], known: np.ndarray) -> np.ndarray:
    def distance(points: np.ndarray) -> float:
        apart = np.linalg.norm(points - known, axis=1)
        return float(np.nanmean(apart)) if np.isfinite(apart).any() else math.inf

    return min(people, key=distance)

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
{"image_id": …, "keypoints": [x, y, score, …]}. Others' files are read by
`data.mocap.formats.estimators`. If several people are seen, the reader follows the one who is
largest at first.

Places may be fractions of the picture, 0 to 1. `canvas_width` and `canvas_height` then say its
size; without them the picture is taken to be square, with a warning.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dancenet.data.mocap.formats.estimators import (
    Film,
    canvas_of,
    points_of,
    read_film,
    read_folder,
    read_json,
)
from dancenet.data.mocap.sides import split_side
from dancenet.data.motion.tree import MOST_JOINTS
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, visible

MIN_SCORE = 0.2  # a point with a lower score was not seen
_PERCENT = (10.0, 100.0)  # scores whose largest lies between are percent; some exceed 1 a little
_FRACTION = 1.5  # places that stay below are fractions of the picture; some lie beside it
_LARGEST = 60_000_000  # numbers of all positions

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
# Halpe's 26 points, which AlphaPose writes.
HALPE_26 = (
    *COCO,
    "head",
    "neck",
    "pelvis",
    *(f"{side}_{point}" for point in ("toe", "small_toe", "heel") for side in "lr"),
)
# The 33 of BlazePose, which MediaPipe writes.
BLAZEPOSE = (
    "nose",
    *(f"{side}_eye{part}" for side in "lr" for part in ("_inner", "", "_outer")),
    "l_ear",
    "r_ear",
    "l_mouth",
    "r_mouth",
    *(f"{side}_{limb}" for limb in _LIMBS[:3] for side in "lr"),
    *(f"{side}_{finger}" for finger in ("pinky", "index", "thumb") for side in "lr"),
    *(f"{side}_{limb}" for limb in _LIMBS[3:] for side in "lr"),
    *(f"{side}_{part}" for part in ("heel", "toe") for side in "lr"),
)
_BY_COUNT = {len(names): names for names in (COCO, OPENPOSE_18, OPENPOSE_25, HALPE_26, BLAZEPOSE)}
# Whole bodies with hands and face; the body comes first.
_WHOLE = {133: COCO, 136: HALPE_26}

# The joints that all of them can be brought to, so that they can be mixed.
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
    warnings: tuple[str, ...] = ()  # sentences about what was assumed


def read_keypoints(path: Path) -> Keypoints:
    """Reads a file of keypoints, or a folder of OpenPose's files.

    Raises:
        UserError: it has none of the known formats, or a part of it is malformed.
    """
    if path.is_dir():
        return _follow(path, read_folder(path))
    content = read_json(path)
    film = read_film(path, content)
    if film is not None:
        return _follow(path, film)
    if isinstance(content, list) and content and all(isinstance(one, list) for one in content):
        content = {"keypoints": content}
    if isinstance(content, dict) and "keypoints" in content:
        return _read_own(path, content)
    raise UserError(
        f"{quoted(path)} holds no keypoints that can be read: expected an object with 'keypoints', "
        "a list of OpenPose's frames with 'people', COCO results with 'image_id' and 'keypoints', "
        "or MMPose's 'instance_info'."
    )


def to_body(keypoints: Keypoints) -> Keypoints | None:
    """Brings keypoints to the fifteen joints of BODY; None if joints are missing.

    The head is the mean of the visible points among nose, eyes and ears. If the file has no neck
    or pelvis, they are the middle of the shoulders and of the hips.
    """
    if keypoints.names is None:
        return None
    names = [plain_name(name) for name in keypoints.names]
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


def plain_name(name: str) -> str:
    """Returns "l_shoulder" for "left_shoulder", "Left Shoulder" and "LShoulder"."""
    side, words = split_side(name)
    joined = "_".join(words)
    return f"{side}_{joined}" if side else {"mid_hip": "pelvis"}.get(joined, joined)


def _read_own(path: Path, content: dict[str, Any]) -> Keypoints:
    known = {"fps", "names", "parents", "dim", "up", "keypoints", "canvas_width", "canvas_height"}
    known |= {"width", "height", "image_width", "image_height"}
    unknown = sorted(content.keys() - known)
    if unknown:
        raise UserError(
            f"{quoted(path)} has the unknown key {visible(unknown[0])!r:.60}; keypoints have "
            f"{', '.join(sorted(known))}."
        )
    frames, dim = content["keypoints"], content.get("dim", 2)
    if type(dim) is not int or dim not in (2, 3):
        raise UserError(
            f"{quoted(path)} says dim {visible(repr(dim)):.60}; points have 2 numbers or 3."
        )
    if not isinstance(frames, list) or not frames:
        raise UserError(f"{quoted(path)} holds no frame; its 'keypoints' must be a list of frames.")
    names = _names(path, content.get("names"))
    counts = {len(frame) for frame in frames if isinstance(frame, list)}
    if not counts:
        raise UserError(f"{quoted(path)} holds no frame in which anybody was seen.")
    num_joints = max(counts) if names is None else len(names)
    _check_size(path, len(frames), num_joints)
    points = np.full((len(frames), num_joints, dim + 1), np.nan)
    for number, frame in enumerate(frames, start=1):
        if frame is None:
            continue
        if not isinstance(frame, list) or len(frame) != num_joints:
            held = f"{len(frame)} points" if isinstance(frame, list) else visible(repr(frame))[:40]
            raise UserError(
                f"Frame {number} of {quoted(path)} has {held} and should have {num_joints}; "
                "a frame in which nobody was seen is null."
            )
        points[number - 1] = _points(path, number, frame, dim)
    if names is None and dim == 2:
        names = _BY_COUNT.get(num_joints)
    up = content.get("up", "-y" if dim == 2 else None)
    warnings: list[str] = []
    positions = _seen(path, points, warnings)
    if dim == 2 and up == "-y":
        size = canvas_of(path, content)
        positions = _stretched(path, positions, None if size is None else np.array(size), warnings)
    return Keypoints(
        positions=positions,
        names=names,
        parents=_parents(path, content.get("parents"), num_joints),
        fps=_fps(path, content.get("fps")),
        up=up,
        missing=_missing(positions),
        warnings=tuple(warnings),
    )


def _points(path: Path, frame: int, points: list[Any], dim: int) -> np.ndarray:
    """Returns the points (J, dim + 1) of a frame, the score last."""
    for joint, point in enumerate(points):
        values = list(point.values()) if isinstance(point, dict) else point
        fits = point is None or (
            isinstance(values, list)
            and (isinstance(point, dict) or len(values) in (dim, dim + 1))
            and all(value is None or type(value) in (int, float) for value in values)
        )
        if not fits:
            raise UserError(
                f"Point {joint + 1} of frame {frame} of {quoted(path)} is "
                f"{visible(repr(point))[:40]}; expected {dim} numbers and perhaps a score. Say "
                f'"dim": {5 - dim} if they are '
                f"{'places in space' if dim == 2 else 'places in a picture'}."
            )
    return points_of(path, points, dim, "'keypoints'")


def _seen(path: Path, points: np.ndarray, warnings: list[str]) -> np.ndarray:
    """Returns the places (..., C) of points (..., C + 1), NaN where the score says unseen."""
    scores = points[..., -1]
    top = float(np.nanmax(scores, initial=0.0))
    least = MIN_SCORE
    if top > _PERCENT[1]:
        raise UserError(
            f"{quoted(path)} has scores up to {top:g}; a score says from 0 to 1, or to 100, how "
            "sure a point is."
        )
    if top > _PERCENT[0]:
        least *= 100.0
        warnings.append(
            f"{quoted(path.name)}: its scores of up to {top:.3g} are taken to be percent."
        )
    places = points[..., :-1]
    sure = (scores >= least) & np.isfinite(places).all(axis=-1)
    if not sure.any():
        lost = int(np.isfinite(places).all(axis=-1).sum())
        raise UserError(
            f"{quoted(path)} holds no frame in which anybody was seen"
            + (f": the scores of all {lost} points are below {least:g}." if lost else ".")
        )
    return np.where(sure[..., None], places, np.nan)


def _stretched(
    path: Path, positions: np.ndarray, size: np.ndarray | None, warnings: list[str]
) -> np.ndarray:
    """Brings fractions of a picture (..., 2) to its pixels; pixels are left as they are.

    Args:
        path: the file, for the warning.
        positions: NaN where a point was not seen.
        size: (..., 2) width and height, None if they are not known.
        warnings: one is added if a picture is taken to be square.
    """
    if np.nanmax(np.abs(positions)) > _FRACTION:
        return positions
    if size is None:
        warnings.append(
            f"{quoted(path.name)}: its points are fractions of a picture of unknown size, which is "
            "taken to be square; if it is not, add canvas_width and canvas_height, or give pixels."
        )
        return positions
    return positions * size


def _names(path: Path, names: Any) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(
            f"The names in {quoted(path)} must be a list of words, received "
            f"{visible(repr(names)):.60}."
        )
    if len(names) > MOST_JOINTS:
        raise UserError(
            f"{quoted(path)} names {len(names):,} joints; at most {MOST_JOINTS:,} are read."
        )
    names = [visible(name) for name in names]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(
            f"Two joints of {quoted(path)} have one name, {visible(twice)!r:.60}; give each its "
            "own."
        )
    return tuple(names)


def _parents(path: Path, parents: Any, num_joints: int) -> tuple[int, ...] | None:
    if parents is None:
        return None
    if isinstance(parents, list):
        parents = [-1 if parent is None else parent for parent in parents]
    fits = isinstance(parents, list) and all(type(parent) is int for parent in parents)
    if not fits or len(parents) != num_joints:
        raise UserError(
            f"The parents in {quoted(path)} must be {num_joints} whole numbers, -1 for the root."
        )
    return tuple(parents)


def _fps(path: Path, fps: Any) -> float | None:
    if fps is None:
        return None
    if type(fps) not in (int, float) or not 0 < fps < 1e9:
        raise UserError(
            f"{quoted(path)} says {visible(repr(fps)):.60} frames per second; it must be a number "
            "above 0."
        )
    return float(fps)


def _check_size(path: Path, num_frames: int, num_joints: int) -> None:
    if num_joints > MOST_JOINTS:
        raise UserError(
            f"{quoted(path)} has {num_joints:,} points in a frame; at most {MOST_JOINTS:,} are "
            "read."
        )
    if num_frames * num_joints * 3 > _LARGEST:
        raise UserError(
            f"{quoted(path)} holds {num_frames:,} frames of {num_joints} points, more than is read "
            "of one file; cut it into several."
        )


def _missing(positions: np.ndarray) -> int:
    return int((~np.isfinite(positions).any(axis=(1, 2))).sum())


def _follow(path: Path, film: Film) -> Keypoints:
    """Follows one person through frames that may show several."""
    shapes = {points.shape for people in film.people.values() for points in people}
    if not shapes:
        raise UserError(f"{quoted(path)} holds no frame in which anybody was seen.")
    if len(shapes) > 1:
        counts = [str(count) for count in sorted({shape[0] for shape in shapes})]
        raise UserError(
            f"{quoted(path)} holds people with {' and '.join(counts[:5])} points"
            + ("" if len(counts) > 1 else ", some in space and some in a picture")
            + "; all must have as many."
        )
    num_joints, width = shapes.pop()
    flat = width == 3
    first, last = min(film.people), max(film.people)
    _check_size(path, last - first + 1, num_joints)
    owners = [number for number in sorted(film.people) for _ in film.people[number]]
    everyone = np.stack(
        [points for number in sorted(film.people) for points in film.people[number]]
    )
    warnings: list[str] = []
    # OpenPose writes zeros for what it did not find.
    everyone[(everyone[..., :-1] == 0).all(axis=-1)] = np.nan
    places = _seen(path, everyone, warnings)
    if flat:
        usual = next(iter(film.canvas.values()), None)
        size = None
        if usual is not None:
            sizes = [film.canvas.get(number, usual) for number in owners]
            size = np.array(sizes)[:, None]
        places = _stretched(path, places, size, warnings)
    positions = np.full((last - first + 1, num_joints, width - 1), np.nan)
    seen: dict[int, list[np.ndarray]] = {}
    for number, points in zip(owners, places):
        if np.isfinite(points).any():
            seen.setdefault(number, []).append(points)
    known: np.ndarray | None = None  # the last seen place of each point
    for number, people in seen.items():
        chosen = _largest(people) if known is None else _nearest(people, known)
        positions[number - first] = chosen
        known = chosen if known is None else np.where(np.isfinite(chosen), chosen, known)
    names = _BY_COUNT.get(num_joints)
    if isinstance(film.names, list) and len(film.names) == num_joints:
        names = _names(path, film.names)
    if names is None and num_joints in _WHOLE:
        names = _WHOLE[num_joints]
        positions = positions[:, : len(names)]
    return Keypoints(
        positions=positions,
        names=names,
        parents=None,
        fps=None,
        up="-y" if flat else None,
        missing=_missing(positions),
        warnings=tuple(warnings),
    )


def _largest(people: Sequence[np.ndarray]) -> np.ndarray:
    return max(people, key=lambda points: np.nanmax(points[:, 1]) - np.nanmin(points[:, 1]))


def _nearest(people: Sequence[np.ndarray], known: np.ndarray) -> np.ndarray:
    def distance(points: np.ndarray) -> float:
        apart = np.linalg.norm(points - known, axis=1)
        return float(np.nanmean(apart)) if np.isfinite(apart).any() else math.inf

    return min(people, key=distance)

"""People in the files of pose estimators: OpenPose, AlphaPose, MMPose, MediaPipe and COCO's kind.

Each writes the same facts in other words. Here they become frames of people, with every value a
number or NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dancenet.data.mocap.formats.frame_names import numbers_of
from dancenet.data.mocap.formats.numbers import LARGEST
from dancenet.data.mocap.formats.text import read_text
from dancenet.support import checked
from dancenet.support.errors import UserError
from dancenet.support.names import is_litter, quoted, visible

LARGEST_JSON = 64 << 20  # bytes; an hour of one person at 30 frames/s has some 50 MB
_MOST_LISTS, _MOST_VALUES = 4_000_000, 16_000_000
_LARGEST_FRAME = 4 << 20  # bytes of a file that holds one frame

# Where a person's points are, and their number of axes; the first that has any is taken.
_POINTS = (
    ("pose_keypoints_2d", 2),
    ("pose_keypoints", 2),
    ("pose_keypoints_3d", 3),
    ("keypoints", 2),
    ("pose_landmarks", 2),
    ("landmarks", 2),
)
_PEOPLE = ("people", "bodies", "instances", "pose_landmarks", "landmarks")
_SCORES = ("score", "visibility", "confidence", "c")
_PLAIN = {int, float, type(None)}


@dataclass
class Film:
    """The people of every frame of a film."""

    # By the frame's number: (J, C + 1) for each person, the score last; NaN is not known.
    people: dict[int, list[np.ndarray]] = field(default_factory=dict)
    canvas: dict[int, tuple[float, float]] = field(default_factory=dict)  # width and height
    names: Any = None  # of the joints, where the file says them


def read_json(path: Path, largest: int = LARGEST_JSON) -> Any:
    """Reads JSON in any encoding.

    Raises:
        UserError: it is missing, empty, too large, nested too deeply, or no JSON.
    """
    text, _ = read_text(path, largest=largest)
    # Each list takes more memory than its brackets.
    if text.count("[") + text.count("{") > _MOST_LISTS or text.count(",") > _MOST_VALUES:
        raise UserError(
            f"{quoted(path)} holds more points than are read of one file; cut it into several."
        )
    return checked.parse_json(
        text.removeprefix("\ufeff"), f"{quoted(path)} is not a valid file of keypoints"
    )


def read_folder(path: Path) -> Film:
    """Reads a folder that holds a file for each frame; a missing number is an empty frame."""
    files = [
        file
        for file in sorted(path.iterdir())
        if file.suffix.lower() == ".json" and not is_litter(file.name) and file.is_file()
    ]
    if not files:
        raise UserError(f"The folder {quoted(path)} holds no .json file of OpenPose's.")
    film = Film()
    for file, number in zip(files, numbers_of(path, [file.stem for file in files])):
        content = read_json(file, _LARGEST_FRAME)
        _add(file, film, number, content)
    return film


def read_film(path: Path, content: Any) -> Film | None:
    """Returns the people in the contents of one file, None if it is of no kind that is known."""
    if isinstance(content, dict):
        if isinstance(content.get("annotations"), list):
            return _coco(path, content["annotations"], content)
        if isinstance(content.get("instance_info"), list):
            return _listed(path, content["instance_info"])
        if _is_frame(content):
            return _listed(path, [content])
        if content and all(_is_frame(frame) for frame in content.values()):
            film = Film()
            for number, frame in zip(numbers_of(path, list(content)), content.values()):
                _add(path, film, number, frame)
            return film
    if isinstance(content, list) and any(frame is not None for frame in content):
        if all(frame is None or _is_frame(frame) for frame in content):
            return _listed(path, content)
        if all(
            isinstance(one, dict) and {"image_id", "keypoints"} <= one.keys() for one in content
        ):
            return _coco(path, content, {})
    return None


def points_of(path: Path, value: Any, dim: int, what: str) -> np.ndarray:
    """Returns points (J, dim + 1), the score last, of a flat or nested list or of objects.

    Args:
        path: the file, for the message.
        value: [x, y, score, x, …], [[x, y], [x, y, score], null, …] or [{"x": …, "y": …}, …].
        dim: the number of axes.
        what: what holds it, for the message.
    """
    if not isinstance(value, list) or not value:
        raise _no_points(path, dim, what)
    if set(map(type, value)) <= _PLAIN:
        if len(value) % (dim + 1):
            raise _no_points(path, dim, what)
        return _numbers(value).reshape(-1, dim + 1)
    rows: list[Any] = []
    for point in value:
        if isinstance(point, dict):
            score = next((point[name] for name in _SCORES if name in point), 1.0)
            point = [*(point.get(axis) for axis in "xyz"[:dim]), score]
        if point is None:
            rows += [None] * (dim + 1)
        elif isinstance(point, list) and len(point) in (dim, dim + 1):
            rows += point if len(point) > dim else [*point, 1.0]
        elif isinstance(point, list):
            raise _no_points(path, dim, what)
        else:
            rows.append(point)
    if not set(map(type, rows)) <= _PLAIN:
        raise UserError(f"{quoted(path)} holds a point with a value that is not a number.")
    if len(rows) % (dim + 1):
        raise _no_points(path, dim, what)
    return _numbers(rows).reshape(-1, dim + 1)


def canvas_of(path: Path, frame: dict[str, Any]) -> tuple[float, float] | None:
    """Returns the width and the height of the picture, where an object says them."""
    for prefix in ("canvas_", "image_", ""):
        names = f"{prefix}width", f"{prefix}height"
        sides = [frame.get(name) for name in names]
        if sides == [None, None]:
            continue
        for name, side in zip(names, sides):
            if not isinstance(side, (int, float)) or side is True or not 0 < side <= LARGEST:
                raise UserError(
                    f"{quoted(path)} says {name} {visible(repr(side)):.60}; it must be a number of "
                    "pixels."
                )
        return float(sides[0]), float(sides[1])  # type: ignore[arg-type]
    return None


def _is_frame(frame: Any) -> bool:
    return isinstance(frame, dict) and any(name in frame for name in _PEOPLE)


def _listed(path: Path, frames: Sequence[Any]) -> Film:
    """Reads frames in their order, or by `frame_id` where they have one."""
    film = Film()
    numbers: Iterable[int] = range(len(frames))
    if all(isinstance(frame, dict) and "frame_id" in frame for frame in frames):
        numbers = numbers_of(path, [frame["frame_id"] for frame in frames])
    for number, frame in zip(numbers, frames):
        _add(path, film, number, {"people": []} if frame is None else frame)
    return film


def _add(path: Path, film: Film, number: int, frame: Any) -> None:
    """Adds the people of one frame."""
    if not _is_frame(frame):
        raise UserError(
            f"{quoted(path)} is no frame of a pose estimator: it should be an object with 'people'."
        )
    people = film.people.setdefault(number, [])
    name = next(name for name in _PEOPLE if name in frame)
    listed = frame[name]
    if name in ("pose_landmarks", "landmarks"):
        # MediaPipe's: the points of one person, or a list of such.
        if isinstance(listed, list) and listed and isinstance(listed[0], dict):
            listed = [listed]
        if isinstance(listed, list):
            listed = [{"landmarks": points} for points in listed]
    if isinstance(listed, dict):
        listed = [listed]
    if listed is not None and not isinstance(listed, list):
        raise UserError(
            f"{quoted(path)} holds a frame whose {name!r} is {visible(repr(listed)):.60} and not a "
            "list."
        )
    people += [
        points for points in (_person(path, one) for one in listed or []) if points is not None
    ]
    size = canvas_of(path, frame)
    if size is not None:
        film.canvas[number] = size


def _person(path: Path, person: Any) -> np.ndarray | None:
    """Returns a person's points (J, C + 1); None if there are none."""
    if person is None:
        return None
    what = "'pose_keypoints_2d'"
    if not isinstance(person, dict) or not any(name in person for name, _ in _POINTS):
        raise _no_points(path, 2, what)
    for name, dim in _POINTS:
        if person.get(name) not in (None, []):
            points = points_of(path, person[name], dim, repr(name))
            scores = person.get("keypoint_scores")
            if scores is not None:
                if (
                    not isinstance(scores, list)
                    or len(scores) != len(points)
                    or not set(map(type, scores)) <= _PLAIN
                ):
                    raise UserError(
                        f"{quoted(path)} holds a person with {len(points)} points and other "
                        "'keypoint_scores'."
                    )
                points[:, -1] = _numbers(scores)
            return points
    return None


def _coco(path: Path, people: Sequence[Any], whole: dict[str, Any]) -> Film:
    """Reads COCO's results, or its annotations with the pictures they belong to."""
    pictures: dict[Any, dict[str, Any]] = {}
    images = whole.get("images")
    for image in images if isinstance(images, list) else []:
        if isinstance(image, dict) and isinstance(image.get("id"), (int, str)):
            pictures[image["id"]] = image
    film = Film()
    kept = [one for one in people if isinstance(one, dict) and one.get("keypoints") is not None]
    if not kept or any("image_id" not in one for one in kept):
        raise UserError(
            f"{quoted(path)} holds no people with 'image_id' and 'keypoints', as COCO has them."
        )
    named = []
    for one in kept:
        name = one["image_id"]
        picture = pictures.get(name, {}) if isinstance(name, (int, str)) else {}
        named.append(picture.get("file_name", name))
    for one, number in zip(kept, numbers_of(path, named)):
        points = points_of(path, one["keypoints"], 2, "'keypoints'")
        film.people.setdefault(number, []).append(points)
        name = one["image_id"]
        picture = pictures.get(name, {}) if isinstance(name, (int, str)) else {}
        size = canvas_of(
            path,
            {"image_width": picture.get("width"), "image_height": picture.get("height")},
        )
        if size is not None:
            film.canvas[number] = size
    categories = whole.get("categories")
    if isinstance(categories, list) and categories and isinstance(categories[0], dict):
        film.names = categories[0].get("keypoints")
    return film


def _numbers(values: Sequence[Any]) -> np.ndarray:
    """Returns numbers and nulls as float64, NaN where there is none that can be a place."""
    try:
        numbers = np.array([math.nan if value is None else value for value in values], np.float64)
    except OverflowError:
        numbers = np.array([_float(value) for value in values], np.float64)
    return np.where(np.abs(numbers) <= LARGEST, numbers, np.nan)


def _float(value: Any) -> float:
    try:
        return math.nan if value is None else float(value)
    except OverflowError:
        return math.nan


def _no_points(path: Path, dim: int, what: str) -> UserError:
    axes = "x, y" if dim == 2 else "x, y, z"
    return UserError(
        f"{quoted(path)} holds a person whose {what} is not a list of {axes} and score for each "
        "point."
    )

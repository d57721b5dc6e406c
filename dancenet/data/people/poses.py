"""Keypoints of the people in a film, and their files.

A .npz is a recording of one person, as `train_dancer.py --space skeleton` reads it, with the
keypoints in the film's pixels beside. COCO's results and OpenPose's frames hold everybody.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dancenet.data.mocap import read
from dancenet.data.mocap.formats.keypoints import (
    MIN_SCORE,
    OPENPOSE_25,
    Keypoints,
    plain_name,
    to_body,
)
from dancenet.data.mocap.reading import Joints, Reading
from dancenet.data.people.landmarks import COCO_NAMES
from dancenet.support import arrays, checked, files, lock
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import option

_OPENPOSE_FILE = re.compile(r".*_[0-9]{12,}_keypoints\.json\Z")
_VERSION = 1.3  # of OpenPose's files
_MOST_JOINTS, _MOST_PEOPLE = 512, 64


@dataclass(frozen=True)
class Poses:
    """Keypoints of P people over T frames of a film."""

    names: tuple[str, ...]  # J, such as COCO_NAMES
    xy: np.ndarray  # (T, P, J, 2) float32 pixels of the film, NaN where somebody was not found
    score: np.ndarray  # (T, P, J) float32, 0..1; 0 where somebody was not found
    size: tuple[int, int]  # width and height of the film
    fps: float
    # (T, P, J, 3) float32 metres from the middle of the hips, x right, y down, z away; None where
    # the network gives none.
    world: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = self.score.shape
        if len(shape) != 3 or shape[2] != len(self.names) or self.xy.shape != (*shape, 2):
            raise ValueError(
                f"{len(self.names)} joints need xy (T, P, J, 2) and score (T, P, J). Received: "
                f"{self.xy.shape}, {shape}"
            )
        if self.world is not None and self.world.shape != (*shape, 3):
            raise ValueError(f"world must be {(*shape, 3)}. Received: {self.world.shape}")

    @property
    def num_frames(self) -> int:
        return len(self.score)

    @property
    def num_people(self) -> int:
        return self.score.shape[1]

    @property
    def found(self) -> np.ndarray:
        """(T, P) bool: somebody was found in a frame."""
        return np.isfinite(self.xy).all(axis=-1).any(axis=-1)

    def person(self, index: int) -> Poses:
        """Returns one of the people alone."""
        one = slice(index, index + 1)
        world = None if self.world is None else self.world[:, one]
        return replace(self, xy=self.xy[:, one], score=self.score[:, one], world=world)

    def joints(self, names: Sequence[str]) -> Poses:
        """Returns the joints of these names; one that is not known was nowhere seen."""
        known = [plain_name(name) for name in self.names]
        shape = self.score.shape[:2]
        xy = np.full((*shape, len(names), 2), np.nan, np.float32)
        score = np.zeros((*shape, len(names)), np.float32)
        world = None
        if self.world is not None:
            world = np.full((*shape, len(names), 3), np.nan, np.float32)
        for place, name in enumerate(map(plain_name, names)):
            if name in known:
                index = known.index(name)
                xy[:, :, place], score[:, :, place] = self.xy[:, :, index], self.score[:, :, index]
                if self.world is not None and world is not None:
                    world[:, :, place] = self.world[:, :, index]
        return replace(self, names=tuple(names), xy=xy, score=score, world=world)


def write_npz(path: str | os.PathLike[str], poses: Poses, overwrite: bool = False) -> list[str]:
    """Writes one person as a recording, atomically.

    `pos`, `fps`, `joints`, `parents` and `ok` are what a dancer of joints is trained on: fifteen
    joints in the plane, y up, in units that make the body as tall as an adult. `keypoints`,
    `scores`, `names`, `size` and `world` are the poses as they are.

    Args:
        path: the file.
        poses: of one person.
        overwrite: replace it if it exists.

    Returns:
        Sentences about what was assumed or mended.

    Raises:
        UserError: it exists already, nobody was found, or it cannot be written.
    """
    files.check_overwrite(path, overwrite)
    recording, warnings = _recording(Path(path), poses)
    more = {} if poses.world is None else {"world": poses.world[:, 0].astype(np.float32)}
    arrays.write_npz(
        path,
        **recording,
        fps=np.float64(poses.fps),
        keypoints=poses.xy[:, 0].astype(np.float32),
        scores=poses.score[:, 0].astype(np.float32),
        names=np.array(poses.names),
        size=np.array(poses.size, np.int64),
        **more,
    )
    return warnings


def read_npz(path: str | os.PathLike[str]) -> Poses:
    """Reads the keypoints of a file that `write_npz` wrote.

    Raises:
        UserError: it is missing or damaged, or holds none.
    """
    content = checked.read_npz(path, "file of poses")
    missing = sorted({"keypoints", "scores", "names", "size", "fps"} - content.keys())
    if missing:
        raise UserError(
            f"{quoted(path)} holds no {missing[0]!r}, so it is no file of poses; make one with "
            "estimate-pose."
        )
    try:
        names, size = content["names"], content["size"]
        if names.ndim != 1 or names.dtype.kind != "U" or not 0 < len(names) <= _MOST_JOINTS:
            raise UserError(f"names is {arrays.described(names)}, and must be a list of names")
        if size.shape != (2,) or size.dtype.kind not in "iu" or (size <= 0).any():
            raise UserError(f"size is {arrays.described(size)}, and must be two whole numbers")
        shape = (len(content["keypoints"]) if content["keypoints"].ndim else 0, len(names))
        for name, axes in (("keypoints", (2,)), ("scores", ()), ("world", (3,))):
            array = content.get(name)
            if array is None:
                continue
            if array.shape != (*shape, *axes) or array.dtype.kind != "f" or not shape[0]:
                raise UserError(f"{name} is {arrays.described(array)}")
        fps = arrays.scalar(float, content, "fps")
        checked.check_rate(fps)
    except UserError as error:
        raise UserError(
            f"{quoted(path)} is no file of poses: {str(error).rstrip('.')}; make it again."
        ) from error
    world = content.get("world")
    return Poses(
        names=tuple(map(str, names)),
        xy=content["keypoints"][:, None].astype(np.float32),
        score=np.clip(np.nan_to_num(content["scores"]), 0, 1)[:, None].astype(np.float32),
        size=(int(size[0]), int(size[1])),
        fps=fps,
        world=None if world is None else world[:, None].astype(np.float32),
    )


def write_coco(path: str | os.PathLike[str], poses: Poses, overwrite: bool = False) -> None:
    """Writes everybody as COCO's results: a list with seventeen keypoints for each person.

    `image_id` is the number of the frame, from 0; `track_id` that of the person, from 1.

    Raises:
        UserError: it exists already, or cannot be written.
    """
    files.check_overwrite(path, overwrite)
    coco = poses.joints(COCO_NAMES)
    results = [
        {
            "image_id": frame,
            "category_id": 1,
            "track_id": person + 1,
            "keypoints": _flat(coco.xy[frame, person], coco.score[frame, person]),
            "score": round(float(coco.score[frame, person].mean()), 4),
        }
        for frame, person in np.argwhere(coco.found).tolist()
    ]
    files.write_text(path, _lines(results))


def write_openpose(
    path: str | os.PathLike[str], poses: Poses, name: str = "film", overwrite: bool = False
) -> None:
    """Writes everybody as OpenPose does, with the 25 points of its body.

    Args:
        path: a .json for a list of all frames; else a folder, with a file for each frame.
        poses: points that the network does not know are zeros, as OpenPose has them.
        name: how the files of a folder begin.
        overwrite: replace the file, or the folder's files of this kind.

    Raises:
        UserError: it exists already, or cannot be written.
    """
    if Path(path).suffix.lower() == ".json":
        files.check_overwrite(path, overwrite)
        files.write_text(path, _lines(list(_openpose_frames(poses))))
        return
    check_folder(path, overwrite)
    target, busy = Path(path), "choose another output"
    with (
        lock.hold(lock.beside(target), target, busy),
        files.atomic_folder(path, _openpose_files) as folder,
    ):
        for number, frame in enumerate(_openpose_frames(poses)):
            text = json.dumps(frame, separators=(",", ":"))
            (folder / f"{name}_{number:012d}_keypoints.json").write_text(text, encoding="ascii")


def check_folder(path: str | os.PathLike[str], overwrite: bool) -> None:
    """Raises UserError unless OpenPose's files may be written into a folder."""
    folder = Path(path)
    files.check_parent(folder)
    files.open_folder(folder, _openpose_files)
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise UserError(f"{quoted(folder)} is no folder; choose another output.")
    if any(folder.iterdir()) and not overwrite:
        raise UserError(
            f"{quoted(folder)} holds files already; choose another output, or say "
            f"{option('overwrite')} to replace those of frames."
        )


def _openpose_files(folder: Path) -> list[Path]:
    return [
        entry
        for entry in sorted(folder.iterdir())
        if _OPENPOSE_FILE.match(entry.name) and entry.is_file() and not entry.is_symlink()
    ]


def _openpose_frames(poses: Poses) -> Iterator[dict[str, Any]]:
    body = _to_openpose(poses)
    for frame in range(poses.num_frames):
        yield {
            "version": _VERSION,
            "people": [
                {
                    "person_id": [person + 1],
                    "pose_keypoints_2d": _flat(body.xy[frame, person], body.score[frame, person]),
                }
                for person in np.flatnonzero(body.found[frame]).tolist()
            ],
        }


def _to_openpose(poses: Poses) -> Poses:
    """Returns OpenPose's 25 points: neck and mid-hips are in the middle between two others."""
    toes = {"l_toe": "l_foot_index", "r_toe": "r_foot_index"}  # as MediaPipe names them
    body = poses.joints([toes.get(name, name) for name in OPENPOSE_25])
    body = replace(body, names=OPENPOSE_25)
    for middle, side in (("neck", "shoulder"), ("pelvis", "hip")):
        place = OPENPOSE_25.index(middle)
        ends = [OPENPOSE_25.index(f"{letter}_{side}") for letter in "lr"]
        body.xy[:, :, place] = body.xy[:, :, ends].mean(axis=2)
        body.score[:, :, place] = body.score[:, :, ends].min(axis=2)
    return body


def _flat(xy: np.ndarray, score: np.ndarray) -> list[float]:
    """Returns x, y, score, x, … of points; zeros where there is none."""
    seen = np.isfinite(xy).all(axis=1)
    rows = np.concatenate([np.where(seen[:, None], xy, 0), np.where(seen, score, 0)[:, None]], 1)
    return [round(float(value), 4) for value in rows.ravel()]


def _lines(records: list[dict[str, Any]]) -> str:
    """Returns a list as JSON with a line for each record."""
    lines = [json.dumps(record, separators=(",", ":")) for record in records]
    return "[" + ",\n ".join(lines) + "]\n"


def _recording(path: Path, poses: Poses) -> tuple[dict[str, np.ndarray], list[str]]:
    """Returns the arrays that a dancer is trained on, and sentences about them."""
    if poses.num_people != 1:
        raise ValueError(f"a recording is of one person. Received: {poses.num_people}")
    if not poses.found.any():
        raise UserError(f"Nobody was found, so {quoted(path)} was not written.")
    coco = poses.joints(COCO_NAMES)
    xy, score = coco.xy[:, 0].astype(np.float64), coco.score[:, 0]
    sure = score >= MIN_SCORE
    # Of a joint that is never seen, the network's guess gives the scale at least.
    never = ~sure.any(axis=0)
    kept = np.where((sure | never)[..., None], xy, np.nan)
    body, hidden = _body(kept), _body(np.where(sure[..., None], xy, np.nan))
    assert body.names is not None
    warnings: list[str] = []
    reading = Reading(path, poses.fps, "-y", None, warnings)
    motion = read.complete(reading, Joints(body.positions, body.names, body.parents))
    mended = list(warnings)
    clip = read.make_clip(motion)
    positions, ok = clip.positions.copy(), clip.ok.copy()
    unknown = ~np.isfinite(hidden.positions).all(axis=2).any(axis=0)
    if unknown.any():
        names = ", ".join(name for name, is_so in zip(body.names, unknown) if is_so)
        mended.append(
            f"{quoted(path.name)}: never seen are {names}; no dancer can be trained on it."
        )
        positions[:, unknown] = np.nan
        ok[:] = False
    return {
        "pos": positions,
        "joints": np.array(body.names),
        "parents": np.array(body.parents, np.int64),
        "ok": ok,
    }, mended


def _body(positions: np.ndarray) -> Keypoints:
    """Returns COCO's keypoints (T, 17, 2) as the fifteen joints that files are brought to."""
    body = to_body(
        Keypoints(positions, names=COCO_NAMES, parents=None, fps=None, up="-y", missing=0)
    )
    assert body is not None
    return body

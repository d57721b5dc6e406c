"""The joints of the dancer in every frame of a folder: `poses.npz`, beside `clips.json`.

It holds `joints` (the names of `data.motion.joints`), `xy` (T, 19, 2) in pixels of the frame, 0 at
the left and upper edge, NaN where a joint is not known, and `score` (T, 19) from 0 to 1. Row t is
frame t + 1.

Rows belong to clips by the hash of their content, which `clips.json` says. So whenever a writer is
killed, rows and frames fit: the rows of a clip wait in a file of their own until the clip is
recorded, and what no clip has is never read.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancenet.data.frames.clips import CLIPS_FILE, POSES_HASH, Clip, read_clips
from dancenet.data.frames.picture import WIDTH
from dancenet.data.motion.joints import JOINTS
from dancenet.support import arrays, checked, files, terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted

POSES_FILE = "poses.npz"

_PART = re.compile(rf"\.poses-({POSES_HASH})\.npz\Z")
_HASH_DIGITS = 16
_WHAT = "file of the frames' joints"
_MIRRORED = [
    JOINTS.index({"l": "r", "r": "l"}[name[0]] + name[1:] if name[1:2] == "_" else name)
    for name in JOINTS
]


@dataclass(frozen=True)
class FramePoses:
    """The dancer's joints in T frames."""

    xy: np.ndarray  # (T, 19, 2) float32 pixels of the frame, NaN where a joint is not known
    score: np.ndarray  # (T, 19) float32, 0..1; 1 where a frame was drawn from these joints

    def __post_init__(self) -> None:
        count = len(self.score)
        if self.xy.shape != (count, len(JOINTS), 2) or self.score.shape != (count, len(JOINTS)):
            raise ValueError(
                f"joints of frames are (T, {len(JOINTS)}, 2) and (T, {len(JOINTS)}). Received: "
                f"{self.xy.shape}, {self.score.shape}"
            )

    @classmethod
    def unknown(cls, count: int) -> FramePoses:
        """Returns the joints of frames of which nothing is known."""
        shape = (count, len(JOINTS))
        return cls(np.full((*shape, 2), np.nan, np.float32), np.zeros(shape, np.float32))

    @classmethod
    def exact(cls, xy: np.ndarray) -> FramePoses:
        """Returns joints (T, 19, 2) from which frames were drawn."""
        return cls(xy.astype(np.float32), np.ones(xy.shape[:2], np.float32))

    def __len__(self) -> int:
        return len(self.score)

    def rows(self, first: int, count: int) -> FramePoses:
        return FramePoses(self.xy[first : first + count], self.score[first : first + count])

    def mirrored(self) -> FramePoses:
        """Returns the joints in frames whose left and right are swapped."""
        return FramePoses(
            np.array([WIDTH, 0], np.float32)
            + self.xy[:, _MIRRORED] * np.array([-1, 1], np.float32),
            self.score[:, _MIRRORED],
        )

    @property
    def hash(self) -> str:
        digest = hashlib.sha256(self.xy.tobytes() + self.score.tobytes())
        return digest.hexdigest()[:_HASH_DIGITS]


def read_poses(folder: Path, clips: Sequence[Clip]) -> FramePoses:
    """Returns the joints of every frame of a folder; unknown ones where a clip has none.

    Args:
        folder: of frames.
        clips: of that folder, as `FrameFolder` has them.

    Raises:
        UserError: `poses.npz` is damaged.
    """
    found = FramePoses.unknown(clips[-1].last if clips else 0)
    wanted = [clip for clip in clips if clip.poses]
    if wanted:
        known = _Known(folder)
        for clip in wanted:
            rows = known.find(clip)
            if rows is not None:
                found.xy[clip.first - 1 : clip.last] = rows.xy
                found.score[clip.first - 1 : clip.last] = rows.score
    return found


def read_clip(folder: Path, clip: Clip) -> FramePoses | None:
    """Returns the joints of one clip, None if it has none."""
    return _Known(folder).find(clip) if clip.poses else None


def write_part(folder: Path, poses: FramePoses) -> str:
    """Writes the rows of a clip that is not recorded yet; returns what its record says of them."""
    arrays.write_npz(_part(folder, poses.hash), xy=poses.xy, score=poses.score)
    return poses.hash


def check_file(folder: Path) -> None:
    """Raises UserError if a folder holds another `poses.npz` than ours."""
    path = folder / POSES_FILE
    clips = folder / CLIPS_FILE
    if not path.exists() or (clips.exists() and any(clip.poses for clip in read_clips(clips))):
        return
    try:
        _Joined.read(path)
    except UserError as error:
        raise UserError(
            f"{quoted(path)} is not dancenet's, so it is not replaced; move it away, or choose "
            "another folder."
        ) from error


def settle(folder: Path) -> None:
    """Joins the rows of recorded clips in `poses.npz`, and removes those of others.

    Its caller holds the folder. Where there is no room to join them, they wait for the next run.
    """
    record = folder / CLIPS_FILE
    clips = read_clips(record) if record.exists() else []
    parts = [path for path in folder.glob(".poses-*.npz") if _PART.match(path.name)]
    path = folder / POSES_FILE
    if not any(clip.poses for clip in clips):
        with contextlib.suppress(UserError):
            if path.exists():
                _Joined.read(path)
                path.unlink()
    elif parts or not path.exists() or not _Joined.fits(path, clips):
        try:
            _join(folder, clips)
        except (OSError, UserError) as error:
            # The error of a write that found no room has that of the system as its cause.
            cause = error if isinstance(error, OSError) else error.__cause__
            if not isinstance(cause, OSError) or not files.is_no_room(cause):
                raise
            return
    for part in parts:
        part.unlink(missing_ok=True)


def _join(folder: Path, clips: Sequence[Clip]) -> None:
    try:
        joined = read_poses(folder, clips)
    except UserError as error:
        terminal.warn(f"{error} The joints of its frames are lost; the frames are whole.")
        joined = FramePoses.unknown(clips[-1].last)
    arrays.write_npz(
        folder / POSES_FILE,
        joints=np.array(JOINTS),
        xy=joined.xy,
        score=joined.score,
        clips=np.array([clip.poses or "" for clip in clips]),
        firsts=np.array([clip.first for clip in clips], np.int64),
    )


def _part(folder: Path, name: str) -> Path:
    return folder / f".poses-{name}.npz"


class _Known:
    """The rows that a folder holds, by the hash of their content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = folder / POSES_FILE
        self._joined = _Joined.read(path) if path.exists() else None

    def find(self, clip: Clip) -> FramePoses | None:
        """Returns the rows of a clip; None if they are lost, or were never joined."""
        assert clip.poses is not None
        path = _part(self._folder, clip.poses)
        if path.exists():
            rows = _checked(path, checked.read_npz(path, _WHAT))
        elif self._joined is not None and clip.poses in self._joined.firsts:
            first = self._joined.firsts[clip.poses]
            rows = self._joined.poses.rows(first - 1, clip.num_frames)
        else:
            return None
        return rows if len(rows) == clip.num_frames else None


@dataclass(frozen=True)
class _Joined:
    """The content of `poses.npz`."""

    poses: FramePoses
    hashes: list[str]  # of each clip, "" of one without joints
    firsts: dict[str, int]  # the first frame of a clip, from 1, by its hash

    @classmethod
    def read(cls, path: Path) -> _Joined:
        content = checked.read_npz(path, _WHAT)
        poses = _checked(path, content)
        hashes, firsts = content.get("clips"), content.get("firsts")
        names = content.get("joints", np.array([]))
        if (
            names.dtype.kind != "U"
            or names.shape != (len(JOINTS),)
            or tuple(names.tolist()) != JOINTS
            or hashes is None
            or firsts is None
            or hashes.dtype.kind != "U"
            or firsts.dtype.kind not in "iu"
            or hashes.ndim != 1
            or firsts.shape != hashes.shape
            or (len(firsts) and not 1 <= firsts.min() <= firsts.max() <= max(1, len(poses)))
        ):
            raise UserError(
                f"{quoted(path)} is not a {_WHAT}, or it is damaged; remove it, and make the "
                "frames again to have their joints."
            )
        listed = hashes.tolist()
        return cls(poses, listed, {key: int(first) for key, first in zip(listed, firsts) if key})

    @staticmethod
    def fits(path: Path, clips: Iterable[Clip]) -> bool:
        """Tells whether a file has the rows of these clips, in their places."""
        try:
            joined = _Joined.read(path)
        except UserError:
            return False
        clips = list(clips)
        return (
            joined.hashes == [clip.poses or "" for clip in clips]
            and len(joined.poses) == clips[-1].last
        )


def _checked(path: Path, content: dict[str, np.ndarray]) -> FramePoses:
    """Returns the rows of a file, or raises UserError."""
    xy, score = content.get("xy"), content.get("score")
    if xy is not None and score is not None and xy.dtype == score.dtype == np.float32:
        with contextlib.suppress(ValueError):
            return FramePoses(xy, score)
    raise UserError(
        f"{quoted(path)} is not a {_WHAT}, or it is damaged; remove it, and make the frames again "
        "to have their joints."
    )

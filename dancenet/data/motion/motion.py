"""A recorded motion as positions of nineteen joints, and the reader of its own file format."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dancenet.data.motion.resample import catmull_rom
from dancenet.support.errors import UnknownSkeleton, UserError
from dancenet.support.files import read_npz

JOINTS: tuple[str, ...] = (
    "pelvis",
    "spine",
    "chest",
    "neck",
    "head",
    "l_shoulder",
    "l_elbow",
    "l_wrist",
    "r_shoulder",
    "r_elbow",
    "r_wrist",
    "l_hip",
    "l_knee",
    "l_ankle",
    "l_toe",
    "r_hip",
    "r_knee",
    "r_ankle",
    "r_toe",
)
PARENTS: tuple[int, ...] = (-1, 0, 1, 2, 3, 2, 5, 6, 2, 8, 9, 0, 11, 12, 13, 0, 15, 16, 17)

SAME_RATE = 0.005  # two rates closer than this fraction (29.97 and 30) are the same


@dataclass(frozen=True)
class MotionClip:
    """One recording of one body."""

    positions: np.ndarray  # (F, 19, 3) float32 metres in the order of JOINTS; y up, floor at 0
    fps: float  # frames per second
    ok: np.ndarray  # (F,) bool, False where the recording has a glitch
    source: str  # the file's name, and what else tells where it came from
    warnings: tuple[str, ...] = ()  # sentences for the person who reads the file

    def __post_init__(self) -> None:
        shape = self.positions.shape
        if len(shape) != 3 or shape[0] == 0 or shape[1:] != (len(JOINTS), 3):
            raise ValueError(f"positions must be (F, {len(JOINTS)}, 3), F > 0. Received: {shape}")
        if self.ok.shape != shape[:1]:
            raise ValueError(f"ok must be ({shape[0]},). Received: {self.ok.shape}")
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"fps must be a finite number above 0. Received: {self.fps}")

    @property
    def num_frames(self) -> int:
        """How many frames were recorded."""
        return len(self.positions)

    def good_runs(self, min_seconds: float = 1.0) -> Iterator[tuple[range, bool]]:
        """Yields every run of neighbouring good frames and whether it lasts `min_seconds`."""
        return good_runs(self.ok, self.fps, min_seconds)

    def cut(self, frames: range) -> MotionClip:
        """Returns the frames of one run as a clip of its own."""
        rows = slice(frames.start, frames.stop)
        return replace(self, positions=self.positions[rows], ok=self.ok[rows])

    def resample(self, fps: float) -> MotionClip:
        """Returns the motion at another rate, never above its own.

        Positions are interpolated with Catmull-Rom splines (Catmull and Rom, "A class of
        local interpolating splines", 1974), which pass through every recorded frame. A new
        frame is good if both recorded neighbours are.

        Args:
            fps: the rate wanted, frames per second. A rate at or above the recording's (or
                within 0.5 % of it) leaves the frames as they are.
        """
        positions, ok, fps = resample(self.positions, self.ok, self.fps, fps)
        return replace(self, positions=positions, ok=ok, fps=fps) if fps != self.fps else self


def good_runs(ok: np.ndarray, fps: float, min_seconds: float) -> Iterator[tuple[range, bool]]:
    """Yields every run of neighbouring frames that are good in (F,) and whether it is long."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ok.astype(np.int8), [0]])))
    for first, end in edges.reshape(-1, 2):
        long_enough = (end - first) >= min_seconds * fps * (1 - SAME_RATE)
        yield range(int(first), int(end)), bool(long_enough)


def resample(
    positions: np.ndarray, ok: np.ndarray, recorded_fps: float, fps: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Brings positions (F, J, C) and marks (F,) to another rate, as `MotionClip.resample` does.

    Returns:
        The positions, the marks, and the rate they have.
    """
    if fps >= recorded_fps * (1 - SAME_RATE):
        same = abs(fps - recorded_fps) <= recorded_fps * SAME_RATE
        return positions, ok, float(fps) if same else recorded_fps
    last = len(positions) - 1
    # The tiny excess keeps a last frame that falls on a recorded one from rounding away.
    times = np.arange(int(last / recorded_fps * fps + 1e-6) + 1) * (recorded_fps / fps)
    below = np.minimum(times.astype(int), last)
    above = np.minimum(below + 1, last)
    part = (times - below).astype(np.float32)[:, None, None]
    between = catmull_rom(
        positions[np.maximum(below - 1, 0)],
        positions[below],
        positions[above],
        positions[np.minimum(below + 2, last)],
        part,
    )
    on_frame = part[:, 0, 0] < 1e-3
    return between, ok[below] & (ok[above] | on_frame), float(fps)


def read_npz_clip(path: str | os.PathLike[str]) -> MotionClip:
    """Reads a motion stored as joint positions in an .npz file.

    The file holds `pos` (F, J, 3) in metres with y up, `fps`, `joints` (J names, in any
    order, the nineteen of JOINTS among them) and, if some frames are bad, `ok` (F,).

    Raises:
        UserError: the file is not readable or lacks an array, a joint or finite numbers.
    """
    path = Path(path)
    arrays = read_npz(path, "motion file")
    missing = [name for name in ("pos", "fps", "joints") if name not in arrays]
    if missing:
        raise UserError(
            f"{path} has no array {missing[0]!r} (it holds {', '.join(sorted(arrays)) or 'none'}); "
            "a motion file holds pos (F, J, 3), fps and joints (J names)."
        )
    names = [str(name) for name in np.atleast_1d(arrays["joints"])]
    absent = [name for name in JOINTS if name not in names]
    if absent:
        raise UnknownSkeleton(
            f"{path} has no joint {', '.join(absent)}; it has {', '.join(names)}."
        )
    positions = arrays["pos"]
    if (
        positions.ndim != 3
        or positions.shape[1:] != (len(names), 3)
        or len(positions) == 0
        or positions.dtype.kind != "f"
    ):
        raise UserError(
            f"{path} holds positions of {positions.dtype} {positions.shape}; "
            f"expected floats (F, {len(names)}, 3) with at least one frame."
        )
    positions = positions[:, [names.index(name) for name in JOINTS]].astype(np.float32)
    if arrays["fps"].size != 1 or arrays["fps"].dtype.kind not in "iuf":
        raise UserError(f"{path} must hold one number as fps, received {arrays['fps']!r}.")
    fps = float(arrays["fps"].reshape(()))
    if not (np.isfinite(fps) and fps > 0):
        raise UserError(f"{path} says {fps:g} frames per second; it must be above 0.")
    num_frames = len(positions)
    ok = np.asarray(arrays.get("ok", np.ones(num_frames, dtype=bool)))
    if ok.shape != (num_frames,):
        raise UserError(f"{path} holds {num_frames} frames but 'ok' of shape {ok.shape}.")
    finite = np.isfinite(positions).all(axis=(1, 2))
    if not finite.any():
        raise UserError(f"{path} holds no frame of finite positions.")
    warnings: tuple[str, ...] = ()
    if not finite.all():
        warnings = (
            f"{path.name}: {int((~finite).sum())} of {num_frames} frames hold NaN or infinity "
            "and are left out.",
        )
    return MotionClip(
        positions=np.where(finite[:, None, None], positions, np.float32(0)),
        fps=fps,
        ok=ok.astype(bool) & finite,
        source=path.name,
        warnings=warnings,
    )

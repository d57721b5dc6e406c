"""One motion of one skeleton, recorded or generated, and its own file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dancenet.data.motion.joints import JOINTS
from dancenet.data.motion.resample import SAME_RATE, resample_clip
from dancenet.data.motion.tree import check_tree
from dancenet.output import player
from dancenet.support import files
from dancenet.support.errors import UnknownSkeleton, UserError
from dancenet.support.names import quoted


@dataclass(frozen=True)
class SkeletonClip:
    """A continuous piece of one recording or dance, in space or in the plane of a picture."""

    # (T, J, C) float32, finite. C = 3: metres, y up, floor at 0. C = 2: x to the right and y up,
    # in units that make the body as tall as an adult.
    positions: np.ndarray
    fps: float  # frames per second
    ok: np.ndarray  # (T,) bool, False where the recording has a glitch
    names: tuple[str, ...]  # J
    parents: tuple[int, ...] | None  # J, -1 for the root; None where the bones are not known
    offsets: np.ndarray | None  # (J, 3) metres from the parent in the rest pose, where known
    source: str  # the file's name, or another note of where the motion came from
    warnings: tuple[str, ...] = ()  # what was assumed or mended in reading, sentences

    def __post_init__(self) -> None:
        shape, num_joints = self.positions.shape, len(self.names)
        if len(shape) != 3 or shape[0] == 0 or shape[1] != num_joints or shape[2] not in (2, 3):
            raise ValueError(
                f"positions must be (T, {num_joints}, 2 or 3), T > 0. Received: {shape}"
            )
        if not np.isfinite(self.positions).all():
            raise ValueError("positions must be finite.")
        if self.ok.shape != shape[:1]:
            raise ValueError(f"ok must be ({shape[0]},). Received: {self.ok.shape}")
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"fps must be a finite number above 0. Received: {self.fps}")
        if len(set(self.names)) != num_joints:
            raise ValueError(f"every joint needs a name of its own. Received: {self.names}")
        if self.parents is not None:
            check_tree(self.parents, num_joints)
        if self.offsets is not None and self.offsets.shape != (num_joints, 3):
            raise ValueError(f"offsets must be ({num_joints}, 3). Received: {self.offsets.shape}")

    @property
    def num_frames(self) -> int:
        """The number of frames."""
        return len(self.positions)

    @property
    def is_body(self) -> bool:
        """Whether the joints are the nineteen in space that `data.motion.draw_body` draws."""
        return self.names == JOINTS and self.positions.shape[2] == 3

    def good_runs(self, min_seconds: float = 1.0) -> Iterator[tuple[range, bool]]:
        """Yields every run of neighbouring good frames and whether it lasts `min_seconds`."""
        edges = np.flatnonzero(np.diff(np.concatenate([[0], self.ok.astype(np.int8), [0]])))
        for first, end in edges.reshape(-1, 2).tolist():
            long_enough = (end - first) >= min_seconds * self.fps * (1 - SAME_RATE)
            yield range(first, end), long_enough

    def cut(self, frames: range) -> SkeletonClip:
        """Returns the frames of one run as a clip of its own."""
        rows = slice(frames.start, frames.stop)
        return replace(self, positions=self.positions[rows], ok=self.ok[rows])

    def resample(self, fps: float) -> SkeletonClip:
        """Returns the motion at another rate, never above its own; see `resample_clip`."""
        positions, ok, fps = resample_clip(self.positions, self.ok, self.fps, fps)
        return replace(self, positions=positions, ok=ok, fps=fps) if fps != self.fps else self

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Writes an .npz that `read_skeleton` reads back, atomically.

        Args:
            path: the file.
            overwrite: replace it if it exists.

        Raises:
            UserError: it exists already, or cannot be written.
        """
        files.check_overwrite(path, overwrite)
        known: dict[str, np.ndarray] = {}
        if self.parents is not None:
            known["parents"] = np.array(self.parents, np.int64)
        if self.offsets is not None:
            known["offsets"] = self.offsets.astype(np.float64)
        files.write_npz(
            path,
            pos=self.positions.astype(np.float32),
            fps=np.float64(self.fps),
            joints=np.array(self.names),
            ok=self.ok,
            **known,
        )

    def to_html(self, title: str = "") -> str:
        """Returns an HTML page that plays the motion; see `output.player.to_html`."""
        return player.to_html(self, title)

    def _repr_html_(self) -> str:
        """Plays the motion where a notebook shows the clip."""
        return player.to_frame(self.to_html())


def check_body(clip: SkeletonClip) -> None:
    """Refuses a clip of other joints than the nineteen of a body.

    Raises:
        UnknownSkeleton: it has others; names them.
    """
    if clip.is_body:
        return
    if clip.positions.shape[2] != 3:
        raise UnknownSkeleton(
            f"{quoted(clip.source)} holds points of a picture; a body is drawn from joints in "
            "space."
        )
    raise UnknownSkeleton(
        f"{quoted(clip.source)} is not a body that can be drawn: its {len(clip.names)} joints are "
        f"{', '.join(clip.names)}. Rename them as in Mixamo (LeftArm, LeftForeArm, LeftHand, "
        "LeftUpLeg, LeftLeg, LeftFoot, LeftToeBase, Neck, Head and so on), or store "
        f"{', '.join(JOINTS)} as .npz (pos, fps, joints)."
    )


def check_same_skeleton(clips: Sequence[SkeletonClip]) -> None:
    """Refuses clips of different skeletons, because one model learns one.

    Raises:
        UserError: two clips have other joints or bones; names both and the difference.
    """
    advice = "One model dances with one skeleton; train on files of one kind at a time."
    first = clips[0]
    for other in clips[1:]:
        difference = _difference(first, other)
        if difference:
            raise UserError(f"{difference} {advice}")


def _difference(first: SkeletonClip, other: SkeletonClip) -> str:
    """Returns a sentence that says how two skeletons differ, or nothing."""
    if first.positions.shape[2] != other.positions.shape[2]:
        return (
            f"{quoted(other.source)} has positions in {other.positions.shape[2]} dimensions and "
            f"{quoted(first.source)} in {first.positions.shape[2]}."
        )
    if len(first.names) != len(other.names):
        return (
            f"{quoted(other.source)} has {len(other.names)} joints and {quoted(first.source)} has "
            f"{len(first.names)}."
        )
    for own, name in zip(first.names, other.names):
        if own != name:
            return (
                f"{quoted(other.source)} has a joint {name!r} where {quoted(first.source)} has "
                f"{own!r}."
            )
    if first.parents != other.parents:
        return (
            f"The joints of {quoted(other.source)} have other parents than those of "
            f"{quoted(first.source)}."
        )
    return ""

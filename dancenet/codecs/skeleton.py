"""The codec of joints: joints to a trajectory and back, to pictures and to files of motion.

A vector is a row of `codecs.skeleton_rows`, so that the same step looks the same wherever it is
danced and wherever it leads. Columns that never move are left out and put back, and so is a joint
that is always where another is; the rest is scaled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dancenet.codecs.base import (
    MOTION_FORMATS,
    Codec,
    Part,
    Scaler,
    View,
    batches,
    require_arrays,
    unusable,
)
from dancenet.codecs.skeleton_rows import Placement, from_rows, lead_columns, to_rows
from dancenet.data.frames.picture import BACKGROUND
from dancenet.data.motion.bones import steady_bones
from dancenet.data.motion.camera import CameraView
from dancenet.data.motion.clip import SkeletonClip
from dancenet.data.motion.draw_body import draw_bodies
from dancenet.data.motion.draw_bones import draw_figures
from dancenet.data.motion.feet import floor_height, plant_feet
from dancenet.data.motion.joints import JOINTS
from dancenet.data.motion.proportions import Body
from dancenet.data.motion.resample import resample_stream
from dancenet.data.motion.tree import check_tree
from dancenet.output.player import write_html
from dancenet.support import arrays, checked
from dancenet.support.arrays import described, require_floats, scalar
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, shortened, visible

_BATCH = 16  # figures that a thread enlarges at once

_MOST_JOINTS = 2000
_FORMAT = 1
_NAMES = (
    "format",
    "fps",
    "joints",
    "parents",
    "offsets",
    "lengths",
    "facing",
    "middle",
    "twin",
    "kept",
    "constant",
    "size",
    "feet",
    "rest",
    "mean",
    "basis",
    "scale",
)


@dataclass(frozen=True)
class SkeletonCodec:
    """The codec of one skeleton, fitted on training clips; see the module.

    `decode` gives joints, which can be drawn from any side or written to a file.
    """

    kind: ClassVar[str] = "with joints"
    formats: ClassVar[tuple[str, ...]] = MOTION_FORMATS
    streams: ClassVar[bool] = False  # feet and floor are found over the whole dance
    encoder_sha256: ClassVar[str] = ""

    fps: float  # frames per second of the training clips
    names: tuple[str, ...]  # J
    parents: tuple[int, ...]  # J, -1 for the root; measured where no file said it
    offsets: np.ndarray | None  # (J, 3) metres from the parent in the rest pose, where known
    lengths: np.ndarray  # (J,) metres, the usual length of the bone to the parent; 0 of the root
    # (J, 2) weights of x and z: the heading is the turn that brings these places nearest to
    # the joints. All zero keeps the heading fixed.
    facing: np.ndarray
    middle: np.ndarray  # (J,) weights, sum 1, of the joints in whose mean the middle is
    twin: np.ndarray  # (J,) the first joint that is always in the same place; its own if none
    kept: np.ndarray  # (R,) bool, columns of a raw row that move
    constant: np.ndarray  # (R,) float64, the values of the columns that do not move
    size: float  # metres, the body's size: the root mean square distance of its joints
    feet: np.ndarray  # (F,) joints it stands on, none in a picture
    rest: np.ndarray  # (F,) metres, their height above the floor where they stand
    scaler: Scaler  # kept columns to model units

    def __post_init__(self) -> None:
        num_joints = len(self.names)
        checked.between("the number of joints", num_joints, 1, _MOST_JOINTS)
        raw_dim = len(self.kept) if self.kept.ndim == 1 else -1
        if raw_dim not in (num_joints * 2 + 2, num_joints * 3 + 4) or self.kept.dtype != bool:
            raise ValueError(f"kept {self.kept.shape} does not fit {num_joints} joints")
        require_floats("lengths", self.lengths, (num_joints,))
        require_floats("facing", self.facing, (num_joints, 2))
        require_floats("middle", self.middle, (num_joints,))
        require_floats("constant", self.constant, (raw_dim,))
        if self.offsets is not None:
            require_floats("offsets", self.offsets, (num_joints, 3))
        if self.kept.sum() != self.scaler.latent_dim:
            raise ValueError(
                f"kept has {self.kept.sum()} columns and the scaler {self.scaler.latent_dim}"
            )
        checked.check_rate(self.fps)
        checked.between("size", self.size, 0, 1e6, above=True)
        if self.twin.shape != (num_joints,) or not _are_joints(self.twin, num_joints):
            raise ValueError("twin must be joints of the skeleton")
        check_tree(self.parents, num_joints)
        if not _are_joints(self.feet, num_joints):
            raise ValueError("feet must be joints of the skeleton, with a height each")
        require_floats("the height of the feet", self.rest, self.feet.shape)

    @classmethod
    def fit(
        cls, clips: Sequence[SkeletonClip], variance: float = 1.0, heading: bool = True
    ) -> SkeletonCodec:
        """Fits what is left out, what is forward, and the scale, on training clips.

        Forward is square to the line from right to left through hips and shoulders where
        their names are known; else the heading is the turn about the vertical that brings all
        joints nearest to their mean, and the side the dancer looks to is not known. In a
        picture there is no heading.

        Args:
            clips: good frames only, of one skeleton and one rate.
            variance: share of the variance of the joints to keep, in (0, 1]. 1 keeps every
                coordinate by itself and a round trip is exact; less takes the principal
                directions in which the joints move, the fewest that hold it.
            heading: False keeps the heading fixed, so that turning is a matter of the joints.

        Raises:
            UserError: the clips do not fit together, or nothing moves.
        """
        # Generation never fits, and need not read what fitting imports.
        from dancenet.codecs.skeleton_fit import fit_codec

        return fit_codec(clips, variance, heading)

    @property
    def dim(self) -> int:
        return self.scaler.dim

    @property
    def is_flat(self) -> bool:
        """Whether the joints are places in a picture."""
        return len(self.kept) == len(self.names) * 2 + 2

    def check(self, clip: SkeletonClip) -> None:
        """Refuses a clip of another skeleton.

        Raises:
            UserError: it has other joints than those this codec was fitted on.
        """
        if clip.names == self.names and (clip.positions.shape[2] == 2) == self.is_flat:
            return
        axes = clip.positions.shape[2]
        strange = [name for name in clip.names if name not in self.names][:3]
        raise UserError(
            f"{quoted(clip.source)} has {len(clip.names)} joints in {axes} dimensions"
            + (f", among them {shortened(', '.join(strange))}" if strange else "")
            + f"; this model dances with {len(self.names)} joints in {2 if self.is_flat else 3}. "
            "Give a motion of the skeleton it was trained on."
        )

    def encode(self, positions: np.ndarray) -> np.ndarray:
        """Takes the joints (T, J, C) of one clip; returns (T, D) float32 in model units.

        The turn and the move of the first frame are those of the second; `placement` says where
        the dancer must be before it.

        Raises:
            UserError: the joints are not those of this codec, or not finite.
        """
        raw, _ = self._rows(positions)
        return self.scaler.to_model(raw[:, self.kept])

    def placement(self, positions: np.ndarray) -> Placement:
        """Returns where `decode` has to begin to give back (T, J, C) that were encoded."""
        return self._rows(positions)[1]

    def decode(self, vectors: np.ndarray, start: Placement = Placement()) -> np.ndarray:
        """Takes (T, D) in model units; returns the joints (T, J, C) float32, metres."""
        return self.continue_from(vectors, start)[0]

    def continue_from(self, vectors: np.ndarray, start: Placement) -> tuple[np.ndarray, Placement]:
        """Decodes a part of a trajectory, so that a long one can be decoded in parts.

        Args:
            vectors: (T, D) in model units.
            start: where the part before it ended.

        Returns:
            The joints (T, J, C) float32, and where the part after it starts.
        """
        raw = np.tile(self.constant, (len(vectors), 1))
        raw[:, self.kept] = (
            vectors.astype(np.float64) * self.scaler.scale
        ) @ self.scaler.basis.astype(np.float64) + self.scaler.mean
        num_axes = 2 if self.is_flat else 3
        lead = lead_columns(num_axes)
        local = raw[:, lead:].reshape(len(raw), len(self.names), num_axes)
        return from_rows(raw[:, :lead], local[:, self.twin], start)

    def steady(self, positions: np.ndarray) -> np.ndarray:
        """Gives the bones of (T, J, C) the lengths they have in the training clips.

        In a new trajectory the lengths jitter, for nothing in it fixes them.
        """
        return steady_bones(positions, self.parents, self.lengths)

    def finish(self, positions: np.ndarray) -> np.ndarray:
        """Corrects the decoded joints (T, J, C) of a new dance.

        Bones keep one length, standing feet keep their place, and the floor is at 0. Joints of a
        picture are left as they are: there a bone that points to the camera is short.
        """
        if positions.shape[-1] == 2:
            return positions
        mended = self.steady(positions)
        if not len(self.feet):
            return mended
        planted = plant_feet(mended, self.fps, self.feet, self.rest)
        planted[..., 1] -= floor_height(planted) - self.rest.min()
        return planted

    def draw(
        self,
        positions: np.ndarray,
        yaw: float = 0.0,
        mirror: bool = False,
        camera: str = "follow",
        body: Body | None = None,
    ) -> Iterator[np.ndarray]:
        """Draws joints as a silhouette: the body of `data.motion.draw_body`, or a figure of bones.

        Args:
            positions: (T, J, C) metres, as `decode` gives them.
            yaw: degrees that the camera is turned about the vertical; 90 looks from +x.
            mirror: swap left and right.
            camera: "follow" or "fixed", as in `data.motion.camera.View`.
            body: of the nineteen joints, if measured already.

        Returns:
            An iterator over (120, 208) uint8, 0 dancer and 255 background.

        Raises:
            UserError: joints of a picture are to be seen from the side.
        """
        view = CameraView(yaw, mirror, camera)
        if self.names == JOINTS and not self.is_flat:
            return draw_bodies(positions, self.fps, view, body=body)
        return draw_figures(positions, self.fps, self.parents, view, names=self.names)

    def perform(
        self, vectors: Iterable[np.ndarray], fps: float, num_frames: int, title: str
    ) -> SkeletonClip:
        """Returns the finished joints of a new trajectory; see `Codec.perform`."""
        positions = self.finish(self.decode(np.stack(list(vectors))))
        # A vector holds a turn and a move per frame, so the rate changes after decoding.
        ratio = self.fps / fps
        if ratio != 1:
            # A dance that was stopped at once is too short to interpolate.
            positions = np.stack(
                list(resample_stream(positions, ratio, num_frames)) or [positions[0]]
            )
        return replace(self.clip(positions, title), fps=fps)

    def read_start(self, path: str, row: int, length: int, name: str) -> np.ndarray:
        """Refuses: there are no latents. See `Codec.read_start`."""
        raise UserError(
            f"{visible(name)} dances with joints and has no latents to start from; its start is "
            "the number of a seed clip (from 0)."
        )

    def check_view(self, view: View, name: str) -> None:
        """Accepts every view; `draw` refuses joints of a picture from the side."""

    def parts(self, dance: SkeletonClip, view: View) -> Iterator[Part]:
        """Draws the joints, and yields the small figures in batches, to be enlarged by threads."""
        for batch in batches(self.draw(dance.positions, view.yaw), _BATCH):
            yield Part(partial(_to_background, batch))

    def write(self, path: Path, dance: SkeletonClip, format: str, overwrite: bool = False) -> int:
        """Writes the joints as bvh, npz or html; see `Codec.write`."""
        if format == "bvh":
            from dancenet.data.mocap.bvh_writer import write_bvh

            write_bvh(path, dance, overwrite)
        elif format == "html":
            write_html(path, dance, overwrite)
        else:
            dance.save(path, overwrite)
        return dance.num_frames

    def clip(self, positions: np.ndarray, source: str) -> SkeletonClip:
        """Returns joints (T, J, C) as a clip of this skeleton, which can be saved or written."""
        return SkeletonClip(
            positions=positions.astype(np.float32),
            fps=self.fps,
            ok=np.ones(len(positions), dtype=bool),
            names=self.names,
            parents=self.parents,
            offsets=self.offsets,
            source=source,
        )

    def save(self, path: str | Path) -> None:
        """Writes the codec as .npz, atomically."""
        arrays.write_npz(
            path,
            format=np.int64(_FORMAT),
            fps=np.float64(self.fps),
            joints=np.array(self.names),
            # Offsets that are not known are an empty array.
            parents=np.array(self.parents, np.int64),
            offsets=np.zeros((0, 3)) if self.offsets is None else self.offsets,
            lengths=self.lengths,
            facing=self.facing,
            middle=self.middle,
            twin=self.twin,
            kept=self.kept,
            constant=self.constant,
            size=np.float64(self.size),
            feet=self.feet.astype(np.int64),
            rest=self.rest,
            mean=self.scaler.mean,
            basis=self.scaler.basis,
            scale=self.scaler.scale,
        )

    @classmethod
    def load(cls, path: str | Path) -> SkeletonCodec:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing, damaged, not a codec, or of another version.
        """
        arrays = checked.read_npz(path, "skeleton codec")
        require_arrays(arrays, _NAMES, path, "skeleton codec")
        try:
            if scalar(int, arrays, "format") != _FORMAT:
                raise ValueError(f"format {arrays['format']}; this version reads {_FORMAT}")
            for name, kind in (("joints", "U"), ("parents", "i")):
                if arrays[name].ndim != 1 or arrays[name].dtype.kind != kind:
                    raise ValueError(f"{name} is {described(arrays[name])}")
            return cls(
                fps=scalar(float, arrays, "fps"),
                names=tuple(str(name) for name in arrays["joints"]),
                parents=tuple(arrays["parents"].tolist()),
                offsets=arrays["offsets"] if arrays["offsets"].size else None,
                lengths=arrays["lengths"],
                facing=arrays["facing"],
                middle=arrays["middle"],
                twin=arrays["twin"],
                kept=arrays["kept"],
                constant=arrays["constant"],
                size=scalar(float, arrays, "size"),
                feet=arrays["feet"],
                rest=arrays["rest"],
                scaler=Scaler(arrays["mean"], arrays["basis"], arrays["scale"]),
            )
        except (TypeError, ValueError, ArithmeticError) as error:
            raise unusable(path, error) from error

    def _rows(self, positions: np.ndarray) -> tuple[np.ndarray, Placement]:
        expected = (len(self.names), 2 if self.is_flat else 3)
        if positions.ndim != 3 or positions.shape[1:] != expected or not len(positions):
            raise UserError(
                f"This model dances with {expected[0]} joints in {expected[1]} dimensions; "
                f"received positions of shape {positions.shape}. Give a motion of the skeleton "
                "it was trained on."
            )
        bad = ~np.isfinite(positions).all(axis=(1, 2))
        if bad.any():
            raise UserError(
                f"{int(bad.sum())} of {len(positions)} frames hold NaN or infinity, the first is "
                f"frame {int(np.argmax(bad)) + 1}; cut them out first."
            )
        return to_rows(positions, self.middle, self.facing, self.fps)


if TYPE_CHECKING:
    _is_a_codec: type[Codec] = SkeletonCodec


def _are_joints(indices: np.ndarray, num_joints: int) -> bool:
    return (
        indices.ndim == 1
        and indices.dtype.kind == "i"
        and bool(((0 <= indices) & (indices < num_joints)).all())
    )


def _to_background(frames: np.ndarray) -> np.ndarray:
    """Takes (B, H, W) uint8; returns background probability (B, H, W) float32."""
    return frames.astype(np.float32) / np.float32(BACKGROUND)

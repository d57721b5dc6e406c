"""Joints to a trajectory and back.

A row of a trajectory says how the dancer turns and moves from the frame before, how high its
middle is, and where every joint is beside it, in the dancer's own directions:

    turn           radians about the vertical since the frame before
    across, ahead  metres the middle moved since the frame before, in that frame's heading
    height         metres of the middle above the floor
    joints         metres from the middle to each joint, in this frame's heading

so that the same step looks the same wherever it is danced and wherever it leads. What never
moves is left out and put back, and so is a joint that is always where another is; the rest is
scaled. Turns and moves are summed up in double precision. Joints of a picture have no turn and
nothing ahead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancenet.codecs.base import Scaler, require_arrays
from dancenet.data.frames.picture import BACKGROUND
from dancenet.data.mocap.amc import JOINT_BONES
from dancenet.data.mocap.joint_names import find_joints
from dancenet.data.motion.bones import bone_lengths, infer_parents, steady_bones
from dancenet.data.motion.clip import SkeletonClip, check_same_skeleton
from dancenet.data.motion.draw_body import Body, draw_bodies
from dancenet.data.motion.draw_bones import draw_figures
from dancenet.data.motion.feet import find_feet, floor_height, plant_feet
from dancenet.data.motion.motion import JOINTS
from dancenet.data.motion.tree import check_tree
from dancenet.support import files
from dancenet.support.errors import UnknownSkeleton, UserError

HEADING_SECONDS = 0.1  # deviation of the Gaussian over the heading: hips twist, dancers turn
STILL = 1e-5  # of the body's size: a coordinate that moves less counts as still
LEAST_SCALE = 1e-3  # of the body's size: the least that a model unit of a joint is worth

# Pairs of joints whose line from right to left is square to where a dancer looks.
_ACROSS = (("l_hip", "r_hip"), ("l_shoulder", "r_shoulder"))
_ROUNDS = 20  # of aligning all frames with their mean
_SAMPLED = 3000  # frames that say enough of a skeleton
_NEVER = 1e-9  # metres or radians; a step adds up, so it is left out only if it never is one

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
class Placement:
    """Where a dancer is and faces before the first frame of a trajectory."""

    heading: float = 0.0  # radians about the vertical, 0 faces +z and grows towards +x
    place: tuple[float, ...] = (0.0, 0.0)  # metres of the middle: x and z, or x of a picture


@dataclass(frozen=True)
class SkeletonCodec:
    """The codec of one skeleton, fitted on training clips; see the module.

    `decode` gives joints, which can be drawn from any side or written to a file, `pictures`
    what `codecs.base.Codec` calls decoding.
    """

    fps: float  # frames per second of the training clips
    names: tuple[str, ...]  # J
    parents: tuple[int, ...]  # J, -1 for the root; measured where no file said it
    offsets: np.ndarray | None  # (J, 3) metres from the parent in the rest pose, where known
    lengths: np.ndarray  # (J,) metres, the usual length of the bone to the parent; 0 of the root
    # (J, 2) weights of x and z: the heading is the turn that brings these places nearest to
    # the joints. All zero keeps the heading fixed.
    facing: np.ndarray
    middle: np.ndarray  # (J,) weights, sum 1, of the joints in whose mean the middle is
    twin: np.ndarray  # (J,) the joint that a joint is always with; its own number if with none
    kept: np.ndarray  # (R,) bool, columns of a raw row that move
    constant: np.ndarray  # (R,) float64, the value of those that do not
    size: float  # metres, the body's size: the root mean square distance of its joints
    feet: np.ndarray  # (F,) joints it stands on, none in a picture
    rest: np.ndarray  # (F,) metres, their height above the floor where they stand
    scaler: Scaler  # kept columns to model units

    def __post_init__(self) -> None:
        num_joints = len(self.names)
        raw_dim = len(self.kept) if self.kept.ndim == 1 else -1
        shapes = {
            "lengths": (num_joints,),
            "facing": (num_joints, 2),
            "middle": (num_joints,),
            "twin": (num_joints,),
            "constant": (raw_dim,),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"{name} must be finite, of shape {shape}: {array.shape}")
        if raw_dim not in (num_joints * 2 + 2, num_joints * 3 + 4) or self.kept.dtype != bool:
            raise ValueError(f"kept {self.kept.shape} does not fit {num_joints} joints")
        if self.kept.sum() != self.scaler.latent_dim:
            raise ValueError(
                f"kept has {self.kept.sum()} columns and the scaler {self.scaler.latent_dim}"
            )
        if not (np.isfinite(self.fps) and self.fps > 0 and np.isfinite(self.size)):
            raise ValueError(f"the frame rate is {self.fps} and the size {self.size}")
        if self.twin.dtype.kind != "i" or not ((0 <= self.twin) & (self.twin < num_joints)).all():
            raise ValueError("twin must be joints of the skeleton")
        check_tree(self.parents, num_joints)
        if (
            self.feet.shape != self.rest.shape
            or not np.isin(self.feet, np.arange(num_joints)).all()
        ):
            raise ValueError("feet must be joints of the skeleton, with a height each")
        if self.offsets is not None and self.offsets.shape != (num_joints, 3):
            raise ValueError(f"offsets must be ({num_joints}, 3): {self.offsets.shape}")

    @classmethod
    def fit(
        cls, clips: Sequence[SkeletonClip], variance: float = 1.0, heading: bool = True
    ) -> SkeletonCodec:
        """Learns what is left out, what is forward, and the scale, from training clips.

        Forward is square to the line from right to left through hips and shoulders where
        their names are known; else the heading is the turn about the vertical that brings all
        joints nearest to their mean, and which way the dancer looks is not known. In a picture
        there is no heading.

        Args:
            clips: good frames only, of one skeleton and one rate.
            variance: share of the variance of the joints to keep, in (0, 1]. 1 keeps every
                coordinate by itself and a round trip is exact; less takes the principal
                directions in which the joints move, the fewest that hold it.
            heading: False keeps the heading fixed, so that turning is a matter of the joints.

        Raises:
            UserError: the clips do not fit together, or nothing moves.
        """
        if not clips:
            raise ValueError("a codec is fitted on one clip at least.")
        check_same_skeleton(clips)
        rates = sorted({clip.fps for clip in clips})
        if len(rates) > 1:
            raise UserError(
                "All clips of a training have one rate, but these have "
                f"{', '.join(f'{rate:g}' for rate in rates)} frames/s; resample them first."
            )
        if not 0 < variance <= 1:
            raise ValueError(f"variance must be in (0, 1]; received {variance}.")
        first = clips[0]
        whole = np.concatenate([clip.positions for clip in clips]).astype(np.float64)
        rows = np.unique(np.linspace(0, len(whole) - 1, min(len(whole), _SAMPLED)).astype(int))
        sample = whole[rows]
        size = _body_size(sample)
        if not size > 0:
            raise UserError(f"All joints of {first.source} are in one place; nothing can dance.")
        flat = whole.shape[2] == 2
        known = _known_joints(first)
        middle = _middle(first, known)
        facing = np.zeros((len(first.names), 2))
        if heading and not flat:
            facing = _facing(first.names, known, sample)
        raw = np.concatenate(
            [_to_rows(clip.positions, middle, facing, clip.fps)[0] for clip in clips]
        )
        twin = _twins(sample, whole, STILL * size)
        lead = _lead(whole.shape[2])
        low, high = raw.min(axis=0), raw.max(axis=0)
        kept = high - low > np.where(np.arange(raw.shape[1]) < lead, _NEVER, STILL * size)
        kept[lead:] &= np.repeat(twin == np.arange(len(twin)), whole.shape[2])
        if not kept.any():
            raise UserError(f"Nothing moves in {first.source}; there is no dance to learn.")
        least = np.where(np.arange(raw.shape[1]) < lead, STILL, LEAST_SCALE) * size
        scaler = _fit_scaler(raw[:, kept], least[kept], int(kept[:lead].sum()), variance)
        parents = infer_parents(sample) if first.parents is None else first.parents
        feet, rest = (np.zeros(0, int), np.zeros(0)) if flat else find_feet(sample)
        return cls(
            first.fps,
            first.names,
            parents,
            first.offsets,
            bone_lengths(sample, parents),
            facing,
            middle,
            twin,
            kept,
            (low + high) / 2,
            size,
            feet,
            rest,
            scaler,
        )

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
            f"{clip.source} has {len(clip.names)} joints in {axes} dimensions"
            + (f", among them {', '.join(strange)}" if strange else "")
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
        local = raw[:, _lead(num_axes) :].reshape(len(raw), len(self.names), num_axes)
        local = local[:, self.twin]
        if self.is_flat:
            across = start.place[0] + np.cumsum(raw[:, 0])
            middle = np.stack([across, raw[:, 1]], axis=1)
            end = Placement(0.0, (float(across[-1]),)) if len(raw) else start
            return (local + middle[:, None]).astype(np.float32), end
        headings = start.heading + np.cumsum(raw[:, 0])
        before = np.concatenate([[start.heading], headings[:-1]])
        moves = _turned(np.stack([raw[:, 1], np.zeros(len(raw)), raw[:, 2]], axis=1), before)
        middle = np.cumsum(moves, axis=0) + [start.place[0], 0.0, start.place[1]]
        middle[:, 1] = raw[:, 3]
        positions = _turned(local, headings[:, None]) + middle[:, None]
        end = start
        if len(raw):
            end = Placement(_wrapped(headings[-1]), (middle[-1, 0], middle[-1, 2]))
        return positions.astype(np.float32), end

    def steady(self, positions: np.ndarray) -> np.ndarray:
        """Gives the bones of (T, J, C) the lengths they have in the training clips.

        A trajectory that was danced anew knows nothing of bones; their lengths tremble.
        """
        return steady_bones(positions, self.parents, self.lengths)

    def finish(self, positions: np.ndarray) -> np.ndarray:
        """Mends the joints (T, J, C) of a dance made anew, as it was decoded.

        Bones get one length, feet that stand stay where they stand, and the floor is at 0. Joints
        of a picture are left as they are: a bone that points to the camera is short there.
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
            camera: "follow" or "fixed", as in `data.motion.draw_body.draw_bodies`.
            body: of the nineteen joints, if measured already.

        Returns:
            An iterator over (120, 208) uint8, 0 dancer and 255 background.

        Raises:
            UserError: a picture is to be seen from the side.
        """
        if self.names == JOINTS and not self.is_flat:
            return draw_bodies(
                positions, self.fps, yaw=yaw, mirror=mirror, camera=camera, body=body
            )
        return draw_figures(
            positions,
            self.fps,
            self.parents,
            names=self.names,
            yaw=yaw,
            mirror=mirror,
            camera=camera,
        )

    def pictures(self, vectors: np.ndarray, yaw: float = 0.0) -> np.ndarray:
        """Takes (T, D) in model units; returns the pictures (T, H, W) float32, 1 background."""
        frames = np.stack(list(self.draw(self.decode(vectors), yaw)))
        return frames.astype(np.float32) / np.float32(BACKGROUND)

    def clip(self, positions: np.ndarray, source: str) -> SkeletonClip:
        """Returns joints (T, J, C) as a clip of this skeleton, which can be saved or written."""
        return SkeletonClip(
            positions.astype(np.float32),
            self.fps,
            np.ones(len(positions), dtype=bool),
            self.names,
            self.parents,
            self.offsets,
            source,
        )

    def save(self, path: str | Path) -> None:
        """Writes the codec as .npz, atomically."""
        files.write_npz(
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
            UserError: the file is missing, damaged, no codec, or of another version.
        """
        arrays = files.read_npz(path, "skeleton codec")
        require_arrays(arrays, _NAMES, path, "skeleton codec")
        try:
            if int(arrays["format"]) != _FORMAT:
                raise ValueError(f"format {arrays['format']}; this version reads {_FORMAT}")
            codec = cls(
                float(arrays["fps"]),
                tuple(str(name) for name in arrays["joints"]),
                tuple(int(parent) for parent in arrays["parents"]),
                arrays["offsets"] if len(arrays["offsets"]) else None,
                arrays["lengths"],
                arrays["facing"],
                arrays["middle"],
                arrays["twin"],
                arrays["kept"],
                arrays["constant"],
                float(arrays["size"]),
                arrays["feet"],
                arrays["rest"],
                Scaler(arrays["mean"], arrays["basis"], arrays["scale"]),
            )
        except (TypeError, ValueError) as error:
            raise UserError(f"{path} cannot be used: {error}.") from error
        return codec

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
        return _to_rows(positions, self.middle, self.facing, self.fps)


def _lead(num_axes: int) -> int:
    """Returns how many columns of a row come before the joints'."""
    return 2 if num_axes == 2 else 4


def _to_rows(
    positions: np.ndarray, middle_weights: np.ndarray, facing: np.ndarray, fps: float
) -> tuple[np.ndarray, Placement]:
    """Takes positions (T, J, C); returns rows (T, R) as the module says, and where they start."""
    positions = positions.astype(np.float64)
    middle = np.einsum("tjc,j->tc", positions, middle_weights)
    local = positions - middle[:, None]
    if positions.shape[2] == 2:
        moves = _differences(middle[:, 0])
        rows = np.column_stack([moves, middle[:, 1], local.reshape(len(local), -1)])
        return rows, Placement(0.0, (float(middle[0, 0] - moves[0]),))
    headings = _headings(local, facing, fps)
    turns = _differences(headings)
    before = headings - turns
    moves = _turned(_differences(middle), -before)
    # The move before the first frame is the second's as the dancer sees it, not as the stage does.
    moves[0] = moves[min(1, len(moves) - 1)]
    first = middle[0] - _turned(moves[:1], before[:1])[0]
    local = _turned(local, -headings[:, None])
    rows = np.column_stack(
        [turns, moves[:, 0], moves[:, 2], middle[:, 1], local.reshape(len(local), -1)]
    )
    return rows, Placement(_wrapped(before[0]), (float(first[0]), float(first[2])))


def _headings(local: np.ndarray, facing: np.ndarray, fps: float) -> np.ndarray:
    """Returns (T,) radians, continuous, of joints (T, J, 3) around their middle.

    The turn that brings places m nearest to places p is the angle of a sum of products, one
    for its cosine and one for its sine. These are smoothed over time, not the angle, so that a
    frame that says little (a dancer who lies on the side) counts little.
    """
    if not facing.any():
        return np.zeros(len(local))
    x, z = local[..., 0], local[..., 2]
    cos = x @ facing[:, 0] + z @ facing[:, 1]
    sin = x @ facing[:, 1] - z @ facing[:, 0]
    deviation = HEADING_SECONDS * fps
    return np.unwrap(np.arctan2(_smooth(sin, deviation), _smooth(cos, deviation)))


def _turned(vectors: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Turns (…, 3) about the vertical by (…) radians, from z towards x."""
    cos, sin = np.cos(angles), np.sin(angles)
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.stack(
        [x * cos + z * sin, np.broadcast_to(y, np.broadcast(x, cos).shape), z * cos - x * sin],
        axis=-1,
    )


def _wrapped(angle: float) -> float:
    return float(math.remainder(angle, 2 * math.pi))


def _differences(values: np.ndarray) -> np.ndarray:
    """Returns the step (T, …) to each row from the row before; the first is as the second."""
    steps = np.diff(values, axis=0)
    return np.concatenate([steps[:1] if len(steps) else np.zeros_like(values[:1]), steps])


def _smooth(values: np.ndarray, deviation: float) -> np.ndarray:
    """Low-passes (T,) with a Gaussian of so many frames; the ends are held."""
    radius = math.ceil(3 * deviation)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(deviation, 1e-9)) ** 2)
    return np.convolve(np.pad(values, radius, mode="edge"), kernel / kernel.sum(), "valid")


def _body_size(positions: np.ndarray) -> float:
    apart = positions - positions.mean(axis=1, keepdims=True)
    return float(np.sqrt((apart**2).sum(axis=2).mean()))


def _known_joints(clip: SkeletonClip) -> dict[str, tuple[str, ...]]:
    """Returns which joints of a clip are those of the body we know, where it can be told."""
    if set(JOINT_BONES.values()) <= set(clip.names):
        return {joint: (bone,) for joint, bone in JOINT_BONES.items()}
    known: dict[str, tuple[str, ...]] = {name: (name,) for name in clip.names}
    if clip.parents is not None:
        try:
            known |= find_joints(clip.source, clip.names, clip.parents)
        except UnknownSkeleton:
            pass
    return known


def _middle(clip: SkeletonClip, known: dict[str, tuple[str, ...]]) -> np.ndarray:
    """Returns weights (J,): the pelvis, or else the root, or else the mean of all joints."""
    weights = np.zeros(len(clip.names))
    if "pelvis" in known:
        for name in known["pelvis"]:
            weights[clip.names.index(name)] += 1.0 / len(known["pelvis"])
    elif clip.parents is not None:
        weights[clip.parents.index(-1)] = 1.0
    else:
        weights[:] = 1.0 / len(weights)
    return weights


def _facing(
    names: Sequence[str], known: dict[str, tuple[str, ...]], positions: np.ndarray
) -> np.ndarray:
    """Returns (J, 2), the places across and ahead that the heading turns the joints from."""
    facing = np.zeros((len(names), 2))
    for left, right in _ACROSS:
        if left in known and right in known:
            facing[names.index(known[left][0]), 0] += 1.0
            facing[names.index(known[right][0]), 0] -= 1.0
    if facing.any():
        return facing
    # Without names: aligned in turn with their mean (generalised Procrustes analysis, Gower
    # 1975), beginning with the frame in which the body is broadest.
    flat = positions[..., 0] + 1j * positions[..., 2]
    flat = flat - flat.mean(axis=1, keepdims=True)
    mean = flat[np.argmax(np.abs(flat).sum(axis=1))]
    for _ in range(_ROUNDS):
        turn = flat @ mean.conj()
        turn = np.where(np.abs(turn) > 0, turn / np.maximum(np.abs(turn), 1e-12), 1.0)
        mean = (flat * turn.conj()[:, None]).mean(axis=0)
    return np.stack([mean.real, mean.imag], axis=1)


def _twins(sample: np.ndarray, positions: np.ndarray, tolerance: float) -> np.ndarray:
    """Returns for each joint (J,) the first joint that is always within `tolerance` of it.

    Pairs are sought in a few frames and then checked in all.
    """
    twin = np.arange(positions.shape[1])
    for joint in range(1, len(twin)):
        apart = np.abs(sample[:, :joint] - sample[:, joint : joint + 1]).max(axis=(0, 2))
        for other in np.flatnonzero(apart <= tolerance).tolist():
            if np.abs(positions[:, other] - positions[:, joint]).max() <= tolerance:
                twin[joint] = twin[other]
                break
    return twin


def _fit_scaler(raw: np.ndarray, least: np.ndarray, lead: int, variance: float) -> Scaler:
    """Fits the map into model units: lead columns each by itself, joints perhaps together."""
    columns = Scaler.fit_columns(raw)
    scale = np.maximum(raw.std(axis=0), least)
    if variance == 1:
        return Scaler(columns.mean, columns.basis, scale.astype(np.float32))
    joints = Scaler.fit_pca(raw[:, lead:], variance, max_dim=raw.shape[1])
    basis = np.zeros((lead + joints.dim, raw.shape[1]), np.float32)
    basis[:lead, :lead] = np.eye(lead)
    basis[lead:, lead:] = joints.basis
    return Scaler(
        columns.mean, basis, np.concatenate([scale[:lead], joints.scale]).astype(np.float32)
    )

"""Fits the codec of one skeleton on training clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dancenet.codecs.base import Scaler
from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.codecs.skeleton_rows import lead_columns, to_rows
from dancenet.data.mocap.formats.amc import JOINT_BONES
from dancenet.data.mocap.joint_names import find_joints, limbs
from dancenet.data.motion.bones import bone_lengths, infer_parents
from dancenet.data.motion.clip import SkeletonClip, check_same_skeleton
from dancenet.data.motion.feet import find_feet
from dancenet.support.errors import UnknownSkeleton, UserError
from dancenet.support.names import quoted

STILL = 1e-5  # body sizes; a coordinate that moves less counts as still
LEAST_SCALE = 1e-3  # body sizes; the least that a model unit of a joint is worth
SAMPLED = 3000  # frames from which the skeleton is measured

# Pairs of joints whose line from right to left is square to where a dancer looks.
_ACROSS = (("l_hip", "r_hip"), ("l_shoulder", "r_shoulder"))
_ROUNDS = 20  # iterations that align all frames with their mean
# Metres or radians. Steps add up, so a step is left out only if it is never above this.
_NEVER = 1e-9


def fit_codec(
    clips: Sequence[SkeletonClip], variance: float = 1.0, heading: bool = True
) -> SkeletonCodec:
    """Fits what is left out, what is forward, and the scale; see `SkeletonCodec.fit`."""
    _check(clips, variance)
    first = clips[0]
    whole = np.concatenate([clip.positions for clip in clips]).astype(np.float64)
    chosen = np.unique(np.linspace(0, len(whole) - 1, min(len(whole), SAMPLED)).astype(int))
    sample = whole[chosen]
    size = _body_size(sample)
    if not size > 0:
        raise UserError(
            f"All joints of {quoted(first.source)} are in one place; nothing can dance."
        )
    flat = whole.shape[2] == 2
    known = _known_joints(first)
    middle = _middle(first, known)
    facing = np.zeros((len(first.names), 2))
    if heading and not flat:
        facing = _facing(first.names, known, sample)
    raw = np.concatenate([to_rows(clip.positions, middle, facing, clip.fps)[0] for clip in clips])
    twin = _twins(sample, whole, STILL * size)
    lead = lead_columns(whole.shape[2])
    is_lead = np.arange(raw.shape[1]) < lead
    low, high = raw.min(axis=0), raw.max(axis=0)
    kept = high - low > np.where(is_lead, _NEVER, STILL * size)
    kept[lead:] &= np.repeat(twin == np.arange(len(twin)), whole.shape[2])
    if not kept.any():
        raise UserError(f"Nothing moves in {quoted(first.source)}; there is no dance to learn.")
    if not kept[lead:].any():
        raise UserError(
            f"In {quoted(first.source)} the body moves as a whole and no joint moves against the "
            "others, so there is no dance to learn; export the turns of all joints."
        )
    least = np.where(is_lead, STILL, LEAST_SCALE) * size
    parents = infer_parents(sample) if first.parents is None else first.parents
    feet, rest = (np.zeros(0, int), np.zeros(0)) if flat else find_feet(sample)
    return SkeletonCodec(
        fps=first.fps,
        names=first.names,
        parents=parents,
        offsets=first.offsets,
        lengths=bone_lengths(sample, parents),
        facing=facing,
        middle=middle,
        twin=twin,
        kept=kept,
        constant=(low + high) / 2,
        size=size,
        feet=feet,
        rest=rest,
        scaler=_fit_scaler(raw[:, kept], least[kept], int(kept[:lead].sum()), variance),
    )


def _check(clips: Sequence[SkeletonClip], variance: float) -> None:
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


def _body_size(positions: np.ndarray) -> float:
    """Returns the root mean square distance of the joints from their mean, in metres."""
    apart = positions - positions.mean(axis=1, keepdims=True)
    return float(np.sqrt((apart**2).sum(axis=2).mean()))


def _known_joints(clip: SkeletonClip) -> dict[str, tuple[str, ...]]:
    """Returns the clip's joints for each known joint of a body, where they can be told."""
    if set(JOINT_BONES.values()) <= set(clip.names):
        return {joint: (bone,) for joint, bone in JOINT_BONES.items()}
    known: dict[str, tuple[str, ...]] = {name: (name,) for name in clip.names}
    known |= {limb: (name,) for limb, name in limbs(clip.names).items() if limb not in known}
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
    """Returns (J, 2), the places across and ahead that the joints have at heading 0."""
    facing = np.zeros((len(names), 2))
    for left, right in _ACROSS:
        if left in known and right in known:
            facing[names.index(known[left][0]), 0] += 1.0
            facing[names.index(known[right][0]), 0] -= 1.0
    if facing.any():
        return facing
    # Without names all frames are aligned with their mean, again and again (generalised
    # Procrustes analysis, Gower 1975), beginning with the frame in which the body is broadest.
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
    """Fits the map into model units: lead columns one by one, joints one by one or by PCA."""
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

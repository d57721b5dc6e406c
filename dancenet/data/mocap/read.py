"""Motion of any kind we read as a skeleton: the body we know where it can be told, or its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dancenet.data.mocap import amc, bvh
from dancenet.data.mocap import standing as mocap
from dancenet.data.mocap.joint_names import find_joints
from dancenet.data.mocap.keypoints import Keypoints, read_keypoints, to_body
from dancenet.data.mocap.standing import Standing
from dancenet.data.motion.bones import measure_stretch
from dancenet.data.motion.clip import SkeletonClip
from dancenet.data.motion.motion import JOINTS, PARENTS
from dancenet.data.motion.tree import check_tree
from dancenet.support import files
from dancenet.support.errors import UnknownSkeleton, UserError

FORMATS = (
    ".bvh, .amc, .npz, .npy and keypoints as .json (.bvh and .amc may be gzipped), "
    "or a folder of OpenPose's .json files"
)

GAP_SECONDS = 0.25  # a joint unseen for no longer is put on the straight line between
BODY_HEIGHT = 1.6  # metres from the lowest joint to the highest of an adult who stands
BODY_HEIGHTS = (1.1, 2.1)  # metres
_STANDING = 75  # percentile of the height from frame to frame; dancers bend, and raise their arms
_EVERY_AXIS = 1e-6  # how near to 0..1 an axis must come to count as scaled by itself


def read_skeleton(
    path: str | Path,
    *,
    own: bool = False,
    frame_rate: float | None = None,
    axes: str | None = None,
    up: str | None = None,
    unit: float | None = None,
    skeleton: str | Path | None = None,
) -> SkeletonClip:
    """Reads a motion and says what was assumed and mended in the clip's `warnings`.

    Recordings of bodies come as the nineteen joints of `data.motion.motion`, keypoints of a
    picture with the usual names as the fifteen of `data.mocap.keypoints`, so that files of many
    programs can be mixed. A skeleton whose joints cannot be told keeps its own, with a warning.

    Args:
        path: a .bvh, .amc, .npz, .npy or .json file (.bvh and .amc may be gzipped), or a folder
            of OpenPose's files.
        own: keep the joints of the file, End Sites of some length among them.
        frame_rate: frames per second, instead of what the file says. A .npy or .json that says
            nothing is taken at 30, an .amc at 120.
        axes: for .npy, "TJ" if frames come first and joints second, "JT" if the other way
            round; None guesses.
        up: the axis that points up, one of x, y, z, -x, -y, -z; None measures it. In two
            dimensions only y and -y.
        unit: metres in one unit of the file; None measures it.
        skeleton: for .amc, its .asf; None looks beside it.

    Returns:
        The clip, at the recording's own rate.

    Raises:
        UserError: the file cannot be read as motion; says why.
    """
    path = Path(path)
    if not path.is_dir():
        mocap.check_settings(path, frame_rate, axes, up, unit)
    kind = ".json" if path.is_dir() else mocap.file_kind(path)
    if kind == ".npz":
        return _read_npz(path, own, frame_rate, up, unit)
    if kind == ".npy":
        array, warnings = mocap.load_array(path, axes)
        rate = mocap.array_rate(path, frame_rate, warnings)
        names = JOINTS if array.shape[1:] == (len(JOINTS), 3) else None
        parents = PARENTS if names else None
        return _make_clip(path, array, names, parents, rate, up, unit, warnings)
    if kind == ".json":
        return _read_keypoints(path, own, frame_rate, up, unit)
    if kind not in (".bvh", ".amc"):
        raise UserError(
            f"{path} is of no kind that can be read as a skeleton; those are {FORMATS}."
        )
    warnings = []
    if not own:
        try:
            return SkeletonClip.from_motion(
                mocap.read_motion(path, frame_rate=frame_rate, up=up, unit=unit, skeleton=skeleton)
            )
        except UnknownSkeleton:
            warnings.append(
                f"{path.name}: its joints are not those of a body we know; they are kept as they "
                "are."
            )
    if kind == ".bvh":
        return _read_own_bvh(path, frame_rate, up, unit, warnings)
    return _read_own_amc(path, frame_rate, up, unit, skeleton, warnings)


def _read_own_bvh(
    path: Path, frame_rate: float | None, up: str | None, unit: float | None, warnings: list[str]
) -> SkeletonClip:
    motion = bvh.read_bvh(path)
    warnings += [sentence.replace(str(path), path.name) for sentence in motion.warnings]
    fps = mocap.bvh_rate(path, motion, frame_rate)
    lead = mocap.bvh_lead(path, motion, warnings)
    places = bvh.joint_positions(motion)
    try:
        body = mocap.bvh_body(places, find_joints(path, motion.names, motion.parents))
    except UnknownSkeleton:
        body = None
    # An End Site without a length is its parent once more.
    kept = [
        joint
        for joint, name in enumerate(motion.names)
        if not name.endswith(bvh.END) or np.linalg.norm(motion.offsets[joint]) > 0
    ]
    new = {joint: index for index, joint in enumerate(kept)}
    positions = np.stack([places[motion.names[joint]] for joint in kept], axis=1)
    return _own_clip(
        path,
        positions,
        body,
        tuple(motion.names[joint] for joint in kept),
        tuple(new.get(motion.parents[joint], -1) for joint in kept),
        motion.offsets[kept],
        fps,
        frame_rate is None,
        up,
        unit,
        warnings,
        lead,
    )


def _read_own_amc(
    path: Path,
    frame_rate: float | None,
    up: str | None,
    unit: float | None,
    skeleton: str | Path | None,
    warnings: list[str],
) -> SkeletonClip:
    bones = amc.read_asf(Path(skeleton) if skeleton is not None else amc.find_asf(path))
    motion, losses = amc.read_amc(path, bones)
    warnings += [sentence.replace(str(path), path.name) for sentence in losses]
    places = amc.bone_ends(bones, motion)
    names = list(bones.bones)
    known = set(amc.JOINT_BONES.values()) <= set(names)
    body = mocap.amc_body(places) if known else None
    rate = mocap.amc_rate(path, frame_rate, warnings)
    if body is not None:
        unit = mocap.amc_unit(bones, body, unit)
    return _own_clip(
        path,
        np.stack(list(places.values()), axis=1),
        body,
        tuple(names),
        tuple(names.index(bone.parent) if bone.parent else -1 for bone in bones.bones.values()),
        np.array([bone.vector for bone in bones.bones.values()]),
        rate,
        frame_rate is None,
        up,
        unit,
        warnings,
        0,
    )


def _own_clip(
    path: Path,
    positions: np.ndarray,
    body: np.ndarray | None,
    names: tuple[str, ...],
    parents: tuple[int, ...],
    offsets: np.ndarray,
    fps: float,
    check_rate: bool,
    up: str | None,
    unit: float | None,
    warnings: list[str],
    lead: int,
) -> SkeletonClip:
    if body is None:
        standing = _stand(path, positions, names, fps, up, unit, warnings, lead)
    else:
        standing = mocap.stand(path, body, fps, check_rate, up, unit, warnings, lead)
    return SkeletonClip(
        standing.place(positions),
        standing.fps,
        standing.ok,
        names,
        parents,
        mocap.turn_up(offsets, standing.up) * standing.unit,
        path.name,
        standing.warnings,
    )


def _read_npz(
    path: Path, own: bool, frame_rate: float | None, up: str | None, unit: float | None
) -> SkeletonClip:
    arrays = files.read_npz(path, "motion file")
    for name in ("pos", "fps"):
        if name not in arrays:
            raise UserError(
                f"{path} has no array {name!r} (it holds {', '.join(sorted(arrays)) or 'none'}); "
                "a motion file holds pos (T, J, 2 or 3), fps and, if known, joints (J names), "
                "parents (J) and ok (T)."
            )
    positions, fps = arrays["pos"], arrays["fps"]
    if positions.ndim != 3 or positions.shape[2] not in (2, 3) or positions.dtype.kind not in "fiu":
        raise UserError(
            f"{path} holds positions of {positions.dtype} {positions.shape}; expected numbers "
            "(T, J, 2 or 3)."
        )
    if 0 in positions.shape:
        raise UserError(f"{path} holds no frame; its shape is {positions.shape}.")
    if fps.size != 1 or fps.dtype.kind not in "iuf" or not 0 < float(fps.reshape(())) < np.inf:
        raise UserError(f"{path} must hold one number above 0 as fps, received {fps!r}.")
    rate = frame_rate or float(fps.reshape(()))
    num_frames, num_joints = positions.shape[:2]
    names = parents = offsets = None
    if "joints" in arrays:
        names = tuple(str(name) for name in np.atleast_1d(arrays["joints"]))
        if len(names) != num_joints or len(set(names)) != num_joints:
            raise UserError(
                f"{path} holds {num_joints} joints and {len(set(names))} different names of them."
            )
    if "parents" in arrays:
        parents = _tree(
            path, tuple(int(parent) for parent in np.ravel(arrays["parents"])), num_joints
        )
    if "offsets" in arrays:
        offsets = arrays["offsets"].astype(np.float64)
        if offsets.shape != (num_joints, 3) or not np.isfinite(offsets).all():
            raise UserError(f"{path} holds offsets of {offsets.shape}; expected ({num_joints}, 3).")
    ok = np.asarray(arrays.get("ok", np.ones(num_frames, dtype=bool)))
    if ok.shape != (num_frames,):
        raise UserError(f"{path} holds {num_frames} frames but 'ok' of shape {ok.shape}.")
    if not own and names is not None and positions.shape[2] == 3 and set(JOINTS) <= set(names):
        positions = positions[:, [names.index(name) for name in JOINTS]]
        names, parents, offsets = JOINTS, PARENTS, None
    return _make_clip(
        path,
        positions.astype(np.float64),
        names,
        parents,
        rate,
        up,
        unit,
        [],
        offsets,
        ok.astype(bool),
        as_it_stands=up is None and unit is None,
    )


def _read_keypoints(
    path: Path, own: bool, frame_rate: float | None, up: str | None, unit: float | None
) -> SkeletonClip:
    found: Keypoints = read_keypoints(path)
    warnings = []
    if found.missing:
        warnings.append(
            f"{path.name}: in {found.missing} of {len(found.positions)} frames nobody was seen, "
            "or they are missing."
        )
    body = None if own else to_body(found)
    parents = (
        None if found.parents is None else _tree(path, found.parents, found.positions.shape[1])
    )
    found = body or replace(found, parents=parents)
    rate = frame_rate or found.fps or mocap.array_rate(path, None, warnings)
    if found.up not in (None, *mocap.UP_AXES):
        raise UserError(f"{path} says up is {found.up!r}; it is one of {', '.join(mocap.UP_AXES)}.")
    return _make_clip(
        path, found.positions, found.names, found.parents, rate, up or found.up, unit, warnings
    )


def _tree(path: Path, parents: tuple[int, ...], num_joints: int) -> tuple[int, ...]:
    try:
        check_tree(parents, num_joints)
    except ValueError as error:
        raise UserError(f"The parents in {path} make no skeleton: {error}") from error
    return parents


def _make_clip(
    path: Path,
    positions: np.ndarray,
    names: tuple[str, ...] | None,
    parents: tuple[int, ...] | None,
    fps: float,
    up: str | None,
    unit: float | None,
    warnings: list[str],
    offsets: np.ndarray | None = None,
    ok: np.ndarray | None = None,
    as_it_stands: bool = False,
) -> SkeletonClip:
    """Mends what was not seen, measures what is not known, and makes a clip.

    Args:
        path: where the positions come from.
        positions: (T, J, C) float64, NaN where a joint was not seen.
        names: of the joints; None numbers them.
        parents: of the joints, where known.
        fps: frames per second.
        up: the axis that points up; None measures it.
        unit: metres in one unit; None measures it.
        warnings: what is known already.
        offsets: of the rest pose, where known.
        ok: (T,), frames known to be bad.
        as_it_stands: the file is in metres, y up, floor at 0.
    """
    names = names or tuple(f"joint_{index}" for index in range(positions.shape[1]))
    positions, whole = _fill_gaps(path, positions, names, fps, warnings)
    if as_it_stands:
        standing = Standing("y", 1.0, np.zeros(positions.shape[2]), fps, whole, tuple(warnings))
    elif names == JOINTS and positions.shape[2] == 3:
        standing = mocap.stand(path, positions, fps, False, up, unit, warnings)
    else:
        if _scaled_each_axis(positions):
            up = up or _measure_up(positions, names)
            positions = _even_axes(path, mocap.turn_up(positions, up), warnings)
            warnings.append(f"{path.name}: up is taken to be {up}, where the body is long.")
            up = "y"
        standing = _stand(path, positions, names, fps, up, unit, warnings)
    known = np.ones(len(positions), dtype=bool) if ok is None else ok
    return SkeletonClip(
        standing.place(positions),
        standing.fps,
        standing.ok & whole & known,
        names,
        parents,
        offsets,
        path.name,
        standing.warnings,
    )


def _fill_gaps(
    path: Path,
    positions: np.ndarray,
    names: tuple[str, ...],
    fps: float,
    warnings: list[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Puts joints that were not seen on the line between the frames in which they were.

    Returns:
        (T, J, C) finite, and (T,) whether the frame is whole: no joint of it was unseen for
        longer than GAP_SECONDS.
    """
    seen = np.isfinite(positions).all(axis=2)  # (T, J)
    whole = np.ones(len(positions), dtype=bool)
    if seen.all():
        return positions, whole
    filled = positions.copy()
    times = np.arange(len(positions))
    for joint in np.flatnonzero(~seen.all(axis=0)).tolist():
        rows = np.flatnonzero(seen[:, joint])
        if not len(rows):
            raise UserError(
                f"{path} never says where {names[joint]} is: it is NaN or unseen in every frame. "
                "Leave that joint out of the file."
            )
        for axis in range(positions.shape[2]):
            filled[:, joint, axis] = np.interp(times, rows, positions[rows, joint, axis])
        for first, last in zip([-1, *rows], [*rows, len(times)]):
            inside = first >= 0 and last < len(times)
            if last - first - 1 > (GAP_SECONDS * fps if inside else 0):
                whole[first + 1 : last] = False
    count = int((~seen.all(axis=1)).sum())
    if not whole.any():
        raise UserError(f"{path} holds no frame of finite positions of all its joints.")
    bad = int((~whole).sum())
    warnings.append(
        f"{path.name}: in {count} of {len(positions)} frames joints are NaN or unseen; "
        + (f"{bad} of them are left out, " if bad else "all of them are mended, ")
        + f"gaps of up to {GAP_SECONDS:g} s are filled."
    )
    return filled, whole


def _stand(
    path: Path,
    positions: np.ndarray,
    names: tuple[str, ...],
    fps: float,
    up: str | None,
    unit: float | None,
    warnings: list[str],
    lead: int = 0,
) -> Standing:
    """Measures how a skeleton of its own comes to stand on the floor; see `mocap.stand`."""
    warnings = list(warnings)
    flat = positions.shape[2] == 2
    if flat and up not in (None, "y", "-y"):
        raise UserError(f"In a picture up is y or -y; {up!r} was given for {path}.")
    if up is None:
        up = _measure_up(positions[lead:], names)
        if up != "y":
            warnings.append(f"{path.name}: up is taken to be {up}, where the body is long.")
    positions = mocap.turn_up(positions, up)
    heights = np.ptp(positions[lead:, :, 1], axis=1)
    height = float(np.percentile(heights, _STANDING))
    if not height > 0:
        raise UserError(f"All joints of {path} are in one place, so there is no body to draw.")
    if unit is None:
        unit, name = mocap.nearest_unit(height, BODY_HEIGHT, BODY_HEIGHTS)
        if name != "metres":
            warnings.append(f"{path.name}: lengths are taken to be {name}.")
    positions = positions * unit
    recorded = positions[lead:]
    shift = -np.median(recorded.mean(axis=1), axis=0)
    shift[1] = -float(np.percentile(recorded[..., 1].min(axis=1), mocap.FLOOR_PERCENTILE))
    ok = ~mocap.widened(mocap.fast_frames(recorded, fps), fps)
    ok = np.concatenate([np.zeros(lead, dtype=bool), ok])
    if not ok[lead:].all():
        warnings.append(
            f"{path.name}: {int((~ok[lead:]).sum())} of {len(ok)} frames move as no body can "
            "and are marked as bad."
        )
    return Standing(up, unit, shift, fps, ok, tuple(warnings))


def _measure_up(positions: np.ndarray, names: tuple[str, ...]) -> str:
    """Returns the axis from ankles to neck, or else that along which the body is longest.

    It then points away from the end that keeps still: the lowest joint of a dancer is on the
    floor nearly always, and the highest is not.
    """
    if {"neck", "l_ankle", "r_ankle"} <= set(names):
        neck, left, right = (names.index(name) for name in ("neck", "l_ankle", "r_ankle"))
        upward = (positions[:, neck] - positions[:, [left, right]].mean(axis=1)).mean(axis=0)
        axis = int(np.argmax(np.abs(upward)))
        return ("-" if upward[axis] < 0 else "") + "xyz"[axis]
    flat = positions.shape[2] == 2
    axis = 1 if flat else int(np.argmax(np.ptp(positions, axis=1).mean(axis=0)))
    low, high = positions[..., axis].min(axis=1), positions[..., axis].max(axis=1)
    return ("-" if high.std() < low.std() else "") + "xyz"[axis]


def _scaled_each_axis(positions: np.ndarray) -> bool:
    """Tells positions whose every axis was brought to 0..1 by itself, which bends all bones."""
    ends = np.stack([positions.min(axis=(0, 1)), 1.0 - positions.max(axis=(0, 1))])
    return positions.shape[2] == 3 and bool((np.abs(ends) < _EVERY_AXIS).all())


def _even_axes(path: Path, positions: np.ndarray, warnings: list[str]) -> np.ndarray:
    """Undoes the scaling of each axis by itself; positions have y up."""
    order = [0, 2, 1]
    factors = measure_stretch(positions[..., order])[order]
    warnings.append(
        f"{path.name}: every axis runs from 0 to 1, so they were scaled each by itself; across "
        f"they are multiplied by {factors[0]:.3g} and {factors[2]:.3g}, which keeps the bones "
        "as long as they are."
    )
    return positions * factors

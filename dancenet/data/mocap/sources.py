"""Joints from files of angles (.bvh, .amc) and of keypoints (.json)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dancenet.data.mocap.arrays import assumed_rate, tree
from dancenet.data.mocap.formats import amc, bvh
from dancenet.data.mocap.formats.bvh_text import read_bvh as read_bvh_text
from dancenet.data.mocap.formats.keypoints import read_keypoints, to_body
from dancenet.data.mocap.joint_names import find_joints
from dancenet.data.mocap.reading import (
    UP_AXES,
    Joints,
    Reading,
    ReadOptions,
    rate_of_file,
    rate_of_time,
)
from dancenet.data.mocap.standing import BODY_RANGE, body_size
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.support.errors import UnknownSkeleton, UserError
from dancenet.support.names import quoted, visible

AMC_RATE = 120.0  # frames per second of nearly all of CMU's recordings

# The Daz conversions of the CMU recordings put a rest pose before the recording and resample
# across the step; the interpolation rings for this many frames.
RINGING_FRAMES = 8
REST_DEGREES = 0.5  # the most that a joint's median turn is in a rest pose
_STEP_DEGREES = 10.0  # the least turn from the rest pose to the frame after it
_STILL_DEGREES = 1e-3  # joints that turn less, such as fingers, do not count


def read_bvh(path: Path, options: ReadOptions) -> tuple[Reading, Joints]:
    """Reads a .bvh: the nineteen joints if they are found, or its own.

    Raises:
        UserError: the file cannot be read, or does not say its frame time.
    """
    motion = read_bvh_text(path)
    warnings = list(motion.warnings)
    fps = options.frame_rate or rate_of_time(path, motion.frame_time, warnings)
    lead = RINGING_FRAMES if starts_with_rest_pose(motion) else 0
    if lead:
        warnings.append(
            f"{quoted(path.name)} begins with a rest pose that is no part of the dance; its first "
            f"{lead} frames are marked as bad."
        )
    reading = Reading(
        path=path,
        fps=fps,
        up=options.up,
        unit=options.unit,
        warnings=warnings,
        lead=lead,
        check_rate=options.frame_rate is None,
    )
    try:
        known = find_joints(quoted(path.name), motion.names, motion.parents)
    except UnknownSkeleton as error:
        _warn_of_own_joints(error, options, warnings)
        return reading, _own_bvh(motion, bvh.joint_positions(motion))
    if options.own:
        places = bvh.joint_positions(motion)
        return reading, _own_bvh(motion, places)._replace(body=_known_joints(places, known))
    wanted = {name for group in known.values() for name in group}
    body = _known_joints(bvh.joint_positions(motion, wanted), known)
    return reading, Joints(body, JOINTS, PARENTS)


def _known_joints(places: dict[str, np.ndarray], known: dict[str, tuple[str, ...]]) -> np.ndarray:
    """Returns the nineteen joints (T, 19, 3), each the mean of the joints that were found."""
    return np.stack(
        [np.mean([places[name] for name in known[joint]], axis=0) for joint in JOINTS], axis=1
    )


def _own_bvh(motion: bvh.Bvh, places: dict[str, np.ndarray]) -> Joints:
    # An End Site without a length is at its parent's place, and is left out.
    kept = [
        joint
        for joint, name in enumerate(motion.names)
        if not name.endswith(bvh.END) or np.linalg.norm(motion.offsets[joint]) > 0
    ]
    new = {joint: index for index, joint in enumerate(kept)}
    names = tuple(motion.names[joint] for joint in kept)
    return Joints(
        positions=np.stack([places[name] for name in names], axis=1),
        names=names,
        parents=tuple(new.get(motion.parents[joint], -1) for joint in kept),
        offsets=motion.offsets[kept],
    )


def starts_with_rest_pose(motion: bvh.Bvh) -> bool:
    """Tells a rest pose put before the recording from a dancer who begins in one.

    In the former all joints are at zero and the next frame is far away.
    """
    turns = np.array(
        [name.endswith("rotation") for channels in motion.channels for name in channels]
    )
    if motion.num_frames <= RINGING_FRAMES + 1:
        return False
    degrees = np.abs(motion.values[: RINGING_FRAMES + 1, turns])
    moving = degrees.max(axis=0) > _STILL_DEGREES
    if not moving.any():
        return False
    first, later = np.median(degrees[0, moving]), np.median(degrees[-1, moving])
    step = np.abs(np.diff(motion.values[:2, turns], axis=0)).max()
    return bool(first < REST_DEGREES < later and step > _STEP_DEGREES)


def read_amc(path: Path, options: ReadOptions) -> tuple[Reading, Joints]:
    """Reads an .amc and its .asf: the nineteen joints if they are CMU's, or its own.

    Raises:
        UserError: a file cannot be read, or there is no .asf.
    """
    given = options.skeleton
    skeleton = amc.read_asf(amc.find_asf(path) if given is None else Path(given))
    motion, losses = amc.read_amc(path, skeleton)
    warnings = [*skeleton.warnings, *losses]
    if options.frame_rate is None:
        warnings.append(
            f"{quoted(path.name)} has no frame rate; CMU's {AMC_RATE:g} frames/s are assumed."
        )
    places = amc.bone_ends(skeleton, motion)
    names = tuple(skeleton.bones)
    bones = list(skeleton.bones.values())
    own = Joints(
        positions=np.stack(list(places.values()), axis=1),
        names=names,
        parents=tuple(names.index(bone.parent) if bone.parent else -1 for bone in bones),
        offsets=np.array([bone.vector for bone in bones]),
    )
    reading = Reading(
        path,
        options.frame_rate or AMC_RATE,
        options.up,
        options.unit,
        warnings,
        check_rate=options.frame_rate is None,
    )
    missing = [bone for bone in amc.JOINT_BONES.values() if bone not in names]
    if missing:
        error = UnknownSkeleton(f"{quoted(path.name)} has no bone {', '.join(missing)}.")
        _warn_of_own_joints(error, options, warnings)
        return reading, own
    body = np.stack([places[amc.JOINT_BONES[joint]] for joint in JOINTS], axis=1)
    # The .asf says its unit, which is believed if it makes a body.
    if options.unit is None and BODY_RANGE[0] <= body_size(body) * skeleton.unit <= BODY_RANGE[1]:
        reading = reading._replace(unit=skeleton.unit)
    return reading, own._replace(body=body) if options.own else Joints(body, JOINTS, PARENTS)


def read_points(path: Path, options: ReadOptions) -> tuple[Reading, Joints]:
    """Reads keypoints: the fifteen joints of `formats.keypoints` if they are named, or all.

    Raises:
        UserError: the file cannot be read, or says what cannot be.
    """
    found = read_keypoints(path)
    warnings = list(found.warnings)
    if found.missing:
        warnings.append(
            f"{quoted(path.name)}: in {found.missing} of {len(found.positions)} frames nobody was "
            "seen, or they are missing."
        )
    parents = found.parents
    if parents is not None:
        parents = tree(path, list(parents), found.positions.shape[1])
    joints = Joints(found.positions, found.names, parents)
    body = None if options.own else to_body(found)
    if body is not None:
        joints = Joints(body.positions, body.names, body.parents)
    if found.up not in (None, *UP_AXES):
        raise UserError(
            f"{quoted(path)} says up is {visible(repr(found.up)):.60}; it is one of "
            f"{', '.join(UP_AXES)}."
        )
    rate = options.frame_rate
    if rate is None and found.fps is not None:
        rate = rate_of_file(path, found.fps, warnings)
    elif rate is None:
        rate = assumed_rate(path, warnings)
    return Reading(path, rate, options.up or found.up, options.unit, warnings), joints


def _warn_of_own_joints(error: UnknownSkeleton, options: ReadOptions, warnings: list[str]) -> None:
    if not options.own:
        warnings.append(f"{error} It is not a body we know, so its own joints are kept.")

"""The reader of motion files: any kind becomes a `SkeletonClip`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dancenet.data.mocap import arrays, sources
from dancenet.data.mocap.reading import Joints, Reading, ReadOptions
from dancenet.data.mocap.standing import (
    Standing,
    figure_up,
    stand_as_it_is,
    stand_body,
    stand_figure,
    turn_up,
)
from dancenet.data.motion.bones import measure_stretch
from dancenet.data.motion.clip import SkeletonClip
from dancenet.data.motion.joints import JOINTS
from dancenet.support.errors import UserError

FORMATS = (
    ".bvh, .amc, .npz, .npy and keypoints as .json (.bvh and .amc may be gzipped), "
    "or a folder of OpenPose's .json files"
)
GAP_SECONDS = 0.25  # a joint unseen for no longer is put on the straight line between

_EVERY_AXIS = 1e-6  # how near to 0..1 an axis must come to count as scaled by itself

_READERS: dict[str, Callable[[Path, ReadOptions], tuple[Reading, Joints]]] = {
    ".bvh": sources.read_bvh,
    ".amc": sources.read_amc,
    ".json": sources.read_points,
    ".npy": arrays.read_npy,
    ".npz": arrays.read_npz,
}


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
    """Reads a motion and brings it to metres, y up, floor at 0.

    Recordings of bodies come as the nineteen joints of `data.motion.joints`, keypoints of a
    picture with the usual names as the fifteen of `data.mocap.keypoints`, so that files of many
    programs can be mixed. Another skeleton keeps its own joints, with a warning.

    What the file does not say is measured (unit of length, direction of up, order of axes), and
    what it says is checked (frame rate, a rest pose before the recording). Everything assumed or
    mended is a sentence in the clip's `warnings`.

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
    options = ReadOptions(
        own=own, frame_rate=frame_rate, axes=axes, up=up, unit=unit, skeleton=skeleton
    )
    options.check()
    if not path.exists():
        raise UserError(f"{path} is not a file; give the path of a motion capture file.")
    reader = _READERS.get(_kind(path))
    if reader is None:
        raise UserError(
            f"{path} is of no kind that can be read as a skeleton; those are {FORMATS}."
        )
    return _make_clip(*reader(path, options))


def _kind(path: Path) -> str:
    """Returns the suffix in lower case, the one before a .gz; a folder holds keypoints."""
    if path.is_dir():
        return ".json"
    return (path.with_suffix("").suffix if path.suffix.lower() == ".gz" else path.suffix).lower()


def _make_clip(reading: Reading, joints: Joints) -> SkeletonClip:
    """Mends what was not seen, measures what is not known, and makes a clip."""
    count = joints.positions.shape[1]
    names = joints.names or tuple(f"joint_{index}" for index in range(count))
    positions, whole = _fill_gaps(reading, joints.positions, names)
    standing: Standing
    if reading.in_metres:
        standing = stand_as_it_is(reading, positions)
    elif joints.body is not None:
        standing = stand_body(reading, joints.body)
    elif names == JOINTS and positions.shape[2] == 3:
        standing = stand_body(reading, positions)
    else:
        if _scaled_each_axis(positions):
            up = reading.up or figure_up(positions, names)
            positions = _even_axes(reading, turn_up(positions, up), up)
            reading = reading._replace(up="y")
        standing = stand_figure(reading, positions, names)
    offsets = joints.offsets
    if offsets is not None:
        offsets = turn_up(offsets, standing.up) * standing.unit
    ok = standing.ok & whole
    return SkeletonClip(
        positions=standing.place(positions),
        fps=standing.fps,
        ok=ok if joints.ok is None else ok & joints.ok,
        names=names,
        parents=joints.parents,
        offsets=offsets,
        source=reading.path.name,
        warnings=tuple(reading.warnings),
    )


def _fill_gaps(
    reading: Reading, positions: np.ndarray, names: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Puts joints that were not seen on the line between the frames in which they were.

    Returns:
        (T, J, C) finite, and (T,) whether the frame is whole: no joint was unseen for longer
        than GAP_SECONDS.
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
                f"{reading.path} never says where {names[joint]} is: it is NaN or unseen in every "
                "frame. Leave that joint out of the file."
            )
        for axis in range(positions.shape[2]):
            filled[:, joint, axis] = np.interp(times, rows, positions[rows, joint, axis])
        for first, last in zip([-1, *rows], [*rows, len(times)]):
            inside = first >= 0 and last < len(times)
            if last - first - 1 > (GAP_SECONDS * reading.fps if inside else 0):
                whole[first + 1 : last] = False
    if not whole.any():
        raise UserError(f"{reading.path} holds no frame of finite positions of all its joints.")
    count, bad = int((~seen.all(axis=1)).sum()), int((~whole).sum())
    reading.warnings.append(
        f"{reading.path.name}: in {count} of {len(positions)} frames joints are NaN or unseen; "
        + (f"{bad} of them are left out, " if bad else "all of them are mended, ")
        + f"gaps of up to {GAP_SECONDS:g} s are filled."
    )
    return filled, whole


def _scaled_each_axis(positions: np.ndarray) -> bool:
    """Tells positions whose every axis was brought to 0..1 by itself, which bends all bones."""
    ends = np.stack([positions.min(axis=(0, 1)), 1.0 - positions.max(axis=(0, 1))])
    return positions.shape[2] == 3 and bool((np.abs(ends) < _EVERY_AXIS).all())


def _even_axes(reading: Reading, positions: np.ndarray, up: str) -> np.ndarray:
    """Undoes the scaling of each axis by itself; positions (T, J, 3) have y up."""
    order = [0, 2, 1]
    factors = measure_stretch(positions[..., order])[order]
    reading.warnings.append(
        f"{reading.path.name}: every axis runs from 0 to 1, so each was scaled by itself; the "
        f"horizontal ones are multiplied by {factors[0]:.3g} and {factors[2]:.3g}, which keeps "
        "the bones' lengths."
    )
    reading.warnings.append(f"{reading.path.name}: up is taken to be {up}, where the body is long.")
    return positions * factors

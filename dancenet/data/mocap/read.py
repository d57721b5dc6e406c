"""The reader of motion files: any kind becomes a `SkeletonClip`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dancenet.data.mocap import arrays, sources, upright
from dancenet.data.mocap.reading import Joints, Reading, ReadOptions
from dancenet.data.mocap.standing import (
    Standing,
    stand_as_it_is,
    stand_body,
    stand_figure,
    turn_up,
)
from dancenet.data.motion.bones import measure_stretch
from dancenet.data.motion.clip import SkeletonClip
from dancenet.data.motion.joints import JOINTS
from dancenet.data.motion.tree import MOST_JOINTS
from dancenet.support import terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, visible

FORMATS = (
    ".bvh, .amc, .npz, .npy and keypoints as .json (.bvh and .amc may be gzipped), "
    "or a folder of OpenPose's .json files"
)
GAP_SECONDS = 0.25  # a joint unseen for no longer is put on the straight line between
HELD = 256 << 20  # bytes of motions that are kept while others are measured
FARTHEST = 1e5  # metres from the middle of the motion; farther off nothing dances

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
    picture with the usual names as the fifteen of `data.mocap.formats.keypoints`, so that files
    of many programs can be mixed. Another skeleton keeps its own joints, with a warning.

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
    options = ReadOptions(
        own=own, frame_rate=frame_rate, axes=axes, up=up, unit=unit, skeleton=skeleton
    )
    return make_clip(open_motion(Path(path), options))


def _kind(path: Path) -> str:
    """Returns the suffix in lower case, the one before a .gz; a folder holds keypoints."""
    if path.is_dir():
        return ".json"
    return (path.with_suffix("").suffix if path.suffix.lower() == ".gz" else path.suffix).lower()


class Motion(NamedTuple):
    """A motion in the file's unit and axes, with every joint in every frame."""

    reading: Reading
    joints: Joints  # positions are finite
    names: tuple[str, ...]  # J
    whole: np.ndarray  # (T,) bool, False where a joint was unseen for long
    evidence: upright.Evidence | None  # of up, None where it is known

    @property
    def kind(self) -> tuple[object, ...]:
        """Files of one kind come from one program and have one axis that points up."""
        return _kind(self.reading.path), self.names, self.joints.positions.shape[2]

    @property
    def num_bytes(self) -> int:
        """Bytes of its largest arrays."""
        body = self.joints.body
        return self.joints.positions.nbytes + (0 if body is None else body.nbytes)


def open_motion(path: Path, options: ReadOptions) -> Motion:
    """Reads a file and mends what was not seen; `make_clip` does the rest.

    Raises:
        UserError: the file cannot be read as motion; says why.
    """
    options.check()
    if not path.exists():
        raise UserError(f"{quoted(path)} is not a file; give the path of a motion capture file.")
    reader = _READERS.get(_kind(path))
    if reader is None:
        raise UserError(
            f"{quoted(path)} is of no kind that can be read as a skeleton; those are {FORMATS}."
        )
    return complete(*reader(path, options))


def complete(reading: Reading, joints: Joints) -> Motion:
    """Mends what was not seen of a motion that is in memory, and measures where up is.

    Args:
        reading: what is known; `path` names the motion in messages.
        joints: the motion.

    Raises:
        UserError: there is no frame of all joints; says why.
    """
    path = reading.path
    _, count, dim = joints.positions.shape
    if count > MOST_JOINTS:
        raise UserError(
            f"{quoted(path)} has {count:,} joints, and no dancer has more than {MOST_JOINTS:,}; "
            "give the axes if frames and joints changed places."
        )
    names = joints.names or tuple(f"joint_{index}" for index in range(count))
    positions, whole = _fill_gaps(reading, joints.positions, names)
    if dim == 2 and reading.up not in (None, "y", "-y"):
        raise UserError(f"In a picture up is y or -y; {reading.up!r} was given for {quoted(path)}.")
    evidence = None
    if not reading.in_metres and reading.up is None:
        if joints.body is not None:
            evidence = upright.measure(reading, joints.body, JOINTS)
        else:
            evidence = upright.measure(reading, positions, names)
    return Motion(reading, joints._replace(positions=positions), names, whole, evidence)


def make_clip(motion: Motion, together: str | None = None) -> SkeletonClip:
    """Measures what is not known, and makes a clip.

    Args:
        motion: what `open_motion` returned.
        together: the axis that points up in all files of its kind; None measures this one.

    Raises:
        UserError: the joints are no body.
    """
    reading, joints, names, whole, evidence = motion
    positions = joints.positions
    if evidence is not None:
        up = upright.find_up([evidence])
        if together is not None:
            up = upright.settle(evidence, together)
        reading.warnings.extend(
            upright.sentences(reading, evidence, up, together=together is not None)
        )
        reading = reading._replace(up=up)
    standing: Standing
    if reading.in_metres:
        standing = stand_as_it_is(reading, positions)
    elif joints.body is not None:
        standing = stand_body(reading, joints.body)
    elif names == JOINTS and positions.shape[2] == 3:
        standing = stand_body(reading, positions)
    else:
        if reading.up is not None and _scaled_each_axis(positions):
            positions = _even_axes(reading, turn_up(positions, reading.up))
            reading = reading._replace(up="y")
        standing = stand_figure(reading, positions)
    offsets = joints.offsets
    if offsets is not None:
        offsets = turn_up(offsets, standing.up) * standing.unit
    ok = standing.ok & whole
    placed = standing.place(positions)
    farthest = float(np.abs(placed).max())
    if farthest > FARTHEST:
        raise UserError(
            f"{quoted(reading.path)} has a joint {farthest:.3g} m away from the others; it is "
            "damaged, or its unit of length is wrong."
        )
    return SkeletonClip(
        positions=placed.astype(np.float32),
        fps=standing.fps,
        ok=ok if joints.ok is None else ok & joints.ok,
        names=names,
        parents=joints.parents,
        offsets=offsets,
        source=reading.path.name,
        warnings=tuple(reading.warnings),
    )


def read_together(
    paths: Sequence[str | Path], options: ReadOptions = ReadOptions()
) -> Iterator[tuple[Path, SkeletonClip]]:
    """Reads motions whose axis that points up is measured on all files of a kind together.

    A clip of a few seconds may be danced on the hands; the others tell. Files are read once if
    they fit into HELD, else twice.

    Args:
        paths: the files, as `read_skeleton` takes.
        options: the same for all.

    Yields:
        Each path and its clip.

    Raises:
        UserError: a file cannot be read as motion; says why.
    """
    files = [Path(path) for path in paths]
    held: dict[int, Motion] = {}
    evidence: dict[tuple[object, ...], list[upright.Evidence]] = {}
    if len(files) > 1 and options.up is None:
        room = HELD
        for number, path in enumerate(
            terminal.progress(files, description="Measuring", unit="file")
        ):
            motion = open_motion(path, options)
            if motion.evidence is not None:
                evidence.setdefault(motion.kind, []).append(motion.evidence)
            room -= motion.num_bytes
            if room >= 0:
                held[number] = motion
    ups = {kind: upright.find_up(own) for kind, own in evidence.items()}
    for number, path in enumerate(terminal.progress(files, description="Reading", unit="file")):
        motion = held.pop(number) if number in held else open_motion(path, options)
        yield path, make_clip(motion, ups.get(motion.kind))


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
    positions = np.where(seen[..., None], positions, np.nan)
    filled = positions.copy()
    times = np.arange(len(positions))
    for joint in np.flatnonzero(~seen.all(axis=0)).tolist():
        rows = np.flatnonzero(seen[:, joint])
        if not len(rows):
            raise UserError(
                f"{quoted(reading.path)} never says where {visible(names[joint]):.60} is: it is "
                "NaN or unseen in every frame. Leave that joint out of the file."
            )
        for axis in range(positions.shape[2]):
            filled[:, joint, axis] = np.interp(times, rows, positions[rows, joint, axis])
        for first, last in zip([-1, *rows], [*rows, len(times)]):
            inside = first >= 0 and last < len(times)
            if last - first - 1 > (GAP_SECONDS * reading.fps if inside else 0):
                whole[first + 1 : last] = False
    if not whole.any():
        raise UserError(
            f"{quoted(reading.path)} holds no frame of finite positions of all its joints."
        )
    count, bad = int((~seen.all(axis=1)).sum()), int((~whole).sum())
    reading.warnings.append(
        f"{quoted(reading.path.name)}: in {count} of {len(positions)} frames joints are NaN or "
        "unseen; "
        + (f"{bad} of them are left out, " if bad else "all of them are mended, ")
        + f"gaps of up to {GAP_SECONDS:g} s are filled."
    )
    return filled, whole


def _scaled_each_axis(positions: np.ndarray) -> bool:
    """Tells positions whose every axis was brought to 0..1 by itself, which bends all bones."""
    ends = np.stack([positions.min(axis=(0, 1)), 1.0 - positions.max(axis=(0, 1))])
    return positions.shape[2] == 3 and bool((np.abs(ends) < _EVERY_AXIS).all())


def _even_axes(reading: Reading, positions: np.ndarray) -> np.ndarray:
    """Undoes the scaling of each axis by itself; positions (T, J, 3) have y up."""
    order = [0, 2, 1]
    factors = measure_stretch(positions[..., order])[order]
    reading.warnings.append(
        f"{quoted(reading.path.name)}: every axis runs from 0 to 1, so each was scaled by itself; "
        f"the horizontal ones are multiplied by {factors[0]:.3g} and {factors[2]:.3g}, which keeps "
        "the bones' lengths."
    )
    return positions * factors

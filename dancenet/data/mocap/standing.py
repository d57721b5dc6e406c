"""Recorded motion of any kind we read, made into nineteen joints in metres."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dancenet.data.mocap import amc, bvh
from dancenet.data.mocap.joint_names import find_joints
from dancenet.data.motion.balance import believable_rate
from dancenet.data.motion.motion import JOINTS, PARENTS, MotionClip, read_npz_clip
from dancenet.support.errors import UnknownSkeleton, UserError

FORMATS = ".bvh, .amc, .npz and .npy (.bvh and .amc may be gzipped)"

# Metres in a unit of length. CMU's unit is 1/0.45 inch, the rest are what programs export.
UNITS = {
    "metres": 1.0,
    "centimetres": 0.01,
    "millimetres": 0.001,
    "inches": 0.0254,
    "feet": 0.3048,
    "1/0.45 inches": 0.0254 / 0.45,
}
BODY = 1.40  # metres from ankle to hip and from pelvis to neck along the bones, an adult
BODY_RANGE = (0.95, 1.85)  # metres, from a child of 1.2 m to a man of 2.3 m

FLOOR_PERCENTILE = 5  # of the lower toe's height; the floor of a recording is never exact
MAX_SPEED = 10.0  # m/s; the fastest joint of our good recordings reaches 9.4
MAX_STRETCH = 0.15  # of a bone's median length; 0.1 happens where a joint is an average
# Degrees between trunk and head beyond the clip's own median; good recordings reach 31, one
# whose head markers were swapped reaches 70.
MAX_NOD = 35.0
GLITCH_MARGIN = 0.1  # seconds left out on either side of a glitch

# The Daz conversions of the CMU recordings put a rest pose before the recording and resample
# across the step; the interpolation rings for this many frames.
RINGING_FRAMES = 8
REST_DEGREES = 0.5  # the median turn of a joint in a rest pose

AMC_RATE = 120.0  # frames per second of nearly all of CMU's recordings
NPY_RATE = 30.0

UP_AXES = ("x", "y", "z", "-x", "-y", "-z")


def read_motion(
    path: str | Path,
    *,
    frame_rate: float | None = None,
    axes: str | None = None,
    up: str | None = None,
    unit: float | None = None,
    skeleton: str | Path | None = None,
) -> MotionClip:
    """Reads motion capture and brings it to nineteen joints, metres, y up, floor at 0.

    What the file does not say is measured (unit of length, direction of up, order of axes),
    and what it says is checked (frame rate, a rest pose before the recording). Everything
    assumed or mended is a sentence in the clip's `warnings`.

    Args:
        path: a .bvh, .amc, .npz or .npy file; .bvh and .amc may be gzipped.
        frame_rate: frames per second, instead of what the file says. A .npy says nothing
            and is taken at 30, an .amc at 120.
        axes: for .npy, "TJ" if frames come first and joints second, "JT" if the other way
            round; None guesses.
        up: the axis that points up, one of x, y, z, -x, -y, -z; None measures it.
        unit: metres in one unit of the file; None measures it.
        skeleton: for .amc, its .asf; None looks beside it.

    Returns:
        The clip, at the recording's own rate.

    Raises:
        UserError: the file cannot be read as motion of a human body; says why.
    """
    path = Path(path)
    check_settings(path, frame_rate, axes, up, unit)
    kind = file_kind(path)
    if kind == ".npz":
        clip = read_npz_clip(path)
        return clip if frame_rate is None else replace(clip, fps=float(frame_rate))
    if kind == ".bvh":
        return _read_bvh(path, frame_rate, up, unit)
    if kind == ".amc":
        return _read_amc(path, frame_rate, up, unit, skeleton)
    if kind == ".npy":
        return _read_npy(path, frame_rate, axes, up, unit)
    raise UserError(
        f"{path} is of no kind that can be read as motion capture; those are {FORMATS}."
    )


def check_settings(
    path: Path, frame_rate: float | None, axes: str | None, up: str | None, unit: float | None
) -> None:
    """Refuses settings that cannot be and a path that is no file; see `read_motion`."""
    if axes not in (None, "TJ", "JT"):
        raise UserError(f"The axes of an array are TJ (frames first) or JT, not {axes!r}.")
    if frame_rate is not None and not (np.isfinite(frame_rate) and frame_rate > 0):
        raise UserError(f"The frame rate must be above 0, received {frame_rate:g}.")
    if up is not None and up not in UP_AXES:
        raise UserError(f"The axis that points up is one of {', '.join(UP_AXES)}, not {up!r}.")
    if unit is not None and not (np.isfinite(unit) and unit > 0):
        raise UserError(f"The metres in one unit must be above 0, received {unit:g}.")
    if not path.is_file():
        raise UserError(f"{path} is not a file; give the path of a motion capture file.")


def file_kind(path: Path) -> str:
    """Returns the suffix that says what a file holds: in lower case, that before a .gz."""
    return (path.with_suffix("").suffix if path.suffix.lower() == ".gz" else path.suffix).lower()


def _read_npy(
    path: Path, frame_rate: float | None, axes: str | None, up: str | None, unit: float | None
) -> MotionClip:
    array, warnings = load_array(path, axes)
    if array.shape[2] != 3:
        raise UserError(
            f"{path} must hold joint positions (frames, joints, 3) or (joints, frames, 3), "
            f"received shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise UserError(f"{path} holds NaN, infinity or no numbers; repair these frames first.")
    if array.shape[1] != len(JOINTS):
        raise UnknownSkeleton(
            f"{path} holds {array.shape[1]} joints without names, so which is a knee cannot be "
            f"told. Bring them to {len(JOINTS)} in the order {', '.join(JOINTS)}, or store them "
            "with their names as .npz (pos, fps, joints)."
        )
    fps = array_rate(path, frame_rate, warnings)
    return stand(path, array, fps, False, up, unit, warnings).clip(path, array)


def load_array(path: Path, axes: str | None) -> tuple[np.ndarray, list[str]]:
    """Reads joint positions from a .npy.

    Args:
        path: the file.
        axes: "TJ" or "JT" as in `read_motion`; None guesses, with a warning.

    Returns:
        (T, J, 2 or 3) float64, which may hold NaN, and warnings.

    Raises:
        UserError: the file holds no such array.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(
            f"{path} is not an array of numbers, or it is cut. Save joint positions with "
            "numpy.save as floats."
        ) from error
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.shape[-1] not in (2, 3):
        raise UserError(
            f"{path} must hold joint positions (frames, joints, 3) or (joints, frames, 3), "
            f"received shape {getattr(array, 'shape', 'of no array')}."
        )
    if array.dtype.kind not in "fiu":
        raise UserError(f"{path} holds NaN, infinity or no numbers; repair these frames first.")
    if 0 in array.shape:
        raise UserError(f"{path} holds no frame; its shape is {array.shape}.")
    array = array.astype(np.float64)
    warnings = []
    if axes is None:
        axes = guess_axes(array)
        order = "frames, joints" if axes == "TJ" else "joints, frames"
        warnings.append(
            f"{path.name} is taken to be ({order}, {array.shape[2]}); give the axes if that is "
            "wrong."
        )
    return array.swapaxes(0, 1) if axes == "JT" else array, warnings


def array_rate(path: Path, frame_rate: float | None, warnings: list[str]) -> float:
    """Returns the rate of a file that says none, adding to the warnings if it is assumed."""
    if frame_rate is None:
        warnings.append(f"{path.name} has no frame rate; {NPY_RATE:g} frames/s are assumed.")
    return frame_rate or NPY_RATE


def guess_axes(array: np.ndarray) -> str:
    """Returns "TJ" or "JT": time is the axis along which neighbours are near each other.

    Args:
        array: (T, J, C) or (J, T, C); what is NaN in it says nothing.
    """
    first, second = array.shape[:2]
    if (first == len(JOINTS)) != (second == len(JOINTS)):
        return "JT" if first == len(JOINTS) else "TJ"
    steps = []
    for axis in (0, 1):
        moved = np.abs(np.diff(array, axis=axis))
        steps.append(moved[np.isfinite(moved)].mean() if np.isfinite(moved).any() else np.inf)
    return "TJ" if steps[0] <= steps[1] else "JT"


def _read_amc(
    path: Path,
    frame_rate: float | None,
    up: str | None,
    unit: float | None,
    skeleton: str | Path | None,
) -> MotionClip:
    bones = amc.read_asf(Path(skeleton) if skeleton is not None else amc.find_asf(path))
    missing = [bone for bone in amc.JOINT_BONES.values() if bone not in bones.bones]
    if missing:
        raise UnknownSkeleton(
            f"The skeleton of {path} is unknown: it has no bone {', '.join(missing)}. "
            f"Its bones are {', '.join(bones.bones)}."
        )
    motion, losses = amc.read_amc(path, bones)
    warnings = [sentence.replace(str(path), path.name) for sentence in losses]
    positions = amc_body(amc.bone_ends(bones, motion))
    rate = amc_rate(path, frame_rate, warnings)
    unit = amc_unit(bones, positions, unit)
    standing = stand(path, positions, rate, frame_rate is None, up, unit, warnings)
    return standing.clip(path, positions)


def amc_body(places: dict[str, np.ndarray]) -> np.ndarray:
    """Picks the nineteen joints (T, 19, 3) from the ends of CMU's bones."""
    return np.stack([places[amc.JOINT_BONES[joint]] for joint in JOINTS], axis=1)


def amc_rate(path: Path, frame_rate: float | None, warnings: list[str]) -> float:
    """Returns the rate of an .amc, adding to the warnings if it had to be assumed."""
    if frame_rate is None:
        warnings.append(f"{path.name} has no frame rate; CMU's {AMC_RATE:g} frames/s are assumed.")
    return frame_rate or AMC_RATE


def amc_unit(bones: amc.Skeleton, body: np.ndarray, unit: float | None) -> float | None:
    """Returns the metres in a unit: as given, or as the .asf says if that makes a body."""
    if unit is None and BODY_RANGE[0] <= body_size(body) * bones.unit <= BODY_RANGE[1]:
        return bones.unit
    return unit


def _read_bvh(
    path: Path, frame_rate: float | None, up: str | None, unit: float | None
) -> MotionClip:
    motion = bvh.read_bvh(path)
    warnings = [sentence.replace(str(path), path.name) for sentence in motion.warnings]
    fps = bvh_rate(path, motion, frame_rate)
    joints = find_joints(path, motion.names, motion.parents)
    wanted = {name for group in joints.values() for name in group}
    positions = bvh_body(bvh.joint_positions(motion, wanted), joints)
    lead = bvh_lead(path, motion, warnings)
    standing = stand(path, positions, fps, frame_rate is None, up, unit, warnings, lead)
    return standing.clip(path, positions)


def bvh_rate(path: Path, motion: bvh.Bvh, frame_rate: float | None) -> float:
    """Returns the rate as given, or as the file says.

    Raises:
        UserError: neither says it.
    """
    if frame_rate is None and motion.frame_time == 0:
        raise UserError(f"{path} does not say its frame time; give the frame rate yourself.")
    return frame_rate or whole_rate(1 / motion.frame_time)


def bvh_body(places: dict[str, np.ndarray], joints: dict[str, tuple[str, ...]]) -> np.ndarray:
    """Makes the nineteen joints (T, 19, 3) of those that `find_joints` found."""
    return np.stack(
        [np.mean([places[name] for name in joints[joint]], axis=0) for joint in JOINTS], axis=1
    )


def bvh_lead(path: Path, motion: bvh.Bvh, warnings: list[str]) -> int:
    """Returns how many frames come before the dance, adding to the warnings if there are any."""
    lead = RINGING_FRAMES if starts_with_rest_pose(motion) else 0
    if lead:
        warnings.append(
            f"{path.name} begins with a rest pose that is no part of the dance; its first "
            f"{lead} frames are marked as bad."
        )
    return lead


def whole_rate(fps: float) -> float:
    """Returns the whole rate that a frame time of a few digits means (0.016667 s is 60)."""
    return float(round(fps)) if abs(fps - round(fps)) < 1e-4 * fps else fps


def starts_with_rest_pose(motion: bvh.Bvh) -> bool:
    """Tells a rest pose stuck before the recording from a dancer who begins in one.

    The stuck one has all joints at zero, and its neighbour in time is far away.
    """
    turns = np.array(
        [name.endswith("rotation") for channels in motion.channels for name in channels]
    )
    if motion.num_frames <= RINGING_FRAMES + 1:
        return False
    degrees = np.abs(motion.values[: RINGING_FRAMES + 1, turns])
    moving = degrees.max(axis=0) > 1e-3  # fingers that never move say nothing
    if not moving.any():
        return False
    first, later = np.median(degrees[0, moving]), np.median(degrees[-1, moving])
    step = np.abs(np.diff(motion.values[:2, turns], axis=0)).max()
    return bool(first < REST_DEGREES < later and step > 10)


@dataclass(frozen=True)
class Standing:
    """How a recording comes to metres with y up and the floor at 0, and what was assumed."""

    up: str  # the axis of the file that points up
    unit: float  # metres in one unit of the file
    shift: np.ndarray  # (3,) metres added last
    fps: float  # frames per second
    ok: np.ndarray  # (T,) bool, False where the recording has a glitch
    warnings: tuple[str, ...]  # sentences

    def place(self, positions: np.ndarray) -> np.ndarray:
        """Takes (T, J, 3) in the file's unit and axes; returns (T, J, 3) float32 metres."""
        return (turn_up(positions, self.up) * self.unit + self.shift).astype(np.float32)

    def clip(self, path: Path, positions: np.ndarray) -> MotionClip:
        """Makes a clip of the nineteen joints (T, 19, 3) that were measured."""
        return MotionClip(self.place(positions), self.fps, self.ok, path.name, self.warnings)


def stand(
    path: Path,
    positions: np.ndarray,
    fps: float,
    check_rate: bool,
    up: str | None,
    unit: float | None,
    warnings: list[str],
    lead: int = 0,
) -> Standing:
    """Measures how nineteen joints in any unit and axes come to stand on the floor.

    Args:
        path: where they come from; its name is in the warnings.
        positions: (T, 19, 3).
        fps: frames per second.
        check_rate: whether `fps` may be halved if the body cannot move so.
        up: the axis that points up; None measures it.
        unit: metres in one unit; None measures it.
        warnings: what is known already.
        lead: frames at the beginning that are no part of the recording: kept, so that frames
            have the file's numbers, but marked as bad and never measured.

    Raises:
        UserError: the positions are no standing body.
    """
    warnings = list(warnings)
    if up is None:
        up = _measure_up(path, positions[lead:])
        if up != "y":
            warnings.append(f"{path.name}: up is taken to be {up}, where the head is.")
    positions = turn_up(positions, up)
    if unit is None:
        unit, name = _measure_unit(path, positions[lead:])
        if name != "centimetres":
            warnings.append(f"{path.name}: lengths are taken to be {name}.")
    positions = positions * unit
    recorded = positions[lead:]
    middle = np.median(recorded[:, JOINTS.index("pelvis")], axis=0)
    shift = -np.array([middle[0], _floor(recorded), middle[2]])
    recorded = recorded + shift
    rate = believable_rate(recorded, fps) if check_rate else fps
    if rate != fps:
        warnings.append(
            f"{path.name} says {fps:.4g} frames/s, at which this body could not keep its balance; "
            f"{rate:.4g} is used. Give the frame rate yourself if that is wrong."
        )
    ok = np.concatenate([np.zeros(lead, dtype=bool), good_frames(recorded, rate)])
    if not ok[lead:].all():
        warnings.append(
            f"{path.name}: {int((~ok[lead:]).sum())} of {len(ok)} frames move as no body can "
            "and are marked as bad."
        )
    return Standing(up, unit, shift, float(rate), ok, tuple(warnings))


def good_frames(positions: np.ndarray, fps: float) -> np.ndarray:
    """Marks the frames in which the body moves as a body can.

    Args:
        positions: (T, 19, 3) metres.
        fps: frames per second.

    Returns:
        (T,) bool, False near a joint faster than 10 m/s, a bone that changes its length by
        more than 15 %, or a head bent 35 degrees further than it usually is.
    """
    bad = fast_frames(positions, fps)
    limbs = [joint for joint, name in enumerate(JOINTS) if name[2:] in _RIGID]
    bones = positions[:, limbs] - positions[:, [PARENTS[joint] for joint in limbs]]
    lengths = np.linalg.norm(bones, axis=-1)
    usual = np.maximum(np.median(lengths, axis=0), 1e-6)
    bad |= (np.abs(lengths / usual - 1) > MAX_STRETCH).any(axis=1)
    neck = JOINTS.index("neck")
    head = positions[:, JOINTS.index("head")] - positions[:, neck]
    trunk = positions[:, neck] - positions[:, JOINTS.index("chest")]
    size = np.linalg.norm(head, axis=-1) * np.linalg.norm(trunk, axis=-1)
    nod = np.degrees(np.arccos(np.clip((head * trunk).sum(-1) / np.maximum(size, 1e-9), -1, 1)))
    bad |= nod > np.median(nod) + MAX_NOD
    return ~widened(bad, fps)


def fast_frames(positions: np.ndarray, fps: float) -> np.ndarray:
    """Marks (T,) the frames in which a joint of (T, J, C) metres is faster than 10 m/s."""
    bad = np.zeros(len(positions), dtype=bool)
    # Over a thirtieth of a second at least, so that one noisy frame in 120 is no glitch.
    span = max(int(round(fps / 30)), 1)
    if len(positions) > span:
        moved = np.linalg.norm(positions[span:] - positions[:-span], axis=-1).max(axis=1)
        fast = np.flatnonzero(moved * fps / span > MAX_SPEED)
        for offset in range(span + 1):
            bad[fast + offset] = True
    return bad


def widened(bad: np.ndarray, fps: float) -> np.ndarray:
    """Marks (T,) the bad frames and those within a tenth of a second of one."""
    # A convolution returns the longer of its two, and a clip may be shorter than the margin.
    margin = min(int(round(GLITCH_MARGIN * fps)), len(bad) - 1)
    return np.convolve(bad, np.ones(2 * margin + 1), "full").astype(bool)[margin:][: len(bad)]


# Bones with a joint at either end; the trunk bends between its joints.
_RIGID = ("elbow", "wrist", "knee", "ankle")


def _measure_up(path: Path, positions: np.ndarray) -> str:
    ankles = [JOINTS.index("l_ankle"), JOINTS.index("r_ankle")]
    upward = np.mean(positions[:, JOINTS.index("neck")] - positions[:, ankles].mean(axis=1), axis=0)
    axis = int(np.argmax(np.abs(upward)))
    if np.abs(upward[axis]) < 1e-9:
        raise UserError(f"All joints of {path} are in one place, so there is no body to draw.")
    return ("-" if upward[axis] < 0 else "") + "xyz"[axis]


def turn_up(positions: np.ndarray, up: str) -> np.ndarray:
    """Turns the axis `up` to y by a quarter or half turn, without a mirror.

    Of a picture (..., 2), whose rows may be counted downwards, only the rows are turned over.
    """
    if positions.shape[-1] == 2:
        return positions * np.array([1.0, -1.0 if up == "-y" else 1.0])
    x, y, z = np.moveaxis(positions, -1, 0)
    turned = {
        "y": (x, y, z),
        "-y": (x, -y, -z),
        "z": (x, z, -y),
        "-z": (x, -z, y),
        "x": (-y, x, z),
        "-x": (y, -x, z),
    }[up]
    return np.stack(turned, axis=-1)


def _measure_unit(path: Path, positions: np.ndarray) -> tuple[float, str]:
    """Returns the metres in a unit that give a body of human size, and the unit's name."""
    size = body_size(positions)
    if not size > 0:
        raise UserError(f"The legs and trunk of {path} have no length; this is no body to draw.")
    return nearest_unit(size, BODY, BODY_RANGE)


def nearest_unit(size: float, usual: float, limits: tuple[float, float]) -> tuple[float, str]:
    """Returns the metres in the unit in which a size is most usual, and what to call the unit.

    Args:
        size: a length of the body in the unit that is sought.
        usual: that length of an adult, metres.
        limits: what it may be, metres; a unit that leaves them is none that has a name.
    """
    name = min(UNITS, key=lambda name: abs(np.log(size * UNITS[name] / usual)))
    if limits[0] <= size * UNITS[name] <= limits[1]:
        return UNITS[name], name
    return usual / size, f"of {usual / size:.3g} m, which makes the body an adult's size"


def body_size(positions: np.ndarray) -> float:
    """Returns the length of a leg from ankle to hip plus the trunk from pelvis to neck."""
    lengths = {
        name: float(np.median(np.linalg.norm(positions[:, j] - positions[:, PARENTS[j]], axis=-1)))
        for j, name in enumerate(JOINTS)
    }
    legs = sum(lengths[f"{side}_{joint}"] for side in "lr" for joint in ("knee", "ankle"))
    return legs / 2 + sum(lengths[joint] for joint in ("spine", "chest", "neck"))


def _floor(positions: np.ndarray) -> float:
    toes = [JOINTS.index("l_toe"), JOINTS.index("r_toe")]
    return float(np.percentile(positions[:, toes, 1].min(axis=1), FLOOR_PERCENTILE))

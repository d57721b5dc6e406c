"""Joint positions in NumPy's files: a bare array (.npy) and our own (.npz)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dancenet.data.mocap.formats.numbers import LARGEST
from dancenet.data.mocap.formats.text import decode
from dancenet.data.mocap.reading import Joints, Reading, ReadOptions, rate_of_file
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.data.motion.tree import check_tree
from dancenet.support import checked
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, visible

ASSUMED_RATE = 30.0  # frames per second of a file that says none
_LARGEST = checked.LARGEST_ARRAYS // 8  # numbers of all positions: they are read as float64
# Arrays of bodies that are described by their angles, as in AMASS and SMPL.
_ANGLES = ("poses", "trans", "body_pose", "root_orient", "smpl_poses", "pose_body")


def read_npy(path: Path, options: ReadOptions) -> tuple[Reading, Joints]:
    """Reads a .npy: (T, J, C), or (J, T, C); nineteen joints are taken to be those of a body."""
    warnings: list[str] = []
    array = load_array(path, options.axes, warnings)
    fps = options.frame_rate or assumed_rate(path, warnings)
    known = array.shape[1:] == (len(JOINTS), 3)
    names, parents = (JOINTS, PARENTS) if known else (None, None)
    return Reading(path, fps, options.up, options.unit, warnings), Joints(array, names, parents)


def assumed_rate(path: Path, warnings: list[str]) -> float:
    """Returns the rate of a file that says none, and adds a warning."""
    warnings.append(
        f"{quoted(path.name)} has no frame rate; {ASSUMED_RATE:g} frames/s are assumed."
    )
    return ASSUMED_RATE


def load_array(path: Path, axes: str | None, warnings: list[str]) -> np.ndarray:
    """Reads joint positions from a .npy.

    Args:
        path: the file.
        axes: "TJ" or "JT" as in `ReadOptions`; None guesses, with a warning.
        warnings: where it is added.

    Returns:
        (T, J, 2 or 3) float64, which may hold NaN.

    Raises:
        UserError: the file holds no such array.
    """
    array = _positions(path, checked.read_npy(path, "motion file"))
    if axes is None:
        axes = guess_axes(array)
        order = "frames, joints" if axes == "TJ" else "joints, frames"
        warnings.append(
            f"{quoted(path.name)} is taken to be ({order}, {array.shape[2]}); give the axes if "
            "that is wrong."
        )
    return array.swapaxes(0, 1) if axes == "JT" else array


def guess_axes(array: np.ndarray) -> str:
    """Returns "TJ" or "JT": time is the axis along which neighbours are near each other.

    Args:
        array: (T, J, C) or (J, T, C); NaN is passed over.
    """
    first, second = array.shape[:2]
    if (first == len(JOINTS)) != (second == len(JOINTS)):
        return "JT" if first == len(JOINTS) else "TJ"
    steps = []
    for axis in (0, 1):
        moved = np.abs(np.diff(array, axis=axis))
        steps.append(moved[np.isfinite(moved)].mean() if np.isfinite(moved).any() else np.inf)
    return "TJ" if steps[0] <= steps[1] else "JT"


def read_npz(path: Path, options: ReadOptions) -> tuple[Reading, Joints]:
    """Reads a .npz as `SkeletonClip.save` writes it, in metres with y up and the floor at 0.

    It holds `pos` (T, J, C), `fps` and, if known, `joints` (J names), `parents` (J), `offsets`
    (J, 3) and `ok` (T,). If the nineteen joints are among its own they are picked out.

    Raises:
        UserError: an array is missing or does not fit the others.
    """
    arrays = checked.read_npz(path, "motion file", largest=checked.LARGEST_ARRAYS // 4)
    _check_names(path, arrays)
    positions = _positions(path, arrays["pos"])
    num_frames, num_joints, dim = positions.shape
    names = _npz_names(path, arrays.get("joints"), num_joints)
    parents = None
    if "parents" in arrays:
        parents = tree(path, _npz_parents(path, arrays["parents"]), num_joints)
    offsets = _npz_offsets(path, arrays.get("offsets"), num_joints)
    ok = np.asarray(arrays.get("ok", np.ones(num_frames, dtype=bool)))
    if ok.shape != (num_frames,) or ok.dtype.kind not in "biu":
        raise UserError(
            f"{quoted(path)} holds {num_frames} frames but 'ok' of shape {ok.shape} and "
            f"{ok.dtype}; it must be true or false for each."
        )
    if not options.own and names is not None and dim == 3 and set(JOINTS) <= set(names):
        positions = positions[:, [names.index(name) for name in JOINTS]]
        names, parents, offsets = JOINTS, PARENTS, None
    warnings: list[str] = []
    rate = options.frame_rate
    if rate is None:
        rate = rate_of_file(path, _npz_rate(path, arrays["fps"]), warnings)
    reading = Reading(
        path,
        rate,
        options.up,
        options.unit,
        warnings=warnings,
        in_metres=options.up is None and options.unit is None,
    )
    return reading, Joints(positions, names, parents, offsets, ok=ok.astype(bool))


def tree(path: Path, parents: list[int], num_joints: int) -> tuple[int, ...]:
    """Returns the parents of a file if they make one tree, and raises UserError if not."""
    try:
        check_tree(parents, num_joints)
    except ValueError as error:
        message = f"The parents in {quoted(path)} make no skeleton: {error}"
        raise UserError(f"{message[:300]}{'…' if message[300:] else ''}") from error
    return tuple(parents)


def _check_names(path: Path, arrays: dict[str, np.ndarray]) -> None:
    missing = [name for name in ("pos", "fps") if name not in arrays]
    if not missing:
        return
    if any(name in arrays for name in _ANGLES):
        raise UserError(
            f"{quoted(path)} holds the angles of a body (as AMASS and SMPL write) and not the "
            "places of its joints, which need the body's own model. Compute them with it, and "
            "store them as pos (T, J, 3) in metres with fps and joints."
        )
    held = visible(", ".join(sorted(arrays)))[:100] or "none"
    raise UserError(
        f"{quoted(path)} has no array {missing[0]!r} (it holds {held}); a motion file holds pos "
        "(T, J, 2 or 3), fps and, if known, joints (J names), parents (J) and ok (T)."
    )


def _positions(path: Path, array: np.ndarray) -> np.ndarray:
    """Returns positions as (…, …, 2 or 3) float64, NaN where a number can be no place."""
    if array.ndim != 3 or array.shape[-1] not in (2, 3):
        raise UserError(
            f"{quoted(path)} must hold joint positions (frames, joints, 3) or (joints, frames, 3), "
            f"received shape {array.shape}."
        )
    if array.dtype.kind not in "fiu":
        raise UserError(
            f"{quoted(path)} holds {array.dtype} and no numbers; save positions as floats."
        )
    if 0 in array.shape:
        raise UserError(f"{quoted(path)} holds no frame; its shape is {array.shape}.")
    if array.size > _LARGEST:
        raise UserError(
            f"{quoted(path)} holds {array.size:,} numbers, more than is read of one file; cut it "
            "into several."
        )
    with np.errstate(invalid="ignore", over="ignore"):  # NaN of a damaged file
        numbers = array.astype(np.float64)
    return np.where(np.abs(numbers) <= LARGEST, numbers, np.nan)


def _npz_rate(path: Path, fps: np.ndarray) -> float:
    if fps.size != 1 or fps.dtype.kind not in "iuf" or not 0 < fps.item() < np.inf:
        raise UserError(
            f"{quoted(path)} must hold one number above 0 as fps, received "
            f"{visible(' '.join(repr(fps).split()))[:80]}."
        )
    return float(fps.item())


def _npz_names(path: Path, joints: np.ndarray | None, num_joints: int) -> tuple[str, ...] | None:
    if joints is None:
        return None
    listed = np.atleast_1d(joints)
    if listed.ndim != 1 or listed.dtype.kind not in "US":
        raise UserError(
            f"{quoted(path)} must hold a list of names as joints, received {joints.dtype} "
            f"{joints.shape}."
        )
    names = tuple(
        visible(decode(name)[0] if isinstance(name, bytes) else name) for name in listed.tolist()
    )
    if len(names) != num_joints or len(set(names)) != num_joints:
        raise UserError(
            f"{quoted(path)} holds {num_joints} joints and {len(set(names))} different names of "
            "them; every joint needs a name of its own."
        )
    return names


def _npz_parents(path: Path, parents: np.ndarray) -> list[int]:
    whole = parents.dtype.kind in "iuf" and np.isfinite(parents).all()
    if not whole or parents.ndim != 1 or (parents != np.round(parents)).any():
        raise UserError(
            f"{quoted(path)} must hold a whole number for each joint as parents, -1 for the root; "
            f"received {parents.dtype} {parents.shape}."
        )
    return [int(parent) for parent in parents]


def _npz_offsets(path: Path, offsets: np.ndarray | None, num_joints: int) -> np.ndarray | None:
    if offsets is None:
        return None
    fits = offsets.dtype.kind in "fiu" and offsets.shape == (num_joints, 3)
    # They are multiplied by a unit, and written into files.
    if not fits or not (np.abs(offsets) <= LARGEST).all():
        raise UserError(
            f"{quoted(path)} holds offsets of {offsets.dtype} {offsets.shape}; expected finite "
            f"numbers ({num_joints}, 3)."
        )
    return offsets.astype(np.float64)

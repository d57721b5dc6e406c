"""Joint positions in NumPy's files: a bare array (.npy) and our own (.npz)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dancenet.data.mocap.reading import Joints, Reading, ReadOptions
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.data.motion.tree import check_tree
from dancenet.support import checked
from dancenet.support.errors import UserError

ASSUMED_RATE = 30.0  # frames per second of a file that says none


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
    warnings.append(f"{path.name} has no frame rate; {ASSUMED_RATE:g} frames/s are assumed.")
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
        raise UserError(f"{path} holds {array.dtype} and no numbers; save positions as floats.")
    if 0 in array.shape:
        raise UserError(f"{path} holds no frame; its shape is {array.shape}.")
    array = array.astype(np.float64)
    if axes is None:
        axes = guess_axes(array)
        order = "frames, joints" if axes == "TJ" else "joints, frames"
        warnings.append(
            f"{path.name} is taken to be ({order}, {array.shape[2]}); give the axes if that is "
            "wrong."
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
    arrays = checked.read_npz(path, "motion file")
    for name in ("pos", "fps"):
        if name not in arrays:
            raise UserError(
                f"{path} has no array {name!r} (it holds {', '.join(sorted(arrays)) or 'none'}); "
                "a motion file holds pos (T, J, 2 or 3), fps and, if known, joints (J names), "
                "parents (J) and ok (T)."
            )
    positions = _npz_positions(path, arrays["pos"])
    num_frames, num_joints, dim = positions.shape
    names = _npz_names(path, arrays.get("joints"), num_joints)
    parents = None
    if "parents" in arrays:
        parents = tree(path, [int(parent) for parent in np.ravel(arrays["parents"])], num_joints)
    offsets = _npz_offsets(path, arrays.get("offsets"), num_joints)
    ok = np.asarray(arrays.get("ok", np.ones(num_frames, dtype=bool)))
    if ok.shape != (num_frames,):
        raise UserError(f"{path} holds {num_frames} frames but 'ok' of shape {ok.shape}.")
    if not options.own and names is not None and dim == 3 and set(JOINTS) <= set(names):
        positions = positions[:, [names.index(name) for name in JOINTS]]
        names, parents, offsets = JOINTS, PARENTS, None
    reading = Reading(
        path,
        options.frame_rate or _npz_rate(path, arrays["fps"]),
        options.up,
        options.unit,
        warnings=[],
        in_metres=options.up is None and options.unit is None,
    )
    return reading, Joints(positions, names, parents, offsets, ok=ok.astype(bool))


def tree(path: Path, parents: list[int], num_joints: int) -> tuple[int, ...]:
    """Returns the parents of a file if they make one tree, and raises UserError if not."""
    try:
        check_tree(parents, num_joints)
    except ValueError as error:
        raise UserError(f"The parents in {path} make no skeleton: {error}") from error
    return tuple(parents)


def _npz_positions(path: Path, positions: np.ndarray) -> np.ndarray:
    if positions.ndim != 3 or positions.shape[2] not in (2, 3) or positions.dtype.kind not in "fiu":
        raise UserError(
            f"{path} holds positions of {positions.dtype} {positions.shape}; expected numbers "
            "(T, J, 2 or 3)."
        )
    if 0 in positions.shape:
        raise UserError(f"{path} holds no frame; its shape is {positions.shape}.")
    return positions.astype(np.float64)


def _npz_rate(path: Path, fps: np.ndarray) -> float:
    if fps.size != 1 or fps.dtype.kind not in "iuf" or not 0 < float(fps.reshape(())) < np.inf:
        raise UserError(f"{path} must hold one number above 0 as fps, received {fps!r}.")
    return float(fps.reshape(()))


def _npz_names(path: Path, joints: np.ndarray | None, num_joints: int) -> tuple[str, ...] | None:
    if joints is None:
        return None
    names = tuple(str(name) for name in np.atleast_1d(joints))
    if len(names) != num_joints or len(set(names)) != num_joints:
        raise UserError(
            f"{path} holds {num_joints} joints and {len(set(names))} different names of them."
        )
    return names


def _npz_offsets(path: Path, offsets: np.ndarray | None, num_joints: int) -> np.ndarray | None:
    if offsets is None:
        return None
    offsets = offsets.astype(np.float64)
    if offsets.shape != (num_joints, 3) or not np.isfinite(offsets).all():
        raise UserError(f"{path} holds offsets of {offsets.shape}; expected ({num_joints}, 3).")
    return offsets

"""Biovision hierarchies (.bvh, .bvh.gz): a skeleton, its channels, and its joints' places.

Source: Meredith and Maddock, "Motion Capture File Formats Explained" (University of Sheffield,
2001), section 2.1. Rotations are in degrees and multiplied in the order in which a joint lists its
channels; the frame time is in seconds.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancenet.support.errors import UserError

_BLOCK = 4096  # bytes unpacked at once from a damaged file
# Fraction of the offset's length beyond which position channels replace the offset; it is near 1
# for programs that replace it and near 0 for others.
_REPLACES = 0.5

AXES = {"x": 0, "y": 1, "z": 2}
CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "xyz")
END = "/end"  # the suffix of an End Site's name; a joint's own name is a single word in practice


@dataclass(frozen=True)
class Bvh:
    """A hierarchy and its motion, with the numbers of the file.

    Parents come before their children. End Sites are joints without channels, named
    after their parent with the suffix `/end`.
    """

    names: tuple[str, ...]  # J
    parents: tuple[int, ...]  # J, -1 for the root
    offsets: np.ndarray  # (J, 3) from the parent, in the file's unit of length
    channels: tuple[tuple[str, ...], ...]  # J, lower case, in the file's order
    values: np.ndarray  # (T, C) degrees and lengths, one column a channel
    frame_time: float  # seconds; 0 if the file does not say
    warnings: tuple[str, ...] = ()  # sentences about what the file lacks

    @property
    def num_frames(self) -> int:
        """The number of whole frames in the file."""
        return len(self.values)


def read_bvh(path: str | Path) -> Bvh:
    """Reads a BVH file, plain or gzipped.

    A file that ends too early loses the frame it was cut in; `warnings` says how many
    frames are missing.

    Args:
        path: the file; compression is known by its first bytes, not by its name.

    Returns:
        The skeleton and its motion.

    Raises:
        UserError: this is not a BVH file, its hierarchy is cut, it holds no whole frame,
            a frame has the wrong number of values, or a value is not a finite number.
    """
    text, warnings = read_text(path)
    if not re.match(r"\s*HIERARCHY\b", text, re.IGNORECASE):
        start = " ".join(text[:40].split())
        raise UserError(
            f"{path} is not a BVH file: it should begin with HIERARCHY, it begins with "
            f"{start!r}. Give a .bvh, .amc, .npz or .npy file of motion capture."
        )
    motion = re.search(r"^\s*MOTION\b", text, re.IGNORECASE | re.MULTILINE)
    if motion is None:
        raise UserError(
            f"{path} ends before its MOTION section, so it holds no frames; it was probably cut "
            "while it was copied. Fetch it again."
        )
    names, parents, offsets, channels = _parse_hierarchy(path, text[: motion.start()])
    columns = [f"{name} {channel}" for name, own in zip(names, channels) for channel in own]
    values, frame_time, losses = _parse_motion(path, text[motion.end() :], columns)
    return Bvh(
        names=tuple(names),
        parents=tuple(parents),
        offsets=np.array(offsets, dtype=np.float64),
        channels=tuple(channels),
        values=values,
        frame_time=frame_time,
        warnings=warnings + losses,
    )


def joint_positions(bvh: Bvh, wanted: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Computes the joints' places in every frame (forward kinematics).

    With p the parent of j, G_j = G_p R_j and x_j = x_p + G_p (offset_j + t_j), where R_j is
    the product of the joint's rotation channels in their order. Whether position channels
    are added to the offset or replace it differs between programs; see `_translation`.

    Args:
        bvh: the skeleton and its motion.
        wanted: names of joints; None for all. The others are not computed.

    Returns:
        For each joint its positions, (T, 3), in the file's unit and axes.
    """
    keep = set(bvh.names if wanted is None else wanted)
    needed = np.zeros(len(bvh.names), dtype=bool)
    for joint in range(len(bvh.names) - 1, -1, -1):
        needed[joint] |= bvh.names[joint] in keep
        if needed[joint] and bvh.parents[joint] >= 0:
            needed[bvh.parents[joint]] = True
    first = np.cumsum([0, *(len(own) for own in bvh.channels)])
    turns: dict[int, np.ndarray] = {}
    places: dict[int, np.ndarray] = {}
    for joint in np.flatnonzero(needed).tolist():
        columns = bvh.values[:, first[joint] : first[joint + 1]]
        local = _translation(bvh, joint, columns)
        turn = rotation(bvh.channels[joint], columns)
        parent = bvh.parents[joint]
        if parent < 0:
            places[joint], turns[joint] = local, turn
        else:
            places[joint] = places[parent] + np.einsum("tij,tj->ti", turns[parent], local)
            turns[joint] = turns[parent] @ turn
    return {bvh.names[joint]: places[joint] for joint in places if bvh.names[joint] in keep}


def rotation(channels: Sequence[str], degrees: np.ndarray) -> np.ndarray:
    """Multiplies rotations about the axes in the order in which they are listed.

    Args:
        channels: names such as "zrotation"; the first letter is the axis, and names that do
            not end in "rotation" are skipped.
        degrees: (T, C), a column a channel, right-handed.

    Returns:
        (T, 3, 3) matrices that turn column vectors.
    """
    result = np.broadcast_to(np.eye(3), (len(degrees), 3, 3))
    for column, channel in enumerate(channels):
        if channel.endswith("rotation"):
            result = result @ axis_rotation(AXES[channel[0]], degrees[:, column])
    return result


def axis_rotation(axis: int, degrees: np.ndarray) -> np.ndarray:
    """Returns the (T, 3, 3) right-handed rotations about axis 0, 1 or 2 by (T,) degrees."""
    angle = np.deg2rad(degrees)
    following, last = (axis + 1) % 3, (axis + 2) % 3
    matrices = np.zeros((len(angle), 3, 3))
    matrices[:, axis, axis] = 1.0
    matrices[:, following, following] = matrices[:, last, last] = np.cos(angle)
    matrices[:, last, following] = np.sin(angle)
    matrices[:, following, last] = -matrices[:, last, following]
    return matrices


def read_text(path: str | Path) -> tuple[str, tuple[str, ...]]:
    """Reads a text file, plain or gzipped, up to where it is damaged.

    Returns:
        The text, and a warning if only its beginning could be unpacked.

    Raises:
        UserError: there is no such file, or it is empty.
    """
    try:
        data = Path(path).read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(f"{path} is not a file; give the path of a motion capture file.") from error
    warnings: tuple[str, ...] = ()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error):
            # A cut download still begins with whole frames: keep them.
            data = _gunzip_beginning(data)
            warnings = (f"{path} is cut or damaged inside its gzip; its beginning was read.",)
    if not data.strip():
        raise UserError(f"{path} is empty; fetch or export it again.")
    return data.decode("utf-8-sig", errors="replace"), warnings


def _gunzip_beginning(data: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # 16: a gzip header
    parts: list[bytes] = []
    for start in range(0, len(data), _BLOCK):
        try:
            parts.append(stream.decompress(data[start : start + _BLOCK]))
        except zlib.error:
            break
    return b"".join(parts)


def _parse_hierarchy(
    path: str | Path, text: str
) -> tuple[list[str], list[int], list[list[float]], list[tuple[str, ...]]]:
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[tuple[str, ...]] = []
    open_joints: list[int] = []
    text = re.sub(r"([{}])", r"\n\1\n", text)
    for line in text.splitlines():
        words = line.split()
        keyword = words[0].upper() if words else ""
        if keyword in ("ROOT", "JOINT", "END"):
            parent = open_joints[-1] if open_joints else -1
            if (keyword == "ROOT") != (parent < 0) or len(words) < 2:
                raise _broken(path, line)
            if keyword == "ROOT" and names:
                raise UserError(
                    f"{path} holds two skeletons, {names[0]} and {' '.join(words[1:])}; "
                    "export one dancer to a file."
                )
            name = names[parent] + END if keyword == "END" else " ".join(words[1:])
            names.append(name)
            parents.append(parent)
            offsets.append([])
            channels.append(())
        elif keyword == "{":
            if not names or len(names) - 1 in open_joints:
                raise _broken(path, line)
            open_joints.append(len(names) - 1)
        elif keyword == "}":
            if not open_joints:
                raise _broken(path, line)
            open_joints.pop()
        elif keyword == "OFFSET" and open_joints:
            offsets[open_joints[-1]] = _parse_numbers(path, line, words[1:], 3)
        elif keyword == "CHANNELS" and open_joints:
            own = tuple(word.lower() for word in words[2:])
            if len(words) < 2 or words[1] != str(len(own)) or not set(own) <= set(CHANNELS):
                raise _broken(path, line)
            channels[open_joints[-1]] = own
        elif keyword not in ("", "HIERARCHY"):
            raise _broken(path, line)
    if open_joints or not names:
        raise UserError(
            f"The hierarchy of {path} ends before its last bracket; it was probably cut while it "
            "was copied. Fetch it again."
        )
    for name, offset in zip(names, offsets):
        if not offset:
            raise UserError(f"{name} in {path} has no OFFSET; export the file again.")
    return names, parents, offsets, channels


def _parse_numbers(path: str | Path, line: str, words: list[str], count: int) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise _broken(path, line) from None
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise _broken(path, line)
    return numbers


def _broken(path: str | Path, line: str) -> UserError:
    return UserError(
        f"The hierarchy of {path} cannot be read at the line {line.strip()[:60]!r}; "
        "export the file again."
    )


def _parse_motion(
    path: str | Path, text: str, columns: list[str]
) -> tuple[np.ndarray, float, tuple[str, ...]]:
    count = re.search(r"^\s*Frames\s*:\s*(\d+)", text, re.IGNORECASE | re.MULTILINE)
    time = re.search(r"^\s*Frame\s+Time\s*:\s*(\S+)", text, re.IGNORECASE | re.MULTILINE)
    body = text[max(match.end() if match else 0 for match in (count, time)) :]
    rows = [line.split() for line in body.splitlines()]
    rows = [row for row in rows if row]
    if not columns:
        raise UserError(f"No joint of {path} has a channel, so nothing moves; export it again.")
    announced = int(count.group(1)) if count else len(rows)
    # The last line of a cut file may end inside a number and still be one.
    if rows and (len(rows[-1]) < len(columns) or len(rows) < announced and body[-1] != "\n"):
        rows.pop()
        announced = max(announced, len(rows) + 1)
    for number, row in enumerate(rows, start=1):
        if len(row) != len(columns):
            raise UserError(
                f"Frame {number} of {path} has {len(row)} values; its hierarchy has "
                f"{len(columns)} channels. Export the file again."
            )
    if not rows:
        raise UserError(f"{path} holds no whole frame; export or fetch it again.")
    warnings: tuple[str, ...] = ()
    if len(rows) < announced:
        warnings = (
            f"{path} is cut: it holds {len(rows)} whole frames of {announced}; "
            f"{announced - len(rows)} are lost.",
        )
    elif len(rows) > announced:
        warnings = (f"{path} announces {announced} frames and holds {len(rows)}; all are used.",)
    values = parse_rows(path, rows, columns)
    try:
        frame_time = float(time.group(1)) if time else 0.0
    except ValueError:
        frame_time = 0.0
    if not (np.isfinite(frame_time) and frame_time > 0):
        frame_time = 0.0
    return values, frame_time, warnings


def parse_rows(path: str | Path, rows: list[list[str]], columns: list[str]) -> np.ndarray:
    """Turns rows of words into (T, C) numbers.

    Raises:
        UserError: a word is not a finite number; names its frame and channel.
    """
    try:
        values = np.array(rows, dtype=np.float64)
        bad = ~np.isfinite(values)
    except ValueError:
        bad = np.array([[not _is_finite(word) for word in row] for row in rows])
    if bad.any():
        frame, column = np.argwhere(bad)[0]
        raise UserError(
            f"Frame {frame + 1} of {path} has {rows[frame][column]!r} for {columns[column]}, which "
            f"is not a finite number ({np.count_nonzero(bad.any(axis=1))} such frames). "
            "Export the file again, or cut these frames out."
        )
    return values


def _is_finite(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False


def _translation(bvh: Bvh, joint: int, columns: np.ndarray) -> np.ndarray:
    """Returns the joint's place in its parent's frame, (T, 3).

    Some programs (Blender, MotionBuilder, Rokoko) write places that replace OFFSET, others
    (iClone) differences from it. The median over the motion tells them apart: projected on the
    offset it is near 1 for the former and near 0 for the latter. For a root, whose offset is
    constant, the choice only shifts the whole dance.
    """
    offset = bvh.offsets[joint]
    result = np.tile(offset, (len(columns), 1))
    names = bvh.channels[joint]
    moved = [(AXES[name[0]], k) for k, name in enumerate(names) if name.endswith("position")]
    if not moved:
        return result
    axes = [axis for axis, _ in moved]
    places = columns[:, [k for _, k in moved]]
    middle = np.median(places, axis=0)
    length = float(np.dot(offset[axes], offset[axes]))
    replaces = length == 0 or float(np.dot(middle, offset[axes])) / length > _REPLACES
    result[:, axes] = places if replaces else places + offset[axes]
    return result

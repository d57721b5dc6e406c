"""Parses .bvh and .bvh.gz into the record of `data.mocap.formats.bvh`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dancenet.data.mocap.formats.bvh import CHANNELS, END, Bvh
from dancenet.data.mocap.formats.numbers import comma_meaning, number, parse_rows, whole
from dancenet.data.mocap.formats.text import lines_of, read_text
from dancenet.data.motion.tree import MOST_JOINTS
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, visible

MOST_POINTS = 20_000_000  # joints times frames; 45 minutes of 60 joints at 120 frames/s

_KEYWORDS = ("HIERARCHY", "ROOT", "JOINT", "END", "OFFSET", "CHANNELS", "{", "}")
_READ = {**{name: name for name in CHANNELS}, **{f"{axis}scale": "" for axis in "xyz"}}
_READ |= {f"{axis}translation": f"{axis}position" for axis in "xyz"}
_MOST_CHANNELS = 12  # of one joint
_COMMENT = ("#", "//", ";")
_FRAMES = re.compile(r"\s*Frames\s*:?\s*(\S*)", re.IGNORECASE)
_TIME = re.compile(r"\s*Frame\s*Time\s*:?\s*(\S*)", re.IGNORECASE)
_HEADING_LINES = 20  # between MOTION and the first frame
_PROBE = 200  # lines of frames that tell what commas mean
_AT_ONCE = 1024  # lines that are parsed at once
_TURN = 2 * math.pi
_NO_RADIANS = 1.0  # a body that never turns a joint further moves little, in any unit


class _Joint(NamedTuple):
    name: str
    parent: int
    offset: list[float]
    channels: list[str]  # "" for one that is read and not used


def read_bvh(path: str | Path) -> Bvh:
    """Reads a BVH file, plain or gzipped, in any encoding.

    A file that ends too early loses the frame it was cut in; `warnings` says how many
    frames are missing. Joints of one name get a number each, with a warning.

    Args:
        path: the file; compression is known by its first bytes, not by its name.

    Returns:
        The skeleton and its motion.

    Raises:
        UserError: this is not a BVH file, its hierarchy is cut, it holds no whole frame,
            a frame has the wrong number of values, or a value is not a finite number.
    """
    text, warnings = read_text(path)
    lines = [line for line in lines_of(path, text) if not line.lstrip().startswith(_COMMENT)]
    ends = text.endswith("\n")
    del text
    first = next((line for line in lines if line.strip()), "")
    if not re.match(r"\s*HIERARCHY\b", first, re.IGNORECASE):
        start = visible(" ".join(" ".join(lines[:5])[:40].split()))
        raise UserError(
            f"{quoted(path)} is not a BVH file: it should begin with HIERARCHY, it begins with "
            f"{start!r}. Give a .bvh, .amc, .npz or .npy file of motion capture."
        )
    at = next((at for at, line in enumerate(lines) if _keyword(line) == "MOTION"), None)
    if at is None:
        raise UserError(
            f"{quoted(path)} ends before its MOTION section, so it holds no frames; it was "
            "probably cut while it was copied. Fetch it again."
        )
    return _parse(path, lines[:at], lines[at + 1 :], ends, warnings)


def _parse(
    path: str | Path, head: list[str], body: list[str], ends: bool, warnings: tuple[str, ...]
) -> Bvh:
    """Parses the lines before MOTION and those after it."""
    offsets = [line for line in head if _keyword(line) == "OFFSET"]
    comma = comma_meaning(offsets + body[: _HEADING_LINES + _PROBE])
    joints = _Hierarchy(path, comma).read(head)
    names, renamed = _unique(path, joints)
    columns = [
        f"{name} {channel or 'scale'}"
        for name, joint in zip(names, joints)
        for channel in joint.channels
    ]
    values, frame_time, losses = _Motion(path, body, ends, comma).read(columns)
    _check_most(path, len(values), len(joints))
    used = np.array([channel != "" for joint in joints for channel in joint.channels])
    if not used.all():
        losses += (f"{quoted(Path(path).name)}: channels of scale are not used.",)
    motion = Bvh(
        names=names,
        parents=tuple(joint.parent for joint in joints),
        offsets=np.array([joint.offset for joint in joints], dtype=np.float64),
        channels=tuple(tuple(filter(None, joint.channels)) for joint in joints),
        values=values[:, used],
        frame_time=frame_time,
    )
    return replace(motion, warnings=(*warnings, *renamed, *losses, *_doubts(path, motion)))


def _check_most(path: str | Path, num_frames: int, num_joints: int) -> None:
    if num_frames * num_joints > MOST_POINTS:
        raise UserError(
            f"{quoted(path)} holds {num_frames:,} frames of {num_joints} joints, more than is "
            "read of one file; cut it into several."
        )


def _keyword(line: str) -> str:
    return (line.split(None, 1) or [""])[0].upper()


class _Hierarchy:
    """The joints of a hierarchy, taken statement by statement."""

    def __init__(self, path: str | Path, comma: str) -> None:
        self.path, self.comma = path, comma
        self.joints: list[_Joint] = []
        self.offsets: set[int] = set()  # joints whose OFFSET was read
        self.open: list[int] = []  # joints whose bracket is open
        self.waiting = False  # a joint was named and its bracket not opened yet

    def read(self, lines: Sequence[str]) -> list[_Joint]:
        """Returns the joints; parents come before their children."""
        for words, line in _statements(lines):
            self._take(words, line)
        if self.open or not self.joints:
            raise UserError(
                f"The hierarchy of {quoted(self.path)} ends before its last bracket; it was "
                "probably cut while it was copied. Fetch it again."
            )
        for index, joint in enumerate(self.joints):
            if index not in self.offsets:
                raise UserError(
                    f"{visible(joint.name)!r:.60} in {quoted(self.path)} has no OFFSET; export "
                    "the file again."
                )
        return self.joints

    def _take(self, words: list[str], line: str) -> None:
        keyword = words[0].upper()
        if keyword in ("ROOT", "JOINT", "END"):
            self._add(keyword, " ".join(words[1:]), line)
        elif keyword == "{":
            if not self.waiting:
                raise self._broken(line)
            self.open.append(len(self.joints) - 1)
            self.waiting = False
        elif keyword == "}":
            if not self.open:
                raise self._broken(line)
            self.open.pop()
        elif keyword == "OFFSET" and self.open and not self.waiting:
            numbers = [
                number(word) for word in " ".join(words[1:]).replace(",", self.comma).split()
            ]
            if len(numbers) != 3 or None in numbers:
                raise self._broken(line)
            self.joints[self.open[-1]].offset[:] = numbers  # type: ignore[assignment]
            self.offsets.add(self.open[-1])
        elif keyword == "CHANNELS" and self.open and not self.waiting:
            own = [_READ.get(word.lower().strip(","), "?") for word in words[2:]]
            count = whole(words[1]) if len(words) > 1 else None
            if count != len(own) or "?" in own or len(own) > _MOST_CHANNELS:
                raise self._broken(line)
            self.joints[self.open[-1]].channels[:] = own
        elif keyword != "HIERARCHY":
            raise self._broken(line)

    def _add(self, keyword: str, name: str, line: str) -> None:
        parent = self.open[-1] if self.open else -1
        if (keyword == "ROOT") != (parent < 0) or self.waiting or not name:
            raise self._broken(line)
        if keyword == "ROOT" and self.joints:
            raise UserError(
                f"{quoted(self.path)} holds two skeletons, {visible(self.joints[0].name):.60} and "
                f"{visible(name):.60}; export one dancer to a file."
            )
        if len(self.joints) == MOST_JOINTS:
            raise UserError(
                f"{quoted(self.path)} has more than {MOST_JOINTS:,} joints, which is no dancer's "
                "skeleton; export the body's joints alone."
            )
        # A joint of that ending would be taken for an End Site.
        name = END if keyword == "END" else visible(name).replace(END, "_end")
        self.joints.append(_Joint(name, parent, [0.0, 0.0, 0.0], []))
        self.waiting = True

    def _broken(self, line: str) -> UserError:
        return UserError(
            f"The hierarchy of {quoted(self.path)} cannot be read at the line "
            f"{visible(line.strip()[:60])!r}; export the file again."
        )


def _statements(lines: Sequence[str]) -> Iterator[tuple[list[str], str]]:
    """Yields the words of each statement and its line, wherever the lines were wrapped."""
    pending: list[str] = []
    for line in lines:
        for part in _parts(line):
            words = part.split()
            if pending and words and words[0].upper() not in _KEYWORDS:
                words = pending + words
            elif pending:
                yield pending, " ".join(pending)
            pending = []
            if not words:
                continue
            if _is_whole(words):
                yield words, line
            else:
                pending = words
    if pending:
        yield pending, " ".join(pending)


def _parts(line: str) -> Iterator[str]:
    """Yields the statements of a line: brackets, and OFFSET and CHANNELS, stand by themselves."""
    for part in re.split(r"([{}])", line):
        if _keyword(part) in ("OFFSET", "CHANNELS"):
            yield from re.split(r"\b(?=(?:CHANNELS|OFFSET)\s)", part, flags=re.IGNORECASE)
        else:
            yield part


def _is_whole(words: list[str]) -> bool:
    """Tells whether no more words can follow on the next line."""
    keyword = words[0].upper()
    if keyword == "OFFSET":
        return len(words) > 3
    if keyword == "CHANNELS":
        count = whole(words[1]) if len(words) > 1 else 1
        return count is None or len(words) - 2 >= count
    return True


def _unique(path: str | Path, joints: Sequence[_Joint]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names End Sites after their parents, and tells joints of one name apart."""
    said = {joint.name for joint in joints}
    names: list[str] = []
    taken: set[str] = set()
    doubled: dict[str, str] = {}
    for joint in joints:
        is_end = joint.name == END
        plain = names[joint.parent] if is_end else joint.name
        name, count = plain + END if is_end else plain, 1
        while name in taken or (count > 1 and name in said):
            count += 1
            name = f"{plain}_{count}" + END * is_end
        if count > 1 and not is_end:
            doubled.setdefault(plain, name)
        taken.add(name)
        names.append(name)
    if not doubled:
        return tuple(names), ()
    plain, name = next(iter(doubled.items()))
    return tuple(names), (
        f"{quoted(Path(path).name)}: several joints have one name; the second "
        f"{visible(plain)!r:.60} is called {visible(name)!r:.60}, and so on.",
    )


class _Motion:
    """The frames of a file."""

    def __init__(self, path: str | Path, lines: list[str], ends: bool, comma: str) -> None:
        self.path, self.comma = path, comma
        self.ends = ends  # whether the last line has an end
        self.announced: int | None = None
        self.frame_time = 0.0
        first = 0
        for line in lines[:_HEADING_LINES]:
            time, count = _TIME.match(line), _FRAMES.match(line)
            if time:
                said = number(time.group(1).replace(",", "."))
                self.frame_time = math.nan if said is None else said
            elif count:
                self.announced = whole(count.group(1))
            elif line.strip() and ":" not in line:
                break
            first += 1
        self.lines = [line for line in lines[first:] if line.strip()]

    def read(self, columns: Sequence[str]) -> tuple[np.ndarray, float, tuple[str, ...]]:
        """Returns values (T, C), the frame time, and what was lost."""
        name = quoted(Path(self.path).name)
        if not columns:
            raise UserError(
                f"No joint of {quoted(self.path)} has a channel, so nothing moves; export it again."
            )
        values, lost = self._values(columns)
        announced = len(values) if self.announced is None else self.announced
        if lost:
            announced = max(announced, len(values) + 1)
        if not len(values):
            raise UserError(f"{quoted(self.path)} holds no whole frame; export or fetch it again.")
        warnings: tuple[str, ...] = ()
        if len(values) < announced:
            warnings = (
                f"{name} is cut: it holds {len(values)} whole frames of {announced}; "
                f"{announced - len(values)} are lost.",
            )
        elif len(values) > announced:
            warnings = (
                f"{name} announces {announced} frames and holds {len(values)}; all are used.",
            )
        return values, self.frame_time, warnings

    def _values(self, columns: Sequence[str]) -> tuple[np.ndarray, bool]:
        """Returns (T, C), and whether the last frame was cut and is left out."""
        if not self.lines:
            return np.zeros((0, len(columns))), False
        width = len(columns)
        if len(self._words(self.lines[0])) != width:
            total = sum(len(self._words(line)) for line in self.lines)
            wrapped = len(self._words(self.lines[0])) < width and self._frames_end_lines(width)
            if wrapped or total == width * (self.announced or 0):
                return self._flowing(columns, total)
        lines = self.lines
        last = len(self._words(lines[-1]))
        # The last line of a cut file may end inside a number and still be one.
        cut = last < width or (not self.ends and len(lines) < (self.announced or 0))
        if cut:
            lines = lines[:-1]
        self._check_size(len(lines) * width)
        values = np.empty((len(lines), width))
        for first in range(0, len(lines), _AT_ONCE):
            rows = [self._words(line) for line in lines[first : first + _AT_ONCE]]
            for frame, row in enumerate(rows, start=first + 1):
                if len(row) != width:
                    raise UserError(
                        f"Frame {frame} of {quoted(self.path)} has {len(row)} values; its "
                        f"hierarchy has {width} channels. Export the file again."
                    )
            values[first : first + len(rows)] = parse_rows(self.path, rows, columns, first + 1)
        return values, cut

    def _frames_end_lines(self, width: int) -> bool:
        """Tells whether frames that were wrapped over lines each end with a line."""
        held = 0
        for line in self.lines:
            held += len(self._words(line))
            if held > width:
                return False
            held %= width
        return True

    def _flowing(self, columns: Sequence[str], total: int) -> tuple[np.ndarray, bool]:
        """Reads frames whose line ends mean nothing."""
        width = len(columns)
        self._check_size(total)
        parts: list[np.ndarray] = []
        words: list[str] = []
        frame = 1
        for at, line in enumerate(self.lines, start=1):
            words += self._words(line)
            if len(words) >= _AT_ONCE * width or at == len(self.lines):
                whole_frames = len(words) // width
                rows = [words[k * width : (k + 1) * width] for k in range(whole_frames)]
                if rows:
                    parts.append(parse_rows(self.path, rows, columns, frame))
                frame += whole_frames
                words = words[whole_frames * width :]
        values = np.concatenate(parts) if parts else np.zeros((0, width))
        return values, bool(words)

    def _words(self, line: str) -> list[str]:
        return (line.replace(",", self.comma) if self.comma != "," else line).split()

    def _check_size(self, count: int) -> None:
        if count > 3 * MOST_POINTS:
            raise UserError(
                f"{quoted(self.path)} holds {count:,} numbers, more than is read of one file; cut "
                "it into several."
            )


def _doubts(path: str | Path, motion: Bvh) -> tuple[str, ...]:
    """Returns a warning if all turns are so small that they may be radians."""
    turns = np.array([name.endswith("rotation") for own in motion.channels for name in own])
    most = np.abs(motion.values[:, turns]).max() if turns.any() else 0.0
    if not _NO_RADIANS < most <= _TURN:
        return ()
    return (
        f"{quoted(Path(path).name)}: no joint turns by more than {most:.3g}. Turns in a BVH are "
        "degrees; if these are radians, export them as degrees.",
    )

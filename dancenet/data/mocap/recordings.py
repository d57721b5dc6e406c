"""Recorded motions to learn from: stretches without a glitch, their split and their style."""

from __future__ import annotations

import csv
import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dancenet.data.frames.clips import Clip, split_clips
from dancenet.data.mocap.read import read_skeleton
from dancenet.data.motion.clip import SkeletonClip, check_same_skeleton
from dancenet.support import terminal
from dancenet.support.errors import UserError

MIN_SECONDS = 1.0  # a shorter stretch between two glitches teaches nothing
COLUMNS = ("file", "style", "split")
SPLITS = ("train", "val")

_SIDES = (("l_", "r_"), ("left", "right"), ("Left", "Right"), ("l", "r"), ("L", "R"))


@dataclass(frozen=True)
class Recordings:
    """Stretches of one skeleton at one rate, in the order they were read."""

    clips: tuple[SkeletonClip, ...]  # good frames only
    splits: tuple[str | None, ...]  # "train", "val", or None to let the trainer choose
    styles: tuple[str | None, ...]  # what is danced, None where nobody said

    def __post_init__(self) -> None:
        if not len(self.clips) == len(self.splits) == len(self.styles):
            raise ValueError("every clip needs a split and a style.")

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.clips[0].fps

    @property
    def sources(self) -> tuple[str, ...]:
        """Where each clip came from; stretches of one file have one source."""
        return tuple(clip.source for clip in self.clips)

    @property
    def rows(self) -> tuple[range, ...]:
        """0-based rows of each clip in an array that holds all frames in order."""
        stops = np.cumsum([clip.num_frames for clip in self.clips]).tolist()
        return tuple(range(a, b) for a, b in zip([0, *stops], stops))

    @property
    def style_names(self) -> tuple[str, ...]:
        """The styles there are, in order of name."""
        return tuple(sorted({style for style in self.styles if style}))

    def split(self, fraction: float = 0.1) -> tuple[list[range], list[range]]:
        """Returns training and validation rows, as `data.frames.clips.split_clips` does."""
        return split_clips(
            [
                Clip(source, self.fps, rows.start + 1, rows.stop, "", split)
                for rows, source, split in zip(self.rows, self.sources, self.splits)
            ],
            fraction,
        )


class Labels:
    """What a CSV file says of recordings: their style, and their side of the split.

    Its first line is `file,style` or `file,style,split`. A file is a name or a pattern such as
    `60_*.bvh`; the first line that fits counts, and an empty field says nothing.
    """

    def __init__(self, rows: Sequence[tuple[str, str | None, str | None]], source: str) -> None:
        self._rows = tuple(rows)
        self._used: set[str] = set()
        self.source = source

    @classmethod
    def read(cls, path: str | Path) -> Labels:
        """Reads a CSV file.

        Raises:
            UserError: it cannot be read, or a line of it says nothing that is understood.
        """
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"The labels {path} cannot be read as text: {error}.") from error
        reader = csv.reader(text.splitlines())
        head = [name.strip().lower() for name in next(reader, [])]
        if head not in (list(COLUMNS), list(COLUMNS[:2])):
            raise UserError(
                f"The first line of the labels {path} must be {','.join(COLUMNS)} (the last may "
                f"be left out); received {','.join(head)!r}."
            )
        rows = []
        for line in reader:
            fields = [field.strip() for field in line]
            if not any(fields):
                continue
            pattern, style, split = (*fields, "", "")[:3]
            if len(fields) > len(head) or not pattern or split not in ("", *SPLITS):
                raise UserError(
                    f"Line {reader.line_num} of the labels {path} is not {','.join(head)} (a "
                    f"split is train or val): {','.join(line)!r}."
                )
            rows.append((pattern, style or None, split or None))
        return cls(rows, str(path))

    def of(self, path: Path) -> tuple[str | None, str | None]:
        """Returns the style and the split of a recording."""
        for pattern, style, split in self._rows:
            if fnmatch.fnmatchcase(path.name, pattern) or path.match(pattern):
                self._used.add(pattern)
                return style, split
        return None, None

    @property
    def unused(self) -> list[str]:
        """The patterns that no recording had so far."""
        return [pattern for pattern, _, _ in self._rows if pattern not in self._used]


class Recording(NamedTuple):
    """A stretch without a glitch, and what is known of it."""

    clip: SkeletonClip
    split: str | None
    style: str | None


def each_recording(
    paths: Sequence[str | Path],
    *,
    labels: Labels | None = None,
    style_by_folder: bool = False,
    mirror: bool = False,
    fps: float = 30.0,
    own: bool = False,
    quiet: bool = False,
    frame_rate: float | None = None,
    axes: str | None = None,
    up: str | None = None,
    unit: float | None = None,
    skeleton: str | Path | None = None,
) -> Iterator[Recording]:
    """Reads motions one after the other, cuts out glitches, and brings them to one rate.

    Args:
        paths: files, as `read_skeleton` takes.
        labels: the style and the split of each.
        style_by_folder: take the name of the folder a file lies in for its style, where the
            labels say nothing.
        mirror: add every stretch with left and right swapped.
        fps: frames per second, never above a recording's own.
        quiet: do not say again what was assumed of each file.
        own, frame_rate, axes, up, unit, skeleton: as of `read_skeleton`.

    Raises:
        UserError: a file cannot be read, nothing in them is long enough, or one does not go
            together with the first.
    """
    first: SkeletonClip | None = None
    for path in terminal.progress(list(paths), description="Reading", unit="file"):
        path = Path(path)
        motion = read_skeleton(
            path, own=own, frame_rate=frame_rate, axes=axes, up=up, unit=unit, skeleton=skeleton
        )
        style, split = labels.of(path) if labels is not None else (None, None)
        if style is None and style_by_folder:
            style = path.resolve().parent.name
        if not quiet:
            for message in motion.warnings:
                terminal.warn(message)
        for clip in _stretches(motion, fps, quiet):
            first = clip if first is None else first
            check_same_skeleton([first, clip])
            if first.fps != clip.fps:
                rates = sorted((first.fps, clip.fps))
                raise UserError(
                    "All recordings of a training have one rate, but "
                    f"{first.source} and {clip.source} would have "
                    f"{', '.join(f'{rate:g}' for rate in rates)} frames/s; say --fps "
                    f"{rates[0]:g}."
                )
            for shown in (clip, mirrored(clip)) if mirror else (clip,):
                yield Recording(shown, split, style)
    if labels is not None and labels.unused and not quiet:
        terminal.warn(
            f"{labels.source}: {len(labels.unused)} lines fit no recording, the first is "
            f"{labels.unused[0]}."
        )
    if first is None:
        raise UserError(
            f"No recording has {MIN_SECONDS:g} s in a row without a glitch; there is nothing to "
            "learn from."
        )


def read_recordings(paths: Sequence[str | Path], **options: Any) -> Recordings:
    """Reads motions of one skeleton; see `each_recording`."""
    clips, splits, styles = zip(*each_recording(paths, **options))
    return Recordings(clips, splits, styles)


def mirrored(clip: SkeletonClip) -> SkeletonClip:
    """Returns a clip with left and right swapped.

    Raises:
        UserError: which joints are left and which are right cannot be told from their names.
    """
    other = _other_sides(clip.names)
    if all(index == joint for joint, index in enumerate(other)):
        raise UserError(
            f"{clip.source} cannot be mirrored: none of its joints is called left or right "
            f"({', '.join(clip.names[:4])}, …); leave --mirror out."
        )
    positions = clip.positions[:, other].copy()
    positions[..., 0] *= -1
    offsets = None
    if clip.offsets is not None:
        offsets = clip.offsets[other] * [-1.0, 1.0, 1.0]
    return replace(clip, positions=positions, offsets=offsets)


def _other_sides(names: Sequence[str]) -> list[int]:
    """Returns each joint's index on the other side; a joint in the middle has its own."""
    numbers = {name: number for number, name in enumerate(names)}
    other = list(range(len(names)))
    for number, name in enumerate(names):
        for left, right in _SIDES:
            for one, two in ((left, right), (right, left)):
                # A letter alone is a side only at the beginning of a word: lHand, but not lower.
                pattern = f"^{one}(?=[A-Z])" if len(one) == 1 else f"(?<![a-z]){one}"
                swapped = re.sub(pattern, two, name, count=1)
                if swapped != name and swapped in numbers and other[number] == number:
                    other[number] = numbers[swapped]
    return other


def _stretches(motion: SkeletonClip, fps: float, quiet: bool) -> Iterator[SkeletonClip]:
    short = []
    for run, long_enough in motion.good_runs(MIN_SECONDS):
        if long_enough:
            yield motion.cut(run).resample(fps)
        else:
            short.append(f"{run.start + 1}-{run.stop}")
    if short and not quiet:
        terminal.say(
            f"{motion.source}: frames {', '.join(short)} are too short between glitches "
            f"({MIN_SECONDS:g} s is needed); left out."
        )

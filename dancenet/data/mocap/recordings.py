"""Recordings to learn from: clips without glitches, their split and their style."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dancenet.data.frames.clips import Clip, split_clips
from dancenet.data.mocap.labels import Labels
from dancenet.data.mocap.read import read_together
from dancenet.data.mocap.reading import ReadOptions, check_rate
from dancenet.data.mocap.sides import other_sides
from dancenet.data.motion.clip import SkeletonClip, check_same_skeleton
from dancenet.support import terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, shell_word, visible
from dancenet.support.wording import option

MIN_SECONDS = 1.0  # a shorter clip between two glitches teaches nothing


@dataclass(frozen=True)
class Recordings:
    """Clips of one skeleton at one rate, in the order they were read."""

    clips: tuple[SkeletonClip, ...]  # good frames only
    splits: tuple[str | None, ...]  # "train", "val", or None to let the trainer choose
    styles: tuple[str | None, ...]  # the dance style, None where it is not known

    def __post_init__(self) -> None:
        if not len(self.clips) == len(self.splits) == len(self.styles):
            raise ValueError("every clip needs a split and a style.")

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.clips[0].fps

    @property
    def sources(self) -> tuple[str, ...]:
        """The source of each clip; clips of one file have one source."""
        return tuple(clip.source for clip in self.clips)

    @property
    def rows(self) -> tuple[range, ...]:
        """The 0-based rows of each clip in an array that holds all frames in order."""
        stops = np.cumsum([clip.num_frames for clip in self.clips]).tolist()
        return tuple(range(a, b) for a, b in zip([0, *stops], stops))

    @property
    def style_names(self) -> tuple[str, ...]:
        """The known styles, sorted."""
        return tuple(sorted({style for style in self.styles if style}))

    def split(self, fraction: float = 0.1) -> tuple[list[range], list[range]]:
        """Returns training and validation rows, as `data.frames.clips.split_clips` does."""
        return split_clips(
            [
                Clip(
                    source=source,
                    fps=self.fps,
                    first=rows.start + 1,
                    last=rows.stop,
                    method="",
                    split=split,
                )
                for rows, source, split in zip(self.rows, self.sources, self.splits)
            ],
            fraction,
        )


class Recording(NamedTuple):
    """A clip without glitches, its split and its style."""

    clip: SkeletonClip
    split: str | None  # as in `Recordings`
    style: str | None


@dataclass(frozen=True)
class RecordingOptions:
    """Choices for reading recordings to learn from."""

    labels: Labels | None = None  # the style and the split of each
    style_by_folder: bool = False  # where the labels have no style, the folder's name is it
    mirror: bool = False  # add every clip with left and right swapped
    fps: float = 30.0  # frames per second, never above a recording's own
    reading: ReadOptions = ReadOptions()  # the same for every file

    def known(self, path: Path) -> tuple[str | None, str | None]:
        """Returns the style and the split of a file."""
        style, split = self.labels.of(path) if self.labels is not None else (None, None)
        if style is None and self.style_by_folder:
            style = path.resolve().parent.name or None
        return None if style is None else _style(style, path), split


def each_recording(
    paths: Sequence[str | Path],
    options: RecordingOptions = RecordingOptions(),
    *,
    quiet: bool = False,
) -> Iterator[Recording]:
    """Reads recordings one after the other, cuts out glitches, and brings them to one rate.

    Which axis points up is measured on all of them together.

    Args:
        paths: files, as `read_skeleton` takes.
        options: what is taken from them.
        quiet: do not repeat what was assumed of each file.

    Raises:
        UserError: a file cannot be read, no clip is long enough, or one has another skeleton or
            rate than the first.
    """
    for path in paths:  # what is wrong with a name is said before anything is read
        options.known(Path(path))
    first: SkeletonClip | None = None
    check_rate(options.fps, f"The dancer's rate ({option('fps')})")
    for path, motion in read_together(paths, options.reading):
        style, split = options.known(path)
        if not quiet:
            for message in motion.warnings:
                terminal.warn(message)
        for clip in _good_clips(motion, options.fps, quiet):
            first = clip if first is None else first
            check_same_skeleton([first, clip])
            _check_same_rate(first, clip)
            for shown in (clip, mirrored(clip)) if options.mirror else (clip,):
                yield Recording(shown, split, style)
    labels = options.labels
    if labels is not None and labels.unused and not quiet:
        terminal.warn(
            f"{labels.source}: {len(labels.unused)} lines match no recording, the first is "
            f"{quoted(labels.unused[0])}."
        )
    if first is None:
        raise UserError(
            f"No recording has {MIN_SECONDS:g} s in a row without a glitch; there is nothing to "
            "learn from."
        )


def _style(name: str, path: Path) -> str:
    """Returns the name of a style as a dance can be asked for it.

    Raises:
        UserError: there is no such name.
    """
    name = unicodedata.normalize("NFC", name.strip())
    # Bytes that are not UTF-8 can be given again.
    text = os.fsencode(name).decode(errors="ignore")
    if not name or visible(text) != text:
        raise UserError(
            f"{quoted(path)} has the style {shell_word(name)}, which nobody can ask for; give it "
            "a name that can be typed, in the labels or by its folder."
        )
    return name


def _check_same_rate(first: SkeletonClip, clip: SkeletonClip) -> None:
    if first.fps != clip.fps:
        rates = sorted((first.fps, clip.fps))
        raise UserError(
            "All recordings of a training have one rate, but "
            f"{quoted(first.source)} and {quoted(clip.source)} would have "
            f"{', '.join(f'{rate:g}' for rate in rates)} frames/s; say {option('fps', rates[0])}."
        )


def read_recordings(
    paths: Sequence[str | Path], options: RecordingOptions = RecordingOptions()
) -> Recordings:
    """Reads recordings of one skeleton; see `each_recording`."""
    clips, splits, styles = zip(*each_recording(paths, options))
    return Recordings(clips, splits, styles)


def mirrored(clip: SkeletonClip) -> SkeletonClip:
    """Returns a clip with left and right swapped.

    Raises:
        UserError: the joints' names do not tell left from right.
    """
    other = other_sides(clip.names)
    if all(index == joint for joint, index in enumerate(other)):
        raise UserError(
            f"{quoted(clip.source)} cannot be mirrored: none of its joints is called left or right "
            f"({visible(', '.join(clip.names[:4]))[:80]}, …); leave {option('mirror')} out."
        )
    positions = clip.positions[:, other].copy()
    positions[..., 0] *= -1
    offsets = None
    if clip.offsets is not None:
        offsets = clip.offsets[other] * [-1.0, 1.0, 1.0]
    return replace(clip, positions=positions, offsets=offsets)


def _good_clips(motion: SkeletonClip, fps: float, quiet: bool) -> Iterator[SkeletonClip]:
    """Yields the clips between glitches that are long enough, at another rate."""
    short = []
    for run, long_enough in motion.good_runs(MIN_SECONDS):
        if long_enough:
            yield motion.cut(run).resample(fps)
        else:
            short.append(f"{run.start + 1}-{run.stop}")
    if short and not quiet:
        terminal.say(
            f"{quoted(motion.source)}: frames {', '.join(short)} are too short between glitches "
            f"({MIN_SECONDS:g} s is needed); left out."
        )

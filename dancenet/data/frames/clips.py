"""The clips of a folder of silhouettes, their record, and which of them validate."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dancenet.data.frames.picture import HEIGHT, WIDTH
from dancenet.support import checked, files
from dancenet.support.errors import UserError, advising
from dancenet.support.names import quoted
from dancenet.support.wording import option

CLIPS_FILE = "clips.json"
PENDING_FILE = ".pending.json"  # present while a clip is moved into the folder
POSES_HASH = "[0-9a-f]{16}"  # names the rows of a clip in `poses.npz`

LEAST_ROWS = 10  # of a clip that a dancer can be trained on, or validated on

_FORMAT = 1
_SHORT_END = 12  # rows that a short clip gives to validation
_SPLITS = (None, "train", "val")
MOST_FRAMES = 10**9  # of a folder, a year at 30 frames a second


@dataclass(frozen=True)
class Clip:
    """A run of pictures filmed without a cut."""

    source: str  # the file or camera it came from
    fps: float  # pictures per second
    first: int  # number of the first picture, 1-based
    last: int  # number of the last picture, inclusive
    method: str  # how the silhouettes were made
    split: str | None = None  # "train", "val", or None to let the trainer choose
    details: dict[str, Any] = field(default_factory=dict)  # whatever else is worth keeping
    poses: str | None = None  # hash of the joints in its frames, if they are known

    def __post_init__(self) -> None:
        checked.check_rate(self.fps)
        checked.between("first", self.first, 1, MOST_FRAMES)
        checked.between("last", self.last, self.first, MOST_FRAMES)
        if self.split not in _SPLITS:
            raise UserError(f"split must be 'train', 'val' or null; received {self.split!r}.")
        if self.poses is not None and not re.fullmatch(POSES_HASH, self.poses):
            raise UserError(f"poses must be a hash or null; received {self.poses!r:.60}.")

    @property
    def num_frames(self) -> int:
        return self.last - self.first + 1

    @property
    def rows(self) -> range:
        """The clip's 0-based rows in an array that holds every picture in order."""
        return range(self.first - 1, self.last)


@dataclass(frozen=True)
class Pending:
    """The content of `.pending.json`: the numbers of the pictures that are on their way."""

    first: int
    last: int  # inclusive
    replaces: bool = False  # others, which are kept aside until these are recorded

    def __post_init__(self) -> None:
        checked.between("first", self.first, 1, MOST_FRAMES)
        # Of these only the pictures that are there are looked at.
        checked.between("last", self.last, 1, 1 << 53)


@dataclass(frozen=True)
class _Record:
    """The content of `clips.json`."""

    format: Literal[1]
    clips: tuple[Clip, ...]

    def __post_init__(self) -> None:
        expected = 1
        for number, clip in enumerate(self.clips, start=1):
            if clip.first != expected:
                raise UserError(
                    f"clip {number} spans {clip.first} to {clip.last}, but must start at {expected}"
                )
            expected = clip.last + 1


def split_clips(
    clips: Sequence[Clip], fraction: float = 0.1, gap_seconds: float = 1.0
) -> tuple[list[range], list[range]]:
    """Splits pictures into training and validation rows, in contiguous blocks.

    A clip marked "train" or "val" goes whole to its side. Of any other clip the last
    `fraction` is held out, and `gap_seconds` before it are left to neither side, because
    the pictures just before a held-out block look almost the same.

    Returns:
        Two lists of 0-based row ranges. A block is at least one second long, unless no clip
        is marked and none is long enough; then the longest clip gives its end, or short clips
        give theirs. Without that the validation list may be empty.
    """
    train: list[range] = []
    validation: list[range] = []
    for clip in clips:
        rows = clip.rows
        if clip.split == "val":
            validation.append(rows)
            continue
        held_out = round(len(rows) * fraction)
        gap = round(clip.fps * gap_seconds)
        if clip.split == "train" or held_out < clip.fps or held_out + gap >= len(rows) // 2:
            train.append(rows)
            continue
        train.append(rows[: len(rows) - held_out - gap])
        validation.append(rows[len(rows) - held_out :])
    if not validation and train and not any(clip.split for clip in clips):
        return _split_short_clips(clips, fraction)
    return train, validation


def _split_short_clips(clips: Sequence[Clip], fraction: float) -> tuple[list[range], list[range]]:
    """Splits clips of which none has a second to hold out.

    The longest gives its end. If that is too short to validate a dancer on, as many clips as
    needed give a fixed number of rows, the longest ones first. So does the mirror image of a
    clip, which is of the same source and as long.
    """
    train = [clip.rows for clip in clips]
    validation: list[range] = []
    alike: dict[tuple[str, int], list[int]] = {}
    for index, clip in enumerate(clips):
        alike.setdefault((clip.source, clip.num_frames), []).append(index)
    groups = sorted(alike.items(), key=lambda group: -group[0][1])  # stable
    longest = groups[0][0][1]
    held_out, wanted = max(1, round(longest * fraction)), 0.0
    if held_out < LEAST_ROWS and longest >= 2 * _SHORT_END:
        held_out, wanted = _SHORT_END, fraction * sum(map(len, train))
    for (_, size), indices in groups:
        if size <= held_out or (validation and (size < 2 * held_out or not wanted)):
            break
        for index in indices:
            rows = train[index]
            train[index] = rows[:-held_out]
            validation.append(rows[-held_out:])
        if sum(map(len, validation)) >= wanted:
            break
    return train, sorted(validation, key=lambda rows: rows.start)


def check_trainable(clips: Sequence[Clip], where: str | Path) -> None:
    """Raises UserError unless a dancer can be trained on clips.

    Args:
        clips: of a folder.
        where: the folder, for the message.
    """
    train, validation = split_clips(clips)
    longest = [max(map(len, part), default=0) for part in (train, validation)]
    if min(longest) >= LEAST_ROWS:
        return
    if any(clip.split for clip in clips):
        missing = "train on" if longest[0] < LEAST_ROWS else "validate on"
        raise UserError(
            f"{quoted(where)} has no clip to {missing} of at least {LEAST_ROWS} frames; both kinds "
            f"are needed. Extract some without {option('split')}."
        )
    clip = max(clips, key=lambda clip: clip.num_frames)
    raise UserError(
        f"The takes in {quoted(where)} are too short to train a dancer on: the longest is "
        f"{clip.num_frames / clip.fps:.1f} s, {clip.num_frames} frames, and at least "
        f"{2 * _SHORT_END} are needed. Film takes of some seconds, a minute or more in all."
    )


def read_clips(path: Path) -> list[Clip]:
    """Reads a folder's record of clips.

    Raises:
        UserError: the record is damaged, or of another format.
    """
    try:
        content = checked.read_json(path, "record of clips")
        if isinstance(content, dict):
            # The size of the frames is said for other programs.
            content = {name: content[name] for name in ("format", "clips") if name in content}
        return list(checked.build(_Record, content, quoted(path)).clips)
    except UserError as error:
        raise advising(error, "extract the frames again") from error


def read_pending(path: Path) -> Pending:
    """Reads which pictures of a folder were on their way when a run was killed.

    Raises:
        UserError: the record is damaged.
    """
    try:
        content = checked.read_json(path, "record of an interrupted clip")
        source = f"{quoted(path)} is not a record of an interrupted clip"
        return checked.build(Pending, content, source)
    except UserError as error:
        advice = "remove this file if nothing is extracting frames into its folder"
        raise advising(error, advice) from error


def write_clips(path: Path, clips: Sequence[Clip]) -> None:
    """Writes a folder's record of clips, atomically."""
    files.write_json(
        path,
        {
            "format": _FORMAT,
            "width": WIDTH,
            "height": HEIGHT,
            "clips": [_record(clip) for clip in clips],
        },
    )


def _record(clip: Clip) -> dict[str, Any]:
    record = dataclasses.asdict(clip)
    if clip.poses is None:  # so that older versions read it
        del record["poses"]
    return record

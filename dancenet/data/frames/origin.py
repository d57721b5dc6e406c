"""Where clips were taken from, so that the same command takes no source twice.

A clip's details hold the content of its source, the settings it was taken with, and its number
among the clips of that source. A run after a killed one leaves out those that are there.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dancenet.data.frames.clips import Clip
from dancenet.data.frames.content import content_key
from dancenet.data.frames.writer import FrameWriter
from dancenet.support.names import quoted
from dancenet.support.wording import option

CONTENT = "content"  # hash of the source
TAKEN = "taken"  # hash of the settings
PART = "part"  # number among the clips of one source, from 1
PARTS = "parts"  # how many there are; in the last one, once the source is finished
MIRROR = "mirror"

_LENGTH = 32  # hexadecimal digits that are kept of a hash


def content_of(path: str | Path, *companions: str | Path) -> str:
    """Returns a hash of a source and of the files that are read with it."""
    keys = [content_key(Path(one)) for one in (path, *companions)]
    if companions:
        keys = [hashlib.sha256(" ".join(keys).encode()).hexdigest()]
    return keys[0][:_LENGTH]


@dataclass(frozen=True)
class Origin:
    """A source and how it is taken."""

    name: str  # as clips name it
    content: str
    taken: str

    @classmethod
    def of(cls, name: str, path: Path | None, settings: dict[str, Any]) -> Origin:
        """Returns the origin of the clips of a source.

        Args:
            name: as clips name it.
            path: the film or folder; None for a camera.
            settings: whatever decides what is taken, as JSON.
        """
        text = json.dumps(settings, sort_keys=True)
        taken = hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]
        # What a camera saw is never seen again.
        content = secrets.token_hex(_LENGTH // 2) if path is None else content_of(path)
        return cls(name, content, taken)

    def details(self, part: int) -> dict[str, Any]:
        """Returns what the details of a clip say of it."""
        return {CONTENT: self.content, TAKEN: self.taken, PART: part}

    def is_of(self, clip: Clip) -> bool:
        """Tells whether a clip was taken from this source, in this way."""
        details = clip.details or {}
        return (details.get(CONTENT), details.get(TAKEN)) == (self.content, self.taken)

    def note(self, clips: Sequence[Clip], out: Path) -> str | None:
        """Says what the person may not know: another film of that name, or other settings."""
        if any(map(self.is_of, clips)):
            return None
        known = [clip for clip in clips if (clip.details or {}).get(CONTENT)]
        name = quoted(self.name)
        if any(clip.details[CONTENT] == self.content for clip in known):
            return (
                f"{name} is in {quoted(out)} already, taken with other settings; its clips with "
                "these settings are added."
            )
        if any(clip.source == self.name for clip in known):
            return (
                f"{name} has changed since clips of it came into {quoted(out)}; those stay, and "
                "new ones are added."
            )
        return None


class SourceWriter:
    """Adds the clips of one source to a folder, and leaves out those that are there already."""

    def __init__(self, writer: FrameWriter, origin: Origin, again: bool = False) -> None:
        """Looks at what is there.

        Args:
            writer: of the folder.
            origin: the source.
            again: add all clips, whatever is there.
        """
        self._writer = writer
        self.path = writer.path
        self._origin = origin
        self._first = len(writer.clips) if again else 0
        self._part = 0

    @property
    def clips(self) -> list[Clip]:
        """The clips of this source that are in the folder, without mirrored ones."""
        return [clip for clip in self._own() if not clip.details.get(MIRROR)]

    @property
    def is_finished(self) -> bool:
        """Whether every clip of this source is there; mirrored ones may be missing."""
        return any(PARTS in clip.details for clip in self.clips)

    def older(self, fps: float) -> bool:
        """Tells whether a version that kept no content has taken a source of this name."""
        return any(
            clip.source == self._origin.name
            and clip.fps == fps
            and CONTENT not in (clip.details or {})
            for clip in self._writer.clips[self._first :]
        )

    def add_clip(self, frames: Iterable[np.ndarray], **options: Any) -> Clip:
        """Adds the next clip as `FrameWriter.add_clip` does, or reads on where it is there."""
        self._part += 1
        for clip in self.clips:
            if clip.details.get(PART) == self._part:
                for _ in frames:
                    pass
                return clip
        details = {**(options.pop("details", None) or {}), **self._origin.details(self._part)}
        return self._writer.add_clip(frames, details=details, **options)

    def add_mirrored(self) -> int:
        """Adds the mirrored clips that are missing; returns how many."""
        there = [clip.details.get(PART) for clip in self._own() if clip.details.get(MIRROR)]
        missing = [clip for clip in self.clips if clip.details.get(PART) not in there]
        for clip in missing:
            self._writer.add_mirrored(clip)
        return len(missing)

    def finish(self) -> None:
        """Records that every clip of the source is there."""
        if self.clips and not self.is_finished:
            self._writer.describe(self.clips[-1], {PARTS: self._part})

    def _own(self) -> list[Clip]:
        return [clip for clip in self._writer.clips[self._first :] if self._origin.is_of(clip)]


def already_there(name: str, out: str | Path) -> str:
    """Says that a source is left out."""
    return (
        f"{quoted(name)} is in {quoted(out)} already, so it is left out; say {option('again')} to "
        "take it once more."
    )

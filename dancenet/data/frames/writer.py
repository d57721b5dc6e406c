"""Appends clips to a folder of silhouettes, and recovers from a killed run."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from dancenet.data.frames.clips import (
    CLIPS_FILE,
    PENDING_FILE,
    Clip,
    read_clips,
    read_pending,
    write_clips,
)
from dancenet.data.frames.picture import (
    check_frame,
    numbered_pictures,
    read_picture,
    write_picture,
)
from dancenet.support import files
from dancenet.support.errors import UserError
from dancenet.support.wording import option

_PENDING_FOLDER = ".pending"


class FrameWriter:
    """Appends clips to a folder of silhouettes; a kill at any moment loses one clip at most.

    Pictures are written to a pending folder inside `path`, renamed to their numbers when the
    clip is whole, and recorded in `clips.json` last. Leftovers of a killed run are removed.
    The folder is made, and what is to be overwritten is removed, only when the first clip is
    whole: a run that fails before leaves everything as it was.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        """Opens or makes the folder.

        Args:
            path: the folder; made with the first clip if its parent exists.
            overwrite: replace the clips it holds instead of appending to them.

        Raises:
            UserError: the folder holds numbered pictures that dancenet did not write, or
                cannot be made.
        """
        self.path = Path(path)
        self.clips: list[Clip] = []
        self._replaced: set[int] = set()  # numbers of the pictures that the first clip replaces
        if not self.path.is_dir():
            if self.path.exists():
                raise UserError(f"{self.path} is a file; choose a folder for the frames.")
            files.check_parent(self.path)
            return
        files.check_parent(self.path / CLIPS_FILE)
        self._recover()
        clips_path = self.path / CLIPS_FILE
        numbers, _ = numbered_pictures(self.path)
        if overwrite:
            self._replaced = numbers
            return
        self.clips = read_clips(clips_path) if clips_path.exists() else []
        last = self.clips[-1].last if self.clips else 0
        foreign = {number for number in numbers if number > last}
        if foreign:
            raise UserError(
                f"{self.path} holds {len(foreign)} numbered pictures that {CLIPS_FILE} does not "
                f"know; choose another folder, or say {option('overwrite')} to replace what is "
                "there."
            )

    def add_clip(
        self,
        frames: Iterable[np.ndarray],
        *,
        source: str,
        fps: float,
        method: str,
        split: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> Clip:
        """Writes one clip and records it.

        Args:
            frames: (H, W) uint8 pictures, 0 dancer and 255 background; taken one by one.
            source: where they came from.
            fps: frames per second, greater than 0.
            method: how they were made.
            split: "train", "val" or None.
            details: anything JSON can hold.

        Raises:
            UserError: there is no frame.
            ValueError: a frame is not a binary (120, 208) picture.
        """
        if split not in (None, "train", "val"):
            raise ValueError(f"split must be 'train', 'val' or None; received {split!r}.")
        pending = self.path / _PENDING_FOLDER
        shutil.rmtree(pending, ignore_errors=True)
        is_new = not self.path.exists()
        pending.mkdir(parents=is_new)
        try:
            count = 0
            for frame in frames:
                check_frame(frame)
                count += 1
                write_picture(pending / f"{count}.jpg", frame)
            if not count:
                raise UserError(f"{source} gave no frames; nothing was written.")
            first = self.clips[-1].last + 1 if self.clips else 1
            clip = Clip(
                source=source,
                fps=fps,
                first=first,
                last=first + count - 1,
                method=method,
                split=split,
                details=details or {},
            )
            self._take_in(pending, clip)
            return clip
        except BaseException:
            self._recover()
            raise
        finally:
            shutil.rmtree(pending, ignore_errors=True)
            if is_new and not self.clips:
                with contextlib.suppress(OSError):  # somebody else may have put something there
                    self.path.rmdir()

    def _take_in(self, pending: Path, clip: Clip) -> None:
        """Moves a whole clip from the pending folder to its numbers, and records it."""
        # What is replaced is in the record too: a kill in between leaves none of either.
        last = max(self._replaced | {clip.last})
        files.write_json(self.path / PENDING_FILE, {"first": clip.first, "last": last})
        if not self.clips:
            (self.path / CLIPS_FILE).unlink(missing_ok=True)
        for number in self._replaced:
            (self.path / f"{number}.jpg").unlink(missing_ok=True)
        self._replaced = set()
        for index in range(clip.num_frames):
            (pending / f"{index + 1}.jpg").replace(self.path / f"{clip.first + index}.jpg")
        write_clips(self.path / CLIPS_FILE, [*self.clips, clip])
        self.clips.append(clip)
        (self.path / PENDING_FILE).unlink()

    def add_mirrored(self, clip: Clip) -> Clip:
        """Writes a clip of this folder once more, with left and right swapped."""
        return self.add_clip(
            (
                read_picture(self.path / f"{number}.jpg")[:, ::-1]
                for number in range(clip.first, clip.last + 1)
            ),
            source=clip.source,
            fps=clip.fps,
            method=clip.method,
            split=clip.split,
            details={**(clip.details or {}), "mirror": True},
        )

    def keep(self, num_clips: int) -> None:
        """Removes every clip after the first `num_clips`."""
        kept = self.clips[:num_clips]
        if len(kept) == len(self.clips):
            return
        first = kept[-1].last + 1 if kept else 1
        files.write_json(self.path / PENDING_FILE, {"first": first, "last": self.clips[-1].last})
        write_clips(self.path / CLIPS_FILE, kept)
        self._recover()
        self.clips = kept

    def _recover(self) -> None:
        shutil.rmtree(self.path / _PENDING_FOLDER, ignore_errors=True)
        pending_path = self.path / PENDING_FILE
        if not pending_path.exists():
            return
        pending = read_pending(pending_path)
        clips_path = self.path / CLIPS_FILE
        clips = read_clips(clips_path) if clips_path.exists() else []
        recorded = clips[-1].last if clips else 0
        numbers, _ = numbered_pictures(self.path)
        for number in numbers:
            if max(pending.first, recorded + 1) <= number <= pending.last:
                (self.path / f"{number}.jpg").unlink(missing_ok=True)
        pending_path.unlink()

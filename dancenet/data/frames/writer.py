"""Appends clips to a folder of silhouettes, and recovers from a killed run."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from dancenet.data.frames import poses as frame_poses
from dancenet.data.frames.clips import (
    CLIPS_FILE,
    PENDING_FILE,
    Clip,
    Pending,
    read_clips,
    read_pending,
    write_clips,
)
from dancenet.data.frames.packed import PACKED_FILE
from dancenet.data.frames.picture import (
    HEIGHT,
    WIDTH,
    check_frame,
    jpeg_size,
    numbered_pictures,
    read_picture,
    write_picture,
)
from dancenet.data.frames.poses import FramePoses
from dancenet.support import files, lock
from dancenet.support.errors import UserError, write_failed
from dancenet.support.names import quoted
from dancenet.support.wording import option

_PENDING_FOLDER = ".pending"  # a clip that is not whole yet
_REPLACED_FOLDER = ".replaced"  # what is overwritten, until the new clip is recorded


class FrameWriter:
    """Appends clips to a folder of silhouettes; a kill at any moment loses one clip at most.

    Pictures are written to a pending folder inside `path`, renamed to their numbers when the
    clip is whole, and recorded in `clips.json` last. Leftovers of a killed run are removed.
    The folder is made, and what is to be overwritten is removed, only when the first clip is
    whole: a run that fails before leaves everything as it was. Nothing is removed that
    `clips.json` does not know.

    As a context manager it keeps other writers out of the folder until the end of the block;
    else while it writes.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        """Opens or makes the folder.

        Args:
            path: the folder; made with the first clip if its parent exists.
            overwrite: replace the clips it holds instead of appending to them.

        Raises:
            UserError: the folder holds numbered pictures that dancenet did not write, is being
                written by another process, or cannot be made.
        """
        self.path = Path(path)
        self.clips: list[Clip] = []
        self._overwrite = overwrite
        self._replaced: set[int] = set()  # numbers of the pictures that the first clip replaces
        self._holding = contextlib.ExitStack()
        self._is_held = False
        if not self.path.is_dir():
            if os.path.lexists(self.path):
                raise UserError(f"{quoted(self.path)} is no folder; choose one for the frames.")
            files.check_parent(self.path)
            return
        files.check_parent(self.path / CLIPS_FILE)
        with self._held():
            pass

    def __enter__(self) -> FrameWriter:
        self._holding.enter_context(self._held())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._holding.close()

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Keeps other writers out, and reads what they have left."""
        if self._is_held:
            yield
            return
        with lock.hold_folder(self.path, "choose another folder"):
            self._is_held = True
            try:
                self._recover()
                frame_poses.settle(self.path)
                self._read()
                try:
                    yield
                finally:
                    frame_poses.settle(self.path)
            finally:
                self._is_held = False

    def _read(self) -> None:
        """Reads the record of clips, and refuses pictures that it does not know."""
        clips_path = self.path / CLIPS_FILE
        clips = read_clips(clips_path) if clips_path.exists() else []
        last = clips[-1].last if clips else 0
        numbers, _ = numbered_pictures(self.path)
        foreign = sorted(number for number in numbers if number > last)
        if foreign:
            raise UserError(
                f"{quoted(self.path)} holds {len(foreign)} numbered pictures that {CLIPS_FILE} "
                f"does not know ({foreign[0]}.jpg), so they are not replaced, even with "
                f"{option('overwrite')}; choose another folder, or move them away."
            )
        if self._overwrite:
            self._replaced = numbers
        else:
            self.clips = clips

    def add_clip(
        self,
        frames: Iterable[np.ndarray],
        *,
        source: str,
        fps: float,
        method: str,
        split: str | None = None,
        details: dict[str, Any] | None = None,
        poses: FramePoses | Callable[[], FramePoses | None] | None = None,
    ) -> Clip:
        """Writes one clip and records it.

        Args:
            frames: (H, W) uint8 pictures, 0 dancer and 255 background; taken one by one.
            source: where they came from.
            fps: frames per second, greater than 0.
            method: how they were made.
            split: "train", "val" or None.
            details: anything JSON can hold.
            poses: the dancer's joints in each frame, or a function that returns them once all
                frames were taken.

        Raises:
            UserError: there is no frame.
            ValueError: a frame is not a binary (120, 208) picture, or there are more or fewer
                joints than frames.
        """
        if split not in (None, "train", "val"):
            raise ValueError(f"split must be 'train', 'val' or None; received {split!r}.")
        with self._held(), self._taken_back():
            if poses is not None:
                frame_poses.check_file(self.path)
            return self._add(frames, source, fps, method, (split, details or {}, poses))

    @contextlib.contextmanager
    def _taken_back(self) -> Iterator[None]:
        """Takes back what the block has begun if it fails."""
        try:
            yield
        except BaseException as error:
            self._recover()
            if isinstance(error, OSError) and files.is_no_room(error):
                raise write_failed(self.path, error) from error
            if isinstance(error, FileNotFoundError) and not self.path.is_dir():
                raise UserError(
                    f"{quoted(self.path)} was removed while it was written; run this again."
                ) from error
            raise

    # Many: they are a clip's own.
    def _add(
        self,
        frames: Iterable[np.ndarray],
        source: str,
        fps: float,
        method: str,
        more: tuple[str | None, dict[str, Any], Any],
    ) -> Clip:
        pending = self.path / _PENDING_FOLDER
        pending.mkdir(exist_ok=True)
        count = 0
        for frame in frames:
            check_frame(frame)
            count += 1
            write_picture(pending / f"{count}.jpg", frame)
        if not count:
            raise UserError(f"{quoted(source)} gave no frames; nothing was written.")
        first = self.clips[-1].last + 1 if self.clips else 1
        poses = more[2]() if callable(more[2]) else more[2]
        if poses is not None and len(poses) != count:
            raise ValueError(f"{count} frames have joints for {len(poses)}.")
        clip = Clip(
            source=source,
            fps=fps,
            first=first,
            last=first + count - 1,
            method=method,
            split=more[0],
            details=more[1],
            poses=None if poses is None else frame_poses.write_part(self.path, poses),
        )
        self._take_in(clip)
        return clip

    def _take_in(self, clip: Clip) -> None:
        """Moves a whole clip from the pending folder to its numbers, and records it."""
        for number in range(clip.first, clip.last + 1):
            picture = self.path / f"{number}.jpg"
            if number not in self._replaced and os.path.lexists(picture):
                raise UserError(
                    f"{quoted(picture)} has appeared in the meantime and is not dancenet's, so the "
                    "clip was not written; let one program at a time write there."
                )
        replaces = (self.path / CLIPS_FILE).exists() and self._overwrite
        journal: dict[str, Any] = {"first": clip.first, "last": clip.last}
        if replaces:
            journal["replaces"] = True
        files.write_json(self.path / PENDING_FILE, journal)
        if replaces:
            aside = self.path / _REPLACED_FOLDER
            aside.mkdir(exist_ok=True)
            files.replace(self.path / CLIPS_FILE, aside / CLIPS_FILE)
            for number in sorted(self._replaced):
                files.replace(self.path / f"{number}.jpg", aside / f"{number}.jpg")
        for index in range(clip.num_frames):
            picture = self.path / f"{clip.first + index}.jpg"
            files.replace(self.path / _PENDING_FOLDER / f"{index + 1}.jpg", picture)
        write_clips(self.path / CLIPS_FILE, [*self.clips, clip])
        self.clips.append(clip)
        self._overwrite, self._replaced = False, set()
        self._recover()

    def add_mirrored(self, clip: Clip) -> Clip:
        """Writes a clip of this folder once more, with left and right swapped."""
        poses = frame_poses.read_clip(self.path, clip)
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
            poses=None if poses is None else poses.mirrored(),
        )

    def describe(self, clip: Clip, details: dict[str, Any]) -> None:
        """Adds to the details of a clip of this folder."""
        with self._held():
            place = self.clips.index(clip)
            changed = dataclasses.replace(clip, details={**(clip.details or {}), **details})
            clips = [*self.clips[:place], changed, *self.clips[place + 1 :]]
            write_clips(self.path / CLIPS_FILE, clips)
            self.clips = clips

    def keep(self, num_clips: int) -> None:
        """Removes every clip after the first `num_clips`."""
        if not self.clips[num_clips:]:
            return
        with self._held(), self._taken_back():
            kept, gone = self.clips[:num_clips], self.clips[num_clips:]
            # Without this folder a journal is taken for a stranger's.
            (self.path / _PENDING_FOLDER).mkdir(exist_ok=True)
            journal = {"first": gone[0].first, "last": gone[-1].last}
            files.write_json(self.path / PENDING_FILE, journal)
            write_clips(self.path / CLIPS_FILE, kept)
            self._recover()
            self.clips = kept

    def clear(self) -> None:
        """Removes every clip, the record of them, and the folder if it holds nothing else."""
        self.keep(0)
        with self._held():
            packed = self.path / PACKED_FILE
            for path in (packed, packed.with_suffix(".json"), self.path / CLIPS_FILE):
                path.unlink(missing_ok=True)
        files.remove_files([], self.path)

    def _recover(self) -> None:
        """Finishes or takes back what was begun, by a killed run or by this one."""
        pending_path = self.path / PENDING_FILE
        if pending_path.exists():
            pending = read_pending(pending_path)
            numbers = self._on_their_way(pending)
            if pending.replaces:
                self._put_back(pending.first, numbers)
            else:
                clips_path = self.path / CLIPS_FILE
                clips = read_clips(clips_path) if clips_path.exists() else []
                recorded = clips[-1].last if clips else 0
                for number in numbers:
                    if number > recorded:
                        (self.path / f"{number}.jpg").unlink(missing_ok=True)
            pending_path.unlink()
        _remove_pictures(self.path / _PENDING_FOLDER)

    def _on_their_way(self, pending: Pending) -> set[int]:
        """Returns the numbers of pictures that a journal speaks of and that were moved in.

        A journal may come from anywhere, so only frames count that have left the pending folder.
        """
        waiting = self.path / _PENDING_FOLDER
        if not waiting.is_dir() or waiting.is_symlink():
            return set()
        return {
            number
            for number in numbered_pictures(self.path)[0]
            if pending.first <= number <= pending.last
            and not (waiting / f"{number - pending.first + 1}.jpg").exists()
            and _is_frame(self.path / f"{number}.jpg")
        }

    def _put_back(self, first: int, numbers: set[int]) -> None:
        """Puts back what was to be replaced, unless the new clip is recorded.

        Every step may be killed and done again.
        """
        aside, pending = self.path / _REPLACED_FOLDER, self.path / _PENDING_FOLDER
        replaced = aside / CLIPS_FILE
        if replaced.exists() and not (self.path / CLIPS_FILE).exists():
            for number in numbers:
                # The old one stands there as long as the new one waits in the pending folder.
                waiting = pending / f"{number - first + 1}.jpg"
                if not waiting.exists():
                    files.replace(self.path / f"{number}.jpg", waiting)
            for number in numbered_pictures(aside)[0]:
                if not os.path.lexists(self.path / f"{number}.jpg"):
                    files.replace(aside / f"{number}.jpg", self.path / f"{number}.jpg")
            files.replace(replaced, self.path / CLIPS_FILE)
        if aside.is_dir():
            _remove_pictures(aside, replaced)


def _is_frame(path: Path) -> bool:
    with open(path, "rb") as file:
        return jpeg_size(file.read(1 << 16)) == (WIDTH, HEIGHT)


def _remove_pictures(folder: Path, *others: Path) -> None:
    """Removes a folder of our own, picture by picture; what else is in there stays."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.is_dir():
        pictures = [folder / f"{number}.jpg" for number in numbered_pictures(folder)[0]]
        files.remove_files([*pictures, *others], folder)

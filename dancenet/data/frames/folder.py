"""A folder of numbered silhouettes, `1.jpg`, `2.jpg`, …, and the clips they belong to."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dancenet.support import files, terminal
from dancenet.support.errors import UserError
from dancenet.support.threads import ordered_map

HEIGHT, WIDTH = 120, 208
DANCER, BACKGROUND = 0, 255
CLIPS_FILE = "clips.json"
PACKED_FILE = ".frames.bits.npy"

_FORMAT = 1
_JPEG_QUALITY = 95
_THRESHOLD = 128
_PENDING_FOLDER = ".pending"
_PENDING_FILE = ".pending.json"
_DEFAULT_FPS = 30.0
_PICTURE = re.compile(r"[1-9][0-9]*\.jpg\Z")
_PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"}


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

    @property
    def num_frames(self) -> int:
        return self.last - self.first + 1

    @property
    def rows(self) -> range:
        """The clip's 0-based rows in an array that holds every picture in order."""
        return range(self.first - 1, self.last)


def split_clips(
    clips: Sequence[Clip], fraction: float = 0.1, gap_seconds: float = 1.0
) -> tuple[list[range], list[range]]:
    """Splits pictures into training and validation rows, in contiguous blocks.

    A clip marked "train" or "val" goes whole to its side. Of any other clip the last
    `fraction` is held out, and `gap_seconds` before it are left to neither side, because
    the pictures just before a held-out block look almost the same.

    Returns:
        Two lists of 0-based row ranges. A block is at least one second long, unless no clip
        is marked and none is long enough; then the longest clip gives its end. Without that
        the validation list may be empty.
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
        # Only short clips: the longest gives its end, however short that is. So does its mirror
        # image, which is of the same source and as long.
        longest = max(range(len(train)), key=lambda i: len(train[i]))
        size = len(train[longest])
        held_out = max(1, round(size * fraction))
        if size > held_out:
            for index, (clip, rows) in enumerate(zip(clips, train)):
                if clip.source == clips[longest].source and len(rows) == size:
                    train[index] = rows[:-held_out]
                    validation.append(rows[-held_out:])
    return train, validation


def read_picture(path: Path) -> np.ndarray:
    """Reads one silhouette as (H, W) uint8, exactly 0 (dancer) or 255 (background).

    Raises:
        UserError: the file is missing or not a picture.
    """
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError as error:
        raise UserError(f"The picture {path} is missing; extract the frames again.") from error
    grey = None
    # A cut JPEG decodes to a picture with a grey lower half; its end marker is the tell.
    if len(data) and (path.suffix.lower() != ".jpg" or _has_jpeg_end(data)):
        grey = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise UserError(
            f"{path} ({len(data)} bytes) is not a readable picture; "
            "extract the frames again, or remove the clip it belongs to."
        )
    return np.where(grey < _THRESHOLD, np.uint8(DANCER), np.uint8(BACKGROUND))


def _has_jpeg_end(data: np.ndarray) -> bool:
    return b"\xff\xd9" in data[-64:].tobytes()


class FrameFolder:
    """A checked folder of silhouettes. Open it with `FrameFolder.open`."""

    def __init__(self, path: Path, clips: Sequence[Clip]) -> None:
        self.path = path
        self.clips = tuple(clips)

    @classmethod
    def open(cls, path: str | Path) -> FrameFolder:
        """Opens a folder and checks its numbering against `clips.json`.

        A folder without `clips.json` (frames made by other tools) is read as one clip of
        30 frames a second, and says so. Files that are no numbered pictures are left
        alone; pictures with other names are named in a warning.

        Raises:
            UserError: the folder is missing or empty, a number is missing, or
                `clips.json` does not fit the pictures.
        """
        path = Path(path)
        if not path.is_dir():
            raise UserError(
                f"There is no folder {path}; make one with `python scripts/extract_frames.py`."
            )
        numbers, strays = _numbered_pictures(path)
        if strays:
            shown = ", ".join(repr(name) for name in strays[:3])
            terminal.warn(
                f"{len(strays)} pictures in {path} are not named like 1.jpg and are left out: "
                f"{shown}{' …' if len(strays) > 3 else ''}"
            )
        clips_path = path / CLIPS_FILE
        if clips_path.exists():
            clips = _read_clips(clips_path)
        elif numbers and not (path / _PENDING_FILE).exists():
            terminal.warn(
                f"{path} has no {CLIPS_FILE}; its {len(numbers)} pictures are taken as one clip "
                f"of {_DEFAULT_FPS:g} frames a second."
            )
            clips = [Clip(str(path), _DEFAULT_FPS, 1, max(numbers), "unknown")]
        else:
            clips = []
        if not clips:
            raise UserError(
                f"{path} holds no frames (1.jpg, 2.jpg, …); "
                "make some with `python scripts/extract_frames.py VIDEO -o imgs/`."
            )
        missing = sorted(set(range(1, clips[-1].last + 1)) - numbers)
        if missing:
            shown = ", ".join(f"{number}.jpg" for number in missing[:3])
            raise UserError(
                f"{path} lacks {len(missing)} of its {clips[-1].last} pictures "
                f"({shown}{' …' if len(missing) > 3 else ''}); extract the frames again."
            )
        return cls(path, clips)

    @property
    def num_frames(self) -> int:
        return self.clips[-1].last

    @property
    def fps(self) -> float:
        """Frames per second.

        Raises:
            UserError: the clips have different rates.
        """
        rates = sorted({clip.fps for clip in self.clips})
        if len(rates) > 1:
            raise UserError(
                f"The clips in {self.path} have different frame rates "
                f"({', '.join(f'{rate:g}' for rate in rates)}); extract them with one --fps."
            )
        return rates[0]

    def read(self, first: int, last: int) -> np.ndarray:
        """Reads pictures `first` to `last` (1-based, inclusive) as (T, H, W) uint8, 0 or 255.

        Raises:
            UserError: a picture cannot be read or is not of the size of the first one.
        """
        paths = [self.path / f"{number}.jpg" for number in range(first, last + 1)]
        pictures = [read_picture(path) for path in paths]
        for path, picture in zip(paths, pictures):
            if picture.shape != (HEIGHT, WIDTH):
                raise UserError(
                    f"{path} is {picture.shape[1]}x{picture.shape[0]}; frames are "
                    f"{WIDTH}x{HEIGHT}. Make them with `python scripts/extract_frames.py "
                    f"{self.path} -o another_folder`, which also takes a folder of pictures."
                )
        return np.stack(pictures)


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
        numbers, _ = _numbered_pictures(self.path)
        if overwrite:
            self._replaced = numbers
            return
        self.clips = _read_clips(clips_path) if clips_path.exists() else []
        last = self.clips[-1].last if self.clips else 0
        foreign = {number for number in numbers if number > last}
        if foreign:
            raise UserError(
                f"{self.path} holds {len(foreign)} numbered pictures that {CLIPS_FILE} does not "
                "know; choose another folder, or say --overwrite to replace what is there."
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
                _check_frame(frame)
                count += 1
                _write_picture(pending / f"{count}.jpg", frame)
            if not count:
                raise UserError(f"{source} gave no frames; nothing was written.")
            first = self.clips[-1].last + 1 if self.clips else 1
            clip = Clip(source, fps, first, first + count - 1, method, split, details or {})
            # What is replaced is in the record too: a kill in between leaves none of either.
            last = max(self._replaced | {clip.last})
            files.write_json(self.path / _PENDING_FILE, {"first": clip.first, "last": last})
            if not self.clips:
                (self.path / CLIPS_FILE).unlink(missing_ok=True)
            for number in self._replaced:
                (self.path / f"{number}.jpg").unlink(missing_ok=True)
            self._replaced = set()
            for index in range(count):
                (pending / f"{index + 1}.jpg").replace(self.path / f"{first + index}.jpg")
            _write_clips(self.path / CLIPS_FILE, [*self.clips, clip])
            self.clips.append(clip)
            (self.path / _PENDING_FILE).unlink()
            return clip
        except BaseException:
            self._recover()
            raise
        finally:
            shutil.rmtree(pending, ignore_errors=True)
            if is_new and not self.clips:
                with contextlib.suppress(OSError):  # somebody else may have put something there
                    self.path.rmdir()

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
        files.write_json(self.path / _PENDING_FILE, {"first": first, "last": self.clips[-1].last})
        _write_clips(self.path / CLIPS_FILE, kept)
        self._recover()
        self.clips = kept

    def _recover(self) -> None:
        shutil.rmtree(self.path / _PENDING_FOLDER, ignore_errors=True)
        pending_path = self.path / _PENDING_FILE
        if not pending_path.exists():
            return
        pending = files.read_json(pending_path, "record of an interrupted clip")
        clips_path = self.path / CLIPS_FILE
        clips = _read_clips(clips_path) if clips_path.exists() else []
        recorded = clips[-1].last if clips else 0
        for number in range(max(int(pending["first"]), recorded + 1), int(pending["last"]) + 1):
            (self.path / f"{number}.jpg").unlink(missing_ok=True)
        pending_path.unlink()


class PackedFrames:
    """Every silhouette of a folder at one bit a pixel, memory-mapped from a cache beside them.

    3,120 bytes a frame: an hour at 30 frames a second is 337 MB on disk, and what is resident
    is what the operating system chooses to keep.
    """

    def __init__(self, path: Path, bits: np.ndarray) -> None:
        self._path = path
        self._bits = bits
        self._reads = 0

    @classmethod
    def open(cls, folder: FrameFolder) -> PackedFrames:
        """Opens the cache of `folder`, making it first if the pictures have changed."""
        path = folder.path / PACKED_FILE
        stamp = _stamp(folder)
        stamp_path = path.with_suffix(".json")
        if not (path.exists() and stamp_path.exists() and _read_stamp(stamp_path) == stamp):
            cls._pack(folder, path)
            files.write_json(stamp_path, stamp)
        return cls(path, np.load(path, mmap_mode="r", allow_pickle=False))

    @staticmethod
    def _pack(folder: FrameFolder, path: Path) -> None:
        chunk, threads = 64, 2

        def pack(first: int) -> tuple[int, np.ndarray]:
            frames = folder.read(first, min(first + chunk - 1, folder.num_frames))
            return first, np.packbits(frames.reshape(len(frames), -1) > 0, axis=1)

        firsts = range(1, folder.num_frames + 1, chunk)
        with files.atomic_path(path) as temporary:
            bits = np.lib.format.open_memmap(
                temporary, "w+", np.uint8, (folder.num_frames, HEIGHT * WIDTH // 8)
            )
            with (
                terminal.progress(total=folder.num_frames, description="Reading frames") as bar,
                ordered_map(pack, firsts, threads) as packed,
            ):
                for first, rows in packed:
                    bits[first - 1 : first - 1 + len(rows)] = rows
                    bar.update(len(rows))
            bits.flush()
            del bits

    def __len__(self) -> int:
        return len(self._bits)

    def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the frames at 0-based `indices` as (B, H, W) uint8, 0 or 255."""
        self._reads += len(indices)
        if self._reads > 200_000:
            # Touched pages count as this process's memory until the map is made anew.
            self._bits = np.load(self._path, mmap_mode="r", allow_pickle=False)
            self._reads = 0
        pixels = np.unpackbits(self._bits[np.asarray(indices, dtype=np.int64)], axis=1)
        return (pixels * np.uint8(BACKGROUND)).reshape(-1, HEIGHT, WIDTH)


def _numbered_pictures(path: Path) -> tuple[set[int], list[str]]:
    numbers: set[int] = set()
    strays: list[str] = []
    for entry in path.iterdir():
        name = entry.name
        if _PICTURE.match(name):
            numbers.add(int(name[:-4]))
        elif not name.startswith(".") and Path(name).suffix.lower() in _PICTURE_SUFFIXES:
            strays.append(name)
    return numbers, sorted(strays)


def _check_frame(frame: np.ndarray) -> None:
    if frame.shape != (HEIGHT, WIDTH) or frame.dtype != np.uint8:
        raise ValueError(
            f"Frames are ({HEIGHT}, {WIDTH}) uint8; received {frame.shape} {frame.dtype}."
        )
    if not np.isin(frame, (DANCER, BACKGROUND)).all():
        raise ValueError("Frames hold 0 (dancer) and 255 (background) only.")


def _write_picture(path: Path, frame: np.ndarray) -> None:
    done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise RuntimeError(f"OpenCV could not encode {path.name} as JPEG.")
    path.write_bytes(data.tobytes())


def _read_clips(path: Path) -> list[Clip]:
    content = files.read_json(path, "record of clips")
    names = {item.name for item in dataclasses.fields(Clip)}
    clips: list[Clip] = []
    try:
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}, this version reads {_FORMAT}")
        for entry in content["clips"]:
            unknown = set(entry) - names
            if unknown:
                raise ValueError(f"unknown keys {sorted(unknown)}")
            clip = Clip(**entry)
            expected = clips[-1].last + 1 if clips else 1
            if clip.first != expected or clip.last < clip.first:
                raise ValueError(
                    f"clip {len(clips) + 1} spans {clip.first} to {clip.last}, "
                    f"but must start at {expected}"
                )
            if not clip.fps > 0:
                raise ValueError(f"clip {len(clips) + 1} has {clip.fps} frames a second")
            clips.append(clip)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} cannot be used ({error}); extract the frames again.") from error
    return clips


def _write_clips(path: Path, clips: Sequence[Clip]) -> None:
    files.write_json(
        path,
        {
            "format": _FORMAT,
            "width": WIDTH,
            "height": HEIGHT,
            "clips": [dataclasses.asdict(clip) for clip in clips],
        },
    )


def _stamp(folder: FrameFolder) -> dict[str, Any]:
    # Sizes and times of all pictures: cheap, and any edit changes it.
    total = newest = 0
    for number in range(1, folder.num_frames + 1):
        status = (folder.path / f"{number}.jpg").stat()
        total += status.st_size
        newest = max(newest, status.st_mtime_ns)
    return {"frames": folder.num_frames, "size_bytes": total, "newest_ns": newest}


def _read_stamp(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None

"""Reads footage: any file ffmpeg reads, a folder of pictures, or a camera."""

from __future__ import annotations

import math
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dancenet.support.errors import UserError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
MAX_SIDE = 960  # longer pictures are reduced while decoding: a frame is 208x120 in the end

_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip")
_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
_FPS = re.compile(r", (\d+(?:\.\d+)?)(k?) fps\b")
_TBR = re.compile(r", (\d+(?:\.\d+)?)(k?) tbr\b")
_HIGHEST_FPS = 240.0  # a "rate" above this is the container's clock, not the camera's
_LOSS_SECONDS = 0.5  # a duration written in a header is this inexact at worst


class Footage(Protocol):
    """Pictures at a constant rate that can be read from the start as often as needed."""

    name: str
    width: int  # upright, square pixels
    height: int
    fps: float  # of what `frames` yields
    source_fps: float
    expected_seconds: float | None  # by the container's header; None if it does not say

    def frames(self, side: int | None = None) -> Iterator[np.ndarray]:
        """Yields (H, W, 3) uint8 RGB, reduced so that the longer side is at most `side`."""

    def loss(self, num_frames: int) -> str | None:
        """Says what could not be decoded, when `num_frames` could; None if nothing is missing."""


@dataclass(frozen=True)
class VideoFile:
    """A film read by ffmpeg, turned upright and resampled by its timestamps."""

    path: Path
    name: str
    width: int
    height: int
    fps: float
    source_fps: float
    expected_seconds: float | None
    start: float = 0.0  # seconds of the source left out at the front
    seconds: float | None = None  # seconds of the source to read at most

    @classmethod
    def open(
        cls,
        path: str | Path,
        fps: float = 30.0,
        start: float = 0.0,
        seconds: float | None = None,
    ) -> VideoFile:
        """Probes a file and decodes its first picture.

        Args:
            path: the file.
            fps: frames per second to resample to; the source's own rate if that is lower.
            start: seconds of the source to leave out at the front.
            seconds: seconds of the source to read at most; None reads to the end.

        Raises:
            UserError: the file is missing, not a video, cut off before its index, or has no
                picture to decode.
        """
        path = Path(path)
        if not path.exists():
            raise UserError(f"There is no video {path}.")
        if path.stat().st_size == 0:
            raise UserError(f"{path} is empty (0 bytes); copy it from the camera again.")
        size, log = _first_picture(path, start)
        if size is None:
            raise UserError(_explain_failure(path, log, start))
        stream = next((line for line in log.splitlines() if "Video:" in line), "")
        source_fps = _source_rate(stream)
        match = _DURATION.search(log)
        duration = None
        if match:
            hours, minutes, rest = match.groups()
            duration = int(hours) * 3600 + int(minutes) * 60 + float(rest) - start
            if seconds is not None:
                duration = min(duration, seconds)
        return cls(
            path,
            str(path),
            size[0],
            size[1],
            # A film of 29.97 is not slower than one of 30 to anyone, and clips of one rate
            # can be learnt from together.
            fps if source_fps > 0.97 * fps else source_fps,
            source_fps,
            duration,
            start,
            seconds,
        )

    def frames(self, side: int | None = None) -> Iterator[np.ndarray]:
        width, height = reduced_size(self.width, self.height, side or MAX_SIDE)
        command = [_ffmpeg(), "-hide_banner", "-loglevel", "error", "-nostdin"]
        if self.start:
            command += ["-ss", f"{self.start:.6f}"]
        if self.seconds is not None:
            command += ["-t", f"{self.seconds:.6f}"]
        filters = f"fps={self.fps:.6f},scale={width}:{height}:flags=area,setsar=1"
        command += [
            "-i",
            str(self.path),
            "-map",
            "0:v:0",
            "-vf",
            filters,
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-",
        ]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is this process's to handle, not ffmpeg's
        )
        assert process.stdout is not None
        try:
            size_bytes = width * height * 3
            while len(data := process.stdout.read(size_bytes)) == size_bytes:
                yield np.frombuffer(data, dtype=np.uint8).reshape(height, width, 3)
        finally:
            # Also reached when the reader stops early: ffmpeg must not outlive it.
            process.stdout.close()
            process.kill()
            process.wait()

    def loss(self, num_frames: int) -> str | None:
        if self.expected_seconds is None:
            return None
        decoded = num_frames / self.fps
        missing = self.expected_seconds - decoded
        if missing <= max(_LOSS_SECONDS, 0.02 * self.expected_seconds):
            return None
        return (
            f"{self.name} is damaged or cut off: {decoded:.1f} of {self.expected_seconds:.1f} "
            f"seconds could be decoded and are kept, {missing:.1f} seconds are lost."
        )


@dataclass(frozen=True)
class PictureFolder:
    """A folder of pictures, in the order of the numbers in their names."""

    paths: tuple[Path, ...]
    name: str
    width: int
    height: int
    fps: float
    source_fps: float
    expected_seconds: float | None

    @classmethod
    def open(
        cls,
        path: str | Path,
        fps: float = 30.0,
        start: float = 0.0,
        seconds: float | None = None,
    ) -> PictureFolder:
        """Lists a folder's pictures; they are taken to be `fps` a second.

        Raises:
            UserError: the folder holds no pictures, or the first one is not readable.
        """
        path = Path(path)
        paths = sorted(
            (
                entry
                for entry in path.iterdir()
                if entry.suffix.lower() in PICTURE_SUFFIXES and not entry.name.startswith(".")
            ),
            key=lambda entry: _natural_key(entry.name),
        )
        if not paths:
            raise UserError(f"The folder {path} holds no pictures ({', '.join(PICTURE_SUFFIXES)}).")
        first = round(start * fps)
        last = len(paths) if seconds is None else first + round(seconds * fps)
        chosen = tuple(paths[first:last])
        if not chosen:
            raise UserError(
                f"{path} holds {len(paths) / fps:.1f} seconds of pictures at {fps:g} a second; "
                f"nothing is left after --start {start:g}."
            )
        height, width = _read_rgb(chosen[0]).shape[:2]
        return cls(chosen, str(path), width, height, fps, fps, len(chosen) / fps)

    def frames(self, side: int | None = None) -> Iterator[np.ndarray]:
        import cv2

        size = reduced_size(self.width, self.height, side or MAX_SIDE)
        for path in self.paths:
            picture = _read_rgb(path)
            if picture.shape[:2] != (self.height, self.width):
                raise UserError(
                    f"{path} is {picture.shape[1]}x{picture.shape[0]}, but {self.paths[0].name} "
                    f"is {self.width}x{self.height}; put pictures of one size into one folder."
                )
            if size != (self.width, self.height):
                picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            yield picture

    def loss(self, num_frames: int) -> str | None:
        return None


def open_footage(
    source: str | Path, fps: float = 30.0, start: float = 0.0, seconds: float | None = None
) -> Footage:
    """Opens a video file or a folder of pictures.

    Raises:
        UserError: see `VideoFile.open` and `PictureFolder.open`.
    """
    kind: Any = PictureFolder if Path(source).is_dir() else VideoFile
    return kind.open(source, fps, start, seconds)


def camera_index(source: str) -> int | None:
    """Returns the camera that `source` names by its number, or None if it names a file."""
    return int(source) if source.isdigit() and not Path(source).exists() else None


def record_camera(
    index: int,
    seconds: float,
    path: Path,
    fps: float = 30.0,
    capture: Any = None,
    clock: Any = time.monotonic,
) -> int:
    """Records a camera to a film of constant rate, since extraction reads footage twice.

    Cameras deliver pictures when they can; each is repeated or left out so that the film
    runs at the speed of the clock. Ctrl-C ends the recording and keeps what it has.

    Args:
        index: the camera, 0 for the first.
        seconds: how long to record.
        path: the film to write, `.mkv`, so that an unfinished one is readable.
        fps: frames per second of the film.
        capture: an opened `cv2.VideoCapture` or its double; None opens camera `index`.
        clock: seconds that only go up.

    Returns:
        The number of pictures written.

    Raises:
        UserError: the camera cannot be opened or stops delivering pictures.
    """
    import cv2

    from dancenet.support import terminal

    if capture is None:
        capture = cv2.VideoCapture(index)
    try:
        opened, picture = capture.read() if capture.isOpened() else (False, None)
        if not opened or picture is None:
            raise UserError(
                f"Camera {index} cannot be opened; see that it is plugged in, that no other "
                "program uses it, and that this terminal may use cameras."
            )
        height, width = picture.shape[:2]
        written = 0
        begin = clock()
        with (
            _recorder(path, width, height, fps) as film,
            terminal.progress(total=round(seconds * fps), description="Recording") as bar,
        ):
            try:
                while written < seconds * fps:
                    due = min(math.floor((clock() - begin) * fps) + 1, math.ceil(seconds * fps))
                    for _ in range(due - written):
                        film.write(np.ascontiguousarray(picture).tobytes())
                    bar.update(due - written)
                    written = max(written, due)
                    going, latest = capture.read()
                    if not going:
                        if not written:
                            raise UserError(f"Camera {index} gave no pictures.")
                        terminal.warn(f"Camera {index} stopped after {written / fps:.1f} seconds.")
                        break
                    picture = latest
            except KeyboardInterrupt:
                terminal.say(f"Recording stopped after {written / fps:.1f} seconds.")
        return written
    finally:
        capture.release()


def reduced_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Returns (width, height) with the same aspect and no side longer than `side`."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


@contextmanager
def _recorder(path: Path, width: int, height: int, fps: float) -> Iterator[Any]:
    command = [
        _ffmpeg(),
        "-hide_banner",
        "-loglevel",
        "error",
        "-y",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "bgr24",
        "-s",
        f"{width}x{height}",
        "-r",
        f"{fps:g}",
        "-i",
        "-",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-crf",
        "12",
        str(path),
    ]
    # In a session of its own Ctrl-C does not reach ffmpeg, which must finish the file.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    assert process.stdin is not None
    try:
        yield process.stdin
    finally:
        process.stdin.close()
        process.wait()


def _ffmpeg() -> str:
    import imageio_ffmpeg

    return imageio_ffmpeg.get_ffmpeg_exe()


def _first_picture(path: Path, start: float) -> tuple[tuple[int, int] | None, str]:
    """Returns the size of the first picture as it is to be shown, and what ffmpeg said.

    ffmpeg turns pictures by the container's rotation itself, so the size of a decoded
    picture is the one that can be relied on, not the header's.
    """
    command = [_ffmpeg(), "-hide_banner", "-nostdin"]
    if start:
        command += ["-ss", f"{start:.6f}"]
    command += [
        "-i",
        str(path),
        "-map",
        "0:v:0",
        "-vf",
        "scale=round(iw*sar):ih,setsar=1",
        "-frames:v",
        "1",
        "-f",
        "image2pipe",
        "-c:v",
        "ppm",
        "-",
    ]
    result = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    log = result.stderr.decode("utf-8", errors="replace")
    header = re.match(rb"P6\s+(\d+)\s+(\d+)\s", result.stdout[:64])
    if header is None or _is_no_film(log):
        return None, log
    return (int(header[1]), int(header[2])), log


def _is_no_film(log: str) -> bool:
    # ffmpeg plays text files as a film of a terminal, and takes any *.jpg for a picture.
    return re.search(r"Input #0, (tty|image2|\w+_pipe)|Video: ansi", log) is not None


def _explain_failure(path: Path, log: str, start: float) -> str:
    with open(path, "rb") as file:
        is_mp4 = file.read(8)[4:] in _MP4_BOXES
    if is_mp4 and "moov atom not found" in log:
        return (
            f"{path} was cut off before its index was written (moov atom not found), so none of "
            "it can be decoded; copy it from the camera again."
        )
    has_video = any("Video:" in line for line in log.splitlines() if "Stream #0" in line)
    if "Input #0" in log and not has_video and not _is_no_film(log):
        return f"{path} holds no pictures (it may be sound only); choose a video."
    if "Input #0" in log and has_video and not _is_no_film(log):
        match = _DURATION.search(log)
        if start and match:
            return (
                f"{path} has no picture after --start {start:g}; "
                f"it is {match[1]}:{match[2]}:{match[3]} long."
            )
        return f"{path} is a video of zero frames: no picture in it can be decoded."
    return (
        f"{path} is not a video that ffmpeg can read; choose an mp4, mov, webm, gif or the like, "
        "or a folder of pictures."
    )


def _source_rate(stream: str) -> float:
    """Returns a stream's frames per second from ffmpeg's description of it.

    Where pictures come unevenly, as from a phone, their average lies a little below the
    rate they were meant to come at; that rate is then the source's.
    """
    average, nominal = _rate(_FPS, stream), _rate(_TBR, stream)
    if average is None or nominal is None:
        return average or nominal or 25.0
    return nominal if average < nominal < 1.34 * average else average


def _rate(pattern: re.Pattern[str], stream: str) -> float | None:
    match = pattern.search(stream)
    if match is None:
        return None
    rate = float(match[1]) * (1000 if match[2] else 1)
    return rate if 0 < rate <= _HIGHEST_FPS else None


def _natural_key(name: str) -> list[tuple[int, int, str]]:
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part.lower())
        for part in re.split(r"(\d+)", name)
        if part
    ]


def _read_rgb(path: Path) -> np.ndarray:
    import cv2

    data = np.fromfile(path, dtype=np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if picture is None:
        raise UserError(
            f"{path} ({len(data)} bytes) is not a readable picture; take it out of the folder."
        )
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)

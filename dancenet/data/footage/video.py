"""Reads films: any file FFmpeg decodes, upright, with square pixels, at a constant rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from dancenet.data.footage.filters import Filter, FilterChain
from dancenet.data.footage.pictures import MAX_SIDE, PictureFolder, reduced_size
from dancenet.support import errors
from dancenet.support.errors import UserError
from dancenet.support.wording import option

_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip")
_HIGHEST_FPS = 240.0  # a "rate" above this is the container's clock, not the camera's
_LOSS_SECONDS = 0.5  # the duration in a header is at most this inexact
_TURNS: dict[int, tuple[Filter, ...]] = {  # counterclockwise degrees
    0: (),
    90: (("transpose", "cclock"),),
    180: (("hflip", ""), ("vflip", "")),
    270: (("transpose", "clock"),),
}


@dataclass(frozen=True)
class VideoFile:
    """A film, turned upright and resampled by its timestamps."""

    path: Path
    name: str  # in messages
    width: int  # upright, square pixels
    height: int
    rotation: int  # 0, 90, 180 or 270 degrees counterclockwise from stored to upright pictures
    fps: float  # what `frames` yields
    source_fps: float
    expected_seconds: float | None  # by the header; None if it does not say
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
        """Reads a film's header and decodes its first picture.

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
        with _opened(path) as film:
            stream = _video_stream(film, path)
            duration = None if film.duration is None else film.duration / av.time_base
            first = next(_decoded(film, stream, start, None), None)
            if first is None:
                raise UserError(_explain_no_picture(path, start, duration))
            source_fps = _source_rate(stream)
            rotation = round(first.rotation / 90) * 90 % 360
            # The first picture's size is reliable, the header's is not.
            size = round(first.width * float(stream.sample_aspect_ratio or 1)), first.height
            width, height = size if rotation in (0, 180) else size[::-1]
        if duration is not None:
            duration = min(duration - start, duration if seconds is None else seconds)
        return cls(
            path=path,
            name=str(path),
            width=width,
            height=height,
            rotation=rotation,
            # 29.97 counts as 30, so that clips of both can be learnt from together.
            fps=fps if source_fps > 0.97 * fps else source_fps,
            source_fps=source_fps,
            expected_seconds=duration,
            start=start,
            seconds=seconds,
        )

    def frames(self, side: int | None = None) -> Iterator[np.ndarray]:
        """Yields (H, W, 3) uint8 RGB, reduced so that the longer side is at most `side`."""
        width, height = reduced_size(self.width, self.height, side or MAX_SIDE)
        filters = (
            ("fps", f"{self.fps:.6f}"),
            *_TURNS[self.rotation],
            ("scale", f"{width}:{height}:flags=area"),
            ("format", "rgb24"),
        )
        with _opened(self.path) as film:
            stream = _video_stream(film, self.path)
            stream.thread_type = "AUTO"
            chain = None
            for frame in _decoded(film, stream, self.start, self.seconds):
                if chain is None or not chain.fits(frame):
                    if chain is not None:
                        yield from map(_to_array, chain.push(None))
                    chain = FilterChain(frame, _time_base(stream), filters)
                yield from map(_to_array, chain.push(frame))
            if chain is not None:
                yield from map(_to_array, chain.push(None))

    def loss(self, num_frames: int) -> str | None:
        """Says what could not be decoded, when `num_frames` could; None if nothing is missing."""
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


Footage = VideoFile | PictureFolder  # pictures at a constant rate, read as often as needed


def open_footage(
    source: str | Path, fps: float = 30.0, start: float = 0.0, seconds: float | None = None
) -> Footage:
    """Opens a video file or a folder of pictures.

    Raises:
        UserError: see `VideoFile.open` and `PictureFolder.open`.
    """
    if Path(source).is_dir():
        return PictureFolder.open(source, fps, start, seconds)
    return VideoFile.open(source, fps, start, seconds)


def _opened(path: Path) -> InputContainer:
    if not path.exists():
        raise UserError(f"There is no video {path}.")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty (0 bytes); copy it from the camera again.")
    try:
        film = av.open(str(path))
    except av.error.FFmpegError as error:
        errors.let_through(error)
        with open(path, "rb") as file:
            is_mp4 = file.read(8)[4:] in _MP4_BOXES
        if is_mp4:
            raise UserError(
                f"{path} was cut off before its index was written, so none of it can be decoded; "
                "copy it from the camera again."
            ) from error
        raise UserError(_explain_no_film(path)) from error
    # FFmpeg shows text files as a film of a terminal, and takes any *.jpg for a picture.
    kind = film.format.name
    if kind in ("tty", "image2") or kind.endswith("_pipe"):
        film.close()
        raise UserError(_explain_no_film(path))
    return film


def _explain_no_film(path: Path) -> str:
    return (
        f"{path} is not a video that FFmpeg can read; choose an mp4, mov, webm, gif or the like, "
        "or a folder of pictures."
    )


def _explain_no_picture(path: Path, start: float, duration: float | None) -> str:
    if start and duration is not None:
        return (
            f"{path} has no picture after {option('start', f'{start:g}')}; it is {duration:.2f} "
            "seconds long."
        )
    return f"{path} is a video of zero frames: no picture in it can be decoded."


def _video_stream(film: InputContainer, path: Path) -> VideoStream:
    for stream in film.streams.video:
        if not stream.disposition & Disposition.attached_pic:  # the cover of a song
            return stream
    raise UserError(f"{path} holds no pictures (it may be sound only); choose a video.")


def _decoded(
    film: InputContainer, stream: VideoStream, start: float, seconds: float | None
) -> Iterator[av.VideoFrame]:
    """Yields the frames from `start` on, without those that are damaged; 0 is the start."""
    time_base = _time_base(stream)
    begin = round((start + (film.start_time or 0) / av.time_base) / time_base)
    end = None if seconds is None else begin + seconds / time_base
    if start:
        film.seek(begin, stream=stream)  # to the key frame before
    for frame in _undamaged(film, stream):
        if frame.pts is not None:
            if start and frame.pts < begin:
                continue
            if end is not None and frame.pts >= end:
                return
            frame.pts -= begin
        yield frame


def _undamaged(film: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    packets = film.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:  # the file ends within a packet
            errors.let_through(error)
            packet = None
        try:
            yield from stream.decode(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            errors.let_through(error)
            continue  # a damaged packet; the next key frame is whole again
        if packet is None:
            return


def _time_base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, av.time_base)


def _to_array(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray()


def _source_rate(stream: VideoStream) -> float:
    """Returns a stream's frames per second.

    Where pictures come unevenly, as from a phone, their average lies a little below the nominal
    rate; the nominal rate is then the source's.
    """
    average, nominal = _plausible(stream.average_rate), _plausible(stream.base_rate)
    if average is None or nominal is None:
        return average or nominal or 25.0
    return nominal if average < nominal < 1.34 * average else average


def _plausible(rate: Fraction | None) -> float | None:
    # Hundredths, as in the records of clips that were extracted before.
    return round(float(rate), 2) if rate and 0 < rate <= _HIGHEST_FPS else None

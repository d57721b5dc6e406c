"""Reads films: any file FFmpeg decodes, upright, with square pixels, at a constant rate."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from dancenet.data.footage.film import matte
from dancenet.data.footage.film.decoding import clock_unit, decoded, decoder_of, in_stretches
from dancenet.data.footage.film.ffmpeg import VideoStream, av
from dancenet.data.footage.film.look import Look, look_at
from dancenet.data.footage.film.opening import opened
from dancenet.data.footage.film.streams import turn_filters
from dancenet.data.footage.filters import Filter, FilterChain
from dancenet.data.footage.pictures import MAX_SIDE, PictureFolder, check_rate, reduced_size
from dancenet.support.names import quoted

_LOSS_SECONDS = 0.5  # the duration in a header is at most this inexact
_MATTE_SECONDS = 60.0  # of a film whose transparency is looked at ...
_MATTE_SIDE = 240  # ... in pictures of this longer side


@dataclass(frozen=True)
class VideoFile:
    """A film, turned upright and resampled by its timestamps."""

    path: Path
    name: str  # in messages
    look: Look
    fps: float  # what `frames` yields
    start: float = 0.0  # seconds of the source left out at the front
    seconds: float | None = None  # seconds of the source to read at most
    has_matte: bool = False  # its transparency shows the dancer
    shows_matte: bool = False  # `frames` yields the transparency, black on white

    @classmethod
    def open(
        cls,
        path: str | Path,
        fps: float = 30.0,
        start: float = 0.0,
        seconds: float | None = None,
    ) -> VideoFile:
        """Reads a film's header and all its timestamps, and decodes its first picture.

        Args:
            path: the file.
            fps: frames per second to resample to; the source's own rate if that is lower.
            start: seconds of the source to leave out at the front.
            seconds: seconds of the source to read at most; None reads to the end.

        Raises:
            UserError: the file is missing, not a video, cut off before its index, has no
                picture to decode, or none in which somebody can dance.
        """
        check_rate(fps)
        look = look_at(Path(path), start, seconds)
        footage = cls(
            path=Path(path),
            name=str(path),
            look=look,
            # 29.97 counts as 30, so that clips of both can be learnt from together.
            fps=fps if look.timing.fps > 0.97 * fps else look.timing.fps,
            start=start,
            seconds=seconds,
        )
        return replace(footage, has_matte=look.has_alpha and footage._finds_matte())

    @property
    def width(self) -> int:
        """The width of upright pictures with square pixels."""
        return self.look.width

    @property
    def height(self) -> int:
        """The height of upright pictures with square pixels."""
        return self.look.height

    @property
    def source_fps(self) -> float:
        return self.look.timing.fps

    @property
    def expected_seconds(self) -> float:
        """The seconds of moving pictures, by the film's packets and its header."""
        return self.look.expected_seconds

    @property
    def facts(self) -> tuple[str, ...]:
        """What was found, for the report."""
        first, *others = self.look.facts
        if self.fps < 0.97 * self.source_fps:
            first += f", read at {self.fps:g}"
        return first, *others

    def as_matte(self) -> VideoFile:
        """Returns the same film as its transparency shows it, black on white."""
        return replace(self, shows_matte=True)

    def frames(self, side: int | None = None) -> Iterator[np.ndarray]:
        """Yields (H, W, 3) uint8 RGB, reduced so that the longer side is at most `side`."""
        for stretch in self.stretches(side):
            yield from stretch

    def stretches(self, side: int | None = None) -> Iterator[Iterator[np.ndarray]]:
        """Yields the frames of each stretch between two pauses of the film.

        Each stretch must be used up before the next is asked for.
        """
        with opened(self.path) as film:
            stream = film.streams[self.look.stream]
            assert isinstance(stream, VideoStream)
            decoder = decoder_of(self.path, stream, self.shows_matte)
            decoder.thread_type = "AUTO"
            unit = clock_unit(stream, self.look.timing)
            frames = decoded(film, stream, decoder, start=self.start, seconds=self.seconds)
            numbered = in_stretches(frames, self.look.timing, unit)
            for _, stretch in itertools.groupby(numbered, key=lambda entry: entry[0]):
                yield self._resampled((frame for _, frame in stretch), unit, side or MAX_SIDE)

    def loss(self, num_frames: int) -> str | None:
        """Says what could not be decoded, when `num_frames` could; None if nothing is missing."""
        decoded = num_frames / self.fps
        missing = self.expected_seconds - decoded
        if missing <= max(_LOSS_SECONDS, 0.02 * self.expected_seconds):
            return None
        return (
            f"{quoted(self.name)} is damaged or cut off: {decoded:.1f} of "
            f"{self.expected_seconds:.1f} seconds could be decoded and are kept, {missing:.1f} "
            "seconds are lost."
        )

    def _resampled(
        self, frames: Iterator[av.VideoFrame], unit: Fraction, side: int
    ) -> Iterator[np.ndarray]:
        filters = self._filters(side)
        chain = None
        for frame in frames:
            if chain is None or not chain.fits(frame):
                if chain is not None:
                    yield from map(self._to_array, chain.push(None))
                chain = FilterChain(frame, unit, filters)
            yield from map(self._to_array, chain.push(frame))
        if chain is not None:
            yield from map(self._to_array, chain.push(None))

    def _filters(self, side: int) -> tuple[Filter, ...]:
        width, height = reduced_size(self.width, self.height, side)
        channel = (("format", "rgba"), ("alphaextract", "")) if self.shows_matte else ()
        return (
            ("fps", f"{self.fps:.6f}"),
            *channel,
            *turn_filters(self.look.turn),
            ("scale", f"{width}:{height}:flags=area"),
            ("format", "gray" if self.shows_matte else "rgb24"),
        )

    def _to_array(self, frame: av.VideoFrame) -> np.ndarray:
        array = frame.to_ndarray()
        return matte.as_picture(array) if self.shows_matte else array

    def _finds_matte(self) -> bool:
        shown = self.as_matte().frames(_MATTE_SIDE)
        looked_at = itertools.islice(shown, round(_MATTE_SECONDS * self.fps))
        # White is transparent in the pictures of a matte.
        return matte.shows_dancer(255 - picture[..., 0] for picture in looked_at)


Footage = VideoFile | PictureFolder  # pictures at a constant rate, read as often as needed


def open_footage(
    source: str | Path, fps: float = 30.0, start: float = 0.0, seconds: float | None = None
) -> Footage:
    """Opens a video file or a folder of pictures.

    Raises:
        UserError: see `VideoFile.open` and `PictureFolder.open`.
    """
    if os.path.isdir(source):  # False for names that no file can have, too
        return PictureFolder.open(source, fps, start, seconds)
    return VideoFile.open(source, fps, start, seconds)

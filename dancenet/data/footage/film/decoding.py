"""Decodes a film's frames, without those that are damaged."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from dancenet.data.footage.film import packets, streams, timing
from dancenet.data.footage.film.ffmpeg import InputContainer, VideoCodecContext, VideoStream, av
from dancenet.data.footage.pictures import MAX_PIXELS, check_most
from dancenet.support import errors

_CLOCK = Fraction(1, 90000)  # seconds per unit where the film's own timestamps are of no use
_LARGE = 9_000_000  # pixels of a picture from which on each thread of a decoder takes much memory
_LARGE_THREADS = 2


def decoder_of(path: Path, stream: VideoStream, with_alpha: bool = False) -> VideoCodecContext:
    """Returns the decoder of a stream, which takes no pictures that are too large.

    Raises:
        UserError: the header claims larger ones.
    """
    check_most(path, stream.width, stream.height, MAX_PIXELS)
    decoder = stream.codec_context
    if with_alpha:
        decoder = streams.alpha_decoder(stream) or decoder
    # A stream may change its size later.
    decoder.options = {"max_pixels": str(MAX_PIXELS)}
    if stream.width * stream.height > _LARGE:
        decoder.thread_count = _LARGE_THREADS
    return decoder


def decoded(
    film: InputContainer,
    stream: VideoStream,
    decoder: VideoCodecContext,
    start: float,
    seconds: float | None,
) -> Iterator[av.VideoFrame]:
    """Yields the frames from `start` on; 0 is the start."""
    unit = packets.time_base(stream)
    begin = round(packets.begin_of(film, start) / unit)
    end = None if seconds is None else begin + seconds / unit
    packets.seek(film, stream, start)
    for frame in _undamaged(film, stream, decoder):
        if frame.pts is not None:
            if start and frame.pts < begin:
                continue
            if end is not None and frame.pts >= end:
                return
            frame.pts -= begin
        yield frame


def in_stretches(
    frames: Iterator[av.VideoFrame], clock: timing.Timing, unit: Fraction
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yields each frame with a number that rises where the film stands still or begins anew.

    Args:
        frames: as `decoded` yields them; those without a time get one.
        clock: the film's timing.
        unit: seconds per unit of the frames' timestamps, as `clock_unit` returns it.
    """
    stretch = 0
    previous: int | None = None
    step = max(1, round(1 / (clock.fps * unit)))
    longest = clock.pause / float(unit)
    for count, frame in enumerate(frames):
        if clock.retimed:
            frame.pts = round(count / (Fraction(clock.fps) * unit))
        elif frame.pts is None:
            frame.pts = 0 if previous is None else previous + step
        if clock.retimed or frame.duration > longest:
            # The last picture before a gap would be repeated all through it.
            frame.duration = step
        frame.time_base = unit
        if previous is not None and timing.is_break(
            float(previous * unit), float(frame.pts * unit), clock.pause
        ):
            stretch += 1
        previous = frame.pts
        yield stretch, frame


def clock_unit(stream: VideoStream, clock: timing.Timing) -> Fraction:
    """Returns the seconds per unit of the timestamps of `in_stretches`."""
    return _CLOCK if clock.retimed else packets.time_base(stream)


def _undamaged(
    film: InputContainer, stream: VideoStream, decoder: VideoCodecContext
) -> Iterator[av.VideoFrame]:
    for packet in packets.undisturbed(film, stream):
        try:
            yield from decoder.decode(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            errors.let_through(error)
            continue  # a damaged packet; the next key frame is whole again
    try:
        yield from decoder.decode(None)
    except av.error.FFmpegError as error:
        errors.let_through(error)
        return

"""Looks at a film before it is read: its stream, size, orientation and rate."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from dancenet.data.footage.film import packets, streams, timing
from dancenet.data.footage.film.decoding import decoded, decoder_of
from dancenet.data.footage.film.ffmpeg import VideoStream, av
from dancenet.data.footage.film.opening import WITHOUT_CLOCK, opened
from dancenet.data.footage.pictures import LEAST_FPS, MAX_PIXELS, check_size
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import option

_FIELDS = 9  # frames that tell whether an interlaced film stores each half of them for itself
_LONGEST_FILM = 86_400.0  # seconds; a header that claims more is damaged
_WIDEST_PIXEL = 5  # a pixel more oblong than this is a mistake in the header


@dataclass(frozen=True)
class Look:
    """What a film is."""

    stream: int  # the index of its pictures among all streams
    width: int  # upright, square pixels
    height: int
    turn: streams.Turn  # from stored to upright pictures
    timing: timing.Timing
    expected_seconds: float  # of moving pictures, by its packets and its header
    has_alpha: bool  # there is a transparency, of whatever use
    facts: tuple[str, ...]  # for the report


# Long: a film is opened twice, and nothing of it may be asked once it is closed.
def look_at(path: Path, start: float, seconds: float | None) -> Look:
    """Reads a film's header and all its timestamps, and decodes its first picture.

    Raises:
        UserError: the film cannot be opened, or nobody can be seen dancing in it.
    """
    with opened(path) as film:
        found = packets.read_packets(film, streams.picture_streams(film, path), start, seconds)
        duration = None if film.duration is None else film.duration / av.time_base
        has_clock = film.format.name not in WITHOUT_CLOCK
        if not has_clock and (start or seconds is not None):
            raise UserError(
                f"{quoted(path)} is a bare stream without timestamps, so {option('start')} and "
                f"{option('seconds')} find no place in it; convert it to an mp4 first."
            )
    counts = {index: len(times) for index, times in found.times.items()}
    with opened(path) as film:
        stream, choice = streams.choose_stream(streams.picture_streams(film, path), counts)
        frames = decoded(film, stream, decoder_of(path, stream), start=start, seconds=None)
        first = next(frames, None)
        if first is None:
            raise UserError(_explain_no_picture(path, start, duration))
        times = found.times[stream.index]
        if first.interlaced_frame:
            times = _whole_pictures(times, [first, *itertools.islice(frames, _FIELDS - 1)], stream)
        tick, claimed = float(packets.time_base(stream)), _header_rate(stream, has_clock)
        clock = timing.measure(times, tick, claimed, has_clock)
        turn, is_oblique = streams.turn_of(first), streams.is_oblique(first)
        width, height, oddity = _upright_size(first, stream, turn)
        has_alpha = _has_alpha(first, stream)
        index = stream.index  # nothing of a stream may be asked once its film is closed
    check_size(path, width, height)
    _check_rate(path, clock, len(times))
    facts = [f"{width}x{height}, {clock.fps:g} frames/s ({clock.reason})", choice, oddity]
    if turn != streams.UPRIGHT:
        facts.append(f"It is {streams.say_turn(turn)} to be upright, as its header says.")
    if is_oblique:
        facts.append(
            "Its header asks for a turn that is no quarter of a full one; the next is made."
        )
    if clock.num_pauses:
        facts.append(
            f"{clock.left_out:.1f} seconds in which no new picture came ({clock.num_pauses} "
            f"pause{'s' if clock.num_pauses > 1 else ''}) are left out."
        )
    lost = 0.0
    if duration is not None and has_clock and duration < _LONGEST_FILM:
        planned = duration - start if seconds is None else min(duration - start, seconds)
        lost = max(0.0, planned - found.end)
    return Look(
        stream=index,
        width=width,
        height=height,
        turn=turn,
        timing=clock,
        expected_seconds=clock.seconds + lost,
        has_alpha=has_alpha,
        facts=tuple(fact for fact in facts if fact),
    )


def _check_rate(path: Path, clock: timing.Timing, num_pictures: int) -> None:
    if num_pictures < 2:
        raise UserError(
            f"{quoted(path)} holds one picture only, and a dance needs a film; put pictures into a "
            "folder to read them as one."
        )
    if clock.fps < LEAST_FPS:
        raise UserError(
            f"{quoted(path)} has {clock.fps:.2g} frames/s, as a timelapse or a slide show has, and "
            f"a dance needs at least {LEAST_FPS:g}; film at 24 or more."
        )


def _explain_no_picture(path: Path, start: float, duration: float | None) -> str:
    if start and duration is not None:
        return (
            f"{quoted(path)} has no picture after {option('start', f'{start:g}')}; it is "
            f"{duration:.2f} seconds long."
        )
    return (
        f"{quoted(path)} is a video of zero frames: no picture in it can be decoded (they may be "
        f"damaged, or of more than {MAX_PIXELS // 1_000_000} million pixels)."
    )


def _whole_pictures(
    times: list[float | None], frames: list[av.VideoFrame], stream: VideoStream
) -> list[float | None]:
    """Returns the times of whole pictures where each half of an interlaced one has its packet."""
    shown = [frame.pts for frame in frames if frame.pts is not None]
    known = np.sort([time for time in times[: 4 * _FIELDS] if time is not None])
    if len(shown) < 3 or len(known) < 3:
        return times
    frame_seconds = float(np.median(np.diff(shown))) * float(packets.time_base(stream))
    packet_seconds = float(np.median(np.diff(known)))
    return times[::2] if 1.8 * packet_seconds < frame_seconds < 2.2 * packet_seconds else times


def _upright_size(
    first: av.VideoFrame, stream: VideoStream, turn: streams.Turn
) -> tuple[int, int, str | None]:
    """Returns (width, height) with square pixels, and what is odd about the pixels."""
    aspect = float(stream.sample_aspect_ratio or 1)
    oddity = None
    if not 1 / _WIDEST_PIXEL <= aspect <= _WIDEST_PIXEL:
        oddity = f"Its header claims pixels {aspect:.3g} times as wide as high; square is guessed."
        aspect = 1.0
    elif abs(aspect - 1) > 0.01:
        oddity = f"Its pixels are {aspect:.3g} times as wide as high, and are made square."
    # The first picture's size is reliable, the header's is not.
    size = max(1, round(first.width * aspect)), first.height
    width, height = size[::-1] if turn[0] else size
    return width, height, oddity


def _has_alpha(first: av.VideoFrame, stream: VideoStream) -> bool:
    components = first.format.components
    return (
        first.format.name == "pal8"
        or any(component.is_alpha for component in components)
        or streams.alpha_decoder(stream) is not None
    )


def _header_rate(stream: VideoStream, has_clock: bool) -> float | None:
    """Returns a stream's frames per second as its header claims them.

    Where pictures come unevenly, as from a phone, their average lies a little below the nominal
    rate; the nominal rate is then the source's.
    """
    if not has_clock:
        # FFmpeg makes up the others where the stream itself does not say.
        return _rounded(stream.codec_context.framerate) or _rounded(stream.average_rate)
    average, nominal = _rounded(stream.average_rate), _rounded(stream.base_rate)
    if average is None or nominal is None:
        return average or nominal
    return nominal if average < nominal < 1.34 * average else average


def _rounded(rate: Fraction | None) -> float | None:
    # Hundredths, as in the records of clips that were extracted before.
    return round(float(rate), 2) if rate and 0.01 <= rate <= timing.HIGHEST_FPS else None

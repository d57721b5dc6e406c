"""Chooses a film's stream of pictures, and tells how its pictures lie."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dancenet.data.footage.film.ffmpeg import (
    Disposition,
    InputContainer,
    VideoCodecContext,
    VideoStream,
    av,
)
from dancenet.data.footage.filters import Filter
from dancenet.support.errors import UserError
from dancenet.support.names import quoted

_STILLS = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
_LEAST_SHARE = 0.1  # of the pictures of the stream that has most; fewer are thumbnails
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders drop it

# From stored to upright pictures: whether rows become columns, whether x runs backwards, whether
# y does, afterwards.
Turn = tuple[bool, bool, bool]
UPRIGHT: Turn = (False, False, False)
_FILTERS: dict[Turn, tuple[Filter, ...]] = {
    (False, False, False): (),
    (False, True, False): (("hflip", ""),),
    (False, False, True): (("vflip", ""),),
    (False, True, True): (("hflip", ""), ("vflip", "")),
    (True, False, False): (("transpose", "cclock_flip"),),
    (True, True, False): (("transpose", "clock"),),
    (True, False, True): (("transpose", "cclock"),),
    (True, True, True): (("transpose", "clock_flip"),),
}
_SAID: dict[Turn, str] = {
    (False, True, False): "mirrored left to right",
    (False, False, True): "mirrored top to bottom",
    (False, True, True): "turned by 180 degrees",
    (True, False, False): "mirrored and turned by 90 degrees",
    (True, True, False): "turned by 90 degrees clockwise",
    (True, False, True): "turned by 90 degrees counterclockwise",
    (True, True, True): "mirrored and turned by 90 degrees",
}


def picture_streams(film: InputContainer, path: Path) -> list[VideoStream]:
    """Returns the streams that may be the film, without cover pictures and thumbnails.

    Raises:
        UserError: there are none, or none that can be decoded.
    """
    pictures = [stream for stream in film.streams.video if not stream.disposition & _STILLS]
    if not pictures:
        raise UserError(f"{quoted(path)} holds no pictures (it may be sound only); choose a video.")
    readable = [stream for stream in pictures if stream.codec_context is not None]
    if not readable:
        raise UserError(
            f"The pictures of {quoted(path)} are in a codec that this FFmpeg does not decode; "
            "convert it to an mp4."
        )
    return readable


def choose_stream(
    streams: list[VideoStream], counts: Mapping[int, int]
) -> tuple[VideoStream, str | None]:
    """Chooses among several streams of pictures.

    Args:
        streams: at least one.
        counts: the number of pictures that each stream's index has.

    Returns:
        Of those that move, the one that players show, else the largest; and a note, None if
        there was nothing to choose.
    """
    most = max(counts.get(stream.index, 0) for stream in streams)
    moving = [
        stream
        for stream in streams
        if counts.get(stream.index, 0) >= max(min(2, most), _LEAST_SHARE * most)
    ]
    chosen = max(
        moving,
        key=lambda stream: (
            bool(stream.disposition & Disposition.default),
            stream.width * stream.height,
            -stream.index,
        ),
    )
    if len(streams) == 1:
        return chosen, None
    return chosen, (
        f"It holds {len(streams)} streams of pictures; number {chosen.index} "
        f"({chosen.width}x{chosen.height}, {counts.get(chosen.index, 0)} pictures) is read."
    )


def turn_of(frame: av.VideoFrame) -> Turn:
    """Returns how a frame must be turned and mirrored to be upright, by its display matrix."""
    matrix = _matrix(frame)
    return UPRIGHT if matrix is None else _nearest_turn(matrix)


def is_oblique(frame: av.VideoFrame) -> bool:
    """Tells whether a frame's display matrix asks for a turn that is no quarter of a full one."""
    matrix = _matrix(frame)
    if matrix is None:
        return False
    straight, crossed = abs(matrix[0]) + abs(matrix[4]), abs(matrix[1]) + abs(matrix[3])
    return min(straight, crossed) > 0.1 * max(straight, crossed)


def turn_filters(turn: Turn) -> tuple[Filter, ...]:
    return _FILTERS[turn]


def say_turn(turn: Turn) -> str | None:
    """Returns what is done to the pictures, in words; None if nothing is."""
    return _SAID.get(turn)


def _matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """Returns a frame's display matrix, whose first rows map x and y."""
    side_data: Iterable[Any] = frame.side_data  # annotated by PyAV as what it is not
    for entry in side_data:
        if entry.type.name == "DISPLAYMATRIX" and entry.buffer_size >= 36:
            return struct.unpack("=9i", bytes(entry)[:36])
    return None


def _nearest_turn(matrix: tuple[int, ...]) -> Turn:
    """Returns the turn nearest to a display matrix."""
    x_to_x, x_to_y, _, y_to_x, y_to_y = matrix[:5]
    if abs(x_to_x) + abs(y_to_y) >= abs(x_to_y) + abs(y_to_x):
        return False, x_to_x < 0, y_to_y < 0
    return True, y_to_x < 0, x_to_y < 0


def alpha_decoder(stream: VideoStream) -> VideoCodecContext | None:
    """Returns a decoder for a stream whose alpha channel is coded beside it; None for others.

    Matroska and webm say so by `alpha_mode`.
    """
    name = _WITH_ALPHA.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return None
    try:
        decoder = av.CodecContext.create(name, "r")
    except ValueError:  # a PyAV that was built without it
        return None
    assert isinstance(decoder, VideoCodecContext)
    return decoder

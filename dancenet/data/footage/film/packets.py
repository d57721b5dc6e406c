"""Reads a film's packets, without decoding a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from dancenet.data.footage.film.ffmpeg import InputContainer, VideoStream, av
from dancenet.data.footage.film.opening import blame


@dataclass
class Packets:
    """What a film's packets say of time; seconds from the asked start."""

    times: dict[int, list[float | None]] = field(default_factory=dict)  # by the stream's index
    end: float = 0.0  # of the last packet of sound or pictures


def time_base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, av.time_base)


def begin_of(film: InputContainer, start: float) -> float:
    """Returns the film's own time, in seconds, of `start` seconds after its beginning."""
    return start + (film.start_time or 0) / av.time_base


def seek(film: InputContainer, stream: VideoStream, start: float) -> None:
    """Goes to the key frame before `start`, or stays where the film has no such places."""
    if start:
        try:
            film.seek(round(begin_of(film, start) / time_base(stream)), stream=stream)
        except (av.error.FFmpegError, OverflowError):
            return


def undisturbed(film: InputContainer, *streams: VideoStream) -> Iterator[av.Packet]:
    """Yields packets up to the end of the file, or up to where it cannot be read on."""
    packets = film.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:  # the file ends within a packet
            blame(error)
            return
        if packet is None:
            return
        if packet.size:  # PyAV's own packets at the end are empty
            yield packet


def read_packets(
    film: InputContainer, streams: Sequence[VideoStream], start: float, seconds: float | None
) -> Packets:
    """Reads the times of all pictures from `start` on, at most `seconds` of them."""
    found = Packets({stream.index: [] for stream in streams})
    begin = begin_of(film, start)
    seek(film, streams[0], start)
    for packet in undisturbed(film):
        stamp = packet.dts if packet.pts is None else packet.pts
        index = packet.stream_index
        if stamp is None or packet.time_base is None:
            if index in found.times and not packet.is_discard:
                found.times[index].append(None)
            continue
        time = float(stamp * packet.time_base) - begin
        if seconds is not None and time > seconds + 1:
            break  # a picture that is shown before may be stored a little later
        end = time + float((packet.duration or 0) * packet.time_base)
        if packet.stream.type in ("video", "audio"):
            found.end = max(found.end, end)
        is_wanted = (not start or time >= 0) and (seconds is None or time < seconds)
        if index in found.times and is_wanted and not packet.is_discard:
            found.times[index].append(time)
    return found

"""FFmpeg's filters, applied to frames in a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from dancenet.data.footage.film.ffmpeg import Graph, av

Filter = tuple[str, str]  # a filter's name and its arguments, as on FFmpeg's command line

# The buffer sink answers with the first while a filter waits for more, with the second at the end.
_NO_FRAME = (av.error.BlockingIOError, av.error.EOFError)


class FilterChain:
    """A row of filters for frames of one size and pixel format."""

    def __init__(
        self, first: av.VideoFrame, time_base: Fraction, filters: Sequence[Filter]
    ) -> None:
        """Configures the filters.

        Args:
            first: a frame like those that will be pushed.
            time_base: seconds per unit of the frames' timestamps.
            filters: what to apply, in order.
        """
        self._layout = _layout(first)
        self._graph = Graph()
        self._graph.threads = 1  # more threads cost more than they gain at these sizes
        source = (
            f"video_size={first.width}x{first.height}:pix_fmt={first.format.name}:"
            f"time_base={time_base}"
        )
        nodes = [
            self._graph.add("buffer", source),
            *(self._graph.add(name, arguments) for name, arguments in filters),
            self._graph.add("buffersink"),
        ]
        self._graph.link_nodes(*nodes).configure()

    def fits(self, frame: av.VideoFrame) -> bool:
        """Tells whether a frame is like the one that the chain was made for."""
        return _layout(frame) == self._layout

    def push(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """Puts a frame in, or None for the end; yields what comes out."""
        self._graph.vpush(frame)
        while True:
            try:
                yield self._graph.vpull()
            except _NO_FRAME:
                return


def _layout(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name

"""PyAV, by which all films are read and written.

Import it from here: where it is missing or broken, this import raises one sentence.
"""

from __future__ import annotations

from dancenet.support import errors
from dancenet.support.errors import MissingFFmpeg
from dancenet.support.names import visible

try:
    import av
    from av.container import InputContainer
    from av.filter import Graph
    from av.stream import Disposition
    from av.video.codeccontext import VideoCodecContext
    from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
    from av.video.stream import VideoStream

    _used = (av.open, av.VideoFrame, av.error.FFmpegError)  # another package may have the name
except Exception as error:  # a broken package raises anything
    errors.let_through(error)
    raise MissingFFmpeg(visible(f"{type(error).__name__}: {error}".rstrip(".: "))) from error

__all__ = [
    "ColorPrimaries",
    "ColorRange",
    "ColorTrc",
    "Colorspace",
    "Disposition",
    "Graph",
    "InputContainer",
    "VideoCodecContext",
    "VideoStream",
    "av",
]

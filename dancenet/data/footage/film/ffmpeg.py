"""PyAV, by which all films are read and written.

Import it from here: where it is missing or broken, this import raises one sentence.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from dancenet.support import errors
from dancenet.support.errors import MissingFFmpeg
from dancenet.support.names import quoted, visible


def _stranger() -> str:
    """Says where another module of the name lies, such as a user's own `av.py`."""
    try:
        found = importlib.util.find_spec("av")
    except (ImportError, ValueError):
        return ""
    place = Path(found.origin) if found is not None and found.origin else None
    if place is None or {"site-packages", "dist-packages"} & set(place.parts):
        return ""
    return f"; Python takes {quoted(place)} for it, so move that away if it is yours"


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
    reason = visible(f"{type(error).__name__}: {error}".rstrip(".: "))
    raise MissingFFmpeg(reason + _stranger()) from error

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

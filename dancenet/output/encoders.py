"""Pictures to an mp4, webm or gif file, or to a folder of PNG files."""

from __future__ import annotations

import contextlib
import os
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import imageio.v3 as iio
import numpy as np

from dancenet.data.footage.film.ffmpeg import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    VideoStream,
    av,
)
from dancenet.data.footage.filters import Filter, FilterChain
from dancenet.output import picture_folder, video_settings
from dancenet.output.picture import BLACK_ON_WHITE, Color
from dancenet.support.errors import MissingFFmpeg

FAILURES = (OSError, av.error.FFmpegError)  # by which a disk or an encoder says that it cannot

GIF_LEVELS = 16  # shades from the dancer's colour to the background's

_GIF_SHADES = np.round(np.arange(256) * (GIF_LEVELS - 1) / 255).astype(np.uint8)
_CODECS: dict[str, tuple[str, str, dict[str, str]]] = {  # codec, pixel format, options
    # Two flat colours need no search: 'veryfast' takes 2.5 times the computing for files of half
    # the size (0.6 Mbit/s at 832x480), and a second thread adds 40 % to what the first would take.
    "mp4": ("libx264", "yuv420p", {"preset": "ultrafast", "crf": "23", "threads": "1"}),
    # Threads that share rows ('row-mt') choose other blocks than one thread does, so that the film
    # depended on the number of cores; at these sizes they take more computing, too.
    "webm": (
        "libvpx-vp9",
        "yuv420p",
        {"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "7", "row-mt": "0"},
    ),
    "gif": ("gif", "pal8", {}),
}
_CONTAINER_OPTIONS = {
    "mp4": {"movflags": "+faststart"},
    "webm": {"fflags": "+bitexact"},  # no random number as the film's identity
    "gif": {"loop": "0"},
}


class VideoSpec(NamedTuple):
    """The properties of a video that hold for every picture of it."""

    format: str  # "mp4", "webm", "gif" or "frames"
    fps: float  # pictures per second, constant
    size: tuple[int, int]  # (width, height)
    # RGB of the levels 0 and 255; None for pictures that have colours of their own.
    colors: tuple[Color, Color] | None
    settings: dict[str, Any]  # stored in the video


class Encoder(Protocol):
    """Takes pictures one by one: (H, W) uint8 levels, or (H, W, 3) uint8 RGB."""

    def write(self, picture: np.ndarray) -> None:
        """Adds one picture."""

    def finish(self) -> None:
        """Writes what is still held back, and closes the output."""

    def abort(self) -> None:
        """Closes the output, which is to be thrown away."""


class FilmEncoder:
    """Encodes pictures to an mp4, webm or gif file."""

    def __init__(self, path: Path, spec: VideoSpec) -> None:
        self._path = path
        self._spec = spec
        self._count = 0
        self._palette = _palette(spec)  # (256, 4) uint8 ARGB; None for grey
        self._film = av.open(
            # Whole, so that no colon in the name is taken for a protocol.
            os.path.abspath(path),
            "w",
            format=spec.format,
            options=_CONTAINER_OPTIONS.get(spec.format, {}),
        )
        if spec.format != "gif":
            self._film.metadata["comment"] = video_settings.to_json(spec.settings)
        codec, pixels, options = _CODECS[spec.format]
        rate = Fraction(spec.fps).limit_denominator(1001)
        self._time_base = 1 / rate
        try:
            stream = self._film.add_stream(codec, rate=rate, options=options)
        except ValueError as error:  # a PyAV that was built with fewer encoders
            self.abort()
            raise MissingFFmpeg(f"it has no encoder {codec}") from error
        assert isinstance(stream, VideoStream)
        self._stream = stream
        self._stream.width, self._stream.height = spec.size
        self._stream.pix_fmt = pixels if spec.colors or pixels != "pal8" else "rgb8"
        if pixels == "yuv420p":
            # Untagged 4:2:0 is shown in different colours by different players.
            context = self._stream.codec_context
            context.color_range = ColorRange.MPEG
            context.colorspace = Colorspace.ITU709
            context.color_primaries = ColorPrimaries.BT709
            context.color_trc = ColorTrc.BT709
        self._chain: FilterChain | None = None

    def write(self, picture: np.ndarray) -> None:
        frame = self._frame(np.ascontiguousarray(picture))
        frame.pts, frame.time_base = self._count, self._time_base
        self._count += 1
        if self._spec.format == "gif" and self._spec.colors:
            self._film.mux(self._stream.encode(frame))
            return
        if self._chain is None:
            self._chain = FilterChain(frame, self._time_base, self._conversion())
        for converted in self._chain.push(frame):
            self._film.mux(self._stream.encode(converted))

    def finish(self) -> None:
        self._film.mux(self._stream.encode())
        self._film.close()
        if self._spec.format == "gif":
            video_settings.append_gif_comment(
                self._path, video_settings.to_json(self._spec.settings)
            )

    def abort(self) -> None:
        with contextlib.suppress(av.error.FFmpegError):
            self._film.close()

    def _conversion(self) -> tuple[Filter, ...]:
        if self._spec.format == "gif":
            return ("scale", "sws_dither=bayer"), ("format", "rgb8")
        return _to_bt709(self._palette is not None or self._spec.colors is None)

    def _frame(self, picture: np.ndarray) -> av.VideoFrame:
        if self._spec.colors is None:
            return av.VideoFrame.from_ndarray(picture, format="rgb24")
        if self._palette is None:
            return av.VideoFrame.from_numpy_buffer(picture, format="gray")
        indices = _GIF_SHADES[picture] if self._spec.format == "gif" else picture
        pixels: Any = (indices, self._palette)  # not in the annotations of PyAV
        return av.VideoFrame.from_ndarray(pixels, format="pal8")


class PictureEncoder:
    """Writes pictures as 000001.png, 000002.png, … to a folder, with the settings beside them."""

    def __init__(self, path: Path, spec: VideoSpec) -> None:
        self._path = path
        self._spec = spec
        self._count = 0
        self._sums: list[int] = []
        palette = _palette(spec)
        self._colors = None if palette is None else palette[:, 1:]  # (256, 3) uint8 RGB

    def write(self, picture: np.ndarray) -> None:
        self._count += 1
        path = self._path / picture_folder.picture_name(self._count)
        colored = picture if self._colors is None else self._colors[picture]
        # Through memory: imageio's own files are left open when the disk is full.
        content = iio.imwrite(
            "<bytes>", colored, plugin="pillow", extension=".png", compress_level=3
        )
        path.write_bytes(content)
        self._sums.append(zlib.crc32(content))

    def finish(self) -> None:
        made = picture_folder.record(self._sums)
        settings = {**self._spec.settings, "fps": self._spec.fps, **made}
        text = video_settings.to_json(settings, indent=2)
        (self._path / video_settings.SETTINGS_FILE).write_text(text, encoding="ascii")

    def abort(self) -> None:
        """Has nothing open."""


def _to_bt709(is_colored: bool) -> tuple[Filter, ...]:
    # Grey needs no matrix, and FFmpeg tints it red by one level if it is given one.
    matrix = ":out_color_matrix=bt709" if is_colored else ""
    return ("scale", f"out_range=tv{matrix}"), ("format", "yuv420p")


def _palette(spec: VideoSpec) -> np.ndarray | None:
    """Returns (256, 4) uint8 ARGB, blends from the first colour to the second.

    None for pictures of levels that stay grey, and for those with colours of their own.
    """
    if spec.colors is None:
        return None
    if spec.format != "gif" and spec.colors == BLACK_ON_WHITE:
        return None
    shades = GIF_LEVELS if spec.format == "gif" else 256
    share = np.linspace(0, 1, shades)[:, None]
    first, second = (np.array(color) for color in spec.colors)
    palette = np.zeros((256, 4), np.uint8)
    palette[:, 0] = 255
    palette[:shades, 1:] = np.round((1 - share) * first + share * second)
    return palette

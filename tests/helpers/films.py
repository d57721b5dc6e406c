"""Small films, made by the tests that read them."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import imageio_ffmpeg
import numpy as np

SHARED = Path(__file__).resolve().parents[3] / "shared"


def ffmpeg(*arguments: str | Path) -> None:
    """Runs ffmpeg; fails loudly."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def write_film(
    path: Path, frames: Iterable[np.ndarray], fps: float = 20, options: tuple[str, ...] = ()
) -> Path:
    """Encodes (H, W, 3) uint8 RGB frames almost without loss."""
    frames = list(frames)
    height, width = frames[0].shape[:2]
    quality = ("-crf", "8", "-preset", "ultrafast") if path.suffix in (".mp4", ".mkv") else ()
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-y",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{width}x{height}",
        "-r",
        f"{fps:g}",
        "-i",
        "-",
        *quality,
        *(("-pix_fmt", "yuv420p") if path.suffix != ".gif" else ()),
        *options,
        str(path),
    ]
    data = b"".join(np.ascontiguousarray(frame).tobytes() for frame in frames)
    subprocess.run(command, check=True, input=data)
    return path


def wall(width: int = 160, height: int = 90, color: tuple[int, int, int] = (220, 215, 205)):
    """A plain wall."""
    return np.full((height, width, 3), color, np.uint8)


def room(width: int = 160, height: int = 90, seed: int = 0) -> np.ndarray:
    """A wall with pictures on it: rectangles of many colours."""
    rng = np.random.default_rng(seed)
    scene = wall(width, height, tuple(rng.integers(90, 200, 3).tolist()))
    for _ in range(30):
        x, y = rng.integers(0, width), rng.integers(0, height)
        w, h = rng.integers(6, 40, 2)
        scene[y : y + h, x : x + w] = rng.integers(60, 180, 3)
    return scene


def figure_mask(shape: tuple[int, ...], x: float, y: float, size: float = 50) -> np.ndarray:
    """A body of a head, a trunk and two legs, `size` pixels tall, centred at (x, y)."""
    mask = np.zeros(shape[:2], np.uint8)
    centre = (round(x), round(y))
    cv2.ellipse(mask, centre, (round(size * 0.14), round(size * 0.28)), 0, 0, 360, 1, -1)
    head = (round(x), round(y - size * 0.38))
    cv2.circle(mask, head, round(size * 0.11), 1, -1)
    for side in (-1, 1):
        foot = (round(x + side * size * 0.16), round(y + size * 0.46))
        cv2.line(mask, centre, foot, 1, max(2, round(size * 0.08)))
    return mask > 0


def dancer_on(
    scene: np.ndarray,
    path: Iterable[tuple[float, float]],
    size: float = 50,
    color: tuple[int, int, int] = (25, 20, 30),
) -> list[np.ndarray]:
    """Frames of a figure at the places of `path` before a scene."""
    frames = []
    for x, y in path:
        frame = scene.copy()
        frame[figure_mask(scene.shape, x, y, size)] = color
        frames.append(frame)
    return frames


def sway(count: int, x: float = 80, y: float = 45, reach: float = 25) -> list[tuple[float, float]]:
    """Places of a dancer who goes from side to side once in 20 frames."""
    return [(x + reach * np.sin(2 * np.pi * k / 20), y) for k in range(count)]


def timed_film(
    path: Path,
    times: Sequence[float],
    codec: str = "mpeg4",
    pixels: str = "yuv420p",
    pictures: Sequence[np.ndarray] | None = None,
) -> Path:
    """Writes a film whose pictures are shown at `times`, seconds.

    Pictures are (H, W, 3 or 4) uint8 RGB; by default grey ones, brighter and brighter.
    """
    if pictures is None:
        pictures = [
            np.full((48, 64, 3), 20 + 200 * k // len(times), np.uint8) for k in range(len(times))
        ]

    def mux(film: av.container.OutputContainer, packets: list[av.Packet]) -> None:
        for packet in packets:
            packet.duration = 40  # FFmpeg leaves out a last picture that is shown too shortly
            film.mux(packet)

    with av.open(str(path), "w") as film:
        # VP8 cannot keep a transparency beside pictures that are never shown.
        options = {"auto-alt-ref": "0"} if codec.startswith("libvpx") else {}
        stream = film.add_stream(codec, rate=1000, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        stream.time_base = Fraction(1, 1000)
        for time, picture in zip(times, pictures, strict=True):
            kind = "rgba" if picture.shape[2] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(picture, format=kind)
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            mux(film, stream.encode(frame))
        mux(film, stream.encode())
    return path


def set_display_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Writes the x-to-x, x-to-y, y-to-x and y-to-y parts of a track's matrix into an mp4."""
    content = bytearray(path.read_bytes())
    begin = content.index(b"tkhd") + 4 + 4 + 36  # after version, times, layer and volume
    one = 1 << 16
    values = (
        matrix[0] * one,
        matrix[1] * one,
        0,
        matrix[2] * one,
        matrix[3] * one,
        0,
        0,
        0,
        1 << 30,
    )
    content[begin : begin + 36] = struct.pack(">9i", *values)
    path.write_bytes(content)
    return path


def cut_outs(count: int, color: tuple[int, int, int] = (0, 0, 0)) -> list[np.ndarray]:
    """Pictures of RGBA in which only a dancer is opaque, in the colour of what is transparent."""
    pictures = []
    for x, y in sway(count, x=60, y=60):
        mask = figure_mask((120, 128), x, y, 90)
        alpha = np.where(mask, 255, 0).astype(np.uint8)
        pictures.append(np.dstack([np.full((120, 128, 3), color, np.uint8), alpha]))
    return pictures

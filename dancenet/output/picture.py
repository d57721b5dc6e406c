"""Soft decoder frames to crisp pictures: an edge that is one pixel wide at any size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from dancenet.data.frames.picture import HEIGHT, WIDTH
from dancenet.support.errors import UserError
from dancenet.support.wording import option

EDGE_WIDTH = 1.8  # output pixels from colour to colour at the outline's mean slope; 1 to 1.5 show
GHOST_DARKNESS = 0.75  # a detached spot that is nowhere darker than this is not a limb
SPECK_AREA = 12  # source pixels; a smaller detached spot is noise
PINHOLE_AREA = 4  # source pixels; a smaller hole in the body is noise, not a bent arm
# Background probability per source pixel; an area of less slope is flat and has no edge.
MIN_SLOPE = 0.04
SMOOTHING = 0.6  # source pixels; smooths binary outlines and keeps thin limbs
_SURE = 0.48  # a pixel this far above 0.5 comes out as background, whatever its slope
_REACH = 4  # source pixels that an output pixel may depend on, on either side

MAX_WIDTH = 8192  # output pixels; players and encoders take no more

BLACK_ON_WHITE = ((0, 0, 0), (255, 255, 255))
Color = tuple[int, int, int]


@dataclass(frozen=True)
class Look:
    """How a picture is drawn from a frame."""

    scale: int = 4  # output pixels per frame pixel
    invert: bool = False  # swaps the two colours
    foreground: Color = BLACK_ON_WHITE[0]  # the dancer, RGB
    background: Color = BLACK_ON_WHITE[1]

    def __post_init__(self) -> None:
        check_scale(self.scale)

    @property
    def palette(self) -> tuple[Color, Color]:
        """The colours that levels 0 (dancer) and 255 (background) are shown in."""
        pair = (self.foreground, self.background)
        return (pair[1], pair[0]) if self.invert else pair


def check_scale(scale: int) -> None:
    """Raises UserError unless pictures of this scale can be drawn and played."""
    if not 1 <= scale <= MAX_WIDTH // WIDTH:
        raise UserError(
            f"{option('scale', scale)} makes pictures of {scale * WIDTH}x{scale * HEIGHT}; choose "
            f"1 to {MAX_WIDTH // WIDTH}."
        )


def parse_colors(text: str) -> tuple[Color, Color]:
    """Reads 'FG,BG' as two hexadecimal colours, the dancer's first.

    Raises:
        UserError: it is not two colours of three or six hexadecimal digits.
    """
    parts = [part.strip().lstrip("#") for part in text.split(",")]
    if len(parts) != 2 or not all(re.fullmatch(r"[0-9a-fA-F]{3}|[0-9a-fA-F]{6}", p) for p in parts):
        raise UserError(
            f"Colours are two hexadecimal numbers, the dancer's and the background's, such as "
            f"'ffffff,102040'; received {text!r}."
        )
    pair = []
    for part in parts:
        digits = part if len(part) == 6 else "".join(c + c for c in part)
        pair.append((int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)))
    return pair[0], pair[1]


@contextmanager
def one_thread() -> Iterator[None]:
    """Lets OpenCV compute in the thread that calls it, for callers that have threads of their own.

    On pictures this small its own threads cost more than they gain: 2.4 ms a frame, not 0.3.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def draw(background: np.ndarray, scale: int = 4) -> np.ndarray:
    """Draws a frame larger, with edges about `EDGE_WIDTH` pixels wide whatever the scale.

    The outline is where the background probability p crosses one half. (p - 0.5) / |grad p| is,
    to first order, the distance to that outline, so a soft edge and a hard one come out equally
    sharp; a fixed threshold would leave the soft one grey.

    Args:
        background: (H, W) floats, 0 dancer ... 1 background, as a decoder gives them.
        scale: output pixels per frame pixel, at least 1.

    Returns:
        (H * scale, W * scale) uint8, 0 dancer ... 255 background.
    """
    # Cleaned after smoothing, because smoothing decides how large a spot is drawn.
    smooth = cv2.GaussianBlur(np.asarray(background, np.float32), (0, 0), SMOOTHING)
    field = clean(smooth) - np.float32(0.5)
    height, width = field.shape
    result = np.full((height * scale, width * scale), 255, np.uint8)
    left, top, across, down = cv2.boundingRect((field < _SURE).view(np.uint8))
    if not across:
        return result
    # Most of a picture is background, and background needs no drawing.
    rows = slice(max(top - _REACH, 0), min(top + down + _REACH, height))
    columns = slice(max(left - _REACH, 0), min(left + across + _REACH, width))
    result[rows.start * scale : rows.stop * scale, columns.start * scale : columns.stop * scale] = (
        _draw_edges(field[rows, columns], scale)
    )
    return result


def _draw_edges(field: np.ndarray, scale: int) -> np.ndarray:
    """Takes background probability minus one half, (H, W); returns it enlarged, as in `draw`."""
    along_x = cv2.Sobel(field, cv2.CV_32F, 1, 0, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    along_y = cv2.Sobel(field, cv2.CV_32F, 0, 1, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    slope = np.maximum(cv2.magnitude(along_x, along_y), np.float32(MIN_SLOPE))
    size = (field.shape[1] * scale, field.shape[0] * scale)
    large = cv2.resize(field, size, interpolation=cv2.INTER_CUBIC)
    width = cv2.resize(1 / slope, size, interpolation=cv2.INTER_LINEAR)
    distance = cv2.multiply(large, width, dst=large)  # source pixels
    steepness = 255 * scale / EDGE_WIDTH
    return cv2.addWeighted(distance, steepness, distance, 0, 127.5, dtype=cv2.CV_8U)


def clean(background: np.ndarray) -> np.ndarray:
    """Removes specks and faint spots, and fills pinholes.

    A decoder that hesitates between two poses leaves faint spots beside the body. A spot is kept
    if it is the largest, or if it is big enough and dark enough somewhere.

    Args:
        background: (H, W) floats, 0 dancer ... 1 background.

    Returns:
        (H, W) float32; the argument is not changed.
    """
    whole = np.array(background, np.float32, order="C")
    left, top, across, down = cv2.boundingRect((whole < 0.5).view(np.uint8))
    if not across:
        return whole
    # With a rim of background, so that the background around the body stays connected.
    result = whole[max(top - 1, 0) : top + down + 1, max(left - 1, 0) : left + across + 1]
    dark = (result < 0.5).view(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)
    if count > 2:
        largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        for label in range(1, count):
            spot = _window(result, labels, stats, label)
            faint = float(spot.values[spot.inside].min()) > 1 - GHOST_DARKNESS
            if label != largest and (faint or stats[label, cv2.CC_STAT_AREA] < SPECK_AREA):
                _erase(spot, 1.0)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - dark, connectivity=4)
    for label in range(1, count):
        if stats[label, cv2.CC_STAT_AREA] < PINHOLE_AREA:
            _erase(_window(result, labels, stats, label), 0.0)
    return whole


class _Window(NamedTuple):
    """The surroundings of one connected area, one pixel wider on every side."""

    values: np.ndarray  # a view into the frame
    inside: np.ndarray  # bool, the area itself


def _window(frame: np.ndarray, labels: np.ndarray, stats: np.ndarray, label: int) -> _Window:
    left, top, width, height = (int(n) for n in stats[label, :4])
    rows = slice(max(top - 1, 0), top + height + 1)
    columns = slice(max(left - 1, 0), left + width + 1)
    return _Window(frame[rows, columns], labels[rows, columns] == label)


def _erase(window: _Window, value: float) -> None:
    # The rim goes with the area: it would show again when enlarged.
    rim = cv2.dilate(window.inside.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    same_side = (window.values < 0.5) == (value < 0.5)
    window.values[window.inside | (rim & same_side)] = value

"""The camera that sees a dancer, and the pen that fills outlines in its picture.

The camera looks along parallel rays at the height of the dancer, so that depth does not matter.
Across means metres to the right in the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from dancenet.data.frames.picture import BACKGROUND, DANCER, HEIGHT, WIDTH
from dancenet.data.motion.smooth import smooth

CAMERAS = ("follow", "fixed")

STANDING = 0.72  # fraction of the picture's height that a standing dancer fills
FLOOR = 0.935  # the floor's row, a fraction of the picture's height from the top
MARGIN = 3.0  # pixels kept free above the highest pose and beside the widest
FOLLOW_SECONDS = 1.5  # time constant of the camera that follows
SUPERSAMPLE = 4  # an outline is drawn so many times finer and then averaged

_CUT_OFF = 3  # standard deviations of the Gaussian
_FRACTION_BITS = 4  # fractional bits in the coordinates that OpenCV fills
_THRESHOLD = 128  # the middle of 0 … 255: a pixel that is half covered is the dancer's

_TURN = np.linspace(0, 2 * np.pi, 16, endpoint=False)
# Slightly outside the unit circle, so that the polygon has the circle's area.
CIRCLE = (np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1) * 1.013).astype(np.float32)


class CameraView(NamedTuple):
    """The direction from which a dancer is seen."""

    yaw: float = 0.0  # degrees about the vertical; 0 looks from +z, 90 from +x
    mirror: bool = False  # left and right swapped
    # "follow" pans smoothly with the dancer; "fixed" stands still, far enough away for the clip.
    camera: str = "follow"

    def right(self) -> np.ndarray:
        """Returns the unit vector (3,) that points to the right in the picture.

        Raises:
            ValueError: unknown camera.
        """
        if self.camera not in CAMERAS:
            raise ValueError(
                f"camera must be one of {', '.join(CAMERAS)}. Received: {self.camera!r}"
            )
        return rightwards(self.yaw, self.mirror)


def rightwards(yaw: float, mirror: bool) -> np.ndarray:
    """Returns the unit vector (3,) that points to the right in the picture."""
    angle = np.deg2rad(yaw)
    return np.array([np.cos(angle), 0.0, -np.sin(angle)]) * (-1.0 if mirror else 1.0)


def fit(height: float, highest: float, lowest: float) -> tuple[float, float]:
    """Returns pixels per metre and the floor's row that keep every pose in the picture.

    Args:
        height: metres, the dancer's when standing.
        highest: metres above the floor, the top of the highest pose.
        lowest: metres, the bottom of the lowest pose, at most 0.
    """
    floor = FLOOR * HEIGHT
    below = HEIGHT - 1 - floor
    scale = STANDING * HEIGHT / height
    scale = min(scale, (HEIGHT - 1 - MARGIN) / (highest - lowest))
    floor -= max(0.0, -lowest * scale - below)
    return min(scale, (floor - MARGIN) / highest), floor


class Extent(NamedTuple):
    """A figure's place across the picture in every frame, metres."""

    middle: np.ndarray  # (T,) what the camera follows
    low: np.ndarray  # (T,) its left edge
    high: np.ndarray  # (T,) its right edge


def aim(camera: str, scale: float, extent: Extent, fps: float) -> tuple[float, np.ndarray]:
    """Returns pixels per metre and where the camera looks, (T,) metres across.

    Args:
        camera: one of CAMERAS.
        scale: pixels per metre that fit the height.
        extent: where the figure is.
        fps: frames per second.
    """
    if camera == "fixed":
        left, right = extent.low.min(), extent.high.max()
        scale = min(scale, (WIDTH - 2 * MARGIN) / (right - left))
        return scale, np.full(len(extent.middle), (right + left) / 2)
    return scale, _follow(extent, (WIDTH / 2 - MARGIN) / scale, fps)


def _follow(extent: Extent, half: float, fps: float) -> np.ndarray:
    """Returns where the camera looks, (T,) metres across; `half` is half the picture's width.

    The dancer's path is low-passed without lag, so that a sway stays a sway in the picture.
    Where a limb would leave the picture, the camera moves on as smoothly as it can.
    """
    deviation = FOLLOW_SECONDS * fps / 2
    radius = max(1, round(_CUT_OFF * deviation))
    centre = smooth(extent.middle, deviation, radius, ends="reflect")
    late = np.maximum(0, extent.high - half - centre)
    early = np.maximum(0, centre - half - extent.low)
    # A maximum over a window no shorter than the kernel's is never below what is needed.
    radius = max(1, round(fps / 2))
    centre = centre + _cover(late, radius) - _cover(early, radius)
    # Needs on both sides within one window cancel each other; then the edges decide.
    right = extent.high - half
    return np.clip(centre, right, np.maximum(extent.low + half, right))


def _cover(need: np.ndarray, radius: int) -> np.ndarray:
    """Returns a smooth curve (T,) that is nowhere below (T,)."""
    if not need.any():
        return need
    padded = np.pad(need, radius)
    widest = np.lib.stride_tricks.sliding_window_view(padded, 2 * radius + 1).max(axis=1)
    kernel = np.hanning(2 * radius + 3)[1:-1]
    return np.convolve(np.pad(widest, radius, mode="edge"), kernel / kernel.sum(), "valid")


class Pen:
    """Fills outlines on a fine canvas and averages it down."""

    def __init__(self, supersample: int) -> None:
        self._fine = supersample
        self._canvas = np.empty((HEIGHT * supersample, WIDTH * supersample), dtype=np.uint8)

    def draw(self, parts: list[np.ndarray]) -> Iterator[np.ndarray]:
        """Yields a picture for each frame of outlines (T, P, 2) in picture pixels."""
        fine, canvas = self._fine, self._canvas
        low = np.min([part.min(axis=1) for part in parts], axis=0)
        high = np.max([part.max(axis=1) for part in parts], axis=0)
        edge = (WIDTH, HEIGHT)
        first = np.clip(np.floor(low) - 1, 0, edge).astype(int)
        last = np.clip(np.ceil(high) + 1, 0, edge).astype(int)
        # OpenCV puts pixel centres on whole coordinates.
        unit = fine << _FRACTION_BITS
        half = (1 << _FRACTION_BITS) / 2
        whole = [np.rint(part * unit - half).astype(np.int32) for part in parts]
        for frame in range(len(low)):
            (left, top), (right, bottom) = first[frame], last[frame]
            picture = np.full((HEIGHT, WIDTH), BACKGROUND, dtype=np.uint8)
            if right > left and bottom > top:
                region = canvas[top * fine : bottom * fine, left * fine : right * fine]
                region[:] = BACKGROUND
                for part in whole:
                    hull = cv2.convexHull(part[frame])
                    cv2.fillConvexPoly(canvas, hull, DANCER, cv2.LINE_8, _FRACTION_BITS)
                size = (right - left, bottom - top)
                small = cv2.resize(region, size, interpolation=cv2.INTER_AREA)
                np.copyto(
                    picture[top:bottom, left:right],
                    np.where(small < _THRESHOLD, np.uint8(DANCER), np.uint8(BACKGROUND)),
                )
            yield picture

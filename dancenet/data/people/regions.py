"""Prepares pictures for networks: cuts a turned square out of a picture, and maps back.

Every network that looks for people gets its pixels from `cut`, whoever asks, so that a picture, a
film and an array give the same result. Coordinates are those of OpenCV: the centre of the first
pixel is (0, 0). Angles turn clockwise as one sees the picture.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

_LEAST_SIZE = 1.0  # pixels; a smaller region has no content
# Picture pixels per crop pixel from which on blocks of pixels are averaged first. The networks were
# trained on crops that skip pixels; up to here the results are those of the reference.
_SHRINK = 4.0
_LEFT = 2.0  # picture pixels per crop pixel that are left after that, or a little more


class Region(NamedTuple):
    """A square in a picture, turned about its centre."""

    x: float  # the centre, in picture pixels
    y: float
    size: float  # the side, in picture pixels
    angle: float = 0.0  # radians; 0 is upright

    def turned(self, angle: float) -> Region:
        """Returns the region turned further about its centre."""
        return self._replace(angle=wrapped(self.angle + angle))

    def scaled(self, factor: float) -> Region:
        """Returns the region with another side."""
        return self._replace(size=self.size * factor)


def wrapped(angle: float) -> float:
    """Returns an angle between -pi and pi."""
    return math.remainder(angle, 2 * math.pi)


def whole(shape: tuple[int, ...]) -> Region:
    """Returns the square that holds a whole picture (H, W, …), which is in its middle."""
    height, width = shape[:2]
    return Region(width / 2, height / 2, float(max(height, width)))


def around(centre: np.ndarray, rim: np.ndarray, scale: float) -> Region:
    """Returns the region of a body from two points.

    MediaPipe's detector and landmark network both give the middle of the hips and a point of the
    circle around the whole body, in the direction of the body's axis.

    Args:
        centre: (2,) picture pixels.
        rim: (2,) picture pixels; above the centre if the body is upright.
        scale: the region's side, in diameters of the circle.
    """
    across, down = (float(b) - float(a) for a, b in zip(centre, rim, strict=True))
    size = max(2 * math.hypot(across, down) * scale, _LEAST_SIZE)
    angle = wrapped(math.pi / 2 - math.atan2(-down, across))
    return Region(float(centre[0]), float(centre[1]), size, angle)


def matrix(region: Region, side: int) -> np.ndarray:
    """Returns the map (2, 3) from pixels of the crop, `side` wide, to pixels of the picture."""
    scale = region.size / side
    cos, sin = scale * math.cos(region.angle), scale * math.sin(region.angle)
    half = side / 2
    return np.array(
        [
            [cos, -sin, region.x - half * (cos - sin)],
            [sin, cos, region.y - half * (sin + cos)],
        ]
    )


def to_picture(points: np.ndarray, region: Region) -> np.ndarray:
    """Maps points (N, 2) with 0..1 across the region to pixels of the picture."""
    turn = matrix(region, 1)
    return np.asarray(points) @ turn[:, :2].T + turn[:, 2]


def to_region(points: np.ndarray, region: Region) -> np.ndarray:
    """Maps pixels (N, 2) of the picture to points with 0..1 across the region."""
    turn = matrix(region, 1)
    return (np.asarray(points) - turn[:, 2]) @ np.linalg.inv(turn[:, :2]).T


def cut(picture: np.ndarray, region: Region, side: int, border: int | None = None) -> np.ndarray:
    """Cuts a region out of a picture.

    Args:
        picture: (H, W, 3) uint8 RGB.
        region: the square; it may reach over the picture's edges.
        side: the crop's side in pixels.
        border: the grey level outside the picture; None repeats the pixels of its edge.

    Returns:
        (side, side, 3) uint8.
    """
    inverse = matrix(region, side)
    factor = int(region.size / side / _LEFT)
    if factor * _LEFT >= _SHRINK and min(picture.shape[:2]) >= factor:
        picture, inverse = _shrink(picture, inverse, side, factor)
    return cv2.warpAffine(
        picture,
        inverse,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT,
        borderValue=(border or 0,) * 3,
    )


def _shrink(
    picture: np.ndarray, inverse: np.ndarray, side: int, factor: int
) -> tuple[np.ndarray, np.ndarray]:
    """Averages blocks of `factor` pixels where the crop looks; returns the map to the result."""
    corners = np.array([[0, 0, 1], [side, 0, 1], [0, side, 1], [side, side, 1]])
    reach = corners @ inverse.T
    size = np.array(picture.shape[1::-1])
    blocks = size // factor
    first = np.clip(np.floor(reach.min(axis=0) / factor).astype(np.int64) - 2, 0, blocks - 1)
    last = np.clip(np.ceil(reach.max(axis=0) / factor).astype(np.int64) + 2, first + 1, blocks)
    (left, top), (right, bottom) = (first * factor).tolist(), (last * factor).tolist()
    small = cv2.resize(
        picture[top:bottom, left:right],
        (last - first).tolist(),
        interpolation=cv2.INTER_AREA,
    )
    shrunk = inverse / factor
    # The centre of a block is not that of its first pixel.
    shrunk[:, 2] -= first + (factor - 1) / 2 / factor
    return small, shrunk

"""Where in the picture the dancer is, and the view that a clip is drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from dancenet.data.frames.picture import HEIGHT, WIDTH
from dancenet.data.motion.camera import Extent, aim

OVERSAMPLING = 2  # silhouettes are drawn this many times larger, then reduced by area
PADDING = 0.06  # share of the dancer's extent that is left free on every side
FITS = ("crop", "steady", "follow", "letterbox")
_SMALLEST = 0.75  # share of the size a moving view could show the dancer in; below, it moves
_OUTLIERS = 0.5  # per cent of the frames whose extreme reach may be cut off on each side


class Box(NamedTuple):
    """A rectangle in picture pixels; it may reach beyond the picture."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top


@dataclass(frozen=True)
class View:
    """A box of the aspect of a frame, and how to draw pictures in it."""

    box: Box

    @property
    def canvas(self) -> tuple[int, int]:
        """(height, width) of what `cut` and `place` return."""
        return HEIGHT * OVERSAMPLING, WIDTH * OVERSAMPLING

    @property
    def scale(self) -> float:
        """Canvas pixels per picture pixel."""
        return self.canvas[1] / self.box.width

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """Resizes what the box shows of `picture` (H, W[, 3]) to the canvas.

        Beyond the picture its border pixels are repeated; `inside` tells where.
        """
        left, top = round(self.box.left), round(self.box.top)
        right = max(left + 1, round(self.box.right))
        bottom = max(top + 1, round(self.box.bottom))
        height, width = picture.shape[:2]
        part = picture[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
        borders = (max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width))
        if any(borders):
            part = cv2.copyMakeBorder(part, *borders, borderType=cv2.BORDER_REPLICATE)
        # Averaging areas is for shrinking; OpenCV's INTER_AREA enlarges in blocks.
        return cv2.resize(
            part,
            self.canvas[::-1],
            interpolation=cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR,
        )

    def look(self, picture: np.ndarray) -> np.ndarray:
        """Does what `cut` does, several times faster, and exactly as `to_canvas` says."""
        left, top = max(0, int(self.box.left) & ~15), max(0, int(self.box.top) & ~15)
        part = picture[top : int(self.box.bottom) + 2, left : int(self.box.right) + 2]
        matrix = self.to_canvas
        matrix[:, 2] += matrix[:, :2] @ (left, top)
        while matrix[0, 0] < 0.6 and min(part.shape[:2]) > 2:
            # Halving is fast; a pixel of the half lies in the middle of its four.
            height, width = part.shape[0] // 2, part.shape[1] // 2
            part = cv2.resize(
                part[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA
            )
            matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5)
            matrix[:, :2] *= 2
        return cv2.warpAffine(
            part,
            matrix,
            self.canvas[::-1],
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def inside(self, picture_shape: tuple[int, ...]) -> np.ndarray:
        """Returns (H, W) bool: the canvas pixels that lie in the picture."""
        height, width = self.canvas
        x = self.box.left + (np.arange(width) + 0.5) / self.scale
        y = self.box.top + (np.arange(height) + 0.5) / self.scale
        return ((y >= 0) & (y < picture_shape[0]))[:, None] & ((x >= 0) & (x < picture_shape[1]))[
            None
        ]

    @property
    def to_canvas(self) -> np.ndarray:
        """The (2, 3) map from picture pixels to canvas pixels; centres lie on whole numbers."""
        scale = self.scale
        shift = scale / 2 - 0.5
        return np.array(
            [
                [scale, 0, shift - self.box.left * scale],
                [0, scale, shift - self.box.top * scale],
            ]
        )


def mask_box(mask: np.ndarray) -> Box | None:
    """Returns the rectangle around the True pixels of an (H, W) mask, None if there are none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def crop_view(boxes: np.ndarray, width: int, height: int) -> View:
    """Chooses one view for a clip that holds the dancer's whole extent.

    Args:
        boxes: (T, 4) left, top, right, bottom of the dancer in picture pixels, one row for
            each frame; rows of NaN where nobody was found.
        width: of the picture.
        height: of the picture.

    Returns:
        A view of the aspect 208:120. It is moved into the picture where it fits, and shows
        background beyond the picture where it does not.
    """
    return _view_of(_extent(boxes, width, height), width, height)


def _extent(boxes: np.ndarray, width: int, height: int, body: float | None = None) -> Box:
    """Returns the rectangle that holds the dancer in nearly all frames, with padding.

    The padding is a share of the rectangle, or of `body`, picture pixels.
    """
    found = boxes[~np.isnan(boxes).any(axis=1)]
    steady = median_over_time(found, 5)  # one frame's stray spot must not widen the view
    left, top = np.percentile(steady[:, :2], _OUTLIERS, axis=0)
    right, bottom = np.percentile(steady[:, 2:], 100 - _OUTLIERS, axis=0)
    padding = PADDING * (body or max(right - left, bottom - top))
    # A body that the picture cuts off must be cut off by the frame, too, and not end in mid-air.
    left, top = max(0.0, left - padding), max(0.0, top - padding)
    right, bottom = min(float(width), right + padding), min(float(height), bottom + padding)
    return Box(left, top, right, bottom)


def _view_of(extent: Box, width: int, height: int) -> View:
    left, top, right, bottom = extent
    box_width = max(right - left, (bottom - top) * WIDTH / HEIGHT)
    box_height = box_width * HEIGHT / WIDTH
    x = _shift_inside((left + right - box_width) / 2, box_width, width)
    y = _shift_inside((top + bottom - box_height) / 2, box_height, height, stand=True)
    return View(Box(x, y, x + box_width, y + box_height))


def letterbox_view(width: int, height: int) -> View:
    """Returns the view that shows the whole picture, with background at two sides."""
    box_width = max(width, height * WIDTH / HEIGHT)
    box_height = box_width * HEIGHT / WIDTH
    x, y = (width - box_width) / 2, (height - box_height) / 2
    return View(Box(x, y, x + box_width, y + box_height))


def choose_views(
    boxes: np.ndarray, picture: tuple[int, ...], fps: float, fit: str = "crop", pans: bool = False
) -> Sequence[View]:
    """Chooses the view of every frame of a shot; all have one scale.

    Args:
        boxes: (T, 4) as in `crop_view`; at least one row is not NaN.
        picture: (height, width, …) of the pictures.
        fps: frames per second.
        fit: one of FITS.
        pans: whether "crop" may follow a dancer whom one steady view would show small.
    """
    height, width = picture[:2]
    if fit == "letterbox":
        return [letterbox_view(width, height)] * len(boxes)
    follows = (False, False)
    filled = median_over_time(_fill_gaps(boxes), 5)
    if fit == "follow" or (fit == "crop" and pans):
        body = _body_size(filled)
        extent = _extent(boxes, width, height, float(body.max()))
        follows = _axes_to_follow(body, (extent.width, extent.height), fit == "follow")
    if not any(follows):
        return [crop_view(boxes, width, height)] * len(boxes)
    spans = np.where(follows, np.minimum(body, (width, height)), (extent.width, extent.height))
    box_width = max(spans[0], spans[1] * WIDTH / HEIGHT)
    size = np.array([box_width, box_width * HEIGHT / WIDTH])
    corners = [
        _follow_axis(filled[:, axis::2], size[axis], limit, fps)
        if follows[axis]
        else np.full(len(boxes), _shift_inside(start, size[axis], limit, stand=axis == 1))
        for axis, limit, start in (
            (0, width, (extent.left + extent.right - size[0]) / 2),
            (1, height, (extent.top + extent.bottom - size[1]) / 2),
        )
    ]
    # On whole picture pixels, so that a view that moves does not resample differently.
    return [
        View(Box(left, top, left + size[0], top + size[1]))
        for left, top in np.rint(np.stack(corners, axis=1)).tolist()
    ]


def _follow_axis(edges: np.ndarray, size: float, limit: float, fps: float) -> np.ndarray:
    """Returns where a view that follows the dancer along one axis begins, (T,) picture pixels.

    Args:
        edges: (T, 2) the dancer's lower and upper edge.
        size: the view's.
        limit: the picture's size.
        fps: frames per second.
    """
    low, high = edges[:, 0], edges[:, 1]
    _, centre = aim("follow", WIDTH / size, Extent((low + high) / 2, low, high), fps)
    start = centre - size / 2
    # A body that the picture cuts off must be cut off by the frame, too, and not end in mid-air.
    if size < limit and (low <= 1).any():
        start = np.maximum(start, 0)
    if size < limit and (high >= limit - 1).any():
        start = np.minimum(start, limit - size)
    return start


def _body_size(boxes: np.ndarray) -> np.ndarray:
    """Returns the width and height that hold the dancer in nearly all frames, with padding."""
    reach = boxes[:, 2:] - boxes[:, :2]
    padding = 2 * PADDING * reach.max(axis=1, keepdims=True)
    return np.percentile(reach + padding, 100 - _OUTLIERS, axis=0)


def _axes_to_follow(
    body: np.ndarray, whole: tuple[float, float], always: bool
) -> tuple[bool, bool]:
    """Chooses whether the view moves across and up: as little as keeps the dancer large.

    Args:
        body: the width and height of the dancer.
        whole: the width and height of all places where the dancer is.
        always: to follow across whatever it gains.
    """

    def box_width(follows: tuple[bool, bool]) -> float:
        across, up = np.where(follows, body, whole)
        return float(max(across, up * WIDTH / HEIGHT))

    choices = [(False, False), (True, False), (False, True), (True, True)]
    if always:
        choices = [(True, False), (True, True)]
    enough = box_width((True, True)) / _SMALLEST
    return next(follows for follows in choices if box_width(follows) <= enough)


def median_over_time(values: np.ndarray, size: int) -> np.ndarray:
    """Median-filters (T, D) values over `size` frames, an odd number, repeating the ends."""
    reach = min(size // 2, (len(values) - 1) // 2)
    return _slide(values, reach, np.median) if reach else values


def _slide(values: np.ndarray, reach: int, reduce: object) -> np.ndarray:
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    return np.asarray(reduce(windows, axis=-1))  # type: ignore[operator]


def _fill_gaps(boxes: np.ndarray) -> np.ndarray:
    known = ~np.isnan(boxes).any(axis=1)
    times = np.arange(len(boxes))
    return np.stack([np.interp(times, times[known], column[known]) for column in boxes.T], axis=1)


def _shift_inside(start: float, size: float, limit: float, stand: bool = False) -> float:
    if size >= limit:
        # More than there is: centred, or with its end on the picture's, where the floor is.
        return limit - size if stand else (limit - size) / 2
    return min(max(start, 0.0), limit - size)

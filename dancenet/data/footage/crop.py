"""Where in the picture the dancer is, and the view that a clip is drawn in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from dancenet.data.frames.picture import HEIGHT, WIDTH

OVERSAMPLING = 2  # silhouettes are drawn this many times larger, then reduced by area
PADDING = 0.06  # share of the dancer's extent that is left free on every side
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

    def inside(self, picture_shape: tuple[int, ...]) -> np.ndarray:
        """Returns (H, W) bool: the canvas pixels that lie in the picture."""
        height, width = self.canvas
        x = self.box.left + (np.arange(width) + 0.5) / self.scale
        y = self.box.top + (np.arange(height) + 0.5) / self.scale
        return ((y >= 0) & (y < picture_shape[0]))[:, None] & ((x >= 0) & (x < picture_shape[1]))[
            None
        ]

    def place(self, values: np.ndarray, box: Box) -> np.ndarray:
        """Draws `values` (h, w), which show `box` of the picture, on the canvas.

        Returns:
            (H, W) float32, 0 where the box does not reach.
        """
        height, width = values.shape
        x_step, y_step = box.width / width * self.scale, box.height / height * self.scale
        # Pixel centres lie at halves, hence the half steps.
        matrix = np.array(
            [
                [x_step, 0, (box.left - self.box.left) * self.scale + x_step / 2 - 0.5],
                [0, y_step, (box.top - self.box.top) * self.scale + y_step / 2 - 0.5],
            ],
            dtype=np.float64,
        )
        return cv2.warpAffine(
            np.asarray(values, np.float32),
            matrix,
            self.canvas[::-1],
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0,
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
    found = boxes[~np.isnan(boxes).any(axis=1)]
    steady = median_over_time(found, 5)  # one frame's stray spot must not widen the view
    left, top = np.percentile(steady[:, :2], _OUTLIERS, axis=0)
    right, bottom = np.percentile(steady[:, 2:], 100 - _OUTLIERS, axis=0)
    padding = PADDING * max(right - left, bottom - top)
    # A body that the picture cuts off must be cut off by the frame, too, and not end in mid-air.
    left, top = max(0.0, left - padding), max(0.0, top - padding)
    right, bottom = min(float(width), right + padding), min(float(height), bottom + padding)
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


def follow_boxes(boxes: np.ndarray, fps: float, padding: float = 0.15) -> np.ndarray:
    """Turns found boxes into smooth square ones that a network can look at.

    Args:
        boxes: (T, 4) as in `crop_view`; at least one row is not NaN.
        fps: frames per second.
        padding: of the dancer's longer side, added on every side.

    Returns:
        (T, 4) squares that hold the dancer of neighbouring frames too, so that a limb
        which moves out of its frame's box is still seen.
    """
    filled = _fill_gaps(boxes)
    filled = median_over_time(filled, 3)
    reach = max(1, round(fps * 0.2))
    extent = np.concatenate(
        [
            _slide(filled[:, :2], reach, np.min),
            _slide(filled[:, 2:], reach, np.max),
        ],
        axis=1,
    )
    centre = (extent[:, :2] + extent[:, 2:]) / 2
    side = (extent[:, 2:] - extent[:, :2]).max(axis=1, keepdims=True) * (1 + 2 * padding)
    path = _smooth(np.concatenate([centre, side], axis=1), fps * 0.15)
    half = path[:, 2:] / 2
    return np.concatenate([path[:, :2] - half, path[:, :2] + half], axis=1)


def median_over_time(values: np.ndarray, size: int) -> np.ndarray:
    """Median-filters (T, D) values over `size` frames, an odd number, repeating the ends."""
    reach = min(size // 2, (len(values) - 1) // 2)
    return _slide(values, reach, np.median) if reach else values


def _slide(values: np.ndarray, reach: int, reduce: object) -> np.ndarray:
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    return np.asarray(reduce(windows, axis=-1))  # type: ignore[operator]


def _smooth(values: np.ndarray, sigma: float) -> np.ndarray:
    reach = max(1, round(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    return np.asarray(windows @ (weights / weights.sum()))


def _fill_gaps(boxes: np.ndarray) -> np.ndarray:
    known = ~np.isnan(boxes).any(axis=1)
    times = np.arange(len(boxes))
    return np.stack([np.interp(times, times[known], column[known]) for column in boxes.T], axis=1)


def _shift_inside(start: float, size: float, limit: float, stand: bool = False) -> float:
    if size >= limit:
        # More than there is: centred, or with its end on the picture's, where the floor is.
        return limit - size if stand else (limit - size) / 2
    return min(max(start, 0.0), limit - size)

"""Finds the dancer's box in every picture of a shot."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from dancenet.data.footage.crop import Box, mask_box
from dancenet.data.footage.film.matte import MatteMethod
from dancenet.data.footage.methods import (
    BackgroundMethod,
    PersonMethod,
    ThresholdMethod,
    cut_square,
    find_dancer,
)

Method = ThresholdMethod | BackgroundMethod | PersonMethod | MatteMethod

LOCATE_SIDE = 320  # longer side of the pictures in which the dancer is looked for
_LEAST_SEEN = 0.01  # share of the network's picture that a person covers at least
_FOLLOWED = 1.5  # somebody else must be this much larger to be followed instead
_PRESENT = 0.15  # share of the dancer's median area in a shot; less is a spot, not the dancer


class _Finder:
    """Finds the dancer by a threshold, a background or a matte, in small pictures."""

    def __init__(self, method: ThresholdMethod | BackgroundMethod | MatteMethod) -> None:
        self._method = method
        self._near: Box | None = None

    def find(self, picture: np.ndarray) -> tuple[Box | None, float]:
        """Returns the dancer's box in picture pixels and share of the picture."""
        height, width = picture.shape[:2]
        scale = min(1.0, LOCATE_SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        if isinstance(self._method, BackgroundMethod) and self._method.size != size:
            self._method = self._method.resized(*size)
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        mask = find_dancer(self._method.probability(small), self._near)
        self._near = mask_box(mask)
        if self._near is None:
            return None, 0.0
        return _enlarged(self._near, width / size[0], height / size[1]), float(mask.mean())


class _PersonFinder:
    """Finds the dancer by the network: where they just were, else in the whole picture."""

    def __init__(self, method: PersonMethod, fps: float) -> None:
        self._method = method
        self._every = max(1, round(fps))
        self._count = 0
        self._near: Box | None = None

    def find(self, picture: np.ndarray) -> tuple[Box | None, float]:
        """Returns the dancer's box in picture pixels and share of the picture."""
        height, width = picture.shape[:2]
        found: tuple[Box | None, float] = (None, 0.0)
        if self._near is not None:
            found = self._look(picture, _around(self._near))
        # Now and then the whole picture is searched, lest a lamp be followed for ever.
        is_due = self._count % self._every == 0
        if found[0] is None or is_due:
            whole = [self._look(picture, None)]
            whole += [self._look(picture, square) for square in _tiles(width, height, 1.0)]
            best = max(whole, key=lambda entry: entry[1])
            if best[0] is None and found[0] is None and is_due:
                best = max(
                    (self._look(picture, square) for square in _tiles(width, height, 0.5)),
                    key=lambda entry: entry[1],
                )
            if best[1] > _FOLLOWED * found[1]:
                found = best
        self._count += 1
        self._near = found[0]
        return found

    def _look(self, picture: np.ndarray, square: Box | None) -> tuple[Box | None, float]:
        height, width = picture.shape[:2]
        if square is None:
            probability = self._method.probability(picture)
            square = Box(0, 0, width, height)
        else:
            probability = self._method.probability(cut_square(picture, square))
        x, y = square.width / probability.shape[1], square.height / probability.shape[0]
        # What lies beyond the picture is its border repeated; nobody is there.
        rows = square.top + (np.arange(probability.shape[0]) + 0.5) * y
        columns = square.left + (np.arange(probability.shape[1]) + 0.5) * x
        probability = probability * ((rows >= 0) & (rows < height))[:, None]
        probability = probability * ((columns >= 0) & (columns < width))[None]
        mask = find_dancer(probability, min_area=_LEAST_SEEN)
        box = mask_box(mask)
        if box is None:
            return None, 0.0
        box = _enlarged(box, x, y)
        box = Box(
            box.left + square.left,
            box.top + square.top,
            box.right + square.left,
            box.bottom + square.top,
        )
        return box, float(probability[mask].sum()) * x * y / (width * height)


def _around(box: Box) -> Box:
    half = 0.8 * max(box.width, box.height)
    x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    return Box(x - half, y - half, x + half, y + half)


def _tiles(width: int, height: int, share: float) -> list[Box]:
    """Returns overlapping squares of `share` of the shorter side that cover the picture."""
    side = share * min(width, height)
    if side > 0.8 * max(width, height):
        return []

    def starts(length: int) -> np.ndarray:
        return np.linspace(0, length - side, 1 + int(np.ceil(2 * (length - side) / side - 1e-6)))

    return [Box(x, y, x + side, y + side) for y in starts(height) for x in starts(width)]


def _enlarged(box: Box, x: float, y: float) -> Box:
    return Box(box.left * x, box.top * y, box.right * x, box.bottom * y)


def find_boxes(pictures: Iterator[np.ndarray], method: Method, fps: float) -> np.ndarray:
    """Returns (T, 4) boxes of the dancer in picture pixels, NaN where nobody is found."""
    finder = _PersonFinder(method, fps) if isinstance(method, PersonMethod) else _Finder(method)
    boxes: list[tuple[float, ...]] = []
    areas: list[float] = []
    for picture in pictures:
        box, area = finder.find(picture)
        boxes.append((np.nan,) * 4 if box is None else tuple(box))
        areas.append(area)
    found = np.array(boxes, dtype=float).reshape(-1, 4)
    area_of = np.array(areas)
    if (area_of > 0).any():
        found[area_of < _PRESENT * np.median(area_of[area_of > 0])] = np.nan
    return found

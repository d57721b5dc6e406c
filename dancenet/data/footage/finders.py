"""Finds the dancer's box in every picture of a shot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from dancenet.data.footage.crop import Box, mask_box
from dancenet.data.footage.film.matte import MatteMethod
from dancenet.data.footage.methods import BackgroundMethod, ThresholdMethod, find_dancer
from dancenet.data.footage.person import Body, PersonMethod

Method = ThresholdMethod | BackgroundMethod | PersonMethod | MatteMethod

LOCATE_SIDE = 320  # longer side of the pictures in which the dancer is looked for
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


def _enlarged(box: Box, x: float, y: float) -> Box:
    return Box(box.left * x, box.top * y, box.right * x, box.bottom * y)


@dataclass(frozen=True)
class Found:
    """Where the dancer is in every picture of a shot."""

    boxes: np.ndarray  # (T, 4) in picture pixels, NaN where nobody is found
    people: Body | None = None  # what the person method saw

    @property
    def share(self) -> float:
        """The share of the pictures in which somebody is found."""
        return float((~np.isnan(self.boxes).any(axis=1)).mean()) if len(self.boxes) else 0.0

    @property
    def is_empty(self) -> bool:
        return self.share == 0


def find(pictures: Iterator[np.ndarray], method: Method, fps: float) -> Found:
    """Looks for the dancer in every picture of a shot."""
    body = None
    if isinstance(method, PersonMethod):
        body = method.see(pictures, fps)
        places = body.places()
    else:
        finder = _Finder(method)
        places = (finder.find(picture) for picture in pictures)
    boxes: list[tuple[float, ...]] = []
    areas: list[float] = []
    for box, area in places:
        boxes.append((np.nan,) * 4 if box is None else tuple(box))
        areas.append(area)
    found = np.array(boxes, dtype=float).reshape(-1, 4)
    area_of = np.array(areas)
    if (area_of > 0).any():
        found[area_of < _PRESENT * np.median(area_of[area_of > 0])] = np.nan
    return Found(found, body)

"""Finds people in a whole picture with MediaPipe's pose detector.

The figures are those of MediaPipe's graph `pose_detection_cpu` (Apache-2.0): a single-shot
detector whose boxes are offsets from fixed anchors, after Liu et al., "SSD: Single Shot MultiBox
Detector", ECCV 2016; overlapping boxes are averaged by their scores as in Bazarevsky et al.,
"BlazeFace", 2019, section 4.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dancenet.data.people import regions
from dancenet.data.people.litert import LiteNetwork
from dancenet.data.people.regions import Region

SIDE = 224  # pixels of the network's input
STRIDES = (8, 16, 32, 32, 32)  # pixels between the anchors of a layer
LEAST_SCORE = 0.5
MOST_OVERLAP = 0.3  # IoU of two boxes that are not the same person
MARGIN = 1.25  # of a region, in diameters of the circle around the body
_PER_CELL = 2  # anchors of a layer with the same centre
_CLIP = 100.0  # largest logit of a score
_POINTS = 4


class Network(Protocol):
    """Runs on arrays; `LiteNetwork`, or a stand-in for tests."""

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Returns the outputs."""


@dataclass(frozen=True)
class Detection:
    """A person in a picture; everything is in picture pixels."""

    box: np.ndarray  # (4,) left, top, right, bottom of the face, not of the body
    points: np.ndarray  # (4, 2) mid-hips, whole body's circle, mid-shoulders, upper body's circle
    score: float  # 0..1

    def region(self) -> Region:
        """Returns the region that shows the whole body upright."""
        return regions.around(self.points[0], self.points[1], MARGIN)


class Detector:
    """The network behind a call: a picture in, people out."""

    def __init__(self, network: Network, least_score: float = LEAST_SCORE) -> None:
        self._network = network
        self._least_score = least_score
        self._anchors = anchors()

    @classmethod
    def open(cls, path: str | os.PathLike[str], threads: int = 1) -> Detector:
        """Opens a file.

        Raises:
            MissingExtra: ai-edge-litert is not installed.
            UserError: it is missing, damaged, or another network.
        """
        network = LiteNetwork(path, threads)
        count = len(anchors())
        network.check(
            "MediaPipe's pose detector",
            [(1, SIDE, SIDE, 3)],
            [(1, count, 4 + 2 * _POINTS), (1, count, 1)],
        )
        return cls(network)

    def __call__(self, picture: np.ndarray, region: Region | None = None) -> list[Detection]:
        """Finds people.

        Args:
            picture: (H, W, 3) uint8 RGB.
            region: where to look; None for the whole picture.

        Returns:
            The people, the surest first.
        """
        region = region or regions.whole(picture.shape)
        crop = regions.cut(picture, region, SIDE, border=0)
        values = np.multiply(crop, 2 / 255, dtype=np.float32)[None]
        values -= 1
        raw, logits = self._network.run(values)
        scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0].astype(np.float64), -_CLIP, _CLIP)))
        kept = (scores >= self._least_score) & np.isfinite(raw[0]).all(axis=1)
        boxes, points = decode(raw[0, kept], self._anchors[kept])
        return [
            _in_picture(box, four, score, region)
            for box, four, score in merge(boxes, points, scores[kept])
        ]


def anchors() -> np.ndarray:
    """Returns the anchors' centres (2254, 2), x and y in 0..1, in the network's order.

    Layers of the same stride share their cells: each cell has the anchors of all of them in a row.
    """
    found = []
    for stride in sorted(set(STRIDES)):
        count = SIDE // stride
        places = (np.arange(count) + 0.5) / count
        y, x = np.meshgrid(places, places, indexing="ij")
        cells = np.stack([x.ravel(), y.ravel()], axis=1)
        found.append(np.repeat(cells, _PER_CELL * STRIDES.count(stride), axis=0))
    return np.concatenate(found)


def decode(raw: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turns the network's offsets into boxes and points.

    Args:
        raw: (N, 12) in pixels of the input: centre, width and height of the box, then four points;
            places are relative to the anchor.
        centres: (N, 2) of their anchors.

    Returns:
        Boxes (N, 4) left, top, right, bottom and points (N, 4, 2), in 0..1 of the input.
    """
    values = raw.astype(np.float64) / SIDE
    middle, half = values[:, :2] + centres, values[:, 2:4] / 2
    boxes = np.concatenate([middle - half, middle + half], axis=1)
    return boxes, values[:, 4:].reshape(-1, _POINTS, 2) + centres[:, None]


def merge(
    boxes: np.ndarray, points: np.ndarray, scores: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Merges boxes of the same person: a mean weighted by the scores, with the best one's score.

    Args:
        boxes: (N, 4).
        points: (N, 4, 2).
        scores: (N,).

    Returns:
        Box, points and score of each person, the surest first.
    """
    left = np.argsort(-scores, kind="stable")
    merged = []
    while len(left):
        same = overlap(boxes[left[0]], boxes[left]) > MOST_OVERLAP
        same[0] = True  # also a box without area
        group = left[same]
        weights = scores[group].astype(np.float64)
        weights /= weights.sum()
        merged.append(
            (
                weights @ boxes[group],
                np.tensordot(weights, points[group], 1),
                float(scores[left[0]]),
            )
        )
        left = left[~same]
    return merged


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Returns the intersection over union (N,) of a box (4,) with others (N, 4)."""
    lows, highs = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.maximum(highs - lows, 0), axis=1)
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    area = float(np.prod(np.maximum(box[2:] - box[:2], 0)))
    return common / np.maximum(area + areas - common, np.finfo(np.float64).tiny)


def _in_picture(box: np.ndarray, points: np.ndarray, score: float, region: Region) -> Detection:
    left, top, right, bottom = box
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    there = regions.to_picture(corners, region)
    return Detection(
        np.concatenate([there.min(axis=0), there.max(axis=0)]),
        regions.to_picture(points, region),
        score,
    )

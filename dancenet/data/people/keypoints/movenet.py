"""Finds keypoints with MoveNet, for one person (Lightning, Thunder) or for six (MultiPose).

Any of Google's .tflite files will do: sizes and types are read from the file. Pictures go in as
levels 0 to 255, keypoints come out as y, x and score. The figures are those of the model cards
"MoveNet.SinglePose" and "MoveNet.MultiPose" (Google, Apache-2.0).
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np

from dancenet.data.people import regions
from dancenet.data.people.landmarks import COCO_NAMES
from dancenet.data.people.litert import LiteNetwork, Tensor
from dancenet.data.people.regions import Region
from dancenet.support.errors import UserError
from dancenet.support.names import quoted

MOST_PEOPLE = 6  # that MultiPose tells apart
STRIDE = 32  # the sides of MultiPose's input are multiples of this
MULTIPOSE_SIDE = 256  # pixels of the longer side, as its model card advises

_JOINTS = len(COCO_NAMES)
_SINGLE = (1, 1, _JOINTS, 3)
_MULTI = (1, MOST_PEOPLE, 3 * _JOINTS + 5)  # keypoints, then a box and its score
_SIDES = (64, 2048)  # pixels of an input that can be a picture of a person


class People(NamedTuple):
    """The people in one picture; the surest come first."""

    points: np.ndarray  # (P, 17, 3) float32: y, x in 0..1 of the picture, score in 0..1
    boxes: np.ndarray  # (P, 4) float32: ymin, xmin, ymax, xmax, likewise
    scores: np.ndarray  # (P,) float32, 0..1


class MoveNet:
    """The network behind a call: a picture in, people out."""

    def __init__(self, path: str | os.PathLike[str], threads: int = 1) -> None:
        """Opens a network.

        Args:
            path: the .tflite file.
            threads: processor cores to use.

        Raises:
            MissingExtra: ai-edge-litert is not installed.
            UserError: the file is missing or damaged, or is no MoveNet.
        """
        self._network = LiteNetwork(path, threads)
        inputs, outputs = self._network.inputs, self._network.outputs
        shapes = [tensor.shape for tensor in (*inputs, *outputs)]
        self.is_multi = shapes[1:] in ([_MULTI], [(1, -1, _MULTI[2])])
        fits = self.is_multi or shapes[1:] == [_SINGLE]
        if len(inputs) != 1 or not fits or not self._takes_pictures(inputs[0]):
            raise UserError(
                f"{quoted(path)} is not MoveNet: it maps {_said(inputs)} to {_said(outputs)}, and "
                f"MoveNet maps (1, height, width, 3) to {_SINGLE} or {_MULTI}. Give one of "
                "Google's files for LiteRT: Lightning, Thunder or MultiPose."
            )
        self._input, self._output = inputs[0], outputs[0]

    def _takes_pictures(self, tensor: Tensor) -> bool:
        if len(tensor.shape) != 4 or tensor.shape[0] != 1 or tensor.shape[3] != 3:
            return False
        height, width = tensor.shape[1:3]
        if not self.is_multi:
            return height == width and _SIDES[0] <= height <= _SIDES[1]
        return all(
            side == -1 or (side % STRIDE == 0 and _SIDES[0] <= side <= _SIDES[1])
            for side in (height, width)
        )

    def __call__(self, picture: np.ndarray, region: Region | None = None) -> People:
        """Finds people.

        Args:
            picture: (H, W, 3) uint8 RGB.
            region: the upright square to look at; None for the whole picture.

        Returns:
            One person of a network for one, whatever there is in the picture. Of MultiPose as many
            as it tells apart, which may be none.
        """
        region = region or regions.whole(picture.shape)
        if self.is_multi:
            side, rows, columns = self._window(picture.shape, region)
        else:
            side = self._input.shape[1]
            rows = columns = slice(0, side)
        crop = regions.cut(picture, region, side, border=0)[rows, columns]
        (found,) = self._network.run(_as_input(crop, self._input))
        found = _as_floats(found, self._output).reshape(-1, found.shape[-1])
        if not self.is_multi:
            found = _as_multi(found)
        # From the window to the square, and from there to the picture.
        height, width = crop.shape[:2]
        scale = np.array([height, width], np.float64) / side
        start = np.array([rows.start, columns.start], np.float64) / side
        points = found[:, : 3 * _JOINTS].reshape(-1, _JOINTS, 3).astype(np.float64)
        boxes = found[:, 3 * _JOINTS : -1].reshape(-1, 2, 2).astype(np.float64)
        scores = found[:, -1]
        kept = np.argsort(-scores, kind="stable")
        kept = kept[(scores[kept] > 0) & np.isfinite(found[kept]).all(axis=1)]
        placed = [
            _in_picture(places * scale + start, region, picture.shape)
            for places in (points[kept, :, :2], boxes[kept])
        ]
        everyone = np.concatenate([placed[0], points[kept, :, 2:]], axis=2)
        return People(
            everyone.astype(np.float32),
            placed[1].reshape(-1, 4).astype(np.float32),
            np.clip(scores[kept], 0, 1).astype(np.float32),
        )

    def _window(self, shape: tuple[int, ...], region: Region) -> tuple[int, slice, slice]:
        """Returns the side of the square, and its rows and columns that the network is shown.

        A square around a wide picture is empty above and below, so the network sees less of it
        where its size is free.
        """
        fixed = [side for side in self._input.shape[1:3] if side != -1]
        side = max(fixed) if fixed else MULTIPOSE_SIDE
        window = []
        for axis, centre in ((0, region.y), (1, region.x)):
            given = self._input.shape[1 + axis]
            # The part of the square that shows the picture, in pixels of the square.
            low = (0 - (centre - region.size / 2)) / region.size * side
            high = (shape[axis] - (centre - region.size / 2)) / region.size * side
            low, high = max(0.0, low), min(float(side), high)
            length = given if given != -1 else STRIDE * int(np.ceil((high - low - 0.01) / STRIDE))
            length = int(np.clip(length, STRIDE, side))
            start = int(np.clip(round((low + high - length) / 2), 0, side - length))
            window.append(slice(start, start + length))
        return side, window[0], window[1]


def to_pixels(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns points (..., 3) of y, x in 0..1 and score as x, y in picture pixels and score."""
    height, width = shape[:2]
    return np.stack([points[..., 1] * width, points[..., 0] * height, points[..., 2]], axis=-1)


def _in_picture(places: np.ndarray, region: Region, shape: tuple[int, ...]) -> np.ndarray:
    """Maps y, x (..., 2) in 0..1 of a region to 0..1 of the picture."""
    flat = regions.to_picture(places.reshape(-1, 2)[:, ::-1], region)
    return (flat[:, ::-1] / np.array(shape[:2])).reshape(places.shape)


def _as_input(crop: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Returns a crop as the network's input takes it."""
    kind: np.dtype[Any] = np.dtype(tensor.dtype)
    if kind.kind == "f" or tensor.scale in (0.0, 1.0) and tensor.zero == 0 and kind != np.int8:
        return crop.astype(kind)[None]
    # The levels of a network of whole numbers are coded; without a code, int8 begins at -128.
    scale, zero = (tensor.scale, tensor.zero) if tensor.scale else (1.0, -128)
    limits = np.iinfo(kind)
    coded = np.rint(crop / scale) + zero
    return np.clip(coded, limits.min, limits.max).astype(kind)[None]


def _as_floats(found: np.ndarray, tensor: Tensor) -> np.ndarray:
    if found.dtype.kind != "f" and tensor.scale:
        return (found.astype(np.float32) - tensor.zero) * tensor.scale
    return found.astype(np.float32)


def _as_multi(points: np.ndarray) -> np.ndarray:
    """Returns keypoints (17, 3) as a row of MultiPose: with a box, and their mean score."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    return np.concatenate([points.ravel(), low, high, [points[:, 2].mean()]])[None]


def _said(tensors: tuple[Tensor, ...]) -> str:
    return ", ".join(str(tensor.shape) for tensor in tensors[:4]) or "nothing"

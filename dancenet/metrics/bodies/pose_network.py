"""Reads joints from a silhouette with a small network, in NumPy.

The network was trained for ten minutes on one core, on 160,000 bodies drawn from recordings of
dance (CMU, AIST++, Rokoko): every yaw, statures from 64 to 98 pixels, girths from 0.8 to 1.35, and
in a third of them the upper half of one pose on the lower half of another. Its weights are in
`pose_network.npz`; `benchmarks/train_pose_network.py` makes such a file.

A silhouette looks the same from the front and from the back, and hides limbs before the trunk. So
the network answers with several bodies, and was trained on the error of the best of them, with left
and right as they were or exchanged.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np

from dancenet.data.motion.joints import JOINTS
from dancenet.metrics.bodies.redraw import Bodies

GUESSES = 4  # bodies for each picture
SIDE = 144  # pixels of the square that the network sees, around the figure's centroid
SMALL = SIDE // 2  # the square is reduced to half of its size
PATCH = 6  # side of the patches that the first layer reads
POSITION_UNIT = 40.0  # pixels
STATURE_UNIT = 80.0  # pixels

WEIGHTS = "pose_network.npz"
_OUTPUTS = len(JOINTS) * 3 + 2  # joints, log stature, log girth


def centred(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cuts out a square around each figure's centroid.

    Args:
        masks: (B, H, W) bool, True on the dancer.

    Returns:
        (B, SIDE, SIDE) bool, and the pixel (B, 2) of the picture, column and row, whose upper left
        corner is the square's middle.
    """
    height, width = masks.shape[1:]
    squares = np.zeros((len(masks), SIDE, SIDE), bool)
    middles = np.zeros((len(masks), 2), np.float32)
    half = SIDE // 2
    for index, mask in enumerate(masks):
        rows, columns = np.nonzero(mask)
        if not len(rows):
            continue
        x, y = round(float(columns.mean())), round(float(rows.mean()))
        middles[index] = x, y
        left, top = x - half, y - half
        begin, end = max(left, 0), min(left + SIDE, width)
        first, last = max(top, 0), min(top + SIDE, height)
        squares[index, first - top : last - top, begin - left : end - left] = mask[
            first:last, begin:end
        ]
    return squares, middles


def guess_bodies(masks: np.ndarray) -> Bodies:
    """Reads bodies from pictures.

    Args:
        masks: (B, 120, 208) bool, True on the dancer.

    Returns:
        GUESSES bodies for each picture: its arrays begin with the axes (B, GUESSES).
    """
    squares, middles = centred(masks)
    answers = _answer(squares.reshape(-1, SMALL, 2, SMALL, 2).mean((2, 4), dtype=np.float32))
    joints = answers[..., :-2].reshape(len(masks), GUESSES, len(JOINTS), 3) * POSITION_UNIT
    joints[..., :2] += middles[:, None, None]
    return Bodies(joints, STATURE_UNIT * np.exp(answers[..., -2]), np.exp(answers[..., -1]))


def _answer(pictures: np.ndarray) -> np.ndarray:
    """Takes the dancer's share of each pixel, (B, SMALL, SMALL); returns (B, GUESSES, outputs)."""
    weights = _weights()
    number, across = len(pictures), SMALL // PATCH
    patches = pictures.reshape(number, across, PATCH, across, PATCH).transpose(0, 1, 3, 2, 4)
    values = patches.reshape(number * across**2, PATCH**2)
    for layer in range(0, len(weights), 2):
        values = values @ weights[layer] + weights[layer + 1]
        if layer + 2 < len(weights):
            values = np.maximum(values, 0)
        values = values.reshape(number, -1) if layer == 0 else values
    return values.reshape(number, GUESSES, _OUTPUTS)


@cache
def _weights() -> list[np.ndarray]:
    """Returns each layer's matrix and offsets; the first layer reads the patches."""
    with resources.files(__package__).joinpath(WEIGHTS).open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        found = [stored[name].astype(np.float32) for name in sorted(stored.files)]
    return [found[0].reshape(PATCH**2, -1), *found[1:]]

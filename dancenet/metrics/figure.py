"""Is there one figure, is it black, is the background white, and how does it move?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from dancenet.data.frames.components import largest_share

# Whiteness p, 0 dancer and 1 background.
BLACK, FIGURE = 0.1, 0.9  # of the pixels below FIGURE those above BLACK are soft
MASK = 0.5  # below it is the dancer
HAZE = 0.97  # of the background, the pixels below it are hazy
HAZY_SHARE = 0.1  # of the background; with more than that a frame is hazy

FLOW_ANGLES = 8
FLOW_CELLS = (4, 8)  # down and across: 26×30 pixels each
_FLOW_SCALE = 2  # the flow is computed on pictures this many times smaller


def count_soft(background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts the soft pixels, those with .1 < p < .9, and the figure's, those with p < .9.

    The share of some frames is the sum of the former over the sum of the latter.

    Args:
        background: (B, H, W) in [0, 1].

    Returns:
        Two arrays (B,).
    """
    below = background < FIGURE
    return ((background > BLACK) & below).sum(axis=(1, 2)), below.sum(axis=(1, 2))


def haze_share(background: np.ndarray) -> np.ndarray:
    """Returns the share of the background, the pixels with p > .5, that has p < .97.

    A clean outline is some hundred of 24,000 pixels and stays far below `HAZY_SHARE`.

    Args:
        background: (B, H, W) in [0, 1].

    Returns:
        (B,); 0 where there is no background.
    """
    beyond = background > MASK
    hazy = (beyond & (background < HAZE)).sum(axis=(1, 2))
    return hazy / np.maximum(beyond.sum(axis=(1, 2)), 1)


def flow_histogram(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Returns what moves where: the optical flow in 8 directions, summed in each of 32 cells.

    The flow is Farneback's (2003, "Two-frame motion estimation based on polynomial expansion"),
    as OpenCV computes it, on the masks at half size, whose edges, being averages, move by less
    than a pixel. Each pixel counts for its direction with the length of its flow.

    Args:
        before: (H, W) bool, True on the dancer.
        after: the next picture.

    Returns:
        (256,) float32, mean pixels of the small picture; zeros if nothing moved.
    """
    rows, columns = FLOW_CELLS
    if np.array_equal(before, after):
        return np.zeros(rows * columns * FLOW_ANGLES, np.float32)
    size = (before.shape[1] // _FLOW_SCALE, before.shape[0] // _FLOW_SCALE)
    small = [
        cv2.resize(mask.astype(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA)
        for mask in (before, after)
    ]
    flow = cv2.calcOpticalFlowFarneback(
        small[0],
        small[1],
        np.zeros((*small[0].shape, 2), np.float32),
        pyr_scale=0.5,
        levels=3,
        winsize=15,
        iterations=3,
        poly_n=5,
        poly_sigma=1.2,
        flags=0,
    )
    length = np.hypot(flow[..., 0], flow[..., 1])
    angle = np.arctan2(flow[..., 1], flow[..., 0]) % (2 * np.pi)
    sector = (angle * (FLOW_ANGLES / (2 * np.pi))).astype(np.int64) % FLOW_ANGLES
    row = np.arange(size[1]) * rows // size[1]
    column = np.arange(size[0]) * columns // size[0]
    cell = row[:, None] * columns + column
    sums = np.bincount(
        (cell * FLOW_ANGLES + sector).ravel(), length.ravel(), rows * columns * FLOW_ANGLES
    )
    return (sums * (rows * columns / cell.size)).astype(np.float32)


@dataclass(frozen=True)
class PictureScores:
    """What is kept of a run of pictures that follow each other without a cut."""

    soft: np.ndarray  # (T,) number of soft pixels
    figure: np.ndarray  # (T,) number of pixels of the figure, its soft edge included
    haze: np.ndarray  # (T,) share of the background that is hazy
    largest: np.ndarray  # (T,) share of the mask in its largest component
    change: np.ndarray  # (T - 1,) share of the picture's pixels that change sides
    flow: np.ndarray  # (T - 1, F) flow histograms

    @classmethod
    def of(cls, batches: Iterable[np.ndarray]) -> PictureScores:
        """Scores pictures as they come, keeping none.

        Args:
            batches: arrays (B, H, W) of background probability in [0, 1], in order; at least one picture.
        """
        soft, figure, haze, largest = [], [], [], []
        change: list[float] = []
        flow: list[np.ndarray] = []
        before: np.ndarray | None = None
        for background in batches:
            masks = background < MASK
            counts = count_soft(background)
            soft.append(counts[0])
            figure.append(counts[1])
            haze.append(haze_share(background))
            largest.append(largest_share(masks))
            for mask in masks:
                if before is not None:
                    change.append(float((mask != before).mean()))
                    flow.append(flow_histogram(before, mask))
                before = mask
        num_bins = FLOW_CELLS[0] * FLOW_CELLS[1] * FLOW_ANGLES
        return cls(
            np.concatenate(soft),
            np.concatenate(figure),
            np.concatenate(haze),
            np.concatenate(largest),
            np.array(change),
            np.array(flow, np.float32).reshape(-1, num_bins),
        )

    def __len__(self) -> int:
        return len(self.soft)

    @property
    def soft_share(self) -> np.ndarray:
        """The share (T,) of each figure that is soft; 0 where there is no figure."""
        return self.soft / np.maximum(self.figure, 1)

    def cut(self, first: int, stop: int) -> PictureScores:
        """Returns the scores of the pictures first ... stop - 1."""
        steps = slice(first, max(stop - 1, first))
        return PictureScores(
            self.soft[first:stop],
            self.figure[first:stop],
            self.haze[first:stop],
            self.largest[first:stop],
            self.change[steps],
            self.flow[steps],
        )

    def repeat(self, count: int) -> PictureScores:
        """Returns the scores of `count` pictures that are all like the first."""
        return PictureScores(
            np.repeat(self.soft[:1], count),
            np.repeat(self.figure[:1], count),
            np.repeat(self.haze[:1], count),
            np.repeat(self.largest[:1], count),
            np.zeros(count - 1),
            np.zeros((count - 1, self.flow.shape[1]), np.float32),
        )

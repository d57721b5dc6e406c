"""Measures of pictures: soft edges, haze, number of figures, change and optical flow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from dancenet.data.frames.components import largest_share

# Background probability p: 0 dancer, 1 background.
BLACK, FIGURE = 0.1, 0.9  # a pixel with BLACK < p < FIGURE is soft
MASK = 0.5  # a pixel with p < MASK is the dancer, one with p > MASK the background
HAZE = 0.97  # a background pixel with p < HAZE is hazy
HAZY_SHARE = 0.1  # a frame is hazy if more of its background is

FLOW_ANGLES = 8
FLOW_CELLS = (4, 8)  # rows and columns: 26×30 pixels each
_FLOW_SCALE = 2  # the optical flow is computed on pictures this many times smaller


def count_soft(background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts the soft pixels (0.1 < p < 0.9) and the figure's pixels (p < 0.9).

    Args:
        background: (B, H, W) background probability p.

    Returns:
        Two arrays (B,). The soft share of several frames is the ratio of their sums.
    """
    below = background < FIGURE
    return ((background > BLACK) & below).sum(axis=(1, 2)), below.sum(axis=(1, 2))


def haze_share(background: np.ndarray) -> np.ndarray:
    """Computes the share of the background (p > 0.5) that is hazy (p < 0.97).

    The soft pixels of a clean outline are about a hundred of 24,000, far below `HAZY_SHARE`.

    Args:
        background: (B, H, W) background probability p.

    Returns:
        (B,); 0 if there is no background.
    """
    beyond = background > MASK
    hazy = (beyond & (background < HAZE)).sum(axis=(1, 2))
    return hazy / np.maximum(beyond.sum(axis=(1, 2)), 1)


def flow_histogram(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Computes a histogram of the optical flow: 8 directions in each of 32 cells.

    The flow is Farneback's (2003, "Two-frame motion estimation based on polynomial expansion"),
    computed by OpenCV on masks of half size, whose averaged edges show motion of less than a
    pixel. Each pixel is weighted with the length of its flow.

    Args:
        before: (H, W) bool, True on the dancer.
        after: (H, W) bool, the next picture.

    Returns:
        (256,) float32, mean flow in pixels of the small picture; zeros if nothing moved.
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
    """Scores of T consecutive pictures without a cut."""

    soft: np.ndarray  # (T,) number of soft pixels
    figure: np.ndarray  # (T,) number of the figure's pixels, soft edge included
    haze: np.ndarray  # (T,) share of the background that is hazy
    largest: np.ndarray  # (T,) share of the mask in its largest connected component
    change: np.ndarray  # (T - 1,) share of pixels that change between dancer and background
    flow: np.ndarray  # (T - 1, F) flow histograms

    @classmethod
    def of(cls, batches: Iterable[np.ndarray]) -> PictureScores:
        """Scores pictures one batch at a time, without keeping them.

        Args:
            batches: (B, H, W) background probability, in order; at least one picture.
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
            soft=np.concatenate(soft),
            figure=np.concatenate(figure),
            haze=np.concatenate(haze),
            largest=np.concatenate(largest),
            change=np.array(change),
            flow=np.array(flow, np.float32).reshape(-1, num_bins),
        )

    def __len__(self) -> int:
        return len(self.soft)

    @property
    def soft_share(self) -> np.ndarray:
        """The share (T,) of each figure that is soft; 0 if there is no figure."""
        return self.soft / np.maximum(self.figure, 1)

    def cut(self, first: int, stop: int) -> PictureScores:
        """Returns the scores of pictures `first` to `stop` - 1."""
        steps = slice(first, max(stop - 1, first))
        return PictureScores(
            soft=self.soft[first:stop],
            figure=self.figure[first:stop],
            haze=self.haze[first:stop],
            largest=self.largest[first:stop],
            change=self.change[steps],
            flow=self.flow[steps],
        )

    def repeat(self, count: int) -> PictureScores:
        """Returns the scores of the first picture held for `count` pictures."""
        return PictureScores(
            soft=np.repeat(self.soft[:1], count),
            figure=np.repeat(self.figure[:1], count),
            haze=np.repeat(self.haze[:1], count),
            largest=np.repeat(self.largest[:1], count),
            change=np.zeros(count - 1),
            flow=np.zeros((count - 1, self.flow.shape[1]), np.float32),
        )

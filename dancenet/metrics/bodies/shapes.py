"""Figures compared by their shape alone: moved to one place, wherever the dancer stands."""

from __future__ import annotations

import cv2
import numpy as np

# A figure's window: enough for outstretched arms around its median column, and for a jump.
WINDOW_HEIGHT, WINDOW_WIDTH = 120, 144  # pixels
SMALL = 52  # side of the picture that principal components are taken of

TRUNK_ROWS = (0.28, 0.50)  # the rows of a trunk, in heights of the figure below its top
TRUNK_WIDTH = 6  # pixels; a narrower run of a row is a limb
TRUNK_SHARE = 0.7  # two runs in more of the rows are two trunks

_SMALL_SIDE = 2 * SMALL  # pixels of the window that the small picture shows
_CHUNK = 32  # figures compared at once
_ONES = np.array([byte.bit_count() for byte in range(256)], np.uint8)  # set bits of a byte


def align(masks: np.ndarray) -> np.ndarray:
    """Moves figures so that their median column is in the middle and their lowest row at the end.

    Args:
        masks: (B, H, W) bool, True on the dancer.

    Returns:
        (B, WINDOW_HEIGHT, WINDOW_WIDTH) bool; what lies outside the window is lost. A picture
        without a dancer stays empty.
    """
    height, width = masks.shape[1:]
    found = np.zeros((len(masks), WINDOW_HEIGHT, WINDOW_WIDTH), bool)
    for mask, window in zip(masks, found):
        rows, columns = np.nonzero(mask)
        if not len(rows):
            continue
        left = int(np.median(columns)) - WINDOW_WIDTH // 2
        top = int(rows.max()) + 1 - WINDOW_HEIGHT
        begin, end = max(left, 0), min(left + WINDOW_WIDTH, width)
        first, last = max(top, 0), min(top + WINDOW_HEIGHT, height)
        window[first - top : last - top, begin - left : end - left] = mask[first:last, begin:end]
    return found


def small(aligned: np.ndarray) -> np.ndarray:
    """Reduces aligned figures to half their size.

    Args:
        aligned: (B, WINDOW_HEIGHT, WINDOW_WIDTH) bool, from `align`.

    Returns:
        (B, SMALL, SMALL) float32, the share of the dancer in 2×2 pixels. Shown are the lowest
        2 SMALL rows and the 2 SMALL columns in the middle.
    """
    left = (WINDOW_WIDTH - _SMALL_SIDE) // 2
    part = aligned[:, WINDOW_HEIGHT - _SMALL_SIDE :, left : left + _SMALL_SIDE]
    blocks = part.reshape(len(part), SMALL, 2, SMALL, 2)
    return blocks.mean(axis=(2, 4), dtype=np.float32)


def has_two_trunks(masks: np.ndarray) -> np.ndarray:
    """Tells which figures have two trunks side by side.

    A row has two trunks if two of its runs are `TRUNK_WIDTH` or wider. A figure has two if more
    than `TRUNK_SHARE` of its rows between 28 and 50 % of its height, from the top, have two.

    Args:
        masks: (B, H, W) bool, True on the dancer.

    Returns:
        (B,) bool; False for a picture without a dancer.
    """
    # A run of n pixels survives an erosion by n pixels as one pixel: count the runs that do.
    kernel = np.ones((1, TRUNK_WIDTH), np.uint8)
    found = np.zeros(len(masks), bool)
    for index, mask in enumerate(masks):
        rows = np.flatnonzero(mask.any(axis=1))
        if not len(rows):
            continue
        top, height = rows[0], rows[-1] + 1 - rows[0]
        first, last = (round(top + share * height) for share in TRUNK_ROWS)
        if last <= first:
            continue
        band = np.pad(mask[first:last].astype(np.uint8), ((0, 0), (TRUNK_WIDTH, TRUNK_WIDTH)))
        wide = cv2.erode(band, kernel)
        runs = (np.diff(wide.astype(np.int8), axis=1) == 1).sum(axis=1)
        found[index] = (runs >= 2).mean() > TRUNK_SHARE
    return found


def pack(aligned: np.ndarray) -> np.ndarray:
    """Packs aligned figures (B, WINDOW_HEIGHT, WINDOW_WIDTH) to bits, (B, F) uint8."""
    return np.packbits(aligned.reshape(len(aligned), -1), axis=1)


def best_iou(found: np.ndarray, known: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Compares each of some figures with those known ones that may be the nearest.

    Args:
        found: (N, F) uint8, figures from `pack`.
        known: (M, F) uint8, figures from `pack`.
        candidates: (N, K) rows of `known`, for each found figure.

    Returns:
        (N,) the highest intersection over union with any candidate; 0 where both are empty.
    """
    best = np.zeros(len(found))
    for begin in range(0, len(found), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        others = known[candidates[part]]  # (n, K, F)
        mine = found[part, None]
        shared = _ONES[mine & others].sum(axis=2, dtype=np.int64)
        union = _ONES[mine | others].sum(axis=2, dtype=np.int64)
        best[part] = (shared / np.maximum(union, 1)).max(axis=1)
    return best

"""Connected components: whether a figure is in one piece."""

from __future__ import annotations

import cv2
import numpy as np

WHOLE = 0.97  # share of a mask in its largest component; with less it is in pieces


def largest_share(masks: np.ndarray) -> np.ndarray:
    """Returns the share of each mask that its largest component holds (8 neighbours).

    Args:
        masks: (B, H, W) bool, True on the dancer.

    Returns:
        (B,); 0 where a mask is empty, for no dancer is not one dancer.
    """
    shares = np.zeros(len(masks))
    for index, mask in enumerate(masks):
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        if count > 1:
            areas = stats[1:, cv2.CC_STAT_AREA]
            shares[index] = areas.max() / areas.sum()
    return shares

"""The part of the next picture that MoveNet looks at, from the keypoints of the last one.

The figures are those of Google's tutorial "MoveNet: Ultra fast and accurate pose detection model"
and of its JavaScript implementation, `pose-detection` of tfjs-models (both Apache-2.0).
"""

from __future__ import annotations

import numpy as np

from dancenet.data.people import regions
from dancenet.data.people.landmarks import COCO_NAMES
from dancenet.data.people.regions import Region

LEAST_SCORE = 0.2  # of a keypoint that is seen
LEAST_POSE = 0.25  # mean score of the seen keypoints below which nobody is there

_TORSO_MARGIN = 1.9  # half the crop's side, in the torso's farthest reach from the mid-hips
_BODY_MARGIN = 1.2  # likewise, of all keypoints that are seen
_SHOULDERS = [COCO_NAMES.index(f"{side}_shoulder") for side in ("left", "right")]
_HIPS = [COCO_NAMES.index(f"{side}_hip") for side in ("left", "right")]


def next_region(points: np.ndarray, shape: tuple[int, ...]) -> Region:
    """Returns the upright square in which to look for the same person.

    Args:
        points: (17, 3) x, y in picture pixels, and score.
        shape: (H, W, …) of the pictures.

    Returns:
        A square about the mid-hips; the one that holds the whole picture if the torso was not
        seen, or if the square would be larger.
    """
    seen = points[:, 2] > LEAST_SCORE
    if not (seen[_SHOULDERS].any() and seen[_HIPS].any()):
        return regions.whole(shape)
    height, width = shape[:2]
    x, y = (float(value) for value in points[_HIPS, :2].mean(axis=0))
    reach = np.abs(points[:, :2] - (x, y))
    torso = float(reach[_SHOULDERS + _HIPS].max())
    body = float(reach[points[:, 2] >= LEAST_SCORE].max())
    half = max(_TORSO_MARGIN * torso, _BODY_MARGIN * body)
    # No larger than what reaches the farthest edge of the picture.
    half = min(half, max(x, width - x, y, height - y))
    if half > max(height, width) / 2 or half < 1:
        return regions.whole(shape)
    return Region(x, y, 2 * half)


def pose_score(points: np.ndarray) -> float:
    """Returns the mean score of the keypoints (17, 3) that are seen; 0 if none is."""
    scores = points[points[:, 2] > LEAST_SCORE, 2]
    return float(scores.mean()) if len(scores) else 0.0

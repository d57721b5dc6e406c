"""Brings keypoints of a film to the joints of the frames that were cut out of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dancenet.data.frames.poses import FramePoses
from dancenet.data.mocap.formats.keypoints import plain_name
from dancenet.data.motion.joints import JOINTS

LEAST_SCORE = 0.05  # of a point that says anything of a place

# Each joint is a mean of points; the first kind that an estimator has is taken.
_SOURCES: dict[str, tuple[tuple[str, ...], ...]] = {
    **{
        f"{side}_{limb}": ((f"{side}_{limb}",),)
        for side in "lr"
        for limb in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    },
    **{f"{side}_toe": ((f"{side}_toe",), (f"{side}_foot_index",)) for side in "lr"},
    "pelvis": (("pelvis",), ("l_hip", "r_hip")),
    "neck": (("neck",), ("l_shoulder", "r_shoulder")),
    "head": (("head",), ("l_ear", "r_ear"), ("nose",)),
}
# Shares of the way from the pelvis to the neck.
_BETWEEN = {"spine": 1 / 3, "chest": 2 / 3}


def to_frames(points: np.ndarray, names: Sequence[str], matrices: np.ndarray) -> FramePoses:
    """Returns the joints of frames, for `FrameWriter.add_clip`.

    Args:
        points: (T, J, 3) x, y in picture pixels and score, NaN where nobody was found.
        names: J, of the points, such as COCO's or MediaPipe's.
        matrices: (2, 3) or (T, 2, 3), from picture pixels to pixels of the frame.

    Returns:
        The nineteen joints: hips and shoulders give pelvis and neck, ears or nose the head, and
        spine and chest lie between. A joint that the estimator does not know, or hardly sees, is
        NaN with score 0.
    """
    known = {plain_name(name): place for place, name in enumerate(names)}
    matrices = np.broadcast_to(matrices, (len(points), 2, 3))
    placed = np.einsum("tij,tkj->tki", matrices[:, :, :2], points[..., :2])
    placed += matrices[:, None, :, 2]
    score = np.nan_to_num(points[..., 2])
    found = FramePoses.unknown(len(points))
    for name, choices in _SOURCES.items():
        for choice in choices:
            if set(choice) <= known.keys():
                places = [known[one] for one in choice]
                joint = JOINTS.index(name)
                found.xy[:, joint] = placed[:, places].mean(axis=1)
                found.score[:, joint] = score[:, places].min(axis=1)
                break
    low, high = JOINTS.index("pelvis"), JOINTS.index("neck")
    for name, share in _BETWEEN.items():
        joint = JOINTS.index(name)
        found.xy[:, joint] = (1 - share) * found.xy[:, low] + share * found.xy[:, high]
        found.score[:, joint] = np.minimum(found.score[:, low], found.score[:, high])
    unseen = (found.score < LEAST_SCORE) | ~np.isfinite(found.xy).all(axis=2)
    found.xy[unseen], found.score[unseen] = np.nan, 0
    return found

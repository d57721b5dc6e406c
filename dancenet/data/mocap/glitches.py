"""Finds frames in which a recorded body moves as no body can."""

from __future__ import annotations

import numpy as np

from dancenet.data.motion.joints import JOINTS, PARENTS

MAX_SPEED = 10.0  # m/s; the fastest joint of our good recordings reaches 9.4
SPEED_SECONDS = 1 / 30  # speeds are measured over this time: one noisy frame is no glitch
MAX_STRETCH = 0.15  # relative change of a bone's length; 0.1 occurs where joints are averages
# Degrees between trunk and head beyond the clip's own median; good recordings reach 31, one
# whose head markers were swapped reaches 70.
MAX_NOD = 35.0
GLITCH_MARGIN = 0.1  # seconds left out on either side of a glitch

# Bones with a joint at either end; the trunk bends between its joints.
_RIGID = ("elbow", "wrist", "knee", "ankle")


def good_frames(positions: np.ndarray, fps: float) -> np.ndarray:
    """Marks the frames in which the body moves as a body can.

    Args:
        positions: (T, 19, 3) metres.
        fps: frames per second.

    Returns:
        (T,) bool, False near a joint faster than MAX_SPEED, a bone that changes its length by
        more than MAX_STRETCH, or a head bent more than MAX_NOD further than it usually is.
    """
    bad = fast_frames(positions, fps)
    limbs = [joint for joint, name in enumerate(JOINTS) if name[2:] in _RIGID]
    bones = positions[:, limbs] - positions[:, [PARENTS[joint] for joint in limbs]]
    lengths = np.linalg.norm(bones, axis=-1)
    usual = np.maximum(np.median(lengths, axis=0), 1e-6)
    bad |= (np.abs(lengths / usual - 1) > MAX_STRETCH).any(axis=1)
    neck = JOINTS.index("neck")
    head = positions[:, JOINTS.index("head")] - positions[:, neck]
    trunk = positions[:, neck] - positions[:, JOINTS.index("chest")]
    size = np.linalg.norm(head, axis=-1) * np.linalg.norm(trunk, axis=-1)
    nod = np.degrees(np.arccos(np.clip((head * trunk).sum(-1) / np.maximum(size, 1e-9), -1, 1)))
    bad |= nod > np.median(nod) + MAX_NOD
    return ~widened(bad, fps)


def fast_frames(positions: np.ndarray, fps: float) -> np.ndarray:
    """Marks (T,) the frames in which a joint of (T, J, C) metres is faster than MAX_SPEED."""
    bad = np.zeros(len(positions), dtype=bool)
    span = max(int(round(fps * SPEED_SECONDS)), 1)
    if len(positions) > span:
        moved = np.linalg.norm(positions[span:] - positions[:-span], axis=-1).max(axis=1)
        fast = np.flatnonzero(moved * fps / span > MAX_SPEED)
        for offset in range(span + 1):
            bad[fast + offset] = True
    return bad


def widened(bad: np.ndarray, fps: float) -> np.ndarray:
    """Marks (T,) the bad frames and those within GLITCH_MARGIN of one."""
    # A convolution returns the longer of its two, and a clip may be shorter than the margin.
    margin = min(int(round(GLITCH_MARGIN * fps)), len(bad) - 1)
    return np.convolve(bad, np.ones(2 * margin + 1), "full").astype(bool)[margin:][: len(bad)]

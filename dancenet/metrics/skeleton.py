"""Measures of a moving body: bone lengths, foot sliding, kinetic features, and style."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neighbors import KNeighborsClassifier

GROUND = 0.025  # metres above its rest height at which a foot counts as lifted


def bone_spread(positions: np.ndarray, parents: Sequence[int]) -> float:
    """Computes std / mean of each bone's length over time, averaged over all bones.

    Args:
        positions: (T, J, C).
        parents: J indices, -1 for the root. Bones of zero length are ignored.
    """
    child = np.flatnonzero(np.asarray(parents) >= 0)
    bones = positions[:, child].astype(np.float64) - positions[:, np.asarray(parents)[child]]
    lengths = np.linalg.norm(bones, axis=-1)
    mean = lengths.mean(axis=0)
    known = mean > 1e-6
    return float((lengths.std(axis=0)[known] / mean[known]).mean()) if known.any() else 0.0


def foot_slide(positions: np.ndarray, fps: float, feet: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Computes how fast the feet slide over the floor, in metres per second.

    Zhang et al. 2018, "Mode-adaptive neural networks for quadruped motion control", section 7:
    v (2 - 2^(h / H)), where v is a foot's horizontal speed, h its height above rest, and
    H = `GROUND`. The weight falls to 0 at H, so a lifted foot adds nothing to the mean over feet.

    Args:
        positions: (T, J, 3) metres, y up, floor at 0.
        fps: frames per second.
        feet: (F,) joint indices.
        rest: (F,) metres, each foot's height when it stands; h is measured from there.

    Returns:
        (T - 1,), one value for each step from frame to frame.
    """
    places = positions[:, feet].astype(np.float64)
    height = np.clip(places[..., 1] - rest, 0.0, GROUND)
    # A step counts at the higher of its two ends.
    lifted = np.maximum(height[1:], height[:-1])
    speed = np.linalg.norm(np.diff(places[..., [0, 2]], axis=0), axis=-1) * fps
    return (speed * (2.0 - 2.0 ** (lifted / GROUND))).mean(axis=1)


def kinetic_features(windows: np.ndarray, fps: float) -> np.ndarray:
    """Computes three kinetic features of each joint, as means over a window.

    The features are the squared horizontal speed, the squared vertical speed, and the size of the
    acceleration: Onuma, Faloutsos and Hodgins 2008, "FMDistance: a fast and effective distance
    function for motion capture data", used for dance by Li et al. 2021, "AI Choreographer"
    (AIST++). Speeds are differences between neighbouring frames.

    Args:
        windows: (N, T, J, 3) metres, y up, T >= 3.
        fps: frames per second.

    Returns:
        (N, 3 J): horizontal energies of all joints, vertical energies, accelerations.
    """
    speed = np.diff(windows.astype(np.float64), axis=1) * fps
    acceleration = np.linalg.norm(np.diff(speed, axis=1), axis=-1) * fps
    square = np.square(speed).mean(axis=1)  # (N, J, 3)
    return np.concatenate(
        [square[..., 0] + square[..., 2], square[..., 1], acceleration.mean(axis=1)], axis=1
    )


def diversity(features: np.ndarray) -> float:
    """Computes the mean distance over all pairs of rows (N, F), N >= 2, as Li et al. 2021."""
    count = len(features)
    return float(euclidean_distances(features).sum() / (count * (count - 1)))


def style_share(
    windows: np.ndarray, known: np.ndarray, styles: np.ndarray, asked: int, neighbours: int = 5
) -> float:
    """Computes the share of windows whose nearest known windows have the requested style.

    Each neighbour's vote is divided by the number of known windows of its style, so that a style
    with ten minutes of data does not outvote one with ten seconds.

    Args:
        windows: (N, F) statistics.
        known: (M, F) statistics of real windows, M >= `neighbours`.
        styles: (M,) style index of each.
        asked: index of the requested style.
        neighbours: number of neighbours that vote.
    """
    classifier = KNeighborsClassifier(neighbours).fit(known, styles)
    count = np.bincount(styles)[classifier.classes_]
    votes = classifier.predict_proba(windows) / count
    return float((classifier.classes_[votes.argmax(axis=1)] == asked).mean())

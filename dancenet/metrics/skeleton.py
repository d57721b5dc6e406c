"""Is it a body that dances? Bones that keep their length, feet that stand, energy like a body's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GROUND = 0.025  # metres above its rest at which a foot no longer counts, as of `foot_slide`


def bone_spread(positions: np.ndarray, parents: Sequence[int]) -> float:
    """Returns how much bones change their length: standard deviation over mean, mean of all.

    Args:
        positions: (T, J, C).
        parents: J, -1 for the root; bones without a length are passed over.
    """
    child = np.flatnonzero(np.asarray(parents) >= 0)
    bones = positions[:, child].astype(np.float64) - positions[:, np.asarray(parents)[child]]
    lengths = np.linalg.norm(bones, axis=-1)
    mean = lengths.mean(axis=0)
    known = mean > 1e-6
    return float((lengths.std(axis=0)[known] / mean[known]).mean()) if known.any() else 0.0


def foot_slide(positions: np.ndarray, fps: float, feet: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Returns how fast feet slide over the floor in each frame, metres a second.

    The foot skating of Zhang et al. 2018, "Mode-adaptive neural networks for quadruped motion
    control", section 7: v (2 - 2^(h / H)), the horizontal speed v of a foot at a height h below
    H, weighted down to nothing at H; 2.5 cm here as there. Of each frame the mean over all feet is
    given, of which those in the air add nothing.

    Args:
        positions: (T, J, 3) metres, y up, floor at 0.
        fps: frames per second.
        feet: (F,) joints.
        rest: (F,) metres, the height of each where it stands, from which h is measured.

    Returns:
        (T - 1,).
    """
    places = positions[:, feet].astype(np.float64)
    height = np.clip(places[..., 1] - rest, 0.0, GROUND)
    # Of both ends of a step, the higher one.
    lifted = np.maximum(height[1:], height[:-1])
    speed = np.linalg.norm(np.diff(places[..., [0, 2]], axis=0), axis=-1) * fps
    return (speed * (2.0 - 2.0 ** (lifted / GROUND))).mean(axis=1)


def kinetic_features(windows: np.ndarray, fps: float) -> np.ndarray:
    """Returns the kinetic features of windows, three for each joint.

    Of each joint the mean squared horizontal speed, the mean squared vertical speed, and the mean
    size of the acceleration: Onuma, Faloutsos and Hodgins 2008, "FMDistance: a fast and effective
    distance function for motion capture data", as Li et al. 2021, "AI Choreographer" (AIST++),
    measure dances. Speeds are differences of neighbouring frames.

    Args:
        windows: (N, T, J, 3) metres, y up, T >= 3.
        fps: frames per second.

    Returns:
        (N, 3 J): all joints' horizontal energies, then the vertical ones, then the accelerations.
    """
    speed = np.diff(windows.astype(np.float64), axis=1) * fps
    acceleration = np.linalg.norm(np.diff(speed, axis=1), axis=-1) * fps
    square = np.square(speed).mean(axis=1)  # (N, J, 3)
    return np.concatenate(
        [square[..., 0] + square[..., 2], square[..., 1], acceleration.mean(axis=1)], axis=1
    )


def diversity(features: np.ndarray) -> float:
    """Returns the mean distance of all pairs of rows (N, F), as Li et al. 2021 give it; N >= 2."""
    squares = np.square(features).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2.0 * features @ features.T, 0.0))
    count = len(features)
    return float(distances.sum() / (count * (count - 1)))


def style_share(
    windows: np.ndarray, known: np.ndarray, styles: np.ndarray, asked: int, neighbours: int = 5
) -> float:
    """Returns the share of windows whose nearest known windows are of the style that was asked.

    Styles vote with the inverse of how many windows are known of each, so that a style of ten
    minutes does not outvote one of ten seconds.

    Args:
        windows: (N, F) statistics.
        known: (M, F) of real dances.
        styles: (M,) number of the style of each.
        asked: the style.
        neighbours: how many vote.
    """
    count = np.bincount(styles)
    squares = np.square(known).sum(axis=1)
    right = 0
    for window in windows:
        apart = squares - 2.0 * known @ window
        nearest = styles[np.argsort(apart, kind="stable")[:neighbours]]
        votes = np.bincount(nearest, minlength=len(count)) / np.maximum(count, 1)
        right += int(votes.argmax() == asked)
    return right / len(windows)

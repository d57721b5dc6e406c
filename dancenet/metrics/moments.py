"""Finds the seconds worth looking at: the worst by each measure, and the best overall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dancenet.metrics import motion
from dancenet.metrics.figure import PictureScores
from dancenet.metrics.reference import DatasetStatistics

# Measures of a frame for which higher is worse, and the title of the worst second.
BAD = {
    "soft": "the softest second",
    "pieces": "the second with the most broken figure",
    "jerk": "the second with the most jerk",
    "still": "the stillest second",
    "strange": "the second farthest from the training data",
}


@dataclass(frozen=True)
class Moment:
    """One second of one dance."""

    title: str
    dance: int
    first: int  # index of its first picture
    value: float  # mean over the second of the score it was chosen by


def frame_scores(
    vectors: np.ndarray, pictures: PictureScores, step: int, dataset: DatasetStatistics
) -> dict[str, np.ndarray]:
    """Scores each picture of a dance by each measure of `BAD`.

    Args:
        vectors: (T, D) in model units.
        pictures: scores of every `step`-th vector's picture.
        step: vectors from one picture to the next.
        dataset: statistics of the training dances.
    """
    count = len(pictures)

    def at_pictures(values: np.ndarray) -> np.ndarray:
        padded = np.pad(values, (0, max(0, len(vectors) - len(values))), mode="edge")
        return padded[::step][:count]

    speed = motion.smoothed_speeds(vectors, dataset.fps)
    return {
        "soft": pictures.soft_share,
        "pieces": 1.0 - pictures.largest,
        "jerk": at_pictures(motion.third_differences(vectors)),
        "still": -at_pictures(speed),
        "strange": at_pictures(dataset.gaussian.distance(vectors)),
    }


def choose(scores: Sequence[Mapping[str, np.ndarray]], rate: float) -> list[Moment]:
    """Chooses the worst second by each score, and the best by the sum of their ranks.

    Args:
        scores: the result of `frame_scores` for each dance.
        rate: pictures per second.

    Returns:
        One moment for each measure of `BAD` that differs between seconds, then the best moment;
        empty if no dance lasts a second.
    """
    length = max(1, round(rate))
    means = {name: [_running_mean(one[name], length) for one in scores] for name in BAD}
    places = [
        (dance, first) for dance, found in enumerate(means["soft"]) for first in range(len(found))
    ]
    if not places:
        return []
    flat = {name: np.concatenate(found) for name, found in means.items()}
    moments = []
    for name, title in BAD.items():
        # A measure that is the same everywhere (a drawn figure is never soft) has no worst second.
        if np.ptp(flat[name]) < 1e-9:
            continue
        index = int(np.argmax(flat[name]))
        moments.append(Moment(title, *places[index], float(flat[name][index])))
    # For the best second, both standing still and haste are faults: distance from the median.
    bad = {**flat, "still": np.abs(flat["still"] - np.median(flat["still"]))}
    ranks = sum(np.argsort(np.argsort(values, kind="stable")) for values in bad.values())
    index = int(np.argmin(ranks))
    moments.append(Moment("the best second", *places[index], float(np.min(ranks))))
    return moments


def _running_mean(values: np.ndarray, length: int) -> np.ndarray:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return (sums[length:] - sums[:-length]) / length if len(values) >= length else np.zeros(0)

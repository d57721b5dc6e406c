"""Which second to look at: the worst by each measure, and the best by all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dancenet.metrics import motion
from dancenet.metrics.figure import PictureScores
from dancenet.metrics.measures import Yardstick

# What is bad about a frame; the more, the worse.
BAD = {
    "soft": "the softest second",
    "pieces": "the second most in pieces",
    "jerk": "the most convulsive second",
    "still": "the stillest second",
    "strange": "the second farthest from what it has learnt",
}


@dataclass(frozen=True)
class Moment:
    """One second of one dance."""

    title: str
    dance: int
    first: int  # picture the second begins at
    value: float  # of the measure it was chosen by, mean over the second


def frame_scores(
    vectors: np.ndarray, pictures: PictureScores, step: int, yardstick: Yardstick
) -> dict[str, np.ndarray]:
    """Returns how bad each picture of a dance is, by each of `BAD`.

    Args:
        vectors: (T, D) in model units.
        pictures: of every `step`-th of them.
        step: vectors from one picture to the next.
        yardstick: of the data.
    """
    count = len(pictures)

    def at_pictures(values: np.ndarray) -> np.ndarray:
        padded = np.pad(values, (0, max(0, len(vectors) - len(values))), mode="edge")
        return padded[::step][:count]

    speed = motion.smoothed_speeds(vectors, yardstick.fps)
    return {
        "soft": pictures.soft_share,
        "pieces": 1.0 - pictures.largest,
        "jerk": at_pictures(motion.third_differences(vectors)),
        "still": -at_pictures(speed),
        "strange": at_pictures(yardstick.gaussian.distance(vectors)),
    }


def choose(scores: Sequence[Mapping[str, np.ndarray]], rate: float) -> list[Moment]:
    """Chooses the worst second by each score, and the best by the sum of their ranks.

    Args:
        scores: of each dance, from `frame_scores`.
        rate: pictures a second.

    Returns:
        One moment for each of `BAD` by which seconds differ, then the best; empty if no dance
        lasts a second.
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
        # A drawn figure is never soft and always whole: its worst second is any second.
        if np.ptp(flat[name]) < 1e-9:
            continue
        index = int(np.argmax(flat[name]))
        moments.append(Moment(title, *places[index], float(flat[name][index])))
    # Standing still is no merit, and neither is haste: the farther from the usual the worse.
    bad = {**flat, "still": np.abs(flat["still"] - np.median(flat["still"]))}
    ranks = sum(np.argsort(np.argsort(values, kind="stable")) for values in bad.values())
    index = int(np.argmin(ranks))
    moments.append(Moment("the best second", *places[index], float(np.min(ranks))))
    return moments


def _running_mean(values: np.ndarray, length: int) -> np.ndarray:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return (sums[length:] - sums[:-length]) / length if len(values) >= length else np.zeros(0)

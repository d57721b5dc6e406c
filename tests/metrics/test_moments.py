"""The second that is shown is the one that is worst."""

from __future__ import annotations

import numpy as np

from dancenet.metrics import moments
from dancenet.metrics.figure import PictureScores
from dancenet.metrics.reference import DatasetStatistics


def scores(num_frames: int = 60) -> dict[str, np.ndarray]:
    return {name: np.zeros(num_frames) for name in moments.BAD}


def test_each_worst_second_is_found_in_its_dance():
    one, other = scores(), scores()
    one["soft"][20:30] = 1
    other["jerk"][5:15] = 1
    found = {moment.title: moment for moment in moments.choose([one, other], 10.0)}
    soft, jerk = found[moments.BAD["soft"]], found[moments.BAD["jerk"]]
    assert (soft.dance, soft.first, soft.value) == (0, 20, 1.0)
    assert (jerk.dance, jerk.first, jerk.value) == (1, 5, 1.0)
    # What is the same in every second has no worst one.
    assert moments.BAD["pieces"] not in found and len(found) == 3


def test_the_best_second_has_no_fault_and_does_not_stand_still():
    one = scores()
    for name in ("soft", "pieces", "jerk", "strange"):
        one[name][:40] = 1
    one["still"][:] = -1.0  # moving as usual
    one["still"][52:] = 0.0
    best = moments.choose([one], 10.0)[-1]
    assert best.title == "the best second" and 40 <= best.first <= 42


def test_a_dance_of_less_than_a_second_has_no_moment():
    assert moments.choose([scores(9)], 10.0) == []


def test_scores_are_given_at_the_pictures():
    rng = np.random.default_rng(0)
    vectors = np.cumsum(rng.normal(size=(40, 3)), axis=0)
    dataset = DatasetStatistics.fit([vectors], [vectors], 10.0, 5.0)
    pictures = PictureScores.of([np.ones((20, 60, 104), np.float32)])
    found = moments.frame_scores(vectors, pictures, 2, dataset)
    assert {len(values) for values in found.values()} == {20}
    assert np.array_equal(found["strange"], dataset.gaussian.distance(vectors)[::2])
    assert set(found["pieces"]) == {1.0}  # an empty picture is no dancer

"""People keep their numbers while they dance, cross, leave and return."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dancenet.data.people.keypoints import identities
from dancenet.data.people.keypoints.identities import Identities, assign

FPS = 30.0
# A standing person one unit tall, the top of the head at 0: x, y of the seventeen keypoints.
STANDING = np.array(
    [(0, 0.07), (0.02, 0.05), (-0.02, 0.05), (0.04, 0.06), (-0.04, 0.06)]
    + [(0.11, 0.18), (-0.11, 0.18), (0.14, 0.33), (-0.14, 0.33), (0.15, 0.46), (-0.15, 0.46)]
    + [(0.07, 0.5), (-0.07, 0.5), (0.08, 0.73), (-0.08, 0.73), (0.08, 0.96), (-0.08, 0.96)]
)


def person(x: float, y: float = 40.0, height: float = 200.0, sway: float = 0.0) -> np.ndarray:
    """Returns keypoints (17, 3) of somebody at x, arms and legs swayed aside."""
    places = STANDING * height + (x, y)
    places[7:11, 0] += sway * 0.1 * height
    places[13:17, 0] -= sway * 0.05 * height
    return np.concatenate([places, np.full((17, 1), 0.8)], axis=1)


def walk(frames, shuffle: int = 0, picture=None) -> list[dict[int, int]]:
    """Numbers frames of [(who, keypoints), …]; returns who had which number in each."""
    rng = np.random.default_rng(shuffle)
    tracker, told = Identities(), []
    for index, people in enumerate(frames):
        order = rng.permutation(len(people)).tolist()
        points = np.array([people[row][1] for row in order]).reshape(-1, 17, 3)
        points[..., :2] += rng.normal(0, 1.5, points[..., :2].shape)
        shown = picture([people[row] for row in order]) if picture else None
        # Who is in front is surer.
        scores = np.array([0.8 - 0.1 * people[row][0] for row in order])
        pairs = tracker.update(index / FPS, points, scores, shown)
        told.append({people[order[row]][0]: number for number, row in pairs})
    return told


def switches(told) -> int:
    """Counts how often somebody has another number than before."""
    known: dict[int, int] = {}
    count = 0
    for frame in told:
        for who, number in frame.items():
            count += known.get(who, number) != number
            known[who] = number
    return count


def crossing(speed: float, hidden: int, heights=(200.0, 200.0)):
    """Two people who walk through one another; the one behind is not found in between."""
    for index in range(120):
        x = (index - 60) * speed / FPS
        people = [
            (0, person(320 + x, 40, heights[0], np.sin(index / 5))),
            (1, person(320 - x, 45, heights[1], np.cos(index / 7))),
        ]
        yield people[:1] if abs(index - 60) <= hidden else people


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("speed", "hidden"), [(60, 0), (120, 4), (200, 5), (80, 8)])
def test_two_dancers_who_cross_keep_their_numbers(speed, hidden, seed):
    told = walk(crossing(speed, hidden), seed)
    assert switches(told) == 0
    assert {number for frame in told for number in frame.values()} == {1, 2}


@pytest.mark.parametrize("seed", range(3))
def test_size_tells_two_apart_who_meet_and_part_again(seed):
    def frames():
        for index in range(90):
            x = 60 * abs(index - 45) / 45
            people = [
                (0, person(320 - x, 40, 240)),
                (1, person(320 + x, 110, 160)),
            ]
            yield people[:1] if abs(index - 45) <= 10 else people

    assert switches(walk(frames(), seed)) == 0


def painted(people) -> np.ndarray:
    """A picture in which each wears a colour of their own."""
    picture = np.full((300, 640, 3), 128, np.uint8)
    for who, points in people:
        left, top, right, bottom = identities.box_of(points).astype(int)
        picture[max(0, top) : bottom, max(0, left) : right] = [(200, 40, 40), (40, 60, 200)][who]
    return picture


def test_clothes_tell_who_returns_after_seconds_elsewhere():
    def frames():
        for index in range(200):
            people = [(0, person(450))] if index < 40 or index > 160 else []
            people += [(1, person(150))] if 20 < index < 60 else []
            people += [(1, person(280))] if index > 150 else []
            yield people

    told = walk(frames(), picture=painted)
    assert switches(told) == 0
    assert {number for frame in told for number in frame.values()} == {1, 2}


def test_who_comes_out_half_hidden_is_known_once_seen():
    """For three frames the one who returns shows the colours of the other."""
    tracker = Identities()
    both = np.array([person(150), person(450)])
    scores = np.array([0.8, 0.7])
    for index in range(30):
        tracker.update(index / FPS, both, scores, painted([(0, both[0]), (1, both[1])]))
    for index in range(30, 75):
        tracker.update(index / FPS, both[:1], scores[:1], painted([(0, both[0])]))
    back = np.array([person(150), person(330)])
    for index in range(75, 90):
        worn = 0 if index < 78 else 1
        shown = painted([(0, back[0]), (worn, back[1])])
        pairs = tracker.update(index / FPS, back, scores, shown)
    assert pairs == [(1, 0), (2, 1)] and tracker.merged == {3: 2}


def test_somebody_unlike_who_comes_after_another_left_gets_a_new_number():
    def frames():
        for index in range(150):
            yield [(0, person(450))] if index < 40 else [(1, person(150))] if index > 100 else []

    told = walk(frames(), picture=painted)
    assert told[0] == {0: 1} and told[-1] == {1: 2}


def test_a_gap_of_less_than_a_second_keeps_the_number_without_any_colour():
    frames = ([(0, person(100 + 2 * i))] if not 30 <= i < 55 else [] for i in range(90))
    assert {number for frame in walk(frames) for number in frame.values()} == {1}


def test_one_person_found_twice_is_one():
    twice = np.array([person(300), person(303)])
    assert len(Identities().update(0.0, twice, np.array([0.9, 0.5]))) == 1


def test_a_weak_find_keeps_a_number_and_gives_none():
    tracker = Identities()
    weak = np.array([0.2])
    assert tracker.update(0.0, person(300)[None], weak) == []
    assert tracker.update(0.1, person(300)[None], np.array([0.6])) == [(1, 0)]
    assert tracker.update(0.2, person(302)[None], weak) == [(1, 0)]


@pytest.mark.parametrize("seed", range(20))
def test_the_assignment_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 6, 2).tolist()
    fits = rng.random((rows, columns)) * (rng.random((rows, columns)) < 0.7)
    pairs = assign(fits)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(fits[pair] > 0 for pair in pairs)
    wide = np.pad(fits, ((0, max(0, columns - rows)), (0, 0)))
    best = max(
        sum(wide[row, column] for column, row in enumerate(order))
        for order in itertools.permutations(range(len(wide)), int(columns))
    )
    assert sum(fits[pair] for pair in pairs) == pytest.approx(best)


def test_the_assignment_is_that_of_scipy():
    optimize = pytest.importorskip("scipy.optimize")
    fits = np.random.default_rng(1).random((7, 6))
    rows, columns = optimize.linear_sum_assignment(-fits)
    assert sorted(assign(fits)) == sorted(zip(rows.tolist(), columns.tolist()))


def test_nobody_at_all_is_no_error():
    nobody = np.empty((0, 17, 3)), np.empty(0)
    assert Identities().update(0.0, *nobody, np.zeros((10, 10, 3), np.uint8)) == []

"""People are followed through a film and before a camera, and smoothed."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.data.people.filters import MOVENET
from dancenet.data.people.keypoints.estimators import Body, LandmarkEstimator, as_body
from dancenet.data.people.keypoints.follow import Follower, LiveFollower
from dancenet.data.people.landmarks import COCO_NAMES, LANDMARK_NAMES, Pose
from dancenet.data.people.regions import Region
from dancenet.data.people.search import Networks

FPS = 30.0
PICTURE = np.zeros((120, 160, 3), np.uint8)


def body(x: float, y: float = 60.0, height: float = 80.0, score: float = 0.9) -> np.ndarray:
    """A standing body of keypoints (17, 3)."""
    rows = np.array([0.05] * 5 + [0.2] * 2 + [0.35] * 2 + [0.5] * 4 + [0.75] * 2 + [1.0] * 2)
    across = np.array([0.0, *[0.1, -0.1] * 8])
    places = np.stack([x + across * height, y + (rows - 0.5) * height], axis=1)
    return np.concatenate([places, np.full((17, 1), score)], axis=1).astype(np.float32)


class Script:
    """An estimator that says what a list holds for each picture."""

    names, coco = COCO_NAMES, list(range(17))
    filter, filter_by_picture = MOVENET, True

    def __init__(self, frames) -> None:
        self.frames = list(frames)

    def reset(self) -> None:
        self.next = 0

    def __call__(self, picture):
        self.next += 1
        return [Body(points, float(points[:, 2].mean())) for points in self.frames[self.next - 1]]


def follow(frames, people: int = 1):
    follower = Follower(Script(frames), FPS)
    for _ in range(len(frames)):
        follower.add(PICTURE)
    return follower.poses(people, (320, 240), 2.0)


def test_places_are_those_of_the_film_and_gaps_stay_gaps():
    poses = follow([[body(50)]] * 10 + [[]] * 5 + [[body(50)]] * 10)
    assert poses.size == (320, 240) and poses.found[:, 0].sum() == 20
    np.testing.assert_allclose(poses.xy[3, 0], 2 * body(50)[:, :2], rtol=1e-5)
    assert (poses.score[10:15] == 0).all()


def test_the_largest_and_longest_seen_are_kept_in_the_order_they_came():
    frames = [[body(20, height=30), body(60), body(120)] for _ in range(20)]
    frames[:5] = [[body(20, height=30), body(120)]] * 5
    poses = follow(frames, 2)
    assert [poses.found[:, place].sum() for place in range(2)] == [20, 15]
    assert poses.xy[10, 0, 0, 0] == pytest.approx(240)
    assert follow(frames).found.all()
    assert follow(frames, 6).num_people == 3


def test_a_flash_is_nobody_and_a_single_picture_may_show_somebody():
    assert follow([[body(50)] if index == 10 else [] for index in range(30)]).num_people == 0
    assert follow([[body(50)]]).num_people == 1
    assert follow([[]]).num_people == 0


def test_one_dancer_is_the_same_after_a_cut():
    frames = [[body(40)]] * 40 + [[]] * 40 + [[body(130, height=60)]] * 40
    poses = follow(frames)
    assert poses.found[:, 0].sum() == 80


def test_noise_is_smoothed_without_lag():
    rng = np.random.default_rng(0)
    time = np.arange(90) / FPS
    places = 60 + 30 * np.sin(2 * np.pi * time)  # a limb to and fro each second
    noisy = places + rng.normal(0, 1, 90)
    found = follow([[body(x)] for x in noisy]).xy[:, 0, 0, 0] / 2
    error, before = found - places, noisy - places
    assert np.std(error) < 0.8 * np.std(before)
    shifted = [np.abs(found[5:-5] - np.roll(places, by)[5:-5]).mean() for by in (-1, 0, 1)]
    assert shifted[1] == min(shifted)


def test_a_joint_that_the_body_hides_counts_as_seen_and_one_outside_does_not():
    hidden = pose(50)
    hidden.visibility[:], hidden.presence[:4] = 0.01, 0.1
    score = as_body(hidden).points[:, 2]
    assert score[:4] == pytest.approx(0.1) and score[4:] == pytest.approx(0.25)


def test_before_a_camera_everybody_keeps_a_place_until_they_leave():
    frames = [[body(40)]] * 5 + [[body(40), body(120)]] * 5 + [[body(120)]] * 5
    live = LiveFollower(Script(frames), 2)
    for index in range(15):
        xy, score = live.add(PICTURE, index / FPS)
    assert np.isnan(xy[0]).all() and score[0].max() == 0
    np.testing.assert_allclose(xy[1], body(120)[:, :2], atol=0.5)


def test_a_camera_shows_no_more_people_than_asked():
    live = LiveFollower(Script([[body(40), body(120, height=90)]] * 5), 1)
    for index in range(5):
        xy, _ = live.add(PICTURE, index / FPS)
    assert len(xy) == 1 and xy[0, 0, 0] == pytest.approx(120, abs=0.5)


def pose(x: float, score: float = 0.9) -> Pose:
    """A body that stands at x, as the landmark network says."""
    points = np.zeros((33, 3), np.float32)
    for place, name in enumerate(COCO_NAMES):
        points[LANDMARK_NAMES.index(name), :2] = body(x)[place, :2]
    ones = np.ones(33, np.float32)
    return Pose(
        landmarks=points,
        visibility=ones.copy(),
        presence=ones,
        world=np.zeros((33, 3), np.float32),
        score=score,
        region=Region(x, 60, 100),
        mask=np.zeros((256, 256), np.float32),
        axis=np.float32([[x, 60], [x, 20]]),
    )


class FakeNetworks:
    """A detector and a landmark network for people who stand at `places`."""

    def __init__(self) -> None:
        self.places: list[float] = []
        self.looks = 0

    def detect(self, picture):
        self.looks += 1
        return [
            type("Found", (), {"region": lambda self, x=x: Region(x, 60, 100)})()
            for x in self.places
        ]

    def find(self, picture, region):
        near = [x for x in self.places if abs(x - region.x) < 20]
        return pose(near[0]) if near else pose(region.x, 0.1)


def test_several_are_followed_at_once_and_who_is_lost_is_looked_for():
    networks = FakeNetworks()
    estimator = LandmarkEstimator(Networks(networks.detect, networks.find), 2)
    networks.places = [40.0, 120.0]
    assert len(estimator(PICTURE)) == 2 and networks.looks == 1
    for _ in range(10):
        networks.places = [x + 1 for x in networks.places]
        assert len(estimator(PICTURE)) == 2
    assert networks.looks == 1  # nobody is missing
    networks.places = [90.0, 131.0]
    found = estimator(PICTURE)
    assert networks.looks == 2
    assert sorted(round(float(one.points[0, 0])) for one in found) == [90, 131]
    networks.places = [90.0]
    assert len(estimator(PICTURE)) == 1


def test_two_who_are_followed_to_one_place_are_one():
    networks = FakeNetworks()
    networks.places = [40.0, 70.0]
    estimator = LandmarkEstimator(Networks(networks.detect, networks.find), 2)
    assert len(estimator(PICTURE)) == 2
    networks.places = [55.0]
    assert len(estimator(PICTURE)) == 1

"""One person is followed through films whose truth is known, by stand-ins and by the networks."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from films import SHARED, write_film

from dancenet.data.people import regions, search, tracking
from dancenet.data.people.detector import MARGIN, Detection
from dancenet.data.people.landmarks import Pose
from dancenet.data.people.regions import Region
from dancenet.data.people.search import Expected, Networks, cover, trust
from dancenet.data.people.tracking import LiveTracker, follow, smooth, track

MODELS = SHARED / "models"
VIDEO = SHARED / "data" / "video"
needs_networks = pytest.mark.skipif(not MODELS.exists(), reason="../shared/models is absent")
FPS = 30


def pose_at(body: Region, region: Region, score: float = 0.97) -> Pose:
    """A pose whose axis says where the body is, and whose first landmark is its middle."""
    radius = body.size / MARGIN / 2
    up = np.array([math.sin(body.angle), -math.cos(body.angle)])
    hips = np.array([body.x, body.y])
    landmarks = np.zeros((33, 3), np.float32)
    landmarks[:, :2] = hips
    return Pose(
        landmarks=landmarks,
        visibility=np.ones(33, np.float32),
        presence=np.ones(33, np.float32),
        world=np.zeros((33, 3), np.float32),
        score=score,
        region=region,
        mask=np.ones((256, 256), np.float32),
        axis=np.stack([hips, hips + radius * up]).astype(np.float32),
    )


class Scene:
    """Stand-ins for both networks: the first pixel of a picture is its number."""

    def __init__(
        self,
        bodies: list[Region | None],
        *,
        blind: set[int] = frozenset(),
        reach: float = math.inf,
    ) -> None:
        self.bodies = bodies  # the truth
        self.reach = reach  # sizes of the body that the detector's square may have
        self.blind = blind  # pictures in which the detector sees nobody
        self.looks: list[int] = []  # pictures shown to the landmark network
        self.networks = Networks(self.detect, self.look)  # type: ignore[arg-type]

    def pictures(self):
        for index in range(len(self.bodies)):
            yield np.full((90, 120, 3), index, np.uint8)

    def look(self, picture, region):
        index = int(picture[0, 0, 0])
        self.looks.append(index)
        body = self.bodies[index]
        if body is None:
            return pose_at(region, region, score=0.1)
        away = math.hypot(body.x - region.x, body.y - region.y) / body.size
        turned = abs(regions.wrapped(body.angle - region.angle))
        sees = away < 0.4 and turned < 0.8 and 0.5 < region.size / body.size < 2
        return pose_at(body, region, score=0.97 if sees else 0.2)

    def detect(self, picture, region=None):
        index = int(picture[0, 0, 0])
        body = self.bodies[index]
        place = region or regions.whole(picture.shape)
        if body is None or index in self.blind or place.size > self.reach * body.size:
            return []
        if max(abs(body.x - place.x), abs(body.y - place.y)) > (place.size - body.size) / 2:
            return []
        pose = pose_at(body, body)
        return [Detection(np.zeros(4), np.concatenate([pose.axis, pose.axis]), 0.9)]


def check(bodies, found, tolerance=0.5):
    """Compares with the truth; returns the pictures in which nobody was found."""
    assert len(found) == len(bodies)
    missed = []
    for index, (body, pose) in enumerate(zip(bodies, found, strict=True)):
        if pose is None:
            missed.append(index)
        else:
            assert body is not None, index
            assert np.abs(pose.landmarks[0, :2] - [body.x, body.y]).max() < tolerance, index
    return missed


def test_a_body_that_moves_is_followed_and_the_detector_is_asked_now_and_then_only():
    bodies = [Region(30 + index, 45, 50, 0.02 * index) for index in range(60)]
    scene = Scene(bodies, blind=set(range(1, 60)))
    assert check(bodies, list(follow(scene.pictures(), FPS, scene.networks))) == []
    assert len(scene.looks) < 75


@pytest.mark.parametrize("degrees", [5, 24, -40])
def test_a_body_that_spins_is_followed(degrees):
    bodies = [Region(60, 45, 50, regions.wrapped(math.radians(i * degrees))) for i in range(40)]
    scene = Scene(bodies)
    assert check(bodies, list(follow(scene.pictures(), FPS, scene.networks))) == []


def test_a_person_who_leaves_and_returns_elsewhere_is_found_again():
    bodies = [Region(30, 45, 50)] * 10 + [None] * 60 + [Region(95, 40, 40)] * 10
    scene = Scene(bodies)
    missed = check(bodies, list(follow(scene.pictures(), FPS, scene.networks)))
    assert missed == list(range(10, 70))


def test_an_empty_film_is_answered_with_nobody_and_searched_now_and_then_only():
    scene = Scene([None] * 120)
    assert list(track(scene.pictures(), FPS, scene.networks)) == [None] * 120
    assert scene.looks == []  # the detector alone looked
    assert list(track([], FPS, scene.networks)) == []


def test_what_only_a_later_picture_tells_is_looked_at_again_backwards():
    """A body that nobody detects until picture 12, and that drifts there from the start."""
    bodies = [Region(30 + 2 * index, 45, 50) for index in range(20)]
    scene = Scene(bodies, blind=set(range(12)))
    assert check(bodies, list(follow(scene.pictures(), FPS, scene.networks))) == []


def test_a_body_that_jumps_while_it_is_hidden_is_found_from_both_sides():
    bodies = [Region(40, 45, 50)] * 10 + [None] * 3 + [Region(62, 45, 50)] * 10
    seen = [*bodies[:10], *[Region(48, 45, 50), None, Region(56, 45, 50)], *bodies[13:]]
    scene = Scene(seen, blind={10, 11, 12, 13})
    assert check(seen, list(follow(scene.pictures(), FPS, scene.networks))) == [11]


def test_pictures_that_are_kept_are_bounded(monkeypatch):
    monkeypatch.setattr(tracking, "_KEPT_BYTES", 10 * 90 * 120 * 3)
    scene = Scene([None] * 200)
    taken = 0

    def pictures():
        nonlocal taken
        for picture in scene.pictures():
            taken += 1
            yield picture

    for given, _ in enumerate(follow(pictures(), FPS, scene.networks), start=1):
        assert taken - given <= 11
    assert given == taken == 200


def test_a_picture_that_is_written_over_after_it_was_read_changes_nothing():
    bodies = [Region(30 + 2 * index, 45, 50) for index in range(20)]
    scene = Scene(bodies, blind=set(range(12)))
    shared = np.zeros((90, 120, 3), np.uint8)

    def pictures():
        for index in range(20):
            shared[:] = index
            yield shared

    assert check(bodies, list(follow(pictures(), FPS, scene.networks))) == []


def test_the_search_tries_all_turns_and_trusts_what_agrees_with_itself():
    body = Region(60, 45, 50, 2.6)
    scene = Scene([body], blind={0})
    picture = next(scene.pictures())
    assert scene.networks.search(picture) is None
    found = scene.networks.search(picture, [Region(63, 47, 55)])
    assert found is not None and trust(found) > 0.95  # looked at again where the body is


@pytest.mark.parametrize("shape", [(720, 1280, 3), (1280, 720, 3), (500, 500, 3), (10, 1000, 3)])
@pytest.mark.parametrize("parts", [2, 3])
def test_whoever_is_small_is_whole_in_a_tile(shape, parts):
    places = search.tiles(shape, parts)
    assert len(places) <= 25
    side = max(shape) / parts
    small = 0.35 * side
    height, width = shape[:2]
    for y in np.linspace(0, max(0, height - small), 13):
        for x in np.linspace(0, max(0, width - small), 13):
            assert any(
                place.x - side / 2 <= x + 1e-6
                and x + small <= place.x + side / 2 + 1e-6
                and place.y - side / 2 <= y + 1e-6
                and min(y + small, height) <= place.y + side / 2 + 1e-6
                for place in places
            )


def test_somebody_small_is_found_in_a_part_of_the_picture():
    body = Region(95, 40, 15)
    scene = Scene([body] * 5, reach=3.0)
    assert check(scene.bodies, list(follow(scene.pictures(), FPS, scene.networks))) == []
    assert Scene([body], reach=2.0).networks.find(next(scene.pictures())) is None


def test_a_bystander_is_not_taken_for_the_person_at_once():
    person, bystander = Region(28, 45, 50), Region(95, 45, 50)
    bodies = [person] * 10 + [bystander] * 3
    scene = Scene(bodies)
    # The person is hidden, and the detector sees the bystander alone.
    missed = check(bodies, list(follow(scene.pictures(), FPS, scene.networks)))
    assert missed[:1] == [10]
    longer = [person] * 10 + [bystander] * 40
    scene = Scene(longer)
    missed = check(longer, list(follow(scene.pictures(), FPS, scene.networks)))
    assert missed and max(missed) < 10 + FPS  # by then the person may have gone there


def test_near_is_what_a_body_can_reach():
    expected = Expected(Region(50, 50, 100))
    assert expected.nearness(Region(80, 50, 120)) == 1
    assert expected.nearness(Region(250, 50, 100)) == pytest.approx(math.exp(-3))
    assert expected.nearness(Region(50, 50, 400)) == pytest.approx(math.exp(-3))
    assert Expected(Region(50, 50, 100), slack=2).nearness(Region(250, 50, 100)) == 1


def test_bones_outside_the_mask_take_trust_away():
    region = Region(60, 45, 50)
    pose = pose_at(region, region, score=1.0)
    assert cover(pose) == 1 and trust(pose) == pytest.approx(1, abs=1e-4)
    bare = dataclasses.replace(pose, mask=np.zeros((256, 256), np.float32))
    assert cover(bare) == trust(bare) == 0
    assert trust(pose_at(region.turned(0.5), region)) < 0.6 * trust(pose_at(region, region))


def test_the_largest_of_several_people_is_taken():
    far, near = (pose_at(Region(60, 45, size), Region(60, 45, size)) for size in (20, 60))
    people = [
        Detection(np.zeros(4), np.concatenate([pose.axis, pose.axis]), score)
        for pose, score in ((far, 0.99), (near, 0.9))
    ]
    assert search.largest(people) is people[1]


def test_before_a_camera_a_person_is_followed_lost_and_found_again():
    bodies = [Region(30, 45, 50)] * 5 + [None] * 5 + [Region(80, 45, 50)] * 5
    scene = Scene(bodies)
    tracker = LiveTracker(scene.networks)
    found = [tracker(picture, index / 30) for index, picture in enumerate(scene.pictures())]
    assert check(bodies, found) == [5, 6, 7, 8, 9]
    # Each call looks a few times at most.
    assert max(scene.looks.count(index) for index in range(15)) <= 4


def test_before_a_camera_landmarks_are_smoothed_by_the_clock():
    rng = np.random.default_rng(0)
    bodies = [Region(60 + 0.2 * float(rng.normal()), 45, 50) for _ in range(40)]
    scene = Scene(bodies)
    tracker = LiveTracker(scene.networks)
    times = np.cumsum(rng.uniform(0.02, 0.05, 40))
    x = [
        tracker(picture, time).landmarks[0, 0]
        for picture, time in zip(scene.pictures(), times, strict=True)
    ]
    assert np.std(np.diff(x)) < 0.5 * np.std(np.diff([body.x for body in bodies]))


def test_a_film_is_smoothed_without_a_lag_and_across_no_gap():
    region = Region(60, 45, 50)
    line = [pose_at(Region(20 + index, 45, 50), region) for index in range(30)]
    there = [*line, None, *line[::-1]]
    found = list(smooth(there, FPS))
    assert [pose is None for pose in found] == [pose is None for pose in there]
    for before, after in zip(there, found, strict=True):
        if before is not None:
            np.testing.assert_allclose(after.landmarks, before.landmarks, atol=2e-2)
            assert after.mask is before.mask
    assert list(smooth([], FPS)) == [] and list(smooth([None], FPS)) == [None]
    assert list(smooth(line[:1], FPS))[0].landmarks[0, 0] == 20


@needs_networks
def test_a_picture_a_film_and_an_array_give_the_same_keypoints(tmp_path):
    pytest.importorskip("ai_edge_litert")
    import cv2

    from dancenet.data.footage.pictures import PictureFolder
    from dancenet.data.footage.video import open_footage

    networks = Networks.open(MODELS)
    picture = next(open_footage(VIDEO / "studio_phrase.mp4").frames())
    expected = networks.find(picture)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), picture[:, :, ::-1])
    film = write_film(
        tmp_path / "film.mkv", [picture] * 3, options=("-c:v", "ffv1", "-pix_fmt", "bgr0")
    )
    assert isinstance(open_footage(folder), PictureFolder)
    for source in (folder, film):
        (shown, *_) = open_footage(source).frames()
        np.testing.assert_array_equal(shown, picture)
        (followed,) = track([shown], FPS, networks)
        live = LiveTracker(networks)(shown, 0.0)
        for pose in (followed, networks.find(shown)):
            np.testing.assert_allclose(pose.landmarks, expected.landmarks, atol=1e-4)
            np.testing.assert_allclose(pose.world, expected.world, atol=1e-4)
        # A camera's first look is not repeated.
        assert np.abs(live.landmarks - expected.landmarks)[:, :2].max() < 5


@needs_networks
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_film_on_its_side_or_head_is_seen_as_an_upright_one(quarters):
    pytest.importorskip("ai_edge_litert")
    from dancenet.data.footage.video import open_footage

    networks = Networks.open(MODELS)
    frames = open_footage(VIDEO / "tfjs_dance_crop.mp4").frames()
    pictures = [picture for _, picture in zip(range(6), frames)][2:]
    upright = list(track(pictures, 10, networks))
    turned = [np.ascontiguousarray(np.rot90(picture, quarters)) for picture in pictures]
    height, width = pictures[0].shape[:2]
    # np.rot90 sends (x, y) to (y, width - 1 - x).
    shift = {1: (width - 1, 0), 2: (width - 1, height - 1), 3: (0, height - 1)}[quarters]
    for pose, other in zip(upright, track(turned, 10, networks), strict=True):
        place = other.landmarks[11:, :2]
        for _ in range(quarters):
            place = np.stack([-place[:, 1], place[:, 0]], axis=1)
        away = np.linalg.norm(place + shift - pose.landmarks[11:, :2], axis=1)
        assert np.median(away) / pose.region.size < 0.02
        turn = regions.wrapped(other.region.angle - pose.region.angle + quarters * np.pi / 2)
        assert abs(turn) < 0.2


@needs_networks
def test_somebody_small_is_found_by_the_networks():
    pytest.importorskip("ai_edge_litert")
    import cv2

    networks = Networks.open(MODELS)
    picture = cv2.imread(str(MODELS / "golden" / "pose.jpg"))[:, :, ::-1]
    expected = networks.find(np.ascontiguousarray(picture))
    scale = 0.3
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    wide = np.full((720, 1280, 3), 128, np.uint8)
    wide[400 : 400 + len(small), 800 : 800 + small.shape[1]] = small
    assert networks.detector(wide) == []
    found = networks.find(wide)
    away = (found.landmarks[:, :2] - [800, 400]) / scale - expected.landmarks[:, :2]
    assert np.median(np.linalg.norm(away, axis=1)) / expected.region.size < 0.02


@needs_networks
def test_nobody_is_found_in_pictures_of_nobody():
    pytest.importorskip("ai_edge_litert")
    networks = Networks.open(MODELS)
    rng = np.random.default_rng(0)
    for picture in (
        np.full((10, 10, 3), 90, np.uint8),
        rng.integers(0, 256, (10, 10, 3), np.uint8),
        rng.integers(0, 256, (200, 150, 3), np.uint8),
        np.zeros((1, 1, 3), np.uint8),
    ):
        assert networks.find(picture) is None
        assert list(track([picture] * 2, FPS, networks)) == [None, None]

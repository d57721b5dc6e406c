"""Anchors, decoding and merging of the detector, on outputs made here; then the network itself."""

from __future__ import annotations

import numpy as np
import pytest
from films import SHARED

from dancenet.data.people import detector
from dancenet.data.people.detector import SIDE, Detector, anchors, decode, merge, overlap

MODEL = SHARED / "models" / "mediapipe_pose_detection.tflite"
PICTURE = SHARED / "models" / "golden" / "pose.jpg"


class Fake:
    """Answers with given offsets and logits, and keeps what it was shown."""

    def __init__(self, raw: dict[int, list[float]], logits: dict[int, float]) -> None:
        self._raw = np.zeros((1, 2254, 12), np.float32)
        self._logits = np.full((1, 2254, 1), -200, np.float32)
        for index, values in raw.items():
            self._raw[0, index] = values
        for index, value in logits.items():
            self._logits[0, index] = value

    def run(self, *inputs):
        (self.shown,) = inputs
        return [self._raw, self._logits]


def test_there_are_2254_anchors_in_the_order_of_the_layers():
    places = anchors()
    assert places.shape == (2254, 2)
    np.testing.assert_allclose(places[:2], [[0.5 / 28, 0.5 / 28]] * 2)  # two in each cell
    np.testing.assert_allclose(places[2], [1.5 / 28, 0.5 / 28])  # along the row first
    np.testing.assert_allclose(places[28 * 28 * 2], [0.5 / 14, 0.5 / 14])
    # Three layers of stride 32 share their cells.
    np.testing.assert_allclose(places[-6:], [[6.5 / 7, 6.5 / 7]] * 6)
    assert len(places[1960:]) == 7 * 7 * 6


def test_offsets_are_pixels_from_the_anchor():
    raw = np.array([[22.4, -22.4, 44.8, 89.6, *[0] * 6, 22.4, 44.8]])
    boxes, points = decode(raw, np.array([[0.5, 0.25]]))
    np.testing.assert_allclose(boxes, [[0.5, -0.05, 0.7, 0.35]], atol=1e-12)
    np.testing.assert_allclose(points[0], [[0.5, 0.25]] * 3 + [[0.6, 0.45]], atol=1e-12)


def test_the_overlap_is_the_intersection_over_the_union():
    box = np.array([0.0, 0, 2, 2])
    boxes = np.array([[0.0, 0, 2, 2], [1, 1, 3, 3], [2, 0, 4, 2], [0, 0, 0, 0]])
    np.testing.assert_allclose(overlap(box, boxes), [1, 1 / 7, 0, 0])


def test_boxes_of_one_person_are_averaged_by_their_scores_and_others_stay():
    boxes = np.array([[0.0, 0, 1, 1], [5, 5, 6, 6], [0.1, 0, 1.1, 1]])
    points = np.stack([np.full((4, 2), float(index)) for index in range(3)])
    first, second = merge(boxes, points, np.array([0.6, 0.7, 0.9]))
    np.testing.assert_allclose(first[0], [0.06, 0, 1.06, 1])
    np.testing.assert_allclose(first[1], np.full((4, 2), (0.6 * 0 + 0.9 * 2) / 1.5))
    assert (first[2], second[2]) == (0.9, 0.7)
    np.testing.assert_array_equal(second[0], boxes[1])


def test_boxes_without_area_end():
    empty = np.zeros((3, 4))
    assert len(merge(empty, np.zeros((3, 4, 2)), np.array([0.9, 0.8, 0.7]))) == 3
    assert merge(empty[:0], np.zeros((0, 4, 2)), np.zeros(0)) == []


def test_a_person_is_given_in_pixels_of_a_wide_picture():
    # Anchor in the middle of the square: the last cell but half of the layer of stride 32.
    index = 1960 + (3 * 7 + 3) * 6
    hips, rim = [0, 0], [0, -56]  # a quarter of the square above the middle
    network = Fake({index: [0, 0, 22.4, 22.4, *hips, *rim, *[0] * 4]}, {index: 3.0})
    (person,) = Detector(network)(np.full((100, 200, 3), 255, np.uint8))
    assert person.score == pytest.approx(1 / (1 + np.exp(-3)))
    # The square has the picture's width, and the picture in its middle.
    np.testing.assert_allclose(person.box, [90, 40, 110, 60], atol=1e-4)
    np.testing.assert_allclose(person.points[:2], [[100, 50], [100, 0]], atol=1e-4)
    assert person.region() == pytest.approx((100, 50, 2 * 50 * detector.MARGIN, 0))


def test_the_network_sees_minus_one_to_one_and_black_around_the_picture():
    network = Fake({}, {})
    assert Detector(network)(np.full((50, 100, 3), 255, np.uint8)) == []
    assert network.shown.shape == (1, SIDE, SIDE, 3) and network.shown.dtype == np.float32
    assert network.shown[0, SIDE // 2, 5, 0] == 1 and network.shown[0, 5, 5, 0] == -1


def test_a_logit_that_would_overflow_is_a_certain_score():
    network = Fake({5: [0, 0, 9, 9] + [0] * 8}, {5: 1e6})
    assert Detector(network)(np.zeros((40, 40, 3), np.uint8))[0].score == 1
    spoilt = Fake({5: [np.nan] * 12}, {5: 9.0})
    assert Detector(spoilt)(np.zeros((40, 40, 3), np.uint8)) == []


@pytest.mark.skipif(not MODEL.exists(), reason="../shared/models is absent")
def test_the_network_finds_the_person_and_nobody_in_noise():
    pytest.importorskip("ai_edge_litert")
    import cv2

    network = Detector.open(MODEL)
    picture = cv2.imread(str(PICTURE))[:, :, ::-1].copy()
    (person,) = network(picture)
    # By eye: the hips, and a circle that reaches from head to feet.
    assert np.abs(person.points[0] - [493, 470]).max() < 15
    assert 500 < person.region().size < 750 and abs(person.region().angle) < 0.2
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    assert network(noise) == []
    assert network(np.full((10, 10, 3), 128, np.uint8)) == []

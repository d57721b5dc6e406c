"""MoveNet's files are taken whatever their sizes and types, and nothing else is."""

from __future__ import annotations

import json

import av
import cv2
import numpy as np
import pytest
from films import SHARED

from dancenet.data.people import regions
from dancenet.data.people.keypoints import crop, movenet
from dancenet.data.people.keypoints.estimators import MoveNetEstimator
from dancenet.data.people.keypoints.movenet import MoveNet, to_pixels
from dancenet.data.people.landmarks import COCO_NAMES
from dancenet.data.people.litert import Tensor
from dancenet.data.people.regions import Region
from dancenet.support.errors import UserError

SINGLE, MULTI = (1, 1, 17, 3), (1, 6, 56)
MODELS = SHARED / "models"
needs_networks = pytest.mark.skipif(not MODELS.exists(), reason="../shared/models is absent")


class FakeNetwork:
    """Finds the centre of the white pixels, and says it for every keypoint."""

    source: tuple = ((1, 192, 192, 3), np.int32)
    result: tuple = (SINGLE, np.float32)

    def __init__(self, path, threads=1) -> None:
        self.inputs = (Tensor("input", *self.source),)
        self.outputs = (Tensor("output", *self.result),)

    def run(self, array):
        type(self).shown = array
        rows, columns = np.nonzero(array[0, :, :, 0] == array.max())
        height, width = array.shape[1:3]
        y, x = (rows.mean() + 0.5) / height, (columns.mean() + 0.5) / width
        points = np.tile([y, x, 0.8], (17, 1))
        found = points[None, None]
        if self.result[0][1:] == MULTI[1:]:
            found = np.zeros((1, 6, 56))
            found[0, 0, :51], found[0, 0, 51:] = points.ravel(), [y, x, y + 0.1, x + 0.1, 0.5]
            found[0, 3, :51], found[0, 3, 51:] = points.ravel(), [y, x, y + 0.1, x + 0.1, 0.9]
        kind = self.result[1]
        if np.dtype(kind).kind != "f":
            scale, zero = self.outputs[0].scale, self.outputs[0].zero
            return [np.rint(found / scale + zero).astype(kind)]
        return [found.astype(kind)]


@pytest.fixture
def open_fake(monkeypatch):
    def fake(source=FakeNetwork.source, result=FakeNetwork.result) -> MoveNet:
        kind = type("Fake", (FakeNetwork,), {"source": source, "result": result})
        monkeypatch.setattr(movenet, "LiteNetwork", kind)
        network = MoveNet("fake.tflite")
        network.shown = lambda: kind.shown
        return network

    return fake


def spot(width: int, height: int, x: int, y: int) -> np.ndarray:
    picture = np.zeros((height, width, 3), np.uint8)
    cv2.circle(picture, (x, y), 12, (255, 255, 255), cv2.FILLED)
    return picture


SINGLES = [
    ((1, 192, 192, 3), np.int32),
    ((1, 256, 256, 3), np.float32),
    ((1, 192, 192, 3), np.uint8),
    ((1, 192, 192, 3), np.int8),
    ((1, 192, 192, 3), np.uint8, 0.5, 3),
]


@pytest.mark.parametrize("source", SINGLES, ids=lambda source: str(np.dtype(source[1])))
@pytest.mark.parametrize(("width", "height"), [(640, 360), (360, 640), (301, 303)])
def test_points_come_back_in_the_picture_whatever_the_input_takes(open_fake, source, width, height):
    network = open_fake(source)
    (points,) = network(spot(width, height, 200, 100)).points
    assert network.shown().dtype == source[1] and network.shown().shape == source[0]
    size = max(width, height) / source[0][1]
    found = to_pixels(points, (height, width))
    assert np.abs(found[:, :2] - (200.5, 100.5)).max() < size
    np.testing.assert_allclose(found[:, 2], 0.8, rtol=1e-6)


def test_an_output_of_whole_numbers_is_decoded(open_fake):
    network = open_fake(result=(SINGLE, np.uint8, 1 / 255, 2))
    (points,) = network(spot(400, 400, 200, 100)).points
    np.testing.assert_allclose(points[0], [0.25, 0.5, 0.8], atol=1 / 100)


@pytest.mark.parametrize("source", [(1, -1, -1, 3), (1, 256, 256, 3), (1, 160, 256, 3)])
@pytest.mark.parametrize(("width", "height"), [(640, 360), (360, 640), (300, 300)])
def test_six_people_come_sorted_and_in_the_picture(open_fake, source, width, height):
    network = open_fake((source, np.int32), (MULTI, np.float32))
    found = network(spot(width, height, 200, 120))
    shown = network.shown().shape
    assert all(side % 32 == 0 for side in shown[1:3])
    if -1 in source:  # no more than the picture needs
        assert shown[1:3] == {640: (160, 256), 360: (256, 160), 300: (256, 256)}[width]
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    if source[1] != 160 or width == 640:
        places = to_pixels(found.points, (height, width))
        assert np.abs(places[..., :2] - (200.5, 120.5)).max() < 3
        assert (found.boxes[:, 2] > found.boxes[:, 0]).all()


def test_a_region_is_looked_at_and_points_are_still_those_of_the_picture(open_fake):
    network = open_fake()
    picture = spot(640, 360, 300, 200)
    (points,) = network(picture, Region(320, 210, 150)).points
    assert np.abs(to_pixels(points, picture.shape)[:, :2] - (300.5, 200.5)).max() < 1


@pytest.mark.parametrize(
    ("source", "result"),
    [
        (((1, 224, 224, 3), np.float32), ((1, 2254, 12), np.float32)),
        (((1, 192, 160, 3), np.float32), (SINGLE, np.float32)),
        (((1, 10, 10, 3), np.float32), (SINGLE, np.float32)),
        (((1, 100, 100, 3), np.float32), (MULTI, np.float32)),
        (((192,), np.float32), (SINGLE, np.float32)),
    ],
)
def test_another_network_is_refused_in_one_sentence(open_fake, source, result):
    with pytest.raises(UserError, match="is not MoveNet: it maps"):
        open_fake(source, result)


def test_a_text_and_a_damaged_file_are_refused_in_one_sentence(tmp_path):
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "net.tflite"
    for content in (b"hello", b"", b"\0\0\0\0TFL3" + bytes(range(200))):
        path.write_bytes(content)
        with pytest.raises(UserError) as caught:
            MoveNet(path)
        assert "\n" not in str(caught.value)


def body(x: float, y: float, height: float, score: float = 0.9) -> np.ndarray:
    """A standing body of keypoints (17, 3)."""
    rows = np.array([0.05] * 5 + [0.2] * 2 + [0.35] * 2 + [0.5] * 4 + [0.75] * 2 + [1.0] * 2)
    across = np.array([0.0, *[0.1, -0.1] * 8])
    places = np.stack([x + across * height, y + (rows - 0.5) * height], axis=1)
    return np.concatenate([places, np.full((17, 1), score)], axis=1)


def test_the_next_square_is_about_the_hips_and_holds_the_body():
    # 0.45 body heights from the hips to the head and 0.5 to the feet: 1.2 times that each way.
    region = crop.next_region(body(320, 180, 100), (360, 640))
    assert (region.x, region.y, region.angle) == (320, 180, 0)
    assert region.size == pytest.approx(2 * 1.2 * 50)
    # With the legs unseen 1.9 times the trunk counts.
    points = body(320, 180, 100)
    points[[0, 1, 2, 3, 4, 7, 8, 9, 10, 13, 14, 15, 16], 2] = 0.1
    assert crop.next_region(points, (360, 640)).size == pytest.approx(2 * 1.9 * 30)


def test_without_a_trunk_or_with_a_large_body_the_whole_picture_is_looked_at():
    whole = regions.whole((360, 640))
    assert crop.next_region(body(320, 180, 100, score=0.1), (360, 640)) == whole
    assert crop.next_region(body(320, 180, 900), (360, 640)) == whole


def test_who_is_hardly_seen_is_nobody(open_fake):
    estimator = MoveNetEstimator(open_fake())
    assert len(estimator(spot(640, 360, 300, 200))) == 1
    weak = open_fake()
    weak._network.run = lambda array: [np.full(SINGLE, 0.1, np.float32)]
    assert MoveNetEstimator(weak)(spot(640, 360, 300, 200)) == []


def lightning() -> MoveNet:
    pytest.importorskip("ai_edge_litert")
    return MoveNet(MODELS / "movenet_lightning_fp16.tflite")


def golden_film() -> tuple[list[np.ndarray], np.ndarray]:
    """A drawn stand-in for a film, and what the reference found in the film itself."""
    with av.open(str(MODELS / "golden" / "SYNTHETIC_tfjs_pose_1.mp4")) as film:
        pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    text = (MODELS / "golden" / "pose_1_movenet_lightning_expected.json").read_text()
    expected = [
        [(frame[name]["x"], frame[name]["y"]) for name in COCO_NAMES] for frame in json.loads(text)
    ]
    return pictures, np.array(expected)


# The body is 260 pixels high. The film is drawn, and the file is another build than the
# reference's, so they agree to this and no better.
MEDIAN, MOST = 5.0, 11.0  # pixels; the latter of 95 % of the keypoints with score > .5


@needs_networks
def test_keypoints_follow_those_of_the_reference():
    estimator = MoveNetEstimator(lightning())
    pictures, expected = golden_film()
    found = np.array([estimator(picture)[0].points for picture in pictures[:60]])
    apart = np.linalg.norm(found[..., :2] - expected[:60], axis=-1)
    assert np.median(apart) < MEDIAN
    assert np.percentile(apart[found[..., 2] > 0.5], 95) < MOST


@needs_networks
def test_multipose_finds_the_same_person():
    pytest.importorskip("ai_edge_litert")
    network = MoveNet(MODELS / "movenet_multipose_fp16.tflite")
    pictures, expected = golden_film()
    found = network(pictures[0])
    apart = np.linalg.norm(to_pixels(found.points[0], (576, 576))[:, :2] - expected[0], axis=-1)
    assert found.scores[0] > 0.5 and np.median(apart) < MEDIAN

"""Files of other pose estimators become the same body, and odd ones are one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dancenet.data.mocap.formats.keypoints import BODY, HALPE_26, read_keypoints
from dancenet.data.mocap.read import read_skeleton
from dancenet.support.errors import UserError

# A person of COCO's seventeen points in a picture of 1920 x 1080, and its side ratio.
PERSON = (
    *((300, 60), (305, 55), (295, 55), (310, 57), (290, 57), (330, 110), (270, 110), (345, 160)),
    *((255, 160), (350, 205), (250, 205), (320, 210), (280, 210), (322, 285), (278, 285)),
    *((322, 360), (278, 360)),
)
SHOULDERS_OVER_THIGH = 60 / np.hypot(2, 75)
SIZE = {"canvas_width": 1920, "canvas_height": 1080}


def flat(step: int = 0, scale=(1.0, 1.0), score: float = 0.9) -> list[float]:
    return [v for x, y in PERSON for v in ((x + step) * scale[0], y * scale[1], score)]


def write(folder: Path, content: object, name: str = "a.json") -> Path:
    (folder / name).write_text(json.dumps(content))
    return folder / name


def proportion(path: Path) -> float:
    clip = read_skeleton(path)
    place = {name: clip.positions[0, index] for index, name in enumerate(clip.names)}
    across = np.linalg.norm(place["l_shoulder"] - place["r_shoulder"])
    return float(across / np.linalg.norm(place["l_hip"] - place["l_knee"]))


def openpose(**more: object) -> list[dict]:
    return [{"people": [{"pose_keypoints_2d": flat(n, **more)}]} for n in range(4)]


UNIT = {"scale": (1 / 1920, 1 / 1080)}
OTHERS = {
    "pixels with a canvas": [frame | SIZE for frame in openpose()],
    "fractions with a canvas": [frame | SIZE for frame in openpose(**UNIT)],
    "one object for all frames": {f"{n}.jpg": frame for n, frame in enumerate(openpose())},
    "one person that is no list": [{"people": frame["people"][0]} for frame in openpose()],
    "nested points": [
        {"people": [{"pose_keypoints_2d": np.reshape(flat(n), (17, 3)).tolist()}]} for n in range(4)
    ],
    "old OpenPose": [{"people": [{"pose_keypoints": flat(n)}]} for n in range(4)],
    "COCO annotations": {
        "images": [
            {"id": 70 + n, "file_name": f"f{n}.jpg", "width": 1920, "height": 1080}
            for n in range(4)
        ],
        "annotations": [{"image_id": 70 + n, "keypoints": flat(n, **UNIT)} for n in range(4)],
    },
    "AlphaPose": [{"image_id": f"{n}.jpg", "keypoints": flat(n), "score": 3} for n in range(4)],
    "MMPose": {
        "instance_info": [
            {"frame_id": n + 1, "instances": [{"keypoints": PERSON, "keypoint_scores": [0.9] * 17}]}
            for n in range(4)
        ]
    },
    "whole bodies": [{"image_id": n, "keypoints": flat(n) + [1, 2, 0.9] * 116} for n in range(4)],
    "ours with objects": {"keypoints": [[{"x": x, "y": y, "score": 1} for x, y in PERSON]] * 4},
    "ours with a canvas": {
        **SIZE,
        "keypoints": [[[x / 1920, y / 1080] for x, y in PERSON]] * 4,
    },
    "scores in percent": openpose(score=90),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_body_keeps_its_proportions(tmp_path, kind):
    path = write(tmp_path, OTHERS[kind])
    assert proportion(path) == pytest.approx(SHOULDERS_OVER_THIGH, rel=1e-4)
    assert not any("square" in sentence for sentence in read_skeleton(path).warnings)


def test_fractions_of_a_picture_of_unknown_size_are_said(tmp_path):
    clip = read_skeleton(write(tmp_path, openpose(**UNIT)))
    assert "taken to be square; if it is not, add canvas_width" in clip.warnings[0]


def test_landmarks_of_mediapipe_are_read(tmp_path):
    points = [{"x": 0.5, "y": n / 40, "z": 0.1, "visibility": 0.9} for n in range(33)]
    for frames in ([points] * 3, [{"landmarks": points}] * 3, [{"pose_landmarks": [points]}] * 3):
        clip = read_skeleton(write(tmp_path, frames))
        assert clip.names == BODY and clip.positions.shape == (3, 15, 2)


def test_a_body_of_26_points_has_its_own_neck(tmp_path):
    points = [[n, n + 1, 1] for n in range(1, 27)]
    content = [{"image_id": 0, "keypoints": np.ravel(points).tolist()}]
    found = read_keypoints(write(tmp_path, content))
    assert found.names == HALPE_26


def test_points_in_space_are_taken_where_there_are_none_in_the_picture(tmp_path):
    points = [value for n in range(25) for value in (n, n * n, 2 * n, 0.9)]
    frame = {"people": [{"pose_keypoints_2d": [], "pose_keypoints_3d": points}]}
    found = read_keypoints(write(tmp_path, [frame] * 2))
    assert found.positions.shape == (2, 25, 3) and found.up is None


@pytest.mark.parametrize(
    "person",
    [
        None,
        {"pose_keypoints_2d": None},
        {"pose_keypoints_2d": []},
        {"pose_keypoints_2d": [float("nan")] * 51},
        {"pose_keypoints_2d": [float("inf"), 1, 1] * 17},
        {"pose_keypoints_2d": [10**400, 1, 1] * 17},
        {"pose_keypoints_2d": [1e30, 1, 1] * 17},
        {"pose_keypoints_2d": [5, 6, -1] * 17},
        {"pose_keypoints_2d": [0, 0, 0.9] * 17},
    ],
)
def test_a_person_who_was_not_seen_is_passed_over(tmp_path, person):
    frames = openpose()
    frames[1]["people"] = [person]
    found = read_keypoints(write(tmp_path, frames))
    assert found.missing == 1 and np.isnan(found.positions[1]).all()


def test_a_frame_without_people_is_passed_over(tmp_path):
    frames: list = openpose()
    frames[1] = {"people": None}
    frames[2] = None
    assert read_keypoints(write(tmp_path, frames)).missing == 2


@pytest.mark.parametrize(
    "content, message",
    [
        ([{"people": "x"}], "'people' is 'x' and not a list"),
        ([{"people": ["x"]}], "holds a person whose"),
        ([{"people": [{}]}], "holds a person whose"),
        ([{"people": [{"pose_keypoints_2d": ["1", "2", "3"]}]}], "not a number"),
        ([{"people": [{"pose_keypoints_2d": [True, 2, 3]}]}], "not a number"),
        ([{"people": [{"pose_keypoints_2d": [[1, 2, 3, 4, 5]]}]}], "not a list of x, y"),
        (openpose(score=900), "scores up to 900"),
        (openpose(score=0.1), "the scores of all 68 points are below 0.2"),
        ([frame | SIZE | {"canvas_width": 0} for frame in openpose()], "says canvas_width 0"),
        ([frame | {"canvas_height": 9} for frame in openpose()], "says canvas_width None"),
        ([{"keypoints": flat()}], "or MMPose's 'instance_info'"),
        ({"annotations": [{"id": 1}]}, "no people with 'image_id'"),
        ({"keypoints": [[[1, 2]] * 1001]}, "1,001 points in a frame"),
        ({"keypoints": [[[1, 2]] * 17], "dim": 2.0}, "says dim 2.0"),
        ({"keypoints": [[[1, 2]] * 17], "fps": 10**400}, "frames per second"),
        ({"keypoints": [[[1, 2]] * 17], "fps": 2}, "a dance has 5 to 1000"),
    ],
)
def test_odd_files_are_one_sentence(tmp_path, content, message):
    with pytest.raises(UserError, match=message) as caught:
        read_skeleton(write(tmp_path, content))
    assert str(caught.value).isprintable()


def test_lists_nested_without_end_are_one_sentence(tmp_path):
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="nested too deeply"):
        read_skeleton(tmp_path / "a.json")


def test_more_lists_than_a_film_has_are_refused_before_they_are_parsed(tmp_path):
    (tmp_path / "a.json").write_bytes(b"[" * 4_000_001)
    with pytest.raises(UserError, match="more points than are read"):
        read_skeleton(tmp_path / "a.json")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_json_is_read_in_any_encoding(tmp_path, encoding):
    content = {"fps": 30, "keypoints": [PERSON] * 3}
    (tmp_path / "a.json").write_bytes(json.dumps(content).encode(encoding))
    assert read_skeleton(tmp_path / "a.json").fps == 30

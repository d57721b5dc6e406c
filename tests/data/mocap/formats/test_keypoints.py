"""Keypoints: our own kind, OpenPose's files and COCO results, and messages about broken ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dancenet.data.mocap.formats.keypoints import (
    BODY,
    BODY_PARENTS,
    COCO,
    OPENPOSE_25,
    Keypoints,
    read_keypoints,
    to_body,
)
from dancenet.data.mocap.read import read_skeleton
from dancenet.support.errors import UserError

# Rows of a picture of 1000 pixels; a person of 800 pixels stands in it.
HEIGHTS = {
    "nose": 110,
    "eye": 100,
    "ear": 105,
    "shoulder": 250,
    "elbow": 400,
    "wrist": 550,
    "hip": 500,
    "knee": 700,
    "ankle": 880,
}
WIDTHS = {
    "eye": 10,
    "ear": 20,
    "shoulder": 80,
    "elbow": 110,
    "wrist": 120,
    "hip": 50,
    "knee": 50,
    "ankle": 50,
}


def place(name, x=500.0):
    side, _, limb = name.rpartition("_")
    sign = {"l": 1, "r": -1, "": 0}[side]
    return [x + sign * WIDTHS.get(limb, 0), float(HEIGHTS[limb])]


def person(x=500.0, names=COCO, score=0.9):
    """Returns (17, 3) points of a person who stands at column x."""
    return [[*place(name, x), score] for name in names]


def flat(points):
    return [value for point in points for value in point]


def write(tmp_path, content, name="a.json"):
    (tmp_path / name).write_text(json.dumps(content))
    return tmp_path / name


def own(frames, **changes):
    return {"fps": 25, "names": list(COCO), "keypoints": frames, **changes}


def test_our_own_kind_is_read_and_stands_upright(tmp_path):
    path = write(tmp_path, own([person(500 + 3 * t) for t in range(30)]))
    clip = read_skeleton(path)
    assert (clip.fps, clip.names, clip.parents) == (25, BODY, BODY_PARENTS)
    assert clip.positions.shape == (30, 15, 2) and clip.ok.all()
    height = clip.positions[0, :, 1]
    assert height[BODY.index("head")] > height[BODY.index("pelvis")] > height.min() == 0
    assert np.ptp(height) == pytest.approx(1.6)  # an adult's joints
    moved = clip.positions[-1] - clip.positions[0]
    scale = 1.6 / (880 - 105)  # metres in a pixel; the head is the middle of eyes, ears and nose
    assert moved[:, 0] == pytest.approx(3 * 29 * scale, abs=2e-3)
    assert np.allclose(moved[:, 1], 0, atol=1e-5)


def test_its_own_points_are_kept_if_asked_for(tmp_path):
    path = write(tmp_path, own([person()] * 3, fps=30))
    clip = read_skeleton(path, own=True)
    assert clip.names == COCO and clip.parents is None


def test_points_without_names_are_known_by_their_number(tmp_path):
    content = own([person()] * 3)
    del content["names"], content["fps"]
    clip = read_skeleton(write(tmp_path, content))
    assert clip.names == BODY and clip.fps == 30
    assert "30 frames/s are assumed" in clip.warnings[0]


def test_neck_pelvis_and_head_are_middles():
    points = np.array(person())[None, :, :2]
    seen = read_keypoints_from(points)
    body = to_body(seen).positions[0]
    assert body[BODY.index("neck")] == pytest.approx([500, 250])
    assert body[BODY.index("pelvis")] == pytest.approx([500, 500])
    assert body[BODY.index("head")] == pytest.approx([500, (110 + 2 * 100 + 2 * 105) / 5])
    points[0, :3] = np.nan  # from behind only the ears are seen
    body = to_body(read_keypoints_from(points)).positions[0]
    assert body[BODY.index("head")] == pytest.approx([500, 105])


def read_keypoints_from(points):
    return Keypoints(points, COCO, None, 30.0, "-y", 0)


@pytest.mark.parametrize(
    "spelling",
    [
        lambda name: name.replace("l_", "left_").replace("r_", "right_"),
        lambda name: "".join(
            word.capitalize()
            for word in name.replace("l_", "left_").replace("r_", "right_").split("_")
        ),
    ],
)
def test_other_spellings_are_the_same_body(tmp_path, spelling):
    content = own([person()] * 3, names=[spelling(name) for name in COCO])
    assert read_skeleton(write(tmp_path, content)).names == BODY


def test_points_in_space_need_no_score(tmp_path):
    frames = [[[x / 500, -y / 500, 0.1 * t] for x, y, _ in person()] for t in range(20)]
    clip = read_skeleton(write(tmp_path, own(frames, dim=3)))
    assert clip.positions.shape == (20, 15, 3)
    assert clip.positions[0, BODY.index("head"), 1] > clip.positions[0, BODY.index("pelvis"), 1]


def test_a_point_that_is_unseen_for_a_moment_lies_on_the_line_between(tmp_path):
    frames = [person(500 + 4 * t) for t in range(40)]
    frames[20][COCO.index("l_wrist")][2] = 0.05
    frames[21][COCO.index("l_wrist")] = None
    whole = read_skeleton(write(tmp_path, own([person(500 + 4 * t) for t in range(40)]), "b.json"))
    clip = read_skeleton(write(tmp_path, own(frames)))
    assert clip.ok.all()
    assert clip.positions == pytest.approx(whole.positions, abs=1e-5)
    assert "in 2 of 40 frames joints are NaN or unseen; all of them are mended" in clip.warnings[0]


def test_frames_in_which_nobody_was_seen_for_long_are_bad(tmp_path):
    frames = [person(500 + 2 * t) for t in range(60)]
    frames[20:30] = [None] * 10  # 0.4 s at 25 frames/s
    clip = read_skeleton(write(tmp_path, own(frames)))
    assert np.flatnonzero(~clip.ok).tolist() == list(range(20, 30))
    assert "in 10 of 60 frames nobody was seen" in clip.warnings[0]


def openpose(points):
    return {"people": [{"pose_keypoints_2d": flat(points)}]}


def test_a_folder_of_openpose_is_read_in_the_order_of_its_numbers(tmp_path):
    for t in (8, 9, 10, 12):
        write(tmp_path, openpose(person(500 + t)), f"film_{t:012}_keypoints.json")
    found = read_keypoints(tmp_path)
    assert found.positions[:, 0, 0].tolist()[:3] == [508, 509, 510]
    assert np.isnan(found.positions[3]).all() and found.missing == 1
    assert found.positions[4, 0, 0] == 512
    clip = read_skeleton(tmp_path, frame_rate=30)
    assert clip.num_frames == 5 and clip.names == BODY


def test_openpose_with_25_points_has_its_own_neck_and_pelvis(tmp_path):
    points = np.zeros((25, 3))
    for index, name in enumerate(OPENPOSE_25):
        if name in COCO:
            points[index] = [*place(name), 1]
    points[OPENPOSE_25.index("neck")] = [500, 240, 1]
    points[OPENPOSE_25.index("pelvis")] = [500, 490, 1]
    found = to_body(read_keypoints(write(tmp_path, [openpose(points.tolist())] * 2)))
    assert found.positions[0, BODY.index("neck")].tolist() == [500, 240]
    assert found.positions[0, BODY.index("pelvis")].tolist() == [500, 490]


def test_zeros_are_what_openpose_did_not_find(tmp_path):
    points = person()
    points[5] = [0, 0, 0.9]
    found = read_keypoints(write(tmp_path, [openpose(points)]))
    assert np.isnan(found.positions[0, 5]).all() and np.isfinite(found.positions[0, 6]).all()


def test_one_person_is_followed_among_several(tmp_path):
    small = [[x / 2, y / 2, s] for x, y, s in person(1800)]
    frames = []
    for t in range(10):
        people = [{"pose_keypoints_2d": flat(points)} for points in (small, person(500 + 5 * t))]
        frames.append({"people": people[:: 1 if t % 2 else -1]})
    found = read_keypoints(write(tmp_path, frames))
    assert found.positions[:, 0, 0].tolist() == [500 + 5 * t for t in range(10)]


def test_coco_results_are_read(tmp_path):
    content = [
        {"image_id": f"{t}.jpg", "category_id": 1, "keypoints": flat(person(500 + t)), "score": 2.0}
        for t in (3, 1, 2)
    ]
    assert read_keypoints(write(tmp_path, content)).positions[:, 0, 0].tolist() == [501, 502, 503]


def broken(**changes):
    return own([person()] * 3, **changes)


@pytest.mark.parametrize(
    "content, message",
    [
        ({"a": 1}, "no keypoints that can be read"),
        ([], "no keypoints that can be read"),
        (broken(colour="red"), "unknown key 'colour'"),
        (broken(dim=4), "says dim 4"),
        (own([]), "holds no frame"),
        (own([None]), "no frame in which anybody was seen"),
        (own([person(), person()[:-1]]), "Frame 2 of .* has 16 points and should have 17"),
        (own([[*person()[:-1], [1, 2, 3, 4]]]), 'Point 17 of frame 1 .* Say "dim": 3'),
        (own([[*person()[:-1], ["x", 2]]]), "Point 17 of frame 1"),
        (broken(fps=0), "says 0 frames per second"),
        (broken(fps="fast"), "says 'fast' frames per second"),
        (broken(names=["a"] * 17), "Two joints of .* have one name"),
        (broken(names="abc"), "names in .* must be a list of words"),
        (broken(parents=[0] * 3), "17 whole numbers"),
        (broken(names=[f"p{i}" for i in range(17)], parents=[1, 0, *[0] * 15]), "make no skeleton"),
        (broken(up="w"), "says up is 'w'"),
        ([{"people": [{"pose_keypoints_2d": [1, 2]}]}], "not a list of x, y and score"),
        ([{"people": [{"pose_keypoints_2d": ["a", 2, 3]}]}], "a value that is not a number"),
        ([{"people": []}], "no frame in which anybody was seen"),
        ([openpose(person()), openpose(person()[:5])], "people with 5 and 17 points"),
        ([{"image_id": "first", "keypoints": flat(person())}], "no number of a frame"),
    ],
)
def test_a_broken_file_says_what_is_broken(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read_skeleton(write(tmp_path, content))


def test_a_joint_that_is_never_seen_is_named(tmp_path):
    frames = [person() for _ in range(3)]
    for frame in frames:
        frame[COCO.index("l_wrist")] = None
    with pytest.raises(UserError, match="never says where l_wrist is"):
        read_skeleton(write(tmp_path, own(frames)))


def test_a_file_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"keypoints": [')
    with pytest.raises(UserError, match="not a valid file of keypoints"):
        read_skeleton(tmp_path / "a.json")
    with pytest.raises(UserError, match="holds no .json file"):
        (tmp_path / "empty").mkdir()
        read_skeleton(tmp_path / "empty")


def test_numbers_of_another_film_in_the_folder_are_refused(tmp_path):
    for number in (1, 2, 90_000):
        write(tmp_path, openpose(person()), f"{number}.json")
    with pytest.raises(UserError, match="numbered from 1 to 90000 and there are only 3"):
        read_skeleton(tmp_path)


def test_what_a_file_manager_leaves_in_a_folder_is_passed_over(tmp_path):
    for t in (8, 9, 10):
        write(tmp_path, openpose(person(500 + t)), f"film_{t:012}_keypoints.json")
        (tmp_path / f"._film_{t:012}_keypoints.json").write_bytes(b"\x00\x05\x16\x07Mac OS X")
    (tmp_path / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
    (tmp_path / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    assert read_keypoints(tmp_path).positions[:, 0, 0].tolist() == [508, 509, 510]


@pytest.mark.parametrize("prefix", ["canvas_", "image_", ""])
def test_fractions_of_a_canvas_are_its_pixels_however_its_sides_are_called(tmp_path, prefix):
    path = tmp_path / "a.json"
    points = [[[0.5, 0.5], [0.25, 1.0]]] * 3
    sides = {f"{prefix}width": 1920, f"{prefix}height": 1080}
    path.write_text(json.dumps({"keypoints": points, **sides}))
    positions = read_keypoints(path).positions[0]
    assert (positions[0] - positions[1]) / (480, -540) == pytest.approx([1.0, 1.0])

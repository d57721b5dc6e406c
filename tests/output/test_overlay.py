"""Skeletons are drawn where they were found, and films keep their colours."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from dancenet.data.people.landmarks import COCO_NAMES, LANDMARK_NAMES
from dancenet.output.overlay import Overlay, even, write_picture
from dancenet.output.video_settings import is_ours
from dancenet.output.video_writer import VideoWriter


def test_bones_are_drawn_between_seen_joints_only():
    picture = np.full((100, 100, 3), 128, np.uint8)
    xy = np.full((1, 17, 2), np.nan)
    score = np.zeros((1, 17))
    for name, place in (("left_shoulder", (20, 50)), ("left_elbow", (60, 50))):
        xy[0, COCO_NAMES.index(name)], score[0, COCO_NAMES.index(name)] = place, 0.9
    drawn = Overlay(COCO_NAMES).draw(picture, xy, score)
    changed = (drawn != picture).any(axis=2)
    assert changed[50, 20:61].all() and not changed[:40].any() and not changed[:, 70:].any()
    score[0, COCO_NAMES.index("left_elbow")] = 0.1
    assert not (Overlay(COCO_NAMES).draw(picture, xy, score) != picture).any(axis=2)[50, 40]
    assert (picture == 128).all()


@pytest.mark.parametrize("names", [COCO_NAMES, LANDMARK_NAMES])
def test_points_far_outside_and_people_who_are_not_there_are_no_error(names):
    xy = np.full((7, len(names), 2), 1e9)
    xy[1], xy[2] = np.nan, -1e12
    drawn = Overlay(names).draw(
        np.zeros((50, 60, 3), np.uint8), xy, np.ones(xy.shape[:2]), numbered=True
    )
    assert drawn.shape == (50, 60, 3)


def test_an_odd_picture_gets_an_even_size():
    assert even(np.zeros((5, 7, 3), np.uint8)).shape == (6, 8, 3)
    assert even(np.zeros((4, 8, 3), np.uint8)).shape == (4, 8, 3)


@pytest.mark.parametrize("kind", [".png", ".jpg"])
def test_a_picture_is_written_in_its_colours(tmp_path, kind):
    picture = np.full((40, 60, 3), (200, 60, 20), np.uint8)
    write_picture(tmp_path / f"a{kind}", picture)
    back = cv2.imread(str(tmp_path / f"a{kind}"))[..., ::-1].astype(int)
    assert np.abs(back - picture).max() < 8


@pytest.mark.parametrize("kind", ["mp4", "webm", "gif"])
def test_a_film_keeps_colours_of_its_own(tmp_path, kind):
    colors = [(200, 60, 20), (20, 180, 90), (40, 60, 220)]
    path = tmp_path / f"a.{kind}"
    with VideoWriter(path, fps=10, size=(64, 48), colors=None, settings={"a": 1}) as film:
        for color in colors:
            film.write(np.full((48, 64, 3), color, np.uint8))
        with pytest.raises(ValueError, match=r"\(48, 64, 3\)"):
            film.write(np.zeros((48, 64), np.uint8))
    assert is_ours(path)
    with av.open(str(path)) as film:
        back = [frame.to_ndarray(format="rgb24").mean(axis=(0, 1)) for frame in film.decode()]
    assert np.abs(np.array(back) - colors).max() < (20 if kind == "gif" else 8)

"""Keypoints reach the network without their place, size and rate in the film."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.data.mocap.formats.keypoints import BLAZEPOSE, COCO
from dancenet.data.people.lift import points as of_body
from dancenet.data.people.lift.points import POINTS


def body(num_frames=40, names=COCO, seed=0):
    """Returns keypoints (T, J, 3) that wander, all of them seen."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(100, 400, (1, len(names), 2)) + rng.normal(0, 4, (num_frames, 1, 2))
    return np.concatenate([places, np.full((num_frames, len(names), 1), 0.9)], axis=-1)


def test_the_points_of_coco_are_found_by_their_names_and_it_has_no_toes():
    seen = of_body.to_points(body())
    for name in ("nose", "l_ear", "r_wrist", "l_ankle"):
        expected = body()[:, COCO.index(name), :2]
        np.testing.assert_array_equal(seen[:, POINTS.index(name), :2], expected)
    weights = dict(zip(POINTS, seen[..., 2].T))
    assert (weights["l_hip"] == 1).all() and (weights["l_toe"] == 0).all()


def test_the_toe_of_mediapipe_is_its_tip_and_ours_the_ball_of_the_foot():
    given = body(names=BLAZEPOSE)
    seen = of_body.to_points(given)
    ankle, tip = (given[:, BLAZEPOSE.index(f"r_{name}"), :2] for name in ("ankle", "toe"))
    ball = seen[:, POINTS.index("r_toe"), :2]
    share = np.linalg.norm(ball - ankle, axis=1) / np.linalg.norm(tip - ankle, axis=1)
    np.testing.assert_allclose(share, 0.69, atol=0.01)  # heel to ball is 0.73 of a foot's length


def test_another_number_of_points_is_a_mistake_of_the_program():
    with pytest.raises(ValueError, match=r"\(T, 17 or 33, 3\)"):
        of_body.to_points(np.zeros((3, 18, 3)))


@pytest.mark.parametrize("lost", [np.nan, 0.0])
def test_a_point_that_is_lost_goes_straight_from_where_it_was_to_where_it_is_next(lost):
    given = body()
    wrist, name = COCO.index("l_wrist"), POINTS.index("l_wrist")
    given[10, wrist], given[13, wrist] = (0, 0, 0.9), (30, 60, 0.9)
    given[11:13, wrist] = lost
    seen = of_body.to_points(given)
    np.testing.assert_allclose(seen[10:14, name, 0], [0, 10, 20, 30])
    np.testing.assert_allclose(seen[10:14, name, 1], [0, 20, 40, 60])
    assert (seen[11:13, name, 2] == 0).all()


def test_where_and_how_large_the_dancer_is_in_the_picture_does_not_matter():
    near = of_body.to_points(body())
    far = near.copy()
    far[..., :2] = near[..., :2] * 0.25 + [300, 40]
    np.testing.assert_allclose(of_body.features(near), of_body.features(far), atol=1e-5)
    np.testing.assert_allclose(of_body.body_scale(far) * 4, of_body.body_scale(near))


def test_a_bone_of_its_usual_length_tells_the_pixels_of_a_metre():
    seen = np.zeros((20, len(POINTS), 3))
    hip, knee = POINTS.index("l_hip"), POINTS.index("l_knee")
    seen[:, [hip, knee], 2] = 1
    seen[:, knee, 1] = 0.42 * 150
    np.testing.assert_allclose(of_body.body_scale(seen), 150)


def test_of_nobody_there_is_no_size_and_no_number_that_is_not_finite():
    nobody = of_body.to_points(np.full((5, 17, 3), np.nan))
    assert np.isfinite(of_body.features(nobody)).all()


@pytest.mark.parametrize("fps", [10.0, 25.0, 60.0])
def test_another_rate_keeps_the_first_frame_the_tempo_and_the_length(fps):
    times = np.arange(31) / fps
    line = np.stack([times, 2 * times, np.ones_like(times)], axis=1)[:, None]
    there = of_body.resample(line, fps)
    np.testing.assert_allclose(there[:, 0, 0], np.arange(len(there)) / 30, atol=1e-9)
    assert 0 <= times[-1] - there[-1, 0, 0] < 1 / 30


def test_one_frame_is_a_film_too():
    one = of_body.to_points(body(1))
    assert of_body.features(of_body.resample(one, 25.0)).shape == (1, of_body.NUM_FEATURES)

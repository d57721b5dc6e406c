"""Figures of bones: where they stand, how they are seen, and what the camera keeps."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dancenet.data.motion.camera import CameraView
from dancenet.data.motion.draw_bones import THICKNESS, draw_figures
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.support.errors import UserError


def pole(num_frames=1, height=1.7):
    """Returns (T, 3, 3): a post with an arm to +x at its top, and its parents."""
    one = np.array([[0, 0, 0], [0, height, 0], [0.6, height, 0]], np.float32)
    return np.repeat(one[None], num_frames, axis=0)


PARENTS_OF_POLE = (-1, 0, 1)


def dark(positions, parents=PARENTS_OF_POLE, names=(), **view):
    return (
        np.stack(list(draw_figures(positions, 30.0, parents, CameraView(**view), names=names))) == 0
    )


def extent(picture, axis):
    return np.flatnonzero(picture.any(axis=axis))[[0, -1]]


def test_a_figure_is_black_on_white_of_the_frames_size():
    frame = next(draw_figures(pole(), 30.0, PARENTS_OF_POLE))
    assert frame.shape == (120, 208) and frame.dtype == np.uint8
    assert set(np.unique(frame)) == {0, 255}


def test_a_standing_figure_fills_the_share_of_the_picture_that_a_body_does():
    top, bottom = extent(dark(pole())[0], 1)
    assert bottom - top + 1 == pytest.approx(120 * 0.72 * (1 + 2 * THICKNESS), abs=1.5)
    assert bottom + 1 == pytest.approx(0.935 * 120 + 120 * 0.72 * THICKNESS, abs=1)


def test_an_arm_to_the_right_is_drawn_to_the_right_and_a_mirror_turns_it_over():
    picture = dark(pole(), camera="fixed")[0]
    top, low = picture[:60], picture[60:]
    assert extent(top, 0)[1] > extent(low, 0)[1] + 20
    assert np.array_equal(dark(pole(), camera="fixed", mirror=True)[0], picture[:, ::-1])


def test_from_the_side_an_arm_across_is_not_seen_and_from_behind_it_is_on_the_left():
    side = dark(pole(), yaw=90)[0]
    assert np.ptp(extent(side, 0)) < 10
    behind = dark(pole(), yaw=180, camera="fixed")[0]
    assert np.array_equal(behind, dark(pole(), camera="fixed", mirror=True)[0])


def test_a_flat_figure_is_the_front_of_one_in_space_and_cannot_be_turned():
    flat = pole()[..., :2]
    assert np.array_equal(dark(flat), dark(pole()))
    with pytest.raises(UserError, match="cannot be seen turned by 30 degrees"):
        dark(flat, yaw=30)


def test_every_bone_joins_its_parent():
    rng = np.random.default_rng(0)
    positions = rng.uniform(0, 1.7, (20, 19, 3)).astype(np.float32)
    pictures = dark(positions, PARENTS)
    assert {cv2.connectedComponents(p.astype(np.uint8))[0] - 1 for p in pictures} == {1}
    assert not pictures[:, [0, -1]].any() and not pictures[:, :, [0, -1]].any()


def test_a_named_head_and_trunk_are_fuller():
    rng = np.random.default_rng(0)
    positions = rng.uniform(0, 1.7, (5, 19, 3)).astype(np.float32)
    plain, named = dark(positions, PARENTS), dark(positions, PARENTS, names=JOINTS)
    assert (plain <= named).all() and named.sum() > 1.05 * plain.sum()


def test_the_camera_follows_or_stands_far_enough_away():
    positions = pole(90)
    positions[..., 0] += np.linspace(0, 8, 90)[:, None]
    follow, fixed = dark(positions), dark(positions, camera="fixed")
    assert not follow[:, :, [0, -1]].any() and not fixed[:, :, [0, -1]].any()
    assert np.ptp([extent(picture, 0)[0] for picture in follow]) < 12
    assert extent(fixed[0], 0)[0] < 10 and extent(fixed[-1], 0)[1] > 198


def test_a_figure_of_nothing_and_an_unknown_camera_are_refused():
    with pytest.raises(UserError, match="nothing to draw"):
        dark(np.zeros((3, 3, 3)))
    with pytest.raises(ValueError, match="camera must be one of follow, fixed"):
        dark(pole(), camera="drone")

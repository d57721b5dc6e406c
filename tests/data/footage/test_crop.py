"""One steady view a clip, which holds the dancer, keeps the aspect and moves nothing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dancenet.data.footage.crop import (
    Box,
    View,
    crop_view,
    follow_boxes,
    letterbox_view,
    mask_box,
    median_over_time,
)

ASPECT = 208 / 120


def boxes_of(*rows):
    return np.array(rows, dtype=float)


def test_the_crop_holds_every_box_and_has_the_aspect_of_a_frame():
    rng = np.random.default_rng(0)
    corners = rng.uniform(200, 500, (50, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 80, (50, 2))], axis=1)
    boxes = np.repeat(boxes, 5, axis=0)  # slow enough that no pose counts as an outlier
    box = crop_view(boxes, 1000, 800).box
    assert box.width / box.height == pytest.approx(ASPECT)
    assert box.left <= boxes[:, 0].min() and box.right >= boxes[:, 2].max()
    assert box.top <= boxes[:, 1].min() and box.bottom >= boxes[:, 3].max()


def test_one_stray_frame_does_not_widen_the_crop():
    boxes = np.tile(boxes_of([400, 300, 450, 400]), (100, 1))
    calm = crop_view(boxes, 1000, 800)
    boxes[50] = (0, 0, 1000, 800)
    assert crop_view(boxes, 1000, 800) == calm


def test_frames_without_a_dancer_do_not_count():
    boxes = np.tile(boxes_of([400, 300, 450, 400]), (20, 1))
    calm = crop_view(boxes, 1000, 800)
    assert crop_view(np.concatenate([boxes, np.full((5, 4), np.nan)]), 1000, 800) == calm


def test_the_crop_is_moved_into_the_picture():
    box = crop_view(np.tile(boxes_of([5, 100, 60, 300]), (9, 1)), 1000, 600).box
    assert box.left == 0 and box.width == pytest.approx(box.height * ASPECT)


def test_a_body_cut_off_by_the_picture_is_cut_off_by_the_frame():
    # The dancer reaches the lower border of a wide picture: no background below the cut.
    box = crop_view(np.tile(boxes_of([300, 40, 420, 360]), (9, 1)), 640, 360).box
    assert box.bottom == pytest.approx(360)
    # Filling the whole height of a 208x120 picture, the view is that picture.
    assert crop_view(np.tile(boxes_of([90, 0, 130, 120]), (9, 1)), 208, 120).box == pytest.approx(
        (0, 0, 208, 120)
    )


def test_an_upright_picture_is_shown_whole_with_background_at_its_sides():
    box = crop_view(np.tile(boxes_of([20, 30, 340, 620]), (9, 1)), 360, 640).box
    assert box.left < 0 and box.right > 360
    assert (box.left + box.right) / 2 == pytest.approx(180)


@pytest.mark.parametrize(("width", "height"), [(640, 360), (360, 640), (208, 120), (100, 100)])
def test_the_letterbox_shows_the_whole_picture_in_the_middle(width, height):
    box = letterbox_view(width, height).box
    assert box.width / box.height == pytest.approx(ASPECT)
    assert box.left <= 1e-9 and box.top <= 1e-9
    assert box.right >= width - 1e-9 and box.bottom >= height - 1e-9
    assert min(box.width - width, box.height - height) == pytest.approx(0, abs=1e-9)
    assert (box.left + box.right) / 2 == pytest.approx(width / 2)


def test_a_circle_stays_a_circle():
    picture = np.zeros((600, 400), np.uint8)
    cv2.circle(picture, (200, 300), 120, 255, -1)
    box = mask_box(letterbox_view(400, 600).cut(picture) > 127)
    assert box.width == pytest.approx(box.height, abs=1.5)


def test_cut_and_place_agree_on_where_things_are():
    picture = np.zeros((300, 500), np.uint8)
    picture[100:180, 200:260] = 255
    view = View(Box(100, 50, 100 + 347, 50 + 347 / ASPECT))
    cut = view.cut(picture) > 127
    placed = view.place(picture[80:200, 170:290] / 255.0, Box(170, 80, 290, 200)) > 0.5
    assert np.count_nonzero(cut != placed) < 0.01 * np.count_nonzero(cut) + 200 * 0.5
    assert mask_box(cut) == pytest.approx(mask_box(placed), abs=1.01)


def test_beyond_the_picture_is_not_inside():
    view = letterbox_view(100, 120)
    inside = view.inside((120, 100, 3))
    assert inside.shape == view.canvas == (240, 416)
    assert inside.mean() == pytest.approx(100 / 208, abs=0.01)
    assert not inside[:, 0].any() and inside[:, 208].all()


def test_mask_box_is_tight_and_none_for_an_empty_mask():
    mask = np.zeros((20, 30), bool)
    assert mask_box(mask) is None
    mask[3:7, 5:11] = True
    assert mask_box(mask) == (5, 3, 11, 7)


def test_followed_squares_hold_the_dancer_and_move_smoothly():
    times = np.arange(120) / 30
    centre = 300 + 150 * np.sin(times * 3)
    boxes = np.stack([centre - 30, np.full(120, 100), centre + 30, np.full(120, 260)], axis=1)
    boxes[60] = np.nan  # lost for a frame
    squares = follow_boxes(boxes, 30)
    found = ~np.isnan(boxes).any(axis=1)
    assert not np.isnan(squares).any()
    np.testing.assert_allclose(squares[:, 2] - squares[:, 0], squares[:, 3] - squares[:, 1])
    assert (squares[found, :2] <= boxes[found, :2]).all()
    assert (squares[found, 2:] >= boxes[found, 2:]).all()
    assert np.abs(np.diff(squares, n=2, axis=0)).max() < 2  # pixels per frame squared


def test_a_median_over_time_removes_single_outliers_and_keeps_constants():
    values = np.full((9, 2), 3.0)
    values[4] = 100
    np.testing.assert_array_equal(median_over_time(values, 5), np.full((9, 2), 3.0))
    np.testing.assert_array_equal(median_over_time(values[:1], 5), values[:1])

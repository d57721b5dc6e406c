"""One steady view a clip, which holds the dancer, keeps the aspect and moves nothing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dancenet.data.footage.crop import (
    Box,
    View,
    choose_views,
    crop_view,
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


@pytest.mark.parametrize(
    "box", [(0, 0, 300), (-40, 10, 500), (120, 90, 200), (420, 250, 400), (-300, -200, 1800)]
)
def test_a_look_shows_what_a_cut_shows(box):
    left, top, width = box
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 255, (360, 640, 3), dtype=np.uint8), (0, 0), 9)
    view = View(Box(left, top, left + width, top + width * 120 / 208))
    inside = view.inside(picture.shape)
    apart = np.abs(view.look(picture).astype(int) - view.cut(picture))[inside]
    assert apart.mean() < 0.5 and apart.max() <= 6


def test_a_mark_is_drawn_where_the_map_to_the_canvas_says():
    picture = np.zeros((400, 500), np.float32)
    picture[120:129, 200:209] = 1  # its middle is pixel (204, 124)
    view = View(Box(100, 60, 100 + 208, 60 + 120))
    x, y = view.to_canvas[:, :2] @ (204, 124) + view.to_canvas[:, 2]
    for drawn in (view.cut(picture), view.look(picture)):
        rows, columns = np.nonzero(drawn > 0.5)
        assert (columns.mean(), rows.mean()) == pytest.approx((x, y), abs=0.6)


def walking(num_frames=120, step=8.0, top=200.0):
    """Boxes of a body 60 wide and 200 tall that walks across a picture of 1280x720."""
    left = 40 + step * np.arange(num_frames)
    columns = (left, np.full(num_frames, top), left + 60, np.full(num_frames, top + 200))
    return np.stack(columns, axis=1)


def heights(views, boxes):
    return [(box[3] - box[1]) / view.box.height for view, box in zip(views, boxes)]


def test_the_view_follows_a_dancer_who_would_be_small_in_a_steady_one():
    boxes = walking()
    steady = choose_views(boxes, (720, 1280), 30, "crop")
    moving = choose_views(boxes, (720, 1280), 30, "crop", pans=True)
    assert len(steady) == len(moving) == 120
    assert max(heights(steady, boxes)) < 0.4 and min(heights(moving, boxes)) > 0.8
    assert len({round(view.scale, 9) for view in moving}) == 1  # no zoom
    left = np.array([view.box.left for view in moving])
    assert np.abs(np.diff(left, n=2)).max() <= 2  # whole pixels, so one more or less
    assert len({view.box.top for view in moving}) == 1  # the floor stays
    for view, box in zip(moving, boxes):
        assert view.box.left <= box[0] and box[2] <= view.box.right


def test_a_dancer_who_stays_is_shown_by_a_view_that_stays():
    boxes = walking(step=0.5)
    views = choose_views(boxes, (720, 1280), 30, "crop", pans=True)
    assert len(set(views)) == 1
    assert views[0] == crop_view(boxes, 1280, 720)


def test_the_view_is_steady_or_moves_where_that_is_asked():
    slow, fast = walking(step=0.5), walking()
    assert len(set(choose_views(fast, (720, 1280), 30, "steady", pans=True))) == 1
    assert len(set(choose_views(slow, (720, 1280), 30, "follow"))) > 1
    assert len(set(choose_views(fast, (720, 1280), 30, "letterbox"))) == 1


def test_a_view_follows_a_camera_that_tilts():
    boxes = walking(step=0.0)
    boxes[:, [1, 3]] += 400 * np.sin(np.arange(120) / 40)[:, None]
    views = choose_views(boxes, (1280, 720), 30, "crop", pans=True)
    assert min(heights(views, boxes)) > 0.7
    assert len({view.box.left for view in views}) == 1


def test_frames_without_a_dancer_do_not_move_the_view():
    boxes = walking()
    lost = boxes.copy()
    lost[40:50] = np.nan
    views = choose_views(lost, (720, 1280), 30, "crop", pans=True)
    left = np.array([view.box.left for view in views])
    assert np.abs(np.diff(left, n=2)).max() <= 2


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


def test_a_median_over_time_removes_single_outliers_and_keeps_constants():
    values = np.full((9, 2), 3.0)
    values[4] = 100
    np.testing.assert_array_equal(median_over_time(values, 5), np.full((9, 2), 3.0))
    np.testing.assert_array_equal(median_over_time(values[:1], 5), values[:1])

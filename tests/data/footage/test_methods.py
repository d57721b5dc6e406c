"""Pictures become silhouettes; each method is held to the figure that was painted."""

from __future__ import annotations

import numpy as np
import pytest
from films import dancer_on, figure_mask, room, sway, wall

from dancenet.data.footage.crop import Box
from dancenet.data.footage.methods import (
    BackgroundMethod,
    ThresholdMethod,
    fill_holes,
    find_dancer,
    otsu,
    overlap,
    reduce_canvas,
    smooth_over_time,
    touches,
)


def test_otsu_parts_two_clean_levels_completely():
    grey = np.full((10, 10), 200, np.uint8)
    grey[:3] = 40
    level, separation = otsu(grey)
    assert 40 < level <= 200
    assert separation == pytest.approx(1)


def test_otsu_maximises_the_variance_between_the_classes():
    rng = np.random.default_rng(0)
    grey = np.concatenate([rng.normal(70, 20, 3000), rng.normal(160, 25, 5000)])
    grey = grey.clip(0, 255).astype(np.uint8)

    def between(level):
        low, high = grey[grey < level], grey[grey >= level]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2

    best = max(range(int(grey.min()) + 1, int(grey.max()) + 1), key=between)
    assert otsu(grey)[0] == pytest.approx(best, abs=1)


@pytest.mark.parametrize("dark_dancer", [True, False])
def test_threshold_finds_a_dancer_darker_or_brighter_than_the_wall(dark_dancer):
    scene, color = (wall(), (30, 20, 25)) if dark_dancer else (wall(color=(20, 25, 30)), (230,) * 3)
    frames = np.stack(dancer_on(scene, sway(5), color=color))
    method = ThresholdMethod.fit(frames)
    assert method.dark == dark_dancer
    truth = figure_mask(scene.shape, *sway(5)[2])
    assert overlap(method.probability(frames[2]) > 0.5, truth) == 1.0


def test_threshold_takes_grey_first_so_a_coloured_body_is_one_piece():
    # Blue above 20 and red below it: cut channel by channel this was a mixed grey.
    frames = np.stack(dancer_on(wall(), sway(3), color=(5, 10, 90)))
    probability = ThresholdMethod.fit(frames).probability(frames[0])
    assert (probability[figure_mask(frames[0].shape, *sway(3)[0])] == 1).all()


def test_a_given_level_and_side_are_kept():
    frames = np.stack(dancer_on(wall(), sway(3)))
    method = ThresholdMethod.fit(frames, level=77, invert=True)
    assert (method.level, method.dark) == (77.0, False)


def test_background_finds_a_dancer_in_a_full_room():
    scene = room()
    places = sway(40)
    frames = np.stack(dancer_on(scene, places, color=(250, 240, 20)))
    method = BackgroundMethod.fit(frames)
    np.testing.assert_array_equal(method.plate, scene)
    assert method.known.all()
    truth = figure_mask(scene.shape, *places[4])
    assert overlap(method.probability(frames[4]) > 0.5, truth) > 0.85


def test_a_shadow_is_not_the_dancer():
    scene = room()
    places = sway(40)
    frames = np.stack(dancer_on(scene, places, color=(250, 240, 20)))
    method = BackgroundMethod.fit(frames)
    shadowed = frames[4].copy()
    shadow = np.zeros(scene.shape[:2], bool)
    shadow[60:80, 10:70] = True
    shadow &= ~figure_mask(scene.shape, *places[4])
    shadowed[shadow] = (shadowed[shadow] * 0.8).astype(np.uint8)
    assert (method.probability(shadowed)[shadow] > 0.5).mean() < 0.05


def test_a_camera_that_changes_its_exposure_is_compensated():
    scene = wall(color=(120, 120, 120))
    places = sway(40)
    frames = np.stack(dancer_on(scene, places))
    method = BackgroundMethod.fit(frames)
    brighter = (frames[4].astype(int) + 8).clip(0, 255).astype(np.uint8)
    truth = figure_mask(scene.shape, *places[4])
    assert overlap(method.probability(brighter) > 0.5, truth) > 0.85


def test_pixels_known_to_be_occupied_do_not_enter_the_background():
    scene = room()
    places = [(80.0, 45.0)] * 15 + sway(10, reach=50)
    frames = np.stack(dancer_on(scene, places))
    occupied = np.stack([figure_mask(scene.shape, *place) for place in places])
    method = BackgroundMethod.fit(frames, occupied)
    assert (method.plate[method.known] == scene[method.known]).all()
    assert method.known.mean() > 0.9


def test_a_dancer_who_never_leaves_the_spot_is_whole_before_a_plain_wall():
    places = sway(40, reach=4)  # the trunk is 14 pixels wide: its middle never shows the wall
    frames = np.stack(dancer_on(wall(), places, size=80))
    method = BackgroundMethod.fit(frames)
    for index in (0, 5, 15):
        truth = figure_mask(frames[0].shape, *places[index], size=80)
        assert overlap(method.probability(frames[index]) > 0.5, truth) > 0.7


def test_the_dancer_is_the_largest_piece_with_what_is_near_it():
    probability = np.zeros((100, 200), np.float32)
    probability[20:80, 90:110] = 1  # body
    probability[30:34, 112:118] = 1  # a hand two pixels off
    probability[10:30, 10:30] = 1  # someone else
    mask = find_dancer(probability)
    assert mask[50, 100] and mask[32, 115] and not mask[20, 20]


def test_a_dancer_stays_the_same_person():
    probability = np.zeros((100, 200), np.float32)
    probability[20:80, 90:110] = 1
    probability[20:90, 150:175] = 1  # a larger passer-by
    assert find_dancer(probability)[50, 160]
    assert find_dancer(probability, near=Box(88, 20, 112, 80))[50, 100]


def test_a_speck_is_nobody():
    probability = np.zeros((100, 200), np.float32)
    probability[:5, :5] = 1
    assert not find_dancer(probability).any()
    assert not find_dancer(np.zeros((10, 10), np.float32)).any()


def test_small_holes_are_filled_and_large_ones_and_bays_kept():
    mask = np.zeros((60, 60), bool)
    mask[10:60, 10:50] = True
    mask[20:22, 20:22] = False
    mask[30:40, 30:40] = False
    mask[50:, 15:17] = False  # open at the border
    filled = fill_holes(mask, 10)
    assert filled[21, 21] and not filled[35, 35] and not filled[55, 16]


def test_reduction_by_area_is_binary_and_loses_no_half_covered_pixel():
    canvas = np.zeros((240, 416), np.float32)
    canvas[100:140, 101:201] = 1  # half covers the pixels of column 50 and 100
    canvas[100:140, 200] = 0.9
    frame = reduce_canvas(canvas)
    assert frame.shape == (120, 208) and frame.dtype == np.uint8
    assert set(np.unique(frame)) == {0, 255}
    assert (frame[50:70, 51:100] == 0).all() and (frame[50:70, :50] == 255).all()
    assert np.count_nonzero(frame == 0) == pytest.approx(40 * 100 / 4, rel=0.02)


def test_smoothing_over_time_keeps_a_constant_and_the_number_of_frames():
    canvases = [np.full((2, 2), 0.7, np.float32)] * 7
    smoothed = list(smooth_over_time(iter(canvases), 30))
    assert len(smoothed) == 7
    np.testing.assert_allclose(smoothed, canvases, atol=1e-6)
    assert list(smooth_over_time([], 30)) == []


def test_smoothing_keeps_a_limb_seen_once_and_does_not_invent_one():
    canvases = [np.full((1, 1), value, np.float32) for value in (0, 1, 0, 1, 1, 0, 1)]
    smoothed = [float(c[0, 0]) for c in smooth_over_time(canvases, 30)]
    assert smoothed[1] > 0.5 and smoothed[2] < 0.5 and smoothed[5] < 0.5


def test_at_a_low_rate_nothing_is_smoothed():
    canvases = [np.full((1, 1), value, np.float32) for value in (0, 1, 0)]
    assert [float(c[0, 0]) for c in smooth_over_time(canvases, 10)] == [0, 1, 0]


def test_overlap_is_intersection_over_union():
    first, second = np.zeros((2, 4, 4), bool)
    assert overlap(first, second) == 1
    first[:2], second[1:3] = True, True
    assert overlap(first, second) == pytest.approx(4 / 12)


def test_a_mask_touches_the_picture_not_the_canvas():
    inside = np.zeros((20, 40), bool)
    inside[:, 10:30] = True
    mask = np.zeros((20, 40), bool)
    mask[5:10, 12:20] = True
    assert not touches(mask, inside)
    mask[5:10, 10:20] = True
    assert touches(mask, inside)

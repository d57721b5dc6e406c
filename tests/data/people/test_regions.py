"""A region is cut out of a picture and mapped back to where it was."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from dancenet.data.people import regions
from dancenet.data.people.regions import Region

REGIONS = [
    Region(100, 80, 90, 0.0),
    Region(100, 80, 90, 0.6),
    Region(97.3, 81.6, 128, math.pi),
    Region(100, 80, 150, -2.1),
]


def spot(x: float, y: float, shape=(160, 200), radius: float = 4) -> np.ndarray:
    """A picture of a soft spot."""
    rows, columns = np.indices(shape)
    away = (columns - x) ** 2 + (rows - y) ** 2
    grey = 255 * np.exp(-away / (2 * radius**2))
    return np.repeat(grey[..., None], 3, axis=2).round().astype(np.uint8)


def centre(picture: np.ndarray) -> np.ndarray:
    """The centre of what is bright."""
    weights = picture[..., 0].astype(float)
    rows, columns = np.indices(weights.shape)
    return np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()


@pytest.mark.parametrize("region", REGIONS)
def test_a_spot_in_the_crop_maps_back_to_the_spot_in_the_picture(region):
    crop = regions.cut(spot(110, 70), region, 128, border=0)
    there = regions.to_picture(centre(crop)[None] / 128, region)
    assert np.abs(there - [110, 70]).max() < 0.5


@pytest.mark.parametrize("region", REGIONS)
def test_points_come_back_from_the_region(region):
    points = np.random.default_rng(0).uniform(-50, 250, (20, 2))
    there = regions.to_region(points, region)
    np.testing.assert_allclose(regions.to_picture(there, region), points, atol=1e-9)
    crop_pixels = there * 64
    turn = regions.matrix(region, 64)
    np.testing.assert_allclose(crop_pixels @ turn[:, :2].T + turn[:, 2], points, atol=1e-9)


def test_an_upright_square_of_its_own_size_is_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert np.array_equal(regions.cut(picture, regions.whole(picture.shape), 64), picture)


def test_a_turn_of_a_quarter_is_that_of_numpy():
    picture = np.random.default_rng(0).integers(0, 256, (65, 65, 3), np.uint8)
    # About the centre of the middle pixel, with a side that puts it on a pixel of the crop.
    crop = regions.cut(picture, Region(32, 32, 64, math.pi / 2), 64)
    # The crop's right is the picture's bottom.
    expected = np.rot90(picture)[:64, :64]
    assert np.array_equal(crop, expected)


def test_a_wide_picture_is_letterboxed_with_its_aspect_kept():
    picture = np.full((50, 100, 3), 200, np.uint8)
    crop = regions.cut(picture, regions.whole(picture.shape), 100, border=0)
    assert (crop[26:74] == 200).all() and (crop[:24] == 0).all() and (crop[77:] == 0).all()


def test_outside_the_picture_its_edge_goes_on_unless_a_grey_level_is_asked_for():
    picture = np.full((40, 40, 3), 90, np.uint8)
    beyond = Region(-100, -100, 40)
    assert (regions.cut(picture, beyond, 16) == 90).all()
    assert (regions.cut(picture, beyond, 16, border=7) == 7).all()


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.5])
def test_a_large_picture_is_averaged_and_the_spot_stays_where_it_is(angle):
    picture = spot(1203.4, 897.7, (1600, 2000), radius=60)
    region = Region(1150, 850, 1500, angle)
    crop = regions.cut(picture, region, 128, border=0)
    there = regions.to_picture(centre(crop)[None] / 128, region)
    assert np.abs(there - [1203.4, 897.7]).max() < 0.5


def test_a_fine_pattern_in_a_large_picture_becomes_grey_and_not_a_coarse_one():
    picture = np.zeros((1024, 1024, 3), np.uint8)
    picture[::2] = 255
    crop = regions.cut(picture, regions.whole(picture.shape), 128)
    assert np.ptp(crop[2:-2].astype(int)) <= 2


@pytest.mark.parametrize("shape", [(10, 10, 3), (1, 1, 3), (1, 3000, 3), (3000, 2, 3)])
def test_a_tiny_or_thin_picture_gives_a_crop(shape):
    picture = np.full(shape, 60, np.uint8)
    crop = regions.cut(picture, regions.whole(shape), 224)
    assert crop.shape == (224, 224, 3) and (crop == 60).all()


@pytest.mark.parametrize("degrees", range(-170, 190, 40))
def test_two_points_of_a_body_give_a_region_in_which_it_stands(degrees):
    turn = math.radians(degrees)
    hips = np.array([120.0, 90.0])
    rim = hips + 50 * np.array([math.sin(turn), -math.cos(turn)])
    region = regions.around(hips, rim, 1.25)
    assert region.size == pytest.approx(125)
    assert math.remainder(region.angle - turn, 2 * math.pi) == pytest.approx(0, abs=1e-9)
    in_region = regions.to_region(np.stack([hips, rim]), region)
    np.testing.assert_allclose(in_region, [[0.5, 0.5], [0.5, 0.1]], atol=1e-9)


def test_two_points_in_one_place_give_a_region_still():
    region = regions.around(np.array([5.0, 5.0]), np.array([5.0, 5.0]), 1.25)
    assert region.size > 0 and cv2.checkRange(np.array(region))

"""Feet stay where they stand, and nothing else of a dance changes."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.data.motion.feet import find_feet, floor_height, plant_feet

FEET = np.array([1, 2])
REST = np.zeros(2)


def walker(num_frames=120, slide=0.0):
    """Returns a head and two feet (T, 3, 3): each foot stands while the other swings.

    The body goes 1 m/s along x; `slide` is how much faster it goes, m/s, without its feet.
    """
    time = np.arange(num_frames) / 30.0
    positions = np.zeros((num_frames, 3, 3))
    positions[:, 0] = np.stack([time, np.full_like(time, 1.6), np.zeros_like(time)], axis=1)
    for foot, phase in ((1, 0.0), (2, 0.5)):
        # In a second each foot stands for half and swings 1 m in the other half.
        cycle = np.floor(time + phase)
        part = (time + phase) % 1.0
        swing = np.clip(part - 0.5, 0, 0.5) / 0.5
        positions[:, foot, 0] = cycle + swing - phase
        positions[:, foot, 1] = 0.2 * np.sin(np.pi * swing)
        positions[:, foot, 2] = 0.1 * (-1) ** foot
    positions[..., 0] += (slide * time)[:, None]
    return positions.astype(np.float32)


def slid(positions):
    """Returns the metres a second that the lower foot moves over the floor."""
    feet = positions[:, FEET]
    steps = np.linalg.norm(np.diff(feet[..., [0, 2]], axis=0), axis=-1) * 30
    # A foot that has touched down and not yet left.
    low = np.maximum(feet[:-1, :, 1], feet[1:, :, 1]) < 1e-3
    return steps[low].mean()


def test_feet_that_slide_come_to_stand():
    sliding = walker(slide=0.4)
    assert slid(sliding) == pytest.approx(0.4, abs=0.02)
    planted = plant_feet(sliding, 30.0, FEET, REST)
    assert slid(planted) < 0.1


def test_a_dance_whose_feet_stand_keeps_its_way():
    true = walker()
    planted = plant_feet(true, 30.0, FEET, REST)
    # 4 m in 4 s; what is left is the frame in which a foot lands.
    assert np.abs(planted - true).max() < 0.35
    assert slid(planted) < 0.05


def test_poses_and_heights_are_not_touched():
    sliding = walker(slide=0.4)
    planted = plant_feet(sliding, 30.0, FEET, REST)
    np.testing.assert_allclose(planted - planted[:, :1], sliding - sliding[:, :1], atol=1e-5)
    np.testing.assert_array_equal(planted[..., 1], sliding[..., 1])
    np.testing.assert_array_equal(planted[0], sliding[0])


def test_a_dancer_in_the_air_flies_on():
    jumping = walker(slide=0.4)
    jumping[20:, :, 1] += 0.5
    planted = plant_feet(jumping, 30.0, FEET, REST)
    step = np.diff(planted[40:, 0, 0])
    np.testing.assert_allclose(step, np.diff(jumping[40:, 0, 0]), atol=1e-5)


def test_the_feet_are_the_joints_that_rest_on_the_floor():
    feet, rest = find_feet(walker())
    assert feet.tolist() == [1, 2]
    np.testing.assert_allclose(rest, 0, atol=1e-6)


def test_the_floor_is_where_the_lowest_foot_usually_is():
    high = walker() + np.float32([0, 0.3, 0])
    assert floor_height(high) == pytest.approx(0.3, abs=1e-6)


@pytest.mark.parametrize("num_frames", [1, 2])
def test_the_shortest_motions_are_planted_too(num_frames):
    short = walker(num_frames)
    assert plant_feet(short, 30.0, FEET, REST).shape == short.shape


def test_a_body_without_feet_is_left_alone():
    sliding = walker(slide=0.4)
    none = np.zeros(0, int)
    np.testing.assert_array_equal(plant_feet(sliding, 30.0, none, np.zeros(0)), sliding)

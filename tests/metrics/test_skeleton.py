"""Measures of bodies, on motions whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.metrics.skeleton import (
    GROUND,
    bone_spread,
    diversity,
    foot_slide,
    kinetic_features,
    style_share,
)

FEET, REST = np.array([1]), np.array([0.02])


def standing(num_frames=61, speed=(0.0, 0.0, 0.0), height=0.02):
    """Returns a hip and a foot (T, 2, 3) that move at one speed, m/s, at 30 frames/s."""
    time = np.arange(num_frames)[:, None] / 30
    hip = np.array([0.0, 1.0, 0.0]) + time * speed
    foot = np.array([0.1, height, 0.0]) + time * speed
    return np.stack([hip, foot], axis=1)


def test_a_rigid_body_has_no_spread_wherever_it_moves_and_turns():
    angle = np.linspace(0, 6, 61)
    body = standing(speed=(1.0, 0.2, 0.0))
    turned = body.copy()
    turned[..., 0] = body[..., 0] * np.cos(angle)[:, None] - body[..., 2] * np.sin(angle)[:, None]
    turned[..., 2] = body[..., 0] * np.sin(angle)[:, None] + body[..., 2] * np.cos(angle)[:, None]
    assert bone_spread(turned, (-1, 0)) == pytest.approx(0, abs=1e-12)


def test_a_bone_that_is_a_tenth_longer_and_shorter_by_turns_has_a_spread_of_a_tenth():
    body = standing(60)
    body[:, 0] = body[:, 1] + np.array([0, 1.0, 0]) * np.where(np.arange(60) % 2, 1.1, 0.9)[:, None]
    assert bone_spread(body, (-1, 0)) == pytest.approx(0.1)


def test_a_bone_without_a_length_is_passed_over():
    body = standing()
    longer = np.concatenate([body, body[:, 1:]], axis=1)
    assert bone_spread(longer, (-1, 0, 1)) == pytest.approx(0.0, abs=1e-12)


def test_a_foot_that_slides_on_the_floor_scores_its_speed():
    slide = foot_slide(standing(speed=(0.18, 0.0, 0.24)), 30.0, FEET, REST)
    assert slide.shape == (60,)
    np.testing.assert_allclose(slide, 0.3)


@pytest.mark.parametrize("body", [standing(), standing(speed=(1.0, 0.0, 0.0), height=0.3)])
def test_a_planted_foot_and_one_in_the_air_do_not_slide(body):
    np.testing.assert_allclose(foot_slide(body, 30.0, FEET, REST), 0.0, atol=1e-12)


def test_half_way_up_a_foot_counts_less():
    body = standing(speed=(1.0, 0.0, 0.0), height=0.02 + GROUND / 2)
    np.testing.assert_allclose(foot_slide(body, 30.0, FEET, REST), 2 - np.sqrt(2))


def test_uniform_motion_has_the_squares_of_its_speeds_and_no_acceleration():
    windows = np.stack([standing(speed=(3.0, 2.0, 4.0)), standing()])
    features = kinetic_features(windows, 30.0)
    np.testing.assert_allclose(features, [[25, 25, 4, 4, 0, 0], [0] * 6], atol=1e-9)


def test_a_circle_has_the_acceleration_of_a_circle():
    time = np.arange(600) / 300
    circle = np.stack([np.cos(time), np.zeros(600), np.sin(time)], axis=1)[None, :, None]
    features = kinetic_features(circle, 300.0)
    # Radius 1 m, 1 rad/s: 1 m/s and 1 m/s^2.
    np.testing.assert_allclose(features, [[1, 0, 1]], atol=1e-4)


def test_diversity_is_the_mean_distance_of_pairs():
    assert diversity(np.array([[0.0, 0], [3, 4], [0, 0]])) == pytest.approx((5 + 5 + 0) / 3)


def test_windows_near_those_of_a_style_are_of_it_however_few_those_are():
    rng = np.random.default_rng(0)
    known = np.concatenate([rng.normal(0, 1, (500, 3)), rng.normal(1.5, 0.3, (10, 3))])
    styles = np.repeat([0, 1], [500, 10])
    assert style_share(rng.normal(1.5, 0.3, (50, 3)), known, styles, 1) > 0.9
    assert style_share(rng.normal(-1, 0.3, (50, 3)), known, styles, 0) == 1.0
    assert style_share(rng.normal(-1, 0.3, (50, 3)), known, styles, 1) == 0.0

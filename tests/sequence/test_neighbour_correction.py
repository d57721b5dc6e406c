"""The correction leaves real motion alone and moves vectors that have left it back."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.sequence.neighbour_correction import FREE, NeighbourCorrection


def seed_clips(count=12, length=20, dim=3, seed=0):
    """Points on the unit circle in the first two dimensions, each clip with its own third."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, (count, 1)) + 0.3 * np.arange(length)
    third = np.broadcast_to(rng.normal(0, 0.1, (count, 1)), angle.shape)
    return np.stack([np.cos(angle), np.sin(angle), third], axis=2).astype(np.float32)


def test_what_was_danced_is_left_as_it_is():
    real = seed_clips()
    neighbour_correction = NeighbourCorrection(real, np.ones(3), 0.5)
    assert neighbour_correction.radius > 0
    assert (neighbour_correction(real[3]) == real[3]).all()


def test_what_is_far_away_comes_nearer_by_the_share_that_is_told():
    real = seed_clips()
    neighbour_correction = NeighbourCorrection(real, np.ones(3), 0.5)
    far = np.array([[30.0, 0, 0]], np.float32)
    led = neighbour_correction(far)
    # Of 29 or so to the circle, half, less the radius within which nothing is done.
    expected = 0.5 * (neighbour_correction.distance(far[0]) - neighbour_correction.radius)
    assert np.linalg.norm(led - far) == pytest.approx(expected, rel=0.02)
    for _ in range(200):
        led = neighbour_correction(led)
    assert neighbour_correction.distance(led[0]) <= neighbour_correction.radius * 1.05


def test_strength_zero_changes_nothing():
    far = np.full((2, 3), 9, np.float32)
    assert (NeighbourCorrection(seed_clips(), np.ones(3), 0.0)(far) == far).all()


def test_the_radius_is_the_usual_distance_between_clips():
    # Parallel lines, one unit apart: the nearest other one that does not count as the same
    # moment is four lines away.
    lines = np.zeros((9, 10, 2), np.float32)
    lines[:, :, 0] = np.arange(10)
    lines[:, :, 1] = np.arange(9)[:, None]
    assert NeighbourCorrection(lines, np.ones(2), 0.1).radius == pytest.approx(FREE * 4)
    assert NeighbourCorrection(lines, np.array([1.0, 0.5]), 0.1).radius == pytest.approx(FREE * 2)


def test_a_single_clip_has_no_others_and_is_always_corrected():
    neighbour_correction = NeighbourCorrection(seed_clips(count=1), np.ones(3), 1.0)
    assert neighbour_correction.radius == 0
    led = neighbour_correction(np.array([[2.0, 0, 0]], np.float32))
    assert neighbour_correction.distance(led[0]) < 0.2


def test_a_direction_that_hardly_shows_hardly_counts():
    real = seed_clips()
    neighbour_correction = NeighbourCorrection(real, np.array([1.0, 1.0, 1e-3]), 0.5)
    off = real[0].copy()
    off[:, 2] += 5
    assert (neighbour_correction(off) == off).all()


def test_a_row_does_not_depend_on_those_beside_it():
    rng = np.random.default_rng(1)
    vectors = rng.normal(0, 3, (7, 3)).astype(np.float32)
    neighbour_correction = NeighbourCorrection(seed_clips(), np.ones(3), 0.3)
    alone = np.concatenate([neighbour_correction(vector[None]) for vector in vectors])
    assert (neighbour_correction(vectors) == alone).all()


def test_a_strength_outside_of_its_range_is_refused():
    with pytest.raises(ValueError, match=r"strength must be in \[0, 1\]; received 1.5"):
        NeighbourCorrection(seed_clips(), np.ones(3), 1.5)

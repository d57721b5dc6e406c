"""Runs that stand still, jitter, loop or drift, as they were made to."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.metrics import motion
from dancenet.metrics.motion import Gaussian

FPS = 30.0


def circle(seconds: float, period: float, fps: float = FPS) -> np.ndarray:
    angle = 2 * np.pi * np.arange(round(seconds * fps)) / (period * fps)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def test_a_step_of_three_and_four_has_the_speed_five():
    assert motion.speeds(np.array([[0.0, 0.0], [3.0, 4.0]])).tolist() == [5.0]


def test_a_straight_line_has_one_smoothed_speed():
    line = np.arange(30.0)[:, None] * [3.0, 4.0]
    assert motion.smoothed_speeds(line, FPS) == pytest.approx(np.full(24, 5.0))


def test_jitter_in_place_is_slow():
    jitter = np.tile([[0.0], [1.0]], (60, 1))
    assert motion.speeds(jitter).mean() == 1.0
    assert motion.smoothed_speeds(jitter, FPS).max() == 0.0


def test_a_frozen_run_freezes_and_a_moving_one_does_not():
    usual = float(np.median(motion.smoothed_speeds(circle(4, 2), FPS)))
    assert motion.still_share([np.ones((60, 2))], FPS, usual) == 1.0
    assert motion.still_share([circle(4, 2)], FPS, usual) == 0.0


def test_only_half_a_second_of_rest_is_a_freeze():
    def walk(rest: int) -> np.ndarray:
        steps = np.concatenate([np.ones(60), np.zeros(rest), np.ones(60)])
        return np.cumsum(steps)[:, None]

    # Of a rest of n frames, n - 5 have a smoothed speed (over 6 frames) of nothing.
    assert motion.still_share([walk(20)], FPS, 1.0) == pytest.approx(15 / 134)
    assert motion.still_share([walk(19)], FPS, 1.0) == 0.0


def test_a_run_too_short_for_a_speed_has_no_share():
    assert np.isnan(motion.still_share([np.ones((6, 2))], FPS, 1.0))


def test_a_parabola_has_no_third_difference_and_a_cubic_has_six():
    time = np.arange(20.0)[:, None]
    assert motion.third_differences(time**2) == pytest.approx(np.zeros(17), abs=1e-9)
    assert motion.third_differences(time**3) == pytest.approx(np.full(17, 6.0))


def test_white_noise_has_the_third_difference_of_its_variance():
    # The weights 1, 3, 3, 1 make the variance 20; the mean length of 400 such is near sqrt(8000).
    noise = np.random.default_rng(0).normal(size=(2000, 400))
    assert motion.third_differences(noise).mean() == pytest.approx(np.sqrt(20 * 400), rel=0.01)


def test_a_loop_fits_itself():
    assert motion.highest_autocorrelation(circle(10, 2.5), FPS) == pytest.approx(1.0, abs=0.01)


def test_a_loop_of_less_than_a_second_is_found_at_a_later_round():
    assert motion.highest_autocorrelation(circle(10, 0.8), FPS) == pytest.approx(1.0, abs=0.01)


def test_noise_does_not_fit_itself():
    noise = np.random.default_rng(0).normal(size=(300, 20))
    assert motion.highest_autocorrelation(noise, FPS) < 0.15


def test_the_autocorrelation_is_that_of_the_plain_sums():
    rng = np.random.default_rng(1)
    window = np.cumsum(rng.normal(size=(80, 3)), axis=0)
    centred = window - window.mean(axis=0)
    expected = max(
        (centred[:-lag] * centred[lag:]).sum()
        / np.sqrt((centred[:-lag] ** 2).sum() * (centred[lag:] ** 2).sum())
        for lag in range(11, 41)
    )
    assert motion.highest_autocorrelation(window, 10.0) == pytest.approx(expected)


def test_standing_still_is_no_loop():
    assert motion.highest_autocorrelation(np.full((300, 4), 3.3), FPS) == 0.0


def test_a_window_too_short_for_a_lag_is_refused():
    with pytest.raises(ValueError, match="60 frames at 30 frames/s are too short"):
        motion.highest_autocorrelation(np.zeros((60, 2)), FPS)


def test_loops_are_looked_for_inside_runs():
    runs = [circle(9, 2), circle(14, 2)]
    # Nothing in 9 s, and starts at 0, 2 and 4 s of 14.
    assert motion.autocorrelations(runs, FPS) == pytest.approx([1, 1, 1], abs=0.01)


def test_what_doubles_has_drifted_by_two():
    values = np.repeat([1.0, 5.0, 2.0], 300)
    assert motion.last_over_first(values, FPS) == 2.0
    assert motion.bins(values, FPS).tolist() == [1.0, 5.0, 2.0]
    # The third of the bins is not whole.
    assert motion.last_over_first(values[:-1], FPS) == 5.0


def test_shares_are_weighted_by_what_they_are_shares_of():
    share, size = np.array([1.0, 0.0] * 20), np.array([3.0, 1.0] * 20)
    assert motion.bins(share, 1.0, size).tolist() == [0.75] * 4


def test_less_than_two_bins_cannot_drift():
    assert np.isnan(motion.last_over_first(np.ones(599), FPS))
    assert np.isnan(motion.last_over_first(np.zeros(600), FPS))


def test_the_mahalanobis_distance_counts_standard_deviations():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200_000, 2)) * [3.0, 0.5]
    gaussian = Gaussian.fit(vectors)
    found = gaussian.distance(np.array([[6.0, 0.0], [0.0, 1.0], [3.0, 0.5]]))
    assert found == pytest.approx([2.0, 2.0, np.sqrt(2)], rel=0.02)
    assert np.square(gaussian.distance(vectors)).mean() == pytest.approx(2.0, rel=1e-4)


def test_a_gaussian_has_its_entropy_as_likelihood_of_its_own_vectors():
    vectors = np.random.default_rng(0).normal(size=(1000, 3)) * [1.0, 2.0, 4.0]
    expected = (
        0.5 * (np.log(2 * np.pi) + 1)
        + np.linalg.slogdet(np.cov(vectors, rowvar=False, bias=True))[1] / 6
    )
    assert Gaussian.fit(vectors).nll(vectors) == pytest.approx(expected, abs=1e-4)


def test_a_direction_that_never_varies_is_no_obstacle():
    vectors = np.random.default_rng(0).normal(size=(100, 3))
    vectors[:, 1] = 7.0
    assert np.isfinite(Gaussian.fit(vectors).distance(vectors)).all()

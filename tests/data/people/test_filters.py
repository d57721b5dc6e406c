"""The One-Euro filter against its paper's formula, and what it must leave as it is."""

from __future__ import annotations

import math

import numpy as np

from dancenet.data.people import filters
from dancenet.data.people.filters import OneEuro, OneEuroSettings


def by_the_paper(values, times, settings, scale):
    """Casiez et al. 2012, algorithm 1, one number at a time, with speeds in sizes of the body."""

    def alpha(cutoff, step):
        tau = 1 / (2 * math.pi * cutoff)
        return 1 / (1 + tau / step)

    out, last, value, speed = [], None, None, 0.0
    for x, time in zip(values, times, strict=True):
        if last is None:
            value = x
        else:
            step = time - last[1]
            share = alpha(settings.d_cutoff, step)
            speed = share * (x - last[0]) / step / scale + (1 - share) * speed
            share = alpha(settings.min_cutoff + settings.beta * abs(speed), step)
            value = share * x + (1 - share) * value
        last = (x, time)
        out.append(value)
    return np.array(out)


def test_the_filter_is_that_of_the_paper_for_uneven_times():
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.01, 0.08, 50))
    values = np.cumsum(rng.normal(size=(50, 3, 2)), axis=0)
    smooth = OneEuro(filters.MOVENET)
    got = np.array([smooth(x, time, 7.0) for x, time in zip(values, times, strict=True)])
    for row in range(3):
        for axis in range(2):
            expected = by_the_paper(values[:, row, axis], times, filters.MOVENET, 7.0)
            np.testing.assert_allclose(got[:, row, axis], expected, rtol=1e-12)


def test_what_rests_stays_and_a_twitch_is_damped():
    smooth = OneEuro(OneEuroSettings(0.5, 0.0, 1.0))
    for index in range(5):
        np.testing.assert_array_equal(smooth(np.ones(2), index / 30), [1, 1])
    moved = smooth(np.full(2, 2.0), 5 / 30)
    assert (1 < moved).all() and (moved < 1.2).all()


def test_a_time_that_is_not_later_and_a_new_start_give_the_values_themselves():
    smooth = OneEuro(filters.LANDMARKS)
    smooth(np.zeros(2), 1.0)
    np.testing.assert_array_equal(smooth(np.full(2, 9.0), 1.0), [9, 9])
    np.testing.assert_array_equal(smooth(np.full(2, 9.0), 0.5), [9, 9])
    smooth.reset()
    np.testing.assert_array_equal(smooth(np.full(2, 5.0), 0.1), [5, 5])


def test_two_scales_of_one_movement_are_smoothed_alike():
    times, walk = np.arange(30) / 25, np.cumsum(np.random.default_rng(1).normal(size=30))
    small, large = OneEuro(filters.LANDMARKS), OneEuro(filters.LANDMARKS)
    one = [float(small(np.array(x), t, 2.0)) for x, t in zip(walk, times, strict=True)]
    two = [float(large(np.array(50 * x), t, 100.0)) for x, t in zip(walk, times, strict=True)]
    np.testing.assert_allclose(np.array(two) / 50, one, rtol=1e-9)


def rows(values: np.ndarray) -> np.ndarray:
    """One joint (T,) as (T, 1, 2)."""
    return np.stack([values, -values], axis=1)[:, None]


def smoothed(values: np.ndarray, fps: float = 30, weights: np.ndarray | None = None) -> np.ndarray:
    """Smooths a film of one joint, frame by frame."""
    reach = filters.reach(fps)
    found = []
    for place in range(len(values)):
        part = slice(max(0, place - reach), place + reach + 1)
        times = np.arange(len(values))[part] / fps
        sure = np.ones(values.shape[:2]) if weights is None else weights
        middle = place - part.start
        found.append(filters.smooth_at(values[part], sure[part], times, middle, 100.0))
    return np.array(found)


def test_a_film_is_smoothed_without_lag():
    time = np.arange(90) / 30
    swing = 40 * np.sin(2 * np.pi * 1.2 * time)  # 1.2 swings a second
    found = smoothed(rows(swing))[10:-10, 0, 0]
    lags = range(-3, 4)
    fits = [np.abs(found - np.roll(swing, lag)[10:-10]).mean() for lag in lags]
    assert lags[int(np.argmin(fits))] == 0
    assert found.max() > 0.97 * swing.max()  # peaks keep their height


def test_backwards_is_the_same_as_forwards():
    values = rows(np.cumsum(np.random.default_rng(2).normal(size=60)))
    np.testing.assert_allclose(smoothed(values)[::-1], smoothed(values[::-1]), atol=1e-3)


def test_a_point_at_rest_trembles_much_less_and_a_moving_one_a_little():
    noise = np.random.default_rng(3).normal(0, 0.4, 300)
    rest = smoothed(rows(noise))[:, 0, 0]
    assert np.std(rest) < 0.45 * np.std(noise)
    moving = np.arange(300) * 3.0  # 90 units, nearly its own size, a second
    left = smoothed(rows(moving + noise))[:, 0, 0] - moving
    assert 0.45 * np.std(noise) < np.std(left) < np.std(noise)


def test_what_a_point_does_for_one_frame_only_is_left_out():
    values = rows(np.arange(60) * 1.0)
    values[30] += 30
    assert np.abs(smoothed(values)[30, 0, 0] - 30) < 3


def test_a_point_that_is_not_sure_follows_its_neighbours():
    values = rows(np.arange(60) * 1.0)
    values[28:32] += 5
    weights = np.ones((60, 1))
    weights[28:32] = 0.02
    assert np.abs(smoothed(values, weights=weights)[30, 0, 0] - 30) < 1


def test_few_frames_and_a_slow_film_stay_as_they_are():
    values = rows(np.random.default_rng(4).normal(0, 20, 8))
    np.testing.assert_allclose(smoothed(values[:2]), values[:2], rtol=1e-6)
    np.testing.assert_allclose(smoothed(values, fps=4), values, atol=1.5)

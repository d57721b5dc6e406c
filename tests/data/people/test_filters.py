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

"""Motion at another rate: along Catmull-Rom splines, whole or one frame at a time."""

from __future__ import annotations

import numpy as np
import pytest
from bodies import body_clip

from dancenet.data.motion.resample import resample_stream


def polynomial(times, *coefficients):
    """Returns (T, 19, 3) positions that are one polynomial of time, scaled per joint."""
    values = np.polynomial.polynomial.polyval(times, coefficients)
    return values[:, None, None] * np.linspace(0.5, 1.5, 19 * 3).reshape(19, 3)


def test_a_straight_even_motion_stays_straight_and_even_at_any_lower_rate():
    clip = body_clip(polynomial(np.arange(61) / 60, 1.0, 2.0), fps=60)
    slow = clip.resample(24)
    times = np.arange(slow.num_frames) / 24
    assert slow.fps == 24 and slow.num_frames == 25
    inner = slice(1, -1)  # a spline has one neighbour less at either end
    assert np.allclose(slow.positions[inner], polynomial(times, 1.0, 2.0)[inner], atol=1e-5)


def test_an_accelerated_motion_is_resampled_without_error():
    # A Catmull-Rom spline reproduces parabolas (the chord slope of a parabola is its tangent).
    clip = body_clip(polynomial(np.arange(51) / 50, 0.0, 1.0, -3.0), fps=50)
    slow = clip.resample(30)
    times = np.arange(slow.num_frames) / 30
    assert np.allclose(slow.positions[1:-1], polynomial(times, 0.0, 1.0, -3.0)[1:-1], atol=1e-5)


def test_a_whole_fraction_of_the_rate_takes_recorded_frames():
    positions = np.random.default_rng(0).normal(size=(121, 19, 3))
    slow = body_clip(positions, fps=120).resample(30)
    assert np.allclose(slow.positions, positions[::4], atol=1e-5)


def test_a_rate_is_never_raised():
    clip = body_clip(np.zeros((25, 19, 3)), fps=25)
    assert clip.resample(30) is clip


def test_almost_the_same_rate_keeps_the_frames_and_takes_the_name():
    clip = body_clip(np.zeros((30, 19, 3)), fps=29.97)
    assert clip.resample(30).fps == 30
    assert clip.resample(30).positions is clip.positions


def test_a_resampled_frame_is_good_only_between_good_frames():
    ok = [True, True, True, False, True, True, True]
    slow = body_clip(np.zeros((7, 19, 3)), fps=60, ok=ok).resample(40)  # at 0, 1.5, 3, 4.5, 6
    assert slow.ok.tolist() == [True, True, False, True, True]


@pytest.mark.parametrize("ratio", [4.0, 2.0, 1.5])
def test_a_stream_is_resampled_as_a_whole_clip_is_up_to_its_last_neighbours(ratio):
    positions = np.random.default_rng(0).normal(size=(40, 19, 3)).astype(np.float32)
    whole = body_clip(positions, fps=30).resample(30 / ratio).positions
    streamed = np.array(list(resample_stream(positions, ratio, 1000)))
    assert len(whole) - 2 <= len(streamed) <= len(whole)
    assert np.allclose(streamed, whole[: len(streamed)], atol=1e-6)


def test_a_stream_at_a_higher_rate_passes_through_its_vectors():
    vectors = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    streamed = np.array(list(resample_stream(vectors, 0.25, 1000)))
    assert np.array_equal(streamed[::4], vectors[: len(streamed[::4])])
    assert len(streamed[::4]) >= 8


def test_a_stream_at_its_own_rate_is_not_touched():
    vectors = [np.ones(2), np.zeros(2), np.ones(2)]
    assert [a is b for a, b in zip(resample_stream(vectors, 1, 2), vectors)] == [True, True]
    assert list(resample_stream([], 2.0, 5)) == []

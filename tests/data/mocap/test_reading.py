"""Rates at which a dance can be, and what is said of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from motion_files import bvh_text, dancing, standing_joints

from dancenet.data.mocap.read import read_skeleton
from dancenet.data.mocap.reading import ReadOptions, rate_of_file, rate_of_time
from dancenet.data.mocap.recordings import RecordingOptions, read_recordings
from dancenet.support.errors import UserError


@pytest.mark.parametrize(
    "seconds, fps",
    [(1 / 30, 30), (0.016667, 60), (0.04, 25), (0.0083333, 120), (0.001, 1000), (0.2, 5)],
)
def test_a_frame_time_in_seconds_is_a_rate(seconds, fps):
    warnings: list[str] = []
    assert rate_of_time(Path("a.bvh"), seconds, warnings) == pytest.approx(fps)
    assert not warnings


@pytest.mark.parametrize(
    "time, fps",
    [(33.3333, 30), (33.33, 30), (16.667, 60), (41.667, 24), (40, 25), (20, 50), (8.333, 120)],
)
def test_a_frame_time_in_milliseconds_is_read_so_and_said(time, fps):
    warnings: list[str] = []
    assert rate_of_time(Path("a.bvh"), time, warnings) == pytest.approx(fps)
    assert "taken to be milliseconds" in warnings[0]


@pytest.mark.parametrize(
    "time, message",
    [
        (0, "does not say its frame time; give the frame rate yourself, as in frame_rate=30"),
        (-0.03, "a frame time that is no number above 0"),
        (float("nan"), "a frame time that is no number above 0"),
        (30, "a frame takes 30 s"),  # it may be a rate
        (120, "a frame takes 120 s"),
        (0.5, "a frame takes 0.5 s"),
        (1e-6, "a frame takes 1e-06 s"),
        (33333, "a frame takes 33333 s"),
    ],
)
def test_other_frame_times_are_refused(time, message):
    with pytest.raises(UserError, match=message):
        rate_of_time(Path("a.bvh"), time, [])


def test_a_rate_that_is_the_time_of_a_frame_is_read_so_and_said():
    warnings: list[str] = []
    assert rate_of_file(Path("a.npz"), 0.0333333, warnings) == 30
    assert "seconds of a frame" in warnings[0]


@pytest.mark.parametrize("fps", [0, -1, 3, 1001, 1e9])
def test_rates_at_which_nothing_dances_are_refused(fps):
    with pytest.raises(UserError, match="a dance has 5 to 1000"):
        rate_of_file(Path("a.npz"), fps, [])


@pytest.mark.parametrize("fps", [0.03, 1e6])
def test_a_rate_that_is_given_has_the_same_bounds(tmp_path, fps):
    with pytest.raises(UserError, match="a dance has 5 to 1000"):
        ReadOptions(frame_rate=fps).check()
    np.savez(tmp_path / "a.npz", pos=standing_joints(60), fps=30.0)
    with pytest.raises(UserError, match="The dancer's rate .* a dance has 5 to 1000"):
        read_recordings([tmp_path / "a.npz"], RecordingOptions(fps=fps))


@pytest.mark.parametrize("time", ["33.3333", "33,3333", "0,0333333"])
def test_a_bvh_is_read_at_the_rate_it_means(tmp_path, time):
    (tmp_path / "a.bvh").write_text(bvh_text(dancing(60), frame_time=time))
    assert read_skeleton(tmp_path / "a.bvh").fps == 30

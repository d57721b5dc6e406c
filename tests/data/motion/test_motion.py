"""Motion clips: runs without glitches, resampling, and their own file format."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.data.motion.motion import JOINTS, PARENTS, MotionClip, read_npz_clip
from dancenet.support.errors import UserError


def make_clip(positions, fps=30.0, ok=None):
    ok = np.ones(len(positions), bool) if ok is None else np.asarray(ok)
    return MotionClip(np.asarray(positions, np.float32), fps, ok, "test")


def polynomial(times, *coefficients):
    """Returns (T, 19, 3) positions that are one polynomial of time, scaled per joint."""
    values = np.polynomial.polynomial.polyval(times, coefficients)
    return values[:, None, None] * np.linspace(0.5, 1.5, 19 * 3).reshape(19, 3)


def write(path, **arrays):
    whole = {"pos": np.zeros((5, 19, 3), np.float32), "fps": 30.0, "joints": np.array(JOINTS)}
    whole.update(arrays)
    np.savez(path, **{name: value for name, value in whole.items() if value is not None})
    return path


def test_every_joint_but_the_pelvis_hangs_from_an_earlier_one():
    assert len(JOINTS) == len(PARENTS) == len(set(JOINTS)) == 19
    assert PARENTS[0] == -1
    assert all(0 <= parent < index for index, parent in enumerate(PARENTS) if index)


def test_a_straight_even_motion_stays_straight_and_even_at_any_lower_rate():
    clip = make_clip(polynomial(np.arange(61) / 60, 1.0, 2.0), fps=60)
    slow = clip.resample(24)
    times = np.arange(slow.num_frames) / 24
    assert slow.fps == 24 and slow.num_frames == 25
    inner = slice(1, -1)  # a spline has one neighbour less at either end
    assert np.allclose(slow.positions[inner], polynomial(times, 1.0, 2.0)[inner], atol=1e-5)


def test_an_accelerated_motion_is_resampled_without_error():
    # A Catmull-Rom spline reproduces parabolas (the chord slope of a parabola is its tangent).
    clip = make_clip(polynomial(np.arange(51) / 50, 0.0, 1.0, -3.0), fps=50)
    slow = clip.resample(30)
    times = np.arange(slow.num_frames) / 30
    assert np.allclose(slow.positions[1:-1], polynomial(times, 0.0, 1.0, -3.0)[1:-1], atol=1e-5)


def test_a_whole_fraction_of_the_rate_takes_recorded_frames():
    positions = np.random.default_rng(0).normal(size=(121, 19, 3))
    slow = make_clip(positions, fps=120).resample(30)
    assert np.allclose(slow.positions, positions[::4], atol=1e-5)


def test_a_rate_is_never_raised():
    clip = make_clip(np.zeros((25, 19, 3)), fps=25)
    assert clip.resample(30) is clip


def test_almost_the_same_rate_keeps_the_frames_and_takes_the_name():
    clip = make_clip(np.zeros((30, 19, 3)), fps=29.97)
    assert clip.resample(30).fps == 30
    assert clip.resample(30).positions is clip.positions


def test_a_resampled_frame_is_good_only_between_good_frames():
    ok = [True, True, True, False, True, True, True]
    slow = make_clip(np.zeros((7, 19, 3)), fps=60, ok=ok).resample(40)  # at 0, 1.5, 3, 4.5, 6
    assert slow.ok.tolist() == [True, True, False, True, True]


def test_runs_end_at_glitches_and_say_whether_they_are_long_enough():
    ok = [True] * 10 + [False] * 2 + [True] * 4 + [False]
    clip = make_clip(np.zeros((17, 19, 3)), fps=10, ok=ok)
    assert list(clip.good_runs(1.0)) == [(range(0, 10), True), (range(12, 16), False)]
    assert clip.cut(range(12, 16)).num_frames == 4


def test_a_file_is_read_with_its_joints_in_any_order(tmp_path):
    positions = np.random.default_rng(0).normal(size=(5, 20, 3)).astype(np.float32)
    names = ["tail", *reversed(JOINTS)]
    clip = read_npz_clip(
        write(
            tmp_path / "a.npz",
            pos=positions,
            joints=np.array(names),
            ok=np.array([1, 1, 0, 1, 1], bool),
        )
    )
    assert np.array_equal(clip.positions, positions[:, :0:-1])
    assert (clip.fps, clip.source, clip.warnings) == (30.0, "a.npz", ())
    assert clip.ok.tolist() == [True, True, False, True, True]


def test_frames_that_are_no_numbers_are_marked_and_named(tmp_path):
    positions = np.ones((5, 19, 3), np.float32)
    positions[2, 3, 1] = np.nan
    clip = read_npz_clip(write(tmp_path / "a.npz", pos=positions))
    assert clip.ok.tolist() == [True, True, False, True, True]
    assert np.isfinite(clip.positions).all()
    assert "1 of 5 frames" in clip.warnings[0]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pos": None}, "no array 'pos'"),
        ({"fps": None}, "no array 'fps'"),
        ({"fps": -1.0}, "must be above 0"),
        ({"fps": np.array(["fast"])}, "one number as fps"),
        ({"joints": np.array(["hip"] * 19)}, "has no joint pelvis"),
        ({"pos": np.zeros((5, 19, 2))}, "expected floats"),
        ({"pos": np.zeros((0, 19, 3))}, "at least one frame"),
        ({"pos": np.full((5, 19, 3), np.nan)}, "no frame of finite positions"),
        ({"ok": np.ones(4, bool)}, "'ok' of shape"),
    ],
)
def test_a_file_that_is_no_motion_says_what_is_wrong(tmp_path, arrays, message):
    with pytest.raises(UserError, match=message):
        read_npz_clip(write(tmp_path / "a.npz", **arrays))


def test_a_truncated_file_is_refused(tmp_path):
    path = write(tmp_path / "a.npz")
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UserError, match="a.npz"):
        read_npz_clip(path)


def test_a_clip_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(F, 19, 3\)"):
        make_clip(np.zeros((4, 20, 3)))

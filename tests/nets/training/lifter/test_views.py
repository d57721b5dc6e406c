"""What a network is shown of a recording is what a camera would see of it."""

from __future__ import annotations

import bodies
import numpy as np
import pytest

pytest.importorskip("keras", reason="the networks need the extra 'train'")

from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.data.people.lift.points import POINTS
from dancenet.nets.training.lifter import views
from dancenet.nets.training.lifter.views import Course, Recordings, find_standing, view

# No chance: a far camera at any side, a body as it is, a detector without errors.
EXACT = Course(far=1.0, reshaped=0.0, resized=0.0, tumbled=0.0, tempo=0.0, noise=0.0)
SHARED_POINTS = [name for name in POINTS if name in JOINTS]


def walking(num_frames=80):
    """Returns (T, 19, 3): a body that turns, sways and raises its left arm."""
    body = bodies.turning(num_frames).astype(np.float64)
    body[:, JOINTS.index("l_wrist"), 1] += np.linspace(0, 0.4, num_frames)
    return body + np.linspace(0, 0.5, num_frames)[:, None, None] * np.array([1.0, 0.0, 0.3])


def look(course=EXACT, count=3, seed=0, positions=None):
    recordings = Recordings([bodies.body_clip(walking() if positions is None else positions)])
    rng = np.random.default_rng(seed)
    return view([recordings.draw(rng, course) for _ in range(count)], rng, course)


def test_far_away_the_picture_is_the_joints_without_their_depth():
    seen = look(count=4)
    for name in SHARED_POINTS:
        # Across, and the pitch of the camera mixes height and depth.
        hips = seen.points[:, :, [POINTS.index("l_hip"), POINTS.index("r_hip")], 0].mean(axis=2)
        middle = seen.joints[:, :, [JOINTS.index("l_hip"), JOINTS.index("r_hip")], 0].mean(axis=2)
        across = seen.points[:, :, POINTS.index(name), 0] - hips
        true = seen.joints[:, :, JOINTS.index(name), 0] - middle
        np.testing.assert_allclose(across, true, atol=0.12)  # the picture leans by some degrees


def test_a_body_as_it_is_keeps_its_bones_from_every_side():
    seen = look(count=6)
    bones = np.linalg.norm(seen.joints - seen.joints[:, :, list(np.maximum(PARENTS, 0))], axis=-1)
    true = walking()
    lengths = np.linalg.norm(true - true[:, list(np.maximum(PARENTS, 0))], axis=-1)
    still = [i for i, name in enumerate(JOINTS) if name not in ("l_wrist", "r_wrist")]
    np.testing.assert_allclose(bones[:, 0][:, still], np.tile(lengths[0, still], (6, 1)), atol=1e-4)


def test_mirrored_the_left_arm_that_rises_is_the_right_one():
    seen = look(count=40, seed=2)
    left, right = (seen.joints[:, -1, JOINTS.index(f"{side}_wrist"), 1] for side in "lr")
    mirrored = right > left + 0.1
    assert 5 < mirrored.sum() < 35 and (mirrored | (left > right + 0.1)).all()


def test_other_proportions_are_the_same_on_both_sides_and_leave_the_feet_on_the_floor():
    reshaped = Course(far=1.0, reshaped=1.0, tumbled=0.0, noise=0.0)
    seen = look(reshaped, count=5, positions=bodies.stand(80))
    bones = np.linalg.norm(seen.joints - seen.joints[:, :, list(np.maximum(PARENTS, 0))], axis=-1)
    for name in ("elbow", "knee", "hip"):
        left, right = (bones[..., JOINTS.index(f"{side}_{name}")] for side in "lr")
        np.testing.assert_allclose(left, right, rtol=1e-6)
    assert np.ptp(bones[:, 0, JOINTS.index("l_knee")]) > 0.01
    toes = seen.height + seen.joints[:, :, JOINTS.index("l_toe"), 1]
    np.testing.assert_allclose(toes, 0.022, atol=0.003)


def test_a_detector_errs_by_some_centimetres_and_loses_joints():
    exact, noisy = (
        look(Course(far=1.0, reshaped=0.0, resized=0.0, tumbled=0.0, tempo=0.0, noise=noise), 30)
        for noise in (0.0, 1.0)
    )
    assert (exact.points[..., : len(POINTS) - 2, 2] > 0)[..., :-2].all()
    lost = (noisy.points[..., :-2, 2] == 0).mean()
    assert 0.01 < lost < 0.2
    rigid = noisy.points[..., :2] - noisy.points[..., :2].mean(axis=2, keepdims=True)
    assert np.isfinite(rigid).all()


def test_a_body_that_is_turned_over_lies_on_the_floor_and_says_so():
    seen = look(Course(tumbled=1.0, noise=0.0), count=4)
    assert not seen.upright.any()
    lowest = seen.height + seen.joints[..., 1].min(axis=2)
    assert lowest.min(axis=1) == pytest.approx(0.04, abs=1e-6)


def test_a_short_recording_is_played_back_and_forth():
    recordings = Recordings([bodies.body_clip(walking(40))])
    window = recordings.draw(np.random.default_rng(0), Course(frames=64, tempo=0.0))
    np.testing.assert_allclose(window.positions[39 - 5], window.positions[39 + 5], atol=1e-6)


def test_recordings_are_cut_into_windows_that_lose_nothing_but_scraps():
    recordings = Recordings([bodies.body_clip(walking(110), fps=30.0)])
    assert [len(window.positions) for window in recordings.windows(64)] == [64, 46]
    assert [len(window.positions) for window in recordings.windows(100)] == [100]


def test_a_foot_on_the_floor_stands_and_one_in_the_air_or_that_moves_does_not():
    body = bodies.stand(60).astype(np.float64)
    ankle, toe = JOINTS.index("l_ankle"), JOINTS.index("l_toe")
    body[:, [ankle, toe], 1] += np.where(np.arange(60) < 30, 0.0, 0.3)[:, None]
    body[:, [JOINTS.index("r_ankle"), JOINTS.index("r_toe")], 0] += np.arange(60)[:, None] / 30
    standing = find_standing(body, 30.0)
    assert (standing[:28, :2] > 0.9).all() and (standing[32:, :2] < 0.01).all()
    assert (standing[:, 2:] < 0.01).all()


def test_errors_forget_in_the_time_they_are_given():
    walk = views._wander(np.random.default_rng(0), (2000, 60, 1), 10.0)[..., 0]
    assert walk.std() == pytest.approx(1.0, abs=0.02)
    ago = np.mean(walk[:, 10:] * walk[:, :-10])
    assert ago == pytest.approx(np.exp(-1), abs=0.03)

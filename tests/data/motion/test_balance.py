"""Balance: the zero moment point of rigid swaying in closed form, and a wrong frame rate."""

from __future__ import annotations

import numpy as np
import pytest
from motion_files import HIPS_HEIGHT, LANDMARKS, standing

from dancenet.data.motion.balance import GRAVITY, MASSES, believable_rate, imbalance
from dancenet.data.motion.joints import JOINTS


def swaying(amplitude, fps, seconds=6.0, hertz=1.0):
    """Returns a body that slides to and fro along z as one piece, metres."""
    places = standing()
    pose = np.array([places[LANDMARKS[joint]] + [0, HIPS_HEIGHT, 0] for joint in JOINTS]) / 100
    positions = np.tile(pose, (int(seconds * fps), 1, 1))
    positions[..., 2] += (
        amplitude * np.sin(2 * np.pi * hertz * np.arange(len(positions)) / fps)[:, None]
    )
    return positions


def test_a_still_body_has_its_zero_moment_point_between_the_feet():
    # The ankles are above the heels, so the middle of a foot lies before the trunk.
    assert imbalance(swaying(0.0, 60), 60) < 0.08


def test_rigid_swaying_moves_the_zero_moment_point_by_height_times_acceleration_over_gravity():
    # z_zmp - z = -h a / g for a body moved as one piece; |sin| has the median sqrt(1/2).
    amplitude, fps = 0.1, 120
    body = swaying(amplitude, fps)
    height = float(MASSES @ body[0, :, 1] / MASSES.sum())
    expected = np.sqrt(0.5) * height * amplitude * (2 * np.pi) ** 2 / GRAVITY
    # Smoothing over 0.2 s takes a few percent, the feet's offset adds some at the turns.
    assert imbalance(body, fps) == pytest.approx(expected, rel=0.15)


def test_at_twice_the_rate_the_imbalance_is_nearly_four_times_as_large():
    body = swaying(0.2, 120)
    assert 3.2 < imbalance(body, 240) / imbalance(body, 120) < 4.0


@pytest.mark.parametrize("fps", [30, 60])
def test_a_rate_twice_too_high_is_halved_and_a_true_one_is_kept(fps):
    body = swaying(0.05, fps, hertz=0.8)
    feet = [JOINTS.index(f"{side}_{joint}") for side in "lr" for joint in ("ankle", "toe")]
    body[:, feet, 2] -= 0.07  # the trunk over the middle of the feet
    assert believable_rate(body, 2 * fps) == fps
    assert believable_rate(body, fps) == fps


def test_a_recording_too_short_to_judge_keeps_its_rate():
    body = swaying(0.3, 60, seconds=1.0)
    assert np.isnan(imbalance(body, 60))
    assert believable_rate(body, 60) == 60

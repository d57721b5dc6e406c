"""Frames in which a body moves as no body can."""

from __future__ import annotations

import numpy as np
from motion_files import standing_joints

from dancenet.data.mocap.glitches import good_frames
from dancenet.data.motion.joints import JOINTS

J = JOINTS.index


def test_a_jump_faster_than_a_body_is_bad_for_a_tenth_of_a_second_around():
    positions = standing_joints(60)
    positions[30, J("l_wrist")] += [0, 0.4, 0]  # 0.4 m in 1/30 s is 12 m/s
    ok = good_frames(positions, 30)
    assert np.flatnonzero(~ok).tolist() == list(range(26, 35))


def test_a_bone_that_changes_its_length_is_bad():
    positions = standing_joints(60)
    positions[20:40, J("l_wrist")] += np.array([0.08, 0, 0])
    ok = good_frames(positions, 30)
    assert not ok[20:40].any() and ok[:16].all() and ok[44:].all()


def test_a_head_that_rolls_off_is_bad():
    positions = standing_joints(60)
    positions[40:, J("head")] = positions[40:, J("neck")] - [0, 0.1, 0]
    ok = good_frames(positions, 120)
    assert ok[:20].all() and not ok[40:].any()


def test_slow_movement_is_good_at_any_rate():
    positions = standing_joints(240)
    positions[:, :, 0] += (np.arange(240) / 240 * 2)[:, None]
    assert good_frames(positions, 30).all() and good_frames(positions, 120).all()

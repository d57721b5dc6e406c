"""Keypoints of one camera become a clip of joints, whatever the film's rate, with its gaps told."""

from __future__ import annotations

import bodies
import numpy as np
import pytest

from dancenet.data.mocap.formats.keypoints import BLAZEPOSE, COCO
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.data.people import lift as package
from dancenet.data.people.landmarks import COCO_NAMES
from dancenet.data.people.lift import lift, lift_poses
from dancenet.data.people.poses import Poses
from dancenet.metrics.skeleton import bone_spread
from dancenet.support.errors import UserError


def off(clip, positions):
    """Returns the mean distance in metres of joints from the true ones, pelvis on pelvis."""
    found, true = (values - values[:, :1] for values in (clip.positions, positions))
    return float(np.linalg.norm(found - true, axis=-1).mean())


@pytest.mark.parametrize("names", [COCO, BLAZEPOSE])
def test_a_body_that_turns_is_lifted_to_where_it_is(names):
    true = bodies.turning()
    clip = lift(bodies.film(true, names), 30.0)
    assert clip.names == JOINTS and clip.is_body and clip.num_frames == 90
    assert off(clip, true) < 0.12  # a body by hand, which dances in no recording
    assert bone_spread(clip.positions, PARENTS) < 0.02


def test_the_left_of_the_picture_is_that_of_the_joints_and_front_is_to_the_camera():
    clip = lift(bodies.film(bodies.stand(60)), 30.0)
    left, right = (clip.positions[:, JOINTS.index(f"{side}_shoulder")] for side in "lr")
    assert (left[:, 0] > right[:, 0]).all()  # who looks at the camera has the left at its right
    toes = clip.positions[:, JOINTS.index("l_toe"), 2]
    assert (toes > clip.positions[:, JOINTS.index("l_ankle"), 2]).all()


@pytest.mark.parametrize("fps", [10.0, 25.0, 29.97, 60.0])
def test_each_frame_of_the_film_has_its_joints(fps):
    clip = lift(bodies.film(bodies.turning(50)), fps)
    assert (clip.num_frames, clip.fps) == (50, fps)


def test_another_rate_is_given_if_it_is_asked_for():
    clip = lift(bodies.film(bodies.turning(50)), 25.0, rate=30.0)
    assert (clip.num_frames, clip.fps) == (59, 30.0)  # 49 frames at 25 are 58.8 at 30


def test_a_short_gap_is_bridged_and_a_long_one_is_told():
    seen = bodies.film(bodies.turning(120))
    seen[20:28] = np.nan
    seen[60:90, :, 2] = 0
    clip = lift(seen, 30.0)
    assert clip.ok[:60].all() and not clip.ok[60:90].any() and clip.ok[90:].all()
    assert np.isfinite(clip.positions).all()


def test_a_film_of_nobody_is_told_in_a_sentence():
    with pytest.raises(UserError, match="No dancer was seen in empty.mp4"):
        lift(np.full((10, 17, 3), np.nan), 30.0, "empty.mp4")


def test_one_frame_is_lifted():
    assert lift(bodies.film(bodies.stand(1)), 30.0).num_frames == 1


def test_poses_of_any_names_are_lifted():
    seen = bodies.film(bodies.turning(40)).astype(np.float32)
    order = np.random.default_rng(0).permutation(17)
    poses = Poses(
        tuple(COCO_NAMES[i] for i in order),
        seen[:, None, order, :2],
        seen[:, None, order, 2],
        size=(800, 600),
        fps=30.0,
    )
    np.testing.assert_allclose(
        lift_poses(poses, "x").positions, lift(seen, 30.0).positions, atol=1e-3
    )


def test_the_network_is_read_once():
    package._network.cache_clear()
    for _ in range(2):
        lift(bodies.film(bodies.stand(3)), 30.0)
    assert package._network.cache_info().misses == 1

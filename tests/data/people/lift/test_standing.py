"""A lifted body has one length for each bone, a floor at 0, and feet that stay where they stand."""

from __future__ import annotations

import bodies
import numpy as np
import pytest

from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.data.motion.proportions import measure
from dancenet.data.people.lift import standing
from dancenet.data.people.lift.network import FEET, Lifted
from dancenet.metrics.skeleton import bone_spread

FPS = 30.0
TOE, ANKLE, PELVIS = JOINTS.index("l_toe"), JOINTS.index("l_ankle"), 0


def lifted(positions, stands=1.0, noise=0.0, velocity=None):
    """Returns what a network would say of positions (T, 19, 3)."""
    joints = (positions - positions[:, :1]).astype(np.float64)
    joints[:, 1:] += np.random.default_rng(0).normal(0, noise, joints[:, 1:].shape)
    count = len(positions)
    return Lifted(
        joints=joints,
        height=positions[:, 0, 1].astype(np.float64),
        velocity=np.zeros((count, 2)) if velocity is None else velocity,
        standing=np.full((count, len(FEET)), stands),
    )


def test_bones_have_one_length_the_same_on_both_sides():
    clip = standing.stand(lifted(bodies.stand(60), noise=0.02), FPS)
    assert bone_spread(clip, PARENTS) < 1e-6
    bones = np.linalg.norm(clip - clip[:, np.maximum(PARENTS, 0)], axis=-1)[0]
    for name in ("elbow", "wrist", "knee", "ankle", "hip"):
        left, right = (bones[JOINTS.index(f"{side}_{name}")] for side in "lr")
        assert left == pytest.approx(right, rel=1e-5)


def test_a_standing_foot_carries_the_body_and_stays_where_it_is():
    body = bodies.stand(60).astype(np.float64)
    # The body leans over its standing feet by half a metre, which the network sees from the pelvis.
    shift = np.linspace(0, 0.2, 60)[:, None]
    trunk = [i for i, name in enumerate(JOINTS) if name[2:] not in ("ankle", "toe", "knee")]
    body[:, trunk, 0] += shift
    knees = [JOINTS.index("l_knee"), JOINTS.index("r_knee")]
    body[:, knees, 0] += shift / 2
    clip = standing.stand(lifted(body), FPS)
    assert np.ptp(clip[:, TOE, [0, 2]], axis=0).max() < 0.005
    moved = clip[-1, PELVIS, 0] - clip[0, PELVIS, 0]
    assert moved == pytest.approx(0.2, abs=0.03)


def test_noise_of_the_pose_does_not_make_a_standing_foot_slide():
    clip = standing.stand(lifted(bodies.stand(90), noise=0.01), FPS)
    speed = np.linalg.norm(np.diff(clip[:, [ANKLE, TOE]][..., [0, 2]], axis=0), axis=-1) * FPS
    assert speed.mean() < 0.03  # unlocked, the noise moves it by 0.2 m/s


def test_in_the_air_the_body_goes_as_the_network_says():
    body = bodies.stand(60)
    body[30:, :, 1] += 0.5
    velocity = np.tile([1.0, -0.5], (60, 1))
    said = lifted(body, stands=0.0, velocity=velocity)
    clip = standing.stand(said, FPS)
    path = clip[55, PELVIS] - clip[35, PELVIS]
    np.testing.assert_allclose(path[[0, 2]], np.array([1.0, -0.5]) * 20 / FPS, atol=0.02)
    assert path[1] == pytest.approx(0, abs=0.02)
    assert clip[50, TOE, 1] - clip[5, TOE, 1] == pytest.approx(0.5, abs=0.03)


def test_the_floor_is_at_0_and_the_usual_place_above_the_origin():
    body = bodies.stand(40) + np.array([3.0, 0.4, -2.0], np.float32)
    clip = standing.stand(lifted(body), FPS)
    assert clip[:, [TOE, JOINTS.index("r_toe")], 1].min() == pytest.approx(0, abs=0.005)
    np.testing.assert_allclose(np.median(clip[:, PELVIS, [0, 2]], axis=0), 0, atol=1e-5)


def test_a_stature_that_is_given_scales_the_whole_body():
    clip = standing.stand(lifted(bodies.stand(40)), FPS, stature=2.0)
    assert measure(clip).stature == pytest.approx(2.0, rel=0.01)
    assert clip[:, PELVIS, 1].mean() == pytest.approx(
        2.0 * 0.93 / measure(bodies.stand()).stature, abs=0.03
    )


def test_a_leg_is_never_stretched_beyond_its_length():
    body = bodies.stand(30).astype(np.float64)
    wanted = body[:, ANKLE] + np.array([0.0, -0.5, 0.0])
    legs = tuple(JOINTS.index(f"l_{name}") for name in ("hip", "knee", "ankle"))
    before = np.linalg.norm(np.diff(body[:, legs], axis=1), axis=-1)
    standing._bend(body, legs, wanted)
    np.testing.assert_allclose(np.linalg.norm(np.diff(body[:, legs], axis=1), axis=-1), before)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_film_of_a_few_frames_is_a_body_too(count):
    clip = standing.stand(lifted(bodies.stand(count)), FPS)
    assert clip.shape == (count, len(JOINTS), 3) and np.isfinite(clip).all()

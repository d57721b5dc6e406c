"""Bones are found in the motion of their ends, and axes scaled apart are brought together."""

from __future__ import annotations

import numpy as np
import pytest
from motion_files import shared

from dancenet.data.mocap.read import read_skeleton
from dancenet.data.motion.bones import bone_lengths, infer_parents, measure_stretch, steady_bones
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.data.motion.tree import check_tree

# Bones of the limbs: in a trunk several trees are as rigid as the true one.
LIMBS = [
    j for j, name in enumerate(JOINTS) if name[2:] in ("elbow", "wrist", "knee", "ankle", "toe")
]


def edges(parents, joints=None):
    return {
        frozenset((joint, parent))
        for joint, parent in enumerate(parents)
        if parent >= 0 and (joints is None or joint in joints)
    }


def chain(num_frames=300, num_joints=7, seed=0):
    """Returns (T, J, 3) of a chain of rigid bones whose joints turn, and its parents."""
    rng = np.random.default_rng(seed)
    lengths = rng.uniform(0.2, 0.5, num_joints - 1)
    steps = np.cumsum(rng.normal(0, 0.2, (num_frames, num_joints - 1, 3)), axis=0)
    steps += rng.normal(0, 1, (num_joints - 1, 3))
    steps *= (lengths / np.linalg.norm(steps, axis=2))[..., None]
    places = np.concatenate([np.zeros((num_frames, 1, 3)), np.cumsum(steps, axis=1)], axis=1)
    return places + np.cumsum(rng.normal(0, 0.02, (num_frames, 1, 3)), axis=0)


def test_a_chain_of_rigid_bones_is_found_whatever_the_order_of_its_joints():
    order = np.array([3, 0, 6, 1, 5, 2, 4])
    parents = infer_parents(chain()[:, order])
    expected = {
        frozenset((int(np.argmax(order == a)), int(np.argmax(order == a + 1)))) for a in range(6)
    }
    assert edges(parents) == expected
    check_tree(parents, 7)


def test_frames_that_are_not_finite_do_not_matter():
    positions = chain()
    expected = infer_parents(positions)
    positions = np.concatenate([positions, np.full((50, 7, 3), np.nan)])
    assert edges(infer_parents(positions)) == edges(expected)


@pytest.mark.parametrize(
    "name", ["cmu_05_11", "cmu_60_10", "cmu_94_13", "cmu_lambada", "rokoko_jesse_dance"]
)
def test_the_bones_of_recorded_dances_are_found(name):
    clip = read_skeleton(shared(f"npz/{name}.npz"))
    found = edges(infer_parents(clip.positions[clip.ok]))
    assert edges(PARENTS, LIMBS) <= found
    assert len(edges(PARENTS) & found) >= 15  # of 18


def test_axes_that_were_scaled_each_by_itself_are_measured():
    positions = chain(600)
    squeezed = positions / [3.0, 0.5, 1.0]
    assert measure_stretch(squeezed) == pytest.approx([3.0, 0.5, 1.0], rel=0.02)


def test_axes_that_were_not_scaled_are_left():
    clip = read_skeleton(shared("npz/cmu_05_11.npz"))
    upright = clip.positions[clip.ok][..., [0, 2, 1]]
    assert measure_stretch(upright) == pytest.approx([1, 1, 1], rel=0.05)
    assert measure_stretch(upright * [0.2, 0.1, 0.7]) == pytest.approx([3.5, 7, 1], rel=0.05)


def test_bones_are_given_one_length_and_stay_where_they_have_it():
    positions = chain()
    parents = (-1, 0, 1, 2, 3, 4, 5)
    lengths = bone_lengths(positions, parents)
    assert lengths[0] == 0
    assert steady_bones(positions, parents, lengths) == pytest.approx(positions, abs=1e-9)
    noise = np.random.default_rng(0).normal(0, 0.01, positions.shape)
    steady = steady_bones(positions + noise, parents, lengths)
    bones = np.linalg.norm(np.diff(steady, axis=1), axis=2)
    assert bones == pytest.approx(np.tile(lengths[1:], (300, 1)), abs=1e-9)
    assert np.linalg.norm(steady - positions, axis=2).mean() < 0.03
    assert np.array_equal(steady[:, 0], (positions + noise)[:, 0])

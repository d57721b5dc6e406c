"""The lifting network's file is checked, and its convolution sees what it should."""

from __future__ import annotations

import numpy as np
import pytest
from mutation import check_reader

from dancenet.data.people.lift.network import (
    DILATIONS,
    MARGIN,
    NUM_OUTPUTS,
    WEIGHTS,
    Lifter,
)
from dancenet.data.people.lift.points import NUM_FEATURES
from dancenet.support import arrays
from dancenet.support.errors import UserError


def weights(width=4, seed=0):
    rng = np.random.default_rng(seed)
    found = {}

    def layer(name, taps, inner, outer):
        found[f"{name}_kernel"] = rng.normal(0, 0.3, (taps, inner, outer)).astype(np.float32)
        found[f"{name}_bias"] = rng.normal(0, 0.1, outer).astype(np.float32)

    layer("first", 1, NUM_FEATURES, width)
    for index in range(len(DILATIONS)):
        layer(f"block{index}_a", 3, width, width)
        layer(f"block{index}_b", 1, width, width)
    layer("last", 1, width, NUM_OUTPUTS)
    layer("direct", 1, NUM_FEATURES, NUM_OUTPUTS)
    return found


def features(count=90, seed=1):
    return np.random.default_rng(seed).normal(size=(count, NUM_FEATURES)).astype(np.float32)


def test_a_prediction_sees_half_a_second_to_either_side_and_no_more():
    lifter, given = Lifter(weights()), features()
    before = lifter(given).joints
    given[45] += 1.0
    changed = np.flatnonzero(np.abs(lifter(given).joints - before).max(axis=(1, 2)) > 0)
    assert changed.min() >= 45 - MARGIN and changed.max() <= 45 + MARGIN
    assert {45 - MARGIN, 45, 45 + MARGIN} <= set(changed.tolist())


def test_the_pelvis_is_the_origin_and_standing_a_probability():
    lifted = Lifter(weights())(features(5))
    assert lifted.joints.shape == (5, 19, 3) and (lifted.joints[:, 0] == 0).all()
    assert ((lifted.standing > 0) & (lifted.standing < 1)).all()


def test_the_file_gives_back_the_weights_to_half_precision(tmp_path):
    lifter = Lifter(weights())
    lifter.save(tmp_path / "lifter.npz")
    again = Lifter.load(tmp_path / "lifter.npz")
    for name, array in lifter.weights.items():
        np.testing.assert_allclose(again.weights[name], array, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    "change, why",
    [
        (lambda held: held.pop("last_bias"), "last_bias is missing"),
        (lambda held: held.update(last_bias=np.zeros(3)), "last has arrays"),
        (lambda held: held.update(block0_a_kernel=np.zeros((3, 4, 5))), "block0_a has arrays"),
        (lambda held: held.update(first_bias=np.full(4, np.nan)), "not finite"),
        (lambda held: held.update(format=np.int64(9)), "format that this version reads"),
        (lambda held: held.update(last_bias=np.array(["x"])), "no numbers"),
    ],
)
def test_a_file_of_other_weights_is_refused_in_a_sentence(tmp_path, change, why):
    held = {"format": np.int64(1), **weights()}
    change(held)
    arrays.write_npz(tmp_path / "lifter.npz", **held)
    with pytest.raises(UserError, match=why):
        Lifter.load(tmp_path / "lifter.npz")


def test_a_spoilt_file_is_told_in_one_sentence(tmp_path):
    Lifter(weights()).save(tmp_path / "lifter.npz")
    check_reader(Lifter.load, tmp_path / "lifter.npz", seed=5, count=60)


def test_the_network_that_comes_with_the_program_is_whole_and_small():
    Lifter.load()
    assert WEIGHTS.stat().st_size < 3_000_000

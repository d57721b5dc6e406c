"""The lifting network is the same in Keras and in NumPy, and learns."""

from __future__ import annotations

import bodies
import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")

from dancenet.data.people.lift.network import MARGIN, NUM_OUTPUTS, Lifter, split
from dancenet.data.people.lift.points import NUM_FEATURES
from dancenet.nets.training.lifter import train
from dancenet.nets.training.lifter.views import Course, Recordings, view


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    model = train.build_lifter(8, 0.0)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 0.6, one.shape) for one in model.get_weights()])
    return model


def features(count=64, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.3, (2, count, NUM_FEATURES)).astype(np.float32)


def test_keras_and_numpy_say_the_same(model):
    given = features()
    outputs = keras.ops.convert_to_numpy(model(given))[0]
    lifted, inside = train.to_numpy(model)(given[0]), slice(MARGIN, -MARGIN)
    expected = split(outputs)
    assert outputs.shape == (64 - 2 * MARGIN, NUM_OUTPUTS)
    np.testing.assert_allclose(lifted.joints[inside], expected.joints, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(lifted.height[inside], expected.height, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(lifted.standing[inside], expected.standing, atol=1e-4)


def test_weights_that_were_saved_are_gone_on_with_where_they_were(model):
    lifter, given = train.to_numpy(model), features()
    other = train.build_lifter(8, 0.0)
    train.from_numpy(other, lifter, given)
    for training in (False, True):  # the normalisation begins with the statistics of `given`
        outputs = keras.ops.convert_to_numpy(other(given, training=training))
        expected = lifter(given[0]).joints[MARGIN:-MARGIN]
        apart = np.abs(split(outputs[0]).joints - expected).max()
        assert apart < 1e-3 * np.abs(expected).max()


def test_a_perfect_answer_costs_only_what_standing_leaves_open():
    rng = np.random.default_rng(0)
    windows = [Recordings([bodies.body_clip(bodies.turning(80))]).draw(rng, Course())] * 2
    _, truth = train.make_batch(view(windows, rng, Course()))
    answer = truth[..., :-1].copy()
    answer[..., -4:] = np.log((truth[..., -5:-1] + 1e-6) / (1 - truth[..., -5:-1] + 1e-6))
    cost = float(keras.ops.convert_to_numpy(train.loss(truth, answer)))
    worse = answer.copy()
    worse[..., :3] += 0.5
    assert cost < 0.05 < float(keras.ops.convert_to_numpy(train.loss(truth, worse)))


def test_a_short_training_learns_one_recording_and_is_kept(tmp_path):
    clip = bodies.body_clip(bodies.turning(120, turns=1.0))
    said = []
    options = train.LifterOptions(steps=30, width=16, batch_size=4, save_every=10)
    lifter = train.train_lifter([clip], tmp_path / "lifter.npz", options, say=said.append)
    assert [line.split(" steps, loss ")[0] for line in said] == ["10 of 30", "20 of 30", "30 of 30"]
    losses = [float(line.split()[-1]) for line in said]
    assert losses[2] < 0.8 * losses[0]
    again = Lifter.load(tmp_path / "lifter.npz")
    np.testing.assert_allclose(
        again.weights["last_kernel"], lifter.weights["last_kernel"], atol=1e-3
    )

"""The three mistakes of 2018, each as it was."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.sequence.legacy import generate
from dancenet.sequence.mixture import Mixture


class Recorder:
    """A step model that notes what it is given; its mean is half of that, its sigma fixed."""

    dim = 2

    def __init__(self, sigma=0.0, logits=(0.0,)):
        self.sigma = sigma
        self.logits = np.array(logits, np.float32)
        self.seen = []
        self.states = []

    def initial_state(self, batch, style=None):
        return (np.zeros((batch, 1), np.float32),)

    def step(self, vectors, state):
        self.seen.append(vectors.copy())
        self.states.append(float(state[0].sum()))
        batch, count = len(vectors), len(self.logits)
        mu = np.stack([vectors / 2 + 10 * k for k in range(count)], axis=1)
        sigma = np.full((batch, count, 2), self.sigma)
        return Mixture(np.tile(self.logits, (batch, 1)), mu, sigma), (state[0] + 1,)


def rngs(count, seed=0):
    return [np.random.default_rng((seed, index)) for index in range(count)]


def unscale(vectors):
    return 8 * vectors - 3


def dance(model, num_frames, temperature=0.0, seed=((0.2, 0.6), (0.4, 0.8)), count=1):
    clip = np.repeat(np.array([seed], np.float32), count, axis=0)
    return np.stack(list(generate(model, clip, num_frames, rngs(count), temperature, unscale)))


def test_the_network_is_fed_unscaled_vectors_after_a_scaled_first_one():
    model = Recorder()
    vectors = dance(model, 3)
    assert np.concatenate(model.seen) == pytest.approx(
        np.array([[0.4, 0.8], 8 * np.array([0.2, 0.4]) - 3, 8 * vectors[1, 0] - 3])
    )
    assert vectors[1, 0] == pytest.approx((8 * vectors[0, 0] - 3) / 2)


def test_every_step_begins_with_no_state():
    model = Recorder()
    dance(model, 5)
    assert model.states == [0.0] * 5


@pytest.mark.parametrize(("sigma", "temperature"), [(0.04, 0.01), (0.25, 0.5)])
def test_sigma_is_taken_for_the_variance(sigma, temperature):
    # The standard deviation of a draw is sqrt(sigma temperature), not sigma sqrt(temperature);
    # of 4000 draws it is known to within 1 / sqrt(8000), about 1 %.
    first = dance(Recorder(sigma), 1, temperature, count=2000)[0]
    assert (first - [0.2, 0.4]).std() == pytest.approx(np.sqrt(sigma * temperature), rel=0.05)


def test_temperature_divides_the_logits():
    # softmax([0, 0.02] / 0.01) is [0.12, 0.88].
    first = dance(Recorder(0.0, (0.0, 0.02)), 1, 0.01, count=2000)[0]
    share = (first[:, 0] > 5).mean()
    assert share == pytest.approx(1 / (1 + np.exp(-2)), abs=0.03)


def test_the_same_generators_give_the_same_dance_whatever_is_beside_it():
    alone = dance(Recorder(0.1), 6, 0.5)
    beside = dance(Recorder(0.1), 6, 0.5, count=3)
    np.testing.assert_array_equal(alone[:, 0], beside[:, 0])


def test_a_seed_of_the_wrong_shape_and_a_broken_network_are_refused():
    with pytest.raises(ValueError, match="seed must be"):
        dance(Recorder(), 1, seed=((1.0, 2.0, 3.0),))
    with pytest.raises(ValueError, match="not finite at frame 0"):
        dance(Recorder(np.nan), 1)

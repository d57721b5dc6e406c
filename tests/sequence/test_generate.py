"""Generation carries the state, and each trajectory has its own randomness."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.sequence.generate import begin_state, generate
from dancenet.sequence.mixture import Mixture


class Counter:
    """A step model whose state counts the vectors seen and whose mean is that count."""

    dim = 2

    def __init__(self, sigma=0.0):
        self.sigma = sigma
        self.seen = []

    def initial_state(self, batch, style=None):
        return (np.zeros((batch, 1), np.float32),)

    def step(self, vectors, state):
        self.seen.append(vectors.copy())
        count = state[0] + 1
        mu = np.repeat(count, 2, axis=1)[:, None, :]
        batch = len(vectors)
        return Mixture(np.zeros((batch, 1)), mu, np.full((batch, 1, 2), self.sigma)), (count,)


def rngs(count, seed=0):
    return [np.random.default_rng((seed, index)) for index in range(count)]


def test_the_seed_fills_the_state_and_the_first_frame_follows_it():
    vectors = list(generate(Counter(), np.zeros((1, 5, 2)), 3, rngs(1)))
    assert [vector[0].tolist() for vector in vectors] == [[5, 5], [6, 6], [7, 7]]


def test_what_is_generated_is_what_is_fed_back():
    model = Counter(sigma=1.0)
    vectors = list(generate(model, np.zeros((2, 1, 2)), 6, rngs(2)))
    assert np.array_equal(np.stack(vectors[:-1]), np.stack(model.seen[1:]))


def test_a_trajectory_does_not_depend_on_its_neighbours():
    alone = list(generate(Counter(1.0), np.zeros((1, 4, 2)), 9, rngs(3)[1:2]))
    beside = list(generate(Counter(1.0), np.zeros((3, 4, 2)), 9, rngs(3)))
    assert np.array_equal(np.stack(alone)[:, 0], np.stack(beside)[:, 1])


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    one, two, other = (
        np.stack(list(generate(Counter(1.0), np.zeros((1, 4, 2)), 9, rngs(1, seed)))).tobytes()
        for seed in (3, 3, 4)
    )
    assert one == two != other


def test_a_state_begins_with_zeros_and_the_style():
    widths = {"h0": 3, "style": 2}
    h, style = begin_state(widths, 4)
    assert not h.any() and h.shape == (4, 3) and not style.any() and style.shape == (4, 2)
    assert begin_state(widths, 2, np.array([0.25, 0.75]))[1].tolist() == [[0.25, 0.75]] * 2
    blends = np.array([[1, 0], [0, 1]])
    h, style = begin_state(widths, 2, blends)
    assert style.tolist() == blends.tolist() and style.dtype == np.float32 and not h.any()


def test_a_style_that_the_network_does_not_have_is_refused():
    with pytest.raises(ValueError, match="trained without styles"):
        begin_state({"h0": 3}, 1, np.ones(2))
    for wrong in (np.ones(3), np.ones((3, 2)), 1.0):
        with pytest.raises(ValueError, match=r"shape \(2,\) or \(4, 2\); received"):
            begin_state({"style": 2}, 4, wrong)


@pytest.mark.parametrize("shape", [(4, 2), (1, 0, 2), (1, 4, 3)])
def test_a_seed_of_the_wrong_shape_is_refused(shape):
    with pytest.raises(ValueError, match="seed must be"):
        next(generate(Counter(), np.zeros(shape), 1, rngs(1)))


def test_a_network_that_breaks_is_stopped():
    with pytest.raises(ValueError, match="not finite at frame 0"):
        next(generate(Counter(np.nan), np.zeros((1, 1, 2)), 1, rngs(1)))

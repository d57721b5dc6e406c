"""Generation carries the state, and each trajectory has its own randomness."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.sequence.generate import generate
from dancenet.sequence.mixture import Mixture


class Counter:
    """A step model whose state counts the vectors seen and whose mean is that count."""

    dim = 2

    def __init__(self, sigma=0.0):
        self.sigma = sigma
        self.seen = []

    def initial_state(self, batch):
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


@pytest.mark.parametrize("shape", [(4, 2), (1, 0, 2), (1, 4, 3)])
def test_a_seed_of_the_wrong_shape_is_refused(shape):
    with pytest.raises(ValueError, match="seed must be"):
        next(generate(Counter(), np.zeros(shape), 1, rngs(1)))


def test_a_network_that_breaks_is_stopped():
    with pytest.raises(ValueError, match="not finite at frame 0"):
        next(generate(Counter(np.nan), np.zeros((1, 1, 2)), 1, rngs(1)))

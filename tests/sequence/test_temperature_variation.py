"""A varied temperature has the mean, spread and memory that are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.sequence.generate import generate
from dancenet.sequence.mixture import Mixture, sample_from_draws
from dancenet.sequence.temperature_variation import TemperatureVariation


def rngs(count, seed=0):
    return [np.random.default_rng((seed, index)) for index in range(count)]


def factors(deviation, memory, count, steps):
    """Returns the factors (steps, count): what becomes of draws of one."""
    temperature_variation = TemperatureVariation(rngs(count), deviation, memory)
    ones = np.ones((count, 1))
    return np.stack([temperature_variation.heat(ones, ones)[0][:, 0] for _ in range(steps)])


def test_factors_have_mean_1_and_the_deviation_and_memory_that_were_asked_for():
    found = factors(0.4, 20.0, 400, 400)
    assert found.mean() == pytest.approx(1.0, abs=0.03)
    logs = np.log(found)
    assert logs.std() == pytest.approx(0.4, abs=0.02)
    assert logs[0].std() == pytest.approx(0.4, abs=0.05)  # stationary from the beginning
    apart = ((logs[20:] - logs.mean()) * (logs[:-20] - logs.mean())).mean() / logs.var()
    assert apart == pytest.approx(np.exp(-1), abs=0.05)


def test_without_a_deviation_nothing_is_drawn_and_nothing_changes():
    generators = rngs(3)
    temperature_variation = TemperatureVariation(generators, 0.0, 60.0)
    gumbel, normal = np.random.default_rng(1).normal(size=(2, 3, 4))
    heated = temperature_variation.heat(gumbel, normal)
    assert heated[0] is gumbel and heated[1] is normal
    assert [rng.uniform() for rng in generators] == [rng.uniform() for rng in rngs(3)]


def test_heated_draws_are_those_of_a_temperature_times_the_factor():
    rng = np.random.default_rng(2)
    mixture = Mixture(rng.normal(size=(5, 3)), rng.normal(size=(5, 3, 2)), np.ones((5, 3, 2)))
    gumbel, normal = rng.gumbel(size=(5, 3)), rng.normal(size=(5, 2))
    expected = factors(0.7, 10.0, 5, 1)[0]
    heated = TemperatureVariation(rngs(5), 0.7, 10.0).heat(gumbel, normal)
    together = sample_from_draws(mixture, *heated, 0.8)
    for row in range(5):
        one = Mixture(*(part[row : row + 1] for part in mixture))
        alone = sample_from_draws(
            one, gumbel[row : row + 1], normal[row : row + 1], 0.8 * expected[row]
        )
        assert np.allclose(together[row], alone[0], rtol=1e-12)


class Walk:
    """A random walk."""

    dim = 2

    def initial_state(self, batch, style=None):
        return ()

    def step(self, vectors, state):
        shape = (len(vectors), 1, 2)
        return Mixture(np.zeros(shape[:2]), vectors[:, None], np.ones(shape)), state


def walk(temperature_variation, count=1, first=0):
    generators = rngs(first + count)[first:]
    return np.stack(
        list(
            generate(
                Walk(),
                np.zeros((count, 1, 2)),
                600,
                generators,
                temperature_variation=temperature_variation,
            )
        ),
        axis=1,
    )


def test_a_dance_of_varied_temperature_rests_and_rushes_with_the_same_energy():
    def windows(dance):
        return np.square(np.diff(dance, axis=1)).sum(axis=2)[:, :570].reshape(-1, 30).mean(axis=1)

    plain, variation = windows(walk((0.0, 60.0), 50)), windows(walk((0.5, 60.0), 50))
    assert variation.mean() == pytest.approx(plain.mean(), rel=0.1)
    assert np.log(variation).std() > 2 * np.log(plain).std()


def test_a_dance_of_varied_temperature_does_not_depend_on_those_beside_it():
    assert np.array_equal(walk((0.5, 60.0), 3)[2], walk((0.5, 60.0), 1, first=2)[0])


@pytest.mark.parametrize("deviation, memory", [(-0.1, 60.0), (np.inf, 60.0), (0.3, 0.0)])
def test_a_variation_without_sense_is_refused(deviation, memory):
    with pytest.raises(ValueError, match="0 or more and memory above 0"):
        TemperatureVariation(rngs(1), deviation, memory)

"""Mixtures of Gaussians: closed forms, moments with stated tolerances, and the order of draws."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.sequence.mixture import Mixture, log_likelihood, sample


def _mixture(logits, mu, sigma, batch=1):
    logits, mu, sigma = (np.asarray(value, np.float64) for value in (logits, mu, sigma))
    return Mixture(
        np.tile(logits, (batch, 1)), np.tile(mu, (batch, 1, 1)), np.tile(sigma, (batch, 1, 1))
    )


def test_one_gaussian_has_its_closed_form_density():
    mixture = _mixture([0.0], [[1.0, -2.0]], [[2.0, 0.5]])
    x = np.array([[0.0, -1.5]])
    expected = -0.5 * (0.25 + 1.0) - np.log(2.0) - np.log(0.5) - np.log(2 * np.pi)
    assert log_likelihood(mixture, x) == pytest.approx(expected, abs=1e-12)


def test_the_density_of_two_gaussians_is_their_weighted_sum():
    mixture = _mixture(np.log([0.3, 0.7]), [[0.0], [1.0]], [[1.0], [2.0]])
    normal = [
        np.exp(-0.5 * ((0.4 - mu) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
        for mu, sigma in ((0.0, 1.0), (1.0, 2.0))
    ]
    expected = np.log(0.3 * normal[0] + 0.7 * normal[1])
    assert log_likelihood(mixture, np.array([[0.4]])) == pytest.approx(expected, abs=1e-12)


def test_the_density_ignores_a_constant_added_to_the_logits():
    one = _mixture([0.0, 1.0], [[0.0], [1.0]], [[1.0], [2.0]])
    two = _mixture([900.0, 901.0], [[0.0], [1.0]], [[1.0], [2.0]])
    x = np.array([[0.4]])
    assert log_likelihood(one, x) == pytest.approx(log_likelihood(two, x), abs=1e-9)


def test_a_narrow_gaussian_has_a_positive_log_density():
    assert log_likelihood(_mixture([0.0], [[0.0]], [[0.01]]), np.array([[0.0]]))[0] > 3


def test_samples_have_the_mixtures_moments():
    count = 200_000
    mixture = _mixture(np.log([0.25, 0.75]), [[-2.0], [2.0]], [[0.5], [1.0]], count)
    draws = sample(mixture, np.random.default_rng(0))
    # Mean .25*-2 + .75*2 = 1; variance .25*(.25+4) + .75*(1+4) - 1 = 3.8125.
    # Tolerances are 4 standard errors: sqrt(3.8125 / 200000) = .0044.
    assert draws.mean() == pytest.approx(1.0, abs=0.018)
    assert draws.var() == pytest.approx(3.8125, abs=0.06)


def test_every_component_is_used():
    count = 50_000
    mu = np.arange(5.0)[:, None] * 100
    mixture = _mixture(np.log([0.1, 0.2, 0.3, 0.3, 0.1]), mu, np.ones((5, 1)), count)
    shares = np.bincount(np.rint(sample(mixture, np.random.default_rng(1))[:, 0] / 100).astype(int))
    assert shares / count == pytest.approx([0.1, 0.2, 0.3, 0.3, 0.1], abs=0.01)


def test_temperature_multiplies_the_variance_and_divides_the_logits():
    count, temperature = 200_000, 0.25
    one = _mixture([0.0], [[0.0]], [[2.0]], count)
    variance = sample(one, np.random.default_rng(0), temperature).var()
    assert variance == pytest.approx(temperature * 4.0, rel=0.02)
    two = _mixture(np.log([0.4, 0.6]), [[-100.0], [100.0]], [[1.0], [1.0]], count)
    share = (sample(two, np.random.default_rng(0), temperature) > 0).mean()
    expected = 0.6**4 / (0.6**4 + 0.4**4)
    assert share == pytest.approx(expected, abs=0.005)


def test_temperature_zero_is_the_mean_of_the_likeliest_component():
    mixture = _mixture([0.0, 1.0], [[1.0], [5.0]], [[1.0], [1.0]], 3)
    assert sample(mixture, np.random.default_rng(0), 0.0).tolist() == [[5.0]] * 3


def test_the_same_seed_gives_the_same_bytes():
    mixture = _mixture(np.zeros(4), np.zeros((4, 3)), np.ones((4, 3)), 6)
    one, two = (sample(mixture, np.random.default_rng(7), 0.8).tobytes() for _ in range(2))
    assert one == two


@pytest.mark.parametrize("temperature", [-0.1, np.nan, np.inf])
def test_an_impossible_temperature_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature must be 0 or more"):
        sample(_mixture([0.0], [[0.0]], [[1.0]]), np.random.default_rng(0), temperature)

"""Mixtures of Gaussians: closed forms, moments with stated tolerances, and the order of draws."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.sequence.mixture import (
    Mixture,
    entropy,
    log_likelihood,
    responsibilities,
    sample,
)


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


def test_thirty_two_components_are_drawn_as_often_as_their_weights_say():
    count, weights = 64_000, np.random.default_rng(0).dirichlet(np.full(32, 3.0))
    mu = 100.0 * np.arange(32)[:, None] + np.zeros(5)
    mixture = _mixture(np.log(weights) - 3, mu, np.full((32, 5), 0.5), count)
    draws = sample(mixture, np.random.default_rng(1))
    drawn = np.rint(draws[:, 0] / 100).astype(int)
    # Pearson's statistic is chi-square with 31 degrees of freedom, which is above 61.1 once in a
    # thousand times; drawing the first component only would give millions.
    expected = count * weights
    assert expected.min() > 5
    assert (np.square(np.bincount(drawn, minlength=32) - expected) / expected).sum() < 61.1
    # All dimensions come from one component.
    assert (np.rint(draws / 100).astype(int) == drawn[:, None]).all()


def test_the_moments_of_thirty_two_components_are_those_of_the_mixture():
    count, rng = 200_000, np.random.default_rng(0)
    weights, mu = rng.dirichlet(np.ones(32)), rng.normal(size=(32, 2)) * 2
    sigma = rng.uniform(0.3, 1.0, (32, 2))
    draws = sample(_mixture(np.log(weights), mu, sigma, count), np.random.default_rng(1))
    mean = weights @ mu
    variance = weights @ (sigma**2 + mu**2) - mean**2
    # Tolerances are 4 standard errors: sqrt(v / n) of the mean, and at most about v sqrt(2 / n) of
    # the variance, as these mixtures have lighter tails than a Gaussian.
    assert (np.abs(draws.mean(axis=0) - mean) < 4 * np.sqrt(variance / count)).all()
    assert (np.abs(draws.var(axis=0) - variance) < 4 * variance * np.sqrt(2.5 / count)).all()


def test_a_component_is_responsible_for_its_share_of_the_density():
    mixture = _mixture(np.log([0.3, 0.7]), [[0.0], [1.0]], [[1.0], [2.0]])
    joint = [
        pi * np.exp(-0.5 * ((0.4 - mu) / sigma) ** 2) / sigma
        for pi, mu, sigma in ((0.3, 0.0, 1.0), (0.7, 1.0, 2.0))
    ]
    received = responsibilities(mixture, np.array([[0.4]]))
    assert received[0] == pytest.approx(np.array(joint) / sum(joint))


def test_responsibilities_far_from_every_component_still_sum_to_one():
    mu = np.random.default_rng(0).normal(size=(32, 9))
    mixture = _mixture(np.zeros(32), mu, np.ones((32, 9)))
    assert responsibilities(mixture, np.full((1, 9), 1e6)).sum() == pytest.approx(1.0)


def test_the_entropy_of_a_choice_is_zero_when_it_is_made_and_log_k_when_it_is_open():
    logits = np.array([[0.0] * 32, [1e3] + [0.0] * 31, [7.0, 7.0] + [-1e3] * 30])
    assert entropy(logits) == pytest.approx([np.log(32), 0.0, np.log(2)], abs=1e-12)


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

"""Mixtures of diagonal Gaussians: density and sampling, in NumPy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_LOG_2PI = float(np.log(2.0 * np.pi))


class Mixture(NamedTuple):
    """K diagonal Gaussians and the weights they are drawn with."""

    pi_logits: np.ndarray  # (B, K) unnormalised log weights
    mu: np.ndarray  # (B, K, D) means
    sigma: np.ndarray  # (B, K, D) standard deviations, > 0


def sample(mixture: Mixture, rng: np.random.Generator, temperature: float = 1.0) -> np.ndarray:
    """Draws one vector from each of B mixtures.

    Temperature divides the mixture logits and multiplies the variance, as in World Models
    (Ha and Schmidhuber 2018, arXiv:1803.10122, appendix A.2); 0 gives the mean of the
    likeliest component. The component is drawn by the Gumbel-max trick.

    The draws are made in one fixed order, (B, K) Gumbel then (B, D) normal, at every
    temperature, so that two temperatures with one seed differ in nothing else.

    Args:
        mixture: B mixtures.
        rng: the source of randomness; 64-bit draws, whatever the mixture's precision.
        temperature: >= 0.

    Returns:
        (B, D), of the mixture's dtype.

    Raises:
        ValueError: the temperature is negative or not finite.
    """
    _check_temperature(temperature)
    gumbel = rng.gumbel(size=mixture.pi_logits.shape)
    normal = rng.standard_normal((len(mixture.mu), mixture.mu.shape[2]))
    return sample_from_draws(mixture, gumbel, normal, temperature)


def sample_from_draws(
    mixture: Mixture, gumbel: np.ndarray, normal: np.ndarray, temperature: float
) -> np.ndarray:
    """Turns given draws into one vector of each of B mixtures.

    Args:
        mixture: B mixtures.
        gumbel: (B, K) draws from the standard Gumbel distribution.
        normal: (B, D) draws from the standard normal distribution.
        temperature: >= 0, as in `sample`.

    Returns:
        (B, D), of the mixture's dtype.
    """
    _check_temperature(temperature)
    # Argmax of logits / t + gumbel, multiplied by t so that t = 0 is its own limit.
    component = np.argmax(mixture.pi_logits + temperature * gumbel, axis=1)
    rows = np.arange(len(component))
    mu = mixture.mu[rows, component]
    sigma = mixture.sigma[rows, component]
    return (mu + np.sqrt(temperature) * sigma * normal).astype(mixture.mu.dtype)


def log_likelihood(mixture: Mixture, vectors: np.ndarray) -> np.ndarray:
    """Returns the log density of each vector under its mixture, in nats.

    log sum_k softmax(pi_logits)_k prod_d N(x_d; mu_kd, sigma_kd), Bishop 1994, "Mixture density
    networks", equations 22 and 23, with one sigma for each dimension.

    A density, unlike a probability, may exceed 1, so its logarithm may be positive.

    Args:
        mixture: B mixtures.
        vectors: (B, D).

    Returns:
        (B,) nats.
    """
    joint = _log_joint(mixture, vectors)
    peak = joint.max(axis=1, keepdims=True)
    return (peak + np.log(np.exp(joint - peak).sum(axis=1, keepdims=True)))[:, 0]


def responsibilities(mixture: Mixture, vectors: np.ndarray) -> np.ndarray:
    """Returns how probable it is that each vector came from each component.

    The posterior pi_k N(x; mu_k, sigma_k) / sum_j pi_j N(x; mu_j, sigma_j), Bishop 1994, "Mixture
    density networks", equation 30.

    Args:
        mixture: B mixtures.
        vectors: (B, D).

    Returns:
        (B, K), rows of sum 1.
    """
    return np.exp(_log_softmax(_log_joint(mixture, vectors)))


def entropy(pi_logits: np.ndarray) -> np.ndarray:
    """Returns how undecided the choice of a component is, -sum_k pi_k log pi_k.

    Args:
        pi_logits: (B, K).

    Returns:
        (B,) nats, from 0 (always the same component) to log K (all alike).
    """
    log_pi = _log_softmax(pi_logits)
    return -(np.exp(log_pi) * log_pi).sum(axis=1)


def _log_joint(mixture: Mixture, vectors: np.ndarray) -> np.ndarray:
    """Returns log pi_k N(x; mu_k, sigma_k), (B, K)."""
    z = (vectors[:, None, :] - mixture.mu) / mixture.sigma
    normal = -0.5 * np.square(z) - np.log(mixture.sigma) - 0.5 * _LOG_2PI
    return _log_softmax(mixture.pi_logits) + normal.sum(axis=2)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _check_temperature(temperature: float) -> None:
    if not 0 <= temperature < np.inf:
        raise ValueError(f"temperature must be 0 or more and finite; received {temperature}.")

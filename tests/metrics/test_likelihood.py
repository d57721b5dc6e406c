"""Closed forms: the likelihood of sequences whose distribution is known."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.metrics import likelihood
from dancenet.metrics.likelihood import FirstOrder
from dancenet.sequence.mixture import Mixture

MATRIX = np.array([[0.9, 0.2], [-0.2, 0.9]])
NOISE = np.array([0.5, 0.1])


def rotation(num_frames: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = [np.zeros(2)]
    for _ in range(num_frames - 1):
        rows.append(rows[-1] @ MATRIX + [1.0, 0.0] + rng.normal(size=2) * NOISE)
    return np.array(rows)


class Walk:
    """Predicts each vector around the sum of all vectors since its state was reset."""

    dim = 1

    def initial_state(self, batch, style=None):
        return (np.zeros((batch, 1)),)

    def step(self, vectors, state):
        total = state[0] + vectors
        return Mixture(np.zeros((len(total), 1)), total[:, None], np.ones_like(total)[:, None]), (
            total,
        )


def test_ar1_finds_the_map_and_the_noise_it_was_made_with():
    chain = FirstOrder.fit([rotation(20_000), rotation(20_000, seed=1)])
    assert chain.matrix == pytest.approx(MATRIX, abs=0.01)
    assert chain.offset == pytest.approx([1.0, 0.0], abs=0.05)
    assert np.linalg.inv(chain.noise.precision) == pytest.approx(np.diag(NOISE**2), abs=0.005)


def test_ar1_predicts_to_within_the_entropy_of_the_noise():
    chain = FirstOrder.fit([rotation(20_000)])
    entropy = 0.5 * (np.log(2 * np.pi) + 1) + np.log(NOISE).mean()
    assert chain.nll([rotation(20_000, seed=1)]) == pytest.approx(entropy, abs=0.01)


def test_ar1_never_steps_from_one_run_to_the_next():
    apart = [np.full((30, 2), value) for value in (0.0, 100.0)]
    chain = FirstOrder.fit(apart)
    assert np.abs(apart[1][:1] @ chain.matrix + chain.offset - 100).max() < 0.1


def test_what_ar1_makes_has_the_mean_and_spread_of_what_it_learnt():
    learnt = rotation(50_000)
    chain = FirstOrder.fit([learnt])
    made = chain.sample(learnt[:50], 1000, np.random.default_rng(0))
    assert made.shape == (50, 1000, 2) and made.dtype == np.float32
    assert made.mean(axis=(0, 1)) == pytest.approx(learnt.mean(axis=0), abs=0.1)
    assert made.std(axis=(0, 1)) == pytest.approx(learnt.std(axis=0), rel=0.05)


def test_ar1_does_not_run_away():
    growing = np.cumsum(np.ones((200, 2)), axis=0) ** 2
    made = FirstOrder.fit([growing]).sample(growing[-1:], 20_000, np.random.default_rng(0))
    assert np.isfinite(made).all()
    assert np.abs(made[:, -1000:]).max() < 10 * np.abs(growing).max()


def test_a_network_is_shown_the_true_vectors_and_begins_anew_with_every_run():
    # Of ones, the sum after t of them predicts the next as t: it misses by t - 1.
    runs = [np.ones((13, 1)), np.ones((11, 1))]
    misses = [np.arange(8, 12), np.arange(8, 10)]  # after the warm-up of 8
    square = np.concatenate(misses).astype(float) ** 2
    expected = 0.5 * np.log(2 * np.pi) + 0.5 * square.mean()
    assert likelihood.prediction_nll(Walk(), runs) == pytest.approx(expected)


def test_runs_without_a_step_that_counts_have_no_likelihood():
    assert np.isnan(likelihood.prediction_nll(Walk(), [np.ones((9, 1))]))

"""The rank test against SciPy's, and what is near."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.metrics import novelty


@pytest.mark.parametrize("ties", [False, True])
def test_z_is_scipys(ties):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.3, 1, 80), rng.normal(0, 1, 57)
    if ties:
        first, second = first.round(), second.round()
    expected = stats.mannwhitneyu(
        first, second, alternative="greater", method="asymptotic", use_continuity=False
    )
    assert stats.norm.sf(novelty.mann_whitney_z(first, second)) == pytest.approx(expected.pvalue)


def test_what_is_always_nearer_has_the_lowest_z():
    # U = 0: -nm/2 over sqrt(nm(n + m + 1)/12).
    expected = -200 / np.sqrt(400 * 41 / 12)
    found = novelty.mann_whitney_z(np.arange(20.0), np.arange(20.0) + 100)
    assert found == pytest.approx(expected)
    assert novelty.mann_whitney_z(np.arange(20.0) + 100, np.arange(20.0)) == -found


def test_equal_distances_tell_nothing():
    assert novelty.mann_whitney_z(np.ones(30), np.ones(30)) == 0.0


def test_a_twentieth_of_what_is_held_out_is_near():
    held_out = np.random.default_rng(0).random(1000)
    assert novelty.near_share(held_out, held_out) == pytest.approx(0.05)
    assert novelty.near_share(np.zeros(10), held_out) == 1.0
    assert novelty.near_share(held_out + 1, held_out) == 0.0

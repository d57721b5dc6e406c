"""Running means of a trajectory."""

import numpy as np
import pytest

from dancenet.sequence.context import rates, running_means


def test_a_mean_forgets_with_its_time_constant():
    vectors = np.zeros((90, 2), np.float32)
    vectors[0] = 1
    means = running_means(vectors, (10.0, 30.0))
    assert means.shape == (90, 2, 2)
    assert means[30, 0, 0] / means[0, 0, 0] == pytest.approx(np.exp(-3), rel=1e-4)
    assert means[30, 1, 0] / means[0, 1, 0] == pytest.approx(np.exp(-1), rel=1e-4)


def test_the_mean_of_what_stays_is_what_stays():
    means = running_means(np.full((500, 1), 3.0), (20.0,))
    assert means[-1, 0, 0] == pytest.approx(3.0, abs=1e-4)
    assert (np.diff(means[:, 0, 0]) >= 0).all()


def test_shares_of_a_new_vector_lie_between_0_and_1():
    assert rates(()).shape == (0,)
    assert ((rates((1.0, 5.0, 480.0)) > 0) & (rates((1.0, 5.0, 480.0)) < 1)).all()

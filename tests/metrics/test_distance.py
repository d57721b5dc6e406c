"""Distances between sets whose distance is known, in closed form or by their definition."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.metrics import distance
from dancenet.metrics.distance import Projection


def exact_sample(mean: list[float], covariance: np.ndarray, count: int = 50) -> np.ndarray:
    """Returns points whose sample mean and covariance are exactly those."""
    points = np.random.default_rng(3).normal(size=(count, len(mean)))
    points -= points.mean(axis=0)
    points = points @ np.linalg.inv(np.linalg.cholesky(np.cov(points, rowvar=False))).T
    return points @ np.linalg.cholesky(covariance).T + mean


def test_the_frechet_distance_of_two_known_gaussians():
    # Covariances that commute: |m|² + sum (s1 - s2)².
    one = exact_sample([0, 0, 0], np.diag([1.0, 4.0, 9.0]))
    other = exact_sample([1, 2, 2], np.diag([4.0, 4.0, 1.0]))
    assert distance.frechet(one, other) == pytest.approx(9 + 1 + 0 + 4)


def test_the_frechet_distance_of_covariances_that_do_not_commute():
    first = np.array([[2.0, 1.0], [1.0, 2.0]])
    second = np.diag([1.0, 4.0])
    # In two dimensions tr sqrt(M) = sqrt(tr M + 2 sqrt(det M)), with M = C1 C2.
    product = first @ second
    cross = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    found = distance.frechet(exact_sample([0, 0], first), exact_sample([0, 0], second))
    assert found == pytest.approx(4 + 5 - 2 * cross)


def test_a_set_is_at_no_distance_from_itself_even_if_it_is_flat():
    points = np.random.default_rng(0).normal(size=(300, 5))
    points[:, 3:] = points[:, :2]
    assert distance.frechet(points, points) == pytest.approx(0.0, abs=1e-9)


def test_too_few_windows_of_a_gaussian_are_far_from_it():
    # Why there are LEAST_WINDOWS: 40 draws in 72 dimensions score 48 by noise alone.
    rng = np.random.default_rng(0)
    everything = rng.normal(size=(20_000, 72))
    few = [distance.frechet(rng.normal(size=(40, 72)), everything) for _ in range(5)]
    assert np.mean(few) == pytest.approx(48, rel=0.05)
    enough = rng.normal(size=(distance.LEAST_WINDOWS, distance.MAX_DIMS))
    assert distance.frechet(enough, everything[:, : distance.MAX_DIMS]) < 1


def test_the_frechet_distance_is_the_one_with_scipys_matrix_root():
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(300, 8)) @ rng.normal(size=(8, 8)), rng.normal(size=(250, 8))
    covariances = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = np.square(one.mean(axis=0) - other.mean(axis=0)).sum()
    expected += np.trace(covariances[0] + covariances[1] - 2 * root)
    assert distance.frechet(one, other) == pytest.approx(expected)


def test_a_projection_keeps_what_differs_most():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(300, 40)) * np.concatenate([[50.0, 30.0], np.full(38, 0.01)])
    project = Projection.fit(real, standardise=False)
    assert project(real).shape == (300, distance.MAX_DIMS)
    assert np.var(project(real), axis=0)[:2] == pytest.approx([2500, 900], rel=0.25)


def test_a_standardised_projection_does_not_depend_on_units():
    rng = np.random.default_rng(0)
    real, found = rng.normal(size=(2, 300, 10))
    unit = 10.0 ** rng.integers(-3, 4, 10)
    one = distance.frechet(*(Projection.fit(real)(part) for part in (real, found)))
    other = distance.frechet(*(Projection.fit(real * unit)(part * unit) for part in (real, found)))
    assert one == pytest.approx(other)


def test_a_statistic_that_never_varies_is_kept_as_it_is():
    real = np.random.default_rng(0).normal(size=(300, 3))
    real[:, 1] = 5.0
    assert np.isfinite(Projection.fit(real)(real + 1)).all()


def test_latent_statistics_are_mean_deviation_and_step():
    window = np.array([[[0.0, 1.0], [2.0, 1.0], [0.0, 1.0], [2.0, 1.0]]])
    assert distance.latent_statistics(window).tolist() == [[1, 1, 1, 0, 2, 0]]


def test_the_nearest_is_found_and_equal_rows_are_at_nothing():
    rng = np.random.default_rng(0)
    second = rng.normal(size=(700, 30)).astype(np.float32)
    first = np.concatenate([second[5:8], rng.normal(size=(600, 30)).astype(np.float32)])
    found = distance.nearest(first, second)
    assert found[:3].tolist() == [0, 0, 0]
    expected = np.linalg.norm(first[:, None] - second, axis=2).min(axis=1)
    assert found == pytest.approx(expected, rel=1e-5)


def test_without_rows_there_are_no_nearest():
    some, none = np.zeros((4, 3)), np.zeros((0, 3))
    assert distance.nearest(none, some).shape == distance.nearest(some, none).shape == (0,)


def test_a_set_covers_itself():
    points = np.random.default_rng(0).normal(size=(100, 4))
    density, coverage = distance.density_and_coverage(points, points)
    assert coverage == 1.0
    # Every ball holds its own centre and its k nearest: (k + 1) / k.
    assert density == pytest.approx(1.2)
    assert distance.precision_and_recall(points, points) == (1.0, 1.0)


def test_two_draws_of_one_distribution_have_the_density_and_coverage_of_the_paper():
    rng = np.random.default_rng(0)
    density, coverage = distance.density_and_coverage(*rng.normal(size=(2, 1000, 6)))
    assert density == pytest.approx(1.0, abs=0.1)
    assert coverage == pytest.approx(1 - 2.0**-5, abs=0.02)


def test_one_point_over_and_over_is_precise_and_covers_little():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(200, 4))
    found = np.repeat(real[:1], 200, axis=0)
    assert distance.density_and_coverage(real, found)[1] < 0.1
    precision, recall = distance.precision_and_recall(real, found)
    assert precision == 1.0 and recall < 0.1


def test_what_is_far_away_covers_nothing():
    real = np.random.default_rng(0).normal(size=(100, 4))
    assert distance.density_and_coverage(real, real + 100) == (0.0, 0.0)
    assert distance.precision_and_recall(real, real + 100) == (0.0, 0.0)


def test_precision_by_hand():
    # On a line, with k = 1: balls of radius 1, 1 and 3 around 0, 1 and 4.
    real, found = np.array([[0.0], [1.0], [4.0]]), np.array([[6.0], [9.0], [9.5]])
    assert distance.precision_and_recall(real, found, 1)[0] == pytest.approx(1 / 3)
    assert distance.density_and_coverage(real, found, 1) == (pytest.approx(1 / 3),) * 2


def test_fewer_points_than_neighbours_are_refused():
    with pytest.raises(ValueError, match="5 points have no 5 neighbours"):
        distance.density_and_coverage(np.zeros((5, 2)), np.zeros((9, 2)))

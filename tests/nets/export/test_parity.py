"""The measures of difference between exported networks and Keras."""

import numpy as np
import pytest

from dancenet.nets.export import parity
from dancenet.nets.export.parity import ParityError
from dancenet.sequence.mixture import Mixture


def comparison(
    name: str, size_bytes: int | None, error: float, limit: float, effect: str = ""
) -> parity.Comparison:
    return parity.Comparison(
        name=name,
        size_bytes=size_bytes,
        error=error,
        limit=limit,
        effect=effect,
        milliseconds=0.5,
        keras_milliseconds=2.0,
    )


def test_nan_infinity_and_another_shape_are_errors_without_limit() -> None:
    one = np.ones((2, 3), np.float32)
    for wrong in (one * np.nan, one * np.inf, one[:1]):
        assert parity.largest_error(one, wrong) == np.inf
    row = comparison("f", 1, np.inf, np.finfo(float).max)
    assert not row.passed


def test_errors_are_absolute_below_1_and_relative_above() -> None:
    assert parity.largest_error(np.array([0.5]), np.array([0.25])) == 0.25
    assert parity.largest_error(np.array([8.0, 1]), np.array([8.0, 0])) == 1 / 8


def test_a_square_moved_by_a_pixel_has_two_of_its_sides_moved_by_one() -> None:
    first = np.ones((1, 40, 40))
    first[:, 10:30, 10:30] = 0
    shift, iou = parity.outline_shift(first, np.roll(first, 1, axis=2))
    # 40 pixels change over an outline of 80 edges, which counts as pi / 4 a pixel each.
    assert shift == pytest.approx(40 / (80 * np.pi / 4))
    assert iou == pytest.approx(19 / 21)


def test_pictures_without_a_dancer_are_alike() -> None:
    assert parity.outline_shift(np.ones((2, 8, 8)), np.ones((2, 8, 8))) == (0.0, 1.0)


def test_a_mean_off_by_a_tenth_of_sigma_costs_half_a_hundredth_of_a_nat() -> None:
    rng = np.random.default_rng(0)
    pi_logits, mu = rng.normal(size=(3, 4)), rng.normal(size=(3, 4, 5))
    sigma = rng.uniform(0.1, 2, (3, 4, 5))
    expected = Mixture(pi_logits, mu, sigma)
    assert parity.nats_lost(expected, Mixture(pi_logits + 7, mu, sigma)) == pytest.approx(0)
    moved = Mixture(pi_logits, mu + 0.1 * sigma, sigma)
    assert parity.nats_lost(expected, moved) == pytest.approx(0.1**2 / 2)


def test_with_one_component_the_cost_is_the_divergence_of_two_gaussians() -> None:
    expected = Mixture(np.zeros((1, 1)), np.zeros((1, 1, 1)), np.full((1, 1, 1), 2.0))
    received = Mixture(np.zeros((1, 1)), np.ones((1, 1, 1)), np.full((1, 1, 1), 3.0))
    # KL of N(0, 2) and N(1, 3): log(3 / 2) + (2**2 + 1**2) / (2 * 3**2) - 1 / 2.
    assert parity.nats_lost(expected, received) == pytest.approx(np.log(1.5) + 5 / 18 - 0.5)


def test_blurred_mixtures_have_the_variances_of_both() -> None:
    mu = np.zeros((1, 1, 2))
    expected = Mixture(np.zeros((1, 1)), mu, np.full_like(mu, 3.0))
    received = Mixture(np.zeros((1, 1)), mu + 1, np.full_like(mu, 3.0))
    blurred = parity.nats_lost(expected, received, np.array([4.0, 4.0]))
    assert blurred == pytest.approx(0.5 / (3**2 + 4**2))


def test_different_weights_cost_their_divergence() -> None:
    mu, sigma = np.zeros((1, 2, 3)), np.ones((1, 2, 3))
    expected = Mixture(np.log([[0.5, 0.5]]), mu, sigma)
    received = Mixture(np.log([[0.25, 0.75]]), mu, sigma)
    cost = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    assert parity.nats_lost(expected, received) == pytest.approx(cost / 3)


def test_failures_are_listed_in_a_table() -> None:
    good = comparison("a.tflite", 2_000_000, 1e-7, 1e-5, "IoU 1")
    bad = comparison("b", None, 1e-3, 1e-5)
    parity.require_parity([good])
    with pytest.raises(ParityError, match="do not compute what Keras computes") as error:
        parity.require_parity([good, bad])
    assert "a.tflite" not in str(error.value)
    lines = parity.format_comparisons([good, bad]).splitlines()
    assert lines[1].split() == ["a.tflite", "2.00", "MB", "1.0e-07", "0.50", "2.00", "IoU", "1"]
    assert lines[2].endswith("too much")

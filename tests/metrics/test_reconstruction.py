"""Masks and pictures whose likeness is known, and scikit-image's SSIM."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.metrics import reconstruction


def square(top: int, left: int, side: int = 20) -> np.ndarray:
    mask = np.zeros((1, 60, 80), bool)
    mask[0, top : top + side, left : left + side] = True
    return mask


def test_a_mask_moved_by_half_its_side_shares_a_third():
    assert reconstruction.iou(square(10, 10), square(10, 20)) == pytest.approx([1 / 3])


def test_the_overlap_of_equal_masks_is_one_and_of_disjoint_ones_zero():
    masks = np.concatenate([square(10, 10), square(10, 10)])
    others = np.concatenate([square(10, 10), ~square(10, 10)])
    assert reconstruction.iou(masks, others).tolist() == [1.0, 0.0]


def test_two_empty_masks_are_alike():
    empty = np.zeros((1, 60, 80), bool)
    assert reconstruction.iou(empty, empty) == [1.0]
    assert reconstruction.boundary_f(empty, empty) == [1.0]


def test_a_missing_figure_has_no_outline():
    empty = np.zeros((1, 60, 80), bool)
    assert reconstruction.boundary_f(square(10, 10), empty) == [0.0]
    assert reconstruction.boundary_f(empty, square(10, 10)) == [0.0]


def test_an_outline_two_pixels_off_is_forgiven_and_three_are_not():
    truth = np.zeros((1, 60, 80), bool)
    truth[0, :, :30] = True  # a straight edge across the picture
    for off, expected in ((1, 1.0), (2, 1.0), (3, 0.0)):
        found = np.zeros_like(truth)
        found[0, :, : 30 + off] = True
        assert reconstruction.boundary_f(truth, found) == [expected]


def test_the_edge_of_the_picture_is_no_outline():
    full = np.ones((1, 60, 80), bool)
    assert reconstruction.boundary_f(full, full) == [1.0]
    assert reconstruction.boundary_f(full, square(10, 10)) == [0.0]


def test_boundary_f_is_the_harmonic_mean_of_precision_and_recall():
    # Half of what is found is right, all of what is true is found: 2 · .5 · 1 / 1.5.
    truth = np.zeros((1, 60, 80), bool)
    truth[0, :, :30] = True
    found = truth.copy()
    found[0, :, 60:] = True
    assert reconstruction.boundary_f(truth, found) == pytest.approx([2 / 3])


def test_an_error_of_a_tenth_everywhere_is_twenty_decibels():
    white = np.ones((2, 60, 80), np.float32)
    assert reconstruction.psnr(white, white - 0.1) == pytest.approx([20.0, 20.0], abs=1e-5)
    assert reconstruction.psnr(white, white).tolist() == [np.inf, np.inf]


def test_ssim_is_scikit_images():
    metrics = pytest.importorskip("skimage.metrics")
    rng = np.random.default_rng(0)
    truth = (rng.random((3, 120, 208)) > 0.5).astype(np.float32)
    found = np.clip(truth + rng.normal(0, 0.2, truth.shape), 0, 1).astype(np.float32)
    expected = [
        metrics.structural_similarity(
            one.astype(np.float64),
            other.astype(np.float64),
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for one, other in zip(truth, found)
    ]
    assert reconstruction.ssim(truth, found) == pytest.approx(expected, abs=1e-6)
    assert reconstruction.ssim(truth, truth) == pytest.approx([1.0] * 3)

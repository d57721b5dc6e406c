"""Figures of known shape: moved, doubled, cut, and looked for among others."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.metrics.bodies import shapes


def figure(top: int = 30, left: int = 90, width: int = 12, height: int = 80) -> np.ndarray:
    """Draws a trunk with a leg that sticks out to the right."""
    mask = np.zeros((120, 208), bool)
    mask[top : top + height, left : left + width] = True
    mask[top + height - 4 : top + height, left : left + width + 20] = True
    return mask


def test_a_figure_is_the_same_wherever_it_stands():
    first, second = shapes.align(np.stack([figure(30, 90), figure(10, 150)]))
    np.testing.assert_array_equal(first, second)
    assert first.sum() == figure().sum()
    assert first[-1].any() and not first[:-80].any()


def test_a_figure_that_is_cut_by_the_picture_keeps_the_rest():
    assert shapes.align(figure(30, 0)[None]).sum() == figure(30, 0).sum()


def test_an_empty_picture_stays_empty():
    aligned = shapes.align(np.zeros((1, 120, 208), bool))
    assert not aligned.any()
    assert not shapes.has_two_trunks(np.zeros((1, 120, 208), bool)).any()


def test_a_small_picture_keeps_the_area():
    small = shapes.small(shapes.align(figure()[None]))
    assert small.shape == (1, shapes.SMALL, shapes.SMALL)
    assert 4 * small.sum() == figure().sum()


@pytest.mark.parametrize(
    "gap, width, two",
    [(10, 8, True), (10, 6, True), (10, 5, False), (0, 8, False), (1, 8, True)],
)
def test_two_wide_runs_side_by_side_are_two_trunks(gap, width, two):
    mask = figure(width=width) | figure(left=90 + width + gap, width=width)
    mask[30:110, 0:90] = False
    assert shapes.has_two_trunks(mask[None]).tolist() == [two]


def test_legs_are_not_two_trunks():
    mask = figure(width=20, height=40)
    mask[70:110, 88:96] = mask[70:110, 106:114] = True
    assert not shapes.has_two_trunks(mask[None])[0]


def test_the_nearest_silhouette_is_found_wherever_it_stands():
    known = shapes.pack(shapes.align(np.stack([figure(), figure(width=40)])))
    others = np.stack([figure(20, 120), figure(width=38), np.zeros((120, 208), bool)])
    found = shapes.pack(shapes.align(others))
    iou = shapes.best_iou(found, known, np.array([[0, 1]] * 3))
    assert iou[0] == 1.0
    assert 0.9 < iou[1] < 1.0
    assert iou[2] == 0.0
    assert shapes.best_iou(found, known, np.array([[1]] * 3))[0] < 1.0


def test_many_silhouettes_are_compared_as_pixels_are():
    rng = np.random.default_rng(0)
    masks = [figure(width=int(width)) for width in rng.integers(6, 60, 60)]
    aligned = shapes.align(np.stack(masks))
    packed = shapes.pack(aligned)
    found = shapes.best_iou(packed[12:], packed[:12], np.array([range(12)] * 48))
    by_hand = [
        max((one & other).sum() / (one | other).sum() for one in aligned[:12])
        for other in aligned[12:]
    ]
    np.testing.assert_allclose(found, by_hand, rtol=1e-12)

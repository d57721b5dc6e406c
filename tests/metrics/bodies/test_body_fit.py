"""A body that was drawn is found again; what no body looks like is not."""

from __future__ import annotations

import numpy as np
import pytest
from bodies import stand

from dancenet.data.motion.camera import CameraView
from dancenet.data.motion.draw_body import draw_bodies
from dancenet.metrics.bodies import body_fit, pose_network, scores
from dancenet.metrics.bodies.body_fit import Sizes, fit_bodies
from dancenet.metrics.bodies.redraw import body_outlines, redraw
from dancenet.metrics.bodies.scores import BodyReference, BodyScores

POSES = {
    "stands": {},
    "arms out": {
        "l_elbow": (0.46, 1.39, 0),
        "l_wrist": (0.72, 1.41, 0),
        "r_elbow": (-0.46, 1.37, 0),
        "r_wrist": (-0.72, 1.42, 0),
    },
    "steps": {
        "l_knee": (0.25, 0.52, 0.1),
        "l_ankle": (0.42, 0.14, 0.05),
        "l_toe": (0.5, 0.1, 0.15),
        "r_elbow": (-0.42, 1.25, 0),
        "r_wrist": (-0.55, 1.48, 0.05),
    },
}


def masks(yaw: float = 0.0) -> dict[str, np.ndarray]:
    """Draws each pose, (120, 208) bool."""
    return {
        name: next(iter(draw_bodies(stand(**moved), 30.0, CameraView(yaw)))) == 0
        for name, moved in POSES.items()
    }


def fit_all(pictures: list[np.ndarray]) -> np.ndarray:
    return fit_bodies(np.stack(pictures)).iou


@pytest.fixture(scope="module")
def whole() -> dict[str, np.ndarray]:
    return masks()


@pytest.fixture(scope="module")
def of_whole(whole) -> dict[str, float]:
    return dict(zip(whole, fit_all(list(whole.values()))))


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Returns top, bottom, left and right of a figure, the ends not included."""
    rows, columns = np.nonzero(mask)
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def without_head(mask: np.ndarray) -> np.ndarray:
    top, bottom, *_ = box(mask)
    found = mask.copy()
    found[: top + round(0.13 * (bottom - top))] = False
    return found


def calf_comes_off(mask: np.ndarray) -> np.ndarray:
    """Moves the calves aside."""
    top, bottom, *_ = box(mask)
    knee = bottom - round(0.27 * (bottom - top))
    found = mask.copy()
    found[knee:] = np.roll(mask[knee:], 25, axis=1)
    return found


def two_trunks(mask: np.ndarray) -> np.ndarray:
    return mask | np.roll(mask, 26, axis=1)


def third_arm(mask: np.ndarray) -> np.ndarray:
    top, bottom, left, right = box(mask)
    found = mask.copy()
    waist, middle = round(top + 0.42 * (bottom - top)), (left + right) // 2
    found[waist : waist + 5, middle : middle + 45] = True
    return found


def arm_in_head(mask: np.ndarray) -> np.ndarray:
    """Puts a beak on the head, as wide as an arm is long."""
    top, _, left, right = box(mask)
    found = mask.copy()
    middle = round(float(np.nonzero(mask[: top + 8])[1].mean()))
    found[top + 1 : top + 10, middle : middle + 26] = True
    return found


def test_a_whole_body_is_found_again(of_whole):
    assert all(value > 0.8 for value in of_whole.values()), of_whole


@pytest.mark.parametrize("yaw", [90, 200, 320])
def test_a_body_is_found_from_any_side(yaw):
    found = fit_all(list(masks(yaw).values()))
    assert (found > 0.8).all(), found


def test_a_body_anywhere_is_found_as_well(whole, of_whole):
    moved = [np.roll(whole["stands"], shift, axis=1) for shift in (-40, 40)]
    assert fit_all(moved) == pytest.approx(of_whole["stands"], abs=0.02)


@pytest.mark.parametrize(
    "spoil, least",
    # A body without a head may be a smaller one that bows.
    [
        (without_head, 0.02),
        (calf_comes_off, 0.1),
        (two_trunks, 0.3),
        (third_arm, 0.07),
        (arm_in_head, 0.1),
    ],
)
def test_what_is_no_body_fits_worse(whole, of_whole, spoil, least):
    found = fit_all([spoil(mask) for mask in whole.values()])
    for value, before in zip(found, of_whole.values()):
        assert value < before - least, spoil


def test_steps_improve_the_network_s_guess(whole, monkeypatch):
    pictures = np.stack(list(whole.values()))
    refined = fit_bodies(pictures)
    monkeypatch.setattr(body_fit, "ROUNDS", 0)
    guessed = fit_bodies(pictures)
    assert (refined.iou >= guessed.iou).all()
    assert refined.iou.mean() > guessed.iou.mean() + 0.01


def test_the_score_is_that_of_the_body_that_is_returned(whole):
    pictures = np.stack(list(whole.values()))
    found = fit_bodies(pictures)
    drawn = redraw(body_outlines(found.bodies))
    shared, union = (pictures & drawn).sum((1, 2)), (pictures | drawn).sum((1, 2))
    assert found.iou == pytest.approx(shared / union, abs=0.02)


def test_neither_an_empty_picture_nor_a_full_one_shows_a_body():
    empty, full = np.zeros((120, 208), bool), np.ones((120, 208), bool)
    found = fit_all([empty, full])
    assert found[0] == 0 and found[1] < 0.5


def test_a_figure_is_centred_wherever_it_stands():
    mask = np.zeros((2, 120, 208), bool)
    mask[0, 40:60, 100:110] = mask[1, 90:110, 0:10] = True
    squares, middles = pose_network.centred(mask)
    assert (squares[0] == squares[1]).all() and squares[0].sum() == 200
    assert (middles[1] - middles[0] == (-100, 50)).all()


def test_a_body_keeps_the_sizes_of_real_ones(whole):
    pictures = np.stack(list(whole.values()))
    sizes = Sizes.of(pictures)
    assert 75 < sizes.stature[0] <= sizes.stature[1] < 95  # the pen draws 86 pixels
    assert 0.8 < sizes.girth[0] <= sizes.girth[1] < 1.2
    rows, columns = np.mgrid[:120, :208]
    ball = np.hypot(rows - 60, columns - 104) < 20
    small = ball & (columns < 104)
    found = fit_bodies(np.stack([ball, small, *pictures]), sizes).bodies
    assert (found.stature >= sizes.stature[0] - 1e-3).all()
    assert (found.girth <= sizes.girth[1] + 1e-6).all()


# ---- What is made of it ----


def scored(fits: list[float]) -> BodyScores:
    """Returns the scores of a swinging block, whose fits are given."""
    count = 100
    pictures = np.ones((count, 120, 208), np.float32)
    for index in range(count):
        height = round(60 + 20 * np.sin(index / 5))
        pictures[index, 110 - height : 110, 90:110] = 0
    run = BodyScores.of([pictures])
    return BodyScores(run.small, run.bits, run.two_trunks, np.array(fits))


def test_the_first_percentile_is_compared_with_that_of_real_pictures():
    # The 1st percentile of 199 pictures is the second lowest.
    real = list(np.linspace(0.8, 0.998, 199))
    reference = BodyReference.fit([scored([])], [scored(real)], 30.0)
    assert reference.lowest_fit == pytest.approx(0.801)
    same = reference.measure([scored(real)], 30.0)
    assert same["body_fit"] == 1.0 and same["misfit"] == pytest.approx(1 / 199)
    half = reference.measure([scored([0.4005] * 50 + [0.9] * 50)], 30.0)
    assert half["body_fit"] == pytest.approx(0.5) and half["misfit"] == 0.5


def test_few_pictures_give_a_reason():
    reference = BodyReference.fit([scored([])], [scored([0.9] * 40)], 30.0)
    few = reference.measure([scored([0.9] * 39)], 30.0)
    assert (
        few["body_fit"] == few["misfit"] == ("too few pictures compared with bodies: 39, 40 needed")
    )


@pytest.mark.parametrize("size", [1, 7, 10, 64])
def test_every_tenth_picture_is_compared_whatever_the_batches(size, monkeypatch):
    seen: list[int] = []

    def fit(masks: np.ndarray, sizes: Sizes) -> body_fit.Fits:
        seen.extend(masks[:, 0].sum(axis=1))
        return body_fit.Fits(masks[:, 0].sum(axis=1) / 100, None)

    monkeypatch.setattr(scores, "fit_bodies", fit)
    pictures = np.ones((64, 120, 208), np.float32)
    for index in range(64):
        pictures[index, 0, : index + 1] = 0
    run = BodyScores.of([pictures[at : at + size] for at in range(0, 64, size)], Sizes())
    assert seen == [1, 11, 21, 31, 41, 51, 61]
    assert run.fits.tolist() == [value / 100 for value in seen]


def test_equal_pictures_are_fitted_once(monkeypatch):
    counts = []

    def fit(masks: np.ndarray, sizes: Sizes) -> body_fit.Fits:
        counts.append(len(masks))
        return body_fit.Fits(np.full(len(masks), 0.5), None)

    monkeypatch.setattr(scores, "fit_bodies", fit)
    run = BodyScores.of([np.zeros((60, 120, 208), np.float32)], Sizes())
    assert counts == [1] and run.fits.tolist() == [0.5] * 6

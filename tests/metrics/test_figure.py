"""Pictures that are soft, hazy, in pieces, or moving in a known way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dancenet.data.frames import components as pieces
from dancenet.metrics import figure
from dancenet.metrics.figure import PictureScores

DEMOS = Path(__file__).resolve().parents[3] / "shared" / "data" / "video"


def block(top: int = 40, left: int = 90, value: float = 0.0, paper: float = 1.0) -> np.ndarray:
    picture = np.full((120, 208), paper, np.float32)
    picture[top : top + 40, left : left + 20] = value
    return picture


def test_a_black_figure_on_white_is_crisp():
    scores = PictureScores.of([np.stack([block()] * 3)])
    assert scores.soft.tolist() == [0, 0, 0] and scores.figure.tolist() == [800] * 3
    assert scores.haze.tolist() == [0, 0, 0]


def test_a_grey_figure_is_soft():
    soft, whole = figure.count_soft(block(value=0.4)[None])
    assert soft.tolist() == whole.tolist() == [800]


def test_a_grey_background_is_hazy_and_a_soft_outline_is_not():
    assert figure.haze_share(block(paper=0.8)[None]) == [1.0]
    outline = block()
    outline[39:81, 89:111] = np.minimum(outline[39:81, 89:111], 0.7)
    assert 0 < figure.haze_share(outline[None])[0] < 0.01


def test_two_blobs_are_not_one_figure():
    two = np.stack([block() < 0.5, (block() < 0.5) | (block(left=150) < 0.5)])
    assert pieces.largest_share(two).tolist() == [1.0, 0.5]
    assert pieces.largest_share(np.zeros((1, 120, 208), bool)).tolist() == [0.0]


def test_corners_that_touch_are_one_piece():
    mask = np.zeros((1, 120, 208), bool)
    mask[0, 10:20, 10:20] = mask[0, 20:30, 20:30] = True
    assert pieces.largest_share(mask).tolist() == [1.0]


@pytest.mark.parametrize("right, down, sector", [(2, 0, 0), (0, 2, 2), (-2, 0, 4), (0, -2, 6)])
def test_flow_points_where_the_figure_goes(right, down, sector):
    # Angles grow from right to down, as rows do; the edges spread the flow over two sectors.
    histogram = figure.flow_histogram(block() < 0.5, block(40 + down, 90 + right) < 0.5)
    by_angle = histogram.reshape(-1, figure.FLOW_ANGLES).sum(axis=0)
    near = [by_angle[(sector + turn) % figure.FLOW_ANGLES] for turn in (-1, 0)]
    assert sum(near) > 0.9 * by_angle.sum() > 0


def test_flow_is_felt_in_the_cells_where_something_moves():
    histogram = figure.flow_histogram(block(left=20) < 0.5, block(left=22) < 0.5)
    by_column = histogram.reshape(*figure.FLOW_CELLS, -1).sum(axis=(0, 2))
    assert by_column[:3].sum() > 0.95 * by_column.sum()


def test_what_stands_still_has_no_flow_and_no_change():
    scores = PictureScores.of([np.stack([block()] * 4)])
    assert not scores.flow.any() and not scores.change.any()
    assert scores.flow.shape == (3, 256)


def test_a_step_of_one_pixel_changes_two_columns():
    scores = PictureScores.of([np.stack([block(), block(left=91)])])
    assert scores.change == pytest.approx([2 * 40 / (120 * 208)])


def test_scores_do_not_depend_on_how_pictures_come_in():
    rng = np.random.default_rng(0)
    pictures = np.stack([block(left=int(left)) for left in rng.integers(10, 180, 7)])
    whole = PictureScores.of([pictures])
    parts = PictureScores.of(iter([pictures[:1], pictures[1:5], pictures[5:]]))
    for name in ("soft", "figure", "haze", "largest", "change", "flow"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))
    cut = whole.cut(2, 6)
    assert len(cut) == 4 and np.array_equal(cut.change, whole.change[2:5])
    assert np.array_equal(cut.flow, PictureScores.of([pictures[2:6]]).flow)


def test_a_picture_that_is_held_has_the_scores_of_one():
    held = PictureScores.of([block(value=0.4)[None]]).repeat(5)
    drawn = PictureScores.of([np.stack([block(value=0.4)] * 5)])
    for name in ("soft", "figure", "haze", "largest", "change", "flow"):
        assert np.array_equal(getattr(held, name), getattr(drawn, name))


@pytest.mark.parametrize(
    "name, soft, hazy",
    [
        ("dancenet_demo.gif", 0.36, 0.48),
        ("dancenet_demo2.gif", 0.38, 0.66),
    ],
)
def test_the_dances_of_2018_are_as_soft_and_hazy_as_was_measured(name, soft, hazy):
    path = DEMOS / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    import cv2
    import imageio

    pictures = (
        np.stack(
            [
                cv2.cvtColor(np.asarray(picture)[..., :3], cv2.COLOR_RGB2GRAY)
                for picture in imageio.mimread(path, memtest=False)
            ]
        ).astype(np.float32)
        / 255
    )
    counts = figure.count_soft(pictures)
    assert counts[0].sum() / counts[1].sum() == pytest.approx(soft, abs=0.005)
    frames = figure.haze_share(pictures) > figure.HAZY_SHARE
    assert frames.mean() == pytest.approx(hazy, abs=0.005)

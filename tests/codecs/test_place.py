"""The place of a figure: taken out of a frame, and put back."""

import numpy as np
import pytest

from dancenet.codecs import place
from dancenet.data.frames.centre import centred, median_column

WIDTH = 32


def _figures():
    rng = np.random.default_rng(0)
    frames = np.full((5, 16, WIDTH), 255, np.uint8)
    for index, frame in enumerate(frames[:4]):
        left = 3 + 6 * index
        frame[4:12, left : left + 5] = np.where(rng.random((8, 5)) < 0.7, 0, 255)
        frame[4:12, left + 2] = 0
    return frames  # the last one is empty


def test_figures_are_moved_to_the_middle_whole():
    frames = _figures()
    moved = centred(frames)
    assert (median_column(moved) == WIDTH // 2).all()
    assert ((moved == 0).sum((1, 2)) == (frames == 0).sum((1, 2))).all()
    assert (moved[4] == 255).all()


def test_the_median_column_halves_the_figure():
    frame = np.full((1, 4, WIDTH), 255, np.uint8)
    frame[0, :2, 5:9] = 0  # columns 5 to 8: half of it lies at or left of 6
    assert median_column(frame)[0] == 6


def test_a_figure_at_the_edge_keeps_what_is_in_the_frame():
    frame = np.full((1, 4, WIDTH), 255, np.uint8)
    frame[0, :, -3:] = 0
    assert (centred(frame) == 0).sum() == 12


def test_taking_out_and_putting_back_gives_the_frame_again():
    frames = _figures()
    background = frames.astype(np.float32) / 255
    moved, places = place.take_out(background)
    assert (moved == centred(frames).astype(np.float32) / 255).all()
    assert places.shape == (5, 1) and places[4, 0] == 0
    logits = np.where(moved < 0.5, -20, 20).astype(np.float32)
    back = place.put_back(logits, places)
    assert ((back < 0.5) == (frames == 0)).all()
    assert np.abs(back - background).max() < 1e-3


@pytest.mark.parametrize("pixels", [0.25, 0.5, 2.75])
def test_a_place_between_two_pixels_moves_the_outline_by_its_share(pixels):
    logits = np.full((1, 4, WIDTH), 8.0, np.float32)
    logits[0, :, 10:16] = -8
    back = place.put_back(logits, np.array([[pixels / place.PIXELS]], np.float32))[0, 0]
    moved = np.log(1 / back - 1)  # above 0 in the figure
    columns = np.arange(int(12 + pixels))
    crossing = np.interp(0, moved[: len(columns)], columns)
    assert crossing == pytest.approx(9.5 + pixels, abs=0.1)

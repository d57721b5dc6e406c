"""Frames drawn large: sharp, whole, and without what the decoder only guessed."""

import cv2
import numpy as np
import pytest

from dancenet.output import picture
from dancenet.support.errors import UserError

ROWS, COLUMNS = np.mgrid[:120, :208].astype(np.float32)


def disc(radius: float, softness: float, row: float = 60, column: float = 104) -> np.ndarray:
    """A disc whose background probability is a logistic curve of the distance to its edge."""
    distance = np.hypot(ROWS - row, COLUMNS - column) - radius
    return (1 / (1 + np.exp(-np.clip(distance / softness, -50, 50)))).astype(np.float32)


@pytest.mark.parametrize("scale", [1, 2, 4, 7])
def test_a_picture_is_scale_times_the_frame(scale: int) -> None:
    drawn = picture.draw(disc(20, 0.5), scale)
    assert drawn.shape == (120 * scale, 208 * scale)
    assert drawn.dtype == np.uint8


@pytest.mark.parametrize("softness", [0.1, 0.5, 1.0, 2.0])
def test_soft_and_hard_edges_come_out_equally_sharp(softness: float) -> None:
    drawn = picture.draw(disc(25, softness), 4)
    grey = int(((drawn > 12) & (drawn < 243)).sum())
    # Across the edge; a circle of 100 pixels has 2 pi 100 of them along it.
    assert 1.0 <= grey / (2 * np.pi * 100) <= 2.2


@pytest.mark.parametrize("softness", [0.3, 1.0, 2.0])
def test_the_outline_stays_where_the_background_probability_crosses_one_half(
    softness: float,
) -> None:
    drawn = picture.draw(disc(25, softness), 4)
    area = (255 - drawn.astype(np.float64)).sum() / 255 / 16
    assert area == pytest.approx(np.pi * 25**2, rel=0.02)


def test_a_disc_comes_out_round_and_not_in_steps() -> None:
    drawn = picture.draw((disc(25, 0.01) > 0.5).astype(np.float32), 4)
    outlines, _ = cv2.findContours(
        (drawn < 128).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    points = outlines[0][:, 0].astype(np.float64)
    radii = np.hypot(points[:, 0] - (104.5 * 4 - 0.5), points[:, 1] - (60.5 * 4 - 0.5))
    assert radii.std() < 1.0, "pixels; squares of 4 give 1.5"


def test_background_is_pure_and_so_is_the_body() -> None:
    drawn = picture.draw(0.05 + 0.9 * disc(30, 0.5), 4)
    assert np.isin(drawn[:60], (255,)).all()
    assert (drawn[200:280, 380:450] == 0).all()


def test_a_faint_ghost_is_dropped_however_large() -> None:
    ghost = 1 - 0.7 * (1 - disc(12, 0.5, column=180))
    drawn = picture.draw(np.minimum(disc(25, 0.5), ghost), 4)
    assert (drawn[:, 156 * 4 :] == 255).all()


def test_a_tiny_speck_is_dropped_however_dark() -> None:
    frame = disc(25, 0.5)
    frame[20:22, 20:23] = 0
    assert (picture.draw(frame, 4)[:120, :200] == 255).all()


def test_a_detached_hand_is_kept() -> None:
    frame = np.minimum(disc(25, 0.5), disc(4, 0.5, column=180))
    assert picture.draw(frame, 4)[242, 722] == 0


def test_a_pinhole_is_filled_and_a_bent_arm_is_not() -> None:
    frame = disc(25, 0.5)
    frame[60, 100:102] = 1
    assert picture.draw(frame, 4)[242, 404] == 0
    frame[60:64, 100:104] = 1
    assert picture.draw(frame, 4)[248, 408] == 255


def test_a_thin_arm_survives() -> None:
    frame = disc(20, 0.3)
    frame[58:60, 104:190] = 0
    drawn = picture.draw(frame, 4)
    assert (drawn[236, 420:740] < 128).all()


@pytest.mark.parametrize("value", [0.0, 1.0, 0.5])
def test_an_empty_frame_is_one_plain_colour(value: float) -> None:
    drawn = picture.draw(np.full((120, 208), value, np.float32), 2)
    assert len(np.unique(drawn)) == 1


def test_drawing_leaves_the_frame_as_it_was() -> None:
    frame = disc(25, 0.5)
    frame[20, 20] = 0
    before = frame.copy()
    picture.draw(frame)
    np.testing.assert_array_equal(frame, before)


def test_colours_are_read_as_hexadecimal_with_or_without_a_hash() -> None:
    assert picture.parse_colors("#ffffff, 102040") == ((255, 255, 255), (16, 32, 64))
    assert picture.parse_colors("fff,000") == ((255, 255, 255), (0, 0, 0))
    assert picture.parse_colors("010203,fafbfc") == ((1, 2, 3), (250, 251, 252))


@pytest.mark.parametrize("text", ["red,blue", "ffffff", "ffff,000", "1,2,3", ""])
def test_a_colour_that_is_not_hexadecimal_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="two hexadecimal numbers"):
        picture.parse_colors(text)


def test_inverting_swaps_the_colours() -> None:
    look = picture.Look(invert=True, foreground=(1, 2, 3), background=(4, 5, 6))
    assert look.palette == ((4, 5, 6), (1, 2, 3))

"""A contact sheet holds every picture, in reading order."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dancenet.output.contact_sheet import contact_sheet, write_picture
from dancenet.support.errors import UserError


def test_every_picture_is_there_in_reading_order():
    pictures = [np.full((10, 20), 10 * (index + 1), np.uint8) for index in range(5)]
    sheet = contact_sheet(pictures, 3)
    assert sheet.shape == (2 * 14 + 4, 3 * 24 + 4, 3)
    centres = [sheet[9 + row * 14, 14 + column * 24, 0] for row in (0, 1) for column in range(3)]
    assert centres[:5] == [10, 20, 30, 40, 50]


def test_captions_take_room_below_and_leave_the_pictures_whole():
    pictures = np.zeros((2, 10, 20), np.uint8)
    sheet = contact_sheet(pictures, 2, ["a", "b"])
    assert sheet.shape[0] == 10 + 4 + 16 + 4
    assert not sheet[4:14, 4:24].any()


def test_a_picture_is_written_in_its_own_colours(tmp_path):
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[..., 0] = 200
    write_picture(tmp_path / "a.png", picture)
    assert cv2.imread(str(tmp_path / "a.png"))[0, 0].tolist() == [0, 0, 200]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        write_picture(tmp_path / "no" / "a.png", np.zeros((4, 6), np.uint8))

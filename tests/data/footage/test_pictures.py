"""Folders of pictures are read like films."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dancenet.data.footage.pictures import PictureFolder
from dancenet.data.footage.video import open_footage
from dancenet.support.errors import UserError


def count(footage):
    return sum(1 for _ in footage.frames())


def write_pictures(folder, names, size=(64, 48)):
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(names):
        picture = np.full((size[1], size[0], 3), 10 * index, np.uint8)
        cv2.imwrite(str(folder / name), picture)


def test_a_folder_of_pictures_is_read_in_the_order_of_its_numbers(tmp_path):
    write_pictures(tmp_path / "f", ["a2.png", "a10.png", "a1.png"])
    (tmp_path / "f" / ".DS_Store").touch()
    (tmp_path / "f" / "notes.txt").touch()
    footage = open_footage(tmp_path / "f", fps=12)
    assert isinstance(footage, PictureFolder)
    assert [path.name for path in footage.paths] == ["a1.png", "a2.png", "a10.png"]
    assert [frame.mean() for frame in footage.frames()] == [20, 0, 10]
    assert footage.fps == 12


def test_a_part_of_a_folder_of_pictures_is_chosen_by_time(tmp_path):
    write_pictures(tmp_path / "f", [f"{k}.png" for k in range(1, 11)])
    assert count(open_footage(tmp_path / "f", fps=10, start=0.2, seconds=0.5)) == 5


def test_pictures_of_mixed_sizes_are_named(tmp_path):
    write_pictures(tmp_path / "f", ["1.png"])
    write_pictures(tmp_path / "f", ["2.png"], size=(32, 48))
    with pytest.raises(UserError, match="2.png is 32x48, but 1.png is 64x48"):
        count(open_footage(tmp_path / "f"))


def test_a_corrupt_picture_is_named(tmp_path):
    write_pictures(tmp_path / "f", ["1.png"])
    (tmp_path / "f" / "2.jpg").write_bytes(b"no picture")
    with pytest.raises(UserError, match="2.jpg .10 bytes. is not a readable picture"):
        count(open_footage(tmp_path / "f"))


def test_a_folder_without_pictures_says_so(tmp_path):
    with pytest.raises(UserError, match="holds no pictures"):
        open_footage(tmp_path)

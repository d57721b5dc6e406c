"""Folders of pictures are read like films."""

from __future__ import annotations

import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from mutation import MANY, check_reader
from PIL import Image

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
    assert count(open_footage(tmp_path / "f", fps=10, seconds=1e308)) == 10
    with pytest.raises(UserError, match="nothing is left after"):
        open_footage(tmp_path / "f", fps=10, start=1e308)


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


def test_digits_of_every_kind_are_ordered_or_are_letters(tmp_path):
    names = ["1²2.png", "1.png", "٢.png", "١٠.png", "a³.png", "².png", "②.png", "Ⅳ.png", "12.png"]
    write_pictures(tmp_path / "f", names)
    ordered = [path.name for path in open_footage(tmp_path / "f").paths]
    assert sorted(ordered) == sorted(names)
    numbered = [name for name in ordered if name in ("1.png", "٢.png", "١٠.png", "12.png")]
    assert numbered == ["1.png", "٢.png", "١٠.png", "12.png"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_of_any_bytes_are_read(tmp_path):
    write_pictures(tmp_path / "f", ["1.png", "2.png"])
    try:
        (tmp_path / "f" / "2.png").rename(tmp_path / "f" / "\udce7 \n2.png")
    except OSError:
        pytest.skip("this disk takes no such name")
    assert count(open_footage(tmp_path / "f")) == 2


@pytest.mark.parametrize("size", [(400, 4), (64, 12), (12, 64), (640, 64)])
def test_pictures_that_nobody_can_be_seen_in_are_refused(tmp_path, size):
    write_pictures(tmp_path / "f", ["1.png"], size)
    with pytest.raises(UserError, match=f"{size[0]}x{size[1]}, in which no dancer can be seen"):
        open_footage(tmp_path / "f")


def png_claiming(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data
        content += struct.pack(">I", zlib.crc32(kind + data))
    return content


@pytest.mark.parametrize("size", [(30_000, 30_000), (11_000, 11_000), (60_000, 100)])
def test_a_picture_that_unpacks_to_gigabytes_is_refused_unread(tmp_path, size):
    (tmp_path / "1.png").write_bytes(png_claiming(*size))
    with pytest.raises(UserError, match="1.png has .*million"):
        open_footage(tmp_path)


def test_pictures_of_every_depth_show_the_same(tmp_path):
    grey = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    color = np.repeat(grey[..., None], 3, axis=2)
    ways = {
        "8": lambda path: Image.fromarray(grey).save(path.with_suffix(".png")),
        "rgb": lambda path: Image.fromarray(color).save(path.with_suffix(".png")),
        "16": lambda path: cv2.imwrite(str(path.with_suffix(".png")), grey.astype(np.uint16) * 257),
        "16 rgb": lambda path: cv2.imwrite(
            str(path.with_suffix(".png")), color.astype(np.uint16) * 257
        ),
        "float": lambda path: Image.fromarray((grey / 255).astype(np.float32)).save(
            path.with_suffix(".tif")
        ),
        "cmyk": lambda path: Image.fromarray(color).convert("CMYK").save(path.with_suffix(".tif")),
        "palette": lambda path: Image.fromarray(grey).convert("P").save(path.with_suffix(".png")),
    }
    for number, way in enumerate(ways.values(), 1):
        way(tmp_path / str(number))
    for name, frame in zip(ways, open_footage(tmp_path).frames()):
        assert frame.dtype == np.uint8 and frame.shape == (48, 64, 3), name
        assert np.abs(frame.astype(int) - color).max() <= 1, name


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_as_their_camera_says(tmp_path, orientation):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, :16] = 255  # in the corner that EXIF names by row 0, column 0
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(tmp_path / "1.png", exif=exif)
    frame = next(open_footage(tmp_path).frames())
    top, left = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1)}.get(
        orientation, {7: (1, 1), 8: (1, 0)}.get(orientation)
    )
    assert frame.shape == ((48, 64, 3) if orientation < 5 else (64, 48, 3))
    assert frame[-1 if top else 0, -1 if left else 0, 0] == 255
    assert frame.mean() == pytest.approx(255 * 16 * 16 / (48 * 64))


def test_a_folder_of_pictures_of_another_kind_says_which(tmp_path):
    (tmp_path / "IMG_1.HEIC").write_bytes(b"x")
    with pytest.raises(UserError, match=r"holds no pictures.*convert its .HEIC files to .jpg"):
        open_footage(tmp_path)
    write_pictures(tmp_path, ["1.png"])
    assert any(".HEIC) are left out" in fact for fact in open_footage(tmp_path).facts)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes among its files")
def test_pipes_and_folders_among_the_pictures_are_passed_over(tmp_path):
    write_pictures(tmp_path / "f", ["1.png"])
    os.mkfifo(tmp_path / "f" / "2.png")
    (tmp_path / "f" / "3.png").mkdir()
    assert count(open_footage(tmp_path / "f")) == 1


def test_no_other_kind_of_file_is_run_though_its_name_says_picture(tmp_path):
    write_pictures(tmp_path, ["1.png"])
    (tmp_path / "2.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n")
    with pytest.raises(UserError, match="2.png .* is not a readable picture"):
        count(open_footage(tmp_path))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp"])
def test_spoilt_pictures_are_read_or_named(tmp_path, suffix):
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    path = tmp_path / f"1{suffix}"
    Image.fromarray(picture).save(path)
    check_reader(lambda path: count(open_footage(path.parent)), path, count=max(20, MANY // 4))

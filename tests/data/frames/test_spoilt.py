"""Folders of frames from anywhere get one sentence, whatever they hold."""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hostile import check_json
from mutation import check_reader

from dancenet.data.frames.clips import read_clips
from dancenet.data.frames.folder import FrameFolder
from dancenet.data.frames.packed import PACKED_FILE, PackedFrames
from dancenet.data.frames.picture import jpeg_size, read_picture
from dancenet.data.frames.writer import FrameWriter
from dancenet.support.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    writer = FrameWriter(tmp_path / "imgs")
    for count in (4, 3):
        frames = np.full((count, 120, 208), 255, np.uint8)
        frames[:, 40:80, 90:110] = 0
        writer.add_clip(frames, source="film.mp4", fps=30.0, method="threshold")
    return tmp_path / "imgs"


def test_a_spoilt_record_of_clips_is_one_sentence(folder: Path) -> None:
    def read(path: Path) -> FrameFolder:
        return FrameFolder.open(path.parent)

    assert check_reader(read, folder / "clips.json")
    assert check_json(read, folder / "clips.json")


@pytest.mark.parametrize(
    "record", ["{", "null", "[" * 9999, '{"format": 1}', '{"first": 1}', '{"x": 1}']
)
def test_each_record_has_one_advice(folder: Path, record: str) -> None:
    for name, advice in {
        "clips.json": "extract the frames again",
        ".pending.json": "remove this file if nothing is extracting frames into its folder",
    }.items():
        (folder / name).write_text(record)
        with pytest.raises(UserError) as caught:
            FrameWriter(folder)
        said = str(caught.value)
        assert said.endswith(f"; {advice}.") and "fetch" not in said and "pdate" not in said
        (folder / name).write_text('{"format": 1, "clips": []}' if name == "clips.json" else "")


@pytest.mark.parametrize("last", [8, 10**9, 10**12, 10**400])
def test_a_record_may_claim_any_number_of_frames(folder: Path, last: int) -> None:
    content = json.loads((folder / "clips.json").read_text())
    content["clips"][-1]["last"] = last
    (folder / "clips.json").write_text(json.dumps(content))
    said = "lacks .* of its .* pictures .8.jpg" if last <= 10**9 else "last must be"
    with pytest.raises(UserError, match=said):
        FrameFolder.open(folder)


def test_a_name_may_hold_any_number(tmp_path: Path) -> None:
    for name in ("1.jpg", "9" * 200 + ".jpg"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match="a number too large for a frame"):
        FrameFolder.open(tmp_path)


def test_a_spoilt_record_of_an_interrupted_clip_is_one_sentence(folder: Path) -> None:
    path = folder / ".pending.json"

    def read(path: Path) -> None:
        text = path.read_bytes()
        FrameWriter(folder)
        path.write_bytes(text)  # it was removed

    path.write_text('{"first": 8, "last": 1000000000}')
    assert check_reader(read, path)
    assert check_json(read, path)
    assert len(read_clips(folder / "clips.json")) == 2
    assert FrameFolder.open(folder).num_frames == 7


def test_a_spoilt_picture_is_one_sentence(folder: Path) -> None:
    assert check_reader(read_picture, folder / "1.jpg")


def png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )


def test_a_huge_picture_is_refused_before_it_is_decoded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object) -> None:
        pytest.fail("it was decoded")

    valid = (folder / "1.jpg").read_bytes()
    place = valid.index(b"\xff\xc0") + 5
    huge = valid[:place] + struct.pack(">HH", 30000, 29999) + valid[place + 4 :]
    monkeypatch.setattr(cv2, "imdecode", decode)
    (folder / "1.jpg").write_bytes(huge)
    with pytest.raises(UserError, match="1.jpg is 29999x30000; frames are 208x120"):
        FrameFolder.open(folder).read(1, 1)
    (folder / "1.jpg").write_bytes(png_header(30000, 30000) + b"\xff\xd9")
    with pytest.raises(UserError, match="not a readable picture"):
        FrameFolder.open(folder).read(1, 1)
    (folder / "1.jpg").write_bytes(valid + bytes(5 << 20))
    with pytest.raises(UserError, match="more than 4,194,304 bytes"):
        FrameFolder.open(folder).read(1, 1)


@pytest.mark.parametrize("size", [(208, 120), (1, 1), (640, 481)])
@pytest.mark.parametrize("progressive", [0, 1])
def test_the_size_of_a_jpeg_is_in_its_header(size: tuple[int, int], progressive: int) -> None:
    picture = np.zeros((*size[::-1], 3), np.uint8)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
    data = cv2.imencode(".jpg", picture, options)[1].tobytes()
    assert jpeg_size(data) == size
    comment = b"\xff\xff\xfe\x00\x06\xff\xc0\x00\x00"  # a marker within it is none
    assert jpeg_size(data[:2] + comment + data[2:]) == size
    assert jpeg_size(data[:12]) is None
    assert jpeg_size(data[2:]) is None


def test_frames_are_packed_anew_when_the_packed_ones_are_others(folder: Path) -> None:
    frames = FrameFolder.open(folder)
    expected = frames.read(1, 7)
    PackedFrames.open(frames)
    valid = (folder / PACKED_FILE).read_bytes()
    for array in (np.zeros((7, 3120)), np.zeros((6, 3120), np.uint8), np.array("x")):
        np.save(folder / PACKED_FILE, array)
        np.testing.assert_array_equal(PackedFrames.open(frames).read(range(7)), expected)
    for content in (b"", valid[:-1], valid + b"x", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 5000):
        (folder / PACKED_FILE).write_bytes(content)
        np.testing.assert_array_equal(PackedFrames.open(frames).read(range(7)), expected)
    assert (folder / PACKED_FILE).read_bytes() == valid


def test_spoilt_packed_frames_are_made_anew(folder: Path) -> None:
    frames = FrameFolder.open(folder)
    stamp = (folder / PACKED_FILE).with_suffix(".json")
    PackedFrames.open(frames)
    check_reader(lambda path: PackedFrames.open(frames), stamp, count=30)
    check_json(lambda path: PackedFrames.open(frames), stamp)
    np.testing.assert_array_equal(PackedFrames.open(frames).read(range(7)), frames.read(1, 7))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_among_the_files_is_not_waited_for(folder: Path) -> None:
    for name, said in (("1.jpg", "not a regular file"), ("clips.json", "not a regular file")):
        (folder / name).unlink()
        os.mkfifo(folder / name)
        with pytest.raises(UserError, match=said):
            FrameFolder.open(folder).read(1, 1)

"""Videos and folders of pictures from anywhere say how they were made, or are not ours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hostile import check_json
from mutation import MANY, check_reader

from dancenet.data.footage.film import opening
from dancenet.output.video_settings import SETTINGS_FILE, append_gif_comment, is_ours, read_settings
from dancenet.output.video_writer import VideoWriter
from dancenet.support.errors import UserError


def write(path: Path, settings: dict) -> Path:
    format = "frames" if not path.suffix else None
    with VideoWriter(path, fps=10, size=(32, 32), format=format, settings=settings) as video:
        video.write(np.zeros((32, 32), np.uint8))
    return path


@pytest.mark.parametrize("name", ["dance.mp4", "dance.webm", "dance.gif"])
def test_a_spoilt_video_is_one_sentence(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, {"kind": "dance", "a": [1]})
    assert check_reader(read_settings, path, count=MANY // 2)


def test_a_spoilt_record_of_settings_is_one_sentence(tmp_path: Path) -> None:
    folder = write(tmp_path / "dance", {"kind": "dance", "a": [1]})

    def read(path: Path) -> dict:
        return read_settings(path.parent)

    assert check_reader(read, folder / SETTINGS_FILE, count=MANY // 2)
    assert check_json(read, folder / SETTINGS_FILE)


def test_only_the_containers_that_are_written_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "opened", lambda path: pytest.fail("it was opened"))
    for text in (
        "ffconcat version 1.0\nfile dance.mp4\n",
        "#EXTM3U\n#EXTINF:1,\ndance.mp4\n",
        "RIFF",
        "",
    ):
        (tmp_path / "list.mp4").write_text(text)
        with pytest.raises(UserError, match="does not say how it was made"):
            read_settings(tmp_path / "list.mp4")


def test_a_name_with_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "other.mp4", {"seed": 1})
    try:
        Path("file:other.mp4").write_bytes(write(tmp_path / "own.mp4", {"seed": 2}).read_bytes())
    except OSError:
        pytest.skip("this system has no such names")
    assert read_settings("file:other.mp4")["seed"] == 2


def test_a_gif_of_nothing_but_beginnings_of_comments_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(b"GIF89a" + b"\x21\xfe" * 500_000 + b"\x00\x3b")
    assert not is_ours(path)


def test_a_long_comment_of_a_gif_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    for length in (1, 253, 254, 255, 256, 508, 509, 510, 5000):
        path.write_bytes(b"GIF89a\x3b")
        text = json.dumps({"generator": "dancenet", "a": "!" * length})
        append_gif_comment(path, text)
        assert read_settings(path)["a"] == "!" * length

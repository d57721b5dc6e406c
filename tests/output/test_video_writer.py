"""Videos: what is written can be read back, and a failure leaves nothing behind."""

import errno
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from dancenet.output import encoders, video_writer
from dancenet.output.video_settings import is_ours, read_settings
from dancenet.output.video_writer import VideoWriter, check_output
from dancenet.support.errors import UserError

SETTINGS = {"model": 'od=d; #na\\me "é"\n', "seed": 2**63, "temperature": 0.7, "long": "x" * 600}
NAMES = ["dance.mp4", "dance.webm", "dance.gif", "dance"]


def film(path: Path, num_frames: int = 10, fps: float = 30.0, **options: Any) -> Path:
    """Writes a bar that moves to the right; white on the left third of the first frame."""
    kind = None if path.suffix else "frames"
    options = {"size": (64, 48), "format": kind, "settings": SETTINGS, **options}
    with VideoWriter(path, fps=fps, **options) as writer:
        for index in range(num_frames):
            picture = np.zeros((48, 64), np.uint8)
            picture[:, : 20 + 2 * index] = 255
            writer.write(picture)
    return path


def read_back(path: Path) -> list[np.ndarray]:
    if path.is_dir():
        pictures = [cv2.imread(str(file)) for file in sorted(path.glob("*.png"))]
        return [picture[..., ::-1] for picture in pictures if picture is not None]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path)]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-fps_mode", "passthrough", "pipe:1"]
    data = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return list(np.frombuffer(data, np.uint8).reshape(-1, 48, 64, 3))


def describe(path: Path) -> str:
    """Returns what ffmpeg says about a file."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path)]
    return subprocess.run(command, stderr=subprocess.PIPE, check=False).stderr.decode()


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_comes_back_in_order(tmp_path: Path, name: str) -> None:
    frames = read_back(film(tmp_path / name))
    assert len(frames) == 10
    for index, frame in enumerate(frames):
        edge = int((frame[24, :, 0] > 127).sum())
        assert abs(edge - (20 + 2 * index)) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_black_and_white_come_back_within_the_codecs_loss(tmp_path: Path, name: str) -> None:
    frame = read_back(film(tmp_path / name, num_frames=1))[0]
    np.testing.assert_allclose(frame[8:40, 2:16], 255, atol=3)
    np.testing.assert_allclose(frame[8:40, 26:60], 0, atol=3)


@pytest.mark.parametrize("name", NAMES)
def test_colours_come_back_within_the_codecs_loss(tmp_path: Path, name: str) -> None:
    colors = ((255, 80, 0), (16, 32, 64))
    frame = read_back(film(tmp_path / name, num_frames=1, colors=colors))[0]
    # Blocks far from the edge, for 4:2:0 halves the resolution of colours.
    np.testing.assert_allclose(frame[24, 8], (16, 32, 64), atol=8)
    np.testing.assert_allclose(frame[24, 48], (255, 80, 0), atol=8)


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_read_back_as_they_were_written(tmp_path: Path, name: str) -> None:
    path = film(tmp_path / name)
    settings = read_settings(path)
    assert SETTINGS.items() <= settings.items()
    assert settings["generator"] == "dancenet"
    assert is_ours(path)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_lies_beside_the_finished_video(tmp_path: Path, name: str) -> None:
    film(tmp_path / name)
    film(tmp_path / name)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_an_mp4_plays_in_browsers_and_on_phones(tmp_path: Path) -> None:
    path = film(tmp_path / "dance.mp4", num_frames=30, fps=30)
    words = describe(path)
    assert "Video: h264" in words
    assert "yuv420p(tv, bt709, progressive)" in words
    assert "30 fps" in words
    assert "Duration: 00:00:01.00" in words
    content = path.read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat"), "the index comes first (faststart)"


@pytest.mark.parametrize("fps", [12.5, 23.976, 29.97, 60])
def test_any_constant_rate_is_kept(tmp_path: Path, fps: float) -> None:
    words = describe(film(tmp_path / "dance.mp4", fps=fps))
    found = re.search(r"([0-9.]+) fps", words)
    assert found is not None
    assert float(found[1]) == pytest.approx(fps, abs=0.01)


def test_a_gif_loops_for_ever_and_keeps_its_mean_rate(tmp_path: Path) -> None:
    content = film(tmp_path / "dance.gif", num_frames=30, fps=30).read_bytes()
    assert b"NETSCAPE2.0\x03\x01\x00\x00\x00" in content
    parts = content.split(b"\x21\xf9\x04")[1:]
    delays = [int.from_bytes(part[1:3], "little") for part in parts]
    assert sum(delays) == pytest.approx(100, abs=2), "hundredths of a second for 30 frames"
    assert min(delays) >= 2


def test_a_gif_faster_than_browsers_play_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at most 50 frames per second; received 60"):
        film(tmp_path / "dance.gif", fps=60)


@pytest.mark.parametrize("name", ["dance.mp4", "dance.webm"])
def test_an_odd_size_is_refused_where_the_codec_needs_an_even_one(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(UserError, match="even width and height; received 63x48"):
        VideoWriter(tmp_path / name, fps=30, size=(63, 48))


def test_a_picture_of_another_shape_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="uint8 picture of shape"):
        with VideoWriter(tmp_path / "dance.mp4", fps=30, size=(64, 48)) as writer:
            writer.write(np.zeros((64, 48), np.uint8))
    assert not list(tmp_path.iterdir())


def test_no_picture_makes_no_video(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not one frame"):
        film(tmp_path / "dance.mp4", num_frames=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_a_failure_midway_leaves_the_old_video_and_nothing_else(tmp_path: Path, name: str) -> None:
    path = film(tmp_path / name, num_frames=3)
    with pytest.raises(ZeroDivisionError):
        kind = None if path.suffix else "frames"
        with VideoWriter(path, fps=30, size=(64, 48), format=kind) as writer:
            writer.write(np.zeros((48, 64), np.uint8))
            1 / 0
    assert len(read_back(path)) == 3
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
        (av.error.EncoderNotFoundError(1, "Encoder not found"), "not written: Encoder not found"),
    ],
)
def test_a_failing_encoder_is_one_sentence_and_the_old_video_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception, message: str
) -> None:
    path = film(tmp_path / name, num_frames=3)
    kind = encoders.FilmEncoder if path.suffix else encoders.PictureEncoder
    write, count = kind.write, 0

    def fail_at_the_fifth(encoder: Any, picture: np.ndarray) -> None:
        nonlocal count
        count += 1
        if count == 5:
            raise error
        write(encoder, picture)

    monkeypatch.setattr(kind, "write", fail_at_the_fifth)
    with pytest.raises(UserError, match=message):
        film(path)
    assert len(read_back(path)) == 3
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits there")
@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_takes_no_more_leaves_the_old_video(tmp_path: Path, name: str) -> None:
    import resource

    path = film(tmp_path / name, num_frames=3)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(UserError, match="File too large"):
            film(path, num_frames=500)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(read_back(path)) == 3
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_what_dancenet_did_not_make_is_replaced_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "holiday.mp4"
    path.write_bytes(b"not by us")
    with pytest.raises(UserError, match="exists already"):
        film(path)
    assert path.read_bytes() == b"not by us"
    film(path, overwrite=True)
    assert is_ours(path)
    film(path)


def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "thesis.txt").write_text("dear")
    with pytest.raises(UserError, match="not a folder of pictures"):
        check_output(tmp_path / "frames", "frames", overwrite=True)


def test_an_output_that_cannot_be_written_is_named_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        check_output(tmp_path / "nowhere" / "dance.mp4", "mp4")
    with pytest.raises(UserError, match="is a folder"):
        check_output(tmp_path, "mp4")


def test_the_format_is_read_from_the_name(tmp_path: Path) -> None:
    assert video_writer.choose_format("a.MP4") == "mp4"
    assert video_writer.choose_format("a.webm", "webm") == "webm"
    assert video_writer.choose_format("folder", "frames") == "frames"
    for path, wanted in (("a.avi", None), ("a", None), ("a.mp4", "gif"), ("a.gif", "frames")):
        with pytest.raises(UserError):
            video_writer.choose_format(path, wanted)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"GIF89a" + b"\x00" * 40, b"text", b"\x00"])
def test_a_file_that_is_no_video_of_ours_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.gif"
    path.write_bytes(content)
    assert not is_ours(path)
    with pytest.raises(UserError, match="does not say how it was made"):
        read_settings(path)
    with pytest.raises(UserError, match="There is no video"):
        read_settings(tmp_path / "nothing.mp4")


def test_settings_of_another_program_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({"generator": "another"}))
    assert not is_ours(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are of another kind there")
@pytest.mark.parametrize("name", NAMES)
def test_a_result_has_the_permissions_of_any_new_file(tmp_path: Path, name: str) -> None:
    umask = os.umask(0o022)
    try:
        path = film(tmp_path / name)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)

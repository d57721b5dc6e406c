"""Films of every kind become upright pictures at a constant rate, or one clear sentence."""

from __future__ import annotations

import numpy as np
import pytest
from films import dancer_on, ffmpeg, sway, wall, write_film

from dancenet.data.footage.pictures import reduced_size
from dancenet.data.footage.video import VideoFile, open_footage
from dancenet.support.errors import UserError


def numbered(count, width=64, height=48):
    """Frames whose brightness tells their number."""
    return [np.full((height, width, 3), 10 + 5 * k, np.uint8) for k in range(count)]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    return write_film(path, numbered(40), options=("-g", "5", "-movflags", "+faststart"))


def count(footage):
    return sum(1 for _ in footage.frames())


@pytest.mark.parametrize("suffix", ["mp4", "mov", "webm", "gif", "mkv"])
def test_every_container_gives_every_frame_in_its_size(tmp_path, suffix):
    footage = open_footage(write_film(tmp_path / f"a.{suffix}", numbered(20)))
    frames = list(footage.frames())
    assert len(frames) == 20
    assert (footage.width, footage.height, footage.fps) == (64, 48, 20)
    assert frames[0].shape == (48, 64, 3)
    np.testing.assert_allclose([f.mean() for f in frames], [10 + 5 * k for k in range(20)], atol=5)


def test_pictures_are_red_green_blue(tmp_path):
    path = write_film(tmp_path / "a.mp4", [wall(color=(200, 100, 20))] * 4)
    first = next(open_footage(path).frames())
    np.testing.assert_allclose(first[40, 80], (200, 100, 20), atol=6)


def test_a_film_turned_by_its_metadata_is_read_upright(tmp_path):
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:, :32] = 255  # bright on the left
    flat = write_film(tmp_path / "flat.mp4", [frame] * 4)
    ffmpeg("-display_rotation", "90", "-i", flat, "-c", "copy", tmp_path / "turned.mp4")
    footage = open_footage(tmp_path / "turned.mp4")
    assert (footage.width, footage.height) == (48, 64)
    picture = next(footage.frames())
    assert picture.shape == (64, 48, 3)
    # Turned by 90 degrees counterclockwise, left becomes bottom.
    assert picture[40:].mean() > 200 and picture[:24].mean() < 50


def test_uneven_timestamps_become_a_constant_rate(tmp_path, film):
    # The first second keeps all 20 frames, the second one every fourth only.
    chosen = "select='lt(n,20)+not(mod(n,4))'"
    path = tmp_path / "uneven.mp4"
    ffmpeg("-i", film, "-vf", chosen, "-fps_mode", "vfr", "-crf", "8", path)
    footage = open_footage(path, fps=10)
    levels = [frame.mean() for frame in footage.frames()]
    assert footage.fps == 10
    assert len(levels) == pytest.approx(20, abs=1)
    # Frame 2k of the original is due at k tenths of a second; a gap repeats the last picture.
    expected = [10 + 5 * (2 * k if k < 10 else 4 * (2 * k // 4)) for k in range(len(levels))]
    np.testing.assert_allclose(levels, expected, atol=12)


def test_the_rate_never_exceeds_the_source(film):
    assert open_footage(film, fps=30).fps == 20
    assert open_footage(film, fps=10).fps == 10
    assert count(open_footage(film, fps=10)) == 20


def test_a_rate_a_hair_below_the_asked_one_counts_as_that_one(tmp_path):
    path = write_film(tmp_path / "ntsc.mp4", numbered(30), fps=29.97)
    assert open_footage(path, fps=30).fps == 30


def test_start_and_seconds_choose_a_part(film):
    part = open_footage(film, start=0.5, seconds=0.5)
    levels = [frame.mean() for frame in part.frames()]
    assert len(levels) == 10
    assert levels[0] == pytest.approx(10 + 5 * 10, abs=4)
    assert part.loss(10) is None


def test_frames_can_be_read_again_and_left_early(film):
    footage = open_footage(film)
    frames = footage.frames()
    first = next(frames).copy()
    frames.close()
    np.testing.assert_array_equal(first, next(footage.frames()))


def test_large_pictures_are_reduced_with_their_aspect():
    assert reduced_size(3840, 2160, 960) == (960, 540)
    assert reduced_size(1080, 1920, 960) == (540, 960)
    assert reduced_size(640, 360, 960) == (640, 360)


def test_pixels_that_are_not_square_are_made_square(tmp_path, film):
    ffmpeg("-i", film, "-vf", "setsar=2", tmp_path / "wide.mp4")
    footage = open_footage(tmp_path / "wide.mp4")
    assert (footage.width, footage.height) == (128, 48)


def test_a_film_cut_off_in_the_middle_keeps_what_decodes_and_says_what_is_lost(tmp_path):
    frames = dancer_on(wall(), sway(60))
    whole = write_film(
        tmp_path / "whole.mp4", frames, options=("-g", "5", "-movflags", "+faststart")
    )
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    footage = open_footage(cut)
    decoded = count(footage)
    assert 10 < decoded < 50
    message = footage.loss(decoded)
    assert "damaged or cut off" in message
    assert f"{decoded / 20:.1f} of 3.0 seconds" in message
    assert f"{3 - decoded / 20:.1f} seconds are lost" in message


def test_a_film_without_its_index_says_so(tmp_path):
    whole = write_film(tmp_path / "whole.mp4", numbered(20))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(UserError, match="cut off before its index was written"):
        open_footage(cut)


@pytest.mark.parametrize("name", ["a.mp4", "a.txt", "a.jpg"])
def test_what_is_not_a_video_says_so(tmp_path, name):
    (tmp_path / name).write_text("no film at all\n" * 50)
    with pytest.raises(UserError, match="is not a video that FFmpeg can read"):
        open_footage(tmp_path / name)


def test_sound_only_says_so(tmp_path):
    path = tmp_path / "a.m4a"
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.5", path)
    with pytest.raises(UserError, match="sound only"):
        open_footage(path)


def test_a_video_of_zero_frames_says_so(tmp_path, film):
    path = tmp_path / "none.mp4"
    # A header that promises a picture stream and holds no picture.
    ffmpeg("-i", film, "-c", "copy", "-frames:v", "0", path)
    with pytest.raises(UserError, match="zero frames|no pictures|not a video"):
        open_footage(path)


def test_a_missing_or_empty_file_says_so(tmp_path):
    with pytest.raises(UserError, match="There is no video"):
        open_footage(tmp_path / "none.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(UserError, match="empty"):
        open_footage(tmp_path / "empty.mp4")


def test_a_start_behind_the_end_says_how_long_the_film_is(film):
    with pytest.raises(UserError, match="no picture after start=.9.; it is 2.00 seconds long"):
        open_footage(film, start=9)
    with pytest.raises(UserError, match="no picture after"):
        open_footage(film, start=1e308)
    assert count(open_footage(film, seconds=1e308)) == 40


def test_every_kind_of_footage_has_the_same_face(film):
    assert isinstance(open_footage(film), VideoFile)

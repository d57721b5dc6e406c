"""The stream that moves is read, and its pictures stand upright."""

from __future__ import annotations

import shutil
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from films import ffmpeg, set_display_matrix, timed_film

from dancenet.data.footage.film.look import _whole_pictures
from dancenet.data.footage.video import open_footage
from dancenet.support.errors import UserError

TIMES = [k / 25 for k in range(10)]


def corners():
    """A picture whose four quarters differ."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32], picture[:24, 32:], picture[24:, :32] = 255, 80, 160
    return picture


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    path = tmp_path_factory.mktemp("films") / "flat.mp4"
    return timed_film(path, TIMES, pictures=[corners()] * len(TIMES))


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ((1, 0, 0, 1), None),
        ((-1, 0, 0, 1), "mirrored left to right"),
        ((1, 0, 0, -1), "mirrored top to bottom"),
        ((-1, 0, 0, -1), "turned by 180 degrees"),
        ((0, 1, 1, 0), "mirrored and turned"),
        ((0, 1, -1, 0), "90 degrees clockwise"),
        ((0, -1, 1, 0), "90 degrees counterclockwise"),
        ((0, -1, -1, 0), "mirrored and turned"),
    ],
)
def test_all_eight_orientations_are_read_upright(tmp_path, flat, matrix, said):
    path = set_display_matrix(shutil.copy(flat, tmp_path / "a.mp4"), matrix)
    footage = open_footage(path)
    stored = corners()
    # A matrix tells for each stored pixel where it is shown.
    y, x = np.mgrid[: stored.shape[0], : stored.shape[1]]
    new_x, new_y = matrix[0] * x + matrix[2] * y, matrix[1] * x + matrix[3] * y
    new_x, new_y = new_x - new_x.min(), new_y - new_y.min()
    expected = np.zeros((new_y.max() + 1, new_x.max() + 1, 3), np.uint8)
    expected[new_y, new_x] = stored
    shown = next(footage.frames())
    assert (footage.height, footage.width) == expected.shape[:2]
    assert np.abs(shown.astype(int) - expected).mean() < 2
    assert any("to be upright" in fact for fact in footage.facts) == (said is not None)
    assert said is None or any(said in fact for fact in footage.facts)


def test_a_turn_that_is_no_quarter_is_rounded_and_it_is_said(tmp_path, flat):
    ffmpeg("-display_rotation", "-20", "-i", flat, "-c", "copy", tmp_path / "a.mp4")
    footage = open_footage(tmp_path / "a.mp4")
    assert (footage.width, footage.height) == (64, 48)
    assert any("no quarter" in fact for fact in footage.facts)


def test_halves_of_interlaced_pictures_that_have_their_own_packets_count_once():
    stream = SimpleNamespace(time_base=Fraction(1, 50))
    frames = [SimpleNamespace(pts=2 * k) for k in range(9)]
    halves = [k / 50 for k in range(100)]
    assert _whole_pictures(halves, frames, stream) == halves[::2]
    whole = [k / 25 for k in range(50)]
    assert _whole_pictures(whole, frames, stream) == whole


def join(target, *films, default=None):
    """Puts the picture streams of several films into one file, in this order."""
    sources = [av.open(str(path)) for path in films]
    with av.open(str(target), "w") as film:
        streams = [film.add_stream_from_template(source.streams.video[0]) for source in sources]
        for number, stream in enumerate(streams):
            stream.disposition = av.stream.Disposition(number == default)
        for source, stream in zip(sources, streams):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    film.mux(packet)
    for source in sources:
        source.close()
    return target


def test_a_still_picture_before_the_film_is_passed_over_though_nothing_marks_it(tmp_path, flat):
    large = [np.full((120, 160, 3), 90, np.uint8)]
    still = timed_film(tmp_path / "still.mkv", [0.0], "mjpeg", "yuvj420p", large)
    footage = open_footage(join(tmp_path / "a.mkv", still, flat, default=0))
    assert (footage.width, footage.height) == (64, 48)
    assert any("2 streams of pictures; number 1 (64x48, 10 pictures)" in f for f in footage.facts)


def test_a_cover_picture_is_passed_over(tmp_path, flat):
    still = timed_film(
        tmp_path / "still.mkv", [0.0], "mjpeg", "yuvj420p", [np.full((90, 160, 3), 90, np.uint8)]
    )
    arguments = ("-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic")
    ffmpeg("-i", still, "-i", flat, *arguments, tmp_path / "a.mp4")
    footage = open_footage(tmp_path / "a.mp4")
    assert (footage.width, footage.height) == (64, 48)
    assert sum(1 for _ in footage.frames()) == 10


def test_of_two_moving_streams_the_larger_is_read_unless_another_is_the_default(tmp_path, flat):
    pictures = [np.full((96, 128, 3), 20 * k, np.uint8) for k in range(10)]
    large = timed_film(tmp_path / "large.mkv", TIMES, pictures=pictures)
    assert open_footage(join(tmp_path / "a.mkv", flat, large)).width == 128
    assert open_footage(join(tmp_path / "b.mkv", flat, large, default=0)).width == 64


def test_a_stream_of_thumbnails_is_passed_over(tmp_path, flat):
    pictures = [np.full((96, 128, 3), 90, np.uint8)] * 2
    thumbnails = timed_film(tmp_path / "t.mkv", [0.0, 0.3], "mjpeg", "yuvj420p", pictures)
    long = timed_film(tmp_path / "long.mkv", [k / 25 for k in range(40)])
    assert open_footage(join(tmp_path / "a.mkv", thumbnails, long, default=0)).width == 64


def test_absurd_pixels_are_taken_for_square_and_it_is_said(tmp_path, flat):
    ffmpeg("-i", flat, "-c", "copy", "-aspect", "500", tmp_path / "a.mkv")
    footage = open_footage(tmp_path / "a.mkv")
    assert (footage.width, footage.height) == (64, 48)
    assert any("square is guessed" in fact for fact in footage.facts)


def test_sound_alone_says_so(tmp_path):
    with av.open(str(tmp_path / "a.mka"), "w", format="matroska") as film:
        sound = film.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        film.mux(sound.encode(frame))
    with pytest.raises(UserError, match="sound only"):
        open_footage(tmp_path / "a.mka")

"""A film's rate is that of its moving part, and pauses are left out."""

from __future__ import annotations

import numpy as np
import pytest
from films import timed_film

from dancenet.data.footage.film.timing import is_break, measure
from dancenet.data.footage.video import open_footage
from dancenet.support.errors import UserError


def rate(times, tick=1 / 90000, header=None):
    return measure([float(time) for time in times], tick, header).fps


def grid(count, fps, tick=1 / 90000):
    """Times of an even film, rounded to its clock."""
    return np.round(np.arange(count) / fps / tick) * tick


@pytest.mark.parametrize("fps", [12.5, 23.98, 24, 25, 29.97, 30, 50, 59.94, 60, 120, 240, 480, 960])
@pytest.mark.parametrize("tick", [1 / 90000, 1 / 1000])
def test_an_even_film_has_its_rate_by_any_clock(fps, tick):
    exact = {23.98: 24000 / 1001, 29.97: 30000 / 1001, 59.94: 60000 / 1001}.get(fps, fps)
    assert rate(grid(200, exact, tick), tick) == pytest.approx(fps, abs=0.01)


@pytest.mark.parametrize(("fps", "found"), [(24, 24), (25, 25), (30, 30), (12, 12), (33.3, 33.3)])
def test_a_gif_counts_hundredths_and_keeps_its_rate(fps, found):
    assert rate(grid(61, fps, 0.01), 0.01) == pytest.approx(found, rel=0.01)


def test_a_film_that_pauses_has_the_rate_of_its_moving_part():
    moving = grid(45, 30)
    found = measure([*moving, *(moving + 61.5), *(moving + 200)], 1 / 90000, 1.4)
    assert found.fps == 30 and found.num_pauses == 2
    assert found.seconds == pytest.approx(3 * 45 / 30)
    assert found.left_out == pytest.approx(200 - 2 * 45 / 30)


def test_a_pause_is_one_also_where_pictures_are_stored_out_of_order():
    times = [*grid(60, 30), *(grid(60, 30) + 5)]
    times[58:61] = times[60], *times[58:60]  # the first one after the pause comes two places early
    found = measure(times, 1 / 90000, 30.0)
    assert found.num_pauses == 1
    assert found.left_out == pytest.approx(3.0, abs=1e-6)
    assert not is_break(1.0, 1.9, found.pause) and is_break(1.0, 2.1, found.pause)


def test_a_recorder_that_seldom_gives_a_picture_while_nothing_moves_has_the_rate_of_the_dance():
    for idle in (0.5, 1.0, 2.0):
        still = np.arange(300) * idle
        found = measure([*still, *(still[-1] + idle + grid(300, 30))], 1 / 90000, None)
        assert found.fps == 30
        assert found.seconds == pytest.approx(10, abs=0.2 + 300 / 30)
    # A film of four pictures a second is no such thing, and neither is a slide show.
    assert rate(grid(200, 4)) == 4
    assert rate([*np.arange(50) * 3.0, 150, 150.04]) == pytest.approx(1 / 3, abs=0.01)


def test_pictures_that_a_camera_leaves_out_do_not_change_its_rate():
    even = grid(300, 30)
    assert rate(np.delete(even, np.arange(3, 300, 7))) == 30
    trembling = even + np.random.default_rng(0).uniform(0, 0.012, 300)
    assert rate(trembling) == 30
    # A screen recorder gives a picture where something moved: half of them are gone.
    alternate = np.cumsum(np.tile([1 / 30, 2 / 30], 60))
    assert rate(alternate) == 20


def test_pictures_coded_out_of_order_are_put_in_order():
    even = grid(200, 25)
    shuffled = even.reshape(-1, 4)[:, [3, 1, 0, 2]].ravel()
    found = measure(shuffled.tolist(), 1 / 90000, None)
    assert found.fps == 25 and found.num_pauses == 0


def test_a_clock_that_begins_anew_joins_two_films():
    even = grid(50, 25)
    found = measure([*(even + 500), *even, *(even + 3)], 1 / 90000, None)
    assert found.fps == 25 and found.seconds == pytest.approx(6)
    assert is_break(501.96, 0.0, found.pause)


def test_a_header_says_which_of_two_near_rates_is_meant():
    assert rate(grid(20, 24, 0.001), 0.001, 23.98) == 23.98
    assert rate(grid(90, 30), header=1.43) == 30


@pytest.mark.parametrize("times", [[None] * 40, [0.0] * 40, list(np.arange(40) / 90000), [0.0]])
def test_timestamps_of_no_use_make_the_rate_a_guess_that_says_so(times):
    found = measure(times, 1 / 90000, 50.0)
    assert found.retimed and found.fps == 50 and found.reason.startswith("a guess, from its header")
    assert measure(times, 1 / 90000, 90000.0).fps == 25
    assert "the usual rate" in measure(times, 1 / 90000, None).reason


def test_times_that_go_back_at_every_picture_are_measured_in_no_time():
    times = [1e6 - 3 * k for k in range(50_000)]
    assert measure(times, 1 / 90000, None).retimed


def levels(footage):
    return [round(float(frame.mean())) for frame in footage.frames()]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_pause_of_a_minute_leaves_the_moving_parts_at_their_own_rate(tmp_path, suffix):
    times = [k / 25 for k in range(20)] + [60 + k / 25 for k in range(30)]
    footage = open_footage(timed_film(tmp_path / f"a.{suffix}", times))
    assert footage.fps == 25
    stretches = [sum(1 for _ in stretch) for stretch in footage.stretches()]
    assert stretches == [20, 30]
    assert footage.loss(50) is None
    assert any("59.2 seconds in which no new picture came (1 pause)" in f for f in footage.facts)


@pytest.mark.parametrize("fps", [480, 960])
def test_slow_motion_is_brought_to_the_asked_rate(tmp_path, fps):
    path = tmp_path / "a.mkv"
    footage = open_footage(timed_film(path, [k / fps for k in range(fps // 2)]))
    assert (footage.fps, footage.source_fps) == (30, pytest.approx(fps, rel=0.01))
    assert len(levels(footage)) == pytest.approx(15, abs=1)


@pytest.mark.parametrize(("step", "said"), [(33.3, "0.03 frames/s"), (1, "1 frames/s")])
def test_a_timelapse_is_refused(tmp_path, step, said):
    path = timed_film(tmp_path / "a.mkv", [k * step for k in range(20)])
    with pytest.raises(UserError, match=f"{said}, as a timelapse.*at least 4"):
        open_footage(path)


def test_a_film_of_one_picture_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds one picture only"):
        open_footage(timed_film(tmp_path / "a.mkv", [0.0]))


@pytest.mark.parametrize("fps", [0.03, 1e9])
def test_a_rate_at_which_nothing_dances_is_refused(tmp_path, fps):
    path = timed_film(tmp_path / "a.mkv", [k / 25 for k in range(9)])
    with pytest.raises(UserError, match="Nothing can dance at"):
        open_footage(path, fps=fps)


def test_a_bare_stream_has_a_rate_that_is_called_a_guess(tmp_path):
    path = timed_film(tmp_path / "a.mjpeg", [k / 25 for k in range(9)], "mjpeg", "yuvj420p")
    footage = open_footage(path)
    assert len(levels(footage)) == 9
    assert "a guess" in footage.facts[0]
    with pytest.raises(UserError, match="without timestamps.*convert it"):
        open_footage(path, start=0.1)


def test_sound_that_goes_on_is_no_loss(tmp_path):
    import av

    path = timed_film(tmp_path / "a.mkv", [k / 25 for k in range(25)])
    with av.open(str(path)) as film, av.open(str(tmp_path / "b.mkv"), "w") as copy:
        stream = copy.add_stream_from_template(film.streams.video[0])
        sound = copy.add_stream("pcm_s16le", rate=8000)
        for packet in film.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
        for second in range(5):
            samples = np.zeros((1, 8000), np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8000, 8000 * second
            copy.mux(sound.encode(frame))
    footage = open_footage(tmp_path / "b.mkv")
    assert footage.loss(len(levels(footage))) is None

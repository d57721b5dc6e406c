"""Footage goes through the three passes and comes out as clips of the right dancer."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from bodies import YELLOW, follow_yellow
from films import SHARED, dancer_on, figure_mask, room, sway, timed_film, wall, write_film

from dancenet.data.footage import person
from dancenet.data.footage.choose import Settings
from dancenet.data.footage.crop import letterbox_view
from dancenet.data.footage.extract import extract
from dancenet.data.footage.methods import overlap, reduce_canvas
from dancenet.data.footage.survey import report_text, write_report
from dancenet.data.footage.video import open_footage
from dancenet.data.frames.folder import FrameFolder
from dancenet.data.frames.writer import FrameWriter
from dancenet.support import files
from dancenet.support.errors import MissingExtra, UserError


def no_network():
    raise MissingExtra("person segmentation", "person", "ai-edge-litert")


def yellow_network():
    return follow_yellow


def run(tmp_path, frames, fps=20, load_tracker=no_network, **settings):
    film = write_film(tmp_path / "film.mp4", frames, fps)
    writer = FrameWriter(tmp_path / "imgs")
    report = extract(open_footage(film), writer, Settings(**settings), load_tracker)
    return report, FrameFolder.open(tmp_path / "imgs")


def expected(shape, place, size=50):
    mask = figure_mask(shape, *place, size).astype(np.float32)
    return reduce_canvas(letterbox_view(shape[1], shape[0]).cut(mask)) == 0


@pytest.mark.parametrize(
    ("method", "scene", "color", "network"),
    [
        ("threshold", wall(), (25, 20, 30), no_network),
        ("background", room(), YELLOW, no_network),
        ("person", room(), YELLOW, yellow_network),
    ],
)
def test_every_method_draws_the_figure_that_is_there(tmp_path, method, scene, color, network):
    places = sway(40)
    frames = dancer_on(scene, places, color=color)
    report, folder = run(tmp_path, frames, 20, network, method=method, fit="letterbox")
    assert folder.num_frames == 40 and folder.fps == 20
    (clip,) = folder.clips
    assert clip.method == method and clip.source.endswith("film.mp4")
    pictures = folder.read(1, 40)
    shared = [overlap(pictures[k] == 0, expected(scene.shape, places[k])) for k in range(40)]
    assert np.mean(shared) > 0.75
    assert report.seconds_usable == 2.0 and report.num_cuts == 0
    assert report.clips[0].clipped == 0 and report.clips[0].is_static


def test_the_crop_shows_the_dancer_larger_and_stays_where_it_is(tmp_path):
    # A figure a quarter as tall as the picture, which walks 60 pixels.
    places = [(130 + 2 * (k % 30), 90) for k in range(60)]
    frames = dancer_on(wall(320, 180), places, size=45)
    _, folder = run(tmp_path, frames, method="threshold")
    pictures = folder.read(1, 60) == 0
    rows = np.flatnonzero(pictures.any(axis=(0, 2)))
    columns = np.flatnonzero(pictures.any(axis=(0, 1)))
    assert rows[-1] - rows[0] > 60 or columns[-1] - columns[0] > 160
    assert rows[0] > 0 and rows[-1] < 119 and columns[0] > 0 and columns[-1] < 207
    # One box for the clip: the feet stay on one line, and the walk is the walk.
    feet = [np.flatnonzero(p.any(axis=1))[-1] for p in pictures]
    assert max(feet) - min(feet) <= 1
    centres = [np.flatnonzero(p.any(axis=0)).mean() for p in pictures[:30]]
    np.testing.assert_allclose(np.diff(centres), np.diff(centres).mean(), atol=1.5)


def test_a_cut_starts_a_new_clip(tmp_path):
    frames = dancer_on(room(), sway(30), color=YELLOW)
    frames += dancer_on(room(seed=3), sway(20), color=YELLOW)
    report, folder = run(tmp_path, frames, load_tracker=yellow_network, method="person")
    assert [(c.first, c.last) for c in folder.clips] == [(1, 30), (31, 50)]
    assert report.num_cuts == 1


def test_a_dancer_who_leaves_and_returns_gives_two_clips(tmp_path):
    frames = dancer_on(wall(), sway(20)) + [wall()] * 20 + dancer_on(wall(), sway(20))
    report, folder = run(tmp_path, frames, method="threshold", fit="letterbox")
    assert len(folder.clips) == 2
    assert folder.num_frames == pytest.approx(40, abs=2)
    assert any("no dancer was found are left out" in note for note in report.notes)


def test_a_jump_within_one_scene_starts_a_new_clip(tmp_path):
    places = [(40 + 0.5 * k, 45) for k in range(20)] + [(120 - 0.5 * k, 45) for k in range(20)]
    frames = dancer_on(wall(), places, size=24)
    report, folder = run(tmp_path, frames, method="threshold", fit="letterbox")
    assert [(c.first, c.last) for c in folder.clips] == [(1, 20), (21, 40)]
    assert report.num_cuts == 1


def test_limbs_cut_by_the_picture_are_counted(tmp_path):
    frames = dancer_on(wall(), sway(20, y=70))
    report, _ = run(tmp_path, frames, method="threshold")
    assert report.clips[0].clipped == 1.0


def test_nobody_is_an_error_and_writes_nothing(tmp_path):
    with pytest.raises(UserError, match="No dancer was found.*film.mp4.*still"):
        run(tmp_path, [room()] * 20, method="background")
    assert not list((tmp_path / "imgs").glob("*.jpg"))


def test_a_film_too_short_for_a_clip_says_so(tmp_path):
    with pytest.raises(UserError, match="4 frames long; a clip needs at least 0.5 seconds"):
        run(tmp_path, dancer_on(wall(), sway(4)), method="threshold")


@pytest.mark.parametrize(
    ("scene", "network", "method", "reason"),
    [
        (wall(), no_network, "threshold", "its border is all wall"),
        (room(), yellow_network, "person", "camera that stands still"),
        (room(), no_network, "background", "ai-edge-litert"),
    ],
)
def test_auto_chooses_by_what_it_sees_and_says_why(tmp_path, scene, network, method, reason):
    color = (10, 10, 10) if method == "threshold" else YELLOW
    report, folder = run(tmp_path, dancer_on(scene, sway(30), color=color), 20, network)
    assert folder.clips[0].method == method
    assert reason in report.reasons[0]


def sees_nobody():
    return lambda pictures, fps: (None for _ in pictures)


def test_auto_takes_the_background_where_the_networks_see_nobody(tmp_path):
    frames = dancer_on(room(), sway(30), color=YELLOW)
    report, folder = run(tmp_path, frames, load_tracker=sees_nobody)
    assert folder.clips[0].method == "background" and folder.num_frames == 30
    assert "the networks see somebody in only 0% of the pictures" in report.reasons[-1]


def test_where_nobody_is_seen_as_asked_one_sentence_says_so(tmp_path):
    frames = dancer_on(room(), sway(30), color=YELLOW)
    with pytest.raises(UserError, match="No dancer was found in .*; film one whole person"):
        run(tmp_path, frames, load_tracker=sees_nobody, method="person")
    assert not list((tmp_path / "imgs").glob("*.jpg"))


def test_a_film_on_its_side_is_told(tmp_path):
    def lying(pictures, fps):
        for pose in follow_yellow(pictures, fps):
            x, y = pose.landmarks[:, :2].mean(axis=0)
            turned = np.stack([y - pose.landmarks[:, 1], pose.landmarks[:, 0] - x], axis=1)
            yield replace(pose, landmarks=np.hstack([turned + (x, y), pose.landmarks[:, 2:]]))

    frames = dancer_on(room(), sway(20), color=YELLOW)
    report, _ = run(tmp_path, frames, load_tracker=lambda: lying, method="person")
    assert any("lies in 100% of the pictures; if the film is turned" in n for n in report.notes)


def test_a_person_who_leaves_and_returns_gives_two_clips(tmp_path):
    frames = dancer_on(room(), sway(20), color=YELLOW) + [room()] * 20
    frames += dancer_on(room(), sway(20), color=YELLOW)
    report, folder = run(tmp_path, frames, load_tracker=yellow_network, method="person")
    assert [(c.first, c.last) for c in folder.clips] == [(1, 20), (21, 40)]
    assert any("1.0 seconds in which no dancer was found" in note for note in report.notes)


@pytest.mark.parametrize(("fit", "moves"), [("crop", True), ("steady", False), ("follow", True)])
def test_a_person_who_travels_is_followed_unless_a_steady_view_is_asked(tmp_path, fit, moves):
    places = [(40 + 6 * k, 90) for k in range(40)]
    frames = dancer_on(room(320, 180), places, size=60, color=YELLOW)
    report, folder = run(tmp_path, frames, load_tracker=yellow_network, method="person", fit=fit)
    assert report.clips[0].is_followed == moves
    assert ("the view follows the dancer" in report_text([report])) == moves
    assert any("--fit steady" in note or "fit='steady'" in note for note in report.notes) == (
        fit == "crop"
    )
    pictures = folder.read(1, 40) == 0
    height = np.median([np.ptp(np.flatnonzero(p.any(axis=1))) for p in pictures])
    assert height > 90 if moves else height < 60


def test_two_shots_of_two_methods_are_each_read_to_their_end(tmp_path):
    frames = dancer_on(wall(), sway(20), color=(10, 10, 10))
    frames += dancer_on(room(), sway(25), color=YELLOW)
    frames += dancer_on(wall(), sway(15), color=(10, 10, 10))
    _, folder = run(tmp_path, frames, load_tracker=yellow_network)
    assert [(c.method, c.last - c.first + 1) for c in folder.clips] == [
        ("threshold", 20),
        ("person", 25),
        ("threshold", 15),
    ]


def test_auto_says_what_is_missing_when_the_camera_moves(tmp_path):
    scene = room(width=400)
    frames = [scene[:, 3 * k : 3 * k + 160].copy() for k in range(30)]
    with pytest.raises(UserError, match="camera moves.*ai-edge-litert"):
        run(tmp_path, frames)


def test_progress_counts_every_frame_once(tmp_path):
    film = write_film(tmp_path / "f.mp4", dancer_on(wall(), sway(25)) + [wall()] * 15)
    seen = []
    writer = FrameWriter(tmp_path / "imgs")
    extract(open_footage(film), writer, Settings("threshold"), no_network, seen.append)
    assert sum(seen) == 40


def test_ctrl_c_keeps_the_clips_that_are_finished(tmp_path):
    frames = dancer_on(room(), sway(30), color=YELLOW)
    frames += dancer_on(room(seed=3), sway(30), color=YELLOW)
    film = write_film(tmp_path / "f.mp4", frames)
    writer = FrameWriter(tmp_path / "imgs")
    drawn = 0

    def stop(count):
        nonlocal drawn
        drawn += count
        if drawn > 45:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(open_footage(film), writer, Settings("person"), yellow_network, stop)
    assert FrameFolder.open(tmp_path / "imgs").num_frames == 30


def test_the_record_of_a_clip_holds_its_settings(tmp_path):
    run(tmp_path, dancer_on(wall(), sway(20)), method="threshold", split="val")
    (clip,) = json.loads((tmp_path / "imgs" / "clips.json").read_text())["clips"]
    assert clip["split"] == "val" and clip["details"]["fit"] == "crop"
    assert clip["details"]["dark"] is True


@pytest.mark.skipif(not SHARED.exists(), reason="the real footage is not on this machine")
def test_real_footage_of_a_moving_camera_gives_whole_bodies(tmp_path):
    pytest.importorskip("ai_edge_litert")
    film = SHARED / "data" / "video" / "studio_phrase.mp4"
    writer = FrameWriter(tmp_path / "imgs")
    footage = open_footage(film, start=10, seconds=1)
    report = extract(
        footage, writer, Settings("person"), lambda: person.open_tracker(SHARED / "models")
    )
    (entry,) = report.clips
    assert entry.clip.num_frames == 30
    assert entry.steadiness > 0.85 and 0.04 < entry.coverage < 0.25
    pictures = FrameFolder.open(tmp_path / "imgs").read(1, 30) == 0
    heights = [np.ptp(np.flatnonzero(p.any(axis=1))) for p in pictures]
    assert min(heights) > 60  # head to foot in every frame


def test_a_pause_of_the_film_ends_a_clip_and_is_no_cut(tmp_path):
    pictures = dancer_on(wall(), sway(25)) + dancer_on(wall(), sway(30, x=82))
    times = [k / 25 for k in range(25)] + [90 + k / 25 for k in range(30)]
    path = timed_film(tmp_path / "a.mp4", times, pictures=pictures)
    writer = FrameWriter(tmp_path / "imgs")
    report = extract(open_footage(path), writer, Settings("threshold"), no_network)
    clips = FrameFolder.open(tmp_path / "imgs").clips
    assert [(c.first, c.last, c.fps) for c in clips] == [(1, 25, 25), (26, 55, 25)]
    assert report.num_cuts == 0 and report.seconds_read == pytest.approx(2.2)
    text = report_text([report])
    assert "footage: 160x90, 25 frames/s (by its timestamps)" in text
    assert "89.0 seconds in which no new picture came (1 pause) are left out" in text


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_report_names_a_film_as_it_can_be_shown(tmp_path):
    name = "dan\udce7a \x1b[2J.mp4"
    film = write_film(tmp_path / "a.mp4", dancer_on(wall(), sway(20)))
    try:
        film = film.rename(tmp_path / name)
    except OSError:
        pytest.skip("this disk takes no such name")
    writer = FrameWriter(tmp_path / "imgs")
    report = extract(open_footage(film), writer, Settings("threshold"), no_network)
    write_report([report], tmp_path / "report")
    text = (tmp_path / "report.txt").read_text(encoding="utf-8")
    assert r"dan\xe7a \x1b[2J.mp4" in text


def test_a_film_whose_frames_do_not_fit_on_the_disk_is_told_before_it_is_read(
    tmp_path, monkeypatch
):
    usage = shutil.disk_usage(".")._replace(free=10_000)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match="the frames of .*film.mp4 would take about 0.04 MB"):
        run(tmp_path, dancer_on(wall(), sway(20)), method="threshold")
    assert not (tmp_path / "imgs").exists()

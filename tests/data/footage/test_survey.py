"""Cuts, camera moves and samples are found in films that were made to have them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from films import dancer_on, room, sway, wall

from dancenet.data.footage.methods import BackgroundMethod
from dancenet.data.footage.survey import (
    NUM_SAMPLES,
    ClipReport,
    EvenSampler,
    FootageReport,
    advise,
    contact_sheet,
    report_text,
    survey,
    write_report,
)
from dancenet.data.frames.clips import Clip


def shots(frames, fps=20.0):
    return list(survey(iter(frames), fps))


def test_one_take_is_one_shot():
    (shot,) = shots(dancer_on(room(), sway(50)))
    assert (shot.first, shot.last) == (0, 50)
    assert shot.is_static and shot.pan == 0


@pytest.mark.parametrize("cut", [2, 17, 30, 37])
def test_a_cut_is_found_at_its_frame(cut):
    frames = dancer_on(room(), sway(40))
    frames[cut:] = dancer_on(room(seed=5), sway(40 - cut))
    assert [(s.first, s.last) for s in shots(frames)] == [(0, cut), (cut, 40)]


def test_a_flash_and_a_fast_dancer_are_no_cuts():
    frames = dancer_on(wall(), sway(40, reach=60))
    frames[20] = (frames[20].astype(int) + 60).clip(0, 255).astype(np.uint8)
    assert len(shots(frames)) == 1


def test_a_film_of_nothing_has_no_shots_and_one_of_a_frame_has_one():
    assert shots([]) == []
    (shot,) = shots([wall()])
    assert shot.num_frames == 1 and len(shot.samples) == 1


def test_a_panning_camera_is_measured():
    scene = room(width=400)
    # 2 pixels a frame at 20 frames a second of a picture 160 pixels wide.
    frames = [scene[:, 2 * k : 2 * k + 160].copy() for k in range(40)]
    (shot,) = shots(frames)
    assert not shot.is_static
    assert shot.pan == pytest.approx(2 * 20 / 160, rel=0.15)
    assert shot.zoom == pytest.approx(0, abs=0.05)


def test_a_zooming_camera_is_measured():
    scene = cv2.resize(room(), (640, 360))
    frames = []
    for k in range(40):
        matrix = cv2.getRotationMatrix2D((320, 180), 0, 1.01**k)
        frames.append(cv2.resize(cv2.warpAffine(scene, matrix, (640, 360)), (320, 180)))
    (shot,) = shots(frames)
    assert not shot.is_static
    assert shot.zoom == pytest.approx(20 * np.log(1.01), rel=0.2)


def test_a_dancer_who_stands_still_for_most_of_the_time_does_not_enter_the_background():
    scene = room()
    still = [(40.0, 45.0)] * 300
    moving = [(40.0 + 1.5 * k, 45.0) for k in range(60)]
    frames = dancer_on(scene, still + moving, color=(250, 240, 20))
    (shot,) = shots(frames)
    assert len(shot.samples) < 2 * NUM_SAMPLES + 1
    plate = BackgroundMethod.fit(shot.samples).plate
    assert (np.abs(plate.astype(int) - scene).max(axis=-1) > 10).mean() < 0.01
    # The median over time alone would show the dancer.
    median = np.median(np.stack(frames[::6]), axis=0)
    assert (np.abs(median - scene).max(axis=-1) > 10).mean() > 0.03


def test_an_even_sampler_keeps_few_items_evenly_whatever_the_length():
    for count in (1, 5, 8, 9, 100, 1000):
        sampler: EvenSampler[int] = EvenSampler(4)
        for item in range(count):
            sampler.offer(item)
        kept = sampler.items
        assert min(4, count) <= len(kept) <= 8
        assert kept[0] == 0 and len(set(np.diff(kept))) <= 1
        assert count - 1 - kept[-1] <= (kept[1] if len(kept) > 1 else 1)


def clip_report(**changes):
    values = dict(
        clip=Clip("dance.mp4", 30.0, 1, 300, "person"),
        coverage=0.1,
        steadiness=0.95,
        clipped=0.0,
        is_static=True,
        pan=0.0,
        zoom=0.0,
        thumbnails=[(np.full((120, 208, 3), 90, np.uint8), np.full((120, 208), 255, np.uint8))] * 3,
    )
    return ClipReport(**(values | changes))


def footage_report(*clips, seconds=10.0, cuts=0):
    return FootageReport("dance.mp4", seconds, list(clips), cuts, ["person, as asked"])


def test_good_footage_needs_no_advice():
    report = footage_report(clip_report())
    assert advise(report) == []
    assert "more of the same" in report_text([report])


@pytest.mark.parametrize(
    ("report", "advice"),
    [
        (footage_report(clip_report(clipped=0.3)), "step back"),
        (footage_report(clip_report(coverage=0.01)), "come closer"),
        (footage_report(clip_report(coverage=0.7)), "more than a body"),
        (footage_report(clip_report(steadiness=0.5)), "more light"),
        (footage_report(clip_report(is_static=False, pan=0.2)), "tripod"),
        (footage_report(clip_report(is_static=False, zoom=0.2)), "tripod"),
        (footage_report(clip_report(), cuts=2), "cut 2 times"),
        (footage_report(clip_report(), seconds=60), "Only 10 of 60 seconds"),
        (footage_report(), "film one dancer"),
    ],
)
def test_each_fault_has_its_advice(report, advice):
    assert any(advice in sentence for sentence in advise(report))


def test_the_report_names_every_measure():
    report = footage_report(clip_report(clipped=0.25), cuts=1)
    report.notes.append("1.0 seconds are lost.")
    text = report_text([report])
    for part in (
        "usable: 10.0 of 10.0 seconds",
        "1 cut found",
        "1.jpg to 300.jpg",
        "10.0% of the frame",
        "95% (IoU)",
        "25% of the frames",
        "camera still",
        "note: 1.0 seconds are lost",
    ):
        assert part in text
    moving = footage_report(clip_report(is_static=False, pan=0.31, zoom=0.02))
    assert "moves 0.31 picture widths" in report_text([moving])
    unclear = footage_report(clip_report(is_static=False, pan=None, zoom=None))
    assert "not measured" in report_text([unclear]) and advise(unclear) == []


def test_the_contact_sheet_has_a_band_for_each_clip():
    sheet = contact_sheet([footage_report(clip_report(), clip_report())])
    assert sheet.shape == (2 * (18 + 240), 8 * 208, 3)
    assert contact_sheet([footage_report()]).shape[1] == 8 * 208


def test_the_report_is_written_as_text_and_picture(tmp_path):
    paths = write_report([footage_report(clip_report())], tmp_path / "footage.png")
    assert [path.name for path in paths] == ["footage.txt", "footage.png"]
    assert "dance.mp4" in paths[0].read_text()
    assert cv2.imread(str(paths[1])).shape == (258, 8 * 208, 3)

"""The script: what a user types, what is printed, and what is left on the disk."""

from __future__ import annotations

import json
import shutil

import pytest
from films import dancer_on, sway, wall, write_film

from dancenet.data.frames.folder import FrameFolder
from dancenet.data.frames.writer import FrameWriter
from scripts import extract_frames


@pytest.fixture
def film(tmp_path):
    return write_film(tmp_path / "dance.mp4", dancer_on(wall(), sway(24)))


def extract(*arguments):
    return extract_frames.main([str(argument) for argument in arguments])


def test_a_film_becomes_frames_clips_and_a_report(tmp_path, film, capsys):
    out = tmp_path / "imgs"
    assert extract(film, "-o", out, "--method", "threshold") == 0
    folder = FrameFolder.open(out)
    assert folder.num_frames == 24 and folder.fps == 20
    assert sorted(path.name for path in (out / "report").iterdir()) == [
        "footage.png",
        "footage.txt",
    ]
    printed = capsys.readouterr().out
    assert "usable: 1.2 of 1.2 seconds" in printed and "advice:" in printed


def test_more_videos_append_as_further_clips(tmp_path, film):
    out = tmp_path / "imgs"
    options = ("-o", out, "--method", "threshold")
    assert extract(film, *options) == 0
    assert extract(film, film, *options, "--again") == 0
    assert [(c.first, c.last) for c in FrameFolder.open(out).clips] == [
        (1, 24),
        (25, 48),
        (49, 72),
    ]
    assert extract(film, *options, "--overwrite") == 0
    assert FrameFolder.open(out).num_frames == 24


def test_a_report_can_lie_elsewhere(tmp_path, film):
    out = tmp_path / "imgs"
    assert extract(film, "-o", out, "--method", "threshold", "--report", tmp_path / "look") == 0
    assert (tmp_path / "look.txt").exists() and (tmp_path / "look.png").exists()
    assert not (out / "report").exists()


def test_a_report_replaces_a_report_and_nothing_else(tmp_path, film, capsys):
    arguments = (film, "-o", tmp_path / "imgs", "--method", "threshold", "--report")
    assert extract(*arguments, tmp_path / "look") == 0
    assert extract(*arguments, tmp_path / "look", "--again") == 0
    (tmp_path / "diary.txt").write_text("dear diary")
    assert extract(*arguments, tmp_path / "diary.txt") == 1
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "diary.txt").read_text() == "dear diary"
    assert FrameFolder.open(tmp_path / "imgs").num_frames == 48


def test_fps_start_and_seconds_reach_the_reader(tmp_path, film):
    out = tmp_path / "imgs"
    arguments = (film, "-o", out, "--method", "threshold", "--fps", 10)
    assert extract(*arguments, "--start", 0.2, "--seconds", 0.8) == 0
    folder = FrameFolder.open(out)
    assert folder.fps == 10 and folder.num_frames == 8


def test_a_bad_file_among_good_ones_is_left_out_and_told(tmp_path, film, capsys):
    (tmp_path / "bad.mp4").write_text("no film")
    out = tmp_path / "imgs"
    assert extract(tmp_path / "bad.mp4", film, "-o", out, "--method", "threshold") == 1
    assert FrameFolder.open(out).num_frames == 24
    assert "is not a video" in capsys.readouterr().err


def test_a_bad_file_alone_is_one_sentence_and_leaves_no_folder(tmp_path, capsys):
    (tmp_path / "bad.mp4").write_text("no film")
    assert extract(tmp_path / "bad.mp4", "-o", tmp_path / "imgs") == 1
    message = capsys.readouterr().err
    assert "is not a video" in message and "Traceback" not in message
    assert not (tmp_path / "imgs").exists()


def test_an_output_in_no_folder_says_so(tmp_path, film, capsys):
    assert extract(film, "-o", tmp_path / "none" / "imgs", "--method", "threshold") == 1
    assert "does not exist" in capsys.readouterr().err


def test_clips_of_different_rates_in_one_folder_are_warned_about(tmp_path, film, capsys):
    out = tmp_path / "imgs"
    options = ("-o", out, "--method", "threshold")
    assert extract(film, *options) == 0
    assert extract(film, *options, "--fps", 10) == 0
    assert "--fps 10" in capsys.readouterr().err


def test_ctrl_c_exits_with_130_and_says_what_is_kept(tmp_path, film, capsys, monkeypatch):
    from dancenet.data.footage import extract as extraction

    genuine, calls = extraction.extract, []

    def extract_once(*arguments):
        if calls:
            raise KeyboardInterrupt
        calls.append(arguments)
        return genuine(*arguments)

    monkeypatch.setattr(extraction, "extract", extract_once)
    out = tmp_path / "imgs"
    assert extract(film, film, "-o", out, "--method", "threshold", "--again") == 130
    assert "holds 1 whole clip" in capsys.readouterr().err
    assert len(json.loads((out / "clips.json").read_text())["clips"]) == 1
    assert (out / "report" / "footage.txt").exists()


@pytest.mark.parametrize("option", [("--fps", "0"), ("--seconds", "-1"), ("--method", "magic")])
def test_impossible_options_are_usage_errors(film, option):
    with pytest.raises(SystemExit) as stop:
        extract(film, *option)
    assert stop.value.code == 2


def test_a_failure_leaves_what_was_to_be_overwritten(tmp_path, film, capsys):
    out = tmp_path / "imgs"
    assert extract(film, "-o", out, "--method", "threshold") == 0
    nobody = write_film(tmp_path / "wall.mp4", [wall()] * 24)
    capsys.readouterr()
    assert extract(nobody, "-o", out, "--method", "threshold", "--overwrite") == 1
    assert "No dancer" in capsys.readouterr().err
    assert FrameFolder.open(out).num_frames == 24


def test_a_folder_is_not_extracted_into_itself(tmp_path, film, capsys):
    out = tmp_path / "imgs"
    assert extract(film, "-o", out, "--method", "threshold") == 0
    assert extract(out, "-o", out, "--method", "threshold", "--overwrite") == 1
    assert "both the source and the output" in capsys.readouterr().err
    assert FrameFolder.open(out).num_frames == 24


def details(out):
    return [clip["details"] for clip in json.loads((out / "clips.json").read_text())["clips"]]


def test_the_same_source_is_taken_once_and_said(tmp_path, film, capsys):
    out = tmp_path / "imgs"
    options = ("-o", out, "--method", "threshold")
    assert extract(film, film, *options) == 0
    shutil.copy(film, tmp_path / "copy.mp4")
    before = (out / "clips.json").read_bytes()
    assert extract(film, tmp_path / "copy.mp4", *options) == 0
    assert capsys.readouterr().out.count("is left out; say --again to take it once more") == 3
    assert (out / "clips.json").read_bytes() == before
    assert FrameFolder.open(out).num_frames == 24


def test_what_is_missing_of_a_source_is_added_after_a_kill(tmp_path, film, monkeypatch):
    options = (film, "-o", tmp_path / "imgs", "--method", "threshold", "--mirror")
    mirror, describe = FrameWriter.add_mirrored, FrameWriter.describe
    monkeypatch.setattr(FrameWriter, "add_mirrored", lambda *a: (_ for _ in ()).throw(MemoryError))
    assert extract(*options) == 1
    monkeypatch.setattr(FrameWriter, "add_mirrored", mirror)
    monkeypatch.setattr(FrameWriter, "describe", lambda *a: (_ for _ in ()).throw(MemoryError))
    for _ in range(2):  # the clips are whole, but nobody knows that there are no more of them
        assert extract(*options) == 1
        assert [clip.get("mirror") for clip in details(tmp_path / "imgs")] == [None, True]
    monkeypatch.setattr(FrameWriter, "describe", describe)
    assert extract(*options) == 0
    assert [clip.get("parts") for clip in details(tmp_path / "imgs")] == [1, None]


def test_another_film_of_a_name_and_other_settings_are_added_and_told(tmp_path, film, capsys):
    out = tmp_path / "imgs"
    options = (film, "-o", out, "--method", "threshold")
    assert extract(*options) == 0
    assert extract(*options, "--fit", "letterbox") == 0
    assert "taken with other settings" in capsys.readouterr().err
    write_film(film, dancer_on(wall(), sway(30)))
    assert extract(*options) == 0
    assert "dance.mp4 has changed since" in capsys.readouterr().err
    assert [clip.num_frames for clip in FrameFolder.open(out).clips] == [24, 24, 30]


def test_a_source_of_a_folder_by_an_older_version_is_known_by_its_name(tmp_path, film, capsys):
    out = tmp_path / "imgs"
    options = (film, "-o", out, "--method", "threshold")
    assert extract(*options) == 0
    content = json.loads((out / "clips.json").read_text())
    content["clips"][0]["details"] = {"fit": "crop"}
    (out / "clips.json").write_text(json.dumps(content))
    assert extract(*options) == 0
    assert "is left out; say --again" in capsys.readouterr().out
    assert extract(*options, "--again") == 0
    assert FrameFolder.open(out).num_frames == 48

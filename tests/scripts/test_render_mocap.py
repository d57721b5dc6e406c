"""Motion capture files become clips of silhouettes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from bodies import stand

from dancenet.data.frames.content import content_key
from dancenet.data.frames.folder import FrameFolder
from dancenet.data.motion.joints import JOINTS
from scripts.render_mocap import main


def record(path, seconds=1.5, fps=30.0, bad=()):
    """Writes a standing body whose left hand waves."""
    positions = stand(round(seconds * fps))
    swing = np.sin(np.arange(len(positions)) / fps * 4)
    positions[:, JOINTS.index("l_wrist"), 0] += 0.15 * swing
    ok = np.ones(len(positions), bool)
    for frames in bad:
        ok[frames] = False
    np.savez(path, pos=positions, fps=np.float32(fps), joints=np.array(JOINTS), ok=ok)
    return str(path)


def clips(folder):
    return json.loads((folder / "clips.json").read_text())["clips"]


def test_a_recording_becomes_a_clip_that_says_how_it_was_seen(tmp_path, capsys):
    motion = record(tmp_path / "wave.npz")
    out = tmp_path / "imgs"
    assert main([motion, "-o", str(out), "--yaw", "30", "--split", "val"]) == 0
    (clip,) = clips(out)
    assert (clip["source"], clip["fps"], clip["split"]) == ("wave.npz", 30.0, "val")
    assert (clip["method"], clip["first"], clip["last"]) == ("mocap", 1, 45)
    assert clip["details"] == {
        "yaw": 30.0,
        "mirror": False,
        "girth": 1.0,
        "camera": "follow",
        "recorded_frames": [1, 45],
        "recorded_fps": 30.0,
        "content": content_key(tmp_path / "wave.npz")[:32],
    }
    frames = FrameFolder.open(out).read(1, 45)
    assert 0.03 < (frames == 0).mean() < 0.2
    assert "45 frames" in capsys.readouterr().out


def test_every_yaw_and_the_mirror_give_clips_of_their_own_and_runs_append(tmp_path):
    motion = record(tmp_path / "wave.npz", seconds=1.0)
    out = tmp_path / "imgs"
    assert main([motion, "-o", str(out), "--yaw", "0", "90", "--mirror"]) == 0
    assert main([motion, "-o", str(out), "--camera", "fixed"]) == 0
    views = [
        (clip["details"]["yaw"], clip["details"]["mirror"], clip["details"]["camera"])
        for clip in clips(out)
    ]
    assert views == [
        (0, False, "follow"),
        (0, True, "follow"),
        (90, False, "follow"),
        (90, True, "follow"),
        (0, False, "fixed"),
    ]
    assert FrameFolder.open(out).num_frames == 150


def test_every_girth_gives_clips_of_its_own(tmp_path):
    motion = record(tmp_path / "wave.npz", seconds=1.0)
    out = tmp_path / "imgs"
    assert main([motion, "-o", str(out), "--girth", "0.8", "1", "1.3"]) == 0
    assert [clip["details"]["girth"] for clip in clips(out)] == [0.8, 1.0, 1.3]
    frames = FrameFolder.open(out)
    thin, usual, stout = ((frames.read(first, first + 29) == 0).mean() for first in (1, 31, 61))
    assert thin < 0.9 * usual < usual < 0.9 * stout


def test_a_girth_no_body_has_is_refused_before_anything_is_drawn(tmp_path, capsys):
    assert main([record(tmp_path / "wave.npz"), "-o", str(tmp_path / "imgs"), "--girth", "2"]) == 1
    assert "--girth must be from 0.6 to 1.5; received 2." in capsys.readouterr().err
    assert not (tmp_path / "imgs").exists()


def test_overwriting_starts_anew(tmp_path):
    motion = record(tmp_path / "wave.npz", seconds=1.0)
    out = tmp_path / "imgs"
    for _ in range(2):
        assert main([motion, "-o", str(out), "--overwrite"]) == 0
    assert FrameFolder.open(out).num_frames == 30


def test_glitches_cut_a_recording_and_short_clips_are_left_out(tmp_path, capsys):
    motion = record(tmp_path / "wave.npz", seconds=4.0, bad=[slice(40, 42), slice(60, 65)])
    out = tmp_path / "imgs"
    assert main([motion, "-o", str(out)]) == 0
    assert [clip["details"]["recorded_frames"] for clip in clips(out)] == [[1, 40], [66, 120]]
    assert [clip["last"] for clip in clips(out)] == [40, 95]
    assert "frames 43 to 60 (0.60 s between glitches) are too short" in capsys.readouterr().out


def test_a_fast_recording_is_resampled_and_a_slow_one_keeps_its_rate(tmp_path):
    fast, slow = record(tmp_path / "a.npz", fps=120.0), record(tmp_path / "b.npz", fps=25.0)
    assert main([fast, "-o", str(tmp_path / "fast")]) == 0
    assert main([slow, "-o", str(tmp_path / "slow")]) == 0
    assert (clips(tmp_path / "fast")[0]["fps"], clips(tmp_path / "fast")[0]["last"]) == (30.0, 45)
    assert (clips(tmp_path / "slow")[0]["fps"], clips(tmp_path / "slow")[0]["last"]) == (25.0, 38)


def test_a_wrong_frame_rate_can_be_corrected(tmp_path):
    motion = record(tmp_path / "a.npz", seconds=2.0, fps=120.0)
    assert main([motion, "-o", str(tmp_path / "imgs"), "--frame-rate", "60"]) == 0
    assert clips(tmp_path / "imgs")[0]["last"] == 120


def test_rates_that_do_not_go_together_are_refused_before_anything_is_drawn(tmp_path, capsys):
    slow, fast = record(tmp_path / "slow.npz", fps=25.0), record(tmp_path / "fast.npz", fps=30.0)
    out = tmp_path / "imgs"
    assert main([fast, slow, "-o", str(out)]) == 1
    assert "25, 30 frames/s; say --fps 25" in capsys.readouterr().err
    assert not out.exists()
    assert main([fast, "-o", str(out)]) == 0
    before = clips(out)
    assert main([slow, "-o", str(out)]) == 1
    assert clips(out) == before


def test_a_bad_file_among_good_ones_leaves_the_folder_as_it_was(tmp_path, capsys):
    motion, out = record(tmp_path / "wave.npz"), tmp_path / "imgs"
    assert main([motion, "-o", str(out)]) == 0
    before = clips(out)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "wave.npz").read_bytes()[:500])
    assert main([motion, str(tmp_path / "cut.npz"), "-o", str(out), "--overwrite"]) == 1
    assert "cut.npz" in capsys.readouterr().err
    assert clips(out) == before


@pytest.mark.parametrize("bad", [[slice(0, 45)], [slice(0, 45, 10)]])
def test_a_recording_of_nothing_but_glitches_is_an_error(tmp_path, capsys, bad):
    motion = record(tmp_path / "wave.npz", bad=bad)
    assert main([motion, "-o", str(tmp_path / "imgs")]) == 1
    assert "without a glitch; nothing was drawn" in capsys.readouterr().err
    assert not (tmp_path / "imgs").exists()


def test_a_missing_file_and_a_missing_parent_folder_are_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path / "no.npz"), "-o", str(tmp_path / "imgs")]) == 1
    motion = record(tmp_path / "wave.npz", seconds=1.0)
    assert main([motion, "-o", str(tmp_path / "no" / "imgs")]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "no.npz" in errors[0] and "does not exist" in errors[1]


def test_whole_clips_outlast_an_interruption(tmp_path, capsys, monkeypatch):
    from dancenet.data.motion import draw_body as body

    drawn = body.draw_bodies

    def interrupted(positions, fps, view, **options):
        for count, frame in enumerate(drawn(positions, fps, view, **options)):
            if view.yaw == 90 and count == 10:
                raise KeyboardInterrupt
            yield frame

    monkeypatch.setattr(body, "draw_bodies", interrupted)
    motion = record(tmp_path / "wave.npz", seconds=1.0)
    out = tmp_path / "imgs"
    assert main([motion, "-o", str(out), "--yaw", "0", "90"]) == 130
    assert "imgs: 1." in capsys.readouterr().err
    assert FrameFolder.open(out).num_frames == 30


@pytest.mark.parametrize(
    "flags",
    [
        ["--yaw", "nan"],
        ["--fps", "0"],
        ["--split", "test"],
        ["--camera", "drone"],
        ["--frame-rate", "-1"],
    ],
)
def test_a_flag_that_makes_no_sense_is_a_usage_error(tmp_path, flags):
    with pytest.raises(SystemExit) as stop:
        main(["wave.npz", *flags])
    assert stop.value.code == 2


def test_the_same_recording_is_drawn_once_and_said(tmp_path, capsys):
    motion, out = record(tmp_path / "wave.npz", seconds=1.0), tmp_path / "imgs"
    assert main([motion, "-o", str(out)]) == 0
    before = clips(out)
    assert main([motion, motion, "-o", str(out)]) == 0
    assert "2 of 2 clips are in" in capsys.readouterr().out
    assert clips(out) == before
    assert main([motion, "-o", str(out), "--mirror", "--yaw", "0", "45"]) == 0
    assert [clip["details"]["yaw"] for clip in clips(out)] == [0, 0, 45, 45]
    assert main([motion, "-o", str(out), "--again"]) == 0
    assert len(clips(out)) == 5


def test_what_the_person_says_of_a_recording_makes_other_clips(tmp_path):
    motion, out = record(tmp_path / "wave.npz", seconds=1.0), tmp_path / "imgs"
    assert main([motion, "-o", str(out)]) == 0
    assert main([motion, "-o", str(out), "--unit", "0.9"]) == 0
    assert [clip["details"].get("reading") for clip in clips(out)] == [None, {"unit": 0.9}]


def test_another_recording_of_a_name_is_added_and_told(tmp_path, capsys):
    out = tmp_path / "imgs"
    assert main([record(tmp_path / "wave.npz", seconds=1.0), "-o", str(out)]) == 0
    assert main([record(tmp_path / "wave.npz", seconds=1.5), "-o", str(out)]) == 0
    assert "holds clips of another wave.npz" in capsys.readouterr().err
    assert [clip["last"] for clip in clips(out)] == [30, 75]


def test_a_clip_of_an_older_version_is_known_by_its_name(tmp_path):
    motion, out = record(tmp_path / "wave.npz", seconds=1.0), tmp_path / "imgs"
    assert main([motion, "-o", str(out)]) == 0
    content = json.loads((out / "clips.json").read_text())
    del content["clips"][0]["details"]["content"]
    (out / "clips.json").write_text(json.dumps(content))
    assert main([motion, "-o", str(out)]) == 0
    assert len(clips(out)) == 1

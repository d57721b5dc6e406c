"""Recordings to learn from: cut, brought to one rate, labelled, split and mirrored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dancenet.data.mocap.recordings import (
    Labels,
    RecordingOptions,
    Recordings,
    mirrored,
    read_recordings,
)
from dancenet.data.motion.clip import SkeletonClip
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.support.errors import UserError


def make_clip(num_frames=90, fps=30.0, names=JOINTS, bad=(), seed=0, source="a.npz"):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(0.2, 1.6, (1, len(names), 3)) + np.cumsum(
        rng.normal(0, 0.01, (num_frames, len(names), 3)), axis=0
    )
    ok = np.ones(num_frames, dtype=bool)
    ok[list(bad)] = False
    return SkeletonClip(
        positions.astype(np.float32),
        fps,
        ok,
        tuple(names),
        PARENTS if names == JOINTS else None,
        None,
        source,
    )


def write(folder: Path, name: str, **options) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    make_clip(**options).save(path)
    return path


def labels(folder: Path, text: str) -> Labels:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return Labels.read(path)


def test_rows_follow_each_other_and_a_split_keeps_to_them(tmp_path):
    paths = [write(tmp_path, f"{name}.npz", num_frames=n) for name, n in (("a", 90), ("b", 60))]
    known = labels(tmp_path, "file,style,split\na.npz,salsa,train\nb*,,val\n")
    found = read_recordings(paths, RecordingOptions(labels=known))
    assert found.rows == (range(0, 90), range(90, 150))
    assert found.split() == ([range(0, 90)], [range(90, 150)])
    assert found.styles == ("salsa", None) and found.style_names == ("salsa",)


def test_a_glitch_cuts_a_recording_and_both_parts_keep_its_style(tmp_path):
    path = write(tmp_path, "a.npz", num_frames=100, bad=[40])
    known = labels(tmp_path, "file,style\n*.npz,salsa\n")
    found = read_recordings([path], RecordingOptions(labels=known))
    assert [clip.num_frames for clip in found.clips] == [40, 59]
    assert found.styles == ("salsa", "salsa") and len(set(found.sources)) == 1


def test_a_part_between_two_glitches_that_is_too_short_is_named_and_left_out(tmp_path, capsys):
    path = write(tmp_path, "a.npz", num_frames=100, bad=[40, 50])
    assert [c.num_frames for c in read_recordings([path]).clips] == [40, 49]
    assert "frames 42-50 are too short" in capsys.readouterr().out


def test_recordings_of_all_rates_come_to_one(tmp_path):
    paths = [
        write(tmp_path, "a.npz", num_frames=120, fps=60.0),
        write(tmp_path, "b.npz", fps=30.0),
        write(tmp_path, "c.npz", num_frames=101, fps=100 / 3),
    ]
    found = read_recordings(paths)
    assert {clip.fps for clip in found.clips} == {30.0} and found.clips[0].num_frames == 60
    # 100 steps of 30 ms are 3 s, which are 90 steps of a thirtieth.
    assert found.clips[2].num_frames == 91


def test_a_recording_that_is_too_slow_is_refused_with_the_rate_to_ask_for(tmp_path):
    paths = [write(tmp_path, "a.npz"), write(tmp_path, "b.npz", fps=25.0)]
    with pytest.raises(UserError, match="a.npz and .* would have 25, 30 frames/s; say .*fps.*25"):
        read_recordings(paths)


def test_skeletons_are_not_mixed(tmp_path):
    paths = [
        write(tmp_path, "a.npz"),
        write(tmp_path, "b.npz", names=tuple(f"j{i}" for i in range(25)), source="b"),
    ]
    with pytest.raises(UserError, match="has 25 joints and a.npz has 19.*one skeleton"):
        read_recordings(paths)


def test_the_folder_is_the_style_where_no_label_says_another(tmp_path):
    paths = [write(tmp_path / "tango", "a.npz"), write(tmp_path / "waltz", "b.npz")]
    known = labels(tmp_path, "file,style\nb.npz,slow waltz\n")
    found = read_recordings(paths, RecordingOptions(labels=known, style_by_folder=True))
    assert found.styles == ("tango", "slow waltz")


def test_the_first_line_that_fits_counts(tmp_path):
    known = labels(tmp_path, "file,style,split\n60_13*,salsa,val\n6*,salsa,train\n")
    assert known.of(Path("x/60_13.bvh")) == ("salsa", "val")
    assert known.of(Path("61_01.bvh")) == ("salsa", "train")
    assert known.of(Path("5.bvh")) == (None, None)


@pytest.mark.parametrize("name", ["a[1].npz", "caf\u00e9.npz", "cafe\u0301.npz", "take:1, b.npz"])
def test_a_line_fits_the_file_of_its_name(tmp_path, name):
    line = (
        name.replace("e\u0301", "\u00e9") if "\u0301" in name else name.replace("\u00e9", "e\u0301")
    )
    known = labels(tmp_path, f'file,style\n"{line}",salsa\n')
    assert known.of(tmp_path / name) == ("salsa", None)


@pytest.mark.parametrize("name", ["   ", "a\x1b[31m", "two\nlines", "\u202e"])
def test_a_style_nobody_can_ask_for_is_refused_before_anything_is_read(tmp_path, name):
    with pytest.raises(UserError, match="which nobody can ask for"):
        read_recordings([tmp_path / name / "missing.npz"], RecordingOptions(style_by_folder=True))


def test_spaces_around_a_style_and_letters_in_two_parts_make_no_other_style(tmp_path):
    known = RecordingOptions(style_by_folder=True).known
    assert known(tmp_path / " cafe\u0301, rock:roll " / "a.npz")[0] == "caf\u00e9, rock:roll"
    odd = "dan\udce7a"
    assert known(tmp_path / odd / "a.npz")[0] == odd


def test_lines_of_the_labels_that_fit_nothing_are_said(tmp_path, capsys):
    known = labels(tmp_path, "file,style\na*,salsa\nd*,tango\n")
    read_recordings([write(tmp_path, "a.npz")], RecordingOptions(labels=known))
    assert "1 lines match no recording, the first is 'd*'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text, message",
    [
        ("name,dance\n", "must be file,style,split.*'name,dance'"),
        ("", "labels.csv is empty"),
        ("file,style,split\na,salsa,test\n", "Line 2 .*'a,salsa,test'"),
        ("file,style\na,salsa,val\n", "Line 2 "),
        ("file,style\n,salsa\n", "Line 2 "),
    ],
)
def test_labels_that_say_nothing_are_refused_with_the_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        labels(tmp_path, text)


def test_labels_that_are_not_there_are_named(tmp_path):
    with pytest.raises(UserError, match="none.csv cannot be read"):
        Labels.read(tmp_path / "none.csv")


def test_mirroring_twice_gives_the_clip_back():
    clip = make_clip()
    twice = mirrored(mirrored(clip))
    np.testing.assert_array_equal(twice.positions, clip.positions)


def test_a_mirrored_left_hand_is_the_right_one_on_the_other_side():
    clip = make_clip()
    other = mirrored(clip)
    left, right = JOINTS.index("l_wrist"), JOINTS.index("r_wrist")
    np.testing.assert_array_equal(
        other.positions[:, right], clip.positions[:, left] * np.float32([-1, 1, 1])
    )
    assert other.source == clip.source


@pytest.mark.parametrize(
    "names, pairs",
    [
        (("Hips", "LeftFoot", "RightFoot"), {1: 2}),
        (("hip", "lHand", "rHand", "lower"), {1: 2}),
        (("root", "mixamorig:LeftArm", "mixamorig:RightArm"), {1: 2}),
        (("root", "left_knee", "right_knee"), {1: 2}),
    ],
)
def test_sides_are_told_by_the_names_of_many_programs(names, pairs):
    clip = make_clip(names=names)
    other = mirrored(clip)
    for one, two in pairs.items():
        np.testing.assert_array_equal(other.positions[:, one, 1], clip.positions[:, two, 1])
    np.testing.assert_array_equal(other.positions[:, 0, 1], clip.positions[:, 0, 1])


def test_a_skeleton_without_sides_cannot_be_mirrored():
    with pytest.raises(UserError, match="none of its joints is called left or right"):
        mirrored(make_clip(names=("a", "b", "c")))


def test_mirroring_doubles_what_is_learned(tmp_path):
    found = read_recordings([write(tmp_path, "a.npz")], RecordingOptions(mirror=True))
    assert len(found.clips) == 2 and len(set(found.sources)) == 1


def test_each_clip_needs_a_split_and_a_style():
    with pytest.raises(ValueError, match="a split and a style"):
        Recordings((make_clip(),), (), ())


def test_nothing_long_enough_is_said(tmp_path):
    with pytest.raises(UserError, match="nothing to learn from"):
        read_recordings([write(tmp_path, "a.npz", num_frames=20)])

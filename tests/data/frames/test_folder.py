"""Frame folders: what is written is read back exactly, and nothing is lost or overwritten."""

from __future__ import annotations

import errno
import json
import os
import shutil

import cv2
import numpy as np
import pytest

from dancenet.data.frames.clips import LEAST_ROWS, Clip, check_trainable, split_clips
from dancenet.data.frames.folder import FrameFolder
from dancenet.data.frames.packed import PackedFrames
from dancenet.data.frames.writer import FrameWriter
from dancenet.support import files
from dancenet.support.errors import UserError


def make_frames(count, seed=0):
    """Returns random blobs: (count, 120, 208) uint8, 0 and 255."""
    rng = np.random.default_rng(seed)
    frames = np.full((count, 120, 208), 255, np.uint8)
    for frame in frames:
        for _ in range(5):
            x, y, radius = rng.integers((20, 20, 3), (188, 100, 20))
            cv2.circle(frame, (int(x), int(y)), int(radius), 0, -1)
    return frames


def add(path, count=5, seed=0, **options):
    frames = make_frames(count, seed)
    options = {"source": "a.mp4", "fps": 30.0, "method": "test", **options}
    return frames, FrameWriter(path).add_clip(frames, **options)


def test_frames_are_read_back_exactly_though_jpeg_is_lossy(tmp_path):
    frames, clip = add(tmp_path / "imgs", 20)
    folder = FrameFolder.open(tmp_path / "imgs")
    assert np.array_equal(folder.read(1, 20), frames)
    assert folder.clips == (clip,)


def test_clips_append_and_keep_their_records(tmp_path):
    first, _ = add(tmp_path, 5, seed=1)
    second, clip = add(tmp_path, 7, seed=2, split="val", details={"yaw": 90})
    folder = FrameFolder.open(tmp_path)
    assert (clip.first, clip.last) == (6, 12)
    assert folder.clips[1] == clip and clip.details == {"yaw": 90}
    assert np.array_equal(folder.read(1, 12), np.concatenate([first, second]))


def test_packed_frames_are_the_frames_in_any_order(tmp_path):
    frames, _ = add(tmp_path, 9)
    packed = PackedFrames.open(FrameFolder.open(tmp_path))
    order = [8, 0, 3, 3]
    assert len(packed) == 9
    assert np.array_equal(packed.read(order), frames[order])


def test_the_packed_cache_follows_the_pictures(tmp_path):
    add(tmp_path, 4)
    assert len(PackedFrames.open(FrameFolder.open(tmp_path))) == 4
    frames, _ = add(tmp_path, 3, seed=5)
    packed = PackedFrames.open(FrameFolder.open(tmp_path))
    assert len(packed) == 7
    assert np.array_equal(packed.read([4, 5, 6]), frames)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="of Linux")
def test_a_disk_too_full_for_the_packed_cache_is_one_sentence(tmp_path, monkeypatch):
    add(tmp_path, 4)
    before = sorted(tmp_path.iterdir())

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match="The disk is full: .*frames.bits.npy was not written"):
        PackedFrames.open(FrameFolder.open(tmp_path))
    assert sorted(tmp_path.iterdir()) == before


def test_a_clip_that_fails_half_way_leaves_nothing(tmp_path):
    add(tmp_path, 3)

    def broken():
        yield from make_frames(2)
        raise RuntimeError("the camera fell")

    with pytest.raises(RuntimeError, match="camera fell"):
        FrameWriter(tmp_path).add_clip(broken(), source="b", fps=30.0, method="test")
    assert FrameFolder.open(tmp_path).num_frames == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "1.jpg",
        "2.jpg",
        "3.jpg",
        "clips.json",
    ]


def test_a_clip_that_cannot_be_recorded_is_taken_back(tmp_path, monkeypatch):
    add(tmp_path, 3)
    write_json = files.write_json

    def full(path, value):
        if path.name == "clips.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        write_json(path, value)

    monkeypatch.setattr(files, "write_json", full)
    with pytest.raises(UserError, match="The disk is full"):
        add(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "1.jpg",
        "2.jpg",
        "3.jpg",
        "clips.json",
    ]


def test_pictures_of_a_killed_run_are_removed(tmp_path):
    add(tmp_path, 3)
    for number in (4, 5):  # as if the process died after renaming two of four
        (tmp_path / f"{number}.jpg").write_bytes((tmp_path / "1.jpg").read_bytes())
    (tmp_path / ".pending.json").write_text(json.dumps({"first": 4, "last": 7}))
    (tmp_path / ".pending").mkdir()
    writer = FrameWriter(tmp_path)
    assert writer.clips[-1].last == 3
    assert not (tmp_path / "4.jpg").exists() and not (tmp_path / ".pending").exists()


def test_a_clip_recorded_before_the_kill_is_kept(tmp_path):
    add(tmp_path, 3)
    (tmp_path / ".pending.json").write_text(json.dumps({"first": 1, "last": 3}))
    FrameWriter(tmp_path)
    assert FrameFolder.open(tmp_path).num_frames == 3


@pytest.mark.parametrize("number", [1, 4, 900])
@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("overwrite", [False, True])
def test_pictures_of_a_user_are_not_overwritten(tmp_path, number, recorded, overwrite):
    if recorded:
        add(tmp_path, 3)
        number += 3
    (tmp_path / f"{number}.jpg").write_bytes(b"a user's picture")
    with pytest.raises(UserError, match=rf"does not know \({number}.jpg\), so they are not"):
        FrameWriter(tmp_path, overwrite)
    assert (tmp_path / f"{number}.jpg").read_bytes() == b"a user's picture"


def test_a_picture_that_appears_in_the_meantime_is_not_overwritten(tmp_path):
    add(tmp_path, 3)
    before = sorted(tmp_path.iterdir())

    def slowly():
        yield from make_frames(2)
        (tmp_path / "5.jpg").write_bytes(b"a user's picture")

    with pytest.raises(UserError, match="5.jpg has appeared in the meantime"):
        FrameWriter(tmp_path).add_clip(slowly(), source="b", fps=30.0, method="test")
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "5.jpg"])
    assert (tmp_path / "5.jpg").read_bytes() == b"a user's picture"


@pytest.mark.parametrize(
    "record", ["null", "[]", '{"first": "x"}', '{"first": 1}', '{"first": 1e999, "last": 2}']
)
def test_a_damaged_record_of_an_interrupted_clip_is_one_sentence(tmp_path, record):
    add(tmp_path, 3)
    (tmp_path / ".pending.json").write_text(record)
    with pytest.raises(UserError, match="not a .*record of an interrupted clip"):
        FrameWriter(tmp_path)
    assert FrameFolder.open(tmp_path).num_frames == 3


def test_a_record_of_an_interrupted_clip_may_claim_any_number_of_frames(tmp_path):
    add(tmp_path, 3)
    (tmp_path / ".pending.json").write_text('{"first": 4, "last": 1000000000000}')
    assert FrameWriter(tmp_path).clips[-1].last == 3


def test_only_the_pictures_of_a_killed_run_go_with_its_pending_folder(tmp_path):
    add(tmp_path, 3)
    (tmp_path / ".pending").mkdir()
    for name in ("1.jpg", "notes.txt"):
        (tmp_path / ".pending" / name).touch()
    FrameWriter(tmp_path)
    assert [path.name for path in (tmp_path / ".pending").iterdir()] == ["notes.txt"]
    add(tmp_path, 2)
    assert FrameFolder.open(tmp_path).num_frames == 5


def test_what_is_overwritten_goes_only_once_the_new_clip_is_whole(tmp_path):
    add(tmp_path, 5)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    writer = FrameWriter(tmp_path, overwrite=True)
    with pytest.raises(UserError, match="gave no frames"):
        writer.add_clip([], source="b", fps=30.0, method="test")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    writer.add_clip(make_frames(3), source="b", fps=30.0, method="test")
    writer.add_clip(make_frames(1), source="c", fps=30.0, method="test")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "1.jpg",
        "2.jpg",
        "3.jpg",
        "4.jpg",
        "clips.json",
    ]
    assert [clip.source for clip in FrameFolder.open(tmp_path).clips] == ["b", "c"]


def test_a_clip_that_fails_leaves_no_new_folder(tmp_path):
    path = tmp_path / "imgs"
    with pytest.raises(UserError, match="gave no frames"):
        FrameWriter(path).add_clip([], source="b", fps=30.0, method="test")
    assert not path.exists()


def test_half_a_first_clip_is_not_taken_for_frames(tmp_path):
    add(tmp_path, 2)
    (tmp_path / "clips.json").unlink()
    (tmp_path / ".pending.json").write_text(json.dumps({"first": 1, "last": 4}))
    with pytest.raises(UserError, match="is being written, or the command that wrote it was kill"):
        FrameFolder.open(tmp_path)


def test_a_source_without_frames_is_refused(tmp_path):
    with pytest.raises(UserError, match="b.mp4 gave no frames"):
        FrameWriter(tmp_path).add_clip([], source="b.mp4", fps=30.0, method="test")


@pytest.mark.parametrize("frame", [np.zeros((10, 10), np.uint8), np.full((120, 208), 7, np.uint8)])
def test_frames_must_be_binary_and_of_the_one_size(tmp_path, frame):
    with pytest.raises(ValueError, match="Frames"):
        FrameWriter(tmp_path).add_clip([frame], source="b", fps=30.0, method="test")


def test_an_empty_or_missing_folder_says_how_to_make_frames(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="extract_frames.py"):
            FrameFolder.open(path)


def test_a_gap_in_the_numbers_is_named(tmp_path):
    add(tmp_path, 5)
    (tmp_path / "3.jpg").unlink()
    with pytest.raises(UserError, match=r"lacks 1 of its 5 pictures \(3.jpg\)"):
        FrameFolder.open(tmp_path)


def test_stray_files_are_left_alone_and_stray_pictures_named(tmp_path, capsys):
    add(tmp_path, 5)
    for name in (".DS_Store", "notes.txt", "10 (1).jpg", "01.jpg"):
        (tmp_path / name).write_bytes(b"x")
    assert FrameFolder.open(tmp_path).num_frames == 5
    warning = capsys.readouterr().err
    assert "2 pictures" in warning and "10 (1).jpg" in warning and "notes.txt" not in warning


def test_a_folder_of_plain_numbered_pictures_is_one_clip(tmp_path, capsys):
    add(tmp_path, 5)
    (tmp_path / "clips.json").unlink()
    folder = FrameFolder.open(tmp_path)
    assert (folder.num_frames, folder.fps) == (5, 30.0)
    assert "one clip" in capsys.readouterr().err


@pytest.mark.parametrize("keep", [0, 10, -200])
def test_a_damaged_picture_is_named(tmp_path, keep):
    add(tmp_path, 3)
    path = tmp_path / "2.jpg"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="2.jpg .* is not a readable picture"):
        FrameFolder.open(tmp_path).read(1, 3)


def test_a_picture_of_another_size_is_named(tmp_path):
    add(tmp_path, 3)
    cv2.imwrite(str(tmp_path / "2.jpg"), np.zeros((50, 60), np.uint8))
    with pytest.raises(UserError, match="2.jpg is 60x50; frames are 208x120"):
        FrameFolder.open(tmp_path).read(1, 3)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda content: content["clips"][0].update(colour=1), "does not know: colour"),
        (lambda content: content["clips"][0].update(first=2), "must start at 1"),
        (lambda content: content["clips"][0].update(fps=0), "fps must be 0.01 or more"),
        (lambda content: content.update(format=9), "format is 9, and must be 1"),
    ],
)
def test_a_damaged_clips_file_is_named(tmp_path, change, message):
    add(tmp_path, 3)
    content = json.loads((tmp_path / "clips.json").read_text())
    change(content)
    (tmp_path / "clips.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        FrameFolder.open(tmp_path)


def test_clips_of_two_rates_have_no_one_rate(tmp_path):
    add(tmp_path, 3)
    add(tmp_path, 3, fps=25.0)
    with pytest.raises(UserError, match="25, 30"):
        FrameFolder.open(tmp_path).fps


def test_validation_is_the_contiguous_end_of_each_clip_with_a_gap():
    clips = [Clip("a", 30.0, 1, 600, "t"), Clip("b", 30.0, 601, 1200, "t")]
    train, validation = split_clips(clips)
    assert train == [range(0, 510), range(600, 1110)]
    assert validation == [range(540, 600), range(1140, 1200)]


def test_marked_clips_go_whole_to_their_side():
    clips = [Clip("a", 30.0, 1, 600, "t", "train"), Clip("b", 30.0, 601, 900, "t", "val")]
    assert split_clips(clips) == ([range(0, 600)], [range(600, 900)])


def test_one_short_clip_still_gives_validation():
    assert split_clips([Clip("a", 30.0, 1, 20, "t")]) == ([range(0, 18)], [range(18, 20)])
    assert split_clips([Clip("a", 30.0, 1, 150, "t")]) == ([range(0, 135)], [range(135, 150)])


def test_what_a_short_clip_holds_out_is_not_seen_in_its_mirror_image():
    clips = [
        Clip(source, 30.0, first, last, "t")
        for source, first, last in (("a", 1, 150), ("a", 151, 300), ("b", 301, 330))
    ]
    assert split_clips(clips) == (
        [range(0, 135), range(150, 285), range(300, 330)],
        [range(135, 150), range(285, 300)],
    )


def takes(*sizes: int, source: str = "a", split: str | None = None) -> list[Clip]:
    ends = np.cumsum(sizes)
    return [
        Clip(source, 30.0, int(end - size + 1), int(end), "t", split)
        for size, end in zip(sizes, ends)
    ]


def test_takes_shorter_than_three_seconds_give_their_ends_until_a_tenth_is_held_out():
    # A take and its mirror image, which are as long, give 12 rows each, 24 in all. A tenth of 400
    # rows needs two such pairs, of 240 rows one.
    train, validation = split_clips(takes(80, 70, 50, 80, 70, 50))
    assert validation == [range(68, 80), range(138, 150), range(268, 280), range(338, 350)]
    assert train[2] == range(150, 200) and train[0] == range(0, 68)
    train, validation = split_clips(takes(80, 40, 80, 40))
    assert validation == [range(68, 80), range(188, 200)]


def test_takes_of_a_second_can_be_trained_on():
    check_trainable(takes(*[30] * 12), "imgs")
    check_trainable(takes(24), "imgs")
    for rows in split_clips(takes(*[30] * 12)):
        assert min(map(len, rows)) >= LEAST_ROWS


def test_takes_too_short_to_train_on_are_told_before_anything_is_trained():
    with pytest.raises(UserError, match="longest is 0.8 s, 23 frames, and at least 24"):
        check_trainable(takes(*[23] * 100), "imgs")


@pytest.mark.parametrize(
    "train, val, missing", [(30, 0, "validate on"), (0, 30, "train on"), (30, 9, "validate on")]
)
def test_marked_clips_of_one_kind_only_are_told(train, val, missing):
    clips = takes(*filter(None, [train]), split="train") + takes(*filter(None, [val]), split="val")
    with pytest.raises(UserError, match=f"has no clip to {missing}"):
        check_trainable(clips, "imgs")


def test_a_folder_that_is_removed_while_it_is_written_is_said(tmp_path):
    with FrameWriter(tmp_path / "imgs") as writer:
        writer.add_clip(make_frames(1), source="a", fps=30.0, method="test")
        shutil.rmtree(tmp_path / "imgs")
        with pytest.raises(UserError, match="imgs was removed while it was written"):
            writer.add_clip(make_frames(1), source="b", fps=30.0, method="test")


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_folders_and_locks_that_are_links_of_the_users_lose_nothing(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "1.jpg").write_text("mine")
    (tmp_path / "imgs").mkdir()
    (tmp_path / "imgs" / ".pending").symlink_to(mine)
    add(tmp_path / "imgs", 2)
    (tmp_path / "imgs" / ".dancenet.lock").symlink_to(mine / "1.jpg")
    with pytest.raises(UserError, match=".dancenet.lock cannot be written"):
        add(tmp_path / "imgs", 2)
    assert (mine / "1.jpg").read_text() == "mine"


@pytest.mark.parametrize("journal", [{"first": 1, "last": 1 << 50}, {"first": 1, "last": 3}])
@pytest.mark.parametrize("replaces", [False, True])
def test_a_strangers_journal_removes_no_pictures_of_the_users(tmp_path, journal, replaces):
    for number in (1, 2, 3):
        (tmp_path / f"{number}.jpg").write_text("mine")
    (tmp_path / ".pending.json").write_text(json.dumps({**journal, "replaces": replaces}))
    (tmp_path / ".replaced").mkdir()
    (tmp_path / ".replaced" / "clips.json").write_text('{"format": 1, "clips": []}')
    with pytest.raises(UserError):
        FrameWriter(tmp_path)
    assert [(tmp_path / f"{number}.jpg").read_text() for number in (1, 2, 3)] == ["mine"] * 3

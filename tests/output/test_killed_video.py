"""Videos and folders of pictures: nothing of the user's goes, whatever happens."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from kill import check_full_disk, check_kills, content_of, needs_fork

from dancenet.output.video_settings import read_settings
from dancenet.output.video_writer import VideoWriter, check_output
from dancenet.support import lock
from dancenet.support.errors import UserError


def write(path: Path, count: int, level: int = 0, overwrite: bool = False) -> None:
    """Writes a film or a folder of pictures."""
    kind = None if path.suffix else "frames"
    settings = {"level": level}
    with VideoWriter(
        path, fps=10, size=(16, 8), format=kind, settings=settings, overwrite=overwrite
    ) as video:
        for index in range(count):
            video.write(np.full((8, 16), level + index, np.uint8))


def with_notes(folder: Path) -> None:
    """Prepares pictures of an earlier run, with things of the user's among them."""
    write(folder / "dance", 3)
    (folder / "dance" / "notes.txt").write_text("mine")
    (folder / "dance" / ".hidden").mkdir()
    (folder / "dance" / ".hidden" / "1.png").write_text("mine")


WRITERS = {
    "new pictures": (lambda folder: None, lambda folder: write(folder / "dance", 2, 9)),
    "pictures": (with_notes, lambda folder: write(folder / "dance", 2, 9, overwrite=True)),
    "a film": (
        lambda folder: write(folder / "a.gif", 2),
        lambda folder: write(folder / "a.gif", 3),
    ),
}


@needs_fork
@pytest.mark.parametrize("case", WRITERS)
def test_a_killed_run_leaves_nothing_behind_after_the_next(tmp_path, case):
    assert check_kills(tmp_path, *WRITERS[case]) >= 3


@pytest.mark.parametrize("case", ["new pictures", "pictures"])
def test_a_full_disk_leaves_what_was_there(tmp_path, case):
    assert check_full_disk(tmp_path, *WRITERS[case]) > 3


@needs_fork
@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.webm", "dance"])
def test_files_that_may_not_grow_further_leave_what_was_there(tmp_path, name):
    """The limit of the system reaches FFmpeg's own writes, too."""
    import resource
    import signal

    write(tmp_path / name, 2)
    before = content_of(tmp_path)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (60, 60))
            try:
                write(tmp_path / name, 40, 9)
            except UserError as error:
                code = 3 if "older file is as it was" in str(error) else 4
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert content_of(tmp_path) == before


def test_pictures_are_replaced_by_fewer_and_nothing_else_is_touched(tmp_path):
    with_notes(tmp_path)
    write(tmp_path / "dance", 1, 9, overwrite=True)
    assert sorted(content_of(tmp_path / "dance")) == [
        ".hidden",
        ".hidden/1.png",
        "000001.png",
        "notes.txt",
        "settings.json",
    ]
    assert read_settings(tmp_path / "dance")["level"] == 9


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "sub/000001.png", "7.png", "a b.png"])
def test_without_overwrite_a_file_of_the_users_is_named_and_stays(tmp_path, name):
    write(tmp_path / "dance", 2)
    mine = tmp_path / "dance" / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    before = content_of(tmp_path)
    with pytest.raises(UserError, match=re.escape(name.split("/")[0]) + ".*did not write; choose"):
        write(tmp_path / "dance", 1)
    assert content_of(tmp_path) == before
    write(tmp_path / "dance", 1, overwrite=True)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("name", ["000002.png", "000007.png", "settings.json"])
def test_a_picture_that_was_added_or_changed_is_never_replaced(tmp_path, name):
    write(tmp_path / "dance", 3)
    (tmp_path / "dance" / name).write_text("mine")
    before = content_of(tmp_path)
    for overwrite in (False, True):
        with pytest.raises(UserError, match="so the folder is not replaced|not a folder of pict"):
            write(tmp_path / "dance", 2, overwrite=overwrite)
    assert content_of(tmp_path) == before


def test_what_a_file_manager_leaves_does_not_hinder(tmp_path):
    write(tmp_path / "dance", 3)
    (tmp_path / "dance" / ".DS_Store").write_text("of the system")
    write(tmp_path / "dance", 2)
    assert len(content_of(tmp_path / "dance")) == 4


def test_a_picture_changed_while_the_dance_was_made_is_kept(tmp_path, capsys):
    write(tmp_path / "dance", 3)
    with VideoWriter(tmp_path / "dance", fps=10, size=(16, 8), format="frames") as video:
        video.write(np.zeros((8, 16), np.uint8))
        (tmp_path / "dance" / "000001.png").write_text("mine")
        (tmp_path / "dance" / "000003.png").write_text("mine, too")
    assert (tmp_path / "dance" / "000003.png").read_text() == "mine, too"
    assert sorted(os.listdir(tmp_path)) == ["dance", "dance-kept-1"]
    assert content_of(tmp_path / "dance-kept-1") == {"000001.png": b"mine"}
    assert f"they are kept in {tmp_path / 'dance-kept-1'}" in capsys.readouterr().err
    # The kept folder hinders nobody.
    (tmp_path / "dance" / "000003.png").unlink()
    write(tmp_path / "dance", 1)
    assert sorted(os.listdir(tmp_path)) == ["dance", "dance-kept-1"]


def test_a_folder_of_a_version_without_sums_is_replaced_if_nothing_is_newer(tmp_path):
    write(tmp_path / "dance", 3)
    settings = tmp_path / "dance" / "settings.json"
    content = json.loads(settings.read_text())
    del content["pictures_crc32"]
    settings.write_text(json.dumps(content))
    write(tmp_path / "dance", 2)
    settings.write_text(json.dumps(content))
    os.utime(settings, (1e9, 1e9))
    with pytest.raises(UserError, match="changed since"):
        write(tmp_path / "dance", 2)


def test_the_old_pictures_are_found_where_a_killed_run_left_them(tmp_path):
    write(tmp_path / "dance", 2)
    from dancenet.support import files

    (tmp_path / "dance").rename(files.old_folder(tmp_path / "dance"))
    assert read_settings(tmp_path / "dance")["level"] == 0
    assert os.listdir(tmp_path) == ["dance"]


def test_the_folder_one_stands_in_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="current folder itself"):
        check_output(".", "frames")


def test_the_root_folder_is_not_replaced():
    with pytest.raises(UserError, match="not a folder of pictures made by dancenet"):
        check_output("/", "frames", overwrite=True)


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_links_stay_and_what_they_lead_to_is_not_removed(tmp_path):
    write(tmp_path / "real", 2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "000001.png").write_text("mine")
    (tmp_path / "real" / "sub").symlink_to(tmp_path / "mine")
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", 1, 9, overwrite=True)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "sub").is_symlink()
    assert read_settings(tmp_path / "real")["level"] == 9
    (tmp_path / "real" / "000001.png").unlink()
    (tmp_path / "real" / "000001.png").symlink_to(tmp_path / "mine" / "000001.png")
    with pytest.raises(UserError, match="holds 000001.png, which dancenet did not write"):
        write(tmp_path / "link", 1, overwrite=True)
    assert (tmp_path / "mine" / "000001.png").read_text() == "mine"


def test_two_dances_are_not_written_into_one_folder(tmp_path):
    with lock.hold(lock.beside(tmp_path / "dance"), tmp_path / "dance", ""):
        with pytest.raises(UserError, match="dance is being written by process"):
            write(tmp_path / "dance", 2)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_and_a_used_up_quota_are_told_apart(tmp_path, monkeypatch):
    from dancenet.output import encoders

    for number, said in ((errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota is used up")):
        error = OSError(number, os.strerror(number))

        def fail(*_: object, error: OSError = error) -> None:
            raise error

        monkeypatch.setattr(encoders.PictureEncoder, "write", fail)
        with pytest.raises(UserError, match=said):
            write(tmp_path / "dance", 2)
        assert os.listdir(tmp_path) == []

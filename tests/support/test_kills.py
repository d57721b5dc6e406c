"""Files and folders are replaced whole, whatever kills, starves or hinders the writer."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from kill import check_full_disk, check_kills, content_of, needs_fork

from dancenet.support import files, lock, temporary
from dancenet.support.errors import UserError

posix = pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")


def old_file(folder: Path) -> None:
    """Prepares a result of an earlier run, and a file of the user's."""
    files.write_json(folder / "result.json", {"run": 1})
    (folder / "notes.txt").write_text("mine")


def new_file(folder: Path) -> None:
    files.write_json(folder / "result.json", {"run": 2})


def ours(folder: Path) -> list[Path]:
    """What the tests below make in a folder; a file of other content is not theirs."""
    made = [path for path in folder.glob("*.made") if path.read_text().startswith("run")]
    return sorted(made) + [folder / "record"]


def make_folder(folder: Path, run: int, count: int) -> None:
    target = folder / "result"
    files.open_folder(target, ours)
    with lock.hold(lock.beside(target), target, ""), files.atomic_folder(target, ours) as made:
        for number in range(count):
            (made / f"{number}.made").write_bytes(f"run {run}".encode())
        (made / "record").write_bytes(b"record")


def old_folder(folder: Path) -> None:
    """Prepares a folder of an earlier run in which the user has put and changed things."""
    make_folder(folder, run=1, count=4)
    result = folder / "result"
    (result / "3.made").write_text("changed by hand")
    (result / ".hidden").write_text("mine")
    (result / "mine" / "empty").mkdir(parents=True)
    (result / "mine" / "0.made").write_text("mine")


WRITERS = {
    "a new file": (lambda folder: None, new_file),
    "a file": (old_file, new_file),
    "a new folder": (lambda folder: None, lambda folder: make_folder(folder, 2, 2)),
    "a folder": (old_folder, lambda folder: make_folder(folder, 2, 2)),
    "a taken name": (old_folder, lambda folder: make_folder(folder, 2, 4)),
}


@needs_fork
@pytest.mark.parametrize("case", WRITERS)
def test_killed_writers_leave_the_old_or_the_new(tmp_path, case):
    assert check_kills(tmp_path, *WRITERS[case]) > 3


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize("case", WRITERS)
def test_a_full_disk_leaves_the_old(tmp_path, case, number):
    assert check_full_disk(tmp_path, *WRITERS[case], number) > 1


def test_of_a_replaced_folder_only_our_files_go(tmp_path):
    old_folder(tmp_path)
    make_folder(tmp_path, run=2, count=2)
    assert content_of(tmp_path / "result") == {
        ".hidden": b"mine",
        "0.made": b"run 2",
        "1.made": b"run 2",
        "3.made": b"changed by hand",
        "mine": None,
        "mine/0.made": b"mine",
        "mine/empty": None,
        "record": b"record",
    }


def test_a_file_whose_name_is_taken_is_kept_and_told(tmp_path, capsys):
    old_folder(tmp_path)
    make_folder(tmp_path, run=2, count=4)
    assert (tmp_path / "result" / "3.made").read_text() == "run 2"
    assert content_of(tmp_path / "result-kept-1") == {"3.made": b"changed by hand"}
    said = f"3.made have names that are taken now; they are kept in {tmp_path / 'result-kept-1'}"
    assert said in capsys.readouterr().err


def test_each_kept_folder_has_a_name_of_its_own(tmp_path):
    for number in (1, 2):
        make_folder(tmp_path, run=1, count=2)
        (tmp_path / "result" / "1.made").write_text(f"changed {number}")
        make_folder(tmp_path, run=2, count=2)
        assert content_of(tmp_path / f"result-kept-{number}") == {
            "1.made": f"changed {number}".encode()
        }
    assert sorted(os.listdir(tmp_path)) == ["result", "result-kept-1", "result-kept-2"]


def left_by(program: str, folder: Path) -> str:
    """Lets another process leave a temporary file, and returns its name."""
    code = f"from dancenet.support import temporary\n{program}"
    root = str(Path(files.__file__).parents[2])
    subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        check=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    (name,) = (path.name for path in folder.iterdir() if ".dancenet-" in path.name)
    return name


def test_only_what_ended_processes_left_is_removed(tmp_path):
    made = (
        "import pathlib, sys; (pathlib.Path(sys.argv[1]) / temporary.temporary_name('a.b')).touch()"
    )
    dead = left_by(made, tmp_path)
    host, mine = dead.split("dancenet-")[1].split("-")[0], temporary.temporary_name("a.b")
    kept = {
        mine,
        dead.replace(host, "0" * 8),  # of another host, and new
        dead.replace(".dancenet-", ".dancenet+"),
        dead[1:],
        ".a.dancenet-notes.b",
    }
    for name in kept:
        (tmp_path / name).touch()
    old = dead.replace(host, "1" * 8)
    (tmp_path / old).touch()
    os.utime(tmp_path / old, (0, 0))
    temporary.sweep(tmp_path)
    assert set(os.listdir(tmp_path)) == kept


def test_a_later_process_of_the_same_number_is_another(monkeypatch):
    assert temporary.is_alive(os.getpid(), temporary.start_of_this())
    if temporary.start_of_this():
        assert not temporary.is_alive(os.getpid(), temporary.start_of_this() + 1)
    assert not temporary.is_alive(2**31 - 7)


@pytest.mark.parametrize(
    "name",
    [
        "a" * 251 + ".mp4",
        "ü" * 125 + ".mp4",
        "💃" * 62 + ".gif",
        "a." + "b" * 253,
        ".mp4",
        "a.b.c.d",
    ]
    + ["vae.weights.h5", "." + "x" * 254],
)
def test_temporary_names_are_as_short_as_any(tmp_path, name):
    assert len(os.fsencode(temporary.temporary_name(name))) < 200
    files.write_text(tmp_path / name, "text")
    assert os.listdir(tmp_path) == [name]
    assert temporary.temporary_name("vae.weights.h5").endswith(".weights.h5")


@posix
def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "target.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("other/target.txt")
    files.write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "other" / "target.txt").read_text() == "new"
    assert os.listdir(tmp_path / "other") == ["target.txt"]


@posix
def test_another_name_of_the_file_keeps_the_old_content(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    os.link(tmp_path / "a.txt", tmp_path / "b.txt")
    files.write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "b.txt").read_text() == "old"


@posix
def test_permissions_stay(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "a.txt").chmod(0o640)
    files.write_text(tmp_path / "a.txt", "new")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


@posix
def test_what_is_no_file_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    for name, kind in (("folder", "a folder"), ("pipe", "no ordinary file"), ("null", "no ordin")):
        with pytest.raises(UserError, match=f"is {kind}"):
            files.write_text(tmp_path / name, "new")
    assert sorted(os.listdir(tmp_path)) == ["folder", "null", "pipe"]


@posix
def test_a_protected_file_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("old")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).is_dir() and access(path, mode))
    with pytest.raises(UserError, match="a.txt is write-protected"):
        files.write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.parametrize("times", [1, 3, 99])
def test_a_file_that_another_program_holds_is_waited_for(tmp_path, monkeypatch, times):
    replace, waited = os.replace, []

    def refuse(source, target):
        if len(waited) < times:
            error = PermissionError(errno.EACCES, "Access is denied")
            error.winerror = 5
            raise error
        replace(source, target)

    (tmp_path / "a.txt").write_text("old")
    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(files.time, "sleep", waited.append)
    if times < 5:
        files.write_text(tmp_path / "a.txt", "new")
        assert len(waited) == times
    else:
        with pytest.raises(UserError, match="a.txt is open in another program.*close it there"):
            files.write_text(tmp_path / "a.txt", "new")
        assert sum(waited) == pytest.approx(1, abs=0.1)
    assert (tmp_path / "a.txt").read_text() == ("new" if times < 5 else "old")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_output_that_is_a_source_is_found_by_any_name(tmp_path):
    (tmp_path / "a.mp4").write_text("film")
    files.check_apart(tmp_path / "b.mp4", [tmp_path / "a.mp4"])
    os.link(tmp_path / "a.mp4", tmp_path / "b.mp4")
    with pytest.raises(UserError, match="b.mp4 is both the source and the output"):
        files.check_apart(tmp_path / "b.mp4", [tmp_path / "a.mp4"])
    with pytest.raises(UserError, match="is both the source and the output"):
        files.check_apart(tmp_path / ".." / tmp_path.name / "a.mp4", [tmp_path / "a.mp4"])

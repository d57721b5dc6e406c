"""One writer at a time: who holds a folder is said, and nobody holds it after its end."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

import dancenet
from dancenet.support import lock
from dancenet.support.errors import UserError

ROOT = Path(dancenet.__file__).parents[1]


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    """Starts Python with a program, and waits for its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


HOLDER = """
import sys
from pathlib import Path
from dancenet.support import lock
with lock.hold_folder(Path(sys.argv[1]), "choose another folder"):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_the_second_writer_is_told_who_is_at_work(tmp_path):
    with start(HOLDER, str(tmp_path)) as holder:
        said = rf"{tmp_path} is being written by process {holder.pid} since \d\d:\d\d; wait until "
        for _ in range(2):
            with pytest.raises(UserError, match=said + "it has ended, or choose another name"):
                with lock.hold_folder(tmp_path, "choose another name"):
                    pass
        holder.communicate("")
    with lock.hold_folder(tmp_path, "choose another name"):
        assert os.listdir(tmp_path) == [lock.LOCK]
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX")
def test_a_killed_holder_holds_nothing_and_its_file_goes_with_the_next(tmp_path):
    with start(HOLDER, str(tmp_path)) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert os.listdir(tmp_path) == [lock.LOCK]
    with lock.hold_folder(tmp_path, ""):
        pass
    assert os.listdir(tmp_path) == []


def test_who_replaces_a_folder_and_who_writes_in_it_keep_each_other_out(tmp_path):
    folder = tmp_path / "model"
    with lock.hold_folder(folder, ""):
        with pytest.raises(UserError, match="model is being written by process"):
            with lock.hold(lock.beside(folder), folder, ""):
                pass
    with lock.hold(lock.beside(folder), folder, ""):
        with pytest.raises(UserError, match="model is being written by process"):
            with lock.hold_folder(folder, ""):
                pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_folder_can_be_held_where_nothing_can_be_written_beside_it(tmp_path, monkeypatch, number):
    (tmp_path / "volume").mkdir()
    beside, opened = lock.beside(tmp_path / "volume"), os.open

    def refuse(path, *rest):
        if path == beside:
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, *rest)

    monkeypatch.setattr(os, "open", refuse)
    with lock.hold_folder(tmp_path / "volume", ""):
        assert os.listdir(tmp_path / "volume") == [lock.LOCK]


def test_the_current_folder_is_held_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert lock.beside(Path()) == lock.beside(tmp_path / "here")


def test_a_folder_that_stays_empty_is_removed_with_its_new_parents(tmp_path):
    with lock.hold_folder(tmp_path / "a" / "b", ""):
        pass
    assert os.listdir(tmp_path) == []
    with lock.hold_folder(tmp_path / "a" / "b", ""):
        (tmp_path / "a" / "b" / "c").touch()
    assert os.listdir(tmp_path / "a" / "b") == ["c"]


@pytest.mark.parametrize(
    "record",
    [b"", b"{", b"[]", b"null", b'{"pid": "x"}', b'{"pid": -1, "since": 1e300}', b"[" * 9000]
    + [b'{"pid": 1, "since": NaN, "command": 5}', b'{"pid": 1e99, "host": "\\u001b[2J"}'],
)
def test_any_record_gives_a_sentence(tmp_path, record):
    file = tmp_path / lock.LOCK
    file.write_bytes(record)
    assert lock._who(file, tmp_path).startswith(f"{tmp_path} is being written by ")
    assert lock._who(file, tmp_path).isprintable()


def test_a_stage_that_outlives_its_parent_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "is_alive", lambda *_: False)
    with lock.hold_folder(tmp_path, ""):
        said = f"a stage of process {os.getpid()}, which has ended, since"
        with pytest.raises(UserError, match=said):
            with lock.hold_folder(tmp_path, ""):
                pass


def test_a_disk_without_locks_warns_and_trusts_the_record(tmp_path, monkeypatch, capsys):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with lock.hold_folder(tmp_path, ""):
        pass
    assert "disk without locks" in capsys.readouterr().err
    record = {"pid": os.getppid(), "host": lock.socket.gethostname(), "since": 1e9}
    (tmp_path / lock.LOCK).write_text(json.dumps(record))
    with pytest.raises(UserError, match=f"by process {os.getppid()} since 2001-09-09"):
        with lock.hold_folder(tmp_path, ""):
            pass


def test_windows_locks_a_byte_behind_the_record(tmp_path, monkeypatch):
    held: set[int] = set()  # inodes

    def locking(descriptor: int, mode: int, count: int) -> None:
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 1 << 30 and count == 1
        inode = os.fstat(descriptor).st_ino
        if inode in held:
            raise OSError(errno.EACCES, "Permission denied")
        held.add(inode)

    fake = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
    monkeypatch.setitem(sys.modules, "msvcrt", fake)
    monkeypatch.setattr(lock, "is_alive", lambda *_: True)
    monkeypatch.setattr(sys, "platform", "win32")
    with lock.hold_folder(tmp_path, ""):
        assert json.loads((tmp_path / lock.LOCK).read_bytes())["pid"] == os.getpid()
        with pytest.raises(UserError, match=f"by process {os.getpid()}"):
            with lock.hold_folder(tmp_path, ""):
                pass
    assert os.listdir(tmp_path) == []


WAITER = """
import sys
from pathlib import Path
from dancenet.support import lock
print("ready", flush=True)
with lock.hold(Path(sys.argv[1]), Path("model"), "", wait=True):
    pass
"""


def test_a_writer_may_wait(tmp_path):
    file = lock.beside(tmp_path / "model")
    with lock.hold(file, tmp_path / "model", ""):
        waiter = start(WAITER, str(file))
        assert waiter.stdout is not None
        line = waiter.stdout.readline()
        assert line.startswith(f"model is being written by process {os.getpid()}")
        assert line.endswith("; waiting until it has ended.\n")
    with waiter:
        assert waiter.wait() == 0
    assert os.listdir(tmp_path) == []


ADDER = """
import sys
import numpy as np
from dancenet.data.frames.writer import FrameWriter
from dancenet.support.errors import UserError
print("ready", flush=True)
sys.stdin.read()
level = int(sys.argv[2])
frames = np.full((9, 120, 208), 255, np.uint8)
frames[:, : 40 + level, :30] = 0
try:
    with FrameWriter(sys.argv[1]) as writer:
        for _ in range(6):
            writer.add_clip(frames, source=str(level), fps=30.0, method="test")
except UserError as error:
    assert "is being written by process" in str(error), error
    sys.exit(3)
"""


def test_clips_of_two_writers_are_never_mixed(tmp_path):
    from dancenet.data.frames.folder import FrameFolder

    writers = [start(ADDER, str(tmp_path / "imgs"), str(20 * level)) for level in range(3)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    codes = [writer.wait() for writer in writers]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.close()
    assert set(codes) <= {0, 3} and 0 in codes
    folder = FrameFolder.open(tmp_path / "imgs")
    assert len(folder.clips) == 6 * codes.count(0)
    for clip in folder.clips:
        rows = (folder.read(clip.first, clip.last)[:, :, 0] == 0).sum(axis=1)
        assert set(rows.tolist()) == {40 + int(clip.source)}

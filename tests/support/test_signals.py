"""The first signal to stop lets work be finished, the third one ends it at once, tidily."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from dancenet.support import signals, terminal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="no signal to oneself there")

ROOT = Path(signals.__file__).parents[2]


@pytest.fixture(autouse=True)
def dispositions() -> Iterator[None]:
    """The signals as an interactive shell leaves them, whatever started the tests."""
    before = {number: signal.getsignal(number) for number in signals.STOPPING}
    for number in signals.STOPPING:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def at_once(monkeypatch):
    """Two signals in a row are two signals."""
    monkeypatch.setattr(signals, "_BOUNCE", 0.0)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def run(work) -> int:
    return terminal.run(argparse.ArgumentParser(prog="verb"), work, [])


def start(program: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,
    )


@pytest.mark.parametrize("number", signals.STOPPING)
def test_a_command_that_is_stopped_exits_with_128_and_the_number_of_the_signal(number, capsys):
    before = signal.getsignal(number)
    assert run(lambda arguments: send(number)) == 128 + number
    assert capsys.readouterr().err == (
        "verb: error: stopped. Nothing half-written was left; the same command begins again.\n"
    )
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_is_begun_is_finished_and_the_status_tells_the_signal(number, capsys):
    def work(arguments):
        with terminal.finish_on_interrupt("this clip") as stopped:
            send(number)
            assert stopped.is_set()
        raise KeyboardInterrupt("Two clips are kept.")

    assert run(work) == 128 + number
    told = capsys.readouterr().err
    assert "warning: stopping after this clip, or at once" in told
    assert told.endswith("verb: error: stopped. Two clips are kept.\n")


def test_work_that_was_finished_all_the_same_is_a_success():
    def work(arguments):
        with terminal.finish_on_interrupt() as stopped:
            send(signal.SIGTERM)
        assert stopped.is_set()

    assert run(work) == 0


def test_a_signal_that_is_ignored_at_the_start_stays_ignored():
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # as nohup does, and a shell for a job with &

    def work(arguments):
        with terminal.finish_on_interrupt() as stopped:
            send(signal.SIGHUP)
            send(signal.SIGINT)
            assert not stopped.is_set()

    assert run(work) == 0
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_a_second_signal_gives_up(at_once):
    after = []

    def work(arguments):
        with terminal.finish_on_interrupt():
            send(signal.SIGTERM)
            send(signal.SIGTERM)
            after.append("went on")

    assert run(work) == 143
    assert after == []


def test_a_signal_sent_to_the_process_and_to_its_group_counts_once():
    def work(arguments):
        with terminal.finish_on_interrupt() as stopped:
            for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP):
                send(number)
            assert stopped.is_set()

    assert run(work) == 0


def test_a_signal_that_came_before_the_work_could_begin_is_not_forgotten():
    def work(arguments):
        try:
            send(signal.SIGTERM)
        except KeyboardInterrupt:  # as some libraries do while they are imported
            pass
        with terminal.finish_on_interrupt() as stopped:
            assert stopped.is_set()

    assert run(work) == 0


def test_from_python_too_signals_let_work_be_finished():
    before = signal.getsignal(signal.SIGTERM)
    for _ in range(2):
        with terminal.finish_on_interrupt() as stopped:
            assert not stopped.is_set()
            send(signal.SIGTERM)
            assert stopped.is_set()
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_inner_block_ends_the_outer_one_too():
    def work(arguments):
        with terminal.finish_on_interrupt() as outer:
            with terminal.finish_on_interrupt() as inner:
                send(signal.SIGTERM)
                assert inner.is_set()
            assert outer.is_set()

    assert run(work) == 0


def test_ctrl_c_that_ends_a_recording_does_not_end_the_command():
    def record() -> None:
        with terminal.finish_on_interrupt() as stopped:
            send(signal.SIGINT)
            assert stopped.is_set()
        signals.fulfil_interrupt()

    def work(arguments):
        record()
        with terminal.finish_on_interrupt() as stopped:
            assert not stopped.is_set()

    assert run(work) == 0


def test_sigterm_ends_the_recording_and_the_command():
    def work(arguments):
        with terminal.finish_on_interrupt():
            send(signal.SIGTERM)
        signals.fulfil_interrupt()

    assert run(work) == 143


def test_outside_the_main_thread_nothing_changes():
    found = []
    thread = threading.Thread(target=lambda: found.append(run(lambda arguments: None)))
    before = signal.getsignal(signal.SIGTERM)
    thread.start()
    thread.join()
    assert found == [0]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_stop_without_words_gets_those_of_its_block():
    with pytest.raises(KeyboardInterrupt, match="^Half is kept.$"):
        with signals.saying(lambda: "Half is kept."):
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt, match="^All is kept.$"):
        with signals.saying(lambda: "Half is kept."):
            raise KeyboardInterrupt("All is kept.")


COMMAND = """
import argparse, hashlib, os, pathlib, signal, sys, time
from dancenet.support import signals, terminal
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
def kill(): os.kill(os.getpid(), signal.SIGTERM)
def wait():
    while True: time.sleep(0.01)
def work(arguments):
{}
sys.exit(terminal.run(argparse.ArgumentParser(prog="verb"), work, []))
"""


def command(body: str) -> str:
    return COMMAND.format("\n".join(f"    {line}" for line in body.splitlines()))


def test_a_third_signal_removes_temporary_files_and_ends_the_process(tmp_path):
    file, folder = tmp_path / ".dance.mp4", tmp_path / ".imgs"
    folder.mkdir()
    for path in (file, folder / "1.jpg", tmp_path / "kept.mp4"):
        path.touch()
    body = f"""signals._BOUNCE = 0
with signals.temporary(pathlib.Path({str(file)!r})):
    with signals.temporary(pathlib.Path({str(folder)!r})):
        try:
            with signals.finishing():
                kill(); kill()
        finally:  # what cleans up hangs
            kill()
            wait()"""
    with start(command(body)) as process:
        assert process.wait(60) == 143
    assert [path.name for path in tmp_path.iterdir()] == ["kept.mp4"]


def test_a_second_signal_ends_a_process_whose_library_does_not_return(tmp_path):
    path = tmp_path / ".dance.mp4"
    path.touch()
    body = f"""signals._BOUNCE, signals._PATIENCE = 0, 0.05
with signals.temporary(pathlib.Path({str(path)!r})), signals.finishing():
    print("ready", flush=True)
    for _ in range(99):
        hashlib.pbkdf2_hmac("sha256", b"", b"", (1 << 31) - 1)"""  # it takes minutes
    with start(command(body)) as process:
        timer = threading.Timer(60, process.kill)
        timer.start()
        assert process.stdout.readline() == "ready\n"
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            threading.Event().wait(0.05)
        timer.cancel()
        assert process.returncode == 143
    assert not path.exists()


def test_a_process_whose_parent_ends_finishes_what_is_begun():
    body = """signals.end_with_parent()
with signals.finishing() as stopped:
    print("ready", flush=True)
    while not stopped.is_set(): time.sleep(0.01)
    print("saved", flush=True)
raise KeyboardInterrupt"""
    with start(command(body), stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "ready\n"
        process.stdin.close()  # as the system does when the parent is killed
        assert process.stdout.read() == "saved\n"
        assert process.wait(60) == 143


def test_on_windows_the_pipe_of_the_parent_is_looked_at_and_never_read(monkeypatch):
    answers, asked, slept = [1, 1, 1, 0], [], []

    def peek(*arguments):
        asked.append(arguments)
        return answers[len(asked) - 1]

    library = types.SimpleNamespace(PeekNamedPipe=peek)
    monkeypatch.setattr(ctypes, "WinDLL", lambda name: library, raising=False)
    msvcrt = types.SimpleNamespace(get_osfhandle=lambda descriptor: 40 + descriptor)
    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(signals.time, "sleep", slept.append)
    monkeypatch.setattr(os, "read", None)
    signals._wait_for_end_of_input()
    assert asked == [(40, None, 0, None, None, None)] * 4 and slept == [signals._LOOK] * 3


def test_a_parent_that_is_killed_after_it_asked_for_the_end_does_not_ask_twice():
    body = """signals.end_with_parent()
signals._BOUNCE = 0
with signals.finishing() as stopped:
    kill()
    print("ready", flush=True)
    for thread in __import__("threading").enumerate():
        if thread.name == "parent": thread.join()
    print("saved", flush=True)
raise KeyboardInterrupt"""
    with start(command(body), stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "ready\n"
        process.stdin.close()
        assert process.stdout.read() == "saved\n"
        assert process.wait(60) == 143


def test_signals_end_a_process_at_once_where_a_library_waits_for_others():
    with signals.by_default():
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

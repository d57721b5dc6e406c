"""A user's mistake is one line and an exit status; a bug keeps its traceback."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import threading
import time

import pytest

from dancenet.support import terminal
from dancenet.support.errors import MissingExtra, UserError
from dancenet.support.names import quoted


def _run(work):
    return terminal.run(argparse.ArgumentParser(prog="verb"), work, [])


def _raiser(error):
    def work(arguments):
        raise error

    return work


def test_success_exits_with_zero():
    assert _run(lambda arguments: None) == 0


def test_a_user_error_is_one_line_and_exits_with_one(capsys):
    assert _run(_raiser(UserError("The tea is cold; boil it again."))) == 1
    assert capsys.readouterr().err == "verb: error: The tea is cold; boil it again.\n"


def test_a_full_disk_is_named(capsys):
    assert _run(_raiser(OSError(errno.ENOSPC, "No space left on device"))) == 1
    assert "disk is full" in capsys.readouterr().err


def test_a_refused_file_is_named(capsys):
    assert _run(_raiser(PermissionError(errno.EACCES, "Permission denied", "/a/b"))) == 1
    assert "/a/b cannot be read or written (Permission denied)" in capsys.readouterr().err


def test_ctrl_c_says_what_was_kept(capsys):
    assert _run(_raiser(KeyboardInterrupt("The first clip is kept."))) == 130
    assert "The first clip is kept." in capsys.readouterr().err


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        _run(lambda arguments: 1 // 0)


def test_a_missing_extra_is_named_with_its_command():
    message = str(MissingExtra("Training", "train", "tensorflow"))
    assert "Training needs" in message and "dancenet[train]" in message


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "abc"])
def test_positive_refuses(text):
    with pytest.raises(argparse.ArgumentTypeError, match="received"):
        terminal.positive(float)(text)


def test_positive_and_not_negative_accept():
    assert terminal.positive(int)("3") == 3
    assert terminal.not_negative(float)("0") == 0.0
    with pytest.raises(argparse.ArgumentTypeError, match="0 or more"):
        terminal.not_negative(float)("-0.1")


@pytest.mark.parametrize(
    "seconds, text", [(48, "48 s"), (12 * 60, "12 min"), (3 * 3600 + 300, "3 h 05 min")]
)
def test_times_are_written_for_people(seconds, text):
    assert terminal.format_seconds(seconds) == text


def test_what_a_library_says_while_it_is_imported_is_not_shown(capfd):
    with terminal.quiet_import():
        os.write(2, b"I0000 greetings")
    os.write(2, b"an error")
    assert capfd.readouterr().err == "an error"


@pytest.mark.skipif(sys.platform == "win32", reason="no signal to oneself there")
def test_a_second_ctrl_c_gives_up() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        with terminal.finish_on_interrupt() as stopped:
            os.kill(os.getpid(), signal.SIGINT)
            assert stopped.wait(1)
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(1)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def parser():
    parser = terminal.Parser(prog="verb")
    parser.add_argument("films", nargs="*", type=terminal.path_text)
    parser.add_argument("-o", "--out", type=terminal.path)
    parser.add_argument("--yaw", type=float, nargs="+")
    parser.add_argument("--fps", type=terminal.positive(float))
    parser.add_argument("--mirror", action="store_true")
    return parser


@pytest.mark.parametrize(
    "arguments, films, out",
    [
        (["-x.mp4"], ["./-x.mp4"], None),
        (["a.mp4", "-x.mp4", "b.mp4"], ["a.mp4", "./-x.mp4", "b.mp4"], None),
        (["--mirrored.mp4"], ["./--mirrored.mp4"], None),
        (["-o", "-new.mp4", "a.mp4"], ["a.mp4"], "-new.mp4"),
        (["--out", "--new.mp4"], [], "--new.mp4"),
        (["--out=-new.mp4"], [], "-new.mp4"),
        (["--mirror", "-x.mp4"], ["./-x.mp4"], None),
        (["--", "-x.mp4"], ["-x.mp4"], None),
    ],
)
def test_a_name_may_begin_with_a_dash(parser, tmp_path, monkeypatch, arguments, films, out):
    monkeypatch.chdir(tmp_path)
    for name in ("-x.mp4", "--mirrored.mp4"):
        (tmp_path / name).touch()
    given = parser.parse_args(arguments)
    assert given.films == films
    assert given.out is None if out is None else str(given.out) == out


def test_flags_and_numbers_stay_what_they_are(parser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("-o", "--mirror", "--mir", "-90"):
        (tmp_path / name).touch()
    given = parser.parse_args(["--mir", "-o", "x", "--yaw", "-90", "-.5"])
    assert given.mirror and str(given.out) == "x" and given.yaw == [-90, -0.5]
    with pytest.raises(SystemExit):
        parser.parse_args(["--fps", "-1"])


@pytest.mark.parametrize("link", ["https://x.org/a.mp4", "rtsp://10.0.0.2/1", "s3://b/a b.bvh"])
@pytest.mark.parametrize("kind", [terminal.path, terminal.path_text, terminal.model])
def test_a_link_is_named_as_it_was_given_and_not_taken_for_a_path(kind, link, capsys):
    parser = terminal.Parser(prog="verb")
    parser.add_argument("film", type=kind)
    with pytest.raises(SystemExit):
        parser.parse_args([link])
    said = capsys.readouterr().err
    assert f"links are neither read nor written; download {quoted(link)} first" in said


def test_a_folder_may_be_called_like_the_front_of_a_link(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("https:")
    for name in ("https://a.mp4", "take:1//a.mp4", "C://a.mp4"):
        assert terminal.path_text(name) == name


@pytest.mark.parametrize("kind", [terminal.path, terminal.path_text, terminal.model])
@pytest.mark.parametrize("text", ["", "a\0b", "-"])
def test_no_file_has_such_a_name(kind, text):
    with pytest.raises(argparse.ArgumentTypeError, match="received"):
        kind(text)


def test_home_is_found_where_the_shell_left_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert terminal.path("~/a.mp4") == tmp_path / "a.mp4"
    (tmp_path / "~odd.mp4").touch()
    assert terminal.path_text("~odd.mp4") == "~odd.mp4"


@pytest.fixture
def takes(tmp_path, monkeypatch):
    """Some files in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("take10.mp4", "take2.mp4", "a1.mp4", "a[1].mp4", ".hidden.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "old [1]" / "deep").mkdir(parents=True)
    (tmp_path / "old [1]" / "x.mp4").touch()
    (tmp_path / "old [1]" / "deep" / "y.mp4").touch()


@pytest.mark.parametrize(
    "pattern, found",
    [
        ("take*.mp4", ["take2.mp4", "take10.mp4"]),
        ("take?.mp4", ["take2.mp4"]),
        ("*.mp4", ["a1.mp4", "a[1].mp4", "take2.mp4", "take10.mp4"]),
        ("a[1].mp4", ["a[1].mp4"]),  # the file, though a1.mp4 fits the pattern
        ("a[2-9].mp4", None),
        ("old [1]/*.mp4", ["old [1]/x.mp4"]),
        ("old*/*.mp4", ["old [1]/x.mp4"]),
        ("old [1]/**/*.mp4", ["old [1]/deep/y.mp4", "old [1]/x.mp4"]),
        ("missing.mp4", ["missing.mp4"]),
        ("0", ["0"]),
    ],
)
def test_patterns_are_replaced_by_files(takes, pattern, found):
    if found is None:
        with pytest.raises(UserError, match=r"No file matches 'a\[2-9\].mp4'"):
            terminal.expand([pattern])
    else:
        assert [name.replace(os.sep, "/") for name in terminal.expand([pattern])] == found


def test_what_comes_first_stays_first(takes):
    assert terminal.expand(["take2.mp4", "a?.mp4"]) == ["take2.mp4", "a1.mp4"]


@pytest.mark.skipif(os.name == "nt", reason="no such name there")
def test_a_file_called_like_a_pattern_is_that_file(takes):
    with open("*.mp4", "w"):
        pass
    assert terminal.expand(["*.mp4"]) == ["*.mp4"]


def test_numbers_are_sorted_by_value():
    names = ["b2", "a10", "a9", "A09", "a", "9", "²"]
    assert sorted(names, key=terminal.natural) == ["9", "a", "A09", "a9", "a10", "b2", "²"]


def test_an_import_that_a_signal_breaks_off_is_a_stop(capsys):
    def work(arguments):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except KeyboardInterrupt as error:  # as an extension's beginning does
            raise ImportError("initialization failed") from error

    assert terminal.run(terminal.Parser(prog="x"), work, []) == 143
    assert "x: error: stopped." in capsys.readouterr().err

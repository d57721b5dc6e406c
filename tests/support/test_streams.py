"""Whatever standard output and standard error are, work goes on and is kept."""

from __future__ import annotations

import argparse
import ast
import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dancenet
from dancenet.support import terminal
from dancenet.support.errors import UserError
from dancenet.support.streams import Stream, courteous, courteous_stream

ROOT = Path(dancenet.__file__).resolve().parent.parent

# Says and warns in every way, draws a bar, and then writes what it was asked for.
PROGRAM = """
import os, sys
from dancenet.support import terminal

def work(arguments):
    for number in terminal.progress(range(3), description="Tänze 💃", enabled=True):
        terminal.say(f"Fréchet … \\udcff {number}")
        terminal.warn("→ größer")
        print("a library speaks", flush=True)
        print("of its troubles", file=sys.stderr, flush=True)
        os.write(1, b"and its C part") if arguments.deep else None
    with open("kept", "w") as file:
        file.write("whole")
    terminal.say("finished")

parser = terminal.Parser(prog="verb")
parser.add_argument("--deep", action="store_true", help="Größe …")
sys.exit(terminal.run(parser, work))
"""


class Broken(io.StringIO):
    """Fails as a pipe without a reader, or a full disk."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error


class Narrow(io.TextIOWrapper):
    """A terminal of few letters."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def shown(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


def start(tmp_path: Path, line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Runs the program in a shell; `$P` is its command."""
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "P": sys.executable}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line.replace("$P", '"$P" program.py')],
        cwd=tmp_path,
        env={**variables, **environment},
        capture_output=True,
    )


@pytest.mark.skipif(os.name == "nt", reason="asks bash")
@pytest.mark.parametrize(
    "line",
    [
        "$P >&-",
        "$P 2>&-",
        "$P <&- >&- 2>&-",
        "$P --deep >&- 2>&-",
        "$P | true",
        "$P 2>&1 | head -1",
        "$P 1</dev/null 2</dev/null",
        pytest.param(
            "$P >/dev/full 2>/dev/full",
            marks=pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full"),
        ),
    ],
)
def test_work_is_kept_and_has_succeeded(tmp_path, line):
    done = start(tmp_path, line)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kept").read_text() == "whole"
    assert b"Traceback" not in done.stderr and b"Exception" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="asks bash")
@pytest.mark.parametrize("encoding", ["ascii:strict", "cp1252", "latin-1", "utf-16", "cp437"])
def test_work_is_kept_at_a_terminal_of_few_letters(tmp_path, encoding):
    done = start(tmp_path, "$P", PYTHONIOENCODING=encoding)
    assert (tmp_path / "kept").read_text() == "whole"
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    assert "finished" in done.stdout.decode(encoding.partition(":")[0])


@pytest.mark.skipif(os.name == "nt", reason="asks bash")
def test_help_and_mistakes_are_told_in_ascii(tmp_path):
    done = start(tmp_path, "$P --help", PYTHONIOENCODING="ascii:strict")
    assert done.returncode == 0 and b"Gr\\xf6\\xdfe ..." in done.stdout
    done = start(tmp_path, "$P --strange=… 2>&1", PYTHONIOENCODING="ascii:strict")
    assert done.returncode == 2 and b"unrecognized arguments: --strange=" in done.stdout


def test_letters_that_are_not_there_are_written_as_numbers():
    narrow = Narrow("ascii")
    Stream(narrow).write("Fréchet … 💃 \udcff×\n")
    assert narrow.shown() == "Fr\\xe9chet ... \\U0001f483 \\udcffx\n"


def test_letters_that_are_there_stay():
    narrow = Narrow("cp1252")
    Stream(narrow).write("é…→ſ")
    assert narrow.shown() == "é…->\\u017f"


@pytest.mark.parametrize(
    "wrapped",
    [
        None,
        Broken(BrokenPipeError(errno.EPIPE, "Broken pipe")),
        Broken(OSError(errno.ENOSPC, "No space left on device")),
        Broken(OSError(errno.EINVAL, "Invalid argument")),
        Broken(ValueError("I/O operation on closed file.")),
    ],
    ids=["absent", "no reader", "full", "invalid", "closed"],
)
def test_a_failing_stream_takes_everything(wrapped):
    stream = courteous_stream(wrapped)
    assert stream.write("abc") == 3
    stream.writelines(["a", "b"])
    stream.flush()
    assert not stream.isatty()


def test_a_busy_stream_is_tried_again():
    wrapped = Broken(BlockingIOError(errno.EAGAIN, "try again"))
    stream = Stream(wrapped)
    stream.write("a")
    assert stream.lost is None


def test_streams_are_put_back(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with courteous():
        print("nothing", file=sys.stderr)
        sys.stdout.write("nothing")
        assert sys.stdout.encoding == "utf-8" and sys.stderr.fileno() > 2
    assert sys.stdout is None and sys.stderr is None


def test_messages_and_bars_need_no_terminal_in_python_either(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", Broken(OSError(errno.EIO, "Input/output error")))
    assert list(terminal.progress(range(3), enabled=True)) == [0, 1, 2]
    terminal.say("a")
    terminal.warn("b")
    terminal.say_error("verb", "c")
    with terminal.quiet_import():
        pass


def test_imports_are_quiet_where_standard_error_is_closed(monkeypatch):
    def closed(descriptor):
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(os, "dup", closed)
    with terminal.quiet_import():
        pass


def test_a_full_disk_under_standard_output_is_said_and_fails_no_work(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Broken(OSError(errno.ENOSPC, "No space left on device")))
    parser = argparse.ArgumentParser(prog="verb")
    assert terminal.run(parser, lambda arguments: terminal.say("a"), []) == 0
    assert capsys.readouterr().err == (
        "warning: standard output cannot be written (No space left on device); only words are "
        "lost.\n"
    )


def test_an_answer_that_was_lost_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Broken(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(UserError, match="Standard output cannot be written"):
        terminal.answer("{}")


def test_what_a_terminal_would_obey_is_not_printed(capsys):
    terminal.say("a\x1b[2J\x07\r\nb\tc")
    terminal.warn("\x9b31m\u202e")
    terminal.say_error("verb", "\x1b]0;title\x07")
    captured = capsys.readouterr()
    assert captured.out == "a\ufffd[2J\ufffd\nb       c\n"
    assert not {"\x1b", "\x9b", "\x07", "\u202e"} & {*captured.err}


def test_nor_in_the_name_of_a_bar_or_in_a_usage_error(capsys):
    with terminal.progress(total=1, description="\x1b[31m", enabled=True) as bar:
        assert "\x1b" not in bar.desc
    parser = terminal.Parser(prog="verb")
    parser.add_argument("file")
    with pytest.raises(SystemExit):
        parser.parse_args(["a", "\x1b[31m"])
    assert "\x1b" not in capsys.readouterr().err


def test_nothing_is_printed_past_the_terminal():
    package = Path(dancenet.__file__).parent
    for path in [*package.rglob("*.py"), *(ROOT / "scripts").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("print", "input"), f"{path}:{node.lineno}"

"""Names of every kind, and of the wrong kind, through the scripts as a person calls them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_model import write_small_model

from dancenet import cli
from dancenet.support import terminal

NAMES = (
    "take:1",
    "-x",
    "--new",
    'it\'s "q"',
    "$HOME `ls` & ;",
    "two\nlines",
    "\x1b[31mred",
    "💃🏽",
    "\u202ertl",
    "dan\udce7a",
    "a[1]*?",
    "x" * 230,
    "é" * 115,
    "~odd",
    "</script><b>".replace("/", "\\"),
    " lead ",
    "CAP.MP4",
    "0",
)
POSIX = pytest.mark.skipif(os.name == "nt", reason="no such names there")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("models") / "small").path


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*words: str | Path) -> int:
    try:
        return cli.main([str(word) for word in words])
    except SystemExit as stop:  # a usage error
        return int(stop.code or 0)


def dance(model: Path, *words: str) -> int:
    short = ["--seconds", "0.3", "--scale", "1", "--seed", "1"]
    return run("generate-video", "--model", model, *short, *words)


def printed_command(text: str) -> list[str]:
    """Returns the words of the command that was printed, as bash reads them."""
    line = re.findall("`dancenet (.*)`", text)[-1]
    # $'…' is bash's; shlex knows the rest.
    return shlex.split(
        re.sub(r"\$'((?:[^'\\]|\\.)*)'", lambda found: shlex.quote(unescaped(found[1])), line)
    )


def unescaped(text: str) -> str:
    raw = text.encode("utf-8").decode("latin-1").encode("latin-1")
    raw = re.sub(rb"\\x(..)", lambda found: bytes([int(found[1], 16)]), raw)
    raw = re.sub(rb"\\U(.{8})", lambda found: chr(int(found[1], 16)).encode(), raw)
    return os.fsdecode(re.sub(rb"\\(['\\])", rb"\1", raw))


def only_shows(text: str) -> bool:
    return all(letter.isprintable() or letter in "\n\r\u200d" for letter in text)


@POSIX
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_dance_of_any_name_is_kept_and_its_command_can_be_pasted(model, name, capsys):
    out = name if name.endswith("MP4") else f"{name}.gif"
    assert dance(model, "--out", out, "--latents-out", f"{name}.npz") == 0
    said = capsys.readouterr()
    assert only_shows(said.out + said.err)
    assert Path(out).stat().st_size and Path(f"{name}.npz").stat().st_size
    assert dance(model, "--out", "next.gif", "--start", f"{name}.npz:1") == 0
    words = printed_command(said.out)
    assert run(*words) == 0 and only_shows(capsys.readouterr().out)
    assert Path(words[2]) == Path(out)


@POSIX
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_pictures_of_any_name_become_latents_and_come_back(model, name, capsys):
    source = Path(f"source {name}")
    source.mkdir()
    picture = np.full((120, 208), 255, np.uint8)
    for number in range(6):
        frame = picture.copy()
        frame[30:100, 60 + number : 90 + number] = 0
        (source / f"{number}.png").write_bytes(cv2.imencode(".png", frame)[1].tobytes())
    arguments = ["extract-frames", str(source), "--method", "threshold", "--fps", "10"]
    assert run(*arguments, "--out", name) == 0
    assert run("encode-frames", "--frames", name, "--model", model, "--out", f"{name}.npz") == 0
    said = capsys.readouterr()
    assert only_shows(said.out + said.err)
    assert json.loads(Path(name, "clips.json").read_text())["clips"][0]["source"] == source.name
    assert run(*printed_command(said.out), "--out", "decoded.gif") == 0


@POSIX
@pytest.mark.parametrize("name", [name for name in NAMES if "\\" not in name], ids=ascii)
def test_a_model_of_any_name_dances_and_its_command_can_be_pasted(model, name, capsys):
    shutil.copytree(model, Path("weights", name))
    assert dance(Path(name), "--out", "dance.gif") == 0
    assert run(*printed_command(capsys.readouterr().out)) == 0
    assert dance(Path("weights", name), "--out", "dance.gif") == 0
    assert run("download-weights") == 0
    assert only_shows(capsys.readouterr().out)


@pytest.mark.parametrize(
    "words, message",
    [
        (["generate-video", "--out", ""], "--out: must be the name of a file or folder"),
        (["generate-video", "--out", "folder.gif"], "folder.gif is a folder"),
        (["generate-video", "--model", " "], "must be the name of a model"),
        (["generate-video", "--replay", "folder"], "does not say how it was made"),
        (["extract-frames", ""], "must be the name of a file or folder"),
        (["extract-frames", "*.none"], "No file matches '*.none'"),
        (["extract-frames", "folder", "--out", ""], "must be the name of a file or folder"),
        (["encode-frames", "--model", "", "--frames", "folder"], "must be the name of a model"),
        (["encode-frames", "--model", "x", "--out", "folder.gif", "--overwrite"], "is a folder"),
        (["decode-latents", "folder", "--model", "x"], "folder"),
        (["render-mocap", "file", "--out", ""], "must be the name of a file or folder"),
        (["render-mocap", "*.none"], "No file matches '*.none'"),
        (["train-vae", "--name", ""], "the name of one folder"),
        (["train-dancer", "--name", ""], "must be the name of a model"),
        (["evaluate", "--model", ""], "must be the name of a model"),
        (["export", "--name", "model", "--out", ""], "must be the name of a file or folder"),
        (["import-legacy", "", "b", "--name", "x"], "must be the name of a file or folder"),
        (["download-weights", ""], "must be the name of a model"),
        (["make", "*.none"], "No file matches '*.none'"),
        (["make", "file", "--project", ""], "must be the name of a file or folder"),
    ],
    ids=" ".join,
)
def test_a_name_that_cannot_be_is_refused_in_a_sentence(words, message, capsys):
    Path("folder").mkdir()
    Path("folder.gif").mkdir()
    Path("file").write_text("x")
    assert run(*words) in (1, 2)
    said = capsys.readouterr().err.splitlines()[-1]
    assert message in said and said.startswith(f"dancenet {words[0]}: error: ")


# Arguments that are no names, though their values are words of the user.
WORDS = {"start", "style", "colors", "format", "sha256", "held_out"}


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_argument_that_is_a_name_is_checked(command):
    parser = cli.load_script(command).build_parser()
    assert isinstance(parser, terminal.Parser)
    for action in parser._actions:
        if action.nargs == 0 or action.choices or action.dest in WORDS:
            continue
        if action.dest == "name" and command == "train-vae":
            continue  # the name of a folder within another
        assert action.type not in (None, str, Path), f"{action.dest} is any text"


def test_a_dance_and_its_latents_are_two_files(model, capsys):
    assert dance(model, "--out", "a.gif", "--latents-out", "./a.gif") == 1
    assert "cannot hold both" in capsys.readouterr().err
    assert not Path("a.gif").exists()


def test_a_pattern_that_no_shell_replaced_is_replaced(capsys):
    for number in (10, 2):
        Path(f"take{number}").mkdir()
    assert run("extract-frames", "take*") == 1
    said = capsys.readouterr().err
    assert said.index("take2") < said.index("take10")

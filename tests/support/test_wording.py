"""Messages name what the person at hand can give."""

from __future__ import annotations

import argparse
import ast
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import dancenet
from dancenet import cli
from dancenet.support import terminal, wording
from dancenet.support.errors import UserError
from dancenet.support.wording import called_as, command, option


def test_a_script_is_answered_with_a_script() -> None:
    with called_as("train_vae.py"):
        assert (
            command("train-dancer", "--name", "me") == "`python scripts/train_dancer.py --name me`"
        )
        assert command("make") == "`python scripts/make_dance.py`"
        assert option("look_back", 11) == "--look-back 11"
        assert option("overwrite") == "--overwrite"


def test_a_stage_of_a_script_is_answered_with_a_script() -> None:
    with called_as("make_dance.py"):
        program = (
            "from dancenet.support.wording import called_as, command\n"
            "with called_as('dancenet generate-video'): print(command('export'))"
        )
        root = Path(dancenet.__file__).parent.parent
        stage = subprocess.run(
            [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
        )
    assert stage.stdout == "`python scripts/export.py`\n"
    with called_as("dancenet make"):
        assert command("export") == "`dancenet export`"


def test_a_subcommand_is_answered_with_a_subcommand() -> None:
    with called_as("dancenet train-vae"):
        assert command("train-dancer", "--name", "me") == "`dancenet train-dancer --name me`"


def test_python_is_answered_with_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    assert option("look-back", 11) == "look_back=11"
    assert option("overwrite") == "overwrite=True"
    assert command("export") == "`python scripts/export.py`"
    monkeypatch.setattr(wording, "_is_clone", lambda: False)
    assert command("export") == "`dancenet export`"


def test_an_error_at_the_terminal_names_the_flag(capsys: pytest.CaptureFixture[str]) -> None:
    def work(arguments: argparse.Namespace) -> None:
        raise UserError(f"say {option('overwrite')}")

    assert terminal.run(argparse.ArgumentParser(prog="dancenet x"), work, []) == 1
    assert "say --overwrite" in capsys.readouterr().err
    assert option("overwrite") == "overwrite=True"


NAMES = ("a b.mp4", "it's.mp4", "$HOME.mp4", "take:1.mp4", "*.mp4", '"x".mp4', "Größe 💃.mp4")


@pytest.mark.parametrize("name", [*NAMES, "-x.mp4"])
def test_a_printed_command_can_be_pasted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "name", "posix")
    with called_as("dancenet make"):
        line = command("generate-video", "--replay", Path(name), "--model", name)
    program, verb, *words = shlex.split(line.strip("`"))
    given = cli.load_script(verb).build_parser().parse_args(words)
    assert (program, given.replay, given.model) == ("dancenet", Path(name), name)


@pytest.mark.skipif(os.name == "nt", reason="asks bash")
@pytest.mark.parametrize("name", [*NAMES, "two\nlines", "dan\udce7a", "\x1b[31m"])
def test_bash_takes_a_printed_option_for_what_was_given(name: str) -> None:
    with called_as("dancenet make"):
        line = f"printf '%s\\0' {option('style', name)} {option('style', '-' + name)}"
    answer = subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    raw = os.fsencode(name)
    assert answer.stdout.split(b"\0")[:-1] == [b"--style", raw, b"--style=-" + raw]


def test_the_value_of_an_option_is_one_word() -> None:
    with called_as("dancenet make"):
        assert option("style", "salsa, cubana") == "--style 'salsa, cubana'"
        assert option("yaw", -90) == "--yaw -90"


def test_every_argument_of_a_printed_command_is_one_word() -> None:
    package = Path(dancenet.__file__).parent
    calls = []
    for path in [*package.rglob("*.py"), *(package.parent / "scripts").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "command":
                calls.append(path.name)
                texts = [
                    part.value
                    for argument in node.args
                    for part in ast.walk(argument)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                ]
                assert not any(" " in text for text in texts), f"{path.name}:{node.lineno} {texts}"
    assert len(calls) > 20

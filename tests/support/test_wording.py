"""Messages name what the person at hand can give."""

from __future__ import annotations

import argparse

import pytest

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

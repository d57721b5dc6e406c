"""One command, one subcommand for each script, and an answer at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import dancenet
from dancenet import cli

ROOT = Path(dancenet.__file__).resolve().parent.parent
HEAVY = {"numpy", "cv2", "keras", "tensorflow", "onnxruntime", "pooch", "tqdm", "imageio", "av"}


def test_there_is_one_subcommand_for_each_script():
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py") if path.stem[0] != "_"}
    assert {cli.load_script(name).__name__.rpartition(".")[2] for name in cli.COMMANDS} == scripts


def test_the_list_has_a_line_for_each_subcommand_in_the_order_of_the_path(capsys):
    assert cli.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    assert names == list(cli.COMMANDS)
    path = ["extract-frames", "train-vae", "encode-frames", "train-dancer", "generate-video"]
    assert [name for name in names if name in path] == path
    assert max(map(len, lines)) < 100


def test_help_and_nothing_print_the_same(capsys):
    cli.main([])
    nothing = capsys.readouterr().out
    cli.main(["--help"])
    assert capsys.readouterr().out == nothing


def test_the_version_is_the_packages(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"dancenet {dancenet.__version__}\n"


def test_an_unknown_subcommand_lists_those_there_are(capsys):
    assert cli.main(["dance"]) == 2
    assert "no subcommand dance; there are extract-frames, " in capsys.readouterr().err


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_subcommand_explains_itself_under_its_own_name(name, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: dancenet {name} ")


def test_a_name_may_be_written_as_the_script_is(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["extract_frames", "-h"])
    assert stop.value.code == 0


def test_a_mistake_in_a_subcommand_is_named_after_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train-vae", "--name", "x"]) == 1
    assert capsys.readouterr().err.startswith("dancenet train-vae: error: There is no folder imgs")


def test_the_list_is_printed_without_importing_anything_heavy():
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from dancenet.cli import main; main([]); "
        f"print(sorted(set(sys.modules) & {HEAVY!r}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "dancenet", "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout == f"dancenet {dancenet.__version__}\n"


def test_a_closed_pipe_is_not_an_error():
    with subprocess.Popen(
        [sys.executable, "-m", "dancenet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""

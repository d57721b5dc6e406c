"""The notebook runs from top to bottom, without a notebook server."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import dancenet

PATH = Path(dancenet.__file__).resolve().parent.parent / "notebooks" / "dance.ipynb"


def cells(kind: str) -> list[dict[str, Any]]:
    notebook = json.loads(PATH.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


class Image:
    """Stands for `IPython.display.Image`: reads the file that it is to show."""

    def __init__(self, path: str) -> None:
        self._data = Path(path).read_bytes()

    def _repr_html_(self) -> str:
        return f"{len(self._data)} bytes"


def run(source: str, names: dict[str, Any]) -> Any:
    """Runs a cell; returns the value of its last line, which a notebook shows."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(PATH), "exec"), names)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), str(PATH), "eval"), names)


def test_every_cell_runs_and_shows_what_it_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    display = ModuleType("IPython.display")
    display.Image = Image  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    shown = [run("".join(cell["source"]), names) for cell in cells("code")]
    pages = [value._repr_html_() for value in shown if value is not None]
    assert len(pages) == 3  # two clips that play, and a picture that moves
    assert all("<iframe" in page for page in pages[:2])
    assert (tmp_path / "dance.gif").read_bytes().startswith(b"GIF89a")
    assert "(240, 19, 3)" in capsys.readouterr().out


def test_no_output_is_kept() -> None:
    for cell in cells("code"):
        assert cell["outputs"] == [] and cell["execution_count"] is None

"""Functions, calls and modules stay small enough to read, or say beside them why they are not.

A comment `# Long: …` above a function, or on the first lines of a module, gives the reason;
`# Many: …` above a call or a definition gives it for its arguments.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import dancenet

PACKAGE = Path(dancenet.__file__).resolve().parent
ROOT = PACKAGE.parent
FILES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "scripts").glob("*.py")])

MOST_LINES = 450  # of a module
MOST_FUNCTION_LINES = 60  # of a function, its docstring and the functions inside it included
MOST_PARAMETERS = 7  # of a function, self apart
MOST_POSITIONAL = 5  # arguments of a call


def _said(lines: list[str], first: int, word: str) -> bool:
    """Tells whether the comment above line `first` (from 1) gives a reason."""
    above = first - 2
    while above >= 0 and lines[above].strip().startswith("#"):
        if lines[above].strip().startswith(f"# {word}:"):
            return True
        above -= 1
    return False


def too_large(text: str) -> list[str]:
    """Returns what is too large in a module's text, one sentence each."""
    lines = text.splitlines()
    found = []
    if len(lines) > MOST_LINES and not any("# Long:" in line for line in lines[:12]):
        found.append(f"it has {len(lines)} lines")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            length = node.end_lineno - node.lineno + 1  # type: ignore[operator]
            parts = node.args
            names = [one.arg for one in (*parts.posonlyargs, *parts.args, *parts.kwonlyargs)]
            count = len([name for name in names if name not in ("self", "cls")])
            # The parser's flags are a list to be read, not logic.
            if length > MOST_FUNCTION_LINES and not (
                node.name == "build_parser" or _said(lines, first, "Long")
            ):
                found.append(f"{node.name} (line {node.lineno}) has {length} lines")
            if count > MOST_PARAMETERS and not _said(lines, first, "Many"):
                found.append(f"{node.name} (line {node.lineno}) has {count} parameters")
        if isinstance(node, ast.Call) and len(node.args) > MOST_POSITIONAL:
            if not _said(lines, node.lineno, "Many"):
                found.append(f"a call in line {node.lineno} has {len(node.args)} by position")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_everything_can_be_read_on_a_screen(path: Path) -> None:
    assert not too_large(path.read_text(encoding="utf-8"))


def test_what_is_too_large_is_found_unless_the_reason_is_said() -> None:
    body = "    pass\n" * MOST_FUNCTION_LINES
    assert too_large(f"def long():\n{body}") == ["long (line 1) has 61 lines"]
    assert not too_large(f"# Long: a table.\ndef long():\n{body}")
    assert too_large("def f(a, b, c, d, e, f, *, g, h):\n    pass\n")
    assert not too_large("def f(self, a, b, c, d, e, f, *, g):\n    pass\n")
    assert too_large("f(1, 2, 3, 4, 5, 6)\n") and not too_large("f(1, 2, 3, 4, 5, f=6)\n")
    assert too_large("\n" * (MOST_LINES + 1))

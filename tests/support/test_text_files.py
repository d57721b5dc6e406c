"""Texts are UTF-8 on every system: nothing is opened in what Windows calls its code page."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [*(ROOT / "dancenet").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]
# The number of the argument that is the mode, and the mode where there is none.
OPENERS = {"open": (1, "r"), "fdopen": (1, "r"), "NamedTemporaryFile": (0, "w+b")}


def opens_text(call: ast.Call) -> bool:
    """Tells whether a call opens, reads or writes a text in an encoding that it does not name."""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in keywords:
        return False
    if name in ("read_text", "write_text") and isinstance(call.func, ast.Attribute):
        return isinstance(call.func.value, ast.Call | ast.BinOp) or not (call.args[1:] or keywords)
    if name in OPENERS and (name != "open" or isinstance(call.func, ast.Name)):
        place, default = OPENERS[name]
        mode = call.args[place] if len(call.args) > place else keywords.get("mode")
        return "b" not in (default if mode is None else ast.unparse(mode).partition(" if ")[0])
    return "text" in keywords or "universal_newlines" in keywords


def found(source: str) -> Iterator[int]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and opens_text(node):
            yield node.lineno


@pytest.mark.parametrize(
    "line",
    [
        "open(path)",
        "open(path, 'w')",
        "open(path, mode='a')",
        "Path(path).read_text()",
        "(folder / 'a').write_text(text)",
        "path.read_text()",
        "subprocess.run(command, text=True)",
        "os.fdopen(handle, 'w')",
        "tempfile.NamedTemporaryFile('w')",
    ],
)
def test_a_text_without_an_encoding_is_noticed(line: str) -> None:
    assert list(found(line)) == [1]


@pytest.mark.parametrize(
    "line",
    [
        "open(path, 'rb')",
        "open(path, 'w', encoding='utf-8')",
        "open(path, 'ab' if start else 'wb')",
        "path.read_text(encoding='ascii')",
        "files.write_text(path, text)",
        "av.open(path)",
        "tempfile.NamedTemporaryFile()",
    ],
)
def test_bytes_and_named_encodings_are_not(line: str) -> None:
    assert list(found(line)) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_package_names_the_encoding_of_every_text(path: Path) -> None:
    assert list(found(path.read_text(encoding="utf-8"))) == []

"""Every page tells the truth: commands parse, links lead somewhere, models exist."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import test_architecture

import dancenet
from dancenet import cli

ROOT = Path(dancenet.__file__).resolve().parent.parent
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "imgs" / "README.md",
    *sorted((ROOT / "benchmarks").glob("*.md")),
    *sorted((ROOT / "weights").glob("*_v[0-9]*/card.md")),
    ROOT / "notebooks" / "dance.ipynb",
]
# They tell what was: models, and flags, that are no longer there.
OLD_MODELS = {"docs/experiments.md", "CHANGELOG.md"}
OLD_FLAGS = {"CHANGELOG.md", "benchmarks/README.md", "benchmarks/RESULTS.md"}
MOST_WORDS = 1000
TOPS = (ROOT, ROOT / "dancenet")  # from where pages name files

# What stands in a page for something of the reader's own.
PLACEHOLDERS = {"$style": "salsa"}
COMMAND = re.compile(
    r"(?:python3? scripts/(?P<script>\w+)\.py|(?<![\w./-])dancenet (?P<verb>[a-z][a-z-]*))"
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SOURCE = re.compile(r"[a-z_0-9.]+(?:/[a-z_0-9]+)*/(?:[a-z_0-9]+\.(?:py|md|json|npz))?")
MODEL = re.compile(r"\b(?:silhouette|skeleton)_v\d+\b")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def read(page: Path) -> str:
    """Returns a page's text; a notebook's cells of text."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def verb_of(match: re.Match[str]) -> str:
    stem = match["script"] or match["verb"].replace("-", "_")
    for verb in cli.COMMANDS:
        if stem in (verb.replace("-", "_"), cli.load_script(verb).__name__.rpartition(".")[2]):
            return verb
    return stem


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yields verb and arguments of each command in code blocks and inline code."""
    shell = [body for language, body in FENCE.findall(text) if language in ("", "sh", "bash")]
    lines = "\n".join(shell).replace("\\\n", " ").splitlines()
    lines += INLINE.findall(FENCE.sub("", text))
    for line in lines:
        match = COMMAND.search(line)
        if match:
            rest = line[match.end() :].partition(" #")[0].partition(" && ")[0].strip("`. ")
            for placeholder, value in PLACEHOLDERS.items():
                rest = rest.replace(placeholder, value)
            # A name alone, such as `python scripts/train_vae.py`, is no call.
            if rest:
                yield verb_of(match), shlex.split(rest.replace("…", ""))


def anchors(text: str) -> set[str]:
    """Returns the anchors that GitHub gives the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.replace(" ", "-") for title in plain}


@cache
def released() -> set[str]:
    registry = json.loads((ROOT / "weights" / "registry.json").read_text(encoding="utf-8"))
    return {model["name"] for model in registry["models"]}


def test_the_first_page_is_short() -> None:
    assert len(read(ROOT / "README.md").split()) <= MOST_WORDS


def test_the_first_page_has_a_short_line_for_every_script() -> None:
    rows = re.findall(r"^\| `(\w+)\.py` \| (.*) \|$", read(ROOT / "README.md"), re.MULTILINE)
    assert {script for script, _ in rows} == {path.stem for path in (ROOT / "scripts").glob("*.py")}
    assert all(len(words.split()) <= 12 for _, words in rows)


def test_the_map_names_every_folder() -> None:
    tree = next(
        body for _, body in FENCE.findall(read(ROOT / "README.md")) if "dancenet/\n" in body
    )
    package = ROOT / "dancenet"
    rooms = {path.parent.relative_to(package) for path in package.rglob("*.py")}
    # A room with rooms inside stands there for them, or they for it.
    for room in rooms - {Path("."), Path("data")}:
        assert f"{room.name}/" in tree, room
    for folder in ("imgs", "weights", "scripts", "notebooks", "tests", "benchmarks", "docs"):
        assert f"{folder}/ " in tree, folder


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_is_one_that_its_script_takes(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name_of(page) in OLD_FLAGS:
        pytest.skip("tells what was")
    for verb, arguments in commands(read(page)):
        assert verb in cli.COMMANDS, f"there is no script {verb}"
        try:
            cli.load_script(verb).build_parser().parse_args(arguments)
        except SystemExit as stop:
            if stop.code:
                pytest.fail(f"{verb} {shlex.join(arguments)}: {capsys.readouterr().err}")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_and_picture_is_there(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", read(page))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = Path(os.path.normpath(page.parent / path)) if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(read(there)), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_of_ours_that_is_named_is_there(page: Path) -> None:
    if name_of(page) in OLD_FLAGS:
        pytest.skip("tells what was")
    for name in INLINE.findall(FENCE.sub("", read(page))):
        first = name.partition("/")[0]
        if not SOURCE.fullmatch(name) or not any((top / first).is_dir() for top in TOPS):
            continue  # the reader's own
        assert any((top / name).exists() for top in TOPS), name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_model_that_is_named_is_released(page: Path) -> None:
    if name_of(page) in OLD_MODELS:
        pytest.skip("tells what was")
    assert set(MODEL.findall(read(page))) <= released()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_in_a_page_imports_what_is_there(page: Path) -> None:
    for language, body in FENCE.findall(read(page)):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dancenet"):
                module = importlib.import_module(node.module or "")
                for alias in node.names:
                    assert hasattr(module, alias.name), alias.name


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=name_of)
def test_a_page_is_listed_and_says_whom_it_is_for(page: Path) -> None:
    assert page.name == "README.md" or f"({page.name})" in read(ROOT / "docs" / "README.md")
    first = read(page).split("\n\n")[1]
    assert first.startswith("For those "), page


def test_commands_are_found_in_blocks_and_lines() -> None:
    text = (
        "Say `python scripts/train_vae.py --name me`, or `dancenet make a.mp4`.\n\n"
        "```\nX=1 python scripts/export.py \\\n    --name me  # a comment\n```\n"
        "```python\nimport dancenet\n```\n"
    )
    assert sorted(commands(text)) == [
        ("export", ["--name", "me"]),
        ("make", ["a.mp4"]),
        ("train-vae", ["--name", "me"]),
    ]


def test_the_page_of_the_architecture_tells_what_its_test_holds() -> None:
    text = read(ROOT / "docs" / "architecture.md")
    told = [line.split(" → ") for line in text.splitlines() if line.startswith("support → ")]
    hidden = {"__init__", "__main__", "cli"}
    assert told == [
        [*(room for room in line if room not in hidden), "scripts"]
        for line in (test_architecture.LIGHT_LINE, test_architecture.KERAS_LINE)
    ]
    for room in {room for line in told for room in line} - {"data", "scripts"}:
        assert re.search(rf"^\| `{room}(/|\.py)` \|", text, re.MULTILINE), room


def test_the_workflow_runs_what_make_test_runs() -> None:
    workflow = read(ROOT / ".github" / "workflows" / "test.yml")
    for target in ("test", "networks", "others"):  # the first makes the other two
        recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", read(ROOT / "Makefile"), re.MULTILINE)
        assert recipe is not None
        for line in recipe[1].splitlines():
            if "$(MAKE)" not in line:
                assert f"- run: {line.strip().replace('$(BIN)/', '')}\n" in workflow


def test_records_for_machines_can_be_read() -> None:
    yaml = pytest.importorskip("yaml")
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        assert yaml.safe_load(read(path))["jobs"]
    for card in (ROOT / "weights").glob("*_v[0-9]*/card.md"):
        front = yaml.safe_load(read(card).split("---\n")[1])
        assert front["license"] == "mit" and front["credits"]
    citation = yaml.safe_load(read(ROOT / "CITATION.cff"))
    assert citation["version"] == dancenet.__version__
    assert all(reference["title"] for reference in citation["references"])

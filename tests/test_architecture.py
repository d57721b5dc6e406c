"""Imports point one way, Keras stays in one folder, and scripts answer at once."""

from __future__ import annotations

import ast
import configparser
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dancenet
from dancenet import cli
from dancenet.model.config import SPACES

PACKAGE = Path(dancenet.__file__).resolve().parent
ROOT = PACKAGE.parent
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))

# Two lines that meet in `scripts`. A room may import those before it on its own line, and itself.
LIGHT_LINE = [
    "__init__",
    "support",
    "model",
    "data",
    "output",
    "codecs",
    "sequence",
    "metrics",
    "runtime",
    "generation",
    "project",
    "flags",
    "cli",
    "__main__",
]
KERAS_LINE = [*LIGHT_LINE[: LIGHT_LINE.index("runtime") + 1], "nets", "legacy", "evaluation"]
# `evaluation` measures dances that `generation` makes.
MAY_IMPORT = {
    room: {*line[: line.index(room) + 1]} for line in (KERAS_LINE, LIGHT_LINE) for room in line
}
MAY_IMPORT["evaluation"] |= {"generation"}
# A clip shows itself in a notebook, so it imports its player when it is asked to, and the package
# offers its names, which it imports when they are used.
EXCEPTIONS = {
    ("data/motion/clip.py", "output"),
    *(("__init__.py", room) for room in ("support", "model", "generation")),
}
MOST_FILES = 12  # in one folder
KERAS = {"keras", "tensorflow", "keras_mdn_layer", "tensorboard"}
NUMPY_ONLY = {"numpy", "dancenet", *sys.stdlib_module_names}
# What a script may import where `--help` has to pass.
LIGHT = {"dancenet", *sys.stdlib_module_names}
LIGHT_OURS = {"dancenet", "dancenet.flags", "dancenet.support"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def layer(path: Path) -> str:
    place = path.relative_to(PACKAGE if PACKAGE in path.parents else ROOT)
    return place.parts[0].removesuffix(".py")


def imported(nodes: Iterator[ast.AST] | list[ast.AST]) -> set[str]:
    """Returns the dotted names that the import statements among `nodes` name."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def at_import_time(tree: ast.Module) -> Iterator[ast.AST]:
    """Yields the nodes that run when the module is imported."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo += node.orelse
            continue
        todo += ast.iter_child_nodes(node)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    here = layer(path)
    for name in imported(ast.walk(parse(path))):
        parts = name.split(".")
        if parts[0] in ("scripts", "tests", "benchmarks"):
            pytest.fail(f"{path.name} imports {name}")
        if parts[0] != "dancenet" or len(parts) == 1 or parts[1] not in MAY_IMPORT:
            continue
        if (path.relative_to(PACKAGE).as_posix(), parts[1]) not in EXCEPTIONS:
            assert parts[1] in MAY_IMPORT[here], f"{here} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_nets_names_keras(path):
    if layer(path) != "nets":
        assert not {name.partition(".")[0] for name in imported(ast.walk(parse(path)))} & KERAS


def test_training_leaves_the_backend_to_keras():
    named = {
        path.name
        for path in (PACKAGE / "nets").rglob("*.py")
        if "tensorflow" in {name.partition(".")[0] for name in imported(ast.walk(parse(path)))}
    }
    assert named == {
        "dance.py",
        "layers.py",
        "codecs.py",
        "litert.py",
        "saved_model.py",
        "devices.py",
        "distributed.py",
        "window_stream.py",
    }


def test_the_sequence_needs_numpy_only():
    for path in (PACKAGE / "sequence").glob("*.py"):
        assert {name.partition(".")[0] for name in imported(ast.walk(parse(path)))} <= NUMPY_ONLY


def test_the_measures_need_numpy_opencv_and_scikit_learn_only():
    for path in (PACKAGE / "metrics").glob("*.py"):
        found = {name.partition(".")[0] for name in imported(ast.walk(parse(path)))}
        assert found <= NUMPY_ONLY | {"cv2", "sklearn"}, path


def test_on_the_light_line_only_measures_of_an_evaluation_import_scikit_learn_at_once():
    for path in modules():
        found = imported(at_import_time(parse(path)))
        if "sklearn" in {name.partition(".")[0] for name in found}:
            assert layer(path) not in {*LIGHT_LINE} - {"metrics"}, path
            assert path.name != "reconstruction.py", "generation imports it"


CLASS_QUESTIONS = {"isinstance", "issubclass"}


def asks_for_the_space(node: ast.AST) -> bool:
    """Tells whether a node asks which space or codec is there, by `space ==` or `isinstance`."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in CLASS_QUESTIONS:
        return any(name.endswith("Codec") for name in names_in(node.args[1]))
    if isinstance(node, ast.Match):
        return "space" in names_in(node.subject)
    if isinstance(node, ast.Compare) and "SPACES" not in names_in(node):
        texts = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
        return bool({"space", "SILHOUETTE", "SKELETON"} & names_in(node) or {*SPACES} & texts)
    return False


def names_in(node: ast.AST) -> set[str]:
    """Returns the names and attributes inside an expression."""
    return {getattr(part, "id", getattr(part, "attr", "")) for part in ast.walk(node)}


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        ("config.space == SKELETON", True),
        ("'silhouette' != name", True),
        ("space in (SKELETON,)", True),
        ("isinstance(dancer.codec, (int, SkeletonCodec))", True),
        ("match config.space:\n    case 'skeleton': pass", True),
        ("space not in SPACES", False),
        ("TRAININGS[arguments.space](arguments)", False),
        ("isinstance(recordings, Recordings)", False),
    ],
)
def test_a_question_for_the_space_is_seen(line, asks):
    assert any(asks_for_the_space(node) for node in ast.walk(ast.parse(line))) is asks


def test_only_loading_asks_which_space_a_model_dances_in():
    found = [
        path.relative_to(ROOT).as_posix()
        for path in [*modules(), *SCRIPTS]
        if layer(path) != "codecs"
        for node in ast.walk(parse(path))
        if asks_for_the_space(node)
    ]
    # The second opens what a model is measured with.
    assert sorted(found) == ["dancenet/evaluation/scenes.py", "dancenet/generation/load.py"]


def test_every_module_has_its_place_in_the_order():
    assert {layer(path) for path in modules()} == set(MAY_IMPORT)


def test_no_room_holds_more_than_twelve_files():
    # `scripts` holds a file for each command, which `cli.py` lists.
    for folder in (PACKAGE, ROOT / "tests"):
        for room in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            files = [path for path in room.glob("*.py") if path.name != "__init__.py"]
            assert len(files) <= MOST_FILES, f"{room.relative_to(ROOT)} holds {len(files)} files"


def test_the_tests_mirror_the_package():
    rooms = {
        path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")
    }
    there = {path.parent.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")}
    assert rooms <= there | {Path("scripts")}


def test_every_folder_of_the_package_is_installed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = set(setup["options"]["packages"].split())
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")
    }
    assert listed == folders | {"dancenet.scripts", "dancenet.bundled"}


def test_nothing_is_unpickled():
    for path in [*modules(), *SCRIPTS]:
        tree = parse(path)
        assert not {"pickle", "joblib", "dill", "shelve"} & imported(ast.walk(tree)), path
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant) and node.value.value is False, path


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_imports_nothing_heavy_before_it_is_asked_to_work(path):
    found = imported(at_import_time(parse(path)))
    assert {name.partition(".")[0] for name in found} <= LIGHT
    ours = {".".join(name.split(".")[:2]) for name in found if name.startswith("dancenet")}
    assert ours <= LIGHT_OURS


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_has_the_parts_the_command_calls(path):
    defined = {node.name for node in parse(path).body if isinstance(node, ast.FunctionDef)}
    assert {"build_parser", "work", "main"} <= defined


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_run_by_its_path_explains_every_flag(path):
    done = subprocess.run(
        [sys.executable, str(path), "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {path.name}")
    assert done.stderr == ""


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_flag_has_a_help_text(path):
    command = next(
        name for name in cli.COMMANDS if cli.load_script(name).__name__.endswith(path.stem)
    )
    for action in cli.load_script(command).build_parser()._actions:
        assert action.help, action.dest


def test_a_dance_is_made_without_keras(tmp_path):
    program = (
        "import sys\n"
        f"sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests' / 'helpers' / 'models')!r}]\n"
        "from pathlib import Path\n"
        "import small_model\n"
        "from dancenet.cli import main\n"
        "small_model.write_small_model(Path('model'))\n"
        "assert main(['generate-video', '--model', 'model', '--seconds', '0.2', '--scale', '1',\n"
        "             '--seed', '1', '--out', 'dance.gif']) == 0\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'torch', 'sklearn', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dance.gif").stat().st_size > 0

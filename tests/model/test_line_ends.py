"""Models survive git on Windows, which changes the ends of lines unless it is told not to."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dancenet.generation.load import load_dancer
from dancenet.model import registry
from dancenet.model.config import ModelConfig
from dancenet.model.folder import ModelFolder
from dancenet.support import files
from dancenet.support.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def test_a_clone_made_as_on_windows_has_the_bytes_of_every_text(tmp_path: Path) -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is not a clone, or there is no git")
    clone = tmp_path / "clone"
    # What an installer of Git for Windows sets, for this clone alone.
    git = ("git", "-c", "core.autocrlf=true", "-C")
    subprocess.run([*git, ROOT, "clone", "-q", "--no-checkout", ROOT, clone], check=True)
    parts = ["weights", "tests/goldens", "scripts", ".ci", "Makefile", ":(glob)*.*"]
    subprocess.run([*git, clone, "checkout", "-q", "HEAD", "--", *parts], check=True)
    changed = [
        path.relative_to(clone)
        for path in clone.rglob("*")
        if path.is_file() and path.suffix in ("", ".json", ".md", ".py", ".cfg", ".toml")
        if ".git" not in path.parts and b"\r\n" in path.read_bytes()
    ]
    assert changed == []
    assert set(registry.read_registry(clone / "weights" / "registry.json")) >= {"silhouette_v2"}
    for name in ("silhouette_v2", "skeleton_v1"):
        registry.describe(clone / "weights" / name)
        assert load_dancer(clone / "weights" / name).name == name


def make_model(path: Path) -> ModelFolder:
    folder = ModelFolder(path)
    folder.create()
    folder.write_config(ModelConfig(path.name))
    files.write_text(folder / "card.md", "# a model\n")
    (folder / "step.onnx").write_bytes(b"a\nb\n")
    folder.seal()
    return folder


def with_crlf(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def test_a_model_whose_line_ends_git_changed_is_whole(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "salsa")
    before = folder.sha256
    for name in ("config.json", "checksums.json", "card.md"):
        with_crlf(folder / name)
    folder.check()
    assert folder.sha256 == before
    assert folder.read_config() == ModelConfig("salsa")


def test_it_is_not_released_so(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "salsa")
    with_crlf(folder / "config.json")
    with pytest.raises(UserError, match="config.json has other line ends .* write the model again"):
        registry.describe(folder.path)


def test_a_text_with_another_letter_is_still_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "salsa")
    with_crlf(folder / "config.json")
    content = (folder / "config.json").read_bytes()
    (folder / "config.json").write_bytes(content.replace(b"salsa", b"tango"))
    with pytest.raises(UserError, match="config.json has .* bytes and should have"):
        folder.check()


def test_in_other_files_every_byte_counts(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "salsa")
    with_crlf(folder / "step.onnx")
    with pytest.raises(UserError, match="step.onnx has 6 bytes and should have 4"):
        folder.check()

"""The wheel, installed alone: it dances from an empty folder, and stays small."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Measured 487 MB, of which OpenCV takes 152, PyAV 102, ONNX Runtime 78, NumPy 71 and the bundled
# models 46; benchmarks/README.md says why it is not less.
LARGEST_MB = 500
INSTALLERS = ("pip", "setuptools", "pkg_resources", "_distutils_hack")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the sizes are of Linux wheels"),
]


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the Python of an environment that holds the wheel and what it requires."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("packaging")
    source = folder / "source"  # building leaves files beside what it reads
    for name in ("dancenet", "scripts", "weights"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    setuptools = int(version("setuptools").partition(".")[0]) if find_spec("setuptools") else 0
    isolation = ["--no-isolation"] if setuptools >= 77 else []
    built = run(sys.executable, "-m", "build", "--wheel", *isolation, "-o", folder, source)
    if not isolation and "No matching distribution" in built.stdout + built.stderr:
        pytest.skip("pip cannot reach a package index, and setuptools is older than 77")
    assert built.returncode == 0, built.stdout + built.stderr
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    installed = run(python, "-m", "pip", "install", "-q", "--retries", "1", wheel)
    if installed.returncode:
        pytest.skip(f"pip cannot reach a package index: {installed.stderr.strip()[-300:]}")
    return python


def test_the_installed_command_dances_from_an_empty_folder(python: Path, tmp_path: Path) -> None:
    dance = run(
        python.with_name("dancenet"),
        *("generate-video", "--seconds", "2", "--seed", "1", "--out", "dance.mp4"),
        cwd=tmp_path,
    )
    assert dance.returncode == 0, dance.stderr
    assert (tmp_path / "dance.mp4").stat().st_size > 10_000


def test_the_light_installation_stays_small(python: Path) -> None:
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    sizes = {
        entry.name: sum(path.lstat().st_blocks * 512 for path in [entry, *entry.rglob("*")])
        for entry in packages.iterdir()
        if not entry.name.startswith(INSTALLERS)
    }
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:8]
    assert sum(sizes.values()) / 2**20 < LARGEST_MB, largest

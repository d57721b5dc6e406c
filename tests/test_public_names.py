"""The package offers its names without importing anything heavy before they are used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import dancenet


@pytest.mark.parametrize("name", dancenet.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert callable(getattr(dancenet, name))
    assert name in dir(dancenet)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'dance'"):
        dancenet.dance


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = (
        "import sys, dancenet\n"
        "heavy = {'numpy', 'cv2', 'onnxruntime', 'keras', 'tensorflow'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=Path(dancenet.__file__).parents[1],
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_bundled_models_are_available() -> None:
    assert {"silhouette_v2", "skeleton_v1"} <= {
        listing.name for listing in dancenet.available_models()
    }


def test_the_package_is_marked_as_typed() -> None:
    assert (Path(dancenet.__file__).parent / "py.typed").is_file()

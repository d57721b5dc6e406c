"""What holds for every test: no network, no display, no GPU, few threads, no chatter."""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before anything imports the libraries that read them.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.update(
    CUDA_VISIBLE_DEVICES="-1",
    MPLBACKEND="Agg",
    TF_CPP_MIN_LOG_LEVEL="3",
    TF_NUM_INTEROP_THREADS="1",
    TF_NUM_INTRAOP_THREADS="2",
    OMP_NUM_THREADS="2",
    OPENBLAS_NUM_THREADS="2",
)

# Fixtures that several rooms use.
pytest_plugins = ["browser", "workplaces"]


# Tests that import Keras. `make test` runs them in a process of their own, because TensorFlow takes
# seconds and 600 MB in each process that imports it.
NETWORKS = (
    "evaluation/test_recipe_2018.py",
    "generation/test_joints.py",
    "legacy/test_download.py",
    "legacy/test_golden.py",
    "legacy/test_import_model.py",
    "nets",
)
# Beside those, what `make quick` leaves out.
SLOW = (
    *NETWORKS,
    "evaluation",
    "generation/test_same_seed.py",
    "scripts/test_export.py",
    "scripts/test_real_kills.py",
    "test_packaging.py",
)


def _among(path: Path, names: tuple[str, ...]) -> bool:
    here = Path(__file__).parent
    return any(here / name in (path, *path.parents) for name in names)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--networks",
        choices=("only", "without"),
        help="run only the tests that import Keras, or all others (default: every test)",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out the files of the part that is not asked for, before they import anything."""
    asked = config.getoption("--networks")
    if asked is None or not collection_path.name.startswith("test_"):
        return None
    return _among(collection_path, NETWORKS) is not (asked == "only") or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that take most of the time, and runs those of several processes first.

    The processes need memory of their own, so they run while this one has little.
    """
    for item in items:
        if _among(item.path, SLOW):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.name != "test_devices.py")


def pytest_collection_finish() -> None:
    """Leaves what is imported by now out of garbage collection, which TensorFlow asks for often."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def forget_networks() -> Iterator[None]:
    """Gives back the memory of a module's networks."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()


_connect = socket.socket.connect


def _connect_here(self: socket.socket, address: object) -> None:
    host = address[0] if isinstance(address, tuple) else None
    if self.family in (socket.AF_INET, socket.AF_INET6) and host not in ("127.0.0.1", "::1"):
        raise RuntimeError(f"a test tried to reach {address!r}")
    _connect(self, address)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keeps a test off the network, and off the downloads and settings of the person's own."""
    monkeypatch.setattr(socket.socket, "connect", _connect_here)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("DANCENET_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("DANCENET_WEIGHTS_URL", raising=False)
    # No test outlives a power cut, and some disks take long.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)

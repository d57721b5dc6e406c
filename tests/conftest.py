"""What holds for every test: no network, no display, no GPU, few threads, no chatter."""

from __future__ import annotations

import gc
import os
import socket
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
pytest_plugins = ["workplaces"]


# Where networks are trained or converted; `make quick` leaves them out.
SLOW = (
    "evaluation",
    "generation/test_joints.py",
    "legacy/test_download.py",
    "legacy/test_import_model.py",
    "nets",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that take most of the time."""
    here = Path(__file__).parent
    slow = tuple(here / name for name in SLOW)
    for item in items:
        if any(item.path == path or path in item.path.parents for path in slow):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Leaves what is imported by now out of garbage collection, which TensorFlow asks for often."""
    gc.collect()
    gc.freeze()


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

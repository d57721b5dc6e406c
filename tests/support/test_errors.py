"""What a computer ran out of is one sentence; a package is missing only if it is not there."""

from __future__ import annotations

import argparse
import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dancenet.support import errors, terminal
from dancenet.support.errors import MissingExtra, UserError

ROOT = Path(errors.__file__).parents[2]


def _run(error: BaseException, *flags: str) -> int:
    parser = argparse.ArgumentParser(prog="verb")
    for flag in flags:
        parser.add_argument(flag, default=1)

    def work(arguments):
        raise error

    return terminal.run(parser, work, [])


def _of(library: str, name: str, text: str) -> Exception:
    """An error as a library makes it."""
    return type(name, (Exception,), {"__module__": library})(text)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("std::bad_alloc"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        _of("cv2", "error", "(-4:Insufficient memory) Failed to allocate 9e9 bytes"),
        _of("tensorflow.python.framework.errors_impl", "OpError", "OOM when allocating tensor"),
        _of("onnxruntime.capi.onnxruntime_pybind11_state", "RuntimeException", "bad allocation"),
        RuntimeError("Failed to allocate memory for requested buffer of size 4096"),
        ImportError("libx.so: failed to map segment from shared object", name="x._c"),
    ],
    ids=lambda error: f"{type(error).__name__} {error}"[:40],
)
def test_too_little_memory_is_said_with_what_to_make_smaller(error, capsys):
    assert _run(error, "--count", "--batch-size", "--name") == 1
    told = capsys.readouterr().err
    assert told.startswith("verb: error: there is not enough memory; ask for less with")
    assert "count" in told and "batch" in told and "name" not in told
    assert told.count("\n") == 1


def test_an_array_too_large_for_the_memory_is_said(capsys):
    with pytest.raises(MemoryError) as raised:
        np.zeros(1 << 60, np.uint8)
    assert _run(raised.value) == 1
    assert "not enough memory" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error, words",
    [
        (OSError(errno.EMFILE, "Too many open files", "/a/b"), "ulimit -n"),
        (OSError(errno.ENFILE, "Too many open files in system"), "ulimit -n"),
        (ImportError("libx.so: cannot open: Too many open files", name="x"), "ulimit -n"),
        (RuntimeError("can't start new thread"), "no further thread"),
        (OSError(errno.EAGAIN, "Resource temporarily unavailable"), "thread or process"),
        (OSError(errno.ENOSPC, "No space left on device", "/a"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "share of the disk is used up"),
        (OSError(errno.EFBIG, "File too large"), "larger than"),
        (OSError(errno.EIO, "Input/output error", "/a/b"), "reports an error"),
        (OSError(errno.EROFS, "Read-only file system", "/a/b"), "/a/b .*can only be read"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "/a/b"), "/a/b .*shorter name"),
        (PermissionError(errno.EACCES, "Permission denied", "/a b"), "'/a b' .*have permission"),
        (OSError(errno.EINVAL, "Invalid argument", "/a/b"), "/a/b .*Invalid argument"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "Connection reset"),
        (OSError("cannot identify image file"), "cannot identify image file"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(error, words, capsys):
    assert _run(error) == 1
    told = capsys.readouterr().err
    assert re.search(words, told), told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        ValueError("out of memory"),
        KeyError("bad_alloc"),
        IndexError("list index out of range"),
        RecursionError("maximum recursion depth exceeded"),
        RuntimeError("a generator raised StopIteration"),
        AssertionError("too many open files"),
        OSError(errno.EBADF, "Bad file descriptor"),
        ImportError("cannot import name 'x'", name="dancenet.support.files"),
        ModuleNotFoundError("No module named 'dancenet.x'", name="dancenet.x"),
        _of("cv2", "error", "(-215:Assertion failed) !ssize.empty()"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_bug_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        _run(error)


def test_a_package_that_is_not_there_is_named_with_its_extra():
    error = ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
    told = errors.why_not_imported(error, "An evaluation", "train")
    assert isinstance(told, MissingExtra)
    assert "An evaluation needs the package 'scikit-learn', which is not installed" in str(told)


@pytest.mark.parametrize(
    "error, words",
    [
        (ImportError("libcudart.so: no such file", name="keras"), "loaded: libcudart.so: no such"),
        (ImportError("failed to map segment", name="keras"), "loaded: there is not enough memory"),
        (ImportError("Too many open files", name="keras"), "loaded: too many files are open"),
        (ModuleNotFoundError("No module named 'keras.ops'", name="keras.ops"), "install it again"),
        (ImportError("no name", name=None), "a library, which cannot be loaded: no name"),
        (ImportError("Traceback …\n\nNo native part.\n", name="keras"), "loaded: No native part"),
    ],
)
def test_a_package_that_is_there_and_cannot_be_loaded_tells_why(error, words):
    told = errors.why_not_imported(error, "Training", "train")
    assert isinstance(told, UserError) and not isinstance(told, MissingExtra)
    assert "which cannot be loaded" in str(told) and words in str(told)


def test_a_package_of_the_light_installation_that_is_missing_is_said(capsys):
    assert _run(ModuleNotFoundError("No module named 'av'", name="av")) == 1
    assert "needs the package 'av', which is not installed" in capsys.readouterr().err


PROGRAM = """
import argparse, resource, sys
from dancenet.support import terminal
def work(arguments):
    {}
sys.exit(terminal.run(argparse.ArgumentParser(prog="verb"), work, []))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits as on Linux")
@pytest.mark.parametrize(
    "name, limit, work, words",
    [
        ("RLIMIT_NOFILE", 8, "kept = [open('/dev/null') for _ in range(9)]", "many files are open"),
        ("RLIMIT_NOFILE", 4, "import cv2", "many files are open"),
        ("RLIMIT_AS", 1 << 28, "kept = b'x' * (1 << 28)", "not enough memory"),
    ],
)
def test_real_limits_are_named(name, limit, work, words):
    body = f"resource.setrlimit(resource.{name}, ({limit}, {limit})); {work}"
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert found.returncode == 1, found.stderr
    assert words in found.stderr and "Traceback" not in found.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such limit")
def test_a_limit_at_which_libraries_crash_is_told_before_they_are_loaded(monkeypatch, capsys):
    import resource

    def work(arguments):
        return 0

    for limit, status in ((4e8, 1), (1e9, 0), (resource.RLIM_INFINITY, 0)):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, limit=limit: (int(limit), -1))
        assert terminal.run(argparse.ArgumentParser(prog="verb"), work, []) == status
    assert capsys.readouterr().err == (
        "verb: error: The command needs at least 0.55 GB of memory, and the limit for this process "
        "is 0.4 GB; raise it with `ulimit -v unlimited`.\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="limits as on Linux")
def test_a_training_that_would_hang_under_a_limit_is_not_begun(tmp_path):
    body = "resource.setrlimit(resource.RLIMIT_AS, (2 * 10**9,) * 2); import dancenet.nets.dancer"
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"},
    )
    assert found.returncode == 1
    assert found.stderr == (
        "verb: error: TensorFlow needs at least 2.5 GB of memory, and the limit for this process "
        "is 2 GB; raise it with `ulimit -v unlimited`.\n"
    )

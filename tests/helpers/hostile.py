"""Puts values that do not fit in place of every value of a JSON file or an archive of arrays."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mutation import MANY, SLOWEST

from dancenet.support.errors import UserError

_SHARE = 3 if MANY <= 200 else 1  # one in so many values is tried in each place
_MISSING = object()
_DEEP = "a list of lists of lists …"
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    3,
    1.5,
    1e308,
    float("nan"),
    float("inf"),
    10**12,
    10**400,
    "",
    "x",
    "²",
    "a" * 5000,
    "\x1b[2J\n",
    "../../etc/passwd",
    "\ud800",
    "a\0b",
    "/dev/zero:3",
    [],
    [1],
    [None],
    {},
    {"a": {"b": 1}},
    _DEEP,
    _MISSING,
)

_RECORD = np.zeros(2, [("a", "<f4"), ("b", "<i4")])
ARRAYS: tuple[np.ndarray, ...] = (
    np.array(0),
    np.array(-1),
    np.array(2**63 - 1),
    np.array(np.nan),
    np.array(np.inf),
    np.array(1e308),
    np.array("x"),
    np.array("\x1b[2J" + "a" * 3000),
    np.array(True),
    np.array(1j),
    np.zeros(0),
    np.zeros((0, 3)),
    np.zeros(7, np.float32),
    np.full((4, 6, 3), np.nan, np.float32),
    np.full((2, 2), 2**62),
    np.array([[0, 2**63 - 1]]),
    np.array([["a", "b"]]),
    np.zeros((1, 1, 1, 1), complex),
    np.zeros(3, "M8[s]"),
    np.zeros(3, "S4"),
    _RECORD,
)


def spoilt_json(content: Any) -> Iterator[tuple[str, str]]:
    """Yields what was changed, and the text of a file with one value of `content` replaced."""
    for number, place in enumerate(_places(content)):
        for turn, value in enumerate(VALUES):
            if (turn + number) % _SHARE or (value is _MISSING and not place):
                continue
            changed = copy.deepcopy(content)
            inner = [changed]
            parent, key = inner, 0
            for step in place:
                parent, key = parent[key], step
            if value is _MISSING:
                del parent[key]
            else:
                parent[key] = value
            text = json.dumps(inner[0]).replace(json.dumps(_DEEP), "[" * 100_000 + "]" * 100_000)
            yield f"{place} = {value!r:.40}", text
    if isinstance(content, dict):
        yield "another key", json.dumps({**content, "\x1b[31mcolour": 1})
    yield "a mark of the order of bytes", "\ufeff" + json.dumps(content)


def check_json(read: Callable[[Path], object], path: Path, content: Any | None = None) -> int:
    """Reads spoilt versions of a JSON file from its place; returns how many were refused.

    Raises:
        AssertionError: as `mutation.check_reader`.
    """
    valid = path.read_bytes()
    read(path)
    refused = 0
    for what, text in spoilt_json(json.loads(valid) if content is None else content):
        replace(path, text.encode("utf-8", "surrogatepass"))
        refused += _is_refused(read, path, f"{path.name}: {what}")
    replace(path, valid)
    return refused


def replace(path: Path, content: bytes) -> None:
    """Writes a file anew; to cut the old one first takes twenty times as long on some disks."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def check_arrays(read: Callable[[Path], object], path: Path) -> int:
    """Reads spoilt versions of an .npz file from its place; returns how many were refused.

    Raises:
        AssertionError: as `mutation.check_reader`.
    """
    valid = path.read_bytes()
    read(path)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    refused = 0
    for number, name in enumerate(arrays):
        for array in ARRAYS[number % _SHARE :: _SHARE]:
            path.unlink()
            np.savez(path, **{**arrays, name: array})
            what = f"{path.name}: {name} = {array.dtype}{array.shape}"
            refused += _is_refused(read, path, what)
        path.unlink()
        np.savez(path, **{other: array for other, array in arrays.items() if other != name})
        refused += _is_refused(read, path, f"{path.name}: no {name}")
    replace(path, valid)
    return refused


def _is_refused(read: Callable[[Path], object], path: Path, what: str) -> bool:
    begin = time.monotonic()
    try:
        read(path)
    except UserError as error:
        message = str(error)
        assert message.isprintable() and len(message) < 2000, f"{what}: {message!r:.500}"
        return True
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    finally:
        assert time.monotonic() - begin < SLOWEST, f"{what} took too long"
    return False


def _places(content: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    pairs: Any = ()
    if isinstance(content, dict):
        pairs = content.items()
    elif isinstance(content, list):
        pairs = enumerate(content[:2])
    for key, value in pairs:
        yield from _places(value, (*place, key))

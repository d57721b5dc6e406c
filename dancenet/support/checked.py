"""Reads files that may come from anywhere, and checks every field before it is used.

Behind these functions nothing has to guess: a JSON file is no larger and no deeper than can be
handled, a record's fields have the types that its dataclass says, an archive's arrays are plain
and fit into memory before they are unpacked.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import reprlib
import types
import typing
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from dancenet.support.errors import UserError
from dancenet.support.names import quoted, visible

LARGEST_JSON = 16 << 20  # bytes of a record of ours
LARGEST_ARRAYS = 512 << 20  # bytes of all arrays of a file, unpacked

R = typing.TypeVar("R")


def read_json(path: str | os.PathLike[str], what: str, *, largest: int = LARGEST_JSON) -> Any:
    """Reads a JSON file; a byte order mark before it is passed over.

    Args:
        path: the file.
        what: names it in the error, as in "record of clips".
        largest: the most bytes that are read.

    Raises:
        UserError: the file is missing, not readable, too large, nested too deeply, or not JSON.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(largest + 1)
    except FileNotFoundError as error:
        raise UserError(f"There is no {what} at {quoted(path)}; make or fetch it again.") from error
    except OSError as error:
        raise UserError(f"{quoted(path)} cannot be read ({error.strerror}).") from error
    if len(content) > largest:
        raise UserError(
            f"{quoted(path)} is no {what}: it has more than {largest:,} bytes. Make or fetch it "
            "again."
        )
    return parse_json(content, f"{quoted(path)} is not a valid {what}")


def parse_json(content: bytes | str, what_is_wrong: str) -> Any:
    """Parses JSON from outside.

    Args:
        content: the text, or its bytes in UTF-8.
        what_is_wrong: how the error begins, such as "clips.json is not a valid record of clips".

    Raises:
        UserError: it is not JSON, or nested too deeply.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        return json.loads(text)
    except RecursionError as error:
        raise UserError(
            f"{what_is_wrong}: its lists and objects are nested too deeply to be real. Make or "
            "fetch it again."
        ) from error
    except ValueError as error:
        raise UserError(
            f"{what_is_wrong}: {visible(str(error))}. It was cut or edited; make or fetch it again."
        ) from error


def build(record: type[R], content: Any, source: str) -> R:
    """Returns a dataclass made from a JSON object, whose every field was checked.

    The types are those of the dataclass: bool, int, float (finite; whole numbers are taken,
    too), str, None, Any, other dataclasses, tuples and lists of one type, dicts with text for
    keys, literals, and unions of these. What a type cannot say, such as a range, is checked by
    the dataclass itself, which raises ValueError.

    Args:
        record: the dataclass.
        content: what `read_json` returned.
        source: where it came from, for the message.

    Raises:
        UserError: a key is unknown or missing, or a value has the wrong type or size; the message
            names it and `source`.
    """
    if not isinstance(content, dict):
        raise UserError(f"{source}: expected an object, received {reprlib.repr(content)}.")
    hints = {
        item.name: hint
        for item, hint in zip(
            dataclasses.fields(record),  # type: ignore[arg-type]
            _hints(record),
        )
    }
    unknown = sorted(set(content) - set(hints))
    if unknown:
        raise UserError(
            f"{source} has keys this version of dancenet does not know: "
            f"{visible(', '.join(unknown[:5]))}. Update dancenet, or remove them."
        )
    missing = [
        item.name
        for item in dataclasses.fields(record)  # type: ignore[arg-type]
        if item.name not in content
        and item.default is dataclasses.MISSING
        and item.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UserError(f"{source} lacks {', '.join(missing)}; make or fetch it again.")
    values = {key: convert(hints[key], value, f"{source}: {key}") for key, value in content.items()}
    try:
        return record(**values)
    except UserError as error:
        raise UserError(f"{source} cannot be used: {error}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{source} cannot be used: {error}") from error


def convert(hint: Any, value: Any, source: str) -> Any:
    """Returns a value of JSON as the type `hint` says; see `build`.

    Raises:
        UserError: it is of another type, or a number that is not finite; the message names
            `source`.
    """
    for option in _options(hint):
        if option is Any or (option is type(None) and value is None):
            return value
        if dataclasses.is_dataclass(option) and isinstance(option, type):
            if isinstance(value, dict):
                return build(option, value, source)
            continue
        kind, items = typing.get_origin(option) or option, typing.get_args(option)
        if kind is typing.Literal:
            if any(type(value) is type(item) and value == item for item in items):
                return value
        elif kind in (tuple, list) and type(value) is list:
            return kind(
                convert(items[0], element, f"{source}[{index}]")
                for index, element in enumerate(value)
            )
        elif kind is dict and type(value) is dict:
            if not items:
                return value
            return {
                key: convert(items[1], element, f"{source}[{visible(key)!r:.60}]")
                for key, element in value.items()
            }
        elif kind is float and type(value) in (int, float):
            if abs(value) <= 1.7e308 and math.isfinite(value):
                return float(value)
        elif type(value) is kind:
            return value
    raise UserError(
        f"{source} is {reprlib.repr(value)}, and must be {' or '.join(map(_said, _options(hint)))}."
    )


def read_npz(
    path: str | os.PathLike[str], what: str, *, largest: int = LARGEST_ARRAYS
) -> dict[str, np.ndarray]:
    """Reads every array of a .npz file without unpickling.

    Args:
        path: the file.
        what: names it in the error.
        largest: the most bytes that all arrays may have, checked before they are unpacked.

    Raises:
        UserError: the file is missing, truncated, too large, not an .npz, or holds pickled objects.
    """
    with _readable(path, what) as file:
        if file.read(6) == np.lib.format.MAGIC_PREFIX:
            raise UserError(
                f"{quoted(path)} is a single array (.npy); a {what} is an .npz archive of several."
            )
        try:
            with zipfile.ZipFile(file) as archive:
                members = [item for item in archive.infolist() if item.filename.endswith(".npy")]
                total = sum(item.file_size for item in members)
                if total > largest:
                    raise UserError(
                        f"{quoted(path)} unpacks to {total:,} bytes; at most {largest:,} are read "
                        f"of a {what}. Cut it into several."
                    )
                arrays = {}
                for item in members:
                    with archive.open(item) as member:
                        name = item.filename.removesuffix(".npy")
                        arrays[name] = _read_array(member, item.file_size)
                return arrays
        except (ArithmeticError, TypeError, ValueError) as error:
            # NumPy's own message advises unpickling what it does not recognise.
            if isinstance(error, UserError):
                raise
            raise _unreadable(path, what, "it is not an .npz archive of plain arrays") from error
        except (
            OSError,
            EOFError,
            KeyError,
            RuntimeError,  # encrypted
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise _unreadable(path, what, visible(str(error))[:200].rstrip(".")) from error


def read_npy(
    path: str | os.PathLike[str], what: str, *, largest: int = LARGEST_ARRAYS
) -> np.ndarray:
    """Reads the array of a .npy file without unpickling.

    Args:
        path: the file.
        what: names it in the error.
        largest: the most bytes the array may have.

    Raises:
        UserError: the file is missing, truncated, too large, not an .npy, or holds pickled objects.
    """
    with _readable(path, what) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise UserError(
                f"{quoted(path)} has {size:,} bytes; at most {largest:,} are read of a {what}. Cut "
                "it into several."
            )
        try:
            return _read_array(file, size)
        except (
            ArithmeticError,
            OSError,
            EOFError,
            TypeError,
            ValueError,
        ) as error:
            raise _unreadable(path, what, "it is not an array of plain numbers") from error


def _read_array(file: IO[bytes], size: int) -> np.ndarray:
    """Reads an array whose header promises no more than the `size` bytes of its file."""
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"version {version}")
    try:
        shape, fortran_order, dtype = read_header(file)
    except Exception as error:  # NumPy evaluates the header: anything may come out
        raise ValueError("a damaged header") from error
    count = math.prod(shape)
    if dtype.hasobject or min(shape, default=0) < 0 or count * dtype.itemsize > size:
        raise ValueError(f"{dtype} of shape {shape} in {size} bytes")
    content = bytearray(count * dtype.itemsize)
    left = memoryview(content)
    while left:
        read = file.readinto(left)  # type: ignore[attr-defined]
        if not read:
            raise EOFError("it was cut")
        left = left[read:]
    array = np.ndarray(shape, dtype, content, order="F" if fortran_order else "C")
    if dtype.kind == "U" and array.size and array.itemsize:
        codes = np.frombuffer(content, np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if codes.max() > 0x10FFFF:
            raise ValueError("letters that do not exist")
    return array


def _readable(path: str | os.PathLike[str], what: str) -> IO[bytes]:
    try:
        return open(path, "rb")
    except FileNotFoundError as error:
        raise UserError(f"There is no {what} at {quoted(path)}.") from error
    except OSError as error:
        raise UserError(f"{quoted(path)} cannot be read ({error.strerror}).") from error


def _unreadable(path: str | os.PathLike[str], what: str, reason: str) -> UserError:
    return UserError(
        f"{quoted(Path(path))} is not a readable {what}: {reason}, or it is damaged. Make it "
        "again if it was cut."
    )


def _hints(record: type) -> list[Any]:
    hints = typing.get_type_hints(record)
    return [hints[item.name] for item in dataclasses.fields(record)]


def _options(hint: Any) -> tuple[Any, ...]:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return typing.get_args(hint)
    return (hint,)


def _said(option: Any) -> str:
    """Returns the name of a type for people."""
    if dataclasses.is_dataclass(option):
        return "an object"
    kind = typing.get_origin(option) or option
    if kind is typing.Literal:
        return " or ".join(repr(item) for item in typing.get_args(option))
    names = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text"}
    names |= {tuple: "a list", list: "a list", dict: "an object", type(None): "null"}
    return names.get(kind, getattr(kind, "__name__", str(kind)))

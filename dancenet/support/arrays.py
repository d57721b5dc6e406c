"""Writes arrays, and reads those of files from anywhere, bounded before they are unpacked."""

from __future__ import annotations

import lzma
import math
import os
import typing
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from dancenet.support.errors import UserError, let_through
from dancenet.support.files import atomic_path, open_regular
from dancenet.support.names import quoted, shortened

# Bytes of all arrays of a file, unpacked. A file that is large itself, and not by packing, may
# have more.
LARGEST_ARRAYS = 512 << 20

_LARGEST_NOTHING = 1 << 20  # bytes of an empty array, were its lengths of 0 ones of 1
_LARGEST_RATIO = 4  # of what floats unpack to, to their file
_KINDS: dict[type, str] = {bool: "b", int: "iu", float: "fiu", str: "U"}
_SAID: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
}

S = typing.TypeVar("S", bool, int, float, str)


def read_npz(
    path: str | os.PathLike[str], what: str, *, largest: int = LARGEST_ARRAYS
) -> dict[str, np.ndarray]:
    """Reads every array of a .npz file without unpickling.

    Args:
        path: the file.
        what: names it in the error.
        largest: the most bytes that all arrays may have, checked before they are unpacked. What
            is hardly packed may be larger: it takes as much room on the disk.

    Raises:
        UserError: the file is missing, truncated, too large, not an .npz, or holds pickled objects.
    """
    with open_regular(path, what) as file:
        largest = max(largest, _LARGEST_RATIO * os.fstat(file.fileno()).st_size)
        try:
            if file.read(6) == np.lib.format.MAGIC_PREFIX:
                raise UserError(
                    f"{quoted(path)} is a single array (.npy); a {what} is an .npz archive of "
                    "several."
                )
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
            RuntimeError,  # encrypted, or packed as nobody unpacks
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
        ) as error:
            let_through(error)
            raise _unreadable(path, what, shortened(error)) from error


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
    with open_regular(path, what) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise UserError(
                f"{quoted(path)} has {size:,} bytes; at most {largest:,} are read of a {what}. Cut "
                "it into several."
            )
        if file.peek(2)[:2] == b"PK":
            raise UserError(
                f"{quoted(path)} is an archive of arrays (.npz); a {what} is a single one (.npy)."
            )
        try:
            return _read_array(file, size)
        except (ArithmeticError, OSError, EOFError, TypeError, ValueError) as error:
            let_through(error)
            raise _unreadable(path, what, "it is not an array of plain numbers") from error


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Reads the beginning of an .npy file; its numbers follow.

    Returns:
        The shape, whether it is in Fortran's order, and the type.

    Raises:
        ValueError: it is no such file.
    """
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"version {version}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, fortran_order, dtype = read_header(file)
    except Exception as error:  # NumPy evaluates the header: anything may come out
        raise ValueError("a damaged header") from error
    if not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"{dtype} of shape {shape}")
    return shape, fortran_order, dtype


def scalar(kind: type[S], arrays: Mapping[str, np.ndarray], name: str) -> S:
    """Returns the only value of an array that `read_npz` read, as bool, int, float or str.

    Raises:
        UserError: it is an array of several values, or of another type.
    """
    array = arrays[name]
    if array.shape != () or array.dtype.kind not in _KINDS[kind]:
        raise UserError(f"{name} is {described(array)}, and must be {_SAID[kind]}")
    return kind(array[()])


def require_floats(name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> None:
    """Refuses an array that is not of finite floats, or of another shape.

    Args:
        name: of the array.
        array: as `read_npz` read it.
        shape: None for any length but 0.

    Raises:
        UserError: it is another.
    """
    fits = len(array.shape) == len(shape) and all(
        found == expected or (expected is None and found)
        for found, expected in zip(array.shape, shape)
    )
    if not fits or array.dtype.kind != "f" or array.dtype.itemsize > 8:
        lengths = ", ".join("any" if length is None else str(length) for length in shape)
        raise UserError(f"{name} must be floats of shape ({lengths}); received {described(array)}")
    if not np.isfinite(array).all():
        raise UserError(f"{name} holds NaN or infinity")


def described(array: np.ndarray) -> str:
    """Returns type and shape of an array, for a message."""
    kind = str(array.dtype)
    return f"{kind if len(kind) < 30 else 'a record'} of shape {array.shape}"


def write_npz(path: str | os.PathLike[str], **arrays: Any) -> None:
    """Writes arrays to a compressed .npz atomically. Object arrays are refused by readers."""
    with atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)


def _read_array(file: IO[bytes], size: int) -> np.ndarray:
    """Reads an array whose header promises no more than the `size` bytes of its file."""
    shape, fortran_order, dtype = read_npy_header(file)
    count = math.prod(shape)
    if dtype.hasobject:
        raise ValueError("pickled objects")
    # Rows of nothing take no bytes, and take for ever to go through.
    most = math.prod(max(1, length) for length in shape) * max(1, dtype.itemsize)
    if most > (size if count else max(size, _LARGEST_NOTHING)):
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


def _unreadable(path: str | os.PathLike[str], what: str, reason: str) -> UserError:
    return UserError(
        f"{quoted(Path(path))} is not a readable {what}: {reason}, or it is damaged. Make it "
        "again if it was cut."
    )

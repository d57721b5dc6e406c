"""Reads files that may come from anywhere, and checks every field before it is used.

Behind these functions nothing has to guess: a JSON file is no larger and no deeper than can be
handled, a record's fields have the types that its dataclass says, an archive's arrays are plain
and fit into memory before they are unpacked.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import re
import reprlib
import types
import typing
from typing import Any

from dancenet.support.arrays import LARGEST_ARRAYS as LARGEST_ARRAYS
from dancenet.support.arrays import read_npy as read_npy
from dancenet.support.arrays import read_npz as read_npz
from dancenet.support.errors import SpoiltFile, UserError
from dancenet.support.files import open_regular
from dancenet.support.names import quoted, shortened, visible

LARGEST_JSON = 16 << 20  # bytes of a record of ours
LOWEST_FPS, HIGHEST_FPS = 0.01, 1000.0  # of anything that is danced or filmed
LONGEST_NAME = 255  # letters of a name of a file, of a model, of a style

# Half letters, which no file can hold; the others stand for bytes of a name that are not UTF-8.
_UNWRITABLE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_DEEPEST = 64  # lists and objects inside each other

# A float that may be infinite or NaN, for fields of `build`.
AnyFloat = typing.Annotated[float, "any"]

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
    with open_regular(path, what) as file:
        try:
            content = file.read(largest + 1)
        except OSError as error:
            raise UserError(f"{quoted(path)} cannot be read ({error.strerror}).") from error
    if len(content) > largest:
        raise SpoiltFile(f"{quoted(path)} is no {what}: it has more than {largest:,} bytes")
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
        value = json.loads(text)
        if _is_too_deep(text, value):
            raise RecursionError
    except RecursionError as error:
        raise SpoiltFile(
            f"{what_is_wrong}: its lists and objects are nested too deeply to be real"
        ) from error
    except ValueError as error:
        raise SpoiltFile(f"{what_is_wrong}: {shortened(error)}. It was cut or edited") from error
    return value


def _is_too_deep(text: str, value: Any) -> bool:
    """Tells whether others, which walk through `value` by recursion, would fail."""
    if text.count("[") + text.count("{") <= _DEEPEST:
        return False
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            child
            for item in level
            for child in (item.values() if type(item) is dict else item)
            if type(child) in (dict, list)
        ]
        if not level:
            return False
    return True


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
            _hints(record),  # type: ignore[arg-type]
        )
    }
    unknown = sorted(set(content) - set(hints))
    if unknown:
        raise SpoiltFile(
            f"{source} has keys this version of dancenet does not know: "
            f"{shortened(', '.join(unknown[:5]))}",
            "update dancenet, or remove them",
        )
    missing = [
        item.name
        for item in dataclasses.fields(record)  # type: ignore[arg-type]
        if item.name not in content
        and item.default is dataclasses.MISSING
        and item.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise SpoiltFile(f"{source} lacks {', '.join(missing)}")
    values = {key: convert(hints[key], value, f"{source}: {key}") for key, value in content.items()}
    try:
        return record(**values)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise UserError(f"{source}: {shortened(error)}.") from error


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
        if kind is typing.Annotated:
            if type(value) is float or (type(value) is int and abs(value) <= 1.7e308):
                return float(value)
        elif kind is typing.Literal:
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
        elif type(value) is kind and not (kind is str and _UNWRITABLE.search(value)):
            return value
    raise UserError(
        f"{source} is {reprlib.repr(value)}, and must be {' or '.join(map(_said, _options(hint)))}."
    )


def between(name: str, value: float, least: float, most: float, above: bool = False) -> None:
    """Refuses a number out of its range; for the `__post_init__` of records.

    Args:
        name: of the field.
        value: NaN is out of every range.
        least: the least value that is allowed.
        most: the greatest value that is allowed.
        above: `least` itself is not allowed.

    Raises:
        UserError: it is out of range.
    """
    if not (least < value if above else least <= value) or not value <= most:
        low = f"greater than {_said_number(least)}" if above else f"{_said_number(least)} or more"
        raise UserError(
            f"{name} must be {low} and at most {_said_number(most)}; received "
            f"{reprlib.repr(value)}."
        )


def check_rate(fps: float) -> None:
    """Refuses frames per second at which nothing can be filmed or danced.

    Raises:
        UserError: it is out of range.
    """
    between("fps", fps, LOWEST_FPS, HIGHEST_FPS)


def check_name(what: str, text: str) -> None:
    """Refuses a text that cannot be the name of one file or folder.

    Raises:
        UserError: it is empty or too long, or names something in another folder.
    """
    if (
        not 0 < len(text) <= LONGEST_NAME
        or text in (".", "..")
        or any(mark in text for mark in "/\\\0")
        or any(
            "\ud800" <= letter <= "\udfff" and not "\udc80" <= letter <= "\udcff" for letter in text
        )
    ):
        raise UserError(f"{what} must be a plain name; received {reprlib.repr(text)}.")


def _said_number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,g}"


@functools.cache
def _hints(record: type) -> list[Any]:
    hints = typing.get_type_hints(record, include_extras=True)
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
    if kind is typing.Annotated:
        return "a number"
    names = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text"}
    names |= {tuple: "a list", list: "a list", dict: "an object", type(None): "null"}
    return names.get(kind, getattr(kind, "__name__", str(kind)))

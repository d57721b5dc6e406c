"""Spoils valid files in thousands of ways, and tries that a reader answers in one sentence."""

from __future__ import annotations

import os
import random
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from dancenet.support.errors import UserError

MANY = int(os.environ.get("DANCENET_FUZZ", "200"))  # mutations of each kind of file
SLOWEST = 20.0  # seconds for one file, on a busy machine; a hang is longer

# What people, other programs and bad luck put in place of a value.
_TEXTS = (
    b"",
    b"-1",
    b"0",
    b"1e999",
    b"-1e999",
    b"1e308",
    b"1000000000000",
    b"9" * 400,
    b"nan",
    b"NaN",
    b"null",
    b"true",
    b'""',
    b'"x"',
    b"[]",
    b"{}",
    b"[" * 5000,
    b'{"a":' * 5000,
    b"1.5",
    "²".encode(),
    "٣".encode(),
    b"\xff\xfe",
    b"\x00",
    b"\r",
    b"\x1b[2J",
    b"\xef\xbb\xbf",
    b"../../../etc/passwd",
)


def mutations(content: bytes, seed: int, count: int = MANY) -> Iterator[bytes]:
    """Yields `count` spoilt versions of a file, the same ones for the same seed.

    A version is cut, has bits flipped, bytes or lines doubled, removed or swapped, or a token (a
    run of letters and digits) replaced by a value that hardly fits.
    """
    chance = random.Random(seed)
    for _ in range(count):
        spoilt = bytearray(content)
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            spoilt = _spoil(spoilt, chance)
        yield bytes(spoilt)


def check_reader(
    read: Callable[[Path], object], path: Path, *, seed: int = 0, count: int = MANY
) -> int:
    """Reads spoilt versions of the file at `path`, one after the other, from its place.

    Args:
        read: the reader. It may return anything or raise UserError.
        path: a valid file, which is read first and restored in the end.
        seed: which mutations are tried.
        count: how many.

    Returns:
        The number of versions that were refused.

    Raises:
        AssertionError: another exception came out, the answer took too long, or the message is
            not one line.
    """
    valid = path.read_bytes()
    read(path)
    refused = 0
    try:
        for number, spoilt in enumerate(mutations(valid, seed, count)):
            path.unlink(missing_ok=True)  # a file cut before it is written is slow on some disks
            path.write_bytes(spoilt)
            begin = time.monotonic()
            what = f"mutation {number} of {path.name} (seed {seed})"
            try:
                read(path)
            except UserError as error:
                refused += 1
                message = str(error)
                assert message.isprintable() and len(message) < 2000, f"{what}: {message!r:.500}"
            except Exception as error:
                raise AssertionError(
                    f"{what}: {type(error).__name__}: {error}\n{traceback.format_exc()[-2000:]}\n"
                    f"{spoilt[:300]!r}"
                ) from error
            assert time.monotonic() - begin < SLOWEST, f"{what} took too long"
    finally:
        path.write_bytes(valid)
    return refused


def _spoil(content: bytearray, chance: random.Random) -> bytearray:
    if not content:
        return bytearray(chance.choice(_TEXTS))
    kind = chance.randrange(8)
    place = chance.randrange(len(content))
    if kind == 0:
        return content[:place]
    if kind == 1:
        content[place] ^= 1 << chance.randrange(8)
    elif kind == 2:
        content[place : place + chance.choice((1, 4, 64))] = b""
    elif kind == 3:
        piece = content[place : place + chance.choice((1, 4, 64, 1000))]
        content[place:place] = piece * chance.choice((1, 2, 20))
    elif kind == 4:
        lines = content.split(b"\n")
        first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
        lines[first], lines[second] = lines[second], lines[first]
        return bytearray(b"\n").join(lines)
    elif kind == 5:
        content[place : place + 4] = chance.choice((b"\xff\xff\xff\x7f", b"\xff" * 4, b"\0" * 4))
    else:
        begin = place
        while begin > 0 and _is_token(content[begin - 1]):
            begin -= 1
        end = place
        while end < len(content) and _is_token(content[end]):
            end += 1
        content[begin:end] = chance.choice(_TEXTS)
    return content


def _is_token(byte: int) -> bool:
    return bytes([byte]).isalnum() or byte in b'_.+-"'

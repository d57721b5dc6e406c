"""Reads text files of other programs: packed or not, in any usual encoding, with any line ends.

UTF-8 and UTF-16 are told by their bytes. What is neither is most often written by an older program
on a computer set to one language; the encoding is then the one whose characters are the commonest
of their script, and a warning names it.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable
from pathlib import Path

from dancenet.support import errors
from dancenet.support.errors import UserError
from dancenet.support.names import quoted

LARGEST_TEXT = 512 << 20  # bytes: 45 minutes of 60 joints at 120 frames/s
_LONGEST_LINE = 16 << 20  # characters
_MOST_LINES = 4_000_000  # nine hours of a .bvh at 120 frames/s
_BLOCK = 4096  # bytes unpacked at once; so many are lost where a file is damaged
_PROBE = 4096  # bytes in which UTF-16 is sought
_SAMPLE = 64 << 10  # bytes of lines that are not ASCII, from which the encoding is told
_MANY_NULS = 0.3  # share of every second byte that is 0 where ASCII is written in UTF-16
_MOSTLY = 2  # whole characters for each broken one in text that was UTF-8 before it was damaged

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# How files begin that are not text, and what they are.
_OTHERS = (
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "packed with bzip2"),
    (b"\xfd7zXZ", "packed with xz"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"Kaydara FBX", "an FBX scene"),
    (b"glTF", "a glTF scene"),
    (b"\x93NUMPY", "an array of NumPy"),
    (b"\x89HDF", "an HDF5 file"),
    (b"%PDF", "a PDF page"),
)
_PACKED = b"\x1f\x8b"
# Letters beyond ASCII; the second byte of one may look like ASCII.
_HIGH = re.compile(rb"[A-Za-z]?(?:[\x80-\xff][\x30-\xff]?){1,4000}")


def read_text(
    path: str | os.PathLike[str], *, largest: int = LARGEST_TEXT
) -> tuple[str, tuple[str, ...]]:
    """Reads a text file, plain or gzipped, up to where it is damaged.

    Args:
        path: the file; compression is known by its first bytes, not by its name.
        largest: the most bytes that are read, of a packed text half as many.

    Returns:
        The text, whose lines end in a line feed, and sentences on what was assumed or lost.

    Raises:
        UserError: there is no such file, it cannot be read, it is empty, too large, or no text.
    """
    content, warnings = _read_bytes(path, largest)
    for mark, kind in _OTHERS:
        if content.startswith(mark):
            raise UserError(
                f"{quoted(path)} is {kind} and no text; unpack or export what is in it, and give "
                "that."
            )
    text, encoding = decode(content)
    del content
    if text.endswith("\0"):
        text = text.rstrip("\0")  # as a disk fills a file whose end was never written
    if not text or text.isspace():
        raise UserError(f"{quoted(path)} is empty; fetch or export it again.")
    if encoding is not None:
        warnings = (
            *warnings,
            f"{quoted(Path(path).name)} is not UTF-8; its letters were read as {encoding}.",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n"), warnings


def lines_of(path: str | os.PathLike[str], text: str) -> list[str]:
    """Returns the lines of a text.

    Raises:
        UserError: they are so many that none of them can be a frame.
    """
    count = text.count("\n")
    if count > _MOST_LINES:
        raise UserError(
            f"{quoted(path)} has {count:,} lines, and at most {_MOST_LINES:,} are read of one "
            "file; cut it into several."
        )
    lines = text.split("\n")
    longest = max(map(len, lines))
    if longest > _LONGEST_LINE:
        raise UserError(
            f"{quoted(path)} has a line of {longest:,} characters, which is no line of a motion; "
            "export the file again."
        )
    return lines


def decode(content: bytes) -> tuple[str, str | None]:
    """Returns the text of some bytes, and the name of its encoding if it is not UTF-8."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            text = content.decode(encoding, errors="replace")
            return text, None if encoding == "utf-8-sig" else encoding.upper()
    wide = _wide(content[:_PROBE])
    if wide is not None:
        return content.decode(wide, errors="replace"), wide.upper()
    try:
        return content.decode("utf-8"), None
    except UnicodeDecodeError:
        pass
    sample = _sample(content)
    text = sample.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    if sum(ord(letter) > 0x7F for letter in text) - broken > _MOSTLY * broken:
        return content.decode("utf-8", errors="replace"), "UTF-8 with broken letters"
    name, encoding, _ = max(_LEGACY, key=lambda entry: _likeness(sample, entry))
    return content.decode(encoding, errors="replace"), name


def _read_bytes(path: str | os.PathLike[str], largest: int) -> tuple[bytes, tuple[str, ...]]:
    if not Path(path).is_file():
        raise UserError(f"{quoted(path)} is not a file; give the path of a motion capture file.")
    try:
        with open(path, "rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        errors.let_through(error)
        raise UserError(f"{quoted(path)} cannot be read ({error.strerror}).") from error
    warnings: tuple[str, ...] = ()
    if content.startswith(_PACKED):
        largest //= 2
        content, whole = _unpack(content, largest + 1)
        if not whole:
            warnings = (
                f"{quoted(Path(path).name)} is cut or damaged inside its gzip; its beginning was "
                "read.",
            )
    if len(content) > largest:
        raise UserError(
            f"{quoted(path)} holds more than {largest >> 20} MiB of text, which is more than is "
            "read of one file; cut it into several."
        )
    return content, warnings


def _unpack(content: bytes, most: int) -> tuple[bytes, bool]:
    """Unpacks at most `most` bytes of a gzip; also tells whether it is whole."""
    unpacked = bytearray()
    place = 0
    while place < len(content) and len(unpacked) < most:
        if not content.startswith(_PACKED, place):
            # gzip allows several files one after the other, and zeros after the last.
            return bytes(unpacked), not content[place:].strip(b"\0")
        stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # 16: a gzip header
        while not stream.eof and len(unpacked) < most:
            before = len(unpacked)
            try:
                unpacked += stream.decompress(
                    stream.unconsumed_tail or content[place : place + _BLOCK], _BLOCK
                )
            except zlib.error:
                return bytes(unpacked), False
            if not stream.unconsumed_tail and not stream.eof:
                place += _BLOCK
                if place >= len(content) and len(unpacked) == before:
                    return bytes(unpacked), False
        if stream.eof:
            place = min(place + _BLOCK, len(content)) - len(stream.unused_data)
    return bytes(unpacked), True


def _wide(start: bytes) -> str | None:
    """Returns the kind of UTF-16 that has no byte order mark, by the zeros of its ASCII."""
    half = len(start) // 2
    if half < 2:
        return None
    even, odd = start[0::2].count(0) / half, start[1::2].count(0) / half
    if max(even, odd) < _MANY_NULS or min(even, odd) * 2 > max(even, odd):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _sample(content: bytes) -> bytes:
    """Returns pieces of lines that hold bytes beyond ASCII."""
    pieces: list[bytes] = []
    place = size = 0
    while size < _SAMPLE:
        match = _HIGH.search(content, place)
        if match is None:
            break
        # A piece begins and ends beside ASCII, which breaks no letter.
        begin, place = match.span()
        pieces.append(content[begin:place])
        size += place - begin
    return b" ".join(pieces)


def _japanese(letter: str, lead: int, trail: int) -> float:
    if "\u3040" <= letter <= "\u30ff":
        return 2.0
    if "\u4e00" <= letter <= "\u9fff":
        return 1.5 if lead < 0x98 else 0.0
    return -1.0 if "\uff61" <= letter <= "\uff9f" else 0.0


def _chinese(letter: str, lead: int, trail: int) -> float:
    if 0xB0 <= lead <= 0xF7 and trail >= 0xA1:
        return 1.2 if lead < 0xD8 else 0.3
    return 0.0 if lead == 0xA3 else -1.0


def _korean(letter: str, lead: int, trail: int) -> float:
    return 1.4 if 0xB0 <= lead <= 0xC8 and trail >= 0xA1 else -1.0


def _western(letter: str, lead: int, trail: int) -> float:
    # Vowels with accents and the like stand among letters of ASCII, hardly ever in rows.
    if not letter.isalpha():
        return 0.0 if letter in "°²³·–—‘’“”…€£§©®" else -1.0
    return -0.5 if trail >= 0x80 else 1.1


_Score = Callable[[str, int, int], float]
_LEGACY: tuple[tuple[str, str, _Score], ...] = (
    ("Shift-JIS", "cp932", _japanese),
    ("GBK", "gb18030", _chinese),
    ("EUC-KR", "cp949", _korean),
    ("cp1252", "cp1252", _western),
    ("Latin-1", "latin-1", _western),
)


def _likeness(sample: bytes, entry: tuple[str, str, _Score]) -> float:
    """Returns how common the letters are that an encoding makes of bytes; it is below 2."""
    _, encoding, score = entry
    text = sample.decode(encoding, errors="replace")
    total, count, place = 0.0, 0, 0
    for letter in text:
        if letter == "\ufffd":
            total, count, place = total - 5.0, count + 1, place + 1
            continue
        size = len(letter.encode(encoding, errors="replace"))
        if letter > "\x7f":
            code = sample[place : place + 2] + b"\0\0"
            count += 1
            total += score(letter, code[0], code[1])
        place += size
    return total / max(count, 1) - (0.01 if encoding == "latin-1" else 0.0)

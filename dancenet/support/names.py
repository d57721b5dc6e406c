"""Writes names of files and words of users into messages, so that they can be pasted."""

from __future__ import annotations

import os
import re
import unicodedata

# What a shell takes as it stands, apart from letters and digits of any script.
_PLAIN = "_-./@%+=:,"
_JOINERS = "\u200c\u200d"  # within emoji and some scripts; they move nothing on the screen
# What no file may be called on Windows, whatever its suffix; the digits may be superscripts, too.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\Z", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')
_LONGEST = 240  # bytes of a file's name in UTF-8: 255, less what a temporary name adds
_UNDECODABLE = re.compile("[\udc80-\udcff]")  # how Python keeps bytes that are not UTF-8


def quoted(name: str | os.PathLike[str]) -> str:
    """Returns a name for a message or a command line, quoted where a shell needs it.

    Terminal escapes, line ends and bytes that are not UTF-8 are written as `$'…'`, which bash
    and zsh read back; on Windows, where no shell can, as U+FFFD. A name that begins with a dash
    gets `./` before it, so that no program takes it for an option.
    """
    text = os.fspath(name)
    if text.startswith("-") and text != "-":
        text = f"./{text}"
    if not all(_is_visible(letter) for letter in text):
        if os.name == "nt":
            text = "".join(letter if _is_visible(letter) else "\ufffd" for letter in text)
        else:
            return "$'" + "".join(map(_escaped, text)) + "'"
    if text and all(letter.isalnum() or letter in _PLAIN for letter in text):
        return text
    if os.name == "nt":
        return f'"{text}"'
    return "'" + text.replace("'", "'\"'\"'") + "'"


def visible(text: str) -> str:
    """Returns text from outside for a message: escapes, line ends and odd bytes as U+FFFD."""
    return "".join(letter if _is_visible(letter) else "\ufffd" for letter in text)


def safe_name(text: str) -> str:
    """Returns a name made of a text, that a file can have on every system.

    What Windows forbids becomes `_`, the names it reserves (`aux.mp4`) get one in front, and the
    length is bounded.
    """
    name = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", text))
    name = name.encode("utf-8")[:_LONGEST].decode("utf-8", "ignore").rstrip(". ")
    return f"_{name}" if not name or _RESERVED.match(name.partition(".")[0].rstrip()) else name


def is_safe_name(name: str) -> bool:
    """Tells whether a file or folder can have a name on every system."""
    return safe_name(name) == unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """Returns what two names share that are one file on macOS or Windows."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _is_visible(letter: str) -> bool:
    return letter.isprintable() or letter in _JOINERS


def _escaped(letter: str) -> str:
    if letter in "'\\":
        return f"\\{letter}"
    if _UNDECODABLE.match(letter):
        return f"\\x{ord(letter) - 0xDC00:02x}"
    if _is_visible(letter):
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x80 else f"\\U{code:08x}"

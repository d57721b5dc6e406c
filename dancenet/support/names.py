"""Writes names of files and words of users into messages, so that they can be pasted."""

from __future__ import annotations

import os
import re

# What a shell takes as it stands, apart from letters and digits of any script.
_PLAIN = "_-./@%+=:,"
_JOINERS = "\u200c\u200d"  # within emoji and some scripts; they move nothing on the screen
_LONGEST = 400  # letters of what is quoted from a file, or from another program
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


def shortened(reason: object) -> str:
    """Returns what another program or a file says, for a message: visible, and not too long."""
    text = visible(str(reason)).rstrip(". ")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 2]} …"


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

"""Writes names of files and words of users into messages, so that they can be pasted."""

from __future__ import annotations

import os
import re
import sys
import unicodedata

# What a shell takes as it stands, apart from letters and digits of any script.
_PLAIN = "_-./@%+=:,"
_PLAIN_ON_WINDOWS = "_-./+=:"
_LONGEST = 255  # bytes of a name on most disks
_JOINERS = "\u200c\u200d"  # within emoji and some scripts; they move nothing on the screen
_LONGEST_REASON = 400  # letters of what is quoted from a file, or from another program
# What no file may be called on Windows, whatever its suffix; the digits may be superscripts, too.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\Z", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')
_LONGEST_SAFE = 240  # bytes of a file's name in UTF-8: 255, less what a temporary name adds
_LITTER = ("thumbs.db", "ehthumbs.db", "desktop.ini", ".directory")
_UNDECODABLE = re.compile("[\udc80-\udcff]")  # how Python keeps bytes that are not UTF-8


def quoted(name: str | os.PathLike[str]) -> str:
    """Returns a name for a message or a command line, quoted where a shell needs it.

    Terminal escapes, line ends and bytes that are not UTF-8 are written as `$'…'`, which bash
    and zsh read back; on Windows, where no shell can, as U+FFFD. A name that begins with a dash
    gets `./` before it, so that no program takes it for an option.
    """
    return shell_word(as_argument(name))


def shell_word(text: str) -> str:
    """Returns any text as one word of a command line; see `quoted`."""
    if not all(_is_visible(letter) for letter in text):
        if os.name == "nt":
            text = "".join(letter if _is_visible(letter) else "\ufffd" for letter in text)
        else:
            return "$'" + "".join(map(_escaped, text)) + "'"
    plain = _PLAIN_ON_WINDOWS if os.name == "nt" else _PLAIN
    # zsh takes a word that begins with = for the name of a program.
    if text and text[0] != "=" and all(letter.isalnum() or letter in plain for letter in text):
        return text
    if os.name == "nt":
        # Backslashes before a quote would make it part of the text (Microsoft, "Parsing C
        # command-line arguments").
        text = re.sub(r'(\\*)"', r'\1\1\\"', text)
        return '"' + re.sub(r"(\\+)$", r"\1\1", text) + '"'
    return "'" + text.replace("'", "'\"'\"'") + "'"


def visible(text: str) -> str:
    """Returns text from outside for a message: escapes, line ends and odd bytes as U+FFFD."""
    return "".join(letter if _is_visible(letter) else "\ufffd" for letter in text)


def visible_lines(text: str) -> str:
    """Returns a text of ours for a terminal: its line ends stay, names in it can harm nothing."""
    return "\n".join(visible(line.expandtabs()) for line in re.split("\r?\n", text))


def as_argument(name: str | os.PathLike[str]) -> str:
    """Returns a path for the arguments of a command, where it is no flag."""
    text = os.fspath(name)
    return f"./{text}" if text.startswith("-") else text


def derived(stem: str, ending: str) -> str:
    """Returns a name made of another one, whose end is cut off where it would be too long."""
    while len(os.fsencode(stem + ending)) > _LONGEST and stem:
        stem = stem[:-1]
    return stem + ending


def shortened(reason: object) -> str:
    """Returns what another program or a file says, for a message: visible, and not too long."""
    text = visible(str(reason)).rstrip(". ")
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 2]} …"


def safe_name(text: str) -> str:
    """Returns a name made of a text, that a file can have on every system.

    What Windows forbids becomes `_`, the names it reserves (`aux.mp4`) get one in front, and the
    length is bounded.
    """
    name = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", text))
    name = name.encode("utf-8")[:_LONGEST_SAFE].decode("utf-8", "ignore").rstrip(". ")
    return f"_{name}" if not name or _RESERVED.match(name.partition(".")[0].rstrip()) else name


def is_safe_name(name: str) -> bool:
    """Tells whether a file or folder can have a name on every system."""
    return safe_name(name) == unicodedata.normalize("NFC", name)


def is_allowed_here(name: str) -> bool:
    """Tells whether a file or folder can have a name on this system."""
    return sys.platform != "win32" or is_safe_name(name)


def folded(name: str) -> str:
    """Returns what two names share that are one file on macOS or Windows."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_litter(name: str) -> bool:
    """Tells whether a file was left by a file manager: `.DS_Store`, `._1.jpg`, `Thumbs.db`."""
    return name == ".DS_Store" or name.startswith("._") or name.lower() in _LITTER


def _is_visible(letter: str) -> bool:
    # Spaces of other scripts, and the narrow one in names of screenshots, count as not printable.
    return letter.isprintable() or letter in _JOINERS or unicodedata.category(letter) == "Zs"


def _escaped(letter: str) -> str:
    if letter in "'\\":
        return f"\\{letter}"
    if _UNDECODABLE.match(letter):
        return f"\\x{ord(letter) - 0xDC00:02x}"
    if _is_visible(letter):
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x80 else f"\\U{code:08x}"

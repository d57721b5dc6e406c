"""Names of users in messages: readable, harmless, and pasteable."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata

import pytest

from dancenet.support import files
from dancenet.support.errors import UserError
from dancenet.support.names import (
    derived,
    folded,
    is_allowed_here,
    is_litter,
    is_safe_name,
    quoted,
    safe_name,
    shell_word,
    visible,
    visible_lines,
)

NAMES = (
    "imgs/1.jpg",
    "my dance.mp4",
    "it's.mp4",
    "Tänze/déjà vu.mp4",
    "take:1.mp4",
    "💃🏽‍♀️.mp4",
    "$HOME `ls` \\ * ? ; &.mp4",
    "two\nlines\t.mp4",
    "\x1b[31mred\x1b[0m.mp4",
    "dan\udce7a.mp4",
    "‮4pm.exe",
    "~user",
    "=ls",
    "Screenshot 9.41\u202fAM\u3000a.png",
    "",
)


@pytest.mark.skipif(os.name == "nt", reason="asks bash")
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_bash_reads_a_quoted_name_back(name):
    answer = subprocess.run(
        ["bash", "-c", f"printf %s {quoted(name)}"],
        capture_output=True,
        check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert answer.stdout == os.fsencode(name)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_quoted_name_is_one_printable_line(name):
    spaces = "\u200c\u200d\u202f\u3000"
    assert all(letter.isprintable() or letter in spaces for letter in quoted(name))


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_windows_gets_double_quotes(name, monkeypatch):
    monkeypatch.setattr(os, "name", "nt")
    assert "'" not in quoted(name) or "'" in name
    assert "$'" not in quoted(name)


def test_plain_names_stay_as_they_are():
    assert quoted("imgs/größe_1.jpg") == "imgs/größe_1.jpg"


def test_no_program_takes_a_name_for_an_option():
    assert quoted("-k3Yt.mp4") == "./-k3Yt.mp4"
    assert quoted("-") == "./-"
    assert shell_word("-k3Yt") == "-k3Yt"


@pytest.mark.parametrize(
    "text, word",
    [
        ("C:\\a b\\", '"C:\\a b\\\\"'),
        ('7" single', '"7\\" single"'),
        ("salsa,modern", '"salsa,modern"'),  # a list to PowerShell
        ("%PATH%", '"%PATH%"'),
        ("plain/name.mp4", "plain/name.mp4"),
    ],
)
def test_a_program_of_windows_reads_a_word_back(text, word, monkeypatch):
    monkeypatch.setattr(os, "name", "nt")
    assert shell_word(text) == word


def test_text_from_outside_cannot_reach_the_terminal():
    assert visible("a\x1b[2Jb\r\n") == "a\ufffd[2Jb\ufffd\ufffd"


def test_a_derived_name_is_not_too_long():
    assert derived("dance", "-replay.mp4") == "dance-replay.mp4"
    name = derived("é" * 127, "-replay.mp4")
    assert name == "é" * 122 + "-replay.mp4" and len(os.fsencode(name)) == 255


def test_line_ends_of_ours_stay():
    assert visible_lines("a\r\nb\n\x1bc\td") == "a\nb\n\ufffdc      d"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("dance.mp4", "dance.mp4"),
        ("aux.mp4", "_aux.mp4"),
        ("NUL", "_NUL"),
        ("com1.tar.gz", "_com1.tar.gz"),
        ("COM¹", "_COM¹"),
        ("con .txt", "_con .txt"),
        ("console.txt", "console.txt"),
        ("com10", "com10"),
        ('<a>:"b"/c\\d|e?f*', "_a___b__c_d_e_f_"),
        ("name. . ", "name"),
        ("...", "_"),
        ("", "_"),
        ("a\nb\x1b\x00", "a_b__"),
        ("e\u0301.mp4", "\u00e9.mp4"),
        ("dan\udce7a", "dan_a"),
        ("\U0001f483" * 100, "\U0001f483" * 60),
    ],
    ids=ascii,
)
def test_a_safe_name_is_allowed_everywhere_and_stays_as_it_is(text: str, name: str) -> None:
    assert safe_name(text) == safe_name(name) == name
    assert is_safe_name(name)
    assert is_safe_name(text) == (unicodedata.normalize("NFC", text) == name)


def test_names_that_macos_or_windows_take_for_one_are_folded_to_one() -> None:
    assert folded("E\u0301cole") == folded("\u00e9COLE")
    assert folded("1.JPG") == folded("1.jpg") != folded("2.jpg")


def test_what_file_managers_leave_is_litter() -> None:
    assert all(map(is_litter, (".DS_Store", "._1.jpg", "Thumbs.db", "desktop.ini")))
    assert not any(map(is_litter, ("1.jpg", ".hidden.bvh", "thumbs.bvh", "DS_Store")))


def test_windows_is_told_before_the_work_which_names_it_does_not_allow(monkeypatch, tmp_path):
    files.check_parent(tmp_path / "aux.mp4")
    monkeypatch.setattr(sys, "platform", "win32")
    assert not is_allowed_here("aux.mp4") and is_allowed_here("dance.mp4")
    with pytest.raises(UserError, match=r"Windows allows no file of the name .*aux\.mp4"):
        files.check_parent(tmp_path / "aux.mp4")

"""Names of users in messages: readable, harmless, and pasteable."""

from __future__ import annotations

import os
import subprocess

import pytest

from dancenet.support.names import (
    derived,
    quoted,
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

"""Names of users in messages: readable, harmless, and pasteable."""

from __future__ import annotations

import os
import subprocess

import pytest

from dancenet.support.names import quoted, visible

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
    os.fsdecode(b"dan\xe7a.mp4"),
    "‮4pm.exe",
    "~user",
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
    assert all(letter.isprintable() or letter in "\u200c\u200d" for letter in quoted(name))


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_windows_gets_double_quotes(name, monkeypatch):
    monkeypatch.setattr(os, "name", "nt")
    assert "'" not in quoted(name) or "'" in name
    assert "$'" not in quoted(name)


def test_plain_names_stay_as_they_are():
    assert quoted("imgs/größe_1.jpg") == "imgs/größe_1.jpg"


def test_no_program_takes_a_name_for_an_option():
    assert quoted("-k3Yt.mp4") == "./-k3Yt.mp4"


def test_text_from_outside_cannot_reach_the_terminal():
    assert visible("a\x1b[2Jb\r\n") == "a\ufffd[2Jb\ufffd\ufffd"

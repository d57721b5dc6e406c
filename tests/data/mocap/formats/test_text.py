"""Text of any program: encodings, line ends, packed and damaged files, and their bounds."""

from __future__ import annotations

import gzip

import pytest

from dancenet.data.mocap.formats.numbers import comma_meaning, number
from dancenet.data.mocap.formats.text import decode, lines_of, read_text
from dancenet.support.errors import UserError


@pytest.mark.parametrize(
    "encoding, text",
    [
        ("utf-8", "JOINT 左足"),
        ("utf-8-sig", "JOINT 左足"),
        ("utf-16", "JOINT Hüfte"),
        ("utf-16-le", "HIERARCHY\nJOINT 左足"),
        ("utf-16-be", "HIERARCHY\nJOINT 左足"),
        ("utf-32", "JOINT 左足"),
        ("cp932", "JOINT 左足\nJOINT 右ひざ"),
        ("cp932", "センター"),
        ("gbk", "左腿 右臂"),
        ("gbk", "骨盆\n脊椎"),
        ("cp949", "왼발\n오른발"),
        ("cp949", "머리 목"),
        ("cp1252", "JOINT Schlüsselbein"),
        ("cp1252", "dança à côté"),
        ("latin-1", "coração"),
    ],
)
def test_the_encoding_is_told_by_its_letters(encoding, text):
    assert decode(text.encode(encoding))[0] == text


def test_an_encoding_other_than_utf_8_is_said(tmp_path):
    (tmp_path / "a.txt").write_bytes("左足".encode("cp932"))
    assert read_text(tmp_path / "a.txt")[1] == (
        "a.txt is not UTF-8; its letters were read as Shift-JIS.",
    )
    (tmp_path / "b.txt").write_text("左足", encoding="utf-8-sig")
    assert read_text(tmp_path / "b.txt") == ("左足", ())


def test_utf_8_in_which_a_letter_was_damaged_is_still_utf_8():
    content = "左足 右足 左手".encode()
    text, encoding = decode(content[:1] + content[2:])
    assert text.endswith("右足 左手") and encoding == "UTF-8 with broken letters"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_lines_end_in_any_way(tmp_path, end):
    (tmp_path / "a.txt").write_bytes(f"a{end}b{end}".encode() + b"\0\0")
    assert read_text(tmp_path / "a.txt")[0] == "a\nb\n"


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty"),
        (b"\0\0\0\0\0", "is empty"),
        (b" \r\n", "is empty"),
        (b"PK\x03\x04x", "is a zip archive"),
        (b"BZh91", "is packed with bzip2"),
        (b"Kaydara FBX Binary", "is an FBX scene"),
        (b"x" * 2001, "holds more than 0 MiB"),
        (gzip.compress(b"x" * 1001, mtime=0), "holds more than 0 MiB"),
        (
            gzip.compress(b"x" * 500, mtime=0) + gzip.compress(b"x" * 501, mtime=0),
            "holds more than 0 MiB",
        ),
    ],
)
def test_no_text_and_too_much_text_are_one_sentence(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_text(tmp_path / "a.txt", largest=2000)


def test_gzips_in_a_row_are_one_text(tmp_path):
    whole = gzip.compress(b"a\n") + gzip.compress(b"b\n") + b"\0\0"
    (tmp_path / "a.gz").write_bytes(whole)
    assert read_text(tmp_path / "a.gz") == ("a\nb\n", ())
    (tmp_path / "a.gz").write_bytes(whole + b"junk")
    assert "cut or damaged" in read_text(tmp_path / "a.gz")[1][0]


def test_a_folder_is_no_text(tmp_path):
    with pytest.raises(UserError, match="is not a file"):
        read_text(tmp_path)


def test_lines_that_cannot_be_frames_are_counted_first():
    with pytest.raises(UserError, match="has 4,000,001 lines"):
        lines_of("a.bvh", "\n" * 4_000_001)
    with pytest.raises(UserError, match="a line of 16,777,217 characters"):
        lines_of("a.bvh", "HIERARCHY\n" + "{" * ((16 << 20) + 1))


@pytest.mark.parametrize(
    "line, meaning",
    [
        ("1 2.5", ","),
        ("1, 2.5, 3", " "),
        ("1.5,2.5", " "),
        ("0,5 1,25", "."),
        ("1,5 2.5", ","),  # it may be either
    ],
)
def test_a_comma_is_a_decimal_sign_or_separates(line, meaning):
    assert comma_meaning([line]) == meaning


@pytest.mark.parametrize("word", ["nan", "inf", "1e999", "1e10", "1_0", "٣", "²", "", "0x1", "1,5"])
def test_what_is_no_number_of_a_body_is_none(word):
    assert number(word) is None


@pytest.mark.parametrize("word, value", [("-1.5", -1.5), ("+.5", 0.5), ("1.", 1), ("1E-3", 1e-3)])
def test_numbers_are_read(word, value):
    assert number(word) == value

"""Tables of styles as spreadsheets of all countries write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from mutation import check_reader

from dancenet.data.mocap.labels import Labels
from dancenet.support.errors import UserError

TABLE = 'file,style,split\n60_*.bvh,"salsa, cubana",train\nsub/b.bvh,tango,val\n'


def table(folder: Path, content: str | bytes) -> Labels:
    path = folder / "labels.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Labels.read(path)


@pytest.mark.parametrize(
    "content",
    [
        TABLE,
        "\ufeff" + TABLE,
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("\n", "\r"),
        TABLE.replace(", ", "¤").replace(",", ";").replace("¤", ", "),
        TABLE.replace(", ", "¤").replace(",", "\t").replace("¤", ", "),
        "sep=;\n" + TABLE.replace(", ", "¤").replace(",", ";").replace("¤", ", "),
        TABLE.replace("sub/b", "sub\\b").replace("val", "VAL").replace("file,", "File,"),
        TABLE.replace("\n", ",,\n").replace(",split,,", ",split"),
        "\n" + TABLE + "\n\n",
        TABLE.encode("utf-16"),
        TABLE.encode("utf-16-le"),
    ],
)
def test_a_table_is_read_however_it_was_saved(tmp_path, content):
    known = table(tmp_path, content)
    assert known.of(Path("60_01.bvh")) == ("salsa, cubana", "train")
    assert known.of(Path("x/sub/B.BVH")) == ("tango", "val")
    assert known.of(Path("b.bvh")) == (None, None)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "cp932"])
def test_a_style_keeps_its_letters(tmp_path, encoding):
    style = "盆踊り" if encoding == "cp932" else "Schuhplattler für Männer"
    known = table(tmp_path, f"file,style\na.bvh,{style}\n".encode(encoding))
    assert known.of(Path("a.bvh")) == (style, None)


def test_a_name_with_brackets_is_a_name_first(tmp_path):
    known = table(tmp_path, "file,style\ntake[1].bvh,salsa\n")
    assert known.of(Path("take[1].bvh")) == ("salsa", None)


@pytest.mark.parametrize(
    "content, message",
    [
        ("a.bvh,salsa\nb.bvh,tango\n", "first line .* must be file,style,split"),
        ("file,style\na.bvh,salsa\na.bvh,tango\n", "Line 3 .* of a.bvh another style"),
        ("file,style\na.bvh,salsa, cubana\n", "a style with a comma stands in quotes"),
        ('file,style\na.bvh,"salsa\n' + "x" * 200_000, "Line [0-9]+ .* no line of a table"),
        (b"PK\x03\x04" + b"x" * 40, "is a zip archive and no text"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_sentence(tmp_path, content, message):
    with pytest.raises(UserError, match=message) as caught:
        table(tmp_path, content)
    assert str(caught.value).isprintable()


def test_no_table_ends_in_a_traceback(tmp_path):
    table(tmp_path, TABLE)
    check_reader(Labels.read, tmp_path / "labels.csv", seed=5)

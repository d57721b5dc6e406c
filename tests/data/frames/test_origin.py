"""A source is known by its content, whatever its name."""

from __future__ import annotations

from pathlib import Path

from dancenet.data.frames.origin import content_of


def folder_of(path: Path, letters: str) -> Path:
    """Writes a folder of files of one size, as uncompressed pictures are."""
    path.mkdir()
    for number, letter in enumerate(letters, start=1):
        (path / f"{number}.bmp").write_text(letter * 100)
    return path


def test_a_file_is_known_by_its_content(tmp_path):
    one, same, other = (tmp_path / name for name in ("a.mp4", "b.mp4", "c.mp4"))
    one.write_bytes(b"dance")
    same.write_bytes(b"dance")
    other.write_bytes(b"DANCE")
    assert content_of(one) == content_of(same) != content_of(other)
    assert content_of(one, same) != content_of(one)


def test_a_folder_is_known_by_the_content_of_its_files(tmp_path):
    first = content_of(folder_of(tmp_path / "a", "xy"))
    assert first == content_of(folder_of(tmp_path / "b", "xy"))
    assert first != content_of(folder_of(tmp_path / "c", "xz"))
    (tmp_path / "b" / ".DS_Store").write_text("notes")
    assert first == content_of(tmp_path / "b")
    (tmp_path / "b").rename(tmp_path / "moved")
    assert first == content_of(tmp_path / "moved")
    (tmp_path / "moved" / "3.bmp").write_text("z")
    assert first != content_of(tmp_path / "moved")

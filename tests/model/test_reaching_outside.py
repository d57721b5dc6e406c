"""A model is described from its own files, and an archive is written into its own folder."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from pathlib import Path

import mutation
import pytest

from dancenet.model import download, registry
from dancenet.model.config import ModelConfig
from dancenet.model.folder import ModelFolder
from dancenet.support.errors import UserError

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    folder = ModelFolder(tmp_path / "models" / "salsa_v1")
    folder.create()
    folder.write_config(ModelConfig("salsa_v1"))
    (folder / "card.md").write_text("# salsa\n", encoding="utf-8")
    folder.seal()
    return folder


def link(path: Path, target: str | Path) -> None:
    path.unlink(missing_ok=True)
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("links cannot be made here")


@pytest.mark.parametrize("name", ["config.json", "card.md", "checksums.json"])
def test_a_link_out_of_the_model_is_not_described(model, tmp_path, name):
    outside = tmp_path / "secret"
    outside.write_bytes((model / name).read_bytes())
    link(model / name, outside)
    with pytest.raises(UserError, match=f"{name} is a link out of the model"):
        registry.describe(model.path)


def test_a_link_to_nothing_or_to_itself_is_not_described(model):
    link(model / "card.md", "/nowhere/at/all")
    with pytest.raises(UserError, match="card.md is a link out of the model"):
        registry.describe(model.path)
    link(model / "card.md", "card.md")
    with pytest.raises(UserError, match=r"card.md"):
        registry.describe(model.path)


def test_a_folder_that_is_a_link_is_described_by_what_it_holds(model, tmp_path):
    link(tmp_path / "current", model.path)
    entry = registry.describe(tmp_path / "current")
    assert entry == registry.describe(model.path)
    assert entry["name"] == "salsa_v1"


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/hostname", "C:\\secret", "a/../../secret", "", "nul", "a\x1b[2J"]
)
def test_a_record_that_names_other_files_is_not_described(model, tmp_path, name):
    (model.path.parent / "secret").write_bytes(b"x")
    record = json.loads((model / "checksums.json").read_bytes())
    (model / "checksums.json").write_text(
        json.dumps({**record, name: {"size_bytes": 1, "sha256": "0" * 64}}), encoding="utf-8"
    )
    with pytest.raises(UserError, match="is not a path inside a model's folder") as refused:
        registry.describe(model.path)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("Config.json", "config.json"), "a name twice"),
        (("\u00e9.json", "e\u0301.json"), "a name twice"),
        (("a/x", "a"), "[Ee]xist|irectory"),
        (("aux.json",), "not a path inside"),
        (("seeds.npz:stream",), "not a path inside"),
        (("a\\..\\..\\b",), "not a path inside"),
        (("\\\\server\\share\\b",), "not a path inside"),
        (("config.json.",), "not a path inside"),
        (("config.json ",), "not a path inside"),
        (("a" * 300,), "not a path inside"),
        (tuple(map(str, range(20_001))), "20,001 files"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_an_archive_that_is_not_one_model_everywhere_is_refused(tmp_path, names, reason):
    archive = tmp_path / "far_v1.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in names:
            file.writestr(name, b"")
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=f"far_v1.zip was refused: .*({reason})"):
        download.unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("method", METHODS)
def test_a_spoilt_archive_is_refused_in_a_sentence_or_unpacked(tmp_path, method):
    archive = tmp_path / "far_v1.zip"
    with zipfile.ZipFile(archive, "w", method) as file:
        file.writestr("far/config.json", b"{}" * 50)
        file.writestr("far/\u00e9.npz", bytes(range(256)) * 4)

    def read(path: Path) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            download.unpack(path, Path(folder) / os.curdir)

    assert mutation.check_reader(read, archive, seed=method) > 0
    assert [path.name for path in tmp_path.iterdir()] == ["far_v1.zip"]

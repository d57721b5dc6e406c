"""The script lists, fetches and describes; how is for `dancenet.model`."""

from __future__ import annotations

import json

import pytest

from dancenet.model import registry
from dancenet.model.config import ModelConfig
from dancenet.model.folder import ModelFolder
from dancenet.support import files
from scripts import download_weights


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("work", "bundled"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("DANCENET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(registry, "bundled_folder", lambda: tmp_path / "bundled")
    return tmp_path


def release(home, name="far_v1"):
    """Describes a sealed folder in the registry, and serves it from there."""
    source = home / "source" / name
    source.mkdir(parents=True)
    ModelFolder(source).write_config(ModelConfig(name=name))
    files.write_text(source / "card.md", "# a model\n")
    ModelFolder(source).seal()
    assert download_weights.main(["--describe", str(source)]) == 0
    return source


def test_a_described_model_can_be_registered_listed_and_fetched(home, capsys, monkeypatch):
    source = release(home)
    entry = json.loads(capsys.readouterr().out)
    assert {file["path"] for file in entry["files"]} == {"config.json", "checksums.json", "card.md"}
    entry["description"] = "a dancer from afar"
    for file in entry["files"]:
        file["urls"] = [(source / file["path"]).as_uri()]
    files.write_json(home / "bundled" / "registry.json", {"format": 1, "models": [entry]})

    assert download_weights.main([]) == 0
    header, row, *last = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in last] == ["dancenet-2018", "people"]
    assert header.split() == ["model", "where", "size", "what"]
    assert row.split()[:2] == ["far_v1", "remote"] and row.endswith("a dancer from afar")

    assert download_weights.main(["far_v1"]) == 0
    assert str(home / "cache" / "models" / "far_v1") in capsys.readouterr().out
    assert download_weights.main([]) == 0
    assert "downloaded" in capsys.readouterr().out


def test_an_unknown_name_is_one_sentence(home, capsys):
    files.write_json(home / "bundled" / "registry.json", {"format": 1, "models": []})
    assert download_weights.main(["nothing"]) == 1
    assert "There is no model nothing; there are none yet." in capsys.readouterr().err


def test_a_damaged_folder_is_not_described(home, capsys):
    source = release(home)
    (source / "config.json").write_text("{}")
    assert download_weights.main(["--describe", str(source)]) == 1
    assert "config.json" in capsys.readouterr().err

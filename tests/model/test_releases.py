"""A model is found by name, fetched whole or not at all, and never unpacked outside its folder."""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from loopback import Site, serving

from dancenet.model import download, registry, releases
from dancenet.model.config import ModelConfig
from dancenet.model.folder import ModelFolder
from dancenet.support import arrays, files
from dancenet.support.errors import UserError
from dancenet.support.names import quoted


@pytest.fixture
def site():
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty working directory, cache and set of bundled models."""
    for name in ("work", "cache", "bundled"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("DANCENET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv(registry.URL_VARIABLE, raising=False)
    monkeypatch.setattr(registry, "bundled_folder", lambda: tmp_path / "bundled")
    write_registry(tmp_path / "bundled")
    return tmp_path


def write_registry(folder: Path, *entries: dict) -> None:
    files.write_json(folder / "registry.json", {"format": 1, "models": list(entries)})


def make_model(path: Path) -> Path:
    """A folder that is sealed as a model is; what its files hold does not matter here."""
    path.mkdir(parents=True)
    folder = ModelFolder(path)
    folder.write_config(ModelConfig(name=path.name))
    arrays.write_npz(folder / "seeds.npz", vectors=np.random.default_rng(0).normal(size=(300, 9)))
    files.write_text(folder / "card.md", "# a model\n")
    folder.seal()
    return path


def publish(home: Path, *mirrors: Site) -> dict[str, bytes]:
    """Registers the model `far_v1` at every mirror, and returns its files by their path there."""
    source = make_model(home / "source" / "far_v1")
    entry = registry.describe(source)
    contents = {}
    for file in entry["files"]:
        file["urls"] = [f"{mirror.url}/{file['path']}" for mirror in mirrors]
        contents[f"/{file['path']}"] = (source / file["path"]).read_bytes()
    for mirror in mirrors:
        mirror.pages.update(contents)
    write_registry(home / "bundled", entry)
    return contents


def publish_archive(home: Path, site: Site, archive: Path) -> None:
    site.pages["/far_v1.zip"] = archive.read_bytes()
    write_registry(
        home / "bundled",
        {
            "name": "far_v1",
            "description": "",
            "archive": {
                "path": "far_v1.zip",
                "size_bytes": archive.stat().st_size,
                "sha256": files.sha256_of(archive),
                "urls": [f"{site.url}/far_v1.zip"],
            },
        },
    )


def leftovers(home: Path) -> list[str]:
    return [str(path.relative_to(home / "cache")) for path in (home / "cache").rglob("*.*")]


def test_the_registry_of_this_version_can_be_read(monkeypatch):
    monkeypatch.undo()
    releases_by_name = registry.read_registry()
    assert releases_by_name["silhouette_v2"].bundled


def test_every_released_name_ends_in_a_version(monkeypatch):
    monkeypatch.undo()
    assert all(name.rpartition("_v")[2].isdigit() for name in registry.read_registry())


def test_a_folder_comes_before_a_name(home):
    make_model(home / "work" / "weights" / "salsa")
    given = make_model(home / "elsewhere" / "salsa")
    assert releases.find_model(given) == given
    assert releases.find_model("salsa").resolve() == home / "work" / "weights" / "salsa"


def test_a_model_is_looked_for_here_then_bundled_then_downloaded(home):
    downloaded = make_model(home / "cache" / "models" / "salsa")
    assert releases.find_model("salsa") == downloaded
    bundled = make_model(home / "bundled" / "salsa")
    assert releases.find_model("salsa") == bundled
    make_model(home / "work" / "weights" / "salsa")
    assert releases.find_model("salsa") == Path("weights/salsa")


def test_an_unknown_name_lists_those_there_are(home):
    make_model(home / "work" / "weights" / "salsa")
    with pytest.raises(UserError, match="no model polka; there are salsa"):
        releases.find_model("polka")


def test_a_folder_without_a_configuration_is_not_a_model(home):
    (home / "work" / "pictures" / "a").mkdir(parents=True)
    with pytest.raises(UserError, match="pictures/a is not a whole model: it has no config.json"):
        releases.find_model("pictures/a")
    (home / "work" / "salsa").mkdir()
    with pytest.raises(UserError, match="salsa is not a whole model: it has no config.json"):
        releases.find_model("salsa")


def test_a_model_that_is_not_here_yet_says_how_to_fetch_it(home, site):
    publish(home, site)
    with pytest.raises(UserError, match="download_weights.py far_v1"):
        releases.find_model("far_v1")


def test_a_bundled_model_that_is_missing_says_so(home):
    write_registry(home / "bundled", {"name": "near_v1", "description": "", "bundled": True})
    for look in (releases.find_model, download.fetch):
        with pytest.raises(UserError, match="near_v1 is missing; restore it"):
            look("near_v1")


def test_a_bundled_model_needs_no_network(home):
    write_registry(home / "bundled", {"name": "near_v1", "description": "", "bundled": True})
    path = make_model(home / "bundled" / "near_v1")
    assert download.fetch("near_v1") == path


def test_a_fetched_model_is_the_published_one(home, site):
    contents = publish(home, site)
    path = download.fetch("far_v1")
    assert path == home / "cache" / "models" / "far_v1" == releases.find_model("far_v1")
    assert {f"/{file.name}": file.read_bytes() for file in path.iterdir()} == contents
    assert [folder.name for folder in path.parent.iterdir()] == ["far_v1"]


def test_a_model_that_was_fetched_is_not_fetched_again(home, site):
    publish(home, site)
    download.fetch("far_v1")
    site.asked.clear()
    download.fetch("far_v1")
    assert site.asked == []


def test_a_damaged_download_is_fetched_again(home, site, capsys):
    publish(home, site)
    path = download.fetch("far_v1")
    (path / "seeds.npz").write_bytes(b"damaged")
    download.fetch("far_v1")
    ModelFolder(path).check()
    assert "fetched again" in capsys.readouterr().err


def test_an_interrupted_download_is_continued(home, site):
    contents = publish(home, site)
    site.cut_after = 10_000
    with pytest.raises(UserError, match="Run this again to continue"):
        download.fetch("far_v1")
    assert not (home / "cache" / "models" / "far_v1").exists()
    site.cut_after = None
    site.asked.clear()
    path = download.fetch("far_v1")
    assert ("/seeds.npz", "bytes=8192-") in site.asked
    assert (path / "seeds.npz").read_bytes() == contents["/seeds.npz"]


def test_a_site_without_range_support_sends_the_whole_file(home, site):
    contents = publish(home, site)
    site.cut_after = 10_000
    with pytest.raises(UserError):
        download.fetch("far_v1")
    site.cut_after, site.ranges = None, False
    assert (download.fetch("far_v1") / "seeds.npz").read_bytes() == contents["/seeds.npz"]


def test_altered_bytes_are_refused_and_removed(home, site):
    contents = publish(home, site)
    page = bytearray(contents["/seeds.npz"])
    page[50] ^= 1
    site.pages["/seeds.npz"] = bytes(page)
    with pytest.raises(UserError, match="seeds.npz.*not the released ones"):
        download.fetch("far_v1")
    assert not any("seeds" in name for name in leftovers(home))


def test_a_page_longer_than_the_file_is_refused(home, site):
    contents = publish(home, site)
    site.pages["/seeds.npz"] = contents["/seeds.npz"] * 2
    with pytest.raises(UserError, match="more than the"):
        download.fetch("far_v1")


def test_the_next_mirror_is_tried_and_every_failure_named(home, site):
    with serving() as other:
        contents = publish(home, other, site)
        other.pages.clear()
        assert (download.fetch("far_v1") / "card.md").read_bytes() == contents["/card.md"]
        site.pages.clear()
        (home / "cache" / "models" / "far_v1" / "config.json").unlink()
        with pytest.raises(UserError, match=f"{other.url}/.*404 Not Found; {site.url}/.*404"):
            download.fetch("far_v1")


def test_a_site_that_is_not_there_is_one_sentence(home, site):
    publish(home, site)
    entry = json.loads((home / "bundled" / "registry.json").read_text())["models"][0]
    for file in entry["files"]:
        file["urls"] = ["http://127.0.0.1:1/nothing"]
    write_registry(home / "bundled", entry)
    with pytest.raises(UserError, match="no connection"):
        download.fetch("far_v1")


def test_the_variable_names_another_place(home, site, monkeypatch):
    contents = publish(home)
    site.pages = {f"/base/far_v1{path}": page for path, page in contents.items()}
    monkeypatch.setenv(registry.URL_VARIABLE, f"{site.url}/base/")
    assert (download.fetch("far_v1") / "card.md").read_bytes() == contents["/card.md"]


def test_the_variable_may_name_a_folder(home, monkeypatch):
    contents = publish(home)
    monkeypatch.setenv(registry.URL_VARIABLE, (home / "source").as_uri())
    assert (download.fetch("far_v1") / "card.md").read_bytes() == contents["/card.md"]


def test_an_address_of_another_kind_is_refused(home, monkeypatch):
    publish(home)
    monkeypatch.setenv(registry.URL_VARIABLE, "ftp://somewhere")
    with pytest.raises(UserError, match="neither https://, http:// nor file://"):
        download.fetch("far_v1")


@pytest.mark.parametrize("top", ["", "far_v1/"])
def test_an_archive_is_unpacked_into_the_models_folder(home, site, top):
    source = make_model(home / "source" / "far_v1")
    archive = home / "far_v1.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in source.iterdir():
            file.write(path, top + path.name)
    publish_archive(home, site, archive)
    path = download.fetch("far_v1")
    ModelFolder(path).check()
    assert {file.name for file in path.iterdir()} == {file.name for file in source.iterdir()}
    assert [folder.name for folder in path.parent.iterdir()] == ["far_v1"]


def _link(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("../escaped.txt", b"x", "is not a path inside"),
        ("a/../../escaped.txt", b"x", "is not a path inside"),
        ("/escaped.txt", b"x", "is not a path inside"),
        ("C:/escaped.txt", b"x", "is not a path inside"),
        (_link("config.json"), b"/etc/passwd", "is not a plain file"),
        ("seeds.npz", bytes(20_000_000), "far more than a model has"),
    ],
)
def test_an_archive_that_reaches_outside_is_refused(home, site, member, content, message):
    archive = home / "far_v1.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("card.md", b"# a model")
        file.writestr(member, content)
    publish_archive(home, site, archive)
    with pytest.raises(UserError, match=message):
        download.fetch("far_v1")
    assert leftovers(home) == []
    assert not list(home.rglob("escaped.txt"))


def test_an_archive_with_a_name_twice_is_refused(home, tmp_path):
    archive = tmp_path / "twice.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", b"1")
        file.writestr("./a.txt", b"2")
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="a name twice"):
        download.unpack(archive, tmp_path / "out")


def test_a_file_that_is_not_a_zip_is_refused(tmp_path):
    (tmp_path / "page.zip").write_bytes(b"<html>")
    with pytest.raises(UserError, match="page.zip was refused"):
        download.unpack(tmp_path / "page.zip", tmp_path)


def test_a_registry_with_an_unknown_key_names_it(tmp_path):
    write_registry(tmp_path, {"name": "a_v1", "description": "", "colour": "red"})
    with pytest.raises(UserError, match="colour"):
        registry.read_registry(tmp_path / "registry.json")


def test_a_registry_entry_may_not_leave_its_folder(tmp_path):
    entry = {"path": "../a", "size_bytes": 1, "sha256": hashlib.sha256(b"a").hexdigest()}
    write_registry(tmp_path, {"name": "a_v1", "description": "", "files": [entry]})
    with pytest.raises(UserError, match="not a path inside"):
        registry.read_registry(tmp_path / "registry.json")


def test_the_list_says_where_each_model_is(home, site):
    publish(home, site)
    make_model(home / "work" / "weights" / "salsa")
    places = {model.name: model.place for model in releases.list_models()}
    assert places == {"far_v1": "remote", "salsa": "yours"}
    download.fetch("far_v1")
    assert {model.name: model.place for model in releases.list_models()}["far_v1"] == "downloaded"


@pytest.mark.parametrize("name", ["a b", "it's", "\x1b[2J"])
def test_a_model_that_is_not_there_is_named_so_that_it_can_be_pasted(name):
    with pytest.raises(UserError) as caught:
        releases.find_model(name)
    assert str(caught.value).startswith(f"There is no model {quoted(name)};")

"""The archive of 2018 is fetched, checked and imported, or refused; Drive is a site on loopback."""

from __future__ import annotations

import builtins
import hashlib
import io
import json
import zipfile

import numpy as np
import pytest

pytest.importorskip("keras", reason="the import needs the extra 'train'")
pytest.importorskip("keras_mdn_layer", reason="the import needs the extra 'train'")

import files_2018 as old
from loopback import serving

from dancenet.legacy import download, import_model
from dancenet.model import releases
from dancenet.model.folder import ModelFolder
from dancenet.support.errors import UserError
from scripts import download_weights, generate_video

FIRST = f"/uc?export=download&id={download.FILE_ID}"
CONFIRMED = f"/download?id={download.FILE_ID}&export=download&confirm=t&uuid=7"
HTML = "text/html; charset=utf-8"
QUOTA = b"""<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title>
<style>form {}</style></head><body><p class="uc-error-caption">Sorry, you can't view or download
this file at this time.</p><p>Too many users have viewed or downloaded this file recently.</p>
</body></html>"""


def form(action, method="get"):
    return f"""<html><head><title>Google Drive - Virus scan warning</title></head><body>
<form id="search"></form><input type="hidden" name="other" value="1">
<form id="download-form" action="{action}" method="{method}">
<input type="submit" id="uc-download-link" value="Download anyway"/>
<input type="hidden" name="id" value="{download.FILE_ID}">
<input type="hidden" name="export" value="download">
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="7">
</form></body></html>""".encode()


def pack(members, seed=b""):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, value in members.items():
            file.writestr(name, value)
        file.comment = seed
    return content.getvalue()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def members(tmp_path):
    """The files as an archive may have them: in a folder of its own, with things beside."""
    paths = old.write_all(tmp_path)
    return {
        "Dance Weights/": b"",
        **{f"Dance Weights/{path.name}": path.read_bytes() for path in paths},
        "Dance Weights/README.txt": b"hello",
        "__MACOSX/Dance Weights/._lv.npy": b"\0\5\26\7",
    }


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder for the models that are imported once; `test_import_model.py` imports them anew."""
    return tmp_path_factory.mktemp("imported")


@pytest.fixture
def drive(tmp_path, monkeypatch, kept):
    """A site in place of Drive, an empty home, and the small network for that of 2018."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("DANCENET_CACHE", str(tmp_path / "cache"))
    old.accept(monkeypatch, old.VAE)
    old.import_once(monkeypatch, kept)
    with serving() as site:
        monkeypatch.setattr(download, "ADDRESS", f"{site.url}/uc")
        yield site


def fetch(*arguments):
    return download_weights.main([releases.ORIGINAL, *arguments])


def left(tmp_path):
    """Returns what lies in the cache beside a whole model."""
    cache = tmp_path / "cache"
    return sorted(str(p.relative_to(cache)) for p in cache.rglob("*") if p.is_file())


def test_a_good_archive_is_imported_and_its_hash_kept(drive, members, tmp_path, capsys):
    drive.pages[FIRST] = content = pack(members)
    assert fetch() == 0
    said = capsys.readouterr().out
    assert f"This one's is {sha256(content)}; it is kept" in said
    assert json.loads((tmp_path / "cache" / download.HASHES).read_text()) == {
        "dancenet-2018": sha256(content)
    }
    path = releases.find_model("dancenet-2018")
    assert path == tmp_path / "cache" / "models" / "dancenet-2018"
    ModelFolder(path).check()
    assert [folder.name for folder in path.parent.iterdir()] == ["dancenet-2018"]
    words = ["--model", "dancenet-2018", "--seconds", "0.5", "--scale", "2", "-o", "a.gif"]
    assert generate_video.main(words) == 0
    drive.asked.clear()
    assert fetch() == 0 and drive.asked == []
    assert "is complete, in" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_form_of_a_large_file_is_confirmed(drive, members, method):
    # Both ways that Drive has written it: the fields on the page, or in the address.
    drive.pages[CONFIRMED] = pack(members)
    page = form(f"{drive.url}/download")
    if method == "post":
        page = (
            f'<form action="{drive.url}{CONFIRMED.replace("&", "&amp;")}" id="download-form" '
            'method="post"><input type="submit" value="Download anyway"/></form>'
        ).encode()
    drive.pages[FIRST], drive.kinds[FIRST] = page, HTML
    assert download.fetch().name == "dancenet-2018"
    assert [path for path, _ in drive.asked] == [FIRST, CONFIRMED]


def test_a_form_that_leads_elsewhere_is_not_sent(drive):
    drive.pages[FIRST], drive.kinds[FIRST] = form("http://example.org/download"), HTML
    with pytest.raises(UserError, match="leads to example.org, which is not Google's"):
        download.fetch()
    drive.pages[FIRST] = form("https://googleusercontent.com.example.org/download")
    with pytest.raises(UserError, match="leads to googleusercontent.com.example.org"):
        download.fetch()


def test_a_form_that_comes_again_is_an_error(drive):
    drive.pages[FIRST] = drive.pages[CONFIRMED] = form(f"{drive.url}/download")
    drive.kinds = {FIRST: HTML, CONFIRMED: HTML}
    with pytest.raises(UserError, match="asks again and again"):
        download.fetch()


@pytest.mark.parametrize("status", [200, 403])
def test_a_page_that_says_the_quota_is_used_up_is_not_taken_for_the_file(
    drive, tmp_path, capsys, status
):
    drive.pages[FIRST], drive.kinds[FIRST], drive.statuses[FIRST] = QUOTA, HTML, status
    assert fetch() == 1
    said = capsys.readouterr().err
    assert "quota for it is used up" in said and "within 24 hours" in said
    assert "import_legacy.py" in said
    assert left(tmp_path) == []


def test_another_page_in_place_of_the_file_is_named_by_its_title(drive, tmp_path):
    drive.pages[FIRST] = b"<title>Sign\n in</title><form id='login' action='/x'></form>"
    drive.kinds[FIRST] = HTML
    with pytest.raises(UserError, match=r"a page in place of the file \('Sign in'\)"):
        download.fetch()
    with pytest.raises(UserError, match=r"'Sign in'"):
        download.fetch()
    assert left(tmp_path) == []


def test_a_file_that_is_gone_and_a_site_that_is_down_are_one_sentence(drive, monkeypatch):
    with pytest.raises(UserError, match="Error response|404"):
        download.fetch()
    monkeypatch.setattr(download, "ADDRESS", "http://127.0.0.1:1/uc")
    with pytest.raises(UserError, match="no connection"):
        download.fetch()


def test_an_interrupted_download_is_continued(drive, members, tmp_path):
    drive.pages[FIRST] = content = pack(members)
    drive.cut_after = 20_000
    with pytest.raises(UserError, match="broke off.*Run this again to go on"):
        download.fetch()
    assert not (tmp_path / "cache" / download.HASHES).exists()
    drive.cut_after = None
    drive.asked.clear()
    download.fetch()
    assert len(content) > 20_000 and drive.asked == [(FIRST, "bytes=16384-")]


def test_a_partial_file_that_does_not_match_is_removed(drive, members, tmp_path):
    drive.pages[FIRST] = content = pack(members)
    partial = tmp_path / "cache/models/.dancenet-2018.fetching/dancenet-2018.zip.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(content + b"more")
    download.fetch()
    # A wrong start is detected by the archive's own checksums, and removed.
    (tmp_path / "cache/models/dancenet-2018/config.json").unlink()
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"?" * 5000)
    with pytest.raises(UserError, match="expected|refused"):
        download.fetch()
    assert download.fetch().name == "dancenet-2018"


@pytest.mark.parametrize("share", [0.3, 0.999])
def test_an_archive_that_was_published_cut_is_refused_and_its_hash_not_kept(
    drive, members, tmp_path, capsys, share
):
    content = pack(members)
    drive.pages[FIRST] = content[: int(share * len(content))]
    assert fetch() == 1
    assert "dancenet-2018.zip was refused" in capsys.readouterr().err
    assert left(tmp_path) == []
    drive.pages[FIRST] = content
    assert fetch() == 0


def test_another_archive_than_the_first_is_refused(drive, members, tmp_path):
    first, second = pack(members), pack(members, b"altered")
    drive.pages[FIRST] = first
    path = download.fetch()
    (path / "config.json").unlink()
    drive.pages[FIRST] = second
    with pytest.raises(UserError, match=f"expected {sha256(first)}, got {sha256(second)}"):
        download.fetch()
    assert not (path / "config.json").exists()
    # The person knows better, and that is what is known from then on.
    assert download.fetch(sha256(second)) == path
    (path / "config.json").unlink()
    assert download.fetch() == path


def test_a_given_hash_must_match(drive, members, tmp_path, capsys):
    drive.pages[FIRST] = content = pack(members)
    assert fetch("--sha256", "0" * 64) == 1
    assert f"expected {'0' * 64}, got {sha256(content)}" in capsys.readouterr().err
    assert left(tmp_path) == []
    assert fetch("--sha256", sha256(content).upper()) == 0
    assert "Nobody has published" not in capsys.readouterr().out
    drive.asked.clear()
    assert fetch("--sha256", "1" * 64) == 1  # the model that is here is not that one
    assert drive.asked != []
    ModelFolder(releases.find_model("dancenet-2018")).check()


def test_an_invalid_hash_is_refused_before_anything_is_fetched(drive, capsys):
    assert fetch("--sha256", "abc") == 1
    assert "64 hexadecimal digits; received 'abc'" in capsys.readouterr().err
    assert download_weights.main(["silhouette_v2", "--sha256", "0" * 64]) == 1
    assert "--sha256 is for dancenet-2018" in capsys.readouterr().err
    assert drive.asked == []


@pytest.mark.parametrize("name", ["../lv.npy", "a/../../lv.npy", "/lv.npy"])
def test_an_archive_that_reaches_outside_is_refused(drive, members, tmp_path, name, capsys):
    drive.pages[FIRST] = pack({**members, name: b"outside"})
    before = set(tmp_path.rglob("*"))
    assert fetch() == 1
    assert "is not a path inside" in capsys.readouterr().err
    assert {p for p in set(tmp_path.rglob("*")) - before if p.is_file()} == set()


def test_the_files_are_recognised_by_their_content(drive, members):
    drive.pages[FIRST] = pack(
        {
            "deep/down/a.H5": members["Dance Weights/vae_cnn.h5"],
            "b.hdf5": members["Dance Weights/gendance.h5"],
            "other/c.npy": members["Dance Weights/lv.npy"],
            "other/d.npy": _array(np.zeros((3, 7), np.float32)),
            "other/e.h5": b"no HDF5",
        }
    )
    assert download.fetch().name == "dancenet-2018"


def test_among_several_matching_files_the_one_with_the_name_of_2018_is_taken(
    drive, members, tmp_path
):
    older = old.write(tmp_path / "older.h5", old.dancer_groups(), full=False).read_bytes()
    taken = members["Dance Weights/gendance.h5"]
    assert older != taken
    drive.pages[FIRST] = pack({"a/older.h5": older, **members, "z/older.h5": older})
    config = ModelFolder(download.fetch()).read_config()
    assert config.training["imported"]["sha256"]["dancer"] == sha256(taken)


def test_several_matching_files_or_none_are_named(drive, members):
    dancer = members.pop("Dance Weights/gendance.h5")
    drive.pages[FIRST] = pack({**members, "one.h5": dancer, "two.h5": dancer})
    with pytest.raises(UserError, match="2 files that could be gendance.h5 of 2018: one.h5, two"):
        download.fetch()
    drive.pages[FIRST] = pack(members)
    with pytest.raises(UserError, match="no files that could be gendance.h5.*Dance Weights/READM"):
        download.fetch()


def test_a_damaged_model_is_fetched_again(drive, members, capsys):
    drive.pages[FIRST] = pack(members)
    path = download.fetch()
    (path / "step.onnx").write_bytes(b"damaged")
    download.fetch()
    ModelFolder(path).check()
    assert "It is fetched again" in capsys.readouterr().err


def test_a_too_large_archive_is_refused(drive, members, monkeypatch, tmp_path):
    monkeypatch.setattr(download, "_LARGEST_ARCHIVE", 10_000)
    drive.pages[FIRST] = pack(members)
    with pytest.raises(UserError, match="more than 10,000 bytes"):
        download.fetch()
    assert left(tmp_path) == []


def test_without_keras_nothing_is_fetched(drive, monkeypatch, capsys):
    real_import = builtins.__import__

    def no_keras(name, globals=None, locals=None, fromlist=(), level=0):
        if name == "dancenet.legacy.import_model":
            raise ModuleNotFoundError("No module named 'keras'", name="keras")
        return real_import(name, globals, locals, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", no_keras)
    assert fetch() == 1
    said = capsys.readouterr().err
    assert "needs the package 'keras'" in said and "dancenet[train]" in said
    assert said.count("\n") == 1 and drive.asked == []


def test_a_record_of_hashes_that_was_edited_is_named(drive, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / download.HASHES).write_text("[1]")
    with pytest.raises(UserError, match="is not a record of known archives; remove it"):
        download.fetch()


def test_it_is_listed_and_found_before_it_is_fetched(drive, capsys):
    assert download_weights.main([]) == 0
    assert "dancenet-2018  remote" in capsys.readouterr().out
    with pytest.raises(UserError, match="fetch it with `python scripts/download_weights.py dance"):
        releases.find_model("dancenet-2018")


def test_a_failed_import_keeps_the_old_model(drive, members, monkeypatch):
    drive.pages[FIRST] = pack(members)
    path = download.fetch()
    (path / "step.onnx").write_bytes(b"damaged")

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(import_model, "import_model", stop)
    with pytest.raises(KeyboardInterrupt):
        download.fetch()
    assert (path / "config.json").exists()
    assert [folder.name for folder in path.parent.iterdir()] == ["dancenet-2018"]


def _array(value):
    content = io.BytesIO()
    np.save(content, value)
    return content.getvalue()

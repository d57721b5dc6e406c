"""A network is found by file, address or name; an address keeps the hash of its first download."""

from __future__ import annotations

import json

import pytest
from loopback import serving

from dancenet.data.people.keypoints import files
from dancenet.data.people.keypoints.files import find_network
from dancenet.support.errors import UserError
from dancenet.support.files import cache_folder, sha256_of

CONTENT = b"\x1c\0\0\0TFL3" + bytes(500)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DANCENET_CACHE", str(tmp_path / "cache"))


def test_a_file_of_the_users_is_taken_as_it_is(tmp_path):
    path = tmp_path / "my.tflite"
    path.write_bytes(CONTENT)
    assert find_network(str(path)) == path


def test_the_first_download_is_trusted_and_the_next_must_be_the_same(capsys, monkeypatch):
    with serving() as site:
        site.pages["/net"] = CONTENT
        monkeypatch.setitem(files.ADDRESSES, "lightning", site.url + "/net")
        path = find_network("lightning")
        found = sha256_of(path)
        assert found in capsys.readouterr().out
        assert find_network(site.url + "/net") == path
        assert len(site.asked) == 1 and capsys.readouterr().out == ""
        path.write_bytes(b"damaged")
        assert sha256_of(find_network("Lightning")) == found
        path.unlink()
        site.pages["/net"] = CONTENT + b"!"
        with pytest.raises(UserError, match=f"expected SHA-256 {found}"):
            find_network("lightning")
        assert not path.exists()
        assert json.loads((cache_folder() / files.HASHES).read_text()) == {site.url + "/net": found}


def test_what_cannot_be_fetched_is_one_sentence_and_leaves_nothing():
    with serving() as site:
        site.pages["/page"] = b"<html>not found, but kindly</html>"
        with pytest.raises(UserError, match="404"):
            find_network(site.url + "/nothing")
        with pytest.raises(UserError, match="no network of the LiteRT format"):
            find_network(site.url + "/page")
    with pytest.raises(UserError, match="could not be fetched"):
        find_network(site.url + "/page")
    assert not list(cache_folder().glob("*"))


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no network at .*lightning, thunder, multipose"):
        find_network(str(tmp_path / "none.tflite"))


def test_a_damaged_record_of_hashes_is_said():
    cache_folder().mkdir()
    (cache_folder() / files.HASHES).write_text("[1]")
    with serving() as site, pytest.raises(UserError, match="not a record of known networks"):
        find_network(site.url + "/net")

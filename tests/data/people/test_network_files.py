"""The networks are fetched once and checked, from an address or out of a package; and opened."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from films import SHARED
from kill import check_full_disk, check_kills, content_of, needs_fork
from loopback import serving
from mutation import MANY, check_reader

from dancenet.data.people import landmarks, litert, network_files
from dancenet.data.people.litert import LiteNetwork
from dancenet.data.people.network_files import DETECTOR, LANDMARKS, fetch, find
from dancenet.model.registry import URL_VARIABLE, RemoteFile
from dancenet.support.errors import MissingExtra, UserError
from scripts import download_weights

MODELS = SHARED / "models"
CONTENT = {name: os.urandom(3000) for name in (DETECTOR.path, LANDMARKS.path)}
needs_networks = pytest.mark.skipif(not MODELS.exists(), reason="../shared/models is absent")


def remote(name: str, *urls: str) -> RemoteFile:
    content = CONTENT[name]
    return RemoteFile(name, len(content), hashlib.sha256(content).hexdigest(), urls)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DANCENET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.setattr(network_files, "_run_pip", lambda place: "pip is not asked here")
    return tmp_path / "cache"


@pytest.fixture
def site():
    with serving() as running:
        running.pages = {f"/{name}": content for name, content in CONTENT.items()}
        yield running


def package(monkeypatch, members: dict[str, bytes]) -> list[Path]:
    """Lets pip fetch a package with these members; returns the folders it was asked to fill."""
    asked = []

    def run(place):
        asked.append(place)
        with zipfile.ZipFile(place / "mediapipe-0.whl", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(network_files._MEMBERS[name], content)
        return ""

    monkeypatch.setattr(network_files, "_run_pip", run)
    return asked


def test_the_right_bytes_are_kept_and_not_fetched_twice(site, home):
    network = remote(LANDMARKS.path, f"{site.url}/{LANDMARKS.path}")
    assert fetch([network]) == [home / LANDMARKS.path]
    assert find(network).read_bytes() == CONTENT[LANDMARKS.path]
    assert len(site.asked) == 1


def test_an_altered_file_in_the_cache_is_fetched_again(site, home):
    home.mkdir()
    (home / LANDMARKS.path).write_bytes(b"altered")
    network = remote(LANDMARKS.path, f"{site.url}/{LANDMARKS.path}")
    assert find(network).read_bytes() == CONTENT[LANDMARKS.path]


def test_wrong_bytes_are_refused_and_not_kept(site, home):
    site.pages[f"/{LANDMARKS.path}"] = b"x" * 3000
    with pytest.raises(UserError, match=r"SHA-256 differs.*Check the connection .*model_file"):
        find(remote(LANDMARKS.path, f"{site.url}/{LANDMARKS.path}"))
    assert not list(home.glob("*.tflite*"))


def test_what_has_no_address_comes_out_of_the_package_and_only_that(site, home, monkeypatch):
    asked = package(monkeypatch, CONTENT)
    paths = fetch([remote(DETECTOR.path), remote(LANDMARKS.path, f"{site.url}/{LANDMARKS.path}")])
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert len(site.asked) == len(asked) == 1
    assert sorted(entry.name for entry in home.iterdir()) == sorted(CONTENT)


def test_where_the_address_is_out_of_reach_the_package_is_taken(home, monkeypatch):
    package(monkeypatch, CONTENT)
    network = remote(LANDMARKS.path, "http://127.0.0.1:9/m.tflite")
    assert find(network).read_bytes() == CONTENT[LANDMARKS.path]


@pytest.mark.parametrize(
    ("members", "why"),
    [
        (
            {DETECTOR.path: b"other" * 600},
            f"its {DETECTOR.path} has another SHA-256 than the known one",
        ),
        (
            {DETECTOR.path: bytes(50_000_000)},
            f"its {DETECTOR.path} has another SHA-256 than the known one",
        ),
        ({}, f"it has no {DETECTOR.path}"),
    ],
)
def test_a_package_with_other_content_is_refused(home, monkeypatch, members, why):
    package(monkeypatch, members)
    with pytest.raises(UserError, match=f"is damaged \\({why}.*Check the connection"):
        find(remote(DETECTOR.path))
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("spoil", ["cut", "garbage", "nothing"])
def test_a_damaged_package_is_one_sentence(home, monkeypatch, spoil):
    package(monkeypatch, CONTENT)
    whole = network_files._run_pip

    def run(place):
        whole(place)
        path = place / "mediapipe-0.whl"
        content = path.read_bytes()
        if spoil == "nothing":
            path.unlink()
        else:
            path.write_bytes(content[:-40] if spoil == "cut" else bytes(len(content)))
        return ""

    monkeypatch.setattr(network_files, "_run_pip", run)
    with pytest.raises(UserError, match=r"is damaged|pip fetched 0 packages"):
        find(remote(DETECTOR.path))


def test_without_pip_and_without_a_connection_every_reason_is_told(monkeypatch, home):
    def run(command, **_):
        return subprocess.CompletedProcess(command, 1, "", f"{command[0]}: No module named pip\n")

    monkeypatch.undo()
    monkeypatch.setenv("DANCENET_CACHE", str(home))
    monkeypatch.setattr(network_files.subprocess, "run", run)
    with pytest.raises(UserError, match=r"m\.tflite: no connection.*; pip, which .* not installed"):
        find(remote(LANDMARKS.path, "http://127.0.0.1:9/m.tflite"))


def test_pip_is_asked_for_data_of_any_platform_and_its_error_is_passed_on(monkeypatch, tmp_path):
    asked = []

    def run(command, **options):
        asked.append(command)
        return subprocess.CompletedProcess(command, 1, "", "WARNING: old\nERROR: No route.\nmore\n")

    monkeypatch.undo()
    monkeypatch.setattr(network_files.subprocess, "run", run)
    assert network_files._run_pip(tmp_path).endswith("(No route)")
    (command,) = asked
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", str(tmp_path), "mediapipe==0.10.21"} <= {*command}


def test_another_place_replaces_the_address_and_the_package(site, home, monkeypatch):
    monkeypatch.setenv(URL_VARIABLE, f"{site.url}/mirror/")
    site.pages = {f"/mirror/people/{LANDMARKS.path}": CONTENT[LANDMARKS.path]}
    asked = package(monkeypatch, CONTENT)
    network = remote(LANDMARKS.path, "http://127.0.0.1:9/m.tflite")
    assert find(network).read_bytes() == CONTENT[LANDMARKS.path]
    with pytest.raises(UserError, match=f"people/{DETECTOR.path}: 404"):
        find(remote(DETECTOR.path))
    assert asked == []


def test_a_copy_is_found_as_a_file_and_in_a_folder(tmp_path):
    copy = tmp_path / f"mediapipe_{DETECTOR.path}"
    copy.write_bytes(b"mine")
    assert find(DETECTOR, copy) == find(DETECTOR, tmp_path) == copy
    with pytest.raises(UserError, match=f"holds no {LANDMARKS.path}"):
        find(LANDMARKS, tmp_path)
    with pytest.raises(UserError, match="There is no network at .*none.tflite"):
        find(LANDMARKS, tmp_path / "none.tflite")


@needs_fork
def test_a_killed_download_is_whole_after_the_next(tmp_path):
    for name, content in CONTENT.items():
        (tmp_path / name).write_bytes(content)
    networks = [remote(name, (tmp_path / name).as_uri()) for name in CONTENT]

    def work(cache: Path) -> None:
        os.environ["DANCENET_CACHE"] = str(cache)  # put back by the fixture of every test
        fetch(networks)

    assert check_kills(tmp_path / "caches", lambda cache: None, work) > 5


def test_a_full_disk_ends_a_download_in_a_sentence(tmp_path):
    (tmp_path / LANDMARKS.path).write_bytes(CONTENT[LANDMARKS.path])
    network = remote(LANDMARKS.path, (tmp_path / LANDMARKS.path).as_uri())

    def work(cache: Path) -> None:
        os.environ["DANCENET_CACHE"] = str(cache)
        fetch([network])

    def read(cache: Path) -> dict:
        # What has come so far is kept for the next run, but under no final name.
        found = content_of(cache).items()
        return {name: content for name, content in found if not name.endswith(".part")}

    assert check_full_disk(tmp_path / "caches", lambda cache: None, work, read=read) > 1


def test_the_script_fetches_and_lists_them(site, monkeypatch, capsys):
    networks = tuple(remote(name, f"{site.url}/{name}") for name in CONTENT)
    release = dataclasses.replace(network_files.RELEASE, files=networks)
    monkeypatch.setattr(network_files, "RELEASE", release)
    monkeypatch.setattr(network_files.fetch, "__defaults__", (networks,))
    assert download_weights.main([]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] == ["people", "remote"]
    assert download_weights.main(["people"]) == 0
    assert "people is complete" in capsys.readouterr().out
    assert download_weights.main([]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] == ["people", "downloaded"]


def test_without_the_interpreter_the_extra_is_named_before_any_download(monkeypatch):
    monkeypatch.delitem(sys.modules, "ai_edge_litert.interpreter", raising=False)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setattr(network_files, "fetch", lambda *_: pytest.fail("downloaded for nothing"))
    with pytest.raises(MissingExtra, match=r"ai-edge-litert.*\[person\]"):
        landmarks.open_networks()


@pytest.mark.parametrize("content", [b"weights" * 100, b"", b"\x1c\0\0\0TFL3" + bytes(500)])
def test_a_file_that_is_no_network_is_one_sentence(tmp_path, content):
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "a.tflite"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is not a network"):
        LiteNetwork(path)
    with pytest.raises(UserError, match="There is no network at"):
        LiteNetwork(tmp_path / "none.tflite")


def test_a_huge_file_is_refused_before_it_is_read_whole(tmp_path, monkeypatch):
    pytest.importorskip("ai_edge_litert")
    monkeypatch.setattr(litert, "LARGEST_NETWORK", 1000)
    path = tmp_path / "a.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(5000))
    with pytest.raises(UserError, match="is not a network of the LiteRT format"):
        LiteNetwork(path)


@needs_networks
def test_a_damaged_network_is_one_sentence(tmp_path):
    pytest.importorskip("ai_edge_litert")
    content = (MODELS / "selfie_segmentation.tflite").read_bytes()
    path = tmp_path / "a.tflite"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="not a network that ai-edge-litert can run .* fetch it"):
        LiteNetwork(path)


@needs_networks
def test_shapes_and_types_are_those_of_the_file_and_free_sizes_follow_the_input(capfd):
    pytest.importorskip("ai_edge_litert")
    network = LiteNetwork(MODELS / "movenet_multipose_fp16.tflite")
    (source,) = network.inputs
    assert source.shape == (1, -1, -1, 3) and source.dtype is np.int32
    for shape in ((1, 64, 96, 3), (1, 96, 64, 3)):
        (found,) = network.run(np.zeros(shape, np.int32))
        assert found.shape == (1, 6, 56)
    with pytest.raises(ValueError, match="does not fit"):
        network.run(np.zeros((1, 64, 96, 4), np.int32))
    assert capfd.readouterr() == ("", "")


@needs_networks
def test_a_spoilt_network_is_refused_or_runs(tmp_path):
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "a.tflite"
    shutil.copyfile(MODELS / "selfie_segmentation.tflite", path)

    def read(place: Path) -> None:
        network = LiteNetwork(place)
        network.check("it", [(1, 256, 256, 3)], [(1, 256, 256, 1)])
        network.run(np.zeros((1, 256, 256, 3), np.float32))

    assert check_reader(read, path, seed=3, count=MANY // 5) > 0

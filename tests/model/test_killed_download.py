"""Downloads and model folders: killed, starved or twice at once, and whole in the end."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from kill import check_full_disk, check_kills, content_of, needs_fork

from dancenet.model import download, registry
from dancenet.model.config import ModelConfig
from dancenet.model.folder import ModelFolder, made_files
from dancenet.support import files, lock
from dancenet.support.errors import UserError


@pytest.fixture(autouse=True)
def published(tmp_path, monkeypatch):
    """A model that is published in a folder of this machine, and nothing else."""
    source = make_model(tmp_path / "source" / "far_v1")
    entry = registry.describe(source)
    for file in entry["files"]:
        file["urls"] = [(source / file["path"]).as_uri()]
    bundled = tmp_path / "bundled"
    bundled.mkdir()
    files.write_json(bundled / "registry.json", {"format": 1, "models": [entry]})
    monkeypatch.setattr(registry, "bundled_folder", lambda: bundled)
    monkeypatch.delenv(registry.URL_VARIABLE, raising=False)


def make_model(path: Path) -> Path:
    path.mkdir(parents=True)
    folder = ModelFolder(path)
    folder.write_config(ModelConfig(name="far_v1"))
    files.write_text(folder / "seeds.npz", "not read here" * 1000)
    folder.seal()
    return path


def fetch(cache: Path) -> None:
    os.environ["DANCENET_CACHE"] = str(cache)  # put back by the fixture of every test
    download.fetch("far_v1")


def damaged(cache: Path) -> None:
    """Prepares a damaged download in which the user has put things."""
    model = make_model(cache / "models" / "far_v1")
    (model / "seeds.npz").write_text("damaged")
    (model / "notes.txt").write_text("mine")
    (model / "litert").mkdir()
    (model / "litert" / "step.tflite").write_text("made from it")


CASES = {"a new model": lambda cache: None, "a damaged model": damaged}


@needs_fork
@pytest.mark.parametrize("case", CASES)
def test_a_killed_download_is_whole_after_the_next(tmp_path, case):
    assert check_kills(tmp_path / "caches", CASES[case], fetch) > 5


def test_a_full_disk_ends_a_download_in_a_sentence(tmp_path):
    def read(cache: Path) -> dict:
        # What has come so far is kept for the next run, but under no final name.
        found = content_of(cache / "models").items() if (cache / "models").exists() else ()
        return {name: content for name, content in found if ".fetching" not in name}

    assert check_full_disk(tmp_path / "caches", damaged, fetch, read=read) > 3


def test_what_is_not_of_the_model_stays_in_its_folder(tmp_path):
    cache = tmp_path / "cache"
    damaged(cache)
    fetch(cache)
    model = cache / "models" / "far_v1"
    assert sorted(content_of(model)) == [
        "checksums.json",
        "config.json",
        "litert",
        "litert/step.tflite",
        "notes.txt",
        "seeds.npz",
    ]
    ModelFolder(model).check()
    assert os.listdir(cache / "models") == ["far_v1"]


def test_the_second_download_waits_and_takes_the_first_ones(tmp_path, capsys):
    cache = tmp_path / "cache"
    model = cache / "models" / "far_v1"
    waiting = threading.Event()

    def say(message: str) -> None:
        assert "models/far_v1 is being written by process" in message
        waiting.set()

    patch = pytest.MonkeyPatch()
    patch.setattr(lock.terminal, "say", say)
    second = threading.Thread(target=fetch, args=(cache,))
    with lock.hold(lock.beside(model), model, ""):
        second.start()
        assert waiting.wait(60)
        make_model(model)
        (tmp_path / "source" / "far_v1" / "seeds.npz").unlink()  # it could not be fetched again
    second.join(60)
    patch.undo()
    assert not second.is_alive()
    assert os.listdir(cache / "models") == ["far_v1"]


@needs_fork
def test_a_killed_seal_is_mended_by_the_next(tmp_path):
    def prepare(folder: Path) -> None:
        make_model(folder / "model")
        files.write_text(folder / "model" / "seeds.npz", "others")

    assert check_kills(tmp_path / "k", prepare, lambda to: ModelFolder(to / "model").seal()) >= 3


def test_two_writers_do_not_share_a_model(tmp_path):
    folder = ModelFolder(tmp_path / "weights" / "mine")
    with folder.hold():
        with pytest.raises(UserError, match="weights/mine is being written by process"):
            with ModelFolder(folder.path).hold():
                pass
    assert not (tmp_path / "weights").exists()


def test_the_files_of_a_model_are_known_and_no_others(tmp_path):
    model = make_model(tmp_path / "model")
    ours = ["checksums.json", "config.json", "seeds.npz"]
    ours += [f"training/{net}/{name}" for net in ("vae", "dancer") for name in ("log.jsonl",)]
    ours += ["training/dancer/tensorboard/events.out.tfevents.1.host", "training/vae/best.npz"]
    mine = ["notes.txt", "training/notes.txt", "training/vae/good/best.npz", "training/x/log.jsonl"]
    mine += ["training/vae/best (copy).npz", "seeds.npz.bak"]
    for name in (*ours, *mine):
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).touch()
    found = sorted(path.relative_to(model).as_posix() for path in made_files(model))
    assert found == sorted(ours)

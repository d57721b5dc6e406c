"""The record of a project and the log of its training get one sentence, whatever they hold."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hostile import check_json
from mutation import check_reader

from dancenet.data.frames.content import listing_key
from dancenet.model.folder import ModelFolder
from dancenet.project.plan import Plan, training_folder
from dancenet.project.record import ExtractedClip, Record, Source, Stage, identify
from dancenet.support.errors import UserError

SOURCE = Source("a.mp4", "key", 30.0, 12.0)


def make(folder: Path) -> Record:
    record = Record(
        "model",
        25.0,
        clips={"key": ExtractedClip("a.mp4", 3.0, 12.0, 2)},
        stages={"extract-frames": Stage(seconds=3.0), "train-vae": Stage(minutes=2.0)},
        minutes={"train-vae": 2.0, "train-dancer": 1.0},
    )
    folder.mkdir(exist_ok=True)
    record.write(folder)
    return record


def test_a_record_is_read_back(tmp_path: Path) -> None:
    assert make(tmp_path / "p") == Record.read(tmp_path / "p", [SOURCE])


def test_a_spoilt_record_is_one_sentence(tmp_path: Path) -> None:
    make(tmp_path / "p")

    def read(path: Path) -> float:
        record = Record.read(path.parent, [SOURCE])
        record.is_finished("train-vae")
        return Plan(record, [SOURCE], ModelFolder(tmp_path / "m"), 60.0, 16.0).seconds_left()

    assert check_reader(read, tmp_path / "p" / "project.json")
    assert check_json(read, tmp_path / "p" / "project.json")


@pytest.mark.parametrize("name", ["../../elsewhere", "", "..", "a/b", "a\\b", "a" * 300])
def test_a_record_names_a_folder_of_the_project(tmp_path: Path, name: str) -> None:
    make(tmp_path / "p")
    path = tmp_path / "p" / "project.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "name": name}))
    with pytest.raises(UserError, match="must be a plain name.*begin it anew"):
        Record.read(tmp_path / "p", [SOURCE])


@pytest.mark.parametrize("name", ["take:1", "-x", "Ünï 💃", "a'b", "\udce7a"])
def test_a_project_is_called_as_its_folder(tmp_path: Path, name: str) -> None:
    make(tmp_path / "p")
    path = tmp_path / "p" / "project.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "name": name}))
    assert Record.read(tmp_path / "p", [SOURCE]).name == name


def test_a_spoilt_log_of_a_training_is_one_sentence(tmp_path: Path) -> None:
    record = make(tmp_path / "p")
    model = ModelFolder(tmp_path / "m")
    log = training_folder(model.path, "train-vae") / "log.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text('{"epoch": 1, "seconds": 30.0}\n{"epoch": 2, "seconds": 60.0}\n')

    def read(path: Path) -> float:
        return Plan(record, [SOURCE], model, 60.0, 16.0).seconds_left()

    before = read(log)
    assert check_reader(read, log)
    log.write_text("")
    assert read(log) == before + 60


def test_a_project_begins_in_a_folder_that_a_file_manager_has_shown(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
    assert Record.read(tmp_path, [SOURCE]).fps == SOURCE.fps
    (tmp_path / "film.mp4").write_bytes(b"")
    with pytest.raises(UserError, match="is no project: it has film.mp4 and no"):
        Record.read(tmp_path, [SOURCE])


def test_a_folder_of_pictures_is_known_as_an_older_version_recorded_it(tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    for number in range(3):
        cv2.imwrite(str(clip / f"{number}.png"), np.full((40, 60), 50 * number, np.uint8))
    source = identify(str(clip))
    assert source.older_key == listing_key(clip) != source.key
    extracted = ExtractedClip(str(clip), 3.0, 12.0, 2)
    record = Record("model", source.fps, clips={"other": extracted, source.older_key: extracted})
    record.take([Source("a.mp4", "other", source.fps, 0.0), source], tmp_path)
    assert list(record.clips) == ["other", source.key]


def test_a_changed_picture_of_the_same_size_is_another_clip(tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    for number in range(3):
        cv2.imwrite(str(clip / f"{number}.bmp"), np.full((40, 60), 50 * number, np.uint8))
    before = identify(str(clip))
    record = Record("model", before.fps, clips={before.key: ExtractedClip("clip", 3.0, 12.0, 2)})
    record.take([before], tmp_path)
    cv2.imwrite(str(clip / "1.bmp"), np.full((40, 60), 51, np.uint8))
    with pytest.raises(UserError, match="was begun with clip, which is not given now or has chang"):
        record.take([identify(str(clip))], tmp_path)

"""What a training resumes from gets one sentence, whatever it holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")

from hostile import check_arrays, spoilt_json
from mutation import check_reader, mutations

from dancenet.nets.training.devices.cluster import read_cluster
from dancenet.nets.training.loop.checkpoint import load_checkpoint, save_variables
from dancenet.nets.training.loop.log import read_log
from dancenet.nets.training.loop.progress import Progress
from dancenet.nets.training.pictures import rehearsal
from dancenet.support.errors import UserError

STATE = {
    "epochs": 2,
    "steps": 11,
    "epoch_steps": 1,
    "steps_per_epoch": 5,
    "total_steps": 20,
    "seconds": 3.0,
    "best": 0.5,
    "best_epoch": 1,
    "stopped_early": False,
    "sums": {"loss": 0.5},
    "largest_norm": 1.0,
}
CONTENT = {"seed": 0, "asked": {"epochs": 4, "minutes": None}, "state": STATE}


@pytest.fixture
def variables() -> list:
    return [keras.Variable(np.ones((3, 2), np.float32)), keras.Variable(np.int32(4), dtype="int32")]


def test_a_checkpoint_comes_back(tmp_path: Path, variables: list) -> None:
    best = {**CONTENT, "state": {**STATE, "best": float("inf"), "sums": {"loss": float("nan")}}}
    for content in (CONTENT, best):
        save_variables(tmp_path / "checkpoint.npz", variables, content)
        found = load_checkpoint(tmp_path / "checkpoint.npz", variables)
        assert found.seed == 0 and found.asked == CONTENT["asked"]
        np.testing.assert_equal(vars(found.state), vars(Progress(**content["state"])))


def test_a_spoilt_checkpoint_is_one_sentence(tmp_path: Path, variables: list) -> None:
    path = tmp_path / "checkpoint.npz"
    save_variables(path, variables, CONTENT)

    def read(path: Path) -> None:
        load_checkpoint(path, variables)

    assert check_reader(read, path)
    assert check_arrays(read, path)
    refused = 0
    for what, text in spoilt_json({"format": 1, **CONTENT}):
        path.unlink()
        np.savez(path, **{"content": np.array(text), "0000": np.ones((3, 2)), "0001": np.array(4)})
        try:
            read(path)
        except UserError as error:
            refused += 1
            assert str(error).isprintable() and len(str(error)) < 2000, what
    assert refused


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps_per_epoch": 0}, "steps_per_epoch must be 1 or more"),
        ({"steps": -1}, "steps must be 0 or more"),
        ({"steps": 10**30}, "steps must be 0 or more"),
        ({"epoch_steps": 12}, "epoch_steps must be 0 or more and at most 11"),
        ({"best": None}, "best is None, and must be a number"),
        ({"sums": {"loss": "x"}}, r"sums\['loss'\] is 'x'"),
        ({"colour": 1}, "does not know: colour"),
    ],
)
def test_progress_that_cannot_be_is_refused(
    tmp_path: Path, variables: list, changes: dict, said: str
) -> None:
    path = tmp_path / "checkpoint.npz"
    save_variables(path, variables, {**CONTENT, "state": {**STATE, **changes}})
    with pytest.raises(UserError, match=said):
        load_checkpoint(path, variables)


def test_a_spoilt_log_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"epoch": 1, "loss": 0.5, "val_iou": NaN}\n{"epoch": 2, "loss": 3}\n')
    assert [record["epoch"] for record in read_log(path)] == [1, 2]
    assert check_reader(read_log, path)
    for text, said in (
        ("[]", "line 1 is .., and must be an object"),
        ('{"loss": 1}', "line 1 lacks epoch"),
        ('{"epoch": "1"}', r"line 1\['epoch'\] is '1', and must be a number"),
        ("[" * 100_000, "nested too deeply"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=said):
            read_log(path)


def test_spoilt_remembered_frames_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "remembered.npz"
    rehearsal.save(path, np.zeros((2, 12, 9), np.uint8))
    assert check_reader(rehearsal.load, path, count=60)
    assert check_arrays(rehearsal.load, path)
    with pytest.raises(UserError, match="does not hold remembered frames"):
        rehearsal.load(path, (120, 208))


def test_a_spoilt_list_of_processes_is_one_sentence() -> None:
    content = {
        "cluster": {"chief": ["a:1"], "worker": ["b:2", "c:3"]},
        "task": {"type": "worker", "index": 1, "trial": "x"},
        "environment": "cloud",
    }
    assert read_cluster(json.dumps(content)).rank == 2
    texts = [text for _, text in spoilt_json(content)]
    texts += [
        text.decode("utf-8", "replace") for text in mutations(json.dumps(content).encode(), 0)
    ]
    refused = 0
    for text in texts:
        try:
            read_cluster(text)
        except UserError as error:
            refused += 1
            assert str(error).isprintable() and len(str(error)) < 2000
    assert refused

"""Checkpoints and weights of a killed or starved training are the old or the new ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kill import check_full_disk, check_kills, content_of, needs_fork

from dancenet.model.folder import ModelFolder
from dancenet.nets.training.folder import clear
from dancenet.nets.training.loop.checkpoint import save_variables, save_weights


class Network:
    """Writes weights as a network of Keras does."""

    def __init__(self, level: int) -> None:
        self.level = level

    def save_weights(self, path: Path) -> None:
        assert str(path).endswith(".weights.h5")
        with open(path, "wb") as file:
            file.write(bytes([self.level] * 1000))


def save(folder: Path, level: int) -> None:
    save_variables(folder / "checkpoint.npz", [np.full(9, level)], {"epoch": level})
    save_weights(Network(level), folder / "vae.weights.h5")


def read(folder: Path) -> dict:
    """The archive holds the time of its entries, so its numbers are compared."""
    found = dict(content_of(folder))
    if "checkpoint.npz" in found:
        with np.load(folder / "checkpoint.npz") as arrays:
            found["checkpoint.npz"] = arrays["0000"].tobytes()
    return found


@needs_fork
def test_a_killed_training_is_whole_after_the_next(tmp_path):
    assert check_kills(tmp_path, lambda to: save(to, 1), lambda to: save(to, 2), read) > 5


@pytest.mark.parametrize("what", ["checkpoint", "weights"])
def test_a_full_disk_leaves_the_old_ones(tmp_path, what):
    def operate(folder: Path) -> None:
        if what == "weights":
            save_weights(Network(2), folder / "vae.weights.h5")
        else:
            save_variables(folder / "checkpoint.npz", [np.full(9, 2)], {})

    assert check_full_disk(tmp_path, lambda to: save(to, 1), operate, read=read) > 1


def test_a_training_that_begins_anew_removes_what_trainings_made_and_nothing_else(tmp_path):
    folder = ModelFolder(tmp_path / "model")
    made = ["scaler.npz", "training/dancer/best.npz", "training/dancer/tensorboard/vectors.tsv"]
    mine = ["notes.txt", "training/dancer/notes.txt", "training/dancer/epoch 7/best.npz"]
    mine += ["training/vae/best.npz"]  # of the other network
    for name in (*made, *mine):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    clear(folder, ["scaler.npz"], folder.training / "dancer")
    left = {name for name, content in content_of(folder.path).items() if content is not None}
    assert left == set(mine)

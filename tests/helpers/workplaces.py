"""A folder in which a small dancer can be trained, on a figure of eight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dancenet.codecs.latents import Latents
from dancenet.model.config import ModelConfig, VaeConfig
from dancenet.model.folder import ModelFolder
from dancenet.support import files

FLAGS = [
    "--units",
    "16",
    "--num-mixtures",
    "2",
    "--look-back",
    "12",
    "--stride",
    "6",
    "--batch-size",
    "8",
    "--latents",
    "latents.npz",
    "--name",
    "tiny",
]


def figure_of_eight(num_frames: int, phase: float) -> np.ndarray:
    time = phase + np.arange(num_frames) / 12
    return np.stack(
        [np.sin(time), np.sin(2 * time), np.cos(time), 0.1 * np.cos(3 * time)], axis=1
    ).astype(np.float32)


@pytest.fixture()
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model that has a VAE, and latents of its encoder."""
    fill_workplace(tmp_path, monkeypatch)
    return tmp_path


def shorten_trainings(patch: pytest.MonkeyPatch) -> None:
    """Makes epochs and trial dances short, and exported steps compared with Keras a few times."""
    from dancenet.nets.export import onnx
    from dancenet.nets.training import calibrate, dancer_run
    from dancenet.nets.training.loop import epochs

    patch.setattr(epochs, "_TIMED_STEPS", 2)
    patch.setattr(calibrate, "TRIAL_SECONDS", 1.0)
    patch.setattr(calibrate, "TRIALS", 4)
    patch.setattr(dancer_run, "MIN_STEPS_PER_EPOCH", 4)
    walk = onnx.trial_vectors
    patch.setattr(onnx, "trial_vectors", lambda *model: walk(*model)[:6])


def fill_workplace(place: Path, patch: pytest.MonkeyPatch) -> None:
    """Writes the model and the latents, and makes trainings there short.

    Args:
        place: an empty folder, in which the test works from then on.
        patch: undone after the test.
    """
    patch.chdir(place)
    shorten_trainings(patch)
    folder = ModelFolder(place / "weights" / "tiny")
    folder.create()
    folder.write_config(ModelConfig("tiny", vae=VaeConfig(latent_dim=4)))
    (folder / "encoder.onnx").write_bytes(b"an encoder")
    lengths = (100, 90, 70)
    z_mean = np.concatenate([figure_of_eight(n, 0.3 * n) for n in lengths])
    stops = np.cumsum(lengths).tolist()
    clips = tuple(range(stop - n, stop) for n, stop in zip(lengths, stops))
    Latents(
        z_mean,
        np.full_like(z_mean, -8.0),
        25.0,
        clips,
        ("train", "train", "val"),
        ("one.mp4", "two.mp4", "three.mp4"),
        files.sha256_of(folder / "encoder.onnx"),
    ).save("latents.npz")


@pytest.fixture()
def eagerly(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs Keras models uncompiled, unless the test is marked `compiled`.

    To compile a network takes longer than a few steps of a small one do without.
    """
    if request.node.get_closest_marker("compiled") is None:
        keras = pytest.importorskip("keras")
        always = property(lambda model: True, lambda model, asked: None)
        monkeypatch.setattr(keras.Model, "run_eagerly", always)

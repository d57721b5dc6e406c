"""What a model has seen is drawn by itself and mixed with what it is to learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")

from small_model import write_small_model

from dancenet.nets.training.pictures import rehearsal
from dancenet.support.errors import UserError


@pytest.fixture()
def networks():
    """An encoder and a decoder of three dimensions, which draw a bar where the first one says."""
    latents = keras.Input((3,))
    weights = np.zeros((3, 120 * 208), np.float32)
    weights[0] = np.where(np.arange(120 * 208) % 208 < 104, 10, -10)
    background = keras.layers.Dense(120 * 208, activation="sigmoid", name="background")
    decoder = keras.Model(latents, keras.layers.Reshape((120, 208, 1))(background(latents)))
    background.kernel.assign(weights)
    frames = keras.Input((120, 208, 1))
    left = keras.layers.Cropping2D(((0, 0), (0, 104)))(frames)
    mean = keras.layers.GlobalAveragePooling2D()(left)  # 1 or 0
    z_mean = keras.layers.Concatenate()([mean * 2 - 1, mean, mean])
    return keras.Model(frames, [z_mean, z_mean]), decoder


def test_a_model_draws_each_vector_of_its_stretches(networks, tmp_path: Path) -> None:
    folder = write_small_model(tmp_path / "model")
    frames = rehearsal.remember(*networks, folder)
    vectors = np.load(folder / "seeds.npz")["vectors"].reshape(-1, 3)
    is_left = vectors[:, 0] * 1 + 0.1 < 0  # the scaler's own arithmetic; where the bar is black
    assert frames.shape == (len(vectors), 120, 208) and frames.dtype == np.uint8
    assert (frames[is_left][:, :, :104] == 0).all() and (frames[is_left][:, :, 104:] == 255).all()
    assert (frames[~is_left][:, :, :104] == 255).all() and (frames[~is_left][:, :, 104:] == 0).all()
    assert 0 < is_left.sum() < len(is_left)


def test_a_model_without_a_dancer_remembers_nothing(networks, tmp_path: Path) -> None:
    folder = write_small_model(tmp_path / "model")
    (folder / "seeds.npz").unlink()
    assert rehearsal.remember(*networks, folder) is None


def test_remembered_frames_survive_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = (rng.random((5, 11, 13)) < 0.5).astype(np.uint8) * np.uint8(255)
    rehearsal.save(tmp_path / "remembered.npz", frames)
    assert (rehearsal.load(tmp_path / "remembered.npz") == frames).all()


def test_a_share_of_everything_leaves_nothing_to_learn(tmp_path: Path) -> None:
    from dancenet.nets.training.options import VaeOptions

    with pytest.raises(UserError, match="rehearse must be at least 0 and below 1; received 1.0"):
        VaeOptions(rehearse=1.0)

"""What a model has seen is drawn by itself and mixed with what it is to learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")

import bodies
from small_model import write_small_model

from dancenet.data.mocap.recordings import Recordings
from dancenet.model.folder import ModelFolder
from dancenet.nets.training.dancer import train_skeleton_dancer
from dancenet.nets.training.dataset import Dataset
from dancenet.nets.training.options import DancerOptions
from dancenet.nets.training.pictures import rehearsal
from dancenet.nets.training.windows import BatchOptions
from dancenet.sequence.mixture import Mixture
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


class Still:
    """A dancer that stays where it is."""

    dim = 3
    styles = None

    def initial_state(self, batch, style=None):
        self.styles = style
        return (np.zeros((batch, 1), np.float32),)

    def step(self, vectors, state):
        sigma = np.full((len(vectors), 1, 3), 1e-6, np.float32)
        return Mixture(np.zeros((len(vectors), 1), np.float32), vectors[:, None], sigma), state


def test_a_dancer_goes_on_from_each_of_its_seed_clips(tmp_path: Path) -> None:
    folder = write_small_model(tmp_path / "model")
    seeds = np.load(folder / "seeds.npz")["vectors"]
    vectors, styles = rehearsal.dance(Still(), folder, num_frames=100_000, seed=0)
    assert len(vectors) == len(seeds) and abs(vectors.shape[0] * vectors.shape[1] - 100_000) < 1000
    np.testing.assert_array_equal(vectors[:, : seeds.shape[1]], seeds)
    np.testing.assert_allclose(vectors[:, -1], seeds[:, -1], atol=1e-3)
    again, _ = rehearsal.dance(Still(), folder, num_frames=100_000, seed=0)
    np.testing.assert_array_equal(again, vectors)


def test_what_is_rehearsed_is_trained_on_and_nothing_else_is_measured_on_it() -> None:
    clip = bodies.body_clip(walk())
    own = Dataset.of_recordings(Recordings((clip,), (None,), ("salsa",)))
    dances = np.zeros((2, 90, own.dim), np.float32)
    styles = np.array([[0.0], [1.0]], np.float32)
    both = own.with_rehearsal(dances, styles)
    assert both.train == own.train and both.held_out == own.held_out
    rows = [range(len(own.vectors) + 90 * i, len(own.vectors) + 90 * (i + 1)) for i in range(2)]
    assert both.window_train == [*own.window_train, *rows]
    windows = both.windows(BatchOptions(look_back=20))
    np.testing.assert_array_equal(windows.vectors[rows[0].start :], dances.reshape(180, -1))
    np.testing.assert_array_equal(windows.styles[rows[1].start :], np.ones((90, 1)))


def test_a_dancer_rehearses_another_dancer_only(tmp_path: Path) -> None:
    options = DancerOptions(rehearse=0.5)
    recordings = Recordings((bodies.body_clip(walk()),), (None,), (None,))
    with pytest.raises(UserError, match="rehearse=0.5 needs a model to rehearse"):
        train_skeleton_dancer(recordings, ModelFolder(tmp_path / "new"), options)
    with pytest.raises(UserError, match="rehearse must be at least 0 and below 1"):
        DancerOptions(rehearse=1.0)


def walk() -> np.ndarray:
    """Returns (T, 19, 3): a body that turns and whose left hand goes up and down."""
    body = bodies.turning(200)
    body[:, 7, 1] += np.sin(np.arange(200) / 5).astype(np.float32) * 0.1
    return body

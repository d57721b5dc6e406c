"""Exports of a network of centred figures: they take the place out and put it back, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="exports need the extra 'train'")
onnx = pytest.importorskip("onnx", reason="exports need the extra 'train'")

from dancenet.codecs.place import PIXELS
from dancenet.model.config import VaeConfig
from dancenet.nets.export import onnx as to_onnx
from dancenet.nets.export.reference import trial_frames
from dancenet.nets.picture_network import PictureNetwork
from dancenet.nets.vae import build_decoder, build_encoder
from dancenet.runtime.onnx import OnnxDecoder, OnnxEncoder

CONFIG = VaeConfig(height=24, width=32, latent_dim=6, centred=True)


@pytest.fixture(scope="module")
def network() -> PictureNetwork:
    keras.utils.set_random_seed(0)
    return PictureNetwork(CONFIG, build_encoder(CONFIG), build_decoder(CONFIG))


@pytest.fixture(scope="module")
def graphs(network: PictureNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graphs")
    onnx.save(to_onnx.encoder_graph(network), folder / "encoder.onnx")
    onnx.save(to_onnx.decoder_graph(network), folder / "decoder.onnx")
    return folder


def test_onnx_computes_what_keras_and_numpy_compute(network: PictureNetwork, graphs: Path) -> None:
    latents = np.random.default_rng(0).standard_normal((9, 7)).astype(np.float32)
    report = to_onnx.compare_encoder(network, graphs / "encoder.onnx", trial_frames(CONFIG))
    report += to_onnx.compare_decoder(network, graphs / "decoder.onnx", latents)
    assert len(report) == 3 and all(row.passed for row in report)


def test_a_figure_that_is_moved_changes_its_place_alone(graphs: Path) -> None:
    frame = np.ones((1, 24, 32, 1), np.float32)
    frame[0, 6:18, 10:14] = 0
    encoder = OnnxEncoder(graphs / "encoder.onnx")
    encoder.require_sizes(CONFIG)
    here, there = encoder(frame)[0], encoder(np.roll(frame, 5, axis=2))[0]
    assert np.abs(here[0, :-1] - there[0, :-1]).max() < 1e-5
    assert there[0, -1] - here[0, -1] == pytest.approx(5 / PIXELS)


def test_a_decoder_draws_the_figure_at_its_place(graphs: Path) -> None:
    decoder = OnnxDecoder(graphs / "decoder.onnx")
    decoder.require_sizes(CONFIG)
    latents = np.random.default_rng(1).standard_normal((1, 7)).astype(np.float32)
    latents[0, -1] = 0
    middle = decoder(latents)[0]
    latents[0, -1] = 3 / PIXELS
    assert np.abs(decoder(latents)[0][:, 3:] - middle[:, :-3]).max() < 1e-5


def test_plain_tensorflow_computes_the_same(network: PictureNetwork) -> None:
    pytest.importorskip("tensorflow", reason="these exports need TensorFlow")
    from dancenet.nets.export.tensorflow.codecs import TensorFlowDecoder, TensorFlowEncoder

    frames = trial_frames(CONFIG)[..., 0]
    for received, expected in zip(TensorFlowEncoder(network)(frames), network.encode(frames)):
        assert np.abs(received.numpy() - expected).max() < 1e-4
    latents = np.random.default_rng(2).standard_normal((5, 7)).astype(np.float32)
    received = TensorFlowDecoder(network)(latents).numpy()
    assert np.abs(received - network.decode(latents)).max() < 1e-5

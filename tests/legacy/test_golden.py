"""The networks of 2018, imported from their files, compute what they computed, on both runtimes.

Two sources of golden arrays. "drawn": small networks with drawn weights in the file layout of Keras
2.2.0, computed by plain NumPy; see `goldens/make_2018.py`. "genuine": files of 2018 and what Keras
2.2.0 on TensorFlow 1.9 computed from them; they are not published, and tests without them skip.
The tolerances are absolute and allow for float32 sums in another order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")
pytest.importorskip("keras_mdn_layer", reason="the dancer needs the extra 'train'")

import files_2018 as old
from goldens import make_2018

from dancenet.codecs.base import Scaler
from dancenet.legacy.import_model import Files2018, import_model
from dancenet.legacy.networks import DANCER_2018
from dancenet.model.folder import ModelFolder
from dancenet.nets import dancer, dancer_trainer, vae
from dancenet.runtime.onnx import OnnxDecoder, OnnxEncoder, OnnxStepModel
from dancenet.sequence import legacy as dance_2018
from dancenet.sequence.generate import StepModel, generate
from dancenet.sequence.mixture import Mixture, log_likelihood

VAE_TOLERANCE = 1e-5
MIXTURE_TOLERANCE = 2e-5
NATS_TOLERANCE = 1e-3
# In the latent's units, of values up to 5; the feedback carries every rounding on.
ROLLOUT_TOLERANCE = 5e-5


@dataclass
class Networks:
    """The four networks on one runtime."""

    encoder: object
    decoder: object
    step_model: StepModel


@pytest.fixture(scope="module", params=["drawn", "genuine"])
def source(request):
    return request.param


@pytest.fixture(scope="module")
def golden(source):
    path = make_2018.PATH if source == "drawn" else old.real("golden.npz")
    with np.load(path) as file:
        return dict(file)


@pytest.fixture(scope="module")
def folder(source, tmp_path_factory):
    folder = ModelFolder(tmp_path_factory.mktemp("weights") / "old")
    folder.path.mkdir()
    if source == "drawn":
        files = Files2018(*make_2018.write_files(tmp_path_factory.mktemp("files")))
        import_model(files, folder, "old", vae_config=old.VAE, dancer_config=old.DANCER)
    else:
        files = Files2018(*(old.real(name) for name in ("vae_cnn.h5", "gendance.h5", "lv.npy")))
        import_model(files, folder, "old")
    return folder


@pytest.fixture(scope="module", params=["keras", "onnx"])
def networks(request, folder):
    if request.param == "onnx":
        return Networks(
            OnnxEncoder(folder / "encoder.onnx"),
            OnnxDecoder(folder / "decoder.onnx"),
            OnnxStepModel(folder / "step.onnx"),
        )
    config = folder.read_config()
    encoder, decoder = vae.load_vae(config.vae, folder / "vae.weights.h5")
    network = dancer.load_dancer(config.dancer, folder / "dancer.weights.h5")
    return Networks(
        encoder.predict_on_batch,
        lambda latents: decoder.predict_on_batch(latents)[..., 0],
        dancer.KerasStepModel(network),
    )


def mixtures(networks, vectors) -> Mixture:
    model = networks.step_model
    return model.step(vectors, model.initial_state(len(vectors)))[0]


def check(received, expected, tolerance):
    np.testing.assert_allclose(received, expected, rtol=0, atol=tolerance)


def test_the_encoder_is_that_of_2018(networks, golden):
    z_mean, z_log_var = networks.encoder(golden["frames"])
    check(z_mean, golden["z_mean"], VAE_TOLERANCE)
    check(z_log_var, golden["z_log_var"], VAE_TOLERANCE)


@pytest.mark.parametrize(
    ("latents", "pictures"), [("latents", "decoded"), ("z_mean", "decoded_from_z_mean")]
)
def test_the_decoder_is_that_of_2018(networks, golden, latents, pictures):
    check(networks.decoder(golden[latents]), golden[pictures][..., 0], VAE_TOLERANCE)


@pytest.mark.parametrize(
    ("vectors", "raw"), [("latents_scaled", "mdn_raw"), ("latents", "mdn_raw_from_unscaled")]
)
def test_the_mixture_is_that_of_2018(networks, golden, vectors, raw):
    mixture = mixtures(networks, golden[vectors])
    flat = [part.reshape(8, -1) for part in (mixture.mu, mixture.sigma, mixture.pi_logits)]
    check(np.concatenate(flat, axis=1), golden[raw], MIXTURE_TOLERANCE)


def test_the_likelihood_is_that_of_2018(networks, golden):
    mixture = mixtures(networks, golden["latents_scaled"])
    nats = -log_likelihood(mixture, golden["targets_scaled"])
    check(nats, golden["mixture_nll"], NATS_TOLERANCE)


def test_the_loss_in_training_is_that_of_2018(source, golden):
    config = old.DANCER if source == "drawn" else DANCER_2018
    nats = dancer_trainer.mixture_nats(
        golden["mdn_raw"], golden["targets_scaled"], config.num_mixtures
    )
    check(config.dim * keras.ops.convert_to_numpy(nats), golden["mixture_nll"], NATS_TOLERANCE)


def test_the_shipped_arrays_are_those_of_the_script():
    with np.load(make_2018.PATH) as file:
        shipped = dict(file)
    computed = make_2018.compute()
    assert set(shipped) == set(computed)
    for name, expected in computed.items():
        check(shipped[name], expected, 1e-6)


def test_the_scaler_is_that_of_2018(folder, golden):
    scaler = Scaler.load(folder / "scaler.npz")
    check(scaler.to_model(golden["latents"]), golden["latents_scaled"], 1e-6)
    check(scaler.to_latents(golden["latents_scaled"]), golden["latents"], 5e-6)
    check(scaler.mean, golden["scaler_data_min_"], 0)
    check(scaler.mean + scaler.scale, golden["scaler_data_max_"], 1e-6)


def test_the_noiseless_dance_equals_that_of_2018(networks, folder, golden):
    scaler = Scaler.load(folder / "scaler.npz")
    vectors = list(
        dance_2018.generate(
            networks.step_model,
            golden["seed_scaled"][None, None],
            16,
            [np.random.default_rng(0)],
            0.0,
            scaler.to_latents,
        )
    )
    check(
        scaler.to_latents(np.concatenate(vectors)),
        golden["rollout_mode_legacy_feedback"],
        ROLLOUT_TOLERANCE,
    )


def test_the_noiseless_dance_with_scaled_feedback_equals_that_of_2018(networks, folder, golden):
    scaler = Scaler.load(folder / "scaler.npz")
    vectors = list(
        generate(
            networks.step_model,
            golden["seed_scaled"][None, None],
            16,
            [np.random.default_rng(0)],
            0.0,
        )
    )
    check(
        scaler.to_latents(np.concatenate(vectors)),
        golden["rollout_mode_fixed_feedback"],
        ROLLOUT_TOLERANCE,
    )


def test_the_imported_dancer_carries_no_state(networks):
    assert networks.step_model.initial_state(3) == ()
    assert DANCER_2018.keeps_state is False

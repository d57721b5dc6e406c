"""The picture network: sizes, losses in closed form, weights on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")

from dancenet.model.config import VaeConfig
from dancenet.nets import vae
from dancenet.nets.training.loop import save_weights
from dancenet.support.errors import UserError

SMALL = VaeConfig(height=16, width=24, latent_dim=4)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.set_random_seed(0)


def small_trainer(free_bits: float = 0.0, edge_weight: float = 0.0) -> vae.VaeTrainer:
    trainer = vae.VaeTrainer(
        vae.build_encoder(SMALL), vae.build_decoder(SMALL), free_bits, edge_weight
    )
    trainer.compile(optimizer=keras.optimizers.Adam(3e-3), jit_compile=False)
    return trainer


def squares(count: int = 6) -> np.ndarray:
    frames = np.full((count, 16, 24), 255, np.uint8)
    for index, frame in enumerate(frames):
        frame[4:12, 2 + 2 * index : 8 + 2 * index] = 0
    return frames


def loss_of(
    trainer: vae.VaeTrainer, frames: np.ndarray, outputs: dict[str, np.ndarray], beta: float = 1.0
) -> float:
    (batch,) = vae.draw_batch(frames, np.random.default_rng(0), beta, SMALL.latent_dim)
    tensors = {name: keras.ops.convert_to_tensor(value) for name, value in outputs.items()}
    return float(trainer.compute_loss(x=batch, y_pred=tensors))


def outputs_of(
    frames: np.ndarray, z_mean: float, z_log_var: float, logit: float
) -> dict[str, np.ndarray]:
    latent = (len(frames), SMALL.latent_dim)
    return {
        "z_mean": np.full(latent, z_mean, np.float32),
        "z_log_var": np.full(latent, z_log_var, np.float32),
        "logits": np.where(frames > 0, logit, -logit)[..., None].astype(np.float32),
    }


def test_the_network_of_2018_has_its_exact_numbers_of_weights() -> None:
    config = VaeConfig(network="dancenet")
    # From count_params() of the original code on Keras 2.2.0.
    assert vae.build_encoder(config).count_params() == 1_724_128
    assert vae.build_decoder(config).count_params() == 1_744_545


def test_the_network_of_2018_has_its_layers_in_its_order() -> None:
    config = VaeConfig(network="dancenet")
    encoder = [type(layer).__name__ for layer in vae.build_encoder(config).layers]
    assert encoder == [
        "InputLayer",
        *["Conv2D", "MaxPooling2D"] * 3,
        "Flatten",
        "Dense",
        "Dense",
        "Dense",
    ]
    decoder = [type(layer).__name__ for layer in vae.build_decoder(config).layers]
    assert decoder == [
        "InputLayer",
        "Dense",
        "Reshape",
        "Dense",
        *["Conv2D", "UpSampling2D"] * 3,
        "Conv2D",
        "Activation",
    ]


def test_the_lean_network_costs_ten_times_fewer_multiplications_and_fewer_weights() -> None:
    def cost(network: str) -> tuple[int, int]:
        config = VaeConfig(network=network)
        parts = vae.build_encoder(config), vae.build_decoder(config)
        return (
            sum(vae.multiply_adds(part) for part in parts),
            sum(part.count_params() for part in parts),
        )

    lean, lean_weights = cost("lean")
    full, _ = cost("dancenet")
    # 0.52 and 0.54 G of the original, counted by hand in its layer table.
    assert full == pytest.approx(1.06e9, rel=0.02)
    assert lean * 10 <= full
    assert lean_weights <= 2_400_000


def test_multiplications_of_a_transposed_convolution_are_those_at_its_input() -> None:
    model = keras.Sequential(
        [keras.Input((5, 7, 3)), keras.layers.Conv2DTranspose(2, 4, strides=2, padding="same")]
    )
    assert vae.multiply_adds(model) == 5 * 7 * 4 * 4 * 3 * 2


@pytest.mark.parametrize("network", ["lean", "dancenet"])
def test_both_networks_take_frames_to_128_numbers_and_back(network: str) -> None:
    config = VaeConfig(network=network)
    encoder, decoder = vae.build_encoder(config), vae.build_decoder(config)
    assert encoder.input.shape == (None, 120, 208, 1)
    assert [tensor.shape for tensor in encoder.outputs] == [(None, 128), (None, 128)]
    assert decoder.output.shape == (None, 120, 208, 1)


def test_the_decoder_gives_the_sigmoid_of_its_layer_logits() -> None:
    decoder = vae.build_decoder(SMALL)
    inner = keras.Model(decoder.input, decoder.get_layer("logits").output)
    latents = np.random.default_rng(0).standard_normal((2, 4), dtype=np.float32)
    logits = inner.predict_on_batch(latents)
    assert np.allclose(decoder.predict_on_batch(latents), 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_sharpening_hardens_edges_and_leaves_outlines_where_they_are() -> None:
    decoder = vae.build_decoder(SMALL)
    decoder.get_layer("logits").bias.assign([0.1])
    latents = np.random.default_rng(0).standard_normal((3, 4), dtype=np.float32)
    before = decoder.predict_on_batch(latents)
    vae.sharpen(decoder, 3.0)
    after = decoder.predict_on_batch(latents)
    odds = before / (1 - before)
    assert np.allclose(after, odds**3 / (1 + odds**3), atol=1e-5)
    assert (before < 0.5).any() and np.array_equal(before < 0.5, after < 0.5)
    vae.unsharpen(decoder, 3.0)
    assert np.allclose(decoder.predict_on_batch(latents), before, atol=1e-6)


def test_thickness_draws_what_is_not_surely_background() -> None:
    decoder = vae.build_decoder(SMALL)
    decoder.get_layer("logits").bias.assign([0.1])
    latents = np.random.default_rng(0).standard_normal((3, 4), dtype=np.float32)
    before = decoder.predict_on_batch(latents)
    vae.sharpen(decoder, 2.0, 0.5)
    after = decoder.predict_on_batch(latents)
    surely = 1 / (1 + np.exp(-0.5))
    clear = np.abs(before - surely) > 1e-4
    assert (before[clear] > 0.5).any() and (after[clear] > 0.5).any()
    assert np.array_equal(after[clear] > 0.5, before[clear] > surely)
    vae.unsharpen(decoder, 2.0, 0.5)
    assert np.allclose(decoder.predict_on_batch(latents), before, atol=1e-6)


def test_an_empty_picture_is_zero_to_an_untrained_lean_encoder() -> None:
    encoder = vae.build_encoder(SMALL)
    first = keras.Model(encoder.input, encoder.get_layer("conv_1").output)
    inside = first.predict_on_batch(np.ones((1, 16, 24, 1), np.float32))[0, 1:-1, 1:-1]
    assert np.abs(inside).max() < 1e-5


def test_pictures_must_have_sides_that_are_multiples_of_8() -> None:
    with pytest.raises(UserError, match="multiples of 8"):
        vae.build_encoder(VaeConfig(height=100, width=200))


def test_the_cross_entropy_is_minus_the_log_of_the_probability() -> None:
    logits = np.array([-3.0, 0.0, 0.5, 4.0], np.float32)
    white = 1 / (1 + np.exp(-logits))
    ones, zeros = np.ones(4, np.float32), np.zeros(4, np.float32)
    assert np.allclose(vae.bernoulli_nats(ones, logits), -np.log(white), atol=1e-6)
    assert np.allclose(vae.bernoulli_nats(zeros, logits), -np.log(1 - white), atol=1e-6)


def test_the_cross_entropy_of_extreme_logits_is_finite() -> None:
    nats = vae.bernoulli_nats(np.array([0.0, 1.0], np.float32), np.array([1e4, -1e4], np.float32))
    assert np.allclose(nats, 1e4)


def test_the_divergence_from_the_prior_is_zero_for_the_prior_and_closed_form_otherwise() -> None:
    assert float(vae.kl_nats(np.float32(0), np.float32(0))) == 0
    # KL(N(m, s²) || N(0, 1)) = log(1/s) + (s² + m²)/2 - 1/2 with m = 2, s = 1/2.
    expected = np.log(2) + (0.25 + 4) / 2 - 0.5
    assert float(vae.kl_nats(np.float32(2), np.float32(np.log(0.25)))) == pytest.approx(expected)


def test_the_loss_is_nats_a_picture_plus_beta_times_the_divergence() -> None:
    frames = squares()
    outputs = outputs_of(frames, z_mean=2.0, z_log_var=np.log(0.25), logit=1.0)
    reconstruction = 16 * 24 * np.log1p(np.exp(-1.0))
    divergence = 4 * (np.log(2) + (0.25 + 4) / 2 - 0.5)
    for beta in (0.0, 0.25, 1.0):
        assert loss_of(small_trainer(), frames, outputs, beta) == pytest.approx(
            reconstruction + beta * divergence, rel=1e-5
        )


def test_free_bits_are_a_floor_under_each_dimension() -> None:
    frames = squares()
    outputs = outputs_of(frames, z_mean=0.0, z_log_var=0.0, logit=1.0)
    outputs["z_mean"][:, 0] = 2.0  # one dimension with 2 nats, three with none
    plain = loss_of(small_trainer(), frames, outputs)
    assert loss_of(small_trainer(free_bits=0.5), frames, outputs) == pytest.approx(plain + 1.5)


def test_the_edge_weight_counts_only_pixels_beside_the_outline() -> None:
    frames = squares(1)
    outputs = outputs_of(frames, z_mean=0.0, z_log_var=0.0, logit=1.0)
    # An 8 by 6 rectangle: 10*8 - 6*4 pixels within one pixel of its outline.
    extra = (10 * 8 - 6 * 4) * np.log1p(np.exp(-1.0))
    plain = loss_of(small_trainer(), frames, outputs)
    weighted = loss_of(small_trainer(edge_weight=3.0), frames, outputs)
    assert weighted - plain == pytest.approx(3 * extra, rel=1e-4)


@pytest.mark.usefixtures("eagerly")
def test_an_exploding_log_variance_leaves_the_loss_finite() -> None:
    trainer = small_trainer()
    trainer.encoder.get_layer("z_log_var").bias.assign(np.full(4, 500.0, np.float32))
    batch = vae.draw_batch(squares(), np.random.default_rng(0), 1.0, 4)
    assert np.isfinite(trainer.train_on_batch(*batch, return_dict=True)["loss"])


def test_a_training_step_computes_encoder_and_decoder_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trainer = small_trainer()
    trainer.compile(optimizer="sgd", run_eagerly=True)
    calls: list[str] = []

    def counted(part: keras.Model, name: str) -> None:
        original = part.call

        def call(*arguments: Any, **options: Any) -> Any:
            calls.append(name)
            return original(*arguments, **options)

        monkeypatch.setattr(part, "call", call)

    counted(trainer.encoder, "encoder")
    counted(trainer.decoder_logits, "decoder")
    frames = squares()
    batch = vae.draw_batch(frames, np.random.default_rng(0), 1.0, SMALL.latent_dim)
    trainer.train_on_batch(*batch)
    assert calls == ["encoder", "decoder"]


def test_training_draws_the_pictures_it_has_seen() -> None:
    trainer, rng = small_trainer(), np.random.default_rng(0)
    for _ in range(150):
        trainer.train_on_batch(*vae.draw_batch(squares(), rng, 0.05, 4))
    figures, decoded = vae.evaluate(trainer, squares(), np.zeros((6, 4), np.float32))
    assert figures["iou"].mean() > 0.8
    assert decoded.shape == (6, 16, 24)


def test_held_out_figures_agree_with_the_loss_in_training() -> None:
    trainer = small_trainer()
    (batch,) = vae.draw_batch(squares(), np.random.default_rng(3), 1.0, 4)
    figures, _ = vae.evaluate(trainer, squares(), batch["noise"])
    loss = float(trainer.compute_loss(x=batch, y_pred=trainer(batch)))
    assert figures["reconstruction"].mean() + figures["kl"].sum(1).mean() == pytest.approx(
        loss, rel=1e-4
    )


def test_an_empty_picture_reconstructed_as_empty_has_a_defined_iou() -> None:
    trainer = small_trainer()
    figures, _ = vae.evaluate(
        trainer, np.full((1, 16, 24), 255, np.uint8), np.zeros((1, 4), np.float32)
    )
    assert np.isfinite(figures["iou"]).all()


def test_weights_survive_the_disk(tmp_path: Path) -> None:
    encoder, decoder = vae.build_encoder(SMALL), vae.build_decoder(SMALL)
    save_weights(vae.join(encoder, decoder), tmp_path / "vae.weights.h5")
    encoder_2, decoder_2 = vae.load_vae(SMALL, tmp_path / "vae.weights.h5")
    for before, after in ((encoder, encoder_2), (decoder, decoder_2)):
        for first, second in zip(before.weights, after.weights, strict=True):
            assert np.array_equal(first, second)


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "vae.weights.h5"
    save_weights(vae.join(vae.build_encoder(SMALL), vae.build_decoder(SMALL)), path)
    with pytest.raises(UserError, match="'dancenet' VAE of 24x16"):
        vae.load_vae(VaeConfig("dancenet", height=16, width=24, latent_dim=4), path)


def test_a_truncated_weight_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "vae.weights.h5"
    path.write_bytes(b"not HDF5")
    with pytest.raises(UserError, match="does not hold the weights"):
        vae.load_vae(SMALL, path)
    with pytest.raises(UserError, match="no VAE weights"):
        vae.load_vae(SMALL, tmp_path / "other.weights.h5")

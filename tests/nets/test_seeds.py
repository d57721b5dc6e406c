"""A seed decides every first weight, and every step of a training, also in another process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")
pytest.importorskip("keras_mdn_layer", reason="needs the extra 'train'")

from dancenet.model.config import NETWORKS, DancerConfig, VaeConfig
from dancenet.nets import vae
from dancenet.nets.dancer import build_dancer
from dancenet.nets.training.loop import Schedule, make_optimizer

ROOT = Path(__file__).resolve().parents[2]


def first_weights(seed: int) -> dict[str, np.ndarray]:
    """Returns every weight of small networks of each kind, by its path."""
    found: dict[str, np.ndarray] = {}
    for network in NETWORKS:
        size = VaeConfig(network=network, height=16, width=24, latent_dim=4)
        motion = DancerConfig(
            *(network, 4, 8, 2), dense_units=6, velocity_inputs=2, styles=("salsa", "tango")
        )
        for build, config in (
            (vae.build_encoder, size),
            (vae.build_decoder, size),
            (lambda config: build_dancer(config).model, motion),
        ):
            keras.utils.set_random_seed(seed)
            model = build(config)
            for weight in model.weights:
                found[f"{network}/{model.name}/{weight.path}"] = np.array(weight)
    return found


def trained_weights(seed: int) -> dict[str, np.ndarray]:
    """Returns the weights of a small VAE after three steps."""
    keras.utils.set_random_seed(seed)
    config = VaeConfig(height=16, width=24, latent_dim=4)
    trainer = vae.VaeTrainer(vae.build_encoder(config), vae.build_decoder(config))
    trainer.compile(make_optimizer(Schedule(epochs=1, learning_rate=1e-2)), jit_compile=False)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        pictures = rng.choice(np.array([0, 255], np.uint8), (8, 16, 24))
        trainer.train_on_batch(*vae.draw_batch(pictures, rng, 1.0, config.latent_dim))
    return {
        f"trained/{index}": np.array(weight)
        for index, weight in enumerate(trainer.trainable_variables)
    }


def test_two_seeds_differ_in_every_kernel() -> None:
    one, other = first_weights(1), first_weights(2)
    kernels = [name for name in one if name.endswith("kernel")]
    assert len(kernels) == (7 + 6) + (6 + 6) + 2 * 8  # encoders, decoders, dancers
    assert [name for name in kernels if np.array_equal(one[name], other[name])] == []


def test_one_seed_gives_the_same_weights_in_two_processes(tmp_path: Path) -> None:
    here = {**first_weights(5), **trained_weights(5)}
    program = (
        "import sys, numpy\n"
        f"sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]\n"
        "import test_seeds\n"
        "numpy.savez('there.npz', **test_seeds.first_weights(5), **test_seeds.trained_weights(5))\n"
    )
    subprocess.run([sys.executable, "-P", "-c", program], cwd=tmp_path, env=os.environ, check=True)
    with np.load(tmp_path / "there.npz") as there:
        assert set(there.files) == set(here)
        assert [name for name in here if not np.array_equal(here[name], there[name])] == []

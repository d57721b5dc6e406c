"""Folders with untrained networks, for the exports."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dancenet.model.config import SILHOUETTE, DancerConfig, ModelConfig, VaeConfig
from dancenet.model.folder import ModelFolder
from dancenet.nets import dancer, vae

SMALL_VAE = {"height": 16, "width": 24, "latent_dim": 6}


def make_folder(
    path: Path, space: str = SILHOUETTE, **parts: VaeConfig | DancerConfig
) -> ModelFolder:
    """Writes a model folder with untrained weights, biases drawn too."""
    folder = ModelFolder(path)
    folder.create()
    config = ModelConfig("trial", space=space, **parts)  # type: ignore[arg-type]
    folder.write_config(config)
    rng = np.random.default_rng(0)
    if config.vae is not None:
        encoder, decoder = vae.build_encoder(config.vae), vae.build_decoder(config.vae)
        model = vae.join(encoder, decoder)
        for weight in model.weights:
            if weight.path.endswith("bias"):
                weight.assign(rng.normal(size=weight.shape) * 0.1)
        model.save_weights(folder / "vae.weights.h5")
    if config.dancer is not None:
        network = dancer.build_dancer(config.dancer)
        for weight in network.model.trainable_weights:
            weight.assign(rng.normal(size=weight.shape) * 0.3)
        network.set_step_scale(rng.uniform(0.05, 0.5, config.dancer.dim))
        if config.dancer.head == "mse":
            network.set_residual_sigma(rng.uniform(0.05, 0.5, config.dancer.dim))
        network.model.save_weights(folder / "dancer.weights.h5")
    return folder

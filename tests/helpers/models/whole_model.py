"""A small model with all files of a trained one, and drawn weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from export_models import SMALL_VAE, make_folder

from dancenet.codecs.base import Scaler
from dancenet.model.config import DancerConfig, VaeConfig
from dancenet.model.folder import ModelFolder
from dancenet.support.arrays import write_npz

DANCERS = {
    # As `lean` is trained by default and released: of centred figures, with running means.
    "lean": DancerConfig(
        dim=4,
        units=24,
        num_mixtures=3,
        velocity_inputs=2,
        context=(4.0, 30.0),
        temperature=0.6,
    ),
    "styles": DancerConfig(
        dim=4,
        units=24,
        num_mixtures=3,
        velocity_inputs=2,
        temperature=0.6,
        styles=("ballet", "house"),
    ),
    "mse": DancerConfig(dim=4, units=24, layers=2, num_mixtures=1, head="mse"),
    "2018": DancerConfig(
        network="dancenet",
        dim=4,
        units=8,
        layers=2,
        num_mixtures=4,
        predict="absolute",
        look_back=1,
    ),
    "dancenet": DancerConfig(
        network="dancenet",
        dim=4,
        units=8,
        layers=3,
        num_mixtures=4,
        dense_units=10,
        dropout=0.4,
        predict="absolute",
        recurrent_activation="hard_sigmoid_2018",
    ),
}
NUM_CLIPS, CLIP_FRAMES = 3, 5


def write_whole_model(path: Path, network: str) -> ModelFolder:
    """Writes weights, scaler and seed clips of one of the models above."""
    config = DANCERS[network]
    vae = VaeConfig(
        network=config.network,
        centred=network == "lean",
        **SMALL_VAE,  # type: ignore[arg-type]
    )
    folder = make_folder(path, vae=vae, dancer=config)
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.normal(size=(vae.num_latents, config.dim)))[0].T
    Scaler(
        rng.normal(size=vae.num_latents).astype(np.float32),
        basis.astype(np.float32),
        rng.uniform(0.5, 2, config.dim).astype(np.float32),
    ).save(folder / "scaler.npz")
    seeds = rng.normal(size=(NUM_CLIPS, CLIP_FRAMES, config.dim)).astype(np.float32)
    write_npz(folder / "seeds.npz", vectors=seeds)
    folder.seal()
    return folder

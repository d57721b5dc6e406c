"""Turns the three files of a 2018 DanceNet into a model folder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dancenet.codecs.base import Scaler
from dancenet.legacy import h5
from dancenet.legacy.networks import DANCER_2018, VAE_2018
from dancenet.model.config import DancerConfig, ModelConfig, VaeConfig
from dancenet.model.folder import DANCER_WEIGHTS, SCALER, SEEDS, VAE_WEIGHTS, ModelFolder
from dancenet.nets.export import onnx
from dancenet.nets.import_2018 import Networks2018
from dancenet.nets.training.statistics import MAX_SEEDS, spread
from dancenet.support import arrays, files, terminal

FPS_2018 = 10.0  # frames/s: `create_data.py` of 2018 kept every third frame of 30
_LEAST_AGREEMENT = 0.5


class Files2018(NamedTuple):
    """The three files of a 2018 DanceNet."""

    vae: Path  # vae_cnn.h5
    dancer: Path  # gendance.h5
    latents: Path  # lv.npy


@dataclass(frozen=True)
class Imported:
    """How well the three files fit together."""

    rows: int  # rows of lv.npy
    nats_per_dimension: float  # the dancer's loss on the steps of lv.npy, in 2018's own scaling
    pose_nats: float  # the loss of one Gaussian for all rows
    agreement: float  # correlation of latents with their decoded and encoded selves

    def warnings(self) -> list[str]:
        """Returns a sentence for each sign that the files do not fit."""
        found = []
        if self.nats_per_dimension >= self.pose_nats:
            found.append(
                f"the dancer predicts the steps of lv.npy no better ({self.nats_per_dimension:.2f} "
                f"nats per dimension) than one Gaussian for all frames ({self.pose_nats:.2f}): "
                "it was hardly trained, or was trained on other latents."
            )
        if self.agreement < _LEAST_AGREEMENT:
            found.append(
                "the latents of lv.npy change when they are decoded and encoded again (correlation "
                f"{self.agreement:.2f}): the VAE was hardly trained, or did not make this lv.npy."
            )
        return found


def import_model(
    paths: Files2018,
    folder: ModelFolder,
    name: str,
    *,
    fps: float = FPS_2018,
    vae_config: VaeConfig = VAE_2018,
    dancer_config: DancerConfig = DANCER_2018,
) -> tuple[Imported, list[onnx.Parity]]:
    """Writes a whole model: configuration, weights, scaler, seeds, graphs and checksums.

    The scaler is fitted on all of `lv.npy`, as in 2018. Each seed clip is one vector, since the
    network sees one; clip 0 is the first row, where every dance of 2018 began.

    Args:
        paths: the three files.
        folder: an empty folder; it is complete only when this returns.
        name: the model's.
        fps: frames per second of `lv.npy`.
        vae_config: the network that the first file must hold.
        dancer_config: the network that the second file must hold.

    Returns:
        How well the files fit together, and the comparison of the graphs with Keras.

    Raises:
        UserError: a file does not fit; the message says what was expected and found.
    """
    vae_arrays = h5.read_vae(paths.vae, vae_config)
    dancer_arrays = h5.read_dancer(paths.dancer, dancer_config)
    latents = h5.read_latents(paths.latents, vae_config.latent_dim)
    networks = Networks2018(vae_config, dancer_config)
    networks.set_vae(*vae_arrays)
    networks.set_dancer(dancer_arrays)
    scaler = Scaler.fit_range(latents)
    vectors = scaler.to_model(latents)
    fit = networks.fit_to(latents, vectors)
    rounded = {measure: round(value, 4) for measure, value in fit._asdict().items()}
    imported = Imported(len(latents), **rounded)
    record = {
        **dataclasses.asdict(imported),
        "sha256": {what: files.sha256_of(path) for what, path in paths._asdict().items()},
    }
    folder.create()
    folder.write_config(
        ModelConfig(name, fps, vae=vae_config, dancer=dancer_config, training={"imported": record})
    )
    scaler.save(folder / SCALER)
    rows = spread(np.arange(len(vectors)), MAX_SEEDS)
    names = np.array([f"lv.npy, row {row}" for row in rows])
    arrays.write_npz(folder / SEEDS, vectors=vectors[rows, None], names=names)
    networks.save(folder / VAE_WEIGHTS, folder / DANCER_WEIGHTS)
    report = onnx.export_vae(folder) + onnx.export_dancer(folder)
    for warning in imported.warnings():
        terminal.warn(warning)
    return imported, report

"""Turns the three files of a 2018 DanceNet into a model folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from dancenet.codecs.base import Scaler
from dancenet.legacy import h5 as legacy
from dancenet.model.config import DancerConfig, ModelConfig, VaeConfig
from dancenet.model.folder import DANCER_WEIGHTS, SCALER, SEEDS, VAE_WEIGHTS, ModelFolder
from dancenet.nets import vae
from dancenet.nets.dancer import DancerNetwork, build_dancer
from dancenet.nets.dancer_trainer import mixture_nats
from dancenet.nets.export import onnx as export
from dancenet.nets.training.loop import save_weights
from dancenet.nets.training.statistics import MAX_SEEDS, spread
from dancenet.support import files, terminal

# Every third frame of films of 30 frames per second, as `create_data.py` of 2018 kept them.
FPS_2018 = 10.0

_MAX_PAIRS = 1024  # of neighbouring latents that the dancer is tried on
_MAX_PICTURES = 16  # that the VAE is tried on
_LEAST_AGREEMENT = 0.5


@dataclass(frozen=True)
class Imported:
    """What the three files have to do with each other, as far as can be told from them."""

    rows: int  # of lv.npy
    nats_per_dimension: float  # of the dancer on the steps of lv.npy; in 2018's own scaling
    pose_nats: float  # of one Gaussian for every row
    agreement: float  # correlation of latents with those of the pictures they decode to

    def warnings(self) -> list[str]:
        """Returns a sentence for everything that does not look as it should."""
        found = []
        if self.nats_per_dimension >= self.pose_nats:
            found.append(
                f"the dancer knows the steps of lv.npy no better ({self.nats_per_dimension:.2f} "
                f"nats per dimension) than one Gaussian for every frame ({self.pose_nats:.2f}): "
                "it was hardly trained, or on other latents than these."
            )
        if self.agreement < _LEAST_AGREEMENT:
            found.append(
                "the latents of lv.npy, decoded and encoded again, are others (correlation "
                f"{self.agreement:.2f}): the VAE was hardly trained, or did not make this lv.npy."
            )
        return found


def import_model(
    vae_path: str | Path,
    dancer_path: str | Path,
    latents_path: str | Path,
    folder: ModelFolder,
    name: str,
    *,
    fps: float = FPS_2018,
    vae_config: VaeConfig = legacy.VAE_2018,
    dancer_config: DancerConfig = legacy.DANCER_2018,
) -> tuple[Imported, list[export.Parity]]:
    """Writes a whole model: configuration, weights, scaler, seeds, graphs and checksums.

    The scaler is fitted on all of `lv.npy`, as in 2018. Each stretch to start from is one vector,
    since the network sees one; stretch 0 is the first row, where every dance of 2018 began.

    Args:
        vae_path: `vae_cnn.h5`.
        dancer_path: `gendance.h5`.
        latents_path: `lv.npy`.
        folder: an empty folder; it is complete only when this returns.
        name: the model's.
        fps: frames per second of what `lv.npy` was made from.
        vae_config: the network that the first file must hold.
        dancer_config: the network that the second file must hold.

    Raises:
        UserError: a file does not fit; the message says what was expected and found.
    """
    vae_arrays = legacy.read_vae(vae_path, vae_config)
    dancer_arrays = legacy.read_dancer(dancer_path, dancer_config)
    latents = legacy.read_latents(latents_path, vae_config.latent_dim)
    encoder, decoder = vae.build_encoder(vae_config), vae.build_decoder(vae_config)
    for network, arrays in zip((encoder, decoder), vae_arrays):
        for layer, values in arrays.items():
            network.get_layer(layer).set_weights(values)
    dancer = build_dancer(dancer_config)
    set_dancer_weights(dancer, dancer_arrays)
    scaler = Scaler.fit_range(latents)
    vectors = scaler.to_model(latents)
    imported = _compare(encoder, decoder, dancer, latents, vectors)
    sources = {"vae": vae_path, "dancer": dancer_path, "latents": latents_path}
    record = {
        **dataclasses.asdict(imported),
        "sha256": {what: files.sha256_of(path) for what, path in sources.items()},
    }
    folder.create()
    folder.write_config(
        ModelConfig(name, fps, vae=vae_config, dancer=dancer_config, training={"imported": record})
    )
    scaler.save(folder / SCALER)
    rows = spread(np.arange(len(vectors)), MAX_SEEDS)
    names = np.array([f"lv.npy, row {row}" for row in rows])
    files.write_npz(folder / SEEDS, vectors=vectors[rows, None], names=names)
    save_weights(vae.join(encoder, decoder), folder / VAE_WEIGHTS)
    save_weights(dancer.model, folder / DANCER_WEIGHTS)
    report = export.export_vae(folder) + export.export_dancer(folder)
    for warning in imported.warnings():
        terminal.warn(warning)
    return imported, report


def set_dancer_weights(network: DancerNetwork, arrays: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Gives a network the arrays that `legacy.read_dancer` read."""
    layers: list[Any] = [*network.lstms, network.dense]
    layers += [network.mdn.mdn_mus, network.mdn.mdn_sigmas, network.mdn.mdn_pi]
    for layer, values in zip(layers, arrays.values(), strict=True):
        layer.set_weights(values)


def _compare(
    encoder: keras.Model,
    decoder: keras.Model,
    dancer: DancerNetwork,
    latents: np.ndarray,
    vectors: np.ndarray,
) -> Imported:
    rows = spread(np.arange(len(vectors) - 1), _MAX_PAIRS)
    # Called, because a `predict` of each of so many networks makes TensorFlow warn.
    params = dancer.model(vectors[rows, None])[:, 0]
    nats = ops.convert_to_numpy(mixture_nats(params, vectors[rows + 1], dancer.config.num_mixtures))
    deviation = np.maximum(vectors.std(axis=0), 1e-6)
    pose = np.log(deviation).mean() + 0.5 * np.log(2 * np.pi * np.e)
    some = spread(latents, _MAX_PICTURES)
    again = ops.convert_to_numpy(encoder(decoder(some))[0])
    first, second = ((z - latents.mean(axis=0)).ravel().astype(np.float64) for z in (some, again))
    length = np.sqrt(np.sum(first**2) * np.sum(second**2))
    return Imported(
        rows=len(latents),
        nats_per_dimension=round(float(np.mean(nats)), 4),
        pose_nats=round(float(pose), 4),
        agreement=round(float(first @ second / length) if length else 0.0, 4),
    )

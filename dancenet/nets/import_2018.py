"""Builds the networks of 2018 from arrays, and checks that they and their latents fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from dancenet.model.config import DancerConfig, VaeConfig
from dancenet.nets import vae
from dancenet.nets.dancer import DancerNetwork, build_dancer
from dancenet.nets.dancer_trainer import mixture_nats
from dancenet.nets.training.loop import save_weights
from dancenet.nets.training.statistics import spread

_MAX_PAIRS = 1024  # pairs of successive latents in the loss
_MAX_PICTURES = 16  # pictures in the correlation

LayerArrays = Mapping[str, Sequence[np.ndarray]]  # by layer, in Keras's order


class Fit(NamedTuple):
    """Measures of how well the networks and the latents of 2018 fit together."""

    nats_per_dimension: float  # the dancer's negative log-likelihood, model units
    pose_nats: float  # negative log-likelihood of one Gaussian for all rows
    agreement: float  # correlation of latents with their decoded and encoded selves


class Networks2018:
    """The encoder, the decoder and the dancer with given weights."""

    def __init__(self, vae_config: VaeConfig, dancer_config: DancerConfig) -> None:
        """Builds the untrained networks."""
        self.encoder = vae.build_encoder(vae_config)
        self.decoder = vae.build_decoder(vae_config)
        self.dancer = build_dancer(dancer_config)

    def set_vae(self, encoder: LayerArrays, decoder: LayerArrays) -> None:
        """Sets the weights of the encoder and the decoder, by layer."""
        for network, arrays in ((self.encoder, encoder), (self.decoder, decoder)):
            for layer, values in arrays.items():
                network.get_layer(layer).set_weights(values)

    def set_dancer(self, arrays: LayerArrays) -> None:
        """Sets the dancer's weights: LSTM layers, dense layer, means, sigmas, mixture weights."""
        head = self.dancer.mdn
        layers: list[Any] = [*self.dancer.lstms, self.dancer.dense]
        layers += [head.mdn_mus, head.mdn_sigmas, head.mdn_pi]
        for layer, values in zip(layers, arrays.values(), strict=True):
            layer.set_weights(values)

    def save(self, vae_path: Path, dancer_path: Path) -> None:
        """Writes `vae.weights.h5` and `dancer.weights.h5`."""
        save_weights(vae.join(self.encoder, self.decoder), vae_path)
        save_weights(self.dancer.model, dancer_path)

    def fit_to(self, latents: np.ndarray, vectors: np.ndarray) -> Fit:
        """Measures how well the networks fit the latents they came with.

        Args:
            latents: (T, L).
            vectors: (T, D), the same in model units.
        """
        deviation = np.maximum(vectors.std(axis=0), 1e-6)
        pose_nats = np.log(deviation).mean() + 0.5 * np.log(2 * np.pi * np.e)
        return Fit(
            nats_per_dimension=_step_nats(self.dancer, vectors),
            pose_nats=float(pose_nats),
            agreement=_agreement(self.encoder, self.decoder, latents),
        )


def _step_nats(dancer: DancerNetwork, vectors: np.ndarray) -> float:
    rows = spread(np.arange(len(vectors) - 1), _MAX_PAIRS)
    # Called directly: `predict` of so many networks makes TensorFlow warn.
    params = dancer.model(vectors[rows, None])[:, 0]
    nats = mixture_nats(params, vectors[rows + 1], dancer.config.num_mixtures)
    return float(np.mean(ops.convert_to_numpy(nats)))


def _agreement(encoder: keras.Model, decoder: keras.Model, latents: np.ndarray) -> float:
    some = spread(latents, _MAX_PICTURES)
    # A few at a time: the encoder needs 26 MB a picture.
    parts = [some[first : first + 4] for first in range(0, len(some), 4)]
    again = np.concatenate([ops.convert_to_numpy(encoder(decoder(part))[0]) for part in parts])
    first, second = ((z - latents.mean(axis=0)).ravel().astype(np.float64) for z in (some, again))
    length = np.sqrt(np.sum(first**2) * np.sum(second**2))
    return float(first @ second / length) if length else 0.0

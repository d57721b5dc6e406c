"""The picture network as the rest of the program sees it: whole frames to latents and back."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from dancenet.codecs import place
from dancenet.model.config import VaeConfig
from dancenet.nets.vae import LOG_VAR_RANGE, load_vae

_BATCH = 4


class PictureNetwork:
    """Encoder and decoder, and the place of the figure if they were trained on centred frames.

    Attributes:
        config: of the network.
        encoder: frames (B, H, W, 1) to `z_mean` and `z_log_var` (B, latent_dim), without place.
        decoder: the reverse, to background probability.
        logits: the decoder up to its logits (B, H, W, 1).
    """

    def __init__(self, config: VaeConfig, encoder: keras.Model, decoder: keras.Model) -> None:
        self.config, self.encoder, self.decoder = config, encoder, decoder
        self.logits = keras.Model(decoder.input, decoder.get_layer("logits").output)

    @classmethod
    def load(cls, config: VaeConfig, path: Path) -> PictureNetwork:
        """Reads a `vae.weights.h5`; see `vae.load_vae`."""
        return cls(config, *load_vae(config, path))

    def encode(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Takes background probability (B, H, W); returns `z_mean` and bounded `z_log_var`.

        Both are (B, L), with the place as the last number if the network is centred.
        """
        places = None
        if self.config.centred:
            frames, places = place.take_out(frames)
        z_mean, z_log_var = predict(self.encoder, frames[..., None])
        z_log_var = np.clip(z_log_var, *LOG_VAR_RANGE)
        if places is None:
            return z_mean, z_log_var
        log_variance = np.full_like(places, place.LOG_VARIANCE)
        return np.hstack([z_mean, places]), np.hstack([z_log_var, log_variance])

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Takes latents (B, L), with places if there are any; returns (B, H, W)."""
        if not self.config.centred:
            return predict(self.decoder, latents)[0][..., 0]
        logits = predict(self.logits, latents[:, :-1])[0][..., 0]
        return place.put_back(logits, latents[:, -1:])


def predict(model: keras.Model, inputs: np.ndarray) -> list[np.ndarray]:
    """Runs a model in batches of one size, because Keras compiles each size anew."""
    size = min(len(inputs), _BATCH)
    given = []
    for first in range(0, len(inputs), size):
        batch = inputs[first : first + size]
        filler = np.zeros((size - len(batch), *batch.shape[1:]), batch.dtype)
        outputs = model.predict_on_batch(np.concatenate([batch, filler]))
        outputs = outputs if isinstance(outputs, list) else [outputs]
        given.append([output[: len(batch)] for output in outputs])
    return [np.concatenate(parts) for parts in zip(*given)]

"""Silhouette frames to a trajectory and back, through the picture network."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from dancenet.codecs.base import Scaler
from dancenet.data.frames import BACKGROUND

_BATCH = 64


class Encoder(Protocol):
    """(B, H, W, 1) float32 in [0, 1], 1 background, to z_mean and z_log_var, (B, L) each."""

    def __call__(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


class Decoder(Protocol):
    """(B, L) float32 latents to (B, H, W) float32 whiteness in [0, 1]."""

    def __call__(self, latents: np.ndarray) -> np.ndarray: ...


def to_network(frames: np.ndarray) -> np.ndarray:
    """Takes (B, H, W) uint8 frames; returns (B, H, W, 1) float32 in [0, 1], 1 background."""
    return (frames.astype(np.float32) / np.float32(BACKGROUND))[..., None]


class SilhouetteCodec:
    """The codec of silhouette dance. See `codecs.base.Codec`."""

    def __init__(
        self, encoder: Encoder | None, decoder: Decoder, scaler: Scaler, fps: float
    ) -> None:
        """Joins the networks and the scaler.

        Args:
            encoder: None where only decoding is wanted.
            decoder: latents to whiteness.
            scaler: latents to model units.
            fps: frames per second of the training clips.
        """
        self._encoder = encoder
        self._decoder = decoder
        self.scaler = scaler
        self.fps = fps

    @property
    def dim(self) -> int:
        return self.scaler.dim

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """Takes (T, H, W) uint8 frames; returns (T, D) float32, from the encoder's z_mean."""
        if self._encoder is None:
            raise ValueError("This codec was made without an encoder.")
        z_mean = [
            self._encoder(to_network(frames[first : first + _BATCH]))[0]
            for first in range(0, len(frames), _BATCH)
        ]
        return self.scaler.to_model(np.concatenate(z_mean))

    def decode(self, vectors: np.ndarray) -> np.ndarray:
        """Takes (T, D) in model units; returns (T, H, W) float32 whiteness."""
        return self._decoder(self.scaler.to_latents(vectors))

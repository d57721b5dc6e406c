"""Silhouette frames to a trajectory and back, through the picture network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from dancenet.codecs.base import Scaler, smooth
from dancenet.data.frames.components import WHOLE, largest_share
from dancenet.data.frames.picture import BACKGROUND

_BATCH = 64
MOST_MENDING = 6  # times a picture in pieces is refined beyond what was asked for


class Encoder(Protocol):
    """(B, H, W, 1) float32 in [0, 1], 1 background, to z_mean and z_log_var, (B, L) each."""

    def __call__(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


class Decoder(Protocol):
    """(B, L) float32 latents to (B, H, W) float32 background probability in [0, 1]."""

    def __call__(self, latents: np.ndarray) -> np.ndarray: ...


def to_network(frames: np.ndarray) -> np.ndarray:
    """Takes (B, H, W) uint8 frames; returns (B, H, W, 1) float32 in [0, 1], 1 background."""
    return (frames.astype(np.float32) / np.float32(BACKGROUND))[..., None]


class SilhouetteCodec:
    """The codec of silhouette dance. See `codecs.base.Codec`."""

    def __init__(
        self,
        encoder: Encoder | None,
        decoder: Decoder,
        scaler: Scaler,
        fps: float,
        smoothing: float = 0.0,
    ) -> None:
        """Joins the networks and the scaler.

        Args:
            encoder: None where only decoding is wanted.
            decoder: latents to background probability.
            scaler: latents to model units.
            fps: frames per second of the training clips.
            smoothing: of latents over time, in frames; see `codecs.base.smooth`.
        """
        self._encoder = encoder
        self._decoder = decoder
        self.scaler = scaler
        self.fps = fps
        self.smoothing = smoothing

    @property
    def dim(self) -> int:
        return self.scaler.dim

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """Takes (T, H, W) uint8 frames of one clip; returns (T, D) float32, from z_mean."""
        if self._encoder is None:
            raise ValueError("This codec was made without an encoder.")
        z_mean = [
            self._encoder(to_network(frames[first : first + _BATCH]))[0]
            for first in range(0, len(frames), _BATCH)
        ]
        return self.trajectory(np.concatenate(z_mean), [range(len(frames))])

    def trajectory(self, z_mean: np.ndarray, clips: Sequence[range]) -> np.ndarray:
        """Takes the latents (T, L) of some clips; returns (T, D) float32 in model units."""
        return self.scaler.to_model(smooth(z_mean, clips, self.smoothing))

    def decode(self, vectors: np.ndarray, refine: int = 0, mend: int = MOST_MENDING) -> np.ndarray:
        """Takes (T, D) in model units; returns (T, H, W) float32 background probability.

        A generated vector may lie between the poses the decoder knows, and then limbs come off.
        Encoding the picture and decoding it again moves it towards what the two agree on. Those
        that are in pieces even then, few, are moved on until they are whole.

        Args:
            vectors: (T, D) in model units.
            refine: how often each picture is encoded and decoded again; 0 leaves all as they are.
            mend: how often more, at most, a refined picture that is in pieces.
        """
        background = self._decoder(self.scaler.to_latents(vectors))
        if not refine:
            return background
        for _ in range(refine):
            background = self._settled(background)
        shares = largest_share(background < 0.5)
        moving = background
        rows = np.arange(len(background))
        for _ in range(mend):
            kept = shares[rows] < WHOLE
            rows, moving = rows[kept], moving[kept]
            if not len(rows):
                break
            moving = self._settled(moving)
            found = largest_share(moving < 0.5)
            better = found > shares[rows]
            background[rows[better]] = moving[better]
            shares[rows] = np.maximum(found, shares[rows])
        return background

    def _settled(self, background: np.ndarray) -> np.ndarray:
        if self._encoder is None:
            raise ValueError("Settling needs an encoder; this codec was made without one.")
        return self._decoder(self._encoder(background[..., None])[0])

"""Silhouette frames to a trajectory and back, through the picture network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dancenet.codecs.base import Codec, FrameCodec, Scaler, smooth
from dancenet.codecs.latents import Latents
from dancenet.data.frames.components import WHOLE, largest_share
from dancenet.data.frames.picture import BACKGROUND
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, visible

_BATCH = 64  # frames encoded at once
MOST_MENDING = 6  # extra times that a picture in pieces is refined


class Encoder(Protocol):
    """(B, H, W, 1) float32 in [0, 1], 1 background, to z_mean and z_log_var, (B, L) each."""

    def __call__(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


class Decoder(Protocol):
    """(B, L) float32 latents to (B, H, W) float32 background probability in [0, 1]."""

    def __call__(self, latents: np.ndarray) -> np.ndarray: ...


def to_network(frames: np.ndarray) -> np.ndarray:
    """Takes (B, H, W) uint8 frames; returns (B, H, W, 1) float32 in [0, 1], 1 background."""
    return (frames.astype(np.float32) / np.float32(BACKGROUND))[..., None]


class SilhouetteCodec(FrameCodec):
    """The codec of silhouette dance; see `codecs.base.Codec`.

    Args:
        encoder: None where only decoding is wanted.
        decoder: latents to background probability.
        scaler: latents to model units.
        fps: frames per second of the training clips.
        smoothing: of latents over time, in frames; see `codecs.base.smooth`.
        encoder_sha256: the hash of the encoder graph, stored with latents; "" stores none.
    """

    kind = "in silhouettes"

    def __init__(
        self,
        encoder: Encoder | None,
        decoder: Decoder,
        scaler: Scaler,
        fps: float,
        smoothing: float = 0.0,
        encoder_sha256: str = "",
    ) -> None:
        super().__init__(scaler, fps)
        self._encoder = encoder
        self._decoder = decoder
        self.smoothing = smoothing
        self.encoder_sha256 = encoder_sha256

    @classmethod
    def of(cls, codec: Codec, name: str) -> SilhouetteCodec:
        """Returns the codec of a model `name` that must dance in silhouettes.

        Raises:
            UserError: it dances otherwise.
        """
        if not isinstance(codec, cls):
            raise UserError(
                f"{visible(name)} dances {codec.kind}, and this needs a model of silhouettes."
            )
        return codec

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """Takes (T, H, W) uint8 frames of one clip; returns (T, D) float32, from z_mean."""
        if self._encoder is None:
            raise ValueError("Encoding needs an encoder; this codec was made without one.")
        z_mean = [
            self._encoder(to_network(frames[first : first + _BATCH]))[0]
            for first in range(0, len(frames), _BATCH)
        ]
        return self.trajectory(np.concatenate(z_mean), [range(len(frames))])

    def trajectory(self, z_mean: np.ndarray, clips: Sequence[range]) -> np.ndarray:
        """Takes the latents (T, L) of some clips; returns (T, D) float32 in model units."""
        return self.scaler.to_model(smooth(z_mean, clips, self.smoothing))

    def read_start(self, path: str, row: int, length: int, name: str) -> np.ndarray:
        """Returns a seed clip from a file of latents; see `Codec.read_start`."""
        latents = Latents.load(path)
        latents.require_encoder(self.encoder_sha256, name)
        for clip in latents.clips:
            if row in clip:
                if row + length > clip.stop:
                    raise UserError(
                        f"A start needs {length} frames of one clip; row {row} of {quoted(path)} "
                        f"is only {clip.stop - row} before the end of its clip."
                    )
                return self.trajectory(latents.z_mean, latents.clips)[row : row + length]
        raise UserError(f"{quoted(path)} has {len(latents.z_mean)} rows; row {row} is not there.")

    def decode(self, vectors: np.ndarray, refine: int = 0, mend: int = MOST_MENDING) -> np.ndarray:
        """Takes (T, D) in model units; returns (T, H, W) float32 background probability.

        A generated vector may lie between the poses the decoder knows, and then limbs come off.
        Encoding the picture and decoding it again moves it towards a pose that both networks
        know. The few that are still in pieces are refined further, until they are whole.

        Args:
            vectors: (T, D) in model units.
            refine: times each picture is encoded and decoded again; 0 leaves all as they are.
            mend: at most this many more times for a refined picture that is in pieces.
        """
        background = self._decoder(self.scaler.to_latents(vectors))
        if not refine:
            return background
        for _ in range(refine):
            background = self._refined(background)
        shares = largest_share(background < 0.5)
        moving = background
        rows = np.arange(len(background))
        for _ in range(mend):
            kept = shares[rows] < WHOLE
            rows, moving = rows[kept], moving[kept]
            if not len(rows):
                break
            moving = self._refined(moving)
            found = largest_share(moving < 0.5)
            better = found > shares[rows]
            background[rows[better]] = moving[better]
            shares[rows] = np.maximum(found, shares[rows])
        return background

    def _refined(self, background: np.ndarray) -> np.ndarray:
        if self._encoder is None:
            raise ValueError("Refining needs an encoder; this codec was made without one.")
        return self._decoder(self._encoder(background[..., None])[0])


if TYPE_CHECKING:
    _is_a_codec: type[Codec] = SilhouetteCodec

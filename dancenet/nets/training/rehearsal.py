"""Frames that a trained VAE draws itself, so that it does not forget them in further training.

Pseudorehearsal (Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal"): a model
folder has no frames, but it has seed clips of real latents, and a decoder.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from dancenet.codecs.base import Scaler
from dancenet.data.frames.picture import BACKGROUND, DANCER
from dancenet.model.folder import SCALER, SEEDS, ModelFolder
from dancenet.nets.export.reference import read_seeds
from dancenet.support import checked, files

_REFINE = 2  # times each picture is encoded and decoded again, as in generation
_BATCH = 64


def remember(encoder: keras.Model, decoder: keras.Model, folder: ModelFolder) -> np.ndarray | None:
    """Draws the seed clips of a model that has a dancer.

    Args:
        encoder: of the model.
        decoder: of the model.
        folder: of the model, with its seed clips and its scaler.

    Returns:
        (T, H, W) uint8, 0 dancer and 255 background; None if the model has no seed clips.
    """
    if not ((folder / SCALER).is_file() and (folder / SEEDS).is_file()):
        return None
    vectors = read_seeds(folder)
    latents = Scaler.load(folder / SCALER).to_latents(vectors.reshape(-1, vectors.shape[2]))
    parts = []
    for first in range(0, len(latents), _BATCH):
        background = decoder.predict_on_batch(latents[first : first + _BATCH])
        for _ in range(_REFINE):
            background = decoder.predict_on_batch(encoder.predict_on_batch(background)[0])
        parts.append(np.where(background[..., 0] < 0.5, np.uint8(DANCER), np.uint8(BACKGROUND)))
    return np.concatenate(parts)


def save(path: Path, frames: np.ndarray) -> None:
    """Writes frames (T, H, W) at one bit a pixel, atomically."""
    files.write_npz(path, bits=np.packbits(frames > 0, axis=2), width=frames.shape[2])


def load(path: Path) -> np.ndarray:
    """Reads the frames of a file of `save`.

    Raises:
        UserError: the file is missing or damaged.
    """
    arrays = checked.read_npz(path, "file of remembered frames")
    pixels = np.unpackbits(arrays["bits"], axis=2, count=int(arrays["width"]))
    return pixels * np.uint8(BACKGROUND)

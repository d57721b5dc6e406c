"""What a trained model makes itself, so that it does not forget it in further training.

Pseudorehearsal (Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal"): a model
folder has no frames and no recordings, but it has seed clips of real motion, and the networks.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from dancenet.codecs import seeds
from dancenet.codecs.base import Scaler
from dancenet.data.frames.picture import BACKGROUND, DANCER
from dancenet.model.folder import SCALER, SEEDS, ModelFolder
from dancenet.nets.export.reference import read_seeds
from dancenet.sequence.generate import StepModel, generate
from dancenet.support import arrays, checked
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import option

_REFINE = 2  # times each picture is encoded and decoded again, as in generation
_BATCH = 64
_DANCE = 600  # frames of a dance that is rehearsed, at least
_LARGEST = 64 << 20  # bytes of remembered frames at one bit a pixel


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
    vectors, scaler = read_seeds(folder), Scaler.load(folder / SCALER)
    latent_dim = decoder.input_shape[-1]
    num_places = scaler.latent_dim - latent_dim
    if vectors.shape[2] != scaler.dim or num_places not in (0, 1):
        raise UserError(
            f"The files of {quoted(folder.path)} do not belong together: the seed clips have "
            f"{vectors.shape[2]} dimensions, the scaler {scaler.dim} of {scaler.latent_dim}, and "
            f"the decoder {latent_dim}."
        )
    # Without the place: what is rehearsed is the network of centred figures.
    latents = scaler.to_latents(vectors.reshape(-1, scaler.dim))[:, :latent_dim]
    parts = []
    for first in range(0, len(latents), _BATCH):
        background = decoder.predict_on_batch(latents[first : first + _BATCH])
        for _ in range(_REFINE):
            background = decoder.predict_on_batch(encoder.predict_on_batch(background)[0])
        parts.append(np.where(background[..., 0] < 0.5, np.uint8(DANCER), np.uint8(BACKGROUND)))
    return np.concatenate(parts)


def dance(
    step_model: StepModel, folder: ModelFolder, num_frames: int, seed: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Continues the seed clips of a dancer, each in its style.

    Args:
        step_model: the dancer's network.
        folder: its model.
        num_frames: about how many frames are wanted.
        seed: draws them; the same seed gives the same dances.

    Returns:
        (N, T, D) float32 in model units, which begin with real motion, and their styles' weights
        (N, S), None if the dancer has none.
    """
    config = folder.read_config().dancer
    vectors, names = seeds.read_seeds(folder / SEEDS)
    if config is None or vectors.shape[2] != step_model.dim:
        raise UserError(
            f"The files of {quoted(folder.path)} do not belong together: its seed clips have "
            f"{vectors.shape[2]} dimensions and its dancer {step_model.dim}."
        )
    count = int(np.clip(num_frames // _DANCE, 1, len(vectors)))
    chosen = np.arange(count) * len(vectors) // count
    length = max(1, -(-num_frames // count) - vectors.shape[1])
    styles = None
    if config.styles:
        styles = np.array([[own == names[i] for own in config.styles] for i in chosen], np.float32)
    rngs = [np.random.default_rng([seed, int(number)]) for number in chosen]
    begun = vectors[chosen]
    dances = generate(step_model, begun, length, rngs, config.temperature, style=styles)
    return np.concatenate([begun, np.stack(list(dances), axis=1)], axis=1), styles


def save(path: Path, frames: np.ndarray) -> None:
    """Writes frames (T, H, W) at one bit a pixel, atomically."""
    arrays.write_npz(path, bits=np.packbits(frames > 0, axis=2), width=frames.shape[2])


def load(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Reads the frames of a file of `save`.

    Args:
        path: the file.
        size: height and width that they must have.

    Raises:
        UserError: the file is missing, damaged, or of other frames.
    """
    arrays = checked.read_npz(path, "file of remembered frames", largest=_LARGEST)
    bits, width = arrays.get("bits"), arrays.get("width", np.zeros(()))
    if (
        bits is None
        or bits.ndim != 3
        or bits.dtype != np.uint8
        or width.shape != ()
        or width.dtype.kind not in "iu"
        or -(-int(width) // 8) != bits.shape[2]
        or (size is not None and (bits.shape[1], int(width)) != size)
    ):
        raise UserError(
            f"{quoted(path)} does not hold remembered frames; begin the training again with "
            f"{option('overwrite')}."
        )
    pixels = np.unpackbits(bits, axis=2, count=int(width))
    return pixels * np.uint8(BACKGROUND)

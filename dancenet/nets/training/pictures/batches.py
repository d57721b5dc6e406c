"""Batches of frames that a VAE is trained on, and the held-out frames that measure it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dancenet.data.frames.augment import augment
from dancenet.data.frames.centre import centred
from dancenet.data.frames.packed import PackedFrames
from dancenet.model.config import VaeConfig
from dancenet.nets.training.loop import Batch, Epoch
from dancenet.nets.training.options import VaeOptions
from dancenet.nets.training.statistics import rows_of, spread
from dancenet.nets.vae import VaeTrainer, draw_batch, evaluate
from dancenet.output.contact_sheet import contact_sheet, write_picture

_SHEET_FRAMES = 24
_MAX_WARM_UP = 0.1  # share of a training, so that a short one reaches the full beta, too
_FARTHEST = 4  # frames between the frame halfway and those that it lies between
_ACTIVE_NATS = 0.05  # a dimension with less KL divergence carries no information


class Batches:
    """Batches to train on.

    Args:
        options: of the training.
        config: of the network.
        packed: the frames.
        ranges: frames to train on; those of one range follow each other.
        remembered: (T, H, W) frames to rehearse, or None.
    """

    def __init__(
        self,
        options: VaeOptions,
        config: VaeConfig,
        packed: PackedFrames,
        ranges: list[range],
        remembered: np.ndarray | None,
    ) -> None:
        self._options = options
        self._packed = packed
        self._rows = rows_of(ranges)
        self._centred = config.centred
        # How many frames of its range each frame has on both sides.
        self._reach = np.concatenate(
            [np.minimum(np.arange(len(part)), np.arange(len(part))[::-1]) for part in ranges]
        )
        self._remembered = remembered
        self._latent_dim = config.latent_dim
        self.size = min(options.batch_size, len(self._rows))
        self._num_old = 0 if remembered is None else round(options.rehearse * self.size)
        self.num_halfway = int(options.halfway * (self.size - self._num_old))
        self._num_new = self.size - self._num_old - 2 * self.num_halfway

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch."""
        return max(1, min(len(self._rows), self._options.frames_per_epoch) // self._num_new)

    def __call__(self, epoch: Epoch) -> Iterator[Batch]:
        """Yields the batches of an epoch."""
        options, count = self._options, self._num_new
        order = _shuffled(len(self._rows), epoch.num_steps * count, epoch.rng)
        warm_up = max(1.0, min(options.beta_steps, _MAX_WARM_UP * epoch.total_steps))
        for index in range(epoch.num_steps):
            chosen = order[index * count : (index + 1) * count]
            step = epoch.first_step + index + 1
            beta = options.beta * min(1.0, step / warm_up)
            pictures = self._read(chosen, epoch.rng)
            if self._centred:
                pictures = centred(pictures)
            yield draw_batch(pictures, epoch.rng, beta, self._latent_dim)

    def _read(self, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Returns triples of frames first, as they are, then the others, augmented."""
        options, count = self._options, self.num_halfway
        pictures = self._packed.read(self._rows[chosen[count:]])
        if self._remembered is not None:
            old = rng.integers(len(self._remembered), size=self._num_old)
            pictures = np.concatenate([pictures, self._remembered[old]])
        if options.augment:
            pictures = augment(pictures, rng, options.augment)
        if not count:
            return pictures
        halfway, reach = self._rows[chosen[:count]], self._reach[chosen[:count]]
        away = np.minimum(reach, rng.integers(1, _FARTHEST + 1, size=count))
        triples = self._packed.read(np.concatenate([halfway - away, halfway, halfway + away]))
        if options.augment:
            flip = np.tile(rng.random(count) < 0.5, 3)
            triples[flip] = triples[flip, :, ::-1]
        return np.concatenate([triples, pictures])


class Validation:
    """Held-out frames, measured and drawn with the same noise after every epoch."""

    def __init__(
        self,
        options: VaeOptions,
        trainer: VaeTrainer,
        packed: PackedFrames,
        rows: np.ndarray,
        *,
        config: VaeConfig,
        batch_size: int,
        seed: int,
    ) -> None:
        """Chooses the frames.

        Args:
            options: of the training.
            trainer: the network.
            packed: the frames.
            rows: (N,) the held-out ones.
            config: of the network.
            batch_size: frames measured at once.
            seed: of the noise.
        """
        self._trainer = trainer
        self._packed = packed
        self._centred = config.centred
        self._beta = options.beta
        self._batch_size = batch_size
        self._measured = spread(rows, options.max_validation_frames)
        self._shown = spread(rows, _SHEET_FRAMES)
        self.latent_dim = config.latent_dim
        self._noise = np.random.default_rng(seed).standard_normal(
            (len(self._measured), self.latent_dim), dtype=np.float32
        )

    def measure(self) -> dict[str, float]:
        """Returns the metrics of the log."""
        parts: list[dict[str, np.ndarray]] = []
        for first in range(0, len(self._measured), self._batch_size):
            chosen = slice(first, first + self._batch_size)
            pictures = self._read(self._measured[chosen])
            parts.append(evaluate(self._trainer, pictures, self._noise[chosen])[0])
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        divergence = whole["kl"].mean(axis=0)
        reconstruction, kl = float(whole["reconstruction"].mean()), float(divergence.sum())
        return {
            "val_loss": reconstruction + self._beta * kl,
            "val_reconstruction": reconstruction,
            "val_kl": kl,
            "val_iou": float(whole["iou"].mean()),
            "val_active_dims": float((divergence > _ACTIVE_NATS).sum()),
        }

    def draw_sheet(self, path: Path) -> None:
        """Writes a contact sheet of frames and their reconstructions, a PNG."""
        pictures = self._read(self._shown)
        _, decoded = evaluate(self._trainer, pictures, self._noise[: len(pictures)])
        write_reconstructions(path, pictures, decoded)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        pictures = self._packed.read(rows)
        return centred(pictures) if self._centred else pictures


def _shuffled(size: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns `count` numbers below `size` in random order, each once before any is repeated."""
    rounds = [rng.permutation(size) for _ in range(-(-count // size))]
    return np.concatenate(rounds)[:count]


def write_reconstructions(
    path: Path, frames: np.ndarray, decoded: np.ndarray, columns: int = 8
) -> None:
    """Writes a contact sheet: rows of held-out frames above rows of their reconstructions.

    Args:
        path: the PNG to write.
        frames: (B, H, W) uint8.
        decoded: (B, H, W) background probability, 0..1.
        columns: pictures in a row.
    """
    pictures = (decoded * 255).round().astype(np.uint8)
    rows: list[np.ndarray] = []
    for first in range(0, len(frames), columns):
        originals = list(frames[first : first + columns])
        blank = [np.full_like(frames[0], 205)] * (columns - len(originals))
        rows += [*originals, *blank, *pictures[first : first + columns], *blank]
    write_picture(path, contact_sheet(rows, columns))

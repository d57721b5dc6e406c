"""What a dancer learns from, whatever it was: trajectories in model units, split, with their noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancenet.codecs.base import Scaler, smooth
from dancenet.codecs.latents import Latents
from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.data.recordings import Recordings
from dancenet.errors import UserError
from dancenet.nets import dance_data
from dancenet.nets.dance_data import BatchOptions, WindowData

VARIANCE = 0.98  # share of the joints' variance whose directions are danced
# How uncertain joints count as, in model units: what a network is shown is never quite right.
JOINT_DEVIATION = 0.1


@dataclass(frozen=True)
class Material:
    """Trajectories of a space, ready to be learned from."""

    vectors: np.ndarray  # (T, D) float32 in model units
    train: list[range]  # rows to learn from, each range inside a clip
    held_out: list[range]
    names: list[str]  # where each range of `train` came from
    held_out_names: list[str]
    fps: float  # frames per second
    what: str  # what the vectors are made of, for people
    raw_dim: int  # numbers that describe a frame before some are left out
    style_names: tuple[str, ...]  # S
    styles: np.ndarray | None  # (T, S) weights, None without styles
    save_units: Callable[[Path], None]  # writes the map to and from model units
    windows: Callable[[BatchOptions], WindowData]

    @property
    def dim(self) -> int:
        return self.vectors.shape[1]

    def styles_of(self, rows: np.ndarray) -> np.ndarray | None:
        """Returns the weights (B, S) of the styles of some rows (B,), if there are styles."""
        return None if self.styles is None else self.styles[rows]

    def style_names_of(self, rows: np.ndarray) -> np.ndarray:
        """Returns the name of the style of each row (B,), "" where none is known."""
        if self.styles is None:
            return np.full(len(rows), "")
        known = np.array([*self.style_names, ""])
        none = ~self.styles[rows].any(axis=1)
        return known[np.where(none, len(self.style_names), self.styles[rows].argmax(axis=1))]

    @classmethod
    def of_latents(
        cls, latents: Latents, network: str, look_back: int, smoothing: float,
        scaler: Scaler | None = None,
    ) -> Material:
        """Takes latents; fits the scaler on the training clips unless one is given.

        Args:
            latents: of every frame.
            network: "lean" or "dancenet", see `dance_data.fit_scaler`, as of the next.
            look_back: of the dancer.
            smoothing: of latents over time, in frames; see `codecs.base.smooth`.
            scaler: into model units.

        Raises:
            UserError: there is nothing to learn from, or nothing to validate on.
        """
        train, held_out = _split(latents, "latents")
        z_mean = smooth(latents.z_mean, latents.clips, smoothing)
        if scaler is None:
            scaler = dance_data.fit_scaler(z_mean, train, network, look_back)
        known = scaler

        def windows(options: BatchOptions) -> WindowData:
            return WindowData.of_latents(latents, known, options, smoothing)

        return cls(
            scaler.to_model(z_mean), train, held_out, dance_data.clip_names(latents, train),
            dance_data.clip_names(latents, held_out), latents.fps, "latents", scaler.latent_dim,
            (), None, scaler.save, windows,
        )

    @classmethod
    def of_recordings(
        cls, recordings: Recordings, codec: SkeletonCodec | None = None,
        variance: float = VARIANCE, style_names: tuple[str, ...] | None = None,
    ) -> Material:
        """Takes recorded joints; fits the codec on the training clips unless one is given.

        Args:
            recordings: of one skeleton.
            codec: of that skeleton.
            variance: of the codec that is fitted; see `SkeletonCodec.fit`.
            style_names: the styles that are known, or None for those of the recordings.

        Raises:
            UserError: there is nothing to learn from or to validate on, a style is not known, or
                the joints are not those of the codec.
        """
        train, held_out = _split(recordings, "recordings")
        if codec is None:
            codec = SkeletonCodec.fit(
                [
                    clip.cut(range(rows.start - whole.start, rows.stop - whole.start))
                    for rows in train
                    for clip, whole in zip(recordings.clips, recordings.rows)
                    if whole.start <= rows.start < whole.stop
                ],
                variance,
            )
        codec.check(recordings.clips[0])
        if abs(codec.fps - recordings.fps) > 1e-6 * codec.fps:
            raise UserError(
                f"The recordings have {recordings.fps:g} frames/s and the model dances at "
                f"{codec.fps:g}; say --fps {codec.fps:g}."
            )
        vectors = np.concatenate([codec.encode(clip.positions) for clip in recordings.clips])
        names = recordings.style_names if style_names is None else style_names
        strange = sorted(set(recordings.style_names) - set(names))
        if strange:
            raise UserError(
                f"The model does not know the style {strange[0]!r}; it knows "
                f"{', '.join(names) or 'none'}."
            )
        styles = None
        if names:
            styles = np.zeros((len(vectors), len(names)), np.float32)
            for rows, style in zip(recordings.rows, recordings.styles):
                if style:
                    styles[rows.start : rows.stop, names.index(style)] = 1.0

        def windows(options: BatchOptions) -> WindowData:
            deviation = np.broadcast_to(np.float32(JOINT_DEVIATION), vectors.shape)
            return WindowData(vectors, options, deviation, styles=styles)

        return cls(
            vectors, train, held_out, dance_data.clip_names(recordings, train),
            dance_data.clip_names(recordings, held_out), recordings.fps, "joints",
            codec.scaler.latent_dim, names, styles, codec.save, windows,
        )


def _split(material: Latents | Recordings, what: str) -> tuple[list[range], list[range]]:
    train, held_out = material.split()
    if not train or not held_out:
        raise UserError(
            f"The {what} have {len(train)} clips to train on and {len(held_out)} to "
            "validate on; both are needed. Add more clips."
        )
    return train, held_out

"""Reference outputs in Keras: a trained model, and the inputs that exports are tried on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dancenet.codecs import seeds as seed_clips
from dancenet.codecs.base import Scaler
from dancenet.codecs.silhouette import to_network
from dancenet.codecs.skeleton import Placement, SkeletonCodec
from dancenet.model.config import DancerConfig, ModelConfig, VaeConfig
from dancenet.model.folder import CODEC, DANCER_WEIGHTS, SCALER, SEEDS, VAE_WEIGHTS, ModelFolder
from dancenet.nets.dancer import DancerNetwork, KerasStepModel, load_dancer
from dancenet.nets.picture_network import PictureNetwork
from dancenet.sequence.generate import State
from dancenet.sequence.mixture import Mixture
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import command

_TRIALS = 16


@dataclass(frozen=True)
class Networks:
    """A trained model in Keras; the parts it does not have are None."""

    folder: ModelFolder
    config: ModelConfig
    pictures: PictureNetwork | None
    dancer: DancerNetwork | None
    scaler: Scaler | None  # for a dancer of latents, once it is fitted
    seeds: np.ndarray | None  # (N, S, D) the dancer's seed clips, model units
    codec: SkeletonCodec | None = None  # for a dancer of joints, in place of the scaler

    @classmethod
    def load(cls, folder: ModelFolder, parts: Sequence[str]) -> Networks:
        """Reads a model's weights.

        Args:
            folder: the model.
            parts: which networks, "vae" and "dancer".

        Raises:
            UserError: a file is missing, or does not fit the others.
        """
        config, pictures, motion = folder.read_config(), None, None
        scaler, seeds, codec = None, None, None
        if "vae" in parts:
            if config.vae is None:
                raise UserError(f"The model {quoted(folder.path)} has no picture network.")
            weights = folder.require(VAE_WEIGHTS, command("train-vae"))
            pictures = PictureNetwork.load(config.vae, weights)
        if "dancer" in parts:
            if config.dancer is None:
                raise UserError(
                    f"The model {quoted(folder.path)} has no dancer in its configuration."
                )
            motion = load_dancer(
                config.dancer, folder.require(DANCER_WEIGHTS, command("train-dancer"))
            )
            if not config.facts.has_latents:
                codec = SkeletonCodec.load(folder.require(CODEC, command("train-dancer")))
            elif (folder / SCALER).exists():
                scaler = Scaler.load(folder / SCALER)
            if (folder / SEEDS).exists():
                seeds = read_seeds(folder)
        networks = cls(folder, config, pictures, motion, scaler=scaler, seeds=seeds, codec=codec)
        networks._check_dimensions()
        return networks

    def _check_dimensions(self) -> None:
        """Raises UserError unless all files have vectors, and latents, of one length."""
        lengths = []
        if self.dancer is not None:
            dim = self.dancer.config.dim
            if self.scaler is not None:
                lengths.append(("the dancer", dim, SCALER, self.scaler.dim))
            if self.codec is not None:
                lengths.append(("the dancer", dim, CODEC, self.codec.dim))
            if self.seeds is not None:
                lengths.append(("the dancer", dim, SEEDS, self.seeds.shape[-1]))
        if self.scaler is not None and self.config.vae is not None:
            count = self.config.vae.num_latents
            lengths.append(("the picture network", count, SCALER, self.scaler.latent_dim))
        for network, expected, name, found in lengths:
            if found != expected:
                raise UserError(
                    f"The files of {quoted(self.folder.path)} do not belong together: {network} "
                    f"has {expected} dimensions and {name} {found}."
                )

    @cached_property
    def frames(self) -> np.ndarray:
        """(B, H, W) background probability for the encoder: decoded latents, discs, noise."""
        assert self.config.vae is not None
        return np.concatenate([self.decode(self.latents), trial_frames(self.config.vae)[..., 0]])

    @cached_property
    def latents(self) -> np.ndarray:
        """(B, L) for the decoder: draws from the prior, and real latents if there are any."""
        assert self.config.vae is not None
        return trial_latents(self.folder, self.config.vae)

    @cached_property
    def walk(self) -> np.ndarray:
        """(S, B, D) in model units for the step: seed clips if there are any, and noise."""
        assert self.config.dancer is not None
        return trial_vectors(self.folder, self.config.dancer)

    def encode(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Takes background probability (B, H, W); returns `z_mean` and bounded `z_log_var`."""
        assert self.pictures is not None
        return self.pictures.encode(frames)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Takes latents (B, L); returns background probability (B, H, W)."""
        assert self.pictures is not None
        return self.pictures.decode(latents)

    @cached_property
    def joints(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The decoded `walk`: start placements (B, 3), joints (B, S, J, C), end placements.

        See `tensorflow_layers.TensorFlowJoints`.
        """
        assert self.codec is not None
        rng = np.random.default_rng(0)
        starts = rng.uniform(-3, 3, (self.walk.shape[1], 3)).astype(np.float32)
        joints, ends = [], []
        for vectors, (heading, *place) in zip(self.walk.swapaxes(0, 1), starts.tolist()):
            start = Placement(heading, tuple(place[: 1 if self.codec.is_flat else 2]))
            positions, end = self.codec.continue_from(vectors, start)
            joints.append(positions)
            if self.codec.is_flat:
                end = Placement(heading, (*end.place, place[1]))
            ends.append([end.heading, *end.place])
        return starts, np.stack(joints), np.array(ends, np.float32)

    @property
    def rms_step(self) -> np.ndarray:
        """(D,) root mean square step of the seed clips, model units."""
        if self.seeds is not None and self.seeds.shape[1] > 1:
            return np.sqrt(np.square(np.diff(self.seeds, axis=1)).mean((0, 1)))
        assert self.dancer is not None
        return self.dancer.step_scale

    @property
    def state_names(self) -> list[str]:
        """The names of the dancer's state in order; see `DancerConfig.state_widths`."""
        assert self.config.dancer is not None
        return list(self.config.dancer.state_widths)

    def first_state(self, batch: int) -> dict[str, np.ndarray]:
        """Returns the state before the first step, by name, with styles to try."""
        assert self.config.dancer is not None
        style = trial_styles(self.config.dancer, batch)
        return dict(zip(self.state_names, self.step_model.initial_state(batch, style)))

    @cached_property
    def step_model(self) -> KerasStepModel:
        """The dancer, one step at a time."""
        assert self.dancer is not None
        return KerasStepModel(self.dancer)

    @cached_property
    def steps(self) -> list[tuple[Mixture, State]]:
        """The dancer's output and next state for each vector of `walk`, its state carried on."""
        state, given = tuple(self.first_state(self.walk.shape[1]).values()), []
        for vectors in self.walk:
            mixture, state = self.step_model.step(vectors, state)
            given.append((mixture, state))
        return given


def read_seeds(folder: ModelFolder) -> np.ndarray:
    """Returns the model's seed clips, (N, S, D) float32 in model units.

    Raises:
        UserError: they are missing or damaged.
    """
    return seed_clips.read_seeds(folder / SEEDS).vectors


def trial_vectors(folder: ModelFolder, config: DancerConfig) -> np.ndarray:
    """Returns vectors (S, B, D) in model units: the model's seed clips if any, and noise."""
    rng = np.random.default_rng(0)
    walk = rng.standard_normal((_TRIALS, _TRIALS, config.dim)).astype(np.float32)
    if (folder / SEEDS).exists():
        seeds = read_seeds(folder)[: _TRIALS - 2, :_TRIALS]
        _check_dim(folder, seeds.shape[2], config.dim)
        walk[: seeds.shape[1], : len(seeds)] = seeds.transpose(1, 0, 2)
    return walk


def _check_dim(folder: ModelFolder, found: int, expected: int) -> None:
    if found != expected:
        raise UserError(
            f"The files of {quoted(folder.path)} do not belong together: one has vectors of "
            f"{found} dimensions, and another of {expected}."
        )


def trial_styles(config: DancerConfig, batch: int) -> np.ndarray | None:
    """Returns style weights (B, S): each style alone, then blends; None if there are no styles."""
    count = len(config.styles)
    if not count:
        return None
    blends = np.random.default_rng(0).dirichlet(np.ones(count), max(0, batch - count))
    return np.concatenate([np.eye(count)[:batch], blends]).astype(np.float32)


def trial_frames(config: VaeConfig) -> np.ndarray:
    """Returns frames (B, H, W, 1) float32: empty, full, noise, and figures of discs."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: config.height, : config.width]
    frames = np.full((_TRIALS, config.height, config.width), 255, np.uint8)
    frames[1] = 0
    frames[2] = np.where(rng.random(frames[2].shape) < 0.5, 0, 255)
    for frame in frames[3:]:
        for _ in range(6):
            row, column = rng.uniform(0, config.height), rng.uniform(0, config.width)
            frame[np.hypot(rows - row, columns - column) < rng.uniform(3, 25)] = 0
    return to_network(frames)


def trial_latents(folder: ModelFolder, config: VaeConfig) -> np.ndarray:
    """Returns latents (B, L) float32: draws from the prior, and the seed clips' if any."""
    drawn = np.random.default_rng(0).standard_normal((_TRIALS, config.num_latents))
    latents = [drawn.astype(np.float32)]
    if (folder / SCALER).exists() and (folder / SEEDS).exists():
        scaler = Scaler.load(folder / SCALER)
        vectors = read_seeds(folder)
        _check_dim(folder, vectors.shape[2], scaler.dim)
        _check_dim(folder, scaler.latent_dim, config.num_latents)
        vectors = vectors.reshape(-1, scaler.dim)
        latents.append(scaler.to_latents(vectors[:: max(1, len(vectors) // _TRIALS)]))
    return np.concatenate(latents)

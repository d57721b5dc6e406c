"""The recipe of 2018: a network that sees one vector, its sampler and its feedback."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancenet.codecs.latents import Latents
from dancenet.generation import write as pipeline
from dancenet.generation.write import Dancer
from dancenet.model import folder as model_folder
from dancenet.model.folder import ModelFolder
from dancenet.sequence import legacy
from dancenet.sequence.generate import State
from dancenet.sequence.mixture import Mixture
from dancenet.support import files, terminal
from dancenet.support.errors import MissingExtra, UserError

FOLDER = "recipe_2018"  # in the folder of the report
_MATERIAL = "material.json"  # in its training, written last: what it was trained on


@dataclass
class RangeUnits:
    """A network in the units of 2018, in which every latent of the training dances is in 0..1.

    The networks that are trained here see latents of unit variance. To feed one its own latents
    unscaled, as in 2018, it has to be one that expects them in 0..1: this is that network, an
    exact change of units.
    """

    inner: Dancer
    low: np.ndarray  # (L,) of the training latents
    spread: np.ndarray  # (L,) > 0
    dim: int  # L

    @classmethod
    def fit(cls, recipe: Dancer, latents: Latents, train: Sequence[range]) -> RangeUnits:
        """Takes the range of one draw of each training latent, as in 2018.

        Raises:
            UserError: the network does not dance in all dimensions of the latents.
        """
        scaler = recipe.codec.scaler
        if scaler.dim != scaler.latent_dim:
            raise UserError(
                f"{recipe.name} dances in {scaler.dim} of {scaler.latent_dim} dimensions of the "
                "latents; the network of 2018 took them all. Train it with --network dancenet."
            )
        rows = np.concatenate([np.arange(clip.start, clip.stop) for clip in train])
        deviation = np.exp(0.5 * latents.z_log_var[rows])
        noise = np.random.default_rng(0).standard_normal(deviation.shape, dtype=np.float32)
        drawn = latents.z_mean[rows] + deviation * noise
        low = drawn.min(axis=0)
        spread = drawn.max(axis=0) - low
        return cls(recipe, low, np.where(spread > 0, spread, 1.0), len(low))

    def initial_state(self, batch: int, style: np.ndarray | None = None) -> State:
        """See `sequence.generate.StepModel`."""
        return self.inner.step_model.initial_state(batch, style)

    def step(self, vectors: np.ndarray, state: State) -> tuple[Mixture, State]:
        """Takes (B, L) in 0..1; returns the mixture for the next vectors in the same units."""
        scaler = self.inner.codec.scaler
        inside = scaler.to_model(self.to_latents(vectors))
        mixture, following = self.inner.step_model.step(inside, state)
        # The scaler of such a network has no rotation: its basis is the unit matrix.
        mu = self.to_range(scaler.to_latents(mixture.mu))
        sigma = mixture.sigma * scaler.scale / self.spread
        return Mixture(mixture.pi_logits, mu, sigma), following

    def to_latents(self, vectors: np.ndarray) -> np.ndarray:
        """Takes (…, L) in 0..1; returns latents."""
        return (self.low + vectors * self.spread).astype(np.float32)

    def to_range(self, latents: np.ndarray) -> np.ndarray:
        """Takes latents (…, L); returns them in 0..1."""
        return ((latents - self.low) / self.spread).astype(np.float32)

    def dance(self, seed: int, count: int, num_frames: int) -> np.ndarray:
        """Returns the latents (count, T, L) of dances made as in 2018."""
        rngs = [
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
            for index in range(count)
        ]
        drawn = [int(rng.integers(len(self.inner.seeds))) for rng in rngs]
        starts = self.to_range(self.inner.codec.scaler.to_latents(self.inner.seeds[drawn]))
        made = legacy.generate(self, starts, num_frames, rngs, legacy.TEMPERATURE, self.to_latents)
        try:
            return np.stack([self.to_latents(vectors) for vectors in made], axis=1)
        except ValueError as error:
            raise UserError(f"The model {self.inner.name} cannot go on: {error}") from error


def load_recipe(name: str | Path, dancer: Dancer) -> Dancer:
    """Loads a model whose dancer is that of 2018.

    Raises:
        UserError: it has another VAE than `dancer`, or sees more than one vector.
    """
    recipe = pipeline.load_dancer(name)
    if recipe.encoder_sha256 != dancer.encoder_sha256:
        raise UserError(
            f"{recipe.name} has another encoder than {dancer.name}; the network of 2018 is to be "
            "trained on the same latents."
        )
    config = ModelFolder(pipeline.find_model(name)).read_config().dancer
    if config is not None and config.look_back != 1:
        raise UserError(
            f"{recipe.name} was trained to look back {config.look_back} vectors, and the network "
            "of 2018 saw one; train it with `python scripts/train_dancer.py --network dancenet "
            "--look-back 1`."
        )
    return recipe


def trained_recipe(source: ModelFolder, latents: Latents, out: Path, minutes: float) -> Path:
    """Trains a network of 2018, unless there is one that was trained on the same latents.

    Args:
        source: the model whose VAE made the latents.
        latents: to train on, and to hold out from.
        out: the folder of the report.
        minutes: of training.

    Returns:
        The folder of the model, inside `out`.

    Raises:
        MissingExtra: Keras is not installed.
    """
    folder = ModelFolder(out / FOLDER)
    material = {
        "encoder_sha256": latents.encoder_sha256,
        "latents_sha256": hashlib.sha256(latents.z_mean.tobytes()).hexdigest(),
    }
    record = folder.training / _MATERIAL
    if record.exists() and files.read_json(record, "record of a training") == material:
        terminal.say(f"The network of 2018 in {folder.path} is used again.")
        return folder.path
    try:
        with terminal.quiet_import():
            from dancenet.nets.export import onnx as export
            from dancenet.nets.training import dancer as train_dancer
            from dancenet.nets.training import loop as train
    except ImportError as error:
        step = "Training the network of 2018"
        raise MissingExtra(step, "train", error.name or "keras") from error
    out.mkdir(exist_ok=True)
    if folder.path.exists():
        shutil.rmtree(folder.path)
    folder.create()
    for name in (model_folder.ENCODER_GRAPH, model_folder.DECODER_GRAPH):
        shutil.copyfile(source / name, folder / name)
    config = source.read_config()
    folder.write_config(
        dataclasses.replace(config, name=f"{config.name}, 2018 recipe", dancer=None, training={})
    )
    folder.seal()
    # The input is a draw of each latent, as in 2018; the target its mean, for the held-out figure
    # that chooses the weights is of means.
    train_dancer.train_dancer(
        latents,
        folder,
        train_dancer.DancerOptions(
            network="dancenet",
            look_back=1,
            stride=1,
            perturbation=0.0,
            noise_correlation=0.0,
            smoothing=0.0,
        ),
        train.TrainOptions(minutes=minutes, learning_rate=5e-4, patience=0),
    )
    export.export_dancer(folder)
    files.write_json(record, material)
    return folder.path

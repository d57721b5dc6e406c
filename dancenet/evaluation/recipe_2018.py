"""The reference of 2018: a network that sees one vector, with the sampler of that year."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancenet.codecs.latents import Latents
from dancenet.generation.load import Dancer, load_dancer
from dancenet.model import folder as model_folder
from dancenet.model.folder import ModelFolder
from dancenet.model.releases import find_model
from dancenet.sequence import legacy
from dancenet.sequence.generate import State
from dancenet.sequence.mixture import Mixture
from dancenet.support import checked, errors, files, terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, visible
from dancenet.support.wording import command, option

FOLDER = "recipe_2018"  # inside the folder of the report
_DATASET = "material.json"  # identifies the latents it was trained on; written last


@dataclass
class RangeUnits:
    """A step model in the units of 2018, in which all training latents lie in 0..1.

    Networks trained here expect latents of unit variance, while the sampler of 2018 works on
    latents in 0..1. This class converts between the two, exactly.
    """

    inner: Dancer
    low: np.ndarray  # (L,) minimum of the training latents
    spread: np.ndarray  # (L,) their maximum minus their minimum, > 0
    dim: int  # L

    @classmethod
    def fit(cls, recipe: Dancer, latents: Latents, train: Sequence[range]) -> RangeUnits:
        """Measures the range of the training latents, from one draw of each, as in 2018.

        Raises:
            UserError: the network does not use all dimensions of the latents.
        """
        scaler = recipe.codec.scaler
        if scaler.dim != scaler.latent_dim:
            raise UserError(
                f"{visible(recipe.name)} uses {scaler.dim} of {scaler.latent_dim} dimensions of "
                "the latents; the network of 2018 used them all. Train it with "
                f"{option('network', 'dancenet')}."
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
        # Standard deviations scale without a rotation, because the scaler's basis is the identity.
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
        """Generates dances as in 2018; returns their latents (count, T, L)."""
        rngs = [
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
            for index in range(count)
        ]
        drawn = [int(rng.integers(len(self.inner.seeds))) for rng in rngs]
        starts = self.to_range(self.inner.codec.scaler.to_latents(self.inner.seeds[drawn]))
        made = legacy.generate(
            self, starts, num_frames, rngs, legacy.TEMPERATURE, to_latents=self.to_latents
        )
        try:
            return np.stack([self.to_latents(vectors) for vectors in made], axis=1)
        except ValueError as error:
            raise UserError(
                f"The model {visible(self.inner.name)} cannot generate further: {error}"
            ) from error


def load_recipe(name: str | Path, dancer: Dancer) -> Dancer:
    """Loads a model whose dancer was trained as in 2018.

    Raises:
        UserError: its VAE is not the one of `dancer`, or it sees more than one vector.
    """
    recipe = load_dancer(name)
    if recipe.codec.encoder_sha256 != dancer.codec.encoder_sha256:
        raise UserError(
            f"{visible(recipe.name)} has another encoder than {visible(dancer.name)}; the network "
            "of 2018 must be trained on the same latents."
        )
    config = ModelFolder(find_model(name)).read_config().dancer
    if config is not None and config.look_back != 1:
        raise UserError(
            f"{visible(recipe.name)} was trained to look back {config.look_back} vectors, but the "
            "network of 2018 saw one; train it with "
            f"{command('train-dancer', '--network', 'dancenet', '--look-back', '1')}."
        )
    return recipe


def trained_recipe(source: ModelFolder, latents: Latents, out: Path, minutes: float) -> Path:
    """Trains a network as in 2018, unless `out` holds one trained on the same latents.

    Args:
        source: the model whose VAE made the latents.
        latents: training and held-out latents.
        out: the folder of the report.
        minutes: training time.

    Returns:
        The folder of the trained model, inside `out`.

    Raises:
        MissingExtra: Keras is not installed.
    """
    folder = ModelFolder(out / FOLDER)
    identity = {
        "encoder_sha256": latents.encoder_sha256,
        "latents_sha256": hashlib.sha256(latents.z_mean.tobytes()).hexdigest(),
    }
    record = folder.training / _DATASET
    if record.exists() and checked.read_json(record, "record of a training") == identity:
        terminal.say(f"Using the network of 2018 in {quoted(folder.path)}.")
        return folder.path
    try:
        with terminal.quiet_import():
            from dancenet.nets.export import onnx as export
            from dancenet.nets.training import dancer as train_dancer
            from dancenet.nets.training import loop as train
    except ImportError as error:
        step = "Training the network of 2018"
        raise errors.why_not_imported(error, step, "train") from error
    out.mkdir(exist_ok=True)
    _copy_vae(source, folder)
    # The input is a draw of each latent, as in 2018. The target is its mean, because the weights
    # are chosen by the held-out NLL of means.
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
    files.write_json(record, identity)
    return folder.path


def _copy_vae(source: ModelFolder, folder: ModelFolder) -> None:
    """Replaces a model folder by one that holds only the VAE of `source`."""
    made = [*model_folder.made_files(folder.path), folder.training / _DATASET]
    files.remove_files(made, folder.path)
    folder.create()
    for name in (model_folder.ENCODER_GRAPH, model_folder.DECODER_GRAPH):
        shutil.copyfile(source / name, folder / name)
    config = source.read_config()
    folder.write_config(
        dataclasses.replace(config, name=f"{config.name}, 2018 recipe", dancer=None, training={})
    )
    folder.seal()

"""Loads a model for generation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancenet.codecs.base import Codec, Scaler
from dancenet.codecs.seeds import read_seeds
from dancenet.codecs.silhouette import SilhouetteCodec
from dancenet.model import folder as model_folder
from dancenet.model.config import SKELETON, DancerConfig, ModelConfig, VaeConfig
from dancenet.model.folder import ModelFolder
from dancenet.model.releases import find_model
from dancenet.runtime.onnx import OnnxDecoder, OnnxEncoder, OnnxStepModel, count_threads
from dancenet.sequence.generate import StepModel
from dancenet.support import files
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, visible
from dancenet.support.wording import command


@dataclass(frozen=True, kw_only=True)
class Dancer:
    """A model, ready to dance."""

    name: str
    sha256: str  # the model's hash, see `ModelFolder.sha256`
    codec: Codec
    step_model: StepModel
    seeds: np.ndarray  # (N, S, D) seed clips in model units
    threads: int  # that decode and draw side by side
    temperature: float = 1.0  # calibrated; `DanceSettings.temperature` multiplies it
    temperature_variation: float = 0.0  # unless the settings give another
    neighbour_correction: float = 0.0  # unless the settings give another
    styles: tuple[str, ...] = ()  # that it can be asked for
    seed_styles: tuple[str, ...] = ()  # N, the style of each seed clip, "" if unknown

    @property
    def fps(self) -> float:
        """Frames per second of the training clips."""
        return self.codec.fps


def load_dancer(name_or_path: str | Path, threads: int | None = None) -> Dancer:
    """Loads a model for generation.

    Args:
        name_or_path: a released model's name, or a model folder.
        threads: how many decode and draw pictures, each its own; by default one for each core.

    Raises:
        UserError: there is no such model, or a file of it is missing, cut or altered.
    """
    folder = ModelFolder(find_model(name_or_path))
    config = folder.read_config()
    if config.dancer is None:
        raise UserError(
            f"The model {visible(config.name)} has a VAE and no dancer yet; train one with "
            f"{command('train-dancer', '--name', config.name)}."
        )
    # The one place that asks which space a model dances in.
    if config.space == SKELETON:
        codec = _load_skeletons(folder)
    else:
        codec = _load_silhouettes(folder, config, config.dancer)
    steps, seeds_path = _require(
        folder,
        {model_folder.STEP_GRAPH: command("export"), model_folder.SEEDS: command("train-dancer")},
    )
    step_model = OnnxStepModel(steps)
    step_model.require_config(config.dancer)
    seeds, seed_styles = read_seeds(seeds_path)
    if not step_model.dim == codec.dim == seeds.shape[2]:
        raise UserError(
            f"The files of {quoted(folder.path)} do not belong together: the dancer has "
            f"{step_model.dim} dimensions, the codec {codec.dim}, the seed clips {seeds.shape[2]}."
        )
    if codec.fps != config.fps:
        raise UserError(
            f"The files of {quoted(folder.path)} do not belong together: the model has "
            f"{config.fps:g} frames/s and its codec {codec.fps:g}."
        )
    return Dancer(
        name=config.name,
        sha256=folder.sha256,
        codec=codec,
        step_model=step_model,
        seeds=seeds,
        threads=threads or count_threads(),
        temperature=config.dancer.temperature,
        temperature_variation=config.dancer.temperature_variation,
        neighbour_correction=config.dancer.neighbour_correction,
        styles=config.dancer.styles,
        seed_styles=seed_styles,
    )


def _require(folder: ModelFolder, made_by: dict[str, str]) -> list[Path]:
    """Returns the paths of files of a model, by the commands that make them; checks each."""
    paths = [folder.require(name, made) for name, made in made_by.items()]
    folder.check((model_folder.CONFIG, *made_by))
    return paths


def _load_silhouettes(folder: ModelFolder, config: ModelConfig, dancer: DancerConfig) -> Codec:
    encoder_path, decoder_path, scaler_path = _require(
        folder,
        {
            model_folder.ENCODER_GRAPH: command("export"),
            model_folder.DECODER_GRAPH: command("export"),
            model_folder.SCALER: command("train-dancer"),
        },
    )
    # Threads that share one picture wait for each other at every layer.
    encoder = OnnxEncoder(encoder_path, threads=1)
    decoder = OnnxDecoder(decoder_path, threads=1)
    scaler = Scaler.load(scaler_path)
    sizes = (config.vae or VaeConfig()).with_latents(scaler.latent_dim)
    encoder.require_sizes(sizes)
    decoder.require_sizes(sizes)
    return SilhouetteCodec(
        encoder,
        decoder,
        scaler,
        config.fps,
        smoothing=dancer.smoothing,
        encoder_sha256=files.sha256_of(encoder_path),
    )


def _load_skeletons(folder: ModelFolder) -> Codec:
    # Imported here, for it would slow the start of every dance of silhouettes.
    from dancenet.codecs.skeleton import SkeletonCodec

    (path,) = _require(folder, {model_folder.CODEC: command("train-dancer")})
    return SkeletonCodec.load(path)

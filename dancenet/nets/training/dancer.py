"""Training of the dancer: from latents or joints to the motion half of a model folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dancenet.codecs.base import Scaler
from dancenet.codecs.latents import Latents
from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.data.mocap.recordings import Recording, Recordings
from dancenet.model.folder import CODEC, DANCER_WEIGHTS, ENCODER_GRAPH, SCALER, ModelFolder
from dancenet.nets.dancer import DancerNetwork, load_dancer
from dancenet.nets.training.dancer_run import TrainingRun, onnx_steps, run_training
from dancenet.nets.training.dataset import VARIANCE, Dataset
from dancenet.nets.training.folder import may_resume_dancer
from dancenet.nets.training.loop import TrainOptions, TrainResult
from dancenet.nets.training.options import (
    FEW_JOINTS,
    LATENTS,
    DancerOptions,
    changed,
    defaults_of_joints,
    resolve,
)
from dancenet.nets.training.pictures import rehearsal
from dancenet.support import files, terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.temporary import temporary_folder
from dancenet.support.wording import command, option

if TYPE_CHECKING:
    from dancenet.nets.training.devices import Devices


# Long: it says what each argument does.
# Many: those of the command.
def train_dancer(
    latents: Latents,
    folder: ModelFolder,
    options: DancerOptions | None = None,
    train_options: TrainOptions | None = None,
    *,
    start_from: ModelFolder | None = None,
    resume: bool = False,
    overwrite: bool = False,
    devices: Devices | None = None,
) -> TrainResult:
    """Trains a dancer and writes its weights, scaler, seeds, configuration, log and curves.

    Whole clips or whole blocks of clips are held out (`Latents.split`); scaler, step scale and
    seeds come from the training clips only.

    Args:
        latents: from the model's own encoder.
        folder: the model's folder, with a trained VAE.
        options: of the dancer; the defaults for latents, if None.
        train_options: of the loop.
        start_from: a model whose dancer is the start, instead of random weights. Its scaler is
            used, so the VAE in `folder` should have started from that model's VAE; so are its
            network and its smoothing.
        resume: continue a training that was stopped.
        overwrite: replace the dancer in `folder`.
        devices: to train on several. In a process that is not the chief, `folder` comes from
            `devices.place`, and no dancer is written.

    Returns:
        How training ended; `history` has the held-out metrics of every epoch.

    Raises:
        UserError: the folder has no VAE, or a dancer already; the latents are from another
            encoder; there is nothing to resume, or too little to train on.
        KeyboardInterrupt: stopped with Ctrl-C; nothing is lost.
    """
    options = options or DancerOptions()
    if options.rehearse:
        raise UserError(f"{option('rehearse')} is for dancers of joints; leave it out.")
    folder.require_silhouettes()
    encoder = folder.require(ENCODER_GRAPH, command("train-vae"))
    latents.require_encoder(files.sha256_of(encoder), folder.path.name)
    resume = may_resume_dancer(folder, resume and (devices is None or devices.leads), overwrite)
    scaler, initial = None, None
    if start_from is not None:
        initial = _load_initial(start_from, options)
        scaler = Scaler.load(start_from.require(SCALER, command("train-dancer")))
        if scaler.latent_dim != latents.z_mean.shape[1]:
            raise UserError(
                f"The dancer of {quoted(start_from.path)} has latents of {scaler.latent_dim} "
                f"dimensions; these have {latents.z_mean.shape[1]}. Start from a model with the "
                "same VAE, or from none."
            )
        options = dataclasses.replace(
            options, network=initial.config.network, smoothing=initial.config.smoothing
        )
    if resume:
        scaler = Scaler.load(folder / SCALER)
    vae = folder.read_config().vae
    dataset = Dataset.of_latents(
        latents,
        options.network,
        options.look_back,
        options.smoothing,
        scaler=scaler,
        num_places=int(vae is not None and vae.centred),
    )
    options, schedule = resolve(options, train_options or TrainOptions(), LATENTS)
    return run_training(
        TrainingRun(
            dataset=dataset,
            folder=folder,
            units_file=SCALER,
            options=options,
            schedule=schedule,
            start_from=start_from,
            initial=initial,
            resume=resume,
            devices=devices,
        )
    )


# Long: it says what each argument does.
# Many: those of the command.
def train_skeleton_dancer(
    recordings: Recordings | Callable[[], Iterable[Recording]],
    folder: ModelFolder,
    options: DancerOptions | None = None,
    train_options: TrainOptions | None = None,
    *,
    variance: float = VARIANCE,
    start_from: ModelFolder | None = None,
    resume: bool = False,
    overwrite: bool = False,
    devices: Devices | None = None,
) -> TrainResult:
    """Trains a dancer of joints and writes a whole model; see `train_dancer`.

    Args:
        recordings: of one skeleton; the dancer can be steered by their styles. A function that
            yields them, the same each time it is called, is streamed: see `Dataset.of_stream`.
        folder: the model's folder, which need not exist.
        options: of the dancer; the defaults for this length of recordings, if None. `smoothing`
            is for latents only.
        train_options: of the loop.
        variance: share of the variance of the joints that the dancer's dimensions keep.
        start_from: a model of this skeleton whose dancer is the start, instead of random weights.
            Its codec, network and styles are used.
        resume, overwrite, devices: see `train_dancer`.

    Raises:
        UserError: the folder holds a model of silhouettes, or a dancer already; the recordings do
            not fit the model to start from; there is too little to train on.
        KeyboardInterrupt: stopped with Ctrl-C; nothing is lost.
    """
    if folder.exists() and (facts := folder.read_config().facts).has_latents:
        raise UserError(
            f"The model {quoted(folder.path)} dances {facts.dances}; choose another name for a "
            "dancer of joints."
        )
    resume = may_resume_dancer(folder, resume and (devices is None or devices.leads), overwrite)
    options = dataclasses.replace(options or DancerOptions(), smoothing=0.0)
    codec, initial, style_names = None, None, None
    if start_from is not None:
        initial = _load_initial(start_from, options)
        codec = SkeletonCodec.load(start_from.require(CODEC, command("train-dancer")))
        style_names = initial.config.styles
        options = dataclasses.replace(options, network=initial.config.network)
    if resume:
        codec = SkeletonCodec.load(folder / CODEC)
    with ExitStack() as stack:
        if isinstance(recordings, Recordings):
            dataset = Dataset.of_recordings(recordings, codec, variance, style_names)
        else:
            place = stack.enter_context(temporary_folder())
            path = place / "trajectory.npy"
            dataset = Dataset.of_stream(recordings, path, codec, variance, style_names)
        defaults = defaults_of_joints(dataset.seconds, start_from is not None)
        if defaults is FEW_JOINTS:
            terminal.say(
                f"{dataset.seconds:.0f} s of recordings are few: by default the network is small "
                "and its inputs get more noise."
            )
        options, schedule = resolve(options, train_options or TrainOptions(), defaults)
        if options.rehearse:
            dataset = _rehearsed(dataset, start_from, initial, options.rehearse)
        return run_training(
            TrainingRun(
                dataset=dataset,
                folder=folder,
                units_file=CODEC,
                options=options,
                schedule=schedule,
                start_from=start_from,
                initial=initial,
                resume=resume,
                devices=devices,
            )
        )


def _rehearsed(
    dataset: Dataset, model: ModelFolder | None, network: DancerNetwork | None, share: float
) -> Dataset:
    """Adds dances of the model to start from, `share` of all frames to train on."""
    if model is None or network is None:
        raise UserError(
            f"{option('rehearse', share)} needs a model to rehearse; name it with "
            f"{option('start-from')}."
        )
    wanted = round(sum(map(len, dataset.window_train)) * share / (1 - share))
    vectors, styles = rehearsal.dance(onnx_steps(network), model, wanted, seed=0)
    return dataset.with_rehearsal(vectors, styles)


def _load_initial(model: ModelFolder, options: DancerOptions) -> DancerNetwork:
    """Returns the dancer to start from."""
    config = model.read_config().dancer
    if config is None:
        raise UserError(
            f"The model {quoted(model.path)} has no dancer to start from; choose another."
        )
    weights = model.require(DANCER_WEIGHTS, command("train-dancer"))
    different = {
        name: value
        for name, value in options.network_options().items()
        if getattr(config, name) != value
    }
    if different:
        raise UserError(
            f"The dancer of {quoted(model.path)} has "
            + ", ".join(f"{name} {getattr(config, name)}" for name in different)
            + "; leave out "
            + " and ".join(option(name, value) for name, value in different.items())
            + ", or do not start from it."
        )
    # `look_back` does not change the weights' shapes, so it may differ from the checkpoint's.
    return load_dancer(changed(config, look_back=options.look_back), weights)

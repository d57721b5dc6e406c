"""Training of the VAE: from a folder of frames to the picture half of a model folder."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from dancenet.data.frames.clips import check_trainable, split_clips
from dancenet.data.frames.folder import FrameFolder
from dancenet.data.frames.packed import PackedFrames
from dancenet.model.config import ModelConfig, VaeConfig
from dancenet.model.folder import (
    CHECKSUMS,
    DANCER_WEIGHTS,
    DECODER_GRAPH,
    ENCODER_GRAPH,
    SCALER,
    SEEDS,
    STEP_GRAPH,
    VAE_WEIGHTS,
    ModelFolder,
)
from dancenet.nets.training.folder import (
    clear,
    how_to_go_on,
    may_resume_vae,
    training_folder,
    with_record,
)
from dancenet.nets.training.loop import (
    CHECKPOINT,
    Schedule,
    TrainOptions,
    TrainResult,
    TrainTask,
    describe,
    jit_compile,
    make_optimizer,
    save_weights,
    train,
)
from dancenet.nets.training.loop.log import write_curves
from dancenet.nets.training.options import VAE_SCHEDULE, VaeOptions
from dancenet.nets.training.pictures import rehearsal
from dancenet.nets.training.pictures.batches import Batches, Validation
from dancenet.nets.training.statistics import rows_of
from dancenet.nets.training.tensorboard import TensorBoardLog
from dancenet.nets.vae import (
    VaeTrainer,
    build_decoder,
    build_encoder,
    join,
    load_vae,
    multiply_adds,
    sharpen,
    unsharpen,
)
from dancenet.support import signals, terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import command

CURVES = "loss.png"
REMEMBERED = "remembered.npz"
RECONSTRUCTIONS = "reconstructions.png"

_REPLACED = (
    CHECKSUMS,
    SCALER,
    SEEDS,
    ENCODER_GRAPH,
    DECODER_GRAPH,
    STEP_GRAPH,
    VAE_WEIGHTS,
    DANCER_WEIGHTS,
)


# Long: it says what each argument does.
def train_vae(
    frames: FrameFolder,
    folder: ModelFolder,
    options: VaeOptions | None = None,
    train_options: TrainOptions | None = None,
    *,
    start_from: ModelFolder | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> TrainResult:
    """Trains a VAE and writes its weights, configuration, log, curves and contact sheet.

    The frames stay in their bit-packed file and are read batch by batch. Whole blocks of each
    clip are held out (`split_clips`).

    Args:
        frames: the pictures.
        folder: the model's folder; made if need be.
        options: of the VAE; the defaults, if None.
        train_options: of the loop; likewise.
        start_from: a model whose VAE is the start, instead of random weights.
        resume: continue a training that was stopped.
        overwrite: replace the model in `folder`, its dancer included.

    Returns:
        How training ended; `history` has the held-out metrics of every epoch.

    Raises:
        UserError: there is a model already, nothing to resume, or too few frames.
        KeyboardInterrupt: stopped with Ctrl-C; nothing is lost.
    """
    run = VaeRun(
        frames=frames,
        folder=folder,
        options=options or VaeOptions(),
        schedule=(train_options or TrainOptions()).resolve(VAE_SCHEDULE),
        start_from=start_from,
        resume=resume,
        overwrite=overwrite,
        started=time.perf_counter(),
    )
    with signals.saying(lambda: how_to_go_on(run.training)):
        return _train(run)


def _train(run: VaeRun) -> TrainResult:
    frames, folder = run.frames, run.folder
    rows = _split(frames)
    keras.utils.set_random_seed(run.schedule.seed)
    encoder, decoder, remembered = _build(run)
    packed = PackedFrames.open(frames)  # before the folder is made: a picture may be unreadable
    config = _prepare(run)  # after `_build`: it may replace the model to start from
    remembered = _keep_remembered(run, remembered)
    batches = Batches(run.options, run.config, packed, rows.train_ranges, remembered)
    trainer = VaeTrainer(
        encoder,
        decoder,
        run.options.free_bits,
        run.options.edge_weight,
        num_halfway=batches.num_halfway,
    )
    trainer.compile(optimizer=make_optimizer(run.schedule), jit_compile=jit_compile())
    vae = join(encoder, decoder)
    operations = (multiply_adds(encoder) + multiply_adds(decoder)) / 1e6
    terminal.say(
        f"Training the VAE {run.options.network!r} ({vae.count_params():,} weights, "
        f"{operations:.0f} million multiply-adds a frame) on {len(rows.train):,} frames; "
        f"{len(rows.held_out):,} are held out."
    )
    validation = Validation(
        run.options,
        trainer,
        packed,
        rows.held_out,
        config=run.config,
        batch_size=batches.size,
        seed=run.schedule.seed,
    )
    result = _fit(run, trainer, batches, validation)
    sharpen(decoder, run.options.logit_gain, run.options.logit_bias)
    save_weights(vae, folder / VAE_WEIGHTS)
    validation.draw_sheet(run.training / RECONSTRUCTIONS)
    curves = ("loss", "reconstruction", "kl", "iou")
    write_curves(run.training / CURVES, result.history, curves)
    _write_record(run, config, result, rows)
    best = result.history[result.best_epoch - 1]
    terminal.say(
        f"Held out: {best['val_reconstruction']:.0f} nats a frame, IoU {best['val_iou']:.3f}, "
        f"{best['val_active_dims']:.0f} of {validation.latent_dim} dimensions in use."
    )
    return result


@dataclass(frozen=True)
class VaeRun:
    """The training of one VAE: its frames, its options, and where it starts and is written."""

    frames: FrameFolder
    folder: ModelFolder
    options: VaeOptions
    schedule: Schedule
    start_from: ModelFolder | None
    resume: bool
    overwrite: bool
    started: float  # `time.perf_counter()`

    @property
    def training(self) -> Path:
        """Folder of checkpoints, log, curves and contact sheets."""
        return training_folder(self.folder, "vae")

    @property
    def config(self) -> VaeConfig:
        """The network."""
        return VaeConfig(
            network=self.options.network,
            logit_gain=self.options.logit_gain,
            logit_bias=self.options.logit_bias,
            centred=self.options.network == "lean"
            if self.options.centred is None
            else self.options.centred,
        )


class _Rows(NamedTuple):
    train: np.ndarray  # (N,)
    held_out: np.ndarray
    train_ranges: list[range]  # the same as `train`


def _split(frames: FrameFolder) -> _Rows:
    train, held_out = split_clips(frames.clips)
    rows = _Rows(rows_of(train), rows_of(held_out), train)
    if not len(rows.train) or not len(rows.held_out):
        raise UserError(
            f"{quoted(frames.path)} has {len(rows.train)} frames to train on and "
            f"{len(rows.held_out)} to validate on; both are needed. Add more clips."
        )
    try:
        check_trainable(frames.clips, frames.path)
    except UserError as error:
        terminal.warn(f"{error} The VAE is trained all the same.")
    return rows


def _build(run: VaeRun) -> tuple[keras.Model, keras.Model, np.ndarray | None]:
    """Returns encoder, decoder, and frames (T, H, W) to rehearse, drawn by the first model."""
    if run.start_from is None:
        return build_encoder(run.config), build_decoder(run.config), None
    encoder, decoder = load_vae(
        run.config, run.start_from.require(VAE_WEIGHTS, command("train-vae"))
    )
    remembered = None
    if run.options.rehearse and not run.resume:
        remembered = rehearsal.remember(encoder, decoder, run.start_from)
    begun = run.start_from.read_config().vae
    if begun is not None:
        unsharpen(decoder, begun.logit_gain, begun.logit_bias)
    return encoder, decoder, remembered


def _prepare(run: VaeRun) -> ModelConfig:
    """Checks the model to resume, or makes an empty folder with its configuration."""
    folder = run.folder
    folder.require_silhouettes()
    record = describe(run.options, run.schedule)
    if may_resume_vae(folder, run.resume, run.overwrite):
        found = folder.read_config()
        if found.vae != run.config:
            raise UserError(
                f"The model in {quoted(folder.path)} has another VAE ({found.vae}); resume it with "
                "the options it was begun with."
            )
        return with_record(found, "vae", record)
    folder.create()
    # The dancer, too: it would not fit the latents of the new VAE.
    clear(folder, _REPLACED, folder.training)
    run.training.mkdir(exist_ok=True)
    config = ModelConfig(
        name=folder.path.name, fps=run.frames.fps, vae=run.config, training={"vae": record}
    )
    folder.write_config(config)
    return config


def _keep_remembered(run: VaeRun, remembered: np.ndarray | None) -> np.ndarray | None:
    """Saves the frames to rehearse, or reads those of the training to resume."""
    path = run.training / REMEMBERED
    if remembered is not None:
        rehearsal.save(path, remembered)
    elif run.resume and path.exists():
        return rehearsal.load(path, (run.config.height, run.config.width))
    return remembered


def _fit(run: VaeRun, trainer: VaeTrainer, batches: Batches, validation: Validation) -> TrainResult:
    options = run.options
    with ExitStack() as stack:
        log = None
        if options.tensorboard:
            log = stack.enter_context(closing(TensorBoardLog(run.training / "tensorboard")))

        def after_epoch(record: dict[str, float]) -> None:
            if log is not None:
                log.add(record)
            if record["epoch"] % options.sheet_epochs == 1 or options.sheet_epochs == 1:
                validation.draw_sheet(run.training / RECONSTRUCTIONS)

        task = TrainTask(
            model=trainer,
            batches=batches,
            validate=validation.measure,
            folder=run.training,
            steps_per_epoch=batches.steps_per_epoch,
            items_per_step=batches.size,
            after_epoch=after_epoch,
        )
        resume = run.resume and (run.training / CHECKPOINT).exists()
        return train(task, run.schedule, resume=resume, started=run.started)


def _write_record(run: VaeRun, config: ModelConfig, result: TrainResult, rows: _Rows) -> None:
    best = result.history[result.best_epoch - 1]
    record = {
        **describe(run.options, run.schedule),
        "start_from": run.start_from.path.name if run.start_from else None,
        "frames": len(rows.train),
        "held_out_frames": len(rows.held_out),
        "epochs": result.epochs,
        "steps": result.steps,
        "seconds": round(result.seconds),
        "held_out": {
            name: round(value, 4) for name, value in best.items() if name.startswith("val_")
        },
    }
    run.folder.write_config(with_record(config, "vae", record))

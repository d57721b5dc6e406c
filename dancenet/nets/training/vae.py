"""Training of the VAE: from a folder of frames to the picture half of a model folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from dancenet.data.frames.augment import augment
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
from dancenet.nets.training import rehearsal
from dancenet.nets.training.folder import (
    clear,
    how_to_go_on,
    may_resume_vae,
    training_folder,
    with_record,
)
from dancenet.nets.training.loop import (
    CHECKPOINT,
    Batch,
    Epoch,
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
from dancenet.nets.training.statistics import spread
from dancenet.nets.training.tensorboard import TensorBoardLog
from dancenet.nets.vae import (
    VaeTrainer,
    build_decoder,
    build_encoder,
    draw_batch,
    evaluate,
    join,
    load_vae,
    multiply_adds,
    sharpen,
    unsharpen,
)
from dancenet.output.contact_sheet import contact_sheet, write_picture
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
_SHEET_FRAMES = 24
_MAX_WARM_UP = 0.1  # share of a training, so that a short one reaches the full beta, too
_ACTIVE_NATS = 0.05  # a dimension with less KL divergence carries no information


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
    trainer = VaeTrainer(encoder, decoder, run.options.free_bits, run.options.edge_weight)
    trainer.compile(optimizer=make_optimizer(run.schedule), jit_compile=jit_compile())
    vae = join(encoder, decoder)
    operations = (multiply_adds(encoder) + multiply_adds(decoder)) / 1e6
    terminal.say(
        f"Training the VAE {run.options.network!r} ({vae.count_params():,} weights, "
        f"{operations:.0f} million multiply-adds a frame) on {len(rows.train):,} frames; "
        f"{len(rows.held_out):,} are held out."
    )
    batches = _Batches(run, packed, rows.train, remembered)
    validation = _Validation(run, trainer, packed, rows.held_out, batches.size)
    result = _fit(run, trainer, batches, validation)
    sharpen(decoder, run.options.logit_gain, run.options.logit_bias)
    save_weights(vae, folder / VAE_WEIGHTS)
    validation.draw_sheet()
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
        )


class _Rows(NamedTuple):
    train: np.ndarray  # (N,)
    held_out: np.ndarray


def _split(frames: FrameFolder) -> _Rows:
    rows = _Rows(*map(_rows, split_clips(frames.clips)))
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


class _Batches:
    """Batches to train on.

    Args:
        run: the training.
        packed: the frames.
        rows: (N,) frames to train on.
        remembered: (T, H, W) frames to rehearse, or None.
    """

    def __init__(
        self, run: VaeRun, packed: PackedFrames, rows: np.ndarray, remembered: np.ndarray | None
    ) -> None:
        self._options = options = run.options
        self._packed = packed
        self._rows = rows
        self._remembered = remembered
        self._latent_dim = run.config.latent_dim
        self.size = min(options.batch_size, len(rows))
        self._num_old = 0 if remembered is None else round(options.rehearse * self.size)
        self._num_new = self.size - self._num_old

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch."""
        return max(1, min(len(self._rows), self._options.frames_per_epoch) // self._num_new)

    def __call__(self, epoch: Epoch) -> Iterator[Batch]:
        """Yields the batches of an epoch."""
        options, count = self._options, self._num_new
        rows = _shuffled(self._rows, epoch.num_steps * count, epoch.rng)
        warm_up = max(1.0, min(options.beta_steps, _MAX_WARM_UP * epoch.total_steps))
        for index in range(epoch.num_steps):
            chosen = rows[index * count : (index + 1) * count]
            step = epoch.first_step + index + 1
            beta = options.beta * min(1.0, step / warm_up)
            pictures = self._packed.read(chosen)
            if self._remembered is not None:
                old = epoch.rng.integers(len(self._remembered), size=self._num_old)
                pictures = np.concatenate([pictures, self._remembered[old]])
            if options.augment:
                pictures = augment(pictures, epoch.rng, options.augment)
            yield draw_batch(pictures, epoch.rng, beta, self._latent_dim)


class _Validation:
    """Held-out frames, measured and drawn with the same noise after every epoch."""

    def __init__(
        self,
        run: VaeRun,
        trainer: VaeTrainer,
        packed: PackedFrames,
        rows: np.ndarray,
        batch_size: int,
    ) -> None:
        self._trainer = trainer
        self._packed = packed
        self._beta = run.options.beta
        self._batch_size = batch_size
        self._path = run.training / RECONSTRUCTIONS
        self._measured = spread(rows, run.options.max_validation_frames)
        self._shown = spread(rows, _SHEET_FRAMES)
        self.latent_dim = run.config.latent_dim
        self._noise = np.random.default_rng(run.schedule.seed).standard_normal(
            (len(self._measured), self.latent_dim), dtype=np.float32
        )

    def measure(self) -> dict[str, float]:
        """Returns the metrics of the log."""
        parts: list[dict[str, np.ndarray]] = []
        for first in range(0, len(self._measured), self._batch_size):
            chosen = slice(first, first + self._batch_size)
            pictures = self._packed.read(self._measured[chosen])
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

    def draw_sheet(self) -> None:
        """Writes a contact sheet of frames and their reconstructions."""
        pictures = self._packed.read(self._shown)
        _, decoded = evaluate(self._trainer, pictures, self._noise[: len(pictures)])
        write_reconstructions(self._path, pictures, decoded)


def _fit(
    run: VaeRun, trainer: VaeTrainer, batches: _Batches, validation: _Validation
) -> TrainResult:
    options = run.options
    with ExitStack() as stack:
        log = None
        if options.tensorboard:
            log = stack.enter_context(closing(TensorBoardLog(run.training / "tensorboard")))

        def after_epoch(record: dict[str, float]) -> None:
            if log is not None:
                log.add(record)
            if record["epoch"] % options.sheet_epochs == 1 or options.sheet_epochs == 1:
                validation.draw_sheet()

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


def _rows(ranges: list[range]) -> np.ndarray:
    return np.array([row for rows in ranges for row in rows], dtype=np.int64)


def _shuffled(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns `count` of the rows in random order, each once before any is repeated."""
    rounds = [rng.permutation(rows) for _ in range(-(-count // len(rows)))]
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

"""Training of the VAE: from a folder of frames to the picture half of a model folder."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from dancenet.data.frames.augment import augment
from dancenet.data.frames.clips import split_clips
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
from dancenet.nets.training import logs, rehearsal
from dancenet.nets.training.loop import (
    CHECKPOINT,
    Batch,
    Epoch,
    TrainOptions,
    TrainResult,
    describe,
    jit_compile,
    make_optimizer,
    save_weights,
    spread,
    train,
)
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
from dancenet.support import terminal
from dancenet.support.errors import UserError

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
_MAX_WARM_UP = 0.1  # of a training, so that a short one reaches the full beta, too
_ACTIVE_NATS = 0.05  # a dimension with less KL divergence than this carries no picture


@dataclass(frozen=True)
class VaeOptions:
    """What is particular to training the VAE; see `TrainOptions` for the rest."""

    network: str = "lean"  # "lean" or "dancenet"
    batch_size: int = 32  # frames
    frames_per_epoch: int = 40_000  # at most
    beta: float = 0.5  # weight of the KL divergence once warm
    beta_steps: int = 2000  # over which it grows from 0; a tenth of the training at most
    free_bits: float = 0.0  # nats a dimension
    edge_weight: float = 0.0  # extra weight of the pixels beside the outline
    logit_gain: float = 3.0  # of what is drawn, once learnt; as is the next, see `vae.sharpen`
    logit_bias: float = 0.5
    augment: float = 1.0  # strength of `data.frames.augment`, 0 for the frames as they are
    # Share of each batch that the model training starts from draws of what it has seen.
    rehearse: float = 0.5
    max_validation_frames: int = 1024  # spread evenly over all that is held out
    sheet_epochs: int = 5  # between two contact sheets
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.rehearse < 1:
            raise UserError(f"rehearse must be at least 0 and below 1; received {self.rehearse}.")


def training_folder(folder: ModelFolder) -> Path:
    """Returns where checkpoints, log, curves and contact sheets of the VAE go."""
    return folder.training / "vae"


def train_vae(
    frames: FrameFolder,
    folder: ModelFolder,
    options: VaeOptions,
    train_options: TrainOptions,
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
        options: of the VAE.
        train_options: of the loop.
        start_from: a model whose VAE is the beginning, instead of chance.
        resume: continue a training that was stopped.
        overwrite: replace the model in `folder`, its dancer included.

    Returns:
        How training ended; `history` has the held-out figures of every epoch.

    Raises:
        UserError: there is a model already, nothing to resume, or too few frames.
        KeyboardInterrupt: stopped with Ctrl-C; nothing is lost.
    """
    started = time.perf_counter()
    place = training_folder(folder)
    train_ranges, held_out_ranges = split_clips(frames.clips)
    train_rows, held_out_rows = _rows(train_ranges), _rows(held_out_ranges)
    if not len(train_rows) or not len(held_out_rows):
        raise UserError(
            f"{frames.path} has {len(train_rows)} frames to train on and {len(held_out_rows)} to "
            "validate on; both are needed. Add more clips."
        )
    vae_config = VaeConfig(
        network=options.network, logit_gain=options.logit_gain, logit_bias=options.logit_bias
    )
    keras.utils.set_random_seed(train_options.seed)
    old = None
    if start_from is None:
        encoder, decoder = build_encoder(vae_config), build_decoder(vae_config)
    else:
        weights = start_from.require(VAE_WEIGHTS, "python scripts/train_vae.py")
        encoder, decoder = load_vae(vae_config, weights)
        if options.rehearse and not resume:
            old = rehearsal.remember(encoder, decoder, start_from)
        begun = start_from.read_config().vae
        if begun is not None:
            unsharpen(decoder, begun.logit_gain, begun.logit_bias)
    packed = PackedFrames.open(frames)  # an unreadable picture is told before a folder is made
    # Only now: what it replaces may be what it starts from.
    config = _prepare(
        frames, folder, vae_config, describe(options, train_options), resume, overwrite
    )
    remembered = place / REMEMBERED
    if old is not None:
        rehearsal.save(remembered, old)
    elif resume and remembered.exists():
        old = rehearsal.load(remembered)
    vae = join(encoder, decoder)
    trainer = VaeTrainer(encoder, decoder, options.free_bits, options.edge_weight)
    trainer.compile(optimizer=make_optimizer(train_options), jit_compile=jit_compile())

    batch_size = min(options.batch_size, len(train_rows))
    num_old = 0 if old is None else round(options.rehearse * batch_size)
    num_new = batch_size - num_old
    operations = (multiply_adds(encoder) + multiply_adds(decoder)) / 1e6
    terminal.say(
        f"Training the VAE {vae_config.network!r} ({vae.count_params():,} weights, "
        f"{operations:.0f} million multiply-adds a frame) on {len(train_rows):,} frames; "
        f"{len(held_out_rows):,} are held out."
    )
    latent_dim = vae_config.latent_dim

    def batches(epoch: Epoch) -> Iterator[Batch]:
        rows = _shuffled(train_rows, epoch.num_steps * num_new, epoch.rng)
        warm_up = max(1.0, min(options.beta_steps, _MAX_WARM_UP * epoch.total_steps))
        for index in range(epoch.num_steps):
            chosen = rows[index * num_new : (index + 1) * num_new]
            step = epoch.first_step + index + 1
            beta = options.beta * min(1.0, step / warm_up)
            pictures = packed.read(chosen)
            if old is not None:
                again = old[epoch.rng.integers(len(old), size=num_old)]
                pictures = np.concatenate([pictures, again])
            if options.augment:
                pictures = augment(pictures, epoch.rng, options.augment)
            yield draw_batch(pictures, epoch.rng, beta, latent_dim)

    held_out = spread(held_out_rows, options.max_validation_frames)
    shown = spread(held_out_rows, _SHEET_FRAMES)
    noise = np.random.default_rng(train_options.seed).standard_normal(
        (len(held_out), latent_dim), dtype=np.float32
    )

    def validate() -> dict[str, float]:
        return _validate(trainer, packed, held_out, noise, batch_size, options.beta)

    def draw_sheet() -> None:
        pictures = packed.read(shown)
        _, decoded = evaluate(trainer, pictures, noise[: len(pictures)])
        logs.write_reconstructions(place / RECONSTRUCTIONS, pictures, decoded)

    board = logs.TensorBoardLog(place / "tensorboard") if options.tensorboard else None

    def after_epoch(record: dict[str, float]) -> None:
        if board is not None:
            board.add(record)
        if record["epoch"] % options.sheet_epochs == 1 or options.sheet_epochs == 1:
            draw_sheet()

    result = train(
        trainer,
        batches,
        validate,
        place,
        train_options,
        steps_per_epoch=max(1, min(len(train_rows), options.frames_per_epoch) // num_new),
        items_per_step=batch_size,
        resume=resume and (place / CHECKPOINT).exists(),
        after_epoch=after_epoch,
        started=started,
    )
    if board is not None:
        board.close()
    sharpen(decoder, options.logit_gain, options.logit_bias)
    save_weights(vae, folder / VAE_WEIGHTS)
    draw_sheet()
    logs.write_curves(place / CURVES, result.history, ("loss", "reconstruction", "kl", "iou"))
    best = result.history[result.best_epoch - 1]
    folder.write_config(
        dataclasses.replace(
            config,
            training={
                **config.training,
                "vae": {
                    **describe(options, train_options),
                    "start_from": start_from.path.name if start_from else None,
                    "frames": len(train_rows),
                    "held_out_frames": len(held_out_rows),
                    "epochs": result.epochs,
                    "steps": result.steps,
                    "seconds": round(result.seconds),
                    "held_out": {
                        name: round(value, 4)
                        for name, value in best.items()
                        if name.startswith("val_")
                    },
                },
            },
        )
    )
    terminal.say(
        f"Held out: {best['val_reconstruction']:.0f} nats a frame, IoU {best['val_iou']:.3f}, "
        f"{best['val_active_dims']:.0f} of {latent_dim} dimensions in use."
    )
    return result


def _prepare(
    frames: FrameFolder,
    folder: ModelFolder,
    vae_config: VaeConfig,
    record: dict[str, object],
    resume: bool,
    overwrite: bool,
) -> ModelConfig:
    config = ModelConfig(
        name=folder.path.name, fps=frames.fps, vae=vae_config, training={"vae": record}
    )
    folder.require_silhouettes()
    if folder.exists() and not overwrite:
        if not resume:
            finished = (folder / VAE_WEIGHTS).exists()
            raise UserError(
                f"There is {'a' if finished else 'an unfinished'} model in {folder.path}; say "
                "--resume to continue its training, --overwrite to replace it, or choose another "
                "--name."
            )
        if (folder / DANCER_WEIGHTS).exists():
            raise UserError(
                f"The model in {folder.path} has a dancer, which knows the latents of this VAE "
                "only; train a further one under another --name with --start-from "
                f"{folder.path.name}, or say --overwrite to begin both anew."
            )
        found = folder.read_config()
        if found.vae != config.vae:
            raise UserError(
                f"The model in {folder.path} has another VAE ({found.vae}); resume it with the "
                "options it was begun with."
            )
        return dataclasses.replace(found, training={**found.training, **config.training})
    if resume and not folder.exists():
        raise UserError(
            f"There is no training to resume in {folder.path}; start it without --resume."
        )
    folder.create()
    # A dancer of other latents would be of no use with the new VAE.
    for name in _REPLACED:
        (folder / name).unlink(missing_ok=True)
    if folder.training.exists():
        shutil.rmtree(folder.training)
    training_folder(folder).mkdir(parents=True)
    folder.write_config(config)
    return config


def _rows(ranges: list[range]) -> np.ndarray:
    return np.array([row for rows in ranges for row in rows], dtype=np.int64)


def _shuffled(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns `count` of the rows in random order; none twice before all were there once."""
    rounds = [rng.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate(rounds)[:count]


def _validate(
    trainer: VaeTrainer,
    packed: PackedFrames,
    rows: np.ndarray,
    noise: np.ndarray,
    batch_size: int,
    beta: float,
) -> dict[str, float]:
    parts: list[dict[str, np.ndarray]] = []
    for first in range(0, len(rows), batch_size):
        chosen = slice(first, first + batch_size)
        figures, _ = evaluate(trainer, packed.read(rows[chosen]), noise[chosen])
        parts.append(figures)
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    divergence = whole["kl"].mean(axis=0)
    reconstruction, kl = float(whole["reconstruction"].mean()), float(divergence.sum())
    return {
        "val_loss": reconstruction + beta * kl,
        "val_reconstruction": reconstruction,
        "val_kl": kl,
        "val_iou": float(whole["iou"].mean()),
        "val_active_dims": float((divergence > _ACTIVE_NATS).sum()),
    }

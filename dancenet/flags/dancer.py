"""Flags of the dancer's training."""

from __future__ import annotations

import argparse
from pathlib import Path

from dancenet.flags.recordings import add_recordings
from dancenet.flags.training import add_training
from dancenet.support import terminal
from dancenet.support.errors import UserError


def add_source(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of what the dancer is trained on, and of its name."""
    add_recordings(
        parser,
        "with --space skeleton: motion capture as .bvh, .amc, .npz or .npy, or keypoints as .json; "
        "all of one skeleton",
    )
    parser.add_argument(
        "--space",
        choices=("silhouette", "skeleton"),
        default="silhouette",
        help="train on the latents of pictures, from the file --latents, or on the joints of the "
        "named files (default: silhouette)",
    )
    parser.add_argument(
        "--latents",
        type=terminal.path,
        default=Path("latents.npz"),
        metavar="FILE",
        help="the latents, as written by encode_frames.py (default: latents.npz)",
    )
    parser.add_argument(
        "--name",
        "--model",
        required=True,
        type=terminal.model,
        help="name of the model: the one whose VAE made the latents, or, for joints, a new one; a "
        "path is taken as its folder",
    )
    parser.add_argument(
        "--variance",
        type=terminal.positive(float),
        help="of joints: share of their variance that the dancer's dimensions keep, up to 1; less "
        "is steadier, more is finer (default: 0.98)",
    )
    parser.add_argument(
        "--stream",
        action="store_true",
        help="of joints: for recordings that do not fit into memory; reads the files several "
        "times, and trains from a temporary file",
    )


def add_network(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the dancer's network."""
    positive, not_negative = terminal.positive, terminal.not_negative
    group = parser.add_argument_group("network")
    group.add_argument(
        "--network",
        choices=("lean", "dancenet"),
        help="lean, or the network of 2018 (default: lean)",
    )
    group.add_argument(
        "--head",
        choices=("mixture", "mse"),
        help="mixture: Gaussians trained on the likelihood; mse: a plain LSTM regression to "
        "compare with, trained on the mean square error (lean: three layers, dropout 0.2, no "
        "velocity inputs) (default: mixture)",
    )
    group.add_argument(
        "--units",
        type=positive(int),
        help="units of each LSTM layer (default: 512; 256 for less than two minutes of recordings)",
    )
    group.add_argument(
        "--layers", type=positive(int), help="LSTM layers (default: lean 1, dancenet 3)"
    )
    group.add_argument(
        "--num-mixtures",
        type=positive(int),
        help="Gaussians of the mixture (default: lean 5, dancenet 24; 3 for less than two minutes "
        "of recordings)",
    )
    group.add_argument(
        "--velocity-inputs",
        type=not_negative(int),
        help="last steps that the network sees beside each vector (default: lean 2, dancenet 0)",
    )
    _add_context(group)
    group.add_argument(
        "--sigma-floor",
        type=not_negative(float),
        help="smallest standard deviation, in RMS steps (lean, default: 0.05) or in units of the "
        "scaled latents (dancenet, default: 0.01, and 0.001 with --look-back 1)",
    )
    group.add_argument(
        "--look-back",
        type=positive(int),
        help="frames seen before a prediction; 1 is the recipe of 2018, without a state "
        "(default: 64)",
    )
    group.add_argument(
        "--neighbour-correction",
        type=not_negative(float),
        metavar="STRENGTH",
        help="strength, up to 1, of the pull of generated vectors to the nearest real ones, unless "
        "generate_video.py sets another; the temperature is calibrated with it. Try 0.1 for a few "
        "minutes of footage (default: 0.0)",
    )


def _add_context(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--context",
        type=terminal.positive(float),
        nargs="*",
        metavar="SECONDS",
        help="time constants of running means that the network sees beside each vector, so that it "
        "knows what the dance was doing for longer than its windows (default: none)",
    )
    group.add_argument(
        "--context-noise",
        type=terminal.not_negative(float),
        metavar="SIZE",
        help="largest shift of a window's running means in training, so that they do not tell "
        "which clip it is (default: 1.0)",
    )


def add_noise(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the windows that the dancer is trained on."""
    positive, not_negative = terminal.positive, terminal.not_negative
    group = parser.add_argument_group("windows and their noise")
    group.add_argument(
        "--stride",
        type=positive(int),
        help="frames between the starts of two windows, which are moved by less than that in every "
        "epoch (default: 16)",
    )
    group.add_argument(
        "--perturbation",
        type=not_negative(float),
        help="largest standard deviation of the shift of a window, in model units (1 is the "
        "deviation of poses); it teaches the dancer to correct its own errors (default: 0.4)",
    )
    group.add_argument(
        "--correction-rate",
        type=not_negative(float),
        help="share of that shift to correct in one frame, from 0 to 1; more is more stable, and "
        "varies less (default: 0.03; of joints 0.015, and 0.05 for less than two minutes)",
    )
    group.add_argument(
        "--encoder-noise",
        type=not_negative(float),
        metavar="TIMES",
        help="noise of the input, times the encoder's deviation (of joints: 0.1 model units); it "
        "keeps generated motion from oscillating (default: 1.0; of joints 0.1, and 1.0 for less "
        "than two minutes)",
    )
    group.add_argument(
        "--noise-correlation",
        type=not_negative(float),
        help="correlation of that noise from one frame to the next, below 1; 0 is independent "
        "noise, as in 2018 (default: 0.98)",
    )
    group.add_argument(
        "--rehearse",
        type=not_negative(float),
        metavar="SHARE",
        help="of joints, with --start-from: share of the windows in which the first model dances, "
        "so as not to forget how, below 1; 0.5 for a few minutes of recordings (default: 0.0)",
    )
    group.add_argument(
        "--smoothing",
        type=not_negative(float),
        help="standard deviation, in frames, of a low-pass over the latents, which jitter because "
        "the encoder sees each frame alone (default: 1.5)",
    )
    group.add_argument(
        "--jerk",
        type=not_negative(float),
        metavar="WEIGHT",
        help="weight of a penalty on the mean square second difference, x(t+1) - 2 x(t) + x(t-1), "
        "of the predicted path, in RMS steps; the loss shown is without it (default: 0.0)",
    )


def add_course(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the training's course, and of the devices it runs on."""
    add_training(
        parser,
        "dancer",
        item="windows",
        batch_size=64,
        epochs="60; of joints 8, because a longer training follows styles less, and 60 for less "
        "than two minutes of recordings",
        learning_rate=0.001,
        clip_norm="nats per dimension (default: 1.0)",
        patience="12 with --keep best, else 0",
    )
    parser.add_argument(
        "--keep",
        choices=("best", "last"),
        help="keep the weights of the epoch with the lowest validation loss, or of the last one "
        "(default: best; of joints last)",
    )
    parser.add_argument(
        "--strategy",
        choices=("mirrored", "multiworker"),
        help="divide each batch among all GPUs of this machine (mirrored), or among the processes "
        "in TF_CONFIG, which include this one (default: one device)",
    )
    parser.add_argument(
        "--virtual-devices",
        type=terminal.positive(int),
        metavar="N",
        help="with --strategy mirrored: divide the processor into N devices, to try it without "
        "GPUs (default: none)",
    )


def check(arguments: argparse.Namespace) -> None:
    """Raises UserError where values do not fit together or are too large."""
    for name in ("correction_rate", "variance", "neighbour_correction"):
        if (getattr(arguments, name) or 0) > 1:
            raise UserError(
                f"--{name.replace('_', '-')} must be at most 1; received "
                f"{getattr(arguments, name):g}."
            )
    if (arguments.noise_correlation or 0) >= 1:
        raise UserError(
            f"--noise-correlation must be below 1; received {arguments.noise_correlation:g}."
        )
    if arguments.virtual_devices and not arguments.strategy:
        raise UserError("--virtual-devices needs --strategy mirrored; give both, or neither.")

"""Trains the dancer, the network that continues a motion, on latents or on joints."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dancenet import flags
from dancenet.support import terminal
from dancenet.support.wording import command

if TYPE_CHECKING:
    from dancenet.codecs.latents import Latents
    from dancenet.data.mocap.recordings import Recording, Recordings
    from dancenet.model.folder import ModelFolder


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    flags.add_recordings(
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
        type=Path,
        default=Path("latents.npz"),
        metavar="FILE",
        help="the latents, as written by encode_frames.py (default: latents.npz)",
    )
    parser.add_argument(
        "--name",
        "--model",
        required=True,
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
        help="of joints: for recordings that do not fit into memory; reads the files twice, and "
        "trains from a temporary file",
    )
    _add_network(parser)
    _add_noise(parser)
    flags.add_training(
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
    return parser


def _add_network(parser: argparse.ArgumentParser) -> None:
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


def _add_noise(parser: argparse.ArgumentParser) -> None:
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


def work(arguments: argparse.Namespace) -> int | None:
    """Trains, and prints where the result is."""
    from dancenet.model import releases
    from dancenet.model.folder import ModelFolder
    from dancenet.support.errors import MissingExtra, UserError

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
    folder = ModelFolder(Path("weights") / arguments.name)
    source = _read(arguments, folder)
    start_from = None
    if arguments.start_from:
        start_from = ModelFolder(releases.find_model(arguments.start_from))
    try:
        with terminal.quiet_import():
            from dancenet.nets import dancer  # noqa: F401
    except ImportError as error:
        raise MissingExtra("Training", "train", error.name or "keras") from error
    from dancenet.nets.export.onnx import export_dancer

    with contextlib.ExitStack() as stack:
        devices = None
        if arguments.strategy:
            from dancenet.nets.training.devices import open_devices

            devices = open_devices(arguments.strategy, arguments.virtual_devices)
            folder = stack.enter_context(devices.place(folder))
        _train(arguments, source, folder, start_from=start_from, devices=devices)
        if devices is not None and not devices.leads:
            return None
    export_dancer(folder)
    terminal.say(
        f"The dancer is in {folder.path}; generate with "
        f"{command('generate-video', f'--model {arguments.name}')}."
    )
    return None


def _read(
    arguments: argparse.Namespace, folder: ModelFolder
) -> Latents | Recordings | Callable[[], Iterable[Recording]]:
    """Returns the latents, the recordings, or a function that reads the recordings."""
    from dancenet.codecs.latents import Latents
    from dancenet.data.mocap.recordings import each_recording
    from dancenet.support.errors import UserError

    if arguments.space == "skeleton":
        if not arguments.motions:
            raise UserError("--space skeleton needs files of motion, such as dances/*.bvh.")
        if not arguments.stream:
            return flags.read_recordings(arguments)
        wanted, passes = flags.recordings_wanted(arguments), count()
        return lambda: each_recording(arguments.motions, wanted, quiet=next(passes) > 0)
    if arguments.motions:
        raise UserError(
            f"{arguments.motions[0]} is named, but silhouettes are learned from --latents; "
            "say --space skeleton to train on files of motion."
        )
    if not folder.exists():
        raise UserError(
            f"There is no model in {folder.path}; train its VAE first with "
            f"{command('train-vae', f'--name {arguments.name}')}."
        )
    return Latents.load(arguments.latents)


def _train(arguments: argparse.Namespace, source: Any, folder: ModelFolder, **others: Any) -> None:
    from dancenet.nets.training.dancer import train_dancer, train_skeleton_dancer
    from dancenet.nets.training.loop import TrainOptions
    from dancenet.nets.training.options import DancerOptions

    options = DancerOptions(**flags.given(arguments, DancerOptions))
    train_options = TrainOptions(**flags.given(arguments, TrainOptions))
    others |= {"resume": arguments.resume, "overwrite": arguments.overwrite}
    if arguments.space == "silhouette":
        train_dancer(source, folder, options, train_options, **others)
    else:
        if arguments.variance is not None:
            others["variance"] = arguments.variance
        train_skeleton_dancer(source, folder, options, train_options, **others)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

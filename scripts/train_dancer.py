"""Trains the dancer, the network that goes on from a motion, on latents or on joints."""

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

if TYPE_CHECKING:
    from dancenet.data.motion.clip import SkeletonClip


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    flags.add_recordings(
        parser,
        "with --space skeleton: motion capture as .bvh, .amc, .npz or .npy, or keypoints "
        "as .json; of one kind of skeleton",
    )
    parser.add_argument(
        "--space",
        choices=("silhouette", "skeleton"),
        default="silhouette",
        help="what is danced: pictures, of whose latents --latents is the file, or "
        "the joints of the files that are named",
    )
    parser.add_argument(
        "--latents",
        type=Path,
        default=Path("latents.npz"),
        metavar="FILE",
        help="the latents, as written by encode_frames.py",
    )
    parser.add_argument(
        "--name",
        "--model",
        required=True,
        help="name of the model: the one whose VAE made the latents, or, for "
        "joints, a new one; a path is taken as its folder",
    )
    parser.add_argument(
        "--variance",
        type=terminal.positive(float),
        default=0.98,
        help="of joints: share of their variance whose directions are danced, up "
        "to 1; less is steadier, more is finer",
    )
    parser.add_argument(
        "--stream",
        action="store_true",
        help="of joints: read the files twice, keep their trajectory in a "
        "temporary file, and read windows of it while others are learned from; "
        "for recordings that do not fit into memory",
    )
    parser.add_argument(
        "--network",
        choices=("lean", "dancenet"),
        default="lean",
        help="lean, or the network of 2018",
    )
    parser.add_argument(
        "--start-from",
        metavar="NAME",
        default=None,
        help="a model whose dancer is the beginning, instead of chance; the one "
        "that the VAE was started from. Network and smoothing are that "
        "model's. With little material the dance is far better for it",
    )
    parser.add_argument(
        "--head",
        choices=("mixture", "mse"),
        default=None,
        help="mixture, Gaussians trained on the likelihood, unless given; mse: a "
        "plain LSTM regression to compare with, trained on the mean square error "
        "(lean: three layers, dropout 0.2, no steps shown)",
    )
    parser.add_argument(
        "--units",
        type=terminal.positive(int),
        default=None,
        help="of each LSTM layer; the network's own unless given",
    )
    parser.add_argument(
        "--layers",
        type=terminal.positive(int),
        default=None,
        help="LSTM layers; the network's own unless given",
    )
    parser.add_argument(
        "--mixtures",
        type=terminal.positive(int),
        default=None,
        help="Gaussians of the mixture; the network's own unless given",
    )
    parser.add_argument(
        "--velocity-inputs",
        type=terminal.not_negative(int),
        default=None,
        help="last steps the network is shown beside each vector; the network's "
        "own (lean: 2, dancenet: 0) unless given",
    )
    parser.add_argument(
        "--sigma-floor",
        type=terminal.not_negative(float),
        default=None,
        help="smallest standard deviation, in units of a usual step (lean) or of "
        "the scaled data (dancenet); the network's own unless given",
    )
    parser.add_argument(
        "--look-back",
        type=terminal.positive(int),
        default=64,
        help="frames seen before a prediction; 1 learns and dances as in 2018, without a memory",
    )
    parser.add_argument(
        "--stride",
        type=terminal.positive(int),
        default=16,
        help="frames between the starts of two windows; they are moved by less "
        "than that in every epoch",
    )
    parser.add_argument(
        "--epochs",
        type=terminal.positive(int),
        default=None,
        help="how many, unless --minutes decides (default: 60; of joints 8, "
        "because a dancer that learns them longer hears styles less, and 60 if "
        "there is little to learn from)",
    )
    parser.add_argument(
        "--minutes",
        type=terminal.positive(float),
        default=None,
        help="choose the number of epochs so that training takes this long",
    )
    parser.add_argument(
        "--batch-size", type=terminal.positive(int), default=64, help="windows in a step"
    )
    parser.add_argument(
        "--learning-rate",
        type=terminal.positive(float),
        default=1e-3,
        help="the highest; it grows at first and falls to a fiftieth",
    )
    parser.add_argument(
        "--perturbation",
        type=terminal.not_negative(float),
        default=0.4,
        help="how far, at most, each window is moved from where it was danced, in "
        "model units (1 is how far poses differ); teaches the dancer to come back "
        "from its own errors",
    )
    parser.add_argument(
        "--correction-rate",
        type=terminal.not_negative(float),
        default=None,
        help="share of that way that it is to come back in one frame, from 0 to "
        "1: more is safer, and varies less; 0.03 of silhouettes and 0.015 of "
        "joints unless given",
    )
    parser.add_argument(
        "--encoder-noise",
        type=terminal.not_negative(float),
        default=None,
        metavar="TIMES",
        help="noise on what the dancer sees, in shape and size "
        "as uncertain as the encoder is (of joints: a tenth of how far poses "
        "differ); keeps a dance from swinging itself up; 1 of silhouettes and 0.1 "
        "of joints unless given",
    )
    parser.add_argument(
        "--noise-correlation",
        type=terminal.not_negative(float),
        default=0.98,
        help="how far that noise is the same from one frame to the next: 0 for "
        "independent draws, as in 2018, below 1 for a drift",
    )
    parser.add_argument(
        "--smoothing",
        type=terminal.not_negative(float),
        default=1.5,
        help="standard deviation, in frames, of the low-pass over the latents: an "
        "encoder sees each frame alone, and its latents tremble",
    )
    parser.add_argument(
        "--jerk",
        type=terminal.not_negative(float),
        default=0.0,
        metavar="WEIGHT",
        help="weight of a penalty on an unsteady path: the mean square second "
        "difference, x(t+1) - 2 x(t) + x(t-1), of the mean predictions along a "
        "window, in usual steps. An acceleration, strictly; named, as in motion "
        "prediction, after the jerkiness it takes away. The loss shown is without "
        "it",
    )
    parser.add_argument(
        "--clip-norm",
        type=terminal.positive(float),
        default=1.0,
        help="the largest norm of the gradient, in nats per dimension",
    )
    parser.add_argument(
        "--patience",
        type=terminal.positive(int),
        default=None,
        help="stop after this many epochs without a better validation; 12 with "
        "--keep best, and without end with --keep last, unless given",
    )
    parser.add_argument(
        "--keep",
        choices=("best", "last"),
        default=None,
        help="which weights: those of the epoch that foretold the held-out "
        "dances best, or the last ones, which know more of the others; the best "
        "of silhouettes and the last of joints unless given",
    )
    parser.add_argument(
        "--seed", type=terminal.not_negative(int), default=0, help="of all that is random"
    )
    begun = parser.add_mutually_exclusive_group()
    begun.add_argument(
        "--resume",
        action="store_true",
        help="continue a training that was stopped, with the same options",
    )
    begun.add_argument("--overwrite", action="store_true", help="replace the dancer of that model")
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="write TensorBoard logs to weights/NAME/training/dancer/tensorboard: "
        "loss, gradient, mixtures, and real and generated vectors; open them with "
        "tensorboard --logdir and that folder",
    )
    parser.add_argument(
        "--strategy",
        choices=("mirrored", "multiworker"),
        default=None,
        help="divide each batch among all GPUs of this machine (mirrored), or "
        "among the processes that TF_CONFIG names, this one among them; one device "
        "unless given",
    )
    parser.add_argument(
        "--neighbour-correction",
        type=terminal.not_negative(float),
        default=0.0,
        help="how firmly its dances are to be led back to real motion, up to 1, "
        "unless generate_video.py says otherwise; 0.1 for a few minutes of "
        "material. The temperature is found with it",
    )
    parser.add_argument(
        "--virtual-devices",
        type=terminal.positive(int),
        default=None,
        metavar="N",
        help="with --strategy mirrored: divide the processor into N devices, to "
        "try it without GPUs",
    )
    return parser


# What is best differs between a VAE's latents and recorded joints.
DEFAULTS: dict[str, dict[str, Any]] = {
    "silhouette": {"correction_rate": 0.03, "encoder_noise": 1.0, "keep": "best", "epochs": 60},
    "skeleton": {"correction_rate": 0.015, "encoder_noise": 0.1, "keep": "last", "epochs": 8},
}
LITTLE_SECONDS = 120  # of recordings, the mirrored ones too
LITTLE = {
    "correction_rate": 0.05,
    "encoder_noise": 1.0,
    "units": 256,
    "mixtures": 3,
    "keep": "last",
    "epochs": 60,
}


def _seconds(clips: Iterable[SkeletonClip]) -> float:
    """Returns how long clips last, or how long those that are no longer little last."""
    seconds = 0.0
    for clip in clips:
        seconds += clip.num_frames / clip.fps
        if seconds >= LITTLE_SECONDS:
            break
    return seconds


def work(arguments: argparse.Namespace) -> int | None:
    """Trains, and says where the result is."""
    from dancenet.codecs.latents import Latents
    from dancenet.data.mocap.recordings import Recording, Recordings, each_recording
    from dancenet.model import releases as weights
    from dancenet.model.folder import ModelFolder
    from dancenet.support.errors import MissingExtra, UserError

    if arguments.noise_correlation >= 1:
        raise UserError(
            f"--noise-correlation must be below 1; received {arguments.noise_correlation:g}."
        )
    for name in ("correction_rate", "variance", "neighbour_correction"):
        if (getattr(arguments, name) or 0) > 1:
            raise UserError(f"--{name} must be at most 1; received {getattr(arguments, name):g}.")
    if arguments.virtual_devices and not arguments.strategy:
        raise UserError("--virtual-devices needs --strategy mirrored; say both, or neither.")
    folder = ModelFolder(Path("weights") / arguments.name)
    material: Latents | Recordings | Callable[[], Iterable[Recording]]
    if arguments.space == "skeleton":
        if not arguments.motions:
            raise UserError(
                "--space skeleton needs files of motion; name them, such as dances/*.bvh."
            )
        if arguments.stream:
            wanted = flags.recordings_wanted(arguments)
            passes = count()
            material = lambda: each_recording(  # noqa: E731
                arguments.motions, wanted, quiet=next(passes) > 0
            )
        else:
            material = flags.read_recordings(arguments)
    else:
        if arguments.motions:
            raise UserError(
                f"{arguments.motions[0]} is named, but silhouettes are learned from --latents; "
                "say --space skeleton to learn from files of motion."
            )
        if not folder.exists():
            raise UserError(
                f"There is no model in {folder.path}; train its VAE first with "
                f"`python scripts/train_vae.py --name {arguments.name}`."
            )
        material = Latents.load(arguments.latents)
    defaults = DEFAULTS[arguments.space]
    if not isinstance(material, Latents) and not arguments.start_from:
        if isinstance(material, Recordings):
            clips: Iterable[SkeletonClip] = material.clips
        else:
            clips = (
                recording.clip
                for recording in each_recording(arguments.motions, wanted, quiet=True)
            )
        seconds = _seconds(clips)
        if seconds < LITTLE_SECONDS:
            terminal.say(
                f"{seconds:.0f} s of recordings are little; the network is small, and shown more "
                "noise, unless flags say otherwise."
            )
            defaults = LITTLE
            if arguments.head == "mse" or arguments.network != "lean":
                # Those are there to be compared with as they are.
                defaults = {
                    name: value
                    for name, value in LITTLE.items()
                    if name not in ("units", "mixtures")
                }
    for name, value in defaults.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    if arguments.patience is None and arguments.keep == "best":
        arguments.patience = 12
    start_from = None
    if arguments.start_from:
        start_from = ModelFolder(weights.find_model(arguments.start_from))
    try:
        with terminal.quiet_import():
            import keras  # noqa: F401
            import keras_mdn_layer  # noqa: F401
    except ImportError as error:
        raise MissingExtra("Training", "train", error.name or "keras") from error
    from dancenet.nets.training.dancer import DancerOptions, train_dancer, train_skeleton_dancer
    from dancenet.nets.training.loop import TrainOptions

    options = DancerOptions(
        network=arguments.network,
        head=arguments.head,
        units=arguments.units,
        layers=arguments.layers,
        num_mixtures=arguments.mixtures,
        velocity_inputs=arguments.velocity_inputs,
        sigma_floor=arguments.sigma_floor,
        look_back=arguments.look_back,
        stride=arguments.stride,
        batch_size=arguments.batch_size,
        perturbation=arguments.perturbation,
        correction_rate=arguments.correction_rate,
        encoder_noise=arguments.encoder_noise,
        noise_correlation=arguments.noise_correlation,
        smoothing=arguments.smoothing,
        jerk=arguments.jerk,
        tensorboard=arguments.tensorboard,
        neighbour_correction=arguments.neighbour_correction,
    )
    train_options = TrainOptions(
        epochs=arguments.epochs,
        minutes=arguments.minutes,
        learning_rate=arguments.learning_rate,
        clip_norm=arguments.clip_norm,
        patience=arguments.patience,
        keep=arguments.keep,
        seed=arguments.seed,
    )
    how: dict[str, Any] = {
        "start_from": start_from,
        "resume": arguments.resume,
        "overwrite": arguments.overwrite,
    }
    with contextlib.ExitStack() as together:
        if arguments.strategy:
            from dancenet.nets.training.devices import open_devices

            how["devices"] = open_devices(arguments.strategy, arguments.virtual_devices)
            folder = together.enter_context(how["devices"].place(folder))
        if isinstance(material, Latents):
            train_dancer(material, folder, options, train_options, **how)
        else:
            train_skeleton_dancer(
                material, folder, options, train_options, variance=arguments.variance, **how
            )
        if "devices" in how and not how["devices"].leads:
            return None
    from dancenet.nets.export.onnx import export_dancer

    export_dancer(folder)
    terminal.say(
        f"The dancer is in {folder.path}; make it dance with "
        f"`python scripts/generate_video.py --model {arguments.name}`."
    )
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

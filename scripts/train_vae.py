"""Trains the VAE, the network between pictures and latents, on a folder of frames."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dancenet.support import terminal


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--frames",
        default="imgs",
        metavar="FOLDER",
        help="the frames, as written by extract_frames.py",
    )
    parser.add_argument(
        "--name", required=True, type=_name, help="name of the model, written to weights/NAME"
    )
    parser.add_argument(
        "--network",
        choices=("lean", "dancenet"),
        default="lean",
        help="lean, or the network of 2018 (about fifty times slower)",
    )
    parser.add_argument(
        "--start-from",
        metavar="NAME",
        default=None,
        help="a model whose VAE is the beginning, instead of chance: the bundled "
        "silhouette_v1 has seen many bodies already",
    )
    parser.add_argument(
        "--epochs",
        type=terminal.positive(int),
        default=40,
        help="how many, unless --minutes decides",
    )
    parser.add_argument(
        "--minutes",
        type=terminal.positive(float),
        default=None,
        help="choose the number of epochs so that training takes this long",
    )
    parser.add_argument(
        "--frames-per-epoch",
        type=terminal.positive(int),
        default=40_000,
        help="an epoch, after which there is a validation and a checkpoint, "
        "has at most this many frames",
    )
    parser.add_argument(
        "--batch-size", type=terminal.positive(int), default=32, help="frames in a step"
    )
    parser.add_argument(
        "--learning-rate",
        type=terminal.positive(float),
        default=2e-3,
        help="the highest; it grows at first and falls to a fiftieth",
    )
    parser.add_argument(
        "--beta",
        type=terminal.not_negative(float),
        default=0.5,
        help="weight of the KL divergence after its warm-up; smaller values "
        "give sharper pictures and noisier latents",
    )
    parser.add_argument(
        "--beta-steps",
        type=terminal.positive(int),
        default=2000,
        help="steps over which beta grows from 0; a tenth of the training at most",
    )
    parser.add_argument(
        "--free-bits",
        type=terminal.not_negative(float),
        default=0.0,
        help="nats of KL divergence that each dimension may use at no cost",
    )
    parser.add_argument(
        "--edge-weight",
        type=terminal.not_negative(float),
        default=0.0,
        help="extra weight of the pixels beside the outline",
    )
    parser.add_argument(
        "--logit-gain",
        type=terminal.positive(float),
        default=3.0,
        help="how much harder the edges are drawn than they were learnt; 1 changes nothing",
    )
    parser.add_argument(
        "--logit-bias",
        type=terminal.not_negative(float),
        default=0.5,
        help="how sure a pixel must be to be drawn as background, as a logit: 0 "
        "is a half, 0.5 is 62 %%; thin limbs stay whole",
    )
    parser.add_argument(
        "--augment",
        type=terminal.not_negative(float),
        default=1.0,
        help="how much the frames are moved, turned, scaled and mirrored at "
        "random; 0 takes them as they are",
    )
    parser.add_argument(
        "--rehearse",
        type=terminal.not_negative(float),
        default=0.5,
        help="share of each batch that the model of --start-from draws of what "
        "it has seen, so as not to forget it",
    )
    parser.add_argument(
        "--clip-norm",
        type=terminal.positive(float),
        default=300.0,
        help="the largest norm of the gradient, in nats",
    )
    parser.add_argument(
        "--patience",
        type=terminal.positive(int),
        default=None,
        help="stop after this many epochs without a better validation",
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
    begun.add_argument("--overwrite", action="store_true", help="replace the model of that name")
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="write TensorBoard logs to weights/NAME/training/vae/tensorboard",
    )
    return parser


def _name(text: str) -> str:
    if not text or text.startswith(".") or "/" in text or "\\" in text:
        raise argparse.ArgumentTypeError(
            f"must be the name of one folder, not a path; received {text!r}"
        )
    return text


def work(arguments: argparse.Namespace) -> int | None:
    """Trains, and says where the result is."""
    from pathlib import Path

    from dancenet.data.frames.folder import FrameFolder
    from dancenet.model import releases as weights
    from dancenet.model.folder import ModelFolder
    from dancenet.support.errors import MissingExtra

    frames = FrameFolder.open(arguments.frames)
    try:
        with terminal.quiet_import():
            import keras  # noqa: F401
    except ImportError as error:
        raise MissingExtra("Training", "train", "keras") from error
    from dancenet.nets.training.loop import TrainOptions
    from dancenet.nets.training.vae import VaeOptions, train_vae, training_folder

    folder = ModelFolder(Path("weights") / arguments.name)
    start_from = None
    if arguments.start_from:
        start_from = ModelFolder(weights.find_model(arguments.start_from))
    train_vae(
        frames,
        folder,
        VaeOptions(
            network=arguments.network,
            batch_size=arguments.batch_size,
            frames_per_epoch=arguments.frames_per_epoch,
            beta=arguments.beta,
            beta_steps=arguments.beta_steps,
            free_bits=arguments.free_bits,
            edge_weight=arguments.edge_weight,
            logit_gain=arguments.logit_gain,
            logit_bias=arguments.logit_bias,
            augment=arguments.augment,
            rehearse=arguments.rehearse,
            tensorboard=arguments.tensorboard,
        ),
        TrainOptions(
            epochs=arguments.epochs,
            minutes=arguments.minutes,
            learning_rate=arguments.learning_rate,
            clip_norm=arguments.clip_norm,
            patience=arguments.patience,
            seed=arguments.seed,
        ),
        start_from=start_from,
        resume=arguments.resume,
        overwrite=arguments.overwrite,
    )
    from dancenet.nets.export.onnx import export_vae

    export_vae(folder)
    terminal.say(f"The VAE is in {folder.path}; look at {training_folder(folder)}.")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

"""Trains the VAE, the network between pictures and latents, on a folder of frames."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dancenet.flags import training as flags
from dancenet.support import terminal
from dancenet.support.names import is_allowed_here, quoted
from dancenet.support.wording import command


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = terminal.Parser(description=__doc__)
    positive, not_negative = terminal.positive, terminal.not_negative
    parser.add_argument(
        "--frames",
        type=terminal.path_text,
        default="imgs",
        metavar="FOLDER",
        help="the frames, as written by extract_frames.py (default: imgs)",
    )
    parser.add_argument(
        "--name", required=True, type=_name, help="name of the model, written to weights/NAME"
    )
    parser.add_argument(
        "--network",
        choices=("lean", "dancenet"),
        help="lean, or the network of 2018, about fifty times slower (default: lean)",
    )
    parser.add_argument(
        "--frames-per-epoch",
        type=positive(int),
        help="largest number of frames in an epoch, which ends with a validation and a checkpoint "
        "(default: 40000)",
    )
    parser.add_argument(
        "--beta",
        type=not_negative(float),
        help="weight of the KL divergence after its warm-up; smaller values give sharper pictures "
        "and noisier latents (default: 0.5)",
    )
    parser.add_argument(
        "--beta-steps",
        type=positive(int),
        help="steps over which beta grows from 0, at most a tenth of the training (default: 2000)",
    )
    parser.add_argument(
        "--free-bits",
        type=not_negative(float),
        help="nats of KL divergence that each dimension may use at no cost (default: 0.0)",
    )
    parser.add_argument(
        "--edge-weight",
        type=not_negative(float),
        help="extra weight of the pixels beside the outline (default: 0.0)",
    )
    parser.add_argument(
        "--centred",
        action=argparse.BooleanOptionalAction,
        help="move every figure to the middle before it is encoded, and keep its place as one more "
        "number; --no-centred leaves figures where they are, as the network of 2018 does "
        "(default: for lean)",
    )
    parser.add_argument(
        "--halfway",
        type=not_negative(float),
        metavar="SHARE",
        help="share of each batch that are frames halfway between two others; the mean of the "
        "others' latents must decode to them, too (default: 0.25)",
    )
    parser.add_argument(
        "--logit-gain",
        type=positive(float),
        help="factor of the logits after training; above 1 the edges are sharper (default: 3.0)",
    )
    parser.add_argument(
        "--logit-bias",
        type=not_negative(float),
        help="logit above which a pixel is background; 0 is a probability of a half, 0.5 of 62 %%, "
        "which keeps thin limbs whole (default: 0.5)",
    )
    parser.add_argument(
        "--augment",
        type=not_negative(float),
        help="strength of random shifts, turns, scales and mirrors of the frames; 0 for none "
        "(default: 1.0)",
    )
    parser.add_argument(
        "--rehearse",
        type=not_negative(float),
        metavar="SHARE",
        help="with --start-from: share of each batch that the first model draws, so as not to "
        "forget it (default: 0.5)",
    )
    flags.add_training(
        parser,
        "VAE",
        item="frames",
        batch_size=32,
        epochs="40",
        learning_rate=0.002,
        clip_norm="nats (default: 300.0)",
        patience="0",
    )
    return parser


def _name(text: str) -> str:
    if not text.strip() or "\0" in text or text.startswith(".") or "/" in text or "\\" in text:
        raise argparse.ArgumentTypeError(
            f"must be the name of one folder, not a path; received {quoted(text)}"
        )
    if not is_allowed_here(text):
        raise argparse.ArgumentTypeError(f"Windows allows no folder with the name {quoted(text)}")
    return text


def work(arguments: argparse.Namespace) -> int | None:
    """Trains, and prints where the result is."""
    from dancenet.data.frames.folder import FrameFolder
    from dancenet.model import releases
    from dancenet.model.folder import ModelFolder
    from dancenet.nets.training.folder import may_resume_vae, training_folder
    from dancenet.support import errors, signals

    frames = FrameFolder.open(arguments.frames)
    folder = ModelFolder(Path("weights") / arguments.name)
    # What is known already is said before seconds are spent on TensorFlow.
    may_resume_vae(folder, arguments.resume, arguments.overwrite)
    try:
        with terminal.quiet_import():
            from dancenet.nets import vae  # noqa: F401
    except ImportError as error:
        raise errors.why_not_imported(error, "Training", "train") from error
    from dancenet.nets.export.onnx import export_vae
    from dancenet.nets.training.loop import TrainOptions
    from dancenet.nets.training.options import VaeOptions
    from dancenet.nets.training.vae import train_vae

    start_from = None
    if arguments.start_from:
        start_from = ModelFolder(releases.find_model(arguments.start_from))
    with folder.hold():
        train_vae(
            frames,
            folder,
            VaeOptions(**flags.given(arguments, VaeOptions)),
            TrainOptions(**flags.given(arguments, TrainOptions)),
            start_from=start_from,
            resume=arguments.resume,
            overwrite=arguments.overwrite,
        )
        graphs = command("export", "--name", folder.path)
        with signals.saying(lambda: f"The VAE is trained; write its graphs with {graphs}."):
            export_vae(folder)
    terminal.say(
        f"The VAE is in {quoted(folder.path)}; look at {quoted(training_folder(folder, 'vae'))}."
    )
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

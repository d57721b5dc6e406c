"""Trains the network that lifts keypoints of one camera to joints in space, on recorded motion."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dancenet.support import terminal
from dancenet.support.names import quoted


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = terminal.Parser(
        description="Trains the network that lifts keypoints of one camera to joints in space, on "
        "recorded motion seen from any side, and measures it on recordings that are held out."
    )
    parser.add_argument(
        "motions",
        nargs="+",
        type=terminal.path,
        metavar="FILE",
        help="recordings of bodies, as .bvh, .amc or .npz",
    )
    parser.add_argument(
        "--held-out",
        default="",
        metavar="NAMES",
        help="recordings to measure on and not to train on: their file names without suffix, with "
        "commas between (default: none)",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=terminal.path,
        default=Path("lifter.npz"),
        metavar="FILE",
        help="the weights (default: lifter.npz)",
    )
    parser.add_argument(
        "--steps",
        type=terminal.not_negative(int),
        default=2500,
        help="steps of 64 windows, a third of a second each on one core; 0 only measures the "
        "weights of --start-from (default: 2500)",
    )
    parser.add_argument(
        "--learning-rate",
        type=terminal.positive(float),
        default=2e-3,
        help="highest one; it falls to nothing (default: 0.002)",
    )
    parser.add_argument(
        "--noise",
        type=terminal.not_negative(float),
        default=1.0,
        help="times the detector's errors, as they were measured on films (default: 1.0)",
    )
    parser.add_argument(
        "--seed", type=terminal.not_negative(int), default=0, help="of the views (default: 0)"
    )
    parser.add_argument(
        "--start-from",
        type=terminal.path,
        metavar="FILE",
        help="weights to begin with (default: none)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file of weights")
    return parser


def work(arguments: argparse.Namespace) -> int | None:
    """Trains, measures, and prints where the result is."""
    from dancenet.data.mocap.read import read_skeleton
    from dancenet.data.motion.clip import SkeletonClip, check_body
    from dancenet.support import errors, files
    from dancenet.support.errors import UserError

    if arguments.steps:
        files.check_parent(arguments.out)
        files.check_overwrite(arguments.out, arguments.overwrite)
    elif arguments.start_from is None:
        raise UserError("--steps 0 trains nothing; name weights to measure with --start-from.")
    paths = [Path(name) for name in terminal.expand(arguments.motions)]
    wanted = {name.strip() for name in arguments.held_out.split(",") if name.strip()}
    missing = sorted(wanted - {path.stem for path in paths})
    if missing:
        raise UserError(f"--held-out names {quoted(missing[0])}, which is not among the files.")
    train: list[SkeletonClip] = []
    held_out: list[SkeletonClip] = []
    for path in paths:
        clip = read_skeleton(path)
        check_body(clip)
        (held_out if path.stem in wanted else train).append(clip)
    if arguments.steps and not train:
        raise UserError("All files are held out; give some to train on.")
    try:
        with terminal.quiet_import():
            from dancenet.nets.training.lifter import train as training
            from dancenet.nets.training.lifter.measure import describe, measure
    except ImportError as error:
        raise errors.why_not_imported(error, "Training", "train") from error
    if arguments.steps:
        options = training.LifterOptions(
            steps=arguments.steps,
            learning_rate=arguments.learning_rate,
            noise=arguments.noise,
            seed=arguments.seed,
        )
        lifter = training.train_lifter(
            train, arguments.out, options, arguments.start_from, say=terminal.say
        )
        terminal.say(f"The network is in {quoted(arguments.out)}.")
    else:
        lifter = training.Lifter.load(arguments.start_from)
    if held_out:
        terminal.say(describe(measure(lifter, held_out)))
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

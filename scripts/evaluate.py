"""Evaluates the dances of a model, beside real dances and four other references."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dancenet.flags import recordings as flags
from dancenet.support import terminal
from dancenet.support.names import quoted


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = terminal.Parser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument(
        "--model",
        "--name",
        type=terminal.model,
        metavar="NAME",
        help="name or folder of the model",
    )
    task.add_argument(
        "--answers",
        nargs="+",
        type=terminal.path_text,
        metavar="FILE",
        help="measure nothing, but count the answers that people gave on look.html",
    )
    flags.add_recordings(
        parser, "for a model of joints: the motions it was trained on, with the same flags as then"
    )
    parser.add_argument(
        "--frames",
        type=terminal.path,
        default=Path("imgs"),
        metavar="FOLDER",
        help="for a model of silhouettes: the frames it was trained on; what training held out is "
        "held out here too",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=terminal.path,
        default=Path("report"),
        metavar="FOLDER",
        help="folder for report.json, report.html and look.html, a page on which people say which "
        "of two dances was recorded; an older report there is replaced",
    )
    parser.add_argument(
        "--beside",
        type=terminal.model,
        metavar="NAME",
        default=None,
        help="another model, whose dances half of the pairs of look.html show beside the model's",
    )
    _add_dances(parser)
    _add_recipe(parser)
    return parser


def _add_dances(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the dances that are generated."""
    parser.add_argument(
        "--seeds",
        type=terminal.not_negative(int),
        nargs="+",
        default=[1, 2, 3, 4, 5],
        metavar="SEED",
        help="random seeds of the dances and of the split of the real dances into halves",
    )
    parser.add_argument(
        "--dances",
        type=terminal.positive(int),
        default=4,
        help="dances generated for each seed; the first of them is drawn",
    )
    parser.add_argument(
        "--seconds",
        type=terminal.positive(float),
        default=120.0,
        help="length of each dance; drift and Fréchet distances need 120",
    )
    parser.add_argument(
        "--temperature",
        type=terminal.not_negative(float),
        default=1.0,
        help="as in generate_video.py",
    )
    parser.add_argument(
        "--temperature-variation",
        type=terminal.not_negative(float),
        default=None,
        help="as in generate_video.py (default: the model's own)",
    )
    parser.add_argument(
        "--neighbour-correction",
        type=terminal.not_negative(float),
        default=None,
        help="as in generate_video.py (default: the model's own)",
    )
    parser.add_argument(
        "--refine", type=terminal.not_negative(int), default=1, help="as in generate_video.py"
    )
    parser.add_argument(
        "--style",
        default=None,
        metavar="NAME[:WEIGHT],…",
        help="as in generate_video.py; only dances in that style are measured",
    )


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the network of 2018, one of the references."""
    recipe = parser.add_mutually_exclusive_group()
    recipe.add_argument(
        "--recipe-2018",
        type=terminal.model,
        metavar="NAME",
        default=None,
        help="a model with the same VAE whose dancer was trained as in 2018: "
        "train_dancer.py --network dancenet --look-back 1 --smoothing 0 "
        "--perturbation 0 --noise-correlation 0",
    )
    recipe.add_argument(
        "--recipe-minutes",
        type=terminal.positive(float),
        default=None,
        metavar="MINUTES",
        help="train that dancer for this long; it is kept in the folder of the report and used "
        "again",
    )


def work(arguments: argparse.Namespace) -> int | None:
    """Evaluates the model and prints the table, or counts answers."""
    if arguments.answers:
        from dancenet.evaluation.answers import read_sheet, summary

        for line in summary([read_sheet(path) for path in arguments.answers]):
            terminal.say(line)
        return None

    from dancenet.support import errors

    try:
        from dancenet.evaluation.options import Options
        from dancenet.evaluation.run import JSON, LOOK, PAGE, evaluate
    except ImportError as error:
        raise errors.why_not_imported(error, "An evaluation", "train") from error

    report = evaluate(
        arguments.model,
        flags.read_recordings(arguments) if arguments.motions else arguments.frames,
        arguments.out,
        Options(
            seeds=tuple(arguments.seeds),
            dances=arguments.dances,
            seconds=arguments.seconds,
            temperature=arguments.temperature,
            temperature_variation=arguments.temperature_variation,
            neighbour_correction=arguments.neighbour_correction,
            refine=arguments.refine,
            style=arguments.style,
            beside=arguments.beside,
            recipe_2018=arguments.recipe_2018,
            recipe_minutes=arguments.recipe_minutes,
        ),
    )
    terminal.say(report.to_table())
    passed, failed, unknown = report.counts
    terminal.say(
        f"{passed} of {passed + failed + unknown} bars passed, {failed} failed, {unknown} not "
        f"judged. The report is {quoted(arguments.out / PAGE)}; every figure is in "
        f"{quoted(arguments.out / JSON)}. To judge with your own eyes, open "
        f"{quoted(arguments.out / LOOK)}."
    )
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

"""Turns the files of a 2018 DanceNet (vae_cnn.h5, gendance.h5, lv.npy) into a model folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dancenet.support import terminal
from dancenet.support.names import quoted

WHY_LATENTS = (
    "LV.npy, the latents that the dancer was trained on, is needed too: they were scaled to 0..1 "
    "by the smallest and the largest value of each dimension, which neither weight file holds. It "
    "lies beside them as lv.npy; gen_lv.py of 2018 wrote it."
)


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = terminal.Parser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "vae",
        type=terminal.path,
        metavar="VAE.h5",
        help="the weights of the VAE, vae_cnn.h5 of 2018",
    )
    parser.add_argument(
        "dancer",
        type=terminal.path,
        metavar="DANCER.h5",
        help="the weights of the dancer, gendance.h5 of 2018",
    )
    parser.add_argument(
        "latents",
        type=terminal.path,
        metavar="LV.npy",
        nargs="?",
        help="the latents the dancer was trained on, lv.npy of 2018",
    )
    parser.add_argument(
        "--name",
        required=True,
        type=terminal.model,
        help="name of the model; a path is taken as its folder",
    )
    parser.add_argument(
        "--fps",
        type=terminal.positive(float),
        default=10.0,
        help="frames per second of the latents: every third frame of a film, as "
        "2018 kept them; its own videos played them at 30, three times too fast",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a model of that name")
    return parser


def work(arguments: argparse.Namespace) -> int | None:
    """Imports the files, and prints how well they fit together."""
    from dancenet.model.folder import ModelFolder, made_files
    from dancenet.support import errors, files, lock
    from dancenet.support.errors import UserError
    from dancenet.support.wording import command

    folder = ModelFolder(Path("weights") / arguments.name)
    target = folder.path
    if arguments.latents is None:
        raise UserError(WHY_LATENTS)
    files.open_folder(target, made_files)
    files.check_overwrite(target, arguments.overwrite)
    if target.exists() and not folder.exists():
        raise UserError(
            f"{quoted(target)} is not a model, so it is not replaced; choose another --name."
        )
    try:
        with terminal.quiet_import():
            from dancenet.legacy.import_model import Files2018, import_model
            from dancenet.nets.export.onnx import format_report
    except ImportError as error:
        raise errors.why_not_imported(error, "Importing weights of 2018", "train") from error
    with (
        lock.hold(lock.beside(target), target, "choose another --name"),
        files.atomic_folder(target, made_files) as staging,
    ):
        imported, report = import_model(
            Files2018(arguments.vae, arguments.dancer, arguments.latents),
            ModelFolder(staging),
            target.name,
            fps=arguments.fps,
        )
    terminal.say(format_report(report))
    terminal.say(
        f"On the {imported.rows:,} rows of {quoted(arguments.latents)} the dancer's loss is "
        f"{imported.nats_per_dimension:.2f} nats per dimension; one Gaussian for all frames has "
        f"{imported.pose_nats:.2f}."
    )
    model = target.name if target.parent == Path("weights") else target
    terminal.say(
        f"The model is in {quoted(target)}; make it dance with "
        f"{command('generate-video', '--model', model)}, or as in 2018 with --legacy."
    )
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

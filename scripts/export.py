"""Writes the ONNX graphs of a model that generation runs on, and checks each against Keras."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dancenet import terminal


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--name", "--model", required=True, metavar="NAME",
        help="the model: its name, or its folder",
    )
    parser.add_argument(
        "--only", choices=("vae", "dancer"),
        help="export one of the two networks (default: those whose weights are there)",
    )
    return parser


def work(arguments: argparse.Namespace) -> int | None:
    """Exports, and prints a table of sizes and differences."""
    from dancenet import folder as model_folder, pipeline
    from dancenet.errors import MissingExtra, UserError

    folder = model_folder.ModelFolder(pipeline.find_model(arguments.name))
    there = {
        "vae": (folder / model_folder.VAE_WEIGHTS).exists(),
        "dancer": (folder / model_folder.DANCER_WEIGHTS).exists(),
    }
    wanted = [arguments.only] if arguments.only else [part for part in there if there[part]]
    if not wanted:
        raise UserError(
            f"The model {folder.path} has no trained weights to export; train a VAE first with "
            "`python scripts/train_vae.py`."
        )
    try:
        with terminal.quiet_import():
            from dancenet.nets import export
    except ModuleNotFoundError as error:
        raise MissingExtra("Exporting a model", "train", error.name or "keras") from error
    report: list[export.Parity] = []
    for part in wanted:
        report += export.export_vae(folder) if part == "vae" else export.export_dancer(folder)
    terminal.say(export.format_report(report))
    terminal.say(f"Written to {folder.path}; every graph computes what Keras computes.")
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

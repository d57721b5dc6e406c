"""Writes a model for other runtimes, ONNX, LiteRT or SavedModel, and checks each against Keras."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dancenet.support import terminal

FORMATS = ("onnx", "litert", "saved_model")


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--name",
        "--model",
        required=True,
        metavar="NAME",
        help="the model: its name, or its folder",
    )
    parser.add_argument(
        "--only",
        choices=("vae", "dancer"),
        help="export one of the two networks (default: those whose weights are there)",
    )
    parser.add_argument(
        "--format",
        type=_formats,
        action="extend",
        metavar="FORMAT",
        help="onnx (the graphs used by generation), litert (phones, browsers; float32, "
        "float16 and int8), saved_model (TF Serving); several with commas (default: onnx)",
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="where the folders litert and saved_model go (default: the model's folder)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace LiteRT files in --out; a SavedModel is always a new version",
    )
    return parser


def _formats(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(FORMATS)}")
    return names


def work(arguments: argparse.Namespace) -> int | None:
    """Exports the model, and prints tables of sizes, differences and speeds."""
    from pathlib import Path

    from dancenet.generation import write as pipeline
    from dancenet.model import folder as model_folder
    from dancenet.model.config import SKELETON
    from dancenet.support.errors import MissingExtra, UserError
    from dancenet.support.wording import command

    formats = [name for name in FORMATS if name in (arguments.format or FORMATS[:1])]
    if arguments.out is not None and formats == ["onnx"]:
        raise UserError(
            "--out is for litert and saved_model; the ONNX graphs belong in the model's folder."
        )
    folder = model_folder.ModelFolder(pipeline.find_model(arguments.name))
    of_joints = folder.read_config().space == SKELETON
    if arguments.only == "dancer" and "saved_model" in formats and not of_joints:
        raise UserError(
            "A SavedModel holds pictures and dance; leave out --only, or say --only vae."
        )
    there = {
        "vae": (folder / model_folder.VAE_WEIGHTS).exists(),
        "dancer": (folder / model_folder.DANCER_WEIGHTS).exists(),
    }
    wanted = [arguments.only] if arguments.only else [part for part in there if there[part]]
    if not wanted:
        raise UserError(
            f"The model {folder.path} has no trained weights to export; train a "
            + (
                f"dancer with {command('train-dancer')}."
                if of_joints
                else f"VAE first with {command('train-vae')}."
            )
        )
    try:
        with terminal.quiet_import():
            from dancenet.nets.export import onnx

            if formats != ["onnx"]:
                from dancenet.nets.export import litert, parity, saved_model
                from dancenet.nets.export.reference import Networks
    except ModuleNotFoundError as error:
        raise MissingExtra("Exporting a model", "train", error.name or "keras") from error
    if "litert" in formats:
        litert.require_litert()
    if wanted == ["vae"] and not arguments.only:
        terminal.say(f"{folder.path} has no dancer yet: its picture network is exported alone.")
    if "onnx" in formats:
        report: list[onnx.Parity] = []
        for part in wanted:
            report += onnx.export_vae(folder) if part == "vae" else onnx.export_dancer(folder)
        terminal.say(onnx.format_report(report))
        terminal.say(f"Written to {folder.path}; every graph computes what Keras computes.")
        if "dancer" in wanted:
            speed = onnx.steps_a_second(folder / model_folder.STEP_GRAPH)
            terminal.say(
                f"{model_folder.STEP_GRAPH} takes {speed:,.0f} steps a second on one core, one "
                f"for each frame of a dance at {folder.read_config().fps:g} frames/s."
            )
    if formats == ["onnx"]:
        return None
    networks = Networks.load(folder, wanted)
    out = folder.path if arguments.out is None else Path(arguments.out)
    if "litert" in formats:
        # The export in the model's own folder is replaced together with the model.
        to = out / "litert"
        made = litert.export_litert(networks, to, arguments.out is None or arguments.overwrite)
        terminal.say(parity.format_comparisons([*made.written, *made.left_out]))
        for row in made.left_out:
            terminal.warn(f"{row.name} changes the result too much and was left out.")
        terminal.say(f"Written to {to}; {litert.signatures.FILE} there has names and units.")
    if "saved_model" in formats:
        version, rows = saved_model.export_saved_model(networks, out / "saved_model")
        size = sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
        terminal.say(parity.format_comparisons(rows))
        terminal.say(
            f"Written to {version} ({size / 1e6:.1f} MB); {saved_model.DESCRIPTION} there has "
            "names and units."
        )
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

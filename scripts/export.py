"""Writes a model for other runtimes, ONNX, LiteRT or SavedModel, and checks each against Keras."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dancenet.support import terminal
from dancenet.support.names import quoted

if TYPE_CHECKING:
    from dancenet.model.folder import ModelFolder
    from dancenet.nets.export.reference import Networks

FORMATS = ("onnx", "litert", "saved_model")


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = terminal.Parser(description=__doc__)
    parser.add_argument(
        "--name",
        "--model",
        required=True,
        type=terminal.model,
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
        type=terminal.path,
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
    from dancenet.model.folder import ModelFolder
    from dancenet.model.releases import find_model
    from dancenet.support import errors
    from dancenet.support.errors import UserError

    formats = [name for name in FORMATS if name in (arguments.format or FORMATS[:1])]
    if arguments.out is not None and formats == ["onnx"]:
        raise UserError(
            "--out is for litert and saved_model; the ONNX graphs belong in the model's folder."
        )
    folder = ModelFolder(find_model(arguments.name))
    out = arguments.out or folder.path
    if "saved_model" in formats and str(out).encode(errors="ignore").decode() != str(out):
        raise UserError(
            f"TensorFlow writes only where names are UTF-8, and {quoted(out)} is not; name another "
            "folder with --out."
        )
    parts = _choose_parts(folder, arguments.only, formats)
    try:
        with terminal.quiet_import():
            import dancenet.nets.export.onnx  # noqa: F401

            if formats != ["onnx"]:
                from dancenet.nets.export import litert
                from dancenet.nets.export.reference import Networks
    except ImportError as error:
        raise errors.why_not_imported(error, "Exporting a model", "train") from error
    if "litert" in formats:
        litert.require_litert()
    if parts == ["vae"] and not arguments.only:
        terminal.say(
            f"{quoted(folder.path)} has no dancer yet: its picture network is exported alone."
        )
    if "onnx" in formats:
        with folder.hold():
            _export_onnx(folder, parts)
    if formats == ["onnx"]:
        return None
    networks = Networks.load(folder, parts)
    if "litert" in formats:
        # The export in the model's own folder is always replaced, since it belongs to the model.
        _export_litert(networks, out / "litert", arguments.out is None or arguments.overwrite)
    if "saved_model" in formats:
        _export_saved_model(networks, out / "saved_model")
    return None


def _choose_parts(folder: ModelFolder, only: str | None, formats: Sequence[str]) -> list[str]:
    """Returns the networks to export, "vae" and "dancer": the named one, or those with weights."""
    from dancenet.model.folder import DANCER_WEIGHTS, VAE_WEIGHTS
    from dancenet.support.errors import UserError
    from dancenet.support.wording import command

    has_latents = folder.read_config().facts.has_latents
    if only == "dancer" and "saved_model" in formats and has_latents:
        raise UserError(
            "A SavedModel holds pictures and dance; leave out --only, or say --only vae."
        )
    if only:
        return [only]
    weights = {"vae": VAE_WEIGHTS, "dancer": DANCER_WEIGHTS}
    parts = [part for part, name in weights.items() if (folder / name).exists()]
    if not parts:
        advice = (
            f"VAE first with {command('train-vae')}"
            if has_latents
            else f"dancer with {command('train-dancer')}"
        )
        raise UserError(
            f"The model {quoted(folder.path)} has no trained weights to export; train a {advice}."
        )
    return parts


def _export_onnx(folder: ModelFolder, parts: Sequence[str]) -> None:
    from dancenet.model.folder import STEP_GRAPH
    from dancenet.nets.export import onnx

    report: list[onnx.Parity] = []
    for part in parts:
        report += onnx.export_vae(folder) if part == "vae" else onnx.export_dancer(folder)
    terminal.say(onnx.format_report(report))
    terminal.say(f"Written to {quoted(folder.path)}; every graph computes what Keras computes.")
    if "dancer" in parts:
        speed = onnx.steps_a_second(folder / STEP_GRAPH)
        terminal.say(
            f"{STEP_GRAPH} takes {speed:,.0f} steps a second on one core, one for each frame of a "
            f"dance at {folder.read_config().fps:g} frames/s."
        )


def _export_litert(networks: Networks, to: Path, overwrite: bool) -> None:
    from dancenet.nets.export import litert, parity

    made = litert.export_litert(networks, to, overwrite)
    terminal.say(parity.format_comparisons([*made.written, *made.left_out]))
    for row in made.left_out:
        terminal.warn(f"{row.name} changes the result too much and was left out.")
    terminal.say(f"Written to {quoted(to)}; {litert.signatures.FILE} there has names and units.")


def _export_saved_model(networks: Networks, to: Path) -> None:
    from dancenet.nets.export import parity, saved_model

    version, rows = saved_model.export_saved_model(networks, to)
    size = sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
    terminal.say(parity.format_comparisons(rows))
    terminal.say(
        f"Written to {quoted(version)} ({size / 1e6:.1f} MB); "
        f"{saved_model.DESCRIPTION} there has names and units."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

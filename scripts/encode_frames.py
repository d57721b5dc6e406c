"""Encodes a folder of frames into latents.npz, on which the dancer is trained."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dancenet.support import terminal
from dancenet.support.names import quoted
from dancenet.support.wording import command


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = terminal.Parser(description=__doc__)
    parser.add_argument(
        "--frames",
        type=terminal.path,
        default=Path("imgs"),
        metavar="FOLDER",
        help="the frames, as written by extract_frames.py (default: imgs)",
    )
    parser.add_argument(
        "--model",
        "--name",
        required=True,
        type=terminal.model,
        metavar="NAME",
        help="the model whose VAE encodes: its name, or its folder",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=terminal.path,
        metavar="FILE",
        help="the file of latents (default: latents.npz beside the folder of frames)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a file that is not a file of latents"
    )
    return parser


def work(arguments: argparse.Namespace) -> int | None:
    """Encodes, and says where the result is."""
    import time

    from dancenet.codecs.latents import Latents
    from dancenet.data.frames.folder import FrameFolder
    from dancenet.generation import encode as encoding
    from dancenet.model.folder import ModelFolder
    from dancenet.model.releases import find_model
    from dancenet.support import files

    out = arguments.out or arguments.frames.absolute().parent / "latents.npz"
    files.check_parent(out)
    files.check_overwrite(out, arguments.overwrite, Latents.is_latents)
    frames = FrameFolder.open(arguments.frames)
    folder = ModelFolder(find_model(arguments.model))
    begin = time.perf_counter()
    latents = encoding.encode_frames(folder, frames)
    seconds = time.perf_counter() - begin
    latents.save(out)
    terminal.say(
        f"{quoted(out)}: {frames.num_frames:,} frames of {len(frames.clips)} clips, "
        f"{latents.z_mean.shape[1]} dimensions, {frames.num_frames / seconds:.0f} frames/s"
    )
    words = [out, "--model", arguments.model, "--frames", arguments.frames]
    look = command("decode-latents", *words)
    terminal.say(f"See whether the VAE is good enough: {look}")
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

"""Decodes latents back to a video, beside the frames they came from, to judge the VAE."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dancenet.support import terminal
from dancenet.support.names import quoted


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = terminal.Parser(description=__doc__)
    parser.add_argument(
        "latents",
        type=terminal.path,
        nargs="?",
        default=Path("latents.npz"),
        metavar="LATENTS",
        help="as written by encode_frames.py or generate_video.py (default: latents.npz)",
    )
    parser.add_argument(
        "--model",
        "--name",
        required=True,
        type=terminal.model,
        metavar="NAME",
        help="the model whose VAE encoded them: its name, or its folder",
    )
    parser.add_argument(
        "--frames",
        type=terminal.path,
        metavar="FOLDER",
        help="the source frames, shown to the left and compared (default: none)",
    )
    parser.add_argument(
        "--first",
        type=terminal.not_negative(int),
        default=0,
        metavar="ROW",
        help="the first row to decode, from 0 (default: 0)",
    )
    parser.add_argument(
        "--seconds", type=terminal.positive(float), help="length in seconds (default: to the end)"
    )
    parser.add_argument(
        "--scale",
        type=terminal.positive(int),
        default=3,
        help="picture pixels per frame pixel (default: 3)",
    )
    parser.add_argument(
        "--format",
        choices=("mp4", "gif", "webm", "frames"),
        help="kind of file (default: the suffix of --out)",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=terminal.path,
        default=Path("decoded.mp4"),
        metavar="FILE",
        help="the video (default: decoded.mp4)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a file that dancenet did not make"
    )
    return parser


def work(arguments: argparse.Namespace) -> int | None:
    """Decodes, and says where the result is and how good."""
    from dancenet.codecs.latents import Latents
    from dancenet.data.frames.folder import FrameFolder
    from dancenet.generation import encode as encoding
    from dancenet.model.folder import ModelFolder
    from dancenet.model.releases import find_model

    latents = Latents.load(arguments.latents)
    stop = len(latents.z_mean)
    if arguments.seconds is not None:
        stop = min(stop, arguments.first + max(1, round(arguments.seconds * latents.fps)))
    rows = range(arguments.first, stop)
    made = encoding.write_reconstruction(
        ModelFolder(find_model(arguments.model)),
        latents,
        arguments.out,
        frames=FrameFolder.open(arguments.frames) if arguments.frames else None,
        scale=arguments.scale,
        rows=rows,
        format=arguments.format,
        overwrite=arguments.overwrite,
    )
    terminal.say(
        f"{quoted(arguments.out)}: {made.num_frames} frames, {made.num_frames / latents.fps:.1f} s"
    )
    if made.iou is not None:
        worst = int(made.iou.argmin())
        terminal.say(
            f"Overlap with the source frames (IoU): {made.iou.mean():.3f} on average, "
            f"{made.iou[worst]:.3f} at worst, in picture {rows.start + worst + 1}."
        )
    if made.num_frames < len(rows):
        raise KeyboardInterrupt(f"{quoted(arguments.out)} ends where you stopped it.")
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

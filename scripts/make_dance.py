"""Makes a new dance from clips of a dancer: every stage, in one folder that can be gone on with."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dancenet.support import terminal
from dancenet.support.names import derived

# By --space: whether joints dance.
_OF_JOINTS = {"silhouette": False, "skeleton": True}


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = terminal.Parser(
        description="Makes a new dance from clips of a dancer: extracts the silhouettes, or the "
        "joints, trains the networks, and writes a video. Stopped with Ctrl-C or by accident, the "
        "same command goes on where it stopped."
    )
    parser.add_argument(
        "clips",
        nargs="+",
        type=terminal.path_text,
        metavar="CLIP",
        help="a video, a gif, or a folder of pictures",
    )
    parser.add_argument(
        "--minutes",
        type=terminal.positive(float),
        default=30.0,
        help="time for everything; training gets what extraction leaves of it, "
        "and at least half (default: 30)",
    )
    parser.add_argument(
        "--space",
        choices=tuple(_OF_JOINTS),
        default="silhouette",
        help="what dances: silhouettes, or joints in space, which also gives a .bvh and a page "
        "that shows the dance from any side, beside the video (default: silhouette)",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=terminal.path,
        default=Path("dance.mp4"),
        metavar="FILE",
        help="the video (default: dance.mp4)",
    )
    parser.add_argument(
        "--project",
        type=terminal.path,
        metavar="FOLDER",
        help="where frames, model and progress are kept (default: CLIP_project, "
        "after the first clip)",
    )
    parser.add_argument(
        "--method",
        choices=("auto", "threshold", "background", "person"),
        default="auto",
        help="how the dancer is found, see extract_frames.py (default: auto)",
    )
    parser.add_argument(
        "--model-file",
        type=terminal.path,
        metavar="PATH",
        help="a folder with the networks that find people (default: fetched once, 9 MB)",
    )
    parser.add_argument(
        "--seconds",
        type=terminal.positive(float),
        default=16.0,
        help="length of the dance in seconds (default: 16)",
    )
    parser.add_argument(
        "--seed", type=terminal.not_negative(int), help="of the dance (default: drawn, and printed)"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="begin the project anew; also replace a video that dancenet did not make",
    )
    return parser


def work(arguments: argparse.Namespace) -> int | None:
    """Runs the stages that are not finished."""
    from dancenet.project import make

    clips = terminal.expand(arguments.clips)
    folder = arguments.project or Path(derived(Path(clips[0]).stem, "_project"))
    settings = make.Settings(
        minutes=arguments.minutes,
        method=arguments.method,
        joints=_OF_JOINTS[arguments.space],
        model_file=arguments.model_file,
        seconds=arguments.seconds,
        seed=arguments.seed,
        overwrite=arguments.overwrite,
    )
    make.make_dance(clips, arguments.out, folder, settings)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

"""Lays the frames of a video out on one picture: what a dance looks like at a glance."""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from dancenet.support import terminal


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", help="any video")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("sheet.png"),
        metavar="FILE",
        help="the picture (default: sheet.png)",
    )
    parser.add_argument(
        "--fps",
        type=terminal.positive(float),
        default=2.0,
        help="frames shown per second of the video (default: 2)",
    )
    parser.add_argument(
        "--columns", type=terminal.positive(int), default=8, help="frames in a row (default: 8)"
    )
    parser.add_argument(
        "--width",
        type=terminal.positive(int),
        default=208,
        help="of a frame, in pixels (default: 208)",
    )
    parser.add_argument(
        "--seconds",
        type=terminal.positive(float),
        help="seconds of the video to show (default: all)",
    )
    return parser


def work(arguments: argparse.Namespace) -> None:
    """Draws the sheet."""
    import cv2
    import numpy as np

    from dancenet.data.footage.pictures import LEAST_FPS
    from dancenet.data.footage.video import open_footage
    from dancenet.output.contact_sheet import contact_sheet, write_picture

    # What is read must be fast enough to dance, and a sheet shows less of it.
    every = max(1, math.ceil(LEAST_FPS / arguments.fps))
    rate = arguments.fps * every
    footage = open_footage(arguments.video, rate, 0.0, arguments.seconds)
    pictures = []
    for frame in itertools.islice(footage.frames(960), 0, None, every):
        height = round(frame.shape[0] * arguments.width / frame.shape[1])
        pictures.append(cv2.resize(frame, (arguments.width, height), interpolation=cv2.INTER_AREA))
    captions = [f"{index / arguments.fps:.1f} s" for index in range(len(pictures))]
    write_picture(arguments.out, contact_sheet(np.stack(pictures), arguments.columns, captions))
    terminal.say(f"{arguments.out}: {len(pictures)} frames")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

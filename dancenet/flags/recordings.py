"""Flags of recorded motion."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from dancenet.support import terminal

if TYPE_CHECKING:
    from dancenet.data.mocap.recordings import Recording, RecordingOptions, Recordings

UP_AXES = ("x", "y", "z", "-x", "-y", "-z")


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Adds flags for facts that files of motion do not hold, or hold wrongly."""
    group = parser.add_argument_group(
        "reading", "facts that the files do not hold, or hold wrongly; measured by default"
    )
    group.add_argument(
        "--frame-rate",
        type=terminal.positive(float),
        default=None,
        metavar="FPS",
        help="frames per second of the recordings",
    )
    group.add_argument("--up", choices=UP_AXES, default=None, help="the axis that points up")
    group.add_argument(
        "--unit",
        type=terminal.positive(float),
        default=None,
        metavar="METRES",
        help="metres in one unit of the recordings",
    )
    group.add_argument(
        "--axes",
        choices=("TJ", "JT"),
        default=None,
        help="of a .npy: frames before joints (TJ), or joints first (JT)",
    )
    group.add_argument(
        "--skeleton",
        type=terminal.path_text,
        default=None,
        metavar="ASF",
        help="the skeleton of an .amc, if it is not beside it",
    )


def reading(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the values of the flags of `add_reading`, as `read_skeleton` takes them."""
    return {
        name: getattr(arguments, name) for name in ("frame_rate", "up", "unit", "axes", "skeleton")
    }


def add_recordings(parser: argparse.ArgumentParser, files: str) -> None:
    """Adds files of motion and their flags; `files` is the help of the first."""
    parser.add_argument("motions", nargs="*", type=terminal.path, metavar="FILE", help=files)
    group = parser.add_argument_group("joints", "with files of motion only")
    group.add_argument(
        "--labels",
        type=terminal.path,
        default=None,
        metavar="CSV",
        help="a table with the columns file (a name, or a pattern such as 60_*.bvh), style and "
        "split (train, val or nothing): the style of each recording, and the side of the split "
        "(default: the end of each recording is held out)",
    )
    group.add_argument(
        "--style-by-folder",
        action="store_true",
        help="take the name of a recording's folder as its style",
    )
    group.add_argument(
        "--mirror",
        action="store_true",
        help="add every recording with left and right swapped",
    )
    group.add_argument(
        "--own-joints",
        action="store_true",
        help="keep the joints of the files, instead of the nineteen that most programs' bodies "
        "have in common",
    )
    group.add_argument(
        "--fps",
        type=terminal.positive(float),
        default=30.0,
        help="frames per second of the dancer, at most the recordings' (default: %(default)s)",
    )
    add_reading(parser)


def recordings_wanted(arguments: argparse.Namespace) -> RecordingOptions:
    """Returns the values of the flags of `add_recordings`, as `each_recording` takes them."""
    from dancenet.data.mocap.reading import ReadOptions
    from dancenet.data.mocap.recordings import Labels, RecordingOptions

    return RecordingOptions(
        labels=None if arguments.labels is None else Labels.read(arguments.labels),
        style_by_folder=arguments.style_by_folder,
        mirror=arguments.mirror,
        fps=arguments.fps,
        reading=ReadOptions(own=arguments.own_joints, **reading(arguments)),
    )


def read_recordings(arguments: argparse.Namespace) -> Recordings:
    """Reads the motions that the flags of `add_recordings` name."""
    from dancenet.data.mocap import recordings

    return recordings.read_recordings(
        terminal.expand(arguments.motions), recordings_wanted(arguments)
    )


def stream_recordings(arguments: argparse.Namespace) -> Callable[[], Iterator[Recording]]:
    """Returns a function that reads the motions one by one, and speaks of them the first time."""
    from dancenet.data.mocap.recordings import each_recording

    wanted, passes = recordings_wanted(arguments), count()
    motions = terminal.expand(arguments.motions)
    return lambda: each_recording(motions, wanted, quiet=next(passes) > 0)

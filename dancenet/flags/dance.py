"""Flags of a dance that is generated, and the settings that they ask for."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from dancenet.support import terminal
from dancenet.support.errors import UserError
from dancenet.support.names import derived

if TYPE_CHECKING:
    from dancenet.generation.settings import DanceSettings, Recipe

DEFAULT_MODEL = "silhouette_v2"
FORMATS = ("mp4", "gif", "webm", "frames", "bvh", "npz", "html")
# Flags that change the dance itself; --replay refuses them.
DANCE_FLAGS = (
    "seconds",
    "seed",
    "temperature",
    "start",
    "count",
    "neighbour_correction",
    "legacy",
    "style",
    "style_strength",
    "temperature_variation",
)
PICTURE_FLAGS = ("fps", "scale", "refine", "invert", "colors", "yaw")


def add_dance(dance: argparse._ArgumentGroup) -> None:
    """Adds the flags of the dance."""
    dance.add_argument(
        "--seconds", type=terminal.positive(float), help="length in seconds (default: 16)"
    )
    dance.add_argument(
        "--seed",
        type=terminal.not_negative(int),
        help="a number; the same seed gives the same dance (default: drawn, and printed)",
    )
    dance.add_argument(
        "--model",
        type=terminal.model,
        metavar="NAME",
        help=f"a released model's name or a model folder (default: {DEFAULT_MODEL})",
    )
    dance.add_argument(
        "--start",
        metavar="N|FILE:ROW",
        help="where to start: the number of one of the model's seed clips, from 0, or a row of a "
        "file of latents, such as latents.npz:120 (default: a clip drawn with the seed)",
    )
    dance.add_argument(
        "--style",
        metavar="NAME[:WEIGHT],…",
        help="one of the model's styles, such as salsa, or a blend such as "
        "salsa:0.7,modern:0.3, where a name that has a comma or a colon stands in double quotes "
        "(default: the style of the seed clip)",
    )
    dance.add_argument(
        "--count", type=terminal.positive(int), help="how many different dances (default: 1)"
    )
    dance.add_argument(
        "--replay",
        metavar="FILE",
        type=terminal.path,
        help="make the dance of this video again; flags of the picture may differ",
    )


def add_sampling(sampling: argparse._ArgumentGroup) -> None:
    """Adds the flags that change how steps are drawn."""
    sampling.add_argument(
        "--temperature",
        type=terminal.not_negative(float),
        help="how varied the dance is: 0 takes the likeliest step, 1 has nearly the energy of the "
        "training clips (default: 1)",
    )
    sampling.add_argument(
        "--temperature-variation",
        type=terminal.not_negative(float),
        metavar="SPREAD",
        help="how much the temperature varies within seconds, so that the dance rests and rushes: "
        "the standard deviation of its logarithm; 0 keeps it constant (default: the model's own)",
    )
    sampling.add_argument(
        "--neighbour-correction",
        type=terminal.not_negative(float),
        metavar="SHARE",
        help="how strongly a dance that leaves real motion is moved back to it, from 0 (not at "
        "all) to 1; 0.1 keeps the body whole after training on little data, and costs variety "
        "after much (default: the model's own, at which its temperature was calibrated)",
    )
    sampling.add_argument(
        "--style-strength",
        type=terminal.not_negative(float),
        metavar="TIMES",
        help="how strongly the style is followed: 1 as it was learnt, which drifts into other "
        "styles; more is purer (default: 2)",
    )
    sampling.add_argument(
        "--legacy",
        action="store_true",
        default=None,
        help="for a model of 2018: sample as in 2018, with sigma taken for a variance, and feed "
        "back unscaled latents; with --temperature 0.01 and --refine 0 unless given (default: the "
        "same weights, sampled correctly)",
    )


def add_look(look: argparse._ArgumentGroup) -> None:
    """Adds the flags of the picture."""
    look.add_argument(
        "--fps",
        type=terminal.positive(float),
        help="frames per second of the video; the tempo stays (default: the model's)",
    )
    look.add_argument(
        "--scale",
        type=terminal.positive(int),
        help="picture pixels per frame pixel; 4 gives 832x480 (default: 4)",
    )
    look.add_argument(
        "--yaw",
        type=terminal.finite,
        metavar="DEGREES",
        help="for models of joints: turn the camera about the vertical (default: 0)",
    )
    look.add_argument(
        "--refine",
        type=terminal.not_negative(int),
        metavar="N",
        help="times each picture is encoded and decoded again, which makes it crisp and whole; a "
        "picture still in pieces is refined further. Each costs a fifth of the speed; 0 shows the "
        "decoded vector as it is (default: 1)",
    )
    look.add_argument(
        "--invert",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="swap the two colours (default: no)",
    )
    look.add_argument(
        "--colors",
        metavar="FG,BG",
        help="the dancer's and the background's colour in hexadecimal, such as ffffff,102040 "
        "(default: black on white)",
    )


def add_output(output: argparse._ArgumentGroup) -> None:
    """Adds the flags of the files."""
    output.add_argument(
        "--format",
        choices=FORMATS,
        help="kind of file (default: the suffix of --out, or mp4); bvh, npz and html, a page that "
        "shows the dance from any side, are for models of joints",
    )
    output.add_argument(
        "-o",
        "--out",
        type=terminal.path,
        metavar="FILE",
        help="the video, or the folder for --format frames (default: dance.mp4); several dances "
        "become dance-1.mp4, dance-2.mp4, …",
    )
    output.add_argument(
        "--latents-out",
        type=terminal.path,
        metavar="FILE",
        help="also store the latents as .npz (kept in memory: 55 MB an hour; default: not)",
    )
    output.add_argument(
        "--overwrite", action="store_true", help="replace files that dancenet did not make"
    )


def choose_settings(arguments: argparse.Namespace, recipe: Recipe | None) -> DanceSettings:
    """Returns the settings that the flags, and the video to be replayed, ask for.

    Raises:
        UserError: a flag contradicts --replay.
    """
    from dancenet.generation.settings import DanceSettings
    from dancenet.sequence import legacy

    given = {
        name: getattr(arguments, name)
        for name in DANCE_FLAGS + PICTURE_FLAGS
        if getattr(arguments, name) is not None
    }
    if recipe is None:
        if given.get("legacy"):
            given = {"temperature": legacy.TEMPERATURE, "refine": 0, **given}
        return DanceSettings(**given)
    clash = [f"--{name.replace('_', '-')}" for name in DANCE_FLAGS if name in given]
    if clash:
        raise UserError(f"--replay makes a dance again as it was; leave out {' and '.join(clash)}.")
    return dataclasses.replace(recipe.settings, **given)


def choose_output(arguments: argparse.Namespace) -> tuple[Path, str | None]:
    """Returns the path and, if it is asked for, the format of the output."""
    out, kind = arguments.out, arguments.format
    if out is None:
        stem, ending = "dance", ""
        if arguments.replay:
            stem, ending = arguments.replay.stem, "-replay"
            kind = kind or arguments.replay.suffix.lstrip(".").lower() or "frames"
        kind = kind or "mp4"
        out = Path(derived(stem, ending if kind == "frames" else f"{ending}.{kind}"))
        if arguments.replay:
            out = arguments.replay.parent / out
    return out, kind

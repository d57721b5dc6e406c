"""Draws motion capture (BVH, ASF/AMC, .npz, .npy) as silhouettes, the way frames of a video are."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dancenet import flags
from dancenet.support import terminal

if TYPE_CHECKING:
    import numpy as np

    from dancenet.data.frames.writer import FrameWriter
    from dancenet.data.motion.draw_body import Body
    from dancenet.data.motion.motion import MotionClip

MIN_SECONDS = 1.0  # a shorter stretch between two glitches teaches nothing


class Take(NamedTuple):
    """A stretch of one recording without a glitch, ready to be drawn."""

    clip: MotionClip  # at the rate it is drawn at
    body: Body
    first: int  # 1-based frame of the recording, at the recording's own rate
    last: int  # inclusive
    recorded_fps: float


class View(NamedTuple):
    """How a take is drawn."""

    yaw: float  # degrees
    mirror: bool
    girth: float


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "motions",
        nargs="+",
        metavar="FILE",
        help="motion capture: .bvh, .amc (its .asf beside it), .npz or .npy, "
        "the first two also gzipped",
    )
    parser.add_argument(
        "-o",
        "--out",
        default="imgs",
        metavar="FOLDER",
        help="folder for 1.jpg, 2.jpg, … and clips.json; more clips append",
    )
    parser.add_argument(
        "--yaw",
        type=terminal.finite,
        nargs="+",
        default=[0.0],
        metavar="DEGREES",
        help="where the camera stands, turned about the vertical; each angle "
        "gives clips of its own (name the files first)",
    )
    parser.add_argument(
        "--mirror", action="store_true", help="draw every clip also with left and right swapped"
    )
    parser.add_argument(
        "--girth",
        type=terminal.positive(float),
        nargs="+",
        default=[1.0],
        metavar="TIMES",
        help="how stout the body is, from 0.6 to 1.5; each gives clips of its own",
    )
    parser.add_argument(
        "--camera",
        choices=("follow", "fixed"),
        default="follow",
        help="follow pans smoothly with the dancer; fixed stands still, far "
        "enough away to see the whole clip",
    )
    parser.add_argument(
        "--fps",
        type=terminal.positive(float),
        default=30.0,
        help="frames per second, never above the recording's",
    )
    parser.add_argument(
        "--split",
        choices=("train", "val"),
        default=None,
        help="side of the split these clips belong to; without it the trainer "
        "holds out the end of each",
    )
    flags.add_reading(parser)
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="remove the frames that the folder holds instead of appending",
    )
    return parser


def work(arguments: argparse.Namespace) -> int | None:
    """Reads every file, then draws every stretch that can be used."""
    from dancenet.data.frames.writer import FrameWriter
    from dancenet.data.motion.draw_body import GIRTHS
    from dancenet.support.errors import UserError

    for girth in arguments.girth:
        if not GIRTHS[0] <= girth <= GIRTHS[1]:
            raise UserError(
                f"--girth must be from {GIRTHS[0]:g} to {GIRTHS[1]:g}; received {girth:g}."
            )
    takes = list(_read_takes(arguments))
    if not takes:
        raise UserError(
            f"No recording has {MIN_SECONDS:g} s in a row without a glitch; nothing was drawn."
        )
    _check_rates({take.clip.fps for take in takes}, "these recordings")
    writer = FrameWriter(arguments.out, overwrite=arguments.overwrite)
    _check_rates(
        {take.clip.fps for take in takes} | {clip.fps for clip in writer.clips},
        f"these recordings and the clips in {arguments.out}",
    )
    views = [
        View(yaw, mirror, girth)
        for girth in arguments.girth
        for yaw in arguments.yaw
        for mirror in ([False, True] if arguments.mirror else [False])
    ]
    total = len(views) * sum(take.clip.num_frames for take in takes)
    clips_before = len(writer.clips)
    try:
        with terminal.progress(total=total, description="Drawing") as bar:
            for take in takes:
                for view in views:
                    _write(writer, take, view, arguments, bar)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"whole clips kept in {arguments.out}: {len(writer.clips) - clips_before}."
        ) from None
    seconds = total / takes[0].clip.fps
    terminal.say(
        f"{arguments.out}: {total} frames ({terminal.format_seconds(seconds)} at "
        f"{takes[0].clip.fps:g} frames/s) in {len(writer.clips) - clips_before} clips; the folder "
        f"now holds {writer.clips[-1].last} frames in {len(writer.clips)} clips."
    )
    return 0


def _read_takes(arguments: argparse.Namespace) -> Iterator[Take]:
    from dancenet.data.mocap.standing import read_motion
    from dancenet.data.motion.draw_body import measure

    for path in terminal.progress(arguments.motions, description="Reading", unit="file"):
        motion = read_motion(path, **flags.reading(arguments))
        for message in motion.warnings:
            terminal.warn(message)
        if not motion.ok.any():
            terminal.warn(f"{motion.source}: every frame has a glitch; the file is left out.")
            continue
        body = measure(motion.positions[motion.ok])
        for run, long_enough in motion.good_runs(MIN_SECONDS):
            if long_enough:
                clip = motion.cut(run).resample(arguments.fps)
                yield Take(clip, body, run.start + 1, run.stop, motion.fps)
            else:
                terminal.say(
                    f"{motion.source}: frames {run.start + 1} to {run.stop} "
                    f"({len(run) / motion.fps:.2f} s between glitches) are too short; left out."
                )


def _check_rates(rates: set[float], where: str) -> None:
    from dancenet.support.errors import UserError

    if len(rates) > 1:
        raise UserError(
            f"All frames of a folder have one rate, but {where} would have "
            f"{', '.join(f'{rate:g}' for rate in sorted(rates))} frames/s; "
            f"say --fps {min(rates):g}, or choose another folder."
        )


def _write(
    writer: FrameWriter,
    take: Take,
    view: View,
    arguments: argparse.Namespace,
    bar: Any,
) -> None:
    from dancenet.data.motion.draw_body import draw_bodies

    frames = draw_bodies(
        take.clip.positions,
        take.clip.fps,
        **view._asdict(),
        camera=arguments.camera,
        body=take.body,
    )
    writer.add_clip(
        _counted(frames, bar),
        source=take.clip.source,
        fps=take.clip.fps,
        method="mocap",
        split=arguments.split,
        details={
            **view._asdict(),
            "camera": arguments.camera,
            "recorded_frames": [take.first, take.last],
            "recorded_fps": take.recorded_fps,
        },
    )


def _counted(frames: Iterable[np.ndarray], bar: Any) -> Iterator[np.ndarray]:
    for frame in frames:
        yield frame
        bar.update(1)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

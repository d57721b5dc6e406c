"""Draws motion capture (BVH, ASF/AMC, .npz, .npy) as silhouettes, like the frames of a video."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dancenet import flags
from dancenet.support import terminal

if TYPE_CHECKING:
    import numpy as np

    from dancenet.data.motion.camera import CameraView
    from dancenet.data.motion.clip import SkeletonClip
    from dancenet.data.motion.proportions import Body

MIN_SECONDS = 1.0  # a shorter clip between two glitches teaches nothing


class Drawable(NamedTuple):
    """A clip without glitches, ready to be drawn."""

    clip: SkeletonClip  # at the rate it is drawn at
    body: Body
    first: int  # 1-based frame of the recording, at the recording's own rate
    last: int  # inclusive
    recorded_fps: float


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
    _add_view(parser)
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


def _add_view(parser: argparse.ArgumentParser) -> None:
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
        help="thickness of the limbs, from 0.6 to 1.5; each value gives clips of its own",
    )
    parser.add_argument(
        "--camera",
        choices=("follow", "fixed"),
        default="follow",
        help="follow pans smoothly with the dancer; fixed stands still, far "
        "enough away to see the whole clip",
    )


def work(arguments: argparse.Namespace) -> int | None:
    """Reads every file, then draws every clip that can be used."""
    from dancenet.data.frames.writer import FrameWriter
    from dancenet.data.motion.camera import CameraView
    from dancenet.data.motion.draw_body import GIRTHS
    from dancenet.support.errors import UserError

    for girth in arguments.girth:
        if not GIRTHS[0] <= girth <= GIRTHS[1]:
            raise UserError(
                f"--girth must be from {GIRTHS[0]:g} to {GIRTHS[1]:g}; received {girth:g}."
            )
    drawables = list(_read_clips(arguments))
    if not drawables:
        raise UserError(
            f"No recording has {MIN_SECONDS:g} s in a row without a glitch; nothing was drawn."
        )
    rates = {drawable.clip.fps for drawable in drawables}
    _check_rates(rates, "these recordings")
    writer = FrameWriter(arguments.out, overwrite=arguments.overwrite)
    _check_rates(
        rates | {clip.fps for clip in writer.clips},
        f"these recordings and the clips in {arguments.out}",
    )
    looks = [
        (CameraView(yaw, mirror, arguments.camera), girth)
        for girth in arguments.girth
        for yaw in arguments.yaw
        for mirror in ([False, True] if arguments.mirror else [False])
    ]
    total = len(looks) * sum(drawable.clip.num_frames for drawable in drawables)
    clips_before = len(writer.clips)
    try:
        with terminal.progress(total=total, description="Drawing") as bar:
            for drawable in drawables:
                for view, girth in looks:
                    frames = _draw(drawable, view, girth)
                    writer.add_clip(
                        _counted(frames, bar),
                        source=drawable.clip.source,
                        fps=drawable.clip.fps,
                        method="mocap",
                        split=arguments.split,
                        details=_describe(drawable, view, girth),
                    )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"whole clips kept in {arguments.out}: {len(writer.clips) - clips_before}."
        ) from None
    fps = drawables[0].clip.fps
    terminal.say(
        f"{arguments.out}: {total} frames ({terminal.format_seconds(total / fps)} at "
        f"{fps:g} frames/s) in {len(writer.clips) - clips_before} clips; the folder "
        f"now holds {writer.clips[-1].last} frames in {len(writer.clips)} clips."
    )
    return 0


def _read_clips(arguments: argparse.Namespace) -> Iterator[Drawable]:
    from dancenet.data.mocap.read import read_together
    from dancenet.data.mocap.reading import ReadOptions
    from dancenet.data.motion.clip import check_body
    from dancenet.data.motion.proportions import measure

    options = ReadOptions(**flags.reading(arguments))
    for _, motion in read_together(arguments.motions, options):
        for message in motion.warnings:
            terminal.warn(message)
        check_body(motion)
        if not motion.ok.any():
            terminal.warn(f"{motion.source}: every frame has a glitch; the file is left out.")
            continue
        body = measure(motion.positions[motion.ok])
        for run, long_enough in motion.good_runs(MIN_SECONDS):
            if long_enough:
                clip = motion.cut(run).resample(arguments.fps)
                yield Drawable(clip, body, run.start + 1, run.stop, motion.fps)
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


def _draw(drawable: Drawable, view: CameraView, girth: float) -> Iterator[np.ndarray]:
    from dancenet.data.motion.draw_body import draw_bodies

    clip = drawable.clip
    return draw_bodies(clip.positions, clip.fps, view, body=drawable.body, girth=girth)


def _describe(drawable: Drawable, view: CameraView, girth: float) -> dict[str, Any]:
    """Returns what `clips.json` says of how a clip was seen."""
    return {
        "yaw": view.yaw,
        "mirror": view.mirror,
        "girth": girth,
        "camera": view.camera,
        "recorded_frames": [drawable.first, drawable.last],
        "recorded_fps": drawable.recorded_fps,
    }


def _counted(frames: Iterable[np.ndarray], bar: Any) -> Iterator[np.ndarray]:
    for frame in frames:
        yield frame
        bar.update(1)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

"""Draws motion capture (BVH, ASF/AMC, .npz, .npy) as silhouettes, like the frames of a video."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dancenet.flags import recordings as flags
from dancenet.support import terminal
from dancenet.support.names import quoted, visible

if TYPE_CHECKING:
    import numpy as np

    from dancenet.data.frames.poses import FramePoses
    from dancenet.data.frames.writer import FrameWriter
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
    content: str  # hash of the recording


class Look(NamedTuple):
    """How a clip is seen."""

    view: CameraView
    girth: float


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = terminal.Parser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "motions",
        nargs="+",
        type=terminal.path_text,
        metavar="FILE",
        help="motion capture: .bvh, .amc (its .asf beside it), .npz or .npy, "
        "the first two also gzipped",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=terminal.path_text,
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
        "--again",
        action="store_true",
        help="draw clips once more that the folder holds already",
    )
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
    looks = [
        Look(CameraView(yaw, mirror, arguments.camera), girth)
        for girth in arguments.girth
        for yaw in arguments.yaw
        for mirror in ([False, True] if arguments.mirror else [False])
    ]
    with FrameWriter(arguments.out, overwrite=arguments.overwrite) as writer:
        _check_rates(
            rates | {clip.fps for clip in writer.clips},
            f"these recordings and the clips in {quoted(arguments.out)}",
        )
        _draw_all(arguments, writer, drawables, looks)
    return 0


def _draw_all(
    arguments: argparse.Namespace,
    writer: FrameWriter,
    drawables: Sequence[Drawable],
    looks: Sequence[Look],
) -> None:
    """Draws every clip that is not there yet."""
    todo = _missing(arguments, writer, drawables, looks)
    total = sum(drawable.clip.num_frames for drawable, _, _ in todo)
    clips_before = len(writer.clips)
    try:
        with terminal.progress(total=total, description="Drawing") as bar:
            for drawable, (view, girth), details in todo:
                writer.add_clip(
                    _counted(_draw(drawable, view, girth), bar),
                    source=drawable.clip.source,
                    fps=drawable.clip.fps,
                    method="mocap",
                    split=arguments.split,
                    details=details,
                    poses=_joints(drawable, view),
                )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"whole clips kept in {quoted(arguments.out)}: {len(writer.clips) - clips_before}."
        ) from None
    fps = drawables[0].clip.fps
    terminal.say(
        f"{quoted(arguments.out)}: {total} frames ({terminal.format_seconds(total / fps)} at "
        f"{fps:g} frames/s) in {len(writer.clips) - clips_before} clips; the folder "
        f"now holds {writer.clips[-1].last} frames in {len(writer.clips)} clips."
    )


def _missing(
    arguments: argparse.Namespace,
    writer: FrameWriter,
    drawables: Sequence[Drawable],
    looks: Sequence[Look],
) -> list[tuple[Drawable, Look, dict[str, Any]]]:
    """Returns the clips that are not in the folder yet, with their details."""
    from dancenet.data.frames.origin import CONTENT

    def key(source: str, fps: float, split: str | None, details: dict[str, Any]) -> str:
        # A version that kept no content knew recordings by their names.
        name = None if CONTENT in details else source
        return json.dumps([name, fps, split, details], sort_keys=True)

    there = {key(clip.source, clip.fps, clip.split, clip.details) for clip in writer.clips}
    contents = {(clip.source, str(clip.details.get(CONTENT) or "")) for clip in writer.clips}
    names = {name for name, content in contents if content}
    todo, num_left_out, changed = [], 0, set()
    for drawable in drawables:
        clip = drawable.clip
        if clip.source in names and (clip.source, drawable.content) not in contents:
            changed.add(clip.source)
        for look in looks:
            details = _describe(drawable, *look)
            old = key(clip.source, clip.fps, arguments.split, details)
            details |= {CONTENT: drawable.content, **_reading(arguments)}
            new = key(clip.source, clip.fps, arguments.split, details)
            if there & {old, new} and not arguments.again:
                num_left_out += 1
                continue
            there.add(new)
            todo.append((drawable, look, details))
    if num_left_out:
        terminal.say(
            f"{num_left_out} of {num_left_out + len(todo)} clips are in {quoted(arguments.out)} "
            "already, so they are left out; say --again to draw them once more."
        )
    for name in sorted(changed):
        terminal.warn(
            f"{quoted(arguments.out)} holds clips of another {quoted(name)}, whose content "
            "differs; those stay, and new ones are added."
        )
    return todo


def _read_clips(arguments: argparse.Namespace) -> Iterator[Drawable]:
    from dancenet.data.frames.origin import content_of
    from dancenet.data.mocap.read import read_together
    from dancenet.data.mocap.reading import ReadOptions
    from dancenet.data.motion.clip import check_body
    from dancenet.data.motion.proportions import measure

    options = ReadOptions(**flags.reading(arguments))
    motions = [Path(name) for name in terminal.expand(arguments.motions)]
    for path, motion in read_together(motions, options):
        for message in motion.warnings:
            terminal.warn(message)
        check_body(motion)
        if not motion.ok.any():
            terminal.warn(
                f"{visible(motion.source)}: every frame has a glitch; the file is left out."
            )
            continue
        body = measure(motion.positions[motion.ok])
        content = content_of(path, *_skeletons(path, arguments.skeleton))
        for run, long_enough in motion.good_runs(MIN_SECONDS):
            if long_enough:
                clip = motion.cut(run).resample(arguments.fps)
                yield Drawable(
                    clip,
                    body,
                    first=run.start + 1,
                    last=run.stop,
                    recorded_fps=motion.fps,
                    content=content,
                )
            else:
                terminal.say(
                    f"{visible(motion.source)}: frames {run.start + 1} to {run.stop} "
                    f"({len(run) / motion.fps:.2f} s between glitches) are too short; left out."
                )


def _skeletons(recording: Path, given: str | None) -> list[Path]:
    """Returns the files that a recording is read with: an .amc has its bones in an .asf."""
    from dancenet.data.mocap.formats.amc import find_asf

    if not recording.name.lower().endswith((".amc", ".amc.gz")):
        return []
    return [find_asf(recording) if given is None else Path(given)]


def _reading(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the facts that the person gave, for the details of a clip."""
    given = {name: value for name, value in flags.reading(arguments).items() if value is not None}
    given.pop("skeleton", None)  # its content counts
    return {"reading": given} if given else {}


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


def _joints(drawable: Drawable, view: CameraView) -> FramePoses:
    from dancenet.data.frames.poses import FramePoses
    from dancenet.data.motion.draw_body import place_joints

    clip = drawable.clip
    return FramePoses.exact(place_joints(clip.positions, clip.fps, view, body=drawable.body))


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

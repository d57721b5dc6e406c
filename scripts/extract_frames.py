"""Turns videos, folders of pictures or a camera into numbered silhouettes of the dancer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from dancenet.support import terminal
from dancenet.support.names import quoted

METHODS = ("auto", "threshold", "background", "person")
FITS = ("crop", "steady", "follow", "letterbox")


# Long because a flag is six lines; there is nothing to it but flags.
def build_parser() -> argparse.ArgumentParser:
    parser = terminal.Parser(
        description="Turns videos, folders of pictures or a camera into silhouettes of the "
        "dancer: 1.jpg, 2.jpg, … of 208x120, black on white, and clips.json. A folder that "
        "holds clips already gets further ones."
    )
    parser.add_argument(
        "videos",
        nargs="+",
        type=terminal.path_text,
        metavar="VIDEO",
        help="a video, a gif, a folder of pictures, or a camera's number (0 is the first)",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=terminal.path_text,
        default="imgs",
        help="folder for the frames (default: imgs)",
    )
    parser.add_argument(
        "--fps",
        type=terminal.positive(float),
        default=30.0,
        help="frames per second, never above the source's own (default: 30)",
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="auto",
        help="threshold: backlit, or a plain wall; background: a camera that stands still; "
        "person: any phone video, by networks that know bodies; auto: chooses and says why "
        "(default)",
    )
    parser.add_argument(
        "--fit",
        choices=FITS,
        default="crop",
        help="crop: a crop around the dancer for each clip; with the person method it moves along "
        "where a steady one would show a dancer small who travels far (default); steady: one that "
        "never moves; follow: one that moves with the dancer; letterbox: the whole picture",
    )
    parser.add_argument(
        "--model-file",
        type=terminal.path_text,
        metavar="PATH",
        help="person: a folder with both networks, or the landmark network as a .tflite file "
        "(default: fetched once, 9 MB)",
    )
    parser.add_argument(
        "--level",
        type=terminal.positive(float),
        help="threshold: the grey level between dancer and wall, 1 to 255 (default: Otsu's)",
    )
    parser.add_argument(
        "--invert",
        action="store_true",
        help="threshold: take the other side; by default the side at the picture's border is wall",
    )
    parser.add_argument(
        "--start",
        type=terminal.not_negative(float),
        default=0.0,
        help="seconds of each source to leave out at the front (default: 0)",
    )
    parser.add_argument(
        "--seconds",
        type=terminal.positive(float),
        help="seconds of each source to read at most (default: all)",
    )
    parser.add_argument(
        "--camera-seconds",
        type=terminal.positive(float),
        default=60.0,
        help="seconds to record from a camera; Ctrl-C ends earlier (default: 60)",
    )
    parser.add_argument(
        "--split",
        choices=("train", "val"),
        help="keep these clips whole for training or for validation (default: their ends are "
        "held out)",
    )
    parser.add_argument(
        "--mirror",
        action="store_true",
        help="write each clip once more with left and right swapped: twice as much to learn from",
    )
    parser.add_argument(
        "--report",
        type=terminal.path_text,
        metavar="PATH",
        help="the footage report, PATH.txt and PATH.png (default: OUT/report/footage)",
    )
    parser.add_argument(
        "--threads",
        type=terminal.positive(int),
        default=1,
        help="processor cores for the networks (default: 1)",
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="take a source once more that the folder holds already (default: it is left out)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the clips that the folder holds"
    )
    return parser


def work(arguments: argparse.Namespace) -> int | None:
    from contextlib import ExitStack

    from dancenet.data.footage import survey as footage
    from dancenet.data.frames.writer import FrameWriter
    from dancenet.support.errors import UserError
    from dancenet.support.temporary import temporary_folder

    arguments.videos = terminal.expand(arguments.videos)
    if arguments.report:
        footage.check_report(arguments.report, arguments.overwrite)
    take = _taker(arguments)
    writer: FrameWriter | None = None
    reports: list[footage.FootageReport] = []
    taken: list[Any] = []
    failures: list[str] = []
    stopped = False
    with ExitStack() as stack:
        recordings = stack.enter_context(temporary_folder(name="recordings"))
        for source in arguments.videos:
            try:
                opened = _open(source, arguments, recordings)
                # Made once there is something to write, so a mistyped name leaves no folder.
                if writer is None:
                    writer = stack.enter_context(FrameWriter(arguments.out, arguments.overwrite))
                take(source, opened, writer, reports, taken)
            except UserError as error:
                if len(arguments.videos) == 1:
                    raise
                failures.append(str(error))
                terminal.warn(f"{error} It is left out.")
            except KeyboardInterrupt:
                stopped = True
                break
        if reports and writer is not None:
            _finish(reports, writer, arguments.report)
        for clips in taken:
            clips.finish()
    if stopped:
        count = len(writer.clips) if writer else 0
        raise KeyboardInterrupt(f"{quoted(arguments.out)} holds {count} whole clips.")
    if len(failures) == len(arguments.videos):
        raise UserError("None of the sources could be used. " + failures[0])
    return 1 if failures else 0


def _taker(arguments: argparse.Namespace) -> Any:
    """Returns a function that takes one source."""
    from pathlib import Path

    from dancenet.data.footage import camera, choose, person
    from dancenet.data.footage import extract as extraction
    from dancenet.data.frames import origin

    settings = choose.Settings(
        arguments.method, arguments.fit, arguments.level, arguments.invert, arguments.split
    )
    tracker: list[Any] = []

    def load_tracker() -> Any:
        if not tracker:
            tracker.append(person.open_tracker(arguments.model_file, arguments.threads))
        return tracker[0]

    if arguments.method == "person":
        load_tracker()  # what is missing is said before a minute is spent

    def take(source: str, opened: Any, writer: Any, reports: list[Any], taken: list[Any]) -> None:
        for earlier in taken:  # the last one only with the report
            earlier.finish()
        names = ("method", "fit", "level", "invert", "start", "seconds", "split")
        asked = {name: getattr(arguments, name) for name in names} | {"fps": opened.fps}
        path = None if camera.camera_index(source) is not None else Path(source)
        where = origin.Origin.of(opened.name, path, asked)
        clips = origin.SourceWriter(writer, where, arguments.again)
        if clips.is_finished or clips.older(opened.fps):
            terminal.say(origin.already_there(source, writer.path))
        else:
            note = where.note(writer.clips, writer.path)
            if note:
                terminal.warn(note)
            total = opened.expected_seconds and round(opened.expected_seconds * opened.fps)
            with terminal.progress(total=total, description=Path(source).name) as bar:
                reports.append(
                    extraction.extract(opened, clips, settings, load_tracker, bar.update)
                )
        if arguments.mirror:
            clips.add_mirrored()
        taken.append(clips)

    return take


def _open(source: str, arguments: argparse.Namespace, recordings: Any) -> Any:
    from dancenet.data.footage import camera, video
    from dancenet.support import files

    index = camera.camera_index(source)
    if index is None:
        files.check_apart(arguments.out, [source])
        return video.open_footage(source, arguments.fps, arguments.start, arguments.seconds)
    path = recordings / f"camera{index}.mkv"
    camera.record_camera(index, arguments.camera_seconds, path, arguments.fps)
    return video.open_footage(path, arguments.fps)


def _finish(reports: Any, writer: Any, report: str | None) -> None:
    from pathlib import Path

    from dancenet.data.footage import survey as footage
    from dancenet.data.frames.clips import check_trainable
    from dancenet.support.errors import UserError

    if report is None:
        # In a folder of its own: the frames' folder holds numbered pictures only.
        path = writer.path / "report" / "footage"
        path.parent.mkdir(exist_ok=True)
    else:
        path = Path(report)
    text_path, sheet_path = footage.write_report(reports, path)
    terminal.say(footage.report_text(reports).rstrip())
    terminal.say(f"The report is in {quoted(text_path)}, with pictures in {quoted(sheet_path)}.")
    rates = sorted({clip.fps for clip in writer.clips})
    if len(rates) > 1:
        terminal.warn(
            f"{quoted(writer.path)} now holds clips of {', '.join(f'{rate:g}' for rate in rates)} "
            f"frames a second, and a dance has one rate; extract them all again with "
            f"--fps {rates[0]:g}."
        )
    try:
        check_trainable(writer.clips, writer.path)
    except UserError as error:
        terminal.warn(str(error))
    count = len(writer.clips)
    terminal.say(
        f"{quoted(writer.path)} holds {writer.clips[-1].last} frames in {count} "
        f"clip{'s' * (count > 1)}."
    )


def main(argv: Sequence[str] | None = None) -> int:
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

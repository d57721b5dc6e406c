"""Turns videos, folders of pictures or a camera into numbered silhouettes of the dancer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from dancenet.support import terminal

METHODS = ("auto", "threshold", "background", "person")


# Long because a flag is six lines; there is nothing to it but flags.
def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Turns videos, folders of pictures or a camera into silhouettes of the "
        "dancer: 1.jpg, 2.jpg, … of 208x120, black on white, and clips.json. A folder that "
        "holds clips already gets further ones."
    )
    parser.add_argument(
        "videos",
        nargs="+",
        metavar="VIDEO",
        help="a video, a gif, a folder of pictures, or a camera's number (0 is the first)",
    )
    parser.add_argument("-o", "--out", default="imgs", help="folder for the frames (default: imgs)")
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
        "person: any phone video, by a network; auto: chooses and says why (default)",
    )
    parser.add_argument(
        "--fit",
        choices=("crop", "letterbox"),
        default="crop",
        help="crop: one steady crop around the dancer for each clip; letterbox: the whole "
        "picture (default: crop)",
    )
    parser.add_argument(
        "--model-file",
        help="person: the network as a .tflite file (default: downloaded once, 250 KB)",
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
        metavar="PATH",
        help="the footage report, PATH.txt and PATH.png (default: OUT/report/footage)",
    )
    parser.add_argument(
        "--threads",
        type=terminal.positive(int),
        default=1,
        help="processor cores for the person network (default: 1)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the clips that the folder holds"
    )
    return parser


def work(arguments: argparse.Namespace) -> int | None:
    import tempfile
    from pathlib import Path

    from dancenet.data.footage import choose, segmenter
    from dancenet.data.footage import extract as extraction
    from dancenet.data.footage import survey as footage
    from dancenet.data.frames.writer import FrameWriter
    from dancenet.support.errors import UserError

    if arguments.report:
        footage.check_report(arguments.report, arguments.overwrite)
    settings = choose.Settings(
        arguments.method, arguments.fit, arguments.level, arguments.invert, arguments.split
    )
    network: list[Any] = []

    def load_network() -> Any:
        if not network:
            network.append(segmenter.load_segmenter(arguments.model_file, arguments.threads))
        return network[0]

    if arguments.method == "person":
        load_network()  # what is missing is said before a minute is spent
    writer: FrameWriter | None = None
    reports: list[footage.FootageReport] = []
    failures: list[str] = []
    stopped = False
    with tempfile.TemporaryDirectory() as recordings:
        for source in arguments.videos:
            try:
                opened = _open(source, arguments, Path(recordings))
                # Made once there is something to write, so a mistyped name leaves no folder.
                writer = writer or FrameWriter(arguments.out, arguments.overwrite)
                total = opened.expected_seconds and round(opened.expected_seconds * opened.fps)
                before = len(writer.clips)
                with terminal.progress(total=total, description=Path(source).name) as bar:
                    reports.append(
                        extraction.extract(opened, writer, settings, load_network, bar.update)
                    )
                if arguments.mirror:
                    for clip in writer.clips[before:]:
                        writer.add_mirrored(clip)
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
    if stopped:
        count = len(writer.clips) if writer else 0
        raise KeyboardInterrupt(f"{arguments.out} holds {count} whole clips.")
    if failures and not reports:
        raise UserError("None of the sources could be used. " + failures[0])
    return 1 if failures else 0


def _open(source: str, arguments: argparse.Namespace, recordings: Any) -> Any:
    import os

    from dancenet.data.footage import camera, video
    from dancenet.support.errors import UserError

    index = camera.camera_index(source)
    if index is None:
        if os.path.realpath(source) == os.path.realpath(arguments.out):
            raise UserError(
                f"{source} is both the source and the output; choose another folder with -o."
            )
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
    terminal.say(f"The report is in {text_path}, with pictures in {sheet_path}.")
    rates = sorted({clip.fps for clip in writer.clips})
    if len(rates) > 1:
        terminal.warn(
            f"{writer.path} now holds clips of {', '.join(f'{rate:g}' for rate in rates)} frames "
            f"a second, and a dance has one rate; extract them all again with --fps {rates[0]:g}."
        )
    try:
        check_trainable(writer.clips, writer.path)
    except UserError as error:
        terminal.warn(str(error))
    count = len(writer.clips)
    terminal.say(
        f"{writer.path} holds {writer.clips[-1].last} frames in {count} clip{'s' * (count > 1)}."
    )


def main(argv: Sequence[str] | None = None) -> int:
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

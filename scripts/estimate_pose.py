"""Finds people's keypoints in films, pictures or a camera; writes them, and a film to look at."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dancenet.support import terminal
from dancenet.support.names import quoted

if TYPE_CHECKING:
    from dancenet.data.people.poses import Poses

MOST_PEOPLE = 6
FILMS = (".mp4", ".webm", ".gif")
PICTURES = (".png", ".jpg", ".jpeg")
NAME = "{name}"  # in an output: stands for the source's


class Source(NamedTuple):
    """Something to look at."""

    given: str
    name: str  # what its outputs are named after
    camera: int | None  # None for a file or folder
    is_picture: bool


# Long because a flag is six lines; there is nothing to it but flags.
def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = terminal.Parser(
        description="Finds people's keypoints. An output's name says what is written: .npz, a "
        "recording to train a dancer of joints on; .bvh, the joints in space, for Blender and "
        "others; .json, COCO's results or OpenPose's frames; .mp4, .webm or .gif, the film with "
        "the skeletons over it (.png or .jpg of a picture); no suffix, a folder of OpenPose's "
        "files."
    )
    parser.add_argument(
        "sources",
        nargs="+",
        type=terminal.path_text,
        metavar="FILE",
        help="a film, a picture, a folder of pictures that makes a film, or a camera: its number, "
        "or 'camera' for the first",
    )
    parser.add_argument(
        "-o",
        "--out",
        action="append",
        type=terminal.path_text,
        metavar="OUTPUT",
        help=f"what to write; may be given several times. {NAME} stands for the name of each "
        f"source (default: {NAME}.npz, of a picture {NAME}.json)",
    )
    parser.add_argument(
        "--people",
        type=terminal.positive(int),
        default=1,
        metavar="N",
        help="people to follow, 1 to 6; each keeps a number, and has a .npz of its own (default: "
        "1, whoever is seen longest and largest)",
    )
    parser.add_argument(
        "--network",
        type=terminal.path_or_link,
        metavar="NETWORK",
        help="Google's MoveNet in place of MediaPipe's networks: its .tflite file or address, or "
        "lightning, thunder (one person) or multipose, which are fetched once",
    )
    parser.add_argument(
        "--model-file",
        type=terminal.path_text,
        metavar="FOLDER",
        help="folder that holds pose_detection.tflite and pose_landmark_full.tflite, MediaPipe's "
        "networks (default: fetched once, 9 MB)",
    )
    parser.add_argument(
        "--json",
        choices=("coco", "openpose"),
        default="coco",
        help="what a .json holds: results of COCO's 17 keypoints, or frames of OpenPose's 25 "
        "(default: coco)",
    )
    parser.add_argument(
        "--fps",
        type=terminal.positive(float),
        default=30.0,
        help="frames per second, never above a film's own (default: 30)",
    )
    parser.add_argument(
        "--start",
        type=terminal.not_negative(float),
        default=0.0,
        metavar="SECONDS",
        help="leave out the beginning of a film (default: 0)",
    )
    parser.add_argument(
        "--seconds",
        type=terminal.positive(float),
        metavar="SECONDS",
        help="read or watch no more (default: the whole film, a minute of a camera)",
    )
    parser.add_argument(
        "--threads",
        type=terminal.positive(int),
        default=1,
        help="processor cores for the networks (default: 1)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that are there already"
    )
    return parser


def work(arguments: argparse.Namespace) -> int | None:
    """Takes one source after the other."""
    from dancenet.support.errors import UserError

    if arguments.people > MOST_PEOPLE:
        raise UserError(f"--people must be at most {MOST_PEOPLE}; received {arguments.people}.")
    sources = [_source(name) for name in terminal.expand(arguments.sources)]
    outputs = _outputs(sources, arguments)
    estimator = _estimator(arguments)
    failures: list[str] = []
    for source, paths in zip(sources, outputs):
        take = _watch if source.camera is not None else _read
        try:
            take(source, paths, arguments, estimator)
        except UserError as error:
            if len(sources) == 1:
                raise
            failures.append(str(error))
            terminal.warn(f"{error} It is left out.")
    if len(failures) == len(sources):
        raise UserError("None of the sources could be used. " + failures[0])
    return 1 if failures else 0


def _source(given: str) -> Source:
    from dancenet.data.footage.camera import camera_index
    from dancenet.data.footage.pictures import PICTURE_SUFFIXES

    path = Path(given)
    camera = 0 if given.lower() == "camera" and not path.exists() else camera_index(given)
    if camera is not None:
        return Source(given, f"camera{camera}", camera, False)
    is_picture = path.suffix.lower() in PICTURE_SUFFIXES and not path.is_dir()
    return Source(given, path.stem or path.resolve().name, None, is_picture)


def _outputs(sources: Sequence[Source], arguments: argparse.Namespace) -> list[list[Path]]:
    """Returns the outputs of each source; refuses those that cannot be written."""
    from dancenet.support.errors import UserError

    taken: dict[Path, str] = {}
    outputs = []
    for source in sources:
        given = arguments.out or [f"{NAME}{'.json' if source.is_picture else '.npz'}"]
        if len(sources) > 1 and not all(NAME in name for name in given):
            name = next(name for name in given if NAME not in name)
            suggested = Path(name).with_name(f"{NAME}{Path(name).suffix}")
            raise UserError(
                f"{quoted(name)} would be written for each of {len(sources)} sources; put {NAME} "
                f"into it, which stands for the source's, as in --out {quoted(suggested)}."
            )
        paths = [Path(name.replace(NAME, source.name)) for name in given]
        for path in paths:
            _check(path, source, arguments)
            if path in taken:
                raise UserError(
                    f"{quoted(path)} would be written for {quoted(taken[path])} and for "
                    f"{quoted(source.given)}; take them one by one, with outputs of their own."
                )
            taken[path] = source.given
        outputs.append(paths)
    return outputs


def _check(path: Path, source: Source, arguments: argparse.Namespace) -> None:
    from dancenet.data.people.poses import check_folder
    from dancenet.output.video_writer import check_output
    from dancenet.support import files
    from dancenet.support.errors import UserError

    kind = path.suffix.lower()
    files.check_apart(path, [source.given])
    if kind in FILMS and not source.is_picture:
        check_output(path, kind.lstrip("."), arguments.overwrite)
    elif kind in (".npz", ".bvh"):
        files.check_parent(path)
        for one in _recordings(path, arguments.people):
            files.check_overwrite(one, arguments.overwrite)
    elif kind == ".json" or (kind in PICTURES and source.is_picture):
        files.check_parent(path)
        files.check_overwrite(path, arguments.overwrite)
    elif kind == "":
        check_folder(path, arguments.overwrite)
    else:
        drawn = ", ".join(PICTURES if source.is_picture else FILMS)
        raise UserError(
            f"{quoted(path)} cannot be written of {quoted(source.given)}: name a .npz, a .bvh, a "
            f".json, {drawn}, or a folder."
        )


def _recordings(path: Path, people: int) -> list[Path]:
    """Returns the files of each of the people: me.npz, or duo_1.npz and duo_2.npz."""
    if people == 1:
        return [path]
    return [path.with_stem(f"{path.stem}_{number + 1}") for number in range(people)]


def _estimator(arguments: argparse.Namespace) -> Any:
    from dancenet.data.people import litert
    from dancenet.data.people.keypoints.estimators import LandmarkEstimator, MoveNetEstimator
    from dancenet.data.people.keypoints.files import find_network
    from dancenet.data.people.keypoints.movenet import MoveNet
    from dancenet.data.people.search import Networks
    from dancenet.support.errors import UserError

    if arguments.network is None:
        networks = Networks.open(arguments.model_file, arguments.threads)
        return LandmarkEstimator(networks, arguments.people)
    litert.require()  # before a download that would be of no use
    network = MoveNet(find_network(arguments.network), arguments.threads)
    if arguments.people > 1 and not network.is_multi:
        raise UserError(
            f"{quoted(arguments.network)} sees one person, and --people asks for "
            f"{arguments.people}; take MultiPose, or leave --network out."
        )
    return MoveNetEstimator(network)


def _read(
    source: Source, outputs: Sequence[Path], arguments: argparse.Namespace, estimator: Any
) -> None:
    """Finds people in a film, a folder or a picture, and writes all outputs."""
    from dancenet.data.footage.pictures import PictureFolder
    from dancenet.data.footage.video import open_footage
    from dancenet.support.errors import UserError

    footage: Any
    if source.is_picture:
        footage = PictureFolder.of_picture(source.given)
    else:
        footage = open_footage(source.given, arguments.fps, arguments.start, arguments.seconds)
    poses = _follow(source, footage, arguments, estimator)
    if not poses.num_frames:
        raise UserError(f"{quoted(source.given)} has no picture that can be decoded.")
    loss = footage.loss(poses.num_frames)
    if loss:
        terminal.warn(loss)
    _say_who(source, poses)
    for path in outputs:
        if path.suffix.lower() in (*FILMS, *PICTURES):
            _draw(path, footage.frames(), poses, arguments)
        else:
            _write(path, source, poses, arguments)
    _say_where(outputs)


def _follow(source: Source, footage: Any, arguments: argparse.Namespace, estimator: Any) -> Poses:
    """Reads a film once, and returns who is in it."""
    from dancenet.data.people.keypoints.estimators import LandmarkEstimator
    from dancenet.data.people.keypoints.follow import Follower, follow_one

    size = (footage.width, footage.height)
    total = footage.expected_seconds and round(footage.expected_seconds * footage.fps)
    with terminal.progress(total=total, description=Path(source.given).name) as bar:

        def pictures() -> Iterator[Any]:
            for picture in footage.frames():
                yield picture
                bar.update(1)

        if arguments.people == 1 and isinstance(estimator, LandmarkEstimator):
            return follow_one(pictures(), footage.fps, size, estimator.networks)
        follower, scale = Follower(estimator, footage.fps), 1.0
        for picture in pictures():
            scale = size[0] / picture.shape[1]
            follower.add(picture)
        return follower.poses(arguments.people, size, scale)


def _watch(
    source: Source, outputs: Sequence[Path], arguments: argparse.Namespace, estimator: Any
) -> None:
    """Finds people before a camera, and draws them as they come."""
    import math
    from contextlib import ExitStack

    import numpy as np

    from dancenet.data.footage.camera import watch_camera
    from dancenet.data.people.keypoints.follow import LiveFollower
    from dancenet.data.people.poses import Poses

    assert source.camera is not None
    live = LiveFollower(estimator, arguments.people)
    rows: list[tuple[Any, Any]] = []
    films = [path for path in outputs if path.suffix.lower() in FILMS]
    size = (0, 0)
    with ExitStack() as stack:
        writers: list[Callable[..., None]] = []
        seconds = arguments.seconds or 60.0
        for time, picture in watch_camera(source.camera, seconds):
            if not rows:
                size = picture.shape[1::-1]
                writers = [
                    stack.enter_context(_film(path, picture, arguments.fps, arguments)).write
                    for path in films
                ]
            found = live.add(picture, time)
            # Cameras deliver pictures when they can; the outputs have a constant rate.
            due = math.floor(time * arguments.fps) + 1 - len(rows)
            rows += [found] * due
            drawn = _drawn(picture, *found, estimator.names, arguments) if writers else picture
            for _ in range(due):
                for write in writers:
                    write(drawn)
    xy, score = (np.array([row[place] for row in rows], np.float32) for place in (0, 1))
    there = np.isfinite(xy).any(axis=(0, 2, 3))
    poses = Poses(
        tuple(estimator.names), xy[:, there], score[:, there], (size[0], size[1]), arguments.fps
    )
    _say_who(source, poses)
    for path in outputs:
        if path not in films:
            _write(path, source, poses, arguments)
    _say_where(outputs)


def _say_who(source: Source, poses: Poses) -> None:
    from dancenet.support.errors import UserError

    if not poses.num_people:
        raise UserError(
            f"Nobody was found in {quoted(source.given)}; show one whole person who fills a fair "
            "part of the picture."
        )
    found = poses.found
    if source.is_picture:
        terminal.say(f"{quoted(source.given)}: {poses.num_people} of the people in it were found.")
        return
    people = ", ".join(
        f"person {number + 1} in {found[:, number].sum()}" for number in range(poses.num_people)
    )
    seconds = terminal.format_seconds(poses.num_frames / poses.fps)
    terminal.say(
        f"{quoted(source.given)}: {poses.num_frames} frames ({seconds} at {poses.fps:g} frames/s); "
        f"{people} of them."
    )


def _say_where(outputs: Sequence[Path]) -> None:
    terminal.say(f"Written: {', '.join(map(quoted, outputs))}.")


def _write(path: Path, source: Source, poses: Poses, arguments: argparse.Namespace) -> None:
    from dancenet.data.mocap.bvh_writer import write_bvh
    from dancenet.data.people.lift import lift_poses
    from dancenet.data.people.poses import write_coco, write_npz, write_openpose

    kind = path.suffix.lower()
    if kind == ".npz":
        for number, one in enumerate(_recordings(path, arguments.people)[: poses.num_people]):
            for warning in write_npz(one, poses.person(number), arguments.overwrite):
                terminal.warn(warning)
    elif kind == ".bvh":
        for number, one in enumerate(_recordings(path, arguments.people)[: poses.num_people]):
            write_bvh(one, lift_poses(poses.person(number), source.given), arguments.overwrite)
    elif kind == ".json" and arguments.json == "coco":
        write_coco(path, poses, arguments.overwrite)
    else:
        write_openpose(path, poses, source.name, arguments.overwrite)


def _draw(path: Path, pictures: Iterator[Any], poses: Poses, arguments: argparse.Namespace) -> None:
    """Draws the people over the pictures of a film, or over one picture."""
    from dancenet.output.overlay import write_picture

    film = None
    with terminal.progress(total=poses.num_frames, description=path.name) as bar:
        try:
            for frame, picture in zip(range(poses.num_frames), pictures):
                scale = picture.shape[1] / poses.size[0]
                found = poses.xy[frame] * scale, poses.score[frame]
                drawn = _drawn(picture, *found, poses.names, arguments)
                if path.suffix.lower() in PICTURES:
                    write_picture(path, drawn)
                    return
                film = film or _film(path, picture, poses.fps, arguments)
                film.write(drawn)
                bar.update(1)
        except BaseException:
            if film is not None:
                film.discard()
            raise
        if film is not None:
            film.close()


def _drawn(
    picture: Any, xy: Any, score: Any, names: Sequence[str], arguments: argparse.Namespace
) -> Any:
    from dancenet.output.overlay import Overlay, even

    return even(Overlay(names).draw(picture, xy, score, numbered=arguments.people > 1))


def _film(path: Path, picture: Any, fps: float, arguments: argparse.Namespace) -> Any:
    from dancenet.output.overlay import even
    from dancenet.output.video_writer import VideoWriter

    height, width = even(picture).shape[:2]
    return VideoWriter(
        path,
        fps=fps,
        size=(width, height),
        colors=None,
        settings={"made": "poses"},
        overwrite=arguments.overwrite,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

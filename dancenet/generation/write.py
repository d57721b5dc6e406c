"""Writes new dances to videos and to files of motion.

    dancer = load_dancer("silhouette_v2")
    write_dance(dancer, "dance.mp4", DanceSettings(seconds=16, seed=7))

Neither Keras nor TensorFlow is needed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dancenet.codecs.base import MOTION_FORMATS, Part
from dancenet.codecs.latents import Latents
from dancenet.data.frames.picture import HEIGHT, WIDTH
from dancenet.generation.load import Dancer
from dancenet.generation.settings import DanceSettings, Recipe, start_sha256
from dancenet.generation.trajectory import NotStarted, each_trajectory, until
from dancenet.output import picture
from dancenet.output.video_writer import VideoWriter, check_output, choose_format
from dancenet.support import files, terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, visible
from dancenet.support.threads import ordered_map
from dancenet.support.wording import option

if TYPE_CHECKING:
    from dancenet.data.motion.clip import SkeletonClip

# Generated latents have no variance; stored is the least log-variance that an encoder gives.
_POINT_LOG_VAR = -10.0

# Bytes of a frame at scale 1, or of a frame of joints: a little less than the bundled models take.
_BYTES = {"mp4": 400, "webm": 350, "gif": 450, "frames": 1300, "bvh": 150, "npz": 50, "html": 100}


@dataclass(frozen=True)
class Written:
    """One finished video or file of motion."""

    path: Path
    num_frames: int
    seconds: float
    complete: bool  # False if it was stopped before its end
    settings: DanceSettings  # with the seed that was drawn


class _Output(NamedTuple):
    """The files of one dance."""

    dance: int  # its number, 0-based, among `settings.count`
    path: Path
    latents: Path | None


@dataclass(frozen=True)
class _Order:
    """Everything that the dances of one call have in common."""

    dancer: Dancer
    settings: DanceSettings  # with a seed
    format: str
    overwrite: bool

    @property
    def fps(self) -> float:
        return self.settings.fps or self.dancer.fps

    @property
    def num_frames(self) -> int:
        return self.settings.num_frames(self.dancer.fps)

    def title(self, index: int) -> str:
        return f"dance {index + 1} of {self.dancer.name}"

    def recipe(self, index: int) -> Recipe:
        dancer, start = self.dancer, start_sha256(self.settings)
        return Recipe(self.settings, dancer.name, dancer.sha256, index, start_sha256=start)


def write_dance(
    dancer: Dancer,
    path: str | Path,
    settings: DanceSettings = DanceSettings(),
    *,
    format: str | None = None,
    latents_path: str | Path | None = None,
    overwrite: bool = False,
    only: int | None = None,
) -> list[Written]:
    """Makes new dances and writes each to a video or a file of motion.

    Pictures are decoded while the dance is made, where the codec can. Memory then does not grow
    with length, except for `latents_path`. The first Ctrl-C finishes the video in hand, which
    then is shorter, and leaves out those after it; a second one gives up.

    Args:
        dancer: from `load_dancer`.
        path: the output; with several dances '-1', '-2', … is put before the suffix.
        settings: what to dance.
        format: mp4, gif, webm or frames, or for joints bvh, npz or html; by default taken from
            the suffix of `path`.
        latents_path: also store the latents there, at the video's rate.
        overwrite: replace files that dancenet did not make.
        only: write only this one of the dances (0-based), to `path` itself; all `count` are
            still computed together, so that it is the same to the last bit.

    Returns:
        What was written, in order.

    Raises:
        UserError: an output cannot be written, or a setting does not fit the model.
    """
    format = choose_output(dancer, path, format, settings)
    order = _Order(dancer, settings.with_seed(), format, overwrite)
    outputs = _choose_outputs(settings.count, only, Path(path), latents_path)
    _check_outputs(order, outputs)
    _check_space(order, outputs)
    return _write_all(order, outputs)


def make_motions(
    dancer: Dancer, settings: DanceSettings, stopped: threading.Event | None = None
) -> list[SkeletonClip]:
    """Makes new dances of joints.

        clip = make_motions(load_dancer("skeleton_v1"), DanceSettings(style="salsa"))[0]

    In a notebook a clip shows itself in a player.

    Args:
        dancer: a model of joints.
        settings: what to dance; settings of pictures are ignored.
        stopped: when it is set, a single dance ends there.

    Returns:
        `settings.count` clips at the video's rate, as `SkeletonCodec.finish` leaves them.

    Raises:
        UserError: the model has no joints, or a setting does not fit it.
        KeyboardInterrupt: several dances were stopped.
    """
    codec = dancer.codec
    if not codec.formats:
        raise UserError(
            f"{visible(dancer.name)} dances {codec.kind}, which have no joints; name a model that "
            f"was trained with {option('space', 'skeleton')}."
        )
    order = _Order(dancer, settings.with_seed(), format="npz", overwrite=False)
    stopped = stopped or threading.Event()
    with each_trajectory(dancer, order.settings, order.num_frames, stopped) as read:
        return [
            codec.perform(read(index), order.fps, order.num_frames, order.title(index))
            for index in range(settings.count)
        ]


def write_pictures(
    drawn: Iterable[list[np.ndarray]],
    open_video: Callable[[tuple[int, int]], VideoWriter],
    advance: Callable[[int], Any],
) -> int:
    """Writes pictures to a video as they come.

    Args:
        drawn: pictures (H, W) uint8, some at a time.
        open_video: takes width and height, of the first picture.
        advance: called with the number of pictures written.

    Returns:
        The number of frames.

    Raises:
        NotStarted: there is no picture, because the work was stopped.
    """
    source = iter(drawn)
    first = next(source, None)
    if first is None:
        raise NotStarted("Nothing was written: there was not one frame yet.")
    height, width = first[0].shape
    with open_video((width, height)) as video:
        for pictures in chain([first], source):
            for one in pictures:
                video.write(one)
            advance(len(pictures))
    return video.num_frames


def _write_all(order: _Order, outputs: list[_Output]) -> list[Written]:
    """Makes the dances, and writes one after the other."""
    codec, fps, num_frames = order.dancer.codec, order.fps, order.num_frames
    written: list[Written] = []
    with (
        terminal.finish_on_interrupt("the pictures in hand") as stopped,
        each_trajectory(
            order.dancer, order.settings, num_frames, stopped, outputs[0].dance
        ) as read,
        terminal.progress(total=num_frames * len(outputs), description="Dancing") as bar,
        picture.one_thread(),
    ):
        for output in outputs:
            try:
                vectors = read(output.dance)
                dance = codec.perform(vectors, fps, num_frames, order.title(output.dance))
                if order.format in MOTION_FORMATS:
                    count = codec.write(output.path, dance, order.format, order.overwrite)
                    bar.update(count)
                else:
                    count = _write_video(order, output, dance, stopped, bar.update)
            except NotStarted:
                if not written:
                    raise
                break
            written.append(
                Written(
                    output.path,
                    num_frames=count,
                    seconds=count / fps,
                    complete=count == num_frames,
                    settings=order.settings,
                )
            )
            if stopped.is_set():
                break
    return written


def _write_video(
    order: _Order,
    output: _Output,
    dance: Any,
    stopped: threading.Event,
    advance: Callable[[int], Any],
) -> int:
    """Draws a dance in threads, and writes it; returns the number of frames."""
    dancer, look, recipe = order.dancer, order.settings.look, order.recipe(output.dance)
    latents: list[np.ndarray] = []

    def draw(part: Part) -> tuple[Part, list[np.ndarray]]:
        return part, [picture.draw(frame, look.scale) for frame in part.draw()]

    def pictures(drawn: Iterable[tuple[Part, list[np.ndarray]]]) -> Iterator[list[np.ndarray]]:
        for part, frames in drawn:
            if output.latents is not None and part.vectors is not None:
                latents.append(dancer.codec.scaler.to_latents(part.vectors))
            yield frames

    def open_video(size: tuple[int, int]) -> VideoWriter:
        return VideoWriter(
            output.path,
            fps=order.fps,
            size=size,
            format=order.format,
            colors=look.palette,
            settings=recipe.to_json(),
            overwrite=order.overwrite,
        )

    parts = until(stopped, dancer.codec.parts(dance, order.settings.view))
    with ordered_map(draw, parts, _num_threads(dancer.threads, look.scale)) as drawn:
        count = write_pictures(pictures(drawn), open_video, advance)
    if output.latents is not None:
        _save_latents(order, output.dance, np.concatenate(latents), output.latents)
    return count


def _num_threads(most: int, scale: int) -> int:
    """Returns how many threads draw pictures of a scale, so that these take a gigabyte at most."""
    # Two parts of four pictures wait for each thread, and it draws with some arrays of floats.
    held = 28 * WIDTH * HEIGHT * scale**2
    return max(1, min(most, int(1e9) // held))


def choose_output(
    dancer: Dancer, path: str | Path, format: str | None, settings: DanceSettings
) -> str:
    """Returns the format of an output, if the model can write it.

    Raises:
        UserError: the name does not fit the format, or the model cannot write or show it.
    """
    suffix = Path(path).suffix.lower().lstrip(".")
    asked = format or (suffix if suffix in MOTION_FORMATS else None)
    dancer.codec.check_view(settings.view, dancer.name)
    if asked not in MOTION_FORMATS:
        return choose_format(path, format)
    if asked not in dancer.codec.formats:
        raise UserError(
            f"{visible(dancer.name)} dances {dancer.codec.kind}, which cannot be written as "
            f".{asked}; write a video, or name a model of joints."
        )
    if suffix != asked:
        raise UserError(
            f"{quoted(path)} does not end with .{asked}, but the format is "
            f"{option('format', asked)}."
        )
    return asked


def _choose_outputs(
    count: int, only: int | None, path: Path, latents_path: str | Path | None
) -> list[_Output]:
    chosen = list(range(count)) if only is None else [only]
    if not 0 <= chosen[0] <= chosen[-1] < count:
        raise UserError(f"There are {count} dances; dance {chosen[0] + 1} is not there.")

    def numbered(path: Path, number: int) -> Path:
        return path if len(chosen) == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")

    return [
        _Output(
            index,
            numbered(path, number),
            None if latents_path is None else numbered(Path(latents_path), number),
        )
        for number, index in enumerate(chosen, start=1)
    ]


def _check_outputs(order: _Order, outputs: list[_Output]) -> None:
    start = order.settings.start_file
    for output in outputs:
        for path in (output.path, output.latents):
            if start and path is not None:
                files.check_apart(path, [start])
        if order.format in MOTION_FORMATS:
            files.check_parent(output.path)
            if output.path.is_dir():
                raise UserError(f"{quoted(output.path)} is a folder; name a file.")
            files.check_overwrite(output.path, order.overwrite)
        else:
            check_output(output.path, order.format, order.overwrite)
        if output.latents is None:
            continue
        if _same(output.latents, output.path):
            raise UserError(
                f"{quoted(output.path)} cannot hold both the dance and its latents; name another "
                "file for one of them."
            )
        if not order.dancer.codec.encoder_sha256:
            raise UserError(
                f"{visible(order.dancer.name)} dances {order.dancer.codec.kind} and has no latents "
                f"to store; write the joints with {option('format', 'npz')}."
            )
        files.check_parent(output.latents)
        files.check_overwrite(output.latents, order.overwrite, Latents.is_latents)


def _same(one: Path, other: Path) -> bool:
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))


def _check_space(order: _Order, outputs: list[_Output]) -> None:
    """Raises UserError unless the disk has room for what is to be written."""
    size = _BYTES[order.format] * (1 if order.format in MOTION_FORMATS else order.settings.scale)
    if outputs[0].latents is not None:
        size += 2 * 4 * order.dancer.codec.scaler.latent_dim
    count = len(outputs)
    files.check_space(
        outputs[0].path.absolute().parent,
        size * order.num_frames * count,
        f"{count} dance{'s' * (count > 1)} of {terminal.format_seconds(order.settings.seconds)}",
        "ask for less, or choose another place",
    )


def _save_latents(order: _Order, index: int, latents: np.ndarray, path: Path) -> None:
    Latents(
        z_mean=latents,
        z_log_var=np.full_like(latents, _POINT_LOG_VAR),
        fps=order.fps,
        clips=(range(len(latents)),),
        splits=(None,),
        sources=(f"{order.title(index)}, seed {order.settings.seed}",),
        encoder_sha256=order.dancer.codec.encoder_sha256,
    ).save(path)

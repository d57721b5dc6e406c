"""Dances of joints: made, drawn as videos, or written for other programs.

dancer = load_dancer("skeleton_v1")
clip = make_motions(dancer, DanceSettings(seconds=16, seed=7, style="salsa"))[0]
clip                                       # in a notebook it plays, and can be turned
write_bvh("dance.bvh", clip)
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.data.frames.picture import BACKGROUND
from dancenet.data.mocap.bvh_writer import write_bvh
from dancenet.data.motion.clip import SkeletonClip
from dancenet.generation.settings import (
    MOTION_FORMATS,
    Dancer,
    DanceSettings,
    Recipe,
    draw_seed,
    resample,
    trajectories,
)
from dancenet.output import picture
from dancenet.output.player import write_html
from dancenet.output.video_writer import VideoWriter
from dancenet.support import files, terminal
from dancenet.support.errors import UserError
from dancenet.support.threads import ordered_map

_BATCH = 16  # frames whose pictures a thread draws at once


def make_motions(
    dancer: Dancer, settings: DanceSettings, stopped: threading.Event | None = None
) -> list[SkeletonClip]:
    """Makes new dances of joints.

    Args:
        dancer: a model of joints, from `generation.write.load_dancer`.
        settings: what to dance; what is said of pictures is passed over.
        stopped: when it is set, the dances end there.

    Returns:
        `settings.count` clips at the video's rate, as `SkeletonCodec.finish` leaves them.

    Raises:
        UserError: the model is one of silhouettes, a setting does not fit it, or it was stopped
            before there was a frame.
    """
    codec = dancer.codec
    if not isinstance(codec, SkeletonCodec):
        raise UserError(
            f"{dancer.name} dances in silhouettes, which have no joints; name a model that was "
            "trained with --space skeleton."
        )
    if settings.seed is None:
        settings = dataclasses.replace(settings, seed=draw_seed())
    fps = settings.fps or dancer.fps
    num_frames = max(1, round(settings.seconds * fps))
    # A row says how far the dancer turns and moves in a frame, so the rate changes after decoding.
    ratio = dancer.fps / fps
    needed = num_frames if ratio == 1 else int(np.ceil((num_frames - 1) * ratio)) + 3
    rows = []
    own = dataclasses.replace(settings, fps=None)
    with terminal.progress(
        trajectories(dancer, own, needed), total=needed, description="Choosing steps", unit="step"
    ) as steps:
        for vectors in steps:
            rows.append(vectors)
            if stopped is not None and stopped.is_set():
                break
    clips = []
    for index, vectors in enumerate(np.stack(rows, axis=1)):
        positions = codec.finish(codec.decode(vectors))
        if ratio != 1:
            positions = np.stack(list(resample(positions, ratio, num_frames)))
        clip = codec.clip(positions, f"dance {index + 1} of {dancer.name}")
        clips.append(dataclasses.replace(clip, fps=fps))
    return clips


def write_motions(
    dancer: Dancer,
    outputs: list[Path],
    chosen: list[int],
    format: str,
    settings: DanceSettings,
    start_sha256: str | None,
    overwrite: bool,
    stopped: threading.Event,
) -> Iterator[tuple[Path, int]]:
    """Makes dances of joints and writes those that are chosen.

    Args:
        dancer: a model of joints.
        outputs: a file, or a folder of pictures, for each of the chosen.
        chosen: 0-based among `settings.count`.
        format: of `MOTION_FORMATS` or of videos.
        settings: with a seed.
        start_sha256: for the recipe that is stored in a video.
        overwrite: replace what dancenet did not make.
        stopped: set when the person has pressed Ctrl-C.

    Yields:
        Each file and how many frames it has, when it is whole.
    """
    clips = make_motions(dancer, settings, stopped)
    for output, index in zip(outputs, chosen):
        clip = clips[index]
        if format in MOTION_FORMATS:
            _write(output, clip, format, overwrite)
            yield output, clip.num_frames
            continue
        recipe = Recipe(settings, dancer.name, dancer.sha256, index, start_sha256)
        assert isinstance(dancer.codec, SkeletonCodec)
        frames = dancer.codec.draw(clip.positions, settings.yaw)
        with (
            picture.one_thread(),
            terminal.progress(total=clip.num_frames, description="Drawing") as bar,
            ordered_map(
                lambda part: _pictures(part, settings.look.scale), _batches(frames), dancer.threads
            ) as drawn,
        ):
            first = next(iter(drawn))
            height, width = first[0].shape
            with VideoWriter(
                output,
                fps=clip.fps,
                size=(width, height),
                format=format,
                colors=settings.look.palette,
                settings=recipe.to_json(),
                overwrite=overwrite,
            ) as video:
                for pictures in chain([first], drawn):
                    for one in pictures:
                        video.write(one)
                    bar.update(len(pictures))
                    if stopped.is_set():
                        break
        yield output, video.num_frames
        if stopped.is_set():
            return


def check_motion_output(path: Path, overwrite: bool) -> None:
    """Raises UserError unless a file of motion can be written."""
    files.check_parent(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file.")
    files.check_overwrite(path, overwrite)


def _write(path: Path, clip: SkeletonClip, format: str, overwrite: bool) -> None:
    if format == "bvh":
        write_bvh(path, clip, overwrite)
    elif format == "html":
        write_html(path, clip, overwrite)
    else:
        clip.save(path, overwrite)


def _batches(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    batch: list[np.ndarray] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == _BATCH:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def _pictures(frames: np.ndarray, scale: int) -> list[np.ndarray]:
    return [
        picture.draw(frame.astype(np.float32) / np.float32(BACKGROUND), scale) for frame in frames
    ]

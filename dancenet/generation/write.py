"""The whole path in two calls: load a dancer, write a dance.

    dancer = load_dancer("silhouette_v1")
    write_dance(dancer, "dance.mp4", DanceSettings(seconds=16, seed=7))

Neither Keras nor TensorFlow is needed.
"""

from __future__ import annotations

import dataclasses
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from dancenet.codecs.base import Scaler
from dancenet.codecs.latents import Latents
from dancenet.codecs.silhouette import SilhouetteCodec
from dancenet.generation.settings import (
    MOTION_FORMATS,
    Dancer,
    DanceSettings,
    Recipe,
    draw_seed,
    read_start,
    start_sha256,
    trajectories,
)
from dancenet.model import folder as model_folder
from dancenet.model.config import SKELETON
from dancenet.model.folder import ModelFolder
from dancenet.output import picture
from dancenet.output.video_writer import VideoWriter, check_output, choose_format
from dancenet.runtime.onnx import OnnxDecoder, OnnxEncoder, OnnxStepModel, count_threads
from dancenet.support import files, terminal
from dancenet.support.errors import UserError
from dancenet.support.threads import ordered_map

# What only dances of joints need is imported where it is needed: it would cost every dance its
# start.
if TYPE_CHECKING:
    from dancenet.codecs.skeleton import SkeletonCodec

# Vectors that a thread decodes at once: more are no faster, and the encoder of 2018 needs 26 MB a
# picture.
_BATCH = 4
# What the latents of a dance, which are points, say of their spread: the least a VAE says.
_POINT_LOG_VAR = -10.0


@dataclass(frozen=True)
class Written:
    """One finished video."""

    path: Path
    num_frames: int
    seconds: float
    complete: bool  # False if it was stopped before its time


def load_dancer(name_or_path: str | Path, threads: int | None = None) -> Dancer:
    """Loads a model for generation.

    Args:
        name_or_path: a released model's name, or a model folder.
        threads: how many decode and draw pictures, each its own; by default one for each core.

    Raises:
        UserError: there is no such model, or a file of it is missing, cut or altered.
    """
    folder = ModelFolder(find_model(name_or_path))
    config = folder.read_config()
    if config.dancer is None:
        raise UserError(
            f"The model {config.name} has a VAE and no dancer yet; train one with "
            f"`python scripts/train_dancer.py --name {config.name}`."
        )
    made_by = {
        model_folder.STEP_GRAPH: "python scripts/export.py",
        model_folder.SEEDS: "python scripts/train_dancer.py",
    }
    if config.space == SKELETON:
        made_by[model_folder.CODEC] = "python scripts/train_dancer.py"
    else:
        made_by |= {
            model_folder.ENCODER_GRAPH: "python scripts/export.py",
            model_folder.DECODER_GRAPH: "python scripts/export.py",
            model_folder.SCALER: "python scripts/train_dancer.py",
        }
    paths = {name: folder.require(name, command) for name, command in made_by.items()}
    folder.check((model_folder.CONFIG, *made_by))
    codec: SilhouetteCodec | SkeletonCodec
    encoder_sha256 = ""
    if config.space == SKELETON:
        from dancenet.codecs import skeleton

        codec = skeleton.SkeletonCodec.load(paths[model_folder.CODEC])
    else:
        codec = SilhouetteCodec(
            # Threads that share one picture wait for each other at every layer.
            OnnxEncoder(paths[model_folder.ENCODER_GRAPH], threads=1),
            OnnxDecoder(paths[model_folder.DECODER_GRAPH], threads=1),
            Scaler.load(paths[model_folder.SCALER]),
            config.fps,
            config.dancer.smoothing,
        )
        encoder_sha256 = files.sha256_of(paths[model_folder.ENCODER_GRAPH])
    step_model = OnnxStepModel(paths[model_folder.STEP_GRAPH])
    seeds, seed_styles = _read_seeds(paths[model_folder.SEEDS])
    if not step_model.dim == codec.dim == seeds.shape[2]:
        raise UserError(
            f"The files of {folder.path} do not belong together: the dancer has "
            f"{step_model.dim} dimensions, the scaler {codec.dim}, the seeds {seeds.shape[2]}."
        )
    return Dancer(
        config.name,
        folder.sha256,
        encoder_sha256,
        codec,
        step_model,
        seeds,
        threads or count_threads(),
        config.dancer.temperature,
        config.dancer.temperature_variation,
        config.dancer.neighbour_correction,
        config.dancer.styles,
        seed_styles,
    )


def find_model(name_or_path: str | Path) -> Path:
    """Returns a model's folder: a path as it is, a released name wherever it lies."""
    from dancenet.model import releases as weights

    return weights.find_model(name_or_path)


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
    """Makes new dances and writes each to a video, decoding as it goes.

    Memory does not grow with length, except for `latents_path`. The first Ctrl-C finishes the
    video in hand, which then is shorter, and leaves out those after it; a second one gives up.

    Args:
        dancer: from `load_dancer`.
        path: the video; with several dances '-1', '-2', … is put before the suffix.
        settings: what to dance.
        format: mp4, gif, webm or frames, and of joints bvh, npz or html; by default what the
            suffix of `path` says.
        latents_path: also store the latents there, at the video's rate.
        overwrite: replace files that dancenet did not make.
        only: write this one of the dances alone (0-based), to `path` itself; all `count` are
            still computed together, so that it is the same to the last bit.

    Returns:
        What was written, in order.

    Raises:
        UserError: an output cannot be written, or a setting does not fit the model.
    """
    if settings.seed is None:
        settings = dataclasses.replace(settings, seed=draw_seed())
    is_motion = not isinstance(dancer.codec, SilhouetteCodec)
    format = choose_output(dancer, path, format, settings)
    chosen = list(range(settings.count)) if only is None else [only]
    if not 0 <= chosen[0] <= chosen[-1] < settings.count:
        raise UserError(f"There are {settings.count} dances; dance {chosen[0] + 1} is not there.")
    outputs = _outputs(path, len(chosen))
    latents_outputs = _outputs(latents_path, len(chosen)) if latents_path is not None else []
    for output in outputs:
        if format in MOTION_FORMATS:
            from dancenet.generation import joints as motions

            motions.check_motion_output(output, overwrite)
        else:
            check_output(output, format, overwrite)
    if is_motion and settings.start is not None:
        read_start(dancer, settings.start)
    if is_motion and latents_path is not None:
        raise UserError(
            f"{dancer.name} dances with joints and has no latents to store; write the joints with "
            "--format npz."
        )
    for output in latents_outputs:
        files.check_parent(output)
        files.check_overwrite(output, overwrite, Latents.is_latents)
    # At `num_frames` pictures a second the last one is shown for a whole period too.
    fps = settings.fps or dancer.fps
    num_frames = max(1, round(settings.seconds * fps))
    start_hash = start_sha256(settings)
    written: list[Written] = []
    with ExitStack() as stack:
        stopped = stack.enter_context(terminal.finish_on_interrupt())
        if is_motion:
            from dancenet.generation import joints as motions

            made = motions.write_motions(
                dancer, outputs, chosen, format, settings, start_hash, overwrite, stopped
            )
            return [
                Written(output, count, count / fps, complete=count == num_frames)
                for output, count in made
            ]
        vectors = trajectories(dancer, settings, num_frames)
        if settings.count > 1:
            spool = stack.enter_context(_Spool(settings.count, dancer.step_model.dim))
            with terminal.progress(
                vectors, total=num_frames, description="Choosing steps", unit="step"
            ) as steps:
                spool.fill(steps, stopped)
        bar = stack.enter_context(
            terminal.progress(total=num_frames * len(chosen), description="Dancing")
        )

        def batches() -> Iterator[tuple[int, np.ndarray]]:
            for number, index in enumerate(chosen):
                one = spool.read(index) if settings.count > 1 else (row[0] for row in vectors)
                for batch in _batches(one, _BATCH):
                    if stopped.is_set():
                        return
                    yield number, batch

        def draw(item: tuple[int, np.ndarray]) -> _Drawn:
            number, batch = item
            frames = dancer.silhouettes.decode(batch, settings.refine)
            pictures = [picture.draw(frame, settings.look.scale) for frame in frames]
            return _Drawn(number, batch, pictures)

        stack.enter_context(picture.one_thread())
        drawn = stack.enter_context(ordered_map(draw, batches(), dancer.threads))
        for number, parts in groupby(drawn, lambda part: part.number):
            if written and stopped.is_set():
                break
            keep: list[np.ndarray] | None = [] if latents_outputs else None
            recipe = Recipe(settings, dancer.name, dancer.sha256, chosen[number], start_hash)
            first = next(parts)
            height, width = first.pictures[0].shape
            with VideoWriter(
                outputs[number],
                fps=fps,
                size=(width, height),
                format=format,
                colors=settings.look.palette,
                settings=recipe.to_json(),
                overwrite=overwrite,
            ) as video:
                for part in chain([first], parts):
                    if keep is not None:
                        keep.append(dancer.codec.scaler.to_latents(part.vectors))
                    for one in part.pictures:
                        video.write(one)
                    bar.update(len(part.pictures))
            count = video.num_frames
            if keep is not None:
                _save_latents(dancer, np.concatenate(keep), fps, recipe, latents_outputs[number])
            written.append(
                Written(outputs[number], count, count / fps, complete=count == num_frames)
            )
    if not written:
        raise KeyboardInterrupt("Nothing was written: there was not one frame yet.")
    return written


class _Drawn(NamedTuple):
    """Some frames of a dance, ready to be written."""

    number: int  # of the dance, among those written
    vectors: np.ndarray  # (B, D) in model units
    pictures: list[np.ndarray]  # (H, W) uint8 each


def _batches(vectors: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    batch: list[np.ndarray] = []
    for vector in vectors:
        batch.append(vector)
        if len(batch) == size:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


class _Spool:
    """Trajectories made side by side, kept in a temporary file to be read one by one."""

    def __init__(self, count: int, dim: int) -> None:
        self._shape = (count, dim)
        self._file: IO[bytes] = tempfile.TemporaryFile()
        self._num_frames = 0

    def __enter__(self) -> _Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def fill(self, vectors: Iterable[np.ndarray], stopped: threading.Event) -> None:
        for rows in vectors:
            self._file.write(np.ascontiguousarray(rows, np.float32).data)
            self._num_frames += 1
            if stopped.is_set():
                raise KeyboardInterrupt("Nothing was written yet.")

    def read(self, index: int) -> Iterator[np.ndarray]:
        row_bytes = 4 * self._shape[1]
        for frame in range(self._num_frames):
            self._file.seek((frame * self._shape[0] + index) * row_bytes)
            yield np.frombuffer(self._file.read(row_bytes), np.float32)


def choose_output(
    dancer: Dancer, path: str | Path, format: str | None, settings: DanceSettings
) -> str:
    """Returns the format of an output, if the model can dance it.

    Raises:
        UserError: the name says nothing or something else, or the model cannot.
    """
    suffix = Path(path).suffix.lower().lstrip(".")
    asked = format or (suffix if suffix in MOTION_FORMATS else None)
    if isinstance(dancer.codec, SilhouetteCodec):
        if asked in MOTION_FORMATS:
            raise UserError(
                f"{dancer.name} dances in silhouettes, which cannot be written as .{asked}; write "
                "a video, or name a model of joints with --model."
            )
        if settings.yaw:
            raise UserError(
                f"{dancer.name} dances in silhouettes, which have one side; --yaw is for models "
                "of joints."
            )
    if asked in MOTION_FORMATS:
        if suffix != asked:
            raise UserError(f"{path} does not end with .{asked}, but --format is {asked}.")
        return asked
    return choose_format(path, format)


def _outputs(path: str | Path, count: int) -> list[Path]:
    path = Path(path)
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, count + 1)]


def _save_latents(
    dancer: Dancer, latents: np.ndarray, fps: float, recipe: Recipe, path: Path
) -> None:
    Latents(
        latents,
        np.full_like(latents, _POINT_LOG_VAR),
        fps,
        (range(len(latents)),),
        (None,),
        (f"dance {recipe.index + 1} of {dancer.name}, seed {recipe.settings.seed}",),
        dancer.encoder_sha256,
    ).save(path)


def _read_seeds(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    arrays = files.read_npz(path, "file of seed stretches")
    seeds = arrays.get("vectors")
    if seeds is None or seeds.ndim != 3 or 0 in seeds.shape or not np.isfinite(seeds).all():
        raise UserError(
            f"{path} does not hold stretches to start from, finite vectors (N, S, D); "
            "write it again with `python scripts/train_dancer.py`."
        )
    styles = arrays.get("styles")
    if styles is None or styles.shape != seeds.shape[:1]:
        return seeds.astype(np.float32), ("",) * len(seeds)
    return seeds.astype(np.float32), tuple(str(style) for style in styles)

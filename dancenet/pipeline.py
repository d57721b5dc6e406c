"""The whole path in two calls: load a dancer, write a dance.

    dancer = load_dancer("silhouette_v1")
    write_dance(dancer, "dance.mp4", DanceSettings(seconds=16, seed=7))

Neither Keras nor TensorFlow is needed.
"""

from __future__ import annotations

import dataclasses
import math
import secrets
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from dancenet import files, folder as model_folder, terminal
from dancenet.codecs.base import Scaler
from dancenet.codecs.latents import Latents
from dancenet.codecs.silhouette import SilhouetteCodec
from dancenet.data import picture
from dancenet.data.video_writer import VideoWriter, check_output, choose_format, read_settings
from dancenet.errors import UserError
from dancenet.folder import ModelFolder
from dancenet.overlap import ordered_map
from dancenet.runtime.onnx import OnnxDecoder, OnnxEncoder, OnnxStepModel, count_threads
from dancenet.sequence import legacy
from dancenet.sequence.generate import StepModel, generate
from dancenet.sequence.guard import Guard

# Vectors that a thread decodes at once: more are no faster, and the encoder of 2018 needs 26 MB a
# picture.
_BATCH = 4
# What the latents of a dance, which are points, say of their spread: the least a VAE says.
_POINT_LOG_VAR = -10.0


@dataclass(frozen=True)
class Dancer:
    """A model, ready to dance."""

    name: str
    sha256: str  # of the model, see `ModelFolder.sha256`
    encoder_sha256: str  # of its encoder graph; latents made by another do not fit
    codec: SilhouetteCodec
    step_model: StepModel
    seeds: np.ndarray  # (N, S, D) real stretches in model units
    threads: int  # that decode and draw side by side
    temperature: float = 1.0  # of the mixture, at a dance's own temperature of 1

    @property
    def fps(self) -> float:
        """Frames per second of the films the model learnt from."""
        return self.codec.fps


@dataclass(frozen=True)
class DanceSettings:
    """What a dance depends on besides the model; written into the video, and read back."""

    seconds: float = 16.0
    seed: int | None = None  # None draws one
    temperature: float = 1.0  # 0 always takes the likeliest way on, 1 has nearly the real energy
    # Where to start: a stretch's number from 0, or "latents.npz:ROW"; None draws a stretch.
    start: str | None = None
    count: int = 1  # dances made side by side
    guard: float = 0.0  # how firmly it is led back to real motion: see `sequence.guard`
    settle: int = 2  # times each picture is encoded and decoded again: see SilhouetteCodec.decode
    fps: float | None = None  # frames per second of the video; None for the model's
    scale: int = 4  # picture pixels per frame pixel
    invert: bool = False
    colors: str | None = None  # "FG,BG" in hexadecimal, None for black on white
    legacy: bool = False  # with the faults of 2018: see `sequence.legacy`

    def __post_init__(self) -> None:
        for name, fits in (
            ("seconds", 0 < self.seconds < math.inf),
            ("temperature", 0 <= self.temperature < math.inf),
            ("count", self.count >= 1),
            ("guard", 0 <= self.guard <= 1),
            ("fps", self.fps is None or 0 < self.fps < math.inf),
            ("scale", self.scale >= 1),
            ("settle", self.settle >= 0),
            ("seed", self.seed is None or self.seed >= 0),
        ):
            if not fits:
                raise UserError(f"A dance cannot have {name} {getattr(self, name)}.")
        self.look  # a colour or scale that cannot be is refused before a model is loaded

    @property
    def look(self) -> picture.Look:
        """How the pictures are drawn."""
        if self.colors is None:
            return picture.Look(self.scale, self.invert)
        return picture.Look(self.scale, self.invert, *picture.parse_colors(self.colors))


@dataclass(frozen=True)
class Recipe:
    """What a video says of itself: the settings, the model, and which of the dances it is."""

    settings: DanceSettings
    model: str
    model_sha256: str
    index: int  # 0-based, among `settings.count`
    start_sha256: str | None = None  # of the file of latents that `settings.start` names

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Reads the recipe that `write_dance` stored in a video.

        Raises:
            UserError: it is no dance of ours, or was stored by another version.
        """
        content = read_settings(path)
        if content.get("kind") != "dance":
            raise UserError(f"{path} was made by dancenet, but it is not a dance.")
        try:
            settings = DanceSettings(**content["settings"])
            return cls(
                settings, str(content["model"]), str(content["model_sha256"]),
                int(content["index"]), content["start_sha256"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path} was made by dancenet {content.get('version')} and cannot be replayed by "
                f"this version: {error}."
            ) from error

    def check(self, dancer: Dancer) -> None:
        """Raises UserError unless a model, and the start, are those the dance was made with."""
        if dancer.sha256 != self.model_sha256:
            raise UserError(
                f"The dance was made by a model {self.model} with the hash "
                f"{self.model_sha256[:12]}…; {dancer.name} is {dancer.sha256[:12]}… and would "
                "dance another dance. To make that one, name the model with --model."
            )
        if self.start_sha256 is not None and start_sha256(self.settings) != self.start_sha256:
            raise UserError(
                f"The dance starts at {self.settings.start}, and that file has changed since."
            )

    def to_json(self) -> dict[str, Any]:
        """Returns what `read` reads back."""
        return {"kind": "dance", **dataclasses.asdict(self)}


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
    if config.space != "silhouette":
        raise UserError(
            f"The model {config.name} dances in the space {config.space!r}; "
            "videos are made in 'silhouette'."
        )
    if config.dancer is None:
        raise UserError(
            f"The model {config.name} has a VAE and no dancer yet; train one with "
            f"`python scripts/train_dancer.py --name {config.name}`."
        )
    made_by = {
        model_folder.ENCODER_GRAPH: "python scripts/export.py",
        model_folder.DECODER_GRAPH: "python scripts/export.py",
        model_folder.STEP_GRAPH: "python scripts/export.py",
        model_folder.SCALER: "python scripts/train_dancer.py",
        model_folder.SEEDS: "python scripts/train_dancer.py",
    }
    paths = {name: folder.require(name, command) for name, command in made_by.items()}
    folder.check((model_folder.CONFIG, *made_by))
    scaler = Scaler.load(paths[model_folder.SCALER])
    # Threads that share one picture wait for each other at every layer.
    decoder = OnnxDecoder(paths[model_folder.DECODER_GRAPH], threads=1)
    step_model = OnnxStepModel(paths[model_folder.STEP_GRAPH])
    seeds = _read_seeds(paths[model_folder.SEEDS])
    if not step_model.dim == scaler.dim == seeds.shape[2]:
        raise UserError(
            f"The files of {folder.path} do not belong together: the dancer has "
            f"{step_model.dim} dimensions, the scaler {scaler.dim}, the seeds {seeds.shape[2]}."
        )
    encoder = paths[model_folder.ENCODER_GRAPH]
    return Dancer(
        config.name,
        folder.sha256,
        files.sha256_of(encoder),
        SilhouetteCodec(
            OnnxEncoder(encoder, threads=1), decoder, scaler, config.fps, config.dancer.smoothing
        ),
        step_model,
        seeds,
        threads or count_threads(),
        config.dancer.temperature,
    )


def find_model(name_or_path: str | Path) -> Path:
    """Returns a model's folder: a path as it is, a released name wherever it lies."""
    from dancenet import weights

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
        format: mp4, gif, webm or frames; by default what the suffix of `path` says.
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
    format = choose_format(path, format)
    chosen = list(range(settings.count)) if only is None else [only]
    if not 0 <= chosen[0] <= chosen[-1] < settings.count:
        raise UserError(f"There are {settings.count} dances; dance {chosen[0] + 1} is not there.")
    outputs = _outputs(path, len(chosen))
    latents_outputs = _outputs(latents_path, len(chosen)) if latents_path is not None else []
    for output in outputs:
        check_output(output, format, overwrite)
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
            frames = dancer.codec.decode(batch, settings.settle)
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
                outputs[number], fps=fps, size=(width, height), format=format,
                colors=settings.look.palette, settings=recipe.to_json(), overwrite=overwrite,
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


def trajectories(
    dancer: Dancer, settings: DanceSettings, num_frames: int
) -> Iterator[np.ndarray]:
    """Makes `settings.count` trajectories at the video's rate.

    Dance i has a generator of its own, made from the seed and i; it draws the stretch the
    dance starts from, and then every step.

    Yields:
        (count, D) float32 in model units, `num_frames` times.

    Raises:
        UserError: the start does not fit, or the network gave something that is no number.
    """
    if settings.seed is None:
        raise ValueError("settings.seed must be set; draw one with draw_seed().")
    rngs = [
        np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(index,)))
        for index in range(settings.count)
    ]
    # Drawn in any case, so that another start with one seed changes nothing but the start.
    drawn = [int(rng.integers(len(dancer.seeds))) for rng in rngs]
    if settings.start is None:
        stretches = dancer.seeds[drawn]
    else:
        stretches = np.repeat(read_start(dancer, settings.start)[None], settings.count, axis=0)
    temperature = settings.temperature * dancer.temperature
    ratio = dancer.fps / (settings.fps or dancer.fps)
    needed = math.ceil((num_frames - 1) * ratio) + 3  # two to come for the last interpolation
    if ratio == 1:
        needed = num_frames
    if settings.legacy:
        vectors = _generate_legacy(dancer, stretches, needed, rngs, temperature)
    else:
        vectors = generate(
            dancer.step_model, stretches, needed, rngs, temperature,
            _guard(dancer, settings.guard),
        )
    try:
        yield from resample(vectors, ratio, num_frames)
    except ValueError as error:
        raise UserError(f"The model {dancer.name} cannot go on: {error}") from error


def _guard(dancer: Dancer, strength: float) -> Guard | None:
    """Returns the guard of a model's own stretches, or None if it would do nothing."""
    # Single vectors, as an imported model of 2018 has, are no motion to be led back to.
    if not strength or dancer.seeds.shape[1] < 2:
        return None
    return Guard(dancer.seeds, dancer.codec.scaler.scale, strength)


def _generate_legacy(
    dancer: Dancer,
    stretches: np.ndarray,
    num_frames: int,
    rngs: list[np.random.Generator],
    temperature: float,
) -> Iterator[np.ndarray]:
    scaler = dancer.codec.scaler
    if scaler.dim != scaler.latent_dim:
        raise UserError(
            f"--legacy feeds the dancer its latents as they come, and {dancer.name} dances in "
            f"{scaler.dim} of their {scaler.latent_dim} dimensions. Give it a model of 2018 "
            "(`python scripts/import_legacy.py`), or one trained with --network dancenet."
        )
    return legacy.generate(
        dancer.step_model, stretches, num_frames, rngs, temperature, scaler.to_latents
    )


def resample(
    vectors: Iterable[np.ndarray], ratio: float, num_frames: int
) -> Iterator[np.ndarray]:
    """Reads a trajectory at another rate, at the same tempo.

    Between two vectors it follows the cubic through them whose slopes are those between
    their neighbours (Catmull and Rom 1974), so that the motion has no corners.

    Args:
        vectors: arrays of one shape, one a frame; the last two only steer.
        ratio: frames of `vectors` per frame that is yielded.
        num_frames: how many to yield at most.

    Yields:
        Arrays of that shape; unchanged ones if `ratio` is 1.
    """
    source = iter(vectors)
    if ratio == 1:
        yield from (vector for _, vector in zip(range(num_frames), source))
        return
    first = next(source, None)
    if first is None:
        return
    window = deque([first, first], maxlen=4)  # vectors at places base - 1 ... base + 2
    window.extend(vector for _, vector in zip(range(2), source))
    base = 0
    for index in range(num_frames):
        place = index * ratio
        while base < math.floor(place + 1e-9):
            following = next(source, None)
            if following is None:
                return
            window.append(following)
            base += 1
        if len(window) < 4:
            return
        before, here, after, later = window
        t = np.float32(max(place - base, 0.0))
        slope_here, slope_after = (after - before) / 2, (later - here) / 2
        yield (
            (2 * t**3 - 3 * t**2 + 1) * here
            + (t**3 - 2 * t**2 + t) * slope_here
            + (3 * t**2 - 2 * t**3) * after
            + (t**3 - t**2) * slope_after
        ).astype(np.float32)


def read_start(dancer: Dancer, start: str) -> np.ndarray:
    """Returns the real stretch (S, D) in model units that `start` names.

    Args:
        dancer: the model it must fit.
        start: the number of one of its own stretches, from 0; or 'FILE:ROW', the stretch of
            a file of latents that begins at that row, from 0.

    Raises:
        UserError: there is no such stretch, or another encoder made the latents.
    """
    text, colon, row_text = start.rpartition(":")
    number = row_text if colon else start
    if not number.isdecimal():
        raise UserError(
            f"--start is the number of one of the model's {len(dancer.seeds)} stretches (from 0), "
            f"or a file of latents and a row, such as latents.npz:120; received {start!r}."
        )
    row = int(number)
    if not colon:
        if row >= len(dancer.seeds):
            raise UserError(
                f"The model {dancer.name} has the stretches 0 to {len(dancer.seeds) - 1}; "
                f"received --start {start}."
            )
        return dancer.seeds[row]
    latents = Latents.load(text)
    latents.require_encoder(dancer.encoder_sha256, dancer.name)
    length = dancer.seeds.shape[1]
    for clip in latents.clips:
        if row in clip:
            if row + length > clip.stop:
                raise UserError(
                    f"A start needs {length} frames of one clip; row {row} of {text} is only "
                    f"{clip.stop - row} before the end of its clip."
                )
            return dancer.codec.trajectory(latents.z_mean, latents.clips)[row : row + length]
    raise UserError(f"{text} has {len(latents.z_mean)} rows; row {row} is not there.")


def start_sha256(settings: DanceSettings) -> str | None:
    """Returns the hash of the file of latents a dance starts from, None if it names none.

    Raises:
        UserError: there is no such file.
    """
    path, colon, _ = (settings.start or "").rpartition(":")
    if not colon:
        return None
    try:
        return files.sha256_of(path)
    except OSError as error:
        raise UserError(f"The file of latents {path} cannot be read: {error.strerror}.") from error


def draw_seed() -> int:
    """Returns a seed that nobody has chosen."""
    return secrets.randbits(32)


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


def _read_seeds(path: Path) -> np.ndarray:
    seeds = files.read_npz(path, "file of seed stretches").get("vectors")
    if seeds is None or seeds.ndim != 3 or 0 in seeds.shape or not np.isfinite(seeds).all():
        raise UserError(
            f"{path} does not hold stretches to start from, finite vectors (N, S, D); "
            "write it again with `python scripts/train_dancer.py`."
        )
    return seeds.astype(np.float32)

"""What a dance is made with, and how its trajectory comes to be."""

from __future__ import annotations

import dataclasses
import math
import secrets
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dancenet.codecs.latents import Latents
from dancenet.codecs.silhouette import SilhouetteCodec
from dancenet.model.config import FORMAT, renamed
from dancenet.output import picture
from dancenet.output.video_settings import read_settings
from dancenet.sequence import legacy
from dancenet.sequence.generate import StepModel, generate
from dancenet.sequence.neighbour_correction import NeighbourCorrection
from dancenet.sequence.style import STRENGTH, StyleGuided
from dancenet.sequence.temperature_variation import MEMORY_SECONDS
from dancenet.support import files
from dancenet.support.errors import UserError

if TYPE_CHECKING:
    from dancenet.codecs.skeleton import SkeletonCodec

MOTION_FORMATS = ("bvh", "npz", "html")  # of dances of joints, beside those of videos


@dataclass(frozen=True)
class Dancer:
    """A model, ready to dance."""

    name: str
    sha256: str  # of the model, see `ModelFolder.sha256`
    encoder_sha256: str  # of its encoder graph; latents made by another do not fit; "" for joints
    codec: SilhouetteCodec | SkeletonCodec
    step_model: StepModel
    seeds: np.ndarray  # (N, S, D) real stretches in model units
    threads: int  # that decode and draw side by side
    temperature: float = 1.0  # of the mixture, at a dance's own temperature of 1
    temperature_variation: float = 0.0  # how far it wanders, unless a dance is asked for another
    neighbour_correction: float = (
        0.0  # how firmly it is led back to real motion, unless it is asked for another
    )
    styles: tuple[str, ...] = ()  # that it can be asked for
    seed_styles: tuple[str, ...] = ()  # N, of each stretch, "" where none is known

    @property
    def fps(self) -> float:
        """Frames per second of the films the model learnt from."""
        return self.codec.fps

    @property
    def silhouettes(self) -> SilhouetteCodec:
        """The codec of a model of silhouettes.

        Raises:
            UserError: it is a model of joints.
        """
        if not isinstance(self.codec, SilhouetteCodec):
            raise UserError(
                f"{self.name} dances with joints, and this needs a model of silhouettes."
            )
        return self.codec


@dataclass(frozen=True)
class DanceSettings:
    """What a dance depends on besides the model; written into the video, and read back."""

    seconds: float = 16.0
    seed: int | None = None  # None draws one
    temperature: float = 1.0  # 0 always takes the likeliest way on, 1 has nearly the real energy
    # How far the temperature wanders, so that the dance rests and rushes: the standard deviation
    # of its logarithm; None for the model's own. See `sequence.temperature_variation`.
    temperature_variation: float | None = None
    # Where to start: a stretch's number from 0, or "latents.npz:ROW"; None draws a stretch.
    start: str | None = None
    count: int = 1  # dances made side by side
    # How firmly it is led back to real motion, see `sequence.neighbour_correction`; None for the model's own.
    neighbour_correction: float | None = None
    refine: int = 1  # times each picture is encoded and decoded again: see SilhouetteCodec.decode
    fps: float | None = None  # frames per second of the video; None for the model's
    scale: int = 4  # picture pixels per frame pixel
    invert: bool = False
    colors: str | None = None  # "FG,BG" in hexadecimal, None for black on white
    legacy: bool = False  # with the faults of 2018: see `sequence.legacy`
    # "salsa", or a blend, "salsa:0.7,modern:0.3"; None for that of the stretch it starts from.
    style: str | None = None
    style_strength: float = STRENGTH  # how strongly it is heard; see `sequence.style`
    yaw: float = 0.0  # degrees that the camera is turned about a dancer of joints

    def __post_init__(self) -> None:
        for name, fits in (
            ("seconds", 0 < self.seconds < math.inf),
            ("temperature", 0 <= self.temperature < math.inf),
            (
                "temperature_variation",
                self.temperature_variation is None or 0 <= self.temperature_variation < math.inf,
            ),
            ("count", self.count >= 1),
            (
                "neighbour_correction",
                self.neighbour_correction is None or 0 <= self.neighbour_correction <= 1,
            ),
            ("fps", self.fps is None or 0 < self.fps < math.inf),
            ("scale", self.scale >= 1),
            ("refine", self.refine >= 0),
            ("seed", self.seed is None or self.seed >= 0),
            ("yaw", math.isfinite(self.yaw)),
            ("style_strength", 0 <= self.style_strength < math.inf),
        ):
            if not fits:
                raise UserError(f"A dance cannot have {name} {getattr(self, name)}.")
        # What cannot be is refused before a model is loaded.
        self.look
        if self.style is not None:
            split_style(self.style)

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
            given = content["settings"]
            # Videos written before there were formats have the keys of format 1.
            settings = DanceSettings(**(given if "format" in content else renamed(given)))
            return cls(
                settings,
                str(content["model"]),
                str(content["model_sha256"]),
                int(content["index"]),
                content["start_sha256"],
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
        return {"kind": "dance", "format": FORMAT, **dataclasses.asdict(self)}


def trajectories(dancer: Dancer, settings: DanceSettings, num_frames: int) -> Iterator[np.ndarray]:
    """Makes `settings.count` trajectories at the video's rate.

    Dance i has a generator of its own, made from the seed and i; it draws the stretch the
    dance starts from, and then every step. With a style the stretch is drawn among those of it;
    without, the dance is of the style of its stretch.

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
    style = None if settings.style is None else read_style(dancer, settings.style)
    # Drawn in any case, so that another start with one seed changes nothing but the start.
    drawn = [_draw_stretch(dancer, style, rng) for rng in rngs]
    if settings.start is None:
        stretches = dancer.seeds[drawn]
    else:
        stretches = np.repeat(read_start(dancer, settings.start)[None], settings.count, axis=0)
        drawn = [int(settings.start) if settings.start.isdecimal() else -1] * settings.count
    styles, step_model = None, dancer.step_model
    if dancer.styles:
        step_model = StyleGuided(step_model, settings.style_strength)
        styles = np.stack([_style_of(dancer, index) if style is None else style for index in drawn])
    temperature = settings.temperature * dancer.temperature
    ratio = dancer.fps / (settings.fps or dancer.fps)
    needed = math.ceil((num_frames - 1) * ratio) + 3  # two to come for the last interpolation
    if ratio == 1:
        needed = num_frames
    if settings.legacy:
        vectors = _generate_legacy(dancer, stretches, needed, rngs, temperature)
    else:
        vectors = generate(
            step_model,
            stretches,
            needed,
            rngs,
            temperature,
            _neighbour_correction(
                dancer,
                dancer.neighbour_correction
                if settings.neighbour_correction is None
                else settings.neighbour_correction,
            ),
            style=styles,
            temperature_variation=(
                dancer.temperature_variation
                if settings.temperature_variation is None
                else settings.temperature_variation,
                MEMORY_SECONDS * dancer.fps,
            ),
        )
    try:
        yield from resample(vectors, ratio, num_frames)
    except ValueError as error:
        raise UserError(f"The model {dancer.name} cannot go on: {error}") from error


def split_style(text: str) -> dict[str, float]:
    """Takes "salsa", or "salsa:0.7,modern:0.3"; returns the weight of each name, of sum 1.

    Raises:
        UserError: it says something else.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, colon, number = part.strip().partition(":")
        try:
            weight = float(number) if colon else 1.0
        except ValueError:
            weight = math.nan
        if not name.strip() or not 0 <= weight < math.inf or name.strip() in weights:
            raise UserError(
                "A style is a name, or names and weights such as salsa:0.7,modern:0.3; received "
                f"{text!r}."
            )
        weights[name.strip()] = weight
    total = sum(weights.values())
    if not total > 0:
        raise UserError(f"The weights of a style must not all be 0; received {text!r}.")
    return {name: weight / total for name, weight in weights.items()}


def read_style(dancer: Dancer, text: str) -> np.ndarray:
    """Returns the weights (S,) float32 of a model's styles that a text asks for.

    Raises:
        UserError: the model does not know a style, or knows none.
    """
    wanted = split_style(text)
    strange = [name for name in wanted if name not in dancer.styles]
    if strange:
        known = (
            f"it knows {', '.join(dancer.styles)}"
            if dancer.styles
            else "it was trained without styles; leave --style out"
        )
        raise UserError(f"The model {dancer.name} does not know the style {strange[0]!r}: {known}.")
    return np.array([wanted.get(name, 0.0) for name in dancer.styles], np.float32)


def _style_of(dancer: Dancer, stretch: int) -> np.ndarray:
    """Returns the weights (S,) of the style of one of the model's own stretches, 0 if unknown."""
    known = dancer.seed_styles[stretch] if stretch >= 0 else ""
    return np.array([name == known for name in dancer.styles], np.float32)


def _draw_stretch(dancer: Dancer, style: np.ndarray | None, rng: np.random.Generator) -> int:
    """Draws the stretch that a dance starts from."""
    if style is not None:
        # One style of a blend, and then one of its stretches.
        name = dancer.styles[int(rng.choice(len(style), p=style / style.sum(dtype=np.float64)))]
        fitting = [index for index, other in enumerate(dancer.seed_styles) if other == name]
        if fitting:
            return fitting[int(rng.integers(len(fitting)))]
    return int(rng.integers(len(dancer.seeds)))


def _neighbour_correction(dancer: Dancer, strength: float) -> NeighbourCorrection | None:
    """Returns the guard of a model's own stretches, or None if it would do nothing."""
    # Single vectors, as an imported model of 2018 has, are no motion to be led back to.
    if not strength or dancer.seeds.shape[1] < 2:
        return None
    return NeighbourCorrection(dancer.seeds, dancer.codec.scaler.scale, strength)


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


def resample(vectors: Iterable[np.ndarray], ratio: float, num_frames: int) -> Iterator[np.ndarray]:
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
    if not isinstance(dancer.codec, SilhouetteCodec):
        raise UserError(
            f"{dancer.name} dances with joints and has no latents to start from; --start is the "
            f"number of one of its {len(dancer.seeds)} stretches (from 0)."
        )
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

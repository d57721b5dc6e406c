"""Settings of a dance, and the recipe of a written one."""

from __future__ import annotations

import dataclasses
import math
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dancenet.codecs.base import View
from dancenet.model.config import FORMAT, renamed
from dancenet.output import picture
from dancenet.output.video_settings import read_settings
from dancenet.sequence.style import STRENGTH
from dancenet.support import files
from dancenet.support.errors import UserError
from dancenet.support.wording import option

if TYPE_CHECKING:
    from dancenet.generation.load import Dancer


@dataclass(frozen=True)
class DanceSettings:
    """Everything a dance depends on besides the model; stored in the video, and read back."""

    seconds: float = 16.0
    seed: int | None = None  # None draws one
    temperature: float = 1.0  # times the calibrated one; 0 takes the likeliest component's mean
    # Standard deviation of the logarithm of the temperature over time, so that the dance rests and
    # rushes; None for the model's own. See `sequence.temperature_variation`.
    temperature_variation: float | None = None
    # Where to start: the number of a seed clip, from 0, or "latents.npz:ROW"; None draws a clip.
    start: str | None = None
    count: int = 1  # dances made side by side
    # In [0, 1], see `sequence.neighbour_correction`; None for the model's own.
    neighbour_correction: float | None = None
    refine: int = 1  # times each picture is encoded and decoded again: see SilhouetteCodec.decode
    fps: float | None = None  # frames per second of the video; None for the model's
    scale: int = 4  # picture pixels per frame pixel
    invert: bool = False
    colors: str | None = None  # "FG,BG" in hexadecimal, None for black on white
    legacy: bool = False  # with the faults of 2018: see `sequence.legacy`
    # See `sequence.style.split_style`; None for the style of the seed clip.
    style: str | None = None
    style_strength: float = STRENGTH  # see `sequence.style`
    yaw: float = 0.0  # degrees that the camera is turned about the vertical, for models of joints

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
        # Refused before a model is loaded.
        self.look
        if self.style is not None and not self.style.strip():
            raise UserError("A dance cannot have an empty style; leave it out for any.")

    @property
    def look(self) -> picture.Look:
        """How the pictures are drawn."""
        if self.colors is None:
            return picture.Look(self.scale, self.invert)
        return picture.Look(self.scale, self.invert, *picture.parse_colors(self.colors))

    @property
    def view(self) -> View:
        """How a codec turns the dance into pictures."""
        return View(self.refine, self.yaw)

    def with_seed(self) -> DanceSettings:
        """Returns the settings with a seed, drawn if there is none."""
        if self.seed is not None:
            return self
        return dataclasses.replace(self, seed=secrets.randbits(32))

    def num_frames(self, model_fps: float) -> int:
        """Returns how many frames the dance has, given the model's rate."""
        # At `num_frames` pictures a second the last one is shown for a whole period too.
        return max(1, round(self.seconds * (self.fps or model_fps)))


@dataclass(frozen=True)
class Recipe:
    """The description stored in a video: the settings, the model, and which of the dances it is."""

    settings: DanceSettings
    model: str
    model_sha256: str
    index: int  # 0-based, among `settings.count`
    start_sha256: str | None = None  # hash of the file of latents that `settings.start` names

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Reads the recipe that `write_dance` stored in a video.

        Raises:
            UserError: it is not a dance that dancenet wrote, or another version stored it.
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
                model=str(content["model"]),
                model_sha256=str(content["model_sha256"]),
                index=int(content["index"]),
                start_sha256=content["start_sha256"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path} was made by dancenet {content.get('version')} and cannot be replayed by "
                f"this version: {error}."
            ) from error

    def check(self, dancer: Dancer) -> None:
        """Raises UserError unless the model and the start are the same as in the recipe."""
        if dancer.sha256 != self.model_sha256:
            raise UserError(
                f"The dance was made by a model {self.model} with the hash "
                f"{self.model_sha256[:12]}…; {dancer.name} is {dancer.sha256[:12]}… and would "
                f"dance another dance. To make that one, name it: {option('model', self.model)}."
            )
        if self.start_sha256 is not None and start_sha256(self.settings) != self.start_sha256:
            raise UserError(
                f"The dance starts at {self.settings.start}, and that file has changed since."
            )

    def to_json(self) -> dict[str, Any]:
        """Returns what `read` reads back."""
        return {"kind": "dance", "format": FORMAT, **dataclasses.asdict(self)}


def start_sha256(settings: DanceSettings) -> str | None:
    """Returns the hash of the file of latents that a dance starts from, or None.

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

"""Settings of a dance, and the recipe of a written one."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import reprlib
import secrets
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from dancenet.codecs.base import View
from dancenet.model.config import FORMAT, renamed
from dancenet.output import picture
from dancenet.output.video_settings import read_settings
from dancenet.sequence.style import STRENGTH
from dancenet.support import checked, files, terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, shortened, visible
from dancenet.support.wording import option

if TYPE_CHECKING:
    from dancenet.generation.load import Dancer

# Bounds, because the settings in other people's videos are obeyed, too.
LONGEST_SECONDS = 86_400.0  # of all dances together, a day
MOST_DANCES = 100_000

_LARGEST_REPLAYED = 19  # scale of a replay that nobody asked for; 3952x2280
_START = re.compile(r"(?:.{1,4096}:)?[0-9]{1,9}", re.DOTALL)
_SHA256 = re.compile("[0-9a-f]{64}")


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
        for name, least, most in (
            ("seconds", 0, LONGEST_SECONDS),
            ("temperature", 0, 1000),
            ("temperature_variation", 0, 10),
            ("count", 1, MOST_DANCES),
            ("neighbour_correction", 0, 1),
            ("fps", checked.LOWEST_FPS, checked.HIGHEST_FPS),
            ("refine", 0, 100),
            ("seed", 0, 1 << 128),
            ("yaw", -1e6, 1e6),
            ("style_strength", 0, 1000),
        ):
            value = getattr(self, name)
            if value is not None:
                checked.between(name, value, least, most, above=name == "seconds")
        checked.between("seconds * count", self.seconds * self.count, 0, LONGEST_SECONDS)
        if self.start is not None and not _START.fullmatch(self.start):
            raise UserError(
                "A dance starts at the number of a seed clip (from 0), or at a row of a file of "
                f"latents, such as latents.npz:120; received {reprlib.repr(self.start)}."
            )
        # Refused before a model is loaded.
        self.look
        if self.style is not None:
            checked.between("the length of style", len(self.style), 0, 10_000)
            if not self.style.strip():
                raise UserError("A dance cannot have an empty style; leave it out for any.")

    @property
    def start_file(self) -> str | None:
        """The file of latents that the dance starts from, if it does."""
        return (self.start or "").rpartition(":")[0] or None

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
            raise UserError(f"{quoted(path)} was made by dancenet, but it is not a dance.")
        version = shortened(content.get("version"))
        source = (
            f"{quoted(path)} was made by dancenet {version} and cannot be replayed by this version"
        )
        if content.get("format", FORMAT) not in (1, FORMAT) or content.get("format") is True:
            raise UserError(f"{source}: its format is {shortened(repr(content['format']))}.")
        # What else is said there is for people.
        fields = [item.name for item in dataclasses.fields(cls) if item.name in content]
        recipe = {name: content[name] for name in fields}
        # Videos written before there were formats have the keys of format 1.
        if "format" not in content and isinstance(recipe.get("settings"), dict):
            recipe["settings"] = renamed(recipe["settings"])
        found = checked.build(cls, recipe, source)
        try:
            found._check_names()
        except UserError as error:
            raise UserError(f"{source}: {error}") from error
        if found.settings.scale > _LARGEST_REPLAYED:
            # One second of the largest pictures takes 1.5 GB of memory and a minute.
            terminal.warn(
                f"{quoted(path)} was drawn with {option('scale', found.settings.scale)}; its dance "
                f"is drawn at {_LARGEST_REPLAYED} unless you ask for that."
            )
            settings = dataclasses.replace(found.settings, scale=_LARGEST_REPLAYED)
            return dataclasses.replace(found, settings=settings)
        return found

    def __post_init__(self) -> None:
        checked.between("index", self.index, 0, self.settings.count - 1)

    def _check_names(self) -> None:
        """Raises UserError unless a video of somebody else may name these models and files."""
        checked.check_name("the name of the model", self.model)
        if PurePath(self.model).parts != (self.model,) or self.model.startswith("~"):
            raise UserError(
                f"its model {reprlib.repr(self.model)} is a path, and it may only be a name."
            )
        for digest in (self.model_sha256, self.start_sha256):
            if digest is not None and not _SHA256.fullmatch(digest):
                raise UserError(f"{reprlib.repr(digest)} is not a hash.")
        start = self.settings.start_file
        if (start is None) != (self.start_sha256 is None):
            raise UserError("a start in a file and the hash of that file go together.")
        if start is not None and start.replace("\\", "/").startswith("//"):
            raise UserError(f"it starts in {quoted(start)}, a file of another computer.")

    def check(self, dancer: Dancer) -> None:
        """Raises UserError unless the model and the start are the same as in the recipe."""
        start = self.settings.start_file
        if start is not None:
            row = (self.settings.start or "").rpartition(":")[2]
            terminal.say(f"The dance starts at row {row} of {quoted(start)}, which is read.")
        if dancer.sha256 != self.model_sha256:
            raise UserError(
                f"The dance was made by a model {visible(self.model)} with the hash "
                f"{self.model_sha256[:12]}…; {visible(dancer.name)} is {dancer.sha256[:12]}… and "
                "would dance another dance. To make that one, name it: "
                f"{option('model', self.model)}."
            )
        if self.start_sha256 is not None and start_sha256(self.settings) != self.start_sha256:
            raise UserError(
                f"The dance starts at {quoted(self.settings.start or '')}, and that file has "
                "changed since."
            )

    def to_json(self) -> dict[str, Any]:
        """Returns what `read` reads back."""
        return {"kind": "dance", "format": FORMAT, **dataclasses.asdict(self)}


def start_sha256(settings: DanceSettings) -> str | None:
    """Returns the hash of the file of latents that a dance starts from, or None.

    Raises:
        UserError: there is no such file.
    """
    path = settings.start_file
    if path is None:
        return None
    with files.open_regular(path, "file of latents") as file:
        if file.read(2) != b"PK":
            raise UserError(f"{quoted(path)} is not a file of latents (.npz); name another start.")
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()

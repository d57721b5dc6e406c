"""The record of a project: its clips, its stages, and what is finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dancenet.data.footage.camera import camera_index
from dancenet.data.footage.video import open_footage
from dancenet.data.frames.content import content_key, listing_key
from dancenet.support import checked, files
from dancenet.support.checked import between
from dancenet.support.errors import UserError, advising
from dancenet.support.lock import LOCK
from dancenet.support.names import is_litter, quoted
from dancenet.support.wording import command, option

STATE = "project.json"

# In the order in which they run.
TRAININGS = ("train-vae", "train-dancer")
TRAININGS_OF_JOINTS = ("train-dancer",)
_SPACES = {False: "silhouette", True: "skeleton"}

_FORMAT = 1
_LONGEST = 1e9  # seconds, minutes or clips
_HIGHEST_FPS = 30.0
_LOCKS = (LOCK, ".lock")  # the second is of older versions


@dataclass(frozen=True)
class Source:
    """A clip as it is given; known by its content, so that a file may be moved."""

    path: str
    key: str  # hash of what tells its content from another's
    fps: float  # frames per second, at most 30
    seconds: float  # length, 0 if unknown
    older_key: str | None = None  # of a folder, in projects of older versions


@dataclass(frozen=True)
class ExtractedClip:
    """A source whose frames are in the project."""

    path: str
    seconds: float  # that extraction took
    footage_seconds: float  # length of the source, 0 if unknown
    clips_after: int  # clips in the frames' folder once it was finished

    def __post_init__(self) -> None:
        between("seconds", self.seconds, 0, _LONGEST)
        between("footage_seconds", self.footage_seconds, 0, _LONGEST)
        between("clips_after", self.clips_after, 0, _LONGEST)


@dataclass
class Stage:
    """A stage that was begun."""

    minutes: float | None = None  # given to a training
    seconds: float | None = None  # that the stage took; None until it is finished

    def __post_init__(self) -> None:
        for name in ("minutes", "seconds"):
            if getattr(self, name) is not None:
                between(name, getattr(self, name), 0, _LONGEST)


@dataclass
class Record:
    """The content of project.json."""

    name: str  # the model's
    fps: float  # frames per second of every clip
    clips: dict[str, ExtractedClip] = field(default_factory=dict)  # by `Source.key`
    stages: dict[str, Stage] = field(default_factory=dict)  # by subcommand
    minutes: dict[str, float] | None = None  # for each training; None until extraction is finished
    joints: bool = False  # whether joints dance, and not silhouettes

    def __post_init__(self) -> None:
        checked.check_name("name", self.name)  # of a folder
        checked.check_rate(self.fps)
        if self.minutes is not None:
            for stage in self.trainings:
                if stage not in self.minutes:
                    raise UserError(f"minutes lacks {stage}")
                between(f"minutes of {stage}", self.minutes[stage], 0, _LONGEST)

    @classmethod
    def read(cls, folder: Path, sources: Sequence[Source], joints: bool = False) -> Record:
        """Reads a project's record, or begins one.

        Raises:
            UserError: the folder holds something else, or the record is of another format or of
                another space.
        """
        path = folder / STATE
        if not path.exists():
            names = [entry.name for entry in folder.iterdir()]
            strangers = [name for name in names if name not in _LOCKS and not is_litter(name)]
            if strangers:
                raise UserError(
                    f"{quoted(folder)} is no project: it has {quoted(strangers[0])} and no "
                    f"{STATE}; "
                    f"choose another with {option('project')}."
                )
            return cls.begin(folder, sources, joints)
        advice = (
            f"choose another {option('project')}, or say {option('overwrite')} to begin it anew"
        )
        try:
            content = checked.read_json(path, "record of a project")
        except UserError as error:
            raise advising(error, advice) from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise UserError(
                f"{quoted(path)} is not of the format this version of dancenet reads ({_FORMAT}); "
                f"{advice}."
            )
        fields = {key: value for key, value in content.items() if key != "format"}
        try:
            record = checked.build(cls, fields, quoted(path))
        except UserError as error:
            raise advising(error, advice) from error
        if record.joints is not joints:
            raise UserError(
                f"{quoted(folder)} was begun with {option('space', _SPACES[record.joints])}; say "
                f"so again, or {advice}."
            )
        return record

    @classmethod
    def begin(cls, folder: Path, sources: Sequence[Source], joints: bool = False) -> Record:
        """Returns the record of a project in which nothing is finished."""
        # The folder may be renamed later; its model keeps the name.
        name = folder.resolve().name.removesuffix("_project").strip().lstrip(".-") or "model"
        rate = min(source.fps for source in sources)
        return cls(name.replace("\\", "_"), rate, joints=joints)

    def write(self, folder: Path) -> None:
        """Writes the record atomically."""
        content: dict[str, Any] = {
            "format": _FORMAT,
            "name": self.name,
            "fps": self.fps,
            "clips": {key: asdict(clip) for key, clip in self.clips.items()},
            "stages": {
                name: {key: value for key, value in asdict(stage).items() if value is not None}
                for name, stage in self.stages.items()
            },
        }
        if self.minutes is not None:
            content["minutes"] = self.minutes
        if self.joints:
            content["joints"] = True
        files.write_json(folder / STATE, content)

    def is_finished(self, stage: str) -> bool:
        return stage in self.stages and self.stages[stage].seconds is not None

    @property
    def trainings(self) -> tuple[str, ...]:
        return TRAININGS_OF_JOINTS if self.joints else TRAININGS

    @property
    def training_began(self) -> bool:
        return self.trainings[0] in self.stages

    def take(self, sources: Sequence[Source], folder: Path) -> None:
        """Checks the clips given now against those the project was begun with.

        Raises:
            UserError: they do not go together.
        """
        older = {source.older_key: source.key for source in sources if source.older_key}
        self.clips = {older.get(key, key): clip for key, clip in self.clips.items()}
        given = {source.key for source in sources}
        advice = (
            f"Choose another {option('project')}, or say {option('overwrite')} to begin this one "
            "anew."
        )
        for key, clip in self.clips.items():
            if key not in given:
                raise UserError(
                    f"{quoted(folder)} was begun with {quoted(clip.path)}, which is not given now "
                    f"or has changed. Give the same clips again. {advice}"
                )
        for source in sources:
            if source.key in self.clips:
                continue
            if self.training_began:
                raise UserError(
                    f"{quoted(folder)} is being trained without {quoted(source.path)}. Leave it "
                    f"out. {advice}"
                )
            if source.fps < self.fps:
                if self.clips:
                    raise UserError(
                        f"{quoted(source.path)} has {source.fps:g} frames/s, and {quoted(folder)} "
                        f"was begun with {self.fps:g}. Leave it out. {advice}"
                    )
                self.fps = source.fps


def identify(clip: str) -> Source:
    """Opens a clip and returns what it is known by.

    Raises:
        UserError: it cannot be read, or is a camera.
    """
    if camera_index(clip) is not None:
        raise UserError(
            f"A camera ({clip}) cannot be gone back to; record it first with "
            f"{command('extract-frames')}, or give a film."
        )
    footage = open_footage(clip, _HIGHEST_FPS)
    path = Path(clip)
    return Source(
        path=clip,
        key=content_key(path),
        fps=footage.fps,
        seconds=footage.expected_seconds or 0.0,
        older_key=listing_key(path) if path.is_dir() else None,
    )

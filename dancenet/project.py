"""From clips to a dance in one folder: every stage in turn, each begun where it was left.

    PROJECT/project.json    what is finished, and from which clips
    PROJECT/imgs/           the frames
    PROJECT/reports/        what the footage is like
    PROJECT/weights/NAME/   the model, with its training in training/
    PROJECT/latents.npz     the frames encoded

A stage runs in a process of its own, so that its memory is free when the next one begins.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from dancenet.data.footage.camera import camera_index
from dancenet.data.footage.video import open_footage
from dancenet.data.frames.writer import FrameWriter
from dancenet.model import releases as weights
from dancenet.model.folder import DANCER_WEIGHTS, TRAINING, VAE_WEIGHTS, ModelFolder
from dancenet.output.video_writer import check_output, choose_format
from dancenet.support import files, terminal
from dancenet.support.errors import MissingExtra, UserError

STATE = "project.json"
LOCK = ".lock"
BUNDLED = "silhouette_v1"  # it has seen many bodies move; beginning with it saves most of the time

_FORMAT = 1
_HIGHEST_FPS = 30.0
# Of the time for training: the pictures need more of it than the motion.
_VAE_SHARE = 0.55
_GUARD = 0.1  # of the dance: clips are minutes at most, and leave much between their poses
_LEAST_TRAINING = 0.5  # of all minutes, however long extraction took
# First guesses, replaced by what is measured as the work goes on.
_EXTRACTED_PER_SECOND = 15.0  # frames of a phone video, by the person network
_ENCODED_PER_SECOND = 250.0  # frames
_GENERATED_PER_SECOND = 60.0  # frames
_START_SECONDS = 5.0  # of a stage
# What the training loop leaves (dancenet/nets/training/loop.py, which would import Keras).
_CHECKPOINT, _LOG = "checkpoint.npz", "log.jsonl"
_END_BYTES = 1 << 20  # at the front and at the back of a film, enough to know it by

# Runs a subcommand with its arguments in a working directory, and returns its exit status.
Runner = Callable[[str, list[str], Path], int]


@dataclass(frozen=True)
class Settings:
    """What is asked for besides the clips."""

    minutes: float = 30.0  # for everything
    method: str = "auto"  # of extraction
    model_file: Path | None = None  # the person network; None for the user's cache
    seconds: float = 16.0  # of the dance
    seed: int | None = None  # of the dance; None draws one
    overwrite: bool = False  # begin anew, and replace a foreign file


@dataclass(frozen=True)
class Source:
    """A clip as it is given; known by its content, so that a file may be moved."""

    path: str
    key: str  # hash of what tells its content from another's
    fps: float  # frames per second, at most 30
    seconds: float  # of footage, 0 if unknown


def check_training() -> None:
    """Raises MissingExtra unless everything that training imports is installed.

    Nothing is imported: TensorFlow alone takes seconds.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    for module, package in (
        (backend, backend),
        ("keras", "keras"),
        ("keras_mdn_layer", "keras-mdn-layer"),
        ("matplotlib", "matplotlib"),
        ("onnx", "onnx"),
    ):
        if importlib.util.find_spec(module) is None:
            raise MissingExtra("Training", "train", package)


def make_dance(
    clips: Sequence[str],
    out: str | Path,
    folder: Path,
    settings: Settings,
    run: Runner | None = None,
) -> None:
    """Makes a dance from clips of a dancer, or goes on with one that was begun.

    Args:
        clips: films, or folders of pictures.
        out: the video to write.
        folder: the project; made if its parent exists.
        settings: see `Settings`.
        run: runs a stage; by default in a process of its own.

    Raises:
        UserError: a clip cannot be read, the project was begun with others, or a stage failed.
        KeyboardInterrupt: stopped; the same call goes on from there.
    """
    check_training()
    if settings.model_file is not None and not settings.model_file.is_file():
        raise UserError(f"There is no segmentation network at {settings.model_file}.")
    check_output(out, choose_format(out, None), settings.overwrite)
    sources = [_identify(clip) for clip in clips]
    with _lock(folder) as lock:
        _Project(folder, sources, Path(out), settings, run or _Processes(lock)).work()


class _Project:
    """The stages, and the record of those that are finished."""

    def __init__(
        self, folder: Path, sources: list[Source], out: Path, settings: Settings, run: Runner
    ) -> None:
        self.folder = folder
        self.sources = sources
        self.out = out
        self.settings = settings
        self.run = run
        self.frames = folder / "imgs"
        self.latents = folder / "latents.npz"
        self.go_on = "the same command goes on from there"
        if settings.overwrite:
            self.go_on = "the same command without --overwrite goes on from there"
        if settings.overwrite:
            self._clear()
        self.state = self._read()
        self.model = ModelFolder(folder / "weights" / self.state["name"])
        self._check_sources()

    def work(self) -> None:
        """Runs every stage that is not finished."""
        began = time.monotonic()
        todo = [source for source in self.sources if source.key not in self._extracted()]
        if self._finished("generate-video") and self.out.exists():
            terminal.say(
                f"{self.out} is finished already. Another dance of this model: "
                f"{_again(self.model.path)}"
            )
            return
        self._say_plan(todo)
        for source in todo:
            self._extract(source)
        self._plan_training()
        self._train("train-vae", ["--frames", self.frames.name, *_start_from()])
        self._stage(
            "encode-frames",
            [
                "--frames",
                str(self.frames),
                "--model",
                str(self.model.path),
                "--out",
                str(self.latents),
                "--overwrite",
            ],
        )
        self._train(
            "train-dancer",
            [
                "--latents",
                self.latents.name,
                "--neighbour-correction",
                f"{_GUARD:g}",
                *_start_from(),
            ],
        )
        self._generate()
        terminal.say(
            f"{self.out} is finished, after {terminal.format_seconds(time.monotonic() - began)}. "
            f"Another dance of this model: {_again(self.model.path)}"
        )

    # What is done, and how long the rest takes

    def _extracted(self) -> dict[str, Any]:
        return self.state["clips"]

    def _finished(self, stage: str) -> bool:
        return "seconds" in self.state["stages"].get(stage, {})

    def _training_began(self) -> bool:
        return "train-vae" in self.state["stages"]

    def _seconds_left(self) -> float:
        """Estimates the seconds that everything unfinished takes."""
        if not self._training_began():
            # Extraction is paid for out of the same minutes, unless it takes most of them.
            extracting = sum(
                self._extraction_seconds(source)
                for source in self.sources
                if source.key not in self._extracted()
            )
            ends = self._end_seconds()
            return extracting + ends + self._training_seconds(extracting)
        left = 0.0
        for stage in ("train-vae", "train-dancer"):
            if not self._finished(stage):
                record = self.state["stages"].get(stage, {})
                minutes = record.get("minutes", self.state["minutes"][stage])
                left += max(0.0, minutes * 60 - _trained_seconds(self.model, stage))
                left += _START_SECONDS
        if not self._finished("encode-frames"):
            left += self._encode_seconds()
        return left + self._generate_seconds()

    def _end_seconds(self) -> float:
        return self._encode_seconds() + self._generate_seconds() + 2 * _START_SECONDS

    def _encode_seconds(self) -> float:
        frames = 2 * sum(source.seconds * self.fps for source in self.sources)  # mirrored, too
        return frames / _ENCODED_PER_SECOND + _START_SECONDS

    def _generate_seconds(self) -> float:
        return self.settings.seconds * self.fps / _GENERATED_PER_SECOND + _START_SECONDS

    def _training_seconds(self, extracting: float) -> float:
        """Returns what extraction leaves of the minutes, given what is left of it."""
        total = 60 * self.settings.minutes
        spent = sum(clip["seconds"] for clip in self._extracted().values())
        return max(_LEAST_TRAINING * total, total - spent - extracting - self._end_seconds())

    def _extraction_seconds(self, source: Source) -> float:
        measured = [clip for clip in self._extracted().values() if clip["footage_seconds"]]
        rate = _EXTRACTED_PER_SECOND
        if measured:
            frames = sum(clip["footage_seconds"] for clip in measured) * self.fps
            rate = frames / max(1e-3, sum(clip["seconds"] for clip in measured))
        return source.seconds * self.fps / rate + _START_SECONDS

    def _say_plan(self, todo: list[Source]) -> None:
        finished = len(self.sources) - len(todo)
        kept = f"; {finished} of {len(self.sources)} clips are extracted" if finished else ""
        left = self._seconds_left()
        terminal.say(
            f"The project is in {self.folder}{kept}. Everything is finished in about "
            f"{terminal.format_seconds(left)}, at {_clock(left)}. Ctrl-C stops; {self.go_on}."
        )
        for source in todo:
            if not source.seconds:
                terminal.warn(f"{source.path} does not say how long it is, so this may be longer.")

    # The stages

    def _extract(self, source: Source) -> None:
        if source.key in self._extracted():  # the same film twice
            return
        index = len(self._extracted()) + 1
        self.folder.joinpath("reports").mkdir(exist_ok=True)
        # What a killed run left of this clip would be there twice.
        kept = max([clip["clips_after"] for clip in self._extracted().values()], default=0)
        FrameWriter(self.frames).keep(kept)
        # The rate in full: rounded up, it could pass that of one clip and fit the others.
        network = self.settings.model_file
        seconds = self._call(
            "extract-frames",
            [
                source.path,
                "--out",
                str(self.frames),
                "--fps",
                repr(self.fps),
                "--method",
                self.settings.method,
                "--mirror",
                "--report",
                str(self.folder / "reports" / f"footage_{index}"),
                *(["--model-file", str(network)] if network else []),
            ],
        )
        self._extracted()[source.key] = {
            "path": source.path,
            "seconds": seconds,
            "footage_seconds": source.seconds,
            "clips_after": len(FrameWriter(self.frames).clips),
        }
        self._write()

    def _plan_training(self) -> None:
        """Divides the time that is left; what a begun training was given stays as it was."""
        if "minutes" in self.state:
            return
        minutes = self._training_seconds(0.0) / 60
        self.state["minutes"] = {
            "train-vae": round(_VAE_SHARE * minutes, 2),
            "train-dancer": round((1 - _VAE_SHARE) * minutes, 2),
        }
        self._write()

    def _train(self, stage: str, arguments: list[str]) -> None:
        if self._finished(stage):
            return
        begun = stage in self.state["stages"]
        minutes = self.state["minutes"][stage]
        arguments = [*arguments, "--name", self.model.path.name, "--minutes", f"{minutes:g}"]
        if begun and (_training_folder(self.model, stage) / _CHECKPOINT).exists():
            arguments.append("--resume")
        else:
            arguments.append("--overwrite")
        self.state["stages"][stage] = {"minutes": minutes}
        self._write()
        # Training writes to `weights` of the working directory.
        self._stage(stage, arguments, self.folder)

    def _generate(self) -> None:
        arguments = [
            "--model",
            str(self.model.path),
            "--out",
            str(self.out),
            "--seconds",
            f"{self.settings.seconds:g}",
        ]
        if self.settings.seed is not None:
            arguments += ["--seed", str(self.settings.seed)]
        if self.settings.overwrite:
            arguments.append("--overwrite")
        self.state["stages"].pop("generate-video", None)
        self._stage("generate-video", arguments)

    def _stage(self, stage: str, arguments: list[str], where: Path = Path()) -> None:
        if self._finished(stage):
            return
        seconds = self._call(stage, arguments, where)
        self.state["stages"].setdefault(stage, {})["seconds"] = seconds
        self._write()

    def _call(self, command: str, arguments: list[str], where: Path = Path()) -> float:
        left = self._seconds_left()
        terminal.say(
            f"\n== {command}{f' in {where}' if where.parts else ''}: everything is finished in "
            f"about {terminal.format_seconds(left)}, at {_clock(left)} =="
        )
        began = time.monotonic()
        status = self.run(command, arguments, where)
        if status == terminal.INTERRUPTED:
            raise KeyboardInterrupt(f"What is finished is kept; {self.go_on}.")
        if status < 0:
            name = signal.Signals(-status).name
            why = " (often: there was not enough memory)" if -status == signal.SIGKILL else ""
            raise UserError(
                f"{command} was ended by {name}{why}. What is finished is kept in {self.folder}; "
                f"{self.go_on}."
            )
        if status:
            raise UserError(
                f"{command} failed, as it says above. What is finished is kept in {self.folder}; "
                f"mend that, and {self.go_on}."
            )
        return round(time.monotonic() - began, 1)

    # The record

    def _read(self) -> dict[str, Any]:
        path = self.folder / STATE
        if not path.exists():
            strangers = [entry.name for entry in self.folder.iterdir() if entry.name != LOCK]
            if strangers:
                raise UserError(
                    f"{self.folder} is no project: it has {strangers[0]!r} and no {STATE}; "
                    "choose another with --project."
                )
            self.fps = min(source.fps for source in self.sources)
            # The folder may be renamed later; its model keeps the name.
            name = self.folder.resolve().name.removesuffix("_project").lstrip(".-") or "model"
            return {
                "format": _FORMAT,
                "name": name.replace("\\", "_"),
                "fps": self.fps,
                "clips": {},
                "stages": {},
            }
        state = files.read_json(path, "record of a project")
        if not isinstance(state, dict) or state.get("format") != _FORMAT:
            raise UserError(
                f"{path} is not of the format this version of dancenet reads ({_FORMAT}); "
                "choose another --project, or say --overwrite to begin it anew."
            )
        self.fps = float(state["fps"])
        return state

    def _write(self) -> None:
        files.write_json(self.folder / STATE, self.state)

    def _check_sources(self) -> None:
        given = {source.key for source in self.sources}
        advice = "Choose another --project, or say --overwrite to begin this one anew."
        for key, clip in self._extracted().items():
            if key not in given:
                raise UserError(
                    f"{self.folder} was begun with {clip['path']}, which is not given now or has "
                    f"changed. Give the same clips again. {advice}"
                )
        for source in self.sources:
            if source.key in self._extracted():
                continue
            if self._training_began():
                raise UserError(
                    f"{self.folder} is being trained without {source.path}. Leave it out. {advice}"
                )
            if source.fps < self.fps:
                if self._extracted():
                    raise UserError(
                        f"{source.path} has {source.fps:g} frames/s, and {self.folder} was begun "
                        f"with {self.fps:g}. Leave it out. {advice}"
                    )
                self.fps = self.state["fps"] = source.fps
        self._write()

    def _clear(self) -> None:
        if not (self.folder / STATE).exists():
            return
        # The record goes last: until then the folder is known as a project.
        for path in (self.frames, self.folder / "reports", self.folder / "weights"):
            if path.is_dir():
                shutil.rmtree(path)
        self.latents.unlink(missing_ok=True)
        (self.folder / STATE).unlink()


def _identify(clip: str) -> Source:
    if camera_index(clip) is not None:
        raise UserError(
            f"A camera ({clip}) cannot be gone back to; record it first with "
            "`python scripts/extract_frames.py`, or give a film."
        )
    footage = open_footage(clip, _HIGHEST_FPS)
    return Source(clip, _content_key(Path(clip)), footage.fps, footage.expected_seconds or 0.0)


def _content_key(path: Path) -> str:
    """Hashes what is quick to read: names and sizes of a folder, size and ends of a file."""
    digest = hashlib.sha256()
    if path.is_dir():
        for entry in sorted(path.iterdir()):
            digest.update(f"{entry.name} {entry.stat().st_size}\n".encode())
    else:
        size = path.stat().st_size
        digest.update(f"{size}\n".encode())
        with open(path, "rb") as file:
            digest.update(file.read(_END_BYTES))
            file.seek(max(0, size - _END_BYTES))
            digest.update(file.read(_END_BYTES))
    return digest.hexdigest()


def _training_folder(model: ModelFolder, stage: str) -> Path:
    return model / TRAINING / stage.removeprefix("train-")


def _start_from() -> list[str]:
    """Returns the flags that begin with the bundled model, if it is there with its weights."""
    try:
        path = weights.find_model(BUNDLED)
    except UserError:
        return []
    whole = all((path / name).is_file() for name in (VAE_WEIGHTS, DANCER_WEIGHTS))
    return ["--start-from", str(path.absolute())] if whole else []


def _trained_seconds(model: ModelFolder, stage: str) -> float:
    """Returns how long a begun training has run, by its log."""
    path = _training_folder(model, stage) / _LOG
    if not path.exists():
        return 0.0
    lines = path.read_text(encoding="utf-8").splitlines()
    return float(json.loads(lines[-1]).get("seconds", 0.0)) if lines else 0.0


def _again(model: Path) -> str:
    return f"`python scripts/generate_video.py --model {shlex.quote(str(model))}`."


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M", time.localtime(time.time() + seconds))


@contextmanager
def _lock(folder: Path) -> Iterator[int | None]:
    """Holds a project for one run; yields the file descriptor that stands for it.

    A stage inherits it, so that the project stays taken while one is at work whose parent was
    killed.
    """
    if not folder.is_dir():
        if folder.exists():
            raise UserError(f"{folder} is a file; choose a folder with --project.")
        files.check_parent(folder)
        folder.mkdir()
    files.check_parent(folder / STATE)
    try:
        import fcntl
    except ImportError:  # Windows has no such lock; nor do its stages outlive their parent
        yield None
        return
    with open(folder / LOCK, "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"Another run is at work in {folder}; wait until it has ended, or choose another "
                "--project."
            ) from error
        yield file.fileno()


class _Processes:
    """Runs each stage in a process of its own, and passes signals on to it, once each.

    The process stands in a group of its own: a Ctrl-C at the terminal would otherwise reach it
    twice, which stages take for impatience.
    """

    def __init__(self, lock: int | None) -> None:
        self._lock = lock

    def __call__(self, command: str, arguments: list[str], where: Path = Path()) -> int:
        # Found where this package was found, whatever the working directory holds.
        root = str(Path(__file__).resolve().parent.parent)
        program = (
            f"import sys; sys.path.append({root!r}); "
            "from dancenet.cli import main; sys.exit(main())"
        )
        options: dict[str, Any] = {}
        if os.name == "posix":
            options = {"process_group": 0, "pass_fds": [self._lock] if self._lock else []}
        process: subprocess.Popen[bytes] | None = None
        received: list[int] = []

        def forward(number: int, frame: FrameType | None) -> None:
            received.append(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)
            if process is not None:
                process.send_signal(received[-1])

        def suspend(number: int, frame: FrameType | None) -> None:
            if process is not None:
                process.send_signal(signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
            if process is not None:
                process.send_signal(signal.SIGCONT)

        with _handlers(forward, suspend):
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", program, command, *arguments],
                stdin=subprocess.DEVNULL,
                cwd=where,
                **options,
            )
            if received:  # while it was being started
                process.send_signal(received[-1])
            return process.wait()


@contextmanager
def _handlers(forward: Callable[..., None], suspend: Callable[..., None]) -> Iterator[None]:
    handlers: dict[int, Any] = {signal.SIGINT: forward, signal.SIGTERM: forward}
    if os.name == "posix":
        handlers |= {signal.SIGHUP: forward, signal.SIGTSTP: suspend}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

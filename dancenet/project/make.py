"""From clips to a dance in one folder: every stage in turn, each begun where it was left.

    PROJECT/project.json    what is finished, and from which clips
    PROJECT/imgs/           the frames
    PROJECT/reports/        what the footage is like
    PROJECT/weights/NAME/   the model, with its training in training/
    PROJECT/latents.npz     the frames encoded

With joints, in place of frames, reports and latents:

    PROJECT/motions/N.npz   the joints of clip N, and its keypoints in N_keypoints.npz

A stage runs in a process of its own, so that its memory is free when the next one begins.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dancenet.data.frames.clips import check_trainable
from dancenet.data.frames.writer import FrameWriter
from dancenet.model import releases
from dancenet.model.folder import DANCER_WEIGHTS, VAE_WEIGHTS, ModelFolder, made_files
from dancenet.output.video_writer import check_output, choose_format
from dancenet.project.plan import CHECKPOINT, Plan, training_folder
from dancenet.project.processes import Processes, locked
from dancenet.project.record import STATE, ExtractedClip, Record, Source, Stage, identify
from dancenet.support import files, signals, terminal
from dancenet.support.errors import TRAINING_MEMORY, MissingExtra, UserError, check_memory
from dancenet.support.names import as_argument, quoted
from dancenet.support.wording import command, option

MOTIONS = "motions"  # the folder of joints
_MOTION = re.compile(r"[0-9]+(_keypoints)?\.npz")
_REPORT = re.compile(r"footage_[0-9]+\.(txt|png)")

BUNDLED = "silhouette_v2"  # it has seen many bodies move; beginning with it saves most of the time

# Clips are minutes at most, and leave much between their poses.
NEIGHBOUR_CORRECTION = 0.1

# Exit statuses of a stage that was stopped: it said so, or the signal came before it could.
_STOPPED = {status for number in signals.STOPPING for status in (128 + number, -number)}
# How processes end when there is no memory: by the system, by C++, by a library that trusts it.
_NO_MEMORY = ("SIGKILL", "SIGABRT", "SIGSEGV", "SIGBUS")

_FEW_MINUTES = 5.0

# Runs a subcommand with its arguments in a working directory, and returns its exit status.
Runner = Callable[[str, list[str], Path], int]


@dataclass(frozen=True)
class Settings:
    """The settings of a project."""

    minutes: float = 30.0  # for everything
    method: str = "auto"  # how the dancer is found
    model_file: Path | None = None  # the networks that find people; None for the user's cache
    joints: bool = False  # whether joints dance, and not silhouettes
    seconds: float = 16.0  # length of the dance
    seed: int | None = None  # None draws one
    overwrite: bool = False  # begin anew, and replace a foreign file


def check_training() -> None:
    """Raises UserError unless everything that training imports is installed and can be loaded.

    Nothing is imported: TensorFlow alone takes seconds.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend == "tensorflow":
        check_memory(TRAINING_MEMORY, "Training")
    for module, package in (
        (backend, backend),
        ("keras", "keras"),
        ("keras_mdn_layer", "keras-mdn-layer"),
        ("matplotlib", "matplotlib"),
        ("onnx", "onnx"),
        ("sklearn", "scikit-learn"),
    ):
        _require(module, package, "Training", "train")


def _require(module: str, package: str, step: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise MissingExtra(step, extra, package)


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
    if settings.joints and settings.method != "auto":
        raise UserError(
            f"{option('method', settings.method)} is how silhouettes are found; leave it out, or "
            f"{option('space', 'skeleton')}."
        )
    if settings.method == "person" or settings.joints:
        _require("ai_edge_litert", "ai-edge-litert", "Person segmentation", "person")
    given = settings.model_file
    if given is not None and settings.joints and not given.is_dir():
        raise UserError(
            f"{quoted(given)} is no folder; with {option('space', 'skeleton')}, name the one that "
            "holds pose_detection.tflite and pose_landmark_full.tflite."
        )
    if given is not None and not given.exists():
        raise UserError(f"There is no network at {quoted(given)}.")
    check_output(out, choose_format(out, None), settings.overwrite)
    files.check_apart(out, clips)
    sources = [identify(clip) for clip in clips]
    with (
        signals.saying(lambda: "What is finished is kept; the same command goes on from there."),
        locked(folder) as lock,
    ):
        kind: type[Project] = Project
        if settings.joints:
            from dancenet.project.joints import JointsProject

            kind = JointsProject
        kind(folder, sources, Path(out), settings, run or Processes(lock)).work()


class Project:
    """Runs the stages of a project and records those that are finished.

    These are the stages of silhouettes; `project.joints` has those of joints.
    """

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
            self.go_on = f"the same command without {option('overwrite')} goes on from there"
            if (folder / STATE).exists():
                # First: a kill in between leaves a project in which nothing is finished.
                name = _name_of(folder, sources)
                Record.begin(folder, sources, settings.joints).write(folder)
                self._clear(name)
        self.record = Record.read(folder, sources, settings.joints)
        self.record.take(sources, folder)
        self._write()
        self.model = ModelFolder(folder / "weights" / self.record.name)
        self.plan = Plan(
            record=self.record,
            sources=sources,
            model=self.model,
            minutes=settings.minutes,
            dance_seconds=settings.seconds,
        )

    def work(self) -> None:
        """Runs every stage that is not finished."""
        began = time.monotonic()
        todo = [source for source in self.sources if source.key not in self.record.clips]
        if self._is_finished():
            terminal.say(
                f"{quoted(self.out)} is finished already. Another dance of this model: "
                f"{_again(self.model.path)}"
            )
            return
        self._check_place()
        self._say_plan(todo)
        for source in todo:
            self._extract(source)
        self._check_dataset()
        if self.record.minutes is None:  # what a begun training was given stays as it was
            self.record.minutes = self.plan.divide()
            self._write()
        self._train_all()
        self._generate()
        terminal.say(
            f"{quoted(self.out)} is finished, after "
            f"{terminal.format_seconds(time.monotonic() - began)}. Another dance of this model: "
            f"{_again(self.model.path)}"
        )

    def _is_finished(self) -> bool:
        return self.record.is_finished("generate-video") and self.out.exists()

    def _check_dataset(self) -> None:
        """Raises UserError if what was extracted is too little to train on."""
        if not self.record.is_finished("train-dancer"):
            check_trainable(FrameWriter(self.frames).clips, self.frames)

    def _train_all(self) -> None:
        self._train("train-vae", ["--frames", self.frames.name, *start_from(BUNDLED)])
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
                f"{NEIGHBOUR_CORRECTION:g}",
                *start_from(BUNDLED),
            ],
        )

    def _places(self) -> Sequence[Path]:
        """Returns the files and folders that the stages write."""
        return (self.folder, self.frames, self.folder / "reports", self.model.path, self.latents)

    def _check_place(self) -> None:
        """Raises UserError unless every stage can write, and the disk has room for all of them."""
        for place in self._places():
            if place.exists() and not os.access(place, os.W_OK):
                raise UserError(
                    f"{quoted(place)} cannot be written; mend its permissions, or choose another "
                    f"{option('project')}."
                )
        files.check_space(
            self.folder,
            self.plan.bytes_left(),
            "the frames and the model",
            f"free some, or choose a {option('project')} on another disk",
        )

    def _say_plan(self, todo: list[Source]) -> None:
        finished = len(self.sources) - len(todo)
        kept = f"; {finished} of {len(self.sources)} clips are extracted" if finished else ""
        left = self.plan.seconds_left()
        terminal.say(
            f"The project is in {quoted(self.folder)}{kept}. Everything is finished in about "
            f"{terminal.format_seconds(left)}, at {_clock(left)}. Ctrl-C stops; {self.go_on}."
        )
        if self.settings.minutes < _FEW_MINUTES:
            terminal.warn(
                f"{option('minutes', f'{self.settings.minutes:g}')} are enough to try it out, and "
                "too few for a good dance."
            )
        if todo and any(source.fps > self.record.fps for source in self.sources):
            slowest = min(self.sources, key=lambda source: source.fps)
            fastest = max(source.fps for source in self.sources)
            terminal.say(
                f"footage: every clip is read at {self.record.fps:g} frames/s, the rate of "
                f"{quoted(slowest.path)}; without it up to {fastest:g} are possible."
            )
        for source in todo:
            if not source.seconds:
                terminal.warn(
                    f"{quoted(source.path)} does not say how long it is, so this may be longer."
                )

    def _extract(self, source: Source) -> None:
        if source.key in self.record.clips:  # the same film twice
            return
        index = len(self.record.clips) + 1
        self.folder.joinpath("reports").mkdir(exist_ok=True)
        # What a killed run left of this clip would be there twice.
        kept = max([clip.clips_after for clip in self.record.clips.values()], default=0)
        FrameWriter(self.frames).keep(kept)
        # The rate in full: rounded up, it could pass that of one clip and fit the others.
        network = self.settings.model_file
        seconds = self._call(
            "extract-frames",
            [
                as_argument(source.path),
                "--out",
                str(self.frames),
                "--fps",
                repr(self.record.fps),
                "--method",
                self.settings.method,
                "--mirror",
                "--report",
                str(self.folder / "reports" / f"footage_{index}"),
                *(["--model-file", str(network)] if network else []),
            ],
        )
        self.record.clips[source.key] = ExtractedClip(
            path=source.path,
            seconds=seconds,
            footage_seconds=source.seconds,
            clips_after=len(FrameWriter(self.frames).clips),
        )
        self._write()

    def _train(self, stage: str, arguments: list[str]) -> None:
        if self.record.is_finished(stage):
            return
        begun = stage in self.record.stages
        assert self.record.minutes is not None
        minutes = self.record.minutes[stage]
        arguments = [*arguments, "--name", self.model.path.name, "--minutes", f"{minutes:g}"]
        if begun and (training_folder(self.model.path, stage) / CHECKPOINT).exists():
            arguments.append("--resume")
        else:
            arguments.append("--overwrite")
        self.record.stages[stage] = Stage(minutes=minutes)
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
        self.record.stages.pop("generate-video", None)
        self._stage("generate-video", arguments)

    def _stage(self, stage: str, arguments: list[str], where: Path = Path()) -> None:
        if self.record.is_finished(stage):
            return
        seconds = self._call(stage, arguments, where)
        self.record.stages.setdefault(stage, Stage()).seconds = seconds
        self._write()

    def _call(self, command: str, arguments: list[str], where: Path = Path()) -> float:
        signals.check()  # one may have come when the last stage had just ended
        left = self.plan.seconds_left()
        terminal.say(
            f"\n== {command}{f' in {quoted(where)}' if where.parts else ''}: everything is "
            f"finished in about {terminal.format_seconds(left)}, at {_clock(left)} =="
        )
        began = time.monotonic()
        status = self.run(command, arguments, where)
        if status in _STOPPED:
            raise signals.Stopped(f"What is finished is kept; {self.go_on}.")
        if status < 0:
            name = signal.Signals(-status).name
            why = " (often: there was not enough memory)" if name in _NO_MEMORY else ""
            raise UserError(
                f"{command} was ended by {name}{why}. What is finished is kept in "
                f"{quoted(self.folder)}; {self.go_on}."
            )
        if status:
            raise UserError(
                f"{command} failed, as it says above. What is finished is kept in "
                f"{quoted(self.folder)}; mend that, and {self.go_on}."
            )
        return round(time.monotonic() - began, 1)

    def _write(self) -> None:
        self.record.write(self.folder)

    def _clear(self, name: str) -> None:
        """Removes what a project made; what somebody else put there stays."""
        self._clear_dataset()
        reports = self.folder / "reports"
        files.remove_files(
            [path for path in reports.glob("footage_*") if _REPORT.fullmatch(path.name)], reports
        )
        model = self.folder / "weights" / name
        if not model.is_symlink():
            files.remove_files(made_files(model), model)
        files.remove_files([], self.folder / "weights")
        self.latents.unlink(missing_ok=True)

    def _clear_dataset(self) -> None:
        if self.frames.is_dir():
            FrameWriter(self.frames).clear()
        motions = self.folder / MOTIONS
        files.remove_files(
            [path for path in motions.glob("*.npz") if _MOTION.fullmatch(path.name)], motions
        )


def _name_of(folder: Path, sources: Sequence[Source]) -> str:
    """Returns the name of a project's model."""
    try:
        return Record.read(folder, sources).name
    except UserError:  # damaged; then as it would be called today
        return Record.begin(folder, sources).name


def start_from(model: str, weights: Sequence[str] = (VAE_WEIGHTS, DANCER_WEIGHTS)) -> list[str]:
    """Returns the flags that begin with a bundled model, if it is there with its weights."""
    try:
        path = releases.find_model(model)
    except UserError:
        return []
    whole = all((path / name).is_file() for name in weights)
    return ["--start-from", str(path.absolute())] if whole else []


def _again(model: Path) -> str:
    return command("generate-video", "--model", model) + "."


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M", time.localtime(time.time() + seconds))

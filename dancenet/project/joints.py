"""The stages of a project of joints: keypoints, joints in space, a dancer, its dance in files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from dancenet.data.people import poses
from dancenet.data.people.lift import lift_poses
from dancenet.model.folder import DANCER_WEIGHTS
from dancenet.project.make import MOTIONS, NEIGHBOUR_CORRECTION, Project, start_from
from dancenet.project.record import ExtractedClip, Source, Stage
from dancenet.support import files, terminal
from dancenet.support.errors import UserError
from dancenet.support.names import as_argument, quoted
from dancenet.support.wording import option

BUNDLED_JOINTS = "skeleton_v1"  # it knows how bodies move

_RATE = 30.0  # frames per second of the joints, as those of the bundled model
_REHEARSED = 0.5  # share of the windows in which the bundled model dances
_LEAST_SECONDS = 3.0  # of joints in a row that teach something
_FORMATS = ("bvh", "html")  # written beside the video


class JointsProject(Project):
    """Runs the stages of a project of joints; see `project.make.Project`."""

    @property
    def _motions(self) -> Path:
        return self.folder / MOTIONS

    def _places(self) -> Sequence[Path]:
        return (self.folder, self._motions, self.model.path)

    def _others(self) -> list[Path]:
        """Returns the files of the dance beside the video."""
        return [self.out.with_suffix(f".{ending}") for ending in _FORMATS]

    def _is_finished(self) -> bool:
        return super()._is_finished() and all(
            self.record.is_finished(_stage_of(path)) and path.exists() for path in self._others()
        )

    def _check_place(self) -> None:
        super()._check_place()
        for path in self._others():
            # One that a stopped run of this project left may be replaced.
            if _stage_of(path) not in self.record.stages:
                files.check_overwrite(path, self.settings.overwrite)

    def _extract(self, source: Source) -> None:
        if source.key in self.record.clips:  # the same film twice
            return
        index = len(self.record.clips) + 1
        self._motions.mkdir(exist_ok=True)
        keypoints = self._motions / f"{index}_keypoints.npz"
        network = self.settings.model_file
        began = time.monotonic()
        self._call(
            "estimate-pose",
            [
                as_argument(source.path),
                "--out",
                str(keypoints),
                "--overwrite",  # what a stopped run left
                *(["--model-file", str(network)] if network else []),
            ],
        )
        clip = lift_poses(poses.read_npz(keypoints), source.path, rate=_RATE)
        clip.save(self._motions / f"{index}.npz", overwrite=True)
        good = clip.ok.mean()
        terminal.say(
            f"{quoted(source.path)}: {clip.num_frames / clip.fps:.1f} s of joints"
            + (f"; nobody was seen for {1 - good:.0%} of them" if good < 1 else "")
            + "."
        )
        self.record.clips[source.key] = ExtractedClip(
            path=source.path,
            seconds=round(time.monotonic() - began, 1),
            footage_seconds=source.seconds,
            clips_after=index,
        )
        self._write()

    def _motion_files(self) -> list[Path]:
        return [self._motions / f"{i + 1}.npz" for i in range(len(self.record.clips))]

    def _check_dataset(self) -> None:
        if self.record.is_finished("train-dancer"):
            return
        from dancenet.data.mocap.read import read_skeleton

        longest = 0.0
        for path in self._motion_files():
            clip = read_skeleton(path)
            runs = [len(run) / clip.fps for run, _ in clip.good_runs()]
            longest = max([longest, *runs])
        if longest < _LEAST_SECONDS:
            raise UserError(
                f"The clips show a dancer for {longest:.1f} s in a row at most, and "
                f"{_LEAST_SECONDS:g} s are needed. Film the whole body, in even light, and begin "
                f"again with {option('overwrite')}."
            )

    def _train_all(self) -> None:
        beginning = start_from(BUNDLED_JOINTS, (DANCER_WEIGHTS,))
        if beginning:
            beginning += ["--rehearse", f"{_REHEARSED:g}"]
        motions = [str(path.relative_to(self.folder)) for path in self._motion_files()]
        self._train(
            "train-dancer",
            [
                *motions,
                "--space",
                "skeleton",
                "--mirror",
                "--fps",
                f"{_RATE:g}",
                "--keep",
                "best",
                "--neighbour-correction",
                f"{NEIGHBOUR_CORRECTION:g}",
                *beginning,
            ],
        )

    def _generate(self) -> None:
        if not super()._is_finished():
            super()._generate()
            for path in self._others():  # what is there is of another dance
                if _stage_of(path) in self.record.stages:
                    self.record.stages[_stage_of(path)] = Stage()
        for path in self._others():
            stage = _stage_of(path)
            if self.record.is_finished(stage) and path.exists():
                continue
            begun = stage in self.record.stages
            self.record.stages[stage] = Stage()
            self._write()
            replace = ["--overwrite"] if begun or self.settings.overwrite else []
            seconds = self._call(
                "generate-video",
                [
                    "--replay",
                    str(self.out),
                    "--model",
                    str(self.model.path),
                    "--format",
                    path.suffix.lstrip("."),
                    "--out",
                    str(path),
                    *replace,
                ],
            )
            self.record.stages[stage].seconds = seconds
            self._write()


def _stage_of(path: Path) -> str:
    """Returns the name of the stage that writes a file beside the video."""
    return f"write-{path.suffix.lstrip('.')}"

"""A project of joints: each clip is lifted once, and the dance is a video, a .bvh and a page."""

from __future__ import annotations

import json
from pathlib import Path

import bodies
import cv2
import numpy as np
import pytest

from dancenet.data.mocap.read import read_skeleton
from dancenet.data.people import poses
from dancenet.data.people.landmarks import COCO_NAMES
from dancenet.model.folder import ModelFolder
from dancenet.output.video_writer import VideoWriter
from dancenet.project import joints
from dancenet.project import make as project
from dancenet.project.plan import Plan
from dancenet.project.record import Record, Source
from dancenet.support.errors import UserError
from scripts import make_dance

STAGES = ["estimate-pose", "train-dancer", "generate-video", "generate-video", "generate-video"]


class Stages:
    """Stands for the subcommands: leaves what they leave, and can stop in the middle."""

    def __init__(self):
        self.calls = []
        self.stop_at = None  # the number of a call, from 0
        self.seconds = 4.0  # that the dancer of each clip is seen

    @property
    def names(self):
        return [name for name, _ in self.calls]

    def value(self, name, flag):
        arguments = next(given for called, given in self.calls if called == name)
        return arguments[arguments.index(flag) + 1]

    def __call__(self, command, arguments, where):
        self.calls.append((command, arguments))
        options = dict(zip(arguments, arguments[1:]))
        if self.stop_at == len(self.calls) - 1:
            return 130
        if command == "estimate-pose":
            self.see(Path(options["--out"]))
        if command == "train-dancer":
            folder = ModelFolder(where / "weights" / options["--name"])
            (folder.training / "dancer").mkdir(parents=True)
            (folder.training / "dancer" / "checkpoint.npz").touch()
        if command == "generate-video":
            out = Path(options["--out"])
            if out.suffix == ".gif":
                with VideoWriter(out, fps=30, size=(16, 16), format="gif", settings={}) as video:
                    video.write(np.zeros((16, 16), np.uint8))
            else:
                out.write_text("a dance")
        return 0

    def see(self, path):
        seen = bodies.film(bodies.turning(round(25 * self.seconds))).astype(np.float32)
        found = poses.Poses(COCO_NAMES, seen[:, None, :, :2], seen[:, None, :, 2], (800, 600), 25.0)
        poses.write_npz(path, found, overwrite=True)


@pytest.fixture
def stages():
    return Stages()


@pytest.fixture(autouse=True)
def clips(tmp_path, monkeypatch):
    """Two folders of pictures that differ, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for index, name in enumerate(("one", "two")):
        (tmp_path / name).mkdir()
        for number in range(1, 61 + index):
            cv2.imwrite(f"{name}/{number}.png", np.full((24, 32, 3), 255, np.uint8))
    return ["one", "two"]


def make(stages, clips, out="dance.gif", **settings):
    settings = project.Settings(joints=True, **settings)
    project.make_dance(clips, out, Path("dance_project"), settings, stages)


def test_each_clip_becomes_joints_and_the_dance_three_files(stages, clips):
    make(stages, clips)
    assert stages.names == [STAGES[0], *STAGES]
    for number in (1, 2):
        clip = read_skeleton(f"dance_project/motions/{number}.npz")
        assert clip.is_body and clip.fps == 30.0  # the dancer's rate, of a film at 25
    for ending in ("gif", "bvh", "html"):
        assert Path(f"dance.{ending}").exists()


def test_the_dancer_begins_with_the_bundled_one_and_rehearses_it(stages, clips):
    make(stages, clips)
    arguments = next(given for name, given in stages.calls if name == "train-dancer")
    assert arguments[:2] == ["motions/1.npz", "motions/2.npz"] and "--mirror" in arguments
    assert stages.value("train-dancer", "--space") == "skeleton"
    assert Path(stages.value("train-dancer", "--start-from")).name == joints.BUNDLED_JOINTS
    assert stages.value("train-dancer", "--rehearse") == "0.5"


def test_the_files_beside_the_video_are_of_the_same_dance(stages, clips):
    make(stages, clips, seed=7)
    made, bvh, page = (given for name, given in stages.calls if name == "generate-video")
    assert made[made.index("--seed") + 1] == "7"
    for given, ending in ((bvh, "bvh"), (page, "html")):
        assert (
            given[:2] == ["--replay", "dance.gif"] and given[given.index("--format") + 1] == ending
        )


def test_a_finished_project_does_nothing_more(stages, clips, capsys):
    make(stages, clips)
    stages.calls.clear()
    make(stages, clips)
    assert stages.calls == [] and "finished already" in capsys.readouterr().out


@pytest.mark.parametrize("removed, calls", [("gif", 3), ("bvh", 1), ("html", 1)])
def test_a_file_that_was_removed_is_made_again(stages, clips, removed, calls):
    make(stages, clips)
    stages.calls.clear()
    Path(f"dance.{removed}").unlink()
    make(stages, clips)
    assert stages.names == ["generate-video"] * calls


@pytest.mark.parametrize("call", range(5))
def test_a_stopped_project_goes_on_with_the_stage_it_stopped_in(stages, clips, call):
    stages.stop_at = call
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        make(stages, clips[:1])
    assert len(stages.calls) == call + 1
    stages.stop_at = None
    stages.calls.clear()
    make(stages, clips[:1])
    assert stages.names == STAGES[call:]


def test_another_programs_file_beside_the_video_is_told_before_anything_is_done(stages, clips):
    Path("dance.bvh").write_text("mine")
    with pytest.raises(UserError, match="dance.bvh exists already"):
        make(stages, clips)
    assert stages.calls == [] and Path("dance.bvh").read_text() == "mine"


def test_too_little_of_a_dancer_is_told_before_the_training(stages, clips):
    stages.seconds = 2.0
    with pytest.raises(UserError, match="for 2.0 s in a row at most, and 3 s are needed"):
        make(stages, clips)
    assert "train-dancer" not in stages.names


def test_a_project_of_silhouettes_is_not_gone_on_with_as_one_of_joints(stages, clips):
    make(stages, clips)
    with pytest.raises(UserError, match="was begun with space='skeleton'; say so again, or choose"):
        project.make_dance(clips, "other.gif", Path("dance_project"), project.Settings(), stages)


def test_begun_anew_nothing_of_the_old_project_is_left(stages, clips):
    make(stages, clips)
    Path("dance_project/motions/mine.npz").touch()
    stages.calls.clear()
    make(stages, clips[:1], overwrite=True)
    assert stages.names == STAGES
    held = {path.name for path in Path("dance_project/motions").iterdir()}
    assert held == {"1.npz", "1_keypoints.npz", "mine.npz"}


def test_how_silhouettes_are_found_is_no_matter_of_joints(stages, clips):
    with pytest.raises(UserError, match="method='threshold' is how silhouettes are found"):
        make(stages, clips, method="threshold")
    with pytest.raises(UserError, match="x.tflite is no folder"):
        make(stages, clips, model_file=Path("x.tflite"))
    Path("networks").mkdir()
    make(stages, clips, model_file=Path("networks"))
    assert stages.value("estimate-pose", "--model-file") == "networks"


def test_all_minutes_but_those_of_the_other_stages_train_the_dancer(stages, clips):
    make(stages, clips, minutes=30.0)
    assert 28.0 < float(stages.value("train-dancer", "--minutes")) < 30.0


def test_an_estimate_is_there_before_anything_is_known(tmp_path):
    source = Source("a.mp4", "key", 30.0, 60.0)
    record = Record("model", 30.0, joints=True)
    plan = Plan(record, [source], ModelFolder(tmp_path / "m"), 30.0, 16.0)
    assert plan.seconds_left() == pytest.approx(30 * 60)
    assert plan.divide().keys() == {"train-dancer"}


def test_a_record_says_its_space_and_an_older_one_is_of_silhouettes(tmp_path):
    Record("model", 30.0, joints=True).write(tmp_path)
    assert Record.read(tmp_path, [], True).joints
    Record("model", 30.0).write(tmp_path)
    assert "joints" not in json.loads((tmp_path / "project.json").read_text())
    assert not Record.read(tmp_path, []).joints


def test_the_script_takes_the_space(monkeypatch):
    taken = {}
    monkeypatch.setattr(
        project, "make_dance", lambda clips, out, folder, settings: taken.update(vars(settings))
    )
    assert make_dance.main(["one", "--space", "skeleton"]) == 0
    assert taken["joints"] is True

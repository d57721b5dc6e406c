"""A project knows what is finished, goes on from there, and refuses clips that are not its own."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from dancenet.data.frames.folder import FrameFolder
from dancenet.data.frames.picture import HEIGHT, WIDTH
from dancenet.data.frames.writer import FrameWriter
from dancenet.model.config import ModelConfig
from dancenet.model.folder import ModelFolder
from dancenet.output.video_writer import VideoWriter
from dancenet.project import make as project
from dancenet.project import processes, record
from dancenet.support import files
from dancenet.support.errors import MissingExtra, UserError
from scripts import make_dance

STAGES = ["extract-frames", "train-vae", "encode-frames", "train-dancer", "generate-video"]


class Stages:
    """Stands for the subcommands: leaves what they leave, and can stop in the middle."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str]]] = []
        self.stop_in: str | None = None
        self.status = 130

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def arguments(self, name: str) -> list[str]:
        return next(arguments for called, arguments in reversed(self.calls) if called == name)

    def value(self, name: str, flag: str) -> str:
        arguments = self.arguments(name)
        return arguments[arguments.index(flag) + 1]

    def __call__(self, command: str, arguments: list[str], where: Path) -> int:
        self.calls.append((command, arguments))
        options = dict(zip(arguments, arguments[1:]))
        if command == "extract-frames":
            self.add_clip(Path(options["--out"]), arguments[0], float(options["--fps"]))
        if command == "train-vae":
            folder = ModelFolder(where / "weights" / options["--name"])
            (folder.training / "vae").mkdir(parents=True, exist_ok=True)
            (folder.training / "vae" / "checkpoint.npz").touch()
            folder.write_config(ModelConfig(name="model"))
        if command == "train-dancer":
            place = ModelFolder(where / "weights" / options["--name"]).training / "dancer"
            place.mkdir(exist_ok=True)
            (place / "checkpoint.npz").touch()
        if self.stop_in == command:
            return self.status
        if command == "extract-frames":
            self.add_clip(Path(options["--out"]), arguments[0], float(options["--fps"]))
        if command == "generate-video":
            with VideoWriter(
                options["--out"], fps=30, size=(16, 16), format="gif", settings={}
            ) as video:
                video.write(np.zeros((16, 16), np.uint8))
        return 0

    @staticmethod
    def add_clip(folder: Path, source: str, fps: float) -> None:
        frames = np.full((24, HEIGHT, WIDTH), 255, np.uint8)
        FrameWriter(folder).add_clip(frames, source=source, fps=fps, method="threshold")


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


def make(stages, clips, folder="dance_project", out="dance.gif", **settings):
    project.make_dance(clips, out, Path(folder), project.Settings(**settings), stages)


def test_the_stages_run_in_the_order_of_the_path(stages, clips):
    make(stages, clips)
    assert stages.names == [STAGES[0], *STAGES]
    assert Path("dance.gif").exists()


def test_the_clip_that_lowers_the_rate_of_all_is_named(stages, clips, capsys, monkeypatch):
    rates = iter((30.0, 15.0))

    def identify(clip):
        return dataclasses.replace(record.identify(clip), fps=next(rates))

    monkeypatch.setattr(project, "identify", identify)
    make(stages, clips)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("footage:")]
    assert said == [
        "footage: every clip is read at 15 frames/s, the rate of two; without it up to 30 are "
        "possible."
    ]


def test_clips_of_one_rate_need_no_word_about_it(stages, clips, capsys):
    make(stages, clips)
    assert "footage:" not in capsys.readouterr().out


def test_a_network_that_is_given_is_passed_on_and_one_that_is_not_there_is_told(stages, clips):
    with pytest.raises(UserError, match="There is no network at none.tflite"):
        make(stages, clips, model_file=Path("none.tflite"))
    assert stages.calls == [] and not Path("dance_project").exists()
    Path("network.tflite").touch()
    make(stages, clips, model_file=Path("network.tflite"))
    assert stages.value("extract-frames", "--model-file") == "network.tflite"


def test_both_networks_begin_with_the_bundled_model_and_the_clips_are_mirrored(stages, clips):
    make(stages, clips)
    assert "--mirror" in stages.arguments("extract-frames")
    for stage in ("train-vae", "train-dancer"):
        assert Path(stages.value(stage, "--start-from")).name == project.BUNDLED


def test_a_finished_project_does_nothing_more(stages, clips, capsys):
    make(stages, clips)
    stages.calls.clear()
    make(stages, clips)
    assert stages.calls == []
    assert "finished already" in capsys.readouterr().out


def test_a_dance_that_was_removed_is_made_again(stages, clips):
    make(stages, clips)
    stages.calls.clear()
    Path("dance.gif").unlink()
    make(stages, clips)
    assert stages.names == ["generate-video"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stopped_project_goes_on_with_the_stage_it_stopped_in(stages, clips, stage):
    stages.stop_in = stage
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        make(stages, clips)
    stages.stop_in = None
    stages.calls.clear()
    make(stages, clips)
    assert stages.names[-1] == "generate-video"
    assert (
        stages.names == ([STAGES[0]] if stage == STAGES[0] else []) + STAGES[STAGES.index(stage) :]
    )


@pytest.mark.parametrize("stage", ["train-vae", "train-dancer"])
def test_a_training_is_begun_once_and_then_resumed_with_the_same_minutes(stages, clips, stage):
    stages.stop_in = stage
    with pytest.raises(KeyboardInterrupt):
        make(stages, clips)
    assert "--resume" not in stages.arguments(stage)
    minutes = stages.value(stage, "--minutes")
    stages.stop_in = None
    make(stages, clips, minutes=5.0)
    assert "--resume" in stages.arguments(stage)
    assert stages.value(stage, "--minutes") == minutes


def test_a_training_that_left_nothing_is_begun_again(stages, clips):
    stages.stop_in = "encode-frames"
    with pytest.raises(KeyboardInterrupt):
        make(stages, clips)
    state = json.loads(Path("dance_project/project.json").read_text())
    state["stages"] = {"train-vae": {"minutes": 1.0}}
    files.write_json("dance_project/project.json", state)
    Path("dance_project/weights/dance/training/vae/checkpoint.npz").unlink()
    stages.stop_in = None
    make(stages, clips)
    assert "--resume" not in stages.arguments("train-vae")


def test_clips_of_a_stopped_extraction_are_not_there_twice(stages, clips):
    stages.stop_in = "extract-frames"
    for given in (clips[:1], clips):
        with pytest.raises(KeyboardInterrupt):
            make(stages, given)
    stages.stop_in = None
    make(stages, clips)
    found = FrameFolder.open("dance_project/imgs").clips
    assert [clip.source for clip in found] == ["one", "one", "two", "two"]  # two each: cuts


def test_a_film_given_twice_is_extracted_once(stages):
    make(stages, ["one", "one"])
    assert stages.names == STAGES


def test_training_gets_what_extraction_leaves(stages, clips):
    make(stages, clips, minutes=30.0)
    minutes = [float(stages.value(name, "--minutes")) for name in ("train-vae", "train-dancer")]
    assert 28.0 < sum(minutes) < 30.0


def test_training_gets_at_least_half_of_the_time(stages, clips):
    make(stages, clips, minutes=0.1)
    minutes = [float(stages.value(name, "--minutes")) for name in ("train-vae", "train-dancer")]
    assert sum(minutes) == pytest.approx(0.05, abs=0.011)


def test_other_clips_are_refused(stages, clips):
    make(stages, clips)
    with pytest.raises(UserError, match="begun with two, which is not given now"):
        make(stages, clips[:1])


def test_a_clip_that_changed_is_refused(stages, clips):
    make(stages, clips)
    Path("one/61.png").write_bytes(Path("one/1.png").read_bytes() + b"\0")
    with pytest.raises(UserError, match="begun with one, .* has changed"):
        make(stages, clips)


def test_a_clip_that_comes_after_training_began_is_refused(stages, clips):
    make(stages, clips[:1])
    with pytest.raises(UserError, match="being trained without two"):
        make(stages, clips)


def test_a_clip_that_moved_is_known_by_its_content(stages, clips):
    make(stages, clips)
    stages.calls.clear()
    Path("one").rename("uno")
    make(stages, ["uno", "two"])
    assert stages.calls == []


def test_a_project_may_be_renamed(stages, clips):
    stages.stop_in = "train-dancer"
    with pytest.raises(KeyboardInterrupt):
        make(stages, clips)
    Path("dance_project").rename("salsa_project")
    stages.stop_in = None
    make(stages, clips, folder="salsa_project")
    assert stages.value("train-dancer", "--name") == "dance"
    assert stages.value("generate-video", "--model") == "salsa_project/weights/dance"


def test_overwrite_begins_anew(stages, clips):
    make(stages, clips)
    stages.calls.clear()
    make(stages, clips[:1], overwrite=True)
    assert stages.names == STAGES
    assert "--resume" not in stages.arguments("train-vae")
    assert len(FrameFolder.open("dance_project/imgs").clips) == 2


def test_overwrite_keeps_what_the_project_did_not_make(stages, clips):
    make(stages, clips)
    mine = [
        Path("dance_project", *place)
        for place in (
            ("notes.txt",),
            ("imgs", "notes.txt"),
            ("imgs", ".hidden"),
            ("reports", "mine.txt"),
            ("weights", "dance", "training", "vae", "good", "checkpoint.npz"),
            ("weights", "another", "config.txt"),
        )
    ]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    make(stages, clips[:1], overwrite=True)
    assert [path.read_text() for path in mine] == ["mine"] * len(mine)
    assert len(FrameFolder.open("dance_project/imgs").clips) == 2


def test_an_output_that_is_a_clip_is_refused(stages, clips, tmp_path):
    make(stages, clips)
    os.link("dance.gif", "other.gif")
    with pytest.raises(UserError, match="both the source and the output"):
        make(stages, ["other.gif"], folder="second_project", overwrite=True)


def test_a_folder_of_something_else_is_no_project(stages, clips):
    with pytest.raises(UserError, match="one is no project: it has"):
        make(stages, clips, folder="one", overwrite=True)
    assert len(list(Path("one").glob("*.png"))) == 60


def test_a_video_of_another_program_is_not_replaced(stages, clips):
    Path("dance.gif").write_bytes(b"GIF89a")
    with pytest.raises(UserError, match="dance.gif exists already"):
        make(stages, clips)
    assert stages.calls == []


def test_a_failed_stage_says_what_to_do(stages, clips):
    stages.stop_in, stages.status = "train-vae", 1
    with pytest.raises(UserError, match="train-vae failed, as it says above.*same command"):
        make(stages, clips)


def test_a_missing_package_is_said_before_anything_is_done(stages, clips, monkeypatch):
    found = project.importlib.util.find_spec
    monkeypatch.setattr(
        project.importlib.util,
        "find_spec",
        lambda name: None if name == "tensorflow" else found(name),
    )
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    with pytest.raises(MissingExtra, match="'tensorflow'.*\\[train\\]"):
        make(stages, clips)
    assert not Path("dance_project").exists()


def test_takes_too_short_to_train_on_are_told_before_anything_is_trained(stages, clips):
    def add_clip(folder: Path, source: str, fps: float) -> None:
        frames = np.full((20, HEIGHT, WIDTH), 255, np.uint8)
        FrameWriter(folder).add_clip(frames, source=source, fps=fps, method="threshold")

    stages.add_clip = add_clip
    with pytest.raises(UserError, match="longest is 0.7 s, 20 frames"):
        make(stages, clips)
    assert set(stages.names) == {"extract-frames"}


def test_a_disk_too_small_for_all_stages_is_told_before_the_first(stages, clips, monkeypatch):
    free = shutil.disk_usage(".")._replace(free=20_000_000)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: free)
    with pytest.raises(UserError, match="frames and the model would take about 82 MB, and 20 MB"):
        make(stages, clips)  # 121 frames, and their mirror images, beside the model
    assert stages.calls == []


def test_a_part_of_the_project_that_cannot_be_written_is_told_before_the_first_stage(
    stages, clips, monkeypatch
):
    stages.stop_in = "train-vae"
    with pytest.raises(KeyboardInterrupt):
        make(stages, clips)
    stages.calls.clear()
    may = os.access
    monkeypatch.setattr(
        project.os, "access", lambda path, mode: Path(path).name != "imgs" and may(path, mode)
    )
    with pytest.raises(UserError, match="dance_project/imgs cannot be written"):
        make(stages, clips)
    assert stages.calls == []


def test_few_minutes_are_said_to_be_few(stages, clips, capsys):
    make(stages, clips, minutes=1.0)
    assert "too few for a good dance" in capsys.readouterr().err


@pytest.mark.parametrize("status", [130, 143, 129, -signal.SIGINT, -signal.SIGTERM])
def test_a_stage_that_was_stopped_by_any_signal_was_stopped(stages, clips, status):
    stages.stop_in, stages.status = "train-vae", status
    with pytest.raises(KeyboardInterrupt, match="What is finished is kept; the same command"):
        make(stages, clips)


def test_a_signal_at_the_very_end_of_a_stage_keeps_it_and_begins_no_other(
    stages, clips, monkeypatch, capsys
):
    def run(command: str, arguments: list[str], where: Path) -> int:
        with project.signals.passed_on(lambda number, frame: None):  # the stage has ended
            if command == "train-vae":
                os.kill(os.getpid(), signal.SIGTERM)
        return stages(command, arguments, where)

    monkeypatch.setattr(project, "Processes", lambda lock: run)
    command = [*clips, "-o", "dance.gif", "--project", "dance_project"]
    assert make_dance.main(command) == 143
    assert stages.names[-1] == "train-vae"
    assert "What is finished is kept; the same command goes on" in capsys.readouterr().err
    assert make_dance.main(command) == 0
    assert stages.names[3:] == STAGES[2:]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV])
def test_a_stage_without_memory_ends_in_many_ways(stages, clips, number):
    stages.stop_in, stages.status = "train-vae", -number
    with pytest.raises(UserError, match=f"ended by {number.name} .*not enough memory"):
        make(stages, clips)


def test_a_camera_is_no_clip(stages):
    with pytest.raises(UserError, match="record it first"):
        make(stages, ["0"])


def test_a_clip_that_is_no_film_is_said_before_anything_is_done(stages, clips, capsys):
    Path("notes.txt").write_text("no film")
    assert make_dance.main([*clips, "notes.txt"]) == 1
    assert "notes.txt" in capsys.readouterr().err
    assert not Path("one_project").exists()


def test_every_begin_of_a_stage_says_when_all_is_finished(stages, clips, capsys):
    make(stages, clips, minutes=30.0)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("== ")]
    assert [line.split()[1].rstrip(":") for line in lines] == stages.names
    assert "in about 30 min" in lines[0]


def test_two_runs_cannot_share_a_project(stages, clips):
    def busy(command, arguments, where):
        with pytest.raises(UserError, match="dance_project is being written by process"):
            make(stages, clips)
        return 130

    with pytest.raises(KeyboardInterrupt):
        make(busy, clips)


def test_a_stage_runs_in_a_process_of_its_own(capfd):
    assert processes.Processes(None)("download-weights", ["--help"]) == 0
    assert "usage: dancenet download-weights" in capfd.readouterr().out
    assert processes.Processes(None)("no-such-thing", []) == 2


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_ctrl_c_reaches_the_stage_once(tmp_path):
    # A stage that counts the signals it gets, begun in place of the real one.
    child = tmp_path / "stage.py"
    child.write_text(
        "import signal, sys\n"
        "count = 0\n"
        "def stop(*_):\n"
        "    global count\n"
        "    count += 1\n"
        "    print('interrupted', flush=True)\n"
        "signal.signal(signal.SIGINT, stop)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "print('ready', flush=True)\n"
        # sigwait would keep the handler of SIGINT waiting until SIGTERM comes.
        "while signal.sigtimedwait([signal.SIGTERM], 0.05) is None:\n"
        "    pass\n"
        "sys.exit(100 + count)\n"
    )
    parent = tmp_path / "parent.py"
    parent.write_text(
        "import subprocess, sys\n"
        "from dancenet.project import processes\n"
        "popen = subprocess.Popen\n"
        f"command = [sys.executable, {str(child)!r}]\n"
        "processes.subprocess.Popen = lambda _, **options: popen(command, **options)\n"
        "sys.exit(processes.Processes(None)('x', []))\n"
    )
    root = Path(project.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, str(parent)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        start_new_session=True,
    ) as process:
        timer = threading.Timer(60, process.kill)
        timer.start()
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.stdout.readline() == "interrupted\n"
        os.kill(process.pid, signal.SIGTERM)
        status = process.wait()
        timer.cancel()
        timer.join()
    assert status == 101


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_a_stage_whose_parent_was_killed_saves_and_ends(tmp_path):
    # A stage in place of a real one: it writes to the pipe that the test reads.
    root = Path(project.__file__).parents[2]
    package = tmp_path / "dancenet_stage.py"
    package.write_text(
        "import sys, time\n"
        "from dancenet import cli\n"
        "from dancenet.support import terminal\n"
        "def main():\n"
        "    import argparse\n"
        "    return terminal.run(argparse.ArgumentParser(), work, [])\n"
        "def work(arguments):\n"
        "    with terminal.finish_on_interrupt() as stopped:\n"
        "        print('ready', flush=True)\n"
        "        while not stopped.is_set(): time.sleep(0.01)\n"
        "        print('saved', flush=True)\n"
        "    raise KeyboardInterrupt\n"
    )
    parent = tmp_path / "parent.py"
    parent.write_text(
        "import subprocess, sys\n"
        "from dancenet.project import processes\n"
        "popen = subprocess.Popen\n"
        "def start(command, **options):\n"
        "    program = command[3].replace('dancenet.cli', 'dancenet_stage')\n"
        "    return popen([*command[:3], program, *command[4:]], **options)\n"
        "processes.subprocess.Popen = start\n"
        "sys.exit(processes.Processes(None)('x', []))\n"
    )
    with subprocess.Popen(
        [sys.executable, str(parent)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{tmp_path}"},
    ) as process:
        timer = threading.Timer(60, process.kill)
        timer.start()
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        # The end of the file: the stage, which holds the pipe too, has ended.
        assert process.stdout.read() == "saved\n"
        timer.cancel()
        timer.join()


def test_on_windows_a_stage_is_stopped_by_the_end_of_its_pipe(monkeypatch):
    class Stage:
        ended = False

        def __init__(self):
            self.stdin = open(os.devnull, "wb")

        def terminate(self):
            self.ended = True

    monkeypatch.setattr(processes.os, "name", "nt")
    stage = Stage()
    processes._pass_on(stage, [signal.SIGINT])
    assert stage.stdin.closed and not stage.ended
    processes._pass_on(stage, [signal.SIGINT, signal.SIGINT])
    assert stage.ended

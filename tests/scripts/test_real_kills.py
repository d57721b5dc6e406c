"""`kill -9` at random moments: the same command again ends as if nothing had happened.

`make fuzz` kills every command; DANCENET_KILLS says how many times in all. Without it, two kills
remind of what is held, and nothing is trained.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from bodies import stand
from films import dancer_on, room, sway, wall, write_film
from kill import content_of

from dancenet.data.frames.writer import FrameWriter
from dancenet.data.motion.joints import JOINTS

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("DANCENET_KILLS", "0"))

pytestmark = [
    pytest.mark.fuzz,
    pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX"),
]


class Command(NamedTuple):
    """A command of small inputs."""

    prepare: Callable[[Path], object]
    arguments: list[str]  # of the first run
    share: int  # of the kills, in fiftieths
    again: Callable[[Path], list[str]] | None = None  # of the run after the kill; else the same
    read: Callable[[Path], Any] = content_of  # what is to be the same


def films(folder: Path) -> None:
    for number in range(3):
        write_film(folder / f"{number}.mp4", dancer_on(wall(), sway(24 + number)))


def recordings(folder: Path) -> None:
    for number in range(2):
        positions = stand(30)
        positions[:, JOINTS.index("l_wrist"), 0] += 0.1 * np.sin(np.arange(30) / (4 + number))
        np.savez(folder / f"{number}.npz", pos=positions, fps=30.0, joints=np.array(JOINTS))


def pictures(folder: Path) -> None:
    """A dance that is to be replaced, with something of the user's in its folder."""
    subprocess.run(
        [sys.executable, ROOT / "scripts/generate_video.py", "--format", "frames", "-o", "dance"]
        + ["--seconds", "0.5", "--seed", "1"],
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    (folder / "dance" / "notes.txt").write_text("mine")


def frames(folder: Path) -> None:
    shown = np.full((48, 120, 208), 255, np.uint8)
    for index, frame in enumerate(shown):
        frame[30:100, 40 + index : 80 + index] = 0
    with FrameWriter(folder / "imgs") as writer:
        for split in ("train", "val"):
            writer.add_clip(shown, source=split, fps=30.0, method="test", split=split)


def takes(folder: Path) -> None:
    places = [(80 + 30 * np.sin(k / 7), 45 + 6 * np.sin(k / 5)) for k in range(400)]
    write_film(folder / "take.mp4", dancer_on(room(), places))


def names_of(folder: Path) -> list[str]:
    """Names alone: trainings write times, and one more epoch after a kill."""
    return sorted(name for name in content_of(folder) if ".frames.bits" not in name)


def but_reports(folder: Path) -> Any:
    """Of the reports the names alone: they are of the films that a run has read."""
    found = content_of(folder)
    return {name: "/report/" in name or content for name, content in found.items()}


def resumed(training: str, *arguments: str) -> Callable[[Path], list[str]]:
    """What the message of a training that was begun says: to go on, or to begin anew."""

    def again(folder: Path) -> list[str]:
        begun = (folder / "weights" / "tiny" / "training" / training / "checkpoint.npz").exists()
        return [*arguments, "--resume" if begun else "--overwrite"]

    return again


VAE = ["train_vae", "--name", "tiny", "--epochs", "2", "--batch-size", "16"]
DANCER = ["train_dancer", "0.npz", "1.npz", "--space", "skeleton", "--name", "tiny", "--epochs"]
DANCER += ["2", "--units", "8", "--layers", "1", "--mixtures", "2", "--look-back", "8"]

COMMANDS = {
    "extract_frames": Command(
        films,
        ["extract_frames", "0.mp4", "1.mp4", "2.mp4", "--method", "threshold", "--mirror"],
        share=13,
        read=but_reports,
    ),
    "render_mocap": Command(
        recordings,
        ["render_mocap", "0.npz", "1.npz", "--mirror", "--girth", "1", "1.2", "--yaw", "0", "40"],
        share=13,
    ),
    "generate_video": Command(
        pictures,
        ["generate_video", "--format", "frames", "-o", "dance", "--overwrite"]
        + ["--seconds", "1", "--seed", "3"],
        share=13,
    ),
    "train_vae": Command(frames, VAE, share=4, again=resumed("vae", *VAE), read=names_of),
    "train_dancer": Command(
        recordings, DANCER, share=4, again=resumed("dancer", *DANCER), read=names_of
    ),
    "make_dance": Command(
        takes,
        ["make_dance", "take.mp4", "--project", "project", "--minutes", "0.2", "--seconds", "1"]
        + ["--method", "background", "--seed", "1"],
        share=3,
        read=names_of,
    ),
}
LIGHT = ("extract_frames", "generate_video")


def run(folder: Path, arguments: list[str], seconds: float | None = None) -> int:
    """Runs a script in a folder; kills it and its children after a time."""
    process = subprocess.Popen(
        [sys.executable, ROOT / "scripts" / f"{arguments[0]}.py", *arguments[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DANCENET_CACHE": str(folder / "cache")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_ends_as_if_nothing_had_happened(tmp_path, name):
    command = COMMANDS[name]
    count = round(KILLS * command.share / 50) if KILLS else int(name in LIGHT)
    if not count:
        pytest.skip("only in `make fuzz`, which sets DANCENET_KILLS")
    calm = tmp_path / "calm"
    calm.mkdir()
    command.prepare(calm)
    began = time.monotonic()
    assert run(calm, command.arguments) == 0
    lasted = time.monotonic() - began
    wanted = command.read(calm)
    chance = random.Random(name)
    killed = 0
    for number in range(count):
        folder = tmp_path / f"killed_{number}"
        folder.mkdir()
        command.prepare(folder)
        code = run(folder, command.arguments, chance.uniform(0.25, 1.0) * lasted)
        killed += code == -signal.SIGKILL
        again = command.again(folder) if command.again and code else command.arguments
        assert run(folder, again) == 0
        assert command.read(folder) == wanted
    print(json.dumps({"command": name, "killed": killed, "of": count, "seconds": round(lasted, 1)}))

"""Measures how many frames a second people are found in, and writes POSES.md beside this file.

    python benchmarks/poses.py FOLDER FILM

FOLDER holds MediaPipe's and MoveNet's .tflite files, FILM shows people. On one core: reading the
film, finding, following and numbering people are included.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from dancenet.data.footage.video import open_footage
from dancenet.data.people import network_files
from dancenet.data.people.keypoints.estimators import LandmarkEstimator, MoveNetEstimator
from dancenet.data.people.keypoints.follow import Follower, follow_one
from dancenet.data.people.keypoints.movenet import MoveNet
from dancenet.data.people.search import Networks
from dancenet.support import terminal

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "POSES.md"


def main() -> int:
    """Measures every network that the folder holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds the networks")
    parser.add_argument("film", type=Path, help="shows the people")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    rows = []
    for name, make in estimators(arguments.folder).items():
        figures = [measure(arguments.film, make()) for _ in range(arguments.repeats)]
        rows.append((name, *sorted(figures)[len(figures) // 2]))
        terminal.say(f"{name}: {rows[-1][1]:.0f} frames a second")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    write_results(arguments.film, rows, memory)
    return 0


def estimators(folder: Path) -> dict[str, Callable[[], Any]]:
    """Returns what makes an estimator, by its name in the table."""
    made: dict[str, Callable[[], Any]] = {}
    if network_files.find_beside(network_files.LANDMARKS, folder) is not None:
        for people in (1, 2):
            made[f"MediaPipe, --people {people}"] = lambda people=people: LandmarkEstimator(
                Networks.open(folder), people
            )
    for path in sorted(folder.glob("*movenet*.tflite")):
        made[path.stem] = lambda path=path: MoveNetEstimator(MoveNet(path))
    return made


def measure(film: Path, estimator: Any) -> tuple[float, int]:
    """Returns the frames for each second of computing, and how many people were followed."""
    footage = open_footage(film)
    size = (footage.width, footage.height)
    if isinstance(estimator, LandmarkEstimator) and estimator.most_people == 1:
        began = time.process_time()
        poses = follow_one(footage.frames(), footage.fps, size, estimator.networks)
        return poses.num_frames / (time.process_time() - began), poses.num_people
    follower = Follower(estimator, footage.fps)
    began = time.process_time()
    for picture in footage.frames():
        follower.add(picture)
    poses = follower.poses(6, size)
    return follower.num_frames / (time.process_time() - began), poses.num_people


def write_results(film: Path, rows: list[tuple[str, float, int]], memory: float) -> None:
    """Writes the table."""
    footage = open_footage(film)
    lines = [
        "# Finding people",
        "",
        f"`benchmarks/poses.py`, {datetime.date.today()}, one core of {platform.machine()} with "
        f"{platform.system()}, Python {platform.python_version()}. Frames for each second of "
        "computing, the reading and following of a film included; its size is "
        f"{footage.width}×{footage.height}.",
        "",
        "| network | people followed | frames a second |",
        "|---|---|---|",
        *(f"| {name} | {count} | {figure:.0f} |" for name, figure, count in rows),
        "",
        f"Peak memory of the process with all networks: {memory:.0f} MB.",
    ]
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    terminal.say(f"{RESULTS}")


if __name__ == "__main__":
    sys.exit(main())

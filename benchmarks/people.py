"""Measures what it costs to follow a person through a film.

    python benchmarks/people.py FILM [MODEL_FOLDER]       # a minute
    python benchmarks/people.py --memory FILM [MODEL_FOLDER]   # ten minutes of film, in a loop

All on one core. The parts take turns on the same pictures, so that other work beside moves them
alike; seconds of the clock and of the processor are both given. A film is decoded beforehand.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from dancenet.data.footage.video import open_footage
from dancenet.data.people import regions, tracking
from dancenet.data.people.landmarks import SIDE
from dancenet.data.people.search import Networks

PICTURES = 60  # of the film, in memory
ROUNDS = 5
TEN_MINUTES = 600.0  # seconds


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("film", type=Path)
    parser.add_argument("models", type=Path, nargs="?", help="folder of the networks")
    parser.add_argument("--memory", action="store_true", help="peak memory of a ten-minute film")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    networks = Networks.open(arguments.models)
    if arguments.memory:
        measure_memory(arguments.film, networks)
    else:
        measure_speed(arguments.film, networks)


def measure_speed(film: Path, networks: Networks) -> None:
    """Prints frames a second of each part."""
    footage = open_footage(film)
    pictures = list(itertools.islice(footage.frames(), PICTURES))
    found = networks.find(pictures[0])
    if found is None:
        raise SystemExit("Nobody is seen in the first picture.")
    region = found.next_region()

    def live() -> list:
        tracker = tracking.LiveTracker(networks)
        return [tracker(picture, index / footage.fps) for index, picture in enumerate(pictures)]

    parts: dict[str, Callable[[], object]] = {
        "cutting the region out": lambda: [
            regions.cut(picture, region, SIDE) for picture in pictures
        ],
        "detector": lambda: [networks.detector(picture) for picture in pictures],
        "landmarks and mask, region given": lambda: [
            networks.landmarks(picture, region) for picture in pictures
        ],
        "landmarks and mask of a film, followed and smoothed": lambda: list(
            tracking.track(pictures, footage.fps, networks)
        ),
        "landmarks and mask before a camera": live,
    }
    clock: dict[str, list[float]] = {name: [] for name in parts}
    computing: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(ROUNDS):
        for name, work in parts.items():
            start, busy = time.perf_counter(), time.process_time()
            work()
            clock[name].append((time.perf_counter() - start) / len(pictures))
            computing[name].append((time.process_time() - busy) / len(pictures))
    print(f"{len(pictures)} pictures of {footage.width}x{footage.height}, medians of {ROUNDS}:")
    for name in parts:
        wall, cpu = float(np.median(clock[name])), float(np.median(computing[name]))
        print(
            f"{name:54} {1e3 * wall:6.1f} ms of the clock, {1e3 * cpu:5.1f} of the processor: "
            f"{1 / wall:6.1f} and {1 / cpu:6.1f} frames/s"
        )


def measure_memory(film: Path, networks: Networks) -> None:
    """Prints the peak memory of a film that is repeated for ten minutes."""
    footage = open_footage(film)
    count = round(TEN_MINUTES * footage.fps)

    def pictures() -> Iterator[np.ndarray]:
        shown = 0
        while shown < count:
            for picture in footage.frames():
                yield picture
                shown += 1
                if shown == count:
                    return

    seen = sum(pose is not None for pose in tracking.track(pictures(), footage.fps, networks))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count} pictures, a person in {seen}: {peak:.0f} MB at the peak")


if __name__ == "__main__":
    main()

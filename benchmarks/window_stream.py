"""Measures windows streamed from files beside those from memory, and writes STREAM.md.

    python benchmarks/window_stream.py                    # 10 GB on the disk, some minutes
    python benchmarks/window_stream.py --gigabytes 1      # a look

Speeds are of sources that took turns in one process, on a recording that fits into memory. Peak
memory is of a process each, which draws every window of a recording once. The recordings are made,
and removed at the end.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dancenet.sequence.trajectory_file import FLOAT, write_trajectory
from dancenet.support import files, terminal
from dancenet.support.errors import UserError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "STREAM.md"

DIM = 64
LOOK_BACK = 64
STRIDE = 16
BATCH_SIZE = 64
DEVIATION = 0.1  # standard deviation of the vectors, in model units
FAST_GIGABYTES = 0.5  # size of the recording that speeds are measured on
FAST_BATCHES = 400
TRAINING_STEPS = 10
SPARE_GIGABYTES = 1.0  # must stay free on the disk
CHUNK_ROWS = 100_000
SOURCES = ("memory", "map", "stream")
SETTINGS = {
    "bare": {},
    "noise": {
        "perturbation": 0.4,
        "correction_rate": 0.03,
        "encoder_noise": 1.0,
        "noise_correlation": 0.98,
    },
}

WINDOW_BYTES = (LOOK_BACK + 1) * DIM * FLOAT.itemsize


def make_recording(path: Path, gigabytes: float) -> int:
    """Writes a random walk that comes back; returns its rows."""
    num_rows = int(gigabytes * 1e9 / (DIM * FLOAT.itemsize))
    rng = np.random.default_rng(0)

    def chunks() -> Iterator[np.ndarray]:
        with terminal.progress(total=num_rows, description=path.name, unit="row") as bar:
            for first in range(0, num_rows, CHUNK_ROWS):
                steps = rng.standard_normal((min(CHUNK_ROWS, num_rows - first), DIM), np.float32)
                yield np.sin(np.cumsum(0.1 * steps, axis=0))
                bar.update(len(steps))

    write_trajectory(path, chunks())
    return num_rows


def forget(path: Path) -> bool:
    """Takes a file out of the system's cache; returns whether that can be done here."""
    if not hasattr(os, "posix_fadvise"):
        return False
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def peak_megabytes() -> float:
    """Returns the most memory that this process ever had resident."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024**2 if sys.platform == "darwin" else 1024)


def open_source(name: str, path: Path, setting: str) -> Any:
    """Returns a recording as a source of windows."""
    from dancenet.nets.training.window_stream import StreamedWindows
    from dancenet.nets.training.windows import BatchOptions, WindowData

    options = BatchOptions(LOOK_BACK, **SETTINGS[setting])
    if name == "stream":
        return StreamedWindows(path, options, DEVIATION)
    rows = np.load(path, mmap_mode="r" if name == "map" else None, allow_pickle=False)
    return WindowData(rows, options, np.broadcast_to(np.float32(DEVIATION), rows.shape))


def measure_memory(name: str, path: Path, num_rows: int) -> dict[str, float]:
    """Draws every window once; to be called in a process of its own."""
    import dancenet.nets.training.window_stream  # noqa: F401, so that all begin alike

    before = peak_megabytes()
    source = open_source(name, path, "bare")
    num_steps = max(1, ((num_rows - LOOK_BACK - 1) // STRIDE + 1) // BATCH_SIZE - 1)
    began = time.perf_counter()
    batches = source.batches(
        [range(num_rows)], STRIDE, BATCH_SIZE, num_steps, np.random.default_rng(0)
    )
    for _ in batches:
        pass
    seconds = time.perf_counter() - began
    return {
        "before": before,
        "peak": peak_megabytes(),
        "seconds": seconds,
        "windows": num_steps * BATCH_SIZE,
    }


def measure_speed(path: Path, num_rows: int, repeats: int) -> dict[str, list[float]]:
    """Returns the windows a second of each source, with and without noise, and of a training."""
    import keras

    from dancenet.model.config import DancerConfig
    from dancenet.nets.dancer import build_dancer
    from dancenet.nets.dancer_trainer import DancerTrainer

    sources = {
        (name, setting): open_source(name, path, setting)
        for setting in SETTINGS
        for name in SOURCES
    }
    trainer = DancerTrainer(build_dancer(DancerConfig(dim=DIM, look_back=LOOK_BACK)))
    trainer.compile(optimizer=keras.optimizers.Adam(), jit_compile=False)
    found: dict[str, list[float]] = {}

    def draw(kind: str, name: str, setting: str, num_steps: int, train: bool) -> None:
        batches = sources[name, setting].batches(
            [range(num_rows)], STRIDE, BATCH_SIZE, num_steps, np.random.default_rng(0)
        )
        began = time.perf_counter()
        for batch in batches:
            if train:
                trainer.train_on_batch(batch)
        seconds = time.perf_counter() - began
        found.setdefault(f"{kind} {name}", []).append(num_steps * BATCH_SIZE / seconds)

    for turn in range(repeats + 1):
        for name in SOURCES if turn % 2 else SOURCES[::-1]:
            for setting in SETTINGS:
                draw(setting, name, setting, FAST_BATCHES, False)
            draw("training", name, "noise", TRAINING_STEPS, True)
    # The first turn compiles and reads the file into the system's cache.
    return {name: values[1:] for name, values in found.items()}


def apart(**task: Any) -> Any:
    """Has a measurement made in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--task", json.dumps(task)],
        cwd=ROOT,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def spread(values: Sequence[float], scale: float = 1.0) -> str:
    """Returns the median with the smallest and the largest figure."""
    low, middle, high = (scale * f for f in (min(values), float(np.median(values)), max(values)))
    digits = 0 if middle >= 100 else 1
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--gigabytes",
        type=terminal.positive(float),
        default=10.0,
        help="the largest recording; a tenth and a hundredth of it are measured, too (default: 10)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="where the recordings are made (default: %(default)s)",
    )
    parser.add_argument(
        "--repeats", type=terminal.positive(int), default=5, help="turns of the speeds (default: 5)"
    )
    parser.add_argument("--task", type=json.loads, help=argparse.SUPPRESS)
    return parser


def check_room(folder: Path, gigabytes: float) -> None:
    """Says how much the disk has to have free; raises UserError if it has less."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; make it, or choose another --folder.")
    free = shutil.disk_usage(folder).free / 1e9
    needed = gigabytes + SPARE_GIGABYTES
    if free < needed:
        raise UserError(
            f"{folder} has {free:.1f} GB free and {needed:.1f} are needed; choose another "
            "--folder, or fewer --gigabytes."
        )
    terminal.say(f"{free:.1f} GB are free; {gigabytes:g} are used for a while.")


def work(arguments: argparse.Namespace) -> None:
    """Measures, and writes the tables."""
    task = arguments.task
    if task is not None:
        path = Path(task["path"])
        if "name" in task:
            found: Any = measure_memory(task["name"], path, task["num_rows"])
        else:
            found = measure_speed(path, task["num_rows"], task["repeats"])
        print(json.dumps(found))
        return
    check_room(arguments.folder, max(FAST_GIGABYTES, arguments.gigabytes))
    began, load = time.perf_counter(), os.getloadavg()
    memory: list[tuple[float, str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory(prefix="window_stream.", dir=arguments.folder) as name:
        path = Path(name) / "recording.npy"
        num_rows = make_recording(path, FAST_GIGABYTES)
        speed = apart(path=str(path), num_rows=num_rows, repeats=arguments.repeats)
        for key, values in speed.items():
            terminal.say(f"{key:20} {spread(values)} windows/s")
        for gigabytes in (arguments.gigabytes / 100, arguments.gigabytes / 10, arguments.gigabytes):
            num_rows = make_recording(path, gigabytes)
            runs = ["stream", "map"] if gigabytes > 2 else ["stream", "map", "memory"]
            if forget(path):
                runs.insert(0, "stream, from the disk")
            for label in runs:
                made = apart(path=str(path), num_rows=num_rows, name=label.partition(",")[0])
                memory.append((gigabytes, label, made))
                terminal.say(
                    f"{gigabytes:g} GB  {label:22} {made['peak']:,.0f} MB at most, "
                    f"{made['windows'] / made['seconds']:,.0f} windows/s"
                )
            path.unlink()
    write_results(arguments, speed, memory, load, time.perf_counter() - began)
    terminal.say(f"Written: {RESULTS}")


def write_results(
    arguments: argparse.Namespace,
    speed: dict[str, list[float]],
    memory: list[tuple[float, str, dict[str, float]]],
    load: Sequence[float],
    seconds: float,
) -> None:
    """Writes the tables."""
    command = f"python benchmarks/window_stream.py --gigabytes {arguments.gigabytes:g}"
    if arguments.repeats != 5:
        command += f" --repeats {arguments.repeats}"
    lines = [
        "# Windows from files",
        "",
        f"Written by `{command}` in {seconds / 60:.0f} minutes on {datetime.date.today()}: "
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, load "
        f"average {load[0]:.1f} before and {os.getloadavg()[0]:.1f} after.",
        "",
        f"Windows of {LOOK_BACK + 1} vectors of {DIM} dimensions ({WINDOW_BYTES:,} bytes) every "
        f"{STRIDE} vectors, {BATCH_SIZE} in a batch. `memory` is `WindowData` on an array, `map` "
        'the same on `np.load(mmap_mode="r")`, `stream` is `StreamedWindows`.',
        "",
        "## Speed, on a recording that fits",
        "",
        f"{FAST_GIGABYTES:g} GB, in the system's cache; the sources took turns. Median of "
        f"{arguments.repeats} (smallest to largest). `bare` draws {FAST_BATCHES} batches and does "
        "nothing with them, `noise` adds what training adds, `training` takes "
        f"{TRAINING_STEPS} steps of the `lean` dancer on them.",
        "",
        "| | windows/s | MB/s |",
        "|---|---|---|",
        *(
            f"| {name} | {spread(values)} | {spread(values, WINDOW_BYTES / 1e6)} |"
            for name, values in sorted(speed.items())
        ),
        "",
        "## Peak resident memory of a process that draws every window once",
        "",
        "MB; `start` is TensorFlow imported. `from the disk` begins with nothing of the file in "
        "the system's cache. Single runs.",
        "",
        "| recording | source | start | peak | windows/s | MB/s |",
        "|---|---|---|---|---|---|",
        *(
            f"| {gigabytes:g} GB | {label} | {made['before']:,.0f} | {made['peak']:,.0f} | "
            f"{made['windows'] / made['seconds']:,.0f} | "
            f"{made['windows'] * WINDOW_BYTES / made['seconds'] / 1e6:,.0f} |"
            for gigabytes, label, made in memory
        ),
        "",
    ]
    files.write_text(RESULTS, "\n".join(lines))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

"""Measures the cost of generation, encoding and training, and writes RESULTS.md beside this file.

    make bench                                # everything, about ten minutes
    python benchmarks/run.py --repeats 1      # a quick look

Things that are compared take turns, so that a busy machine slows both. The machine's own limits
are measured in the same turns.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dancenet.generation.load import load_dancer
from dancenet.generation.settings import DanceSettings
from dancenet.generation.trajectory import trajectories
from dancenet.model.releases import find_model
from dancenet.runtime.onnx import OnnxDecoder, OnnxStepModel, count_cores
from dancenet.support import terminal
from dancenet.support.threads import ordered_map

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "RESULTS.md"
PLOT = HERE / "cost.png"
BUNDLED = "silhouette_v2"

SECONDS = 16  # length of a dance
FPS = 30
FRAMES_2018 = 12  # frames made the way of 2018 in one turn
SHORT_SECONDS = 4  # length of each of the sixteen dances
COUNT = 16
TRAIN_BATCH = 32

# Starts a command and prints its seconds, peak memory and status. It runs in its own process,
# because Linux counts the memory of a starting process as that of the process it starts.
_LAUNCHER = """
import json, os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(json.dumps([time.perf_counter() - began, usage.ru_maxrss, status]))
"""


class KerasSide:
    """The process that holds TensorFlow; see keras_side.py."""

    def __init__(self) -> None:
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "keras_side.py")],
            cwd=ROOT,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._answer()
        self.start_seconds = time.perf_counter() - began

    def ask(self, task: str, **arguments: Any) -> Any:
        """Sends a task; returns its answer."""
        assert self._process.stdin is not None
        print(json.dumps({"do": task, **arguments}), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("keras_side.py ended; run it by hand to see why.")
        return json.loads(line)

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def timed(work: Callable[[], object]) -> float:
    """Returns the seconds that a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def run_script(name: str, *arguments: object) -> tuple[float, float]:
    """Runs a script in a cold process; returns its seconds and its peak memory in MB."""
    command = [sys.executable, str(ROOT / "scripts" / name), *map(str, arguments)]
    done = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, *command],
        cwd=ROOT,
        env=_environment(),
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    seconds, kilobytes, status = json.loads(done.stdout)
    if status:
        raise RuntimeError(f"{' '.join(command)} failed.")
    return seconds, kilobytes / (1024**2 if sys.platform == "darwin" else 1024)


def matrix_rate() -> float:
    """Returns the floating-point operations a second of a matrix product, on all cores."""
    matrix = np.ones((1536, 1536), np.float32)
    seconds = min(timed(lambda: matrix @ matrix) for _ in range(3))
    time.sleep(0.3)  # the library's threads spin for a while, and would slow what comes next
    return 2 * len(matrix) ** 3 / seconds


def read_rate(array: np.ndarray, threads: int) -> float:
    """Returns the bytes a second at which an array is read."""
    with ordered_map(np.max, np.array_split(array, threads), threads) as found:
        return array.nbytes / timed(lambda: list(found))


class Bench:
    """All measurements; each turn appends one figure to the list of every name."""

    def __init__(self, folder: Path, repeats: int) -> None:
        self.folder = folder
        self.repeats = repeats
        self.figures: dict[str, list[float]] = {}
        self.keras = KerasSide()
        self.model_2018 = folder / "model_2018"
        self.costs = self.keras.ask("write", folder=str(self.model_2018))

    def add(self, name: str, figure: float) -> None:
        """Appends one figure to a list."""
        self.figures.setdefault(name, []).append(figure)

    def median(self, name: str) -> float:
        """Returns the median of a list."""
        return float(np.median(self.figures[name]))

    def ratio(self, first: str, second: str) -> float:
        """Returns the median of the quotients of two figures, turn by turn."""
        return float(np.median(np.divide(self.figures[first], self.figures[second])))

    def spread(self, name: str) -> str:
        """Returns the median with the smallest and the largest figure."""
        values = self.figures[name]
        return f"{np.median(values):.4g} ({min(values):.4g} to {max(values):.4g})"

    def generate(self, name: str, *arguments: object, out: str = "dance.mp4") -> None:
        """Adds the seconds and the peak memory of a cold generate_video.py."""
        seconds, megabytes = run_script(
            "generate_video.py", "--seed", 1, "--out", self.folder / out, *arguments
        )
        self.add(name, seconds)
        self.add(f"{name}, MB", megabytes)

    def turn(self) -> None:
        """Measures each way of generation once, in turn."""
        self.add("matrix GFLOP/s", matrix_rate() / 1e9)
        video = str(self.folder / "2018.mp4")
        self.add(
            "2018", self.keras.ask("dance", frames=FRAMES_2018, video_path=video) / FRAMES_2018
        )
        self.generate("lean", "--seconds", SECONDS)
        big = ("--model", self.model_2018, "--seconds", SECONDS)
        self.generate("dancenet", *big, "--refine", 0)
        self.generate("one frame", "--seconds", 1 / FPS)
        self.add(
            "2018", self.keras.ask("dance", frames=FRAMES_2018, video_path=video) / FRAMES_2018
        )

    def decoders(self) -> None:
        """Compares the folded decoder of 2018 with the decoder as Keras has it."""
        latents = np.random.default_rng(0).standard_normal((8, 128)).astype(np.float32)
        paths = {
            "folded": self.model_2018 / "decoder.onnx",
            "unfolded": self.model_2018 / "decoder_unfolded.onnx",
        }
        cores = count_cores()
        alone = {name: OnnxDecoder(path, threads=1) for name, path in paths.items()}
        shared = {name: OnnxDecoder(path) for name, path in paths.items()}

        def decode(decoder: OnnxDecoder) -> None:
            with ordered_map(decoder, [latents] * 2 * cores, cores) as frames:
                for _ in frames:
                    pass

        for _ in range(4 * self.repeats):
            for name in paths:
                # As in generation, each thread decodes its own pictures.
                seconds = timed(lambda: decode(alone[name])) / (2 * cores * len(latents))
                self.add(name, seconds)
                self.add(
                    f"{name}, all threads on one batch",
                    timed(lambda: shared[name](latents)) / len(latents),
                )
            self.add(
                "folded of the limit",
                2 * self.costs["folded"] / self.figures["folded"][-1] / matrix_rate(),
            )

    def steps(self) -> None:
        """Compares the time of a step of the 2018 dancer with the time to read its weights."""
        model = OnnxStepModel(self.model_2018 / "step.onnx")
        rng = np.random.default_rng(0)
        draws = rng.gumbel(size=(1, model.num_mixtures)), rng.standard_normal((1, model.dim))
        vectors, state = np.zeros((1, model.dim), np.float32), model.initial_state(1)
        size = self.costs["step_bytes"]
        large, small = np.ones(64 << 20, np.float32), np.ones(size // 4, np.float32)
        for _ in range(20 * self.repeats):
            self.add("read GB/s", read_rate(large, 1) / 1e9)
            self.add("read GB/s, all cores", read_rate(large, count_cores()) / 1e9)
            self.add("read GB/s, again", read_rate(small, 1) / 1e9)
            seconds = timed(lambda: model.sample(vectors, state, *draws, 1.0))
            self.add("step", seconds)
            for name in ("read GB/s", "read GB/s, again"):
                self.add(f"step of {name}", size / seconds / 1e9 / self.figures[name][-1])

    def sixteen(self) -> None:
        """Compares sixteen dances at once with sixteen runs."""
        self.generate("16 at once", "--seconds", SHORT_SECONDS, "--count", COUNT)
        runs = [
            run_script(
                "generate_video.py",
                "--seed",
                seed,
                "--seconds",
                SHORT_SECONDS,
                "--out",
                self.folder / "one.mp4",
            )[0]
            for seed in range(COUNT)
        ]
        self.add("16 runs", sum(runs))

    def trajectories(self) -> None:
        """Compares sixteen trajectories at once with sixteen single ones, without pictures."""
        dancer = load_dancer(BUNDLED)

        def choose(seed: int, count: int) -> None:
            settings = DanceSettings(SECONDS, seed, count=count)
            for _ in trajectories(dancer, settings, SECONDS * FPS):
                pass

        for _ in range(self.repeats):
            self.add("16 trajectories at once", timed(lambda: choose(0, COUNT)))
            self.add("16 trajectories", timed(lambda: list(map(choose, range(COUNT), [1] * COUNT))))

    def encoding(self) -> None:
        """Compares encoding the sample folder with `predict`, picture by picture."""
        import shutil

        frames = self.folder / "frames"
        if not frames.exists():
            shutil.copytree(ROOT / "imgs", frames)
        count = len(list(frames.glob("*.jpg")))
        from dancenet.data.frames.folder import FrameFolder
        from dancenet.generation.encode import encode_frames
        from dancenet.model.folder import ModelFolder

        for name, model in (("dancenet", self.model_2018), ("lean", find_model(BUNDLED))):
            seconds = self.keras.ask("encode", network=name, folder=str(frames), frames=40)
            self.add(f"predict {name}, frames/s", 40 / seconds)
            seconds = timed(lambda: encode_frames(ModelFolder(model), FrameFolder.open(frames)))
            self.add(f"encoding {name}, frames/s", count / seconds)

    def training(self) -> None:
        """Compares training steps of the two VAEs."""
        for network in ("lean", "dancenet"):
            rate = self.keras.ask("train", network=network, batch_size=TRAIN_BATCH)
            self.add(f"training {network}, frames/s", rate)

    def curves(self) -> None:
        """Measures the cost at several lengths and several numbers of dances."""
        for seconds in (2, 4, 8, 16, 32, 64):
            self.generate(f"{seconds} s", "--seconds", seconds)
        for count in (1, 2, 4, 8, 16):
            self.generate(f"{count} dances", "--seconds", 2, "--count", count)
        self.generate("120 s", "--seconds", 120)
        self.generate("dancenet, refined", "--model", self.model_2018, "--seconds", SECONDS)


def draw_curves(bench: Bench) -> None:
    """Plots seconds against frames, and against the number of dances."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    lengths = [2, 4, 8, 16, 32, 64]
    left.plot([FPS * n for n in lengths], [bench.median(f"{n} s") for n in lengths], "o-")
    left.set(
        xlabel="frames", ylabel="seconds, shell to closed file", title="one dance", xlim=0, ylim=0
    )
    counts = [1, 2, 4, 8, 16]
    once = bench.median("1 dances")
    right.plot(counts, [n * once for n in counts], "--", color="0.6", label="one run each")
    right.plot(counts, [bench.median(f"{n} dances") for n in counts], "o-", label="--count")
    right.set(xlabel="dances of 2 s", title="many dances", xlim=0, ylim=0)
    right.legend()
    figure.savefig(PLOT, dpi=110, metadata={"Software": None})


class Row(NamedTuple):
    """A figure, and the bar it should reach."""

    name: str
    figure: float
    bar: float
    unit: str
    at_most: bool = False  # the bar is an upper limit

    @property
    def reached(self) -> bool:
        """Whether the figure reaches the bar."""
        return self.figure <= self.bar if self.at_most else self.figure >= self.bar

    def cells(self) -> tuple[str, str, str, str]:
        """Returns name, figure, bar and whether it is reached, as the table shows them."""
        sign = "≤" if self.at_most else "≥"
        return (
            self.name,
            f"{self.figure:.3g}{self.unit}",
            f"{sign} {self.bar:g}{self.unit}",
            "yes" if self.reached else "**no**",
        )


def rows(bench: Bench) -> list[Row]:
    """Returns all rows of the table."""
    memory = max(max(values) for name, values in bench.figures.items() if name.endswith(", MB"))
    return [
        *_generation_rows(bench),
        *_engine_rows(bench),
        Row(
            "peak memory of generation, the most of all runs here (to 120 s, and 16 dances)",
            memory,
            400,
            " MB",
            at_most=True,
        ),
        *_encoding_and_training_rows(bench),
        Row("one frame, shell to closed file", bench.median("one frame"), 1, " s", at_most=True),
    ]


def _generation_rows(bench: Bench) -> list[Row]:
    """Compares whole runs of generate_video.py with the way of 2018."""
    frames = SECONDS * FPS
    slow = bench.median("2018")
    cold = bench.keras.start_seconds + frames * slow
    lean, big = bench.median("lean"), bench.median("dancenet")
    return [
        Row(
            f"`generate_video.py --seconds {SECONDS}`, shell to closed file, `lean`",
            lean,
            3.0,
            " s",
            at_most=True,
        ),
        Row(
            "… frames/s, start-up included, to those of the way of 2018 without its start-up",
            frames / lean * slow,
            50,
            " times",
        ),
        Row("… both from the shell to the closed file", cold / lean, 50, " times"),
        Row(
            "`dancenet` network, `--refine 0`, start-up included, to the way of 2018 without",
            frames / big * slow,
            20,
            " times",
        ),
        Row("… both from the shell to the closed file", cold / big, 20, " times"),
    ]


def _engine_rows(bench: Bench) -> list[Row]:
    """Compares the networks with the machine's limits, and dances side by side with single ones."""
    return [
        Row(
            "folded 2018 decoder to unfolded, same engine",
            bench.ratio("unfolded", "folded"),
            2,
            " times",
        ),
        Row(
            "folded 2018 decoder of the matrix-product rate",
            100 * bench.median("folded of the limit"),
            40,
            " %",
        ),
        Row(
            "step of the 2018 dancer, batch 1, of the reading rate",
            100 * bench.median("step of read GB/s"),
            60,
            " %",
        ),
        Row(
            "… of the rate of reading as many bytes again and again",
            100 * bench.median("step of read GB/s, again"),
            60,
            " %",
        ),
        Row(
            f"{COUNT} dances of {SHORT_SECONDS} s at once to {COUNT} runs",
            bench.ratio("16 runs", "16 at once"),
            4,
            " times",
        ),
        Row(
            "… their trajectories alone",
            bench.ratio("16 trajectories", "16 trajectories at once"),
            4,
            " times",
        ),
    ]


def _encoding_and_training_rows(bench: Bench) -> list[Row]:
    return [
        *(
            Row(
                f"encoding a folder, `{network}`, to `predict` one by one with the same network",
                bench.ratio(f"encoding {network}, frames/s", f"predict {network}, frames/s"),
                8,
                " times",
            )
            for network in ("lean", "dancenet")
        ),
        Row(
            "`lean` VAE training to `dancenet`, frames/s",
            bench.ratio("training lean, frames/s", "training dancenet, frames/s"),
            10,
            " times",
        ),
    ]


def write_results(bench: Bench, load: Sequence[float], seconds: float) -> None:
    """Writes the tables."""
    command = "make bench" if bench.repeats == 5 else f"benchmarks/run.py --repeats {bench.repeats}"
    lines = [
        "# What it costs",
        "",
        f"Written by `{command}` in {seconds / 60:.0f} minutes on {datetime.date.today()}: "
        f"{count_cores()} cores of {_processor()}, Python {platform.python_version()}, load "
        f"average {load[0]:.1f} before and {os.getloadavg()[0]:.1f} after. Medians; what is "
        "compared took turns.",
        "",
        "What limits each, and what was tried: [README.md](README.md).",
        "",
        "| figure | measured | bar | reached |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row.cells())} |" for row in rows(bench)),
        "",
        f"![Seconds against frames and against the number of dances]({PLOT.name})",
        "",
        "The way of 2018 is `keras_side.py`'s: `predict` for the step, `sample_from_output`, "
        f"`predict` for the decoder, frame by frame; it starts in {bench.keras.start_seconds:.1f} "
        f"s and takes {1e3 * bench.median('2018'):.0f} ms a frame. Its decoder has "
        f"{bench.costs['unfolded'] / 1e6:.0f} million multiply-adds, "
        f"{bench.costs['folded'] / 1e6:.0f} folded; a step reads "
        f"{bench.costs['step_bytes'] / 1e6:.1f} MB.",
        "",
        "## Everything that was noted",
        "",
        "Seconds, unless the name says otherwise: median (smallest to largest).",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {bench.spread(name)} |" for name in bench.figures),
        "",
    ]
    RESULTS.write_text("\n".join(lines), encoding="utf-8")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--repeats",
        type=terminal.positive(int),
        default=5,
        help="turns of each measurement (default: 5)",
    )
    return parser


def work(arguments: argparse.Namespace) -> None:
    """Measures, and writes the results."""
    began, load = time.perf_counter(), os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), arguments.repeats)
        try:
            stages = (bench.turn, bench.encoding, bench.training, bench.sixteen)
            for turn in range(arguments.repeats):
                for stage in stages:
                    terminal.say(f"{turn + 1}/{arguments.repeats} {stage.__name__}")
                    stage()
            for once in (bench.decoders, bench.steps, bench.trajectories, bench.curves):
                terminal.say(once.__name__)
                once()
        finally:
            bench.keras.close()
        draw_curves(bench)
        write_results(bench, load, time.perf_counter() - began)
    terminal.say(
        f"{RESULTS}: {sum(row.reached for row in rows(bench))} of {len(rows(bench))} bars reached"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

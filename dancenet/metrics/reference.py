"""Motion samples, their windows, and the reference statistics that samples are compared with.

Every sample (real, generated, or a reference such as one held frame) is measured alike. Each of
several seeds splits the real dances into two halves, whole recordings at a time. The first half is
the reference that all samples are compared with. The second half is itself a sample: its figures
show what to expect of real dances.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dancenet.metrics import distance, motion
from dancenet.metrics.figure import PictureScores
from dancenet.metrics.motion import Gaussian

WINDOW_SECONDS = 2.0
# Overlapping windows improve the Fréchet estimate. Nearest-neighbour metrics must not use them: a
# window's neighbour would be its own shifted copy.
FRECHET_STRIDE_SECONDS = 0.5
PATH_RATE = 10.0  # vectors per second of the windows that novelty compares
MAX_TRAINING_WINDOWS = 20_000  # most that novelty compares with; more are thinned out evenly
FAST_PERCENTILE = 99.9  # steps above this percentile of the reference's speeds are fast
LOOP_PERCENTILE = 99.0  # percentile of the reference's windows that sets the limit
# By chance, one window of many exceeds any percentile, but a tenth of the windows do not.
LOOP_SAMPLE_PERCENTILE = 90.0
LEAST_LOOP_WINDOWS = 10

# A measure's figure, or the reason why there is none.
Value = float | str


@dataclass(frozen=True)
class MotionSample:
    """Dances, each made of runs joined by cuts, and the pictures of the first dance."""

    dances: tuple[tuple[np.ndarray, ...], ...]  # runs (T, D) in model units, for each dance
    # One for each run of the first dance; for real dances, as many runs as one long dance needs.
    pictures: tuple[PictureScores, ...]

    @property
    def runs(self) -> list[np.ndarray]:
        """All runs of all dances."""
        return [run for dance in self.dances for run in dance]

    @property
    def changes(self) -> np.ndarray:
        """The share of pixels that change, for each step from picture to picture."""
        return np.concatenate([part.change for part in self.pictures])


@dataclass(frozen=True)
class DatasetStatistics:
    """Rates, and statistics of the training dances; the same for every seed."""

    fps: float  # vectors per second
    picture_fps: float  # pictures per second
    median_speed: float  # median of the smoothed speeds
    gaussian: Gaussian  # fitted to all training vectors
    paths: np.ndarray  # (M, F) windows of the training dances, as `paths` makes them
    held_out: np.ndarray  # (N,) distance from each held-out window to the nearest of `paths`

    @classmethod
    def fit(
        cls,
        train: Sequence[np.ndarray],
        held_out: Sequence[np.ndarray],
        fps: float,
        picture_fps: float,
    ) -> DatasetStatistics:
        """Computes the statistics of training and held-out runs (T, D)."""
        speeds = [motion.smoothed_speeds(run, fps) for run in train]
        known = np.concatenate(speeds) if speeds else np.zeros(0)
        step = max(1, round(fps / PATH_RATE))
        total = sum(map(len, train))
        windows = paths(train, fps, step * -(-total // (step * MAX_TRAINING_WINDOWS)))
        return cls(
            fps=fps,
            picture_fps=picture_fps,
            median_speed=float(np.median(known)) if len(known) else 0.0,
            gaussian=Gaussian.fit(np.concatenate(train)),
            paths=windows,
            held_out=distance.nearest(paths(held_out, fps), windows),
        )


@dataclass(frozen=True)
class WindowStatistics:
    """Statistics of windows of `WINDOW_SECONDS`, by which distributions are compared."""

    overlapping: np.ndarray  # (N, F) latent statistics of windows that overlap
    separate: np.ndarray  # (N, F) latent statistics of windows that do not
    flow: np.ndarray  # (N, F) mean flow histograms of windows that overlap

    @classmethod
    def of(cls, sample: MotionSample, dataset: DatasetStatistics) -> WindowStatistics:
        """Computes the statistics of a sample's windows."""
        length = round(WINDOW_SECONDS * dataset.fps)
        stride = max(1, round(FRECHET_STRIDE_SECONDS * dataset.fps))
        flow = windows([part.flow for part in sample.pictures], *_flow_window(dataset.picture_fps))
        return cls(
            overlapping=distance.latent_statistics(windows(sample.runs, length, stride)),
            separate=distance.latent_statistics(windows(sample.runs, length, length)),
            flow=flow.mean(axis=1),
        )

    @property
    def counts(self) -> tuple[int, int, int]:
        """The number of windows of each kind."""
        return len(self.overlapping), len(self.separate), len(self.flow)

    def first(self, counts: tuple[int, int, int]) -> WindowStatistics:
        """Returns the first `counts` windows of each kind."""
        return WindowStatistics(
            overlapping=self.overlapping[: counts[0]],
            separate=self.separate[: counts[1]],
            flow=self.flow[: counts[2]],
        )


@dataclass(frozen=True)
class ReferenceStatistics:
    """Statistics of one half of the real dances, and the window counts of the other half."""

    energy: float  # mean squared speed of the vectors
    change: float  # mean share of pixels that change
    jerk: float  # mean length of the third difference
    fast: float  # speed that one step in a thousand exceeds
    loop: Value  # highest autocorrelation that one window in a hundred exceeds
    windows: WindowStatistics
    most: tuple[int, int, int]  # most windows of each kind that are taken from a sample

    @classmethod
    def of(
        cls, half: MotionSample, other: MotionSample, dataset: DatasetStatistics
    ) -> ReferenceStatistics:
        """Measures `half`; `other` sets how many windows are taken from any sample."""
        speeds = np.concatenate([motion.speeds(run) for run in half.runs])
        jerks = np.concatenate([motion.third_differences(run) for run in half.runs])
        return cls(
            energy=float(np.square(speeds).mean()),
            change=float(half.changes.mean()),
            jerk=float(jerks.mean()) if len(jerks) else 0.0,
            fast=float(np.percentile(speeds, FAST_PERCENTILE)),
            loop=loop_percentile(half, dataset.fps, LOOP_PERCENTILE),
            windows=WindowStatistics.of(half, dataset),
            most=WindowStatistics.of(other, dataset).counts,
        )


def loop_percentile(sample: MotionSample, fps: float, percentile: float) -> Value:
    """Returns a percentile of the windows' highest autocorrelations, or why there is none."""
    loops = motion.autocorrelations(sample.runs, fps)
    few = too_few(len(loops), LEAST_LOOP_WINDOWS, f"windows of {motion.LOOP_SECONDS:g} s")
    return few or float(np.percentile(loops, percentile))


def too_few(count: int, least: int, things: str) -> str:
    """Returns '' if `count` is enough, otherwise the reason that is printed."""
    return "" if count >= least else f"too few {things}: {count}, {least} needed"


def windows(runs: Sequence[np.ndarray], length: int, stride: int, step: int = 1) -> np.ndarray:
    """Cuts runs (T, …) into windows (N, ceil(length / step), …), none across two runs.

    Args:
        runs: at least one.
        length: rows that a window spans.
        stride: rows between the starts of two windows of a run.
        step: keep every `step`-th row of a window.
    """
    found = [
        run[start : start + length : step]
        for run in runs
        for start in range(0, len(run) - length + 1, stride)
    ]
    shape = (len(range(0, length, step)), *runs[0].shape[1:])
    return np.stack(found) if found else np.zeros((0, *shape))


def paths(runs: Sequence[np.ndarray], fps: float, stride: int | None = None) -> np.ndarray:
    """Cuts runs into windows of `WINDOW_SECONDS` at `PATH_RATE`, each flattened to one row.

    Rows are scaled so that the Euclidean distance of two rows is the root mean square distance
    of their vectors.

    Args:
        runs: arrays (T, D).
        fps: vectors per second.
        stride: vectors between the starts of two windows; by default windows do not overlap.

    Returns:
        (N, F) float32.
    """
    length = round(WINDOW_SECONDS * fps)
    step = max(1, round(fps / PATH_RATE))
    thin = windows([run.astype(np.float32) for run in runs], length, stride or length, step)
    flat = thin.reshape(len(thin), thin.shape[1] * thin.shape[2])
    return (flat / np.sqrt(thin.shape[1])).astype(np.float32)


def _flow_window(rate: float) -> tuple[int, int]:
    """Returns the length and the stride of a window, in flow histograms."""
    return max(1, round(WINDOW_SECONDS * rate) - 1), max(1, round(FRECHET_STRIDE_SECONDS * rate))


def as_many_windows(
    pictures: Sequence[PictureScores], num_pictures: int, rate: float
) -> list[PictureScores]:
    """Takes runs of pictures until they have as many flow windows as one run of `num_pictures`.

    No window crosses a cut, so a dance made of several clips has fewer windows than one of the
    same length without a cut.

    Args:
        pictures: scores of runs, in the order in which they are taken.
        num_pictures: length of the run without a cut.
        rate: pictures per second.

    Returns:
        The first runs, the last of them shortened to fit; all runs, if they have fewer windows.
    """
    length, stride = _flow_window(rate)

    def count(pictures: int) -> int:
        return max(0, (pictures - 1 - length) // stride + 1)

    missing = count(num_pictures)
    taken: list[PictureScores] = []
    for run in pictures:
        if missing <= 0 and taken:
            break
        if count(len(run)) > missing > 0:
            run = run.cut(0, (missing - 1) * stride + length + 1)
        missing -= count(len(run))
        taken.append(run)
    return taken


def split_halves(
    groups: Sequence[str], lengths: Sequence[int], rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Splits runs into two halves of about the same length; a group is never divided.

    Args:
        groups: group of each run, such as the recording it comes from.
        lengths: length of each run, in frames.
        rng: the source of randomness.

    Returns:
        The indices of the two halves, with their groups in random order.
    """
    names = sorted(set(groups))
    rng.shuffle(names)
    members = {name: [i for i, group in enumerate(groups) if group == name] for name in names}
    halves: tuple[list[int], list[int]] = ([], [])
    sums = [0, 0]
    # In random order: sorted by length, the halves would be the same for every seed.
    for name in names:
        side = 0 if sums[0] <= sums[1] else 1
        halves[side].extend(members[name])
        sums[side] += sum(lengths[i] for i in members[name])
    return halves


def deal(
    lengths: Sequence[int], dance: int, most: int, step: int = 1
) -> Iterator[list[tuple[int, range]]]:
    """Joins runs, in order, to dances of one length, and cuts a run that does not fit.

    Args:
        lengths: length of each run, in frames.
        dance: frames in a dance.
        most: the most dances.
        step: runs are cut at multiples of this many frames.

    Yields:
        For each dance, the index of each run it uses and the range of frames it takes. If all
        runs together are shorter than a dance, one dance with all of them.
    """
    parts: list[tuple[int, range]] = []
    filled = dealt = 0
    for index, length in enumerate(lengths):
        first = 0
        while first < length:
            wanted = -(-(dance - filled) // step) * step
            taken = min(wanted, length - first)
            parts.append((index, range(first, first + taken)))
            filled += taken
            first += taken
            if filled >= dance:
                yield parts
                dealt += 1
                if dealt == most:
                    return
                parts, filled = [], 0
    if not dealt and parts:
        yield parts

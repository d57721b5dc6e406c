"""Every measure of a dance, beside the same measure of half of the real dances.

What is measured is called material: real dances, generated ones, or a reference such as one
frame held for two minutes. A number alone says little about it; so each of several seeds splits
the real dances into two halves, by recording. One half is the standard, which all material is
compared with; the other half is material itself, and says what is to be expected of a real dance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dancenet.data.frames.components import WHOLE
from dancenet.metrics import distance, figure, motion, novelty
from dancenet.metrics.figure import PictureScores
from dancenet.metrics.motion import Gaussian

WINDOW_SECONDS = 2.0
# Means and covariances gain by windows that overlap. Nearest neighbours would be lost: those of a
# window would be itself, half a second later.
FRECHET_STRIDE_SECONDS = 0.5
PATH_RATE = 10.0  # vectors a second of a window that is looked for among the training dances
MAX_TRAINING_WINDOWS = 20_000  # that a window is looked for in; more are thinned out evenly
FAST_PERCENTILE = 99.9  # of real speeds
LOOP_PERCENTILE = 99.0  # of real windows: the limit
# One window of many exceeds any percentile by chance; a tenth of them do not.
LOOP_OWN_PERCENTILE = 90.0
LEAST_LOOP_WINDOWS = 10
LEAST_NEIGHBOURHOOD = 20  # windows, for densities and coverage

# A measure's figure, or the reason why there is none.
Value = float | str
Values = dict[str, Value]


@dataclass(frozen=True)
class Material:
    """Dances, each of runs that are joined by cuts, and the pictures of the first."""

    dances: tuple[tuple[np.ndarray, ...], ...]  # of runs (T, D) in model units
    pictures: tuple[PictureScores, ...]  # of the first dance's runs; of real dances, of more

    @property
    def runs(self) -> list[np.ndarray]:
        """All runs of all dances."""
        return [run for dance in self.dances for run in dance]


@dataclass(frozen=True)
class Yardstick:
    """What does not depend on the seed: rates, and what is fitted on the training dances."""

    fps: float  # vectors a second
    picture_fps: float  # pictures a second
    usual_speed: float  # median of the smoothed speed
    gaussian: Gaussian  # of all training vectors
    paths: np.ndarray  # (M, F) windows of the training dances, as `paths` makes them
    held_out: np.ndarray  # (N,) distances from held-out windows to the nearest of them

    @classmethod
    def fit(
        cls,
        train: Sequence[np.ndarray],
        held_out: Sequence[np.ndarray],
        fps: float,
        picture_fps: float,
    ) -> Yardstick:
        """Fits it to the runs (T, D) of the training dances and of the held-out ones."""
        speeds = [motion.smoothed_speeds(run, fps) for run in train]
        known = np.concatenate(speeds) if speeds else np.zeros(0)
        step = max(1, round(fps / PATH_RATE))
        total = sum(map(len, train))
        windows = paths(train, fps, step * -(-total // (step * MAX_TRAINING_WINDOWS)))
        asked = paths(held_out, fps)
        return cls(
            fps,
            picture_fps,
            float(np.median(known)) if len(known) else 0.0,
            Gaussian.fit(np.concatenate(train)),
            windows,
            distance.nearest(asked, windows) if len(windows) and len(asked) else np.zeros(0),
        )


def _flow_window(rate: float) -> tuple[int, int]:
    """Returns the flow histograms in a window, and from the start of one to that of the next."""
    return (max(1, round(WINDOW_SECONDS * rate) - 1), max(1, round(FRECHET_STRIDE_SECONDS * rate)))


def as_many_windows(
    pictures: Sequence[PictureScores], num_pictures: int, rate: float
) -> list[PictureScores]:
    """Takes runs of pictures until they have as many windows of flow as one long run has.

    Every cut costs the windows that would go over it, so that a dance joined of clips has fewer
    windows than one of the same length without a cut.

    Args:
        pictures: of runs, in the order they are taken.
        num_pictures: of the long run.
        rate: pictures a second.

    Returns:
        The first runs, the last one cut where it is enough; all, if all are too few.
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


@dataclass(frozen=True)
class WindowStatistics:
    """What distributions are compared by: rows of statistics of windows of two seconds."""

    latents: np.ndarray  # (N, F) of windows that overlap
    apart: np.ndarray  # (N, F) of windows that do not
    flow: np.ndarray  # (N, F) mean flow histograms of windows that overlap

    @classmethod
    def of(cls, material: Material, yardstick: Yardstick) -> WindowStatistics:
        """Cuts a material into windows."""
        fps = yardstick.fps
        length = round(WINDOW_SECONDS * fps)
        stride = max(1, round(FRECHET_STRIDE_SECONDS * fps))
        flow = windows(
            [part.flow for part in material.pictures], *_flow_window(yardstick.picture_fps)
        )
        return cls(
            distance.latent_statistics(windows(material.runs, length, stride)),
            distance.latent_statistics(windows(material.runs, length, length)),
            flow.mean(axis=1),
        )

    @property
    def counts(self) -> tuple[int, int, int]:
        """The windows of each kind."""
        return len(self.latents), len(self.apart), len(self.flow)

    def first(self, counts: tuple[int, int, int]) -> WindowStatistics:
        """Returns the first so many of each kind."""
        return WindowStatistics(
            self.latents[: counts[0]], self.apart[: counts[1]], self.flow[: counts[2]]
        )


@dataclass(frozen=True)
class Standard:
    """One half of the real dances, and how many windows the other half has."""

    energy: float  # mean squared speed of the vectors
    change: float  # mean share of pixels that change
    jerk: float  # mean third difference
    fast: float  # speed that one step in a thousand exceeds
    loop: Value  # highest autocorrelation that one window in a hundred exceeds
    windows: WindowStatistics
    most: tuple[int, int, int]  # windows of each kind that are taken from a material

    @classmethod
    def of(cls, half: Material, other: Material, yardstick: Yardstick) -> Standard:
        """Measures one half; `other` sets how many windows any material may give."""
        fps = yardstick.fps
        speeds = np.concatenate([motion.speeds(run) for run in half.runs])
        jerks = np.concatenate([motion.third_differences(run) for run in half.runs])
        loops = motion.autocorrelations(half.runs, fps)
        return cls(
            float(np.square(speeds).mean()),
            float(_changes(half).mean()),
            float(jerks.mean()) if len(jerks) else 0.0,
            float(np.percentile(speeds, FAST_PERCENTILE)),
            _too_few(loops, LEAST_LOOP_WINDOWS, f"windows of {motion.LOOP_SECONDS:g} s")
            or float(np.percentile(loops, LOOP_PERCENTILE)),
            WindowStatistics.of(half, yardstick),
            WindowStatistics.of(other, yardstick).counts,
        )


def measure(
    material: Material, yardstick: Yardstick, standard: Standard, *, is_training: bool = False
) -> Values:
    """Returns every measure of a material, by key; see `report.MEASURES` for what they are.

    Args:
        material: what is measured.
        yardstick: of the data.
        standard: of a seed.
        is_training: leave out that it may be novel.
    """
    fps = yardstick.fps
    runs = material.runs
    speeds = [motion.speeds(run) for run in runs]
    all_speeds = np.concatenate(speeds)
    jerks = np.concatenate([motion.third_differences(run) for run in runs])
    loops = motion.autocorrelations(runs, fps)
    pictures = material.pictures
    soft = np.concatenate([part.soft for part in pictures])
    whole = np.concatenate([part.figure for part in pictures])
    haze = np.concatenate([part.haze for part in pictures])
    largest = np.concatenate([part.largest for part in pictures])
    values: Values = {
        "soft": float(soft.sum() / max(int(whole.sum()), 1)),
        "hazy": float((haze > figure.HAZY_SHARE).mean()),
        "one_dancer": float((largest >= WHOLE).mean()),
        "energy": _ratio(float(np.square(all_speeds).mean()), standard.energy),
        "mask_change": _ratio(float(_changes(material).mean()), standard.change),
        "freeze": _known(motion.still_share(runs, fps, yardstick.usual_speed), "runs too short"),
        "jerk": _ratio(float(jerks.mean()) if len(jerks) else 0.0, standard.jerk),
        "fast": float((all_speeds > standard.fast).mean()),
        "loop": _too_few(loops, LEAST_LOOP_WINDOWS, f"windows of {motion.LOOP_SECONDS:g} s")
        or float(np.percentile(loops, LOOP_OWN_PERCENTILE)),
        "loop_limit": standard.loop,
    }
    values |= _drift(material, yardstick, soft, whole)
    values |= _distances(material, yardstick, standard)
    if not is_training:
        values |= _novelty(distance.nearest(paths(runs, fps), yardstick.paths), yardstick.held_out)
    return values


def novelty_of_halves(yardstick: Yardstick, rng: np.random.Generator) -> Values:
    """Returns the novelty of one half of the held-out windows beside the other."""
    order = rng.permutation(len(yardstick.held_out))
    half = len(order) // 2
    return _novelty(yardstick.held_out[order[:half]], yardstick.held_out[order[half:]])


def windows(runs: Sequence[np.ndarray], length: int, stride: int, step: int = 1) -> np.ndarray:
    """Returns the windows (N, length, …) that lie inside runs (T, …), every `step`-th row of them.

    Args:
        runs: at least one.
        length: rows that a window spans.
        stride: rows between the starts of two windows of a run.
        step: rows between two that are kept.
    """
    found = [
        run[start : start + length : step]
        for run in runs
        for start in range(0, len(run) - length + 1, stride)
    ]
    shape = (len(range(0, length, step)), *runs[0].shape[1:])
    return np.stack(found) if found else np.zeros((0, *shape))


def paths(runs: Sequence[np.ndarray], fps: float, stride: int | None = None) -> np.ndarray:
    """Returns windows of `WINDOW_SECONDS` at `PATH_RATE`, each as one row.

    Rows are scaled so that their Euclidean distance is the root mean square distance of the
    vectors along the path.

    Args:
        runs: arrays (T, D).
        fps: vectors a second.
        stride: vectors between two windows; by default they do not overlap.

    Returns:
        (N, F) float32.
    """
    length = round(WINDOW_SECONDS * fps)
    step = max(1, round(fps / PATH_RATE))
    thin = windows([run.astype(np.float32) for run in runs], length, stride or length, step)
    flat = thin.reshape(len(thin), thin.shape[1] * thin.shape[2])
    return (flat / np.sqrt(thin.shape[1])).astype(np.float32)


def _distances(material: Material, yardstick: Yardstick, standard: Standard) -> Values:
    real, found = standard.windows, WindowStatistics.of(material, yardstick).first(standard.most)
    values: Values = {
        "frechet_latents": _frechet(real.latents, found.latents, True),
        "frechet_flow": _frechet(real.flow, found.flow, False),
    }
    names = ("density", "coverage", "precision", "recall")
    count = min(len(real.apart), len(found.apart))
    few = _too_few(range(count), LEAST_NEIGHBOURHOOD, "windows")
    if few:
        return values | dict.fromkeys(names, few)
    # As many of either, evenly chosen, for coverage and recall grow with what is compared.
    project = distance.Projection.fit(real.apart)
    ours, theirs = project(_evenly(real.apart, count)), project(_evenly(found.apart, count))
    figures = (
        *distance.density_and_coverage(ours, theirs),
        *distance.precision_and_recall(ours, theirs),
    )
    return values | dict(zip(names, figures))


def _frechet(real: np.ndarray, found: np.ndarray, standardise: bool) -> Value:
    few = _too_few(range(min(len(real), len(found))), distance.LEAST_WINDOWS, "windows")
    if few:
        return few
    project = distance.Projection.fit(real, standardise)
    # In units of the real windows' variance, so that the figure has no unit.
    total = float(np.trace(np.atleast_2d(np.cov(project(real), rowvar=False))))
    return _ratio(distance.frechet(project(real), project(found)), total)


def _drift(material: Material, yardstick: Yardstick, soft: np.ndarray, whole: np.ndarray) -> Values:
    short = f"shorter than {2 * motion.BIN_SECONDS:g} s"
    energies, distances = [], []
    for dance in material.dances:
        # A step for each vector: the last one of a run is taken twice.
        steps = [
            np.square(np.pad(motion.speeds(run), (0, 1), mode="edge"))
            for run in dance
            if len(run) > 1
        ]
        energies.append(np.concatenate(steps))
        distances.append(np.concatenate([yardstick.gaussian.distance(run) for run in dance]))
    shortest = min(min(map(len, energies)), min(map(len, distances)))
    values: Values = {}
    for name, parts in (("drift_energy", energies), ("drift_distance", distances)):
        stacked = np.stack([part[:shortest] for part in parts])
        values[name] = _known(motion.last_over_first(stacked, yardstick.fps), short)
    share = soft / np.maximum(whole, 1)
    values["drift_softness"] = _known(
        motion.last_over_first(share, yardstick.picture_fps, whole),
        "nothing is soft" if not soft.any() else short,
    )
    if not any(part.any() for part in energies):
        values["drift_energy"] = "nothing moves"
    return values


def _novelty(found: np.ndarray, held_out: np.ndarray) -> Values:
    few = _too_few(range(min(len(found), len(held_out))), novelty.LEAST_WINDOWS, "windows")
    if few:
        return {"novelty_z": few, "near": few}
    return {
        "novelty_z": novelty.mann_whitney_z(found, held_out),
        "near": novelty.near_share(found, held_out),
    }


def _changes(material: Material) -> np.ndarray:
    return np.concatenate([part.change for part in material.pictures])


def _evenly(rows: np.ndarray, count: int) -> np.ndarray:
    return rows[np.arange(count) * len(rows) // count]


def _ratio(value: float, standard: float) -> Value:
    return value / standard if standard > 0 else "the real dances stand still"


def _known(value: float, reason: str) -> Value:
    return reason if np.isnan(value) else value


def _too_few(found: Sequence[object] | np.ndarray, least: int, what: str) -> str:
    """Returns '' if there are enough, or else the reason that is printed."""
    return "" if len(found) >= least else f"too few {what}: {len(found)}, {least} needed"


def split_halves(
    groups: Sequence[str], lengths: Sequence[int], rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Splits runs into two halves of about the same length; what is of one group stays together.

    Args:
        groups: of each run, such as the recording it is from.
        lengths: of each run, in frames.
        rng: the source of randomness.

    Returns:
        The indices of either half, each in random order of their groups.
    """
    names = sorted(set(groups))
    rng.shuffle(names)
    members = {name: [i for i, group in enumerate(groups) if group == name] for name in names}
    halves: tuple[list[int], list[int]] = ([], [])
    sums = [0, 0]
    # The longest first, each to the emptier side, would always give the same halves.
    for name in names:
        side = 0 if sums[0] <= sums[1] else 1
        halves[side].extend(members[name])
        sums[side] += sum(lengths[i] for i in members[name])
    return halves


def deal(
    lengths: Sequence[int], dance: int, most: int, step: int = 1
) -> Iterator[list[tuple[int, range]]]:
    """Deals runs out to dances of one length, in order, cutting the run that does not fit.

    Args:
        lengths: of the runs.
        dance: frames of a dance.
        most: dances, at most.
        step: runs are cut at multiples of it.

    Yields:
        For each dance the number of each run it takes from, and the part it takes. If all runs
        together are shorter than a dance, there is one, with all of them.
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

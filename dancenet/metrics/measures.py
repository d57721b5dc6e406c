"""Computes every measure of a motion sample; `definitions` says what each figure means."""

from __future__ import annotations

import numpy as np

from dancenet.data.frames.components import WHOLE
from dancenet.metrics import distance, figure, motion, novelty
from dancenet.metrics.reference import (
    LOOP_SAMPLE_PERCENTILE,
    DatasetStatistics,
    MotionSample,
    ReferenceStatistics,
    Value,
    WindowStatistics,
    loop_percentile,
    paths,
    too_few,
)

LEAST_NEIGHBOURHOOD = 20  # windows needed for density, coverage, precision and recall

Values = dict[str, Value]


def measure_sample(
    sample: MotionSample,
    dataset: DatasetStatistics,
    reference: ReferenceStatistics,
    *,
    is_training: bool = False,
) -> Values:
    """Computes all measures of a sample, by key (see `definitions.MEASURES`).

    Args:
        sample: the dances to measure.
        dataset: statistics of the training dances.
        reference: statistics of the reference half.
        is_training: the sample holds training data; leave out its novelty.
    """
    values = _picture_values(sample)
    values |= _motion_values(sample, dataset, reference)
    values |= _drift(sample, dataset)
    values |= _distances(sample, dataset, reference)
    if not is_training:
        nearest = distance.nearest(paths(sample.runs, dataset.fps), dataset.paths)
        values |= _novelty(nearest, dataset.held_out)
    return values


def novelty_of_halves(dataset: DatasetStatistics, rng: np.random.Generator) -> Values:
    """Measures the novelty of a random half of the held-out windows against the other half."""
    order = rng.permutation(len(dataset.held_out))
    half = len(order) // 2
    return _novelty(dataset.held_out[order[:half]], dataset.held_out[order[half:]])


def _picture_values(sample: MotionSample) -> Values:
    soft, whole = _soft_and_whole(sample)
    haze = np.concatenate([part.haze for part in sample.pictures])
    largest = np.concatenate([part.largest for part in sample.pictures])
    return {
        "soft": float(soft.sum() / max(int(whole.sum()), 1)),
        "hazy": float((haze > figure.HAZY_SHARE).mean()),
        "one_dancer": float((largest >= WHOLE).mean()),
    }


def _motion_values(
    sample: MotionSample, dataset: DatasetStatistics, reference: ReferenceStatistics
) -> Values:
    speeds = np.concatenate([motion.speeds(run) for run in sample.runs])
    jerks = np.concatenate([motion.third_differences(run) for run in sample.runs])
    still = motion.still_share(sample.runs, dataset.fps, dataset.median_speed)
    return {
        "energy": _ratio(float(np.square(speeds).mean()), reference.energy),
        "mask_change": _ratio(float(sample.changes.mean()), reference.change),
        "freeze": _known(still, "runs too short"),
        "jerk": _ratio(float(jerks.mean()) if len(jerks) else 0.0, reference.jerk),
        "fast": float((speeds > reference.fast).mean()),
        "loop": loop_percentile(sample, dataset.fps, LOOP_SAMPLE_PERCENTILE),
        "loop_limit": reference.loop,
    }


def _drift(sample: MotionSample, dataset: DatasetStatistics) -> Values:
    short = f"shorter than {2 * motion.BIN_SECONDS:g} s"
    energies, distances = [], []
    for dance in sample.dances:
        # One step for each vector: the last step of a run is counted twice.
        steps = [
            np.square(np.pad(motion.speeds(run), (0, 1), mode="edge"))
            for run in dance
            if len(run) > 1
        ]
        energies.append(np.concatenate(steps))
        distances.append(np.concatenate([dataset.gaussian.distance(run) for run in dance]))
    shortest = min(min(map(len, energies)), min(map(len, distances)))
    values: Values = {}
    for name, parts in (("drift_energy", energies), ("drift_distance", distances)):
        stacked = np.stack([part[:shortest] for part in parts])
        values[name] = _known(motion.last_over_first(stacked, dataset.fps), short)
    soft, whole = _soft_and_whole(sample)
    values["drift_softness"] = _known(
        motion.last_over_first(soft / np.maximum(whole, 1), dataset.picture_fps, whole),
        "nothing is soft" if not soft.any() else short,
    )
    if not any(part.any() for part in energies):
        values["drift_energy"] = "nothing moves"
    return values


def _soft_and_whole(sample: MotionSample) -> tuple[np.ndarray, np.ndarray]:
    """Returns the numbers of soft pixels and of the figure's pixels, (T,) each."""
    return (
        np.concatenate([part.soft for part in sample.pictures]),
        np.concatenate([part.figure for part in sample.pictures]),
    )


def _distances(
    sample: MotionSample, dataset: DatasetStatistics, reference: ReferenceStatistics
) -> Values:
    real = reference.windows
    found = WindowStatistics.of(sample, dataset).first(reference.most)
    values: Values = {
        "frechet_latents": _frechet(real.overlapping, found.overlapping, standardise=True),
        "frechet_flow": _frechet(real.flow, found.flow, standardise=False),
    }
    names = ("density", "coverage", "precision", "recall")
    count = min(len(real.separate), len(found.separate))
    few = too_few(count, LEAST_NEIGHBOURHOOD, "windows")
    if few:
        return values | dict.fromkeys(names, few)
    # Equal numbers of both, chosen evenly, because coverage and recall grow with the numbers.
    project = distance.Projection.fit(real.separate)
    ours, theirs = (project(evenly(part.separate, count)) for part in (real, found))
    figures = (
        *distance.density_and_coverage(ours, theirs),
        *distance.precision_and_recall(ours, theirs),
    )
    return values | dict(zip(names, figures))


def _frechet(real: np.ndarray, found: np.ndarray, standardise: bool) -> Value:
    few = too_few(min(len(real), len(found)), distance.LEAST_WINDOWS, "windows")
    if few:
        return few
    project = distance.Projection.fit(real, standardise)
    # Divided by the variance of the real windows, so that the figure has no unit.
    total = float(np.trace(np.atleast_2d(np.cov(project(real), rowvar=False))))
    return _ratio(distance.frechet(project(real), project(found)), total)


def _novelty(found: np.ndarray, held_out: np.ndarray) -> Values:
    few = too_few(min(len(found), len(held_out)), novelty.LEAST_WINDOWS, "windows")
    if few:
        return {"novelty_z": few, "near": few}
    return {
        "novelty_z": novelty.mann_whitney_z(found, held_out),
        "near": novelty.near_share(found, held_out),
    }


def evenly(rows: np.ndarray, count: int) -> np.ndarray:
    """Chooses `count` rows, spread evenly."""
    return rows[np.arange(count) * len(rows) // count]


def _ratio(value: float, reference: float) -> Value:
    return value / reference if reference > 0 else "the real dances stand still"


def _known(value: float, reason: str) -> Value:
    return reason if np.isnan(value) else value

"""Calibration of a trained dancer: its free-running motion compared with real motion."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dancenet.nets.training.dataset import Dataset
from dancenet.nets.training.statistics import choose_seeds
from dancenet.sequence.generate import NotFinite, StepModel, generate
from dancenet.sequence.neighbour_correction import NeighbourCorrection
from dancenet.sequence.style import StyleGuided
from dancenet.sequence.temperature_variation import MEMORY_SECONDS
from dancenet.support import terminal
from dancenet.support.wording import option

TRIAL_SECONDS = 20.0  # length of a trial
# Wanted energy, as a share of the real one: the last tenth would cost too much stability.
WANTED_ENERGY = 0.9

TRIALS = 48  # dances in a trial
_CORRECTED_TRIALS = 16  # with nearest-neighbour correction, which takes ten times as long
_DIVERGED = 100.0  # times the real energy; above it the other measures mean nothing
_UNSTABLE = 4.0  # times the real energy at the end of a trial

_MAX_VARIATION = 0.4  # above it the motion jitters where the temperature is high
_PACE_SECONDS = 2.0  # length of the windows whose energy is compared
_TEMPERATURES = (0.2, 2.0)  # range of the search
_SMOOTHED = 4  # frames that a step is averaged over
_STILL = 20  # times less than the mean real energy: a frame below it is still


class Motion(NamedTuple):
    """Free-running motion compared with real motion; inf if generation diverged (overflow or NaN).

    Energy is the mean square of the steps, averaged over 4 frames.
    """

    energy: float  # divided by the real one
    energy_at_end: float  # in the last quarter, divided by the real one
    jerk: float  # mean square third difference, divided by the real one
    # Ratio of upper to lower quartile of windowed energy (2 s), divided by the same real ratio.
    pace: float
    still: float  # share of frames with less than 1/20 of the mean real energy
    still_real: float  # the same in real motion
    spread: float  # standard deviation, divided by the real one


class Calibration(NamedTuple):
    """Sampling temperature, and its variation over time."""

    temperature: float
    temperature_variation: float


def calibrate(
    step_model: StepModel,
    dataset: Dataset,
    neighbour_correction: NeighbourCorrection | None = None,
) -> Calibration:
    """Finds the temperature, and its variation, that match the energy and pace of real motion.

    The mixture is trained one step ahead. Over a rollout, accumulated error, or the trained
    correction of it, makes the motion more or less energetic than the data, and a fixed
    temperature gives a uniform pace.

    Args:
        step_model: the dancer.
        dataset: its training clips are continued and compared with.
        neighbour_correction: applied to the motion.

    Returns:
        The temperature for `WANTED_ENERGY`, to one part in a hundred, or the nearest end of the
        search range; and the variation, as in `TemperatureVariation`, for a `pace` of 1, or the
        largest that is allowed.
    """

    def measure(temperature: float, temperature_variation: float) -> Motion:
        return try_dancing(
            step_model,
            dataset,
            dataset.train,
            temperature=temperature,
            temperature_variation=temperature_variation,
            neighbour_correction=neighbour_correction,
        )

    temperature = _fit_temperature(lambda heat: measure(heat, 0.0).energy)
    low, high = 0.0, _MAX_VARIATION
    while high - low > 0.01:
        middle = (low + high) / 2
        # If generation diverged, or the data are too short to judge, this ends with no variation.
        low, high = (middle, high) if measure(temperature, middle).pace < 1 else (low, middle)
    variation = round((low + high) / 2, 2)
    if variation <= 0.01:
        return Calibration(temperature, 0.0)
    temperature = _fit_temperature(lambda heat: measure(heat, variation).energy)
    return Calibration(temperature, variation)


def _fit_temperature(energy: Callable[[float], float]) -> float:
    """Returns the temperature with the wanted energy, by bisection."""

    def error(temperature: float) -> float:
        return math.log(max(energy(temperature), 1e-9) / WANTED_ENERGY)

    low, high = _TEMPERATURES
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if error(middle) < 0 else (low, middle)
    found = round(math.sqrt(low * high), 3)
    # A dancer trained on few data may have less energy at a higher temperature; then the bisection
    # fails, and 1 may be better.
    return min((1.0, found), key=lambda temperature: abs(error(temperature)))


def try_dancing(
    step_model: StepModel,
    dataset: Dataset,
    clips: list[range],
    *,
    compared: list[range] | None = None,
    temperature: float = 1.0,
    temperature_variation: float = 0.0,
    neighbour_correction: NeighbourCorrection | None = None,
) -> Motion:
    """Continues real seed clips, and compares the result with real motion.

    Args:
        step_model: the dancer.
        dataset: real motion.
        clips: rows to take the seed clips from.
        compared: rows to compare with, if not `clips`. The held-out part of a small dataset may
            hardly move.
        temperature: sampling temperature.
        temperature_variation: see `TemperatureVariation`.
        neighbour_correction: applied to the motion.
    """
    vectors = dataset.vectors
    real = [vectors[clip.start : clip.stop] for clip in compared or clips if len(clip) > 8]
    real_energies = [_energy(part) for part in real]
    all_energy = np.concatenate(real_energies)
    mean = float(all_energy.mean()) or 1.0
    still_real = float((all_energy < mean / _STILL).mean())
    seeds, _, rows = choose_seeds(vectors, clips, [""] * len(clips), dataset.fps)
    count = num_trials(neighbour_correction)
    chosen = np.arange(count) * len(seeds) // count % len(seeds)
    style = dataset.styles_of(rows[chosen])
    steps = generate(
        step_model if style is None else StyleGuided(step_model),
        seeds[chosen],
        round(TRIAL_SECONDS * dataset.fps),
        np.random.default_rng(0).spawn(count),
        temperature=temperature,
        neighbour_correction=neighbour_correction,
        style=style,
        temperature_variation=(temperature_variation, MEMORY_SECONDS * dataset.fps),
    )
    try:
        made = np.stack(list(steps), axis=1)
    except NotFinite:
        diverged = Motion(*[math.inf] * len(Motion._fields))
        return diverged._replace(still=0.0, still_real=still_real)
    energy = _energy(made)
    real_jerk = float(np.mean([_jerk(part) for part in real])) or 1.0
    measured = Motion(
        energy=float(energy.mean()) / mean,
        energy_at_end=float(energy[:, -(energy.shape[1] // 4) :].mean()) / mean,
        jerk=float(_jerk(made)) / real_jerk,
        pace=_pace_ratio(list(energy), real_energies, dataset.fps),
        still=float((energy < mean / _STILL).mean()),
        still_real=still_real,
        spread=float(np.sqrt(made.var(axis=(0, 1)).sum() / _variance(real))),
    )
    # Infinity minus infinity: diverged, too.
    return Motion(*(math.inf if math.isnan(value) else value for value in measured))


def num_trials(neighbour_correction: NeighbourCorrection | None) -> int:
    """Returns how many seed clips `try_dancing` continues."""
    return TRIALS if neighbour_correction is None else _CORRECTED_TRIALS


def _energy(vectors: np.ndarray) -> np.ndarray:
    """Returns the mean square (…, T - 4) of the step of (…, T, D), averaged over 4 frames."""
    # The average cancels jitter, which is independent in every frame and not motion.
    step = (vectors[..., _SMOOTHED:, :] - vectors[..., :-_SMOOTHED, :]) / _SMOOTHED
    return np.square(step).mean(axis=-1)


def _jerk(vectors: np.ndarray) -> np.floating:
    """Returns the mean square third difference of (…, T, D)."""
    return np.square(np.diff(vectors, n=3, axis=-2)).mean()


def _pace_ratio(made: list[np.ndarray], real: list[np.ndarray], fps: float) -> float:
    """Returns the quartile ratio of windowed energy, divided by the real one.

    Args:
        made: energies (T,) of generated motion.
        real: energies (T,) of real motion.
        fps: frames per second.

    Returns:
        The quotient of the two ratios; 1 if a clip is too short for a window.
    """
    length = round(_PACE_SECONDS * fps)

    def ratio(energies: list[np.ndarray]) -> float:
        windows = [
            part[: len(part) // length * length].reshape(-1, length).mean(axis=1)
            for part in energies
        ]
        if not sum(map(len, windows)):
            return math.nan
        low, high = np.quantile(np.concatenate(windows), (0.25, 0.75))
        return float(high / max(low, 1e-12))

    found = ratio(made) / ratio(real)
    return found if math.isfinite(found) else 1.0


def _variance(parts: list[np.ndarray]) -> float:
    return float(np.concatenate(parts).var(axis=0).sum()) or 1.0


def report(motion: Motion, calibration: Calibration, neighbour_correction: float) -> None:
    """Prints how the dancer moves, and warns if its energy grows.

    Args:
        motion: from `try_dancing`.
        calibration: the temperature of the motion.
        neighbour_correction: its strength in the motion.
    """
    temperature, variation = calibration
    if motion.energy < _DIVERGED:
        varied = f", varied by {variation:g} over time to match the pace" if variation else ""
        count = TRIALS if not neighbour_correction else _CORRECTED_TRIALS
        terminal.say(
            f"Calibrated: temperature {temperature:g} for {WANTED_ENERGY:.0%} of the energy of the "
            f"training clips{varied}. {count} trials of {TRIAL_SECONDS:.0f} s from held-out clips: "
            f"{motion.energy:.0%} of the real energy ({motion.energy_at_end:.0%} in the last "
            f"quarter), still {motion.still:.0%} of the time (real: {motion.still_real:.0%}), "
            f"standard deviation {motion.spread:.0%} of the real one."
        )
    if not motion.energy_at_end < _UNSTABLE:
        terminal.warn(
            "generated motion diverges from the data; train longer, add clips, or generate with "
            f"{option('temperature', 0.8)} or less."
        )

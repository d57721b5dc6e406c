"""Figures and motion of known range, memory and pace."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.metrics.bodies import scores
from dancenet.metrics.bodies.critic import critic_auc, halves
from dancenet.metrics.bodies.scores import BodyReference, BodyScores, mean_stay, structure_function

FPS = 30.0


def picture(width: float, height: float = 80.0) -> np.ndarray:
    """Draws one block, whose size is its pose."""
    background = np.ones((120, 208), np.float32)
    background[round(110 - height) : 110, 100 : 100 + round(width)] = 0.0
    return background


def dance(seed: int, frames: int = 600, pace: float = 1.0, span: float = 1.0) -> BodyScores:
    """Draws a block whose width and height swing."""
    rng = np.random.default_rng(seed)
    time = pace * (np.arange(frames) + rng.uniform(0, 1000)) / FPS
    widths = 30 + span * 20 * np.sin(3 * time)
    heights = 70 + span * 25 * np.sin(1.7 * time + rng.uniform(0, 6))
    return BodyScores.of([np.stack([picture(*size) for size in zip(widths, heights)])])


@pytest.fixture(scope="module")
def real() -> BodyReference:
    return BodyReference.fit(
        [dance(seed) for seed in range(4)], [dance(seed) for seed in (7, 8)], FPS
    )


def test_a_real_dance_is_near_one_everywhere(real):
    values = real.measure([dance(11), dance(12)], FPS)
    assert values["two_trunks"] == 0
    assert values["unlike_5"] < 0.15
    for name in ("range", "dwell", *(f"structure_{lag}" for lag in scores.LAGS)):
        assert values[name] == pytest.approx(1.0, abs=0.15), name


def test_a_faster_dance_changes_more_and_stays_for_less(real):
    values = real.measure([dance(11, pace=2.0)], FPS)
    assert values["structure_1"] > 2.5
    assert values["dwell"] < 0.7


def test_a_narrow_dance_has_less_range_and_forgets_no_faster(real):
    values = real.measure([dance(11, span=0.5)], FPS)
    assert values["range"] < 0.5
    assert values["structure_30"] == pytest.approx(1.0, abs=0.25)


def test_figures_of_no_known_shape_are_counted(real):
    odd = np.ones((30, 120, 208), np.float32)
    odd[:, 40:110, 60:70] = odd[:, 40:110, 90:100] = 0.0
    values = real.measure([BodyScores.of([odd])], FPS)
    assert values["unlike_1"] == values["unlike_5"] == values["two_trunks"] == 1.0


def test_a_held_picture_does_not_change(real):
    values = real.measure([BodyScores.of([np.repeat(picture(30)[None], 200, axis=0)])], FPS)
    assert values["structure_1"] == values["structure_60"] == pytest.approx(0, abs=1e-9)
    assert values["range"] == pytest.approx(0, abs=1e-9)
    assert values["dwell"] > 10


def test_few_pictures_give_a_reason(real):
    assert (
        "too few pictures 150 frames apart" in real.measure([dance(1, 100)], FPS)["structure_150"]
    )
    few = BodyReference.fit([dance(1, 100)], [dance(2, 50)], FPS)
    assert "fewer than 400 training pictures" in few.measure([dance(3, 100)], FPS)["dwell"]


def test_the_structure_function_of_noise_is_one_and_of_a_walk_grows():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(5000, 3))
    assert structure_function([noise])[1] == pytest.approx(1.0, abs=0.05)
    walk = structure_function([np.cumsum(noise, axis=0)], variance=1.0)
    assert walk[30] == pytest.approx(30 * 3 / 2, rel=0.15)
    assert walk[1] == pytest.approx(3 / 2, rel=0.1)


def test_the_mean_stay_counts_runs():
    assert mean_stay([np.array([1, 1, 1, 2, 2, 1])]) == 2.0
    assert mean_stay([np.array([1, 1]), np.array([1, 1])]) == 2.0


def swing(seed: int, noise: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(900) / FPS
    phases = rng.uniform(0, 6, 4)
    return np.sin(time[:, None] * [1, 1.7, 2.3, 3.1] + phases) + rng.normal(0, noise, (900, 4))


def judged(noise: float) -> object:
    """Lets a critic judge noisy swings, after it has seen others."""
    real = [swing(seed, 0.05) for seed in range(8)]
    found = [swing(seed, noise) for seed in range(20, 24)]
    return critic_auc((real[:6], found[:2]), (real[6:], found[2:]), seed=0)


def test_a_critic_can_only_guess_between_real_dances():
    assert 0.35 < judged(0.05) < 0.65


def test_a_critic_tells_trembling_from_dancing():
    assert judged(0.3) > 0.8


def test_a_critic_needs_some_frames():
    short = [swing(1, 0.1)[:100]]
    assert "too few frames: 98" in critic_auc((short, short), (short, short), seed=0)


def test_a_single_run_is_cut_with_a_gap_and_several_are_dealt():
    first, second = halves([np.arange(100)])
    assert len(first[0]) == len(second[0]) == 45 and second[0][0] == 55
    assert [len(side) for side in halves([np.arange(3)] * 5)] == [3, 2]

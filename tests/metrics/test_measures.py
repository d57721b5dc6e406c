"""Dances whose faults are known: each fails by its own measure, and the real ones by none."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest

from dancenet.metrics import definitions, measures, reference, report
from dancenet.metrics.figure import PictureScores
from dancenet.metrics.measures import Values
from dancenet.metrics.reference import DatasetStatistics, MotionSample, ReferenceStatistics

FPS = 15.0  # vectors and pictures per second
DIM = 24
SEEDS = (0, 1)
DANCE = 120 * round(FPS)


def random_path(num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Returns a smooth random path (T, D) whose autocorrelation ends within 2 s."""
    noise = rng.normal(size=(num_frames + 40, DIM))
    kernel = np.hanning(20)
    smooth = np.stack([np.convolve(column, kernel, "valid") for column in noise.T], axis=1)
    return (smooth[:num_frames] / np.sqrt(np.square(kernel).sum())).astype(np.float32)


def draw(run: np.ndarray, level: float = 0.0, paper: float = 1.0, blobs: int = 1) -> np.ndarray:
    """Returns a small figure (T, 60, 104) whose place and limbs are the first dimensions."""
    pictures = np.full((len(run), 60, 104), paper, np.float32)
    places = np.round(run[:, :4] * [6, 4, 3, 3] + [52, 30, 12, 12]).astype(int)
    for picture, (x, y, width, height) in zip(pictures, places):
        for blob in range(blobs):
            left = max(1, x - 10 + 30 * blob)
            picture[max(1, y - 10) : y + max(2, height), left : left + max(3, width)] = level
    return pictures


class Stage(NamedTuple):
    dataset: DatasetStatistics
    references: list[ReferenceStatistics]
    real: list[Values]
    train: list[np.ndarray]
    fresh: MotionSample  # another dance of the same kind


@pytest.fixture(scope="module")
def stage() -> Stage:
    rng = np.random.default_rng(0)
    runs = [random_path(28 * round(FPS), rng) for _ in range(10)]
    held_out = [random_path(200 * round(FPS), rng) for _ in range(2)]
    scores = [PictureScores.of([draw(run)]) for run in runs]
    dataset = DatasetStatistics.fit(runs, held_out, FPS, FPS)
    references, real = [], []
    for seed in SEEDS:
        one, other = reference.split_halves(
            [str(i) for i in range(10)], [len(run) for run in runs], np.random.default_rng(seed)
        )
        half, rest = (
            MotionSample((tuple(runs[i] for i in part),), tuple(scores[i] for i in part))
            for part in (one, other)
        )
        references.append(ReferenceStatistics.of(half, rest, dataset))
        real.append(
            measures.measure_sample(rest, dataset, references[-1], is_training=True)
            | measures.novelty_of_halves(dataset, np.random.default_rng(seed))
        )
    run = random_path(DANCE, rng)
    fresh = MotionSample(((run,),), (PictureScores.of([draw(run)]),))
    return Stage(dataset, references, real, runs, fresh)


def judge(stage: Stage, found: list[Values]) -> report.Report:
    columns = {definitions.REAL: stage.real, definitions.MODEL: found}
    return report.Report.of(
        "x",
        {
            name: {key: [one[key] for one in values] for key in values[0]}
            for name, values in columns.items()
        },
        {},
    )


def made(
    stage: Stage, run: np.ndarray | None = None, pictures: PictureScores | None = None
) -> report.Report:
    """Judges one dance; by default, the vectors or pictures of the fresh dance."""
    sample = MotionSample(
        stage.fresh.dances if run is None else ((run,),),
        stage.fresh.pictures if pictures is None else (pictures,),
    )
    return judge(
        stage,
        [
            measures.measure_sample(sample, stage.dataset, reference_half)
            for reference_half in stage.references
        ],
    )


def failed(found: report.Report) -> set[str]:
    return {row.measure.key for row in found.rows if row.verdict() is False}


def start(stage: Stage) -> np.ndarray:
    """Returns the first twenty seconds of the fresh dance."""
    return stage.fresh.runs[0][: 20 * round(FPS)]


def test_real_against_real_passes_every_bar(stage):
    found = judge(stage, stage.real)
    assert failed(found) == set()
    passed = {row.measure.key for row in found.rows if row.verdict() is True}
    # The frames are never soft; nothing here is encoded or predicted.
    elsewhere = {"iou", "boundary_f", "boundary_f_1", "held_out_nll", "drift_softness"}
    assert passed | elsewhere == {row.measure.key for row in found.rows if row.limits is not None}


def test_a_new_dance_of_the_same_kind_passes_every_bar(stage):
    assert failed(made(stage)) == set()


def test_a_frozen_clip_freezes(stage):
    held = np.repeat(start(stage)[:1], DANCE, axis=0)
    found = made(stage, held, PictureScores.of([draw(held[:1])]).repeat(DANCE))
    assert found.row("freeze").cells[definitions.MODEL].mean == 1.0
    assert {"freeze", "energy", "mask_change", "coverage", "frechet_latents"} <= failed(found)
    assert found.row("drift_energy").cells[definitions.MODEL].reason == "nothing moves"


def test_a_looped_clip_loops(stage):
    # Its ends meet, so that nothing but the loop is wrong with the motion.
    angle = 2 * np.pi * np.arange(DANCE) / (3 * FPS)
    rng = np.random.default_rng(5)
    waves = np.stack([np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)])
    looped = (waves.T @ rng.normal(size=(4, DIM)) / 1.4).astype(np.float32)
    found = made(stage, looped)
    assert found.row("loop").cells[definitions.MODEL].mean == pytest.approx(1.0, abs=0.02)
    assert "loop" in failed(found) and "freeze" not in failed(found)


def test_white_noise_jitters(stage):
    noise = np.random.default_rng(1).normal(size=(DANCE, DIM)).astype(np.float32)
    assert {"jerk", "fast", "energy"} <= failed(made(stage, noise))


def test_a_copy_is_not_novel(stage):
    copied = np.concatenate(stage.train)[:DANCE]
    found = made(stage, copied)
    assert {"novelty_z", "near"} <= failed(found)
    assert found.row("near").cells[definitions.MODEL].mean > 0.9
    assert "coverage" not in failed(found)


def test_a_grey_figure_is_soft(stage):
    found = made(stage, pictures=PictureScores.of([draw(start(stage), level=0.3)]))
    assert found.row("soft").cells[definitions.MODEL].mean == 1.0
    assert "soft" in failed(found) and "hazy" not in failed(found)


def test_a_hazy_background_is_hazy(stage):
    found = made(stage, pictures=PictureScores.of([draw(start(stage), paper=0.92)]))
    assert found.row("hazy").cells[definitions.MODEL].mean == 1.0
    assert "hazy" in failed(found)


def test_two_blobs_are_not_one_dancer(stage):
    found = made(stage, pictures=PictureScores.of([draw(start(stage), blobs=2)]))
    assert found.row("one_dancer").cells[definitions.MODEL].mean < 0.05
    assert "one_dancer" in failed(found)


def test_a_dance_that_dies_away_drifts(stage):
    fading = stage.fresh.runs[0] * np.linspace(1.0, 0.3, DANCE, dtype=np.float32)[:, None]
    assert {"drift_energy", "drift_distance"} <= failed(made(stage, fading))


def test_half_the_energy_is_not_enough(stage):
    assert "energy" in failed(made(stage, stage.fresh.runs[0] * np.float32(np.sqrt(0.5))))


def test_a_short_dance_is_not_given_a_figure_that_means_nothing(stage):
    found = made(stage, start(stage)[:100], stage.fresh.pictures[0].cut(0, 100))
    for key in ("frechet_latents", "frechet_flow"):
        cell = found.row(key).cells[definitions.MODEL]
        assert cell.mean is None and "200 needed" in cell.reason
        assert found.row(key).verdict() is None
    for key in ("coverage", "novelty_z", "loop"):
        assert found.row(key).cells[definitions.MODEL].reason.startswith("too few windows")
    assert found.row("drift_energy").cells[definitions.MODEL].reason == "shorter than 20 s"


def test_no_sample_gives_more_windows_than_the_real_half_has(stage):
    few = dataclasses.replace(stage.references[0], most=(210, 30, 210))
    longer = MotionSample(
        (*stage.fresh.dances, (random_path(DANCE, np.random.default_rng(3)) * 9,)),
        stage.fresh.pictures,
    )
    one, other = (
        measures.measure_sample(sample, stage.dataset, few)["frechet_latents"]
        for sample in (stage.fresh, longer)
    )
    assert one == other
    assert (
        one
        != measures.measure_sample(longer, stage.dataset, stage.references[0])["frechet_latents"]
    )


def test_windows_are_cut_inside_runs():
    runs = [np.arange(5.0)[:, None], np.arange(10.0, 13.0)[:, None]]
    assert reference.windows(runs, 3, 2)[..., 0].tolist() == [[0, 1, 2], [2, 3, 4], [10, 11, 12]]
    assert reference.windows(runs, 5, 1, step=2)[..., 0].tolist() == [[0, 2, 4]]
    assert reference.windows(runs, 9, 1).shape == (0, 9, 1)


def test_the_distance_of_two_paths_is_their_root_mean_square_distance():
    run = np.zeros((30, 4))
    away = np.full((30, 4), 3.0)
    one, other = reference.paths([run], FPS)[0], reference.paths([away], FPS)[0]
    assert np.linalg.norm(one - other) == pytest.approx(6.0)


def test_many_training_windows_are_thinned_out(monkeypatch):
    monkeypatch.setattr(reference, "MAX_TRAINING_WINDOWS", 100)
    rng = np.random.default_rng(0)
    runs = [random_path(700, rng), random_path(650, rng)]
    dataset = DatasetStatistics.fit(runs, [random_path(300, rng)], FPS, FPS)
    assert 60 < len(dataset.paths) <= 100


def test_halves_share_no_group_and_are_about_as_long():
    groups = ["a", "b", "a", "c", "d", "e", "e", "f"]
    lengths = [10, 30, 20, 25, 40, 10, 10, 30]
    seen = set()
    for seed in range(20):
        one, other = reference.split_halves(groups, lengths, np.random.default_rng(seed))
        assert sorted(one + other) == list(range(8))
        assert not {groups[i] for i in one} & {groups[i] for i in other}
        assert abs(sum(lengths[i] for i in one) - sum(lengths[i] for i in other)) <= 40
        seen.add(frozenset(one))
    assert len(seen) > 5


def test_runs_are_dealt_in_order_and_cut_where_a_dance_is_full():
    dealt = list(reference.deal([5, 8, 4], 6, 9))
    assert dealt == [
        [(0, range(0, 5)), (1, range(0, 1))],
        [(1, range(1, 7))],
    ]
    assert list(reference.deal([5, 8], 6, 1)) == dealt[:1]
    # Cuts at multiples of 2, so that pictures of every second frame can be cut with them.
    assert list(reference.deal([5, 8], 6, 1, step=2)) == [[(0, range(0, 5)), (1, range(0, 2))]]
    assert list(reference.deal([3, 2], 60, 4)) == [[(0, range(0, 3)), (1, range(0, 2))]]


def test_a_dance_of_many_clips_is_given_as_many_windows_as_one_without_a_cut(stage):
    # At 15 pictures a second a window is 29 steps, and the next begins 8 later.
    whole = stage.fresh.pictures[0]
    clips = [whole.cut(first, first + 100) for first in range(0, 1800, 100)]
    taken = reference.as_many_windows(clips, 400, FPS)

    def count(parts: list[PictureScores]) -> int:
        return len(reference.windows([part.flow for part in parts], 29, 8))

    assert count(taken) == count([whole.cut(0, 400)]) == 47
    assert sum(map(len, taken)) > 400 and len(taken[-1]) <= 100
    assert reference.as_many_windows(clips[:2], 400, FPS) == clips[:2]

"""Collects the dances for a page of blind looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dancenet.evaluation.dances import DanceMakers, DrawnDances
from dancenet.evaluation.report.blind_look import (
    Source,
    blind_page,
    generated_sources,
    make_pairs,
    real_sources,
)
from dancenet.evaluation.scenes import Scene
from dancenet.generation import trajectory as dance
from dancenet.generation.load import Dancer, load_dancer
from dancenet.support.errors import UserError
from dancenet.support.names import visible


def load_beside(name: str | None, scene: Scene) -> Dancer | None:
    """Loads the other model, if one is named.

    Raises:
        UserError: it cannot be loaded, or cannot be shown beside the dances of the scene.
    """
    if name is None:
        return None
    other = load_dancer(name)
    scene.of_other(other)
    if abs(scene.fps - other.fps) > 1e-6 * scene.fps:
        raise UserError(
            f"{visible(other.name)} dances at {other.fps:g} frames a second, and the model at "
            f"{scene.fps:g}; show one of the same rate beside it."
        )
    return other


def look_page(makers: DanceMakers, drawn: Sequence[DrawnDances], beside: Dancer | None) -> str:
    """Returns the page.

    Args:
        makers: the model, the real dances and the options.
        drawn: the model's dances, one for each seed.
        beside: another model, or None.
    """
    data, seed = makers.data, makers.options.seeds[0]
    others = (
        [] if beside is None else [_source(makers, beside, one) for one in makers.options.seeds]
    )
    pairs = make_pairs(
        (real_sources(data), generated_sources(drawn), others),
        data.statistics.fps,
        np.random.default_rng([seed, 5]),
    )
    facts = {
        "model": makers.dancer.name,
        "beside": None if beside is None else beside.name,
        "seed": seed,
    }
    return blind_page(pairs, data.statistics.fps, facts)


def _source(makers: DanceMakers, other: Dancer, seed: int) -> Source:
    """Returns a dance of the other model, with the settings of the evaluation."""
    steps = dance.trajectories(other, makers.options.settings(seed), makers.num_frames)
    run = np.stack([step[0] for step in steps])
    scene = makers.data.scene.of_other(other)

    def draw(rows: range) -> np.ndarray:
        return np.concatenate(list(scene.drawn(run, rows, lambda count: None)))

    return Source(len(run), draw)

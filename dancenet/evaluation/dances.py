"""The dances that are measured: the model's own, and those of the references."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dancenet import dance
from dancenet.evaluation.real import RealDances
from dancenet.evaluation.recipe_2018 import RangeUnits
from dancenet.metrics import measures
from dancenet.metrics.figure import PictureScores
from dancenet.metrics.likelihood import FirstOrder
from dancenet.metrics.measures import Material
from dancenet.metrics.report import AR1, COPY, FREEZE, MODEL, RECIPE_2018
from dancenet.dance import Dancer, DanceSettings

_BATCH = 16  # vectors decoded at once


@dataclass(frozen=True)
class Drawn:
    """Dances that were made, and how a stretch of the first is drawn."""

    material: Material
    draw: Callable[[range], np.ndarray] = field(repr=False)  # frames to (T, H, W) whiteness


Maker = Callable[[int, Callable[[int], Any]], Drawn]


def make_makers(
    dancer: Dancer,
    recipe: Dancer | None,
    data: RealDances,
    chain: FirstOrder,
    settings: Callable[[int], DanceSettings],
    num_frames: int,
) -> dict[str, Maker]:
    """Returns what makes the dances of each column from a seed.

    Args:
        dancer: the model that is measured.
        recipe: of 2018, if there is one.
        data: the real dances.
        chain: AR(1), fitted on the training dances.
        settings: what the dances of a seed are made with.
        num_frames: of each dance.
    """
    one = settings(0)
    count, settle = one.count, one.settle

    def model(seed: int, advance: Callable[[int], Any]) -> Drawn:
        steps = dance.trajectories(dancer, settings(seed), num_frames)
        made = np.stack(list(steps), axis=1)
        return draw(dancer, [[run] for run in made], data.step, settle, advance)

    def copy(seed: int, advance: Callable[[int], Any]) -> Drawn:
        rng = np.random.default_rng([seed, 1])
        runs = [run for run in data.train_runs if len(run) > data.step]
        order = list(rng.permutation(len(runs)))
        while sum(len(runs[i]) for i in order) < num_frames * count:
            order += list(rng.permutation(len(runs)))
        dealt = measures.deal([len(runs[i]) for i in order], num_frames, count)
        dances = [
            [runs[order[index]][part.start : part.stop] for index, part in parts]
            for parts in dealt
        ]
        return draw(dancer, dances, data.step, settle, advance)

    def freeze(seed: int, advance: Callable[[int], Any]) -> Drawn:
        rng = np.random.default_rng([seed, 2])
        frame = _any_row(data, rng)
        held = np.repeat(data.vectors[frame][None], num_frames, axis=0)
        return draw(dancer, [[held]] * count, data.step, settle, lambda n: None)

    def ar1(seed: int, advance: Callable[[int], Any]) -> Drawn:
        rng = np.random.default_rng([seed, 3])
        start = data.vectors[[_any_row(data, rng) for _ in range(count)]]
        made = chain.sample(start, num_frames, rng)
        return draw(dancer, [[run] for run in made], data.step, settle, advance)

    makers: dict[str, Maker] = {MODEL: model, COPY: copy, FREEZE: freeze, AR1: ar1}
    if recipe is not None:
        units = RangeUnits.fit(recipe, data.latents, data.train)

        def old(seed: int, advance: Callable[[int], Any]) -> Drawn:
            latents = units.dance(seed, count, num_frames)
            runs = [[dancer.codec.scaler.to_model(run)] for run in latents]
            own = [[recipe.codec.scaler.to_model(run)] for run in latents]
            drawn = draw(recipe, own[:1], data.step, 0, advance)
            material = Material(tuple(map(tuple, runs)), drawn.material.pictures)
            return Drawn(material, drawn.draw)

        makers[RECIPE_2018] = old
    return makers


def _any_row(data: RealDances, rng: np.random.Generator) -> int:
    rows = np.concatenate([np.arange(clip.start, clip.stop) for clip in data.train])
    return int(rng.choice(rows))


def draw(
    dancer: Dancer,
    dances: Sequence[Sequence[np.ndarray]],
    step: int,
    settle: int,
    advance: Callable[[int], Any],
) -> Drawn:
    """Draws every `step`-th frame of the first of some dances, and keeps the scores."""

    def decoded(vectors: np.ndarray) -> Iterator[np.ndarray]:
        for begin in range(0, len(vectors), _BATCH):
            part = vectors[begin : begin + _BATCH]
            yield dancer.codec.decode(part, settle)
            advance(len(part))

    scores = []
    for run in dances[0]:
        chosen = run[::step]
        if np.ptp(chosen, axis=0).any():
            scores.append(PictureScores.of(decoded(chosen)))
        else:  # one picture is drawn once, however long it is held
            scores.append(PictureScores.of(decoded(chosen[:1])).repeat(len(chosen)))
    whole = np.concatenate(dances[0])

    def draw(rows: range) -> np.ndarray:
        part = whole[rows.start : rows.stop : rows.step]
        return np.concatenate([
            dancer.codec.decode(part[begin : begin + _BATCH], settle)
            for begin in range(0, len(part), _BATCH)
        ])

    return Drawn(Material(tuple(map(tuple, dances)), tuple(scores)), draw)

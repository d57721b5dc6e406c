"""The dances that are measured: the model's own, and those of the references."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dancenet.codecs.silhouette import SilhouetteCodec
from dancenet.evaluation.real import RealDances
from dancenet.evaluation.recipe_2018 import RangeUnits
from dancenet.evaluation.scenes import Scene, Silhouettes
from dancenet.generation import trajectory as dance
from dancenet.generation.load import Dancer
from dancenet.generation.settings import DanceSettings
from dancenet.metrics import measures
from dancenet.metrics.figure import PictureScores
from dancenet.metrics.likelihood import FirstOrder
from dancenet.metrics.measures import Material
from dancenet.metrics.report import AR1, COPY, FREEZE, MODEL, RECIPE_2018


@dataclass(frozen=True)
class Drawn:
    """Dances that were made, and how a stretch of the first is drawn."""

    material: Material
    draw: Callable[[range], np.ndarray] = field(
        repr=False
    )  # frames to (T, H, W) background probability


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
    count = settings(0).count

    def model(seed: int, advance: Callable[[int], Any]) -> Drawn:
        steps = dance.trajectories(dancer, settings(seed), num_frames)
        made = np.stack(list(steps), axis=1)
        return draw(data.scene, [[run] for run in made], data.step, advance)

    def copy(seed: int, advance: Callable[[int], Any]) -> Drawn:
        rng = np.random.default_rng([seed, 1])
        runs = [run for run in data.train_runs if len(run) > data.step]
        order = list(rng.permutation(len(runs)))
        while sum(len(runs[i]) for i in order) < num_frames * count:
            order += list(rng.permutation(len(runs)))
        dealt = measures.deal([len(runs[i]) for i in order], num_frames, count)
        dances = [
            [runs[order[index]][part.start : part.stop] for index, part in parts] for parts in dealt
        ]
        return draw(data.scene, dances, data.step, advance)

    def freeze(seed: int, advance: Callable[[int], Any]) -> Drawn:
        rng = np.random.default_rng([seed, 2])
        frame = _any_row(data, rng)
        held = np.repeat(data.vectors[frame][None], num_frames, axis=0)
        return draw(data.scene, [[held]] * count, data.step, lambda n: None)

    def ar1(seed: int, advance: Callable[[int], Any]) -> Drawn:
        rng = np.random.default_rng([seed, 3])
        start = data.vectors[[_any_row(data, rng) for _ in range(count)]]
        made = chain.sample(start, num_frames, rng)
        return draw(data.scene, [[run] for run in made], data.step, advance)

    makers: dict[str, Maker] = {MODEL: model, COPY: copy, FREEZE: freeze, AR1: ar1}
    scene = data.scene
    if recipe is not None and isinstance(scene, Silhouettes):
        units = RangeUnits.fit(recipe, scene.latents, data.train)
        unsettled = dataclasses.replace(
            scene, codec=SilhouetteCodec.of(recipe.codec, recipe.name), refine=0
        )

        def old(seed: int, advance: Callable[[int], Any]) -> Drawn:
            latents = units.dance(seed, count, num_frames)
            runs = [[dancer.codec.scaler.to_model(run)] for run in latents]
            own = [[recipe.codec.scaler.to_model(run)] for run in latents]
            drawn = draw(unsettled, own[:1], data.step, advance)
            material = Material(tuple(map(tuple, runs)), drawn.material.pictures)
            return Drawn(material, drawn.draw)

        makers[RECIPE_2018] = old
    return makers


def _any_row(data: RealDances, rng: np.random.Generator) -> int:
    rows = np.concatenate([np.arange(clip.start, clip.stop) for clip in data.train])
    return int(rng.choice(rows))


def draw(
    scene: Scene,
    dances: Sequence[Sequence[np.ndarray]],
    step: int,
    advance: Callable[[int], Any],
) -> Drawn:
    """Draws every `step`-th frame of the first of some dances, and keeps the scores."""
    scores = []
    for run in dances[0]:
        if np.ptp(run[::step], axis=0).any():
            rows = range(0, len(run), step)
            scores.append(PictureScores.of(scene.drawn(run, rows, advance)))
        else:  # one picture is drawn once, however long it is held
            first = PictureScores.of(scene.drawn(run[:1], range(1), advance))
            scores.append(first.repeat(len(run[::step])))
    whole = np.concatenate(dances[0])

    def draw(rows: range) -> np.ndarray:
        return np.concatenate(list(scene.drawn(whole, rows, lambda count: None)))

    return Drawn(Material(tuple(map(tuple, dances)), tuple(scores)), draw)

"""Makes the dances that are measured: the model's own, and each reference's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dancenet.evaluation.options import Options
from dancenet.evaluation.real import RealDances
from dancenet.evaluation.scenes import Scene
from dancenet.evaluation.silhouettes import Recipe2018
from dancenet.generation import trajectory as dance
from dancenet.generation.load import Dancer
from dancenet.metrics import reference
from dancenet.metrics.definitions import AR1, COPY, FREEZE, MODEL, RECIPE_2018
from dancenet.metrics.figure import PictureScores
from dancenet.metrics.likelihood import FirstOrder
from dancenet.metrics.reference import MotionSample


@dataclass(frozen=True)
class DrawnDances:
    """Dances, and a function that draws frames of the first one."""

    sample: MotionSample
    # Takes frame numbers; returns (T, H, W) background probability.
    draw: Callable[[range], np.ndarray] = field(repr=False)


# Takes a seed and a callback for the number of pictures drawn.
Maker = Callable[[int, Callable[[int], Any]], DrawnDances]


@dataclass(frozen=True)
class DanceMakers:
    """Makes the dances of every column but the real one."""

    dancer: Dancer  # the model under evaluation
    data: RealDances
    chain: FirstOrder  # AR(1), fitted to the training dances
    options: Options
    num_frames: int  # length of each dance
    recipe: Recipe2018 | None

    def columns(self) -> dict[str, Maker]:
        """Returns a function for each column."""
        makers: dict[str, Maker] = {
            MODEL: self.model,
            COPY: self.copy,
            FREEZE: self.freeze,
            AR1: self.ar1,
        }
        if self.recipe is not None:
            makers[RECIPE_2018] = self.recipe_2018
        return makers

    def model(self, seed: int, advance: Callable[[int], Any]) -> DrawnDances:
        """Generates dances with the model."""
        steps = dance.trajectories(self.dancer, self.options.settings(seed), self.num_frames)
        return self._draw(list(np.stack(list(steps), axis=1)), advance)

    def copy(self, seed: int, advance: Callable[[int], Any]) -> DrawnDances:
        """Joins training dances in random order."""
        rng = np.random.default_rng([seed, 1])
        count = self.options.dances
        runs = [run for run in self.data.train_runs if len(run) > self.data.step]
        order = list(rng.permutation(len(runs)))
        while sum(len(runs[i]) for i in order) < self.num_frames * count:
            order += list(rng.permutation(len(runs)))
        dealt = reference.deal([len(runs[i]) for i in order], self.num_frames, count)
        dances = [
            [runs[order[index]][part.start : part.stop] for index, part in parts] for parts in dealt
        ]
        return draw_dances(self.data.scene, dances, self.data.step, advance)

    def freeze(self, seed: int, advance: Callable[[int], Any]) -> DrawnDances:
        """Holds one training frame."""
        rng = np.random.default_rng([seed, 2])
        frame = self._any_row(rng)
        held = np.repeat(self.data.vectors[frame][None], self.num_frames, axis=0)
        return self._draw([held] * self.options.dances, lambda count: None)

    def ar1(self, seed: int, advance: Callable[[int], Any]) -> DrawnDances:
        """Draws dances from AR(1)."""
        rng = np.random.default_rng([seed, 3])
        start = self.data.vectors[[self._any_row(rng) for _ in range(self.options.dances)]]
        return self._draw(list(self.chain.sample(start, self.num_frames, rng)), advance)

    def recipe_2018(self, seed: int, advance: Callable[[int], Any]) -> DrawnDances:
        """Generates dances as in 2018; they are measured in the model's units."""
        assert self.recipe is not None
        latents = self.recipe.units.dance(seed, self.options.dances, self.num_frames)
        own = self.recipe.model.codec.scaler.to_model(latents[0])
        drawn = draw_dances(self.recipe.scene, [[own]], self.data.step, advance)
        runs = tuple((self.dancer.codec.scaler.to_model(run),) for run in latents)
        return DrawnDances(MotionSample(runs, drawn.sample.pictures), drawn.draw)

    def _draw(self, runs: Sequence[np.ndarray], advance: Callable[[int], Any]) -> DrawnDances:
        return draw_dances(self.data.scene, [[run] for run in runs], self.data.step, advance)

    def _any_row(self, rng: np.random.Generator) -> int:
        rows = np.concatenate([np.arange(clip.start, clip.stop) for clip in self.data.train])
        return int(rng.choice(rows))


def draw_dances(
    scene: Scene,
    dances: Sequence[Sequence[np.ndarray]],
    step: int,
    advance: Callable[[int], Any],
) -> DrawnDances:
    """Draws every `step`-th frame of the first dance, and keeps the pictures' scores."""
    scores = []
    for run in dances[0]:
        if np.ptp(run[::step], axis=0).any():
            rows = range(0, len(run), step)
            scores.append(PictureScores.of(scene.drawn(run, rows, advance)))
        else:  # a held picture is drawn only once
            first = PictureScores.of(scene.drawn(run[:1], range(1), advance))
            scores.append(first.repeat(len(run[::step])))
    whole = np.concatenate(dances[0])

    def draw(rows: range) -> np.ndarray:
        return np.concatenate(list(scene.drawn(whole, rows, lambda count: None)))

    return DrawnDances(MotionSample(tuple(map(tuple, dances)), tuple(scores)), draw)

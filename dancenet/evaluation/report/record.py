"""The report's text: facts for the record, and notes for the reader."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from dancenet.evaluation.joints import StyleFigures
from dancenet.evaluation.options import Options
from dancenet.evaluation.real import BLOCK_SECONDS, GAP_SECONDS, MAX_REAL_FRAMES, RealDances
from dancenet.evaluation.silhouettes import Recipe2018
from dancenet.generation.load import Dancer
from dancenet.metrics.reference import WINDOW_SECONDS, Value
from dancenet.model.config import ModelConfig


@dataclass(frozen=True)
class Record:
    """Everything that determines an evaluation's figures."""

    dancer: Dancer  # the model
    config: ModelConfig
    data: RealDances
    recipe: Recipe2018 | None
    options: Options
    styles: StyleFigures | None = None

    def facts(self) -> dict[str, Any]:
        """Returns the facts for report.json."""
        data, scene, recipe = self.data, self.data.scene, self.recipe
        facts: dict[str, Any] = {
            "model_sha256": self.dancer.sha256,
            "frames": {
                **scene.facts(),
                "fps": self.dancer.fps,
                "training_frames": sum(map(len, data.train)),
                "held_out_frames": sum(map(len, data.held_out)),
                "held_out_clips": sorted(
                    {
                        source
                        for clip, source in zip(scene.clips, scene.sources)
                        for rows in data.held_out
                        if rows.start in clip
                    }
                ),
                "model_trained_on_frames": {
                    part: training.get("frames")
                    for part, training in self.config.training.items()
                    if isinstance(training, dict)
                },
                "measured_frames": sum(map(len, data.blocks)),
                "halves": "whole recordings"
                if data.by_recording
                else f"blocks of {BLOCK_SECONDS:g} s, {GAP_SECONDS:g} s apart",
            },
            "settings": {
                **dataclasses.asdict(self.options),
                "seeds": list(self.options.seeds),
                "picture_fps": data.statistics.picture_fps,
                "smoothing_frames": scene.smoothing,
                "window_seconds": WINDOW_SECONDS,
            },
            "windows": {
                "training": len(data.statistics.paths),
                "held_out": len(data.statistics.held_out),
            },
            "recipe_2018": None
            if recipe is None
            else {"name": recipe.model.name, "sha256": recipe.model.sha256},
        }
        return facts if self.styles is None else {**facts, "styles": self.styles.by_style}

    def notes(self) -> tuple[str, ...]:
        """Returns the sentences that introduce the report."""
        data, scene = self.data, self.data.scene
        measured = sum(map(len, data.blocks))
        held_out = sum(map(len, data.held_out))
        everything = sum(map(len, data.train)) + held_out
        notes = [
            self._dances_note(),
            scene.note(),
            "Each seed splits the real dances into two halves by "
            + ("recording" if data.by_recording else f"blocks of {BLOCK_SECONDS:g} s")
            + ". All columns are compared with the first half; 'real' is the second half.",
            f"Held out: {held_out:,} of {len(data.vectors):,} frames, split as in training. They "
            "are new to the model only if it was trained on this dataset or on one with the same "
            "split.",
        ]
        if everything > MAX_REAL_FRAMES:
            notes.append(
                f"Of {everything:,} real frames {measured:,} are measured, in evenly spread blocks."
            )
        notes.append(scene.recipe_note(self.recipe))
        if self.styles is not None and self.styles.by_style:
            notes.append(_style_note(self.styles.by_style))
        return tuple(notes)

    def _dances_note(self) -> str:
        options, dancer = self.options, self.dancer
        variation, correction = options.temperature_variation, options.neighbour_correction
        if variation is None:
            variation = dancer.temperature_variation
        if correction is None:
            correction = dancer.neighbour_correction
        return (
            f"{len(options.seeds)} seeds of {options.dances} dances of {options.seconds:g} s, at "
            f"temperature {options.temperature:g}, temperature variation {variation:g} and "
            f"nearest-neighbour correction {correction:g}. Pictures show the first dance of each "
            f"seed at {self.data.statistics.picture_fps:g} frames per second. Figures are means "
            "over the seeds, ± standard deviation."
        )


def _style_note(by_style: dict[str, dict[str, Value]]) -> str:
    def show(value: Value) -> str:
        return value if isinstance(value, str) else f"{value:.2f}"

    figures = "; ".join(
        f"{name} {show(row['asked'])} ({show(row['real'])})" for name, row in by_style.items()
    )
    return (
        "For each style, the share of generated windows that are nearest to training windows of "
        f"the style (in brackets: of held-out windows): {figures}. Chance is "
        f"{1 / len(by_style):.2f}."
    )

"""Dances of joints: recordings drawn as figures; measures of bones, feet, energy and style."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.data.frames.picture import BACKGROUND
from dancenet.data.mocap.recordings import Recordings
from dancenet.data.motion.proportions import Body, measure
from dancenet.generation import trajectory as dance
from dancenet.generation.load import Dancer
from dancenet.generation.settings import DanceSettings
from dancenet.metrics import distance, skeleton
from dancenet.metrics.bodies.definitions import JOINT_MEASURES
from dancenet.metrics.measures import Values, evenly
from dancenet.metrics.reference import (
    FRECHET_STRIDE_SECONDS,
    WINDOW_SECONDS,
    Value,
    too_few,
    windows,
)
from dancenet.support.errors import UserError
from dancenet.support.names import visible

LEAST_STYLE_WINDOWS = 5  # needed of a style's training windows, and of its held-out windows

_BATCH = 16  # pictures drawn at once


@dataclass(frozen=True)
class StyleFigures:
    """Shares of windows in the requested style, for each style of a model."""

    # By style, the share "asked" of generated windows that are nearest to training windows of the
    # style, and the share "real" of held-out windows.
    by_style: dict[str, dict[str, Value]]

    def mean(self, column: str) -> float | None:
        """Returns the mean over styles of "asked" or "real"; None if there is no figure."""
        figures = [row[column] for row in self.by_style.values()]
        known = [figure for figure in figures if not isinstance(figure, str)]
        return float(np.mean(known)) if known else None


@dataclass(frozen=True)
class JointScene:
    """See `scenes.Scene`."""

    recordings: Recordings
    codec: SkeletonCodec
    body: Body | None  # measured from all recordings, if they have the 19-joint body

    name = "The set of recordings"
    measures = JOINT_MEASURES
    smoothing = 0.0

    @classmethod
    def of(cls, recordings: Recordings, codec: SkeletonCodec) -> JointScene:
        """Measures the body of the recordings."""
        whole = np.concatenate([clip.positions for clip in recordings.clips])
        body = measure(whole) if recordings.clips[0].is_body else None
        return cls(recordings=recordings, codec=codec, body=body)

    @property
    def fps(self) -> float:
        return self.recordings.fps

    @cached_property
    def vectors(self) -> np.ndarray:
        return np.concatenate([self.codec.encode(clip.positions) for clip in self.recordings.clips])

    @property
    def clips(self) -> tuple[range, ...]:
        return self.recordings.rows

    @property
    def sources(self) -> tuple[str, ...]:
        return self.recordings.sources

    def split(self) -> tuple[list[range], list[range]]:
        return self.recordings.split()

    def real(self, rows: range) -> Iterator[np.ndarray]:
        for clip, whole in zip(self.recordings.clips, self.recordings.rows):
            if whole.start <= rows.start < whole.stop:
                start = rows.start - whole.start
                positions = clip.positions[start : start + len(rows) * rows.step]
                yield from self._figures(positions, rows.step, lambda count: None)

    def drawn(
        self, run: np.ndarray, rows: range, advance: Callable[[int], Any]
    ) -> Iterator[np.ndarray]:
        positions = self.codec.finish(self.codec.decode(run))[rows.start : rows.stop]
        yield from self._figures(positions, rows.step, advance)

    def _figures(
        self, positions: np.ndarray, step: int, advance: Callable[[int], Any]
    ) -> Iterator[np.ndarray]:
        batch: list[np.ndarray] = []
        for index, frame in enumerate(self.codec.draw(positions, body=self.body)):
            if index % step == 0:
                batch.append(frame)
            if len(batch) == _BATCH:
                yield np.stack(batch).astype(np.float32) / BACKGROUND
                advance(len(batch))
                batch = []
        if batch:
            yield np.stack(batch).astype(np.float32) / BACKGROUND
            advance(len(batch))

    def of_other(self, other: Dancer) -> JointScene:
        codec = other.codec
        if not isinstance(codec, type(self.codec)):
            raise UserError(
                f"{visible(other.name)} dances {codec.kind}, and this needs a model of joints."
            )
        codec.check(self.recordings.clips[0])
        return dataclasses.replace(self, codec=codec)

    def reconstruct(self, train: Sequence[range], held_out: Sequence[range]) -> dict[str, Values]:
        return {}

    def measure_runs(self, runs: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> Values:
        codec = self.codec
        decoded = [codec.decode(run) for run in runs if len(run) > 2]
        finished = [codec.finish(positions) for positions in decoded]
        real = [codec.finish(codec.decode(run)) for run in reference if len(run) > 2]
        return {
            "bones": self._bone_spread(finished),
            "bones_decoded": self._bone_spread(decoded),
            "slide": self._foot_slide(finished),
            **_kinetics(real, finished, self.fps),
        }

    def _bone_spread(self, dances: Sequence[np.ndarray]) -> float:
        spreads = [skeleton.bone_spread(positions, self.codec.parents) for positions in dances]
        return float(np.average(spreads, weights=[len(positions) for positions in dances]))

    def _foot_slide(self, dances: Sequence[np.ndarray]) -> Value:
        feet, rest = self.codec.feet, self.codec.rest
        if not len(feet):
            return "the skeleton has no known feet"
        slides = [skeleton.foot_slide(positions, self.fps, feet, rest) for positions in dances]
        return float(np.concatenate(slides).mean())

    def measure_styles(
        self, dancer: Dancer, settings: DanceSettings, num_frames: int
    ) -> StyleFigures:
        names = [name for name in dancer.styles if name in self.recordings.style_names]
        train, held_out = (self._style_windows(clips, names) for clips in self.split())
        counts = np.bincount(train.styles, minlength=len(names))
        enough = np.flatnonzero(counts >= LEAST_STYLE_WINDOWS)
        if len(enough) < 2:
            return StyleFigures({})
        train = train.of_styles(enough)
        project = distance.Projection.fit(train.statistics)
        known = project(train.statistics)
        table: dict[str, dict[str, Value]] = {}
        for index in map(int, enough):
            asked = dataclasses.replace(settings, style=names[index])
            steps = np.stack(list(dance.trajectories(dancer, asked, num_frames)), axis=1)
            length = round(WINDOW_SECONDS * self.fps)
            made = distance.latent_statistics(windows(list(steps), length, length))
            share: Value = "the dances are too short"
            if len(made):
                share = skeleton.style_share(project(made), known, train.styles, index)
            real = held_out.of_styles(enough[enough == index]).statistics
            held_out_share: Value = too_few(len(real), LEAST_STYLE_WINDOWS, "held-out windows")
            if len(real) >= LEAST_STYLE_WINDOWS:
                held_out_share = skeleton.style_share(project(real), known, train.styles, index)
            table[names[index]] = {"asked": share, "real": held_out_share}
        return StyleFigures(table)

    def _style_windows(self, clips: Sequence[range], names: Sequence[str]) -> _StyleWindows:
        """Cuts clips into windows that do not overlap, and keeps those of known styles."""
        length = round(WINDOW_SECONDS * self.fps)
        labels = zip(self.recordings.rows, self.recordings.styles)
        styles = np.concatenate(
            [
                np.full(len(rows), names.index(style) if style in names else -1)
                for rows, style in labels
            ]
        )
        starts = np.array(
            [
                start
                for clip in clips
                for start in range(clip.start, clip.stop - length + 1, length)
                if styles[start] >= 0
            ],
            int,
        )
        found = self.vectors[starts[:, None] + np.arange(length)]
        return _StyleWindows(distance.latent_statistics(found), styles[starts])

    def load_recipe(self, dancer: Dancer, out: Path, train: Sequence[range]) -> None:
        return None

    def facts(self) -> dict[str, Any]:
        return {
            "recordings": sorted(set(self.recordings.sources)),
            "styles": list(self.recordings.style_names),
            "frames": sum(map(len, self.recordings.rows)),
            "clips": len(self.recordings.clips),
        }

    def note(self) -> str:
        return (
            "'Real' shows the dances as the dancer is trained on them: joints in the coordinates "
            "of the model. Pictures are figures drawn from joints. All body measures except "
            "'bones, decoded' are taken after bone lengths and standing feet are corrected; real "
            "dances are treated alike."
        )

    def recipe_note(self, recipe: object) -> str:
        return "The 2018 recipe works on latents of pictures only, so its column is empty."


@dataclass(frozen=True)
class _StyleWindows:
    statistics: np.ndarray  # (N, F)
    styles: np.ndarray  # (N,) index of each window's style

    def of_styles(self, styles: np.ndarray) -> _StyleWindows:
        kept = np.isin(self.styles, styles)
        return _StyleWindows(self.statistics[kept], self.styles[kept])


def _kinetics(real: Sequence[np.ndarray], found: Sequence[np.ndarray], fps: float) -> Values:
    """Compares the kinetic features of dances (T, J, 3) with those of real ones."""
    length = round(WINDOW_SECONDS * fps)
    stride = max(1, round(FRECHET_STRIDE_SECONDS * fps))
    theirs, ours = (
        skeleton.kinetic_features(windows(dances, length, stride), fps) for dances in (real, found)
    )
    count = min(len(theirs), len(ours))
    few = too_few(count, distance.LEAST_WINDOWS, "windows")
    if few:
        return {"kinetic": few, "diversity": few}
    theirs, ours = (evenly(features, count) for features in (theirs, ours))
    project = distance.Projection.fit(theirs)
    there, here = project(theirs), project(ours)
    total = float(np.trace(np.atleast_2d(np.cov(there, rowvar=False))))
    return {
        "kinetic": distance.frechet(there, here) / total,
        "diversity": skeleton.diversity(here) / skeleton.diversity(there),
    }

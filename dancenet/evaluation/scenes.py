"""Silhouettes and joints behind one protocol; only this module asks for a model's space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dancenet.codecs.silhouette import SilhouetteCodec
from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.data.frames.folder import FrameFolder
from dancenet.data.mocap.recordings import Recordings
from dancenet.evaluation.joints import JointScene, StyleFigures
from dancenet.evaluation.options import Options
from dancenet.evaluation.recipe_2018 import load_recipe
from dancenet.evaluation.silhouettes import Recipe2018, SilhouetteScene
from dancenet.generation.encode import encode_frames
from dancenet.generation.load import Dancer
from dancenet.generation.settings import DanceSettings
from dancenet.metrics.definitions import Measure
from dancenet.metrics.measures import Values
from dancenet.model.folder import ModelFolder
from dancenet.support.errors import UserError
from dancenet.support.names import visible


class Scene(Protocol):
    """A dataset of real dances, and how dances of its space are drawn and measured."""

    @property
    def name(self) -> str:
        """Returns the dataset's name, for errors."""
        ...

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The rows of the report."""
        ...

    @property
    def fps(self) -> float:
        """Frames per second of the real dances."""
        ...

    @property
    def vectors(self) -> np.ndarray:
        """The real dances (T, D) in model units."""
        ...

    @property
    def clips(self) -> tuple[range, ...]:
        """The rows of each clip."""
        ...

    @property
    def sources(self) -> tuple[str, ...]:
        """The recording that each clip comes from."""
        ...

    @property
    def smoothing(self) -> float:
        """Standard deviation, in frames, of the filter over the latents; 0 for none."""
        ...

    def split(self) -> tuple[list[range], list[range]]:
        """Returns the training rows and the held-out rows, as the trainers split them."""
        ...

    def real(self, rows: range) -> Iterator[np.ndarray]:
        """Yields the background probability (B, H, W) of real frames that lie in one clip."""
        ...

    def drawn(
        self, run: np.ndarray, rows: range, advance: Callable[[int], Any]
    ) -> Iterator[np.ndarray]:
        """Yields the background probability (B, H, W) of some vectors of a run (T, D)."""
        ...

    def of_other(self, other: Dancer) -> Scene:
        """Returns a scene that draws another model's dances; UserError if they are of no use."""
        ...

    def reconstruct(self, train: Sequence[range], held_out: Sequence[range]) -> dict[str, Values]:
        """Returns, by column, the quality of decoded real frames; empty if nothing is decoded."""
        ...

    def measure_runs(self, runs: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> Values:
        """Returns the measures of runs (T, D) that only this space has."""
        ...

    def measure_styles(
        self, dancer: Dancer, settings: DanceSettings, num_frames: int
    ) -> StyleFigures | None:
        """Returns how well a model follows requested styles; None if the space has no styles."""
        ...

    def load_recipe(self, dancer: Dancer, out: Path, train: Sequence[range]) -> Recipe2018 | None:
        """Returns the reference of 2018, trained in `out` if necessary; None if not asked for."""
        ...

    def facts(self) -> dict[str, Any]:
        """Returns the origin of the dataset, for the record."""
        ...

    def note(self) -> str:
        """Returns what the column "real" shows, for the reader."""
        ...

    def recipe_note(self, recipe: Recipe2018 | None) -> str:
        """Returns a remark on the column of 2018, for the reader."""
        ...


def open_scene(
    dancer: Dancer, source: ModelFolder, dataset: str | Path | Recordings, options: Options
) -> Scene:
    """Opens the dataset of a model.

    Args:
        dancer: the model.
        source: its folder.
        dataset: a folder of frames, or recordings for a model of joints.
        options: of the evaluation.

    Raises:
        UserError: the dataset or the options do not fit the model.
    """
    if isinstance(dancer.codec, SkeletonCodec):
        if not isinstance(dataset, Recordings):
            raise UserError(
                f"{visible(dancer.name)} dances with joints; name the files of motion it was "
                "trained on."
            )
        if options.recipe_2018 is not None or options.recipe_minutes is not None:
            raise UserError(
                "The recipe of 2018 works on latents of pictures only; leave it out for a model "
                "of joints."
            )
        dancer.codec.check(dataset.clips[0])
        return JointScene.of(dataset, dancer.codec)
    if isinstance(dataset, Recordings):
        raise UserError(
            f"{visible(dancer.name)} dances in silhouettes; name the frames it was trained on with "
            "--frames."
        )
    frames = FrameFolder.open(dataset)
    recipe = None
    if options.recipe_2018 is not None:
        recipe = load_recipe(options.recipe_2018, dancer)
    return SilhouetteScene(
        frames=frames,
        latents=encode_frames(source, frames),
        codec=SilhouetteCodec.of(dancer.codec, dancer.name),
        model=source,
        refine=options.refine,
        recipe=recipe,
        recipe_minutes=options.recipe_minutes,
    )

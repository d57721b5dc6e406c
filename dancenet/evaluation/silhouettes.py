"""Silhouette dances: frames of a folder, drawn and compared through the picture network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dancenet.codecs.latents import Latents
from dancenet.codecs.silhouette import SilhouetteCodec
from dancenet.data.frames.components import WHOLE, largest_share
from dancenet.data.frames.folder import FrameFolder
from dancenet.data.frames.picture import BACKGROUND, DANCER
from dancenet.evaluation.recipe_2018 import RangeUnits, load_recipe, trained_recipe
from dancenet.generation.load import Dancer
from dancenet.generation.settings import DanceSettings
from dancenet.metrics import reconstruction
from dancenet.metrics.bodies.definitions import SILHOUETTE_MEASURES
from dancenet.metrics.definitions import COPY, MODEL
from dancenet.metrics.figure import MASK
from dancenet.metrics.measures import Values, evenly
from dancenet.model import folder as model_folder
from dancenet.model.folder import ModelFolder
from dancenet.runtime.onnx import OnnxDecoder
from dancenet.support import terminal
from dancenet.support.wording import option

MAX_RECONSTRUCTED = 2_000  # most frames that are decoded and compared, chosen evenly

_MAX_PLAIN = 400  # most pictures of a sample that are decoded without refining, chosen evenly
_BATCH = 16  # vectors decoded at once
_READ = 256  # pictures read at once


@dataclass(frozen=True)
class Recipe2018:
    """The network of 2018 as a reference."""

    model: Dancer
    units: RangeUnits
    scene: SilhouetteScene  # draws with the network's own codec, without refining


@dataclass(frozen=True)
class SilhouetteScene:
    """See `scenes.Scene`."""

    frames: FrameFolder
    latents: Latents
    codec: SilhouetteCodec
    model: ModelFolder
    refine: int  # as in `DanceSettings`
    recipe: Dancer | None = None  # the network of 2018, if one was named
    recipe_minutes: float | None = None  # train one for so long, if none was named

    measures = SILHOUETTE_MEASURES

    @property
    def name(self) -> str:
        return str(self.frames.path)

    @property
    def fps(self) -> float:
        return self.latents.fps

    @cached_property
    def vectors(self) -> np.ndarray:
        return self.codec.trajectory(self.latents.z_mean, self.latents.clips)

    @property
    def clips(self) -> tuple[range, ...]:
        return self.latents.clips

    @property
    def sources(self) -> tuple[str, ...]:
        return self.latents.sources

    @property
    def smoothing(self) -> float:
        return self.codec.smoothing

    def split(self) -> tuple[list[range], list[range]]:
        return self.latents.split()

    def real(self, rows: range) -> Iterator[np.ndarray]:
        size = max(1, _READ // rows.step) * rows.step
        for first in range(rows.start, rows.stop, size):
            last = min(first + size, rows.stop)
            frames = self.frames.read(first + 1, last)[:: rows.step]
            yield frames.astype(np.float32) / BACKGROUND

    def drawn(
        self, run: np.ndarray, rows: range, advance: Callable[[int], Any]
    ) -> Iterator[np.ndarray]:
        chosen = run[rows.start : rows.stop : rows.step]
        for begin in range(0, len(chosen), _BATCH):
            part = chosen[begin : begin + _BATCH]
            yield self.codec.decode(part, self.refine)
            advance(len(part))

    def of_other(self, other: Dancer) -> SilhouetteScene:
        return dataclasses.replace(self, codec=SilhouetteCodec.of(other.codec, other.name))

    def reconstruct(self, train: Sequence[range], held_out: Sequence[range]) -> dict[str, Values]:
        decoder = OnnxDecoder(self.model / model_folder.DECODER_GRAPH)
        return {
            MODEL: self._reconstruct(decoder, held_out, "Held-out frames"),
            COPY: self._reconstruct(decoder, train, "Training frames"),
        }

    def _reconstruct(self, decoder: OnnxDecoder, clips: Sequence[range], title: str) -> Values:
        """Decodes the encoder's means of some frames, and compares the pictures with the frames."""
        rows = np.concatenate([np.arange(clip.start, clip.stop) for clip in clips])
        rows = evenly(rows, min(len(rows), MAX_RECONSTRUCTED))
        found: dict[str, list[np.ndarray]] = {}
        with terminal.progress(total=len(rows), description=title) as bar:
            for begin in range(0, len(rows), _BATCH):
                part = rows[begin : begin + _BATCH]
                truth = np.concatenate([self.frames.read(row + 1, row + 1) for row in part])
                decoded = decoder(self.latents.z_mean[part])
                masks = truth == DANCER, decoded < 0.5
                pictures = truth.astype(np.float32) / BACKGROUND, decoded
                for name, values in (
                    ("iou", reconstruction.iou(*masks)),
                    ("boundary_f", reconstruction.boundary_f(*masks)),
                    ("boundary_f_1", reconstruction.boundary_f(*masks, tolerance=1.0)),
                    ("psnr", reconstruction.psnr(*pictures)),
                    ("ssim", reconstruction.ssim(*pictures)),
                ):
                    found.setdefault(name, []).append(values)
                bar.update(len(part))
        return {name: float(np.concatenate(values).mean()) for name, values in found.items()}

    def measure_runs(self, runs: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> Values:
        rows = np.concatenate(runs)
        rows = evenly(rows, min(len(rows), _MAX_PLAIN))
        parts = [rows[begin : begin + _BATCH] for begin in range(0, len(rows), _BATCH)]
        largest = [largest_share(self.codec.decode(part, refine=0) < MASK) for part in parts]
        return {"one_dancer_plain": float((np.concatenate(largest) >= WHOLE).mean())}

    def measure_styles(self, dancer: Dancer, settings: DanceSettings, num_frames: int) -> None:
        return None

    def load_recipe(self, dancer: Dancer, out: Path, train: Sequence[range]) -> Recipe2018 | None:
        recipe = self.recipe
        if recipe is None and self.recipe_minutes is not None:
            path = trained_recipe(self.model, self.latents, out, self.recipe_minutes)
            recipe = load_recipe(path, dancer)
        if recipe is None:
            return None
        return Recipe2018(
            model=recipe,
            units=RangeUnits.fit(recipe, self.latents, train),
            scene=dataclasses.replace(
                self, codec=SilhouetteCodec.of(recipe.codec, recipe.name), refine=0
            ),
        )

    def facts(self) -> dict[str, Any]:
        return {
            "folder": str(self.frames.path),
            "frames": self.frames.num_frames,
            "clips": len(self.frames.clips),
        }

    def note(self) -> str:
        return (
            "'Real' shows the dances as the dancer is trained on them: latents of the frames, "
            f"smoothed over {self.smoothing:g} frames. Real pictures are the frames themselves, "
            "which are never soft; the column 'copy' shows real dances drawn by the picture "
            "network."
        )

    def recipe_note(self, recipe: Recipe2018 | None) -> str:
        if recipe is not None:
            return "The 2018 recipe predicts in other units, so its likelihood cannot be compared."
        return (
            f"The 2018 recipe is not given: name a model ({option('recipe_2018', 'NAME')}), or "
            f"train one ({option('recipe_minutes', 10)}). Its bar is left out."
        )

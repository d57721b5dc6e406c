"""The real dances that a model is measured by, and how they are split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dancenet.data.frames.picture import BACKGROUND, DANCER
from dancenet.evaluation.scenes import Scene, Silhouettes
from dancenet.generation.settings import Dancer
from dancenet.metrics import measures
from dancenet.metrics import reconstruction as compare
from dancenet.metrics.figure import PictureScores
from dancenet.metrics.measures import Material, Standard, Yardstick
from dancenet.runtime.onnx import OnnxDecoder
from dancenet.support import terminal
from dancenet.support.errors import UserError

# Of 208×120 pixels hardly any moves by a whole one in a thirtieth of a second; every second
# picture shows the motion better, and takes half the time.
PICTURE_FPS = 15.0
MAX_REAL_FRAMES = 36_000  # that real dances are measured on; of more, blocks are chosen evenly
MAX_RECONSTRUCTED = 2_000  # frames, chosen evenly
LEAST_RECORDINGS = 8  # for halves of whole recordings; with fewer, recordings are cut in blocks
BLOCK_SECONDS = 15.0
GAP_SECONDS = 1.0  # between two blocks of one recording that may come to different halves

_BATCH = 16  # pictures decoded at once


@dataclass(frozen=True)
class RealDances:
    """The real dances: what they look like, their vectors, and what is fitted on them."""

    scene: Scene
    vectors: np.ndarray  # (T, D) in model units
    train: list[range]
    held_out: list[range]
    blocks: list[range]  # of both, that real dances are measured on
    groups: list[str]  # of each block; what is of one group stays on one side of a split
    by_recording: bool  # groups are recordings
    step: int  # frames from one picture that is drawn to the next
    yardstick: Yardstick

    @classmethod
    def prepare(cls, dancer: Dancer, scene: Scene, name: str) -> RealDances:
        """Splits the real dances and measures what others are measured by.

        Args:
            dancer: the model.
            scene: the dances.
            name: what they are called, for errors.
        """
        material = scene.latents if isinstance(scene, Silhouettes) else scene.recordings
        if abs(material.fps - dancer.fps) > 1e-6 * dancer.fps:
            raise UserError(
                f"{name} has {material.fps:g} frames a second and {dancer.name} dances at "
                f"{dancer.fps:g}; make frames of that rate."
            )
        train, held_out = material.split()
        if not train or not held_out:
            raise UserError(
                f"{name} has {len(train)} stretches to train on and {len(held_out)} held "
                "out; an evaluation needs both. Film longer, or mark whole clips for either side."
            )
        blocks, groups, by_recording = split_blocks(
            scene.clips, scene.sources, dancer.fps, [*train, *held_out]
        )
        if len(set(groups)) < 2:
            raise UserError(
                "An evaluation compares two halves of the real dances, and "
                f"{name} holds less than two stretches of a second. Film longer."
            )
        vectors = scene.vectors
        step = max(1, round(dancer.fps / PICTURE_FPS))
        yardstick = Yardstick.fit(
            [vectors[rows.start : rows.stop] for rows in train],
            [vectors[rows.start : rows.stop] for rows in held_out],
            dancer.fps,
            dancer.fps / step,
        )
        return cls(scene, vectors, train, held_out, blocks, groups, by_recording, step, yardstick)

    @property
    def train_runs(self) -> list[np.ndarray]:
        return [self.vectors[rows.start : rows.stop] for rows in self.train]

    @property
    def held_out_runs(self) -> list[np.ndarray]:
        return [self.vectors[rows.start : rows.stop] for rows in self.held_out]

    def score_real(self) -> list[PictureScores]:
        """Returns the scores of the frames of each block."""
        scores = []
        total = sum(map(len, self.blocks))
        with terminal.progress(total=total, description="Real frames") as bar:
            for rows in self.blocks:
                shown = range(rows.start, rows.stop, self.step)
                scores.append(PictureScores.of(self.scene.real(shown)))
                bar.update(len(rows))
        return scores

    def split(
        self, scores: list[PictureScores], rng: np.random.Generator, num_frames: int, most: int
    ) -> tuple[Standard, Material, Material]:
        """Returns half of the real dances as the reference, the rest as material, and the half."""
        lengths = [len(rows) for rows in self.blocks]
        one, other = measures.split_halves(self.groups, lengths, rng)
        runs = [self.vectors[rows.start : rows.stop] for rows in self.blocks]
        half = Material((tuple(runs[i] for i in one),), tuple(scores[i] for i in one))
        dealt = measures.deal([lengths[i] for i in other], num_frames, most, self.step)
        dances = []
        pictures: list[PictureScores] = []
        for parts in dealt:
            dances.append(
                tuple(runs[other[index]][part.start : part.stop] for index, part in parts)
            )
            pictures += [
                scores[other[i]].cut(part.start // self.step, -(-part.stop // self.step))
                for i, part in parts
            ]
        taken = measures.as_many_windows(
            pictures, -(-num_frames // self.step), self.yardstick.picture_fps
        )
        rest = Material(tuple(dances), tuple(taken))
        return Standard.of(half, rest, self.yardstick), rest, half


def split_blocks(
    clips: Sequence[range], sources: Sequence[str], fps: float, ranges: Sequence[range]
) -> tuple[list[range], list[str], bool]:
    """Returns the stretches that real dances are measured on, the group of each, and its kind.

    A group is a recording, whatever it was drawn from; or, with few recordings, what they show
    at one time.

    Args:
        clips: rows of each clip.
        sources: where each came from.
        fps: frames per second.
        ranges: rows to take stretches from, each inside a clip.

    Returns:
        Row ranges of a second or more, names, and whether groups are whole recordings.
    """
    whole = {
        rows: (clip.start, source)
        for rows in ranges
        for clip, source in zip(clips, sources)
        if clip.start <= rows.start < clip.stop
    }
    by_recording = len({source for _, source in whole.values()}) >= LEAST_RECORDINGS
    total = sum(map(len, ranges))
    size, gap = round(BLOCK_SECONDS * fps), round(GAP_SECONDS * fps)
    blocks: list[range] = []
    groups: list[str] = []
    for rows in ranges:
        start, source = whole[rows]
        if by_recording and total <= MAX_REAL_FRAMES:
            cut = [rows]
        else:
            apart = 0 if by_recording else gap
            cut = [
                range(first, min(first + size, rows.stop))
                for first in range(rows.start, rows.stop, size + apart)
            ]
        for block in cut:
            if len(block) >= fps:
                blocks.append(block)
                groups.append(source if by_recording else f"{source}, {block.start - start}")
    kept = sum(map(len, blocks))
    if kept > MAX_REAL_FRAMES:
        count = max(2, len(blocks) * MAX_REAL_FRAMES // kept)
        chosen = [i * len(blocks) // count for i in range(count)]
        blocks, groups = [blocks[i] for i in chosen], [groups[i] for i in chosen]
    return blocks, groups, by_recording


def reconstruction(
    scene: Silhouettes, decoder: OnnxDecoder, clips: Sequence[range], what: str
) -> dict[str, measures.Value]:
    """Decodes the means of some frames and compares the pictures with the frames."""
    rows = np.concatenate([np.arange(clip.start, clip.stop) for clip in clips])
    count = min(len(rows), MAX_RECONSTRUCTED)
    rows = rows[np.arange(count) * len(rows) // count]
    found: dict[str, list[np.ndarray]] = {}
    with terminal.progress(total=count, description=what) as bar:
        for begin in range(0, count, _BATCH):
            part = rows[begin : begin + _BATCH]
            truth = np.concatenate([scene.frames.read(row + 1, row + 1) for row in part])
            decoded = decoder(scene.latents.z_mean[part])
            masks = truth == DANCER, decoded < 0.5
            background = truth.astype(np.float32) / BACKGROUND
            for name, values in (
                ("iou", compare.iou(*masks)),
                ("boundary_f", compare.boundary_f(*masks)),
                ("psnr", compare.psnr(background, decoded)),
                ("ssim", compare.ssim(background, decoded)),
            ):
                found.setdefault(name, []).append(values)
            bar.update(len(part))
    return {name: float(np.concatenate(values).mean()) for name, values in found.items()}

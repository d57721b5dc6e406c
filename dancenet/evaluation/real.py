"""The real dances that a model is compared with, and how they are split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dancenet.evaluation.scenes import Scene
from dancenet.generation.load import Dancer
from dancenet.metrics import reference
from dancenet.metrics.figure import PictureScores
from dancenet.metrics.reference import DatasetStatistics, MotionSample, ReferenceStatistics
from dancenet.support import terminal
from dancenet.support.errors import UserError
from dancenet.support.names import visible

# In a picture of 208×120 pixels little moves by a whole pixel in 1/30 s. At half the rate motion
# shows better, and takes half the time to measure.
PICTURE_FPS = 15.0
MAX_REAL_FRAMES = 36_000  # most real frames that are measured; of more, blocks are chosen evenly
LEAST_RECORDINGS = 8  # for halves of whole recordings; fewer recordings are cut into blocks
BLOCK_SECONDS = 15.0
GAP_SECONDS = 1.0  # between two blocks of one recording, which may fall into different halves


@dataclass(frozen=True)
class RealDances:
    """The real dances, their split into blocks, and their statistics."""

    scene: Scene
    vectors: np.ndarray  # (T, D) in model units
    train: list[range]
    held_out: list[range]
    blocks: list[range]  # parts of both that are measured
    groups: list[str]  # group of each block; a group falls into one half as a whole
    by_recording: bool  # groups are recordings
    step: int  # frames from one picture to the next
    statistics: DatasetStatistics

    @classmethod
    def prepare(cls, dancer: Dancer, scene: Scene) -> RealDances:
        """Splits the real dances, and computes their statistics.

        Raises:
            UserError: the frame rate is not the model's, or there are too few dances.
        """
        if abs(scene.fps - dancer.fps) > 1e-6 * dancer.fps:
            raise UserError(
                f"{visible(scene.name)} has {scene.fps:g} frames a second and "
                f"{visible(dancer.name)} dances at {dancer.fps:g}; make frames of that rate."
            )
        train, held_out = scene.split()
        if not train or not held_out:
            raise UserError(
                f"{visible(scene.name)} has {len(train)} clips to train on and {len(held_out)} "
                "held out; an evaluation needs both. Film longer, or mark whole clips for either "
                "side."
            )
        blocks, groups, by_recording = split_blocks(
            scene.clips, scene.sources, dancer.fps, [*train, *held_out]
        )
        if len(set(groups)) < 2:
            raise UserError(
                "An evaluation compares two halves of the real dances, but "
                f"{visible(scene.name)} holds fewer than two clips of a second. Film longer."
            )
        step = max(1, round(dancer.fps / PICTURE_FPS))
        vectors = scene.vectors
        return cls(
            scene=scene,
            vectors=vectors,
            train=train,
            held_out=held_out,
            blocks=blocks,
            groups=groups,
            by_recording=by_recording,
            step=step,
            statistics=DatasetStatistics.fit(
                [vectors[rows.start : rows.stop] for rows in train],
                [vectors[rows.start : rows.stop] for rows in held_out],
                dancer.fps,
                dancer.fps / step,
            ),
        )

    @property
    def train_runs(self) -> list[np.ndarray]:
        """The training dances, (T, D) each."""
        return [self.vectors[rows.start : rows.stop] for rows in self.train]

    @property
    def held_out_runs(self) -> list[np.ndarray]:
        """The held-out dances, (T, D) each."""
        return [self.vectors[rows.start : rows.stop] for rows in self.held_out]

    def score_real(self) -> list[PictureScores]:
        """Scores the pictures of each block."""
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
    ) -> Halves:
        """Splits the real dances into two halves.

        Args:
            scores: picture scores of each block.
            rng: the source of randomness.
            num_frames: length of each dance that the second half is joined to.
            most: the most dances of the second half.
        """
        lengths = [len(rows) for rows in self.blocks]
        one, other = reference.split_halves(self.groups, lengths, rng)
        runs = [self.vectors[rows.start : rows.stop] for rows in self.blocks]
        first = MotionSample((tuple(runs[i] for i in one),), tuple(scores[i] for i in one))
        dances = []
        pictures: list[PictureScores] = []
        for parts in reference.deal([lengths[i] for i in other], num_frames, most, self.step):
            dances.append(
                tuple(runs[other[index]][part.start : part.stop] for index, part in parts)
            )
            pictures += [
                scores[other[i]].cut(part.start // self.step, -(-part.stop // self.step))
                for i, part in parts
            ]
        taken = reference.as_many_windows(
            pictures, -(-num_frames // self.step), self.statistics.picture_fps
        )
        second = MotionSample(tuple(dances), tuple(taken))
        return Halves(
            reference=first,
            statistics=ReferenceStatistics.of(first, second, self.statistics),
            other=second,
        )


@dataclass(frozen=True)
class Halves:
    """The real dances, split in two by one seed."""

    reference: MotionSample  # every sample is compared with it
    statistics: ReferenceStatistics
    other: MotionSample  # measured like a generated sample


def split_blocks(
    clips: Sequence[range], sources: Sequence[str], fps: float, ranges: Sequence[range]
) -> tuple[list[range], list[str], bool]:
    """Cuts the real dances into blocks, and groups the blocks.

    A group is one recording, with all clips drawn from it. If there are few recordings, a group
    is the blocks of one recording that start at the same time.

    Args:
        clips: rows of each clip.
        sources: recording of each clip.
        fps: frames per second.
        ranges: rows to cut, each range inside one clip.

    Returns:
        Blocks of a second or more, the group of each, and whether groups are whole recordings.
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

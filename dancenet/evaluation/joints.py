"""What is measured of dances of joints alone: bones, feet, energies, and whether styles steer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from dancenet.evaluation.real import RealDances
from dancenet.evaluation.scenes import Joints
from dancenet.generation import trajectory as dance
from dancenet.generation.load import Dancer
from dancenet.generation.settings import DanceSettings
from dancenet.metrics import distance, measures, skeleton
from dancenet.metrics.measures import Value, Values

LEAST_STYLE_WINDOWS = 5  # of real dances of a style, and of held-out ones, to judge it by


def measure(
    scene: Joints, runs: Sequence[np.ndarray], half: Sequence[np.ndarray], fps: float
) -> Values:
    """Measures the bodies of dances.

    Args:
        scene: the recordings, and how vectors become joints.
        runs: (T, D) vectors that follow each other.
        half: runs of the real dances that they are compared with.
        fps: frames per second.
    """
    codec = scene.codec
    decoded = [codec.decode(run) for run in runs if len(run) > 2]
    finished = [codec.finish(positions) for positions in decoded]
    weights = [len(positions) for positions in decoded]

    def spread(dances: Sequence[np.ndarray]) -> float:
        each = [skeleton.bone_spread(positions, codec.parents) for positions in dances]
        return float(np.average(each, weights=weights))

    values: Values = {"bones": spread(finished), "bones_decoded": spread(decoded)}
    if len(codec.feet):
        slides = [
            skeleton.foot_slide(positions, fps, codec.feet, codec.rest) for positions in finished
        ]
        values["slide"] = float(np.concatenate(slides).mean())
    else:
        values["slide"] = "no feet are known"
    real = [codec.finish(codec.decode(run)) for run in half if len(run) > 2]
    return values | _kinetics(real, finished, fps)


def _kinetics(real: Sequence[np.ndarray], found: Sequence[np.ndarray], fps: float) -> Values:
    length = round(measures.WINDOW_SECONDS * fps)
    stride = max(1, round(measures.FRECHET_STRIDE_SECONDS * fps))
    theirs, ours = (
        skeleton.kinetic_features(measures.windows(dances, length, stride), fps)
        for dances in (real, found)
    )
    count = min(len(theirs), len(ours))
    if count < distance.LEAST_WINDOWS:
        few = f"too few windows: {count}, {distance.LEAST_WINDOWS} needed"
        return {"kinetic": few, "diversity": few}
    theirs, ours = (_evenly(features, count) for features in (theirs, ours))
    project = distance.Projection.fit(theirs)
    there, here = project(theirs), project(ours)
    total = float(np.trace(np.atleast_2d(np.cov(there, rowvar=False))))
    return {
        "kinetic": distance.frechet(there, here) / total,
        "diversity": skeleton.diversity(here) / skeleton.diversity(there),
    }


def steer(
    dancer: Dancer, data: RealDances, settings: DanceSettings, num_frames: int
) -> tuple[dict[str, dict[str, Value]], float | None, float | None]:
    """Asks for each style of a model, and looks whose windows those of the dance are like.

    Args:
        dancer: a model of joints.
        data: real dances, with their styles.
        settings: of the dances, without a style.
        num_frames: of each dance.

    Returns:
        By style the share `asked` of the windows of its dances that are nearest to training
        windows of it, and `real`, that of the held-out windows; and the means over styles of
        either, None if there is no figure.
    """
    assert isinstance(data.scene, Joints)
    recordings = data.scene.recordings
    names = [name for name in dancer.styles if name in recordings.style_names]
    if len(names) < 2:
        return {}, None, None
    length = round(measures.WINDOW_SECONDS * dancer.fps)
    of_row = np.concatenate(
        [
            np.full(len(rows), names.index(style) if style in names else -1)
            for rows, style in zip(recordings.rows, recordings.styles)
        ]
    )

    def statistics(clips: Sequence[range]) -> tuple[np.ndarray, np.ndarray]:
        starts = [
            start for clip in clips for start in range(clip.start, clip.stop - length + 1, length)
        ]
        kept = np.array([start for start in starts if of_row[start] >= 0], int)
        rows = kept[:, None] + np.arange(length)
        return distance.latent_statistics(data.vectors[rows]), of_row[kept]

    known, styles = statistics(data.train)
    held_out, held_out_styles = statistics(data.held_out)
    enough = [
        index for index in range(len(names)) if (styles == index).sum() >= LEAST_STYLE_WINDOWS
    ]
    if len(enough) < 2:
        return {}, None, None
    kept = np.isin(styles, enough)
    known, styles = known[kept], styles[kept]
    project = distance.Projection.fit(known)
    table: dict[str, dict[str, Value]] = {}
    for index in enough:
        asked = dataclasses.replace(settings, style=names[index])
        steps = np.stack(list(dance.trajectories(dancer, asked, num_frames)), axis=1)
        made = distance.latent_statistics(measures.windows(list(steps), length, length))
        share: Value = "the dances are too short"
        if len(made):
            share = skeleton.style_share(project(made), project(known), styles, index)
        theirs = held_out[held_out_styles == index]
        real: Value = f"too few held-out windows: {len(theirs)}"
        if len(theirs) >= LEAST_STYLE_WINDOWS:
            real = skeleton.style_share(project(theirs), project(known), styles, index)
        table[names[index]] = {"asked": share, "real": real}

    def mean(column: str) -> float | None:
        figures = [row[column] for row in table.values() if not isinstance(row[column], str)]
        return float(np.mean(np.array(figures, float))) if figures else None

    return table, mean("asked"), mean("real")


def _evenly(rows: np.ndarray, count: int) -> np.ndarray:
    return rows[np.arange(count) * len(rows) // count]

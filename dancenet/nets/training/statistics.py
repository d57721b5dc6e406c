"""Statistics of trajectories for training: scales, baselines, seed clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dancenet.codecs.base import Scaler
from dancenet.codecs.latents import Latents
from dancenet.data.mocap.recordings import Recordings

SEED_SECONDS = 2.0
MAX_SEEDS = 64
_MAX_SEED_BYTES = 1_900_000

_LOG_2PI_E = float(np.log(2.0 * np.pi) + 1.0)


def spread(rows: np.ndarray, count: int) -> np.ndarray:
    """Returns `count` of the rows (N, …), evenly from first to last, or all if there are fewer."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]


def rows_of(clips: Sequence[range]) -> np.ndarray:
    """Returns the row numbers (T,) of all clips."""
    return np.concatenate([np.zeros(0, np.int64), *(np.arange(c.start, c.stop) for c in clips)])


def fit_scaler(
    z_mean: np.ndarray,
    clips: Sequence[range],
    network: str,
    look_back: int,
    num_places: int = 0,
) -> Scaler:
    """Fits the map into model units on the rows of some clips.

    Args:
        z_mean: (T, L).
        clips: the training clips.
        network: "lean" takes the principal components that vary, each with unit variance;
            "dancenet" takes every dimension of the latent, standardised.
        look_back: with 1, "dancenet" scales to 0..1 instead, as in 2018.
        num_places: how many of the last columns are the place of the figure, which "lean" keeps
            apart from the pose.
    """
    known = z_mean[rows_of(clips)]
    if network == "dancenet":
        return Scaler.fit_range(known) if look_back == 1 else Scaler.fit_columns(known)
    num_pose = known.shape[1] - num_places
    scaler = Scaler.fit_pca(known[:, :num_pose])
    return scaler.beside(Scaler.fit_columns(known[:, num_pose:])) if num_places else scaler


def fit_step_scale(vectors: np.ndarray, clips: Sequence[range]) -> np.ndarray:
    """Returns the RMS step (D,) from row to row inside clips, > 0."""
    steps = np.concatenate([np.diff(vectors[clip.start : clip.stop], axis=0) for clip in clips])
    scale = np.sqrt(np.mean(np.square(steps, dtype=np.float64), axis=0))
    # A constant dimension gets the step of one that hardly moves.
    return np.maximum(scale, max(1e-3 * float(scale.max()), 1e-6)).astype(np.float32)


def choose_seeds(
    vectors: np.ndarray, clips: Sequence[range], names: Sequence[str], fps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chooses seed clips, spread evenly over all clips.

    Args:
        vectors: (T, D) in model units.
        clips: rows to choose from.
        names: names of the clips.
        fps: frames per second.

    Returns:
        (N, S, D) float32; N names, the clip's name and the second where the seed clip begins; and
        the first row (N,) of each. S is two seconds; if no clip is that long, the length that half
        of the clips have.
    """
    length = max(2, round(SEED_SECONDS * fps))
    if max(len(clip) for clip in clips) < length:
        length = sorted(len(clip) for clip in clips)[len(clips) // 2]
    count = min(MAX_SEEDS, max(1, _MAX_SEED_BYTES // (length * vectors.shape[1] * 4)))
    pairs = [
        (start, f"{name} {(start - clip.start) / fps:.1f} s")
        for clip, name in zip(clips, names)
        for start in range(clip.start, clip.stop - length + 1, max(1, length // 2))
    ]
    chosen = np.unique(np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int))
    starts = np.array([pairs[index][0] for index in chosen])
    chosen_names = np.array([pairs[index][1] for index in chosen])
    return vectors[starts[:, None] + np.arange(length)], chosen_names, starts


def clip_names(source: Latents | Recordings, clips: Sequence[range]) -> list[str]:
    """Returns the file name of each range, which lies inside a clip of the source."""
    rows = source.rows if isinstance(source, Recordings) else source.clips
    return [
        next(
            name
            for whole, name in zip(rows, source.sources)
            if whole.start <= clip.start < whole.stop
        )
        for clip in clips
    ]


def baselines(
    vectors: np.ndarray, train_clips: Sequence[range], clips: Sequence[range]
) -> dict[str, float]:
    """Measures three predictions without a network, for comparison.

    Each is one Gaussian for every dimension, fitted on training clips.

    Args:
        vectors: (T, D) in model units.
        train_clips: rows to fit on.
        clips: rows to measure on.

    Returns:
        Nats per dimension: `pose`, the same Gaussian for every frame; `stay`, around the last
        vector; `repeat`, around the last vector plus the last step times a factor, fitted for
        each dimension by least squares.
    """
    known = [vectors[clip.start : clip.stop].astype(np.float64) for clip in train_clips]
    tested = [vectors[clip.start : clip.stop].astype(np.float64) for clip in clips]
    mean = np.concatenate(known).mean(axis=0)

    def pairs(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        steps = [np.diff(part, axis=0) for part in parts if len(part) > 2]
        return (
            np.concatenate([step[:-1] for step in steps]),
            np.concatenate([step[1:] for step in steps]),
        )

    before, after = pairs(known)
    share = (before * after).sum(axis=0) / np.maximum((before**2).sum(axis=0), 1e-12)
    before_tested, after_tested = pairs(tested)
    return {
        "pose": _gaussian_nats(np.concatenate(known) - mean, np.concatenate(tested) - mean),
        "stay": _gaussian_nats(after, after_tested),
        "repeat": _gaussian_nats(after - share * before, after_tested - share * before_tested),
    }


def _gaussian_nats(known: np.ndarray, tested: np.ndarray) -> float:
    """Returns the mean loss of residuals (N, D) under N(0, mean square of `known`)."""
    variance = np.maximum(np.mean(known**2, axis=0), 1e-12)
    # 0.5 (log 2 pi + log variance + x^2 / variance), written around the entropy.
    excess = np.mean(tested**2, axis=0) / variance - 1.0
    return float(np.mean(0.5 * (_LOG_2PI_E + np.log(variance) + excess)))

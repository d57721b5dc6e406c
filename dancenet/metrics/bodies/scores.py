"""Compares the figures of a dance with real ones: each for itself, and how they follow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from dancenet.metrics.bodies import shapes
from dancenet.metrics.bodies.body_fit import Sizes, fit_bodies
from dancenet.metrics.figure import MASK
from dancenet.metrics.reference import Value, too_few

COMPONENTS = 32  # principal components of small pictures
LAGS = (1, 3, 8, 15, 30, 60, 150)  # frames between the two pictures of a structure function
CANDIDATES = 40  # training figures, nearest by components, among which the best IoU is looked for
POSES = 40  # clusters whose mean stay is measured
PERCENTILES = (1, 5)  # of the nearest silhouettes of held-out figures
LEAST_PAIRS = 30  # of pictures, for a value of a structure function
LEAST_POSE_FRAMES = 10  # training pictures for each pose, at least
FIT_STRIDE = 10  # every tenth picture is compared with a redrawn body
FIT_PERCENTILE = 1  # of that comparison
LEAST_FITS = 40  # pictures compared, for a percentile

Values = dict[str, Value]


@dataclass(frozen=True)
class BodyScores:
    """The figures of T consecutive pictures without a cut, at the full frame rate."""

    small: np.ndarray  # (T, SMALL * SMALL) uint8, the dancer's share of 2×2 pixels, times 255
    bits: np.ndarray  # (T, F) uint8, from `shapes.pack`
    two_trunks: np.ndarray  # (T,) bool
    # IoU with a redrawn body of every FIT_STRIDE-th picture; empty if it was not asked for.
    fits: np.ndarray

    @classmethod
    def of(cls, batches: Iterable[np.ndarray], fit: Sizes | None = None) -> BodyScores:
        """Scores pictures one batch at a time, without keeping them.

        Args:
            batches: (B, 120, 208) background probability, in order; at least one picture.
            fit: compare some of them with redrawn bodies of these sizes too.
        """
        small, bits, two_trunks = [], [], []
        fits = [np.zeros(0)]
        number = 0
        for background in batches:
            masks = background < MASK
            if fit is not None:
                fits.append(_fit(masks[-number % FIT_STRIDE :: FIT_STRIDE], fit))
            number += len(masks)
            aligned = shapes.align(masks)
            small.append((shapes.small(aligned) * 255).astype(np.uint8).reshape(len(masks), -1))
            bits.append(shapes.pack(aligned))
            two_trunks.append(shapes.has_two_trunks(masks))
        parts = (small, bits, two_trunks, fits)
        return cls(*(np.concatenate(part) for part in parts))

    def __len__(self) -> int:
        return len(self.small)


@dataclass(frozen=True)
class BodyReference:
    """What real figures look like, and how they follow each other."""

    bits: np.ndarray  # (M, F) uint8, the training figures, from `shapes.pack`
    neighbours: NearestNeighbors  # of their components
    limits: tuple[float, ...]  # IoU with the nearest silhouette, at PERCENTILES of held-out figures
    components: PCA  # of the training pictures
    variance: float  # of the training pictures' components, summed
    structure: dict[int, Value]  # by lag, of the training pictures
    poses: KMeans | None  # None if there are too few training pictures
    dwell: float  # seconds in a pose
    lowest_fit: Value  # IoU with a redrawn body at FIT_PERCENTILE of held-out pictures, or why none

    @classmethod
    def fit(
        cls, train: Sequence[BodyScores], held_out: Sequence[BodyScores], fps: float
    ) -> BodyReference:
        """Learns from real pictures.

        Args:
            train: runs of training pictures, which figures are compared with.
            held_out: runs of held-out pictures, which set the limits; scored with `fit`.
            fps: frames per second.
        """
        pixels = np.concatenate([run.small for run in train]) / np.float32(255)
        count = min(COMPONENTS, *pixels.shape)
        components = PCA(count, svd_solver="randomized", random_state=0).fit(pixels)
        runs = [_project(components, run) for run in train]
        points = np.concatenate(runs)
        poses = None
        if len(points) >= POSES * LEAST_POSE_FRAMES:
            poses = KMeans(POSES, n_init=3, random_state=0).fit(points)
        bits = np.concatenate([run.bits for run in train])
        neighbours = NearestNeighbors(n_neighbors=min(CANDIDATES, len(points))).fit(points)
        near = np.concatenate(
            [_near(run, _project(components, run), bits, neighbours) for run in held_out]
        )
        return cls(
            bits=bits,
            neighbours=neighbours,
            limits=tuple(float(np.percentile(near, percentile)) for percentile in PERCENTILES),
            components=components,
            variance=_variance(runs),
            structure=structure_function(runs),
            poses=poses,
            dwell=0.0 if poses is None else mean_stay([poses.predict(run) for run in runs]) / fps,
            lowest_fit=_lowest_fit(held_out),
        )

    def measure(self, runs: Sequence[BodyScores], fps: float) -> Values:
        """Measures the figures of some dances, by key (see `definitions`).

        Args:
            runs: pictures without a cut, at the full frame rate; scored with `fit`.
            fps: frames per second.
        """
        points = [_project(self.components, run) for run in runs]
        near = np.concatenate(
            [_near(run, part, self.bits, self.neighbours) for run, part in zip(runs, points)]
        )
        values: Values = {
            f"unlike_{percentile}": float((near < limit).mean())
            for percentile, limit in zip(PERCENTILES, self.limits)
        }
        values["two_trunks"] = float(np.concatenate([run.two_trunks for run in runs]).mean())
        still = "the real dances stand still"
        values["range"] = _variance(points) / self.variance if self.variance > 0 else still
        found = structure_function(points)
        for lag, real in self.structure.items():
            value = found[lag]
            if isinstance(real, str) or isinstance(value, str):
                values[f"structure_{lag}"] = real if isinstance(real, str) else value
            else:
                values[f"structure_{lag}"] = value / real if real > 0 else still
        if self.poses is None:
            values["dwell"] = f"fewer than {POSES * LEAST_POSE_FRAMES} training pictures"
        else:
            stay = mean_stay([self.poses.predict(part) for part in points]) / fps
            values["dwell"] = stay / self.dwell if self.dwell > 0 else still
        return values | self._fits(runs)

    def _fits(self, runs: Sequence[BodyScores]) -> Values:
        found = _lowest_fit(runs)
        for value in (self.lowest_fit, found):
            if isinstance(value, str):
                return {"body_fit": value, "misfit": value}
        assert isinstance(found, float) and isinstance(self.lowest_fit, float)
        if not self.lowest_fit > 0:
            reason = "no body fits the real pictures"
            return {"body_fit": reason, "misfit": reason}
        everything = np.concatenate([run.fits for run in runs])
        return {
            "body_fit": found / self.lowest_fit,
            "misfit": float((everything < self.lowest_fit).mean()),
        }


def structure_function(
    runs: Sequence[np.ndarray], variance: float | None = None
) -> dict[int, Value]:
    """Computes how far pictures are apart: E‖x(t+k) - x(t)‖² / (2 Var x), for each lag k.

    It rises from 0 to 1 while a dance forgets what it did (Kolmogorov 1941 used it for velocities
    in turbulence; here x are principal components).

    Args:
        runs: arrays (T, C).
        variance: Var x; by default that of the runs themselves.

    Returns:
        A value for each of LAGS, or why there is none.
    """
    variance = _variance(runs) if variance is None else variance
    found: dict[int, Value] = {}
    for lag in LAGS:
        steps = [np.square(run[lag:] - run[:-lag]).sum(axis=1) for run in runs if len(run) > lag]
        count = sum(map(len, steps))
        if count < LEAST_PAIRS:
            found[lag] = f"too few pictures {lag} frames apart: {count}, {LEAST_PAIRS} needed"
        else:
            mean = float(np.concatenate(steps).mean())
            found[lag] = mean / (2 * variance) if variance > 0 else 0.0
    return found


def mean_stay(runs: Sequence[np.ndarray]) -> float:
    """Computes the mean length of a stay in one pose.

    Args:
        runs: (T,) the number of the pose of each frame.

    Returns:
        Frames.
    """
    stays = sum(1 + int((np.diff(run) != 0).sum()) for run in runs if len(run))
    return sum(map(len, runs)) / max(stays, 1)


def _fit(masks: np.ndarray, sizes: Sizes) -> np.ndarray:
    """Returns the IoU (B,) of pictures with redrawn bodies; equal pictures are fitted once."""
    if not len(masks):
        return np.zeros(0)
    flat = np.packbits(masks.reshape(len(masks), -1), axis=1)
    _, first, inverse = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    return fit_bodies(masks[first], sizes).iou[inverse.ravel()]


def _lowest_fit(runs: Sequence[BodyScores]) -> Value:
    fits = np.concatenate([run.fits for run in runs])
    few = too_few(len(fits), LEAST_FITS, "pictures compared with bodies")
    # Of few pictures the usual percentile is too high (Hyndman and Fan 1996, definition 6).
    return few or float(np.percentile(fits, FIT_PERCENTILE, method="weibull"))


def _project(components: PCA, run: BodyScores) -> np.ndarray:
    return components.transform(run.small / np.float32(255)).astype(np.float32)


def _near(
    run: BodyScores, points: np.ndarray, bits: np.ndarray, neighbours: NearestNeighbors
) -> np.ndarray:
    """Returns the IoU (T,) of each figure with the nearest training figure."""
    return shapes.best_iou(run.bits, bits, neighbours.kneighbors(points, return_distance=False))


def _variance(runs: Sequence[np.ndarray]) -> float:
    return float(np.concatenate(runs).var(axis=0).sum())

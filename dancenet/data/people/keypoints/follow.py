"""Follows people through a film or before a camera, and smooths their keypoints."""

from __future__ import annotations

import math
import numpy as np

from dancenet.data.motion.smooth import smooth
from dancenet.data.people.filters import OneEuro
from dancenet.data.people.keypoints.estimators import Body, Estimator
from dancenet.data.people.keypoints.identities import (
    Identities,
    box_of,
    size_of,
)
from dancenet.data.people.poses import Poses

LEAST_SECONDS = 0.2  # somebody who is seen for less is an error of the network
SMOOTHING_SECONDS = 0.025  # standard deviation of the Gaussian over a film's keypoints
_AS_LARGE = 0.5  # of the one dancer's size: somebody who may be the same one after a cut
_CUT_OFF = 3  # standard deviations of the Gaussian
_LEAST_WEIGHT = 0.05  # of a keypoint that is hardly seen, beside its neighbours in time


class Follower:
    """Gathers the people of a film, picture by picture; `poses` chooses among them at the end."""

    def __init__(self, estimator: Estimator, fps: float) -> None:
        self._estimator, self._fps = estimator, fps
        estimator.reset()
        self._identities = Identities()
        self._people: dict[int, dict[int, Body]] = {}  # by number and frame
        self.num_frames = 0

    def add(self, picture: np.ndarray) -> dict[int, Body]:
        """Finds the people in the next picture (H, W, 3) uint8 RGB; returns them by number."""
        found = number_people(
            self._identities, self._estimator, picture, self.num_frames / self._fps
        )
        for number, body in found.items():
            self._people.setdefault(number, {})[self.num_frames] = body
        self.num_frames += 1
        return found

    def poses(self, most_people: int, size: tuple[int, int], scale: float = 1.0) -> Poses:
        """Returns the people who are seen longest and largest, smoothed without lag.

        Args:
            most_people: how many at most.
            size: width and height of the film.
            scale: pixels of the film for each of the pictures that were added.

        Returns:
            The poses, in the order in which people come; nobody if nobody was found.
        """
        least = min(LEAST_SECONDS * self._fps, self.num_frames / 2)
        weights = {
            number: sum(_weight(body.points[self._estimator.coco]) for body in frames.values())
            for number, frames in self._people.items()
            if len(frames) >= least
        }
        chosen = sorted(sorted(weights, key=lambda number: -weights[number])[:most_people])
        people = [self._people[number] for number in chosen]
        if most_people == 1 and chosen:
            people = [self._joined(chosen[0], weights)]
        names = self._estimator.names
        shape = (self.num_frames, len(chosen), len(names))
        points = np.full((*shape, 3), np.nan)
        world = np.full((*shape, 3), np.nan, np.float32)
        for place, frames in enumerate(people):
            for frame, body in frames.items():
                points[frame, place] = body.points
                if body.world is not None:
                    world[frame, place] = body.world
        score = np.nan_to_num(points[..., 2]).astype(np.float32)
        for place in range(len(people)):
            for values in (points[:, place, :, :2], world[:, place]):
                _smooth_runs(values, score[:, place], self._fps)
        return Poses(
            names=tuple(names),
            xy=(points[..., :2] * scale).astype(np.float32),
            score=np.clip(score, 0, 1),
            size=size,
            fps=self._fps,
            world=world if np.isfinite(world).any() else None,
        )


    def _joined(self, number: int, weights: dict[int, float]) -> dict[int, Body]:
        """Returns one person's frames, with those of others who are never seen beside them.

        After a cut the same dancer may have another number.
        """
        frames = dict(self._people[number])
        usual = weights[number] / len(frames)
        for other in sorted(weights, key=lambda other: -weights[other]):
            theirs = self._people[other]
            is_large = weights[other] / len(theirs) >= _AS_LARGE * usual
            if is_large and not frames.keys() & theirs.keys():
                frames |= theirs
        return frames


class LiveFollower:
    """Follows people before a camera: numbers and smooths them as they come."""

    def __init__(self, estimator: Estimator, most_people: int) -> None:
        self._estimator, self._most = estimator, most_people
        estimator.reset()
        self._identities = Identities()
        self._filters: dict[int, OneEuro] = {}
        self._places: dict[int, int] = {}  # of a number among the people who are shown

    def add(self, picture: np.ndarray, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Finds the people in a picture.

        Args:
            picture: (H, W, 3) uint8 RGB.
            time: seconds; later than the last one.

        Returns:
            (P, J, 2) picture pixels, NaN where somebody is not there, and (P, J) scores.
        """
        found = number_people(self._identities, self._estimator, picture, time)
        xy = np.full((self._most, len(self._estimator.names), 2), np.nan)
        score = np.zeros(xy.shape[:2])
        largest = sorted(
            found, key=lambda number: -_weight(found[number].points[self._estimator.coco])
        )
        for number in largest:
            place = self._place(number, set(found))
            if place is None:
                continue
            xy[place] = self._filtered(number, found[number].points, time, picture.shape)
            score[place] = found[number].points[:, 2]
        for number in self._filters.keys() - found.keys():
            self._filters[number].reset()
        return xy, score

    def _place(self, number: int, here: set[int]) -> int | None:
        """Returns the place of a number; the first free one, or that of somebody who left."""
        if number not in self._places:
            if len(self._places) >= self._most:
                gone = next((other for other in self._places if other not in here), None)
                if gone is None:
                    return None
                self._places[number] = self._places.pop(gone)
            else:
                free = set(range(self._most)) - set(self._places.values())
                self._places[number] = min(free)
        return self._places[number]

    def _filtered(
        self, number: int, points: np.ndarray, time: float, shape: tuple[int, ...]
    ) -> np.ndarray:
        settings = self._estimator.filter
        one_euro = self._filters.setdefault(number, OneEuro(settings))
        if self._estimator.filter_by_picture:
            sides = np.array([shape[1], shape[0]], np.float64)
            return one_euro(points[:, :2] / sides, time) * sides
        coco = points[self._estimator.coco]
        # The circle around a body is about twice as wide as the root of its area.
        return one_euro(points[:, :2], time, scale=2 * size_of(coco, box_of(coco)))


def number_people(
    numbers: Identities, estimator: Estimator, picture: np.ndarray, time: float
) -> dict[int, Body]:
    """Returns the people in a picture by their numbers."""
    bodies = estimator(picture)
    points = np.array([body.points[estimator.coco] for body in bodies]).reshape(
        -1, len(estimator.coco), 3
    )
    scores = np.array([body.score for body in bodies])
    pairs = numbers.update(time, points, scores, picture)
    return {number: bodies[row] for number, row in pairs}


def _weight(points: np.ndarray) -> float:
    """Returns how much somebody counts: by size, and by how well they are seen."""
    return size_of(points, box_of(points)) * float(points[:, 2].mean())


def _smooth_runs(values: np.ndarray, score: np.ndarray, fps: float) -> None:
    """Smooths (T, J, C) in place, in each run of frames without NaN, weighted by the score."""
    deviation = SMOOTHING_SECONDS * fps
    radius = math.ceil(_CUT_OFF * deviation)
    seen = np.isfinite(values).all(axis=(1, 2))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], seen.astype(np.int8), [0]])))
    for first, end in edges.reshape(-1, 2).tolist():
        if end - first < 3:
            continue
        part = values[first:end]
        weights = np.maximum(score[first:end], _LEAST_WEIGHT)[..., None]
        # A point that is hardly seen is led by its neighbours in time, not the other way round.
        total = smooth((weights * part).reshape(len(part), -1), deviation, radius, ends="hold")
        shares = smooth(weights.reshape(len(part), -1), deviation, radius, ends="hold")
        values[first:end] = total.reshape(part.shape) / shares.reshape(weights.shape)

"""Follows people through a film or before a camera, and smooths their keypoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from dancenet.data.people import filters
from dancenet.data.people.filters import BODY_METRES, OneEuro
from dancenet.data.people.keypoints.estimators import (
    Body,
    Estimator,
    LandmarkEstimator,
    as_body,
)
from dancenet.data.people.keypoints.identities import (
    Identities,
    box_of,
    size_of,
)
from dancenet.data.people.poses import Poses
from dancenet.data.people.search import Networks
from dancenet.data.people.tracking import track

LEAST_SECONDS = 0.2  # somebody who is seen for less is an error of the network
_AS_LARGE = 0.5  # of the one dancer's size: somebody who may be the same one after a cut


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
        for new, old in self._identities.merged.items():
            if new in self._people:
                self._people.setdefault(old, {}).update(self._people.pop(new))
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
        people = [[self._people[number]] for number in chosen]
        if most_people == 1 and chosen:
            people = [self._takes(chosen[0], weights)]
        return gather(self._estimator, people, self.num_frames, self._fps, (size, scale))

    def _takes(self, number: int, weights: dict[int, float]) -> list[dict[int, Body]]:
        """Returns one person's frames, and those of others who are never seen beside them.

        After a cut the same dancer may have another number.
        """
        takes = [self._people[number]]
        usual = weights[number] / len(takes[0])
        for other in sorted(weights, key=lambda other: -weights[other]):
            theirs = self._people[other]
            is_large = weights[other] / len(theirs) >= _AS_LARGE * usual
            if is_large and not any(take.keys() & theirs.keys() for take in takes):
                takes.append(theirs)
        return takes


def follow_one(
    pictures: Iterable[np.ndarray], fps: float, size: tuple[int, int], networks: Networks
) -> Poses:
    """Follows the dancer of a film with MediaPipe's networks, whatever way up; see `track`.

    Args:
        pictures: (H, W, 3) uint8 RGB, of the film's size or smaller.
        fps: pictures a second.
        size: width and height of the film.
        networks: the networks.

    Returns:
        The poses of one person; of nobody if nobody was found.
    """
    scale, found = 1.0, []

    def seen() -> Iterator[np.ndarray]:
        nonlocal scale
        for picture in pictures:
            scale = size[0] / picture.shape[1]
            yield picture

    for pose in track(seen(), fps, networks):
        found.append(None if pose is None else as_body(pose))
    frames = {index: body for index, body in enumerate(found) if body is not None}
    people = [[frames]] if frames else []
    return gather(LandmarkEstimator, people, len(found), fps, (size, scale), is_smooth=True)


def gather(
    estimator: Estimator | type[LandmarkEstimator],
    people: Sequence[Sequence[dict[int, Body]]],
    num_frames: int,
    fps: float,
    film: tuple[tuple[int, int], float],
    *,
    is_smooth: bool = False,
) -> Poses:
    """Returns the poses of people, smoothed without lag.

    Args:
        estimator: says which joints there are.
        people: of each the takes, which are bodies by frame.
        num_frames: of the film.
        fps: frames a second.
        film: its width and height, and how many of its pixels the bodies' are.
        is_smooth: they were smoothed already.
    """
    shape = (num_frames, len(people), len(estimator.names))
    xy, world = (np.full((*shape, count), np.nan, np.float32) for count in (2, 3))
    score = np.zeros(shape, np.float32)
    for place, takes in enumerate(people):
        for take in takes:
            rows = sorted(take)
            bodies = [take[row] for row in rows]
            points = np.stack([body.points for body in bodies])
            coco = points[:, estimator.coco]
            # The circle around a body is about twice as wide as the root of its area.
            wide = 2 * float(np.median([size_of(one, box_of(one)) for one in coco]))
            sure = points[..., 2]
            parts = [(xy, points[..., :2], wide)]
            if bodies[0].world is not None:
                deep = np.stack([body.world for body in bodies if body.world is not None])
                parts.append((world, deep, BODY_METRES))
            for whole, values, scale in parts:
                smoothed = values if is_smooth else _smooth(values, sure, rows, fps, scale)
                whole[rows, place] = smoothed
            score[rows, place] = sure
    return Poses(
        names=tuple(estimator.names),
        xy=xy * np.float32(film[1]),
        score=np.clip(score, 0, 1),
        size=film[0],
        fps=fps,
        world=world if np.isfinite(world).any() else None,
    )


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


def _smooth(
    values: np.ndarray, score: np.ndarray, rows: Sequence[int], fps: float, scale: float
) -> np.ndarray:
    """Smooths (N, J, D) in each run of neighbouring frames; `filters.smooth_at` says how."""
    smoothed = values.copy()
    times, reach = np.array(rows) / fps, filters.reach(fps)
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    for first, end in zip([0, *breaks.tolist()], [*breaks.tolist(), len(rows)]):
        for row in range(first, end):
            near = slice(max(first, row - reach), min(end, row + reach + 1))
            place = row - near.start
            smoothed[row] = filters.smooth_at(values[near], score[near], times[near], place, scale)
    return smoothed

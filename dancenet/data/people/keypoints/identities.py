"""Who is who: gives the people of each frame the numbers that they had before.

A person is expected where the last half second leads, in the last pose. How well somebody who is
found fits is measured by the keypoints (object keypoint similarity of COCO), by the overlap of the
boxes, by size, and by the colours of trunk and thighs. The best assignment of all people at once is
taken. Who is not found is expected further on for a second, and is known again later by size and
colours.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np

from dancenet.data.people.landmarks import COCO_NAMES

COAST_SECONDS = 1.0  # somebody who is not found is expected for so long where they would be
REMEMBER_SECONDS = 20.0  # somebody who left is known again for so long
MOST_FOUND = 10  # people of a frame; the best assignment takes 2 to this power steps
LEAST_SCORE = 0.2  # of a keypoint that is seen
LEAST_NEW = 0.3  # score of a person who gets a new number ...
LEAST_OLD = 0.15  # ... and of one who is expected

# Standard deviations of COCO's keypoints in roots of the person's area: nose, eyes, ears,
# shoulders, elbows, wrists, hips, knees, ankles (cocodataset.org, "Keypoint evaluation"), doubled
# as the evaluation has them.
_SIGMAS = 2 * np.array(
    [0.026, *[0.025] * 2, *[0.035] * 2, *[0.079] * 2, *[0.072] * 2, *[0.062] * 2]
    + [*[0.107] * 2, *[0.087] * 2, *[0.089] * 2]
)
_DANCING = 1.5  # a dancer's limbs are not where they were one frame ago
_SAME_PERSON = 0.75  # similarity of two that are one person found twice
_CLOSE = 0.3  # IoU of two who may be taken for each other ...
_CLOSE_SECONDS = 1.5  # ... for so long
_NEW_SECONDS = 1.0  # a newcomer may still be known as somebody who was away ...
_KNOWN = 0.7  # ... with this likeness at least
_PLACE_SHARE = 0.4  # of the place in the likeness of somebody who comes back
_HIDDEN = 0.7  # factor for somebody who was not found in the last frame
_SPAN_SECONDS = 0.5  # of motion from which the next place is told
_SLOWING_SECONDS = 0.8  # time constant in which an unseen person is taken to slow down
_SIZE_SPREAD = 0.2  # standard deviation of the logarithm of a person's size, seen again
_SIZE_SECONDS = 1.0  # of sizes whose median counts
_COLOR_SPREAD = 18.0  # standard deviation of a part's colour, Lab
_COLOR_SHARE = 0.1  # of a new colour in the remembered one
_UNKNOWN_COLOR = 0.6  # likeness where colours are not known
_STEPS = 4  # samples along and across a part whose colour is taken

_TRUNK = [
    COCO_NAMES.index(f"{side}_{joint}")
    for joint in ("shoulder", "hip")
    for side in ("left", "right")
]
_KNEES = [COCO_NAMES.index(f"{side}_knee") for side in ("left", "right")]


class _Seen:
    """Somebody in a frame."""

    def __init__(self, points: np.ndarray, picture: np.ndarray | None, time: float) -> None:
        self.points = points  # (17, 3) x, y in picture pixels and score
        self.time = time  # seconds
        self.colors = clothes(points, picture)  # (2, 3) Lab of trunk and thighs, NaN if not known
        self.box = box_of(points)
        self.size = size_of(points, self.box)
        self.middle = middle(points)


class _Person:
    """Somebody with a number."""

    def __init__(self, number: int, seen: _Seen) -> None:
        self.number = number
        self.since = seen.time  # seconds, when first found
        self.seen = seen  # when last found
        self.colors = seen.colors
        self.is_close = False  # to somebody else, so that it is not sure who is who
        # Time, place (x, y) and size of the last second in which nobody else was close.
        self._places = deque([self._place(seen)])
        self._speed = np.zeros(2)  # pixels per second
        self._move()

    @staticmethod
    def _place(seen: _Seen) -> tuple[float, float, float, float]:
        return seen.time, float(seen.middle[0]), float(seen.middle[1]), seen.size

    def add(self, seen: _Seen) -> None:
        """Takes over where somebody was found."""
        self.seen = seen
        # Beside another, the motion from before tells more, but not for ever.
        if self.is_close and seen.time - self._places[-1][0] < _CLOSE_SECONDS:
            return
        self._places.append(self._place(seen))
        while self._places[0][0] < seen.time - _SIZE_SECONDS:
            self._places.popleft()
        self._move()
        mixed = (1 - _COLOR_SHARE) * self.colors + _COLOR_SHARE * seen.colors
        for first in (self.colors, seen.colors):
            mixed = np.where(np.isfinite(mixed), mixed, first)
        self.colors = mixed

    def _move(self) -> None:
        places = np.array(self._places)
        self.size = float(np.median(places[:, 3]))
        recent = places[places[:, 0] >= places[-1, 0] - _SPAN_SECONDS]
        if len(recent) > 2:
            offsets = recent[:, 0] - recent[:, 0].mean()
            self._speed = offsets @ recent[:, 1:3] / max(float(offsets @ offsets), 1e-9)

    def expected(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Returns the keypoints (17, 3) and the box (4,) where the motion leads."""
        last, x, y, _ = self._places[-1]
        seconds = _SLOWING_SECONDS * (1 - math.exp((last - time) / _SLOWING_SECONDS))
        shift = np.array([x, y]) + seconds * self._speed - self.seen.middle
        moved = self.seen.points.copy()
        moved[:, :2] += shift
        return moved, self.seen.box + np.tile(shift, 2)


class Identities:
    """Gives numbers to people, frame by frame."""

    def __init__(self) -> None:
        # Numbers that were given to newcomers and taken back, and those that they have now.
        self.merged: dict[int, int] = {}
        self._people: list[_Person] = []
        self._count = 0
        self._last = -math.inf  # seconds, the frame before

    def update(
        self, time: float, points: np.ndarray, scores: np.ndarray, picture: np.ndarray | None = None
    ) -> list[tuple[int, int]]:
        """Numbers the people of one frame.

        Args:
            time: of the frame, seconds; later than the last one.
            points: (P, 17, 3) x, y in picture pixels and score.
            scores: (P,) of the people, 0..1.
            picture: (H, W, 3) uint8 RGB, for the colours; None to do without.

        Returns:
            Number, from 1, and row in `points` of everybody who has one.
        """
        rows = _different_people(points, scores)
        seen = {row: _Seen(points[row], picture, time) for row in rows}
        sure = [row for row in rows if scores[row] >= LEAST_NEW]
        self._people = [one for one in self._people if time - one.seen.time <= REMEMBER_SECONDS]
        near = [one for one in self._people if time - one.seen.time <= COAST_SECONDS]
        expected = [one.expected(time) for one in near]
        places = [
            _Place(one, *where, is_fresh=one.seen.time == self._last)
            for one, where in zip(near, expected)
        ]
        self._last = time
        found = _pair(near, seen, places)
        away = [one for one in self._people if one.number not in found]
        others = {row: seen[row] for row in sure if row not in found.values()}
        found |= _pair(away, others, [_Likeness(one, time) for one in away])
        for row in sure:
            if row not in found.values():
                self._count += 1
                self._people.append(_Person(self._count, seen[row]))
                found[self._count] = row
        for index, one in enumerate(near):
            one.is_close = any(
                overlap(expected[index][1], box) > _CLOSE
                for other, (_, box) in enumerate(expected)
                if other != index
            )
        for one in self._people:
            if one.number in found and one.seen is not seen[found[one.number]]:
                one.add(seen[found[one.number]])
        self._recognize(found, time)
        return sorted(found.items())

    def _recognize(self, found: dict[int, int], time: float) -> None:
        """Gives newcomers the number of somebody who was away, once they are well seen.

        Who comes out from behind another is half hidden at first, and looks like the other.
        """
        new = [
            one
            for one in self._people
            if one.number in found and not one.is_close and time - one.since <= _NEW_SECONDS
        ]
        for one in new:
            away = [
                old for old in self._people if old.number not in found and old.seen.time < one.since
            ]
            likeness = [_Likeness(old, time)(one.seen) for old in away]
            if likeness and max(likeness) >= _KNOWN:
                old = away[int(np.argmax(likeness))]
                self.merged[one.number] = old.number
                found[old.number] = found.pop(one.number)
                self._people.remove(one)
                old.add(one.seen)


class _Place:
    """Measures how well somebody fits a person who is expected in a place, 0..1."""

    least = 0.2

    def __init__(self, one: _Person, points: np.ndarray, box: np.ndarray, is_fresh: bool) -> None:
        self._one, self._points, self._box = one, points, box
        self._is_fresh = is_fresh  # found in the last frame

    def __call__(self, other: _Seen) -> float:
        one = self._one
        # The longer unseen, the less is known of the place.
        loose = _DANCING * (1 + 2 * (other.time - one.seen.time) / COAST_SECONDS)
        place = 0.6 * similarity(self._points, other.points, loose * one.size)
        place += 0.4 * overlap(self._box, other.box)
        height = math.exp(-0.5 * (_ratio(one, other) / _SIZE_SPREAD) ** 2)
        # Who was hidden does not come out in the moment in which another hides.
        place *= 1.0 if self._is_fresh else _HIDDEN
        return place * (0.1 + 0.4 * height + 0.5 * _same_clothes(one.colors, other.colors))


class _Likeness:
    """Measures how much somebody looks like a person who was away, 0..1."""

    least = 0.55

    def __init__(self, one: _Person, time: float) -> None:
        self._one = one
        self._points, _ = one.expected(time)

    def __call__(self, other: _Seen) -> float:
        # Size changes with the distance to the camera, clothes do not.
        height = math.exp(-0.5 * (_ratio(self._one, other) / (2 * _SIZE_SPREAD)) ** 2)
        dress = _same_clothes(self._one.colors, other.colors)
        # Who comes back to the same place need not look quite the same.
        place = similarity(self._points, other.points, 2 * _DANCING * self._one.size)
        return height * (dress + _PLACE_SHARE * max(place - dress, 0))


def _ratio(one: _Person, other: _Seen) -> float:
    return math.log(max(other.size, 1e-6) / max(one.size, 1e-6))


def _pair(
    people: list[_Person], seen: dict[int, _Seen], measures: Sequence[_Place | _Likeness]
) -> dict[int, int]:
    """Returns the numbers of people and the rows that fit them best, all at once."""
    fits = np.zeros((len(people), len(seen)))
    for index, measure in enumerate(measures):
        for column, other in enumerate(seen.values()):
            value = measure(other)
            fits[index, column] = value if value >= measure.least else 0.0
    rows = list(seen)
    return {people[index].number: rows[column] for index, column in assign(fits)}


def assign(fits: np.ndarray) -> list[tuple[int, int]]:
    """Returns the pairs whose sum is the largest of all ways to pair rows with columns.

    It is the assignment that the Hungarian method finds, here by dynamic programming over sets of
    columns, of which there are few. Pairs of 0 are left out.

    Args:
        fits: (M, N) at least 0; N at most MOST_FOUND.
    """
    num_rows, num_columns = fits.shape
    # Columns taken, as bits: the sum and its pairs.
    best: dict[int, tuple[float, tuple[tuple[int, int], ...]]] = {0: (0.0, ())}
    for row in range(num_rows):
        further = dict(best)
        for taken, (total, pairs) in best.items():
            for column in range(num_columns):
                value = float(fits[row, column])
                bits = taken | 1 << column
                if value <= 0 or bits == taken:
                    continue
                if total + value > further.get(bits, (-1.0, ()))[0]:
                    further[bits] = (total + value, (*pairs, (row, column)))
        best = further
    return list(max(best.values(), key=lambda entry: entry[0])[1])


def similarity(one: np.ndarray, other: np.ndarray, size: float) -> float:
    """Returns the object keypoint similarity of two people (17, 3), 0..1.

    Args:
        one: x, y in picture pixels and score.
        other: another pose.
        size: root of the area of a person, picture pixels; larger to be less strict.
    """
    seen = (one[:, 2] >= LEAST_SCORE) & (other[:, 2] >= LEAST_SCORE)
    apart = one[:, :2] - other[:, :2]
    same = np.exp(-(apart**2).sum(axis=1) / (2 * (max(size, 1e-6) * _SIGMAS) ** 2))
    count = int(seen.sum())
    return float(same[seen].sum() / count if count > 2 else same.sum() / len(same))


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the intersection over union of two boxes (4,): left, top, right, bottom."""
    a, b = one.tolist(), other.tolist()
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0.0) * max(height, 0.0)
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return common / max(areas - common, 1e-9)


def box_of(points: np.ndarray) -> np.ndarray:
    """Returns left, top, right, bottom (4,) of the keypoints (17, 3) that are seen."""
    seen = points[:, 2] >= LEAST_SCORE
    places = points[seen if seen.sum() > 2 else slice(None), :2]
    return np.concatenate([places.min(axis=0), places.max(axis=0)])


def middle(points: np.ndarray) -> np.ndarray:
    """Returns the middle of the trunk (2,), by the keypoints' scores."""
    weights = np.maximum(points[_TRUNK, 2], 1e-3)
    return weights @ points[_TRUNK, :2] / weights.sum()


def size_of(points: np.ndarray, box: np.ndarray) -> float:
    """Returns the root of a person's area, picture pixels: it changes little with the pose."""
    shoulders, hips = points[_TRUNK[:2], :2].sum(axis=0) / 2, points[_TRUNK[2:], :2].sum(axis=0) / 2
    area = float((box[2] - box[0]) * (box[3] - box[1]))
    return max(2 * float(np.hypot(*(shoulders - hips))), 0.7 * math.sqrt(max(area, 0.0)))


def clothes(points: np.ndarray, picture: np.ndarray | None) -> np.ndarray:
    """Returns the colours (2, 3) of trunk and thighs as Lab, NaN where they are not seen."""
    found = np.full((2, 3), np.nan)
    if picture is None:
        return found
    share = np.linspace(0.2, 0.8, _STEPS)[:, None]
    left, right, left_hip, right_hip = points[_TRUNK, :2]
    top, low = left + share * (right - left), left_hip + share * (right_hip - left_hip)
    parts = [((1 - s) * top + s * low, _TRUNK) for s in (0.2, 0.4, 0.6, 0.8)]
    thighs = [
        (points[hip, :2] + share * (points[knee, :2] - points[hip, :2]), [hip, knee])
        for hip, knee in zip(_TRUNK[2:], _KNEES)
    ]
    for row, lines in enumerate((parts, thighs)):
        seen = [line for line, needed in lines if (points[needed, 2] >= LEAST_SCORE).all()]
        if not seen:
            continue
        places = np.rint(np.concatenate(seen)).astype(int)
        inside = ((places >= 0) & (places < picture.shape[1::-1])).all(axis=1)
        if inside.sum() >= _STEPS:
            levels = picture[places[inside, 1], places[inside, 0]]
            middle_level = np.median(levels, axis=0).astype(np.float32) / 255
            found[row] = cv2.cvtColor(middle_level[None, None], cv2.COLOR_RGB2LAB)[0, 0]
    return found


def _same_clothes(one: np.ndarray, other: np.ndarray) -> float:
    apart = np.linalg.norm(one - other, axis=1)
    apart = apart[np.isfinite(apart)]
    if not len(apart):
        return _UNKNOWN_COLOR
    return float(np.exp(-0.5 * (apart / _COLOR_SPREAD) ** 2).mean())


def _different_people(points: np.ndarray, scores: np.ndarray) -> list[int]:
    """Returns the rows of different people, the surest first."""
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable").tolist():
        if scores[row] < LEAST_OLD or len(kept) == MOST_FOUND:
            break
        size = size_of(points[row], box_of(points[row]))
        if all(similarity(points[other], points[row], size) < _SAME_PERSON for other in kept):
            kept.append(row)
    return kept

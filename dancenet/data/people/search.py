"""Finds one person in one picture: upright, on the side or on the head, or where one was before.

The landmark network says how sure it is that its region shows a person, and is nearly as sure of
one who is upside down in it. What tells the right region is that it agrees with itself: the
network puts the hips in its middle, the body's axis upright, and the bones into the mask.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from dancenet.data.people import regions
from dancenet.data.people.detector import Detection, Detector
from dancenet.data.people.landmarks import (
    LANDMARK_NAMES,
    LEAST_PRESENCE,
    SIDE,
    LandmarkNetwork,
    Pose,
    open_networks,
)
from dancenet.data.people.regions import Region

LEAST_TRUST = 0.35  # of a pose that was searched for; 1 is a sure one
SURE = 0.6  # trust of a body that is followed well; a film of usual dance is hardly ever below

_TURNS = 8  # rotations of a region that are tried
_QUARTERS = (0, 1, 2, 3)  # rotations of the picture in which the detector looks
_PARTS = (2, 3)  # of a picture's longer side, in which the detector looks for somebody small
_STEP = 0.6  # of a part's side, from one to the next
_REFINED = 3  # of the regions tried, looked at once more where the network put the body
_ANGLE = 0.5  # radians between the region and the body that halve the trust, about
_CENTRE = 0.15  # likewise sides of the region between its middle and the hips
_DISAGREEING = 0.5  # radians between the axes of the landmarks and of the detector
_BELIEVED = 0.1  # trust that the detector's region gains, because it is looked for in all turns
_ROOM = 1.2  # sides of a body's region in which the detector looks
_FAR = 0.5  # sides, and octaves of the size, that a body may have moved before it is another's

_LIMBS = tuple(
    (LANDMARK_NAMES.index(near), LANDMARK_NAMES.index(far))
    for near, far in (
        ("left_shoulder", "right_shoulder"),
        ("left_hip", "right_hip"),
        *(
            (f"{side}_{near}", f"{side}_{far}")
            for side in ("left", "right")
            for near, far in (
                ("shoulder", "elbow"),
                ("elbow", "wrist"),
                ("shoulder", "hip"),
                ("hip", "knee"),
                ("knee", "ankle"),
            )
        ),
    )
)
_NEAR = np.array([near for near, _ in _LIMBS])
_FAR_END = np.array([far for _, far in _LIMBS])
_ALONG = np.linspace(0.1, 0.9, 7)  # where on a bone the mask is looked at


@dataclass(frozen=True)
class Expected:
    """Where a person should be."""

    region: Region
    slack: float = 0.0  # sides of the region, and octaves of its size, beyond the usual ones

    def nearness(self, body: Region) -> float:
        """Returns 1 where a body is about where it should be, and less the farther it is."""
        region, far = self.region, _FAR + self.slack
        away = math.hypot(body.x - region.x, body.y - region.y) / region.size
        other = abs(math.log2(body.size / region.size))
        return math.exp(-2 * (max(0.0, away - far) + max(0.0, other - far)))


@dataclass(frozen=True)
class Networks:
    """The two networks, with what they are used for in one picture."""

    detector: Detector
    landmarks: LandmarkNetwork

    @classmethod
    def open(cls, model_file: str | os.PathLike[str] | None = None, threads: int = 1) -> Networks:
        """Opens both networks; see `landmarks.open_networks`."""
        return cls(*open_networks(model_file, threads))

    def find(self, picture: np.ndarray) -> Pose | None:
        """Finds the person in a picture, the largest if there are several; None if there is none.

        Args:
            picture: (H, W, 3) uint8 RGB.
        """
        return self.detect(picture) or self.search(picture)

    def detect(self, picture: np.ndarray, expected: Expected | None = None) -> Pose | None:
        """Finds the person in a picture as `find` does, if the detector sees somebody upright.

        Args:
            picture: (H, W, 3) uint8 RGB.
            expected: where the person should be; None for the largest of several.
        """
        detections = self.detector(picture)
        if not detections:
            return None
        if expected is None:
            place = largest(detections).region()
        else:
            place = max((one.region() for one in detections), key=expected.nearness)
        return self.best(picture, [place], expected)

    def confirm(self, picture: np.ndarray, pose: Pose, thoroughly: bool = False) -> Pose:
        """Returns a better pose of a followed body if its region was turned too far or drifted.

        Args:
            picture: (H, W, 3) uint8 RGB.
            pose: what was found where the body was last.
            thoroughly: ask the detector though the pose agrees with its region.
        """
        if trust(pose) < SURE:
            again = self._at(picture, pose.next_region())
            pose = pose if again is None else max(pose, again, key=trust)
        if trust(pose) >= SURE and not thoroughly:
            return pose
        body = pose.next_region()
        detections = self.detector(picture, body.scaled(_ROOM))
        if not detections:
            return pose
        seen = min(
            (person.region() for person in detections),
            key=lambda place: math.hypot(place.x - body.x, place.y - body.y),
        )
        if thoroughly and abs(regions.wrapped(seen.angle - body.angle)) < _DISAGREEING:
            return pose
        other = self._at(picture, seen)
        if other is None:
            return pose
        near = Expected(body).nearness(other.next_region())
        if near * (trust(other) + _BELIEVED) < trust(pose):
            return pose
        again = self._at(picture, other.next_region())
        return other if again is None else max(other, again, key=trust)

    def _at(self, picture: np.ndarray, region: Region) -> Pose | None:
        pose = self.landmarks(picture, region)
        return pose if pose.score >= LEAST_PRESENCE else None

    def search(
        self,
        picture: np.ndarray,
        hints: Sequence[Region] = (),
        expected: Expected | None = None,
    ) -> Pose | None:
        """Looks for a person who may be in any position, or small; takes up to 0.5 seconds.

        Args:
            picture: (H, W, 3) uint8 RGB.
            hints: regions in which somebody may be, turned in any way.
            expected: where the person should be; others are less trusted.

        Returns:
            The pose that is trusted most; None if none has a trust of `LEAST_TRUST`.
        """
        places = [self._turned_detection(picture, quarter) for quarter in _QUARTERS]
        places += [
            hint.turned(turn * 2 * math.pi / _TURNS) for hint in hints for turn in range(_TURNS)
        ]
        pose = self.best(picture, [place for place in places if place is not None], expected)
        for parts in _PARTS:
            if pose is None:
                pose = self.best(picture, self._in_tiles(picture, parts), expected)
        return pose

    def best(
        self, picture: np.ndarray, places: Iterable[Region], expected: Expected | None = None
    ) -> Pose | None:
        """Returns the most trusted pose in some regions of a picture; None if there is none.

        Args:
            picture: (H, W, 3) uint8 RGB.
            places: the regions.
            expected: where the person should be; None if nothing is known.
        """

        def worth(pose: Pose) -> float:
            near = 1.0 if expected is None else expected.nearness(pose.next_region())
            return trust(pose) * near

        found = [self.landmarks(picture, place) for place in places]
        found = [pose for pose in found if pose.score >= LEAST_PRESENCE]
        found = sorted(found, key=worth, reverse=True)[:_REFINED]
        found += [self.landmarks(picture, pose.next_region()) for pose in found]
        found = [pose for pose in found if pose.score >= LEAST_PRESENCE]
        best = max(found, key=worth, default=None)
        return best if best is not None and worth(best) >= LEAST_TRUST else None

    def _in_tiles(self, picture: np.ndarray, parts: int) -> list[Region]:
        """Returns where the detector sees somebody who is small in the picture."""
        people = [
            person
            for place in tiles(picture.shape, parts)
            for person in self.detector(picture, place)
        ]
        people.sort(key=lambda person: person.region().size * person.score, reverse=True)
        return [person.region() for person in people[:_REFINED]]

    def _turned_detection(self, picture: np.ndarray, quarter: int) -> Region | None:
        place = regions.whole(picture.shape).turned(quarter * math.pi / 2)
        detections = self.detector(picture, place)
        return largest(detections).region() if detections else None


def tiles(shape: tuple[int, ...], parts: int) -> list[Region]:
    """Returns squares that cover a picture and overlap, so that nobody small stands on an edge.

    Args:
        shape: of the picture, (H, W, …).
        parts: how many of them in a row would be as long as the picture's longer side.
    """
    side = max(shape[:2]) / parts
    places = []
    for length in shape[:2]:
        count = 1 + max(0, math.ceil((length - side) / (side * _STEP)))
        first = min(side, length) / 2
        places.append(np.linspace(first, length - first, count))
    return [Region(float(x), float(y), side) for y in places[0] for x in places[1]]


def largest(detections: Sequence[Detection]) -> Detection:
    """Returns the detection of the largest person, by the size that is sure."""
    return max(detections, key=lambda person: person.region().size * person.score)


def cover(pose: Pose) -> float:
    """Returns the share of the bones that lie in the mask, 0..1."""
    points = regions.to_region(pose.landmarks[:, :2], pose.region) * SIDE
    near, far = points[_NEAR], points[_FAR_END]
    places = (near[:, None] + (far - near)[:, None] * _ALONG[:, None]).astype(np.float32)
    x, y = (np.ascontiguousarray(places[..., axis]) for axis in (0, 1))
    return float(cv2.remap(pose.mask, x, y, cv2.INTER_LINEAR).mean())


def trust(pose: Pose) -> float:
    """Returns how well a pose agrees with the region that it was found in, 0..1."""
    region, body = pose.region, pose.next_region()
    angle = abs(regions.wrapped(body.angle - region.angle))
    centre = math.hypot(body.x - region.x, body.y - region.y) / region.size
    return pose.score * cover(pose) * math.exp(-angle / _ANGLE - centre / _CENTRE)

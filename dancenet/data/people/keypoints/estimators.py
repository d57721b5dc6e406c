"""Networks that find people's keypoints picture by picture, behind one interface."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from dancenet.data.people.filters import LANDMARKS, MOVENET, OneEuroSettings
from dancenet.data.people.keypoints import crop, identities
from dancenet.data.people.keypoints.movenet import MoveNet, to_pixels
from dancenet.data.people.landmarks import (
    COCO_NAMES,
    LANDMARK_NAMES,
    LEAST_PRESENCE,
    Pose,
)
from dancenet.data.people.regions import Region
from dancenet.data.people.search import Networks

LOOK_EVERY = 5  # pictures between two looks for further people
_SAME_PLACE = 0.25  # of a region's side: two nearer than this show one person
_BESIDE, _BESIDE_PLACE = 0.65, 0.12  # the same where one stands beside a larger one
_SAME_PERSON = 0.7  # object keypoint similarity of one person found twice
_HIDDEN = 0.25  # score of a joint that is in the picture but hidden
_COCO_IN_LANDMARKS = [LANDMARK_NAMES.index(name) for name in COCO_NAMES]


class Body(NamedTuple):
    """Somebody in one picture."""

    points: np.ndarray  # (J, 3) float32: x, y in picture pixels, score
    score: float  # 0..1
    world: np.ndarray | None = None  # (J, 3) float32 metres, see `Pose.world`


class Estimator(Protocol):
    """Finds people in the pictures of a film, one after another."""

    names: tuple[str, ...]  # of the joints
    coco: list[int]  # the places of COCO's keypoints among them
    filter: OneEuroSettings  # for a camera
    filter_by_picture: bool  # its unit of length: the picture's side, else the body's size

    def __call__(self, picture: np.ndarray) -> list[Body]:
        """Returns the people in the next picture (H, W, 3) uint8 RGB."""

    def reset(self) -> None:
        """Forgets the pictures before, as at the beginning of another film."""


class MoveNetEstimator:
    """MoveNet: Lightning and Thunder follow one person, MultiPose sees six."""

    names = COCO_NAMES
    coco = list(range(len(COCO_NAMES)))
    filter = MOVENET
    filter_by_picture = True

    def __init__(self, network: MoveNet) -> None:
        self._network = network
        self.is_multi = network.is_multi
        self.reset()

    def reset(self) -> None:
        self._region: Region | None = None

    def __call__(self, picture: np.ndarray) -> list[Body]:
        found = self._network(picture, self._region)
        points = to_pixels(found.points, picture.shape)
        if self.is_multi:
            return [Body(one, float(score)) for one, score in zip(points, found.scores)]
        self._region = None
        if not len(points) or crop.pose_score(points[0]) < crop.LEAST_POSE:
            return []
        self._region = crop.next_region(points[0], picture.shape)
        return [Body(points[0], crop.pose_score(points[0]))]


class LandmarkEstimator:
    """MediaPipe's detector and landmark network, following several people at once."""

    names = LANDMARK_NAMES
    coco = _COCO_IN_LANDMARKS
    filter = LANDMARKS
    filter_by_picture = False
    is_multi = True

    def __init__(self, networks: Networks, most_people: int) -> None:
        self.networks = networks
        self._detector, self._network = networks.detector, networks.landmarks
        self.most_people = most_people
        self.reset()

    def reset(self) -> None:
        self._regions: list[Region] = []
        self._wait = 0

    def __call__(self, picture: np.ndarray) -> list[Body]:
        found: list[Pose] = []
        for region in self._regions:
            self._add(found, picture, region)
        lost = len(found) < len(self._regions)
        self._wait -= 1
        if len(found) < self.most_people and (lost or not found or self._wait <= 0):
            self._wait = LOOK_EVERY
            detections = self._detector(picture)
            for region in (detection.region() for detection in detections):
                if len(found) == self.most_people or _is_near(region, found, _BESIDE_PLACE):
                    continue
                if not _is_near(region, found, _SAME_PLACE) and self._add(found, picture, region):
                    continue
                # Beside a larger person, a smaller region shows the one who is not followed.
                if len(detections) > len(found):
                    self._add(found, picture, region.scaled(_BESIDE), is_beside=True)
        self._regions = [pose.next_region() for pose in found]
        return [as_body(pose) for pose in found]

    def _add(
        self, found: list[Pose], picture: np.ndarray, region: Region, is_beside: bool = False
    ) -> bool:
        """Adds who is seen in a region; returns whether it is somebody else than before."""
        pose = self._network(picture, region)
        if pose.score < LEAST_PRESENCE:
            return False
        if is_beside and _is_near(pose.next_region(), found, _BESIDE_PLACE):
            return False
        points = as_body(pose).points[self.coco]
        size = identities.size_of(points, identities.box_of(points))
        for place, other in enumerate(found):
            theirs = as_body(other).points[self.coco]
            if identities.similarity(points, theirs, size) > _SAME_PERSON:
                if pose.score > other.score:
                    found[place] = pose
                return False
        found.append(pose)
        return True


def as_body(pose: Pose) -> Body:
    """Returns a pose as keypoints.

    Their score is the visibility, at most the presence. A joint that is in the picture and hidden,
    by the body itself as a rule, is well guessed, and counts as seen if only just.
    """
    score = np.minimum(np.maximum(pose.visibility, _HIDDEN), pose.presence)
    points = np.concatenate([pose.landmarks[:, :2], score[:, None]], axis=1)
    return Body(points.astype(np.float32), pose.score, pose.world)


def _is_near(region: Region, found: list[Pose], share: float) -> bool:
    return any(
        np.hypot(region.x - pose.axis[0, 0], region.y - pose.axis[0, 1])
        < share * max(region.size, pose.region.size)
        for pose in found
    )

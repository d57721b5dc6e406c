"""Follows one person through a film, or before a camera.

In both, the last picture's landmarks say where to look in the next one, and the detector is asked
only when the person is lost. A film is known beyond the present: pictures in which the person was
lost, or hardly seen, are kept until the person is seen again, and are then looked at from both
sides in time, in between, and in other positions of the body.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from dancenet.data.people import filters, regions
from dancenet.data.people.detector import MARGIN
from dancenet.data.people.filters import OneEuro
from dancenet.data.people.landmarks import LEAST_PRESENCE, Pose
from dancenet.data.people.regions import Region
from dancenet.data.people.search import (
    LEAST_TRUST,
    Expected,
    Networks,
    cover,
    largest,
    trust,
)

_DOUBT = 0.8  # presence, and share of bones in the mask, of a body that is surely seen
_LEAST_GAIN = 0.05  # trust by which another pose must be better than the one that was followed
_KEPT_BYTES = 96 << 20  # of pictures that are kept to be looked at again
_LONGEST_PAUSE = 0.5  # seconds between two searches of a person who is not found
_CHECKED = 0.2  # seconds between two looks of the detector at a body that is followed
_SHORTEST_PAUSE = 2  # pictures; those between are mended from both sides
_FORGOTTEN = 1.0  # seconds after which a person may be anywhere
_SPIN = 0.12  # radians that a body turns between two pictures, twice, if it spins
_BEHIND, _MOVED = 0.15, 0.05  # radians, and sides, that a steady region may stay behind its body
_SPEED = 3.0  # sides of its region that a lost person may go in a second
_SIZES = 512  # last sizes of the body that are known


@dataclass
class _Frame:
    """A picture of a film, and what was seen in it so far."""

    picture: np.ndarray | None  # None once nothing more is to be looked for
    pose: Pose | None
    is_sure: bool = False


def track(pictures: Iterable[np.ndarray], fps: float, networks: Networks) -> Iterator[Pose | None]:
    """Follows one person through a film, smoothed without lag.

    Args:
        pictures: (H, W, 3) uint8 RGB, each read once; those that are kept take at most 96 MB.
        fps: pictures a second.
        networks: the networks.

    Yields:
        The pose of each picture in order, some pictures later; None where nobody is seen.
    """
    yield from smooth(follow(pictures, fps, networks), fps)


def follow(pictures: Iterable[np.ndarray], fps: float, networks: Networks) -> Iterator[Pose | None]:
    """Follows one person through a film as `track` does, without smoothing the landmarks."""
    tracker = _FilmTracker(networks, fps)
    for picture in pictures:
        yield from tracker.push(picture)
    yield from tracker.flush()


class _FilmTracker:
    """Looks at each picture as it comes, and again at those in which nobody was surely seen."""

    def __init__(self, networks: Networks, fps: float) -> None:
        self._networks = networks
        self._fps = fps
        self._steady = _SteadyRegion()
        self._before: Pose | None = None  # the last one that was given back
        self._gap = 0  # pictures of nobody that were given back after it
        self._frames: list[_Frame] = []
        self._sizes: deque[float] = deque(maxlen=_SIZES)  # of sure bodies
        self._count = 0  # pictures in which the person was followed
        self._pause = 0  # pictures until the next search
        self._next_pause = _SHORTEST_PAUSE
        self._lost = 0  # pictures since somebody was seen
        self._region: Region | None = None
        self._time = 0.0

    def push(self, picture: np.ndarray) -> Iterator[Pose | None]:
        """Takes a picture; yields the poses that are settled by it."""
        pose = self._look(picture)
        is_sure = pose is not None and pose.score >= _DOUBT and cover(pose) >= _DOUBT
        if pose is not None and not is_sure:
            pose = self._second_look(picture, pose)
            is_sure = pose.score >= _DOUBT and cover(pose) >= _DOUBT
        self._time += 1 / self._fps
        if pose is None:
            self._lost += 1
        else:
            self._lost = 0
            self._region = self._steady(pose, self._time)
        if is_sure:
            assert pose is not None
            self._sizes.append(pose.next_region().size)
            self._next_pause = _SHORTEST_PAUSE
        self._frames.append(_Frame(None if is_sure else picture.copy(), pose, is_sure))
        full = picture.nbytes * len(self._frames) > _KEPT_BYTES
        if is_sure or full:
            yield from self.flush()

    def flush(self) -> Iterator[Pose | None]:
        """Yields all poses that are left, after a last look from both sides."""
        if len(self._frames) > 1 or (self._frames and self._frames[0].pose is None):
            self._settle()
        for frame in self._frames:
            self._gap = self._gap + 1 if frame.pose is None else 0
            self._before = frame.pose or self._before
        found, self._frames = [frame.pose for frame in self._frames], []
        yield from found

    def _look(self, picture: np.ndarray) -> Pose | None:
        """Looks where the person was last, then everywhere; searches from time to time."""
        if self._lost > _FORGOTTEN * self._fps:
            self._region = None
        if self._region is not None:
            followed = self._networks.landmarks(picture, self._region)
            if followed.score >= LEAST_PRESENCE:
                self._count += 1
                is_due = self._count % max(1, round(_CHECKED * self._fps)) == 0
                return self._networks.confirm(picture, followed, is_due)
        self._steady.reset()
        expected = self._expected()
        pose = self._networks.detect(picture, expected)
        if pose is None and self._may_search():
            hints = [] if expected is None else [expected.region]
            pose = self._networks.search(picture, hints, expected)
        return pose

    def _second_look(self, picture: np.ndarray, pose: Pose) -> Pose:
        """Looks for a better pose of a body that is hardly seen."""
        if not self._may_search():
            return pose
        body = pose.next_region()
        other = self._networks.search(picture, [body], Expected(body))
        if other is None or trust(other) < trust(pose) + _LEAST_GAIN:
            return pose
        self._steady.reset()
        return other

    def _may_search(self) -> bool:
        """Tells whether a search is due; each that finds nothing makes the next one wait longer."""
        if self._pause > 0:
            self._pause -= 1
            return False
        self._pause = self._next_pause
        longest = max(1, round(_LONGEST_PAUSE * self._fps))
        self._next_pause = min(2 * self._next_pause, longest)
        return True

    def _expected(self) -> Expected | None:
        """Returns where the person should be, with the usual size; None if that is not known."""
        if self._region is None:
            return None
        size = float(np.median(self._sizes)) if self._sizes else self._region.size
        return Expected(self._region._replace(size=size), _SPEED * self._lost / self._fps)

    def _settle(self) -> None:
        """Looks again at pictures without a sure pose: backwards in time, then in between."""
        frames = self._frames
        for index in range(len(frames) - 2, -1, -1):
            after = frames[index + 1].pose
            if after is not None:
                self._improve(index, after.next_region())
        for index, frame in enumerate(frames):
            if frame.pose is None:
                place = self._between(index)
                if place is not None:
                    self._improve(index, place)
        for frame in frames:
            frame.picture = None

    def _last(self, index: int) -> tuple[int, Pose] | None:
        """Returns the last pose before a kept picture and its index, below 0 if it is no more."""
        for at in range(index - 1, -1, -1):
            pose = self._frames[at].pose
            if pose is not None:
                return at, pose
        return None if self._before is None else (-1 - self._gap, self._before)

    def _between(self, index: int) -> Region | None:
        """Returns the region between the nearest poses before and after; None without both."""
        last = self._last(index)
        for at in range(index + 1, len(self._frames)):
            pose = self._frames[at].pose
            if last is not None and pose is not None:
                share = (index - last[0]) / (at - last[0])
                return between(last[1].next_region(), pose.next_region(), share)
        return None

    def _improve(self, index: int, region: Region) -> None:
        """Puts the pose in a region in the place of a worse one."""
        frame, last = self._frames[index], self._last(index)
        if frame.picture is None:
            return
        pose = self._networks.landmarks(frame.picture, region)
        if pose.score < LEAST_PRESENCE:
            return
        body = pose.next_region()
        worth = trust(pose) * Expected(region).nearness(body)
        if last is not None:  # it must have come here from there
            slack = _SPEED * (index - last[0]) / self._fps
            worth *= Expected(last[1].next_region(), slack).nearness(body)
        least = LEAST_TRUST if frame.pose is None else trust(frame.pose) + _LEAST_GAIN
        if worth >= least:
            frame.pose = pose


class LiveTracker:
    """Follows one person before a camera, picture by picture, without looking ahead."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._landmarks = OneEuro(filters.LANDMARKS)
        self._world = OneEuro(filters.WORLD)
        self._steady = _SteadyRegion()
        self._region: Region | None = None
        self._turn = 0
        self._checked = -math.inf

    def __call__(self, picture: np.ndarray, time: float) -> Pose | None:
        """Looks at a picture.

        Args:
            picture: (H, W, 3) uint8 RGB.
            time: seconds, of any clock; the steps may be uneven.

        Returns:
            The smoothed pose; None if nobody is seen. A lost person is looked for in one further
            position of the picture at each call, so that a call takes about as long as another.
        """
        pose = None
        if self._region is not None:
            pose = self._networks.landmarks(picture, self._region)
            if pose.score < LEAST_PRESENCE:
                pose = self._region = None
            else:
                is_due = time - self._checked >= _CHECKED
                self._checked = time if is_due else self._checked
                pose = self._networks.confirm(picture, pose, is_due)
        if pose is None:
            pose = self._find(picture)
        if pose is None:
            return None
        self._region = self._steady(pose, time)
        scale = _diameter(pose)
        return replace(
            pose,
            landmarks=self._landmarks(pose.landmarks, time, scale).astype(np.float32),
            world=self._world(pose.world, time).astype(np.float32),
        )

    def _find(self, picture: np.ndarray) -> Pose | None:
        for smoothed in (self._landmarks, self._world, self._steady):
            smoothed.reset()
        # Upright every other time.
        turn = (0, 1, 0, 2, 0, 3)[self._turn % 6]
        self._turn += 1
        place = regions.whole(picture.shape).turned(turn * math.pi / 2)
        detections = self._networks.detector(picture, place)
        if not detections:
            return None
        self._turn -= 1  # the same position next time, if the person is lost at once
        pose = self._networks.landmarks(picture, largest(detections).region())
        return pose if pose.score >= LEAST_PRESENCE else None


class _SteadyRegion:
    """Gives the region for the next picture, which stands still while the body does."""

    def __init__(self) -> None:
        self._axis = OneEuro(filters.AXIS)
        self._last: Region | None = None
        self._turned = 0.0

    def reset(self) -> None:
        self._axis.reset()
        self._last, self._turned = None, 0.0

    def __call__(self, pose: Pose, time: float) -> Region:
        own = pose.next_region()
        turned = 0.0 if self._last is None else regions.wrapped(own.angle - self._last.angle)
        before, self._turned, self._last = self._turned, turned, own
        if min(turned * before, abs(turned) - _SPIN, abs(before) - _SPIN) > 0:
            # It spins, so it will have turned as much in the next picture.
            return own.turned(min(turned, before, key=abs))
        ends = self._axis(pose.axis, time, _diameter(pose))
        steady = regions.around(ends[0], ends[1], MARGIN)
        # A body that spins or jumps leaves a filtered region behind.
        behind = abs(regions.wrapped(own.angle - steady.angle))
        moved = math.hypot(own.x - steady.x, own.y - steady.y) / own.size
        return own if behind > _BEHIND or moved > _MOVED else steady


def smooth(poses: Iterable[Pose | None], fps: float) -> Iterator[Pose | None]:
    """Smooths the landmarks of a film without lag; `filters.smooth_at` says how.

    Yields:
        As many poses as there are, some later than they came; a gap separates what is smoothed.
    """
    reach = filters.reach(fps)
    ring: deque[Pose | None] = deque([None] * reach)
    coming = iter(poses)
    ahead = 0  # poses in the ring from the middle on
    for pose in coming:
        ring.append(pose)
        ahead += 1
        if ahead > reach:
            yield _smoothed(ring, reach, fps)
            ring.popleft()
            ahead -= 1
    for _ in range(ahead):
        ring.append(None)
        while len(ring) < 2 * reach + 1:
            ring.append(None)
        yield _smoothed(ring, reach, fps)
        ring.popleft()


def _smoothed(ring: deque[Pose | None], middle: int, fps: float) -> Pose | None:
    centre = ring[middle]
    if centre is None:
        return None
    around = list(ring)
    first, last = middle, middle
    while first > 0 and around[first - 1] is not None:
        first -= 1
    while last + 1 < len(around) and around[last + 1] is not None:
        last += 1
    stretch = [pose for pose in around[first : last + 1] if pose is not None]
    times = (np.arange(first, last + 1) - middle) / fps
    weights = np.stack([np.minimum(pose.visibility, pose.presence) for pose in stretch])
    values = np.stack([pose.landmarks for pose in stretch])
    world = np.stack([pose.world for pose in stretch])
    place = middle - first
    return replace(
        centre,
        landmarks=filters.smooth_at(values, weights, times, place, _diameter(centre)),
        world=filters.smooth_at(world, weights, times, place, filters.BODY_METRES),
    )


def between(one: Region, other: Region, share: float) -> Region:
    """Returns the region at a share 0..1 of the way from one to another."""
    turn = regions.wrapped(other.angle - one.angle)
    return Region(
        one.x + share * (other.x - one.x),
        one.y + share * (other.y - one.y),
        one.size * (other.size / one.size) ** share,
        regions.wrapped(one.angle + share * turn),
    )


def _diameter(pose: Pose) -> float:
    """Returns the diameter of the circle around the body, in picture pixels."""
    return 2 * float(np.linalg.norm(pose.axis[1] - pose.axis[0]))

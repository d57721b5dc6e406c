"""Silhouettes by networks that know bodies: any camera, any background."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dancenet.data.footage.crop import Box, View, mask_box
from dancenet.data.footage.methods import BackgroundMethod
from dancenet.data.footage.survey import Shot
from dancenet.data.people.landmarks import Pose
from dancenet.data.people.search import Networks
from dancenet.data.people.silhouettes import Build, Sight, mended
from dancenet.data.people.tracking import track

# Follows one body through the pictures of a film, given the rate; None where it is not seen.
Tracker = Callable[[Iterable[np.ndarray], float], Iterator[Pose | None]]

_MOST_SAMPLES = 32  # pictures from which the empty scene is taken
_PLACE_SIDE = 320  # longer side of the pictures in which the body's box is measured
_NEAR_BONES = 0.05  # metres from a bone's own thickness at which the scene decides ...
_POSSIBLE = np.float32(0.08)  # ... because the network is taken to be this sure at least
_NOW, _BEFORE, _AFTER = 0.3, 0.45, 0.25  # weights of a picture, those before, the one after
_SOFTNESS = 2.0  # canvas pixels by which a silhouette's edge is softened before it is averaged
_NEIGHBOUR_LEVELS = 36.0  # levels of a colour from which a moved picture shows something else
_FLOW_STEP = 2  # canvas pixels per pixel of the pictures in which movement is measured
_SLOW = 8.0  # frames a second below which neighbours show different poses


def open_tracker(model_file: str | Path | None = None, threads: int = 1) -> Tracker:
    """Opens the networks, fetching them the first time.

    Args:
        model_file: the user's own copy, see `search.Networks.open`.
        threads: processor cores to use.

    Raises:
        MissingExtra: ai-edge-litert is not installed.
        UserError: they are damaged, or cannot be fetched.
    """
    networks = Networks.open(model_file, threads)
    return lambda pictures, fps: track(pictures, fps, networks)


class PersonMethod:
    """Networks that know bodies, helped by the empty scene if the camera stands still."""

    name = "person"

    def __init__(self, track: Tracker, shot: Shot | None = None) -> None:
        """Takes what follows a body, and what was learnt of a shot whose camera stands still."""
        self._track = track
        self._shot = shot

    def see(self, pictures: Iterator[np.ndarray], fps: float) -> Body:
        """Follows the dancer through the pictures of a shot."""
        shape: tuple[int, int] = (1, 1)

        def passed_on() -> Iterator[np.ndarray]:
            nonlocal shape
            for picture in pictures:
                shape = picture.shape[:2]
                yield picture

        sights = [
            None if pose is None else Sight.of(pose) for pose in self._track(passed_on(), fps)
        ]
        return Body(shape, sights, Build.measure(sights))

    def empty_scene(self, body: Body) -> BackgroundMethod | None:
        """Returns the scene without the dancer; None if the camera moves."""
        shot = self._shot
        if shot is None or len(shot.samples) < 4:
            return None
        step = -(-len(shot.samples) // _MOST_SAMPLES)
        samples, numbers = shot.samples[::step], shot.sampled[::step]
        shape = samples.shape[1:3]
        occupied = np.stack([body.occupied(int(number), shape) for number in numbers])
        return BackgroundMethod.fit(samples, occupied)


@dataclass(frozen=True)
class Body:
    """What was seen of the dancer in a shot."""

    shape: tuple[int, int]  # (height, width) of the pictures
    sights: Sequence[Sight | None]  # one for each picture
    build: Build

    def places(self) -> Iterator[tuple[Box | None, float]]:
        """Yields the dancer's box in picture pixels, and share of the picture."""
        height, width = self.shape
        scale = min(1.0, _PLACE_SIDE / max(height, width))
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        to_small = np.array([[scale, 0, scale / 2 - 0.5], [0, scale, scale / 2 - 0.5]])
        for sight in self.sights:
            if sight is None:
                yield None, 0.0
                continue
            skeleton = sight.skeleton(to_small, self.build)
            mask = mended(sight.drawn(to_small, size), skeleton) > 0.5
            box = mask_box(mask)
            if box is not None:
                box = Box(*(value / scale for value in box))
            yield box, float(mask.mean())

    def num_lying(self) -> int:
        """Returns the number of pictures in which the body's axis is nearer to level."""
        return sum(sight is not None and sight.lies() for sight in self.sights)

    def occupied(self, index: int, shape: tuple[int, int]) -> np.ndarray:
        """Returns (H, W) bool: where the dancer may be in a picture, reduced to `shape`."""
        sight = self.sights[index] if index < len(self.sights) else None
        if sight is None:
            return np.zeros(shape, bool)
        scale = shape[1] / self.shape[1]
        to_sample = np.array([[scale, 0, scale / 2 - 0.5], [0, scale, scale / 2 - 0.5]])
        mask = (sight.drawn(to_sample, shape) > 0.1).astype(np.uint8)
        reach = round(max(shape) / 30) | 1
        return cv2.dilate(mask, np.ones((reach, reach), np.uint8)) > 0

    def probability(
        self, index: int, view: View, cut: np.ndarray, scene: BackgroundMethod | None
    ) -> np.ndarray:
        """Draws the dancer of a picture on a view's canvas.

        Args:
            index: of the picture.
            view: where the canvas lies in it.
            cut: what the view shows of it.
            scene: the same view of the empty scene; None if the camera moves.

        Returns:
            (H, W) float32.
        """
        sight = self.sights[index]
        if sight is None:
            return np.zeros(view.canvas, np.float32)
        found = sight.drawn(view.to_canvas, view.canvas)
        skeleton = sight.skeleton(view.to_canvas, self.build)
        if scene is None:
            return mended(found, skeleton, cut)
        # Near the bones the scene decides: fingers and toes are too fine for the network.
        near = skeleton.drawn(view.canvas, skeleton.radii + _NEAR_BONES * skeleton.zoom)
        difference = scene.difference(cut)
        found = combine(np.maximum(found, _POSSIBLE * near), difference, scene.known)
        return mended(found, skeleton, cut, np.where(scene.known, difference, np.float32(np.inf)))


def combine(person: np.ndarray, difference: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Weighs the network's opinion against the empty scene.

    Odds are multiplied: a pixel that looks exactly like the empty scene needs a very
    sure network to stay, one that differs clearly needs little. Neither can overrule
    the other alone, so clothes in the wall's colour stay and moving curtains go.
    """
    person = np.clip(person, 0.002, 0.998)
    logit = np.log(person / (1 - person))
    evidence = np.where(
        difference < 1, 4.0 * (difference - 1), np.minimum(1.5 * (difference - 1), 3.0)
    )
    logit += np.where(known, evidence, 0)
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


class _Shown:
    """A picture on its canvas and what was found in it."""

    def __init__(self, cut: np.ndarray, probability: np.ndarray) -> None:
        self.probability = cv2.GaussianBlur(probability, (0, 0), _SOFTNESS)
        height, width = probability.shape
        size = (width // _FLOW_STEP, height // _FLOW_STEP)
        self.small = cv2.resize(cut, size, interpolation=cv2.INTER_AREA)
        self.grey = cv2.cvtColor(self.small, cv2.COLOR_RGB2GRAY)


def calm_over_time(
    shown: Iterable[tuple[np.ndarray, np.ndarray]], fps: float
) -> Iterator[np.ndarray]:
    """Averages each canvas with the one after it and all before it, moved as the pictures move.

    Where a moved neighbour shows something else, as behind a limb that was too fast to follow,
    it has no weight: so a fast limb is not eaten.

    Args:
        shown: pictures (H, W, 3) uint8 and what was found in them, (H, W) float32.
        fps: frames per second; below 8 neighbours show different poses, and nothing is averaged.
    """
    calm = _Calm()
    previous = current = None
    for following in (_Shown(*entry) for entry in shown):
        if current is not None:
            if fps >= _SLOW:
                current.probability = calm(current, previous, following)
            yield current.probability
        previous, current = current, following
    if current is not None:
        yield calm(current, previous, None) if fps >= _SLOW else current.probability


class _Calm:
    """Averages what was found in pictures along the movement between them."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def __call__(
        self, current: _Shown, previous: _Shown | None, following: _Shown | None
    ) -> np.ndarray:
        total = current.probability * np.float32(_NOW)
        weights = np.full(total.shape, _NOW, np.float32)
        for other, weight in ((previous, _BEFORE), (following, _AFTER)):
            if other is not None and other.probability.any() and current.probability.any():
                found, alike = self._moved(other, current)
                alike *= np.float32(weight)
                total += alike * found
                weights += alike
        return total / weights

    def _moved(self, other: _Shown, current: _Shown) -> tuple[np.ndarray, np.ndarray]:
        """Returns what was found in `other`, moved as the picture moved, and how alike both are."""
        height, width = current.probability.shape
        moved = self._flow.calc(current.grey, other.grey, None)  # type: ignore[call-overload]
        y, x = _grid(*current.grey.shape)
        # In colour: skin before a green wall is as bright as the wall.
        there = cv2.remap(other.small, x + moved[..., 0], y + moved[..., 1], cv2.INTER_LINEAR)
        apart = cv2.GaussianBlur(cv2.absdiff(there, current.small), (5, 5), 0).max(axis=2)
        alike = np.clip(2 - apart / np.float32(_NEIGHBOUR_LEVELS / 2), 0, 1)
        moved = cv2.resize(moved, (width, height)) * np.float32(_FLOW_STEP)
        y, x = _grid(height, width)
        found = cv2.remap(other.probability, x + moved[..., 0], y + moved[..., 1], cv2.INTER_LINEAR)
        return found, cv2.resize(alike, (width, height))


@functools.cache
def _grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.indices((height, width), np.float32)
    return y, x

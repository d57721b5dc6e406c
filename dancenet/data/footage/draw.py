"""Draws the silhouettes of a shot, and cuts them where the dancer leaves or jumps."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from dancenet.data.footage.crop import Box, View, choose_views, mask_box
from dancenet.data.footage.finders import Found, Method
from dancenet.data.footage.methods import (
    BackgroundMethod,
    fill_holes,
    find_dancer,
    overlap,
    reduce_canvas,
    smooth_over_time,
    touches,
)
from dancenet.data.footage.person import PersonMethod, calm_over_time
from dancenet.data.frames.picture import DANCER
from dancenet.support.errors import UserError

MIN_SECONDS = 0.5  # a shorter run of frames makes no clip

_JUMP_IOU = 0.35  # neighbouring silhouettes that share less may be two takes ...
_JUMP_FACTOR = 0.5  # ... if all frames around share at least twice as much
_AROUND = 2  # frames on either side that are looked at for that
# Share of the dancer that is filled.
_HOLES = {"threshold": 0.01, "background": 0.03, "person": 0.01, "matte": 0.002}


@dataclass
class Drawn:
    """One frame on its way to a clip."""

    silhouette: np.ndarray | None  # (120, 208) uint8; None if nobody is in the picture
    picture: np.ndarray  # (H, W, 3) what the view shows
    view: View
    clipped: bool = False
    shared: float | None = None  # overlap with the frame before; None if either is empty
    is_jump: bool = False  # begins another take


@dataclass
class LeftOut:
    """Counts of the frames and joins that no clip holds."""

    num_empty: int = 0  # frames in which no dancer was found
    num_short: int = 0  # frames in runs too short for a clip
    num_jumps: int = 0  # joins of two takes within one shot


class _Canvas:
    """Draws the pictures of a shot as a view shows them."""

    def __init__(self, shape: tuple[int, ...], found: Found, method: Method) -> None:
        self._shape = shape[:2]
        self._method = method
        self._body = found.people
        scene = method if isinstance(method, BackgroundMethod) else None
        if isinstance(method, PersonMethod) and found.people is not None:
            scene = method.empty_scene(found.people)
        if scene is not None:
            scene = scene.resized(shape[1], shape[0])
        self._scene = scene
        self._looks = isinstance(method, PersonMethod)
        self._view: View | None = None
        self._viewed: BackgroundMethod | None = None
        self._inside = np.empty(0)

    def inside(self, view: View) -> np.ndarray:
        """Returns (H, W) bool, the canvas pixels that lie in the picture."""
        return self._inside if view is self._view else view.inside(self._shape)

    def cut(self, view: View, picture: np.ndarray) -> np.ndarray:
        """Returns what a view shows of a picture."""
        return view.look(picture) if self._looks else view.cut(picture)

    def probability(self, index: int, view: View, cut: np.ndarray) -> np.ndarray:
        """Returns (H, W) float32; `cut` is what the view shows of the picture."""
        self._show(view)
        if self._body is not None:
            found = self._body.probability(index, view, cut, self._viewed)
        else:
            assert not isinstance(self._method, PersonMethod)
            found = (self._viewed or self._method).probability(cut)
        return np.where(self._inside, found, np.float32(0))

    def _show(self, view: View) -> None:
        if view is not self._view:
            self._view = view
            self._inside = view.inside(self._shape)
            if self._scene is not None:
                self._viewed = self._scene.viewed(lambda picture: self.cut(view, picture))


def draw(
    pictures: Iterator[np.ndarray], found: Found, method: Method, fit: str, fps: float
) -> Iterator[Drawn]:
    """Draws a shot's silhouettes.

    Args:
        pictures: (H, W, 3) uint8 RGB.
        found: where the dancer is.
        method: how pixels are told apart.
        fit: one of `crop.FITS`.
        fps: frames per second.
    """
    first = next(pictures, None)
    if first is None:
        raise UserError(
            "The footage could be decoded once and not again; there may be too little memory."
        )
    is_person = isinstance(method, PersonMethod)
    views = choose_views(found.boxes, first.shape, fps, fit, pans=is_person)
    canvas = _Canvas(first.shape, found, method)
    cuts: deque[np.ndarray] = deque()  # on their way through the smoothing

    def shown() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for index, picture in enumerate(itertools.chain([first], pictures)):
            cuts.append(canvas.cut(views[index], picture))
            yield cuts[-1], canvas.probability(index, views[index], cuts[-1])

    if is_person:
        calm = calm_over_time(shown(), fps)
    else:
        calm = smooth_over_time((probability for _, probability in shown()), fps)
    near: Box | None = None
    for box, view, probability in zip(found.boxes, views, calm):
        cut = cuts.popleft()
        if np.isnan(box).any():
            yield Drawn(None, cut, view)
            continue
        mask = probability > 0.5 if is_person else find_dancer(probability, near)
        mask = fill_holes(mask, _HOLES[method.name] * mask.sum())
        near = mask_box(mask)
        # Soft values are kept where the mask is, so that the reduction still sees edges.
        edge = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        soft = np.where(mask, np.maximum(probability, 0.51), np.where(edge, probability, 0))
        silhouette = reduce_canvas(soft.astype(np.float32))
        if near is None or not (silhouette == DANCER).any():
            yield Drawn(None, cut, view)
            continue
        yield Drawn(silhouette, cut, view, touches(mask, canvas.inside(view)))


def mark_jumps(drawn: Iterator[Drawn]) -> Iterator[Drawn]:
    """Marks frames whose silhouette has little in common with the one before.

    Two takes of one scene, joined, differ no more than a few pixels in the picture; the
    silhouettes tell. As the dance may be fast, only a lone drop among frames that overlap
    well is a jump.
    """
    around: deque[Drawn] = deque(maxlen=2 * _AROUND + 1)
    previous: np.ndarray | None = None

    def judged(position: int) -> Drawn:
        frames = list(around)
        frame = frames[position]
        near = frames[max(0, position - _AROUND) : position + _AROUND + 1]
        others = [f.shared for f in near if f is not frame and f.shared is not None]
        shared = frame.shared
        if shared is not None and shared < _JUMP_IOU and len(others) >= 2:
            frame.is_jump = shared < _JUMP_FACTOR * min(others)
        return frame

    count = 0
    for frame in drawn:
        mask = None if frame.silhouette is None else frame.silhouette == DANCER
        if mask is not None and previous is not None:
            frame.shared = overlap(previous, mask)
        previous = mask
        around.append(frame)
        count += 1
        if count > _AROUND:
            yield judged(len(around) - 1 - _AROUND)
    for position in range(max(0, len(around) - min(_AROUND, count)), len(around)):
        yield judged(position)


def runs(
    drawn: Iterator[Drawn], fps: float, progress: Callable[[int], None], left_out: LeftOut
) -> Iterator[Iterator[Drawn]]:
    """Splits frames where the dancer is gone or jumps; yields runs long enough for a clip.

    Each run must be used up before the next is asked for.

    Args:
        drawn: a shot's frames, marked by `mark_jumps`.
        fps: frames per second.
        progress: called with the number of frames taken since the last call.
        left_out: counts what no run holds.
    """
    least = max(2, round(MIN_SECONDS * fps))
    held: Drawn | None = None  # the first frame after a jump
    over = False

    def run() -> Iterator[Drawn]:
        nonlocal held, over
        if held is not None:
            first, held = held, None
            yield first
        for frame in drawn:
            progress(1)
            if frame.silhouette is None:
                left_out.num_empty += 1
                return
            if frame.is_jump:
                left_out.num_jumps += 1
                held = frame
                return
            yield frame
        over = True

    while not over:
        frames = run()
        start = list(itertools.islice(frames, least))
        if len(start) == least:
            yield itertools.chain(start, frames)
        else:
            left_out.num_short += len(start)

"""Draws the silhouettes of a shot, and cuts them where the dancer leaves or jumps."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from dancenet.data.footage.crop import Box, View, crop_view, follow_boxes, letterbox_view, mask_box
from dancenet.data.footage.finders import Method
from dancenet.data.footage.methods import (
    BackgroundMethod,
    PersonMethod,
    fill_holes,
    find_dancer,
    overlap,
    reduce_canvas,
    smooth_over_time,
    touches,
)
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


@dataclass(frozen=True)
class _Canvas:
    """The view that a shot is drawn in."""

    view: View
    inside: np.ndarray  # (H, W) bool, the canvas pixels that lie in the picture
    scene: BackgroundMethod | None  # the empty scene as the view shows it

    @classmethod
    def of_shot(cls, picture: np.ndarray, found: np.ndarray, method: Method, fit: str) -> _Canvas:
        height, width = picture.shape[:2]
        view = crop_view(found, width, height) if fit == "crop" else letterbox_view(width, height)
        scene = method.scene if isinstance(method, PersonMethod) else method
        if isinstance(scene, BackgroundMethod):
            scene = scene.resized(width, height).viewed(view)
        else:
            scene = None
        return cls(view, view.inside(picture.shape), scene)

    def probability(
        self, method: Method, picture: np.ndarray, cut: np.ndarray, square: np.ndarray
    ) -> np.ndarray:
        """Returns (H, W) float32; `cut` is what the view shows of the picture."""
        if isinstance(method, PersonMethod):
            found = method.look(picture, Box(*square), self.view)
            if self.scene is not None:
                found = method.combine(found, self.scene.difference(cut), self.scene.known)
        else:
            found = (self.scene or method).probability(cut)
        return np.where(self.inside, found, np.float32(0))


def draw(
    pictures: Iterator[np.ndarray], found: np.ndarray, method: Method, fit: str, fps: float
) -> Iterator[Drawn]:
    """Draws a shot's silhouettes in one view.

    Args:
        pictures: (H, W, 3) uint8 RGB.
        found: (T, 4) boxes of the dancer in picture pixels, NaN where nobody is found.
        method: how pixels are told apart.
        fit: "crop" or "letterbox".
        fps: frames per second.
    """
    first = next(pictures, None)
    if first is None:
        raise UserError(
            "The footage could be decoded once and not again; there may be too little memory."
        )
    canvas = _Canvas.of_shot(first, found, method, fit)
    shown: deque[np.ndarray] = deque()  # cuts on their way through the smoothing

    def probabilities() -> Iterator[np.ndarray]:
        squares = follow_boxes(found, fps)
        for picture, square in zip(itertools.chain([first], pictures), squares):
            shown.append(canvas.view.cut(picture))
            yield canvas.probability(method, picture, shown[-1], square)

    near: Box | None = None
    for box, probability in zip(found, smooth_over_time(probabilities(), fps)):
        cut = shown.popleft()
        if np.isnan(box).any():
            yield Drawn(None, cut, canvas.view)
            continue
        mask = find_dancer(probability, near)
        mask = fill_holes(mask, _HOLES[method.name] * mask.sum())
        near = mask_box(mask)
        # Soft values are kept where the mask is, so that the reduction still sees edges.
        edge = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        soft = np.where(mask, np.maximum(probability, 0.51), np.where(edge, probability, 0))
        silhouette = reduce_canvas(soft.astype(np.float32))
        if near is None or not (silhouette == DANCER).any():
            yield Drawn(None, cut, canvas.view)
            continue
        yield Drawn(silhouette, cut, canvas.view, touches(mask, canvas.inside))


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

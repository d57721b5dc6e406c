"""From footage to clips of silhouettes: one pass to learn, one to find, one to draw.

The three passes read the footage side by side, shot by shot, so memory does not grow with
its length: a shot is drawn as soon as the first pass has seen its end.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from dancenet.data.footage.crop import Box, View, crop_view, follow_boxes, letterbox_view, mask_box
from dancenet.data.footage.methods import (
    BackgroundMethod,
    Network,
    PersonMethod,
    ThresholdMethod,
    cut_square,
    fill_holes,
    find_dancer,
    otsu,
    overlap,
    reduce_canvas,
    smooth_over_time,
    touches,
)
from dancenet.data.footage.survey import ClipReport, EvenSampler, FootageReport, Shot, survey
from dancenet.data.footage.video import Footage
from dancenet.data.frames.picture import DANCER
from dancenet.data.frames.writer import FrameWriter
from dancenet.support import terminal
from dancenet.support.errors import UserError

Method = ThresholdMethod | BackgroundMethod | PersonMethod

LOCATE_SIDE = 320  # longer side of the pictures in which the dancer is looked for
_LEAST_SEEN = 0.01  # of what the network looks at, for a piece to be a person
_FOLLOWED = 1.5  # somebody else must be this much larger to be followed instead
_MIN_SECONDS = 0.5  # a shorter run of frames is no clip
_PRESENT = 0.15  # of the dancer's usual area in a shot; less is a spot, not the dancer
_JUMP_IOU = 0.35  # neighbouring silhouettes that share less may be two takes ...
_JUMP_FACTOR = 0.5  # ... if all frames around share at least twice as much
_AROUND = 2  # frames on either side that are looked at for that
_HOLES = {"threshold": 0.01, "background": 0.03, "person": 0.01}  # of the dancer, filled
_PLAIN_SEPARATION = 0.92  # Otsu's measure from which two grey levels explain the picture
_PLAIN_BORDER = 0.97  # share of the picture's border that must be wall


@dataclass(frozen=True)
class Settings:
    """How to extract."""

    method: str = "auto"
    fit: str = "crop"  # or "letterbox"
    level: float | None = None  # threshold: the grey level; None lets Otsu choose
    invert: bool = False  # threshold: the dancer is on the side that touches the border
    split: str | None = None  # recorded with each clip


@dataclass
class _Drawn:
    """One frame on its way to a clip."""

    silhouette: np.ndarray | None  # (120, 208) uint8; None if nobody is in the picture
    picture: np.ndarray  # (H, W, 3) what the view shows
    clipped: bool = False
    shared: float | None = None  # overlap with the frame before; None if either is empty
    is_jump: bool = False  # begins another take


@dataclass
class _Tally:
    """Measures gathered while a clip is written."""

    coverage: list[float] = field(default_factory=list)
    overlaps: list[float] = field(default_factory=list)
    num_clipped: int = 0
    previous: np.ndarray | None = None
    thumbnails: EvenSampler[tuple[np.ndarray, np.ndarray]] = field(
        default_factory=lambda: EvenSampler(8)
    )


def extract(
    footage: Footage,
    writer: FrameWriter,
    settings: Settings,
    load_network: Callable[[], Network],
    progress: Callable[[int], None] = lambda num_frames: None,
) -> FootageReport:
    """Turns footage into clips of silhouettes.

    Args:
        footage: what to read; it is read three times.
        writer: where the clips go. Each is finished before the next begins.
        settings: how.
        load_network: returns the person network; called when it is first needed.
        progress: called with the number of frames drawn since the last call.

    Returns:
        Measures of what was written.

    Raises:
        UserError: no picture could be decoded, nobody was found in any of them, or a
            method cannot be used.
    """
    report = FootageReport(footage.name, 0.0, [], 0)
    chooser = _Chooser(settings, load_network)
    to_find, to_draw = footage.frames(), footage.frames()
    num_frames = num_shots = num_left_out = num_short = 0
    try:
        for shot in survey(footage.frames(), footage.fps):
            num_frames += shot.num_frames
            num_shots += 1
            method, reason = chooser.choose(shot)
            if reason not in report.reasons:
                report.reasons.append(reason)
                terminal.say(f"{footage.name}: {reason}")
            found = _find(itertools.islice(to_find, shot.num_frames), method, footage.fps)
            pictures = itertools.islice(to_draw, shot.num_frames)
            if np.isnan(found).all():
                num_left_out += sum(1 for _ in pictures)
                progress(shot.num_frames)
                continue
            drawn = _draw(pictures, found, method, settings, footage)
            for run in _runs(_mark_jumps(drawn), footage.fps, progress):
                if isinstance(run, _LeftOut):
                    num_left_out += run.num_empty
                    num_short += run.num_short
                    report.num_cuts += run.num_jumps
                    continue
                report.clips.append(_write(run, shot, method, settings, footage, writer))
    finally:
        for frames in (to_find, to_draw):
            frames.close()  # type: ignore[attr-defined]
    report.seconds_read = num_frames / footage.fps
    report.num_cuts += max(0, num_shots - 1)
    loss = footage.loss(num_frames)
    if loss:
        report.notes.append(loss)
    if num_left_out:
        report.notes.append(
            f"{num_left_out / footage.fps:.1f} seconds in which no dancer was found are left out."
        )
    if num_short:
        report.notes.append(
            f"{num_short / footage.fps:.1f} seconds in pieces shorter than {_MIN_SECONDS:g} s "
            "are left out."
        )
    if not num_frames:
        raise UserError(f"{footage.name} has no picture that can be decoded.")
    if not report.clips:
        raise UserError(_nobody(footage, num_frames, settings, num_short))
    return report


class _Chooser:
    """Makes the method for each shot, and the network once for all of them."""

    def __init__(self, settings: Settings, load_network: Callable[[], Network]) -> None:
        self._settings = settings
        self._load_network = load_network
        self._network: Network | None = None
        self._missing: str | None = None

    def choose(self, shot: Shot) -> tuple[Method, str]:
        """Returns the fitted method for a shot and the reason in words."""
        settings = self._settings
        if settings.method == "threshold":
            fitted = self._threshold(shot)
            return fitted, f"threshold at grey level {fitted.level:.0f}, as asked"
        if settings.method == "background":
            reason = "background, as asked"
            if not shot.is_static:
                reason += "; the camera seems to move, so expect holes and ghosts"
            return BackgroundMethod.fit(shot.samples), reason
        if settings.method == "person":
            self._network = self._network or self._load_network()
            return self._person(shot), f"person, as asked{self._help(shot)}"
        separation, border = _plainness(shot.samples)
        if separation > _PLAIN_SEPARATION and border > _PLAIN_BORDER:
            fitted = self._threshold(shot)
            return fitted, (
                f"threshold at grey level {fitted.level:.0f}: two grey levels explain "
                f"{separation:.0%} of the picture and its border is all wall"
            )
        if self._network is None and self._missing is None:
            try:
                self._network = self._load_network()
            except UserError as error:
                self._missing = str(error)
        if self._network is not None:
            return self._person(shot), f"person: the background is not plain{self._help(shot)}"
        if shot.is_static:
            return BackgroundMethod.fit(shot.samples), (
                "background: the camera stands still, and the person network cannot be used "
                f"({self._missing})"
            )
        raise UserError(
            "This footage needs the person network, because the camera moves and the background "
            f"is not plain; but it cannot be used: {self._missing}"
        )

    def _threshold(self, shot: Shot) -> ThresholdMethod:
        return ThresholdMethod.fit(shot.samples, self._settings.level, self._settings.invert)

    def _person(self, shot: Shot) -> PersonMethod:
        assert self._network is not None
        if not shot.is_static or len(shot.samples) < 4:
            return PersonMethod(self._network)
        occupied = np.stack([_occupied(self._network(sample), sample) for sample in shot.samples])
        return PersonMethod(self._network, BackgroundMethod.fit(shot.samples, occupied))

    @staticmethod
    def _help(shot: Shot) -> str:
        return ", helped by the empty scene of a camera that stands still" if shot.is_static else ""


def _occupied(person: np.ndarray, sample: np.ndarray) -> np.ndarray:
    height, width = sample.shape[:2]
    reach = round(max(height, width) / 30) | 1
    mask = cv2.resize(person, (width, height)) > 0.1
    return cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0


def _plainness(samples: np.ndarray) -> tuple[float, float]:
    grey = np.stack([cv2.cvtColor(sample, cv2.COLOR_RGB2GRAY) for sample in samples])
    level, separation = otsu(grey)
    # The bottom is left out: a dancer may well stand on it or be cut by it.
    border = np.concatenate([grey[:, :, :2].ravel(), grey[:, :, -2:].ravel(), grey[:, :2].ravel()])
    bright = float((border >= level).mean())
    return separation, max(bright, 1 - bright)


class _Finder:
    """Finds the dancer by a threshold or a background, in small pictures."""

    def __init__(self, method: ThresholdMethod | BackgroundMethod) -> None:
        self._method = method
        self._near: Box | None = None

    def find(self, picture: np.ndarray) -> tuple[Box | None, float]:
        """Returns the dancer's box in picture pixels and share of the picture."""
        height, width = picture.shape[:2]
        scale = min(1.0, LOCATE_SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        if isinstance(self._method, BackgroundMethod) and self._method.size != size:
            self._method = self._method.resized(*size)
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        mask = find_dancer(self._method.probability(small), self._near)
        self._near = mask_box(mask)
        if self._near is None:
            return None, 0.0
        return _enlarged(self._near, width / size[0], height / size[1]), float(mask.mean())


class _PersonFinder:
    """Finds the dancer by the network: where they just were, else in the whole picture."""

    def __init__(self, method: PersonMethod, fps: float) -> None:
        self._method = method
        self._every = max(1, round(fps))
        self._count = 0
        self._near: Box | None = None

    def find(self, picture: np.ndarray) -> tuple[Box | None, float]:
        """Returns the dancer's box in picture pixels and share of the picture."""
        height, width = picture.shape[:2]
        found: tuple[Box | None, float] = (None, 0.0)
        if self._near is not None:
            found = self._look(picture, _around(self._near))
        # Now and then the whole picture is searched, lest a lamp be followed for ever.
        is_due = self._count % self._every == 0
        if found[0] is None or is_due:
            whole = [self._look(picture, None)]
            whole += [self._look(picture, square) for square in _tiles(width, height, 1.0)]
            best = max(whole, key=lambda entry: entry[1])
            if best[0] is None and found[0] is None and is_due:
                best = max(
                    (self._look(picture, square) for square in _tiles(width, height, 0.5)),
                    key=lambda entry: entry[1],
                )
            if best[1] > _FOLLOWED * found[1]:
                found = best
        self._count += 1
        self._near = found[0]
        return found

    def _look(self, picture: np.ndarray, square: Box | None) -> tuple[Box | None, float]:
        height, width = picture.shape[:2]
        if square is None:
            probability = self._method.probability(picture)
            square = Box(0, 0, width, height)
        else:
            probability = self._method.probability(cut_square(picture, square))
        x, y = square.width / probability.shape[1], square.height / probability.shape[0]
        # What lies beyond the picture is its border repeated; nobody is there.
        rows = square.top + (np.arange(probability.shape[0]) + 0.5) * y
        columns = square.left + (np.arange(probability.shape[1]) + 0.5) * x
        probability = probability * ((rows >= 0) & (rows < height))[:, None]
        probability = probability * ((columns >= 0) & (columns < width))[None]
        mask = find_dancer(probability, min_area=_LEAST_SEEN)
        box = mask_box(mask)
        if box is None:
            return None, 0.0
        box = _enlarged(box, x, y)
        box = Box(
            box.left + square.left,
            box.top + square.top,
            box.right + square.left,
            box.bottom + square.top,
        )
        return box, float(probability[mask].sum()) * x * y / (width * height)


def _around(box: Box) -> Box:
    half = 0.8 * max(box.width, box.height)
    x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    return Box(x - half, y - half, x + half, y + half)


def _tiles(width: int, height: int, share: float) -> list[Box]:
    """Returns overlapping squares of `share` of the shorter side that cover the picture."""
    side = share * min(width, height)
    if side > 0.8 * max(width, height):
        return []

    def starts(length: int) -> np.ndarray:
        return np.linspace(0, length - side, 1 + int(np.ceil(2 * (length - side) / side - 1e-6)))

    return [Box(x, y, x + side, y + side) for y in starts(height) for x in starts(width)]


def _enlarged(box: Box, x: float, y: float) -> Box:
    return Box(box.left * x, box.top * y, box.right * x, box.bottom * y)


def _find(pictures: Iterator[np.ndarray], method: Method, fps: float) -> np.ndarray:
    """Returns (T, 4) boxes of the dancer in picture pixels, NaN where nobody is found."""
    finder = _PersonFinder(method, fps) if isinstance(method, PersonMethod) else _Finder(method)
    boxes: list[tuple[float, ...]] = []
    areas: list[float] = []
    for picture in pictures:
        box, area = finder.find(picture)
        boxes.append((np.nan,) * 4 if box is None else tuple(box))
        areas.append(area)
    found = np.array(boxes, dtype=float).reshape(-1, 4)
    area_of = np.array(areas)
    if (area_of > 0).any():
        found[area_of < _PRESENT * np.median(area_of[area_of > 0])] = np.nan
    return found


def _draw(
    pictures: Iterator[np.ndarray],
    found: np.ndarray,
    method: Method,
    settings: Settings,
    footage: Footage,
) -> Iterator[_Drawn]:
    """Draws a shot's silhouettes in one view."""
    shown: deque[np.ndarray] = deque()
    state: dict[str, Any] = {}

    def canvases() -> Iterator[np.ndarray]:
        squares = follow_boxes(found, footage.fps)
        for index, picture in enumerate(pictures):
            height, width = picture.shape[:2]
            if not state:
                state["view"] = (
                    crop_view(found, width, height)
                    if settings.fit == "crop"
                    else letterbox_view(width, height)
                )
                state["inside"] = state["view"].inside(picture.shape)
                scene = method.scene if isinstance(method, PersonMethod) else method
                if isinstance(scene, BackgroundMethod):
                    state["scene"] = scene.resized(width, height).viewed(state["view"])
            view: View = state["view"]
            cut = view.cut(picture)
            shown.append(cut)
            if isinstance(method, PersonMethod):
                probability = method.look(picture, Box(*squares[index]), view)
                if "scene" in state:
                    scene = state["scene"]
                    probability = method.combine(probability, scene.difference(cut), scene.known)
            elif isinstance(method, BackgroundMethod):
                probability = state["scene"].probability(cut)
            else:
                probability = method.probability(cut)
            yield np.where(state["inside"], probability, np.float32(0))

    near: Box | None = None
    for index, canvas in enumerate(smooth_over_time(canvases(), footage.fps)):
        picture = shown.popleft()
        if np.isnan(found[index]).any():
            yield _Drawn(None, picture)
            continue
        mask = find_dancer(canvas, near)
        mask = fill_holes(mask, _HOLES[method.name] * mask.sum())
        near = mask_box(mask)
        # Soft values are kept where the mask is, so that the reduction still sees edges.
        edge = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        canvas = np.where(mask, np.maximum(canvas, 0.51), np.where(edge, canvas, 0))
        silhouette = reduce_canvas(canvas.astype(np.float32))
        if near is None or not (silhouette == DANCER).any():
            yield _Drawn(None, picture)
            continue
        yield _Drawn(silhouette, picture, touches(mask, state["inside"]))


def _mark_jumps(drawn: Iterator[_Drawn]) -> Iterator[_Drawn]:
    """Marks frames whose silhouette has little in common with the one before.

    Two takes of one scene, joined, differ no more than a few pixels in the picture; the
    silhouettes tell. As the dance may be fast, only a lone drop among frames that overlap
    well is a jump.
    """
    around: deque[_Drawn] = deque(maxlen=2 * _AROUND + 1)
    previous: np.ndarray | None = None

    def judged(position: int) -> _Drawn:
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


@dataclass
class _LeftOut:
    num_empty: int = 0
    num_short: int = 0
    num_jumps: int = 0


def _runs(
    drawn: Iterator[_Drawn], fps: float, progress: Callable[[int], None]
) -> Iterator[Iterator[_Drawn] | _LeftOut]:
    """Splits frames where the dancer is gone or jumps; yields runs long enough for a clip.

    Each run must be used up before the next is asked for. What was left out comes last.
    """
    least = max(2, round(_MIN_SECONDS * fps))
    held: _Drawn | None = None  # the first frame after a jump
    left_out = _LeftOut()
    over = False

    def run() -> Iterator[_Drawn]:
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
    yield left_out


def _write(
    run: Iterator[_Drawn],
    shot: Shot,
    method: Method,
    settings: Settings,
    footage: Footage,
    writer: FrameWriter,
) -> ClipReport:
    tally = _Tally()

    def silhouettes() -> Iterator[np.ndarray]:
        for frame in run:
            silhouette = frame.silhouette
            assert silhouette is not None
            mask = silhouette == DANCER
            tally.coverage.append(float(mask.mean()))
            tally.num_clipped += frame.clipped
            if tally.previous is not None:
                tally.overlaps.append(overlap(tally.previous, mask))
            tally.previous = mask
            if tally.thumbnails.wants_next:
                size = silhouette.shape[::-1]
                picture = cv2.resize(frame.picture, size, interpolation=cv2.INTER_AREA)
                tally.thumbnails.offer((picture, silhouette))
            else:
                tally.thumbnails.offer((silhouette, silhouette))
            yield silhouette

    details: dict[str, Any] = {"fit": settings.fit, "source_fps": round(footage.source_fps, 3)}
    if isinstance(method, ThresholdMethod):
        details |= {"level": round(method.level, 1), "dark": method.dark}
    clip = writer.add_clip(
        silhouettes(),
        source=footage.name,
        fps=footage.fps,
        method=method.name,
        split=settings.split,
        details=details,
    )
    return ClipReport(
        clip,
        float(np.mean(tally.coverage)),
        float(np.mean(tally.overlaps)) if tally.overlaps else 1.0,
        tally.num_clipped / clip.num_frames,
        shot.is_static,
        shot.pan,
        shot.zoom,
        tally.thumbnails.items,
    )


def _nobody(footage: Footage, num_frames: int, settings: Settings, num_short: int) -> str:
    if num_frames / footage.fps < _MIN_SECONDS:
        return (
            f"{footage.name} is {num_frames} frame{'s' if num_frames > 1 else ''} long; "
            f"a clip needs at least {_MIN_SECONDS:g} seconds."
        )
    if num_short:
        return (
            f"No dancer was found in {footage.name} for longer than {_MIN_SECONDS:g} seconds at a "
            "time; film one whole person, or try another --method."
        )
    hint = {
        "threshold": "choose a --level between dancer and wall, or try --method person",
        "background": "the dancer must move before a camera that stands still; "
        "or try --method person",
    }.get(settings.method, "film one whole person who fills a fair part of the picture")
    return f"No dancer was found in {footage.name}; {hint}."

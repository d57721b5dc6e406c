"""Measures footage: its cuts, the camera's movement, and what to film better."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import cv2
import numpy as np

from dancenet.data.frames.clips import Clip
from dancenet.support import files
from dancenet.support.names import quoted
from dancenet.support.wording import option

T = TypeVar("T")

SAMPLE_SIDE = 640  # longer side of the pictures a shot is remembered by
NUM_SAMPLES = 32  # at least, for a shot that is long and lively enough

_SMALL = (64, 40)  # width and height of the pictures in which cuts are looked for
_CUT_CHANGE = 9.0  # grey levels of mean change below which nothing is a cut
_CUT_FACTOR = 3.0  # a cut changes the picture this much more than the frames around it do
_CUT_PALETTE = 0.4  # share of the colours that are exchanged ...
_CUT_PALETTE_FACTOR = 1.5  # ... for which this factor is enough
_AROUND = 2  # frames on either side that a change is compared with
_SAMPLE_CHANGE = 0.004  # share of pixels that must have changed between two samples
_STILL_LEVELS = 8.0  # grey levels a pixel may vary by and still be the same scene
_MOVING_BORDER = 0.08  # share of unsteady pixels at the sides and top from which the camera moves
_AGREEING = 0.5  # share of followed corners that must move alike to be the camera's move
_PAN = 0.05  # picture widths a second at which a moving camera is worth a word
_ZOOM = 0.05  # relative change of size a second

_USABLE = "  usable: "  # how a written report is known again
_MOVES = "; the view follows the dancer"
_LOW_COVERAGE = 0.03
_HIGH_COVERAGE = 0.5
_STEADY_IOU = 0.8
_CLIPPED_SHARE = 0.05


class EvenSampler(Generic[T]):
    """Keeps evenly spaced items of a stream whose length is not known before.

    Never holds more than twice `least`; a long enough stream leaves at least `least`.
    """

    def __init__(self, least: int) -> None:
        self._least = least
        self._stride = 1
        self._count = 0
        self.items: list[T] = []

    @property
    def wants_next(self) -> bool:
        """Tells whether the next item offered would be kept, to save making it."""
        return self._count % self._stride == 0

    def offer(self, item: T) -> None:
        if self.wants_next:
            if len(self.items) == 2 * self._least:
                self.items = self.items[::2]
                self._stride *= 2
            if self._count % self._stride == 0:
                self.items.append(item)
        self._count += 1


@dataclass
class Shot:
    """A run of pictures between two cuts."""

    first: int  # 0-based picture, inclusive
    last: int  # exclusive
    samples: np.ndarray  # (N, H, W, 3) uint8 RGB, spaced by how much moved between them
    sampled: np.ndarray  # (N,) which pictures they are, counted from `first`
    is_static: bool  # the scene behind the dancer stays where it is
    pan: float | None  # picture widths a second, median; None if there is nothing to follow
    zoom: float | None  # relative change of size a second, median

    @property
    def num_frames(self) -> int:
        return self.last - self.first


def survey(pictures: Iterable[np.ndarray], fps: float) -> Iterator[Shot]:
    """Reads a film once, finds its cuts, and yields each shot when it ends.

    A cut is a picture that differs from the one before by much more than the pictures
    around it do. Dissolves and fades are not found.

    Args:
        pictures: (H, W, 3) uint8 RGB.
        fps: frames per second.
    """
    waiting: deque[tuple[np.ndarray, float, float]] = deque()
    past: deque[float] = deque(maxlen=_AROUND)
    observer: _Observer | None = None
    index = 0
    previous: tuple[np.ndarray, np.ndarray] | None = None

    def decide() -> Iterator[Shot]:
        # Decides about the oldest picture in `waiting`, now that later ones are known.
        nonlocal observer, index
        picture, change, palette = waiting.popleft()
        around = [*past, *(entry[1] for entry in list(waiting)[:_AROUND])]
        if observer is not None and _is_cut(change, palette, around):
            yield observer.finish(index)
            observer = None
            past.clear()
        elif index:
            past.append(change)
        if observer is None:
            observer = _Observer(index, fps)
        observer.see(picture)
        index += 1

    for picture in pictures:
        small = cv2.resize(picture, _SMALL, interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        counts = cv2.calcHist([small], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3)
        palette = np.asarray(counts, np.float32).ravel() / (_SMALL[0] * _SMALL[1])
        if previous is None:
            waiting.append((picture, 0.0, 0.0))
        else:
            waiting.append(
                (
                    picture,
                    float(np.abs(grey - previous[0]).mean()),
                    float(1 - np.minimum(palette, previous[1]).sum()),
                )
            )
        previous = grey, palette
        if len(waiting) > _AROUND:
            yield from decide()
    while waiting:
        yield from decide()
    if observer is not None:
        yield observer.finish(index)


def _is_cut(change: float, palette: float, around: Sequence[float]) -> bool:
    if change < _CUT_CHANGE or not around:
        return False
    largest = max(around)
    return change > _CUT_FACTOR * largest or (
        palette > _CUT_PALETTE and change > _CUT_PALETTE_FACTOR * largest
    )


class _Observer:
    """Gathers what is to be known about one shot, picture by picture."""

    def __init__(self, first: int, fps: float) -> None:
        self._first = first
        self._fps = fps
        self._samples: EvenSampler[tuple[int, np.ndarray]] = EvenSampler(NUM_SAMPLES)
        self._count = 0
        self._sampled: np.ndarray | None = None
        self._grey: np.ndarray | None = None
        self._moves: list[tuple[float, float]] = []

    def see(self, picture: np.ndarray) -> None:
        height, width = picture.shape[:2]
        scale = 240 / max(height, width)
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        blurred = cv2.GaussianBlur(grey, (0, 0), 1.5).astype(np.int16)
        if (
            self._sampled is None
            or (np.abs(blurred - self._sampled) > _STILL_LEVELS).mean() > _SAMPLE_CHANGE
        ):
            # Counting by change instead of time, a dancer who stands still for a minute
            # is sampled once and does not become part of the background.
            self._sampled = blurred
            if self._samples.wants_next:
                scale = SAMPLE_SIDE / max(height, width)
                if scale < 1:
                    picture = cv2.resize(
                        picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
                    )
            self._samples.offer((self._count, picture))
        self._count += 1
        if self._grey is not None:
            move = _camera_move(self._grey, grey)
            if move is not None:
                self._moves.append(move)
        self._grey = grey

    def finish(self, last: int) -> Shot:
        numbers, samples = (np.stack(values) for values in zip(*self._samples.items))
        is_static = _border_motion(samples) < _MOVING_BORDER
        pan = zoom = None
        if is_static:
            pan = zoom = 0.0
        elif len(self._moves) > 0.3 * (last - self._first - 1):
            pan, zoom = (float(value) for value in np.median(self._moves, axis=0) * self._fps)
        return Shot(self._first, last, samples, numbers, is_static=is_static, pan=pan, zoom=zoom)


def _border_motion(samples: np.ndarray) -> float:
    """Returns the share of pixels near the sides and the top that do not stay what they are."""
    small = [cv2.resize(sample, (160, 100), interpolation=cv2.INTER_AREA) for sample in samples]
    grey = np.stack(
        [cv2.GaussianBlur(cv2.cvtColor(s, cv2.COLOR_RGB2GRAY), (0, 0), 1.0) for s in small]
    ).astype(np.int16)
    deviation = np.abs(grey - np.median(grey, axis=0).astype(np.int16))
    unsteady = np.percentile(deviation, 75, axis=0) > _STILL_LEVELS
    border = np.ones(unsteady.shape, bool)
    border[8:, 13:-13] = False
    return float(unsteady[border].mean())


def _camera_move(before: np.ndarray, after: np.ndarray) -> tuple[float, float] | None:
    """Follows corners from one grey picture to the next.

    Returns:
        How far the picture's centre moved in picture widths, and the absolute logarithm of
        the change of size; None if there is too little to follow.
    """
    corners = cv2.goodFeaturesToTrack(before, 100, 0.01, 7)
    if corners is None or len(corners) < 8:
        return None
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        corners,
        np.empty_like(corners),
        winSize=(15, 15),
        maxLevel=3,
    )
    good = np.asarray(found).ravel() == 1
    if good.sum() < 8:
        return None
    matrix, agreeing = cv2.estimateAffinePartial2D(
        np.asarray(corners)[good], np.asarray(moved)[good], ransacReprojThreshold=1.0
    )
    if matrix is None or np.mean(agreeing) < _AGREEING:
        return None  # every corner goes its own way: they are on the dancer
    centre = np.array([before.shape[1] / 2, before.shape[0] / 2])
    pan = np.linalg.norm(matrix[:, :2] @ centre + matrix[:, 2] - centre) / max(before.shape)
    return float(pan), float(abs(np.log(max(np.hypot(*matrix[:, 0]), 1e-6))))


@dataclass
class ClipReport:
    """Measures of one clip of silhouettes."""

    clip: Clip
    coverage: float  # mean share of the frame that is dancer
    steadiness: float  # mean IoU of neighbouring frames
    clipped: float  # share of frames in which the dancer touches the picture's border
    is_static: bool
    pan: float | None  # picture widths a second; None if it could not be measured
    zoom: float | None  # relative change of size a second
    is_followed: bool = False  # the view moves along with the dancer
    thumbnails: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    # pairs of (120, 208, 3) uint8 RGB source and (120, 208) uint8 silhouette

    @property
    def seconds(self) -> float:
        return self.clip.num_frames / self.clip.fps


@dataclass
class FootageReport:
    """Measures of one source, and what was left out of it."""

    source: str
    seconds_read: float
    clips: list[ClipReport]
    num_cuts: int
    reasons: list[str] = field(default_factory=list)  # why each method was chosen
    notes: list[str] = field(default_factory=list)  # what was lost or left out, and why
    facts: list[str] = field(default_factory=list)  # what the footage is taken for

    @property
    def seconds_usable(self) -> float:
        return sum(clip.seconds for clip in self.clips)


def advise(report: FootageReport) -> list[str]:
    """Turns measures into sentences a dancer can act on; empty if nothing is amiss."""
    if not report.clips:
        return ["No clip could be used; film one dancer, whole body, facing a calm background."]
    weights = np.array([clip.seconds for clip in report.clips])

    def mean(name: str) -> float:
        values = [getattr(clip, name) or 0.0 for clip in report.clips]
        return float(np.average(values, weights=weights))

    advice = []
    if report.seconds_usable < 0.8 * report.seconds_read:
        advice.append(
            f"Only {report.seconds_usable:.0f} of {report.seconds_read:.0f} seconds are usable; "
            "stay in the picture, and stop the camera when you leave it."
        )
    if mean("clipped") > _CLIPPED_SHARE:
        advice.append(
            f"In {mean('clipped'):.0%} of the frames you touch the edge of the picture and limbs "
            "are cut off; step back, or put the camera further away."
        )
    coverage = mean("coverage")
    if coverage < _LOW_COVERAGE:
        advice.append(
            f"You fill only {coverage:.1%} of the frame, so hands and feet are a pixel or two; "
            "come closer, or travel less across the floor."
        )
    if coverage > _HIGH_COVERAGE:
        advice.append(
            f"{coverage:.0%} of the frame is black, which is more than a body; "
            f"try {option('method', 'person')}, or another background."
        )
    if mean("steadiness") < _STEADY_IOU:
        advice.append(
            f"Neighbouring silhouettes share {mean('steadiness'):.0%} of their area: fast dance, a "
            "low frame rate, or a flickering outline. Look at the pictures; if the outline "
            "flickers, more light and clothes that differ from the wall help."
        )
    if mean("pan") > _PAN or mean("zoom") > _ZOOM:
        advice.append(
            "The camera moves or zooms, so the dancer's size and place in the frame are partly "
            "the camera's dance; put it on a table or a tripod."
        )
    if report.num_cuts:
        advice.append(
            f"The film is cut {report.num_cuts} time{'s' if report.num_cuts > 1 else ''}; each "
            "piece became a clip of its own. Long takes teach more than short ones."
        )
    return advice


def report_text(reports: Sequence[FootageReport]) -> str:
    """Writes the reports as plain text."""
    lines: list[str] = []
    for report in reports:
        lines += [
            quoted(report.source),
            f"{_USABLE}{report.seconds_usable:.1f} of {report.seconds_read:.1f} seconds "
            f"in {len(report.clips)} clip{'' if len(report.clips) == 1 else 's'}, "
            f"{report.num_cuts} cut{'' if report.num_cuts == 1 else 's'} found",
        ]
        lines += [f"  footage: {fact}" for fact in report.facts]
        lines += [f"  method: {reason}" for reason in report.reasons]
        for entry in report.clips:
            clip = entry.clip
            if entry.is_static:
                camera = "still"
            elif entry.pan is None or entry.zoom is None:
                camera = "not measured (nothing behind the dancer to go by)"
            else:
                camera = (
                    f"moves {entry.pan:.2f} picture widths and changes size by "
                    f"{entry.zoom:.0%} a second"
                )
            lines.append(
                f"  {clip.first}.jpg to {clip.last}.jpg: {entry.seconds:.1f} s at {clip.fps:g} "
                f"frames/s by {clip.method}; dancer {entry.coverage:.1%} of the frame; "
                f"neighbouring frames share {entry.steadiness:.0%} (IoU); at the picture's edge "
                f"in {entry.clipped:.0%} of the frames; camera {camera}{_MOVES * entry.is_followed}"
            )
        lines += [f"  note: {note}" for note in report.notes]
        lines += [f"  advice: {sentence}" for sentence in advise(report)] or [
            "  advice: nothing to mend; more of the same."
        ]
        lines.append("")
    return "\n".join(lines)


def contact_sheet(reports: Sequence[FootageReport], max_rows: int = 40) -> np.ndarray:
    """Draws sampled frames of every clip, each above its silhouette.

    Returns:
        (H, W, 3) uint8 RGB: one band of two rows for each clip, at most `max_rows` bands.
    """
    bands = []
    columns = 8
    clips = [clip for report in reports for clip in report.clips][:max_rows]
    for entry in clips:
        tops, bottoms = [], []
        chosen = np.linspace(0, len(entry.thumbnails) - 1, min(columns, len(entry.thumbnails)))
        for index in chosen.round().astype(int):
            picture, silhouette = entry.thumbnails[index]
            outlined = picture.copy()
            outlines, _ = cv2.findContours(
                (silhouette == 0).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
            )
            cv2.drawContours(outlined, outlines, -1, (255, 40, 200), 1)
            tops.append(outlined)
            bottoms.append(np.repeat(silhouette[..., None], 3, axis=2))
        blank = np.full((120, 208, 3), 128, np.uint8)
        tops += [blank] * (columns - len(tops))
        bottoms += [blank] * (columns - len(bottoms))
        title = np.full((18, columns * 208, 3), 30, np.uint8)
        clip = entry.clip
        text = f"{Path(clip.source).name}  {clip.first}-{clip.last}.jpg  {clip.method}  "
        text += f"{entry.seconds:.1f} s"
        printable = text.encode("ascii", "replace").decode()
        cv2.putText(
            title,
            printable,
            (6, 13),
            fontFace=cv2.FONT_HERSHEY_SIMPLEX,
            fontScale=0.42,
            color=(255,) * 3,
            thickness=1,
            lineType=cv2.LINE_AA,
        )
        bands.append(np.concatenate([title, np.hstack(tops), np.hstack(bottoms)]))
    if not bands:
        return np.full((18, columns * 208, 3), 30, np.uint8)
    return np.concatenate(bands)


def report_paths(path: str | Path) -> tuple[Path, Path]:
    """Returns the paths of a report's text and picture; `path` may be either, or neither."""
    path = Path(path)
    stem = path.with_suffix("") if path.suffix.lower() in (".png", ".txt") else path
    return stem.with_name(stem.name + ".txt"), stem.with_name(stem.name + ".png")


def check_report(path: str | Path, overwrite: bool) -> None:
    """Raises UserError if writing a report would replace files that are not one."""
    text_path, sheet_path = report_paths(path)
    files.check_parent(text_path)

    def is_report(existing: Path) -> bool:
        return _USABLE in existing.read_text(encoding="utf-8", errors="replace")

    files.check_overwrite(text_path, overwrite, is_report)
    files.check_overwrite(sheet_path, overwrite, lambda _: text_path.is_file())


def write_report(reports: Sequence[FootageReport], path: str | Path) -> tuple[Path, Path]:
    """Writes PATH.txt and PATH.png.

    Returns:
        The two paths.
    """
    text_path, sheet_path = report_paths(path)
    files.write_text(text_path, report_text(reports))
    done, data = cv2.imencode(".png", contact_sheet(reports)[..., ::-1])
    if not done:
        raise RuntimeError("OpenCV could not encode the contact sheet as PNG.")
    with files.atomic_path(sheet_path) as temporary:
        temporary.write_bytes(data.tobytes())
    return text_path, sheet_path

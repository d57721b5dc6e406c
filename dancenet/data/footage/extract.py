"""From footage to clips of silhouettes: one pass to learn, one to find, one to draw.

The three passes read the footage side by side, shot by shot, so memory does not grow with
its length: a shot is drawn as soon as the first pass has seen its end.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dancenet.data.footage.choose import Chooser, Settings
from dancenet.data.footage.crop import View
from dancenet.data.footage.draw import MIN_SECONDS, Drawn, LeftOut, draw, mark_jumps, runs
from dancenet.data.footage.finders import Found, Method, find
from dancenet.data.footage.methods import ThresholdMethod, overlap
from dancenet.data.footage.person import PersonMethod, Tracker
from dancenet.data.footage.survey import ClipReport, EvenSampler, FootageReport, Shot, survey
from dancenet.data.footage.video import Footage
from dancenet.data.frames.clips import Clip
from dancenet.data.frames.origin import SourceWriter
from dancenet.data.frames.picture import DANCER
from dancenet.data.frames.writer import FrameWriter
from dancenet.support import files, terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import option

_UNREDUCED = 1280  # longer side up to which the networks look at pictures as they are
_LYING = 0.8  # share of the pictures in which a dancer lies whose film may be turned
_FRAME_BYTES = 2000  # of a written frame: about half of it, because some show no dancer


def extract(
    footage: Footage,
    writer: FrameWriter | SourceWriter,
    settings: Settings,
    load_tracker: Callable[[], Tracker],
    progress: Callable[[int], None] = lambda num_frames: None,
) -> FootageReport:
    """Turns footage into clips of silhouettes.

    Args:
        footage: what to read; it is read three times.
        writer: where the clips go. Each is finished before the next begins.
        settings: how.
        load_tracker: returns what follows a body; called when it is first needed.
        progress: called with the number of frames drawn since the last call.

    Returns:
        Measures of what was written.

    Raises:
        UserError: no picture could be decoded, nobody was found in any of them, or a
            method cannot be used.
    """
    report = FootageReport(footage.name, 0.0, [], 0, facts=list(footage.facts))
    chooser = Chooser(settings, load_tracker)
    _check_space(footage, writer.path)
    footage = _as_asked(footage, settings, report)
    locator, to_draw = _Locator(footage, chooser), _Reader(footage)
    num_frames = 0
    left_out = LeftOut()
    try:
        for shot in _shots(footage, report):
            method, found = locator.locate(shot, num_frames, report)
            pictures = to_draw.take(num_frames, shot.num_frames, _side(footage, method))
            num_frames += shot.num_frames
            if found.is_empty:
                left_out.num_empty += sum(1 for _ in pictures)
                progress(shot.num_frames)
                continue
            drawn = draw(pictures, found, method, settings.fit, footage.fps)
            for run in runs(mark_jumps(drawn), footage.fps, progress, left_out):
                report.clips.append(
                    _write(run, shot, method, settings, footage=footage, writer=writer)
                )
    finally:
        locator.close()
        to_draw.close()
    report.seconds_read = num_frames / footage.fps
    report.num_cuts += left_out.num_jumps
    report.notes += _notes(footage, num_frames, left_out, report.clips, settings=settings)
    report.notes += locator.notes()
    if not num_frames:
        raise UserError(f"{quoted(footage.name)} has no picture that can be decoded.")
    if not report.clips:
        raise UserError(_explain_no_dancer(footage, num_frames, settings, left_out.num_short))
    return report


class _Reader:
    """Reads footage once from front to end, at the sizes that are asked for."""

    def __init__(self, footage: Footage) -> None:
        self._footage = footage
        self._frames: dict[int | None, Iterator[np.ndarray]] = {}
        self._next: dict[int | None, int] = {}

    def take(self, first: int, count: int, side: int | None) -> Iterator[np.ndarray]:
        """Yields `count` pictures from the one numbered `first`, of the given longer side."""
        frames = self._frames.setdefault(side, self._footage.frames(side))
        skipped = first - self._next.get(side, 0)
        self._next[side] = first + count
        return itertools.islice(frames, skipped, skipped + count)

    def close(self) -> None:
        for frames in self._frames.values():
            frames.close()  # type: ignore[attr-defined]


class _Locator:
    """Chooses the method for each shot and finds the dancer by it."""

    def __init__(self, footage: Footage, chooser: Chooser) -> None:
        self._footage = footage
        self._chooser = chooser
        self._frames = _Reader(footage)
        self._again = _Reader(footage)  # for a second method; most footage needs none
        self._num_seen = self._num_lying = 0

    def locate(self, shot: Shot, first: int, report: FootageReport) -> tuple[Method, Found]:
        """Returns the method and what it found; the report tells why it was chosen.

        Args:
            shot: what was learnt of it.
            first: its first picture's number in the footage.
            report: takes each reason once.
        """
        method, reason = self._chooser.choose(shot, self._footage.shows_matte)
        self._tell(reason, report)
        found = self._find(shot, first, method, self._frames)
        other = self._chooser.instead(shot, method, found.share)
        if other is not None:
            background, reason = other
            others = self._find(shot, first, background, self._again)
            if others.share > 2 * found.share:
                self._tell(reason, report)
                return background, others
        if found.people is not None:
            self._num_seen += round(found.share * len(found.boxes))
            self._num_lying += found.people.num_lying()
        return method, found

    def notes(self) -> list[str]:
        """Says what is unusual about the dancer."""
        if self._num_lying < _LYING * max(self._num_seen, 1):
            return []
        return [
            f"The dancer lies in {self._num_lying / self._num_seen:.0%} of the pictures; if the "
            "film is turned on its side, turn it upright with another program, and extract it "
            "again."
        ]

    def close(self) -> None:
        self._frames.close()
        self._again.close()

    def _find(self, shot: Shot, first: int, method: Method, frames: _Reader) -> Found:
        side = _side(self._footage, method)
        return find(frames.take(first, shot.num_frames, side), method, self._footage.fps)

    def _tell(self, reason: str, report: FootageReport) -> None:
        if reason not in report.reasons:
            report.reasons.append(reason)
            terminal.say(f"{quoted(self._footage.name)}: {reason}")


def _side(footage: Footage, method: Method) -> int | None:
    """Returns the longer side of the pictures that a method reads; None for the usual one."""
    longer = max(footage.width, footage.height)
    # Networks look at a part of the picture, and not to resize it saves more than it costs.
    return longer if isinstance(method, PersonMethod) and longer <= _UNREDUCED else None


def _as_asked(footage: Footage, settings: Settings, report: FootageReport) -> Footage:
    """Returns the footage as its transparency shows it, where that is the silhouette."""
    if not footage.has_matte:
        return footage
    if settings.method != "auto":
        report.facts.append(
            "Its transparency shows the dancer, and is taken in place of "
            f"{option('method', settings.method)}."
        )
    return footage.as_matte()


def _shots(footage: Footage, report: FootageReport) -> Iterator[Shot]:
    """Yields the shots of all stretches, and counts the cuts between them."""
    for stretch in footage.stretches():
        for index, shot in enumerate(survey(stretch, footage.fps)):
            report.num_cuts += index > 0
            yield shot


def _check_space(footage: Footage, folder: Path) -> None:
    files.check_space(
        folder,
        (footage.expected_seconds or 0.0) * footage.fps * _FRAME_BYTES,
        f"the frames of {quoted(footage.name)}",
        f"free some, or choose another {option('out')}",
    )


@dataclass
class _Tally:
    """Measures a clip while it is written."""

    coverage: list[float] = field(default_factory=list)
    overlaps: list[float] = field(default_factory=list)
    num_clipped: int = 0
    views: set[View] = field(default_factory=set)  # two of them at most
    thumbnails: EvenSampler[tuple[np.ndarray, np.ndarray]] = field(
        default_factory=lambda: EvenSampler(8)
    )

    def count(self, run: Iterator[Drawn]) -> Iterator[np.ndarray]:
        """Passes on the silhouettes of a run, each of which shows a dancer."""
        previous: np.ndarray | None = None
        for frame in run:
            silhouette = frame.silhouette
            assert silhouette is not None
            mask = silhouette == DANCER
            self.coverage.append(float(mask.mean()))
            self.num_clipped += frame.clipped
            if len(self.views) < 2:
                self.views.add(frame.view)
            if previous is not None:
                self.overlaps.append(overlap(previous, mask))
            previous = mask
            picture = silhouette
            if self.thumbnails.wants_next:
                size = silhouette.shape[::-1]
                picture = cv2.resize(frame.picture, size, interpolation=cv2.INTER_AREA)
            self.thumbnails.offer((picture, silhouette))
            yield silhouette

    def report(self, clip: Clip, shot: Shot) -> ClipReport:
        """Returns the measures of the finished clip."""
        return ClipReport(
            clip=clip,
            coverage=float(np.mean(self.coverage)),
            steadiness=float(np.mean(self.overlaps)) if self.overlaps else 1.0,
            clipped=self.num_clipped / clip.num_frames,
            is_static=shot.is_static,
            pan=shot.pan,
            zoom=shot.zoom,
            is_followed=len(self.views) > 1,
            thumbnails=self.thumbnails.items,
        )


def _write(
    run: Iterator[Drawn],
    shot: Shot,
    method: Method,
    settings: Settings,
    *,
    footage: Footage,
    writer: FrameWriter | SourceWriter,
) -> ClipReport:
    """Writes one run as a clip and measures it."""
    tally = _Tally()
    clip = writer.add_clip(
        tally.count(run),
        source=footage.name,
        fps=footage.fps,
        method=method.name,
        split=settings.split,
        details=_details(method, settings, footage),
    )
    return tally.report(clip, shot)


def _details(method: Method, settings: Settings, footage: Footage) -> dict[str, Any]:
    details: dict[str, Any] = {"fit": settings.fit, "source_fps": round(footage.source_fps, 3)}
    if isinstance(method, ThresholdMethod):
        details |= {"level": round(method.level, 1), "dark": method.dark}
    return details


def _notes(
    footage: Footage,
    num_frames: int,
    left_out: LeftOut,
    clips: list[ClipReport],
    settings: Settings,
) -> list[str]:
    """Says what was lost or left out."""
    notes = []
    if any(clip.is_followed for clip in clips) and settings.fit == "crop":
        notes.append(
            "The view follows the dancer, whom a steady one would show small; to keep the way "
            f"across the floor, extract the film with {option('fit', 'steady')}."
        )
    loss = footage.loss(num_frames)
    if loss:
        notes.append(loss)
    if left_out.num_empty:
        notes.append(
            f"{left_out.num_empty / footage.fps:.1f} seconds in which no dancer was found are "
            "left out."
        )
    if left_out.num_short:
        notes.append(
            f"{left_out.num_short / footage.fps:.1f} seconds in pieces shorter than "
            f"{MIN_SECONDS:g} s are left out."
        )
    return notes


def _explain_no_dancer(
    footage: Footage, num_frames: int, settings: Settings, num_short: int
) -> str:
    if num_frames / footage.fps < MIN_SECONDS:
        return (
            f"{quoted(footage.name)} is {num_frames} frame{'s' if num_frames > 1 else ''} long; "
            f"a clip needs at least {MIN_SECONDS:g} seconds."
        )
    if num_short:
        return (
            f"No dancer was found in {quoted(footage.name)} for longer than {MIN_SECONDS:g} "
            f"seconds at a time; film one whole person, or try another {option('method')}."
        )
    hint = {
        "threshold": f"choose a {option('level')} between dancer and wall, or try "
        f"{option('method', 'person')}",
        "background": "the dancer must move before a camera that stands still; "
        f"or try {option('method', 'person')}",
    }.get(settings.method, "film one whole person who fills a fair part of the picture")
    return f"No dancer was found in {quoted(footage.name)}; {hint}."

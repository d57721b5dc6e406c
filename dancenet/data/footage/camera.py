"""Records a camera to a film."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dancenet.data.footage.film.ffmpeg import av
from dancenet.data.footage.pictures import check_rate
from dancenet.support import signals, terminal
from dancenet.support.errors import UserError

_MOST_DIGITS = 3  # of a camera's number


def camera_index(source: str) -> int | None:
    """Returns the camera that `source` names by its number, or None if it names a file."""
    is_number = source.isascii() and source.isdigit() and len(source) <= _MOST_DIGITS
    return int(source) if is_number and not Path(source).exists() else None


def record_camera(
    index: int,
    seconds: float,
    path: Path,
    fps: float = 30.0,
    capture: Any = None,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Records a camera to a film of constant rate, since extraction reads footage twice.

    Cameras deliver pictures when they can; each is repeated or left out so that the film
    runs at the speed of the clock. Ctrl-C ends the recording and keeps what it has.

    Args:
        index: the camera, 0 for the first.
        seconds: how long to record.
        path: the film to write, `.mkv`, so that an unfinished one is readable.
        fps: frames per second of the film.
        capture: an opened `cv2.VideoCapture` or its double; None opens camera `index`.
        clock: seconds that only go up.

    Returns:
        The number of pictures written.

    Raises:
        UserError: the camera cannot be opened or stops delivering pictures, or nothing can dance
            at this rate.
    """
    check_rate(fps)
    with _opened(index, capture) as (capture, picture):
        with _recorder(path, picture, fps) as write:
            return _follow_clock(capture, picture, write, seconds=seconds, fps=fps, clock=clock)


def watch_camera(
    index: int,
    seconds: float,
    capture: Any = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[float, np.ndarray]]:
    """Yields what a camera sees, as it comes; Ctrl-C ends it and keeps what there is.

    Args:
        index, capture, clock: see `record_camera`.
        seconds: how long to watch.

    Yields:
        Seconds since the first picture, and (H, W, 3) uint8 RGB.

    Raises:
        UserError: the camera cannot be opened.
    """
    with _opened(index, capture) as (capture, picture), terminal.finish_on_interrupt() as stopped:
        begin = clock()
        passed = 0.0
        try:
            while passed < seconds and not stopped.is_set():
                yield passed, np.ascontiguousarray(picture[..., ::-1])
                going, picture = capture.read()
                if not going:
                    terminal.warn(f"The camera stopped after {passed:.1f} seconds.")
                    break
                passed = max(clock() - begin, passed + 1e-4)
        except KeyboardInterrupt:
            stopped.set()
        if stopped.is_set():
            terminal.say(f"The camera was stopped after {passed:.1f} seconds.")
            signals.fulfil_interrupt()


@contextmanager
def _opened(index: int, capture: Any) -> Iterator[tuple[Any, np.ndarray]]:
    """Yields a camera and its first picture, BGR."""
    if capture is None:
        capture = cv2.VideoCapture(index)
    try:
        opened, picture = capture.read() if capture.isOpened() else (False, None)
        if not opened or picture is None:
            raise UserError(
                f"Camera {index} cannot be opened; see that it is plugged in, that no other "
                "program uses it, and that this terminal may use cameras."
            )
        yield capture, picture
    finally:
        capture.release()


def _follow_clock(
    capture: Any,
    picture: np.ndarray,
    write: Callable[[np.ndarray], None],
    *,
    seconds: float,
    fps: float,
    clock: Callable[[], float],
) -> int:
    """Writes the latest picture whenever one is due; returns how many were written."""
    written, begin, total = 0, clock(), math.ceil(seconds * fps)
    with (
        terminal.finish_on_interrupt() as stopped,
        terminal.progress(total=round(seconds * fps), description="Recording") as bar,
    ):
        try:
            while written < seconds * fps and not stopped.is_set():
                due = min(math.floor((clock() - begin) * fps) + 1, total)
                for _ in range(due - written):
                    write(picture)
                bar.update(due - written)
                written = max(written, due)
                going, latest = capture.read()
                if not going:
                    terminal.warn(f"The camera stopped after {written / fps:.1f} seconds.")
                    break
                picture = latest
        except KeyboardInterrupt:
            stopped.set()
    if stopped.is_set():
        terminal.say(f"Recording stopped after {written / fps:.1f} seconds.")
        signals.fulfil_interrupt()
    return written


@contextmanager
def _recorder(
    path: Path, picture: np.ndarray, fps: float
) -> Iterator[Callable[[np.ndarray], None]]:
    """Yields a function that adds a BGR picture to the film."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream(
            "libx264",
            rate=Fraction(fps).limit_denominator(1001),
            options={"preset": "ultrafast", "crf": "12"},
        )
        stream.pix_fmt = "yuv444p"
        stream.height, stream.width = picture.shape[:2]

        def write(picture: np.ndarray) -> None:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))

        yield write
        film.mux(stream.encode())

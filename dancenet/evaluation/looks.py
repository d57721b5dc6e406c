"""What there is to see: curves over time, contact sheets, and the best and worst moments."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from dancenet.evaluation.dances import Drawn
from dancenet.evaluation.real import RealDances
from dancenet.metrics import moments, motion
from dancenet.metrics import report as reports
from dancenet.metrics.measures import Standard
from dancenet.metrics.report import AR1, COPY, MODEL, RECIPE_2018
from dancenet.output.contact_sheet import contact_sheet
from dancenet.output.video_writer import VideoWriter
from dancenet.support import terminal

_SHEET_SECONDS = 60.0  # that the overview shows
_SHEET_COLUMNS = 10
_THUMBNAIL = (104, 60)  # width and height
_FILM_SECONDS = 3.0  # around a moment


def over_time(
    shown: dict[str, list[Drawn]], data: RealDances, standards: Sequence[Standard]
) -> dict[str, dict[str, list[list[float]]]]:
    """Returns energy, softness and distance in bins of ten seconds, by column and seed."""
    fps, rate = data.yardstick.fps, data.yardstick.picture_fps
    names = ("energy over real", "soft pixels", "Mahalanobis distance")
    found: dict[str, dict[str, list[list[float]]]] = {name: {} for name in names}
    for column in (MODEL, AR1, RECIPE_2018):
        for made, standard in zip(shown.get(column, []), standards):
            runs = np.stack([dance[0] for dance in made.material.dances])
            energy = np.stack([np.square(motion.speeds(run)) for run in runs])
            energy = np.pad(energy, ((0, 0), (0, 1)), mode="edge") / (standard.energy or 1.0)
            away = np.stack([data.yardstick.gaussian.distance(run) for run in runs])
            scores = made.material.pictures[0]
            for name, line in zip(
                names,
                (
                    motion.bins(energy, fps),
                    motion.bins(scores.soft_share, rate, scores.figure),
                    motion.bins(away, fps),
                ),
            ):
                found[name].setdefault(column, []).append([float(value) for value in line])
    return found


def look(
    shown: dict[str, list[Drawn]], data: RealDances, seeds: Sequence[int]
) -> Iterator[reports.Picture]:
    """Draws the contact sheets and the short films of the page."""
    fps, step = data.yardstick.fps, data.step
    num_frames = len(np.concatenate(shown[MODEL][0].material.dances[0]))
    seconds = min(_SHEET_SECONDS, num_frames / fps)
    rows = np.linspace(0, seconds * fps, _SHEET_COLUMNS, endpoint=False).astype(int)
    thumbnails: list[np.ndarray] = []
    captions: list[str] = []
    lines = [(f"seed {seed}", made) for seed, made in zip(seeds, shown[MODEL])]
    lines += [
        (reports.COLUMNS[column], shown[column][0])
        for column in (COPY, AR1, RECIPE_2018)
        if column in shown
    ]
    scores = [
        moments.frame_scores(
            np.concatenate(made.material.dances[0]),
            made.material.pictures[0],
            step,
            data.yardstick,
        )
        for made in shown[MODEL]
    ]
    chosen = moments.choose(scores, data.yardstick.picture_fps)
    with terminal.progress(
        total=len(lines) + len(chosen), description="Contact sheets", unit="sheet"
    ) as bar:
        for name, made in lines:
            pictures = np.concatenate([made.draw(range(row, row + 1)) for row in rows])
            thumbnails += [_thumbnail(picture) for picture in pictures]
            captions += [f"{name}, {row / fps:.0f} s" for row in rows]
            bar.update(1)
        yield reports.Picture(
            "Dances",
            f"The first {seconds:.0f} seconds of the first dance of each seed, as the "
            "decoder gives them, before they are drawn sharper; below, references.",
            _png(contact_sheet(thumbnails, _SHEET_COLUMNS, captions)),
        )
        for moment in chosen:
            begin = moment.first * step
            made = shown[MODEL][moment.dance]
            second = range(begin, min(begin + round(fps), num_frames))
            margin = round((_FILM_SECONDS - 1) / 2 * fps)
            around = range(max(0, begin - margin), min(num_frames, second.stop + margin))
            yield reports.Picture(
                moment.title[0].upper() + moment.title[1:],
                f"Seed {seeds[moment.dance]}, from {begin / fps:.1f} s, every frame; "
                f"the film begins {(begin - around.start) / fps:.1f} s before.",
                _png(contact_sheet([_thumbnail(p) for p in made.draw(second)], _SHEET_COLUMNS)),
                _mp4(made.draw(around), fps),
            )
            bar.update(1)


def _thumbnail(background: np.ndarray) -> np.ndarray:
    small = cv2.resize(background, _THUMBNAIL, interpolation=cv2.INTER_AREA)
    return (small * 255).round().astype(np.uint8)


def _png(picture: np.ndarray) -> str:
    done, content = cv2.imencode(".png", picture)
    if not done:
        raise RuntimeError("OpenCV could not encode a contact sheet as PNG.")
    return base64.b64encode(content.tobytes()).decode("ascii")


def _mp4(background: np.ndarray, fps: float) -> str:
    height, width = background.shape[1:]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "moment.mp4"
        with VideoWriter(path, fps=fps, size=(width, height)) as video:
            for frame in background:
                video.write((frame * 255).round().astype(np.uint8))
        return base64.b64encode(path.read_bytes()).decode("ascii")

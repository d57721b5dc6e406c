"""The pictures of the report: curves over time, contact sheets, best and worst moments."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from dancenet.evaluation.bodies import BodyMeasures
from dancenet.evaluation.dances import DrawnDances
from dancenet.evaluation.real import RealDances
from dancenet.evaluation.report.misfits import least_like_bodies
from dancenet.evaluation.report.page import Picture
from dancenet.metrics import moments, motion
from dancenet.metrics.definitions import AR1, COLUMNS, COPY, MODEL, RECIPE_2018
from dancenet.metrics.moments import Moment
from dancenet.metrics.reference import ReferenceStatistics
from dancenet.output.contact_sheet import contact_sheet
from dancenet.output.video_writer import VideoWriter
from dancenet.support import terminal
from dancenet.support.temporary import temporary_folder

_SHEET_SECONDS = 60.0  # length of the overview
_SHEET_COLUMNS = 10
_THUMBNAIL = (104, 60)  # width and height
_FILM_SECONDS = 3.0  # length of the film around a moment

Drawn = Mapping[str, Sequence[DrawnDances]]  # by column, the dances of each seed


def over_time(
    drawn: Drawn, data: RealDances, references: Sequence[ReferenceStatistics]
) -> dict[str, dict[str, list[list[float]]]]:
    """Computes curves of energy, softness and distance, by title, column and seed."""
    fps, picture_fps = data.statistics.fps, data.statistics.picture_fps
    found: dict[str, dict[str, list[list[float]]]] = {}
    for column in (MODEL, AR1, RECIPE_2018):
        for made, reference in zip(drawn.get(column, []), references):
            runs = np.stack([dance[0] for dance in made.sample.dances])
            energy = np.stack([np.square(motion.speeds(run)) for run in runs])
            energy = np.pad(energy, ((0, 0), (0, 1)), mode="edge") / (reference.energy or 1.0)
            away = np.stack([data.statistics.gaussian.distance(run) for run in runs])
            scores = made.sample.pictures[0]
            for title, line in (
                ("energy over real", motion.bins(energy, fps)),
                ("soft pixels", motion.bins(scores.soft_share, picture_fps, scores.figure)),
                ("Mahalanobis distance", motion.bins(away, fps)),
            ):
                lines = found.setdefault(title, {}).setdefault(column, [])
                lines.append([float(value) for value in line])
    return found


def draw_pictures(
    drawn: Drawn, data: RealDances, seeds: Sequence[int], bodies: BodyMeasures | None
) -> Iterator[Picture]:
    """Yields the overview, frames that are no body, and the model's best and worst moments."""
    dances = [(f"seed {seed}", made) for seed, made in zip(seeds, drawn[MODEL])]
    dances += [
        (COLUMNS[column], drawn[column][0])
        for column in (COPY, AR1, RECIPE_2018)
        if column in drawn
    ]
    scores = [
        moments.frame_scores(
            np.concatenate(made.sample.dances[0]),
            made.sample.pictures[0],
            data.step,
            data.statistics,
        )
        for made in drawn[MODEL]
    ]
    chosen = moments.choose(scores, data.statistics.picture_fps)
    with terminal.progress(
        total=1 + len(chosen), description="Contact sheets", unit="sheet"
    ) as bar:
        yield _overview(dances, data.statistics.fps)
        bar.update(1)
        least = None if bodies is None else least_like_bodies(bodies, drawn[MODEL], seeds)
        if least is not None:
            picture, sheet = least
            yield replace(picture, png=_png(sheet[..., ::-1]))
        for moment in chosen:
            yield _close_up(moment, drawn[MODEL][moment.dance], data, seeds[moment.dance])
            bar.update(1)


def _overview(dances: Sequence[tuple[str, DrawnDances]], fps: float) -> Picture:
    seconds = min(_SHEET_SECONDS, _num_frames(dances[0][1]) / fps)
    rows = np.linspace(0, seconds * fps, _SHEET_COLUMNS, endpoint=False).astype(int)
    thumbnails: list[np.ndarray] = []
    captions: list[str] = []
    for name, made in dances:
        pictures = np.concatenate([made.draw(range(row, row + 1)) for row in rows])
        thumbnails += [_thumbnail(picture) for picture in pictures]
        captions += [f"{name}, {row / fps:.0f} s" for row in rows]
    return Picture(
        title="Dances",
        caption=f"The first {seconds:.0f} seconds of each seed's first dance, and of the "
        "references. These are the decoder's pictures, before their edges are sharpened.",
        png=_png(contact_sheet(thumbnails, _SHEET_COLUMNS, captions)),
    )


def _close_up(moment: Moment, made: DrawnDances, data: RealDances, seed: int) -> Picture:
    fps, num_frames = data.statistics.fps, _num_frames(made)
    begin = moment.first * data.step
    second = range(begin, min(begin + round(fps), num_frames))
    margin = round((_FILM_SECONDS - 1) / 2 * fps)
    around = range(max(0, begin - margin), min(num_frames, second.stop + margin))
    return Picture(
        title=moment.title[0].upper() + moment.title[1:],
        caption=f"Seed {seed}, from {begin / fps:.1f} s, every frame. The film begins "
        f"{(begin - around.start) / fps:.1f} s earlier.",
        png=_png(contact_sheet([_thumbnail(p) for p in made.draw(second)], _SHEET_COLUMNS)),
        mp4=_mp4(made.draw(around), fps),
    )


def _num_frames(made: DrawnDances) -> int:
    return sum(map(len, made.sample.dances[0]))


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
    with temporary_folder() as folder:
        path = Path(folder) / "moment.mp4"
        with VideoWriter(path, fps=fps, size=(width, height)) as video:
            for frame in background:
                video.write((frame * 255).round().astype(np.uint8))
        return base64.b64encode(path.read_bytes()).decode("ascii")

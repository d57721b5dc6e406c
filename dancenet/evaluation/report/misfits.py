"""The frames of a model's dances that are least like a body, as a picture of the report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dancenet.evaluation.bodies import BodyMeasures
from dancenet.evaluation.dances import DrawnDances
from dancenet.evaluation.report.page import Picture
from dancenet.metrics.bodies.body_fit import fit_bodies
from dancenet.metrics.bodies.redraw import body_outlines, redraw
from dancenet.metrics.figure import MASK
from dancenet.output.contact_sheet import contact_sheet

SHOWN = 20
COLUMNS = 10

_WIDTH = 104  # pixels of a thumbnail, around the figure
_BOTH, _FIGURE, _BODY = (0, 0, 0), (225, 60, 40), (70, 150, 240)  # RGB


def least_like_bodies(
    bodies: BodyMeasures, drawn: Sequence[DrawnDances], seeds: Sequence[int]
) -> tuple[Picture, np.ndarray] | None:
    """Draws the frames that fitted worst over the bodies that fit them best.

    Args:
        bodies: what was measured.
        drawn: the dance of each seed.
        seeds: their seeds.

    Returns:
        The picture without its PNG, and the sheet (H, W, 3) RGB; None if no frame was compared.
    """
    misfits = bodies.misfits
    if not misfits:
        return None
    worst = sorted(misfits)[:SHOWN]
    frames = [drawn[one.dance].draw(range(one.frame, one.frame + 1)) for one in worst]
    masks = np.concatenate(frames) < MASK
    fitted = redraw(body_outlines(fit_bodies(masks, bodies.sizes).bodies))
    captions = [
        f"{one.iou:.2f}: {seeds[one.dance]}, {one.frame / bodies.fps:.1f} s" for one in worst
    ]
    sheet = contact_sheet(
        [_over(mask, body) for mask, body in zip(masks, fitted)], COLUMNS, captions
    )
    text = (
        f"The {len(worst)} frames, of {len(misfits)}, whose IoU with a fitted body is lowest. Red "
        "is the figure alone, blue the body alone. Below each: IoU, seed and time."
    )
    return Picture(title="Least like a body", caption=text, png=""), sheet


def _over(mask: np.ndarray, body: np.ndarray) -> np.ndarray:
    picture = np.full((*mask.shape, 3), 255, np.uint8)
    for where, colour in ((mask & body, _BOTH), (mask & ~body, _FIGURE), (body & ~mask, _BODY)):
        picture[where] = colour
    columns = np.flatnonzero(mask.any(axis=0))
    middle = int(columns.mean()) if len(columns) else mask.shape[1] // 2
    left = int(np.clip(middle - _WIDTH // 2, 0, mask.shape[1] - _WIDTH))
    return picture[:, left : left + _WIDTH]

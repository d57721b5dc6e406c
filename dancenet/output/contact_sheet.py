"""Contact sheets: many small pictures on one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from dancenet.support import files

_MARGIN = 4  # pixels between pictures
_CAPTION = 16  # pixels under a picture
_PAPER = 205  # grey level between the pictures, darker than background and lighter than dancer


def contact_sheet(
    pictures: Sequence[np.ndarray] | np.ndarray,
    columns: int,
    captions: Sequence[str] | None = None,
) -> np.ndarray:
    """Lays pictures out in rows.

    Args:
        pictures: N pictures of one size, (H, W) or (H, W, 3) uint8, N >= 1.
        columns: pictures in a row.
        captions: N short texts written under them; ASCII, because OpenCV draws no other letters.

    Returns:
        (H', W', 3) uint8.
    """
    height, width = pictures[0].shape[:2]
    cell = height + _MARGIN + (_CAPTION if captions else 0)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = np.full(
        (rows * cell + _MARGIN, columns * (width + _MARGIN) + _MARGIN, 3), _PAPER, np.uint8
    )
    for index, picture in enumerate(pictures):
        top = _MARGIN + index // columns * cell
        left = _MARGIN + index % columns * (width + _MARGIN)
        colour = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
        sheet[top : top + height, left : left + width] = colour
        if captions:
            cv2.putText(
                sheet,
                captions[index],
                (left, top + height + _CAPTION - 4),
                fontFace=cv2.FONT_HERSHEY_SIMPLEX,
                fontScale=0.38,
                color=(0, 0, 0),
                thickness=1,
                lineType=cv2.LINE_AA,
            )
    return sheet


def write_picture(path: str | Path, picture: np.ndarray) -> None:
    """Writes an (H, W) or (H, W, 3) RGB uint8 picture as PNG, atomically.

    Raises:
        UserError: the folder does not exist or cannot be written.
    """
    ordered = picture[..., ::-1] if picture.ndim == 3 else picture
    done, data = cv2.imencode(".png", ordered)
    if not done:
        raise RuntimeError(f"OpenCV could not encode {path} as PNG.")
    with files.atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())

"""Tells whether a transparency shows the dancer: the cut-out that background removers write."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

_LEAST_CLEAR = 0.02  # share of a picture that must be transparent
_LEAST_SOLID = 0.003  # share that must be opaque, as much as a dancer covers at least
_MOST_SOLID = 0.9
_WINDOW_SHARE = 0.5  # an opaque rectangle of this share is a window or a letterbox, not a dancer
_WINDOW_FILL = 0.97
_SOLID = 191  # of 255, above which a pixel counts as opaque
_STILL = 0.97  # share of its area (IoU) that a shape keeps which does not move
_ENOUGH = 3  # pictures that show a cut-out


class MatteMethod:
    """A dancer whom another program cut out: the transparency is the silhouette."""

    name = "matte"

    def probability(self, picture: np.ndarray) -> np.ndarray:
        """Returns (H, W) float32 for a picture (H, W, 3) that `as_picture` made."""
        return 1 - picture[..., 0].astype(np.float32) / 255


def shows_dancer(mattes: Iterable[np.ndarray]) -> bool:
    """Looks at alpha channels (H, W) uint8, 255 opaque, until it is certain.

    Where all is opaque or all is transparent, as in most gifs and screen recordings, or where
    the shape stays what it is, as a round frame does, the transparency says nothing about the
    dancer.
    """
    seen = shown = 0
    first: np.ndarray | None = None
    moves = False
    for matte in mattes:
        seen += 1
        solid = matte > _SOLID
        if not _is_cut_out(matte, solid):
            continue
        shown += 1
        if first is None:
            first = solid
        elif first.shape == solid.shape:
            common, either = (first & solid).sum(), (first | solid).sum()
            moves = moves or common < _STILL * either
        if moves and shown >= _ENOUGH:
            return True
    return moves and shown >= 0.5 * seen


def as_picture(matte: np.ndarray) -> np.ndarray:
    """Returns (H, W, 3) uint8: what is opaque in black on a white wall."""
    return np.repeat((255 - matte)[..., None], 3, axis=2)


def _is_cut_out(matte: np.ndarray, solid: np.ndarray) -> bool:
    share = float(solid.mean())
    if float((matte < 64).mean()) < _LEAST_CLEAR or not _LEAST_SOLID <= share <= _MOST_SOLID:
        return False
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    area = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return share < _WINDOW_SHARE or int(solid.sum()) < _WINDOW_FILL * int(area)

"""The seed clips of a model, from which its dances start."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dancenet.support import checked
from dancenet.support.arrays import require_floats
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, shortened
from dancenet.support.wording import command


class SeedClips(NamedTuple):
    """Clips of real motion, of one length."""

    vectors: np.ndarray  # (N, S, D) float32 in model units
    styles: tuple[str, ...]  # N, "" if unknown


def read_seeds(path: Path) -> SeedClips:
    """Reads a model's seed clips.

    Raises:
        UserError: the file is missing, damaged, or holds something else.
    """
    arrays = checked.read_npz(path, "file of seed clips")
    try:
        if "vectors" not in arrays:
            raise UserError("it lacks vectors")
        require_floats("vectors", arrays["vectors"], (None, None, None))
        with np.errstate(over="ignore"):
            vectors = arrays["vectors"].astype(np.float32)
        require_floats("vectors", vectors, (None, None, None))
    except ValueError as error:
        raise UserError(
            f"{quoted(path)} does not hold seed clips, finite vectors (N, S, D): "
            f"{shortened(error)}; write it again with {command('train-dancer')}."
        ) from error
    styles = arrays.get("styles")
    if styles is None or styles.shape != vectors.shape[:1] or styles.dtype.kind != "U":
        return SeedClips(vectors, ("",) * len(vectors))
    return SeedClips(vectors, tuple(str(style) for style in styles))

"""What every codec has in common: the protocol, and the scaling into model units."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from dancenet.support import files
from dancenet.support.errors import UserError

# A column that moves less than this share of the column that moves most counts as still.
_STILL = 1e-6


class Codec(Protocol):
    """Material (frames, joints) to a trajectory in model units, and back to pictures."""

    dim: int  # D
    fps: float  # frames per second

    def encode(self, material: Any) -> np.ndarray:
        """Returns (T, D) float32 in model units."""
        ...

    def decode(self, vectors: np.ndarray) -> np.ndarray:
        """Takes (T, D); returns (T, H, W) float32 background probability, 0 dancer and 1 background."""
        ...


@dataclass(frozen=True)
class Scaler:
    """An affine map of latents (T, L) to model units (T, D): (z - mean) @ basis.T / scale."""

    mean: np.ndarray  # (L,) float32
    basis: np.ndarray  # (D, L) float32, orthonormal rows, D <= L
    scale: np.ndarray  # (D,) float32, > 0

    def __post_init__(self) -> None:
        dim, latent_dim = self.basis.shape
        if self.mean.shape != (latent_dim,) or self.scale.shape != (dim,):
            raise ValueError(
                f"mean {self.mean.shape}, basis {self.basis.shape} and scale {self.scale.shape} "
                "do not fit together."
            )
        for name in ("mean", "basis", "scale"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"the scaler's {name} is not finite.")
        if not (self.scale > 0).all():
            raise ValueError("the scaler's scale must be greater than 0.")

    @classmethod
    def fit_columns(cls, latents: np.ndarray) -> Scaler:
        """Standardises each column; a column that never moves keeps its own units.

        Args:
            latents: (T, L) of training clips only.
        """
        spread = latents.std(axis=0, dtype=np.float64)
        scale = np.where(spread > _STILL * max(spread.max(), _STILL), spread, 1.0)
        return cls(
            latents.mean(axis=0, dtype=np.float64).astype(np.float32),
            np.eye(latents.shape[1], dtype=np.float32),
            scale.astype(np.float32),
        )

    @classmethod
    def fit_range(cls, latents: np.ndarray) -> Scaler:
        """Moves each column to 0..1, as in 2018; a column that never moves keeps its own units.

        Args:
            latents: (T, L) float32.
        """
        low = latents.min(axis=0)
        spread = latents.max(axis=0) - low
        return cls(
            low.astype(np.float32),
            np.eye(latents.shape[1], dtype=np.float32),
            np.where(spread > 0, spread, 1.0).astype(np.float32),
        )

    @classmethod
    def fit_pca(cls, latents: np.ndarray, variance: float = 0.99, max_dim: int = 64) -> Scaler:
        """Keeps the directions in which the latents move, each scaled to unit variance.

        Directions are principal components, the fewest that hold `variance` of the total;
        what is left out decodes to its mean.

        Args:
            latents: (T, L) of training clips only, T >= 2.
            variance: share of the total variance to keep, in (0, 1].
            max_dim: the most directions to keep.
        """
        mean = latents.mean(axis=0, dtype=np.float64)
        covariance = np.cov(latents - mean, rowvar=False, dtype=np.float64)
        values, vectors = np.linalg.eigh(np.atleast_2d(covariance))
        values, vectors = values[::-1].clip(min=0.0), vectors[:, ::-1]
        share = np.cumsum(values) / max(values.sum(), np.finfo(np.float64).tiny)
        dim = min(int(np.searchsorted(share, variance - 1e-12)) + 1, max_dim, len(values))
        basis = vectors[:, :dim].T
        # The sign of an eigenvector is arbitrary; fixing it makes two fits comparable.
        largest = np.take_along_axis(basis, np.abs(basis).argmax(axis=1)[:, None], axis=1)
        basis = basis * np.sign(largest)
        spread = np.sqrt(values[:dim])
        scale = np.where(spread > _STILL * max(spread.max(), _STILL), spread, 1.0)
        return cls(mean.astype(np.float32), basis.astype(np.float32), scale.astype(np.float32))

    @property
    def dim(self) -> int:
        return len(self.scale)

    @property
    def latent_dim(self) -> int:
        return len(self.mean)

    def to_model(self, latents: np.ndarray) -> np.ndarray:
        """Takes (…, L) latents; returns (…, D) float32 in model units."""
        return ((latents - self.mean) @ self.basis.T / self.scale).astype(np.float32)

    def to_latents(self, vectors: np.ndarray) -> np.ndarray:
        """Takes (…, D) in model units; returns (…, L) float32 latents."""
        return ((vectors * self.scale) @ self.basis + self.mean).astype(np.float32)

    def save(self, path: str | Path) -> None:
        """Writes the scaler as .npz, atomically."""
        files.write_npz(path, mean=self.mean, basis=self.basis, scale=self.scale)

    @classmethod
    def load(cls, path: str | Path) -> Scaler:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing, damaged, or no scaler.
        """
        arrays = files.read_npz(path, "scaler")
        require_arrays(arrays, ("mean", "basis", "scale"), path, "scaler")
        try:
            return cls(arrays["mean"], arrays["basis"], arrays["scale"])
        except ValueError as error:
            raise UserError(f"{path} cannot be used: {error}") from error


def smooth(vectors: np.ndarray, clips: Sequence[range], deviation: float) -> np.ndarray:
    """Low-passes each clip over time with a Gaussian; a clip's ends are mirrored.

    An encoder sees each frame alone, so its latents tremble where the dance does not. What
    trembles cannot be predicted, and a network that tries learns to tremble.

    Args:
        vectors: (T, L) float32.
        clips: row ranges that are smoothed each on its own; rows in none are kept.
        deviation: standard deviation of the Gaussian in frames; 0 changes nothing.

    Returns:
        (T, L) float32.
    """
    smoothed = np.array(vectors, np.float32)
    if deviation > 0:
        size = 2 * math.ceil(3 * deviation) + 1
        for clip in clips:
            # Time runs down the rows of the "picture"; a kernel one column wide leaves the rest.
            smoothed[clip.start : clip.stop] = cv2.GaussianBlur(
                smoothed[clip.start : clip.stop],
                (1, size),
                sigmaX=1.0,
                sigmaY=deviation,
                borderType=cv2.BORDER_REFLECT_101,
            )
    return smoothed


def require_arrays(
    arrays: dict[str, np.ndarray], names: Iterable[str], path: str | Path, what: str
) -> None:
    """Raises UserError unless every name is among the arrays read from `path`."""
    missing = [name for name in names if name not in arrays]
    if missing:
        raise UserError(
            f"{path} is no {what}: it lacks {', '.join(missing)} and holds "
            f"{', '.join(arrays) or 'nothing'}."
        )

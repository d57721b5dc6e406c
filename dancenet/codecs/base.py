"""The protocol of a codec, and the scaler between latents and model units."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from dancenet.data.motion.resample import resample_stream
from dancenet.support import arrays, checked, errors
from dancenet.support.arrays import require_floats
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, shortened, visible
from dancenet.support.wording import option

# Formats, besides those of videos, that a codec may write.
MOTION_FORMATS = ("bvh", "npz", "html")

# A column that moves less than this share of the column that moves most counts as still.
_STILL = 1e-6
# Vectors that a thread decodes at once: more are no faster, and the encoder of 2018 needs 26 MB a
# picture.
_BATCH = 4


class View(NamedTuple):
    """How a dance is turned into pictures."""

    refine: int = 0  # times each picture is encoded and decoded again
    yaw: float = 0.0  # degrees that the camera is turned about the vertical


class Part(NamedTuple):
    """Some successive frames of a dance, which a thread can draw on its own."""

    draw: Callable[[], np.ndarray]  # returns (B, H, W) float32 background probability
    vectors: np.ndarray | None = None  # (B, D) in model units, where each frame has one


class Codec(Protocol):
    """Converts frames or joints to a trajectory in model units, and a trajectory to files.

    `perform` turns a new trajectory into a dance, an object that only the codec looks into;
    `parts` draws it and `write` stores it.
    """

    @property
    def dim(self) -> int:
        """D, the dimensions of a vector."""
        ...

    @property
    def fps(self) -> float:
        """Frames per second of the training clips."""
        ...

    @property
    def scaler(self) -> Scaler:
        """The map between latents and model units."""
        ...

    @property
    def kind(self) -> str:
        """The way it dances, for messages: "in silhouettes", "with joints"."""
        ...

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats that `write` knows, of `MOTION_FORMATS`."""
        ...

    @property
    def streams(self) -> bool:
        """Whether pictures can be drawn before the trajectory is complete."""
        ...

    @property
    def encoder_sha256(self) -> str:
        """The hash of the encoder its latents come from; "" if it has no latents."""
        ...

    def encode(self, material: Any) -> np.ndarray:
        """Takes the frames or joints of one clip; returns (T, D) float32 in model units."""
        ...

    def decode(self, vectors: np.ndarray) -> np.ndarray:
        """Takes (T, D) in model units; returns the frames or joints (T, …) float32."""
        ...

    def read_start(self, path: str, row: int, length: int, name: str) -> np.ndarray:
        """Returns the seed clip (S, D) that begins at a row of a file.

        Args:
            path: a file of latents.
            row: 0-based.
            length: S.
            name: the model's, for messages.

        Raises:
            UserError: there is no such seed clip.
        """
        ...

    def perform(
        self, vectors: Iterable[np.ndarray], fps: float, num_frames: int, title: str
    ) -> Any:
        """Turns a new trajectory into a dance at another rate, at the same tempo.

        Args:
            vectors: (D,) in model units, `frames_needed` of them at the codec's rate.
            fps: frames per second of the dance.
            num_frames: of the dance, at most.
            title: names the dance in files.
        """
        ...

    def check_view(self, view: View, name: str) -> None:
        """Raises UserError unless the dances of a model `name` can be seen so."""
        ...

    def parts(self, dance: Any, view: View) -> Iterator[Part]:
        """Cuts what `perform` returned into parts to draw, in order."""
        ...

    def write(self, path: Path, dance: Any, format: str, overwrite: bool = False) -> int:
        """Writes what `perform` returned to a file, atomically.

        Args:
            path: the file.
            dance: from `perform`.
            format: one of `formats`.
            overwrite: replace the file if it exists.

        Returns:
            The number of frames written.
        """
        ...


class FrameCodec:
    """The parts of a codec in which every vector is one picture; see `Codec`.

    A subclass decodes; `decode` takes `refine` and gives background probability.
    """

    kind = "in pictures"
    formats: tuple[str, ...] = ()
    streams = True
    encoder_sha256 = ""

    def __init__(self, scaler: Scaler, fps: float) -> None:
        self.scaler = scaler
        self.fps = fps

    @property
    def dim(self) -> int:
        return self.scaler.dim

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """Takes (T, H, W) uint8 frames of one clip; returns (T, D) float32."""
        raise NotImplementedError(f"{type(self).__name__} does not encode.")

    def decode(self, vectors: np.ndarray, refine: int = 0) -> np.ndarray:
        """Takes (T, D) in model units; returns (T, H, W) float32 background probability."""
        raise NotImplementedError(f"{type(self).__name__} does not decode.")

    def read_start(self, path: str, row: int, length: int, name: str) -> np.ndarray:
        """Refuses: there are no latents. See `Codec.read_start`."""
        raise UserError(
            f"{visible(name)} dances {self.kind} and has no latents to start from; received "
            f"{quoted(path)}."
        )

    def perform(
        self, vectors: Iterable[np.ndarray], fps: float, num_frames: int, title: str
    ) -> Iterator[np.ndarray]:
        """Returns the vectors (D,) at another rate, as they come."""
        return resample_stream(vectors, self.fps / fps, num_frames)

    def check_view(self, view: View, name: str) -> None:
        """Raises UserError if a picture is to be seen from the side."""
        if view.yaw:
            raise UserError(
                f"{visible(name)} dances {self.kind}, which have one side; leave out "
                f"{option('yaw', view.yaw)}, or name a model of joints."
            )

    def parts(self, dance: Iterable[np.ndarray], view: View) -> Iterator[Part]:
        """Yields vectors in batches, to be decoded by threads."""
        for batch in batches(dance, _BATCH):
            yield Part(partial(self.decode, batch, view.refine), batch)

    def write(self, path: Path, dance: Any, format: str, overwrite: bool = False) -> int:
        """Refuses: pictures are written as videos. See `Codec.write`."""
        raise ValueError(f"Pictures are not written as {format}.")


def batches(items: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Stacks arrays of one shape, `size` at a time; the last batch may be smaller."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield np.stack(batch)


@dataclass(frozen=True)
class Scaler:
    """An affine map of latents (T, L) to model units (T, D): (z - mean) @ basis.T / scale."""

    mean: np.ndarray  # (L,) float32
    basis: np.ndarray  # (D, L) float32, orthonormal rows, D <= L
    scale: np.ndarray  # (D,) float32, > 0

    def __post_init__(self) -> None:
        require_floats("the scaler's basis", self.basis, (None, None))
        dim, latent_dim = self.basis.shape
        require_floats("the scaler's mean", self.mean, (latent_dim,))
        require_floats("the scaler's scale", self.scale, (dim,))
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
        the rest decodes to its mean.

        Args:
            latents: (T, L) of training clips only, T >= 2.
            variance: share of the total variance to keep, in (0, 1].
            max_dim: the most directions to keep.

        Raises:
            MissingExtra: scikit-learn is not installed.
        """
        try:
            from sklearn.decomposition import PCA
        except ImportError as error:
            raise errors.why_not_imported(error, "Fitting principal components", "train") from error
        latents = latents.astype(np.float64)
        mean = latents.mean(axis=0)
        spread = np.sqrt(((latents - mean) ** 2).mean())
        if not spread > 0:  # scikit-learn divides by the total variance
            return cls.fit_columns(latents)
        fitted = PCA().fit(latents)
        values = fitted.explained_variance_
        share = np.cumsum(values) / values.sum()
        dim = min(int(np.searchsorted(share, variance - 1e-12)) + 1, max_dim, len(values))
        basis = fitted.components_[:dim]
        # The sign of an eigenvector is arbitrary; fixing it makes two fits comparable.
        largest = np.take_along_axis(basis, np.abs(basis).argmax(axis=1)[:, None], axis=1)
        basis = basis * np.sign(largest)
        deviation = np.sqrt(values[:dim])
        scale = np.where(deviation > _STILL * max(deviation.max(), _STILL), deviation, 1.0)
        return cls(mean.astype(np.float32), basis.astype(np.float32), scale.astype(np.float32))

    def beside(self, other: Scaler) -> Scaler:
        """Returns the map that does both: this one's columns first, then those of `other`."""
        basis = np.zeros(
            (self.dim + other.dim, self.latent_dim + other.latent_dim), dtype=np.float32
        )
        basis[: self.dim, : self.latent_dim] = self.basis
        basis[self.dim :, self.latent_dim :] = other.basis
        return Scaler(
            np.concatenate([self.mean, other.mean]),
            basis,
            np.concatenate([self.scale, other.scale]),
        )

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
        arrays.write_npz(path, mean=self.mean, basis=self.basis, scale=self.scale)

    @classmethod
    def load(cls, path: str | Path) -> Scaler:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing, damaged, or not a scaler.
        """
        arrays = checked.read_npz(path, "scaler")
        require_arrays(arrays, ("mean", "basis", "scale"), path, "scaler")
        try:
            return cls(arrays["mean"], arrays["basis"], arrays["scale"])
        except ValueError as error:
            raise unusable(path, error) from error


def smooth(vectors: np.ndarray, clips: Sequence[range], deviation: float) -> np.ndarray:
    """Low-passes each clip over time with a Gaussian; a clip's ends are mirrored.

    An encoder sees each frame alone, so its latents jitter where the dance does not. Jitter
    cannot be predicted, and a network that is trained on it learns to jitter.

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
            # Rows are times: a kernel one column wide smooths over time only.
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
        there = shortened(", ".join(arrays)) or "nothing"
        raise UserError(
            f"{quoted(path)} is not a {what}: it lacks {', '.join(missing)} and holds {there}."
        )


def unusable(path: str | Path, reason: object) -> UserError:
    """Returns the error for a file whose arrays do not fit together."""
    return UserError(f"{quoted(path)} cannot be used: {shortened(reason)}.")

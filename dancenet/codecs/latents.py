"""The file between the two networks: the latents of every frame, and the clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancenet.codecs.base import require_arrays, unusable
from dancenet.data.frames.clips import Clip, split_clips
from dancenet.support import arrays, checked
from dancenet.support.arrays import described, scalar
from dancenet.support.errors import UserError
from dancenet.support.names import visible
from dancenet.support.wording import command

_FORMAT = 1
_MOST_CLIPS = 100_000
_NAMES = (
    "format",
    "z_mean",
    "z_log_var",
    "fps",
    "clips",
    "splits",
    "sources",
    "encoder_sha256",
)


@dataclass(frozen=True)
class Latents:
    """The encoder's two outputs for every frame of a folder, clip after clip."""

    z_mean: np.ndarray  # (T, L) float32
    z_log_var: np.ndarray  # (T, L) float32
    fps: float  # frames per second
    clips: tuple[range, ...]  # 0-based rows of each clip, in order, none left out
    splits: tuple[str | None, ...]  # "train", "val" or None for each clip
    sources: tuple[str, ...]  # the file each clip came from
    encoder_sha256: str  # hash of the encoder graph that made them

    def __post_init__(self) -> None:
        for name in ("z_mean", "z_log_var"):
            array = getattr(self, name)
            if array.ndim != 2 or 0 in array.shape or array.dtype.kind != "f":
                raise ValueError(f"{name} must be (T, L) floats; received {described(array)}")
        if self.z_mean.shape != self.z_log_var.shape:
            raise ValueError(
                f"z_mean {self.z_mean.shape} and z_log_var {self.z_log_var.shape} must be (T, L)."
            )
        if not len(self.clips) == len(self.splits) == len(self.sources):
            raise ValueError("every clip needs a split and a source.")
        stop = 0
        for clip in self.clips:
            if clip.start != stop or len(clip) < 1:
                raise ValueError(f"the clips do not follow each other: {clip} after row {stop}.")
            stop = clip.stop
        if stop != len(self.z_mean):
            raise ValueError(f"the clips hold {stop} rows and there are {len(self.z_mean)}.")
        for name in ("z_mean", "z_log_var"):
            bad = ~np.isfinite(getattr(self, name)).all(axis=1)
            if bad.any():
                raise ValueError(
                    f"{name} holds NaN or infinity in {bad.sum()} frames, first in frame "
                    f"{int(np.argmax(bad)) + 1}; encode the frames again"
                )
        checked.check_rate(self.fps)
        for split in self.splits:
            if split not in (None, "train", "val"):
                raise ValueError(f"a split must be train, val or none; received {split!r}")

    @classmethod
    def from_clips(
        cls,
        z_mean: np.ndarray,
        z_log_var: np.ndarray,
        clips: Sequence[Clip],
        fps: float,
        encoder_sha256: str,
    ) -> Latents:
        """Returns the latents of a frame folder with its clips."""
        return cls(
            z_mean=z_mean,
            z_log_var=z_log_var,
            fps=fps,
            clips=tuple(clip.rows for clip in clips),
            splits=tuple(clip.split for clip in clips),
            sources=tuple(clip.source for clip in clips),
            encoder_sha256=encoder_sha256,
        )

    def split(self, fraction: float = 0.1) -> tuple[list[range], list[range]]:
        """Returns training and validation rows, as `data.frames.clips.split_clips` does."""
        clips = [
            Clip(source, self.fps, first=rows.start + 1, last=rows.stop, method="", split=split)
            for rows, split, source in zip(self.clips, self.splits, self.sources)
        ]
        return split_clips(clips, fraction)

    def save(self, path: str | Path) -> None:
        """Writes the latents as .npz, atomically."""
        arrays.write_npz(
            path,
            format=np.int64(_FORMAT),
            z_mean=self.z_mean.astype(np.float32),
            z_log_var=self.z_log_var.astype(np.float32),
            fps=np.float64(self.fps),
            clips=np.array([(clip.start, clip.stop) for clip in self.clips], np.int64),
            splits=np.array([split or "" for split in self.splits]),
            sources=np.array(self.sources),
            encoder_sha256=np.array(self.encoder_sha256),
        )

    @classmethod
    def load(cls, path: str | Path) -> Latents:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing, damaged, of another kind, or holds a value
                that is not finite.
        """
        arrays = checked.read_npz(path, "file of latents")
        require_arrays(arrays, _NAMES, path, "file of latents")
        try:
            if scalar(int, arrays, "format") != _FORMAT:
                raise ValueError(f"format {arrays['format']}; this version reads {_FORMAT}")
            clips = arrays["clips"]
            if clips.ndim != 2 or clips.shape[1] != 2 or clips.dtype.kind not in "iu":
                raise ValueError(f"clips must be pairs of rows; received {described(clips)}")
            checked.between("the number of clips", len(clips), 1, _MOST_CLIPS)
            for name in ("splits", "sources"):
                if arrays[name].shape != clips.shape[:1] or arrays[name].dtype.kind != "U":
                    raise ValueError(f"{name} must be a text for each of {len(clips)} clips")
            return cls(
                z_mean=arrays["z_mean"],
                z_log_var=arrays["z_log_var"],
                fps=scalar(float, arrays, "fps"),
                clips=tuple(range(start, stop) for start, stop in clips.tolist()),
                splits=tuple(str(split) or None for split in arrays["splits"]),
                sources=tuple(str(source) for source in arrays["sources"]),
                encoder_sha256=scalar(str, arrays, "encoder_sha256"),
            )
        except (TypeError, ValueError, ArithmeticError) as error:
            raise unusable(path, error) from error

    @staticmethod
    def is_latents(path: Path) -> bool:
        """Returns whether `save` wrote a file."""
        try:
            return set(_NAMES) <= set(checked.read_npz(path, "file of latents"))
        except UserError:
            return False

    def require_encoder(self, sha256: str, model: str) -> None:
        """Refuses latents that another encoder made.

        Raises:
            UserError: the hashes differ.
        """
        if self.encoder_sha256 != sha256:
            raise UserError(
                f"These latents were made by another encoder "
                f"({visible(self.encoder_sha256[:12])}…) than the model {visible(model)} has "
                f"({sha256[:12]}…); encode the frames again with "
                f"{command('encode-frames', '--model', model)}."
            )

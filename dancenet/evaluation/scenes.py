"""What dances look like, of either space: real ones as they are, others as a model draws them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dancenet.codecs.latents import Latents
from dancenet.codecs.silhouette import SilhouetteCodec
from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.data.frames.folder import FrameFolder
from dancenet.data.frames.picture import BACKGROUND
from dancenet.data.mocap.recordings import Recordings
from dancenet.data.motion.draw_body import Body, measure

_BATCH = 16  # vectors decoded at once
_READ = 256  # pictures read at once


@dataclass(frozen=True)
class Silhouettes:
    """Frames of a folder, and vectors through the picture network."""

    frames: FrameFolder
    latents: Latents
    codec: SilhouetteCodec
    refine: int  # as in `DanceSettings`

    @property
    def vectors(self) -> np.ndarray:
        """The real dances (T, D) in model units."""
        return self.codec.trajectory(self.latents.z_mean, self.latents.clips)

    @property
    def clips(self) -> tuple[range, ...]:
        return self.latents.clips

    @property
    def sources(self) -> tuple[str, ...]:
        return self.latents.sources

    def real(self, rows: range) -> Iterator[np.ndarray]:
        """Yields the background probability (B, H, W) of every `rows.step`-th real frame."""
        size = max(1, _READ // rows.step) * rows.step
        for first in range(rows.start, rows.stop, size):
            last = min(first + size, rows.stop)
            yield (self.frames.read(first + 1, last)[:: rows.step].astype(np.float32) / BACKGROUND)

    def drawn(
        self, run: np.ndarray, rows: range, advance: Callable[[int], Any]
    ) -> Iterator[np.ndarray]:
        """Yields the background probability (B, H, W) of some vectors of a run (T, D)."""
        chosen = run[rows.start : rows.stop : rows.step]
        for begin in range(0, len(chosen), _BATCH):
            part = chosen[begin : begin + _BATCH]
            yield self.codec.decode(part, self.refine)
            advance(len(part))


@dataclass(frozen=True)
class Joints:
    """Recorded joints, and vectors through the skeleton codec, both drawn as figures."""

    recordings: Recordings
    codec: SkeletonCodec
    body: Body | None  # of all recordings, where it is the body we know

    @classmethod
    def of(cls, recordings: Recordings, codec: SkeletonCodec) -> Joints:
        first = recordings.clips[0]
        whole = np.concatenate([clip.positions for clip in recordings.clips])
        return cls(recordings, codec, measure(whole) if first.is_body else None)

    @property
    def vectors(self) -> np.ndarray:
        """The real dances (T, D) in model units."""
        return np.concatenate([self.codec.encode(clip.positions) for clip in self.recordings.clips])

    @property
    def clips(self) -> tuple[range, ...]:
        return self.recordings.rows

    @property
    def sources(self) -> tuple[str, ...]:
        return self.recordings.sources

    def real(self, rows: range) -> Iterator[np.ndarray]:
        """Yields the background probability (B, H, W) of every `rows.step`-th real frame of one clip."""
        for clip, whole in zip(self.recordings.clips, self.recordings.rows):
            if whole.start <= rows.start < whole.stop:
                start = rows.start - whole.start
                yield from self._figures(
                    clip.positions[start : start + len(rows) * rows.step],
                    rows.step,
                    lambda count: None,
                )

    def drawn(
        self, run: np.ndarray, rows: range, advance: Callable[[int], Any]
    ) -> Iterator[np.ndarray]:
        """Yields the background probability (B, H, W) of some vectors of a run (T, D)."""
        positions = self.codec.finish(self.codec.decode(run))[rows.start : rows.stop]
        yield from self._figures(positions, rows.step, advance)

    def _figures(
        self, positions: np.ndarray, step: int, advance: Callable[[int], Any]
    ) -> Iterator[np.ndarray]:
        batch: list[np.ndarray] = []
        for index, frame in enumerate(self.codec.draw(positions, body=self.body)):
            if index % step == 0:
                batch.append(frame)
            if len(batch) == _BATCH:
                yield np.stack(batch).astype(np.float32) / BACKGROUND
                advance(len(batch))
                batch = []
        if batch:
            yield np.stack(batch).astype(np.float32) / BACKGROUND
            advance(len(batch))


Scene = Silhouettes | Joints

"""The dancer's data set: trajectories in model units, split, with their noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dancenet.codecs.base import Scaler, smooth
from dancenet.codecs.latents import Latents
from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.data.frames.clips import Clip, split_clips
from dancenet.data.mocap.recordings import Recording, Recordings
from dancenet.data.motion.clip import SkeletonClip
from dancenet.nets.training import windows as dance_data
from dancenet.nets.training.windows import BatchOptions, WindowData
from dancenet.sequence.trajectory_file import TrajectoryFiles, write_trajectory
from dancenet.support.errors import UserError

VARIANCE = 0.98  # share of the joints' variance whose directions are danced
# How uncertain joints count as, in model units: what a network is shown is never quite right.
JOINT_DEVIATION = 0.1
_MOST_FITTED = 200_000  # frames of a stream that a codec and the sizes of steps are fitted on
_NOT_SPLIT = (
    "The {} have {} clips to train on and {} to validate on; both are needed. Add more clips."
)


@dataclass(frozen=True)
class Material:
    """Trajectories of a space, ready to be learned from."""

    vectors: np.ndarray  # (T, D) float32 in model units
    train: list[range]  # rows to learn from, each range inside a clip
    held_out: list[range]
    names: list[str]  # where each range of `train` came from
    held_out_names: list[str]
    fps: float  # frames per second
    what: str  # what the vectors are made of, for people
    raw_dim: int  # numbers that describe a frame before some are left out
    scale: np.ndarray  # (D,) what one model unit is worth, in the space's own units
    style_names: tuple[str, ...]  # S
    styles: np.ndarray | None  # (T, S) weights, None without styles
    save_units: Callable[[Path], None]  # writes the map to and from model units
    windows: Callable[[BatchOptions], WindowData]
    # What windows are of, where `vectors` is only a sample of it.
    window_train: list[range]
    window_held_out: list[range]

    @property
    def dim(self) -> int:
        return self.vectors.shape[1]

    def styles_of(self, rows: np.ndarray) -> np.ndarray | None:
        """Returns the weights (B, S) of the styles of some rows (B,), if there are styles."""
        return None if self.styles is None else self.styles[rows]

    def style_names_of(self, rows: np.ndarray) -> np.ndarray:
        """Returns the name of the style of each row (B,), "" where none is known."""
        if self.styles is None:
            return np.full(len(rows), "")
        known = np.array([*self.style_names, ""])
        none = ~self.styles[rows].any(axis=1)
        return known[np.where(none, len(self.style_names), self.styles[rows].argmax(axis=1))]

    @classmethod
    def of_latents(
        cls,
        latents: Latents,
        network: str,
        look_back: int,
        smoothing: float,
        scaler: Scaler | None = None,
    ) -> Material:
        """Takes latents; fits the scaler on the training clips unless one is given.

        Args:
            latents: of every frame.
            network: "lean" or "dancenet", see `dance_data.fit_scaler`, as of the next.
            look_back: of the dancer.
            smoothing: of latents over time, in frames; see `codecs.base.smooth`.
            scaler: into model units.

        Raises:
            UserError: there is nothing to learn from, or nothing to validate on.
        """
        train, held_out = _split(latents, "latents")
        z_mean = smooth(latents.z_mean, latents.clips, smoothing)
        if scaler is None:
            scaler = dance_data.fit_scaler(z_mean, train, network, look_back)
        known = scaler

        def windows(options: BatchOptions) -> WindowData:
            return WindowData.of_latents(latents, known, options, smoothing)

        return cls(
            scaler.to_model(z_mean),
            train,
            held_out,
            dance_data.clip_names(latents, train),
            dance_data.clip_names(latents, held_out),
            latents.fps,
            "latents",
            scaler.latent_dim,
            scaler.scale,
            (),
            None,
            scaler.save,
            windows,
            train,
            held_out,
        )

    @classmethod
    def of_recordings(
        cls,
        recordings: Recordings,
        codec: SkeletonCodec | None = None,
        variance: float = VARIANCE,
        style_names: tuple[str, ...] | None = None,
    ) -> Material:
        """Takes recorded joints; fits the codec on the training clips unless one is given.

        Args:
            recordings: of one skeleton.
            codec: of that skeleton.
            variance: of the codec that is fitted; see `SkeletonCodec.fit`.
            style_names: the styles that are known, or None for those of the recordings.

        Raises:
            UserError: there is nothing to learn from or to validate on, a style is not known, or
                the joints are not those of the codec.
        """
        train, held_out = _split(recordings, "recordings")
        if codec is None:
            codec = SkeletonCodec.fit(
                [
                    clip.cut(range(rows.start - whole.start, rows.stop - whole.start))
                    for rows in train
                    for clip, whole in zip(recordings.clips, recordings.rows)
                    if whole.start <= rows.start < whole.stop
                ],
                variance,
            )
        _check(codec, recordings.clips[0])
        vectors = np.concatenate([codec.encode(clip.positions) for clip in recordings.clips])
        names = _known_styles(recordings.style_names, style_names)
        styles = None
        if names:
            styles = np.zeros((len(vectors), len(names)), np.float32)
            for rows, style in zip(recordings.rows, recordings.styles):
                if style:
                    styles[rows.start : rows.stop, names.index(style)] = 1.0

        def windows(options: BatchOptions) -> WindowData:
            deviation = np.broadcast_to(np.float32(JOINT_DEVIATION), vectors.shape)
            return WindowData(vectors, options, deviation, styles=styles)

        return cls(
            vectors,
            train,
            held_out,
            dance_data.clip_names(recordings, train),
            dance_data.clip_names(recordings, held_out),
            recordings.fps,
            "joints",
            codec.scaler.latent_dim,
            codec.scaler.scale,
            names,
            styles,
            codec.save,
            windows,
            train,
            held_out,
        )

    @classmethod
    def of_stream(
        cls,
        read: Callable[[], Iterable[Recording]],
        path: Path,
        codec: SkeletonCodec | None = None,
        variance: float = VARIANCE,
        style_names: tuple[str, ...] | None = None,
    ) -> Material:
        """Takes recordings that need not fit into memory; they are read twice.

        The first time tells what there is, and the codec is fitted on clips spread over all of it;
        the second time the trajectory is written to a file, of which windows are read while
        others are learned from. All else is measured on stretches of it.

        Args:
            read: yields the recordings, the same ones each time.
            path: the file of the trajectory, a `.npy`.
            codec, variance, style_names: as of `of_recordings`.

        Raises:
            UserError: as `of_recordings`.
        """
        from dancenet.nets.training.window_stream import StreamedWindows

        metas: list[Clip] = []
        said: list[str | None] = []
        kept: list[SkeletonClip] = []
        rng = np.random.default_rng(0)
        for clip, split, style in read():
            first = metas[-1].last + 1 if metas else 1
            stop = first + clip.num_frames - 1
            metas.append(Clip(clip.source, clip.fps, first, stop, "", split))
            said.append(style)
            if codec is not None:
                continue
            # What is held out of this clip, or all of it, is not for the codec to see.
            alone = replace(metas[-1], first=1, last=clip.num_frames)
            kept += [clip.cut(part) for part in split_clips([alone])[0]]
            # A random clip makes room, so that those that stay are spread over all.
            while sum(one.num_frames for one in kept) > _MOST_FITTED and len(kept) > 1:
                kept.pop(int(rng.integers(len(kept))))
        train, held_out = split_clips(metas)
        if not train or not held_out:
            raise UserError(_NOT_SPLIT.format("recordings", len(train), len(held_out)))
        if codec is None:
            codec = SkeletonCodec.fit(kept, variance)
        known = codec
        names = _known_styles(tuple(sorted({style for style in said if style})), style_names)
        of_clip = None
        if names:
            of_clip = np.zeros((len(said), len(names)), np.float32)
            for row, style in zip(of_clip, said):
                if style:
                    row[names.index(style)] = 1.0

        def encoded() -> Iterator[np.ndarray]:
            for number, recording in enumerate(read()):
                if not number:
                    _check(known, recording.clip)
                yield known.encode(recording.clip.positions)

        files = TrajectoryFiles(path, write_trajectory(path, encoded()))
        learned, asked = files.sample(train, _MOST_FITTED), files.sample(held_out, _MOST_FITTED)
        size = len(learned.vectors)
        rows = [*learned.rows, *asked.rows]
        clip_of = [
            next(i for i, meta in enumerate(metas) if part.start in meta.rows) for part in rows
        ]
        styles = None
        if of_clip is not None:
            styles = np.repeat(of_clip[clip_of], [len(part) for part in rows], axis=0)
        sources = [metas[i].source for i in clip_of]
        return cls(
            np.concatenate([learned.vectors, asked.vectors]),
            learned.clips,
            [range(r.start + size, r.stop + size) for r in asked.clips],
            sources[: len(learned.rows)],
            sources[len(learned.rows) :],
            known.fps,
            "joints",
            known.scaler.latent_dim,
            known.scaler.scale,
            names,
            styles,
            known.save,
            lambda options: StreamedWindows(files, options, JOINT_DEVIATION, styles=of_clip),
            train,
            held_out,
        )


def _check(codec: SkeletonCodec, clip: SkeletonClip) -> None:
    codec.check(clip)
    if abs(codec.fps - clip.fps) > 1e-6 * codec.fps:
        raise UserError(
            f"The recordings have {clip.fps:g} frames/s and the model dances at "
            f"{codec.fps:g}; say --fps {codec.fps:g}."
        )


def _known_styles(there: tuple[str, ...], known: tuple[str, ...] | None) -> tuple[str, ...]:
    """Returns the styles of a dancer, which are those that are there if none are known yet."""
    if known is None:
        return there
    strange = sorted(set(there) - set(known))
    if strange:
        raise UserError(
            f"The model does not know the style {strange[0]!r}; it knows "
            f"{', '.join(known) or 'none'}."
        )
    return known


def _split(material: Latents | Recordings, what: str) -> tuple[list[range], list[range]]:
    train, held_out = material.split()
    if not train or not held_out:
        raise UserError(_NOT_SPLIT.format(what, len(train), len(held_out)))
    return train, held_out

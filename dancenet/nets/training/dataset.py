"""The dataset of a dancer: trajectories in model units, split into training and validation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dancenet.codecs.base import Scaler, smooth
from dancenet.codecs.latents import Latents
from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.data.frames.clips import Clip, split_clips
from dancenet.data.mocap.recordings import Recording, Recordings
from dancenet.data.motion.clip import SkeletonClip
from dancenet.nets.training.statistics import clip_names, fit_scaler
from dancenet.nets.training.windows import BatchOptions, WindowData
from dancenet.sequence.trajectory_file import TrajectoryFiles, write_trajectory
from dancenet.support.errors import UserError
from dancenet.support.names import shell_word
from dancenet.support.wording import option

VARIANCE = 0.98  # share of the variance of the joints that the dancer's dimensions keep
# Noise added to joints in training (model units), so that the network learns to correct its errors.
JOINT_DEVIATION = 0.1
_MOST_FITTED = 200_000  # frames of a stream to fit the codec and the RMS step on
_NOT_SPLIT = (
    "The {} have {} clips to train on and {} to validate on; both are needed. Add more clips."
)


@dataclass(frozen=True)
class Dataset:
    """Trajectories of one space, split into training and validation."""

    vectors: np.ndarray  # (T, D) float32 in model units
    train: list[range]  # rows to train on, each range inside a clip
    held_out: list[range]  # rows to validate on
    names: list[str]  # file name of each range of `train`
    held_out_names: list[str]
    fps: float  # frames per second
    seconds: float  # length of all clips, mirrored ones included
    what: str  # "latents" or "joints"
    raw_dim: int  # dimensions of a frame before the projection to D
    scale: np.ndarray  # (D,) one model unit in the units of the space
    style_names: tuple[str, ...]  # S
    styles: np.ndarray | None  # (T, S) weights, None without styles
    save_units: Callable[[Path], None]  # writes the scaler or codec
    windows: Callable[[BatchOptions], WindowData]
    # Rows of the windows; of a stream, `vectors` is only a sample of them.
    window_train: list[range]
    window_held_out: list[range]
    joint_rows: Sequence[range] | None = None  # of each recording, where joints are in memory

    @property
    def dim(self) -> int:
        """D."""
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

    def with_rehearsal(self, vectors: np.ndarray, styles: np.ndarray | None) -> Dataset:
        """Adds windows of another motion, on which nothing else is measured.

        Args:
            vectors: (N, T, D) N trajectories in model units.
            styles: (N, S) their styles' weights, None without styles.

        Raises:
            UserError: this dataset is a stream.
        """
        if self.joint_rows is None:
            raise UserError(
                f"{option('stream')} and {option('rehearse')} do not go together; leave one out."
            )
        count, length, _ = vectors.shape
        first = len(self.vectors)
        rows = [range(first + i * length, first + (i + 1) * length) for i in range(count)]
        both = np.concatenate([self.vectors, vectors.reshape(count * length, -1)])
        if self.styles is None:
            weights = None
        else:
            given = np.zeros((count, self.styles.shape[1])) if styles is None else styles
            weights = np.concatenate([self.styles, np.repeat(given, length, axis=0)])
            weights = weights.astype(np.float32)
        clips = [*self.joint_rows, *rows]
        return replace(
            self,
            vectors=both,
            styles=weights,
            windows=lambda options: _joint_windows(options, both, weights, clips),
            window_train=[*self.window_train, *rows],
        )

    @classmethod
    def of_latents(
        cls,
        latents: Latents,
        network: str,
        look_back: int,
        smoothing: float,
        scaler: Scaler | None = None,
        num_places: int = 0,
    ) -> Dataset:
        """Prepares latents; fits the scaler on the training clips unless one is given.

        Args:
            latents: of every frame.
            network: "lean" or "dancenet"; with `look_back`, it chooses the scaler: see
                `statistics.fit_scaler`.
            look_back: of the dancer, in frames.
            smoothing: low-pass over time, in frames; see `codecs.base.smooth`.
            scaler: into model units.
            num_places: see `statistics.fit_scaler`.

        Raises:
            UserError: there is nothing to train on, or nothing to validate on.
        """
        train, held_out = _split(latents, "latents")
        z_mean = smooth(latents.z_mean, latents.clips, smoothing)
        if scaler is None:
            scaler = fit_scaler(z_mean, train, network, look_back, num_places)
        known = scaler

        def windows(options: BatchOptions) -> WindowData:
            return WindowData.of_latents(latents, known, options, smoothing)

        return cls(
            vectors=scaler.to_model(z_mean),
            train=train,
            held_out=held_out,
            names=clip_names(latents, train),
            held_out_names=clip_names(latents, held_out),
            fps=latents.fps,
            seconds=len(latents.z_mean) / latents.fps,
            what="latents",
            raw_dim=scaler.latent_dim,
            scale=scaler.scale,
            style_names=(),
            styles=None,
            save_units=scaler.save,
            windows=windows,
            window_train=train,
            window_held_out=held_out,
        )

    @classmethod
    def of_recordings(
        cls,
        recordings: Recordings,
        codec: SkeletonCodec | None = None,
        variance: float = VARIANCE,
        style_names: tuple[str, ...] | None = None,
    ) -> Dataset:
        """Prepares recorded joints; fits the codec on the training clips unless one is given.

        Args:
            recordings: of one skeleton.
            codec: of this skeleton.
            variance: for fitting the codec; see `SkeletonCodec.fit`.
            style_names: the styles the dancer knows, or None for the styles of the recordings.

        Raises:
            UserError: there is nothing to train on or to validate on, a style is not known, or
                the joints do not fit the codec.
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
        weights = _style_weights(recordings.styles, names)
        styles = None
        if weights is not None:
            styles = np.repeat(weights, [len(rows) for rows in recordings.rows], axis=0)

        return cls(
            vectors=vectors,
            train=train,
            held_out=held_out,
            names=clip_names(recordings, train),
            held_out_names=clip_names(recordings, held_out),
            fps=recordings.fps,
            seconds=sum(clip.num_frames / clip.fps for clip in recordings.clips),
            style_names=names,
            styles=styles,
            windows=lambda options: _joint_windows(options, vectors, styles, recordings.rows),
            window_train=train,
            window_held_out=held_out,
            joint_rows=recordings.rows,
            **_describe(codec),
        )

    # Long: it says what each argument does.
    @classmethod
    def of_stream(
        cls,
        read: Callable[[], Iterable[Recording]],
        path: Path,
        codec: SkeletonCodec | None = None,
        variance: float = VARIANCE,
        style_names: tuple[str, ...] | None = None,
    ) -> Dataset:
        """Prepares recordings that need not fit into memory; reads them twice.

        The first pass lists the clips and keeps some, spread over all, to fit the codec on. The
        second pass writes the trajectory to a file, from which windows are read during the
        training. All other measures are taken on parts of it.

        Args:
            read: yields the recordings, the same ones each time.
            path: the file of the trajectory, a `.npy`.
            codec, variance, style_names: see `of_recordings`.

        Raises:
            UserError: see `of_recordings`.
        """
        from dancenet.nets.training.window_stream import StreamedWindows

        def windows(options: BatchOptions) -> WindowData:
            if options.context:
                raise UserError(
                    f"{option('context')} needs the whole trajectory in memory, and this one is "
                    "read from a file; leave it out, or train on fewer recordings."
                )
            return StreamedWindows(files, options, JOINT_DEVIATION, styles=weights)

        survey = _Survey.of(read(), keep=codec is None)
        train, held_out = split_clips(survey.clips)
        if not train or not held_out:
            raise UserError(_NOT_SPLIT.format("recordings", len(train), len(held_out)))
        if codec is None:
            codec = SkeletonCodec.fit(survey.kept, variance)
        names = _known_styles(tuple(sorted(filter(None, set(survey.styles)))), style_names)
        weights = _style_weights(survey.styles, names)
        files = TrajectoryFiles(path, write_trajectory(path, _encoded(read(), codec)))
        sample, tested = files.sample(train, _MOST_FITTED), files.sample(held_out, _MOST_FITTED)
        size = len(sample.vectors)
        rows = [*sample.rows, *tested.rows]
        clip_of = [
            next(i for i, clip in enumerate(survey.clips) if part.start in clip.rows)
            for part in rows
        ]
        styles = None
        if weights is not None:
            styles = np.repeat(weights[clip_of], [len(part) for part in rows], axis=0)
        sources = [survey.clips[i].source for i in clip_of]
        return cls(
            vectors=np.concatenate([sample.vectors, tested.vectors]),
            train=sample.clips,
            held_out=[range(r.start + size, r.stop + size) for r in tested.clips],
            names=sources[: len(sample.rows)],
            held_out_names=sources[len(sample.rows) :],
            fps=codec.fps,
            seconds=survey.seconds,
            style_names=names,
            styles=styles,
            windows=windows,
            window_train=train,
            window_held_out=held_out,
            **_describe(codec),
        )


@dataclass
class _Survey:
    """The first pass over a stream of recordings."""

    clips: list[Clip]
    styles: list[str | None]  # one for each clip
    kept: list[SkeletonClip]  # parts to fit the codec on
    seconds: float

    @classmethod
    def of(cls, recordings: Iterable[Recording], keep: bool) -> _Survey:
        """Reads all recordings; keeps parts of them if `keep` is set."""
        survey = cls([], [], [], 0.0)
        rng = np.random.default_rng(0)
        for clip, split, style in recordings:
            first = survey.clips[-1].last + 1 if survey.clips else 1
            last = first + clip.num_frames - 1
            survey.clips.append(Clip(clip.source, clip.fps, first, last, method="", split=split))
            survey.styles.append(style)
            survey.seconds += clip.num_frames / clip.fps
            if not keep:
                continue
            # The codec must not be fitted on held-out parts.
            alone = replace(survey.clips[-1], first=1, last=clip.num_frames)
            kept = survey.kept
            kept += [clip.cut(part) for part in split_clips([alone])[0]]
            # Drop random clips, so that the kept ones are spread over all.
            while sum(one.num_frames for one in kept) > _MOST_FITTED and len(kept) > 1:
                kept.pop(int(rng.integers(len(kept))))
        return survey


def _joint_windows(
    options: BatchOptions,
    vectors: np.ndarray,
    styles: np.ndarray | None,
    clips: Sequence[range],
) -> WindowData:
    deviation = np.broadcast_to(np.float32(JOINT_DEVIATION), vectors.shape)
    return WindowData(vectors, options, deviation, styles=styles, clips=clips)


def _encoded(recordings: Iterable[Recording], codec: SkeletonCodec) -> Iterator[np.ndarray]:
    for number, recording in enumerate(recordings):
        if not number:
            _check(codec, recording.clip)
        yield codec.encode(recording.clip.positions)


def _describe(codec: SkeletonCodec) -> dict[str, Any]:
    """Returns the fields of a `Dataset` of joints that come from the codec."""
    return {
        "what": "joints",
        "raw_dim": codec.scaler.latent_dim,
        "scale": codec.scaler.scale,
        "save_units": codec.save,
    }


def _style_weights(styles: Sequence[str | None], names: tuple[str, ...]) -> np.ndarray | None:
    """Returns one-hot weights (C, S) of the style of each clip; None if there are no styles."""
    if not names:
        return None
    weights = np.zeros((len(styles), len(names)), np.float32)
    for row, style in zip(weights, styles):
        if style:
            row[names.index(style)] = 1.0
    return weights


def _check(codec: SkeletonCodec, clip: SkeletonClip) -> None:
    codec.check(clip)
    if abs(codec.fps - clip.fps) > 1e-6 * codec.fps:
        raise UserError(
            f"The recordings have {clip.fps:g} frames/s and the model {codec.fps:g}; read them "
            f"with {option('fps', f'{codec.fps:g}')}."
        )


def _known_styles(found: tuple[str, ...], known: tuple[str, ...] | None) -> tuple[str, ...]:
    """Returns the styles of a dancer: the known ones, or the ones found for a new dancer."""
    if known is None:
        return found
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise UserError(
            f"The model does not know the style {shell_word(unknown[0])}; it knows "
            f"{', '.join(known) or 'none'}."
        )
    return known


def _split(source: Latents | Recordings, what: str) -> tuple[list[range], list[range]]:
    train, held_out = source.split()
    if not train or not held_out:
        raise UserError(_NOT_SPLIT.format(what, len(train), len(held_out)))
    return train, held_out

"""Makes the trajectories of new dances."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, TypeVar

import numpy as np

from dancenet.data.motion.resample import frames_needed, resample_stream
from dancenet.generation.load import Dancer
from dancenet.generation.settings import DanceSettings
from dancenet.sequence import legacy
from dancenet.sequence.generate import NotFinite, generate
from dancenet.sequence.neighbour_correction import make_correction
from dancenet.sequence.style import StyleGuided, split_style, style_text
from dancenet.sequence.temperature_variation import MEMORY_SECONDS
from dancenet.support import files, terminal
from dancenet.support.errors import UserError
from dancenet.support.names import visible
from dancenet.support.wording import command, option

Item = TypeVar("Item")

# Dances made side by side, so that memory does not grow with their number. A constant of the
# format: a product of matrices may round otherwise beside more or fewer rows.
GROUP = 1000

_TEMPORARY = "TEMP" if os.name == "nt" else "TMPDIR"


def trajectories(dancer: Dancer, settings: DanceSettings, num_frames: int) -> Iterator[np.ndarray]:
    """Makes `settings.count` trajectories at the video's rate.

    Dance i has its own generator, made from the seed and i; it draws the seed clip, and then
    every step. With a style the clip is drawn among the clips of that style; without one, the
    dance is in the style of its clip.

    Yields:
        (count, D) float32 in model units, `num_frames` times.

    Raises:
        UserError: the start does not fit, or the network gave a value that is not finite.
    """
    ratio = dancer.fps / (settings.fps or dancer.fps)
    needed = frames_needed(num_frames, ratio)
    vectors = _at_own_rate(dancer, settings, needed, range(settings.count))
    yield from resample_stream(vectors, ratio, num_frames)


@contextmanager
def each_trajectory(
    dancer: Dancer,
    settings: DanceSettings,
    num_frames: int,
    stopped: threading.Event,
    first: int = 0,
) -> Iterator[Callable[[int], Iterator[np.ndarray]]]:
    """Makes trajectories at the model's rate, to be read one after the other.

    One that is drawn while it is made is never in memory as a whole. Several are made side by
    side in groups, and wait in a temporary file, as does one that is needed whole.

    Args:
        dancer: the model.
        settings: with a seed.
        num_frames: of each dance at the video's rate.
        stopped: when it is set, the dance ends there.
        first: the number of the dance that is read first.

    Yields:
        A function that takes a dance's number, from 0, and yields its vectors (D,).

    Raises:
        NotStarted: stopped before the first of several dances was complete; so does the function.
        UserError: the disk for temporary files is too small.
    """
    needed = frames_needed(num_frames, dancer.fps / (settings.fps or dancer.fps))
    if settings.count == 1 and dancer.codec.streams:
        steps = until(stopped, _at_own_rate(dancer, settings, needed, range(1)))
        yield lambda index: (rows[index] for rows in steps)
        return
    with ExitStack() as stack:
        groups: dict[int, _Spool] = {}  # the current one

        def read(index: int) -> Iterator[np.ndarray]:
            number, place = divmod(index, GROUP)
            if number not in groups:
                groups.clear()
                stack.close()
                dances = range(number * GROUP, min((number + 1) * GROUP, settings.count))
                groups[number] = stack.enter_context(_Spool(len(dances), dancer.step_model.dim))
                groups[number].check_disk(needed)
                steps = until(stopped, _at_own_rate(dancer, settings, needed, dances))
                with terminal.progress(
                    steps, total=needed, description="Choosing steps", unit="step"
                ) as shown:
                    groups[number].fill(shown)
                if settings.count > 1 and stopped.is_set():
                    raise NotStarted("Nothing was written yet.")
            return groups[number].read(place)

        read(first)
        yield read


def until(stopped: threading.Event, items: Iterable[Item]) -> Iterator[Item]:
    """Yields items, and ends after the one during which `stopped` was set."""
    for item in items:
        yield item
        if stopped.is_set():
            return


class NotStarted(KeyboardInterrupt):
    """A stop came before the first frame of a dance was there."""


class _Spool:
    """Trajectories made side by side, kept in a temporary file to be read one by one."""

    def __init__(self, count: int, dim: int) -> None:
        self._shape = (count, dim)
        self._file: IO[bytes] = tempfile.TemporaryFile()
        self._num_frames = 0

    def __enter__(self) -> _Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def check_disk(self, num_frames: int) -> None:
        """Raises UserError unless the disk has room for so many frames."""
        count, dim = self._shape
        files.check_space(
            tempfile.gettempdir(),
            4 * count * dim * num_frames,
            f"the steps of {count} dance{'s' * (count > 1)} while they wait to be drawn",
            f"ask for fewer or shorter ones, or set {_TEMPORARY} to a folder of another disk",
        )

    def fill(self, vectors: Iterable[np.ndarray]) -> None:
        for rows in vectors:
            self._file.write(np.ascontiguousarray(rows, np.float32).data)
            self._num_frames += 1

    def read(self, index: int) -> Iterator[np.ndarray]:
        row_bytes = 4 * self._shape[1]
        for frame in range(self._num_frames):
            self._file.seek((frame * self._shape[0] + index) * row_bytes)
            yield np.frombuffer(self._file.read(row_bytes), np.float32)


def _at_own_rate(
    dancer: Dancer, settings: DanceSettings, num_frames: int, dances: range
) -> Iterator[np.ndarray]:
    """Checks the settings, and makes some of the trajectories (B, D) at the model's rate."""
    if settings.seed is None:
        raise ValueError("settings.seed must be set; see `DanceSettings.with_seed`.")
    rngs = [
        np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(index,)))
        for index in dances
    ]
    style = None if settings.style is None else read_style(dancer, settings.style)
    # Drawn in any case, so that another start with one seed changes nothing but the start.
    drawn = [_draw_seed_clip(dancer, style, rng) for rng in rngs]
    if settings.start is None:
        clips = dancer.seeds[drawn]
    else:
        clips = np.repeat(read_start(dancer, settings.start)[None], len(dances), axis=0)
        drawn = [int(settings.start) if settings.start.isdecimal() else -1] * len(dances)
    temperature = settings.temperature * dancer.temperature
    if settings.legacy:
        return _named_errors(dancer, _legacy(dancer, clips, num_frames, rngs, temperature))
    styles, step_model = None, dancer.step_model
    if dancer.styles:
        step_model = StyleGuided(step_model, settings.style_strength)
        styles = np.stack([_style_of(dancer, index) if style is None else style for index in drawn])
        try:
            step_model.initial_state(1, styles[:1])
        except ValueError as error:
            raise UserError(
                f"The files of the model {dancer.name} do not belong together: its dancer does not "
                f"know its {len(dancer.styles)} styles. {error}"
            ) from error
    strength = _or(settings.neighbour_correction, dancer.neighbour_correction)
    variation = _or(settings.temperature_variation, dancer.temperature_variation)
    vectors = generate(
        step_model,
        clips,
        num_frames,
        rngs,
        temperature=temperature,
        neighbour_correction=make_correction(dancer.seeds, dancer.codec.scaler.scale, strength),
        style=styles,
        temperature_variation=(variation, MEMORY_SECONDS * dancer.fps),
    )
    return _named_errors(dancer, vectors)


def _or(asked: float | None, own: float) -> float:
    return own if asked is None else asked


def _named_errors(dancer: Dancer, vectors: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    try:
        yield from vectors
    except NotFinite as error:
        raise UserError(f"The model {dancer.name} cannot go on: {error}") from error


def read_style(dancer: Dancer, text: str) -> np.ndarray:
    """Returns the weights (S,) float32 of a model's styles that a text asks for.

    Raises:
        UserError: the model does not know a style.
    """
    wanted = split_style(text, dancer.styles)
    strange = [name for name in wanted if name not in dancer.styles]
    if strange:
        known = (
            f"it knows {', '.join(map(style_text, dancer.styles))}"
            if dancer.styles
            else f"it was trained without styles; leave out {option('style', text)}"
        )
        raise UserError(
            f"The model {visible(dancer.name)} does not know the style {strange[0]!r}: {known}."
        )
    return np.array([wanted.get(name, 0.0) for name in dancer.styles], np.float32)


def read_start(dancer: Dancer, start: str) -> np.ndarray:
    """Returns the seed clip (S, D) in model units that `start` names.

    Args:
        dancer: the model it must fit.
        start: the number of one of its own seed clips, from 0; or 'FILE:ROW', the clip of a file
            of latents that begins at that row, from 0.

    Raises:
        UserError: there is no such clip, or another encoder made the latents.
    """
    path, colon, row = start.rpartition(":")
    if not row.isdecimal():
        raise UserError(
            f"The start is the number of one of the model's {len(dancer.seeds)} seed clips (from "
            f"0), or a file of latents and a row, such as latents.npz:120; received {start!r}."
        )
    if colon:
        return dancer.codec.read_start(path, int(row), dancer.seeds.shape[1], dancer.name)
    if int(row) >= len(dancer.seeds):
        raise UserError(
            f"The model {visible(dancer.name)} has the seed clips 0 to {len(dancer.seeds) - 1}; "
            f"received {option('start', start)}."
        )
    return dancer.seeds[int(row)]


def _style_of(dancer: Dancer, clip: int) -> np.ndarray:
    """Returns the weights (S,) of the style of one of the model's seed clips, 0 if unknown."""
    known = dancer.seed_styles[clip] if clip >= 0 else ""
    return np.array([name == known for name in dancer.styles], np.float32)


def _draw_seed_clip(dancer: Dancer, style: np.ndarray | None, rng: np.random.Generator) -> int:
    """Draws the number of the seed clip that a dance starts from."""
    if style is not None:
        # First one style of a blend, and then one of its clips.
        name = dancer.styles[int(rng.choice(len(style), p=style / style.sum(dtype=np.float64)))]
        fitting = [index for index, other in enumerate(dancer.seed_styles) if other == name]
        if fitting:
            return fitting[int(rng.integers(len(fitting)))]
    return int(rng.integers(len(dancer.seeds)))


def _legacy(
    dancer: Dancer,
    clips: np.ndarray,
    num_frames: int,
    rngs: list[np.random.Generator],
    temperature: float,
) -> Iterator[np.ndarray]:
    scaler = dancer.codec.scaler
    if scaler.dim != scaler.latent_dim:
        raise UserError(
            f"{option('legacy')} feeds the dancer its latents as they come, and "
            f"{visible(dancer.name)} dances in {scaler.dim} of their {scaler.latent_dim} "
            f"dimensions. Give it a model of 2018 ({command('import-legacy')}), or one trained "
            f"with {option('network', 'dancenet')}."
        )
    return legacy.generate(
        dancer.step_model,
        clips,
        num_frames,
        rngs,
        temperature=temperature,
        to_latents=scaler.to_latents,
    )

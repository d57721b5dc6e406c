"""A trajectory to a new trajectory, one vector at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from dancenet.sequence.mixture import Mixture, sample_from_draws
from dancenet.sequence.neighbour_correction import NeighbourCorrection
from dancenet.sequence.temperature_variation import TemperatureVariation

State = tuple[np.ndarray, ...]


class NotFinite(ValueError):
    """A network gave infinity or NaN: the dance has diverged, or the network is damaged."""


class StepModel(Protocol):
    """A network that predicts the distribution of the next vector from one vector and a state."""

    dim: int  # D

    def initial_state(self, batch: int, style: np.ndarray | None = None) -> State:
        """Returns the state before the first vector, arrays with leading axis B.

        Args:
            batch: B.
            style: (S,) or (B, S) weights of the styles to dance in; None for any. It is kept as
                the last entry of the state.
        """
        ...

    def step(self, vectors: np.ndarray, state: State) -> tuple[Mixture, State]:
        """Takes (B, D) float32 and the state; returns the mixture for the next vectors."""
        ...


@runtime_checkable
class DrawingStepModel(StepModel, Protocol):
    """A step model that draws the next vectors itself, without computing a whole mixture."""

    num_mixtures: int  # K

    def sample(
        self,
        vectors: np.ndarray,
        state: State,
        gumbel: np.ndarray,
        normal: np.ndarray,
        temperature: float,
    ) -> tuple[np.ndarray, State]:
        """Takes one step and draws from the mixture, as `mixture.sample_from_draws` does.

        Args:
            vectors: (B, D) float32.
            state: as the last step gave it.
            gumbel: (B, K) draws.
            normal: (B, D) draws.
            temperature: >= 0.

        Returns:
            The next vectors, (B, D) float32, and the next state.
        """
        ...


# Many: most callers give the first four alone.
def generate(
    step_model: StepModel,
    seed: np.ndarray,
    num_frames: int,
    rngs: Sequence[np.random.Generator],
    temperature: float = 1.0,
    neighbour_correction: NeighbourCorrection | None = None,
    style: np.ndarray | None = None,
    temperature_variation: tuple[float, float] = (0.0, 1.0),
) -> Iterator[np.ndarray]:
    """Continues B seed clips, carrying the state from step to step.

    The whole seed clip passes through the network first. Each trajectory draws from its own
    generator, so its vectors do not depend on how many others are made beside it.

    Args:
        step_model: the network.
        seed: (B, S, D) real vectors in model units, S >= 1.
        num_frames: how many vectors to make.
        rngs: B generators.
        temperature: >= 0, as in `sequence.mixture.sample`.
        neighbour_correction: moves each vector towards real motion before it is fed back.
        style: (S,) or (B, S) weights of the network's styles, usually with sum 1: one of them, or
            a blend; None, or zeros, for any.
        temperature_variation: deviation and memory (frames) of `TemperatureVariation`.

    Yields:
        (B, D) float32, `num_frames` times; the first follows the end of `seed`.

    Raises:
        ValueError: the shapes do not fit.
        NotFinite: the network gave a value that is not finite.
    """
    check_seed(seed, step_model.dim, len(rngs))
    state = step_model.initial_state(len(seed), style)
    *before, vectors = np.moveaxis(seed.astype(np.float32), 1, 0)
    for known in before:
        _, state = step_model.step(known, state)
    variation = TemperatureVariation(rngs, *temperature_variation)
    for index in range(num_frames):
        if isinstance(step_model, DrawingStepModel):
            draws = variation.heat(*draw_noise(rngs, step_model.num_mixtures, step_model.dim))
            vectors, state = step_model.sample(vectors, state, *draws, temperature)
        else:
            mixture, state = step_model.step(vectors, state)
            draws = variation.heat(*draw_noise(rngs, mixture.pi_logits.shape[1], step_model.dim))
            vectors = sample_from_draws(mixture, *draws, temperature).astype(np.float32)
        check_finite(vectors, index)
        if neighbour_correction is not None:
            vectors = neighbour_correction(vectors)
        yield vectors


def begin_state(widths: Mapping[str, int], batch: int, style: np.ndarray | None = None) -> State:
    """Returns the state before the first vector: zeros, and the style if one is given.

    Args:
        widths: the width of each entry by name, in order.
        batch: B.
        style: (S,) or (B, S), for the entry `style`; None for zeros.

    Returns:
        An array (B, width) float32 for each entry.

    Raises:
        ValueError: the network has no styles, or another number.
    """
    state = {name: np.zeros((batch, width), np.float32) for name, width in widths.items()}
    if style is not None:
        if "style" not in widths:
            raise ValueError("This network was trained without styles; leave the style out.")
        shapes = ((widths["style"],), (batch, widths["style"]))
        if np.shape(style) not in shapes:
            raise ValueError(
                f"style must be weights of shape {shapes[0]} or {shapes[1]}; received "
                f"{np.shape(style)}."
            )
        state["style"][:] = style
    return tuple(state.values())


def check_seed(seed: np.ndarray, dim: int, num_rngs: int) -> None:
    """Raises ValueError unless seed clips are (B, S, D) with S >= 1, and there are B generators."""
    if seed.ndim != 3 or seed.shape[1] < 1 or seed.shape[2] != dim:
        raise ValueError(f"seed must be (B, S, {dim}) with S >= 1; received {seed.shape}.")
    if num_rngs != len(seed):
        raise ValueError(f"{len(seed)} trajectories need as many generators, not {num_rngs}.")


def check_finite(vectors: np.ndarray, index: int) -> None:
    """Raises NotFinite if the vectors of a frame are not finite."""
    if not np.isfinite(vectors).all():
        raise NotFinite(f"The network gave a value that is not finite at frame {index}.")


def draw_noise(
    rngs: Sequence[np.random.Generator], num_mixtures: int, dim: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the noise of one step: (B, K) Gumbel draws, and then (B, D) normal draws."""
    gumbel = np.stack([rng.gumbel(size=num_mixtures) for rng in rngs])
    return gumbel, np.stack([rng.standard_normal(dim) for rng in rngs])

"""A trajectory to a new trajectory, one vector at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from dancenet.sequence.mixture import Mixture, sample_from_draws

State = tuple[np.ndarray, ...]


class StepModel(Protocol):
    """A network that looks at one vector and says where the next may be."""

    dim: int  # D

    def initial_state(self, batch: int) -> State:
        """Returns the state before anything was seen, arrays with leading axis B."""
        ...

    def step(self, vectors: np.ndarray, state: State) -> tuple[Mixture, State]:
        """Takes (B, D) float32 and the state; returns the mixture for the next vectors."""
        ...


def generate(
    step_model: StepModel,
    seed: np.ndarray,
    num_frames: int,
    rngs: Sequence[np.random.Generator],
    temperature: float = 1.0,
) -> Iterator[np.ndarray]:
    """Continues B stretches of real motion, carrying the state from step to step.

    The state is filled by the whole stretch first. Each trajectory draws from its own
    generator, so its vectors do not depend on how many others are made beside it.

    Args:
        step_model: the network.
        seed: (B, S, D) real vectors in model units, S >= 1.
        num_frames: how many vectors to make.
        rngs: B generators.
        temperature: >= 0, as in `sequence.mixture.sample`.

    Yields:
        (B, D) float32, `num_frames` times; the first follows the end of `seed`.

    Raises:
        ValueError: the shapes do not fit, or the network gave a value that is not finite.
    """
    if seed.ndim != 3 or seed.shape[1] < 1 or seed.shape[2] != step_model.dim:
        raise ValueError(
            f"seed must be (B, S, {step_model.dim}) with S >= 1; received {seed.shape}."
        )
    if len(rngs) != len(seed):
        raise ValueError(f"{len(seed)} trajectories need as many generators, not {len(rngs)}.")
    state = step_model.initial_state(len(seed))
    for vectors in np.moveaxis(seed.astype(np.float32), 1, 0):
        mixture, state = step_model.step(vectors, state)
    batch, num_mixtures = mixture.pi_logits.shape
    for index in range(num_frames):
        gumbel = np.stack([rng.gumbel(size=num_mixtures) for rng in rngs])
        normal = np.stack([rng.standard_normal(step_model.dim) for rng in rngs])
        vectors = sample_from_draws(mixture, gumbel, normal, temperature).astype(np.float32)
        if not np.isfinite(vectors).all():
            raise ValueError(f"The network gave a value that is not finite at frame {index}.")
        yield vectors
        mixture, state = step_model.step(vectors, state)

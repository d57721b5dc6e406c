"""Strengthens the effect of a style on the predicted mixture."""

from __future__ import annotations

import numpy as np

from dancenet.sequence.generate import State, StepModel
from dancenet.sequence.mixture import Mixture

STRENGTH = 2.0  # trained models then keep to the style that is asked for


class StyleGuided:
    """A step model in which the effect of the style is exaggerated.

    In training the pose alone nearly always tells the style, so a network listens little to the
    style input, and a dance that has strayed into another style goes on in that one.
    Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598, equation 6) runs the network
    twice, with the style and without. Means and logits become without + strength (with -
    without); sigmas are the ones with the style.

    It is a `StepModel`; its state holds both runs, (2 B, …) each.

    Args:
        inner: the network.
        strength: 1 is the network as it is, 0 forgets the style.
    """

    def __init__(self, inner: StepModel, strength: float = STRENGTH) -> None:
        if not 0 <= strength < np.inf:
            raise ValueError(f"strength must be 0 or more and finite; received {strength}.")
        self.dim = inner.dim
        self._inner = inner
        self._strength = np.float32(strength)

    def initial_state(self, batch: int, style: np.ndarray | None = None) -> State:
        """Returns the state before the first vector, with the style and without."""
        both = self._inner.initial_state(batch, style), self._inner.initial_state(batch)
        return tuple(np.concatenate(pair) for pair in zip(*both))

    def step(self, vectors: np.ndarray, state: State) -> tuple[Mixture, State]:
        """Takes (B, D) float32 and the state; returns the mixture for the next vectors."""
        batch = len(vectors)
        mixture, state = self._inner.step(np.concatenate([vectors, vectors]), state)
        pi_logits, mu = (
            part[batch:] + self._strength * (part[:batch] - part[batch:])
            for part in (mixture.pi_logits, mixture.mu)
        )
        return Mixture(pi_logits, mu, mixture.sigma[:batch]), state

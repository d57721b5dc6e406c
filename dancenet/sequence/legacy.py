"""Generates dances as in 2018, for those who want that look.

Three things differ from `sequence.generate`, all of them mistakes: the network is fed its own
vector in the latent's units, although it was trained on vectors between 0 and 1; sigma, trained
as a standard deviation, is taken for the variance, so that a draw has the standard deviation
sqrt(sigma temperature); and the state is zero in every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dancenet.sequence.generate import StepModel, check_finite, check_seed, draw_noise
from dancenet.sequence.mixture import Mixture, sample_from_draws

TEMPERATURE = 0.01  # as in the published dances


def generate(
    step_model: StepModel,
    seed: np.ndarray,
    num_frames: int,
    rngs: Sequence[np.random.Generator],
    temperature: float,
    to_latents: Callable[[np.ndarray], np.ndarray],
) -> Iterator[np.ndarray]:
    """Continues B seed clips from their last vectors, as in 2018.

    Noise is drawn in the order of `sequence.generate`.

    Args:
        step_model: the network.
        seed: (B, S, D) real vectors in model units; only the last of each is used.
        num_frames: how many vectors to make.
        rngs: B generators.
        temperature: >= 0; divides the mixture's logits and multiplies the variance.
        to_latents: model units (B, D) to the latent's units (B, D), which are fed back.

    Yields:
        (B, D) float32 in model units, `num_frames` times.

    Raises:
        ValueError: the shapes do not fit, or the network gave a value that is not finite.
    """
    check_seed(seed, step_model.dim, len(rngs))
    fed = seed[:, -1].astype(np.float32)
    for index in range(num_frames):
        mixture, _ = step_model.step(fed, step_model.initial_state(len(fed)))
        gumbel, normal = draw_noise(rngs, mixture.pi_logits.shape[1], step_model.dim)
        vectors = sample_from_draws(_misread(mixture), gumbel, normal, temperature)
        check_finite(vectors, index)
        yield vectors.astype(np.float32)
        fed = to_latents(vectors)


def _misread(mixture: Mixture) -> Mixture:
    """Returns the mixture whose standard deviations are the roots of the given ones."""
    return mixture._replace(sigma=np.sqrt(mixture.sigma))

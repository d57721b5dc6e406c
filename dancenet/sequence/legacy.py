"""Generates as the code of 2018 did, for the look of its dances.

It differs from `sequence.generate` in three mistakes: the network's own vector is fed back in the
latent's units, although it was trained on vectors between 0 and 1; sigma, trained as a standard
deviation, is used as the variance, so a draw has the standard deviation sqrt(sigma temperature);
and the state is zero in every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dancenet.sequence.generate import StepModel, check_finite, check_seed, draw_noise
from dancenet.sequence.mixture import Mixture, sample_from_draws

TEMPERATURE = 0.01  # the setting of the published dances


def generate(
    step_model: StepModel,
    seed: np.ndarray,
    num_frames: int,
    rngs: Sequence[np.random.Generator],
    temperature: float,
    to_latents: Callable[[np.ndarray], np.ndarray],
) -> Iterator[np.ndarray]:
    """Continues B seed clips from their last vectors, as 2018 did.

    Noise is drawn in the order of `sequence.generate`.

    Args:
        step_model: the network.
        seed: (B, S, D) seed clips in model units; only the last vector of each is used.
        num_frames: number of vectors to generate.
        rngs: B generators.
        temperature: >= 0; divides the mixture's logits and multiplies the variance.
        to_latents: maps model units (B, D) to the latent's units (B, D), which are fed back.

    Yields:
        (B, D) float32 in model units, `num_frames` times.

    Raises:
        ValueError: the shapes do not match, or the network gave a value that is not finite.
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
    """Returns the mixture with the square roots of its standard deviations."""
    return mixture._replace(sigma=np.sqrt(mixture.sigma))

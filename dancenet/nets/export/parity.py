"""The comparison of exported models with Keras: differences, their effect, and speed."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dancenet.sequence.mixture import Mixture
from dancenet.support.errors import UserError

# The largest accepted difference from Keras, times the output's largest value where that is > 1.
TOLERANCE = 1e-5
# For a step, whose rounding errors go through the state into every later step: 16 steps of a
# sharply trained dancer amplify them tenfold. A wrong gate or a lost bias is off by over 1e-3.
CARRIED_TOLERANCE = 1e-4
JOINT_TOLERANCE = 1e-4  # metres, for joints that an exported codec decodes


class ParityError(UserError):
    """An exported graph does not compute what Keras computes; it was not kept."""


@dataclass(frozen=True)
class Comparison:
    """One exported function beside Keras."""

    name: str  # the file or the signature
    size_bytes: int | None  # None for one of several functions in a file
    error: float  # largest difference; relative to the largest value where that is above 1
    limit: float  # largest accepted error
    effect: str  # the measured effect of the difference, in words; may be empty
    milliseconds: float
    keras_milliseconds: float
    fits: bool = True  # the effect is within its own limit

    @property
    def passed(self) -> bool:
        """True if error and effect are within their limits."""
        return self.fits and math.isfinite(self.error) and self.error <= self.limit


def largest_difference(expected: np.ndarray, received: np.ndarray) -> float:
    """Returns the largest difference; infinite where one is not finite or the shapes differ."""
    if expected.shape != received.shape:
        return float("inf")
    # NaN counts as an infinite difference.
    return float(np.nan_to_num(np.abs(expected - received), nan=np.inf, posinf=np.inf).max())


def largest_error(expected: np.ndarray, received: np.ndarray) -> float:
    """Returns the largest difference, relative to the largest value where that is above 1."""
    error = largest_difference(expected, received)
    return error / max(1.0, float(np.abs(expected).max()))


def outline_shift(expected: np.ndarray, received: np.ndarray) -> tuple[float, float]:
    """Measures how far the dancer's outline moved between two runs of pictures.

    Args:
        expected: (B, H, W) background probability.
        received: the same, slightly different.

    Returns:
        The mean shift of the outline in pixels: pixels that changed sides, divided by the
        outline's length; and the mean IoU of the dancers, 1 for two empty pictures.
    """
    first, second = expected < 0.5, received < 0.5
    edges = (first[:, 1:] != first[:, :-1]).sum() + (first[:, :, 1:] != first[:, :, :-1]).sum()
    # A line of length 1 crosses 4 / pi edges between pixels on average over its directions.
    length = max(float(edges) * np.pi / 4, 1.0)
    union = (first | second).sum((1, 2))
    iou = np.where(union > 0, (first & second).sum((1, 2)) / np.maximum(union, 1), 1.0)
    return float((first != second).sum()) / length, float(iou.mean())


def nats_lost(expected: Mixture, received: Mixture, blur: np.ndarray | float = 0.0) -> float:
    """Returns the cost of replacing one mixture by another, in nats per dimension.

    The mean over B of an upper bound of the Kullback-Leibler divergence of two mixtures whose
    components correspond, by its chain rule (Cover and Thomas 2006, theorem 2.5.3):
    KL(pi || pi') + sum_k pi_k KL(N_k || N'_k).

    Args:
        expected: B mixtures.
        received: the same, slightly different.
        blur: standard deviation, (D,) or a number, of a Gaussian that both are convolved with
            first, so that differences too small to see do not count.
    """
    log_pi, other_log_pi = (
        logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        for logits in (expected.pi_logits.astype(np.float64), received.pi_logits.astype(np.float64))
    )
    sigma, other_sigma = (
        np.hypot(value.astype(np.float64), blur) for value in (expected.sigma, received.sigma)
    )
    ratio = sigma / other_sigma
    shift = (expected.mu.astype(np.float64) - received.mu) / other_sigma
    gaussians = (-np.log(ratio) + (np.square(ratio) + np.square(shift) - 1) / 2).sum(2)
    costs = (np.exp(log_pi) * (log_pi - other_log_pi + gaussians)).sum(1)
    return float(costs.mean()) / expected.mu.shape[2]


def time_beside(
    ours: Callable[[], object], keras_call: Callable[[], object], rounds: int = 9
) -> tuple[float, float]:
    """Returns the median milliseconds of both, called alternately under the same load."""
    taken: list[list[float]] = [[], []]
    for round_ in range(rounds + 1):
        for kept, call in zip(taken, (ours, keras_call)):
            start = time.perf_counter()
            call()
            if round_:  # the first call prepares
                kept.append((time.perf_counter() - start) * 1e3)
    return statistics.median(taken[0]), statistics.median(taken[1])


def format_comparisons(rows: Sequence[Comparison]) -> str:
    """Returns a table of size, error, effect and speed."""
    width = max(len(row.name) for row in rows)
    lines = [f"{'':{width}}  {'size':>9}  {'error':>7}  {'ms':>8}  {'Keras, ms':>9}"]
    for row in rows:
        size = "" if row.size_bytes is None else f"{row.size_bytes / 1e6:.2f} MB"
        words = row.effect if row.passed else f"{row.effect}: too much".lstrip(": ")
        lines.append(
            f"{row.name:{width}}  {size:>9}  {row.error:7.1e}  {row.milliseconds:8.2f}  "
            f"{row.keras_milliseconds:9.2f}  {words}".rstrip()
        )
    return "\n".join(lines)


def require_parity(rows: Iterable[Comparison]) -> None:
    """Raises ParityError with a table unless all passed."""
    failed = [row for row in rows if not row.passed]
    if failed:
        raise ParityError(
            "The exported networks do not compute what Keras computes, so they were not kept; the "
            "weights are as they were. This is a mistake in dancenet or a broken installation of "
            f"TensorFlow: please report it with this table.\n{format_comparisons(failed)}"
        )

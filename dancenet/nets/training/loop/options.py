"""Records of the training loop: options, schedule, epoch, result."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Batch = tuple[Any, ...]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a network is trained."""

    epochs: int = 20  # ignored if `minutes` is set
    minutes: float | None = None  # time for the whole training, resumed runs included
    learning_rate: float = 1e-3  # the highest
    warm_up_steps: int = 100  # over which the learning rate grows from 0
    final_rate: float = 0.02  # share of `learning_rate` at the end of half a cosine
    clip_norm: float = 1.0  # largest norm of the gradient of all weights together
    patience: int = 0  # epochs without a better `monitor` before stopping; 0 never stops
    monitor: str = "val_loss"  # the validation value to minimise
    keep: str = "best"  # weights of the "best" epoch, by `monitor`, or of the "last"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.keep not in ("best", "last"):
            raise ValueError(f"keep must be 'best' or 'last'; received {self.keep!r}.")

    def rate(self, step: int, total_steps: int) -> float:
        """Returns the learning rate of a step (0-based): linear up, then half a cosine down."""
        if step < self.warm_up_steps:
            return self.learning_rate * (step + 1) / self.warm_up_steps
        done = (step - self.warm_up_steps) / max(1, total_steps - self.warm_up_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        return self.learning_rate * (self.final_rate + (1 - self.final_rate) * cosine)


@dataclass(frozen=True)
class TrainOptions:
    """The values of a `Schedule` that the caller sets; None takes the default of the network."""

    epochs: int | None = None
    minutes: float | None = None
    learning_rate: float | None = None
    warm_up_steps: int | None = None
    final_rate: float | None = None
    clip_norm: float | None = None
    patience: int | None = None
    monitor: str | None = None
    keep: str | None = None
    seed: int | None = None

    def resolve(self, defaults: Schedule | None = None) -> Schedule:
        """Returns the defaults, changed where a value is set."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return dataclasses.replace(defaults or Schedule(), **given)


@dataclass(frozen=True)
class Epoch:
    """One epoch, as a source of batches sees it."""

    number: int  # 0-based
    first_step: int  # steps taken before this epoch
    num_steps: int  # how many batches to yield
    total_steps: int  # in the whole training, as planned so far
    rng: np.random.Generator  # depends on the seed and `number` only


@dataclass(frozen=True)
class TrainResult:
    """How a training ended."""

    epochs: int
    steps: int
    seconds: float  # training time over all resumed runs
    best: float  # `monitor` of the weights that were kept
    best_epoch: int  # the epoch of these weights, 1-based, as in the log
    history: list[dict[str, float]]  # one record an epoch, as in the log


def describe(options: Any, schedule: Schedule) -> dict[str, object]:
    """Returns how a network is trained, for `config.json`; `options` is its own dataclass."""
    return {**dataclasses.asdict(options), **dataclasses.asdict(schedule)}

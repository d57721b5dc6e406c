"""Progress of a training, and how many steps fit into its time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from dancenet.support.checked import AnyFloat, between

# With a time limit an epoch is shortened to have at least this many epochs, because the weights
# to keep are chosen by the validation at the end of each.
_MINIMUM_EPOCHS = 12
_MOST_STEPS = 10**12  # also of epochs and seconds
_TIME_MARGIN = 0.97  # share of the time limit to use, so that the last epoch ends inside it


@dataclass
class Progress:
    """Progress of a training: everything in a checkpoint but the variables."""

    epochs: int = 0  # finished
    steps: int = 0  # taken, including the running epoch
    epoch_steps: int = 0  # taken in the running epoch
    steps_per_epoch: int = 0
    total_steps: int = 0
    seconds: float = 0.0
    best: AnyFloat = math.inf
    best_epoch: int = 0
    stopped_early: bool = False
    # In the running epoch: the sum of each metric over the steps, and the largest gradient norm.
    sums: dict[str, AnyFloat] = field(default_factory=dict)
    largest_norm: AnyFloat = 0.0

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "total_steps"):
            between(name, getattr(self, name), 0, _MOST_STEPS)
        between("epoch_steps", self.epoch_steps, 0, self.steps)
        between("steps_per_epoch", self.steps_per_epoch, 1 if self.total_steps else 0, _MOST_STEPS)
        between("best_epoch", self.best_epoch, 0, self.epochs)
        between("seconds", self.seconds, 0, _MOST_STEPS)

    @property
    def finished(self) -> bool:
        """Whether no step is left."""
        return self.stopped_early or self.steps >= self.total_steps

    @property
    def first_step(self) -> int:
        """Number of steps before the running epoch."""
        return self.steps - self.epoch_steps

    @property
    def num_epochs(self) -> int:
        """Number of epochs of the whole training, as planned so far."""
        left = max(0, self.total_steps - self.first_step)
        return self.epochs + math.ceil(left / self.steps_per_epoch)

    def plan_epochs(self, steps_per_epoch: int, epochs: int) -> None:
        """Sets the number of steps by a number of epochs."""
        self.steps_per_epoch = max(steps_per_epoch, self.epoch_steps + 1)
        left = max(0, epochs - self.epochs)
        self.total_steps = self.first_step + left * self.steps_per_epoch
        self.stopped_early = False

    def shorten_epochs(self, seconds_left: float, step_seconds: float, end_seconds: float) -> None:
        """Shortens epochs that are too long for a time limit.

        Args:
            seconds_left: from `seconds_left`.
            step_seconds: time of a step.
            end_seconds: time of the end of an epoch: validation, checkpoint, log.
        """
        # Validation may take a sixth of the time.
        epoch_seconds = max(seconds_left / _MINIMUM_EPOCHS, 6 * end_seconds)
        shorter = int((min(epoch_seconds, seconds_left) - end_seconds) / step_seconds)
        self.steps_per_epoch = max(1, self.epoch_steps + 1, min(self.steps_per_epoch, shorter))

    def fit_time(self, seconds_left: float, step_seconds: float, end_seconds: float) -> None:
        """Sets the number of steps so that training ends at its time limit.

        Called after every epoch, because the speed of a shared machine changes. The learning
        rate follows, since it depends on the share of all steps that is done.

        Args:
            seconds_left, step_seconds, end_seconds: see `shorten_epochs`.
        """
        share = end_seconds / self.steps_per_epoch
        steps = max(0, int(seconds_left / (step_seconds + share)))
        # Drop a last epoch of a few steps: its validation would cost more than it is worth.
        rest = (self.epoch_steps + steps) % self.steps_per_epoch
        if rest < self.steps_per_epoch // 4:
            steps = max(0, steps - rest)
        if not self.epochs:
            steps = max(steps, self.steps_per_epoch - self.epoch_steps)
        self.total_steps = self.steps + steps


def seconds_left(minutes: float, seconds: float) -> float:
    """Returns the seconds left of a time limit in minutes, with a margin, after `seconds`."""
    return 60 * minutes * _TIME_MARGIN - seconds

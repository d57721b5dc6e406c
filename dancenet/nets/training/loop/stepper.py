"""The interface between the loop and the device or devices that take its steps."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import keras


class Stepper(Protocol):
    """Takes the steps of a training that several processes or devices share.

    All processes run the same loop and call these methods in the same order.
    """

    def watch(self, stop: threading.Event) -> threading.Event:
        """Returns an event set in all processes after the same step, once `stop` is set in one."""

    def train_on_batch(self, *batch: Any, return_dict: bool = True) -> dict[str, Any]:
        """Takes a step with a whole batch; returns its metrics, as Keras models do."""

    def share(self, value: Any) -> Any:
        """Returns the chief's value, which JSON can hold, in all processes."""

    def share_variables(self, variables: list[Any]) -> None:
        """Assigns the chief's values to the variables of all processes."""


class SingleStepper:
    """The stepper of one process with one device: the model itself."""

    def __init__(self, model: keras.Model) -> None:
        self.train_on_batch = model.train_on_batch

    def watch(self, stop: threading.Event) -> threading.Event:
        """Returns `stop`."""
        return stop

    def share(self, value: Any) -> Any:
        """Returns the value."""
        return value

    def share_variables(self, variables: list[Any]) -> None:
        """Leaves the variables as they are."""

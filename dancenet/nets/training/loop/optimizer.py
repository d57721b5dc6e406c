"""Adam with clipped gradients, which keeps the norm of the gradient for the log."""

from __future__ import annotations

from typing import Any

import keras

from dancenet.nets.training.loop.options import Schedule

NORM = "gradient_norm"

# On some backends `keras.optimizers.Adam(…)` returns a faster class than Adam, but not for a
# subclass of Adam; so derive from the class that it returns.
_Adam: Any = type(keras.optimizers.Adam.__new__(keras.optimizers.Adam))


class WatchedAdam(_Adam):
    """Adam that keeps the global norm of the last gradient, before clipping.

    Attributes:
        gradient_norm: a variable, () float32; 0 before the first step.
    """

    def build(self, variables: list[Any]) -> None:
        """Creates the variables, the norm last."""
        super().build(variables)
        # Changed inside the compiled step, so it must be a variable of the optimiser.
        self.gradient_norm = self.add_variable(
            shape=(), dtype="float32", aggregation="only_first_replica", name=NORM
        )

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Takes a step, as Adam does."""
        grads = list(grads)
        super().apply(grads, trainable_variables)
        squares = [
            keras.ops.sum(keras.ops.square(keras.ops.cast(grad, "float32")))
            for grad in grads
            if grad is not None
        ]
        self.gradient_norm.assign(keras.ops.sqrt(sum(squares)))


def make_optimizer(schedule: Schedule) -> keras.optimizers.Optimizer:
    """Returns Adam that clips the gradient by its global norm and keeps that norm."""
    return WatchedAdam(learning_rate=schedule.learning_rate, global_clipnorm=schedule.clip_norm)


def jit_compile() -> bool | str:
    """Returns the value for `compile(jit_compile=…)` on this backend.

    XLA made the convolutions of the VAE two to three times slower on TensorFlow's
    CPU (measure with benchmarks/train_vae.py), so it is off there.
    """
    if keras.backend.backend() == "tensorflow":
        return False
    return "auto"

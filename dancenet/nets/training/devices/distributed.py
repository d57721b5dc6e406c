"""Training steps on all devices."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from dancenet.nets.dancer_trainer import DancerTrainer, shared_means
from dancenet.nets.training.devices.cluster import first_line
from dancenet.support.errors import UserError
from dancenet.support.wording import option

if TYPE_CHECKING:
    from dancenet.nets.training.devices.devices import Devices


class DistributedStepper:
    """Takes training steps on all devices; a `loop.Stepper`.

    Args:
        devices: the devices.
        trainer: the compiled model to train.
    """

    def __init__(self, devices: Devices, trainer: DancerTrainer) -> None:
        import tensorflow as tf

        self._tf = tf
        self._devices = devices
        self._trainer = trainer
        self._asked = threading.Event()
        self._agreed = threading.Event()
        self._names: list[str] = []
        self._step = tf.function(self._whole_step, autograph=False)
        self._add = tf.function(self._sum_over_devices, autograph=False, reduce_retracing=True)

    def watch(self, stop: threading.Event) -> threading.Event:
        """Returns an event set in all processes after the same step, once `stop` is set in one."""
        self._asked = stop
        return self._agreed

    def train_on_batch(self, *batch: Any, return_dict: bool = True) -> dict[str, float]:
        """Takes one step.

        Args:
            batch: one dictionary of the whole batch, the same in every process; see
                `DancerTrainer`.
            return_dict: always true.

        Returns:
            The metrics of the whole batch: `loss`, and others of the trainer.

        Raises:
            UserError: another process has ended.
        """
        (whole,) = batch
        stop = self._asked.is_set()
        rows = len(next(iter(whole.values()))) // self._devices.num_devices

        def part(context: Any) -> dict[str, Any]:
            first = context.replica_id_in_sync_group * rows
            return {name: value[first : first + rows] for name, value in whole.items()}

        def flag(context: Any) -> np.ndarray:
            return np.array(stop, np.float32)

        with self._together():
            distribute = self._devices.strategy.experimental_distribute_values_from_function
            sums = self._step(distribute(part), distribute(flag)).numpy()
        if sums[-1] > 0:
            self._agreed.set()
        return dict(zip(self._names, sums[:-1].tolist(), strict=True))

    def share(self, value: Any) -> Any:
        """Returns the chief's value, which JSON can hold, in all processes."""
        if self._devices.num_processes == 1:
            return value
        text = np.frombuffer(json.dumps(value).encode(), np.uint8)
        size = int(self._broadcast(np.array([len(text)], np.float32))[0])
        padded = np.zeros(size, np.float32)
        if self._devices.leads:
            padded[:] = text
        return json.loads(self._broadcast(padded).astype(np.uint8).tobytes())

    def share_variables(self, variables: list[Any]) -> None:
        """Assigns the chief's values to the Keras variables of all processes."""
        if self._devices.num_processes == 1:
            return
        values = [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in variables]
        shapes = self.share([list(value.shape) for value in values])
        if shapes != [list(value.shape) for value in values]:
            raise UserError(
                "This process has another network than the chief; start all of them with the same "
                "options and the same files."
            )
        # Counters and seeds are integers, and exact in double precision.
        for dtype in (np.float32, np.float64):
            chosen = [
                index
                for index, value in enumerate(values)
                if (value.dtype == np.float32) == (dtype is np.float32)
            ]
            flat = [values[index].ravel().astype(dtype) for index in chosen]
            whole = self._broadcast(np.concatenate([np.zeros(0, dtype), *flat]))
            if self._devices.leads:
                continue
            ends = np.cumsum([values[index].size for index in chosen])
            for index, part in zip(chosen, np.split(whole, ends[:-1] if len(ends) else [])):
                variables[index].assign(part.reshape(values[index].shape))

    def _broadcast(self, array: np.ndarray) -> np.ndarray:
        """Returns the chief's array of floats; the arrays of all processes have one shape."""

        def of_device(context: Any) -> np.ndarray:
            mine = self._devices.leads and context.replica_id_in_sync_group == 0
            return array if mine else np.zeros_like(array)

        with self._together():
            distribute = self._devices.strategy.experimental_distribute_values_from_function
            return np.asarray(self._add(distribute(of_device)).numpy())

    def _sum_over_devices(self, values: Any) -> Any:
        def of_device(value: Any) -> Any:
            # Reduction goes by the device of a tensor, and an input has none yet.
            return self._all_reduce(self._tf.identity(value))

        return self._first(self._devices.strategy.run(of_device, args=(values,)))

    def _whole_step(self, batch: Any, stop: Any) -> Any:
        trainer = self._trainer
        results = self._devices.strategy.run(self._device_step, args=(batch, stop))
        gradients, states, sums = self._first(results)
        trainer.optimizer.apply(gradients, trainer.trainable_variables)
        for variable, value in zip(trainer.non_trainable_variables, states, strict=True):
            variable.assign(value)
        return sums

    def _device_step(self, batch: dict[str, Any], stop: Any) -> tuple[list[Any], list[Any], Any]:
        """Runs on every device with its part of the batch; returns values equal on all devices."""
        tf, trainer = self._tf, self._trainer
        weights = [tf.identity(variable) for variable in trainer.trainable_variables]
        states = [tf.identity(variable) for variable in trainer.non_trainable_variables]
        # Each device must draw its own dropout.
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        states = [
            state + tf.cast(tf.stack([number, 0]), state.dtype) if _is_seed(variable) else state
            for state, variable in zip(states, trainer.non_trainable_variables)
        ]
        metrics = [tf.zeros(variable.shape, variable.dtype) for variable in self._metrics()]
        known = [
            *zip(trainer.trainable_variables, weights),
            *zip(trainer.non_trainable_variables, states),
            *zip(self._metrics(), metrics),
        ]
        with tf.GradientTape() as tape, keras.StatelessScope(known) as scope:
            tape.watch(weights)
            with shared_means(self._all_reduce):
                predicted = trainer(batch, training=True)
                loss = trainer.compute_loss(x=batch, y_pred=predicted)
            for metric in trainer.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
            figures = trainer.compute_metrics(batch, None, predicted)
        gradients = tape.gradient(loss, weights, unconnected_gradients="zero")
        # Set while tracing; in the order of the trainer's metrics.
        self._names = list(figures)
        shares = tf.stack([*(tf.cast(value, tf.float32) for value in figures.values()), stop])
        *gradients, sums = self._all_reduce([*gradients, shares])
        states = [
            scope.get_current_value(variable)
            - (tf.cast(tf.stack([number, 0]), variable.dtype) if _is_seed(variable) else 0)
            for variable in trainer.non_trainable_variables
        ]
        return gradients, states, sums

    def _metrics(self) -> list[Any]:
        return list(self._trainer.metrics_variables)

    def _all_reduce(self, values: Any) -> Any:
        context = self._tf.distribute.get_replica_context()
        return context.all_reduce(self._tf.distribute.ReduceOp.SUM, values)

    def _first(self, results: Any) -> Any:
        """Returns the results of the first device of this process."""
        local = self._devices.strategy.experimental_local_results
        return self._tf.nest.map_structure(lambda value: local(value)[0], results)

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Turns TensorFlow's error of a lost process into one sentence."""
        try:
            yield
        except self._tf.errors.OpError as error:
            errors = self._tf.errors
            _, aborted, reason = str(error).partition("Collective ops is aborted by: ")
            lost = isinstance(
                error,
                (
                    errors.UnavailableError,
                    errors.AbortedError,
                    errors.CancelledError,
                    errors.DeadlineExceededError,
                ),
            )
            if self._devices.num_processes == 1 or not (aborted or lost):
                raise
            reason = reason or type(error).__name__
            raise UserError(
                f"Another process of the training is gone ({first_line(reason)}); read its last "
                f"message, and start all of them again, with {option('resume')} if the chief has "
                "a checkpoint."
            ) from error


def _is_seed(variable: Any) -> bool:
    return bool(variable.name == "seed_generator_state")

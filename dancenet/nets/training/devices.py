"""Training on several devices, or by several processes, with TensorFlow's `tf.distribute`.

    devices = open_devices("mirrored")                 # before anything else uses TensorFlow
    with devices.place(folder) as place:               # not `folder` where others write
        stepper = devices.stepper(trainer, batch_size)
        train(trainer, …, stepper=stepper)

Every process draws the same whole batches and takes its rows of them, so nothing has to hand out
data. In a step each device computes the gradient of its rows' share of the loss (see
`dancer.shared_means`); the shares and their gradients are summed over all devices, and every
process takes the same step of the optimiser, which clips the gradient of the whole batch. The loss
is that of one device with the whole batch, but for the order of the sums.

The network is an ordinary one, made outside of the strategy's scope. Keras 3 (3.15 was tried) gives
every replica the whole batch in `train_on_batch` of a model made inside, and repeats the rows in
`predict_on_batch`; its optimiser clips before it sums; and with `MultiWorkerMirroredStrategy`
neither `fit` nor `train_on_batch` works (https://github.com/keras-team/keras/issues/20585). So the
weights live once in each process, and a device gets a copy of them in every step; validation,
checkpoints and exports are those of one device.

Of several processes the chief alone writes and speaks: the task `chief`, or else the first
`worker` of `TF_CONFIG`. What depends on time or on what the disk holds (the plan, the state of a
training that is resumed, when to stop) it decides and shares.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dancenet.model.folder import CONFIG, ENCODER_GRAPH, ModelFolder
from dancenet.nets.dancer import DancerTrainer, shared_means
from dancenet.support import terminal
from dancenet.support.errors import UserError

STRATEGIES = ("mirrored", "multiworker")

_VARIABLE = "TF_CONFIG"
_EXAMPLE = (
    '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
)
_JOBS = ("chief", "worker")
_NEEDED = (CONFIG, ENCODER_GRAPH)  # of a model that is to get a dancer


@dataclass(frozen=True)
class Cluster:
    """The processes of a training, and which of them this one is."""

    addresses: tuple[str, ...]  # host:port, the chief's first
    rank: int  # of this process among them

    @property
    def chief(self) -> str:
        """The address of the one that leads."""
        return self.addresses[0]


def read_cluster(text: str | None) -> Cluster:
    """Reads the value of `TF_CONFIG`.

    Args:
        text: as TensorFlow takes it: `cluster` with the addresses of a `chief`, `worker`s or both,
            and `task` with the type and index of this process. None if it is not set.

    Raises:
        UserError: it is missing, or says something else.
    """
    if not text:
        raise UserError(
            f"--strategy multiworker needs {_VARIABLE}, from which each process knows the others "
            f"and itself, and it is not set; set it in each of them, such as {_EXAMPLE}."
        )
    try:
        content = json.loads(text)
        jobs = {job: tuple(map(str, addresses)) for job, addresses in content["cluster"].items()}
        job, index = content["task"]["type"], int(content["task"]["index"])
        if any(isinstance(addresses, str) for addresses in content["cluster"].values()):
            raise TypeError("the addresses of a job are a list")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{_VARIABLE} is malformed ({type(error).__name__}: {error}); received {text}; it is "
            f"to look like {_EXAMPLE}."
        ) from error
    addresses = tuple(address for name in _JOBS for address in jobs.get(name, ()))
    strange = set(jobs) - set(_JOBS)
    wrong = None
    if strange:
        wrong = f"knows a job {sorted(strange)[0]!r}, and only 'chief' and 'worker' are trained by"
    elif len(jobs.get("chief", ())) > 1:
        wrong = "names more than one chief"
    elif any(not _is_address(address) for address in addresses):
        wrong = "has an address that is not host:port"
    elif len(set(addresses)) < len(addresses):
        wrong = "names an address twice"
    elif job not in jobs or not 0 <= index < len(jobs[job]):
        wrong = f"says that this process is {job} {index}, which is not in its cluster"
    if wrong:
        raise UserError(f"{_VARIABLE} {wrong}; received {text}; it is to look like {_EXAMPLE}.")
    rank = index + (len(jobs.get("chief", ())) if job == "worker" else 0)
    return Cluster(addresses, rank)


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdigit() and 0 < int(port) < 65536


def open_devices(name: str, virtual_devices: int | None = None) -> Devices:
    """Finds the devices of a strategy, and waits for the other processes.

    Before anything else uses TensorFlow: devices cannot be divided later.

    Args:
        name: "mirrored", the GPUs of this machine, or the processor if there are none; or
            "multiworker", all GPUs, or the processor, of each process that `TF_CONFIG` names.
        virtual_devices: with "mirrored": divide the processor into so many devices, and take
            them. It is not faster; it shows that a training can be divided.

    Raises:
        UserError: Keras does not run on TensorFlow; `TF_CONFIG` is missing or malformed; the
            processes do not find each other.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"--strategy is for TensorFlow, and Keras runs on {keras.backend.backend()}; set "
            "KERAS_BACKEND=tensorflow, or leave --strategy out."
        )
    if virtual_devices is not None and name != "mirrored":
        raise UserError(
            "--virtual-devices divides one process and is for --strategy mirrored; leave it out, "
            "and start more processes instead."
        )
    import tensorflow as tf

    if name == "mirrored":
        return _mirrored(tf, virtual_devices)
    cluster = read_cluster(os.environ.get(_VARIABLE))
    if cluster.rank == 0 and len(cluster.addresses) > 1:
        terminal.say(
            f"Waiting for the other processes, {', '.join(cluster.addresses[1:])}; give up with "
            "Ctrl-C."
        )
    try:
        with _ended_by_interrupt():
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise UserError(
            f"The processes of {_VARIABLE} did not find each other "
            f"({_first_line(str(error))}); see that each runs with its own task and the same "
            "cluster, and that no other program uses its port."
        ) from error
    return Devices(strategy, cluster)


@contextmanager
def _ended_by_interrupt() -> Iterator[None]:
    """Lets Ctrl-C end the process while TensorFlow waits, where Python is not asked."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _mirrored(tf: Any, virtual_devices: int | None) -> Devices:
    if virtual_devices is not None:
        processor = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * virtual_devices
        try:
            tf.config.set_logical_device_configuration(processor, parts)
        except RuntimeError as error:  # TensorFlow has begun: it has the devices it has
            if len(tf.config.list_logical_devices("CPU")) < virtual_devices:
                raise RuntimeError(
                    "open_devices() has to come before anything else that uses TensorFlow."
                ) from error
        names = [f"CPU:{index}" for index in range(virtual_devices)]
        return Devices(tf.distribute.MirroredStrategy(names))
    strategy = tf.distribute.MirroredStrategy()
    if strategy.num_replicas_in_sync == 1:
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "processor and no GPU"
        terminal.say(
            f"--strategy mirrored found one {kind}, and goes on with that; it is as fast without."
        )
    return Devices(strategy)


class Devices:
    """The devices a training is divided among.

    Attributes:
        strategy: TensorFlow's.
        num_devices: of all processes together.
        num_processes: which share a training.
        rank: of this process among them.
        leads: whether this process is the chief, the only one that writes and speaks.
    """

    def __init__(self, strategy: Any, cluster: Cluster | None = None) -> None:
        self.strategy = strategy
        self.num_devices: int = strategy.num_replicas_in_sync
        self.num_processes = 1 if cluster is None else len(cluster.addresses)
        self.rank = 0 if cluster is None else cluster.rank
        self.leads = self.rank == 0

    @contextmanager
    def place(self, folder: ModelFolder) -> Iterator[ModelFolder]:
        """Yields the model folder to train in: the one that is given, for the chief.

        The others get a temporary one, with what a dancer needs of the model, and are silent.

        Args:
            folder: of the model; for silhouettes it is on the disk of every process.
        """
        if self.leads:
            yield folder
            return
        with tempfile.TemporaryDirectory(prefix="dancenet-") as path, terminal.silence():
            apart = ModelFolder(Path(path) / folder.path.name)
            if folder.exists():
                apart.create()
                for name in _NEEDED:
                    if (folder / name).is_file():
                        shutil.copyfile(folder / name, apart / name)
            try:
                yield apart
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    "The chief keeps what was learned; start all processes with --resume."
                ) from None

    def stepper(
        self, trainer: DancerTrainer, batch_size: int, same: dict[str, Any] | None = None
    ) -> DistributedStepper:
        """Returns what takes the training steps.

        Args:
            trainer: compiled; the same one in every process.
            batch_size: of all devices together.
            same: what must not differ from one process to the other, for JSON.

        Raises:
            UserError: the batch cannot be divided by the devices, or this process has been
                started for another training than the chief.
        """
        share = batch_size // self.num_devices
        if share * self.num_devices != batch_size:
            near = [f"{n * self.num_devices}" for n in (share, share + 1) if n]
            raise UserError(
                f"A batch of {batch_size} windows cannot be divided by {self.num_devices} devices; "
                f"say --batch-size {' or '.join(near)}."
            )
        stepper = DistributedStepper(self, trainer)
        known = json.loads(json.dumps(same or {}))
        wanted = stepper.share(known)
        different = sorted(
            name for name in {*known, *wanted} if known.get(name) != wanted.get(name)
        )
        if different:
            raise UserError(
                "This process was started for another training than the chief: "
                + ", ".join(
                    f"{name} is {known.get(name)} here and {wanted.get(name)} there"
                    for name in different
                )
                + "; start all of them with the same options and the same files."
            )
        if self.leads and self.num_devices > 1:
            processes = f" of {self.num_processes} processes" if self.num_processes > 1 else ""
            terminal.say(
                f"Training on {self.num_devices} devices{processes}; each takes {share} of the "
                f"{batch_size} windows of a batch."
            )
        return stepper


class DistributedStepper:
    """Takes training steps on all devices; see `train.Stepper`.

    Args:
        devices: where.
        trainer: compiled, and what is trained.
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
        """Returns an event that is set in all processes after the same step, once one stops."""
        self._asked = stop
        return self._agreed

    def train_on_batch(self, *batch: Any, return_dict: bool = True) -> dict[str, float]:
        """Takes one step.

        Args:
            batch: one dictionary of the whole batch, the same in every process; see
                `DancerTrainer`.
            return_dict: as of `keras.Model`, and always true.

        Returns:
            The figures of the whole batch: `loss`, and other metrics of the trainer.

        Raises:
            UserError: another process is gone.
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
        """Returns the chief's value, which is one that JSON can hold, in all processes."""
        if self._devices.num_processes == 1:
            return value
        text = np.frombuffer(json.dumps(value).encode(), np.uint8)
        size = int(self._of_chief(np.array([len(text)], np.float32))[0])
        padded = np.zeros(size, np.float32)
        if self._devices.leads:
            padded[:] = text
        return json.loads(self._of_chief(padded).astype(np.uint8).tobytes())

    def share_variables(self, variables: list[Any]) -> None:
        """Gives all processes the chief's values of some Keras variables."""
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
            whole = self._of_chief(np.concatenate([np.zeros(0, dtype), *flat]))
            if self._devices.leads:
                continue
            ends = np.cumsum([values[index].size for index in chosen])
            for index, part in zip(chosen, np.split(whole, ends[:-1] if len(ends) else [])):
                variables[index].assign(part.reshape(values[index].shape))

    def _of_chief(self, array: np.ndarray) -> np.ndarray:
        """Returns the chief's array of floating point numbers; all have the same shape."""

        def of_device(context: Any) -> np.ndarray:
            mine = self._devices.leads and context.replica_id_in_sync_group == 0
            return array if mine else np.zeros_like(array)

        with self._together():
            distribute = self._devices.strategy.experimental_distribute_values_from_function
            return np.asarray(self._add(distribute(of_device)).numpy())

    def _sum_over_devices(self, values: Any) -> Any:
        def of_device(value: Any) -> Any:
            # An input has no device yet, and it is by its device that it is reduced.
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
        """Runs on every device with its part of the batch; returns what is the same on all."""
        tf, trainer = self._tf, self._trainer
        weights = [tf.identity(variable) for variable in trainer.trainable_variables]
        states = [tf.identity(variable) for variable in trainer.non_trainable_variables]
        # Dropout is not to be the same for the rows of every device.
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
        # After the first trace; the order of a dictionary is that of the trainer's metrics.
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
        """Returns what the first device of this process has of a nest of results."""
        local = self._devices.strategy.experimental_local_results
        return self._tf.nest.map_structure(lambda value: local(value)[0], results)

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Says in one sentence that another process is gone."""
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
                f"Another process of the training is gone ({_first_line(reason)}); see what "
                "it said, and start all of them again, with --resume if the chief has kept "
                "something."
            ) from error


def _is_seed(variable: Any) -> bool:
    return bool(variable.name == "seed_generator_state")


def _first_line(text: str) -> str:
    return (text.strip() or "no reason is given").splitlines()[0].rstrip(".:")

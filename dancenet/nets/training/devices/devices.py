"""The devices of a training, and how to find them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from dancenet.model.folder import CONFIG, ENCODER_GRAPH, ModelFolder
from dancenet.nets.dancer_trainer import DancerTrainer
from dancenet.nets.training.devices.cluster import TF_CONFIG, Cluster, first_line, read_cluster
from dancenet.nets.training.devices.distributed import DistributedStepper
from dancenet.support import signals, terminal
from dancenet.support.errors import UserError
from dancenet.support.temporary import temporary_folder
from dancenet.support.wording import option

_NEEDED = (CONFIG, ENCODER_GRAPH)  # files of a model that the training of a dancer reads


def open_devices(name: str, virtual_devices: int | None = None) -> Devices:
    """Finds the devices of a strategy, and waits for the other processes.

    Before anything else uses TensorFlow: devices cannot be divided later.

    Args:
        name: "mirrored", the GPUs of this machine, or the processor if there are none; or
            "multiworker", all GPUs, or the processor, of each process that `TF_CONFIG` names.
        virtual_devices: with "mirrored": divide the processor into this many devices and use
            them. It is not faster; it shows that a training can be divided.

    Raises:
        UserError: Keras does not run on TensorFlow; `TF_CONFIG` is missing or malformed; the
            processes do not find each other.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"{option('strategy', name)} needs TensorFlow, and Keras runs on "
            f"{keras.backend.backend()}; set KERAS_BACKEND=tensorflow, or leave it out."
        )
    if virtual_devices is not None and name != "mirrored":
        raise UserError(
            f"{option('virtual_devices', virtual_devices)} divides one process and needs "
            f"{option('strategy', 'mirrored')}; leave it out, and start more processes instead."
        )
    import tensorflow as tf

    if name == "mirrored":
        return _mirrored(tf, virtual_devices)
    cluster = read_cluster(os.environ.get(TF_CONFIG))
    if cluster.rank == 0 and len(cluster.addresses) > 1:
        terminal.say(
            f"Waiting for the other processes, {', '.join(cluster.addresses[1:])}; give up with "
            "Ctrl-C."
        )
    try:
        with signals.by_default():  # Python handles none while TensorFlow waits
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise UserError(
            f"The processes of {TF_CONFIG} did not find each other "
            f"({first_line(str(error))}); see that each runs with its own task and the same "
            "cluster, and that no other program uses its port."
        ) from error
    return Devices(strategy, cluster)


def _mirrored(tf: Any, virtual_devices: int | None) -> Devices:
    if virtual_devices is not None:
        processor = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * virtual_devices
        try:
            tf.config.set_logical_device_configuration(processor, parts)
        except RuntimeError as error:  # TensorFlow is initialised; its devices are fixed
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
            f"{option('strategy', 'mirrored')} found one {kind} and uses it; it is as fast without."
        )
    return Devices(strategy)


class Devices:
    """The devices a training is divided among.

    Attributes:
        strategy: TensorFlow's `tf.distribute` strategy.
        num_devices: number of devices of all processes together.
        num_processes: number of processes that share the training.
        rank: index of this process, 0 for the chief.
        leads: whether this process is the chief, the only one that writes files and prints.
    """

    def __init__(self, strategy: Any, cluster: Cluster | None = None) -> None:
        self.strategy = strategy
        self.num_devices: int = strategy.num_replicas_in_sync
        self.num_processes = 1 if cluster is None else len(cluster.addresses)
        self.rank = 0 if cluster is None else cluster.rank
        self.leads = self.rank == 0

    @contextmanager
    def place(self, folder: ModelFolder) -> Iterator[ModelFolder]:
        """Yields the model folder to train in: the given one, for the chief.

        The others get a temporary one, with the files that the training reads, and print nothing.

        Args:
            folder: of the model; for silhouettes it is on the disk of every process.
        """
        if self.leads:
            yield folder
            return
        with temporary_folder() as path, terminal.silence():
            apart = ModelFolder(path / folder.path.name)
            if folder.exists():
                apart.create()
                for name in _NEEDED:
                    if (folder / name).is_file():
                        shutil.copyfile(folder / name, apart / name)
            try:
                yield apart
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    "The chief keeps the progress of the training; start all processes with "
                    f"{option('resume')}."
                ) from None

    def stepper(
        self, trainer: DancerTrainer, batch_size: int, same: dict[str, Any] | None = None
    ) -> DistributedStepper:
        """Returns the stepper that takes the training steps.

        Args:
            trainer: compiled; the same one in every process.
            batch_size: of all devices together.
            same: values, for JSON, that must be equal in all processes.

        Raises:
            UserError: the batch cannot be divided by the devices, or this process was started
                for another training than the chief.
        """
        share = batch_size // self.num_devices
        if share * self.num_devices != batch_size:
            near = [option("batch_size", n * self.num_devices) for n in (share, share + 1) if n]
            raise UserError(
                f"A batch of {batch_size} windows cannot be divided by {self.num_devices} devices; "
                f"choose {' or '.join(near)}."
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

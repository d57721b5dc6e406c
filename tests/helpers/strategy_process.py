"""One process of a training on several devices, for test_devices.py.

TensorFlow's devices and servers belong to a process, so each of these has its own:

    python tests/strategy_process.py mirrored FOLDER steps stopped resumed

does each kind of work in turn and leaves what it found in FOLDER/PROCESS-WORK.npz, where PROCESS is
`one`, `mirrored`, `chief` or `worker`.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dancenet.model.config import DancerConfig
from dancenet.nets.dancer import build_dancer
from dancenet.nets.dancer_trainer import DancerTrainer
from dancenet.nets.training.devices import Devices, open_devices
from dancenet.nets.training.loop import (
    Batch,
    Epoch,
    Schedule,
    TrainTask,
    jit_compile,
    make_optimizer,
    train,
)
from dancenet.support.errors import UserError

ROWS, TIME, DIM = 8, 10, 4
STEPS = 5  # of an epoch
STOP_AT = 7
CONFIG = DancerConfig(
    dim=DIM, units=8, num_mixtures=2, look_back=TIME, velocity_inputs=2, styles=("calm", "wild")
)
# So small that the gradient is clipped in every step.
SCHEDULE = Schedule(epochs=2, warm_up_steps=3, learning_rate=1e-2, clip_norm=0.1)
OPTIMIZERS: dict[str, Any] = {
    "adam": lambda: make_optimizer(SCHEDULE),
    # Unlike Adam's, its steps are as long as the gradient: what is summed or clipped wrongly shows.
    "sgd": lambda: keras.optimizers.SGD(0.1, global_clipnorm=SCHEDULE.clip_norm),
}


def make_trainer(optimizer: str = "adam", dropout: float = 0.0) -> DancerTrainer:
    keras.utils.set_random_seed(3)
    trainer = DancerTrainer(build_dancer(dataclasses.replace(CONFIG, dropout=dropout)))
    trainer.compile(optimizer=OPTIMIZERS[optimizer](), jit_compile=jit_compile())
    return trainer


def some_batch(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draws a batch whose second half counts seven times as much as its first."""
    shares = np.repeat([0.14, 1.0], ROWS // 2)[:, None]
    inputs = rng.standard_normal((ROWS, TIME, DIM)).astype(np.float32)
    # The halves differ, so that a mean of their means is far from the mean.
    targets = inputs + np.float32(0.3) * np.arange(ROWS, dtype=np.float32)[:, None, None]
    return {
        "inputs": inputs,
        "targets": targets,
        "mask": (rng.random((ROWS, TIME)) < shares).astype(np.float32),
        "style": np.eye(2, dtype=np.float32)[rng.integers(0, 2, ROWS)],
    }


def some_batches(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    return [some_batch(rng) for _ in range(count)]


def found_of(trainer: DancerTrainer, losses: list[float]) -> dict[str, np.ndarray]:
    weights = np.concatenate([np.ravel(weight) for weight in trainer.get_weights()])
    return {"losses": np.array(losses), "weights": weights}


def ten_steps(devices: Devices | None) -> dict[str, np.ndarray]:
    """Takes ten steps by either optimiser."""
    found = {}
    for name in OPTIMIZERS:
        trainer = make_trainer(name)
        stepper: Any = trainer if devices is None else devices.stepper(trainer, ROWS)
        losses = [
            float(stepper.train_on_batch(batch, return_dict=True)["loss"])
            for batch in some_batches(10)
        ]
        found |= {f"{name}_{key}": value for key, value in found_of(trainer, losses).items()}
    return found


def dropped(devices: Devices | None) -> dict[str, np.ndarray]:
    """Takes two steps with dropout and a batch whose second half is its first."""
    batch = some_batches(1)[0]
    batch = {name: value[np.arange(ROWS) % (ROWS // 2)] for name, value in batch.items()}
    trainer = make_trainer(dropout=0.5)
    stepper: Any = trainer if devices is None else devices.stepper(trainer, ROWS)
    if devices is None:
        batch = {name: value[: ROWS // 2] for name, value in batch.items()}
    losses = [float(stepper.train_on_batch(batch, return_dict=True)["loss"]) for _ in range(2)]
    return found_of(trainer, losses)


def trained(
    devices: Devices | None, folder: Path, stop_at: int | None = None, resume: bool = False
) -> dict[str, np.ndarray]:
    """Trains two epochs, or to a step in which this process gets Ctrl-C."""
    trainer = make_trainer()
    leads = devices is None or devices.leads
    place = folder if leads else folder / "apart"
    place.mkdir(parents=True, exist_ok=True)

    def batches(epoch: Epoch) -> Iterator[Batch]:
        for index in range(epoch.num_steps):
            # A single batch is drawn before training, to compile, and some to take the time.
            if leads and epoch.num_steps == STEPS and epoch.first_step + index == stop_at:
                os.kill(os.getpid(), signal.SIGINT)
            yield (some_batch(epoch.rng),)

    def validate() -> dict[str, float]:
        batch = some_batch(np.random.default_rng(9))
        nats = trainer.nats(batch)
        return {"val_loss": float((nats * batch["mask"]).sum() / batch["mask"].sum())}

    stopped = ""
    history: list[dict[str, float]] = []
    try:
        history = train(
            TrainTask(
                trainer, batches, validate, place, steps_per_epoch=STEPS, items_per_step=ROWS
            ),
            SCHEDULE,
            resume=resume and leads,
            stepper=None if devices is None else devices.stepper(trainer, ROWS),
        ).history
    except KeyboardInterrupt as stop:
        stopped = str(stop)
    found = found_of(trainer, [record["val_loss"] for record in history])
    return {**found, "stopped": np.array(stopped)}


def other(devices: Devices | None) -> dict[str, np.ndarray]:
    """Is started for another training than the chief, where it is not the chief."""
    assert devices is not None
    said = ""
    try:
        devices.stepper(make_trainer(), ROWS, {"units": 8 + devices.rank, "windows": 3})
    except UserError as error:
        said = str(error)
    return {"said": np.array(said)}


def gone(devices: Devices | None) -> dict[str, np.ndarray]:
    """Is killed in one of its steps, or takes steps until another is."""
    assert devices is not None
    stepper = devices.stepper(make_trainer(), ROWS)
    stepper.train_on_batch(some_batches(1)[0])
    if not devices.leads:
        signal.setitimer(signal.ITIMER_REAL, 0.2)  # the end of a process that does not handle it
    try:
        while True:
            stepper.train_on_batch(some_batches(1)[0])
    except UserError as error:
        return {"said": np.array(str(error))}


def work(kind: str, devices: Devices | None, folder: Path) -> dict[str, np.ndarray]:
    if kind == "steps":
        return ten_steps(devices)
    if kind in ("dropped", "other", "gone"):
        return {"dropped": dropped, "other": other, "gone": gone}[kind](devices)
    if kind == "straight":
        return trained(devices, folder / "straight")
    return trained(
        devices, folder / "halted", STOP_AT if kind == "stopped" else None, kind == "resumed"
    )


def main(strategy: str, folder: Path, kinds: list[str]) -> None:
    devices = open_devices(strategy, 2 if strategy == "mirrored" else None)
    name = strategy if devices.num_processes == 1 else "chief" if devices.leads else "worker"
    for kind in kinds:
        np.savez(folder / f"{name}-{kind}.npz", **work(kind, devices, folder))
        if kind == "gone":
            os._exit(0)  # TensorFlow would wait some seconds more for those that are gone


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])

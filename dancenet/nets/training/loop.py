"""The training loop both networks share: epochs, checkpoints, resuming, time.

A network is a compiled `keras.Model` that is trained with `train_on_batch`, so its loss may
be any `compute_loss` and the loop runs on every Keras backend. Everything random comes in
with the batches; they are drawn by a generator that depends on the seed and the epoch only.

    def batches(epoch: Epoch) -> Iterator[Batch]:
        for step in range(epoch.num_steps):
            rows = epoch.rng.choice(num_rows, batch_size)
            yield (inputs[rows], targets[rows])       # what train_on_batch takes: (x, y)

    def validate() -> dict[str, float]:               # must hold options.monitor
        return {"val_loss": float(...)}

    model.compile(optimizer=make_optimizer(options), jit_compile=jit_compile())
    result = train(
        model, batches, validate, folder.training / "dancer", options,
        steps_per_epoch=num_rows // batch_size, items_per_step=batch_size, resume=resume,
    )
    save_weights(network, folder / "dancer.weights.h5")  # the best ones, by validation

On return the model holds the weights of the best epoch, or of the last if so asked; `network`
above is the uncompiled model inside. A model gets figures into the log, `loss` and other metrics,
by holding `keras.metrics.Mean` trackers, as Keras models do; the loop takes their mean over the
steps of an epoch. With an optimiser that has a `gradient_norm`, as that of `make_optimizer`, the
log has its mean and its maximum, too.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import keras
import numpy as np

from dancenet.support import files, terminal
from dancenet.support.errors import UserError

CHECKPOINT = "checkpoint.npz"
BEST = "best.npz"
LOG = "log.jsonl"
NORM = "gradient_norm"

_FORMAT = 1
_TIMED_STEPS = 6
_TIMED_SECONDS = 15.0
# With a time limit an epoch is shortened so that there are this many, because each one ends
# with the validation that chooses what is kept.
_MINIMUM_EPOCHS = 12
_TIME_MARGIN = 0.97  # of the minutes asked for, so that the last epoch ends inside them
_CHECKPOINT_SECONDS = 600.0  # between checkpoints inside a long epoch

Batch = tuple[Any, ...]


@dataclass(frozen=True)
class TrainOptions:
    """How long and how fast a network is trained."""

    epochs: int = 20  # unless `minutes` decides
    minutes: float | None = None  # time for everything, resumed runs included
    learning_rate: float = 1e-3  # the highest
    warm_up_steps: int = 100  # over which the learning rate grows from 0
    final_rate: float = 0.02  # of `learning_rate`, reached at the end on half a cosine
    clip_norm: float = 1.0  # of the gradient of all weights together
    patience: int | None = None  # epochs without a better `monitor` before stopping
    monitor: str = "val_loss"  # the validation figure that is to be small
    keep: str = "best"  # the weights of the "best" epoch, by `monitor`, or of the "last"
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
class Epoch:
    """What a source of batches is told."""

    number: int  # 0-based
    first_step: int  # steps taken before this epoch
    num_steps: int  # how many batches to yield
    total_steps: int  # of the whole training, as planned so far
    rng: np.random.Generator  # depends on the seed and `number` only


@dataclass(frozen=True)
class TrainResult:
    """How a training ended."""

    epochs: int
    steps: int
    seconds: float  # of training, over all resumed runs
    best: float  # `monitor` of the weights that were kept
    best_epoch: int  # of which epoch they are, 1-based, as in the log
    history: list[dict[str, float]]  # one record an epoch, as in the log


@dataclass
class _State:
    """Where a training stands: everything in a checkpoint but the variables."""

    epochs: int = 0  # finished
    steps: int = 0  # taken, those of a running epoch included
    epoch_steps: int = 0  # taken in the running epoch
    steps_per_epoch: int = 0
    total_steps: int = 0
    seconds: float = 0.0
    best: float = math.inf
    best_epoch: int = 0
    stopped_early: bool = False
    # Of the running epoch: the sum of each figure over its steps, and the largest gradient.
    sums: dict[str, float] = field(default_factory=dict)
    largest_norm: float = 0.0


class Stepper(Protocol):
    """Takes the steps of a training that more than this process or this device has a part in.

    All processes run the same loop and call these methods in the same order.
    """

    def watch(self, stop: threading.Event) -> threading.Event:
        """Returns an event set in all processes after the same step, once `stop` is in one."""

    def train_on_batch(self, *batch: Any, return_dict: bool = True) -> dict[str, Any]:
        """Takes a step with a whole batch; returns its figures, as Keras models do."""

    def share(self, value: Any) -> Any:
        """Returns the chief's value, one that JSON can hold, in all processes."""

    def share_variables(self, variables: list[Any]) -> None:
        """Gives all processes the chief's values of some variables."""


class _Alone:
    """The stepper of one process with one device: the model itself."""

    def __init__(self, model: keras.Model) -> None:
        self.train_on_batch = model.train_on_batch

    def watch(self, stop: threading.Event) -> threading.Event:
        return stop

    def share(self, value: Any) -> Any:
        return value

    def share_variables(self, variables: list[Any]) -> None:
        pass


def describe(options: Any, train_options: TrainOptions) -> dict[str, object]:
    """Returns how a network is trained, for `config.json`; `options` is its own dataclass."""
    return {**dataclasses.asdict(options), **dataclasses.asdict(train_options)}


def spread(rows: np.ndarray, count: int) -> np.ndarray:
    """Returns `count` of the rows (N, …), or all if there are fewer, from first to last evenly."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]


# On some backends Keras puts a faster Adam in the place of its own, but not of a subclass of it.
_Adam: Any = type(keras.optimizers.Adam.__new__(keras.optimizers.Adam))


class WatchedAdam(_Adam):
    """Adam that keeps the global norm of the last gradient, as it was before it was clipped.

    Attributes:
        gradient_norm: a variable, () float32; 0 before the first step.
    """

    def build(self, variables: list[Any]) -> None:
        """Makes the variables, that of the norm last."""
        super().build(variables)
        # Changed inside the compiled step, so it has to be one of the optimiser's own.
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


def make_optimizer(options: TrainOptions) -> keras.optimizers.Optimizer:
    """Returns Adam with the gradient clipped by its global norm, and that norm kept."""
    return WatchedAdam(learning_rate=options.learning_rate, global_clipnorm=options.clip_norm)


def jit_compile() -> bool | str:
    """Returns what `compile(jit_compile=…)` should be on this backend.

    XLA made the convolutions of the VAE two to three times slower on TensorFlow's
    CPU (measure with benchmarks/train_vae.py), so it is left off there.
    """
    if keras.backend.backend() == "tensorflow":
        return False
    return "auto"


def train(
    model: keras.Model,
    batches: Callable[[Epoch], Iterator[Batch]],
    validate: Callable[[], dict[str, float]],
    folder: Path,
    options: TrainOptions,
    *,
    steps_per_epoch: int,
    items_per_step: int,
    unit: str = "frame",
    resume: bool = False,
    after_epoch: Callable[[dict[str, float]], None] | None = None,
    started: float | None = None,
    stepper: Stepper | None = None,
) -> TrainResult:
    """Trains a compiled model and leaves the weights that are kept in it.

    After each epoch `folder` holds `checkpoint.npz` (all variables, the optimiser's too, and
    where training stands), `best.npz` (the weights of the best epoch) and `log.jsonl`, each
    replaced atomically. A resumed training takes exactly the steps the uninterrupted one would
    have taken.

    Args:
        model: built, and compiled with `make_optimizer`; trained by `train_on_batch(*batch)`.
        batches: yields `epoch.num_steps` batches, the same ones for the same epoch.
        validate: returns figures of the weights as they are, `options.monitor` among them.
        folder: where checkpoints and the log go; it exists.
        options: see `TrainOptions`.
        steps_per_epoch: the most steps of an epoch; fewer if `options.minutes` is short.
        items_per_step: for the rate shown.
        unit: what an item is called in the progress bar.
        resume: continue from the checkpoint in `folder`.
        after_epoch: called with each epoch's record, before the checkpoint is written.
        started: the `time.perf_counter()` from which `options.minutes` counts; now, if None.
        stepper: takes the steps instead of the model; see `strategy.Devices`. Only the chief
            resumes, and all go on from where it is.

    Returns:
        How it ended.

    Raises:
        UserError: there is nothing to resume, or the checkpoint is of another network, or the
            loss is no longer finite.
        KeyboardInterrupt: stopped with Ctrl-C; the checkpoint holds every step taken.
    """
    stepper = stepper or _Alone(model)
    loop = _Loop(model, stepper, batches, validate, folder, options, items_per_step, unit)
    if started is not None:
        loop.started = started
    loop.warm_up()
    if resume:
        loop.restore()
    else:
        for name in (CHECKPOINT, BEST, LOG):
            (folder / name).unlink(missing_ok=True)
    loop.share()
    loop.plan(steps_per_epoch, resume)
    with _stop_on_signal() as asked:
        stop = stepper.watch(asked)
        while not loop.finished:
            loop.run_epoch(stop, after_epoch)
            if stop.is_set() and not loop.finished:
                loop.stopped()
    state, best, best_epoch = loop.state, loop.state.best, loop.state.best_epoch
    if options.keep == "last" and loop.history:
        best, best_epoch = loop.history[-1][options.monitor], state.epochs
    elif (folder / BEST).exists():
        load_variables(folder / BEST, model.weights)
    return TrainResult(state.epochs, state.steps, state.seconds, best, best_epoch, loop.history)


class _Loop:
    def __init__(
        self,
        model: keras.Model,
        stepper: Stepper,
        batches: Callable[[Epoch], Iterator[Batch]],
        validate: Callable[[], dict[str, float]],
        folder: Path,
        options: TrainOptions,
        items_per_step: int,
        unit: str,
    ) -> None:
        self.model = model
        self.stepper = stepper
        self.batches = batches
        self.validate = validate
        self.folder = folder
        self.options = options
        self.items_per_step = items_per_step
        self.unit = unit
        self.state = _State()
        self.history: list[dict[str, float]] = []
        self._asked: dict[str, Any] = {}
        self._end_seconds = 0.0  # of validation and all else that ends an epoch
        self.started = time.perf_counter()
        self._seconds_before = 0.0

    @property
    def finished(self) -> bool:
        return self.state.stopped_early or self.state.steps >= self.state.total_steps

    @property
    def seconds(self) -> float:
        return self._seconds_before + time.perf_counter() - self.started

    def restore(self) -> None:
        path = self.folder / CHECKPOINT
        if not path.exists():
            raise UserError(
                f"There is no training to resume in {self.folder}; start it without --resume."
            )
        content = load_variables(path, self._variables())
        if content.get("seed") != self.options.seed:
            raise UserError(
                f"The training in {self.folder} was begun with --seed {content.get('seed')}; "
                f"resume it with that seed (received {self.options.seed})."
            )
        self.state = _State(**content["state"])
        self._seconds_before = self.state.seconds
        self._asked = content["asked"]
        self.history = [
            record for record in read_log(self.folder / LOG) if record["epoch"] <= self.state.epochs
        ]

    def share(self) -> None:
        """Goes on from where the chief is."""
        self.stepper.share_variables(self._variables())
        self._asked, self.history = self.stepper.share([self._asked, self.history])
        self._share_state()

    def _share_state(self) -> None:
        self.state = _State(**self.stepper.share(dataclasses.asdict(self.state)))

    def plan(self, steps_per_epoch: int, resumed: bool) -> None:
        """Times a few steps, decides how many there will be, and says how long that takes."""
        state, options = self.state, self.options
        asked = {
            "epochs": options.epochs,
            "minutes": options.minutes,
            "steps_per_epoch": steps_per_epoch,
        }
        changed = self._asked != asked
        self._asked = asked
        if changed:
            state.steps_per_epoch = max(steps_per_epoch, state.epoch_steps + 1)
            epochs = max(0, options.epochs - state.epochs)
            state.total_steps = state.steps - state.epoch_steps + epochs * state.steps_per_epoch
            state.stopped_early = False
        elif self.finished:
            terminal.say(f"This training is finished: {state.epochs} epochs.")
            return
        step_seconds = self._time_steps()
        if options.minutes is not None and changed:
            self._shorten_epochs(step_seconds, 60 * options.minutes)
            self._fit_time(step_seconds, 60 * options.minutes)
        self._share_state()
        state = self.state
        num_steps = max(0, state.total_steps - state.steps)
        num_epochs = self._num_epochs() - state.epochs
        expected = num_steps * step_seconds + num_epochs * self._end_seconds
        at_most = ", or less if it stops improving" if options.patience else ""
        done = f"Resuming after {state.epochs} epochs. " if resumed else ""
        terminal.say(
            f"{done}{self.items_per_step / step_seconds:.1f} {self.unit}s a second: "
            f"{num_epochs} epochs of {state.steps_per_epoch} steps and their validation will take "
            f"about {terminal.format_seconds(expected)}{at_most}."
        )
        if not resumed:
            self._save()

    def run_epoch(
        self,
        stop: threading.Event,
        after_epoch: Callable[[dict[str, float]], None] | None,
    ) -> None:
        """Trains and validates one epoch, or the rest of one, and saves."""
        state, options = self.state, self.options
        first_step = state.steps - state.epoch_steps
        num_steps = min(state.steps_per_epoch, state.total_steps - first_step)
        epoch = Epoch(
            state.epochs, first_step, num_steps, state.total_steps, self._rng(state.epochs)
        )
        if not state.epoch_steps:
            state.sums, state.largest_norm = {}, 0.0
        began = saved = time.perf_counter()
        resumed_at = state.epoch_steps
        with terminal.progress(
            total=num_steps * self.items_per_step,
            description=f"Epoch {state.epochs + 1}/{self._num_epochs()}",
            unit=self.unit,
        ) as bar:
            bar.update(resumed_at * self.items_per_step)
            for index, batch in enumerate(self.batches(epoch)):
                if index < resumed_at:
                    continue
                figures = self._step(batch)
                if not math.isfinite(figures["loss"]):
                    raise UserError(
                        f"The loss is {figures['loss']} at step {state.steps + 1} (epoch "
                        f"{state.epochs + 1}): training has diverged. The last good state is "
                        f"kept in {self.folder}; try again with a smaller --learning-rate."
                    )
                for name, value in figures.items():
                    state.sums[name] = state.sums.get(name, 0.0) + value
                state.largest_norm = max(state.largest_norm, figures.get(NORM, 0.0))
                state.steps += 1
                state.epoch_steps += 1
                bar.update(self.items_per_step)
                bar.set_postfix_str(f"loss {figures['loss']:.4g}", refresh=False)
                if stop.is_set() and state.epoch_steps < num_steps:
                    self._save()
                    bar.close()
                    self.stopped()
                if time.perf_counter() - saved > _CHECKPOINT_SECONDS:
                    self._save()
                    saved = time.perf_counter()
        if state.epoch_steps != num_steps:
            raise RuntimeError(
                f"batches() yielded {state.epoch_steps} batches; {num_steps} were asked for."
            )
        step_seconds = (time.perf_counter() - began) / max(1, num_steps - resumed_at)
        ended = time.perf_counter()
        figures = {name: value / state.epoch_steps for name, value in state.sums.items()}
        self._end_epoch(figures, step_seconds)
        if after_epoch is not None:
            after_epoch(self.history[-1])
        self._save()
        self._end_seconds = time.perf_counter() - ended
        if options.minutes is not None and not self.finished:
            self._fit_time(step_seconds, 60 * options.minutes)
            # Again, so that a resumed run follows the same plan.
            self._save()
        self._share_state()

    def stopped(self) -> None:
        raise KeyboardInterrupt(
            f"{self.state.epochs} epochs and {self.state.epoch_steps} steps are kept in "
            f"{self.folder}; run the same command with --resume to continue."
        )

    def _end_epoch(self, figures: dict[str, float], step_seconds: float) -> None:
        state, options = self.state, self.options
        validation = self.validate()
        if not math.isfinite(validation[options.monitor]):
            raise UserError(
                f"The {options.monitor} is {validation[options.monitor]} after epoch "
                f"{state.epochs + 1}: training has diverged. The last good state is kept in "
                f"{self.folder}; try again with a smaller --learning-rate."
            )
        norms = {}
        if NORM in figures:
            norms = {NORM: figures.pop(NORM), f"{NORM}_max": state.largest_norm}
        state.epochs += 1
        state.epoch_steps = 0
        value = validation[options.monitor]
        better = value < state.best
        if better:
            state.best, state.best_epoch = value, state.epochs
            save_variables(self.folder / BEST, self.model.weights, {"epoch": state.epochs})
        elif options.patience and state.epochs - state.best_epoch >= options.patience:
            state.stopped_early = True
        state.seconds = self.seconds
        record: dict[str, float] = {
            "epoch": state.epochs,
            "step": state.steps,
            **figures,
            **validation,
            **norms,
            "learning_rate": options.rate(state.steps - 1, state.total_steps),
            f"{self.unit}s_per_second": self.items_per_step / step_seconds,
            "seconds": state.seconds,
        }
        self.history.append(record)
        write_log(self.folder / LOG, self.history)
        shown = "  ".join(
            f"{name} {number:.4g}" for name, number in {**figures, **validation}.items()
        )
        left = (state.total_steps - state.steps) * step_seconds
        left += max(0, self._num_epochs() - state.epochs) * self._end_seconds
        remaining = f", {terminal.format_seconds(left)} left" if not self.finished else ""
        terminal.say(
            f"Epoch {state.epochs}/{self._num_epochs()}: {shown}"
            f"{'  (best)' if better else ''}{remaining}"
        )
        if state.stopped_early:
            terminal.say(
                f"Stopped: {options.monitor} has not improved for {options.patience} epochs."
            )

    def _num_epochs(self) -> int:
        state = self.state
        first_step = state.steps - state.epoch_steps
        left = max(0, state.total_steps - first_step)
        return state.epochs + math.ceil(left / state.steps_per_epoch)

    def _shorten_epochs(self, step_seconds: float, time_limit: float) -> None:
        state = self.state
        usable = time_limit * _TIME_MARGIN - self.seconds
        # Validation is to cost no more than a sixth of the time.
        epoch_seconds = max(usable / _MINIMUM_EPOCHS, 6 * self._end_seconds)
        shorter = int((min(epoch_seconds, usable) - self._end_seconds) / step_seconds)
        state.steps_per_epoch = max(1, state.epoch_steps + 1, min(state.steps_per_epoch, shorter))

    def _fit_time(self, step_seconds: float, time_limit: float) -> None:
        """Sets the number of steps so that training ends when its time does.

        Called after every epoch, because the speed of a shared machine changes; the learning
        rate follows, since it depends on the share of all steps that is done.
        """
        state = self.state
        usable = time_limit * _TIME_MARGIN - self.seconds
        share = self._end_seconds / state.steps_per_epoch
        steps = max(0, int(usable / (step_seconds + share)))
        # A last epoch of a few steps would cost a validation for nothing.
        rest = (state.epoch_steps + steps) % state.steps_per_epoch
        if rest < state.steps_per_epoch // 4:
            steps = max(0, steps - rest)
        if not state.epochs:
            steps = max(steps, state.steps_per_epoch - state.epoch_steps)
        state.total_steps = state.steps + steps

    def warm_up(self) -> None:
        """Takes one step and takes it back: it compiles, and makes every variable."""
        model = self.model
        model.optimizer.build(model.trainable_variables)
        with self._untouched():
            for batch in self.batches(Epoch(0, 0, 1, 1, self._rng(0))):
                self.stepper.train_on_batch(*batch, return_dict=True)
        model.reset_metrics()

    def _time_steps(self) -> float:
        """Returns the seconds of a training step; measures a validation, too."""
        times: list[float] = []
        with self._untouched():
            batches = iter(self.batches(Epoch(0, 0, _TIMED_STEPS, _TIMED_STEPS, self._rng(0))))
            began = time.perf_counter()
            while len(times) < _TIMED_STEPS and sum(times) < _TIMED_SECONDS:
                self.stepper.train_on_batch(*next(batches), return_dict=True)
                now = time.perf_counter()
                times.append(self.stepper.share(now - began))
                began = now
        self.validate()  # the first one compiles
        began = time.perf_counter()
        self.validate()
        self._end_seconds = time.perf_counter() - began
        return float(np.median(times))

    @contextmanager
    def _untouched(self) -> Iterator[None]:
        variables = self._variables()
        before = [_to_numpy(variable) for variable in variables]
        yield
        for variable, value in zip(variables, before):
            variable.assign(value)

    def _step(self, batch: Batch) -> dict[str, float]:
        state = self.state
        self.model.optimizer.learning_rate = self.options.rate(state.steps, state.total_steps)
        # Keras resets its metrics in every call, or in none: that depends on its version.
        self.model.reset_metrics()
        logs = self.stepper.train_on_batch(*batch, return_dict=True)
        norm = getattr(self.model.optimizer, NORM, None)
        if norm is not None:
            logs = {**logs, NORM: _to_numpy(norm)}
        return {name: float(value) for name, value in logs.items()}

    def _rng(self, epoch: int) -> np.random.Generator:
        return np.random.default_rng((self.options.seed, epoch))

    def _variables(self) -> list[Any]:
        model = self.model
        seen: dict[int, Any] = {}
        for variable in (*model.variables, *model.metrics_variables, *model.optimizer.variables):
            seen.setdefault(id(variable), variable)
        # Of the last step only; nothing depends on it.
        seen.pop(id(getattr(model.optimizer, NORM, None)), None)
        return list(seen.values())

    def _save(self) -> None:
        self.state.seconds = self.seconds
        content = {
            "seed": self.options.seed,
            "asked": self._asked,
            "state": dataclasses.asdict(self.state),
        }
        save_variables(self.folder / CHECKPOINT, self._variables(), content)


def _to_numpy(variable: Any) -> np.ndarray:
    # A copy: on some backends the array is a view of memory that training overwrites.
    return np.array(keras.ops.convert_to_numpy(variable))


def save_variables(path: Path, variables: list[Any], content: dict[str, Any]) -> None:
    """Writes Keras variables, in order, and a JSON object to one .npz file, atomically."""
    arrays = {f"{index:04d}": _to_numpy(value) for index, value in enumerate(variables)}
    text = json.dumps({"format": _FORMAT, **content})
    with files.atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            # Not compressed: weights do not shrink, and this runs every epoch.
            np.savez(file, content=np.array(text), **arrays)  # type: ignore[arg-type]


def load_variables(path: Path, variables: list[Any]) -> dict[str, Any]:
    """Assigns what `save_variables` wrote and returns its JSON object.

    Raises:
        UserError: the file is damaged, or is of a network of other shapes.
    """
    arrays = files.read_npz(path, "checkpoint")
    try:
        content = json.loads(str(arrays.pop("content")))
        values = [arrays[f"{index:04d}"] for index in range(len(arrays))]
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} is not a checkpoint of dancenet: {error}.") from error
    shapes = [tuple(variable.shape) for variable in variables]
    if content.get("format") != _FORMAT or [value.shape for value in values] != shapes:
        raise UserError(
            f"{path} belongs to another network or another version of dancenet; train with the "
            "options it was begun with, or start again with --overwrite."
        )
    for variable, value in zip(variables, values):
        variable.assign(value)
    return content


def save_weights(model: keras.Model, path: Path) -> None:
    """Writes Keras's own `.weights.h5`, atomically.

    Args:
        model: a model that is not compiled; Keras saves the optimiser of one that is, which
            makes the file three times as large and unreadable for any other.
        path: ends in `.weights.h5`.

    Raises:
        UserError: the folder cannot be written.
    """
    files.check_parent(path)
    # Keras insists on the double suffix, so the file is made in a folder of its own.
    with tempfile.TemporaryDirectory(prefix=".weights-", dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        model.save_weights(temporary)
        os.replace(temporary, path)


def write_log(path: Path, history: list[dict[str, float]]) -> None:
    """Writes one JSON object a line, atomically."""
    files.write_text(path, "".join(json.dumps(record) + "\n" for record in history))


def read_log(path: Path) -> list[dict[str, float]]:
    """Reads what `write_log` wrote; a log that is not there is empty.

    Raises:
        UserError: a line is not JSON.
    """
    if not path.exists():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise UserError(f"{path} is not a training log: {error}.") from error


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """Yields an event set by Ctrl-C or SIGTERM; the second one stops at once.

    A signal that interrupted a step would leave some weights updated and some not.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        terminal.warn("stopping after this step; press Ctrl-C again to stop at once")

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)

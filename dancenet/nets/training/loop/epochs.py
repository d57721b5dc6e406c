"""The loop over epochs; see the package."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dancenet.nets.training.loop.checkpoint import (
    BEST,
    CHECKPOINT,
    load_checkpoint,
    load_variables,
    restored,
    save_variables,
    to_numpy,
    training_variables,
)
from dancenet.nets.training.loop.log import LOG, read_log, write_log
from dancenet.nets.training.loop.optimizer import NORM
from dancenet.nets.training.loop.options import Batch, Epoch, Schedule, TrainResult
from dancenet.nets.training.loop.progress import Progress, seconds_left
from dancenet.nets.training.loop.stepper import SingleStepper, Stepper
from dancenet.support import terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import option

_TIMED_STEPS = 6
_TIMED_SECONDS = 15.0
_CHECKPOINT_SECONDS = 600.0  # between checkpoints inside a long epoch


@dataclass(frozen=True)
class TrainTask:
    """The model to train, its batches, its validation, and the folder of its checkpoints."""

    model: keras.Model  # built, compiled with `make_optimizer`; trained by `train_on_batch(*batch)`
    batches: Callable[[Epoch], Iterator[Batch]]  # yields `num_steps`, the same for the same epoch
    validate: Callable[[], dict[str, float]]  # metrics of the current weights, also the `monitor`
    folder: Path  # holds checkpoints and log; exists
    steps_per_epoch: int  # at most; fewer with a short time limit
    items_per_step: int  # for the rate shown
    unit: str = "frame"  # name of an item in the progress bar
    after_epoch: Callable[[dict[str, float]], None] | None = None  # gets the record of each epoch


def train(
    task: TrainTask,
    schedule: Schedule,
    *,
    resume: bool = False,
    started: float | None = None,
    stepper: Stepper | None = None,
) -> TrainResult:
    """Trains a compiled model and leaves the weights to keep in it.

    After each epoch the folder holds `checkpoint.npz` (all variables, including the optimiser's,
    and the progress), `best.npz` (the weights of the best epoch) and `log.jsonl`, each
    replaced atomically. A resumed training takes exactly the steps of an uninterrupted one.

    Args:
        task: what to train.
        schedule: how long and how fast.
        resume: continue from the checkpoint in the folder.
        started: the `time.perf_counter()` from which `schedule.minutes` counts; now, if None.
        stepper: takes the steps instead of the model; see `devices`. Only the chief resumes, and
            all processes continue from its state.

    Raises:
        UserError: there is nothing to resume, or the checkpoint is of another network, or the
            loss is no longer finite.
        KeyboardInterrupt: stopped with Ctrl-C; the checkpoint holds every step taken.
    """
    stepper = stepper or SingleStepper(task.model)
    loop = TrainingLoop(task, schedule, stepper, started)
    # A signal that interrupted a step would leave some weights updated and some not.
    with terminal.finish_on_interrupt("this step") as asked:
        stop = stepper.watch(asked)
        loop.compile_step()
        if resume:
            loop.restore()
        else:
            for name in (CHECKPOINT, BEST, LOG):
                (task.folder / name).unlink(missing_ok=True)
        loop.share()
        loop.plan(resume, stop)
        while not stop.is_set() and not loop.progress.finished:
            loop.run_epoch(stop)
        if stop.is_set():
            loop.raise_stopped()
    return loop.finish()


class TrainingLoop:
    """A training in progress; see `train`.

    Attributes:
        progress: steps and epochs so far.
        history: the records of the log.
    """

    def __init__(
        self, task: TrainTask, schedule: Schedule, stepper: Stepper, started: float | None = None
    ) -> None:
        self.task = task
        self.schedule = schedule
        self.stepper = stepper
        self.progress = Progress()
        self.history: list[dict[str, float]] = []
        self._asked: dict[str, Any] = {}
        self._end_seconds = 0.0  # time of the end of an epoch: validation, checkpoint, log
        self._started = time.perf_counter() if started is None else started
        self._seconds_before = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of training, over all resumed runs."""
        return self._seconds_before + time.perf_counter() - self._started

    def compile_step(self) -> None:
        """Takes one step and undoes it, which compiles it and creates every variable."""
        model = self.task.model
        model.optimizer.build(model.trainable_variables)
        with restored(training_variables(model)):
            for batch in self.task.batches(Epoch(0, 0, 1, 1, self._rng(0))):
                self.stepper.train_on_batch(*batch, return_dict=True)
        model.reset_metrics()

    def restore(self) -> None:
        """Reads the checkpoint and the log."""
        folder = self.task.folder
        path = folder / CHECKPOINT
        if not path.exists():
            raise UserError(
                f"There is no training to resume in {quoted(folder)}; start it without "
                f"{option('resume')}."
            )
        checkpoint = load_checkpoint(path, training_variables(self.task.model))
        if checkpoint.seed != self.schedule.seed:
            raise UserError(
                f"The training in {folder} was begun with {option('seed', checkpoint.seed)}; "
                f"resume it with that seed (received {self.schedule.seed})."
            )
        self.progress = checkpoint.state
        self._seconds_before = self.progress.seconds
        self._asked = checkpoint.asked
        self.history = [
            record for record in read_log(folder / LOG) if record["epoch"] <= self.progress.epochs
        ]

    def share(self) -> None:
        """Continues from the state of the chief."""
        self.stepper.share_variables(training_variables(self.task.model))
        self._asked, self.history = self.stepper.share([self._asked, self.history])
        self._share_progress()

    def _share_progress(self) -> None:
        self.progress = Progress(**self.stepper.share(dataclasses.asdict(self.progress)))

    def plan(self, resumed: bool, stop: threading.Event) -> None:
        """Times a few steps, decides how many to take, and prints how long they will take.

        Once `stop` is set it decides nothing, and saves a new training so that it can be resumed.
        """
        progress, schedule, steps_per_epoch = (
            self.progress,
            self.schedule,
            self.task.steps_per_epoch,
        )
        asked = {
            "epochs": schedule.epochs,
            "minutes": schedule.minutes,
            "steps_per_epoch": steps_per_epoch,
        }
        changed = self._asked != asked
        if changed:
            progress.plan_epochs(steps_per_epoch, schedule.epochs)
        elif progress.finished:
            terminal.say(f"This training is finished: {progress.epochs} epochs.")
            return
        step_seconds = self._time_steps(stop)
        if stop.is_set():
            if not resumed:
                self._save()
            return
        self._asked = asked
        if schedule.minutes is not None and changed:
            for fit in (progress.shorten_epochs, progress.fit_time):
                fit(seconds_left(schedule.minutes, self.seconds), step_seconds, self._end_seconds)
        self._share_progress()
        self._announce(step_seconds, resumed)
        if not resumed:
            self._save()

    def _announce(self, step_seconds: float, resumed: bool) -> None:
        progress = self.progress
        num_steps = max(0, progress.total_steps - progress.steps)
        num_epochs = progress.num_epochs - progress.epochs
        expected = num_steps * step_seconds + num_epochs * self._end_seconds
        at_most = ", or less if it stops improving" if self.schedule.patience else ""
        done = f"Resuming after {progress.epochs} epochs. " if resumed else ""
        terminal.say(
            f"{done}{self.task.items_per_step / step_seconds:.1f} {self.task.unit}s a second: "
            f"{num_epochs} epochs of {progress.steps_per_epoch} steps and their validation will "
            f"take about {terminal.format_seconds(expected)}{at_most}."
        )

    def run_epoch(self, stop: threading.Event) -> None:
        """Trains and validates one epoch, or the rest of one, and saves."""
        progress = self.progress
        began, resumed_at = time.perf_counter(), progress.epoch_steps
        num_steps = min(progress.steps_per_epoch, progress.total_steps - progress.first_step)
        self._take_steps(num_steps, stop)
        ended = time.perf_counter()
        step_seconds = (ended - began) / max(1, num_steps - resumed_at)
        self._end_epoch(step_seconds)
        if self.task.after_epoch is not None:
            self.task.after_epoch(self.history[-1])
        self._save()
        self._end_seconds = time.perf_counter() - ended
        if self.schedule.minutes is not None and not progress.finished:
            left = seconds_left(self.schedule.minutes, self.seconds)
            progress.fit_time(left, step_seconds, self._end_seconds)
            # Again, so that a resumed run follows the same plan.
            self._save()
        self._share_progress()

    def _take_steps(self, num_steps: int, stop: threading.Event) -> None:
        progress = self.progress
        resumed_at, saved = progress.epoch_steps, time.perf_counter()
        if not resumed_at:
            progress.sums, progress.largest_norm = {}, 0.0
        epoch = Epoch(
            number=progress.epochs,
            first_step=progress.first_step,
            num_steps=num_steps,
            total_steps=progress.total_steps,
            rng=self._rng(progress.epochs),
        )
        with terminal.progress(
            total=num_steps * self.task.items_per_step,
            description=f"Epoch {progress.epochs + 1}/{progress.num_epochs}",
            unit=self.task.unit,
        ) as bar:
            bar.update(resumed_at * self.task.items_per_step)
            for index, batch in enumerate(self.task.batches(epoch)):
                if index < resumed_at:
                    continue
                metrics = self.step(batch)
                self._count_step(metrics)
                bar.update(self.task.items_per_step)
                bar.set_postfix_str(f"loss {metrics['loss']:.4g}", refresh=False)
                if stop.is_set() and progress.epoch_steps < num_steps:
                    self._save()
                    bar.close()
                    self.raise_stopped()
                if time.perf_counter() - saved > _CHECKPOINT_SECONDS:
                    self._save()
                    saved = time.perf_counter()
        if progress.epoch_steps != num_steps:
            raise RuntimeError(
                f"batches() yielded {progress.epoch_steps} batches; {num_steps} were asked for."
            )

    def step(self, batch: Batch) -> dict[str, float]:
        """Takes one step; returns its metrics."""
        optimizer, progress = self.task.model.optimizer, self.progress
        optimizer.learning_rate = self.schedule.rate(progress.steps, progress.total_steps)
        # Whether `train_on_batch` resets the metrics depends on the version of Keras.
        self.task.model.reset_metrics()
        metrics = self.stepper.train_on_batch(*batch, return_dict=True)
        norm = getattr(optimizer, NORM, None)
        if norm is not None:
            metrics = {**metrics, NORM: to_numpy(norm)}
        return {name: float(value) for name, value in metrics.items()}

    def _count_step(self, metrics: dict[str, float]) -> None:
        progress = self.progress
        if not math.isfinite(metrics["loss"]):
            raise self._diverged(
                f"The loss is {metrics['loss']} at step {progress.steps + 1} (epoch "
                f"{progress.epochs + 1})"
            )
        for name, value in metrics.items():
            progress.sums[name] = progress.sums.get(name, 0.0) + value
        progress.largest_norm = max(progress.largest_norm, metrics.get(NORM, 0.0))
        progress.steps += 1
        progress.epoch_steps += 1

    def _end_epoch(self, step_seconds: float) -> None:
        """Validates, keeps the best weights, and logs."""
        progress, monitor = self.progress, self.schedule.monitor
        metrics = {name: value / progress.epoch_steps for name, value in progress.sums.items()}
        validation = self.task.validate()
        value = validation[monitor]
        if not math.isfinite(value):
            raise self._diverged(f"The {monitor} is {value} after epoch {progress.epochs + 1}")
        norms = {}
        if NORM in metrics:
            norms = {NORM: metrics.pop(NORM), f"{NORM}_max": progress.largest_norm}
        progress.epochs += 1
        progress.epoch_steps = 0
        patience = self.schedule.patience
        if value < progress.best:
            progress.best, progress.best_epoch = value, progress.epochs
            weights = self.task.model.weights
            save_variables(self.task.folder / BEST, weights, {"epoch": progress.epochs})
        elif patience and progress.epochs - progress.best_epoch >= patience:
            progress.stopped_early = True
        progress.seconds = self.seconds
        record: dict[str, float] = {
            "epoch": progress.epochs,
            "step": progress.steps,
            **metrics,
            **validation,
            **norms,
            "learning_rate": self.schedule.rate(progress.steps - 1, progress.total_steps),
            f"{self.task.unit}s_per_second": self.task.items_per_step / step_seconds,
            "seconds": progress.seconds,
        }
        self.history.append(record)
        write_log(self.task.folder / LOG, self.history)
        self._report({**metrics, **validation}, step_seconds)

    def _report(self, metrics: dict[str, float], step_seconds: float) -> None:
        progress = self.progress
        shown = "  ".join(f"{name} {number:.4g}" for name, number in metrics.items())
        left = (progress.total_steps - progress.steps) * step_seconds
        left += max(0, progress.num_epochs - progress.epochs) * self._end_seconds
        remaining = "" if progress.finished else f", {terminal.format_seconds(left)} left"
        best = "  (best)" if progress.best_epoch == progress.epochs else ""
        terminal.say(f"Epoch {progress.epochs}/{progress.num_epochs}: {shown}{best}{remaining}")
        if progress.stopped_early:
            terminal.say(
                f"Stopped: {self.schedule.monitor} has not improved for {self.schedule.patience} "
                "epochs."
            )

    def _diverged(self, what: str) -> UserError:
        return UserError(
            f"{what}: training has diverged. The last good state is kept in "
            f"{quoted(self.task.folder)}; try again with a smaller learning rate, such as "
            f"{option('learning_rate', self.schedule.learning_rate / 4)}."
        )

    def raise_stopped(self) -> None:
        """Ends a training that was stopped.

        Raises:
            KeyboardInterrupt: always, with what to do next.
        """
        raise KeyboardInterrupt(
            f"{self.progress.epochs} epochs and {self.progress.epoch_steps} steps are kept in "
            f"{quoted(self.task.folder)}; run it again with {option('resume')} to continue."
        )

    def finish(self) -> TrainResult:
        """Puts the weights to keep into the model."""
        progress, folder = self.progress, self.task.folder
        best, best_epoch = progress.best, progress.best_epoch
        if self.schedule.keep == "last" and self.history:
            best, best_epoch = self.history[-1][self.schedule.monitor], progress.epochs
        elif (folder / BEST).exists():
            load_variables(folder / BEST, self.task.model.weights)
        return TrainResult(
            epochs=progress.epochs,
            steps=progress.steps,
            seconds=progress.seconds,
            best=best,
            best_epoch=best_epoch,
            history=self.history,
        )

    def _time_steps(self, stop: threading.Event) -> float:
        """Returns the seconds of a training step; measures a validation, too.

        Ends early, with a number that means nothing, once `stop` is set.
        """
        times: list[float] = []
        with restored(training_variables(self.task.model)):
            epoch = Epoch(0, 0, _TIMED_STEPS, _TIMED_STEPS, self._rng(0))
            batches = iter(self.task.batches(epoch))
            began = time.perf_counter()
            while len(times) < _TIMED_STEPS and sum(times) < _TIMED_SECONDS and not stop.is_set():
                self.stepper.train_on_batch(*next(batches), return_dict=True)
                now = time.perf_counter()
                times.append(self.stepper.share(now - began))
                began = now
        if stop.is_set():
            return 0.0
        self.task.validate()  # the first one compiles
        began = time.perf_counter()
        self.task.validate()
        self._end_seconds = time.perf_counter() - began
        return float(np.median(times))

    def _rng(self, epoch: int) -> np.random.Generator:
        return np.random.default_rng((self.schedule.seed, epoch))

    def _save(self) -> None:
        self.progress.seconds = self.seconds
        content = {
            "seed": self.schedule.seed,
            "asked": self._asked,
            "state": dataclasses.asdict(self.progress),
        }
        save_variables(self.task.folder / CHECKPOINT, training_variables(self.task.model), content)

"""The stages of a dancer's training: prepare, fit, calibrate, record."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from dancenet.model.config import SKELETON, DancerConfig, ModelConfig
from dancenet.model.folder import (
    CHECKSUMS,
    CODEC,
    DANCER_WEIGHTS,
    SCALER,
    SEEDS,
    STEP_GRAPH,
    ModelFolder,
)
from dancenet.nets.dancer import DancerNetwork, build_dancer
from dancenet.nets.dancer_trainer import DancerTrainer, begin_linear
from dancenet.nets.export.onnx import step_graph
from dancenet.nets.training.calibrate import Calibration, Motion, calibrate, report, try_dancing
from dancenet.nets.training.dataset import Dataset
from dancenet.nets.training.folder import clear, how_to_go_on, training_folder, with_record
from dancenet.nets.training.loop import (
    Batch,
    Epoch,
    Schedule,
    TrainResult,
    TrainTask,
    describe,
    jit_compile,
    make_optimizer,
    save_weights,
    train,
)
from dancenet.nets.training.loop.log import write_curves
from dancenet.nets.training.options import DancerOptions, changed
from dancenet.nets.training.statistics import baselines, choose_seeds, fit_step_scale, spread
from dancenet.nets.training.tensorboard import DancerTensorBoard, SourceClip
from dancenet.nets.training.windows import WARM_UP, WindowData
from dancenet.runtime.onnx import OnnxStepModel
from dancenet.sequence.generate import StepModel
from dancenet.sequence.neighbour_correction import NeighbourCorrection, make_correction
from dancenet.sequence.style import style_text
from dancenet.support import arrays, signals, terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.temporary import temporary_folder
from dancenet.support.wording import option

if TYPE_CHECKING:
    from dancenet.nets.training.devices import Devices

CURVES = "loss.png"
MIN_STEPS_PER_EPOCH = 20  # for a small dataset; fewer steps between two validations are too few

_REPLACED = (CHECKSUMS, SCALER, CODEC, SEEDS, STEP_GRAPH, DANCER_WEIGHTS)
_VALIDATION_BATCH = 128
_MAX_VALIDATION_WINDOWS = 512  # spread evenly over the held-out rows
_LINEAR_WINDOWS = 1024  # for the linear start of the head

DENSITY_NOTE = (
    "The loss is the negative logarithm of a density, in nats per dimension: smaller is better, "
    "and a value below zero is not a bug. A density, unlike a probability, is above 1 wherever "
    "the network predicts the next vector to within less than a unit."
)


@dataclass(frozen=True)
class TrainingRun:
    """The training of one dancer: its data, its options, and where it starts and is written."""

    dataset: Dataset
    folder: ModelFolder
    units_file: str  # SCALER or CODEC
    options: DancerOptions  # resolved
    schedule: Schedule
    start_from: ModelFolder | None = None
    initial: DancerNetwork | None = None  # the network of `start_from`
    resume: bool = False
    devices: Devices | None = None

    @property
    def training(self) -> Path:
        """Folder of checkpoints, log and curves."""
        return training_folder(self.folder, "dancer")

    @property
    def context(self) -> tuple[float, ...]:
        """Time constants of the running means, in frames."""
        if self.initial is not None:
            return self.initial.config.context
        return tuple(seconds * self.dataset.fps for seconds in self.options.context or ())

    @property
    def record(self) -> dict[str, object]:
        """Options, for `config.json`."""
        name = self.start_from.path.name if self.start_from else None
        return {**describe(self.options, self.schedule), "start_from": name}


@dataclass(frozen=True)
class _Windows:
    """The windows of a run, and the RMS step of its data."""

    data: WindowData
    count: int  # windows to train on
    held_out: np.ndarray  # (N, 2)
    rms_step: np.ndarray  # (D,)

    @classmethod
    def of(cls, run: TrainingRun) -> _Windows:
        dataset, options = run.dataset, run.options
        if options.jerk and options.look_back < WARM_UP + 3:
            raise UserError(
                f"{option('jerk', options.jerk)} needs three predictions in a row, and a window "
                f"of {options.look_back} has fewer that count; choose "
                f"{option('look_back', WARM_UP + 3)} or more, or no penalty."
            )
        data = dataset.windows(options.batch_options(run.context))
        stride = max(1, options.look_back - WARM_UP)
        return cls(
            data=data,
            count=data.count_windows(dataset.window_train, options.stride),
            held_out=spread(data.windows(dataset.window_held_out, stride), _MAX_VALIDATION_WINDOWS),
            rms_step=fit_step_scale(dataset.vectors, dataset.train),
        )


def run_training(run: TrainingRun) -> TrainResult:
    """Trains, calibrates and writes a dancer."""
    with signals.saying(lambda: how_to_go_on(run.training)):
        return _run_training(run)


def _run_training(run: TrainingRun) -> TrainResult:
    windows = _Windows.of(run)
    config = _prepare(run)
    assert config.dancer is not None
    network = _build_network(run, config.dancer, windows)
    trainer = DancerTrainer(network, run.options.jerk, windows.rms_step)
    trainer.compile(optimizer=make_optimizer(run.schedule), jit_compile=jit_compile())
    floors = baselines(run.dataset.vectors, run.dataset.train, run.dataset.held_out)
    _introduce(run.dataset, network, windows.count, floors)
    with ExitStack() as stack:
        tensorboard = None
        if run.options.tensorboard:
            tensorboard = DancerTensorBoard(
                run.training / "tensorboard",
                trainer,
                windows.data,
                windows=windows.held_out,
                rms_step=windows.rms_step,
            )
            stack.enter_context(closing(tensorboard))
        result = _fit(run, trainer, windows, tensorboard)
        if run.devices is not None and not run.devices.leads:
            return result
        curves = ("loss", "jerk") if run.options.jerk else ("loss",)
        write_curves(run.training / CURVES, result.history, curves)
        nats = result.best
        if network.config.head == "mse":
            nats = _fit_residual_sigma(run, trainer, windows)
        calibration, motion = _calibrate(run, network, tensorboard)
    # Only now: weights without their temperature would generate too much or too little motion.
    save_weights(network.model, run.folder / DANCER_WEIGHTS)
    _write_record(run, config, result, nats=nats, floors=floors, calibrated=(calibration, motion))
    terminal.say(
        f"Held out: {nats:.3f} nats per dimension (epoch {result.best_epoch}); {_compare(floors)}."
    )
    report(motion, calibration, run.options.neighbour_correction)
    return result


def _build_network(run: TrainingRun, config: DancerConfig, windows: _Windows) -> DancerNetwork:
    keras.utils.set_random_seed(run.schedule.seed)
    if run.initial is not None:
        return run.initial
    network = build_dancer(config)
    network.set_step_scale(windows.rms_step)
    if not run.resume and network.motion is not None and config.predict == "delta":
        rng = np.random.default_rng(run.schedule.seed)
        chosen = windows.data.windows(run.dataset.window_train, run.options.stride, rng)
        chosen = rng.permutation(chosen)[:_LINEAR_WINDOWS]
        begin_linear(network, **windows.data.draw(chosen, rng))
    return network


def _fit(
    run: TrainingRun,
    trainer: DancerTrainer,
    windows: _Windows,
    tensorboard: DancerTensorBoard | None,
) -> TrainResult:
    data, options = windows.data, run.options
    batch_size = min(options.batch_size, windows.count)
    stepper = None
    if run.devices is not None:
        same = {
            **run.record,
            "tensorboard": None,
            "windows": windows.count,
            "dim": run.dataset.dim,
        }
        stepper = run.devices.stepper(trainer, batch_size, same)

    def batches(epoch: Epoch) -> Iterator[Batch]:
        for batch in data.batches(
            run.dataset.window_train, options.stride, batch_size, epoch.num_steps, epoch.rng
        ):
            yield (batch,)

    def validate() -> dict[str, float]:
        return {"val_loss": _mean_over(trainer.losses, data, windows.held_out)}

    task = TrainTask(
        model=trainer,
        batches=batches,
        validate=validate,
        folder=run.training,
        steps_per_epoch=max(MIN_STEPS_PER_EPOCH, windows.count // batch_size),
        items_per_step=batch_size * options.look_back,
        unit="vector",
        after_epoch=None if tensorboard is None else tensorboard.add,
    )
    return train(task, run.schedule, resume=run.resume, stepper=stepper)


def _fit_residual_sigma(run: TrainingRun, trainer: DancerTrainer, windows: _Windows) -> float:
    """Sets the sigma of a regression; returns its held-out nats per dimension."""
    everything = windows.data.windows(run.dataset.window_train, run.options.stride)
    chosen = spread(everything, _MAX_VALIDATION_WINDOWS)
    trainer.fit_residual_sigma(_still_batches(windows.data, chosen))
    return _mean_over(trainer.nats, windows.data, windows.held_out)


def _mean_over(
    measure: Callable[[dict[str, np.ndarray]], np.ndarray], data: WindowData, windows: np.ndarray
) -> float:
    """Returns the masked mean of a measure (B, T) of batches without noise."""
    total = count = 0.0
    for batch in _still_batches(data, windows):
        total += float((measure(batch) * batch["mask"]).sum(dtype=np.float64))
        count += float(batch["mask"].sum())
    return total / count


def _still_batches(data: WindowData, windows: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    for first in range(0, len(windows), _VALIDATION_BATCH):
        yield data.still(windows[first : first + _VALIDATION_BATCH])


def _calibrate(
    run: TrainingRun, network: DancerNetwork, tensorboard: DancerTensorBoard | None
) -> tuple[Calibration, Motion]:
    dataset = run.dataset
    step_model = onnx_steps(network)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # generation may diverge
            correction = _neighbour_correction(dataset, run.options.neighbour_correction)
            calibration = calibrate(step_model, dataset, correction)
            motion = try_dancing(
                step_model,
                dataset,
                dataset.held_out,
                compared=[*dataset.train, *dataset.held_out],
                **calibration._asdict(),
                neighbour_correction=correction,
            )
            if tensorboard is not None:
                tensorboard.project(
                    dataset.vectors,
                    _source_clips(dataset),
                    step_model,
                    calibration.temperature,
                    fps=dataset.fps,
                    styles=dataset.styles,
                )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"The training is finished and kept in {run.training}; run it again with "
            f"{option('resume')} for the calibration of the temperature."
        ) from None
    return calibration, motion


def onnx_steps(network: DancerNetwork) -> StepModel:
    """Returns a dancer's steps on ONNX Runtime, a hundred times faster than in Keras."""
    with temporary_folder() as folder:
        path = folder / STEP_GRAPH
        path.write_bytes(step_graph(network).SerializeToString())
        return OnnxStepModel(path)


def _neighbour_correction(dataset: Dataset, strength: float) -> NeighbourCorrection | None:
    """Returns the correction that generation will use; see `generation.load.Dancer`."""
    seeds, _, _ = choose_seeds(dataset.vectors, dataset.train, dataset.names, dataset.fps)
    return make_correction(seeds, dataset.scale, strength)


def _source_clips(dataset: Dataset) -> list[SourceClip]:
    return [
        SourceClip(rows, kind, name, str(dataset.style_names_of(np.array([rows.start]))[0]))
        for kind, clips, names in (
            ("training", dataset.train, dataset.names),
            ("held out", dataset.held_out, dataset.held_out_names),
        )
        for rows, name in zip(clips, names)
    ]


def _prepare(run: TrainingRun) -> ModelConfig:
    """Checks the model to resume, or clears the folder and writes configuration and seeds."""
    folder, dataset = run.folder, run.dataset
    if run.initial is None:
        wanted = changed(
            run.options.config(dataset.dim), styles=dataset.style_names, context=run.context
        )
    else:
        wanted = run.initial.config
    wanted = changed(wanted, neighbour_correction=run.options.neighbour_correction)
    if not folder.exists():  # a dancer of joints needs no other files
        folder.create()
        folder.write_config(ModelConfig(folder.path.name, dataset.fps, SKELETON))
    found = folder.read_config()
    if run.resume:
        _check_same(run, found, wanted)
        return found
    clear(folder, _REPLACED, run.training)
    found = dataclasses.replace(found, dancer=wanted, fps=dataset.fps)
    config = with_record(found, "dancer", run.record)
    folder.write_config(config)
    folder.seal()
    dataset.save_units(folder / run.units_file)
    seeds, names, rows = choose_seeds(dataset.vectors, dataset.train, dataset.names, dataset.fps)
    styles = {"styles": dataset.style_names_of(rows)} if dataset.style_names else {}
    arrays.write_npz(folder / SEEDS, vectors=seeds, names=names, **styles)
    return config


def _check_same(run: TrainingRun, found: ModelConfig, wanted: DancerConfig) -> None:
    """Refuses to resume the training of another dancer."""
    begun = found.training.get("dancer", {}).get("start_from")
    # A finished training has replaced these two.
    known = found.dancer and dataclasses.replace(
        found.dancer,
        temperature=wanted.temperature,
        temperature_variation=wanted.temperature_variation,
    )
    if known != wanted or begun != run.record["start_from"]:
        source = f"started from {begun}" if begun else "started from random weights"
        raise UserError(
            f"The model in {quoted(run.folder.path)} has another dancer ({found.dancer}, "
            f"{source}); resume it with the options it was begun with."
        )


def _write_record(
    run: TrainingRun,
    config: ModelConfig,
    result: TrainResult,
    *,
    nats: float,
    floors: dict[str, float],
    calibrated: tuple[Calibration, Motion],
) -> None:
    calibration, motion = calibrated
    assert config.dancer is not None
    record = {
        **run.record,
        "frames": sum(map(len, run.dataset.window_train)),
        "held_out_frames": sum(map(len, run.dataset.window_held_out)),
        "epochs": result.epochs,
        "steps": result.steps,
        "seconds": round(result.seconds),
        "held_out": {"nats_per_dimension": round(nats, 4)},
        "baselines": {name: round(value, 4) for name, value in floors.items()},
        # JSON has no infinities.
        "dance": {name: round(min(value, 1e9), 3) for name, value in motion._asdict().items()},
    }
    dancer = dataclasses.replace(config.dancer, **calibration._asdict())
    run.folder.write_config(
        with_record(dataclasses.replace(config, dancer=dancer), "dancer", record)
    )


def _introduce(
    dataset: Dataset, network: DancerNetwork, num_windows: int, floors: dict[str, float]
) -> None:
    terminal.say(
        f"Training the dancer {network.config.network!r} ({network.count_params():,} weights) on "
        f"{sum(map(len, dataset.window_train)):,} frames of {len(dataset.window_train)} clips, "
        f"{num_windows:,} windows of {network.config.look_back}; "
        f"{sum(map(len, dataset.window_held_out)):,} frames are held out. It learns {dataset.dim} "
        f"of {dataset.raw_dim} dimensions of the {dataset.what}."
    )
    if dataset.style_names:
        terminal.say(f"Styles: {', '.join(map(style_text, dataset.style_names))}.")
    if network.config.head == "mse":
        terminal.say(
            "The loss is the mean square error, in squared RMS steps; nats are computed for one "
            "Gaussian with the RMS error as its sigma."
        )
    else:
        terminal.say(DENSITY_NOTE)
    terminal.say(f"Without a network, on the held-out frames: {_compare(floors)}.")


def _compare(floors: dict[str, float]) -> str:
    return (
        f"one Gaussian for every frame {floors['pose']:.3f} nats per dimension, staying in place "
        f"{floors['stay']:.3f}, repeating the last step {floors['repeat']:.3f}"
    )

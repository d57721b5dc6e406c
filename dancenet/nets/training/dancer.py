"""Training of the dancer: from latents or joints to the motion half of a model folder."""

from __future__ import annotations

import dataclasses
import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from dancenet.codecs.base import Scaler
from dancenet.codecs.latents import Latents
from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.data.mocap.recordings import Recording, Recordings
from dancenet.model.config import SKELETON, DancerConfig, ModelConfig
from dancenet.model.folder import (
    CHECKSUMS,
    CODEC,
    DANCER_WEIGHTS,
    ENCODER_GRAPH,
    SCALER,
    SEEDS,
    STEP_GRAPH,
    ModelFolder,
)
from dancenet.nets.dancer import (
    DancerNetwork,
    DancerTrainer,
    begin_linear,
    build_dancer,
    load_dancer,
)
from dancenet.nets.export.onnx import step_graph
from dancenet.nets.training import logs
from dancenet.nets.training import windows as dance_data
from dancenet.nets.training.dataset import VARIANCE, Material
from dancenet.nets.training.loop import (
    CHECKPOINT,
    Batch,
    Epoch,
    TrainOptions,
    TrainResult,
    describe,
    jit_compile,
    make_optimizer,
    save_weights,
    spread,
    train,
)
from dancenet.nets.training.tensorboard import DancerBoard, Stretch
from dancenet.nets.training.windows import BatchOptions, WindowData
from dancenet.runtime.onnx import OnnxStepModel
from dancenet.sequence.generate import StepModel, generate
from dancenet.sequence.neighbour_correction import NeighbourCorrection
from dancenet.sequence.style import StyleGuided
from dancenet.sequence.temperature_variation import MEMORY_SECONDS
from dancenet.support import files, terminal
from dancenet.support.errors import UserError

if TYPE_CHECKING:
    from dancenet.nets.training.devices import Devices

CURVES = "loss.png"

_REPLACED = (CHECKSUMS, SCALER, CODEC, SEEDS, STEP_GRAPH, DANCER_WEIGHTS)
_VALIDATION_BATCH = 128
_MAX_VALIDATION_WINDOWS = 512  # spread evenly over all that is held out
_LEAST_STEPS = 20  # of an epoch: with little material a step is no time to judge it by
_LINEAR_WINDOWS = 1024  # that the line the head begins with is fitted to
_TRIAL_DANCES = 48
_GUARDED_DANCES = 16
_TRIAL_SECONDS = 20.0
_MOST_WANDER = 0.4  # beyond it a dance convulses where it is hot
_PACE_SECONDS = 2.0  # of the windows whose energies are to vary as those of real ones
_TEMPERATURES = (0.2, 2.0)  # among which the one that is wanted is looked for
# Of the real energy: the last tenth would cost more wholeness than it is worth.
_WANTED_ENERGY = 0.9
_RUNS_AWAY = 4.0  # times the real energy at the end of a trial dance
_NO_DANCE = 100.0  # times the real energy: more is nothing to give figures of

DENSITY_NOTE = (
    "The loss is the negative logarithm of a density, in nats per dimension: smaller is better, "
    "and below zero is no bug. A density, unlike a probability, is above 1 wherever the network "
    "is sure of the next vector to within less than a unit."
)


@dataclass(frozen=True)
class DancerOptions:
    """What is particular to training the dancer; see `TrainOptions` for the rest.

    `network="dancenet"` with a `look_back` of 1 learns and dances as in 2018, without a state and
    with latents scaled to 0..1; with more it learns sequences. The weights and their names are
    the same.
    """

    network: str = "lean"  # "lean" or "dancenet"
    head: str | None = None  # "mixture", or "mse" for a plain regression to compare with
    units: int | None = None  # of each LSTM layer; None for the network's own
    layers: int | None = None
    num_mixtures: int | None = None
    velocity_inputs: int | None = None  # last steps shown beside the vector
    sigma_floor: float | None = None  # in units of a usual step ("lean"), or of the scaled data
    look_back: int = 64  # vectors seen before a prediction
    stride: int = 16  # vectors between two windows
    batch_size: int = 64  # windows
    perturbation: float = 0.4  # of what is seen, at most, in model units; see `WindowData.draw`
    correction_rate: float = 0.03  # share of the displacement that a step is to take back
    encoder_noise: float = 1.0  # on what is seen, times the encoder's own deviation
    noise_correlation: float = 0.98  # correlation of that noise from one vector to the next
    smoothing: float = 1.5  # of latents over time, in frames
    jerk: float = 0.0  # weight of the second difference of the predicted path; see `path_jerk`
    tensorboard: bool = False
    neighbour_correction: float = 0.0  # how firmly its dances are led back to real motion; see `sequence.neighbour_correction`

    def config(self, dim: int) -> DancerConfig:
        """Returns the network that these options ask for, for vectors of `dim` dimensions."""
        if self.network == "dancenet":
            config = DancerConfig(
                network="dancenet",
                dim=dim,
                units=512,
                layers=3,
                num_mixtures=24,
                dense_units=1000,
                dropout=0.4,
                predict="absolute",
                recurrent_activation="hard_sigmoid_2018",
                # A usual range is about ten standard deviations.
                sigma_floor=0.001 if self.look_back == 1 else 0.01,
                look_back=self.look_back,
                smoothing=self.smoothing,
            )
        else:
            config = DancerConfig(
                network=self.network,
                dim=dim,
                look_back=self.look_back,
                smoothing=self.smoothing,
                velocity_inputs=min(2, self.look_back - 1),
            )
        if self.head == "mse":
            config = dataclasses.replace(config, head="mse", num_mixtures=1)
            if self.network == "lean":
                # Plain, like the LSTM-3LR of Fragkiadaki et al. 2015, arXiv:1508.00271.
                config = dataclasses.replace(config, layers=3, dropout=0.2, velocity_inputs=0)
        return _changed(config, **self.asked())

    def asked(self) -> dict[str, Any]:
        """Returns what was asked for of the network instead of its own."""
        return {
            name: getattr(self, name)
            for name in (
                "head",
                "units",
                "layers",
                "num_mixtures",
                "sigma_floor",
                "velocity_inputs",
            )
            if getattr(self, name) is not None
        }


def train_dancer(
    latents: Latents,
    folder: ModelFolder,
    options: DancerOptions,
    train_options: TrainOptions,
    *,
    start_from: ModelFolder | None = None,
    resume: bool = False,
    overwrite: bool = False,
    devices: Devices | None = None,
) -> TrainResult:
    """Trains a dancer and writes its weights, scaler, seeds, configuration, log and curves.

    Whole clips or whole blocks of clips are held out (`Latents.split`); scaler, step scale and
    seeds come from the training clips only.

    Args:
        latents: of the model's own encoder.
        folder: the model's folder, with a trained VAE.
        options: of the dancer.
        train_options: of the loop.
        start_from: a model whose dancer is the beginning, instead of chance. Its scaler is taken
            over, so the VAE in `folder` should have begun with that model's VAE; so are its
            network and its smoothing.
        resume: continue a training that was stopped.
        overwrite: replace the dancer in `folder`.
        devices: to train on, if not only the one that Keras takes. In a process that does not
            lead, `folder` is that of `devices.place`, and no dancer is finished.

    Returns:
        How training ended; `history` has the held-out figures of every epoch.

    Raises:
        UserError: the folder has no VAE, or a dancer already; the latents are of another encoder;
            there is nothing to resume, or too little to learn from.
        KeyboardInterrupt: stopped with Ctrl-C; nothing is lost.
    """
    folder.require_silhouettes()
    encoder = folder.require(ENCODER_GRAPH, "python scripts/train_vae.py")
    latents.require_encoder(files.sha256_of(encoder), folder.path.name)
    resume = _check(folder, resume and (devices is None or devices.leads), overwrite)
    begun = None if start_from is None else _read_beginning(start_from, options)
    scaler = None
    if start_from is not None and begun is not None:
        scaler = Scaler.load(start_from.require(SCALER, "python scripts/train_dancer.py"))
        if scaler.latent_dim != latents.z_mean.shape[1]:
            raise UserError(
                f"The dancer of {start_from.path} knows latents of {scaler.latent_dim} "
                f"dimensions; these have {latents.z_mean.shape[1]}. Start from a model with the "
                "same VAE, or leave --start-from out."
            )
        options = dataclasses.replace(
            options, network=begun.config.network, smoothing=begun.config.smoothing
        )
    if resume:
        scaler = Scaler.load(folder / SCALER)
    material = Material.of_latents(
        latents, options.network, options.look_back, options.smoothing, scaler
    )
    return _train(
        material, SCALER, folder, options, train_options, start_from, begun, resume, devices
    )


def train_skeleton_dancer(
    recordings: Recordings | Callable[[], Iterable[Recording]],
    folder: ModelFolder,
    options: DancerOptions,
    train_options: TrainOptions,
    *,
    variance: float = VARIANCE,
    start_from: ModelFolder | None = None,
    resume: bool = False,
    overwrite: bool = False,
    devices: Devices | None = None,
) -> TrainResult:
    """Trains a dancer of joints and writes a whole model; see `train_dancer`.

    Args:
        recordings: of one skeleton; their styles are what the dancer can be steered by. What
            yields them, the same each time it is called, is streamed: see `Material.of_stream`.
        folder: the model's folder, which need not exist.
        options: of the dancer; `smoothing` is of latents, and does nothing here.
        train_options: of the loop.
        variance: share of the variance of the joints whose directions are danced.
        start_from: a model of that skeleton whose dancer is the beginning, instead of chance. Its
            codec, network and styles are taken over.
        resume: continue a training that was stopped.
        overwrite: replace the dancer in `folder`.
        devices: as of `train_dancer`.

    Raises:
        UserError: the folder is of a model of silhouettes, or has a dancer already; the
            recordings do not fit the model that is gone on from; there is too little to learn.
        KeyboardInterrupt: stopped with Ctrl-C; nothing is lost.
    """
    if folder.exists() and folder.read_config().space != SKELETON:
        raise UserError(
            f"The model {folder.path} dances in silhouettes; choose another --name for a dancer "
            "of joints."
        )
    resume = _check(folder, resume and (devices is None or devices.leads), overwrite)
    options = dataclasses.replace(options, smoothing=0.0)
    begun = None if start_from is None else _read_beginning(start_from, options)
    codec, style_names = None, None
    if start_from is not None and begun is not None:
        codec = SkeletonCodec.load(start_from.require(CODEC, "python scripts/train_dancer.py"))
        style_names = begun.config.styles
        options = dataclasses.replace(options, network=begun.config.network)
    if resume:
        codec = SkeletonCodec.load(folder / CODEC)
    if isinstance(recordings, Recordings):
        material = Material.of_recordings(recordings, codec, variance, style_names)
        return _train(
            material,
            CODEC,
            folder,
            options,
            train_options,
            start_from,
            begun,
            resume,
            devices,
        )
    with tempfile.TemporaryDirectory(prefix="dancenet-") as place:
        material = Material.of_stream(
            recordings, Path(place) / "trajectory.npy", codec, variance, style_names
        )
        return _train(
            material,
            CODEC,
            folder,
            options,
            train_options,
            start_from,
            begun,
            resume,
            devices,
        )


def _train(
    material: Material,
    units_file: str,
    folder: ModelFolder,
    options: DancerOptions,
    train_options: TrainOptions,
    start_from: ModelFolder | None,
    begun: DancerNetwork | None,
    resume: bool,
    devices: Devices | None = None,
) -> TrainResult:
    if options.jerk and options.look_back < dance_data.WARM_UP + 3:
        raise UserError(
            f"--jerk needs three predictions in a row, and in a window of {options.look_back} "
            f"fewer count; say --look-back {dance_data.WARM_UP + 3} or more, or leave --jerk out."
        )
    place = folder.training / "dancer"
    vectors, train_clips, held_out_clips = material.vectors, material.train, material.held_out
    usual_step = dance_data.fit_step_scale(vectors, train_clips)
    step_scale = usual_step if begun is None else begun.step_scale
    data = material.windows(
        BatchOptions(
            options.look_back,
            perturbation=options.perturbation,
            correction_rate=options.correction_rate,
            encoder_noise=options.encoder_noise,
            noise_correlation=options.noise_correlation,
        )
    )
    num_windows = data.count_windows(material.window_train, options.stride)
    held_out = spread(
        data.windows(material.window_held_out, max(1, options.look_back - dance_data.WARM_UP)),
        _MAX_VALIDATION_WINDOWS,
    )
    wanted = _changed(
        _changed(options.config(material.dim), styles=material.style_names)
        if begun is None
        else begun.config,
        neighbour_correction=options.neighbour_correction,
    )
    record = {
        **describe(options, train_options),
        "start_from": start_from.path.name if start_from else None,
    }
    config = _prepare(folder, wanted, record, material.fps, resume)
    assert config.dancer is not None
    if not resume:
        material.save_units(folder / units_file)
        seeds, names, rows = dance_data.choose_seeds(
            vectors, train_clips, material.names, material.fps
        )
        known = {"styles": material.style_names_of(rows)} if material.style_names else {}
        files.write_npz(folder / SEEDS, vectors=seeds, names=names, **known)
    keras.utils.set_random_seed(train_options.seed)
    if begun is not None:
        network = begun
    else:
        network = build_dancer(config.dancer)
        network.set_step_scale(step_scale)
    is_new = begun is None and not resume
    if is_new and network.motion is not None and network.config.predict == "delta":
        rng = np.random.default_rng(train_options.seed)
        windows = data.windows(material.window_train, options.stride, rng)
        begin_linear(network, **data.draw(rng.permutation(windows)[:_LINEAR_WINDOWS], rng))
    trainer = DancerTrainer(network, options.jerk, usual_step)
    trainer.compile(optimizer=make_optimizer(train_options), jit_compile=jit_compile())
    floors = dance_data.baselines(vectors, train_clips, held_out_clips)
    _introduce(material, network, num_windows, floors)
    batch_size = min(options.batch_size, num_windows)
    stepper = None
    if devices is not None:
        same = {**record, "tensorboard": None, "windows": num_windows, "dim": material.dim}
        stepper = devices.stepper(trainer, batch_size, same)

    def batches(epoch: Epoch) -> Iterator[Batch]:
        drawn = data.batches(
            material.window_train, options.stride, batch_size, epoch.num_steps, epoch.rng
        )
        for batch in drawn:
            yield (batch,)

    def validate() -> dict[str, float]:
        return {"val_loss": _mean_over(trainer.losses, data, held_out)}

    board = None
    if options.tensorboard:
        board = DancerBoard(place / "tensorboard", trainer, data, held_out, usual_step)
    result = train(
        trainer,
        batches,
        validate,
        place,
        train_options,
        steps_per_epoch=max(_LEAST_STEPS, num_windows // batch_size),
        items_per_step=batch_size * options.look_back,
        unit="vector",
        resume=resume,
        after_epoch=None if board is None else board.add,
        stepper=stepper,
    )
    if devices is not None and not devices.leads:
        if board is not None:
            board.close()
        return result
    curves = ("loss", "jerk") if options.jerk else ("loss",)
    logs.write_curves(place / CURVES, result.history, curves)
    nats = result.best
    if network.config.head == "mse":
        everything = data.windows(material.window_train, options.stride)
        learned = spread(everything, _MAX_VALIDATION_WINDOWS)
        trainer.fit_residual_sigma(_still_batches(data, learned))
        nats = held_out_nats(trainer, data, held_out)
    step_model = _fast_step(network)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # of a dance that runs away
            neighbour_correction = _neighbour_correction(material, options.neighbour_correction)
            temperature, temperature_variation = calibrate(
                step_model, material, neighbour_correction
            )
            dance = try_dancing(
                step_model,
                material,
                material.held_out,
                temperature,
                temperature_variation,
                neighbour_correction,
                [*material.train, *material.held_out],
            )
            if board is not None:
                board.project(
                    vectors,
                    _stretches(material),
                    step_model,
                    temperature,
                    material.fps,
                    material.styles,
                )
                board.close()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"The training is finished and kept in {place}; run the same command with --resume "
            "to find the temperature of the dance, too."
        ) from None
    # Only now: weights without their temperature would dance too wildly, or too tamely.
    save_weights(network.model, folder / DANCER_WEIGHTS)
    folder.write_config(
        _with_training(
            dataclasses.replace(
                config,
                dancer=dataclasses.replace(
                    config.dancer,
                    temperature=temperature,
                    temperature_variation=temperature_variation,
                ),
            ),
            {
                **record,
                "frames": sum(map(len, material.window_train)),
                "held_out_frames": sum(map(len, material.window_held_out)),
                "epochs": result.epochs,
                "steps": result.steps,
                "seconds": round(result.seconds),
                "held_out": {"nats_per_dimension": round(nats, 4)},
                "baselines": {name: round(value, 4) for name, value in floors.items()},
                # JSON has no infinities.
                "dance": {name: round(min(value, 1e9), 3) for name, value in dance.items()},
            },
        )
    )
    terminal.say(
        f"Held out: {nats:.3f} nats per dimension (epoch {result.best_epoch}); one "
        f"Gaussian for every frame {floors['pose']:.3f}, staying in place {floors['stay']:.3f}, "
        f"repeating the last step {floors['repeat']:.3f}."
    )
    if dance["energy"] < _NO_DANCE:
        wanders = (
            f", and that wanders by {temperature_variation:g} to vary the pace as they do"
            if temperature_variation
            else ""
        )
        terminal.say(
            f"Dancing freely for {_TRIAL_SECONDS:.0f} s, {_num_trials(neighbour_correction)} times, at the "
            f"temperature of {temperature:g} that gives it {_WANTED_ENERGY:.0%} of the energy of "
            f"the dances it knows{wanders}, it moves with {dance['energy']:.0%} of the energy of "
            f"the real dance ({dance['energy_at_end']:.0%} in the last quarter), stands still "
            f"{dance['still']:.0%} of the time (real: {dance['still_real']:.0%}), and is "
            f"{dance['spread']:.0%} as widely spread."
        )
    if not dance["energy_at_end"] < _RUNS_AWAY:
        terminal.warn(
            "left alone, this dancer runs away from what it has seen; train it longer, give it "
            "more material, or generate with a --temperature below 1."
        )
    return result


def held_out_nats(trainer: DancerTrainer, data: WindowData, windows: np.ndarray) -> float:
    """Returns the nats per dimension of windows (N, 2) without noise."""
    return _mean_over(trainer.nats, data, windows)


def _mean_over(
    measure: Callable[[dict[str, np.ndarray]], np.ndarray], data: WindowData, windows: np.ndarray
) -> float:
    total = count = 0.0
    for batch in _still_batches(data, windows):
        total += float((measure(batch) * batch["mask"]).sum(dtype=np.float64))
        count += float(batch["mask"].sum())
    return total / count


def _still_batches(data: WindowData, windows: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    for first in range(0, len(windows), _VALIDATION_BATCH):
        yield data.still(windows[first : first + _VALIDATION_BATCH])


def _fast_step(network: DancerNetwork) -> StepModel:
    """Returns a dancer's steps on ONNX Runtime: a hundred times faster than layer by layer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / STEP_GRAPH
        path.write_bytes(step_graph(network).SerializeToString())
        return OnnxStepModel(path)


def _neighbour_correction(material: Material, strength: float) -> NeighbourCorrection | None:
    """Returns the guard that dances of a model will have; see `generation.settings.Dancer`."""
    if not strength:
        return None
    seeds, _, _ = dance_data.choose_seeds(
        material.vectors, material.train, material.names, material.fps
    )
    return NeighbourCorrection(seeds, material.scale, strength)


def calibrate(
    step_model: StepModel,
    material: Material,
    neighbour_correction: NeighbourCorrection | None = None,
) -> tuple[float, float]:
    """Finds the temperature, and how far it wanders, that give dances the pace of the real ones.

    A mixture's spread is learnt from real motion, one step at a time, and errors that add up
    over many steps, or a share of them that is taken back, make a dance wilder or calmer; and at
    one temperature it keeps one pace, where dancers rest and rush.

    Args:
        step_model: the dancer.
        material: whose training clips are begun from and compared with.
        neighbour_correction: of the dances.

    Returns:
        A temperature in `_TEMPERATURES`, to one part in a hundred, one of its ends if none fits:
        with it the mean energy is nearly the real one's. And a deviation for `TemperatureVariation`, at most
        `_MOST_WANDER`: with it the quartiles of the energy of windows are as far apart as the
        real ones'.
    """

    def dance(temperature: float, temperature_variation: float) -> dict[str, float]:
        return try_dancing(
            step_model,
            material,
            material.train,
            temperature,
            temperature_variation,
            neighbour_correction,
        )

    def fitting(temperature_variation: float) -> float:
        def off(temperature: float) -> float:
            return math.log(
                max(dance(temperature, temperature_variation)["energy"], 1e-9) / _WANTED_ENERGY
            )

        low, high = _TEMPERATURES
        while high / low > 1.01:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if off(middle) < 0 else (low, middle)
        found = round(math.sqrt(low * high), 3)
        # A dancer of little material may calm down when it is hotter, because it knows no way on;
        # then the search has gone astray.
        return min((1.0, found), key=lambda temperature: abs(off(temperature)))

    temperature = fitting(0.0)
    low, high = 0.0, _MOST_WANDER
    while high - low > 0.01:
        middle = (low + high) / 2
        # Also where the dance has run away, or the material is too short, it must not wander.
        low, high = (middle, high) if dance(temperature, middle)["pace"] < 1 else (low, middle)
    temperature_variation = round((low + high) / 2, 2)
    if temperature_variation <= 0.01:
        return temperature, 0.0
    return fitting(temperature_variation), temperature_variation


def try_dancing(
    step_model: StepModel,
    material: Material,
    clips: list[range],
    temperature: float = 1.0,
    temperature_variation: float = 0.0,
    neighbour_correction: NeighbourCorrection | None = None,
    compared: list[range] | None = None,
    num_dances: int | None = None,
    seconds: float | None = None,
) -> dict[str, float]:
    """Lets the dancer go on from real stretches, and compares its motion with the real one.

    Args:
        step_model: the dancer.
        material: real motion.
        clips: of it, to begin from.
        temperature: of the sampling.
        temperature_variation: how far it wanders, see `TemperatureVariation`.
        neighbour_correction: of the dances.
        compared: clips to compare with; `clips`, unless given. What is held out of little
            material may be as calm as no dance.
        num_dances: how many; fewer with a guard, which takes as long as ten steps.
        seconds: how long each.

    Returns:
        `energy`, the mean square of the smoothed steps, and `energy_at_end`, that of the last
        quarter, both over that of the real motion; `jerk`, the mean square third difference over
        the real one; `pace`, how many times the lower the upper quartile of the energy of two
        seconds is, over the same of the real ones; `still` and `still_real`, the shares of frames
        that move with less than a twentieth of the real energy; `spread`, the standard deviation
        over the real one. Infinities are of a dance that has run away until its numbers ended.
    """
    num_dances = num_dances or _num_trials(neighbour_correction)
    seconds = seconds or _TRIAL_SECONDS
    vectors = material.vectors
    real = [vectors[clip.start : clip.stop] for clip in compared or clips if len(clip) > 8]
    energies = [_energy(part) for part in real]
    real_energy = np.concatenate(energies)
    usual = float(real_energy.mean()) or 1.0
    still_real = float((real_energy < usual / 20).mean())
    seeds, _, rows = dance_data.choose_seeds(vectors, clips, [""] * len(clips), material.fps)
    chosen = np.arange(num_dances) * len(seeds) // num_dances % len(seeds)
    rngs = np.random.default_rng(0).spawn(num_dances)
    num_frames = round(seconds * material.fps)
    style = material.styles_of(rows[chosen])
    if style is not None:
        step_model = StyleGuided(step_model)
    steps = generate(
        step_model,
        seeds[chosen],
        num_frames,
        rngs,
        temperature,
        neighbour_correction,
        style,
        temperature_variation=(temperature_variation, MEMORY_SECONDS * material.fps),
    )
    try:
        dance = np.stack(list(steps), axis=1)
    except ValueError:  # it has run away until there were no numbers for it
        lost = dict.fromkeys(("energy", "energy_at_end", "jerk", "pace", "spread"), math.inf)
        return {**lost, "still": 0.0, "still_real": still_real}
    energy = _energy(dance)
    jerk = float(np.mean([np.square(np.diff(part, n=3, axis=0)).mean() for part in real]))
    found = {
        "energy": float(energy.mean()) / usual,
        "energy_at_end": float(energy[:, -(energy.shape[1] // 4) :].mean()) / usual,
        "jerk": float(np.square(np.diff(dance, n=3, axis=1)).mean()) / (jerk or 1.0),
        "pace": _pace(list(energy), energies, material.fps),
        "still": float((energy < usual / 20).mean()),
        "still_real": still_real,
        "spread": float(np.sqrt(dance.var(axis=(0, 1)).sum() / _variance(real))),
    }
    # What is not a number has run away, too: infinity less infinity.
    return {name: math.inf if math.isnan(value) else value for name, value in found.items()}


def _num_trials(neighbour_correction: NeighbourCorrection | None) -> int:
    return _TRIAL_DANCES if neighbour_correction is None else _GUARDED_DANCES


def _energy(vectors: np.ndarray) -> np.ndarray:
    """Returns the mean square (…, T - 4) of the step from (…, T, D), averaged over 4 frames."""
    # Averaged, because trembling is no dancing: independent noise in every frame cancels.
    step = (vectors[..., 4:, :] - vectors[..., :-4, :]) / 4
    return np.square(step).mean(axis=-1)


def _pace(dance: list[np.ndarray], real: list[np.ndarray], fps: float) -> float:
    """Compares how many times the lower the upper quartile of the energy of windows is.

    Args:
        dance: energies (T,) of dances.
        real: of real ones.
        fps: frames per second.

    Returns:
        The first over the second, 1 if there is no window.
    """
    length = round(_PACE_SECONDS * fps)

    def ratio(energies: list[np.ndarray]) -> float:
        windows = [
            part[: len(part) // length * length].reshape(-1, length).mean(axis=1)
            for part in energies
        ]
        if not sum(map(len, windows)):
            return math.nan
        low, high = np.quantile(np.concatenate(windows), (0.25, 0.75))
        return float(high / max(low, 1e-12))

    found = ratio(dance) / ratio(real)
    return found if math.isfinite(found) else 1.0


def _variance(parts: list[np.ndarray]) -> float:
    return float(np.concatenate(parts).var(axis=0).sum()) or 1.0


def _check(folder: ModelFolder, resume: bool, overwrite: bool) -> bool:
    """Returns whether there is a training to resume, and that it was asked for."""
    begun = (folder.training / "dancer" / CHECKPOINT).exists()
    finished = (folder / DANCER_WEIGHTS).exists()
    if resume:
        if not begun:
            raise UserError(
                f"There is no training to resume in {folder.path}; start it without --resume."
            )
        return True
    if (begun or finished) and not overwrite:
        raise UserError(
            f"There is {'a' if finished else 'an unfinished'} dancer in {folder.path}; say "
            "--resume to continue its training, or --overwrite to replace it."
        )
    return False


def _read_beginning(model: ModelFolder, options: DancerOptions) -> DancerNetwork:
    """Returns a trained dancer to go on from."""
    config = model.read_config().dancer
    if config is None:
        raise UserError(
            f"The model {model.path} has no dancer to start from; choose another, or leave "
            "--start-from out."
        )
    weights = model.require(DANCER_WEIGHTS, "python scripts/train_dancer.py")
    different = [name for name, value in options.asked().items() if getattr(config, name) != value]
    if different:
        raise UserError(
            f"The dancer of {model.path} has "
            + ", ".join(f"{name} {getattr(config, name)}" for name in different)
            + "; leave "
            + " and ".join(f"--{name.replace('num_', '').replace('_', '-')}" for name in different)
            + " out, or --start-from."
        )
    # The only thing that the weights do not depend on.
    config = _changed(config, look_back=options.look_back)
    return load_dancer(config, weights)


def _changed(config: DancerConfig, **changes: Any) -> DancerConfig:
    try:
        return dataclasses.replace(config, **changes)
    except ValueError as error:
        raise UserError(f"There is no such dancer: {error}") from error


def _prepare(
    folder: ModelFolder,
    wanted: DancerConfig,
    record: dict[str, object],
    fps: float,
    resume: bool,
) -> ModelConfig:
    if not folder.exists():  # a dancer of joints needs nothing that was there before
        folder.create()
        folder.write_config(ModelConfig(folder.path.name, fps, SKELETON))
    found = folder.read_config()
    if resume:
        begun = found.training.get("dancer", {}).get("start_from")
        # Those two are found when the training has ended.
        known = found.dancer and dataclasses.replace(
            found.dancer,
            temperature=wanted.temperature,
            temperature_variation=wanted.temperature_variation,
        )
        if known != wanted or begun != record["start_from"]:
            source = f"started from {begun}" if begun else "started from chance"
            raise UserError(
                f"The model in {folder.path} has another dancer ({found.dancer}, {source}); "
                "resume it with the options it was begun with."
            )
        return found
    for name in _REPLACED:
        (folder / name).unlink(missing_ok=True)
    place = folder.training / "dancer"
    if place.exists():
        shutil.rmtree(place)
    place.mkdir(parents=True)
    config = _with_training(dataclasses.replace(found, dancer=wanted, fps=fps), record)
    folder.write_config(config)
    folder.seal()
    return config


def _with_training(config: ModelConfig, record: dict[str, object]) -> ModelConfig:
    return dataclasses.replace(config, training={**config.training, "dancer": record})


def _stretches(material: Material) -> list[Stretch]:
    return [
        Stretch(rows, kind, name, str(material.style_names_of(np.array([rows.start]))[0]))
        for kind, clips, names in (
            ("training", material.train, material.names),
            ("held out", material.held_out, material.held_out_names),
        )
        for rows, name in zip(clips, names)
    ]


def _introduce(
    material: Material, network: DancerNetwork, num_windows: int, floors: dict[str, float]
) -> None:
    terminal.say(
        f"Training the dancer {network.config.network!r} ({network.count_params():,} weights) on "
        f"{sum(map(len, material.window_train)):,} frames of {len(material.window_train)} clips, "
        f"{num_windows:,} windows of {network.config.look_back}; "
        f"{sum(map(len, material.window_held_out)):,} frames are held out. {material.dim} of "
        f"{material.raw_dim} dimensions of the {material.what} are danced."
    )
    if material.style_names:
        terminal.say(f"Styles: {', '.join(material.style_names)}.")
    if network.config.head == "mse":
        terminal.say(
            "The loss is the mean square error, in usual steps; nats are those of one Gaussian of "
            "the size of its errors."
        )
    else:
        terminal.say(DENSITY_NOTE)
    terminal.say(
        "Without a network, on what is held out: one Gaussian for every frame "
        f"{floors['pose']:.3f} nats per dimension, staying in place {floors['stay']:.3f}, "
        f"repeating the last step {floors['repeat']:.3f}."
    )

"""Trains the lifting network of `data.people.lift` in Keras."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dancenet.data.motion.clip import SkeletonClip
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.data.people.lift.network import (
    DILATIONS,
    MARGIN,
    NUM_OUTPUTS,
    Lifter,
    layer_names,
)
from dancenet.data.people.lift.points import NUM_FEATURES, POINTS, RATE, features
from dancenet.nets.training.lifter.views import Course, Recordings, Views, view

_JOINT_COLUMNS = 3 * (len(JOINTS) - 1)
_TRUTH_COLUMNS = NUM_OUTPUTS + 1  # the last: whether height, velocity and standing are true


@dataclass(frozen=True)
class LifterOptions:
    """How the network is trained."""

    steps: int = 2500  # some fifteen minutes of one core
    width: int = 192  # channels
    batch_size: int = 64  # windows
    learning_rate: float = 2e-3  # falls to nothing over the steps
    dropout: float = 0.0
    noise: float = 1.0  # factor on a detector's errors
    seed: int = 0
    save_every: int = 100  # steps


def build_lifter(width: int, dropout: float) -> Any:
    """Returns the network as a Keras model, (B, T + 2 MARGIN, F) to (B, T, NUM_OUTPUTS)."""
    layers = keras.layers

    def convolve(values: Any, name: str, taps: int = 1, dilation: int = 1) -> Any:
        values = layers.Conv1D(width, taps, dilation_rate=dilation, name=name)(values)
        return layers.ReLU()(layers.BatchNormalization(name=f"{name}_norm", momentum=0.98)(values))

    inputs = keras.Input((None, NUM_FEATURES))
    hidden = convolve(inputs, "first")
    for index, dilation in enumerate(DILATIONS):
        inner = convolve(hidden, f"block{index}_a", 3, dilation)
        inner = convolve(layers.Dropout(dropout)(inner), f"block{index}_b")
        hidden = layers.Add()([layers.Cropping1D(dilation)(hidden), inner])
    found = layers.Conv1D(NUM_OUTPUTS, 1, name="last", kernel_initializer="zeros")(hidden)
    direct = layers.Conv1D(NUM_OUTPUTS, 1, name="direct", use_bias=False)
    outputs = layers.Add()([found, direct(layers.Cropping1D(MARGIN)(inputs))])
    direct.set_weights([_places_as_seen()[None]])
    return keras.Model(inputs, outputs, name="lifter")


def _places_as_seen() -> np.ndarray:
    """Returns the map (F, C) from features to outputs that takes x and y as they are seen."""
    matrix = np.zeros((NUM_FEATURES, NUM_OUTPUTS), np.float32)
    for index, name in enumerate(POINTS):
        if name in JOINTS:
            for axis in range(2):
                matrix[2 * index + axis, 3 * (JOINTS.index(name) - 1) + axis] = 1.0
    return matrix


def to_numpy(model: Any) -> Lifter:
    """Returns the network with the weights of a Keras model, its normalisation folded in."""
    weights = {}
    for name in layer_names():
        kernel, *rest = model.get_layer(name).get_weights()
        bias = rest[0] if rest else np.zeros(kernel.shape[-1], np.float32)
        if name not in ("last", "direct"):
            norm = model.get_layer(f"{name}_norm")
            gain, shift, mean, variance = norm.get_weights()
            factor = gain / np.sqrt(variance + norm.epsilon)
            kernel, bias = kernel * factor, (bias - mean) * factor + shift
        weights[f"{name}_kernel"], weights[f"{name}_bias"] = kernel, bias
    return Lifter(weights)


def from_numpy(model: Any, lifter: Lifter, inputs: np.ndarray) -> None:
    """Gives a Keras model the weights of a network.

    Args:
        model: of `build_lifter`.
        lifter: as wide as the model.
        inputs: (B, T, F) features, whose statistics the normalisation begins with.
    """
    for name in layer_names():
        kernel, bias = lifter.weights[f"{name}_kernel"], lifter.weights[f"{name}_bias"]
        layer = model.get_layer(name)
        layer.set_weights([kernel, bias][: len(layer.get_weights())])
    for name in layer_names()[:-2]:
        norm = model.get_layer(f"{name}_norm")
        # Normalised and brought back, values stay what they are.
        values = keras.ops.convert_to_numpy(keras.Model(model.input, norm.input)(inputs))
        mean, variance = values.mean(axis=(0, 1)), values.var(axis=(0, 1))
        norm.set_weights([np.sqrt(variance + norm.epsilon), mean, mean, variance])


def make_batch(views: Views) -> tuple[np.ndarray, np.ndarray]:
    """Returns the network's inputs (B, T, F) and the truth (B, T - 2 MARGIN, C) for views."""
    inputs = np.stack([features(points) for points in views.points])
    shape = views.height.shape
    truth = np.concatenate(
        [
            views.joints[:, :, 1:].reshape(*shape, -1),
            views.height[..., None],
            views.velocity,
            views.standing,
            np.broadcast_to(views.upright[:, None, None], (*shape, 1)),
        ],
        axis=-1,
    )
    return inputs, truth[:, MARGIN:-MARGIN].astype(np.float32)


def loss(truth: Any, outputs: Any) -> Any:
    """Adds the errors of places, bones, speeds, height, path and standing."""
    ops = keras.ops
    count = _JOINT_COLUMNS
    true, found = (_with_root(values[..., :count]) for values in (truth, outputs))
    places = ops.mean(_norm(true - found))
    bones = [_bones(values) for values in (true, found)]
    lengths = ops.mean(ops.abs(_norm(bones[0]) - _norm(bones[1])))
    steps = [values[:, 1:] - values[:, :-1] for values in (true, found)]
    speeds = ops.mean(_norm(steps[0] - steps[1])) * RATE
    upright = truth[..., -1]
    height = ops.mean(upright * ops.abs(truth[..., count] - outputs[..., count]))
    path = ops.abs(truth[..., count + 1 : count + 3] - outputs[..., count + 1 : count + 3])
    path = ops.mean(upright[..., None] * path)
    stands, logits = truth[..., count + 3 : -1], outputs[..., count + 3 :]
    standing = ops.maximum(logits, 0) - logits * stands + ops.log1p(ops.exp(-ops.abs(logits)))
    standing = ops.mean(upright[..., None] * standing)
    return places + 0.3 * lengths + 0.05 * speeds + 0.5 * height + 0.1 * path + 0.05 * standing


def _with_root(columns: Any) -> Any:
    shape = keras.ops.shape(columns)
    joints = keras.ops.reshape(columns, (shape[0], shape[1], len(JOINTS) - 1, 3))
    return keras.ops.pad(joints, ((0, 0), (0, 0), (1, 0), (0, 0)))


def _bones(joints: Any) -> Any:
    return joints[:, :, 1:] - keras.ops.take(joints, list(PARENTS[1:]), axis=2)


def _norm(vectors: Any) -> Any:
    return keras.ops.sqrt(keras.ops.sum(keras.ops.square(vectors), axis=-1) + 1e-8)


def train_lifter(
    clips: Sequence[SkeletonClip],
    out: Path,
    options: LifterOptions = LifterOptions(),
    start_from: Path | None = None,
    say: Callable[[str], None] = print,
) -> Lifter:
    """Trains on recordings, and writes the network every so often.

    Args:
        clips: bodies of the nineteen joints.
        out: the file of weights.
        options: see `LifterOptions`.
        start_from: weights to begin with, such as those of a training that was stopped.
        say: takes a line on the progress.
    """
    keras.utils.set_random_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    recordings, course = Recordings(clips), Course(noise=options.noise)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        windows = [recordings.draw(rng, course) for _ in range(options.batch_size)]
        return make_batch(view(windows, rng, course))

    model = build_lifter(options.width, options.dropout)
    if start_from is not None:
        from_numpy(model, Lifter.load(start_from), draw()[0])
    optimizer = keras.optimizers.Adam(options.learning_rate, clipnorm=1.0)
    # Compiled by XLA, a step takes four times as long on a CPU.
    model.compile(optimizer, loss=loss, jit_compile=False)
    mean, losses = _Average(model), []
    for step in range(options.steps):
        optimizer.learning_rate.assign(options.learning_rate * _rate(step / options.steps))
        losses.append(model.train_on_batch(*draw()))
        mean.follow(step)
        if (step + 1) % options.save_every == 0:
            say(f"{step + 1} of {options.steps} steps, loss {np.mean(losses):.4f}")
            mean.lifter().save(out)
            losses = []
    lifter = mean.lifter()
    lifter.save(out)
    return lifter


def _rate(share: float) -> float:
    """Returns the factor on the learning rate: it rises at once, and falls as a cosine."""
    return min(1.0, share / 0.02 + 0.05) * (0.5 + 0.5 * np.cos(np.pi * share))


class _Average:
    """A moving mean of a model's weights, which is better than the last of them."""

    def __init__(self, model: Any, keep: float = 0.995) -> None:
        self._model, self._keep = model, keep
        self._mean = to_numpy(model).weights

    def follow(self, step: int) -> None:
        keep = min(self._keep, (1 + step) / (10 + step))
        for name, array in to_numpy(self._model).weights.items():
            self._mean[name] = keep * self._mean[name] + (1 - keep) * array

    def lifter(self) -> Lifter:
        return Lifter(self._mean)

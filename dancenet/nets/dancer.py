"""The motion network: LSTM layers and a mixture of Gaussians for the next vector.

One network with two views that share their weights: `model` takes whole sequences (B, T, D), for
training; `step` takes one vector (B, D) and the state, for generation. For each vector x, with one
pair h, c for every LSTM layer, both compute:

    z = x W + h U + b, split into four parts of `units`: i, f, g, o
    c' = s(f) c + s(i) tanh(g)        h' = s(o) tanh(c')      x of the next layer is h'
    y = relu(h' W_d + b_d)            only with config.dense_units
    m, e, p = y W_m + b_m, y W_s + b_s, y W_p + b_p           (K D), (K D), (K)
    sigma' = elu(e) + 1 + 1e-7

s is the sigmoid, or clip(0.2 x + 0.5, 0, 1), by `config.recurrent_activation`. With
`predict="absolute"` the mixture for the next vector is mu = m, sigma = sigma' + sigma_floor. With
`predict="delta"` the network predicts the difference to the next vector, in units of `step_scale`
(D,), the RMS step of each dimension, a weight that is not trained:

    mu = x + step_scale m             sigma = step_scale (sigma' + sigma_floor)

With `velocity_inputs` P > 0 the state also holds the last vectors, last1 … lastP, and the first
layer and the head both see the velocity

    v = x, clip((x - last1) / step_scale, -5, 5), clip((last1 - last2) / step_scale, -5, 5), …

so the x of the first layer is v, and m, e and p are computed from h' (or y) and v. An LSTM needs a
long training to compute a velocity from two positions: on real latents a linear network that sees
two steps has a held-out loss of -1.5 nats per dimension, and of -0.4 if it sees positions only.

With a `look_back` of 1 there is no state: h and c are zero in every step, as they were in 2018.

With C time constants in `context`, running means of the trajectory (`sequence.context`) are
concatenated to v. In `step` they are the state entries mean1 … meanC; `model` takes them as an
input, (B, T, C D), because they reach further back than its windows.

In a network with S styles, their weights (B, S) are concatenated to the input of the first layer
and of the head. In `step` they are the last entry of the state and are passed through unchanged.

The head "mse" is a regression: K = 1, m is trained on the mean square error; W_s, W_p and b_s are
not trained, and W_s and W_p are zero. Least squares is maximum likelihood for a Gaussian with one
sigma for all inputs, which is then the root mean square error (Bishop 2006, "Pattern recognition
and machine learning", 1.2.5 and 3.1.1); `DancerNetwork.set_residual_sigma` writes it into b_s. So
it is sampled, measured and exported as a mixture of one, and at temperature 0 it is the plain
regression.

The output is flat, in the layout of keras-mdn-layer: K D of mu, K D of sigma, K of pi_logits, where
component k of mu is [k D, (k + 1) D). `split_params` splits it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from keras_mdn_layer import MDN

from dancenet.model.config import DancerConfig
from dancenet.sequence.context import rates
from dancenet.sequence.generate import State, begin_state
from dancenet.sequence.mixture import Mixture
from dancenet.support import errors
from dancenet.support.errors import UserError
from dancenet.support.names import quoted

MAX_STEP = 5.0  # RMS steps; before the first vector the state is zero, which looks like a jump


@keras.saving.register_keras_serializable("dancenet")
def hard_sigmoid_2018(x: Any) -> Any:
    """Returns clip(0.2 x + 0.5, 0, 1), the hard sigmoid of Keras before 3, which changed it."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


_GATES: dict[str, Any] = {"sigmoid": "sigmoid", "hard_sigmoid_2018": hard_sigmoid_2018}


@keras.saving.register_keras_serializable("dancenet")
class MixtureHead(MDN):
    """The layer of keras-mdn-layer, for inputs (B, U) and (B, T, U)."""

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Returns the shape with all leading axes; the original keeps only the first."""
        return (*input_shape[:-1], (2 * self.output_dim + 1) * self.num_mix)


@keras.saving.register_keras_serializable("dancenet")
class Placement(layers.Layer):
    """Adds the vector to a mixture of deltas, and the floor to its sigma.

    Args:
        dim: D.
        num_mixtures: K.
        predict: "delta" or "absolute".
        sigma_floor: added to sigma, in units of the predicted quantity.
    """

    def __init__(
        self, dim: int, num_mixtures: int, predict: str, sigma_floor: float, **options: Any
    ) -> None:
        super().__init__(**options)
        self.dim = dim
        self.num_mixtures = num_mixtures
        self.predict = predict
        self.sigma_floor = sigma_floor
        self.step_scale: Any = None
        if predict == "delta":
            self.step_scale = self.add_weight(
                name="step_scale", shape=(dim,), initializer="ones", trainable=False
            )
        self.built = True

    def call(self, params: Any, vectors: Any) -> Any:
        """Takes the head's parameters (…, P) and its input vectors (…, D); returns (…, P)."""
        size = self.num_mixtures * self.dim
        mu, sigma = params[..., :size], params[..., size : 2 * size] + self.sigma_floor
        if self.step_scale is not None:
            scale = ops.tile(self.step_scale, (self.num_mixtures,))
            origin = ops.concatenate([vectors] * self.num_mixtures, axis=-1)
            mu, sigma = origin + scale * mu, scale * sigma
        return ops.concatenate([mu, sigma, params[..., 2 * size :]], axis=-1)

    def compute_output_shape(self, params_shape: Any, vectors_shape: Any) -> Any:
        """Returns the shape of the parameters."""
        return params_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {
            **super().get_config(),
            "dim": self.dim,
            "num_mixtures": self.num_mixtures,
            "predict": self.predict,
            "sigma_floor": self.sigma_floor,
        }


@keras.saving.register_keras_serializable("dancenet")
class Motion(layers.Layer):
    """Concatenates the last steps to a vector, in RMS steps.

    Args:
        dim: D.
    """

    def __init__(self, dim: int, **options: Any) -> None:
        super().__init__(**options)
        self.dim = dim
        self.step_scale = self.add_weight(
            name="step_scale", shape=(dim,), initializer="ones", trainable=False
        )
        self.built = True

    def call(self, recent: Sequence[Any]) -> Any:
        """Takes [vectors, last1, … lastP], each (…, D); returns (…, D + P D)."""
        steps = [
            ops.clip((new - old) / self.step_scale, -MAX_STEP, MAX_STEP)
            for new, old in zip(recent, recent[1:])
        ]
        return ops.concatenate([recent[0], *steps], axis=-1)

    def compute_output_shape(self, recent_shape: Any) -> tuple[int | None, ...]:
        """Returns the shape of the vectors with their steps."""
        return (*recent_shape[0][:-1], len(recent_shape) * self.dim)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "dim": self.dim}


class DancerNetwork:
    """The layers of a dancer, and their two views.

    Attributes:
        config: its configuration.
        motion: the layer `motion`, or None.
        lstms: `lstm_0`, `lstm_1`, …; kernel (D + P D + C D + S or U, 4 U), recurrent kernel
            (U, 4 U), bias (4 U).
        dense: the relu layer `dense`, or None.
        mdn: the head `mdn`, with the Dense layers `mdn_mus`, `mdn_sigmas` and `mdn_pi`.
        placement: the layer `placement`.
        model: (B, T, D), the running means (B, T, C D) and the style (B, S) if there are any, to
            (B, T, P); `dancer.weights.h5` holds its weights.
    """

    def __init__(self, config: DancerConfig) -> None:
        self.config = config
        self.motion = Motion(config.dim, name="motion") if config.velocity_inputs else None
        self.lstms = [
            layers.LSTM(
                config.units,
                return_sequences=True,
                recurrent_activation=_GATES[config.recurrent_activation],
                name=f"lstm_{index}",
            )
            for index in range(config.layers)
        ]
        self.dropouts = [
            layers.Dropout(config.dropout, name=f"dropout_{index}")
            for index in range(config.layers if config.dropout else 0)
        ]
        self.dense = (
            layers.Dense(config.dense_units, activation="relu", name="dense")
            if config.dense_units
            else None
        )
        self.mdn = MixtureHead(config.dim, config.num_mixtures, name="mdn")
        self.placement = Placement(
            config.dim, config.num_mixtures, config.predict, config.sigma_floor, name="placement"
        )
        self.model = self._sequence_view()
        if config.head == "mse":
            for layer in (self.mdn.mdn_sigmas, self.mdn.mdn_pi):
                layer.trainable = False
                layer.kernel.assign(np.zeros(layer.kernel.shape, np.float32))

    def _sequence_view(self) -> keras.Model:
        vectors = keras.Input((None, self.config.dim), name="vectors")
        inputs, style = [vectors], None
        x = vectors if self.motion is None else self.show(vectors)
        if self.config.context:
            width = self.config.dim * len(self.config.context)
            inputs.append(keras.Input((None, width), name="context"))
            x = ops.concatenate([x, inputs[-1]], axis=-1)
        if self.config.styles:
            style = keras.Input((len(self.config.styles),), name="style")
            inputs.append(style)
        x, seen = self._with_style(x, style)
        for index, lstm in enumerate(self.lstms):
            x = lstm(x)
            if self.dropouts:
                x = self.dropouts[index](x)
        inputs = inputs if len(inputs) > 1 else vectors
        return keras.Model(inputs, self._head(x, seen, vectors), name="dancer")

    def _with_style(self, x: Any, style: Any) -> tuple[Any, list[Any]]:
        """Concatenates the style to the vectors.

        Args:
            x: (B, D) or (B, T, D), with velocity inputs and running means (…, D + P D + C D).
            style: (B, S) or None.

        Returns:
            The input of the first layer, and the inputs of the head beside the LSTM's output.
        """
        seen = [] if self.motion is None else [x]
        if style is None:
            return x, seen
        if len(x.shape) == 3:
            style = ops.ones_like(x[:, :, :1]) * style[:, None]
        return ops.concatenate([x, style], axis=-1), [*seen, style]

    def show(self, vectors: Any) -> Any:
        """Returns vectors (B, T, D) with their velocity inputs, (B, T, D + P D)."""
        assert self.motion is not None
        count = self.config.velocity_inputs
        padded = ops.pad(vectors, ((0, 0), (count, 0), (0, 0)))
        lasts = [padded[:, count - back : -back] for back in range(1, count + 1)]
        return self.motion([vectors, *lasts])

    def step(self, vectors: Any, state: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Takes one step; the same arithmetic as `model`, without dropout.

        Args:
            vectors: (B, D).
            state: h0, c0, h1, c1, …, each (B, U), last1, last2, …, mean1, mean2, …, each (B, D),
                and the style (B, S); see `DancerConfig.state_widths`.

        Returns:
            The mixtures' parameters (B, P), and the next state, in the same order.
        """
        style = state[-1:] if self.config.styles else []
        cells = list(state[: len(state) - len(style)])
        if not self.config.keeps_state:
            cells = [ops.zeros((ops.shape(vectors)[0], self.config.units))] * (2 * len(self.lstms))
        lasts = 2 * len(self.lstms)
        means = lasts + self.config.velocity_inputs
        recent = [vectors, *cells[lasts:means]]
        context = [
            mean + share * (vectors - mean)
            for mean, share in zip(cells[means:], rates(self.config.context).tolist())
        ]
        x = vectors if self.motion is None else self.motion(recent)
        if context:
            x = ops.concatenate([x, *context], axis=-1)
        x, seen = self._with_style(x, style[0] if style else None)
        following: list[Any] = []
        for index, lstm in enumerate(self.lstms):
            x, after = lstm.cell(x, cells[2 * index : 2 * index + 2])
            following += after
        params = self._head(x, seen, vectors)
        if not self.config.keeps_state:
            return params, list(style)
        return params, [*following, *recent[:-1], *context, *style]

    def _head(self, x: Any, seen: Sequence[Any], vectors: Any) -> Any:
        if self.dense is not None:
            x = self.dense(x)
        if seen:
            x = ops.concatenate([x, *seen], axis=-1)
        return self.placement(self.mdn(x), vectors)

    @property
    def rms_step(self) -> Any:
        """(D,) the weight with the RMS step; 1 for a network without velocity inputs or deltas."""
        for layer in (self.placement, self.motion):
            if layer is not None and layer.step_scale is not None:
                return layer.step_scale
        return 1.0

    @property
    def step_scale(self) -> np.ndarray:
        """(D,) float32, the RMS step; ones for a network without velocity inputs or deltas."""
        scale = np.asarray(ops.convert_to_numpy(self.rms_step), np.float32)
        return np.array(np.broadcast_to(scale, (self.config.dim,)))

    def set_step_scale(self, step_scale: np.ndarray) -> None:
        """Sets the RMS step, if the network uses it.

        Args:
            step_scale: (D,) in model units, > 0.
        """
        for layer in (self.placement, self.motion):
            if layer is not None and layer.step_scale is not None:
                layer.step_scale.assign(step_scale)

    @property
    def place_scale(self) -> np.ndarray:
        """(D,) float32, one unit of m and sigma' in model units: the RMS step, or one."""
        if self.placement.step_scale is None:
            return np.ones(self.config.dim, np.float32)
        return self.step_scale

    def set_residual_sigma(self, sigma: np.ndarray) -> None:
        """Sets the sigma of a network with the head "mse".

        Args:
            sigma: (D,) in model units, >= 0: the root mean square of its errors, raised to
                `sigma_floor` where it is below.
        """
        if self.config.head != "mse":
            raise ValueError("a mixture learns its sigma; only the sigma of the head 'mse' is set.")
        self.mdn.mdn_sigmas.bias.assign(
            sigma_bias(sigma / self.place_scale - self.config.sigma_floor, 1e-3)
        )

    def count_params(self) -> int:
        """Returns the number of weights, the step scale included."""
        return self.model.count_params()


def build_dancer(config: DancerConfig) -> DancerNetwork:
    """Returns an untrained network."""
    return DancerNetwork(config)


def sigma_bias(sigma: np.ndarray, least: float) -> np.ndarray:
    """Returns e with elu(e) + 1 = max(sigma, least)."""
    # elu(e) + 1 is exp(e) below 1 and e + 1 above.
    sigma = np.maximum(sigma, least)
    return np.where(sigma < 1, np.log(np.minimum(sigma, 1)), sigma - 1)


def load_dancer(config: DancerConfig, path: str | Path) -> DancerNetwork:
    """Builds a network and reads its weights from a `dancer.weights.h5`.

    Raises:
        UserError: the file is missing, damaged, or of another network.
    """
    network = build_dancer(config)
    try:
        network.model.load_weights(path)
    except FileNotFoundError as error:
        raise UserError(f"There are no dancer weights at {quoted(path)}.") from error
    except (OSError, ValueError, KeyError) as error:
        errors.let_through(error)
        raise UserError(
            f"{quoted(path)} does not hold the weights of a {config.network!r} dancer with "
            f"{config.layers} x {config.units} units, {config.num_mixtures} mixtures, "
            f"{len(config.styles)} styles and {config.dim} dimensions: "
            f"{str(error).partition(chr(10))[0]}"
        ) from error
    return network


def split_params(params: Any, dim: int, num_mixtures: int) -> tuple[Any, Any, Any]:
    """Splits the flat parameters of mixtures.

    Args:
        params: (…, 2 K D + K), any backend's tensor or a NumPy array.
        dim: D.
        num_mixtures: K.

    Returns:
        pi_logits (…, K), mu (…, K, D) and sigma (…, K, D), standard deviations.
    """
    size = num_mixtures * dim
    shape = (*ops.shape(params)[:-1], num_mixtures, dim)
    mu = ops.reshape(params[..., :size], shape)
    sigma = ops.reshape(params[..., size : 2 * size], shape)
    return params[..., 2 * size :], mu, sigma


class KerasStepModel:
    """A dancer in Keras, one step at a time. See `sequence.generate.StepModel`."""

    def __init__(self, network: DancerNetwork) -> None:
        self.dim = network.config.dim
        self._network = network

    def initial_state(self, batch: int, style: np.ndarray | None = None) -> State:
        """Returns zeros for each entry of `DancerConfig.state_widths`, and the style, if any."""
        return begin_state(self._network.config.state_widths, batch, style)

    def step(self, vectors: np.ndarray, state: State) -> tuple[Mixture, State]:
        """Takes (B, D) float32 and the state; returns the mixture for the next vectors."""
        arrays = [ops.convert_to_tensor(array, "float32") for array in (vectors, *state)]
        params, following = self._network.step(arrays[0], arrays[1:])
        mixture = Mixture(
            *(
                ops.convert_to_numpy(value)
                for value in split_params(params, self.dim, self._network.config.num_mixtures)
            )
        )
        return mixture, tuple(ops.convert_to_numpy(value) for value in following)

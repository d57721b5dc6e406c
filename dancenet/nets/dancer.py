"""The motion network: LSTM layers and a mixture of Gaussians for the next vector.

One network seen in two ways that share their weights: `model` takes whole sequences (B, T, D), for
training; `step` takes one vector (B, D) and the state, for dancing. What they compute for
each vector x, with one pair h, c for every LSTM layer:

    z = x W + h U + b, split into four parts of `units`: i, f, g, o
    c' = s(f) c + s(i) tanh(g)        h' = s(o) tanh(c')      x of the next layer is h'
    y = relu(h' W_d + b_d)            only with config.dense_units
    m, e, p = y W_m + b_m, y W_s + b_s, y W_p + b_p           (K D), (K D), (K)
    sigma' = elu(e) + 1 + 1e-7

s is the sigmoid, or clip(0.2 x + 0.5, 0, 1), as `config.recurrent_activation` says. With
`predict="absolute"` the mixture for the next vector is mu = m, sigma = sigma' + sigma_floor. With
`predict="delta"` the network says how the vector moves, in units of `step_scale` (D,), the size of
a usual step of each dimension, which is a weight of the network that is not trained:

    mu = x + step_scale m             sigma = step_scale (sigma' + sigma_floor)

With `velocity_inputs` P > 0 the network is shown how it came to x: the state has the last vectors,
last1 … lastP, too, and the first layer and the head both see

    v = x, clip((x - last1) / step_scale, -5, 5), clip((last1 - last2) / step_scale, -5, 5), …

so the first x above is v, and what m, e and p are computed of is h' (or y), v. An LSTM needs a long
training to tell a velocity from two places; on real latents a linear network that sees two steps
has a held-out loss of -1.5 nats per dimension, and one that sees places only of -0.4.

With a `look_back` of 1 there is no state: h and c are zero in every step, as they were in 2018.

A network with S styles sees their weights y (S,) in every step, too: the first layer sees x, y or
v, y, and the head h', y or h', v, y. They are the last entry of the state, which a step hands on
as it is; of a network that keeps no other state they are the only one.

The head "mse" is a regression: K = 1, m is trained on the mean square error, and W_s and W_p are
zero and not trained, nor is b_s. Least squares is the maximum of the likelihood of a Gaussian with
one sigma for all that is seen, which is then the root mean square error (Bishop 2006, "Pattern
recognition and machine learning", 1.2.5 and 3.1.1); `DancerNetwork.set_residual_sigma` puts it
into b_s. So it dances, is measured and is exported as a mixture of one, and at temperature 0 it is
the regression itself.

The output is flat, as keras-mdn-layer lays it out: K D of mu, K D of sigma, K of pi_logits, where
component k of mu is [k D, (k + 1) D). `split_params` takes it apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from keras_mdn_layer import MDN

from dancenet.model.config import DancerConfig
from dancenet.sequence.generate import State, begin_state
from dancenet.sequence.mixture import Mixture
from dancenet.support.errors import UserError

_LOG_2PI = math.log(2.0 * math.pi)
MAX_STEP = 5.0  # usual steps; the first vector seems to come from far away


@keras.saving.register_keras_serializable("dancenet")
def hard_sigmoid_2018(x: Any) -> Any:
    """Returns clip(0.2 x + 0.5, 0, 1), the gate of Keras before 2.3; that of Keras 3 differs."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


_GATES: dict[str, Any] = {"sigmoid": "sigmoid", "hard_sigmoid_2018": hard_sigmoid_2018}


@keras.saving.register_keras_serializable("dancenet")
class MixtureHead(MDN):
    """The layer of keras-mdn-layer, for (B, U) and for (B, T, U)."""

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Returns the shape with all leading axes; the original keeps only the first."""
        return (*input_shape[:-1], (2 * self.output_dim + 1) * self.num_mix)


@keras.saving.register_keras_serializable("dancenet")
class Placement(layers.Layer):
    """Moves a mixture of the head to where the vector is, and keeps its sigma off zero.

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
        """Takes the head's (…, P) and the vectors (…, D) it was given; returns (…, P)."""
        size = self.num_mixtures * self.dim
        mu, sigma = params[..., :size], params[..., size : 2 * size] + self.sigma_floor
        if self.step_scale is not None:
            scale = ops.tile(self.step_scale, (self.num_mixtures,))
            place = ops.concatenate([vectors] * self.num_mixtures, axis=-1)
            mu, sigma = place + scale * mu, scale * sigma
        return ops.concatenate([mu, sigma, params[..., 2 * size :]], axis=-1)

    def compute_output_shape(self, params_shape: Any, vectors_shape: Any) -> Any:
        """Returns the shape of the parameters, which does not change."""
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
    """Puts the last steps beside a vector, in units of a usual step.

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

    def call(self, places: Sequence[Any]) -> Any:
        """Takes [vectors, last1, … lastP], each (…, D); returns (…, D + P D)."""
        steps = [
            ops.clip((new - old) / self.step_scale, -MAX_STEP, MAX_STEP)
            for new, old in zip(places, places[1:])
        ]
        return ops.concatenate([places[0], *steps], axis=-1)

    def compute_output_shape(self, places_shape: Any) -> tuple[int | None, ...]:
        """Returns the shape of the vectors with the steps beside them."""
        return (*places_shape[0][:-1], len(places_shape) * self.dim)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "dim": self.dim}


class DancerNetwork:
    """The layers of a dancer, and the two views of them.

    Attributes:
        config: what it was built from.
        motion: the layer `motion`, or None.
        lstms: `lstm_0`, `lstm_1`, …; kernel (D + P D + S or U, 4 U), recurrent kernel (U, 4 U),
            bias (4 U).
        dense: the relu layer `dense`, or None.
        mdn: the head `mdn`, with the Dense layers `mdn_mus`, `mdn_sigmas` and `mdn_pi`.
        placement: the layer `placement`.
        model: (B, T, D), and the style (B, S) if there are any, to (B, T, P);
            `dancer.weights.h5` holds its weights.
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
        inputs = vectors = keras.Input((None, self.config.dim), name="vectors")
        style = None
        if self.config.styles:
            style = keras.Input((len(self.config.styles),), name="style")
            inputs = [vectors, style]
        x, seen = self._beside(vectors if self.motion is None else self.show(vectors), style)
        for index, lstm in enumerate(self.lstms):
            x = lstm(x)
            if self.dropouts:
                x = self.dropouts[index](x)
        return keras.Model(inputs, self._head(x, seen, vectors), name="dancer")

    def _beside(self, x: Any, style: Any) -> tuple[Any, list[Any]]:
        """Puts the style beside what is seen of the motion.

        Args:
            x: (B, D), (B, T, D) or with steps beside it.
            style: (B, S) or None.

        Returns:
            What the first layer sees, and what the head sees beside what the layers say.
        """
        seen = [] if self.motion is None else [x]
        if style is None:
            return x, seen
        if len(x.shape) == 3:
            style = ops.ones_like(x[:, :, :1]) * style[:, None]
        return ops.concatenate([x, style], axis=-1), [*seen, style]

    def show(self, vectors: Any) -> Any:
        """Returns what a network with `velocity_inputs` sees of (B, T, D): (B, T, D + P D)."""
        assert self.motion is not None
        count = self.config.velocity_inputs
        padded = ops.pad(vectors, ((0, 0), (count, 0), (0, 0)))
        lasts = [padded[:, count - back : -back] for back in range(1, count + 1)]
        return self.motion([vectors, *lasts])

    def step(self, vectors: Any, state: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Takes one step; the same arithmetic as `model`, without dropout.

        Args:
            vectors: (B, D).
            state: h0, c0, h1, c1, …, each (B, U), last1, last2, …, each (B, D), and the style
                (B, S); see `DancerConfig.state_widths`.

        Returns:
            The mixtures' parameters (B, P), and the next state, in the same order.
        """
        style = state[-1:] if self.config.styles else []
        cells = list(state[: len(state) - len(style)])
        if not self.config.keeps_state:
            cells = [ops.zeros((ops.shape(vectors)[0], self.config.units))] * (2 * len(self.lstms))
        places = [vectors, *cells[2 * len(self.lstms) :]]
        x, seen = self._beside(
            vectors if self.motion is None else self.motion(places), style[0] if style else None
        )
        following: list[Any] = []
        for index, lstm in enumerate(self.lstms):
            x, after = lstm.cell(x, cells[2 * index : 2 * index + 2])
            following += after
        params = self._head(x, seen, vectors)
        if not self.config.keeps_state:
            return params, list(style)
        return params, [*following, *places[:-1], *style]

    def _head(self, x: Any, seen: Sequence[Any], vectors: Any) -> Any:
        if self.dense is not None:
            x = self.dense(x)
        if seen:
            x = ops.concatenate([x, *seen], axis=-1)
        return self.placement(self.mdn(x), vectors)

    @property
    def usual_step(self) -> Any:
        """(D,), the weight with the size of a usual step; 1 if the network knows no steps."""
        for layer in (self.placement, self.motion):
            if layer is not None and layer.step_scale is not None:
                return layer.step_scale
        return 1.0

    @property
    def step_scale(self) -> np.ndarray:
        """(D,) float32, the size of a usual step; ones if the network knows no steps."""
        scale = np.asarray(ops.convert_to_numpy(self.usual_step), np.float32)
        return np.array(np.broadcast_to(scale, (self.config.dim,)))

    def set_step_scale(self, step_scale: np.ndarray) -> None:
        """Sets the size of a usual step, if the network has a use for it.

        Args:
            step_scale: (D,) in model units, > 0.
        """
        for layer in (self.placement, self.motion):
            if layer is not None and layer.step_scale is not None:
                layer.step_scale.assign(step_scale)

    @property
    def place_scale(self) -> np.ndarray:
        """(D,) float32, the units of m and sigma' in model units: usual steps, or ones."""
        if self.placement.step_scale is None:
            return np.ones(self.config.dim, np.float32)
        return self.step_scale

    def set_residual_sigma(self, sigma: np.ndarray) -> None:
        """Sets the sigma of a network with the head "mse".

        Args:
            sigma: (D,) in model units, >= 0: the root mean square of its errors. Where it is
                below `sigma_floor`, that is taken.
        """
        if self.config.head != "mse":
            raise ValueError("the sigma of a mixture is learned; only the head 'mse' has it set.")
        self.mdn.mdn_sigmas.bias.assign(
            _sigma_bias(sigma / self.place_scale - self.config.sigma_floor, 1e-3)
        )

    def count_params(self) -> int:
        """Returns the number of weights, the step scale included."""
        return self.model.count_params()


def build_dancer(config: DancerConfig) -> DancerNetwork:
    """Returns an untrained network."""
    return DancerNetwork(config)


def begin_linear(
    network: DancerNetwork,
    inputs: np.ndarray,
    targets: np.ndarray,
    mask: np.ndarray,
    style: np.ndarray | None = None,
) -> None:
    """Lets the head of a new network begin at the best linear prediction of the next step.

    All components begin with its mean, and with the size of its errors as their sigma; they
    differ in what they make of the LSTM's output. Gradient descent is slow to find this line,
    because neighbouring steps are so alike.

    Args:
        network: with `velocity_inputs` > 0 and `predict="delta"`.
        inputs: (B, T, D), as in training.
        targets: (B, T, D).
        mask: (B, T).
        style: (B, S), if the network has styles.
    """
    config = network.config
    kept = mask > 0
    seen = ops.convert_to_numpy(network.show(inputs))[kept].astype(np.float64)
    steps = ((targets - inputs)[kept] / network.step_scale).astype(np.float64)
    beside = np.ones((len(seen), 1))
    if config.styles:
        style = np.broadcast_to(_require_style(style)[:, None], (*kept.shape, len(config.styles)))
        beside = np.concatenate([style[kept], beside], axis=1)
    seen = np.concatenate([seen, beside], axis=1)
    # The ridge is what tells apart directions in which the windows hardly differ.
    ridge = 1e-4 * len(seen) * np.eye(seen.shape[1])
    line = np.linalg.solve(seen.T @ seen + ridge, seen.T @ steps)  # (D + P D + S + 1, D)
    errors = np.sqrt(np.mean((steps - seen @ line) ** 2, axis=0))
    bias = _sigma_bias(errors - config.sigma_floor, 0.02)
    head, size = network.mdn, seen.shape[1] - 1
    for layer, rows, constant in (
        (head.mdn_mus, line[:-1], line[-1]),
        (head.mdn_sigmas, 0.0, bias),
        (head.mdn_pi, 0.0, 0.0),
    ):
        kernel, _ = (np.array(ops.convert_to_numpy(value)) for value in layer.weights)
        repeats = 1 if layer is head.mdn_pi else config.num_mixtures
        kernel[-size:] = np.tile(rows, repeats) if np.ndim(rows) else rows
        # What the LSTM says is heard from the start, but softly.
        kernel[:-size] *= 0.3
        layer.kernel.assign(kernel)
        layer.bias.assign(np.broadcast_to(np.tile(constant, repeats), kernel.shape[1:]))


def _sigma_bias(sigma: np.ndarray, least: float) -> np.ndarray:
    """Returns e with elu(e) + 1 = sigma, or `least` where it is below that."""
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
        raise UserError(f"There are no dancer weights at {path}.") from error
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} does not hold the weights of a {config.network!r} dancer with "
            f"{config.layers} x {config.units} units, {config.num_mixtures} mixtures, "
            f"{len(config.styles)} styles and {config.dim} dimensions: "
            f"{str(error).partition(chr(10))[0]}"
        ) from error
    return network


def split_params(params: Any, dim: int, num_mixtures: int) -> tuple[Any, Any, Any]:
    """Takes the flat parameters of mixtures apart.

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


def mixture_nats(params: Any, targets: Any, num_mixtures: int) -> Any:
    """Returns the negative log-likelihood of each target, in nats per dimension.

    -log sum_k pi_k prod_d N(x_d; mu_kd, sigma_kd) / D, Bishop 1994, "Mixture density networks",
    equations 22, 23 and 29, with one sigma for each dimension. It is a density's: below zero where
    the density is above 1, which it is wherever sigma is small.

    Args:
        params: (…, 2 K D + K).
        targets: (…, D).
        num_mixtures: K.

    Returns:
        (…,), one figure for each vector, so that a mask can leave some out.
    """
    dim = targets.shape[-1]
    pi_logits, mu, sigma = split_params(params, dim, num_mixtures)
    z = (ops.expand_dims(targets, -2) - mu) / sigma
    normal = -ops.sum(0.5 * ops.square(z) + ops.log(sigma), axis=-1) - 0.5 * dim * _LOG_2PI
    return -ops.logsumexp(_log_pi(pi_logits) + normal, axis=-1) / dim


def _log_pi(pi_logits: Any) -> Any:
    # Keras warns of its own softmax when there is one component.
    return ops.subtract(pi_logits, ops.logsumexp(pi_logits, axis=-1, keepdims=True))


def squared_errors(params: Any, targets: Any, step_scale: Any) -> Any:
    """Returns the mean square error over the dimensions of a regression, in squared usual steps.

    Args:
        params: (…, 2 D + 1), of one Gaussian.
        targets: (…, D).
        step_scale: (D,), or 1 where the network knows no steps.

    Returns:
        (…,), one figure for each vector.
    """
    mu = params[..., : targets.shape[-1]]
    return ops.mean(ops.square(ops.divide(ops.subtract(targets, mu), step_scale)), axis=-1)


# Makes of a count in a part of a batch that in the whole batch; see `shared_means`.
_in_whole_batch: ContextVar[Callable[[Any], Any]] = ContextVar(
    "in_whole_batch", default=lambda count: count
)


@contextmanager
def shared_means(in_whole_batch: Callable[[Any], Any]) -> Iterator[None]:
    """Lets `masked_mean` give the share that a part of a batch has in the mean over all of it.

    The shares of the parts add up to the mean, and so do their gradients, however many values
    each of them masks; means of the parts would not.

    Args:
        in_whole_batch: makes of the count of a part the sum of the counts of all parts.
    """
    token = _in_whole_batch.set(in_whole_batch)
    try:
        yield
    finally:
        _in_whole_batch.reset(token)


def masked_mean(values: Any, mask: Any) -> Any:
    """Returns the mean of the values where the mask is 1; of none, 0. See `shared_means`."""
    # Not with *: the mask may be a NumPy array, with which PyTorch cannot multiply.
    total = ops.sum(ops.multiply(values, mask))
    return total / ops.maximum(_in_whole_batch.get()(ops.sum(mask)), 1.0)


def mean_prediction(params: Any, dim: int, num_mixtures: int) -> Any:
    """Returns the means sum_k pi_k mu_k (…, D) of mixtures (…, 2 K D + K)."""
    pi_logits, mu, _ = split_params(params, dim, num_mixtures)
    return ops.sum(ops.expand_dims(ops.exp(_log_pi(pi_logits)), -1) * mu, axis=-2)


def path_jerk(path: Any, mask: Any, step_scale: Any) -> Any:
    """Returns how unsteadily a path moves: the mean square of its second difference.

    That is of x(t+1) - 2 x(t) + x(t-1), the change of the step from one frame to the next: zero
    on a straight line at a steady speed. In the strict sense it is an acceleration, and a jerk
    would be the third difference; it is named after the jerkiness that it is to take away, as
    penalties on a predicted motion usually are, whichever difference they square.

    Args:
        path: (B, T, D) in model units.
        mask: (B, T), 1 where a vector counts; a difference counts where all three of its do.
        step_scale: (D,) the size of a usual step, which is the unit.

    Returns:
        One number, a mean over dimensions and all differences that count; of none, 0.
    """
    change = ops.divide(path[:, 2:] - 2.0 * path[:, 1:-1] + path[:, :-2], step_scale)
    mask = ops.convert_to_tensor(mask)
    counts = mask[:, 2:] * mask[:, 1:-1] * mask[:, :-2]
    return masked_mean(ops.mean(ops.square(change), axis=-1), counts)


class DancerTrainer(keras.Model):
    """A dancer and its loss, as one model for `train_on_batch`.

    A batch is one dictionary: `inputs` (B, T, D), `targets` (B, T, D), the vectors that follow,
    `mask` (B, T), 1 where a prediction counts, and `style` (B, S) for a network with styles.

    Args:
        network: the dancer.
        jerk: weight of `path_jerk` of the mean predictions in what is minimised. In the log
            `loss` is that of the head all the same, so that trainings can be compared; `jerk` is
            beside it, and `objective` is what is minimised.
        step_scale: (D,) the unit of the jerk; the network's own if None.

    Raises:
        ValueError: the weight is negative or not finite.
    """

    def __init__(
        self, network: DancerNetwork, jerk: float = 0.0, step_scale: np.ndarray | None = None
    ) -> None:
        super().__init__(name="dancer_trainer")
        if not 0 <= jerk < math.inf:
            raise ValueError(f"jerk must be 0 or more and finite; received {jerk}.")
        self.dancer = network.model
        self.num_mixtures = network.config.num_mixtures
        self.has_styles = bool(network.config.styles)
        self._network = network
        self.jerk = jerk
        self._step_scale = network.step_scale if step_scale is None else step_scale
        names = ("of_head", "jerk") if jerk else ()
        self._means = [keras.metrics.Mean(name=name) for name in names]
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Returns the mixtures' parameters (B, T, P)."""
        return self.dancer(self._shown(inputs), training=training)

    def _shown(self, batch: dict[str, Any]) -> Any:
        """Returns what `DancerNetwork.model` takes of a batch."""
        if not self.has_styles:
            return batch["inputs"]
        return [batch["inputs"], _require_style(batch.get("style"))]

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Returns what is minimised.

        It is the masked mean over time of the loss of the network's head (the negative
        log-likelihood in nats per dimension, or the mean square error in squared usual steps),
        and the weighted jerk of the path of the mean predictions.
        """
        targets = x["targets"]
        loss = masked_mean(self._loss(y_pred, targets), x["mask"])
        if not self.jerk:
            return loss
        path = mean_prediction(y_pred, targets.shape[-1], self.num_mixtures)
        jerk = path_jerk(path, x["mask"], self._step_scale)
        for mean, value in zip(self._means, (loss, jerk)):
            mean.update_state(value)
        return loss + self.jerk * jerk

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Returns the figures of a step; `loss` is always that of the head alone."""
        figures = super().compute_metrics(x, y, y_pred, sample_weight)
        if self.jerk:
            figures["objective"] = figures["loss"]
            figures["loss"] = figures.pop("of_head")
        return figures

    def _loss(self, params: Any, targets: Any) -> Any:
        """Returns (B, T), the loss of each vector."""
        if self._network.config.head == "mse":
            return squared_errors(params, targets, self._network.usual_step)
        return mixture_nats(params, targets, self.num_mixtures)

    def losses(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the loss of each vector of a batch, (B, T), without training."""
        params = self.dancer.predict_on_batch(self._shown(batch))
        return ops.convert_to_numpy(self._loss(params, batch["targets"]))

    def nats(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the nats per dimension of each vector of a batch, (B, T), by any head."""
        params = self.dancer.predict_on_batch(self._shown(batch))
        return ops.convert_to_numpy(mixture_nats(params, batch["targets"], self.num_mixtures))

    def fit_residual_sigma(self, batches: Iterable[dict[str, np.ndarray]]) -> None:
        """Gives a trained network with the head "mse" the sigma of its own errors.

        Args:
            batches: of what it was trained on, without noise.
        """
        squares, count = np.zeros(self._network.config.dim), 0
        for batch in batches:
            params = self.dancer.predict_on_batch(self._shown(batch))
            _, mu, _ = split_params(params, self._network.config.dim, 1)
            errors = (batch["targets"] - ops.convert_to_numpy(mu)[..., 0, :])[batch["mask"] > 0]
            squares += np.square(errors, dtype=np.float64).sum(axis=0)
            count += len(errors)
        self._network.set_residual_sigma(np.sqrt(squares / max(count, 1)))


def _require_style(style: Any) -> Any:
    if style is None:
        raise ValueError("a network with styles needs the `style` (B, S) of every window.")
    return style


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

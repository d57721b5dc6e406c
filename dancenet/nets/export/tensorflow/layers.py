"""The networks as plain TensorFlow, for the formats that other programs read.

The weights are read from Keras as arrays, whichever backend trained them, and used by TensorFlow's
own operations. So saved files load without Keras and dancenet, and converted ones contain only
operations that LiteRT has, which Keras's LSTM and `UpSampling2D` do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from dancenet.nets import dancer
from dancenet.nets.export.keras_layers import (
    fold_upsampling,
    input_of,
    kernel_and_bias,
    output_of,
    require,
)
from dancenet.sequence.context import rates

_ACTIVATIONS = {"relu": tf.nn.relu, "sigmoid": tf.nn.sigmoid, "linear": lambda x: x}


class PlainModel:
    """A functional Keras model of plain layers in a line, which may end in two branches.

    Attributes:
        variables: the weights.
    """

    def __init__(self, model: keras.Model, names: Sequence[str]) -> None:
        """Copies the weights.

        Args:
            model: one input; an upsampling before a 3x3 convolution becomes one transposed
                convolution, see `keras_layers.fold_upsampling`.
            names: the layers whose outputs are returned.

        Raises:
            NotImplementedError: the kind or a setting of a layer is not supported.
        """
        self.variables: list[tf.Variable] = []
        self._names = list(names)
        self._calls: list[tuple[str, str, Callable[[Any], Any]]] = []  # input, layer, function
        makers: dict[int, str] = {}  # the layer that gives each tensor
        doubled: set[str] = set()  # upsampling layers, which the next layer includes
        for layer in model.layers:
            if isinstance(layer, layers.InputLayer):
                makers[id(layer.output)] = self._input = layer.name
                continue
            source = makers[id(input_of(layer))]
            makers[id(output_of(layer))] = layer.name
            if isinstance(layer, layers.UpSampling2D):
                require(layer, layer.interpolation == "nearest", "interpolation")
                require(layer, tuple(layer.size) == (2, 2), "size")
                doubled.add(layer.name)
                call = _ACTIVATIONS["linear"]
            elif source in doubled:
                call = self._doubled_convolution(layer)
            else:
                call = self._layer(layer)
            self._calls.append((source, layer.name, call))

    def __call__(self, x: Any) -> list[Any]:
        """Takes a batch; returns the outputs of the named layers."""
        values = {self._input: x}
        for source, name, call in self._calls:
            values[name] = call(values[source])
        return [values[name] for name in self._names]

    def _weight(self, name: str, value: Any) -> tf.Variable:
        variable = tf.Variable(_array(value), trainable=False, name=name)
        self.variables.append(variable)
        return variable

    def _kernel_and_bias(self, layer: Any) -> tuple[tf.Variable, tf.Variable]:
        kernel, bias = kernel_and_bias(layer)
        return (
            self._weight(f"{layer.name}/kernel", kernel),
            self._weight(f"{layer.name}/bias", bias),
        )

    def _layer(self, layer: Any) -> Callable[[Any], Any]:
        if isinstance(layer, layers.Conv2DTranspose):
            require(layer, getattr(layer, "output_padding", None) is None, "output_padding")
            return self._transposed(layer, kernel_and_bias(layer)[0], tuple(layer.strides))
        if isinstance(layer, layers.Conv2D):
            return self._convolution(layer)
        if isinstance(layer, layers.Dense):
            return self._dense(layer)
        if isinstance(layer, layers.Activation):
            return _activation(layer)
        if isinstance(layer, layers.MaxPooling2D):
            require(layer, layer.padding == "valid", "padding")
            return lambda x: tf.nn.max_pool2d(x, layer.pool_size, layer.strides, "VALID")
        if isinstance(layer, (layers.Flatten, layers.Reshape)):
            shape = tuple(layer.output.shape[1:])
            return lambda x: tf.reshape(x, (-1, *shape))
        raise NotImplementedError(f"Layers of the kind {type(layer).__name__} are not exported.")

    def _convolution(self, layer: Any) -> Callable[[Any], Any]:
        require(layer, layer.groups == 1, "groups")
        require(layer, layer.padding in ("same", "valid"), "padding")
        require(layer, tuple(layer.dilation_rate) == (1, 1), "dilation_rate")
        (kernel, bias), activate = self._kernel_and_bias(layer), _activation(layer)
        strides, padding = layer.strides, layer.padding.upper()
        return lambda x: activate(tf.nn.bias_add(tf.nn.conv2d(x, kernel, strides, padding), bias))

    def _doubled_convolution(self, layer: Any) -> Callable[[Any], Any]:
        if not isinstance(layer, layers.Conv2D) or isinstance(layer, layers.Conv2DTranspose):
            raise NotImplementedError(
                f"An upsampling before a {type(layer).__name__} is not exported."
            )
        require(layer, tuple(layer.kernel_size) == (3, 3), "kernel_size")
        require(layer, tuple(layer.strides) == (1, 1), "strides")
        folded = fold_upsampling(kernel_and_bias(layer)[0])  # (4, 4, I, O)
        return self._transposed(layer, folded.transpose(0, 1, 3, 2), (2, 2))

    def _transposed(
        self, layer: Any, kernel: np.ndarray, strides: tuple[int, ...]
    ) -> Callable[[Any], Any]:
        """Returns a transposed convolution with a kernel (KH, KW, O, I)."""
        require(layer, layer.padding == "same", "padding")
        require(layer, tuple(layer.dilation_rate) == (1, 1), "dilation_rate")
        weight = self._weight(f"{layer.name}/kernel", kernel)
        bias, activate = (
            self._weight(f"{layer.name}/bias", kernel_and_bias(layer)[1]),
            _activation(layer),
        )

        def call(x: Any) -> Any:
            _, height, width, _ = x.shape
            batch = x.shape[0] or tf.shape(x)[0]
            shape = [batch, height * strides[0], width * strides[1], kernel.shape[2]]
            pictures = tf.nn.conv2d_transpose(x, weight, shape, strides, "SAME")
            return activate(tf.nn.bias_add(pictures, bias))

        return call

    def _dense(self, layer: Any) -> Callable[[Any], Any]:
        kernel, bias = self._kernel_and_bias(layer)
        activate = _activation(layer)
        if len(layer.output.shape) == 2:
            return lambda x: activate(tf.matmul(x, kernel) + bias)
        # On every pixel by itself.
        return lambda x: activate(
            tf.nn.bias_add(tf.nn.conv2d(x, kernel[None, None], 1, "VALID"), bias)
        )


class TensorFlowStep:
    """One step of a dancer; the formulas are at the top of `nets/dancer.py`.

    Products are computed one by one, and scales are not multiplied into the weights, so that
    numbers of different sizes do not share one scale when they are stored in 8 bits.

    Attributes:
        variables: the weights.
        states: name and width of each entry of the state; see `DancerConfig.state_widths`.
    """

    def __init__(self, network: dancer.DancerNetwork, exact_line: bool = False) -> None:
        """Copies the weights.

        Args:
            network: the dancer.
            exact_line: keep the path from the velocity inputs to the means in full precision,
                even where LiteRT would round. The next step is nearly the last one, so rounding
                there changes the dance directly: in 8 bits the means of `silhouette_v0` were off
                by 0.24 sigma, with this by 0.01, for a tenth more bytes.
        """
        config = self._config = network.config
        self._exact_line = exact_line
        self.variables: list[tf.Variable] = []
        self.states = config.state_widths
        self._scale = self._weight("step_scale", network.step_scale)
        self._cells = [
            (
                self._weight(f"{lstm.name}/kernel", lstm.cell.kernel),
                self._weight(f"{lstm.name}/recurrent_kernel", lstm.cell.recurrent_kernel),
                self._weight(f"{lstm.name}/bias", lstm.cell.bias),
            )
            for lstm in network.lstms
        ]
        self._dense = (
            None
            if network.dense is None
            else (
                self._weight("dense/kernel", network.dense.kernel),
                self._weight("dense/bias", network.dense.bias),
            )
        )
        # The head sees the layers' output and, beside it, the velocity inputs and the style.
        width = config.dense_units or config.units
        self._head = [
            (
                self._weight(f"{layer.name}/kernel", _array(layer.kernel)[:width]),
                self._weight(f"{layer.name}/kernel_seen", _array(layer.kernel)[width:]),
                self._weight(f"{layer.name}/bias", layer.bias),
            )
            for layer in (network.mdn.mdn_pi, network.mdn.mdn_mus, network.mdn.mdn_sigmas)
        ]

    def _weight(self, name: str, value: Any) -> tf.Variable:
        variable = tf.Variable(_array(value), trainable=False, name=name)
        self.variables.append(variable)
        return variable

    def __call__(
        self, vectors: Any, state: Sequence[Any]
    ) -> tuple[tuple[Any, Any, Any], list[Any]]:
        """Takes (B, D) and the state.

        Returns:
            pi_logits (B, K), mu and sigma (B, K, D) of the next vectors, and the next state.
        """
        config, states = self._config, dict(zip(self.states, state))
        lasts = [states[f"last{back + 1}"] for back in range(config.velocity_inputs)]
        style = [states["style"]] if config.styles else []
        recent = [vectors, *lasts]
        steps = [
            tf.clip_by_value((new - old) / self._scale, -dancer.MAX_STEP, dancer.MAX_STEP)
            for new, old in zip(recent, recent[1:])
        ]
        means = [states[f"mean{index + 1}"] for index in range(len(config.context))]
        context = [
            mean + share * (vectors - mean)
            for mean, share in zip(means, rates(config.context).tolist())
        ]
        x = vectors
        if steps or context or style:
            x = tf.concat([vectors, *steps, *context, *style], 1)
        seen = x if steps else style[0] if style else None
        following: list[Any] = []
        for index, (kernel, recurrent, bias) in enumerate(self._cells):
            gates = tf.matmul(x, kernel) + bias
            if config.keeps_state:
                gates += tf.matmul(states[f"h{index}"], recurrent)
            i, f, g, o = tf.split(gates, 4, 1)
            c = self._gate(i) * tf.tanh(g)
            if config.keeps_state:
                c += self._gate(f) * states[f"c{index}"]
            x = self._gate(o) * tf.tanh(c)
            following += [x, c] if config.keeps_state else []
        if self._dense is not None:
            x = tf.nn.relu(tf.matmul(x, self._dense[0]) + self._dense[1])
        return self._mixture(x, seen, vectors), [*following, *recent[:-1], *context, *style]

    def named(self, vectors: Any, *state: Any) -> dict[str, Any]:
        """Does the same and names each output; state h0 becomes next_h0, and so on."""
        mixture, following = self(vectors, state)
        # Parts of the state are unchanged inputs, and an output needs its own name.
        return dict(zip(("pi_logits", "mu", "sigma"), mixture)) | {
            f"next_{name}": tf.identity(value) for name, value in zip(self.states, following)
        }

    def _mixture(self, x: Any, seen: Any, vectors: Any) -> tuple[Any, Any, Any]:
        config = self._config
        linear = []
        for kernel, kernel_seen, bias in self._head:
            product = tf.matmul(x, kernel)
            if seen is not None and self._exact_line and kernel is self._head[1][0]:
                # LiteRT does not recognise this as a matrix product, so it does not round it.
                product += tf.reduce_sum(seen[:, :, None] * kernel_seen, 1)
            elif seen is not None:
                product += tf.matmul(seen, kernel_seen)
            linear.append(product + bias)
        shape = (-1, config.num_mixtures, config.dim)
        pi_logits, mu, sigma = linear[0], tf.reshape(linear[1], shape), tf.reshape(linear[2], shape)
        # elu + 1 + 1e-7, as in keras-mdn-layer, then the floor.
        sigma = tf.nn.elu(sigma) + (1 + 1e-7 + config.sigma_floor)
        if config.predict == "delta":
            mu, sigma = vectors[:, None] + self._scale * mu, self._scale * sigma
        return pi_logits, mu, sigma

    def _gate(self, x: Any) -> Any:
        if self._config.recurrent_activation == "hard_sigmoid_2018":
            return tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0)
        return tf.nn.sigmoid(x)


def _activation(layer: Any) -> Callable[[Any], Any]:
    kind = getattr(layer.activation, "__name__", str(layer.activation))
    if kind not in _ACTIVATIONS:
        raise NotImplementedError(f"The activation {kind!r} is not exported.")
    return _ACTIVATIONS[kind]


def _array(value: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(value), np.float32)

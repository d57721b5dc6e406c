"""Adds Keras layers to an ONNX graph, one by one."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers
from onnx import TensorProto

from dancenet.codecs import place
from dancenet.nets.export.keras_layers import (
    KernelBias,
    fold_dense,
    fold_upsampling,
    input_of,
    kernel_and_bias,
    output_of,
    require,
    same_padding,
    transposed_padding,
)
from dancenet.nets.export.onnx_graph import GraphBuilder

_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softplus": "Softplus"}


class Value(NamedTuple):
    """A tensor between two layers: its name in the graph and the layout of its axes."""

    name: str
    shape: tuple[int, ...]  # without the batch, in Keras's order: (H, W, C) or (N,)
    # (H, W, C) of a vector flattened channel by channel, where Keras goes pixel by pixel.
    picture: tuple[int, int, int] | None = None
    doubled: bool = False  # a nearest-neighbour upsampling by 2 is still to be done
    dense: KernelBias | None = None  # a linear dense layer on every pixel, still to be done


class _Task(NamedTuple):
    """One layer to add."""

    layer: Any
    source: Value  # its input
    output: str  # name of its output
    shape: tuple[int, ...]  # its output's, without the batch
    consumers: list[layers.Layer]  # layers that take its output

    @property
    def name(self) -> str:
        return self.layer.name


def add_model(
    graph: GraphBuilder, model: keras.Model, names: dict[str, str], source: Value | None = None
) -> dict[str, Value]:
    """Adds a functional Keras model of plain layers, one input, any number of outputs.

    Pictures are (B, C, H, W) in the graph. The weights of a dense layer next to a picture are
    reordered here, so that nothing is transposed at run time.

    Args:
        graph: the graph to extend.
        model: the network.
        names: names of the outputs, by the layer that computes them.
        source: its input; if None, an input called `model.input.name` is declared.

    Returns:
        The value of each output by its new name.

    Raises:
        NotImplementedError: the kind or a setting of a layer is not supported.
    """
    values: dict[int, Value] = {}
    consumers: dict[int, list[layers.Layer]] = {}
    for layer in model.layers:
        if not isinstance(layer, layers.InputLayer):
            consumers.setdefault(id(input_of(layer)), []).append(layer)
    found: dict[str, Value] = {}
    for layer in model.layers:
        if isinstance(layer, layers.InputLayer):
            tensor = layer.output
            values[id(tensor)] = source or add_input(graph, tensor.name, tuple(tensor.shape[1:]))
            continue
        target = output_of(layer)
        output = names.get(layer.name, layer.name)
        task = _Task(
            layer=layer,
            source=values[id(input_of(layer))],
            output=output,
            shape=tuple(target.shape[1:]),
            consumers=consumers.get(id(target), []),
        )
        values[id(target)] = value = _add_layer(graph, task)
        if layer.name in names:
            found[output] = value
    return found


def add_input(graph: GraphBuilder, name: str, shape: tuple[int, ...]) -> Value:
    """Declares an input (B, *shape); a picture (H, W, C) becomes (B, C, H, W)."""
    graph.input(name, shape)
    if len(shape) != 3:
        return Value(name, shape)
    height, width, channels = shape
    if channels == 1:
        return Value(graph.reshape(name, (1, height, width), f"{name}/channels_first"), shape)
    return Value(graph.add("Transpose", [name], f"{name}/channels_first", perm=[0, 3, 1, 2]), shape)


def _add_layer(graph: GraphBuilder, task: _Task) -> Value:
    layer, source, output, shape, _ = task
    if isinstance(layer, layers.Dropout):
        return source
    if isinstance(layer, layers.Conv2D) and not isinstance(layer, layers.Conv2DTranspose):
        return _add_convolution(graph, task)
    source = _at_full_size(graph, source)
    task = task._replace(source=source)
    if isinstance(layer, layers.Conv2DTranspose):
        return _add_transposed(graph, task)
    if isinstance(layer, layers.Dense):
        return _add_dense(graph, task)
    if isinstance(layer, layers.Activation):
        name = _activate(graph, source.name, layer.activation, output)
        return Value(name, shape, source.picture)
    if isinstance(layer, layers.ReLU):
        return Value(graph.add("Relu", [source.name], output), shape, source.picture)
    if isinstance(layer, layers.MaxPooling2D):
        return _add_pooling(graph, task)
    if isinstance(layer, layers.UpSampling2D):
        require(layer, layer.interpolation == "nearest", "interpolation")
        require(layer, tuple(layer.size) == (2, 2), "size")
        doubled = Value(source.name, shape, doubled=True)
        return doubled if graph.fold else _at_full_size(graph, doubled)
    if isinstance(layer, layers.Flatten):
        if len(source.shape) != 3:
            return source
        return Value(graph.add("Flatten", [source.name], output, axis=1), shape, source.shape)
    if isinstance(layer, layers.Reshape):
        return _add_reshape(graph, task)
    raise NotImplementedError(f"Layers of the kind {type(layer).__name__} are not exported.")


def _add_pooling(graph: GraphBuilder, task: _Task) -> Value:
    layer = task.layer
    require(layer, layer.padding == "valid", "padding")
    name = graph.add(
        "MaxPool",
        [task.source.name],
        task.output,
        kernel_shape=list(layer.pool_size),
        strides=list(layer.strides),
    )
    return Value(name, task.shape)


def _at_full_size(graph: GraphBuilder, value: Value) -> Value:
    """Adds an upsampling that no convolution took over."""
    if not value.doubled:
        return value
    scales = graph.weight(f"{value.name}/twice", [1, 1, 2, 2])
    name = graph.add(
        "Resize",
        [value.name, "", scales],
        f"{value.name}/doubled",
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    return Value(name, value.shape)


def _add_convolution(graph: GraphBuilder, task: _Task) -> Value:
    layer = task.layer
    require(layer, layer.groups == 1, "groups")
    require(layer, tuple(layer.dilation_rate) == (1, 1), "dilation_rate")
    require(layer, layer.padding in ("same", "valid"), "padding")
    kernel, bias = weights = kernel_and_bias(layer)
    strides, same = list(layer.strides), layer.padding == "same"
    if task.source.doubled and kernel.shape[:2] == (3, 3) and strides == [1, 1] and same:
        folded = KernelBias(fold_upsampling(kernel).transpose(2, 3, 0, 1), bias)
        return _transposed(graph, task, folded, (2, 2))
    source = _at_full_size(graph, task.source)
    pads = [(0, 0), (0, 0)]
    if same:
        pads = [same_padding(source.shape[i], kernel.shape[i], strides[i]) for i in (0, 1)]
    attributes: dict[str, Any] = {
        "kernel_shape": list(kernel.shape[:2]),
        "strides": strides,
        "pads": [pads[0][0], pads[1][0], pads[0][1], pads[1][1]],
    }
    if source.dense is None:
        inputs = [source.name, graph.weight(f"{task.name}/kernel", kernel.transpose(3, 2, 0, 1))]
        inputs.append(graph.weight(f"{task.name}/bias", bias))
        return _with_activation(graph, task, "Conv", inputs, **attributes)
    kernel, offset = fold_dense(source.dense, weights, source.shape, strides, pads)
    inputs = [source.name, graph.weight(f"{task.name}/kernel", kernel.transpose(3, 2, 0, 1))]
    product = graph.add("Conv", inputs, f"{task.output}/product", **attributes)
    offset_name = graph.weight(f"{task.name}/offset", offset.transpose(2, 0, 1)[None])
    return _with_activation(graph, task, "Add", [product, offset_name])


def _add_transposed(graph: GraphBuilder, task: _Task) -> Value:
    layer = task.layer
    require(layer, layer.padding == "same", "padding")
    require(layer, getattr(layer, "output_padding", None) is None, "output_padding")
    require(layer, tuple(layer.dilation_rate) == (1, 1), "dilation_rate")
    kernel, bias = kernel_and_bias(layer)  # (KH, KW, O, I)
    weights = KernelBias(kernel.transpose(3, 2, 0, 1), bias)
    return _transposed(graph, task, weights, tuple(layer.strides))


def _transposed(
    graph: GraphBuilder, task: _Task, weights: KernelBias, strides: tuple[int, ...]
) -> Value:
    """Adds a transposed convolution with a kernel (I, O, KH, KW)."""
    kernel, bias = weights
    cut = [transposed_padding(kernel.shape[2 + i], strides[i]) for i in (0, 1)]
    inputs = [task.source.name, graph.weight(f"{task.name}/kernel", kernel)]
    inputs.append(graph.weight(f"{task.name}/bias", bias))
    return _with_activation(
        graph,
        task,
        "ConvTranspose",
        inputs,
        kernel_shape=list(kernel.shape[2:]),
        strides=list(strides),
        pads=[cut[0][0], cut[1][0], cut[0][1], cut[1][1]],
        output_padding=[cut[0][2], cut[1][2]],
    )


def _add_dense(graph: GraphBuilder, task: _Task) -> Value:
    source, consumers = task.source, task.consumers
    kernel, bias = weights = kernel_and_bias(task.layer)
    if len(source.shape) == 3:  # every pixel by itself
        if graph.fold and _is_folded(task.layer, kernel, consumers):
            return Value(source.name, task.shape, dense=weights)
        inputs = [source.name, graph.weight(f"{task.name}/kernel", kernel.T[:, :, None, None])]
        inputs.append(graph.weight(f"{task.name}/bias", bias))
        return _with_activation(graph, task, "Conv", inputs, kernel_shape=[1, 1])
    picture = None
    if source.picture is not None:
        kernel = kernel[_channels_first(source.picture)]
    if len(consumers) == 1 and isinstance(consumers[0], layers.Reshape):
        target = tuple(output_of(consumers[0]).shape[1:])
        if len(target) == 3:
            picture = target
            order = _channels_first(target)
            kernel, bias = kernel[:, order], bias[order]
    inputs = [source.name, graph.weight(f"{task.name}/kernel", kernel)]
    inputs.append(graph.weight(f"{task.name}/bias", bias))
    return _with_activation(graph, task, "Gemm", inputs)._replace(picture=picture)


def _is_folded(layer: layers.Dense, kernel: np.ndarray, consumers: list[layers.Layer]) -> bool:
    """Tells whether the convolution after a dense layer can take it in, and saves work by it."""
    if layer.activation is not keras.activations.linear or len(consumers) != 1:
        return False
    after = consumers[0]
    if not isinstance(after, layers.Conv2D) or isinstance(after, layers.Conv2DTranspose):
        return False
    if after.padding not in ("same", "valid"):
        return False
    # Compare multiply-adds per pixel. (Strides, which would favour keeping both, are ignored.)
    height, width, _, filters = after.kernel.shape
    apart = kernel.size + height * width * kernel.shape[1] * filters
    return height * width * kernel.shape[0] * filters <= apart


def _channels_first(shape: tuple[int, int, int]) -> np.ndarray:
    """Returns the position in a flat (H, W, C) of each element of a flat (C, H, W)."""
    return np.arange(int(np.prod(shape))).reshape(shape).transpose(2, 0, 1).ravel()


def _add_reshape(graph: GraphBuilder, task: _Task) -> Value:
    _, source, output, shape, _ = task
    if len(shape) != 3 or len(source.shape) != 1:
        raise NotImplementedError(f"A Reshape from {source.shape} to {shape} is not exported.")
    height, width, channels = shape
    if source.picture == shape:
        return Value(graph.reshape(source.name, (channels, height, width), output), shape)
    if source.picture is not None:
        raise NotImplementedError(f"A Reshape from {source.picture} to {shape} is not exported.")
    name = graph.reshape(source.name, shape, f"{output}/channels_last")
    return Value(graph.add("Transpose", [name], output, perm=[0, 3, 1, 2]), shape)


def _with_activation(
    graph: GraphBuilder, task: _Task, kind: str, inputs: list[str], **attributes: Any
) -> Value:
    """Adds a layer's operation, then its activation."""
    activation = task.layer.activation
    if activation is keras.activations.linear:
        return Value(graph.add(kind, inputs, task.output, **attributes), task.shape)
    name = graph.add(kind, inputs, f"{task.output}/linear", **attributes)
    return Value(_activate(graph, name, activation, task.output), task.shape)


def _activate(graph: GraphBuilder, source: str, activation: Any, output: str) -> str:
    kind = getattr(activation, "__name__", str(activation))
    if kind == "linear":
        return graph.add("Identity", [source], output)
    if kind not in _ACTIVATIONS:
        raise NotImplementedError(f"The activation {kind!r} is not exported.")
    return graph.add(_ACTIVATIONS[kind], [source], output)


def take_out_place(graph: GraphBuilder, size: tuple[int, int]) -> Value:
    """Adds `codecs.place.take_out` before an encoder.

    Returns:
        The input `frames` (B, H, W, 1) with the figure in the middle, as (B, 1, H, W). The places
        are in "place".
    """
    height, width = size
    frames = add_input(graph, "frames", (height, width, 1)).name
    one, half = graph.weight("place/one", 1), graph.weight("place/half", 0.5)
    pixels = graph.add("Less", [frames, half], "place/is_figure")
    pixels = graph.add("Cast", [pixels], "place/pixels", to=TensorProto.FLOAT)
    rows, last = (graph.weight(f"place/axis{axis}", [axis], np.int64) for axis in (2, 3))
    columns = graph.add("ReduceSum", [pixels, rows], "place/columns")  # (B, 1, 1, W)
    total = graph.add("ReduceSum", [columns, last], "place/total", keepdims=1)
    below = graph.add("CumSum", [columns, graph.weight("place/across", 3, np.int64)], "place/below")
    twice = graph.add("Add", [below, below], "place/twice")
    left = graph.add("Less", [twice, total], "place/is_left")
    left = graph.add("Cast", [left], "place/left", to=TensorProto.FLOAT)
    column = graph.add("ReduceSum", [left, last], "place/column", keepdims=1)  # (B, 1, 1, 1)
    offset = graph.add("Sub", [column, graph.weight("place/middle", width // 2)], "place/found")
    # A frame without a figure has no place.
    some = graph.add("Min", [total, one], "place/some")
    offset = graph.add("Mul", [offset, some], "place/offset")
    graph.reshape(
        graph.add("Div", [offset, graph.weight("place/unit", place.PIXELS)], "place/units"),
        (1,),
        "place",
    )
    figure = graph.add("Sub", [one, frames], "place/figure")
    moved = graph.add("MatMul", [figure, _add_shift(graph, offset, width)], "place/moved")
    centred = graph.add("Sub", [one, moved], "frames/centred")
    return Value(centred, (height, width, 1))


def append_place(graph: GraphBuilder, z_mean: str, z_log_var: str) -> None:
    """Adds the place to the two outputs of an encoder, as their last number."""
    graph.add("Concat", [z_mean, "place"], "z_mean", axis=1)
    same = graph.add("Mul", ["place", graph.weight("place/zero", 0)], "place/nothing")
    log_variance = graph.weight("place/log_var", place.LOG_VARIANCE)
    graph.add(
        "Concat",
        [z_log_var, graph.add("Add", [same, log_variance], "place/log_variance")],
        "z_log_var",
        axis=1,
    )


def split_place(graph: GraphBuilder, latent_dim: int) -> Value:
    """Declares the input `latents`; returns it without its place, which is in "place"."""
    graph.input("latents", (latent_dim + 1,))
    parts = graph.weight("latents/parts", [latent_dim, 1], np.int64)
    graph.add("Split", ["latents", parts], ["latents/pose", "place"], axis=1)
    return Value("latents/pose", (latent_dim,))


def put_back_place(graph: GraphBuilder, logits: str, size: tuple[int, int], output: str) -> None:
    """Adds `codecs.place.put_back` after a decoder's logits (B, 1, H, W)."""
    unit = graph.weight("place/unit", -place.PIXELS)
    offset = graph.add("Mul", ["place", unit], "place/pixels")
    offset = graph.reshape(offset, (1, 1, 1), "place/offset")
    low, high = (
        graph.weight(f"logits/{name}", sign * place.MAX_LOGIT)
        for name, sign in (("low", -1), ("high", 1))
    )
    limited = graph.add("Clip", [logits, low, high], "logits/limited")
    figure = graph.add("Sub", [limited, high], "logits/figure")
    moved = graph.add("MatMul", [figure, _add_shift(graph, offset, size[1])], "logits/moved")
    graph.add("Sigmoid", [graph.add("Add", [moved, high], "logits/placed")], output)


def _add_shift(graph: GraphBuilder, offset: str, width: int) -> str:
    """Adds the matrices (B, 1, W, W) that move columns to the left by `offset` (B, 1, 1, 1)."""
    columns = np.arange(width, dtype=np.float32)
    distance = graph.weight("shift/columns", (columns[:, None] - columns)[None, None])
    away = graph.add("Abs", [graph.add("Sub", [distance, offset], "shift/distance")], "shift/away")
    share = graph.add("Sub", [graph.weight("shift/one", 1), away], "shift/share")
    return graph.add("Relu", [share], "shift")

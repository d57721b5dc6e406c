"""Keras layers to ONNX graphs, layer by layer, with names a person can follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import onnx
from keras import layers
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8  # of ONNX 1.12; ONNX Runtime 1.17 reads up to 9

_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softplus": "Softplus"}


class GraphBuilder:
    """Collects nodes and weights under readable names."""

    def __init__(self, name: str, outer: GraphBuilder | None = None, fold: bool = True) -> None:
        """Begins a graph.

        Args:
            name: the graph's.
            outer: for a branch, the graph it is part of, whose values it sees; see `branch`.
            fold: let layers of Keras that one operation can do become one; False to compare.
        """
        self.name = name
        self.fold = fold
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, onnx.TensorProto] = outer._weights if outer else {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def switch(self, name: str) -> str:
        """Declares an input that is one truth value."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.BOOL, []))
        return name

    def input(self, name: str, shape: Sequence[int]) -> str:
        """Declares a float32 input: one number for all, or with the batch, of any size, first."""
        axes: list[str | int | None] = ["batch", *shape] if shape else []
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, axes))
        return name

    def output(self, name: str, shape: Sequence[int]) -> None:
        """Declares the value called `name` as an output."""
        self._outputs.append(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
        )

    def weight(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        """Stores an array in the graph; returns its name."""
        array = np.ascontiguousarray(np.asarray(value, dtype))
        self._weights[name] = numpy_helper.from_array(array, name)
        return name

    def add(
        self,
        kind: str,
        inputs: Sequence[str],
        output: str | Sequence[str],
        name: str | None = None,
        **attributes: Any,
    ) -> str:
        """Adds a node named after its (first) output; returns that output's name."""
        outputs = [output] if isinstance(output, str) else list(output)
        self._nodes.append(
            helper.make_node(kind, list(inputs), outputs, name=name or outputs[0], **attributes)
        )
        return outputs[0]

    def branch(self, switch: str, then: GraphBuilder, outputs: Sequence[str]) -> None:
        """Adds a graph that is computed only where a truth value is true.

        Args:
            switch: the truth value.
            then: begun with this graph as `outer`; its outputs are declared.
            outputs: what they are to be called here; of no rows where `switch` is false.
        """
        otherwise = GraphBuilder(f"{then.name}/not", self)
        for value in then._outputs:
            shape = [axis.dim_value for axis in value.type.tensor_type.shape.dim[1:]]
            empty = numpy_helper.from_array(np.zeros((0, *shape), np.float32))
            otherwise.output(otherwise.add("Constant", [], f"{value.name}/not", value=empty), shape)
        branches = (
            helper.make_graph(part._nodes, part.name, [], part._outputs)
            for part in (then, otherwise)
        )
        self.add("If", [switch], outputs, **dict(zip(("then_branch", "else_branch"), branches)))

    def reshape(self, value: str, shape: Sequence[int], output: str) -> str:
        """Reshapes all but the batch."""
        target = self.weight(f"{output}/shape", [0, *shape], np.int64)
        return self.add("Reshape", [value, target], output)

    def build(self) -> onnx.ModelProto:
        """Returns the checked model. The same weights give the same bytes."""
        graph = helper.make_graph(
            self._nodes, self.name, self._inputs, self._outputs, list(self._weights.values())
        )
        model = helper.make_model(
            graph,
            producer_name="dancenet",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Returns the zeros before and after an axis in TensorFlow's 'same' convolution.

    The output has ceil(size / stride) places; an odd zero goes after.
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def transposed_padding(kernel: int, stride: int) -> tuple[int, int, int]:
    """Returns what a 'same' transposed convolution cuts off before and after, and adds after.

    Its output is `stride` times its input: TensorFlow's is the gradient of the 'same'
    convolution, whose padding it takes away again.
    """
    total = max(kernel - stride, 0)
    return total // 2, total - total // 2, max(stride - kernel, 0)


def fold_upsampling(kernel: np.ndarray) -> np.ndarray:
    """Returns the 4x4 kernel of one transposed convolution for 'repeat twice, then 3x3 same'.

    Of the three taps of a row, two always fall on copies of one source pixel and one on its
    neighbour's, so that out[2i] = k0 x[i-1] + (k1 + k2) x[i] and
    out[2i+1] = (k0 + k1) x[i] + k2 x[i+1]. A transposed convolution with stride 2 that cuts one
    row off has out[2i] = t3 x[i-1] + t1 x[i] and out[2i+1] = t2 x[i] + t0 x[i+1].
    Where there is no neighbour both have zero, so the border is exact.

    Args:
        kernel: (3, 3, I, O), as Keras stores it.

    Returns:
        (4, 4, I, O).
    """
    for axis in (0, 1):
        first, middle, last = np.moveaxis(kernel.astype(np.float64), axis, 0)
        kernel = np.stack([last, middle + last, first + middle, first], axis)
    return kernel.astype(np.float32)


def fold_dense(
    dense: tuple[np.ndarray, np.ndarray],
    kernel: np.ndarray,
    bias: np.ndarray,
    shape: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
) -> tuple[np.ndarray, np.ndarray]:
    """Returns one convolution for 'a linear dense layer on every pixel, then a convolution'.

    The kernels multiply. What the dense layer adds does not reach into the zeros around the
    picture, so the sum of its bias over the taps is another at the border: a map, not a vector.

    Args:
        dense: kernel (I, M) and bias (M,) of the dense layer.
        kernel: (KH, KW, M, O), as Keras stores it.
        bias: (O,).
        shape: H, W of the picture.
        strides: down and across.
        pads: zeros before and after, down and across.

    Returns:
        The kernel (KH, KW, I, O) and what is added to its convolution, (H', W', O).
    """
    kernel = kernel.astype(np.float64)
    size = [(shape[i] + sum(pads[i]) - kernel.shape[i]) // strides[i] + 1 for i in (0, 1)]
    taps = dense[1].astype(np.float64) @ kernel  # (KH, KW, O)
    offset = np.zeros((*size, kernel.shape[3])) + bias
    for tap in np.ndindex(*kernel.shape[:2]):
        inside = []
        for i in (0, 1):
            places = np.arange(size[i]) * strides[i] + tap[i] - pads[i][0]
            inside.append((0 <= places) & (places < shape[i]))
        offset += np.outer(*inside)[..., None] * taps[tap]
    return (dense[0].astype(np.float64) @ kernel).astype(np.float32), offset.astype(np.float32)


class _Value:
    """A tensor between two layers: its name in the graph and how its axes lie there."""

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        picture: tuple[int, int, int] | None = None,
        doubled: bool = False,
        dense: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        self.name = name
        self.shape = shape  # without the batch, as Keras counts: (H, W, C) or (N,)
        # (H, W, C) of a vector that lies channel by channel, where Keras has pixel by pixel.
        self.picture = picture
        self.doubled = doubled  # a nearest-neighbour upsampling by 2 is still to be done
        # Kernel and bias of a linear dense layer on every pixel that is still to be done.
        self.dense = dense


def add_model(graph: GraphBuilder, model: keras.Model, names: dict[str, str]) -> dict[str, _Value]:
    """Adds a functional Keras model of plain layers, one input, any number of outputs.

    Pictures lie (B, C, H, W) in the graph. Weights of a dense layer beside a picture are put
    into that order here, so that nothing is transposed at run time.

    Args:
        graph: where to add; its input called `model.input.name` is declared here.
        model: the network.
        names: what the outputs are to be called, by the name of the layer that gives them.

    Returns:
        The value of each output by its new name.

    Raises:
        NotImplementedError: a layer is of a kind or has a setting that is not known here.
    """
    values: dict[int, _Value] = {}
    consumers: dict[int, list[layers.Layer]] = {}
    for layer in model.layers:
        if not isinstance(layer, layers.InputLayer):
            consumers.setdefault(id(_input_of(layer)), []).append(layer)
    found: dict[str, _Value] = {}
    for layer in model.layers:
        if isinstance(layer, layers.InputLayer):
            tensor = layer.output
            values[id(tensor)] = _add_input(graph, tensor.name, tuple(tensor.shape[1:]))
            continue
        source = values[id(_input_of(layer))]
        target = _output_of(layer)
        output = names.get(layer.name, layer.name)
        value = _add_layer(graph, layer, source, output, consumers.get(id(target), []))
        values[id(target)] = value
        if layer.name in names:
            found[output] = value
    return found


def _input_of(layer: layers.Layer) -> Any:
    return layer._inbound_nodes[0].input_tensors[0]


def _output_of(layer: layers.Layer) -> Any:
    return layer._inbound_nodes[0].output_tensors[0]


def _add_input(graph: GraphBuilder, name: str, shape: tuple[int, ...]) -> _Value:
    graph.input(name, shape)
    if len(shape) != 3:
        return _Value(name, shape)
    height, width, channels = shape
    if channels == 1:
        return _Value(graph.reshape(name, (1, height, width), f"{name}/channels_first"), shape)
    return _Value(
        graph.add("Transpose", [name], f"{name}/channels_first", perm=[0, 3, 1, 2]), shape
    )


def _add_layer(
    graph: GraphBuilder,
    layer: layers.Layer,
    source: _Value,
    output: str,
    consumers: list[layers.Layer],
) -> _Value:
    shape = tuple(_output_of(layer).shape[1:])
    if isinstance(layer, layers.Dropout):
        return source
    if isinstance(layer, layers.Conv2DTranspose):
        return _add_transposed(graph, layer, _at_full_size(graph, source), output, shape)
    if isinstance(layer, layers.Conv2D):
        return _add_convolution(graph, layer, source, output, shape)
    source = _at_full_size(graph, source)
    if isinstance(layer, layers.Dense):
        return _add_dense(graph, layer, source, output, shape, consumers)
    if isinstance(layer, layers.Activation):
        name = _activate(graph, source.name, layer.activation, output)
        return _Value(name, shape, source.picture)
    if isinstance(layer, layers.ReLU):
        return _Value(graph.add("Relu", [source.name], output), shape, source.picture)
    if isinstance(layer, layers.MaxPooling2D):
        _require(layer, layer.padding == "valid", "padding")
        name = graph.add(
            "MaxPool",
            [source.name],
            output,
            kernel_shape=list(layer.pool_size),
            strides=list(layer.strides),
        )
        return _Value(name, shape)
    if isinstance(layer, layers.UpSampling2D):
        _require(layer, layer.interpolation == "nearest", "interpolation")
        _require(layer, tuple(layer.size) == (2, 2), "size")
        doubled = _Value(source.name, shape, doubled=True)
        return doubled if graph.fold else _at_full_size(graph, doubled)
    if isinstance(layer, layers.Flatten):
        if len(source.shape) != 3:
            return source
        return _Value(graph.add("Flatten", [source.name], output, axis=1), shape, source.shape)
    if isinstance(layer, layers.Reshape):
        return _add_reshape(graph, source, output, shape)
    raise NotImplementedError(f"Layers of the kind {type(layer).__name__} are not exported.")


def _at_full_size(graph: GraphBuilder, value: _Value) -> _Value:
    """Does an upsampling that no convolution took over."""
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
    return _Value(name, value.shape)


def _add_convolution(
    graph: GraphBuilder, layer: layers.Conv2D, source: _Value, output: str, shape: tuple[int, ...]
) -> _Value:
    _require(layer, layer.groups == 1, "groups")
    _require(layer, tuple(layer.dilation_rate) == (1, 1), "dilation_rate")
    _require(layer, layer.padding in ("same", "valid"), "padding")
    kernel, bias = _weights(layer)
    strides = list(layer.strides)
    if (
        source.doubled
        and kernel.shape[:2] == (3, 3)
        and strides == [1, 1]
        and layer.padding == "same"
    ):
        return _transposed(
            graph,
            layer,
            fold_upsampling(kernel).transpose(2, 3, 0, 1),
            bias,
            source.name,
            output,
            shape,
            (2, 2),
        )
    source = _at_full_size(graph, source)
    pads = [(0, 0), (0, 0)]
    if layer.padding == "same":
        pads = [same_padding(source.shape[i], kernel.shape[i], strides[i]) for i in (0, 1)]
    attributes: dict[str, Any] = {
        "kernel_shape": list(kernel.shape[:2]),
        "strides": strides,
        "pads": [pads[0][0], pads[1][0], pads[0][1], pads[1][1]],
    }
    if source.dense is None:
        inputs = [source.name, graph.weight(f"{layer.name}/kernel", kernel.transpose(3, 2, 0, 1))]
        inputs.append(graph.weight(f"{layer.name}/bias", bias))
        return _with_activation(graph, layer, output, shape, "Conv", inputs, **attributes)
    kernel, offset = fold_dense(source.dense, kernel, bias, source.shape, strides, pads)
    inputs = [source.name, graph.weight(f"{layer.name}/kernel", kernel.transpose(3, 2, 0, 1))]
    name = graph.add("Conv", inputs, f"{output}/product", **attributes)
    offset_name = graph.weight(f"{layer.name}/offset", offset.transpose(2, 0, 1)[None])
    return _with_activation(graph, layer, output, shape, "Add", [name, offset_name])


def _add_transposed(
    graph: GraphBuilder,
    layer: layers.Conv2DTranspose,
    source: _Value,
    output: str,
    shape: tuple[int, ...],
) -> _Value:
    _require(layer, layer.padding == "same", "padding")
    _require(layer, getattr(layer, "output_padding", None) is None, "output_padding")
    _require(layer, tuple(layer.dilation_rate) == (1, 1), "dilation_rate")
    kernel, bias = _weights(layer)  # (KH, KW, O, I)
    return _transposed(
        graph,
        layer,
        kernel.transpose(3, 2, 0, 1),
        bias,
        source.name,
        output,
        shape,
        tuple(layer.strides),
    )


def _transposed(
    graph: GraphBuilder,
    layer: layers.Layer,
    kernel: np.ndarray,
    bias: np.ndarray,
    source: str,
    output: str,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
) -> _Value:
    """Adds a transposed convolution with a kernel (I, O, KH, KW)."""
    cut = [transposed_padding(kernel.shape[2 + i], strides[i]) for i in (0, 1)]
    inputs = [source, graph.weight(f"{layer.name}/kernel", kernel)]
    inputs.append(graph.weight(f"{layer.name}/bias", bias))
    return _with_activation(
        graph,
        layer,
        output,
        shape,
        "ConvTranspose",
        inputs,
        kernel_shape=list(kernel.shape[2:]),
        strides=list(strides),
        pads=[cut[0][0], cut[1][0], cut[0][1], cut[1][1]],
        output_padding=[cut[0][2], cut[1][2]],
    )


def _add_dense(
    graph: GraphBuilder,
    layer: layers.Dense,
    source: _Value,
    output: str,
    shape: tuple[int, ...],
    consumers: list[layers.Layer],
) -> _Value:
    kernel, bias = _weights(layer)
    if len(source.shape) == 3:  # every pixel by itself
        if graph.fold and _is_folded(layer, kernel, consumers):
            return _Value(source.name, shape, dense=(kernel, bias))
        inputs = [source.name, graph.weight(f"{layer.name}/kernel", kernel.T[:, :, None, None])]
        inputs.append(graph.weight(f"{layer.name}/bias", bias))
        return _with_activation(graph, layer, output, shape, "Conv", inputs, kernel_shape=[1, 1])
    picture = None
    if source.picture is not None:
        kernel = kernel[_channels_first(source.picture)]
    if len(consumers) == 1 and isinstance(consumers[0], layers.Reshape):
        target = tuple(_output_of(consumers[0]).shape[1:])
        if len(target) == 3:
            picture = target
            order = _channels_first(target)
            kernel, bias = kernel[:, order], bias[order]
    inputs = [source.name, graph.weight(f"{layer.name}/kernel", kernel)]
    inputs.append(graph.weight(f"{layer.name}/bias", bias))
    value = _with_activation(graph, layer, output, shape, "Gemm", inputs)
    value.picture = picture
    return value


def _is_folded(layer: layers.Dense, kernel: np.ndarray, consumers: list[layers.Layer]) -> bool:
    """Tells whether the convolution after a dense layer takes it in, and it is worth it."""
    if layer.activation is not keras.activations.linear or len(consumers) != 1:
        return False
    after = consumers[0]
    if not isinstance(after, layers.Conv2D) or isinstance(after, layers.Conv2DTranspose):
        return False
    if after.padding not in ("same", "valid"):
        return False
    # Weights are multiplications of a pixel, but for strides, which would spare the convolution's.
    height, width, _, filters = after.kernel.shape
    apart = kernel.size + height * width * kernel.shape[1] * filters
    return height * width * kernel.shape[0] * filters <= apart


def _channels_first(shape: tuple[int, int, int]) -> np.ndarray:
    """Returns where, in a flat (H, W, C), each element of a flat (C, H, W) is found."""
    return np.arange(int(np.prod(shape))).reshape(shape).transpose(2, 0, 1).ravel()


def _add_reshape(
    graph: GraphBuilder, source: _Value, output: str, shape: tuple[int, ...]
) -> _Value:
    if len(shape) != 3 or len(source.shape) != 1:
        raise NotImplementedError(f"A Reshape from {source.shape} to {shape} is not exported.")
    height, width, channels = shape
    if source.picture == shape:
        return _Value(graph.reshape(source.name, (channels, height, width), output), shape)
    if source.picture is not None:
        raise NotImplementedError(f"A Reshape from {source.picture} to {shape} is not exported.")
    name = graph.reshape(source.name, shape, f"{output}/channels_last")
    return _Value(graph.add("Transpose", [name], output, perm=[0, 3, 1, 2]), shape)


def _with_activation(
    graph: GraphBuilder,
    layer: Any,
    output: str,
    shape: tuple[int, ...],
    kind: str,
    inputs: list[str],
    **attributes: Any,
) -> _Value:
    if layer.activation is keras.activations.linear:
        return _Value(graph.add(kind, inputs, output, **attributes), shape)
    name = graph.add(kind, inputs, f"{output}/linear", **attributes)
    return _Value(_activate(graph, name, layer.activation, output), shape)


def _activate(graph: GraphBuilder, source: str, activation: Any, output: str) -> str:
    kind = getattr(activation, "__name__", str(activation))
    if kind == "linear":
        return graph.add("Identity", [source], output)
    if kind not in _ACTIVATIONS:
        raise NotImplementedError(f"The activation {kind!r} is not exported.")
    return graph.add(_ACTIVATIONS[kind], [source], output)


def _weights(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    if layer.use_bias:
        return kernel, keras.ops.convert_to_numpy(layer.bias)
    axis = -2 if isinstance(layer, layers.Conv2DTranspose) else -1
    return kernel, np.zeros(kernel.shape[axis], np.float32)


def _require(layer: Any, fits: bool, setting: str) -> None:
    if not fits:
        raise NotImplementedError(
            f"{type(layer).__name__} {layer.name!r} with {setting}={getattr(layer, setting)!r} "
            "is not exported."
        )

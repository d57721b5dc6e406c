"""Reads plain Keras layers for an exporter: their links, weights and paddings, and what folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers


class KernelBias(NamedTuple):
    """The weights of a layer, as Keras stores them."""

    kernel: np.ndarray
    bias: np.ndarray  # zeros for a layer without one


def input_of(layer: layers.Layer) -> Any:
    """Returns the tensor that a layer of a functional model takes."""
    return layer._inbound_nodes[0].input_tensors[0]


def output_of(layer: layers.Layer) -> Any:
    """Returns the tensor that a layer of a functional model gives."""
    return layer._inbound_nodes[0].output_tensors[0]


def kernel_and_bias(layer: Any) -> KernelBias:
    """Returns the weights of a dense or convolution layer."""
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    if layer.use_bias:
        return KernelBias(kernel, keras.ops.convert_to_numpy(layer.bias))
    axis = -2 if isinstance(layer, layers.Conv2DTranspose) else -1
    return KernelBias(kernel, np.zeros(kernel.shape[axis], np.float32))


def require(layer: Any, fits: bool, setting: str) -> None:
    """Raises NotImplementedError unless a setting of a layer can be exported."""
    if not fits:
        raise NotImplementedError(
            f"{type(layer).__name__} {layer.name!r} with {setting}={getattr(layer, setting)!r} "
            "is not exported."
        )


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Returns the zeros before and after an axis in TensorFlow's 'same' convolution.

    The output has length ceil(size / stride); an odd zero goes after.
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def transposed_padding(kernel: int, stride: int) -> tuple[int, int, int]:
    """Returns how much a 'same' transposed convolution cuts before and after, and adds after.

    Its output is `stride` times its input. In TensorFlow it is the gradient of the 'same'
    convolution, so it removes that convolution's padding.
    """
    total = max(kernel - stride, 0)
    return total // 2, total - total // 2, max(stride - kernel, 0)


def fold_upsampling(kernel: np.ndarray) -> np.ndarray:
    """Returns the 4x4 kernel of one transposed convolution for 'repeat twice, then 3x3 same'.

    Of three taps in a row, two always fall on copies of one source pixel and one on a copy of
    its neighbour: out[2i] = k0 x[i-1] + (k1 + k2) x[i], out[2i+1] = (k0 + k1) x[i] + k2 x[i+1].
    A transposed convolution with stride 2 that cuts one row has
    out[2i] = t3 x[i-1] + t1 x[i] and out[2i+1] = t2 x[i] + t0 x[i+1].
    Outside the picture both read zeros, so the border is exact.

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
    dense: KernelBias,
    convolution: KernelBias,
    shape: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
) -> tuple[np.ndarray, np.ndarray]:
    """Returns one convolution for 'a linear dense layer on every pixel, then a convolution'.

    The kernels multiply. The dense layer's bias does not reach the zeros around the picture, so
    its sum over the taps differs at the border: it is a map, not a vector.

    Args:
        dense: kernel (I, M) and bias (M,).
        convolution: kernel (KH, KW, M, O) and bias (O,).
        shape: H, W of the picture.
        strides: down and across.
        pads: zeros before and after, down and across.

    Returns:
        The kernel (KH, KW, I, O), and the map (H', W', O) to add to its convolution.
    """
    kernel = convolution.kernel.astype(np.float64)
    size = [(shape[i] + sum(pads[i]) - kernel.shape[i]) // strides[i] + 1 for i in (0, 1)]
    taps = dense.bias.astype(np.float64) @ kernel  # (KH, KW, O)
    offset = np.zeros((*size, kernel.shape[3])) + convolution.bias
    for tap in np.ndindex(*kernel.shape[:2]):
        inside = []
        for i in (0, 1):
            positions = np.arange(size[i]) * strides[i] + tap[i] - pads[i][0]
            inside.append((0 <= positions) & (positions < shape[i]))
        offset += np.outer(*inside)[..., None] * taps[tap]
    return (dense.kernel.astype(np.float64) @ kernel).astype(np.float32), offset.astype(np.float32)

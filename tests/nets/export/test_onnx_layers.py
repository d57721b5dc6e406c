"""Every exported layer computes what Keras computes, to the border."""

from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers

from dancenet.nets.export.keras_layers import (
    KernelBias,
    fold_dense,
    fold_upsampling,
    same_padding,
    transposed_padding,
)
from dancenet.nets.export.onnx_graph import GraphBuilder
from dancenet.nets.export.onnx_layers import add_model


def compare(model: keras.Model, shape: tuple[int, ...], fold: bool = True) -> list[str]:
    """Runs a model on both runtimes; returns the kinds of nodes that were exported."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.3)
    graph = GraphBuilder("trial", fold=fold)
    last = model.layers[-1].name
    value = add_model(graph, model, {last: last})[last]
    drawn = value.name
    if len(value.shape) == 3:
        drawn = graph.add("Transpose", [drawn], "channels_last", perm=[0, 2, 3, 1])
    graph.add("Identity", [drawn], "result")
    graph.output("result", value.shape)
    exported = graph.build()
    session = onnxruntime.InferenceSession(
        exported.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for batch in (1, 3):
        inputs = rng.normal(size=(batch, *shape)).astype(np.float32)
        (received,) = session.run(["result"], {session.get_inputs()[0].name: inputs})
        expected = model.predict_on_batch(inputs)
        np.testing.assert_allclose(received, expected, atol=1e-5)
    return [node.op_type for node in exported.graph.node]


def line(shape: tuple[int, ...], *parts: layers.Layer) -> keras.Model:
    inputs = x = keras.Input(shape)
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("size", [(7, 8), (8, 13), (15, 26)])
@pytest.mark.parametrize("kernel", [1, 3, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_same_convolution_pads_as_tensorflow_does(
    size: tuple[int, int], kernel: int, stride: int
) -> None:
    layer = layers.Conv2D(3, kernel, strides=stride, padding="same", activation="relu")
    compare(line((*size, 2), layer), (*size, 2))


@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (3, 2), (2, 2), (5, 2), (3, 1), (1, 2)])
def test_a_transposed_convolution_cuts_as_tensorflow_does(kernel: int, stride: int) -> None:
    layer = layers.Conv2DTranspose(3, kernel, strides=stride, padding="same")
    compare(line((5, 7, 2), layer), (5, 7, 2))


def test_upsampling_and_a_convolution_become_one_and_the_border_is_exact() -> None:
    kinds = compare(
        line((5, 7, 3), layers.UpSampling2D(2), layers.Conv2D(4, 3, padding="same")), (5, 7, 3)
    )
    assert "ConvTranspose" in kinds
    assert "Resize" not in kinds and "Conv" not in kinds


def test_without_folding_every_layer_is_there_and_the_result_is_the_same() -> None:
    parts = [
        layers.Dense(9),
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.UpSampling2D(2),
        layers.Conv2D(1, 3, padding="same"),
    ]
    model = line((5, 7, 3), *parts)
    folded, plain = compare(model, (5, 7, 3)), compare(model, (5, 7, 3), fold=False)
    assert [plain.count(kind) for kind in ("Conv", "ConvTranspose", "Resize")] == [3, 0, 1]
    assert [folded.count(kind) for kind in ("Conv", "ConvTranspose", "Resize")] == [1, 1, 0]


def test_folding_keeps_the_sum_of_the_taps_of_every_output_pixel() -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 5)).astype(np.float32)
    folded = fold_upsampling(kernel)
    for row in (0, 1):
        for column in (0, 1):
            np.testing.assert_allclose(
                folded[row::2, column::2].sum((0, 1)), kernel.sum((0, 1)), atol=1e-5
            )


@pytest.mark.parametrize(
    "after",
    [
        [layers.Activation("sigmoid")],
        [layers.Conv2D(2, 5, padding="same")],
        [layers.Conv2D(2, 3, strides=2, padding="same")],
        [layers.MaxPooling2D(2)],
    ],
    ids=["activation", "wide kernel", "stride", "pooling"],
)
def test_upsampling_before_another_layer_is_a_node_of_its_own(after: list[layers.Layer]) -> None:
    assert "Resize" in compare(line((4, 6, 2), layers.UpSampling2D(2), *after), (4, 6, 2))


def test_flatten_keeps_the_order_of_keras_without_a_transpose() -> None:
    parts = [layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(4, activation="tanh")]
    kinds = compare(line((6, 8, 1), *parts), (6, 8, 1))
    assert kinds.count("Transpose") == 0


def test_reshape_keeps_the_order_of_keras() -> None:
    parts = [
        layers.Dense(4 * 6 * 3, activation="relu"),
        layers.Reshape((4, 6, 3)),
        layers.Conv2D(2, 3),
    ]
    compare(line((5,), *parts), (5,))
    compare(line((24,), layers.Reshape((2, 4, 3)), layers.Conv2D(2, 1)), (24,))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 1), (3, 2), (1, 1)])
def test_a_linear_dense_layer_goes_into_the_convolution_and_the_border_is_exact(
    padding: str, kernel: int, stride: int
) -> None:
    parts = [layers.Dense(9), layers.Conv2D(2, kernel, stride, padding=padding, activation="relu")]
    kinds = compare(line((6, 7, 3), *parts), (6, 7, 3))
    assert kinds.count("Conv") == 1


def test_a_dense_layer_after_upsampling_goes_into_the_convolution_too() -> None:
    parts = [layers.UpSampling2D(2), layers.Dense(9), layers.Conv2D(2, 3, padding="same")]
    kinds = compare(line((4, 5, 3), *parts), (4, 5, 3))
    assert kinds.count("Conv") == 1


@pytest.mark.parametrize(
    "parts",
    [
        [layers.Dense(6, activation="relu"), layers.Conv2D(2, 3, padding="same")],
        [layers.Dense(6), layers.Conv2DTranspose(2, 4, strides=2, padding="same")],
        [layers.Dense(6), layers.Dense(4), layers.Conv2D(2, 3, padding="same")],
        [layers.Dense(1), layers.Conv2D(4, 3, padding="same")],
    ],
    ids=["not linear", "transposed", "two", "fewer multiplications apart"],
)
def test_any_other_dense_layer_on_a_picture_works_on_every_pixel(
    parts: list[layers.Layer],
) -> None:
    kinds = compare(line((4, 5, 3), *parts), (4, 5, 3))
    assert kinds.count("Conv") + kinds.count("ConvTranspose") >= 2


def test_folding_a_dense_layer_without_a_bias_leaves_one_bias_everywhere() -> None:
    rng = np.random.default_rng(0)
    dense, kernel = rng.normal(size=(3, 9)), rng.normal(size=(3, 3, 9, 2))
    _, offset = fold_dense(
        KernelBias(dense, np.zeros(9)),
        KernelBias(kernel, np.array([1.0, 2])),
        shape=(4, 5),
        strides=(1, 1),
        pads=[(1, 1), (1, 1)],
    )
    np.testing.assert_array_equal(offset, np.broadcast_to([1, 2], (4, 5, 2)))


def test_a_layer_without_a_bias_and_one_that_drops_out() -> None:
    compare(
        line(
            (4, 5, 3),
            layers.Conv2D(6, 3, use_bias=False),
            layers.Dropout(0.5),
            layers.Conv2DTranspose(2, 4, strides=2, padding="same", use_bias=False),
        ),
        (4, 5, 3),
    )


@pytest.mark.parametrize(
    "layer",
    [
        layers.BatchNormalization(),
        layers.Conv2D(2, 3, dilation_rate=2, padding="same"),
        layers.Conv2D(2, 3, activation="gelu"),
        layers.UpSampling2D(3),
        layers.Conv2DTranspose(2, 3, padding="valid"),
    ],
    ids=["kind", "dilation", "activation", "threefold", "valid"],
)
def test_an_unsupported_layer_or_setting_is_refused(layer: layers.Layer) -> None:
    graph = GraphBuilder("trial")
    model = line((6, 6, 2), layer, layers.Activation("linear"))
    with pytest.raises(NotImplementedError, match="not exported"):
        add_model(graph, model, {})


def test_padding_of_three_known_cases() -> None:
    assert same_padding(120, 4, 2) == (1, 1)
    assert same_padding(15, 3, 2) == (1, 1)
    assert same_padding(30, 3, 2) == (0, 1), "the odd zero goes after"
    assert transposed_padding(4, 2) == (1, 1, 0)
    assert transposed_padding(3, 2) == (0, 1, 0)
    assert transposed_padding(1, 2) == (0, 0, 1)


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    model = line((4, 4, 1), layers.Conv2D(2, 3, name="conv"))
    written = []
    for _ in range(2):
        graph = GraphBuilder("trial")
        value = add_model(graph, model, {"conv": "conv"})["conv"]
        graph.output("conv", (value.shape[2], *value.shape[:2]))
        written.append(graph.build().SerializeToString())
    assert written[0] == written[1]


def test_nodes_and_weights_carry_the_names_of_the_layers() -> None:
    model = line((4, 4, 1), layers.Conv2D(2, 3, activation="relu", name="conv_1"))
    graph = GraphBuilder("trial")
    add_model(graph, model, {"conv_1": "conv_1"})
    graph.output("conv_1", (2, 2, 2))
    built = graph.build()
    assert {weight.name for weight in built.graph.initializer} >= {"conv_1/kernel", "conv_1/bias"}
    assert "conv_1" in {node.name for node in built.graph.node}
    assert built.ir_version <= 9, "what ONNX Runtime 1.17 reads"
    onnx.checker.check_model(built, full_check=True)

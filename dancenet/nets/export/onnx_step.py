"""The ONNX graph of one step of a dancer; the formulas are at the top of `nets/dancer.py`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnx

from dancenet.model.config import DancerConfig
from dancenet.nets import dancer
from dancenet.nets.export.onnx_graph import GraphBuilder
from dancenet.sequence.context import rates


def step_graph(network: dancer.DancerNetwork) -> onnx.ModelProto:
    """Returns the graph of one step: `vectors` (B, D) and the state to mixture and next state.

    A network that keeps no state has no state here either, and the weights that only a state
    could reach are left out. The two products of an LSTM cell are one, over the vector and h
    side by side. The head's weights are stored component by component, and the step scale is
    multiplied into those for the means.

    `next_vectors` (B, D) is drawn with the inputs `gumbel` (B, K), `normal` (B, D) and
    `temperature` as in `mixture.sample_from_draws`: the component is chosen first, and only
    that one is computed. `mu` and `sigma` of all components are given only if the input `whole`
    is true. (ONNX Runtime computes every output, requested or not.)
    """
    config = network.config
    graph = GraphBuilder("step")
    vectors = graph.input("vectors", (config.dim,))
    # Inputs are in the order of the state.
    for name, width in config.state_widths.items():
        graph.input(name, (width,))
    x = _add_motion(graph, network, vectors)
    x = _add_context(graph, network, x, vectors)
    seen = [] if network.motion is None else [x]
    if config.styles:
        x = graph.add("Concat", [x, "style"], "styled", axis=1)
        seen.append("style")
        graph.add("Identity", ["style"], "next_style")
    for index, lstm in enumerate(network.lstms):
        x = _add_cell(graph, lstm, config, index, x)
    if network.dense is not None:
        kernel, bias = _values(network.dense.kernel, network.dense.bias)
        x = _add_gemm(graph, x, kernel, bias, "dense/linear")
        x = graph.add("Relu", [x], "dense")
    if seen:
        x = graph.add("Concat", [x, *seen], "mdn/input", axis=1)
    _add_head(graph, network, x, vectors)
    graph.output("pi_logits", (config.num_mixtures,))
    graph.output("mu", (config.num_mixtures, config.dim))
    graph.output("sigma", (config.num_mixtures, config.dim))
    graph.output("next_vectors", (config.dim,))
    for name, width in config.state_widths.items():
        graph.output(f"next_{name}", (width,))
    return graph.build()


def _add_motion(graph: GraphBuilder, network: dancer.DancerNetwork, vectors: str) -> str:
    """Adds the velocity inputs beside the vector, and moves the last vectors on by one."""
    if network.motion is None:
        return vectors
    parts, new = [vectors], vectors
    scale = graph.weight("motion/scale", network.step_scale)
    bounds = [
        graph.weight("motion/low", -dancer.MAX_STEP),
        graph.weight("motion/high", dancer.MAX_STEP),
    ]
    for back in range(1, network.config.velocity_inputs + 1):
        old = f"last{back}"
        step = graph.add("Sub", [new, old], f"motion/step{back}")
        usual = graph.add("Div", [step, scale], f"motion/step{back}/scaled")
        parts.append(graph.add("Clip", [usual, *bounds], f"motion/step{back}/clipped"))
        graph.add("Identity", [new], f"next_last{back}")
        new = old
    return graph.add("Concat", parts, "motion", axis=1)


def _add_context(graph: GraphBuilder, network: dancer.DancerNetwork, x: str, vectors: str) -> str:
    """Adds the running means beside `x`, and moves them on."""
    parts = [x]
    for index, share in enumerate(rates(network.config.context), 1):
        new = graph.add("Sub", [vectors, f"mean{index}"], f"context/{index}/new")
        shared = graph.add("Mul", [new, graph.weight(f"context/{index}", share)], f"{new}/shared")
        parts.append(graph.add("Add", [f"mean{index}", shared], f"next_mean{index}"))
    return graph.add("Concat", parts, "context", axis=1) if len(parts) > 1 else x


def _add_cell(
    graph: GraphBuilder,
    lstm: keras.layers.LSTM,
    config: DancerConfig,
    index: int,
    x: str,
) -> str:
    name, gate_activation = lstm.name, config.recurrent_activation
    state = (f"h{index}", f"c{index}") if config.keeps_state else None
    kernel, recurrent, bias = _values(lstm.cell.kernel, lstm.cell.recurrent_kernel, lstm.cell.bias)
    letters = "ifgo"
    if state is None:
        # With a zero state, the recurrent kernel and the forget gate have no effect.
        letters = "igo"
        kernel, bias = (
            np.concatenate([i, g, o], axis=-1)
            for i, _, g, o in (np.split(value, 4, axis=-1) for value in (kernel, bias))
        )
    else:
        x = graph.add("Concat", [x, state[0]], f"{name}/input_and_h", axis=1)
        kernel = np.concatenate([kernel, recurrent])
    gates = _add_gemm(graph, x, kernel, bias, f"{name}/gates")
    graph.add("Split", [gates], [f"{name}/{letter}/linear" for letter in letters], axis=1)
    gate = {
        letter: _add_gate(graph, f"{name}/{letter}", gate_activation)
        for letter in letters
        if letter != "g"
    }
    g = graph.add("Tanh", [f"{name}/g/linear"], f"{name}/g")
    if state is None:
        c = graph.add("Mul", [gate["i"], g], f"{name}/c")
    else:
        kept = graph.add("Mul", [gate["f"], state[1]], f"{name}/kept")
        new = graph.add("Mul", [gate["i"], g], f"{name}/new")
        c = graph.add("Add", [kept, new], f"next_c{index}")
    shown = graph.add("Tanh", [c], f"{name}/tanh_c")
    return graph.add("Mul", [gate["o"], shown], f"next_h{index}" if state else f"{name}/h")


def _add_gate(graph: GraphBuilder, name: str, activation: str) -> str:
    if activation == "hard_sigmoid_2018":
        return graph.add("HardSigmoid", [f"{name}/linear"], name, alpha=0.2, beta=0.5)
    return graph.add("Sigmoid", [f"{name}/linear"], name)


def _add_head(graph: GraphBuilder, network: dancer.DancerNetwork, x: str, vectors: str) -> None:
    head, scale = network.mdn, network.place_scale
    count, dim = network.config.num_mixtures, network.config.dim

    def by_component(means: Any, sigmas: Any) -> np.ndarray:
        """Takes (I, K D) twice, or (K D); returns (K, I or 1, 2 D), the means first."""
        parts = (_values(part)[0].reshape(-1, count, dim) for part in (means, sigmas))
        both = np.concatenate([part * by for part, by in zip(parts, (scale, 1))], axis=2)
        return both.transpose(1, 0, 2)

    graph.weight("mdn/kernels", by_component(head.mdn_mus.kernel, head.mdn_sigmas.kernel))
    graph.weight("mdn/biases", by_component(head.mdn_mus.bias, head.mdn_sigmas.bias)[:, 0])
    kernel, bias = _values(head.mdn_pi.kernel, head.mdn_pi.bias)
    _add_gemm(graph, x, kernel, bias, "pi_logits")
    for axis in (0, 1):
        graph.weight(f"axis{axis}", [axis], np.int64)
    _add_all_components(graph, network, x, vectors)
    _add_draw(graph, network, x, vectors)


def _add_all_components(
    graph: GraphBuilder, network: dancer.DancerNetwork, x: str, vectors: str
) -> None:
    """Adds `mu` and `sigma` (B, K, D), computed only if the input `whole` is true."""
    whole = GraphBuilder("whole", graph)
    # (1, B, I) times (K, I, 2 D).
    products = whole.add(
        "MatMul",
        [whole.add("Unsqueeze", [x, "axis0"], "whole/input"), "mdn/kernels"],
        "whole/products",
    )
    biases = whole.add("Unsqueeze", ["mdn/biases", "axis1"], "whole/biases")
    flat = whole.add("Add", [products, biases], "whole/by_component")
    flat = whole.add("Transpose", [flat], "whole/mdn", perm=[1, 0, 2])
    current = whole.add("Unsqueeze", [vectors, "axis1"], "whole/place")
    _add_gaussians(whole, network, flat, current, "whole")
    for output in ("whole/mu", "whole/sigma"):
        whole.output(output, (network.config.num_mixtures, network.config.dim))
    graph.branch(graph.switch("whole"), whole, ["mu", "sigma"])


def _add_draw(graph: GraphBuilder, network: dancer.DancerNetwork, x: str, vectors: str) -> None:
    """Adds `next_vectors` (B, D), a draw from the mixture."""
    count, dim = network.config.num_mixtures, network.config.dim
    # argmax(logits / t + gumbel), times t so that t = 0 is its limit.
    temperature = graph.input("temperature", ())
    hot = graph.add("Mul", [graph.input("gumbel", (count,)), temperature], "gumbel/hot")
    chances = graph.add("Add", ["pi_logits", hot], "chances")
    one = graph.add("ArgMax", [chances], "component", axis=1, keepdims=0)
    products = graph.add(
        "MatMul",
        [
            graph.add("Unsqueeze", [x, "axis1"], "mdn/input/one"),
            graph.add("Gather", ["mdn/kernels", one], "mdn/one/kernel"),
        ],
        "mdn/one/product",
    )
    product = graph.reshape(products, (2 * dim,), "mdn/one/flat")
    biases = graph.add("Gather", ["mdn/biases", one], "mdn/one/bias")
    flat = graph.add("Add", [product, biases], "mdn/one")
    _add_gaussians(graph, network, flat, vectors, "mdn/one")
    spread = graph.add("Mul", ["mdn/one/sigma", graph.input("normal", (dim,))], "noise/cold")
    noise = graph.add("Mul", [spread, graph.add("Sqrt", [temperature], "spread")], "noise")
    graph.add("Add", ["mdn/one/mu", noise], "next_vectors")


def _add_gaussians(
    graph: GraphBuilder, network: dancer.DancerNetwork, flat: str, vectors: str, prefix: str
) -> None:
    """Adds `prefix`/mu and `prefix`/sigma, from the head's (..., 2 D) and the vectors (..., D)."""
    config, mu, sigma = network.config, f"{prefix}/mu", f"{prefix}/sigma"
    parts = [f"{flat}/move" if config.predict == "delta" else mu, f"{flat}/spread"]
    graph.add("Split", [flat], parts, axis=-1)
    if config.predict == "delta":
        graph.add("Add", [vectors, parts[0]], mu)
    # elu + 1 + 1e-7, as in keras-mdn-layer, then the floor.
    elu = graph.add("Elu", [parts[1]], f"{sigma}/elu")
    one = graph.weight("mdn/sigma/one", np.float32(1) + np.float32(1e-7))
    floor = graph.weight("mdn/sigma/floor", config.sigma_floor)
    positive = graph.add("Add", [elu, one], f"{sigma}/positive")
    floored = graph.add("Add", [positive, floor], f"{sigma}/floored")
    graph.add("Mul", [floored, graph.weight("step_scale", network.place_scale)], sigma)


def _add_gemm(
    graph: GraphBuilder, x: str, kernel: np.ndarray, bias: np.ndarray, output: str
) -> str:
    kernel_name = graph.weight(f"{output}/kernel", kernel)
    return graph.add("Gemm", [x, kernel_name, graph.weight(f"{output}/bias", bias)], output)


def _values(*variables: Any) -> tuple[np.ndarray, ...]:
    return tuple(keras.ops.convert_to_numpy(variable) for variable in variables)

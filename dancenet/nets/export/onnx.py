"""Writes the graphs that generation runs on, and proves each against Keras first."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx

from dancenet.codecs.base import Scaler
from dancenet.codecs.silhouette import to_network
from dancenet.model.config import DancerConfig, VaeConfig
from dancenet.model.folder import (
    DANCER_WEIGHTS,
    DECODER_GRAPH,
    ENCODER_GRAPH,
    SCALER,
    SEEDS,
    STEP_GRAPH,
    VAE_WEIGHTS,
    ModelFolder,
)
from dancenet.nets import dancer, vae
from dancenet.nets.export.onnx_layers import GraphBuilder, add_model
from dancenet.runtime.onnx import OnnxDecoder, OnnxEncoder, OnnxStepModel
from dancenet.sequence.mixture import sample_from_draws
from dancenet.support import files
from dancenet.support.errors import UserError

# The largest difference to Keras that passes, times the output's largest value where that is > 1.
TOLERANCE = 1e-5
# For a step, whose roundings go through the state into every later step: 16 steps of a sharply
# trained dancer amplify them tenfold. A wrong gate or a lost bias is off by more than 1e-3.
CARRIED_TOLERANCE = 1e-4
JOINT_TOLERANCE = 1e-4  # metres, of joints that an exported codec decodes
_TRIALS = 16
_TIMED = 400  # steps


@dataclass(frozen=True)
class Parity:
    """How far an exported graph is from Keras."""

    file: str
    output: str
    size_bytes: int
    largest: float  # largest absolute value, by Keras
    error: float  # largest absolute difference

    @property
    def passed(self) -> bool:
        """True if the error is within the tolerance of the output's own size.

        Whiteness lies in 0..1, so its tolerance is absolute. Means and log-variances may be
        as large as 10, where float32 itself has steps of 1e-6: theirs is relative.
        """
        tolerance = CARRIED_TOLERANCE if self.file == STEP_GRAPH else TOLERANCE
        return bool(self.error <= tolerance * max(1.0, self.largest))


class ParityError(UserError):
    """An exported graph does not compute what Keras computes; it was not kept."""


def export_vae(folder: ModelFolder) -> list[Parity]:
    """Writes `encoder.onnx` and `decoder.onnx` from `vae.weights.h5`.

    Both are run against Keras, on drawn figures, noise, and the model's seed stretches if it
    has any, before either takes its place.

    Returns:
        One record for each output.

    Raises:
        UserError: the weights are missing or do not fit the configuration.
        ParityError: a graph differs from Keras by more than TOLERANCE; nothing was written.
    """
    config = folder.read_config().vae
    if config is None:
        raise UserError(f"The model {folder.path} has no picture network in its configuration.")
    weights = folder.require(VAE_WEIGHTS, "python scripts/train_vae.py")
    encoder, decoder = vae.load_vae(config, weights)
    with contextlib.ExitStack() as stack:
        encoder_path = stack.enter_context(files.atomic_path(folder / ENCODER_GRAPH))
        decoder_path = stack.enter_context(files.atomic_path(folder / DECODER_GRAPH))
        onnx.save(encoder_graph(encoder), encoder_path)
        onnx.save(decoder_graph(decoder), decoder_path)
        report = compare_encoder(encoder, encoder_path, trial_frames(config))
        latents = trial_latents(folder, config)
        report += compare_decoder(decoder, decoder_path, latents)
        _require_parity(report)
    folder.seal()
    return report


def export_dancer(folder: ModelFolder) -> list[Parity]:
    """Writes `step.onnx` from `dancer.weights.h5`.

    It walks beside Keras, each with its own state, for one dance and for sixteen, over the
    model's seed stretches if it has any and over noise, before it takes its place.

    Returns:
        One record for each output.

    Raises:
        UserError: the weights are missing or do not fit the configuration.
        ParityError: the graph differs from Keras by more than CARRIED_TOLERANCE; nothing
            was written.
    """
    config = folder.read_config().dancer
    if config is None:
        raise UserError(f"The model {folder.path} has no dancer in its configuration.")
    weights = folder.require(DANCER_WEIGHTS, "python scripts/train_dancer.py")
    network = dancer.load_dancer(config, weights)
    with files.atomic_path(folder / STEP_GRAPH) as path:
        onnx.save(step_graph(network), path)
        report = compare_step(network, path, trial_vectors(folder, config))
        _require_parity(report)
    folder.seal()
    return report


def encoder_graph(encoder: keras.Model) -> onnx.ModelProto:
    """Returns the graph from `frames` (B, H, W, 1) to `z_mean` and `z_log_var` (B, L).

    `z_log_var` is held inside the range that the network was trained with.
    """
    graph = GraphBuilder("encoder")
    names = {"z_mean": "z_mean", "z_log_var": "z_log_var/unbounded"}
    outputs = add_model(graph, encoder, names)
    low, high = vae._LOG_VAR_RANGE
    bounds = [graph.weight("z_log_var/low", low), graph.weight("z_log_var/high", high)]
    graph.add("Clip", ["z_log_var/unbounded", *bounds], "z_log_var")
    for name in ("z_mean", "z_log_var"):
        graph.output(name, outputs["z_mean"].shape)
    return graph.build()


def decoder_graph(decoder: keras.Model, fold: bool = True) -> onnx.ModelProto:
    """Returns the graph from `latents` (B, L) to `frames` (B, H, W), background probability in 0..1."""
    graph = GraphBuilder("decoder", fold=fold)
    background = add_model(graph, decoder, {"background": "background"})["background"]
    height, width, _ = background.shape
    graph.reshape(background.name, (height, width), "frames")
    graph.output("frames", (height, width))
    return graph.build()


def step_graph(network: dancer.DancerNetwork) -> onnx.ModelProto:
    """Returns the graph of one step: `vectors` (B, D) and the state to what comes next.

    What each node computes stands at the top of `nets/dancer.py`. A network that keeps no state
    has none here, and what only a state could reach is left out. The two products of a cell
    are one, over the vector and h side by side; the head's weights lie component by component,
    those for the means with the step scale in them.

    `next_vectors` (B, D) is drawn with the inputs `gumbel` (B, K), `normal` (B, D) and
    `temperature` as `mixture.sample_from_draws` draws: the component is chosen first, and no
    other is computed. `mu` and `sigma` of all of them are there only if the input `whole` is
    true. (ONNX Runtime computes outputs that nobody asks for, whatever its run options say.)
    """
    config = network.config
    graph = GraphBuilder("step")
    vectors = x = graph.input("vectors", (config.dim,))
    # Inputs are in the order of the state.
    for name, width in config.state_widths.items():
        graph.input(name, (width,))
    x = _add_motion(graph, network, vectors)
    seen = [] if network.motion is None else [x]
    if config.styles:
        x = graph.add("Concat", [x, "style"], "styled", axis=1)
        seen.append("style")
        graph.add("Identity", ["style"], "next_style")
    for index, lstm in enumerate(network.lstms):
        state = (f"h{index}", f"c{index}") if config.keeps_state else None
        x = _add_cell(graph, lstm, config.recurrent_activation, index, x, state)
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
    """Adds the last steps beside the vector; the vector is the next step's first last one."""
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


def _add_cell(
    graph: GraphBuilder,
    lstm: keras.layers.LSTM,
    recurrent_activation: str,
    index: int,
    x: str,
    state: tuple[str, str] | None,
) -> str:
    name = lstm.name
    kernel, recurrent, bias = _values(lstm.cell.kernel, lstm.cell.recurrent_kernel, lstm.cell.bias)
    letters = "ifgo"
    if state is None:
        # A state of zero makes nothing of the recurrent kernel, nor of the forget gate.
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
        letter: _add_gate(graph, f"{name}/{letter}", recurrent_activation)
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


def _add_gate(graph: GraphBuilder, name: str, recurrent_activation: str) -> str:
    if recurrent_activation == "hard_sigmoid_2018":
        return graph.add("HardSigmoid", [f"{name}/linear"], name, alpha=0.2, beta=0.5)
    return graph.add("Sigmoid", [f"{name}/linear"], name)


def _add_head(graph: GraphBuilder, network: dancer.DancerNetwork, x: str, vectors: str) -> None:
    config, head, scale = network.config, network.mdn, network.place_scale
    count, dim = config.num_mixtures, config.dim

    def by_component(means: Any, sigmas: Any) -> np.ndarray:
        """Takes (I, K D) twice, or (K D); returns (K, I or 1, 2 D), the means first."""
        parts = (_values(part)[0].reshape(-1, count, dim) for part in (means, sigmas))
        both = np.concatenate([part * by for part, by in zip(parts, (scale, 1))], axis=2)
        return both.transpose(1, 0, 2)

    graph.weight("mdn/kernels", by_component(head.mdn_mus.kernel, head.mdn_sigmas.kernel))
    graph.weight("mdn/biases", by_component(head.mdn_mus.bias, head.mdn_sigmas.bias)[:, 0])
    kernel, bias = _values(head.mdn_pi.kernel, head.mdn_pi.bias)
    _add_gemm(graph, x, kernel, bias, "pi_logits")

    first, second = (graph.weight(f"axis{axis}", [axis], np.int64) for axis in (0, 1))

    # All components: (1, B, I) times (K, I, 2 D).
    whole = GraphBuilder("whole", graph)
    products = whole.add(
        "MatMul",
        [whole.add("Unsqueeze", [x, first], "whole/input"), "mdn/kernels"],
        "whole/products",
    )
    biases = whole.add("Unsqueeze", ["mdn/biases", second], "whole/biases")
    flat = whole.add("Add", [products, biases], "whole/by_component")
    flat = whole.add("Transpose", [flat], "whole/mdn", perm=[1, 0, 2])
    place = whole.add("Unsqueeze", [vectors, second], "whole/place")
    _add_gaussians(whole, network, flat, place, "whole/mu", "whole/sigma")
    for output in ("whole/mu", "whole/sigma"):
        whole.output(output, (count, dim))
    graph.branch(graph.switch("whole"), whole, ["mu", "sigma"])

    # The one that is drawn: argmax of logits / t + gumbel, times t so that t = 0 is its limit.
    temperature = graph.input("temperature", ())
    hot = graph.add("Mul", [graph.input("gumbel", (count,)), temperature], "gumbel/hot")
    chances = graph.add("Add", ["pi_logits", hot], "chances")
    one = graph.add("ArgMax", [chances], "component", axis=1, keepdims=0)
    products = graph.add(
        "MatMul",
        [
            graph.add("Unsqueeze", [x, second], "mdn/input/one"),
            graph.add("Gather", ["mdn/kernels", one], "mdn/one/kernel"),
        ],
        "mdn/one/product",
    )
    product = graph.reshape(products, (2 * dim,), "mdn/one/flat")
    biases = graph.add("Gather", ["mdn/biases", one], "mdn/one/bias")
    flat = graph.add("Add", [product, biases], "mdn/one")
    _add_gaussians(graph, network, flat, vectors, "mdn/one/mu", "mdn/one/sigma")
    spread = graph.add("Mul", ["mdn/one/sigma", graph.input("normal", (dim,))], "noise/cold")
    noise = graph.add("Mul", [spread, graph.add("Sqrt", [temperature], "spread")], "noise")
    graph.add("Add", ["mdn/one/mu", noise], "next_vectors")


def _add_gaussians(
    graph: GraphBuilder, network: dancer.DancerNetwork, flat: str, place: str, mu: str, sigma: str
) -> None:
    """Takes the head's (..., 2 D) and the vectors apart to means and standard deviations."""
    config = network.config
    parts = [f"{flat}/move" if config.predict == "delta" else mu, f"{flat}/spread"]
    graph.add("Split", [flat], parts, axis=-1)
    if config.predict == "delta":
        graph.add("Add", [place, parts[0]], mu)
    # elu + 1 + 1e-7, as keras-mdn-layer has it, and then the floor.
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


def compare_encoder(encoder: keras.Model, path: Path, frames: np.ndarray) -> list[Parity]:
    """Runs an exported encoder against Keras on frames (B, H, W, 1)."""
    z_mean, z_log_var = encoder.predict_on_batch(frames)
    expected = (z_mean, np.clip(z_log_var, *vae._LOG_VAR_RANGE))
    received = OnnxEncoder(path)(frames)
    return [
        _compare(ENCODER_GRAPH, name, path, *pair)
        for name, *pair in zip(("z_mean", "z_log_var"), expected, received)
    ]


def compare_decoder(decoder: keras.Model, path: Path, latents: np.ndarray) -> list[Parity]:
    """Runs an exported decoder against Keras on latents (B, L)."""
    expected = decoder.predict_on_batch(latents)[..., 0]
    return [_compare(DECODER_GRAPH, "frames", path, expected, OnnxDecoder(path)(latents))]


def compare_step(network: dancer.DancerNetwork, path: Path, walk: np.ndarray) -> list[Parity]:
    """Lets an exported step and Keras walk over (S, B, D), first for one dance, then for all.

    Each carries its own state, so the differences are those of a dance and not of one step. If
    there are styles, each dance is in one or in a blend of its own, see `trial_styles`. The
    vectors that the graph draws are compared with those that NumPy draws of Keras's mixture.
    """
    rng = np.random.default_rng(0)
    expected_model = dancer.KerasStepModel(network)
    received_model = OnnxStepModel(path)
    worst: dict[str, Parity] = {}
    for vectors in (walk[:, :1], walk):
        style = trial_styles(network.config, vectors.shape[1])
        expected_state = expected_model.initial_state(vectors.shape[1], style)
        received_state = received_model.initial_state(vectors.shape[1], style)
        for x in vectors:
            expected, expected_state = expected_model.step(x, expected_state)
            gumbel = rng.gumbel(size=expected.pi_logits.shape)
            # Ahead by so much that rounding cannot choose another.
            gumbel[np.arange(len(x)), (expected.pi_logits + gumbel).argmax(axis=1)] += 1
            normal = rng.standard_normal(x.shape)
            drawn = received_model.sample(x, received_state, gumbel, normal, 1.0)[0]
            received, received_state = received_model.step(x, received_state)
            names = (
                *expected._fields,
                "next_vectors",
                *(f"next_{name}" for name in network.config.state_widths),
            )
            pairs = zip(
                (*expected, sample_from_draws(expected, gumbel, normal, 1.0), *expected_state),
                (*received, drawn, *received_state),
            )
            for name, pair in zip(names, pairs):
                row = _compare(STEP_GRAPH, name, path, *pair)
                before = worst.get(name, row)
                worst[name] = dataclasses.replace(
                    row,
                    largest=max(row.largest, before.largest),
                    error=max(row.error, before.error),
                )
    return list(worst.values())


def steps_a_second(path: Path) -> float:
    """Returns how many steps of one dance an exported graph draws in a second, on one core."""
    model = OnnxStepModel(path, threads=1)
    state, rng = model.initial_state(1), np.random.default_rng(0)
    vectors = np.zeros((1, model.dim), np.float32)
    gumbel, normal = rng.gumbel(size=(1, model.num_mixtures)), rng.standard_normal((1, model.dim))
    taken = []
    for _ in range(_TIMED):
        start = time.perf_counter()
        vectors, state = model.sample(vectors, state, gumbel, normal, 0.0)
        taken.append(time.perf_counter() - start)
    return 1.0 / statistics.median(taken)


def trial_vectors(folder: ModelFolder, config: DancerConfig) -> np.ndarray:
    """Returns a walk (S, B, D) in model units: the model's own stretches if any, and noise."""
    rng = np.random.default_rng(0)
    walk = rng.standard_normal((_TRIALS, _TRIALS, config.dim)).astype(np.float32)
    if (folder / SEEDS).exists():
        seeds = read_seeds(folder)[: _TRIALS - 2, :_TRIALS]
        walk[: seeds.shape[1], : len(seeds)] = seeds.transpose(1, 0, 2)
    return walk


def trial_styles(config: DancerConfig, batch: int) -> np.ndarray | None:
    """Returns weights (B, S) to try a network's styles with: each alone, then blends of all.

    None if there are none.
    """
    count = len(config.styles)
    if not count:
        return None
    blends = np.random.default_rng(0).dirichlet(np.ones(count), max(0, batch - count))
    return np.concatenate([np.eye(count)[:batch], blends]).astype(np.float32)


def trial_frames(config: VaeConfig) -> np.ndarray:
    """Returns (B, H, W, 1) float32 to try an encoder on: plain, figures of discs, and noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: config.height, : config.width]
    frames = np.full((_TRIALS, config.height, config.width), 255, np.uint8)
    frames[1] = 0
    frames[2] = np.where(rng.random(frames[2].shape) < 0.5, 0, 255)
    for frame in frames[3:]:
        for _ in range(6):
            row, column = rng.uniform(0, config.height), rng.uniform(0, config.width)
            frame[np.hypot(rows - row, columns - column) < rng.uniform(3, 25)] = 0
    return to_network(frames)


def trial_latents(folder: ModelFolder, config: VaeConfig) -> np.ndarray:
    """Returns (B, L) float32 to try a decoder on: draws from the prior, and real ones if any."""
    drawn = np.random.default_rng(0).standard_normal((_TRIALS, config.latent_dim))
    latents = [drawn.astype(np.float32)]
    if (folder / SCALER).exists() and (folder / SEEDS).exists():
        scaler = Scaler.load(folder / SCALER)
        vectors = read_seeds(folder).reshape(-1, scaler.dim)
        latents.append(scaler.to_latents(vectors[:: max(1, len(vectors) // _TRIALS)]))
    return np.concatenate(latents)


def read_seeds(folder: ModelFolder) -> np.ndarray:
    """Returns the model's real stretches, (N, S, D) in model units."""
    return files.read_npz(folder / SEEDS, "file of seed stretches")["vectors"]


def format_report(report: Sequence[Parity]) -> str:
    """Returns a table of sizes and errors."""
    lines = [f"{'file':14} {'output':12} {'size':>9}  {'largest value':>13}  {'difference':>10}"]
    for row in report:
        lines.append(
            f"{row.file:14} {row.output:12} {row.size_bytes / 1e6:6.2f} MB  "
            f"{row.largest:13.3g}  {row.error:10.1e}"
        )
    return "\n".join(lines)


def _compare(
    file: str, output: str, path: Path, expected: np.ndarray, received: np.ndarray
) -> Parity:
    if expected.shape != received.shape:
        raise ParityError(f"{output} of {file} is {received.shape}; Keras gives {expected.shape}.")
    # NaN must not pass for equal: it is a difference without limit.
    error = np.nan_to_num(np.abs(expected - received), nan=np.inf, posinf=np.inf).max()
    return Parity(file, output, path.stat().st_size, float(np.abs(expected).max()), float(error))


def _require_parity(report: Sequence[Parity]) -> None:
    failed = [row for row in report if not row.passed]
    if failed:
        raise ParityError(
            "The exported graphs do not compute what Keras computes, so they were not kept; the "
            "weights are as they were. This is a mistake in dancenet or a broken installation of "
            f"ONNX Runtime: please report it with this table.\n{format_report(failed)}"
        )

"""Writes the ONNX graphs that generation runs on, and compares each with Keras first."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from dancenet.model.folder import (
    DANCER_WEIGHTS,
    DECODER_GRAPH,
    ENCODER_GRAPH,
    STEP_GRAPH,
    VAE_WEIGHTS,
    ModelFolder,
)
from dancenet.nets import dancer, vae
from dancenet.nets.export.onnx_graph import GraphBuilder
from dancenet.nets.export.onnx_layers import (
    add_model,
    append_place,
    put_back_place,
    split_place,
    take_out_place,
)
from dancenet.nets.export.onnx_step import step_graph
from dancenet.nets.export.parity import (
    CARRIED_TOLERANCE,
    TOLERANCE,
    ParityError,
    largest_difference,
)
from dancenet.nets.export.reference import (
    trial_frames,
    trial_latents,
    trial_styles,
    trial_vectors,
)
from dancenet.nets.picture_network import PictureNetwork
from dancenet.runtime.onnx import OnnxDecoder, OnnxEncoder, OnnxStepModel
from dancenet.sequence.mixture import sample_from_draws
from dancenet.support import files
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import command

_TIMED = 400  # steps


@dataclass(frozen=True)
class Parity:
    """The difference of one output of an exported graph from Keras."""

    file: str
    output: str
    size_bytes: int
    largest: float  # largest absolute value, by Keras
    error: float  # largest absolute difference

    @property
    def passed(self) -> bool:
        """True if the error is within the tolerance, relative to the output where that is above 1.

        Background probability lies in 0..1, so its tolerance is absolute. Means and log-variances
        may be as large as 10, where float32 itself has steps of 1e-6.
        """
        tolerance = CARRIED_TOLERANCE if self.file == STEP_GRAPH else TOLERANCE
        return bool(self.error <= tolerance * max(1.0, self.largest))


def export_vae(folder: ModelFolder) -> list[Parity]:
    """Writes `encoder.onnx` and `decoder.onnx` from `vae.weights.h5`.

    Both are compared with Keras first, on drawn figures, noise, and the model's seed clips if it
    has any.

    Returns:
        One record for each output.

    Raises:
        UserError: the weights are missing or do not fit the configuration.
        ParityError: a graph differs from Keras by more than TOLERANCE; nothing was written.
    """
    config = folder.read_config().vae
    if config is None:
        raise UserError(
            f"The model {quoted(folder.path)} has no picture network in its configuration."
        )
    weights = folder.require(VAE_WEIGHTS, command("train-vae"))
    network = PictureNetwork.load(config, weights)
    with contextlib.ExitStack() as stack:
        encoder_path = stack.enter_context(files.atomic_path(folder / ENCODER_GRAPH))
        decoder_path = stack.enter_context(files.atomic_path(folder / DECODER_GRAPH))
        onnx.save(encoder_graph(network), encoder_path)
        onnx.save(decoder_graph(network), decoder_path)
        report = compare_encoder(network, encoder_path, trial_frames(config))
        latents = trial_latents(folder, config)
        report += compare_decoder(network, decoder_path, latents)
        _require_parity(report)
    folder.seal()
    return report


def export_dancer(folder: ModelFolder) -> list[Parity]:
    """Writes `step.onnx` from `dancer.weights.h5`.

    It is compared with Keras first, each with its own state, for one dance and for sixteen, over
    the model's seed clips if it has any and over noise.

    Returns:
        One record for each output.

    Raises:
        UserError: the weights are missing or do not fit the configuration.
        ParityError: the graph differs from Keras by more than CARRIED_TOLERANCE; nothing
            was written.
    """
    config = folder.read_config().dancer
    if config is None:
        raise UserError(f"The model {quoted(folder.path)} has no dancer in its configuration.")
    weights = folder.require(DANCER_WEIGHTS, command("train-dancer"))
    network = dancer.load_dancer(config, weights)
    with files.atomic_path(folder / STEP_GRAPH) as path:
        onnx.save(step_graph(network), path)
        report = compare_step(network, path, trial_vectors(folder, config))
        _require_parity(report)
    folder.seal()
    return report


def encoder_graph(network: PictureNetwork) -> onnx.ModelProto:
    """Returns the graph from `frames` (B, H, W, 1) to `z_mean` and `z_log_var` (B, L).

    `z_log_var` is limited to the range that the network was trained with.
    """
    graph = GraphBuilder("encoder")
    size = (network.config.height, network.config.width)
    centred = network.config.centred
    # The names of the latent alone, before the place is appended.
    z_mean, z_log_var = ("z_mean/pose", "z_log_var/pose") if centred else ("z_mean", "z_log_var")
    names = {"z_mean": z_mean, "z_log_var": "z_log_var/unbounded"}
    add_model(graph, network.encoder, names, take_out_place(graph, size) if centred else None)
    low, high = vae.LOG_VAR_RANGE
    bounds = [graph.weight("z_log_var/low", low), graph.weight("z_log_var/high", high)]
    graph.add("Clip", ["z_log_var/unbounded", *bounds], z_log_var)
    if centred:
        append_place(graph, z_mean, z_log_var)
    for name in ("z_mean", "z_log_var"):
        graph.output(name, (network.config.num_latents,))
    return graph.build()


def decoder_graph(network: PictureNetwork, fold: bool = True) -> onnx.ModelProto:
    """Returns the graph from `latents` (B, L) to `frames` (B, H, W), background probability."""
    graph = GraphBuilder("decoder", fold=fold)
    size = (network.config.height, network.config.width)
    if network.config.centred:
        latents = split_place(graph, network.config.latent_dim)
        logits = add_model(graph, network.logits, {"logits": "logits"}, latents)["logits"]
        put_back_place(graph, logits.name, size, "background")
    else:
        add_model(graph, network.decoder, {"background": "background"})
    graph.reshape("background", size, "frames")
    graph.output("frames", size)
    return graph.build()


def compare_encoder(network: PictureNetwork, path: Path, frames: np.ndarray) -> list[Parity]:
    """Runs an exported encoder against Keras on frames (B, H, W, 1)."""
    expected = network.encode(frames[..., 0])
    run = OnnxEncoder(path)
    # The encoder of 2018 needs 26 MB a picture.
    parts = [run(frames[first : first + 4]) for first in range(0, len(frames), 4)]
    received = [np.concatenate(part) for part in zip(*parts)]
    return [
        _compare(ENCODER_GRAPH, name, path, *pair)
        for name, *pair in zip(("z_mean", "z_log_var"), expected, received)
    ]


def compare_decoder(network: PictureNetwork, path: Path, latents: np.ndarray) -> list[Parity]:
    """Runs an exported decoder against Keras on latents (B, L)."""
    expected = network.decode(latents)
    return [_compare(DECODER_GRAPH, "frames", path, expected, OnnxDecoder(path)(latents))]


def compare_step(network: dancer.DancerNetwork, path: Path, walk: np.ndarray) -> list[Parity]:
    """Runs an exported step and Keras over vectors (S, B, D), for one dance, then for all.

    Each carries its own state, so the differences are those after many steps. If there are
    styles, each dance has its own weights; see `trial_styles`. The vectors that the graph draws
    are compared with those that NumPy draws from Keras's mixture.
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
            # Raise the chosen component, so that rounding cannot change the choice.
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
    """Returns the steps per second that an exported graph draws for one dance, on one core."""
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
    return Parity(
        file=file,
        output=output,
        size_bytes=path.stat().st_size,
        largest=float(np.abs(expected).max()),
        error=largest_difference(expected, received),
    )


def _require_parity(report: Sequence[Parity]) -> None:
    failed = [row for row in report if not row.passed]
    if failed:
        raise ParityError(
            "The exported graphs do not compute what Keras computes, so they were not kept; the "
            "weights are as they were. This is a mistake in dancenet or a broken installation of "
            f"ONNX Runtime: please report it with this table.\n{format_report(failed)}"
        )

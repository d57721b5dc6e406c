"""Writes the graphs that generation runs on, and proves each against Keras first."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import onnx

from dancenet import files
from dancenet.codecs.base import Scaler
from dancenet.codecs.silhouette import to_network
from dancenet.config import VaeConfig
from dancenet.errors import UserError
from dancenet.folder import (
    DANCER_WEIGHTS,
    DECODER_GRAPH,
    ENCODER_GRAPH,
    SCALER,
    SEEDS,
    STEP_GRAPH,
    VAE_WEIGHTS,
    ModelFolder,
)
from dancenet.nets import vae
from dancenet.nets.graphs import GraphBuilder, add_model
from dancenet.runtime.onnx import OnnxDecoder, OnnxEncoder, OnnxStepModel

TOLERANCE = 1e-5  # largest difference to Keras, over the size of the largest value if that is > 1
_TRIALS = 16


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
        """True if the error is within TOLERANCE of the output's own size.

        Whiteness lies in 0..1, so its tolerance is absolute. Means and log-variances may be
        as large as 10, where float32 itself has steps of 1e-6: theirs is relative.
        """
        return bool(self.error <= TOLERANCE * max(1.0, self.largest))


def export_vae(folder: ModelFolder) -> list[Parity]:
    """Writes `encoder.onnx` and `decoder.onnx` from `vae.weights.h5`.

    Both are run against Keras, on drawn figures, noise, and the model's seed stretches if it
    has any, before either takes its place.

    Returns:
        One record for each output.

    Raises:
        UserError: the weights are missing or do not fit the configuration.
        ArithmeticError: a graph differs from Keras by more than TOLERANCE; nothing was written.
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


def decoder_graph(decoder: keras.Model) -> onnx.ModelProto:
    """Returns the graph from `latents` (B, L) to `frames` (B, H, W), whiteness in 0..1."""
    graph = GraphBuilder("decoder")
    whiteness = add_model(graph, decoder, {"whiteness": "whiteness"})["whiteness"]
    height, width, _ = whiteness.shape
    graph.reshape(whiteness.name, (height, width), "frames")
    graph.output("frames", (height, width))
    return graph.build()


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
        raise ArithmeticError(
            f"{output} of {file} is {received.shape}; Keras gives {expected.shape}."
        )
    # NaN must not pass for equal: it is a difference without limit.
    error = np.nan_to_num(np.abs(expected - received), nan=np.inf, posinf=np.inf).max()
    return Parity(
        file, output, path.stat().st_size, float(np.abs(expected).max()), float(error)
    )


def _require_parity(report: Sequence[Parity]) -> None:
    failed = [row for row in report if not row.passed]
    if failed:
        raise ArithmeticError(
            "The exported graphs do not compute what Keras computes; nothing was written.\n"
            + format_report(failed)
        )

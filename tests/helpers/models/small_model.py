"""A model folder small enough for tests: it draws a disc at the latent's position."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dancenet.codecs.base import Scaler
from dancenet.model.config import DancerConfig, ModelConfig, VaeConfig
from dancenet.model.folder import ModelFolder
from dancenet.support.arrays import write_npz

DIM = 3  # x, y and the size of the disc
MIXTURES = 2
STRETCH = 6


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int]],
    outputs: dict[str, list[int]],
    weights: dict[str, np.ndarray],
) -> None:
    def values(shapes: dict[str, list[int]]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
            for name, shape in shapes.items()
        ]

    graph = helper.make_graph(
        nodes,
        path.stem,
        values(inputs),
        values(outputs),
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _write_encoder(path: Path) -> None:
    """z_mean is the mean column, row and darkness of the picture, roughly scaled."""
    rows, columns = np.mgrid[:120, :208].astype(np.float32)
    dark = np.stack([(columns - 104) / 104, (rows - 60) / 60, np.ones_like(rows)], -1)
    _save(
        path,
        [
            helper.make_node("Flatten", ["frames"], ["flat"], axis=1),
            helper.make_node("Sub", ["one", "flat"], ["dark"]),
            helper.make_node("MatMul", ["dark", "kernel"], ["z_mean"]),
            helper.make_node("Mul", ["z_mean", "zero"], ["z_log_var"]),
        ],
        {"frames": [120, 208, 1]},
        {"z_mean": [DIM], "z_log_var": [DIM]},
        {
            "kernel": (dark.reshape(-1, DIM) / 500).astype(np.float32),
            "one": np.array(1, np.float32),
            "zero": np.array(0, np.float32),
        },
    )


def _write_decoder(path: Path) -> None:
    """Background probability is the sigmoid of the distance to a disc at (x, y)."""
    rows, columns = np.mgrid[:120, :208].astype(np.float32)
    _save(
        path,
        [
            helper.make_node("MatMul", ["latents", "to_x"], ["x"]),
            helper.make_node("MatMul", ["latents", "to_y"], ["y"]),
            helper.make_node("Sub", ["columns", "x"], ["dx"]),
            helper.make_node("Sub", ["rows", "y"], ["dy"]),
            helper.make_node("Mul", ["dx", "dx"], ["dx2"]),
            helper.make_node("Mul", ["dy", "dy"], ["dy2"]),
            helper.make_node("Add", ["dx2", "dy2"], ["square"]),
            helper.make_node("Sqrt", ["square"], ["distance"]),
            helper.make_node("Sub", ["distance", "radius"], ["logits"]),
            helper.make_node("Sigmoid", ["logits"], ["background"]),
            helper.make_node("Reshape", ["background", "shape"], ["frames"]),
        ],
        {"latents": [DIM]},
        {"frames": [120, 208]},
        {
            "to_x": np.array([[30.0], [0], [0]], np.float32),
            "to_y": np.array([[0.0], [15], [0]], np.float32),
            "rows": rows.reshape(1, -1) - 60,
            "columns": columns.reshape(1, -1) - 104,
            "radius": np.array(20, np.float32),
            "shape": np.array([0, 120, 208], np.int64),
        },
    )


def _write_step(path: Path, keeps_state: bool) -> None:
    """A slow turn with two components and, unless it is left out, a state that decays."""
    turn = np.array([[0.97, 0.1, 0], [-0.1, 0.97, 0], [0, 0, 0.9]], np.float32)
    state = {"h0": [DIM]} if keeps_state else {}
    _save(
        path,
        [
            helper.make_node("Tanh", ["vectors"], ["soft"]),
            *(
                [
                    helper.make_node("Mul", ["h0", "decay"], ["kept"]),
                    helper.make_node("Add", ["kept", "soft"], ["next_h0"]),
                ]
                if keeps_state
                else []
            ),
            helper.make_node("MatMul", ["soft", "head"], ["flat"]),
            helper.make_node("Reshape", ["flat", "mixture"], ["mu"]),
            helper.make_node("Mul", ["mu", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "spread"], ["sigma"]),
            helper.make_node(
                "MatMul", ["next_h0" if keeps_state else "soft", "gate"], ["pi_logits"]
            ),
        ],
        {"vectors": [DIM], **state},
        {
            "pi_logits": [MIXTURES],
            "mu": [MIXTURES, DIM],
            "sigma": [MIXTURES, DIM],
            **{f"next_{name}": shape for name, shape in state.items()},
        },
        {
            "decay": np.array(0.9, np.float32),
            "head": np.concatenate([turn, turn.T], 1),
            "mixture": np.array([0, MIXTURES, DIM], np.int64),
            "zero": np.array(0, np.float32),
            "spread": np.array(0.15, np.float32),
            "gate": np.array([[0.3, -0.3], [0.1, 0.2], [0, 0]], np.float32),
        },
    )


def write_small_model(
    path: Path, name: str = "small", fps: float = 30.0, look_back: int = 64
) -> ModelFolder:
    """Writes a whole, sealed model folder of a few kilobytes that needs no Keras."""
    folder = ModelFolder(path)
    folder.create()
    vae = VaeConfig(latent_dim=DIM)
    dancer = DancerConfig(dim=DIM, units=DIM, layers=1, num_mixtures=MIXTURES, look_back=look_back)
    folder.write_config(ModelConfig(name, fps, vae=vae, dancer=dancer))
    _write_encoder(folder / "encoder.onnx")
    _write_decoder(folder / "decoder.onnx")
    _write_step(folder / "step.onnx", dancer.keeps_state)
    Scaler(
        np.array([0.1, -0.1, 0], np.float32),
        np.eye(DIM, dtype=np.float32),
        np.array([1, 0.5, 2], np.float32),
    ).save(folder / "scaler.npz")
    seeds = np.random.default_rng(0).normal(size=(4, STRETCH, DIM)).astype(np.float32)
    write_npz(folder / "seeds.npz", vectors=seeds)
    folder.seal()
    return folder


def write_old_model(path: Path) -> ModelFolder:
    """Writes a model with the same VAE whose dancer looks back one vector, and keeps no state."""
    return write_small_model(path, "old", look_back=1)

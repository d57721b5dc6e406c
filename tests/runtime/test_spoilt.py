"""Graphs that do not fit their model get one sentence that names the file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from mutation import MANY, check_reader
from onnx import TensorProto, helper
from small_model import DIM, MIXTURES, write_small_model

from dancenet.generation.load import load_dancer
from dancenet.model.config import DancerConfig, VaeConfig
from dancenet.runtime.onnx import OnnxDecoder, OnnxEncoder, OnnxStepModel
from dancenet.support.errors import UserError

FEW = MANY // 2  # versions of a graph, because each is a session


def test_a_spoilt_graph_is_one_sentence(tmp_path: Path) -> None:
    folder = write_small_model(tmp_path / "model")
    latents = np.zeros((1, DIM), np.float32)
    assert check_reader(lambda path: OnnxDecoder(path)(latents), folder / "decoder.onnx", count=FEW)

    def step(path: Path) -> None:
        model = OnnxStepModel(path)
        model.require_config(DancerConfig(dim=DIM, units=DIM, num_mixtures=MIXTURES))
        model.step(np.zeros((1, DIM), np.float32), model.initial_state(1))

    assert check_reader(step, folder / "step.onnx", count=FEW)


def change(path: Path, name: str, shape: list[int | str], kind: int = TensorProto.FLOAT) -> None:
    """Makes a graph say that an input or output has another shape."""
    model = onnx.load(path)
    for values in (model.graph.input, model.graph.output):
        for index, value in enumerate(values):
            if value.name == name:
                values[index].CopyFrom(helper.make_tensor_value_info(name, kind, shape))
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("graph", "name", "shape"),
    [
        ("encoder", "frames", ["batch", "height", "width", 1]),
        ("decoder", "latents", ["batch", "any"]),
        ("step", "vectors", ["batch", "any"]),
        ("step", "h0", ["batch", "any"]),
    ],
)
def test_a_shape_that_is_not_known_is_refused(
    tmp_path: Path, graph: str, name: str, shape: list
) -> None:
    folder = write_small_model(tmp_path / "model")
    change(folder / f"{graph}.onnx", name, shape)
    folder.seal()
    with pytest.raises(UserError, match=f"{graph}.onnx does not fit its model: {name} is"):
        load_dancer(folder.path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dim": DIM + 1}, "step.onnx does not fit its model: vectors is"),
        ({"num_mixtures": 5}, "step.onnx does not fit its model: pi_logits is"),
        ({"units": 7}, "step.onnx does not fit its model: h0 is"),
        ({"look_back": 1}, "its state h0 is not in config.json"),
        ({"styles": ("salsa",)}, "config.json has styles and it takes none"),
    ],
)
def test_a_graph_of_another_network_is_refused(tmp_path: Path, changes: dict, said: str) -> None:
    folder = write_small_model(tmp_path / "model")
    config = folder.read_config()
    assert config.dancer is not None
    dancer = dataclasses.replace(config.dancer, **changes)
    folder.write_config(dataclasses.replace(config, dancer=dancer))
    folder.seal()
    with pytest.raises(UserError, match=said):
        load_dancer(folder.path)


def test_pictures_of_another_size_are_refused(tmp_path: Path) -> None:
    path = write_small_model(tmp_path / "model") / "encoder.onnx"
    OnnxEncoder(path).require_sizes(VaeConfig(latent_dim=DIM))
    with pytest.raises(UserError, match="z_mean is .* must be floats of shape .batch, 4."):
        OnnxEncoder(path).require_sizes(VaeConfig(latent_dim=DIM + 1))
    with pytest.raises(UserError, match="frames is .* must be floats of shape .batch, 64, 208, 1."):
        OnnxEncoder(path).require_sizes(VaeConfig(latent_dim=DIM, height=64))


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    path = write_small_model(tmp_path / "model") / "decoder.onnx"
    (tmp_path / "secret").write_bytes(bytes(12))
    model = onnx.load(path)
    weight = next(item for item in model.graph.initializer if item.name == "to_x")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../secret")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="decoder.onnx cannot be run"):
        OnnxDecoder(path)


def test_a_graph_that_fails_when_it_runs_is_one_sentence(tmp_path: Path) -> None:
    path = write_small_model(tmp_path / "model") / "decoder.onnx"
    model = onnx.load(path)
    shape = next(item for item in model.graph.initializer if item.name == "shape")
    shape.CopyFrom(onnx.numpy_helper.from_array(np.array([0, 120, 209], np.int64), "shape"))
    for value in model.graph.output:
        value.CopyFrom(helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["b", 120, 209]))
    onnx.save(model, path)
    decoder = OnnxDecoder(path)
    with pytest.raises(UserError, match="decoder.onnx cannot be run"):
        decoder(np.zeros((1, DIM), np.float32))

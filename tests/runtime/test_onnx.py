"""The exported graphs on ONNX Runtime, and what is said of graphs that are not whole."""

import os
from pathlib import Path

import numpy as np
import pytest
from small_model import DIM, MIXTURES, write_small_model

from dancenet.runtime.onnx import OnnxDecoder, OnnxEncoder, OnnxStepModel, count_cores
from dancenet.sequence.mixture import sample_from_draws
from dancenet.support.errors import UserError


def test_decoder_and_encoder_have_the_shapes_of_the_contract(tmp_path: Path) -> None:
    folder = write_small_model(tmp_path / "model")
    frames = OnnxDecoder(folder / "decoder.onnx")(np.zeros((2, DIM)))
    assert frames.shape == (2, 120, 208) and frames.dtype == np.float32
    assert 0 <= frames.min() < 0.01 and 0.99 < frames.max() <= 1
    z_mean, z_log_var = OnnxEncoder(folder / "encoder.onnx")(frames[..., None])
    assert z_mean.shape == z_log_var.shape == (2, DIM)


def test_a_step_model_carries_its_state(tmp_path: Path) -> None:
    model = OnnxStepModel(write_small_model(tmp_path / "model") / "step.onnx")
    vectors = np.ones((2, DIM), np.float32)
    first, state = model.step(vectors, model.initial_state(2))
    second, _ = model.step(vectors, state)
    assert model.dim == DIM
    assert first.mu.shape == first.sigma.shape == (2, MIXTURES, DIM)
    np.testing.assert_array_equal(first.mu, second.mu)
    assert not np.allclose(first.pi_logits, second.pi_logits), "these depend on the state"


def test_a_trajectory_does_not_depend_on_its_neighbours_in_the_batch(tmp_path: Path) -> None:
    model = OnnxStepModel(write_small_model(tmp_path / "model") / "step.onnx")
    vectors = np.random.default_rng(0).normal(size=(16, DIM)).astype(np.float32)
    together, _ = model.step(vectors, model.initial_state(16))
    for index in range(16):
        alone, _ = model.step(vectors[index : index + 1], model.initial_state(1))
        np.testing.assert_allclose(alone.mu[0], together.mu[index], atol=1e-6)


def test_a_graph_that_cannot_draw_is_drawn_from_in_numpy(tmp_path: Path) -> None:
    model = OnnxStepModel(write_small_model(tmp_path / "model") / "step.onnx")
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(4, DIM)).astype(np.float32)
    gumbel, normal = rng.gumbel(size=(4, MIXTURES)), rng.normal(size=(4, DIM))
    mixture, following = model.step(vectors, model.initial_state(4))
    drawn, state = model.sample(vectors, model.initial_state(4), gumbel, normal, 0.7)
    np.testing.assert_array_equal(drawn, sample_from_draws(mixture, gumbel, normal, 0.7))
    np.testing.assert_array_equal(state, following)
    assert drawn.dtype == np.float32


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_graph_is_one_sentence(tmp_path: Path, share: float) -> None:
    path = write_small_model(tmp_path / "model") / "decoder.onnx"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match="cannot be run: it was cut, altered"):
        OnnxDecoder(path)


def test_a_file_that_is_no_graph_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "step.onnx"
    path.write_bytes(b"\x00 no graph")
    with pytest.raises(UserError, match="cannot be run"):
        OnnxStepModel(path)


def test_a_missing_graph_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no exported network.*export.py"):
        OnnxEncoder(tmp_path / "encoder.onnx")


def test_another_network_is_not_taken_for_the_right_one(tmp_path: Path) -> None:
    folder = write_small_model(tmp_path / "model")
    with pytest.raises(UserError, match="lacks latents"):
        OnnxDecoder(folder / "encoder.onnx")
    with pytest.raises(UserError, match="lacks vectors"):
        OnnxStepModel(folder / "decoder.onnx")


def test_there_is_at_least_one_core() -> None:
    assert count_cores() >= 1


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
@pytest.mark.parametrize("name", ["dan\udce7a", "two\nlines", "take:1"], ids=ascii)
def test_a_graph_is_found_whatever_its_folder_is_called(tmp_path: Path, name: str) -> None:
    try:
        (tmp_path / name).mkdir()
    except OSError:
        pytest.skip("the disk takes no such name")
    folder = write_small_model(tmp_path / name)
    assert OnnxStepModel(folder / "step.onnx").dim == DIM

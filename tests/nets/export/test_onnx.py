"""The exported networks compute what Keras computes, or are not written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_models import SMALL_VAE, make_folder

from dancenet.model.config import DancerConfig, ModelConfig, VaeConfig
from dancenet.model.folder import ModelFolder
from dancenet.nets import dancer, vae
from dancenet.nets.export import onnx
from dancenet.nets.export.onnx_graph import GraphBuilder
from dancenet.nets.export.onnx_step import step_graph
from dancenet.nets.export.parity import TOLERANCE, ParityError
from dancenet.runtime.onnx import OnnxDecoder, OnnxEncoder, OnnxStepModel
from dancenet.sequence.generate import generate
from dancenet.sequence.mixture import sample_from_draws
from dancenet.support.errors import UserError


@pytest.mark.parametrize("network", ["lean", "dancenet"])
def test_both_picture_networks_at_full_size_are_keras_within_1e_5(
    tmp_path: Path, network: str
) -> None:
    folder = make_folder(tmp_path / "model", vae=VaeConfig(network=network))
    report = onnx.export_vae(folder)
    assert [row.output for row in report] == ["z_mean", "z_log_var", "frames"]
    assert all(row.error <= TOLERANCE for row in report)
    frames = OnnxDecoder(folder / "decoder.onnx")(np.zeros((2, 128), np.float32))
    assert frames.shape == (2, 120, 208)


@pytest.mark.parametrize(
    "config",
    [
        DancerConfig(dim=5, units=8, num_mixtures=3),
        DancerConfig(dim=5, units=8, num_mixtures=3, velocity_inputs=2),
        DancerConfig(dim=5, units=8, num_mixtures=3, layers=2, predict="absolute", sigma_floor=0.0),
        DancerConfig(dim=5, units=8, num_mixtures=3, predict="absolute", velocity_inputs=1),
        DancerConfig(dim=5, units=8, num_mixtures=1, layers=3, dropout=0.2, head="mse"),
        DancerConfig(
            dim=5, units=8, num_mixtures=1, predict="absolute", velocity_inputs=2, head="mse"
        ),
        DancerConfig(
            network="dancenet",
            dim=4,
            units=8,
            layers=3,
            num_mixtures=4,
            dense_units=10,
            dropout=0.4,
            predict="absolute",
            recurrent_activation="hard_sigmoid_2018",
        ),
        DancerConfig(
            network="dancenet",
            dim=4,
            units=8,
            layers=3,
            num_mixtures=4,
            dense_units=10,
            predict="absolute",
            recurrent_activation="hard_sigmoid_2018",
            look_back=1,
        ),
        DancerConfig(dim=5, units=8, num_mixtures=3, velocity_inputs=2, styles=("a", "b", "c")),
        DancerConfig(dim=5, units=8, num_mixtures=3, velocity_inputs=2, context=(4.0, 30.0)),
        DancerConfig(dim=5, units=8, num_mixtures=3, styles=("a", "b", "c")),
        DancerConfig(
            dim=4,
            units=8,
            layers=2,
            num_mixtures=4,
            predict="absolute",
            look_back=1,
            styles=("a", "b"),
        ),
    ],
    ids=[
        "step",
        "steps seen",
        "place",
        "place, steps seen",
        "mse",
        "mse, place",
        "2018, sequences",
        "2018",
        "styles",
        "running means",
        "styles and places",
        "styles alone",
    ],
)
def test_the_dancer_equals_keras_over_many_steps(tmp_path: Path, config: DancerConfig) -> None:
    folder = make_folder(tmp_path / "model", dancer=config)
    report = onnx.export_dancer(folder)
    outputs = [row.output for row in report]
    assert outputs[:4] == ["pi_logits", "mu", "sigma", "next_vectors"]
    assert outputs[4:] == [
        *(f"next_{n}{i}" for i in range(config.layers if config.keeps_state else 0) for n in "hc"),
        *(f"next_last{i + 1}" for i in range(config.velocity_inputs)),
        *(f"next_mean{i + 1}" for i in range(len(config.context))),
        *(["next_style"] if config.styles else []),
    ]
    assert all(row.passed for row in report)


def step_model(path: Path, **settings: object) -> OnnxStepModel:
    """Exports an untrained dancer."""
    config = DancerConfig(dim=5, units=8, num_mixtures=4, **settings)  # type: ignore[arg-type]
    folder = make_folder(path, dancer=config)
    onnx.export_dancer(folder)
    return OnnxStepModel(folder / "step.onnx")


class StepOnly:
    """Hides that a step model can draw, so that NumPy does."""

    def __init__(self, inner: OnnxStepModel) -> None:
        self.dim, self.initial_state, self.step = inner.dim, inner.initial_state, inner.step


@pytest.mark.parametrize("predict", ["delta", "absolute"])
@pytest.mark.parametrize("temperature", [0.0, 0.3, 1.0, 4.0])
def test_a_drawn_step_is_what_numpy_draws_from_the_mixture(
    tmp_path: Path, predict: str, temperature: float
) -> None:
    model = step_model(tmp_path / "model", predict=predict)
    rng = np.random.default_rng(1)
    state = model.initial_state(64)
    components = set()
    for _ in range(4):
        vectors = rng.normal(size=(64, 5)).astype(np.float32)
        gumbel, normal = rng.gumbel(size=(64, 4)), rng.normal(size=(64, 5))
        mixture, following = model.step(vectors, state)
        drawn, state = model.sample(vectors, state, gumbel, normal, temperature)
        expected = sample_from_draws(mixture, gumbel, normal, temperature)
        np.testing.assert_allclose(drawn, expected, atol=1e-5)
        for one, other in zip(state, following):
            np.testing.assert_array_equal(one, other)
        components |= set((mixture.pi_logits + temperature * gumbel).argmax(axis=1))
    assert len(components) > 1, "there was something to choose"


def test_the_exported_step_draws_thirty_two_components_by_their_weights(
    tmp_path: Path,
) -> None:
    config = DancerConfig(dim=5, units=8, num_mixtures=32, velocity_inputs=2)
    network = dancer.build_dancer(config)
    rng, count = np.random.default_rng(0), 64_000
    weights = rng.dirichlet(np.full(32, 3.0))
    for weight in network.model.trainable_weights:
        weight.assign(np.zeros(weight.shape, np.float32))
    network.mdn.mdn_pi.bias.assign(np.log(weights))
    network.mdn.mdn_mus.bias.assign(np.repeat(100.0 * np.arange(32), 5))
    network.mdn.mdn_sigmas.bias.assign(np.full(32 * 5, -1.0))
    (tmp_path / "step.onnx").write_bytes(step_graph(network).SerializeToString())
    model = OnnxStepModel(tmp_path / "step.onnx")
    vectors = np.zeros((count, 5), np.float32)
    gumbel, normal = rng.gumbel(size=(count, 32)), rng.standard_normal((count, 5))
    draws, _ = model.sample(vectors, model.initial_state(count), gumbel, normal, 1.0)
    drawn = np.rint(draws / 100).astype(int)
    assert (drawn == drawn[:, :1]).all()  # all dimensions come from one component
    # Pearson's statistic is above 61.1 once in a thousand times with 31 degrees of freedom.
    shares = np.bincount(drawn[:, 0], minlength=32)
    assert (np.square(shares - count * weights) / (count * weights)).sum() < 61.1
    # elu(-1) + 1 = exp(-1), and the floor. 4 standard errors of a standard deviation.
    sigma = np.exp(-1.0) + config.sigma_floor
    left = draws - 100.0 * drawn
    assert left.std() == pytest.approx(sigma, rel=4 / np.sqrt(2 * left.size))


def test_a_drawn_step_computes_one_component_only(tmp_path: Path) -> None:
    model = step_model(tmp_path / "model")
    feed = model._feed(np.zeros((3, 5), np.float32), model.initial_state(3))
    zeros = {"gumbel": np.zeros((3, 4), np.float32), "normal": np.zeros((3, 5), np.float32)}
    feed |= {**zeros, "temperature": np.zeros((), np.float32), "whole": np.array(False)}
    mu, sigma, drawn = model._graph.run(["mu", "sigma", "next_vectors"], feed)
    assert (mu.shape, sigma.shape, drawn.shape) == ((0, 4, 5), (0, 4, 5), (3, 5))


def test_a_dance_is_the_same_whether_the_graph_or_numpy_draws_and_in_any_batch(
    tmp_path: Path,
) -> None:
    model = step_model(tmp_path / "model", velocity_inputs=1)
    seed = np.random.default_rng(0).normal(size=(3, 6, 5)) * 0.1

    def dance(of: Any, rows: list[int]) -> np.ndarray:
        rngs = [np.random.default_rng((7, row)) for row in rows]
        return np.stack(list(generate(of, seed[rows], 20, rngs)))

    together = dance(model, [0, 1, 2])
    np.testing.assert_array_equal(together, dance(model, [0, 1, 2]))
    np.testing.assert_allclose(together, dance(StepOnly(model), [0, 1, 2]), atol=1e-4)
    np.testing.assert_allclose(together[:, 1:2], dance(model, [1]), atol=1e-4)


def test_a_style_is_carried_through_a_dance_of_the_graph(tmp_path: Path) -> None:
    model = step_model(tmp_path / "model", velocity_inputs=1, styles=("ballet", "house"))
    seed = np.tile(np.random.default_rng(0).normal(size=(1, 6, 5)) * 0.1, (4, 1, 1))
    style = np.array([[1, 0], [0, 1], [0.5, 0.5], [0, 0]], np.float32)

    def dance(of: Any, rows: list[int]) -> np.ndarray:
        rngs = [np.random.default_rng(7) for _ in rows]
        return np.stack(list(generate(of, seed[rows], 12, rngs, style=style[rows])), axis=1)

    together = dance(model, [0, 1, 2, 3])
    for one in range(4):
        np.testing.assert_allclose(together[one], dance(model, [one])[0], atol=1e-4)
        for other in range(one):
            assert np.abs(together[one] - together[other]).max() > 1e-2
    np.testing.assert_allclose(together, dance(StepOnly(model), [0, 1, 2, 3]), atol=1e-4)
    undecided = list(generate(model, seed[:1], 12, [np.random.default_rng(7)]))
    np.testing.assert_allclose(np.stack(undecided)[:, 0], together[3], atol=1e-4)


def test_log_variances_stay_in_the_range_they_were_trained_in(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", vae=VaeConfig(**SMALL_VAE))
    config = folder.read_config().vae
    assert config is not None
    encoder, decoder = vae.load_vae(config, folder / "vae.weights.h5")
    encoder.get_layer("z_log_var").bias.assign([-50.0, 50, 0, 0, 0, 0])
    vae.join(encoder, decoder).save_weights(folder / "vae.weights.h5")
    onnx.export_vae(folder)
    _, z_log_var = OnnxEncoder(folder / "encoder.onnx")(np.ones((1, 16, 24, 1), np.float32))
    assert z_log_var[0, 0] == -10
    assert z_log_var[0, 1] == 4


def test_exporting_twice_writes_the_same_bytes_and_seals_the_folder(tmp_path: Path) -> None:
    folder = make_folder(
        tmp_path / "model", vae=VaeConfig(**SMALL_VAE), dancer=DancerConfig(dim=3, units=4)
    )
    hashes = []
    for _ in range(2):
        onnx.export_vae(folder)
        onnx.export_dancer(folder)
        folder.check()
        hashes.append(folder.sha256)
    assert hashes[0] == hashes[1]


def test_a_graph_that_differs_from_keras_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(
        tmp_path / "model", vae=VaeConfig(**SMALL_VAE), dancer=DancerConfig(dim=3, units=4)
    )
    (folder / "decoder.onnx").write_bytes(b"an older graph")
    original = GraphBuilder.weight

    def altered(self: GraphBuilder, name: str, value: np.ndarray, *rest: type) -> str:
        if name.endswith("bias"):
            value = np.asarray(value) + np.float32(1e-3)
        return original(self, name, value, *rest)

    monkeypatch.setattr(GraphBuilder, "weight", altered)
    with pytest.raises(ParityError, match="do not compute what Keras computes"):
        onnx.export_vae(folder)
    with pytest.raises(ParityError, match="step.onnx"):
        onnx.export_dancer(folder)
    assert (folder / "decoder.onnx").read_bytes() == b"an older graph"
    names = {path.name for path in folder.path.iterdir()}
    assert names == {
        "config.json",
        "training",
        "vae.weights.h5",
        "dancer.weights.h5",
        "decoder.onnx",
    }


def test_nan_is_a_difference(tmp_path: Path) -> None:
    path = tmp_path / "graph"
    path.write_bytes(b"")
    nan = np.array([np.nan], np.float32)
    assert not onnx._compare("f", "o", path, np.ones(1, np.float32), nan).passed
    assert not onnx._compare("f", "o", path, nan, nan).passed


def test_missing_weights_say_which_script_makes_them(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path / "model")
    folder.create()
    folder.write_config(ModelConfig("trial", vae=VaeConfig(), dancer=DancerConfig()))
    with pytest.raises(UserError, match="train_vae.py"):
        onnx.export_vae(folder)
    with pytest.raises(UserError, match="train_dancer.py"):
        onnx.export_dancer(folder)


def test_the_report_is_a_table(tmp_path: Path) -> None:
    row = onnx.Parity("decoder.onnx", "frames", 5_200_000, 0.98, 1.2e-7)
    lines = onnx.format_report([row]).splitlines()
    assert len(lines) == 2
    assert lines[1].split() == ["decoder.onnx", "frames", "5.20", "MB", "0.98", "1.2e-07"]

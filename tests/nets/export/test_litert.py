"""LiteRT files compute what Keras computes with built-in operators, or are not written."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_models import make_folder
from whole_model import CLIP_FRAMES, DANCERS, NUM_CLIPS, write_whole_model

from dancenet.model.config import DancerConfig, VaeConfig
from dancenet.nets.export import litert
from dancenet.nets.export.parity import ParityError, nats_lost
from dancenet.nets.export.reference import Networks
from dancenet.nets.export.tensorflow.layers import PlainModel, TensorFlowStep
from dancenet.sequence.mixture import Mixture
from dancenet.support import arrays, terminal
from dancenet.support.errors import MissingExtra, UserError

pytest.importorskip("ai_edge_litert")

BOTH = ("vae", "dancer")


@pytest.fixture(scope="module", params=list(DANCERS))
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Networks, Path, litert.Exported]:
    folder = write_whole_model(tmp_path_factory.mktemp("whole") / "model", request.param)
    # The others have one of these two picture networks, which is not converted again.
    networks = Networks.load(folder, BOTH if request.param in ("lean", "dancenet") else ("dancer",))
    to = folder / "litert"
    return networks, to, litert.export_litert(networks, to)


Whole = tuple[Networks, Path, litert.Exported]


def parts(networks: Networks) -> tuple[str, ...]:
    return ("step",) if networks.pictures is None else ("encoder", "decoder", "step")


def test_every_network_is_written_in_every_precision(whole: Whole) -> None:
    networks, to, exported = whole
    expected = {
        f"{part}_{kind}.tflite" for part in parts(networks) for kind in litert.PRECISIONS
    } | {"scaler.tflite"}
    assert {row.name for row in exported.written} == expected
    assert not exported.left_out
    assert {path.name for path in to.iterdir()} == expected | {"signatures.md"}


def test_float32_equals_keras_and_the_smaller_ones_are_close(whole: Whole) -> None:
    rows = {row.name: row for row in whole[2].written}
    for part in parts(whole[0]):
        assert rows[f"{part}_float32.tflite"].error <= rows[f"{part}_float32.tflite"].limit <= 1e-4
        assert 0 < rows[f"{part}_float16.tflite"].error < 0.02


def test_files_hold_built_in_operators_only(whole: Whole) -> None:
    for path in whole[1].glob("*.tflite"):
        found = litert.operators(path)
        assert found and all(name.isupper() for name in found), path.name


def test_names_of_inputs_and_outputs_are_kept(whole: Whole) -> None:
    networks, to, _ = whole
    states = networks.state_names
    expected = {
        "encoder": ("encode", {"frames"}, {"z_mean", "z_log_var"}),
        "decoder": ("decode", {"latents"}, {"frames"}),
        "step": (
            "step",
            {"vectors", *states},
            {"pi_logits", "mu", "sigma", *(f"next_{name}" for name in states)},
        ),
    }
    for part in parts(networks):
        signature, inputs, outputs = expected[part]
        for kind in litert.PRECISIONS:
            runner = litert.LiteRt(to / f"{part}_{kind}.tflite", signature)._runner
            assert set(runner.get_input_details()) == inputs
            assert set(runner.get_output_details()) == outputs
    text = (to / "signatures.md").read_text(encoding="utf-8")
    assert ("`encode` in encoder_*.tflite" in text) == ("encoder" in parts(networks))
    assert "`seed_clip` in scaler.tflite" in text
    for name in states:
        assert f"| in | `{name}` |" in text and f"| out | `next_{name}` |" in text


def test_encoder_and_step_take_any_number_at_once(whole: Whole) -> None:
    networks, to, _ = whole
    for kind in litert.PRECISIONS:
        if networks.pictures is not None:
            encode = litert.LiteRt(to / f"encoder_{kind}.tflite", "encode")
            for count in (3, 1, 5):
                shape = (count, networks.pictures.config.num_latents)
                assert encode(frames=networks.frames[:count])["z_mean"].shape == shape
        step = litert.LiteRt(to / f"step_{kind}.tflite", "step")
        for count in (3, 1, 5):
            state = networks.step_model.initial_state(count)
            given = step(vectors=networks.walk[0, :count], **dict(zip(networks.state_names, state)))
            assert given["mu"].shape[0] == count


def test_the_scaler_converts_both_ways_and_has_the_seed_clips(whole: Whole) -> None:
    networks, to, _ = whole
    assert networks.scaler is not None and networks.seeds is not None
    clips = litert.LiteRt(to / "scaler.tflite", "seed_clip")(number=np.array([2, 0], np.int32))
    np.testing.assert_array_equal(clips["vectors"], networks.seeds[[2, 0]])
    assert networks.seeds.shape[:2] == (NUM_CLIPS, CLIP_FRAMES)
    latents = litert.LiteRt(to / "scaler.tflite", "to_latents")(vectors=networks.seeds[0])
    np.testing.assert_allclose(
        latents["latents"], networks.scaler.to_latents(networks.seeds[0]), atol=1e-5
    )


def test_the_path_from_velocity_inputs_to_means_is_not_rounded_to_8_bits(
    tmp_path: Path,
) -> None:
    config = DancerConfig(dim=16, units=32, num_mixtures=5, velocity_inputs=2)
    networks = Networks.load(make_folder(tmp_path / "model", dancer=config), ["dancer"])
    lost = []
    for exact in (True, False):
        plain = TensorFlowStep(networks.dancer, exact_line=exact)
        (function,) = litert.step_function(networks, "int8")
        path = tmp_path / f"step_{exact}.tflite"
        path.write_bytes(
            litert.convert(
                [litert.Function("step", function.inputs, plain.named, plain.variables)], "int8"
            )
        )
        state = dict(zip(networks.state_names, networks.step_model.initial_state(16)))
        given = litert.LiteRt(path, "step")(vectors=networks.walk[0], **state)
        mixture = Mixture(given["pi_logits"], given["mu"], given["sigma"])
        lost.append(nats_lost(networks.steps[0][0], mixture))
    assert lost[0] < 0.5 * lost[1]


def test_a_file_that_needs_operators_of_tensorflow_is_refused(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    module = tf.Module()
    function = tf.function(tf.linalg.det).get_concrete_function(tf.TensorSpec((3, 3)))
    with terminal.quiet_import():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS,
            tf.lite.OpsSet.SELECT_TF_OPS,
        ]
        path = tmp_path / "flex.tflite"
        path.write_bytes(converter.convert())
    assert litert.operators(path) == ["custom:FlexMatrixDeterminant"]
    with pytest.raises(ParityError, match="flex.tflite was not kept: it needs custom:FlexMatrix"):
        litert.require_builtin(path)


def test_a_decoder_that_returns_nan_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = VaeConfig(height=16, width=24, latent_dim=6)
    networks = Networks.load(make_folder(tmp_path / "model", vae=config), ["vae"])
    to = tmp_path / "out"
    original = litert.decoder_function

    def broken(networks: Networks, precision: str) -> list[litert.Function]:
        made = original(networks, precision)
        made[0].weights[0].assign(np.full(made[0].weights[0].shape, np.nan))
        return made

    monkeypatch.setitem(litert._PARTS, "decoder", (broken, litert._PARTS["decoder"][1]))
    with pytest.raises(ParityError, match="decoder_float32.tflite"):
        litert.export_litert(networks, to)
    assert not to.exists()


def test_a_smaller_file_that_changes_the_dance_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = DancerConfig(dim=16, units=32, num_mixtures=3)
    networks = Networks.load(make_folder(tmp_path / "model", dancer=config), ["dancer"])
    to = tmp_path / "litert"
    to.mkdir()
    (to / "step_int8.tflite").write_bytes(b"an older file")
    with pytest.raises(UserError, match="step_int8.tflite exists already.*overwrite=True"):
        litert.export_litert(networks, to)
    monkeypatch.setattr(litert, "MOST_NATS", 1e-9)
    exported = litert.export_litert(networks, to, overwrite=True)
    assert [row.name for row in exported.left_out] == ["step_float16.tflite", "step_int8.tflite"]
    assert {path.name for path in to.iterdir()} == {"step_float32.tflite", "signatures.md"}


def test_without_the_interpreter_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "ai_edge_litert.interpreter", raising=False)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    nothing: Any = None
    with pytest.raises(MissingExtra, match=r"LiteRT needs.*ai-edge-litert.*\[train\]"):
        litert.export_litert(nothing, tmp_path)


def test_files_of_two_models_are_refused(tmp_path: Path) -> None:
    folder = write_whole_model(tmp_path / "model", "lean")
    arrays.write_npz(folder / "seeds.npz", vectors=np.zeros((2, 5, 3), np.float32))
    with pytest.raises(UserError, match="do not belong together.*seeds.npz 3"):
        Networks.load(folder, BOTH)


def test_an_unknown_layer_is_not_exported() -> None:
    keras = pytest.importorskip("keras")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.LayerNormalization(name="strange")(inputs))
    with pytest.raises(NotImplementedError, match="LayerNormalization"):
        PlainModel(model, ["strange"])

"""Models of joints for other runtimes: the same steps, and the same joints to 0.1 mm."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_skeleton import NUM_SEEDS, SEED_FRAMES, small_clip, write_small_skeleton_model

from dancenet.codecs.skeleton import Placement, SkeletonCodec
from dancenet.nets.export import litert, saved_model
from dancenet.nets.export.parity import JOINT_TOLERANCE, Comparison, largest_difference
from dancenet.nets.export.reference import Networks
from dancenet.nets.export.tensorflow.codecs import TensorFlowJoints
from dancenet.runtime.onnx import OnnxStepModel
from dancenet.sequence.generate import generate
from dancenet.support.errors import UserError
from scripts import export as script

tf = pytest.importorskip("tensorflow")


KINDS = {
    "every coordinate": (False, 1.0),
    "directions": (False, 0.9),
    "a picture": (True, 1.0),
    "directions of a picture": (True, 0.9),
}

Whole = tuple[Networks, Path, list[Comparison], dict[str, saved_model.Signature]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = write_small_skeleton_model(tmp_path_factory.mktemp("joints") / "model")
    networks = Networks.load(folder, ["dancer"])
    version, rows = saved_model.export_saved_model(networks, folder / "saved_model")
    return networks, version, rows, saved_model.load(version)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_vectors_become_the_joints_that_the_codec_decodes(kind: str, dtype: str) -> None:
    flat, variance = KINDS[kind]
    clip = small_clip(flat)
    codec = SkeletonCodec.fit([clip], variance)
    assert (codec.twin != np.arange(len(codec.twin))).any(), "there is a twin to put back"
    vectors = codec.encode(clip.positions)
    start = Placement(0.0 if flat else 2.5, (1.5,) if flat else (1.5, -2.0))
    expected, end = codec.continue_from(vectors, start)
    joints = TensorFlowJoints(codec, tf.as_dtype(dtype))
    placement = np.array([[start.heading, *start.place, 0.0][:3]], np.float32)
    given, after = (value.numpy() for value in joints(vectors[None], placement))
    assert given.shape == (1, *clip.positions.shape) and given.dtype == np.float32
    assert largest_difference(expected, given[0]) < JOINT_TOLERANCE
    np.testing.assert_allclose(after[0], [end.heading, *end.place, 0.0][:3], atol=1e-4)


def test_in_double_precision_ten_minutes_are_where_the_codec_has_them() -> None:
    clip = small_clip()
    codec = SkeletonCodec.fit([clip])
    vectors = np.tile(codec.encode(clip.positions), (75, 1))
    given, _ = TensorFlowJoints(codec)(vectors[None], np.zeros((1, 3), np.float32))
    assert len(vectors) == 18_000
    assert largest_difference(codec.decode(vectors), given.numpy()[0]) < JOINT_TOLERANCE


def test_each_part_of_a_dance_continues_the_part_before() -> None:
    clip = small_clip()
    codec = SkeletonCodec.fit([clip])
    joints, vectors = TensorFlowJoints(codec, tf.float32), codec.encode(clip.positions)
    placement, parts = np.zeros((1, 3), np.float32), []
    for first in range(0, len(vectors), 7):
        part, placement = joints(vectors[None, first : first + 7], placement)
        parts.append(part.numpy()[0])
        assert abs(float(placement[0, 0])) <= np.pi + 1e-6
    assert largest_difference(codec.decode(vectors), np.concatenate(parts)) < JOINT_TOLERANCE


def test_a_saved_model_of_joints_was_compared_with_keras_and_the_codec(whole: Whole) -> None:
    networks, version, rows, run = whole
    assert [row.name.partition(",")[0] for row in rows] == ["decode", "step", "generate"]
    assert all(row.passed and row.limit <= 1e-3 for row in rows)
    assert set(run) == {"decode", "step", "generate", "generate_from"}
    text = (version / saved_model.DESCRIPTION).read_text(encoding="utf-8")
    assert "| in | `placement` | float32 (?, 3) |" in text and "latents" not in text
    assert "| out | `next_placement` |" in text and "Poses in model units to joints." in text
    assert networks.codec is not None
    assert f"0 {networks.codec.names[0]} (-1), 1 {networks.codec.names[1]} (0)" in text


def test_at_temperature_0_a_saved_model_dances_joints_as_the_library_does(whole: Whole) -> None:
    networks, _, _, run = whole
    assert networks.seeds is not None and networks.codec is not None
    style = np.array([[1, 0], [0.3, 0.7], [0, 0]], np.float32)
    made = generate(
        networks.step_model,
        networks.seeds,
        20,
        [np.random.default_rng(0)] * NUM_SEEDS,
        0.0,
        style=style,
    )
    expected = np.stack(list(made), axis=1)
    settings = {"num_frames": 20, "temperature": 0.0, "seed": 3}
    given = run["generate_from"](vectors=networks.seeds, style=style, **settings)
    np.testing.assert_allclose(given["vectors"], expected, atol=1e-3)
    for vectors, joints in zip(given["vectors"], given["joints"]):
        assert largest_difference(networks.codec.decode(vectors), joints) < JOINT_TOLERANCE
    one = run["generate"](seed_clip=1, style=style[1], **settings)
    np.testing.assert_allclose(one["vectors"], expected[1], atol=1e-3)
    assert one["joints"].shape == (20, len(networks.codec.names), 3)
    with pytest.raises(Exception, match=f"seed_clip must be below {NUM_SEEDS}"):
        run["generate"](seed_clip=NUM_SEEDS, style=style[1], **settings)


def test_a_saved_model_of_joints_needs_tensorflow_alone(whole: Whole, tmp_path: Path) -> None:
    networks, version, _, _ = whole
    program = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('dancenet', 'keras', 'keras_mdn_layer', 'tf_keras')))\n"
        "import numpy as np, tensorflow as tf\n"
        f"run = tf.saved_model.load({str(version)!r}).signatures\n"
        "dance = run['generate'](seed_clip=tf.constant(0), num_frames=tf.constant(9),\n"
        "    temperature=tf.constant(0.0), seed=tf.constant(1, tf.int64),\n"
        "    style=tf.constant([1.0, 0.0]))\n"
        "np.savez('made.npz', **{name: value.numpy() for name, value in dance.items()})\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    made = np.load(tmp_path / "made.npz")
    assert networks.codec is not None
    joints = networks.codec.decode(made["vectors"])
    assert largest_difference(joints, made["joints"]) < JOINT_TOLERANCE


@pytest.mark.parametrize("flat", [False, True], ids=["joints", "joints of a picture"])
def test_litert_files_of_joints_are_keras_and_the_codec(tmp_path: Path, flat: bool) -> None:
    pytest.importorskip("ai_edge_litert")
    folder = write_small_skeleton_model(tmp_path / "model", flat=flat)
    networks = Networks.load(folder, ["dancer"])
    assert networks.codec is not None and networks.seeds is not None
    exported = litert.export_litert(networks, folder / "litert")
    assert [row.name for row in exported.written] == [
        "step_float32.tflite",
        "step_float16.tflite",
        "step_int8.tflite",
        "joints.tflite",
    ]
    rows = {row.name: row for row in exported.written}
    assert rows["joints.tflite"].error < rows["joints.tflite"].limit == JOINT_TOLERANCE
    assert all("steps/s" in rows[f"step_{kind}.tflite"].effect for kind in litert.PRECISIONS)
    for path in (folder / "litert").glob("*.tflite"):
        assert all(name.isupper() for name in litert.operators(path)), path.name
    decode = litert.LiteRt(folder / "litert" / "joints.tflite", "decode")
    for count, length in ((1, 1), (3, SEED_FRAMES), (2, 5)):
        vectors = networks.seeds[:count, :length]
        given = decode(vectors=vectors, placement=np.zeros((count, 3), np.float32))["joints"]
        expected = np.stack([networks.codec.decode(part) for part in vectors])
        assert largest_difference(expected, given) < JOINT_TOLERANCE
    step = litert.LiteRt(folder / "litert" / "step_float32.tflite", "step")
    inputs = set(step._runner.get_input_details())
    assert inputs == {"vectors", "h0", "c0", "last1", "last2", "style"}
    text = (folder / "litert" / "signatures.md").read_text(encoding="utf-8")
    assert "`decode` in joints.tflite" in text and "in order: ballet, house." in text


def test_the_command_exports_a_model_of_joints_in_every_format(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ai_edge_litert")
    folder = write_small_skeleton_model(tmp_path / "model", styles=())
    command = ["--name", str(folder.path), "--format", "onnx,litert,saved_model"]
    assert script.main([*command, "--only", "dancer"]) == 0
    said = capsys.readouterr().out
    assert "step.onnx takes" in said and "steps a second on one core" in said
    for name in ("step_int8.tflite", "joints.tflite", "decode", "generate, 8 frames"):
        assert name in said
    folder.check()
    model = OnnxStepModel(folder / "step.onnx")
    codec = SkeletonCodec.load(folder / "codec.npz")
    assert model.dim == codec.dim
    (folder / "codec.npz").unlink()
    assert script.main(command) == 1
    assert "no codec.npz; make it with" in capsys.readouterr().err


def test_a_codec_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = write_small_skeleton_model(tmp_path / "model")
    SkeletonCodec.fit([small_clip()], 1.0).save(folder / "codec.npz")
    with pytest.raises(UserError, match="do not belong together.*codec.npz"):
        Networks.load(folder, ["dancer"])

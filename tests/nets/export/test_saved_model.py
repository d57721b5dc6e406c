"""The SavedModel dances without dancenet and without Keras."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_models import SMALL_VAE, make_folder
from whole_model import NUM_CLIPS, write_whole_model

from dancenet.codecs.silhouette import SilhouetteCodec
from dancenet.model.config import VaeConfig
from dancenet.nets.export import saved_model
from dancenet.nets.export.parity import Comparison, ParityError
from dancenet.nets.export.reference import Networks
from dancenet.sequence.generate import generate
from dancenet.support.arrays import write_npz
from dancenet.support.errors import UserError

BOTH = ("vae", "dancer")
SETTINGS = {"temperature": 1.0, "seed": 7, "refine": 0}

Whole = tuple[Networks, Path, list[Comparison], dict[str, saved_model.Signature]]


@pytest.fixture(scope="module", params=["lean", "dancenet"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = write_whole_model(tmp_path_factory.mktemp("whole") / "model", request.param)
    networks = Networks.load(folder, BOTH)
    version, rows = saved_model.export_saved_model(networks, folder / "saved_model")
    return networks, version, rows, saved_model.load(version)


def test_every_signature_was_compared_with_keras(whole: Whole) -> None:
    _, version, rows, run = whole
    assert [row.name.partition(",")[0] for row in rows] == ["encode", "decode", "step", "generate"]
    assert all(row.passed and row.limit <= 1e-3 for row in rows)
    assert set(run) == {"encode", "decode", "step", "generate", "generate_from"}
    assert version.name == "1" and [path.name for path in version.parent.iterdir()] == ["1"]
    text = (version / saved_model.DESCRIPTION).read_text(encoding="utf-8")
    for name in run:
        assert f"## `{name}`" in text


def test_at_temperature_0_it_dances_as_the_library_does(whole: Whole) -> None:
    networks, _, _, run = whole
    assert networks.scaler is not None and networks.seeds is not None
    made = generate(
        networks.step_model, networks.seeds, 20, [np.random.default_rng(0)] * NUM_CLIPS, 0.0
    )
    expected = np.stack(list(made), axis=1)
    settings = {"num_frames": 20, "temperature": 0.0, "seed": 3}
    given = run["generate_from"](vectors=networks.seeds, refine=0, **settings)
    np.testing.assert_allclose(given["vectors"], expected, atol=1e-3)
    codec = SilhouetteCodec(
        lambda frames: networks.encode(frames[..., 0]), networks.decode, networks.scaler, 30.0
    )
    np.testing.assert_allclose(given["frames"][1], codec.decode(given["vectors"][1]), atol=1e-5)
    one = run["generate"](seed_clip=1, refine=2, **settings)
    np.testing.assert_allclose(one["vectors"], given["vectors"][1], atol=1e-4)
    np.testing.assert_allclose(
        one["frames"], codec.decode(one["vectors"], refine=2, mend=0), atol=1e-4
    )


def test_a_style_is_an_input_of_the_dance(tmp_path: Path) -> None:
    folder = write_whole_model(tmp_path / "model", "styles")
    networks = Networks.load(folder, BOTH)
    assert networks.seeds is not None
    version, rows = saved_model.export_saved_model(networks, tmp_path / "out")
    assert all(row.passed for row in rows)
    run = saved_model.load(version)
    style = np.array([[1, 0], [0.5, 0.5], [0, 0]], np.float32)
    made = generate(
        networks.step_model,
        networks.seeds,
        12,
        [np.random.default_rng(0)] * NUM_CLIPS,
        0.0,
        style=style,
    )
    expected = np.stack(list(made), axis=1)
    settings = {"num_frames": 12, "temperature": 0.0, "seed": 3, "refine": 0}
    given = run["generate_from"](vectors=networks.seeds, style=style, **settings)["vectors"]
    np.testing.assert_allclose(given, expected, atol=1e-3)
    one = run["generate"](seed_clip=0, style=style[0], **settings)["vectors"]
    np.testing.assert_allclose(one, expected[0], atol=1e-3)
    other = run["generate"](seed_clip=0, style=style[1], **settings)["vectors"]
    assert np.abs(other - one).max() > 1e-2
    text = (version / saved_model.DESCRIPTION).read_text(encoding="utf-8")
    assert "The styles are, in order: ballet, house." in text and "| `style` | float32 (2)" in text


def test_a_step_is_drawn_from_the_mixture(whole: Whole) -> None:
    networks, _, _, run = whole
    assert networks.seeds is not None and networks.dancer is not None
    count, asked = 4000, 0.7
    temperature = asked * networks.dancer.config.temperature
    stretches = np.repeat(networks.seeds[:1], count, axis=0)
    given = run["generate_from"](
        vectors=stretches, num_frames=1, temperature=asked, seed=1, refine=0
    )["vectors"][:, 0]
    state = networks.step_model.initial_state(1)
    for vectors in networks.seeds[0]:
        mixture, state = networks.step_model.step(vectors[None], state)
    pi = np.exp(mixture.pi_logits[0] / temperature)
    pi /= pi.sum()
    mean = pi @ mixture.mu[0]
    square = pi @ (temperature * mixture.sigma[0] ** 2 + mixture.mu[0] ** 2)
    deviation = np.sqrt(square - mean**2)
    # Five standard errors of a mean, and of a variance whose kurtosis may be that of few humps.
    np.testing.assert_allclose(given.mean(0), mean, atol=5 * deviation.max() / count**0.5)
    np.testing.assert_allclose(given.std(0), deviation, rtol=0.1)


def test_a_dance_depends_on_its_seed_and_not_on_the_batch(whole: Whole) -> None:
    networks, _, _, run = whole
    assert networks.seeds is not None
    together = run["generate_from"](vectors=networks.seeds, num_frames=4, **SETTINGS)["vectors"]
    again = run["generate_from"](vectors=networks.seeds, num_frames=4, **SETTINGS)["vectors"]
    np.testing.assert_array_equal(together, again)
    first = run["generate_from"](vectors=networks.seeds[:1], num_frames=4, **SETTINGS)["vectors"]
    np.testing.assert_allclose(together[0], first[0], atol=1e-4)
    other = run["generate"](seed_clip=0, num_frames=4, **{**SETTINGS, "seed": 8})["vectors"]
    assert np.abs(other - first[0]).max() > 0.01
    # Two dances from one seed_clip part.
    twice = run["generate_from"](vectors=networks.seeds[[0, 0]], num_frames=4, **SETTINGS)
    assert np.abs(np.diff(twice["vectors"], axis=0)).max() > 0.01


def test_the_model_can_draw_the_seed_clip_itself(whole: Whole) -> None:
    _, _, _, run = whole
    chosen = set()
    for seed in range(12):
        settings = {"num_frames": 1, "temperature": 0.0, "seed": seed, "refine": 0}
        drawn = run["generate"](seed_clip=-1, **settings)["vectors"]
        for number in range(NUM_CLIPS):
            if np.array_equal(run["generate"](seed_clip=number, **settings)["vectors"], drawn):
                chosen.add(number)
    assert chosen == set(range(NUM_CLIPS))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"num_frames": -3}, "num_frames must be 1 or more"),
        ({"num_frames": 0}, "num_frames must be 1 or more"),
        ({"temperature": -1.0}, "temperature must be 0 or more"),
        ({"refine": -1}, "refine must be 0 or more"),
        ({"seed_clip": NUM_CLIPS}, f"seed_clip must be below {NUM_CLIPS}"),
        ({"seed_clip": -2}, "seed_clip must be -1 or more"),
    ],
)
def test_invalid_inputs_are_refused_with_a_message(
    whole: Whole, wrong: dict[str, float], words: str
) -> None:
    with pytest.raises(Exception, match=words):
        whole[3]["generate"](**{"seed_clip": 0, "num_frames": 2, **SETTINGS, **wrong})


@pytest.mark.parametrize("whole", ["lean"], indirect=True)
def test_a_fresh_process_needs_tensorflow_alone(whole: Whole, tmp_path: Path) -> None:
    networks, version, _, _ = whole
    assert networks.seeds is not None and networks.scaler is not None
    vectors = networks.walk[0]
    states = dict(zip(networks.state_names, networks.step_model.initial_state(len(vectors))))
    write_npz(
        tmp_path / "given.npz",
        frames=networks.frames[:3],
        vectors=vectors,
        **{f"state/{name}": value for name, value in states.items()},
    )
    program = (
        "import sys\n"
        # As if they were not installed.
        "sys.modules.update(dict.fromkeys(('dancenet', 'keras', 'keras_mdn_layer', 'tf_keras')))\n"
        "import numpy as np, tensorflow as tf\n"
        f"run = tf.saved_model.load({str(version)!r}).signatures\n"
        "given = np.load('given.npz')\n"
        "made = {}\n"
        "def call(name, **arrays):\n"
        "    arrays = {key: tf.constant(value) for key, value in arrays.items()}\n"
        "    for key, value in run[name](**arrays).items():\n"
        "        made[f'{name}/{key}'] = value.numpy()\n"
        "call('encode', frames=given['frames'])\n"
        "call('decode', vectors=given['vectors'])\n"
        "state = {n[6:]: given[n] for n in given.files if n.startswith('state/')}\n"
        "call('step', vectors=given['vectors'], **state)\n"
        "call('generate', seed_clip=0, num_frames=18, temperature=0.0, refine=0,\n"
        "     seed=tf.constant(1, tf.int64))\n"
        "np.savez('made.npz', **made)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    made = np.load(tmp_path / "made.npz")
    z_mean, z_log_var = networks.encode(networks.frames[:3])
    mixture, following = networks.step_model.step(vectors, tuple(states.values()))
    for name, expected in {
        "encode/z_mean": z_mean,
        "encode/z_log_var": z_log_var,
        "encode/vectors": networks.scaler.to_model(z_mean),
        "decode/frames": networks.decode(networks.scaler.to_latents(vectors)),
        **{f"step/{key}": value for key, value in mixture._asdict().items()},
        **{f"step/next_{key}": value for key, value in zip(states, following)},
    }.items():
        np.testing.assert_allclose(made[name], expected, atol=2e-5, err_msg=name)
    assert made["generate/frames"].shape == (18, 16, 24)
    assert made["generate/vectors"].shape == (18, 4)


def test_an_export_is_the_next_version_and_a_failed_one_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = Networks.load(make_folder(tmp_path / "model", vae=VaeConfig(**SMALL_VAE)), ["vae"])
    to = tmp_path / "served" / "model"
    monkeypatch.setattr(saved_model, "TOLERANCE", -1.0)
    with pytest.raises(ParityError, match="encode"):
        saved_model.export_saved_model(networks, to)
    assert not to.exists()
    monkeypatch.undo()
    for name in ("1", "7", "notes"):
        (to / name).mkdir(parents=True)
    assert saved_model.export_saved_model(networks, to)[0] == to / "8"
    assert {path.name for path in to.iterdir()} == {"1", "7", "8", "notes"}
    assert (to / "8").stat().st_mode == (to / "7").stat().st_mode
    run = saved_model.load(to / "8")
    # There is no dancer, so both speak of latents.
    assert set(run) == {"encode", "decode"}
    latents = run["encode"](frames=networks.frames[:2])
    assert set(latents) == {"z_mean", "z_log_var"}
    frames = run["decode"](latents=latents["z_mean"])["frames"]
    np.testing.assert_allclose(frames, networks.decode(latents["z_mean"]), atol=1e-6)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    folder = write_whole_model(tmp_path / "model", "lean")
    with pytest.raises(UserError, match="not made of a dancer alone"):
        saved_model.export_saved_model(Networks.load(folder, ["dancer"]), tmp_path / "out")
    (folder / "scaler.npz").unlink()
    with pytest.raises(UserError, match="no scaler.npz; make it with.*train_dancer.py"):
        saved_model.export_saved_model(Networks.load(folder, BOTH), tmp_path / "out")
    (tmp_path / "out").write_bytes(b"a file")
    with pytest.raises(UserError, match="out cannot be made"):
        saved_model.export_saved_model(Networks.load(folder, ["vae"]), tmp_path / "out")


def test_the_temperature_varies_as_in_the_library() -> None:
    import tensorflow as tf

    from dancenet.nets.export.tensorflow.dance import TemperatureFactors

    varies = TemperatureFactors(0.3, memory=20.0)

    @tf.function(autograph=False)
    def walk(seed: Any) -> Any:
        def advance(frame: Any, written: Any, process: Any) -> Any:
            after = varies.advance(process, seed, frame)
            return frame + 1, written.write(frame, process), after

        written = tf.TensorArray(tf.float32, 400)
        start = (0, written, varies.begin(tf.constant(300), seed))
        return tf.while_loop(lambda frame, *_: frame < 400, advance, start)[1].stack()

    process = walk(tf.constant(5, tf.int64)).numpy()  # (T, B)
    assert process.std() == pytest.approx(1, abs=0.05)
    kept = (process[20:] * process[:-20]).mean() / process.var()
    assert kept == pytest.approx(np.exp(-1), abs=0.05)
    factors = varies.factors(process).numpy()
    assert factors.mean() == pytest.approx(1, abs=0.02)
    assert np.log(factors).std() == pytest.approx(0.3, abs=0.02)

"""The whole path without Keras: seeds, tempo, lengths, interruptions, and models not whole."""

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_model import DIM, STRETCH, write_small_model

from dancenet.codecs.latents import Latents
from dancenet.codecs.silhouette import SilhouetteCodec
from dancenet.data.motion.resample import resample_stream
from dancenet.generation.load import Dancer, load_dancer
from dancenet.generation.settings import DanceSettings, Recipe
from dancenet.generation.trajectory import read_start, trajectories
from dancenet.generation.write import write_dance
from dancenet.model.folder import ModelFolder
from dancenet.output.encoders import FilmEncoder
from dancenet.output.video_settings import read_settings
from dancenet.sequence.neighbour_correction import NeighbourCorrection
from dancenet.support.errors import UserError

SHORT = DanceSettings(seconds=0.5, seed=7, scale=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return write_small_model(tmp_path_factory.mktemp("weights") / "small")


@pytest.fixture(scope="module")
def dancer(model: ModelFolder) -> Dancer:
    return load_dancer(model.path)


def dance(dancer: Dancer, num_frames: int = 40, **changes: Any) -> np.ndarray:
    settings = DanceSettings(**{"seed": 7, **changes})
    return np.stack(list(trajectories(dancer, settings, num_frames)))


def test_the_same_seed_gives_the_same_trajectory_bit_for_bit(dancer: Dancer) -> None:
    np.testing.assert_array_equal(dance(dancer), dance(dancer))


def test_another_seed_gives_another_dance(dancer: Dancer) -> None:
    assert not np.allclose(dance(dancer, seed=8), dance(dancer))


def test_a_longer_dance_begins_like_a_shorter_one(dancer: Dancer) -> None:
    np.testing.assert_array_equal(dance(dancer, 60)[:40], dance(dancer, 40))


def test_a_dance_does_not_depend_on_those_beside_it(dancer: Dancer) -> None:
    together = dance(dancer, count=3)
    assert together.shape == (40, 3, DIM)
    np.testing.assert_allclose(together[:, 0], dance(dancer)[:, 0], atol=1e-5)
    assert not np.allclose(together[:, 0], together[:, 1])


def test_temperature_zero_has_no_chance_in_it_but_the_start(dancer: Dancer) -> None:
    first = dance(dancer, temperature=0, start="1", seed=1)
    np.testing.assert_array_equal(first, dance(dancer, temperature=0, start="1", seed=2))


def test_a_temperature_is_in_units_of_the_models_own(dancer: Dancer) -> None:
    hot = dataclasses.replace(dancer, temperature=2.0)
    np.testing.assert_array_equal(dance(hot, temperature=0.5), dance(dancer, temperature=1.0))
    assert not np.allclose(dance(hot, temperature=1.0), dance(dancer, temperature=1.0))


def test_the_temperature_varies_as_in_the_model_unless_told_otherwise(dancer: Dancer) -> None:
    restless = dataclasses.replace(dancer, temperature_variation=0.5)
    np.testing.assert_array_equal(dance(restless, temperature_variation=0.0), dance(dancer))
    np.testing.assert_array_equal(dance(restless), dance(dancer, temperature_variation=0.5))
    assert not np.allclose(dance(restless), dance(dancer))


def test_a_dance_is_corrected_as_in_the_model_unless_told_otherwise(dancer: Dancer) -> None:
    corrected = dataclasses.replace(dancer, neighbour_correction=0.4)
    how = {"temperature": 20.0}
    np.testing.assert_array_equal(
        dance(corrected, **how, neighbour_correction=0.0), dance(dancer, **how)
    )
    np.testing.assert_array_equal(
        dance(corrected, **how), dance(dancer, **how, neighbour_correction=0.4)
    )
    assert not np.allclose(dance(corrected, **how), dance(dancer, **how))


def test_the_correction_keeps_a_dance_nearer_to_real_motion(dancer: Dancer) -> None:
    measure = NeighbourCorrection(dancer.seeds, dancer.codec.scaler.scale, 0.0)

    def distance(strength: float) -> float:
        path = dance(dancer, 200, temperature=20.0, neighbour_correction=strength)[:, 0]
        return float(np.mean([measure.distance(vector) for vector in path]))

    assert distance(0.5) < 0.8 * distance(0.0)


def test_a_start_changes_the_dance_and_not_the_draws(dancer: Dancer) -> None:
    assert not np.allclose(dance(dancer, start="0"), dance(dancer, start="1"))
    drawn = int(np.random.default_rng(np.random.SeedSequence(7, spawn_key=(0,))).integers(4))
    np.testing.assert_array_equal(dance(dancer, start=str(drawn)), dance(dancer))


@pytest.mark.parametrize("start", ["-1", "x", "4", "1.5", "latents.npz"])
def test_a_start_that_is_not_there_is_named(dancer: Dancer, start: str) -> None:
    with pytest.raises(UserError, match="seed clips"):
        read_start(dancer, start)


def latents_of(dancer: Dancer, num_frames: int = 20, sha256: str | None = None) -> Latents:
    z_mean = np.random.default_rng(1).normal(size=(num_frames, DIM)).astype(np.float32)
    clips = (range(0, 8), range(8, num_frames))
    return Latents(
        z_mean,
        np.zeros_like(z_mean),
        30.0,
        clips,
        (None, None),
        ("a", "b"),
        dancer.codec.encoder_sha256 if sha256 is None else sha256,
    )


def test_a_dance_can_start_in_a_file_of_latents(tmp_path: Path, dancer: Dancer) -> None:
    latents = latents_of(dancer)
    latents.save(tmp_path / "latents.npz")
    clip = read_start(dancer, f"{tmp_path / 'latents.npz'}:9")
    expected = dancer.codec.scaler.to_model(latents.z_mean[9 : 9 + STRETCH])
    np.testing.assert_array_equal(clip, expected)


def test_a_start_never_crosses_a_cut(tmp_path: Path, dancer: Dancer) -> None:
    latents_of(dancer).save(tmp_path / "latents.npz")
    with pytest.raises(UserError, match="row 5 .* is only 3 before the end of its clip"):
        read_start(dancer, f"{tmp_path / 'latents.npz'}:5")
    with pytest.raises(UserError, match="row 20 is not there"):
        read_start(dancer, f"{tmp_path / 'latents.npz'}:20")


def test_a_start_by_another_encoder_is_refused(tmp_path: Path, dancer: Dancer) -> None:
    latents_of(dancer, sha256="0" * 64).save(tmp_path / "latents.npz")
    with pytest.raises(UserError, match="another encoder"):
        read_start(dancer, f"{tmp_path / 'latents.npz'}:0")


def line(num_frames: int) -> list[np.ndarray]:
    return [np.array([[float(index), -2.0 * index]], np.float32) for index in range(num_frames)]


@pytest.mark.parametrize("ratio", [0.5, 0.8, 1.25, 30 / 29.97, 2.0, 3.7])
def test_another_rate_keeps_the_tempo(ratio: float) -> None:
    """A motion of constant speed stays on its line; only the first slope is one-sided."""
    found = np.stack(list(resample_stream(line(200), ratio, 40)))[:, 0, 0]
    expected = np.arange(40) * ratio
    np.testing.assert_allclose(found[expected >= 1], expected[expected >= 1], atol=1e-4)
    np.testing.assert_allclose(found, expected, atol=0.13)


def test_resampling_passes_through_every_vector_it_meets() -> None:
    vectors = [np.random.default_rng(index).normal(size=(1, 2)) for index in range(30)]
    found = list(resample_stream(vectors, 0.5, 50))
    np.testing.assert_allclose(np.stack(found[::2]), np.stack(vectors[:25]), atol=1e-6)


def test_the_same_rate_changes_nothing() -> None:
    vectors = line(5)
    assert [a is b for a, b in zip(resample_stream(vectors, 1, 5), vectors)] == [True] * 5


@pytest.mark.parametrize("ratio", [0.4, 1.0, 1.25, 2.5])
def test_just_enough_vectors_are_made(dancer: Dancer, ratio: float) -> None:
    assert len(dance(dancer, 33, fps=30 / ratio)) == 33


def test_resampling_stops_where_its_source_stops() -> None:
    assert len(list(resample_stream(line(10), 2.0, 100))) == 4
    assert list(resample_stream([], 2.0, 100)) == []


def test_a_video_has_the_length_that_was_asked_for(tmp_path: Path, dancer: Dancer) -> None:
    for fps, expected in ((None, 15), (24.0, 12), (60.0, 30)):
        settings = dataclasses.replace(SHORT, fps=fps)
        (written,) = write_dance(dancer, tmp_path / "dance.mp4", settings)
        assert (written.num_frames, written.seconds, written.complete) == (expected, 0.5, True)


def test_several_dances_are_numbered_and_differ(tmp_path: Path, dancer: Dancer) -> None:
    settings = dataclasses.replace(SHORT, count=3)
    written = write_dance(
        dancer, tmp_path / "dance.mp4", settings, latents_path=tmp_path / "latents.npz"
    )
    assert [video.path.name for video in written] == ["dance-1.mp4", "dance-2.mp4", "dance-3.mp4"]
    found = [Latents.load(tmp_path / f"latents-{number}.npz").z_mean for number in (1, 2, 3)]
    assert not np.allclose(found[0], found[1]) and not np.allclose(found[1], found[2])


def test_one_of_several_can_be_made_again_bit_for_bit(tmp_path: Path, dancer: Dancer) -> None:
    settings = dataclasses.replace(SHORT, count=3)
    write_dance(dancer, tmp_path / "d.mp4", settings, latents_path=tmp_path / "all.npz")
    recipe = Recipe.read(tmp_path / "d-2.mp4")
    assert recipe.index == 1
    write_dance(
        dancer,
        tmp_path / "again.mp4",
        recipe.settings,
        only=recipe.index,
        latents_path=tmp_path / "again.npz",
    )
    first, second = Latents.load(tmp_path / "all-2.npz"), Latents.load(tmp_path / "again.npz")
    np.testing.assert_array_equal(first.z_mean, second.z_mean)


def test_latents_that_were_stored_decode_to_the_dance(tmp_path: Path, dancer: Dancer) -> None:
    write_dance(dancer, tmp_path / "d.mp4", SHORT, latents_path=tmp_path / "l.npz")
    latents = Latents.load(tmp_path / "l.npz")
    latents.require_encoder(dancer.codec.encoder_sha256, "small")
    vectors = dance(dancer, 15)[:, 0]
    np.testing.assert_allclose(latents.z_mean, dancer.codec.scaler.to_latents(vectors), atol=1e-6)


def test_a_video_holds_its_recipe(tmp_path: Path, dancer: Dancer) -> None:
    settings = dataclasses.replace(SHORT, colors="ffffff,102040", invert=True, temperature=0.6)
    write_dance(dancer, tmp_path / "d.mp4", settings)
    recipe = Recipe.read(tmp_path / "d.mp4")
    assert recipe == Recipe(settings, "small", dancer.sha256, 0)
    recipe.check(dancer)
    with pytest.raises(UserError, match="would dance another dance"):
        recipe.check(dataclasses.replace(dancer, sha256="0" * 64))


def test_a_seed_that_was_not_given_is_drawn_and_stored(tmp_path: Path, dancer: Dancer) -> None:
    settings = dataclasses.replace(SHORT, seed=None)
    seeds = set()
    for _ in range(3):
        write_dance(dancer, tmp_path / "d.mp4", settings)
        seeds.add(Recipe.read(tmp_path / "d.mp4").settings.seed)
    assert len(seeds) == 3 and None not in seeds


def test_a_recipe_of_another_version_says_so(tmp_path: Path, dancer: Dancer) -> None:
    settings = dataclasses.replace(SHORT)
    write_dance(dancer, tmp_path / "d", settings, format="frames")
    content = read_settings(tmp_path / "d")
    content["settings"]["jump"] = True
    (tmp_path / "d" / "settings.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="cannot be replayed by this version.*jump"):
        Recipe.read(tmp_path / "d")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seconds", 0),
        ("seconds", -1),
        ("seconds", float("nan")),
        ("temperature", -0.1),
        ("count", 0),
        ("fps", 0),
        ("scale", 0),
        ("seed", -1),
        ("temperature_variation", -0.1),
    ],
)
def test_settings_without_sense_are_refused(name: str, value: float) -> None:
    with pytest.raises(UserError, match=name):
        DanceSettings(**{name: value})  # type: ignore[arg-type]


def test_an_output_that_cannot_be_written_is_found_before_any_work(
    tmp_path: Path, dancer: Dancer
) -> None:
    class Untouched:
        def __getattr__(self, name: str) -> None:
            raise AssertionError(f"{name} was used")

    idle = dataclasses.replace(dancer, step_model=Untouched())  # type: ignore[arg-type]
    foreign = tmp_path / "foreign.npz"
    foreign.write_bytes(b"not latents")
    with pytest.raises(UserError, match="does not exist"):
        write_dance(idle, tmp_path / "nowhere" / "d.mp4", SHORT)
    with pytest.raises(UserError, match="exists already"):
        write_dance(idle, tmp_path / "d.mp4", SHORT, latents_path=foreign)
    assert foreign.read_bytes() == b"not latents"


def test_memory_does_not_grow_with_length(tmp_path: Path, dancer: Dancer) -> None:
    def peak(num_frames: int) -> int:
        settings = dataclasses.replace(SHORT, seconds=num_frames / 30)
        tracemalloc.start()
        write_dance(dancer, tmp_path / "d.mp4", settings)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(30)
    # What the threads have in hand differs from run to run; what is written is ten times more.
    assert peak(600) < 2 * peak(60)


def test_the_dance_is_the_same_whatever_the_number_of_threads(
    tmp_path: Path, dancer: Dancer
) -> None:
    for threads in (1, 3):
        write_dance(
            dataclasses.replace(dancer, threads=threads),
            tmp_path / f"{threads}",
            SHORT,
            format="frames",
        )
    for number in range(1, 16):
        name = f"{number:06d}.png"
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


def test_what_fails_in_a_thread_reaches_the_caller_and_leaves_nothing(
    tmp_path: Path, dancer: Dancer
) -> None:
    class Failing:
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, latents: np.ndarray) -> np.ndarray:
            self.calls += 1
            if self.calls == 10:
                raise UserError("the picture is torn")
            return np.ones((len(latents), 120, 208), np.float32)

    broken = dataclasses.replace(
        dancer, codec=SilhouetteCodec(None, Failing(), dancer.codec.scaler, 30.0)
    )
    before = threading.active_count()
    with pytest.raises(UserError, match="the picture is torn"):
        write_dance(broken, tmp_path / "d.mp4", dataclasses.replace(SHORT, seconds=60, refine=0))
    assert threading.active_count() == before
    assert not list(tmp_path.iterdir())


def test_a_stop_before_the_first_frame_of_a_dance_keeps_the_dances_before_it(
    tmp_path: Path, dancer: Dancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[int] = []

    def until(stopped: threading.Event, items: Any) -> Any:
        parts.append(1)
        return items if len(parts) == 1 else iter(())

    monkeypatch.setattr("dancenet.generation.write.until", until)
    two = dataclasses.replace(SHORT, count=2)
    latents = tmp_path / "z.npz"
    written = write_dance(dancer, tmp_path / "d.mp4", two, latents_path=latents)
    assert [one.path.name for one in written] == ["d-1.mp4"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d-1.mp4", "z-1.npz"]
    with pytest.raises(KeyboardInterrupt, match="not one frame"):
        write_dance(dancer, tmp_path / "e.mp4", SHORT)


def test_a_disk_that_fills_up_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, dancer: Dancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, count = FilmEncoder.write, 0

    def fill_up(encoder: FilmEncoder, picture: np.ndarray) -> None:
        nonlocal count
        count += 1
        if count == 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(encoder, picture)

    monkeypatch.setattr(FilmEncoder, "write", fill_up)
    before = threading.active_count()
    with pytest.raises(UserError, match="The disk is full"):
        write_dance(dancer, tmp_path / "d.mp4", dataclasses.replace(SHORT, seconds=60))
    assert threading.active_count() == before
    assert not list(tmp_path.iterdir())


class Interrupting:
    """A step model that presses Ctrl-C at one of its steps."""

    def __init__(self, inner: Any, at: int) -> None:
        self._inner, self._at, self.dim = inner, at, inner.dim

    def initial_state(self, batch: int, style: Any = None) -> Any:
        return self._inner.initial_state(batch, style)

    def step(self, vectors: np.ndarray, state: Any) -> Any:
        self._at -= 1
        if self._at == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return self._inner.step(vectors, state)


@pytest.mark.skipif(sys.platform == "win32", reason="no signal to oneself there")
def test_ctrl_c_finishes_the_video_in_hand(tmp_path: Path, dancer: Dancer) -> None:
    stopping = dataclasses.replace(dancer, step_model=Interrupting(dancer.step_model, 100))
    settings = dataclasses.replace(SHORT, seconds=100)
    (written,) = write_dance(stopping, tmp_path / "d.mp4", settings)
    assert not written.complete
    assert 80 <= written.num_frames <= 130
    assert [path.name for path in tmp_path.iterdir()] == ["d.mp4"]
    assert Recipe.read(tmp_path / "d.mp4").settings == settings


def test_a_network_that_gives_nan_is_one_sentence(tmp_path: Path, dancer: Dancer) -> None:
    class Broken(Interrupting):
        def step(self, vectors: np.ndarray, state: Any) -> Any:
            mixture, state = self._inner.step(vectors, state)
            return mixture._replace(mu=mixture.mu * np.nan), state

    broken = dataclasses.replace(dancer, step_model=Broken(dancer.step_model, 0))
    with pytest.raises(UserError, match="cannot go on: .*not finite"):
        write_dance(broken, tmp_path / "d.mp4", SHORT)
    assert not list(tmp_path.iterdir())


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (name, damage)
        for name in ("config.json", "scaler.npz", "seeds.npz", "decoder.onnx", "step.onnx")
        for damage in (remove, truncate, alter)
    ]
    + [("checksums.json", remove), ("checksums.json", truncate)],
)
def test_a_model_that_is_not_whole_is_one_sentence(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    folder = write_small_model(tmp_path / "model")
    damage(folder / name)
    with pytest.raises(UserError, match=r"\.(json|npz|onnx)|model"):
        load_dancer(folder.path)


def test_files_of_two_models_do_not_mix(tmp_path: Path) -> None:
    folder = write_small_model(tmp_path / "model")
    np.savez(folder / "seeds.npz", vectors=np.zeros((2, 3, DIM + 1), np.float32))
    folder.seal()
    with pytest.raises(UserError, match="do not belong together"):
        load_dancer(folder.path)
    np.savez(folder / "seeds.npz", vectors=np.full((2, 3, DIM), np.nan, np.float32))
    folder.seal()
    with pytest.raises(UserError, match="does not hold seed clips"):
        load_dancer(folder.path)


def test_a_dance_needs_neither_keras_nor_tensorflow(tmp_path: Path, model: ModelFolder) -> None:
    program = (
        "import sys\n"
        "from dancenet import DanceSettings, load_dancer, write_dance\n"
        f"dancer = load_dancer({str(model.path)!r})\n"
        f"write_dance(dancer, {str(tmp_path / 'd.mp4')!r}, DanceSettings(0.2, 1, scale=1))\n"
        "heavy = {'keras', 'tensorflow', 'sklearn', 'matplotlib', 'scipy', 'torch', 'jax'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (result.returncode, result.stdout.strip()) == (0, "[]"), result.stderr

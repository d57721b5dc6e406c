"""The script that trains the dancer, on a small figure of eight."""

from __future__ import annotations

import dataclasses
import json
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")
pytest.importorskip("keras_mdn_layer", reason="the dancer needs the extra 'train'")
pytest.importorskip("tensorboard", reason="the board needs the extra 'train'")

from tensorboard_files import read_board, read_projector
from workplaces import FLAGS, figure_of_eight, fill_workplace

from dancenet.codecs.base import Scaler
from dancenet.codecs.latents import Latents
from dancenet.model.config import ModelConfig, VaeConfig
from dancenet.model.folder import ModelFolder, made_files
from dancenet.nets.dancer import KerasStepModel, load_dancer
from dancenet.nets.training.calibrate import Calibration, calibrate, try_dancing
from dancenet.nets.training.dancer import train_dancer
from dancenet.nets.training.dancer_run import DENSITY_NOTE, onnx_steps
from dancenet.nets.training.dataset import Dataset
from dancenet.nets.training.loop import TrainOptions
from dancenet.nets.training.options import DancerOptions
from dancenet.nets.training.windows import WindowData
from dancenet.runtime.onnx import OnnxStepModel
from dancenet.sequence.generate import generate
from dancenet.sequence.mixture import Mixture
from dancenet.support import arrays, checked
from dancenet.support.errors import UserError
from scripts.train_dancer import main

OPTIONS = DancerOptions(units=16, num_mixtures=2, look_back=12, stride=6, batch_size=8)
EPOCHS = TrainOptions(epochs=2, warm_up_steps=2, learning_rate=1e-2)


def plain(vectors: np.ndarray, clips: int = 1) -> Dataset:
    """Returns a dataset of clips of one length at 25 frames/s."""
    length = len(vectors) // clips
    return Dataset(
        vectors=vectors,
        train=[range(clip * length, (clip + 1) * length) for clip in range(clips)],
        held_out=[],
        names=["a"] * clips,
        held_out_names=[],
        fps=25.0,
        seconds=len(vectors) / 25.0,
        what="latents",
        raw_dim=vectors.shape[1],
        scale=np.ones(vectors.shape[1]),
        style_names=(),
        styles=None,
        save_units=lambda path: None,
        windows=lambda options: WindowData(vectors, options),
        window_train=[range(len(vectors))],
        window_held_out=[],
    )


class Trained(NamedTuple):
    """A training of two epochs: its folder, which is to be copied, and what it printed."""

    folder: ModelFolder
    said: str


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    place = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as said:
        fill_workplace(place, patch)
        folder = ModelFolder(place / "weights" / "tiny")
        train_dancer(Latents.load("latents.npz"), folder, OPTIONS, EPOCHS)
    return Trained(folder, said.getvalue())


def copied(trained: Trained, workplace: Path) -> ModelFolder:
    """Puts the trained dancer in place of the model that has none."""
    folder = ModelFolder(workplace / "weights" / "tiny")
    shutil.copytree(trained.folder.path, folder.path, dirs_exist_ok=True)
    return folder


def test_the_script_writes_a_dancer_that_can_be_exported(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FLAGS, "--epochs", "2", "--tensorboard"]) == 0
    folder = ModelFolder(workplace / "weights" / "tiny")
    config = folder.read_config()
    assert config.fps == 25.0 and config.vae is not None and config.dancer is not None
    assert (config.dancer.units, config.dancer.num_mixtures, config.dancer.look_back) == (16, 2, 12)
    network = load_dancer(config.dancer, folder / "dancer.weights.h5")
    assert not np.array_equal(network.step_scale, np.ones(config.dancer.dim))
    scaler = Scaler.load(folder / "scaler.npz")
    assert scaler.dim == config.dancer.dim and scaler.latent_dim == 4
    seeds = checked.read_npz(folder / "seeds.npz", "seeds")
    assert seeds["vectors"].shape[1:] == (50, scaler.dim)
    assert {str(name).split()[0] for name in seeds["names"]} == {"one.mp4", "two.mp4"}
    assert (folder / "step.onnx").exists()
    folder.check()
    place = folder.training / "dancer"
    assert {path.name for path in place.iterdir()} == {
        "checkpoint.npz",
        "best.npz",
        "log.jsonl",
        "loss.png",
        "tensorboard",
    }
    known = {path for path in folder.path.rglob("*") if path.is_file()}
    assert set(made_files(folder.path)) == known
    assert len((place / "log.jsonl").read_text().splitlines()) == 2
    record = config.training["dancer"]
    assert record["frames"] == 190 and record["held_out_frames"] == 70
    assert {"energy", "jerk", "still", "spread"} <= set(record["dance"])

    said = capsys.readouterr().out
    assert f"tensorboard --logdir {Path('weights', 'tiny', 'training', 'dancer')}" in said
    assert "one Gaussian for every frame" in said and "repeating the last step" in said

    assert main([*FLAGS, "--epochs", "2"]) == 1
    assert "--resume" in capsys.readouterr().err
    assert main([*FLAGS, "--epochs", "3", "--resume"]) == 0
    assert folder.read_config().training["dancer"]["epochs"] == 3


def test_the_board_has_the_figures_of_every_epoch_and_vectors_of_real_and_new_dances(
    workplace: Path,
) -> None:
    folder = ModelFolder(workplace / "weights" / "tiny")
    options = dataclasses.replace(OPTIONS, tensorboard=True, jerk=0.1)
    result = train_dancer(Latents.load("latents.npz"), folder, options, EPOCHS)
    place = folder.training / "dancer" / "tensorboard"
    board = read_board(place)
    assert {
        "loss",
        "val_loss",
        "jerk",
        "objective",
        "gradient_norm",
        "gradient_norm_max",
        "mixture/entropy",
        "mixture/entropy_share",
        "mixture/components_used",
        "mixture/sigma_05",
        "mixture/sigma_50",
        "mixture/sigma_95",
        "path/jerk",
        "path/jerk_real",
        "won/00",
        "won/01",
    } <= board.keys()
    for record in result.history:
        for name, value in record.items():
            if name not in ("epoch", "step"):
                assert board[name][int(record["step"])] == pytest.approx(value, rel=1e-5)
    for step, share in board["mixture/entropy_share"].items():
        assert 0 < share <= 1 and board["mixture/entropy"][step] == pytest.approx(
            share * np.log(2), rel=1e-5
        )
        assert board["won/00"][step] + board["won/01"][step] == pytest.approx(1.0)
        low, high = board["mixture/sigma_05"][step], board["mixture/sigma_95"][step]
        assert 0.05 < low < high  # the floor, in RMS steps
        assert board["gradient_norm"][step] <= board["gradient_norm_max"][step]
    vectors, labels = read_projector(place)
    dancer = folder.read_config().dancer
    assert dancer is not None and vectors.shape[1] == dancer.dim
    kinds = np.array(labels["kind"])
    assert (kinds == "training").sum() == 190 and (kinds == "held out").sum() == 70
    assert (kinds == "generated").sum() > 200
    assert {name for name, kind in zip(labels["source"], kinds) if kind == "held out"} == {
        "three.mp4"
    }


def test_the_jerk_of_the_path_is_logged_beside_the_nats(
    workplace: Path,
) -> None:
    assert main([*FLAGS, "--epochs", "2", "--jerk", "0.1"]) == 0
    folder = ModelFolder(workplace / "weights" / "tiny")
    assert folder.read_config().training["dancer"]["jerk"] == 0.1
    lines = (folder.training / "dancer" / "log.jsonl").read_text().splitlines()
    for record in map(json.loads, lines):
        assert record["jerk"] > 0
        assert record["objective"] == pytest.approx(record["loss"] + 0.1 * record["jerk"], rel=1e-4)


def test_a_jerk_weight_needs_windows_long_enough_for_a_second_difference(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FLAGS, "--jerk", "0.1", "--look-back", "10"]) == 1
    assert "--look-back 11 or more" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*FLAGS, "--jerk", "-0.1"])
    assert "--jerk: must be 0 or more" in capsys.readouterr().err


def test_training_explains_why_the_loss_may_be_below_zero(trained: Trained) -> None:
    assert DENSITY_NOTE in " ".join(trained.said.split())


def test_a_resumed_training_ends_with_the_same_weights(workplace: Path, trained: Trained) -> None:
    latents = Latents.load("latents.npz")
    halved = ModelFolder(workplace / "weights" / "tiny")
    with pytest.MonkeyPatch.context() as patch:

        def interrupt(self: object, record: dict[str, float]) -> None:
            raise KeyboardInterrupt

        patch.setattr("dancenet.nets.training.tensorboard.TensorBoardLog.add", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_dancer(latents, halved, dataclasses.replace(OPTIONS, tensorboard=True), EPOCHS)
    train_dancer(latents, halved, OPTIONS, EPOCHS, resume=True)
    first, second = (
        load_dancer(folder.read_config().dancer, folder / "dancer.weights.h5").model.get_weights()
        for folder in (trained.folder, halved)
    )
    for one, other in zip(first, second):
        assert np.array_equal(one, other)


def test_latents_of_another_encoder_are_refused(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "weights" / "tiny" / "encoder.onnx").write_bytes(b"another encoder")
    assert main(FLAGS) == 1
    assert "made by another encoder" in capsys.readouterr().err


def test_a_model_without_a_vae_is_refused(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FLAGS[:-1], "nobody"]) == 1
    assert "train_vae.py --name nobody" in capsys.readouterr().err
    (workplace / "weights" / "tiny" / "encoder.onnx").unlink()
    assert main(FLAGS) == 1
    assert "has no encoder.onnx" in capsys.readouterr().err


def test_latents_that_are_not_finite_are_refused(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = checked.read_npz("latents.npz", "latents")
    content["z_mean"][7, 1] = np.nan
    arrays.write_npz("latents.npz", **content)
    assert main(FLAGS) == 1
    assert "NaN or infinity in 1 frames, first in frame 8" in capsys.readouterr().err


def test_without_a_checkpoint_there_is_nothing_to_resume(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FLAGS, "--resume"]) == 1
    assert "no training to resume" in capsys.readouterr().err


def test_a_dancer_is_resumed_only_with_its_own_size(
    workplace: Path, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    copied(trained, workplace)
    assert main([*FLAGS, "--units", "17", "--resume"]) == 1
    assert "has another dancer" in capsys.readouterr().err


def test_clips_that_are_all_for_training_cannot_be_validated(workplace: Path) -> None:
    latents = dataclasses.replace(Latents.load("latents.npz"), splits=("train",) * 3)
    with pytest.raises(UserError, match="3 clips to train on and 0 to validate on"):
        train_dancer(latents, ModelFolder(workplace / "weights" / "tiny"), OPTIONS, EPOCHS)


def test_takes_of_a_second_are_enough_for_the_default_windows(
    workplace: Path,
) -> None:
    lengths = [30, 24, 40, 30, 30, 50] * 2  # frames, a few of each film, and their mirror images
    stops = np.cumsum(lengths).tolist()
    z_mean = np.concatenate([figure_of_eight(n, 0.3 * n) for n in lengths])
    latents = dataclasses.replace(
        Latents.load("latents.npz"),
        z_mean=z_mean,
        z_log_var=np.full_like(z_mean, -8.0),
        clips=tuple(range(stop - n, stop) for n, stop in zip(lengths, stops)),
        splits=(None,) * len(lengths),
        sources=("one.mp4", "two.mp4") * (len(lengths) // 2),
    )
    folder = ModelFolder(workplace / "weights" / "tiny")
    train_dancer(latents, folder, DancerOptions(units=8, num_mixtures=2, batch_size=8), EPOCHS)
    config = folder.read_config()
    assert config.dancer is not None and config.dancer.look_back == 64
    assert config.training["dancer"]["held_out_frames"] >= 0.1 * sum(lengths)
    # Half of what is left for training is as long as a seed clip, so they come of several takes.
    seeds = checked.read_npz(folder / "seeds.npz", "seed clips")
    assert seeds["vectors"].shape[1] == 30 and len(seeds["vectors"]) >= 8


def test_a_model_name_that_is_taken_is_told_before_anything_is_read(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "weights" / "tiny" / "dancer.weights.h5").touch()
    (workplace / "latents.npz").unlink()
    assert main(FLAGS) == 1
    assert "There is a dancer in weights/tiny" in capsys.readouterr().err


def test_a_figure_of_eight_is_learned_better_than_any_baseline_knows_it(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dancenet.nets.training.dancer_run.MIN_STEPS_PER_EPOCH", 20)
    folder = ModelFolder(workplace / "weights" / "tiny")
    result = train_dancer(
        Latents.load("latents.npz"),
        folder,
        dataclasses.replace(OPTIONS, perturbation=0.1),
        dataclasses.replace(EPOCHS, epochs=15),
    )
    floors = folder.read_config().training["dancer"]["baselines"]
    assert result.best < floors["stay"] < floors["pose"]
    records = (folder.training / "dancer" / "log.jsonl").read_text().splitlines()
    assert min(json.loads(line)["val_loss"] for line in records) == result.best


def test_a_dancer_that_never_moves_has_no_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    from dancenet.model.config import DancerConfig
    from dancenet.nets.dancer import build_dancer

    network = build_dancer(DancerConfig(dim=4, units=4, num_mixtures=1))
    for variable in network.mdn.mdn_mus.weights:
        variable.assign(np.zeros(variable.shape, np.float32))
    vectors = figure_of_eight(200, 0.0)
    dataset = plain(vectors)
    monkeypatch.setattr("dancenet.nets.training.calibrate.TRIAL_SECONDS", 2.0)
    figures = try_dancing(KerasStepModel(network), dataset, dataset.train, temperature=0.0)
    assert figures.energy == figures.jerk == 0.0
    assert figures.still == 1.0 and figures.still_real < 0.5


def walker(share: float) -> OnnxStepModel:
    """A random walk whose steps have a `share`-th of the variance 1."""
    from dancenet.model.config import DancerConfig
    from dancenet.nets.dancer import build_dancer

    network = build_dancer(DancerConfig(dim=4, units=4, num_mixtures=1, sigma_floor=0.0))
    for layer in (network.mdn.mdn_mus, network.mdn.mdn_sigmas):
        for variable in layer.weights:
            variable.assign(np.zeros(variable.shape, np.float32))
    network.set_step_scale(np.full(4, 1 / np.sqrt(share), np.float32))
    return onnx_steps(network)


@pytest.mark.parametrize("share, expected", [(0.8, 0.72), (1.25, 1.125), (9.0, 2.0), (0.01, 0.2)])
def test_the_temperature_is_found_at_which_a_dance_has_most_of_the_real_energy(
    share: float, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dancenet.nets.training.calibrate.TRIAL_SECONDS", 10.0)
    steps = np.random.default_rng(0).normal(size=(20_000, 4)).astype(np.float32)
    found, temperature_variation = calibrate(walker(share), plain(np.cumsum(steps, axis=0)))
    assert found == pytest.approx(expected, rel=0.06)
    assert temperature_variation < 0.1  # the real walk has one pace


def test_a_dance_is_found_to_vary_its_pace_as_the_real_one_does() -> None:
    from dancenet.sequence.generate import generate
    from dancenet.sequence.temperature_variation import MEMORY_SECONDS

    dances = generate(
        walker(1.0),
        np.zeros((30, 1, 4)),
        1500,
        np.random.default_rng(5).spawn(30),
        temperature_variation=(0.3, MEMORY_SECONDS * 25),
    )
    real = np.stack(list(dances), axis=1).reshape(-1, 4)
    found, temperature_variation = calibrate(walker(1.0), plain(real, clips=30))
    assert temperature_variation == pytest.approx(0.3, abs=0.1)
    assert found == pytest.approx(0.9, rel=0.1)


def test_a_dancer_that_overflows_is_measured_as_diverged() -> None:
    class Explosion:
        dim = 4

        def initial_state(self, batch: int, style: np.ndarray | None = None) -> tuple[()]:
            return ()

        def step(self, vectors: np.ndarray, state: tuple[()]) -> tuple[Mixture, tuple[()]]:
            shape = (len(vectors), 1, 4)
            return Mixture(np.zeros(shape[:2]), 1e3 * vectors[:, None], np.ones(shape)), state

    dataset = plain(figure_of_eight(400, 0.0))
    with np.errstate(over="ignore", invalid="ignore"):
        figures = try_dancing(Explosion(), dataset, dataset.train)
        found = calibrate(Explosion(), dataset)
    assert figures.energy == figures.energy_at_end == np.inf
    assert 0.0 <= figures.still_real < 0.5
    assert found == (1.0, 0.0)  # all are as bad; it is neither cooled nor varied


def test_the_temperature_is_calibrated_with_the_neighbour_correction(
    workplace: Path,
) -> None:
    found = []
    for strength in ("0", "0.9"):
        corrected = ["--neighbour-correction", strength, "--overwrite"]
        assert main([*FLAGS, "--epochs", "1", *corrected]) == 0
        found.append(ModelFolder(workplace / "weights" / "tiny").read_config().dancer)
    plain_one, guarded = found
    assert plain_one is not None and guarded is not None
    assert (plain_one.neighbour_correction, guarded.neighbour_correction) == (0.0, 0.9)
    assert plain_one.temperature != guarded.temperature


def test_a_finished_training_can_be_resumed_after_its_calibration(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dancenet.nets.training import dancer_run as module

    monkeypatch.setattr(module, "calibrate", lambda *arguments: Calibration(1.3, 0.2))
    assert main([*FLAGS, "--epochs", "1"]) == 0
    assert main([*FLAGS, "--epochs", "2", "--resume"]) == 0
    record = ModelFolder(workplace / "weights" / "tiny").read_config()
    assert record.training["dancer"]["epochs"] == 2
    assert record.dancer is not None and record.dancer.temperature_variation == 0.2


def test_a_training_stopped_in_calibration_has_no_dancer_and_can_be_resumed(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dancenet.nets.training import dancer_run as module

    def stopped(*arguments: object) -> Calibration:
        raise KeyboardInterrupt

    folder = ModelFolder(workplace / "weights" / "tiny")
    with monkeypatch.context() as patch:
        patch.setattr(module, "calibrate", stopped)
        assert main([*FLAGS, "--epochs", "2"]) == 130
    assert "run it again with --resume" in capsys.readouterr().err
    assert not (folder / "dancer.weights.h5").exists()
    assert main([*FLAGS, "--epochs", "2", "--resume"]) == 0
    assert (folder / "dancer.weights.h5").exists()
    assert "energy" in folder.read_config().training["dancer"]["dance"]


def started_from(workplace: Path, trained: Trained) -> tuple[ModelFolder, ModelFolder]:
    """A model that has a dancer, and a second with its VAE and none."""
    second = ModelFolder(workplace / "weights" / "second")
    second.create()
    second.write_config(ModelConfig("second", vae=VaeConfig(latent_dim=4)))
    (second / "encoder.onnx").write_bytes(b"an encoder")
    return copied(trained, workplace), second


def test_a_dancer_that_starts_from_another_keeps_its_scaler(
    workplace: Path, trained: Trained
) -> None:
    first, second = started_from(workplace, trained)
    still = dataclasses.replace(EPOCHS, epochs=1, learning_rate=1e-12)
    other = dataclasses.replace(OPTIONS, smoothing=0.3)
    train_dancer(Latents.load("latents.npz"), second, other, still, start_from=first)
    assert second.read_config().dancer == first.read_config().dancer
    record = second.read_config().training["dancer"]
    assert record["start_from"] == "tiny" and record["smoothing"] == OPTIONS.smoothing
    config = first.read_config().dancer
    assert config is not None
    networks = [load_dancer(config, folder / "dancer.weights.h5") for folder in (first, second)]
    for before, after in zip(*(network.model.get_weights() for network in networks)):
        np.testing.assert_allclose(after, before, atol=1e-7)
    scalers = [Scaler.load(folder / "scaler.npz") for folder in (first, second)]
    assert (scalers[0].scale == scalers[1].scale).all()
    assert (scalers[0].basis == scalers[1].basis).all()


def test_options_that_contradict_the_dancer_to_start_from_are_named(
    workplace: Path, trained: Trained
) -> None:
    first, second = started_from(workplace, trained)
    latents = Latents.load("latents.npz")
    with pytest.raises(
        UserError, match="has units 16, num_mixtures 2; leave out units=8 and num_mixtures=3"
    ):
        train_dancer(
            latents,
            second,
            dataclasses.replace(OPTIONS, units=8, num_mixtures=3),
            EPOCHS,
            start_from=first,
        )
    with pytest.raises(UserError, match="has no dancer to start from"):
        train_dancer(latents, second, OPTIONS, EPOCHS, start_from=second)
    assert second.read_config().dancer is None


def test_a_training_that_started_from_another_is_resumed_from_it_only(
    workplace: Path, trained: Trained
) -> None:
    first, second = started_from(workplace, trained)
    latents = Latents.load("latents.npz")
    train_dancer(latents, second, OPTIONS, dataclasses.replace(EPOCHS, epochs=1), start_from=first)
    with pytest.raises(UserError, match="started from tiny"):
        train_dancer(latents, second, OPTIONS, EPOCHS, resume=True)
    result = train_dancer(latents, second, OPTIONS, EPOCHS, start_from=first, resume=True)
    assert result.epochs == 2


def test_a_plain_regression_is_trained_and_dances_like_any_other(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [
        "--head",
        "mse",
        "--units",
        "16",
        "--look-back",
        "12",
        "--stride",
        "6",
        "--batch-size",
        "8",
        "--name",
        "tiny",
        "--epochs",
        "1",
    ]
    assert main([*flags, "--num-mixtures", "2"]) == 1
    assert "one Gaussian; received 2" in capsys.readouterr().err
    assert main(flags) == 0
    folder = ModelFolder(workplace / "weights" / "tiny")
    config = folder.read_config().dancer
    assert config is not None and (config.head, config.layers) == ("mse", 3)
    model = OnnxStepModel(folder / "step.onnx")
    rng = np.random.default_rng(0)
    first, state = model.step(rng.normal(size=(2, config.dim)), model.initial_state(2))
    second, _ = model.step(rng.normal(size=(2, config.dim)), state)
    assert first.mu.shape == (2, 1, config.dim)
    # One sigma whatever it sees, and not the 1 (RMS step) that it began with.
    np.testing.assert_allclose(first.sigma, second.sigma, rtol=1e-5)
    network = load_dancer(config, folder / "dancer.weights.h5")
    assert np.abs(first.sigma / network.step_scale - 1).min() > 1e-4
    said = capsys.readouterr().out
    assert "mean square error, in squared RMS steps" in said and "density" not in said
    assert "nats per dimension" in said
    assert main([*flags, "--resume", "--epochs", "2"]) == 0
    assert main([*flags[2:], "--resume"]) == 1
    assert "resume it with the options it was begun with" in capsys.readouterr().err


@pytest.mark.parametrize("look_back", ["1", "5"])
def test_the_network_of_2018_learns_from_single_vectors_and_from_sequences(
    workplace: Path, look_back: str
) -> None:
    flags = ["--network", "dancenet", "--look-back", look_back, "--epochs", "2"]
    small = ["--units", "8", "--num-mixtures", "2", "--stride", "6", "--batch-size", "8"]
    assert main([*flags, *small, "--latents", "latents.npz", "--name", "tiny"]) == 0
    folder = ModelFolder(workplace / "weights" / "tiny")
    config = folder.read_config().dancer
    assert config is not None and config.keeps_state == (look_back != "1")
    assert config.recurrent_activation == "hard_sigmoid_2018"
    weights = load_dancer(config, folder / "dancer.weights.h5").model.weights
    assert [weight.path for weight in weights] == [
        *(
            f"lstm_{i}/lstm_cell/{role}"
            for i in range(3)
            for role in ("kernel", "recurrent_kernel", "bias")
        ),
        "dense/kernel",
        "dense/bias",
        *(
            f"mdn/{part}/{role}"
            for part in ("mdn_mus", "mdn_sigmas", "mdn_pi")
            for role in ("kernel", "bias")
        ),
    ]
    step_model = OnnxStepModel(folder / "step.onnx")
    assert len(step_model.initial_state(1)) == (0 if look_back == "1" else 6)
    seed = checked.read_npz(folder / "seeds.npz", "seeds")["vectors"][:1]
    rngs = [np.random.default_rng(0)]
    dance = np.concatenate(list(generate(step_model, seed, 50, rngs)))
    assert dance.shape == (50, 4) and np.isfinite(dance).all()

"""Defaults: the call from Python and the script without flags train the same network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")
pytest.importorskip("keras_mdn_layer", reason="the dancer needs the extra 'train'")

from motion_files import bvh_text, dancing

from dancenet.codecs.latents import Latents
from dancenet.data.mocap.reading import ReadOptions
from dancenet.data.mocap.recordings import RecordingOptions, read_recordings
from dancenet.model.config import DancerConfig
from dancenet.model.folder import ModelFolder
from dancenet.nets.training import dancer, vae
from dancenet.nets.training.dancer_run import TrainingRun
from dancenet.nets.training.loop import Schedule, TrainOptions
from dancenet.nets.training.options import VAE_SCHEDULE, DancerOptions, VaeOptions
from scripts import train_dancer, train_vae

AT_30 = RecordingOptions(reading=ReadOptions(frame_rate=30.0))


class Reached(Exception):
    """The training would begin now."""


@pytest.fixture()
def runs(monkeypatch: pytest.MonkeyPatch) -> list[TrainingRun]:
    """Collects runs at the moment when they would train."""
    collected: list[TrainingRun] = []

    def stop(run: TrainingRun) -> None:
        collected.append(run)
        raise Reached

    monkeypatch.setattr(dancer, "run_training", stop)
    return collected


def both(runs: list[TrainingRun], flags: list[str], call: Any) -> TrainingRun:
    """Runs the script and the call; returns their run, which must be the same."""
    with pytest.raises(Reached):
        train_dancer.main(flags)
    with pytest.raises(Reached):
        call()
    script, python = runs
    assert script.options == python.options and script.schedule == python.schedule
    dim = script.dataset.dim
    assert dim == python.dataset.dim
    assert script.options.config(dim) == python.options.config(dim)
    return script


def network(run: TrainingRun) -> DancerConfig:
    return run.options.config(run.dataset.dim)


def test_latents_have_one_set_of_defaults(workplace: Path, runs: list[TrainingRun]) -> None:
    run = both(
        runs,
        ["--name", "tiny"],
        lambda: dancer.train_dancer(Latents.load("latents.npz"), ModelFolder(Path("weights/tiny"))),
    )
    assert (network(run).units, network(run).num_mixtures) == (512, 5)
    assert (run.options.correction_rate, run.options.encoder_noise) == (0.03, 1.0)
    schedule = run.schedule
    assert (schedule.keep, schedule.epochs, schedule.patience) == ("best", 60, 12)


@pytest.mark.parametrize(
    "seconds, size, noise, epochs",
    [(4, (256, 3), (0.05, 1.0), 60), (130, (512, 5), (0.015, 0.1), 8)],
    ids=["short", "long"],
)
def test_recordings_have_defaults_for_their_length(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    runs: list[TrainingRun],
    seconds: int,
    size: tuple[int, int],
    noise: tuple[float, float],
    epochs: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dance.bvh").write_text(bvh_text(dancing(30 * seconds, 30.0)))
    run = both(
        runs,
        ["dance.bvh", "--frame-rate", "30", "--space", "skeleton", "--name", "joints"],
        lambda: dancer.train_skeleton_dancer(
            read_recordings([Path("dance.bvh")], AT_30),
            ModelFolder(Path("weights/joints")),
        ),
    )
    assert run.dataset.seconds == pytest.approx(seconds, rel=0.02)
    assert (network(run).units, network(run).num_mixtures) == size
    assert (run.options.correction_rate, run.options.encoder_noise) == noise
    schedule = run.schedule
    assert (schedule.keep, schedule.epochs, schedule.patience) == ("last", epochs, 0)


@pytest.mark.parametrize("flags", [["--head", "mse"], ["--network", "dancenet"]])
def test_networks_to_compare_with_stay_what_they_are_with_little_material(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[TrainingRun], flags: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dance.bvh").write_text(bvh_text(dancing(120, 30.0)))
    named = ["dance.bvh", "--frame-rate", "30", "--space", "skeleton", "--name", "compared"]
    with pytest.raises(Reached):
        train_dancer.main([*named, *flags])
    (run,) = runs
    assert (run.options.correction_rate, run.options.encoder_noise) == (0.05, 1.0)
    assert (network(run).units, network(run).num_mixtures) == (512, 1 if "mse" in flags else 24)


def test_given_options_replace_the_defaults(workplace: Path, runs: list[TrainingRun]) -> None:
    run = both(
        runs,
        ["--name", "tiny", "--units", "16", "--keep", "last", "--encoder-noise", "0"],
        lambda: dancer.train_dancer(
            Latents.load("latents.npz"),
            ModelFolder(Path("weights/tiny")),
            DancerOptions(units=16, encoder_noise=0.0),
            TrainOptions(keep="last"),
        ),
    )
    assert (network(run).units, run.options.encoder_noise) == (16, 0.0)
    assert (run.schedule.keep, run.schedule.patience) == ("last", 0)


def test_the_vae_has_one_set_of_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dancenet.data.frames.folder.FrameFolder.open", lambda path: path)

    def stop(frames: Any, folder: Any, *options: Any, **others: Any) -> None:
        asked.extend(options)
        raise Reached

    monkeypatch.setattr(vae, "train_vae", stop)
    with pytest.raises(Reached):
        train_vae.main(["--name", "new"])
    assert asked == [VaeOptions(), TrainOptions()]


@pytest.mark.parametrize(
    "script, defaults",
    [
        (train_dancer, (DancerOptions(), Schedule())),
        (train_vae, (VaeOptions(), VAE_SCHEDULE)),
    ],
    ids=["dancer", "vae"],
)
def test_the_help_names_the_defaults(script: Any, defaults: tuple[Any, ...]) -> None:
    values = {name: value for record in defaults for name, value in vars(record).items()}
    named = 0
    for action in script.build_parser()._actions:
        value = values.get(action.dest)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found = re.search(r"\(default: ([\d.]+)", action.help)
            assert found, action.dest
            if action.dest not in ("epochs", "patience"):  # the dancer's depend on the dataset
                assert float(found.group(1)) == value, action.dest
            named += 1
    assert named >= 10

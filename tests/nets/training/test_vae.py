"""The script that trains the VAE, on thirty-odd small frames."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")

from dancenet.codecs.base import Scaler
from dancenet.data.frames.folder import FrameFolder
from dancenet.data.frames.writer import FrameWriter
from dancenet.model.folder import ModelFolder, made_files
from dancenet.nets.training.folder import training_folder
from dancenet.nets.training.loop import TrainOptions
from dancenet.nets.training.loop.log import write_curves
from dancenet.nets.training.options import VaeOptions
from dancenet.nets.training.pictures import rehearsal
from dancenet.nets.training.pictures.batches import _shuffled, write_reconstructions
from dancenet.nets.training.statistics import spread
from dancenet.nets.training.vae import train_vae
from dancenet.nets.vae import load_vae
from dancenet.support import arrays, files
from dancenet.support.errors import UserError
from scripts.train_vae import main


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    """Times few steps, and compares exported networks on few pictures: they are of full size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dancenet.nets.export.reference._TRIALS", 4)
        patch.setattr("dancenet.nets.training.loop.epochs._TIMED_STEPS", 2)
        yield


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("material") / "imgs"
    writer = FrameWriter(path)
    for split, count in (("train", 26), ("val", 6)):
        pictures = np.full((count, 120, 208), 255, np.uint8)
        for index, picture in enumerate(pictures):
            picture[20:110, 80 + index : 100 + index] = 0
        writer.add_clip(pictures, source=split, fps=30.0, method="test", split=split)
    return path


@pytest.fixture()
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train_tiny(frames: Path, folder: Path, **arguments: Any) -> None:
    train_vae(
        FrameFolder.open(frames),
        ModelFolder(folder),
        VaeOptions(batch_size=13),
        TrainOptions(epochs=2),
        **arguments,
    )


@pytest.fixture(scope="module")
def tiny(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `train_tiny` leaves; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("trained") / "tiny"
    train_tiny(frames, folder)
    return folder


def copied(tiny: Path, folder: Path) -> ModelFolder:
    return ModelFolder(Path(shutil.copytree(tiny, folder)))


def test_the_script_writes_a_model_a_log_curves_and_a_contact_sheet(
    frames: Path, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--frames", str(frames), "--name", "tiny", "--batch-size", "13", "--tensorboard"]
    assert main([*options, "--epochs", "2"]) == 0
    folder = ModelFolder(workplace / "weights" / "tiny")
    config = folder.read_config()
    assert config.vae is not None and config.vae.network == "lean"
    assert config.training["vae"]["epochs"] == 2
    assert 0 <= config.training["vae"]["held_out"]["val_iou"] <= 1
    load_vae(config.vae, folder / "vae.weights.h5")
    place = training_folder(folder, "vae")
    assert {path.name for path in place.iterdir()} == {
        "checkpoint.npz",
        "best.npz",
        "log.jsonl",
        "loss.png",
        "reconstructions.png",
        "tensorboard",
    }
    assert list((place / "tensorboard").iterdir())
    known = {path for path in folder.path.rglob("*") if path.is_file()}
    assert set(made_files(folder.path)) == known
    records = [json.loads(line) for line in (place / "log.jsonl").read_text().splitlines()]
    assert {"val_iou", "val_reconstruction", "val_kl", "reconstruction", "kl"} <= set(records[1])
    assert (folder / "encoder.onnx").exists() and (folder / "decoder.onnx").exists()
    assert "26 frames; 6 are held out" in capsys.readouterr().out

    assert main([*options, "--epochs", "2"]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main([*options, "--epochs", "3", "--resume"]) == 0
    assert folder.read_config().training["vae"]["epochs"] == 3
    assert main([*options, "--network", "dancenet", "--resume"]) == 1
    assert "another VAE" in capsys.readouterr().err


def test_replacing_a_vae_removes_the_dancer_of_its_latents(
    frames: Path, tiny: Path, tmp_path: Path
) -> None:
    copied(tiny, tmp_path / "model")
    (tmp_path / "model" / "dancer.weights.h5").write_bytes(b"of other latents")
    train_tiny(frames, tmp_path / "model", overwrite=True)
    assert not (tmp_path / "model" / "dancer.weights.h5").exists()
    assert (tmp_path / "model" / "vae.weights.h5").exists()


def test_a_vae_may_begin_with_another_and_replace_it(
    frames: Path, tiny: Path, tmp_path: Path
) -> None:
    first, second = copied(tiny, tmp_path / "first"), ModelFolder(tmp_path / "second")
    still = TrainOptions(epochs=1, learning_rate=1e-12)
    train_vae(FrameFolder.open(frames), second, VaeOptions(batch_size=13), still, start_from=first)
    config = second.read_config()
    assert config.vae is not None and config.training["vae"]["start_from"] == "first"
    pair = [load_vae(config.vae, folder / "vae.weights.h5")[1] for folder in (first, second)]
    for one, other in zip(pair[0].get_weights(), pair[1].get_weights()):
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-12)
    train_vae(
        FrameFolder.open(frames),
        second,
        VaeOptions(batch_size=13),
        still,
        start_from=second,
        overwrite=True,
    )
    after = load_vae(config.vae, second / "vae.weights.h5")[1]
    np.testing.assert_allclose(
        after.get_weights()[0], pair[0].get_weights()[0], rtol=1e-6, atol=1e-12
    )


def test_the_logit_gain_is_applied_once_however_often_training_continues(
    frames: Path, tmp_path: Path
) -> None:
    still = TrainOptions(epochs=1, learning_rate=1e-12)
    folders = [ModelFolder(tmp_path / name) for name in ("plain", "crisp", "crisper")]
    options = [VaeOptions(batch_size=13, logit_gain=factor) for factor in (1.0, 2.0, 3.0)]
    train_vae(FrameFolder.open(frames), folders[0], options[0], TrainOptions(epochs=1))
    for index in (1, 2):
        train_vae(
            FrameFolder.open(frames),
            folders[index],
            options[index],
            still,
            start_from=folders[index - 1],
        )
    kernels = []
    for folder, logit_gain in zip(folders, (1.0, 2.0, 3.0)):
        config = folder.read_config()
        assert config.vae is not None and config.vae.logit_gain == logit_gain
        _, decoder = load_vae(config.vae, folder / "vae.weights.h5")
        kernel, bias = decoder.get_layer("logits").get_weights()
        kernels.append(np.append(kernel / logit_gain, bias / logit_gain + config.vae.logit_bias))
    for kernel in kernels[1:]:
        np.testing.assert_allclose(kernel, kernels[0], rtol=1e-6, atol=1e-6)


def with_stretches(folder: ModelFolder) -> None:
    """Gives a model that has no dancer something to remember: its prior, 30 frames."""
    eye = np.eye(128, dtype=np.float32)
    Scaler(np.zeros(128, np.float32), eye, np.ones(128, np.float32)).save(folder / "scaler.npz")
    vectors = np.random.default_rng(0).normal(size=(3, 10, 128)).astype(np.float32)
    arrays.write_npz(folder / "seeds.npz", vectors=vectors)


def val_losses(folder: ModelFolder) -> list[float]:
    lines = (training_folder(folder, "vae") / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["val_loss"] for line in lines]


def test_frames_of_the_first_model_are_rehearsed_before_and_after_resuming(
    frames: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    load = rehearsal.load
    monkeypatch.setattr(
        rehearsal, "load", lambda path, *size: read.append(path) or load(path, *size)
    )
    first = copied(tiny, tmp_path / "first")
    second, third = (ModelFolder(tmp_path / name) for name in ("second", "third"))
    with_stretches(first)
    opened, options = FrameFolder.open(frames), VaeOptions(batch_size=13)
    one, two = (TrainOptions(epochs=count, warm_up_steps=1) for count in (1, 2))
    alone = dataclasses.replace(options, rehearse=0.0)
    train_vae(opened, third, alone, one, start_from=first)
    assert not (training_folder(third, "vae") / "remembered.npz").exists()
    train_vae(opened, second, options, one, start_from=first)
    assert val_losses(second) != val_losses(third)
    shutil.rmtree(third.path)
    shutil.copytree(second.path, third.path)
    train_vae(opened, second, options, two, start_from=first, resume=True)
    shutil.rmtree(first.path)  # what is rehearsed lies with the checkpoint
    train_vae(opened, third, options, two, resume=True)
    assert val_losses(second) == val_losses(third) and len(val_losses(third)) == 2
    assert [path.parent for path in read] == [
        training_folder(folder, "vae") for folder in (second, third)
    ]


def test_a_missing_model_to_start_from_leaves_the_old_vae_in_place(
    frames: Path, tiny: Path, tmp_path: Path
) -> None:
    copied(tiny, tmp_path / "model")
    before = files.sha256_of(tmp_path / "model" / "vae.weights.h5")
    with pytest.raises(UserError, match="has no vae.weights.h5"):
        train_tiny(
            frames, tmp_path / "model", overwrite=True, start_from=ModelFolder(tmp_path / "none")
        )
    assert files.sha256_of(tmp_path / "model" / "vae.weights.h5") == before


def test_an_unreadable_picture_leaves_no_begun_model(frames: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "imgs"
    shutil.copytree(frames, damaged, ignore=shutil.ignore_patterns(".*"))
    (damaged / "2.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="2.jpg .* is not a readable picture"):
        train_tiny(damaged, tmp_path / "tiny")
    assert not (tmp_path / "tiny").exists()


def test_a_vae_whose_dancer_is_trained_is_not_trained_on(
    frames: Path, tiny: Path, tmp_path: Path
) -> None:
    copied(tiny, tmp_path / "model")
    (tmp_path / "model" / "dancer.weights.h5").write_bytes(b"a dancer")
    before = files.sha256_of(tmp_path / "model" / "vae.weights.h5")
    with pytest.raises(UserError, match="has a dancer"):
        train_tiny(frames, tmp_path / "model", resume=True)
    assert files.sha256_of(tmp_path / "model" / "vae.weights.h5") == before


@pytest.mark.parametrize("options", [["--resume", "--overwrite"], ["--seed", "-1"]])
def test_contradicting_flags_are_a_usage_error(options: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--name", "tiny", *options])


def test_the_same_seed_trains_the_same_network(frames: Path, tiny: Path, tmp_path: Path) -> None:
    train_tiny(frames, tmp_path / "again")
    networks = []
    for folder in (tiny, tmp_path / "again"):
        config = ModelFolder(folder).read_config().vae
        assert config is not None
        networks.append(load_vae(config, folder / "vae.weights.h5")[1])
    for one, two in zip(networks[0].weights, networks[1].weights, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_nothing_to_resume_and_nothing_to_validate_are_said(frames: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no training to resume"):
        train_tiny(frames, tmp_path / "model", resume=True)
    writer = FrameWriter(tmp_path / "imgs")
    writer.add_clip(
        np.full((8, 120, 208), 255, np.uint8), source="a", fps=30.0, method="test", split="train"
    )
    with pytest.raises(UserError, match="8 frames to train on and 0 to validate on"):
        train_tiny(tmp_path / "imgs", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_an_empty_folder_is_one_line_on_the_terminal(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "imgs").mkdir()
    assert main(["--frames", "imgs", "--name", "none"]) == 1
    assert "holds no frames" in capsys.readouterr().err
    assert not (workplace / "weights").exists()


@pytest.mark.parametrize("option", ["--epochs", "--minutes", "--batch-size", "--learning-rate"])
def test_amounts_must_be_positive(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--name", "x", option, "0"])
    assert stopped.value.code == 2
    assert "greater than 0" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden"])
def test_a_name_is_one_folder(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--name", name])
    assert stopped.value.code == 2


def test_no_frame_is_drawn_twice_before_all_are_drawn_once() -> None:
    drawn = _shuffled(10, 25, np.random.default_rng(0))
    assert sorted(drawn[:10]) == sorted(drawn[10:20]) == list(range(10))
    assert len(drawn) == 25 and list(drawn[:10]) != list(range(10))


def test_validation_frames_are_spread_over_all_that_is_held_out() -> None:
    assert list(spread(np.arange(100), 3)) == [0, 50, 99]
    assert list(spread(np.arange(2), 3)) == [0, 1]


def test_the_contact_sheet_has_originals_above_reconstructions(tmp_path: Path) -> None:
    import cv2

    frames = np.zeros((3, 8, 8), np.uint8)
    write_reconstructions(tmp_path / "sheet.png", frames, np.ones((3, 8, 8)), columns=2)
    sheet = cv2.imread(str(tmp_path / "sheet.png"), cv2.IMREAD_GRAYSCALE)
    middle = [sheet[row * 12 + 8, 8] for row in range(4)]
    assert middle == [0, 255, 0, 255]


def test_curves_of_one_epoch_can_be_drawn(tmp_path: Path) -> None:
    write_curves(
        tmp_path / "loss.png", [{"epoch": 1, "loss": 2.0, "val_loss": 3.0}], ("loss", "kl")
    )
    assert files.sha256_of(tmp_path / "loss.png")

"""The command that exports, as a person types it."""

from pathlib import Path

import pytest
from test_export import SMALL_VAE, make_folder

from dancenet.config import DancerConfig, VaeConfig
from dancenet.folder import ModelFolder
from scripts import export as script


def test_both_networks_are_exported_and_a_table_says_how_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(
        tmp_path / "model", vae=VaeConfig(**SMALL_VAE), dancer=DancerConfig(dim=3, units=4)
    )
    assert script.main(["--name", str(folder.path)]) == 0
    said = capsys.readouterr().out
    for name in ("encoder.onnx", "decoder.onnx", "step.onnx"):
        assert name in said and (folder / name).is_file()
    folder.check()


def test_one_network_alone(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", vae=VaeConfig(**SMALL_VAE))
    assert script.main(["--name", str(folder.path)]) == 0
    assert not (folder / "step.onnx").exists()
    assert script.main(["--name", str(folder.path), "--only", "dancer"]) == 1


def test_a_model_without_weights_says_what_to_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path / "model", vae=VaeConfig(**SMALL_VAE))
    (folder / "vae.weights.h5").unlink()
    assert script.main(["--name", str(folder.path)]) == 1
    assert "train_vae.py" in capsys.readouterr().err
    assert not (ModelFolder(folder.path) / "encoder.onnx").exists()

"""The command that exports, as a person types it."""

from pathlib import Path

import pytest
from export_models import SMALL_VAE, make_folder

from dancenet.model.config import DancerConfig, VaeConfig
from dancenet.model.folder import ModelFolder
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


def test_formats_come_with_commas_or_one_by_one() -> None:
    parser = script.build_parser()
    command = ["--name", "me", "--format", "saved_model, onnx", "--format", "litert"]
    assert parser.parse_args(command).format == ["saved_model", "onnx", "litert"]


def test_a_model_without_a_dancer_is_exported_without_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ai_edge_litert")
    folder = make_folder(tmp_path / "model", vae=VaeConfig(**SMALL_VAE))
    folder.seal()
    before = sorted(folder.path.iterdir())
    command = ["--name", str(folder.path), "--out", str(tmp_path / "out")]
    assert script.main([*command, "--format", "litert,saved_model", "--format", "litert"]) == 0
    said = capsys.readouterr().out
    assert "has no dancer yet: its picture network is exported alone" in said
    assert said.count("decoder_int8.tflite") == 1 and "step" not in said
    assert (tmp_path / "out" / "litert" / "decoder_float16.tflite").is_file()
    assert (tmp_path / "out" / "saved_model" / "1" / "saved_model.pb").is_file()
    assert sorted(folder.path.iterdir()) == before
    folder.check()
    assert script.main([*command, "--format", "litert"]) == 1
    assert "exists already" in capsys.readouterr().err


def test_options_that_exclude_each_other_are_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        script.main(["--name", "x", "--format", "onnx,tflite"])
    assert "'tflite' is none of onnx, litert, saved_model" in capsys.readouterr().err
    name = ["--name", str(tmp_path / "none")]
    assert script.main([*name, "--out", str(tmp_path)]) == 1
    assert "--out is for litert and saved_model" in capsys.readouterr().err
    folder = make_folder(tmp_path / "model", dancer=DancerConfig(dim=3, units=4))
    assert (
        script.main(["--name", str(folder.path), "--only", "dancer", "--format", "saved_model"])
        == 1
    )
    assert "A SavedModel holds pictures and dance" in capsys.readouterr().err
    assert script.main([*name, "--format", "litert"]) == 1
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_tensorflow_is_not_asked_to_write_where_it_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path / "model", vae=VaeConfig(**SMALL_VAE))
    command = ["--name", str(folder.path), "--format", "saved_model", "--out", "dan\udce7a"]
    assert script.main(command) == 1
    assert "TensorFlow writes only where names are UTF-8" in capsys.readouterr().err

"""Three files of 2018 become a model that every script takes, or nothing is left behind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")
pytest.importorskip("keras_mdn_layer", reason="the dancer needs the extra 'train'")

import files_2018 as old

from dancenet.codecs.base import Scaler
from dancenet.codecs.latents import Latents
from dancenet.data.frames.writer import FrameWriter
from dancenet.generation.load import load_dancer
from dancenet.generation.settings import DanceSettings, Recipe
from dancenet.generation.trajectory import trajectories
from dancenet.legacy import h5
from dancenet.legacy.import_model import Imported
from dancenet.model.folder import ModelFolder
from dancenet.nets import dancer, vae
from dancenet.support import checked
from scripts import (
    decode_latents,
    encode_frames,
    export,
    generate_video,
    import_legacy,
)


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old.accept(monkeypatch, old.VAE)
    return tmp_path


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("imported")


@pytest.fixture
def imported(small, monkeypatch, kept):
    """Three files, whose import is copied where it was made before."""
    old.import_once(monkeypatch, kept)
    return old.write_all(small)


def run(*arguments):
    return import_legacy.main([*map(str, arguments), "--name", "old"])


def test_an_imported_model_is_whole_and_has_the_weights_of_the_files(small, capsys):
    assert run(*old.write_all(small)) == 0
    folder = ModelFolder(small / "weights" / "old")
    folder.check()
    assert {path.name for path in folder.path.iterdir()} == {
        "config.json",
        "checksums.json",
        "scaler.npz",
        "seeds.npz",
        "vae.weights.h5",
        "dancer.weights.h5",
        "encoder.onnx",
        "decoder.onnx",
        "step.onnx",
        "training",
    }
    config = folder.read_config()
    assert (config.name, config.fps, config.dancer.look_back) == ("old", 10.0, 1)
    assert set(config.training["imported"]["sha256"]) == {"vae", "dancer", "latents"}
    encoder, decoder = vae.load_vae(config.vae, folder / "vae.weights.h5")
    for network, arrays in ((encoder, old.encoder_arrays()), (decoder, old.decoder_arrays())):
        for name, values in arrays.items():
            for one, two in zip(network.get_layer(name).get_weights(), values, strict=True):
                np.testing.assert_array_equal(one, two)
    network = dancer.load_dancer(config.dancer, folder / "dancer.weights.h5")
    expected = [value for values in old.dancer_arrays().values() for value in values]
    for one, two in zip(network.model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(one, two)
    assert [path.name for path in (small / "weights").iterdir()] == ["old"]
    said = capsys.readouterr()
    assert "generate_video.py --model old" in said.out
    # Drawn weights know nothing of drawn latents, and that is said.
    assert "no better" in said.err and "change when they are decoded and encoded" in said.err


def test_the_scaler_and_the_seeds_are_those_of_the_latents(small, imported):
    assert run(*imported) == 0
    latents = h5.read_latents(imported[2], 4)
    folder = ModelFolder(small / "weights" / "old")
    scaler = Scaler.load(folder / "scaler.npz")
    vectors = scaler.to_model(latents)
    assert vectors.min(axis=0) == pytest.approx(0) and vectors.max(axis=0) == pytest.approx(1)
    seeds = checked.read_npz(folder / "seeds.npz", "seeds")["vectors"]
    assert seeds.shape == (old.ROWS, 1, 4)
    np.testing.assert_array_equal(seeds[0, 0], vectors[0])  # where every dance of 2018 began


def test_every_script_takes_an_imported_model(small, capsys, monkeypatch):
    old.accept(monkeypatch, dataclasses.replace(old.VAE, height=120, width=208))
    monkeypatch.setattr("dancenet.nets.export.reference._TRIALS", 4)
    assert run(*old.write_all(small), "--fps", "12") == 0
    frames = np.where(np.random.default_rng(0).random((4, 120, 208)) < 0.3, 0, 255)
    FrameWriter(small / "frames").add_clip(
        frames.astype(np.uint8), source="a.mp4", fps=12, method="drawn"
    )
    name = ["--model", "old"]
    assert encode_frames.main([*name, "--frames", "frames"]) == 0
    assert decode_latents.main(["latents.npz", *name, "--scale", "2", "--out", "back.gif"]) == 0
    assert export.main(["--name", "old"]) == 0
    short = [*name, "--seconds", "1", "--scale", "2", "--seed", "1"]
    assert generate_video.main([*short, "--start", "latents.npz:3", "-o", "new.gif"]) == 0
    assert generate_video.main([*short, "--legacy", "-o", "old.gif"]) == 0
    assert "12 frames" in capsys.readouterr().out


def test_a_legacy_dance_says_so_and_can_be_replayed(imported):
    assert run(*imported) == 0
    words = ["--model", "old", "--seconds", "1", "--scale", "2", "--seed", "1"]
    assert generate_video.main([*words, "--legacy", "--latents-out", "first.npz"]) == 0
    settings = Recipe.read("dance.mp4").settings
    assert (settings.legacy, settings.temperature, settings.refine) == (True, 0.01, 0)
    replay = ["--replay", "dance.mp4", "--model", "old", "--latents-out", "second.npz"]
    assert generate_video.main(replay) == 0
    first, second = (Latents.load(name).z_mean for name in ("first.npz", "second.npz"))
    np.testing.assert_array_equal(first, second)
    assert generate_video.main([*words, "--latents-out", "new.npz", "--overwrite"]) == 0
    assert np.abs(Latents.load("new.npz").z_mean - first).max() > 0.1
    assert Recipe.read("dance.mp4").settings.legacy is False
    named = [*words, "--legacy", "--temperature", "0.5", "--refine", "1", "-o", "named.gif"]
    assert generate_video.main(named) == 0
    settings = Recipe.read("named.gif").settings
    assert (settings.temperature, settings.refine) == (0.5, 1)


def test_a_legacy_dance_may_have_another_rate_and_many_dancers(imported):
    assert run(*imported) == 0
    model = load_dancer("old")
    both = DanceSettings(seed=1, legacy=True, count=2, fps=25.0, temperature=0.01)
    vectors = np.stack(list(trajectories(model, both, 20)))
    assert vectors.shape == (20, 2, 4) and np.isfinite(vectors).all()
    assert not np.allclose(vectors[:, 0], vectors[:, 1])


def test_without_the_latents_an_error_says_why_they_are_needed(small, capsys):
    vae_path, dancer_path, _ = old.write_all(small)
    assert run(vae_path, dancer_path) == 1
    said = capsys.readouterr().err
    assert "LV.npy" in said and "smallest and the largest value" in said
    assert not (small / "weights").exists()


def test_a_file_that_does_not_fit_leaves_nothing_behind(small, capsys):
    vae_path, dancer_path, latents = old.write_all(small)
    assert run(dancer_path, vae_path, latents) == 1
    said = capsys.readouterr().err
    assert "expected" in said and "found" in said and "\n" not in said.strip()
    assert list((small / "weights").iterdir()) == []


def test_a_model_of_that_name_is_replaced_only_with_overwrite(small, imported, capsys):
    assert run(*imported) == 0
    assert run(*imported) == 1
    assert "--overwrite" in capsys.readouterr().err
    folder = small / "weights" / "old"
    (folder / "codec.npz").write_text("of the model before")
    (folder / "notes.txt").write_text("of the person")
    assert run(*imported, "--overwrite") == 0
    assert not (folder / "codec.npz").exists()
    assert (folder / "notes.txt").read_text() == "of the person"
    assert [path.name for path in (small / "weights").iterdir()] == ["old"]


def test_a_model_is_not_replaced_while_it_is_trained(small, imported, capsys):
    assert run(*imported) == 0
    with ModelFolder(small / "weights" / "old").hold():
        assert run(*imported, "--overwrite") == 1
    assert "weights/old is being written by process" in capsys.readouterr().err
    assert run(*imported, "--overwrite") == 0


@pytest.mark.parametrize("name", [".", "..", "pictures"])
def test_a_folder_that_is_not_a_model_is_never_replaced(small, capsys, name):
    paths = old.write_all(small)
    (small / "weights" / "pictures").mkdir(parents=True)
    assert import_legacy.main([*map(str, paths), "--overwrite", "--name", name]) == 1
    assert "is not a model, so it is not replaced" in capsys.readouterr().err
    assert (small / "weights" / "pictures").is_dir()


def test_files_that_do_not_fit_give_warnings():
    good = Imported(rows=9, nats_per_dimension=-1.0, pose_nats=-0.5, agreement=0.9)
    assert good.warnings() == []
    bad = Imported(rows=9, nats_per_dimension=0.0, pose_nats=-0.5, agreement=0.1)
    assert len(bad.warnings()) == 2


def test_a_model_made_from_the_genuine_files_dances(tmp_path, monkeypatch, capsys):
    paths = [old.real(name) for name in ("vae_cnn.h5", "gendance.h5", "lv.npy")]
    monkeypatch.chdir(tmp_path)
    assert run(*paths) == 0
    said = capsys.readouterr()
    assert said.err == "" and "177 rows" in said.out
    words = ["--model", "old", "--seconds", "0.5", "--scale", "1", "-o"]
    assert generate_video.main([*words, "new.gif"]) == 0
    assert generate_video.main([*words, "old.gif", "--legacy"]) == 0
    assert Path("new.gif").stat().st_size > 0 and Path("old.gif").stat().st_size > 0

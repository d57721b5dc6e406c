"""Records of models from anywhere get one sentence, whatever they hold."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hostile import check_json
from mutation import check_reader
from small_model import write_small_model

from dancenet.model import registry
from dancenet.model.config import DancerConfig, ModelConfig, VaeConfig
from dancenet.model.folder import ModelFolder
from dancenet.support.errors import UserError


def read_config(path: Path) -> ModelConfig:
    return ModelFolder(path.parent).read_config()


def read_checksums(path: Path) -> str:
    folder = ModelFolder(path.parent)
    folder.check()
    return folder.sha256


def write_registry(path: Path) -> Path:
    file = {"path": "model.zip", "size_bytes": 10, "sha256": "0" * 64, "urls": ["https://a.b/c"]}
    release = {"name": "a_v1", "description": "", "bundled": False, "archive": file}
    other = {"name": "b_v1", "description": "", "files": [{**file, "path": "config.json"}]}
    path.write_text(json.dumps({"format": 1, "models": [release, other]}))
    return path


def test_a_spoilt_configuration_is_one_sentence(tmp_path: Path) -> None:
    folder = write_small_model(tmp_path / "model")
    config = folder.read_config()
    assert config.dancer is not None
    styled = dataclasses.replace(config.dancer, styles=("salsa", "pop"))
    folder.write_config(dataclasses.replace(config, dancer=styled, training={"vae": {"a": 1}}))
    assert check_reader(read_config, folder / "config.json")
    assert check_json(read_config, folder / "config.json")
    first = {**config.to_json(), "format": 1}
    first["dancer"] = {"dim": 3, "steps_seen": 1, "predict": "step", "wander": 0.2}
    first["vae"] = {"crispness": 3.0, "thickness": 0.5}
    (folder / "config.json").write_text(json.dumps(first))
    assert check_json(read_config, folder / "config.json")


def test_spoilt_checksums_are_one_sentence(tmp_path: Path) -> None:
    folder = write_small_model(tmp_path / "model")
    assert check_reader(read_checksums, folder / "checksums.json")
    assert check_json(read_checksums, folder / "checksums.json")


def test_a_spoilt_registry_is_one_sentence(tmp_path: Path) -> None:
    path = write_registry(tmp_path / "registry.json")
    assert set(registry.read_registry(path)) == {"a_v1", "b_v1"}
    assert check_reader(registry.read_registry, path)
    assert check_json(registry.read_registry, path)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("models", 0, "name"), "../a", "must be a plain name"),
        (("models", 0, "name"), ".hidden", "hidden"),
        (("models", 1, "name"), "a_v1", "a model twice"),
        (("models", 0, "archive", "path"), "../../a.zip", "not a path inside"),
        (("models", 0, "archive", "path"), "a\x1b.zip", "not a path inside"),
        (("models", 0, "archive", "size_bytes"), 1 << 60, "size_bytes must be 0 or more"),
        (("models", 0, "archive", "sha256"), "A" * 64, "64 hexadecimal digits"),
        (("models", 0, "archive", "urls"), ["https://a.b/\n"], "not an address"),
        (("models", 0, "bundled"), "yes", "bundled is 'yes'"),
    ],
)
def test_a_registry_cannot_name_what_is_not_a_model(
    tmp_path: Path, place: tuple[str, ...], value: object, said: str
) -> None:
    path = write_registry(tmp_path / "registry.json")
    content = inner = json.loads(path.read_text())
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=said):
        registry.read_registry(path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"units": 10**9}, "units must be 1 or more and at most 8,192"),
        ({"units": 8192, "layers": 64}, "the number of weights must be .* at most 200,000,000"),
        ({"num_mixtures": 1000, "dim": 8192, "units": 8192}, "the number of weights"),
        ({"look_back": 10**9}, "look_back must be"),
        ({"look_back": 0}, "look_back must be"),
        ({"smoothing": 1e9}, "smoothing must be"),
        ({"dropout": 2.0}, "dropout must be"),
        ({"recurrent_activation": "exec"}, "recurrent_activation must be one of"),
        ({"styles": tuple(map(str, range(2000)))}, "the number of styles"),
        ({"styles": ("a" * 300,)}, "a name of at most 255 letters"),
    ],
)
def test_a_dancer_too_large_to_be_real_is_refused(values: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DancerConfig(**values)


@pytest.mark.parametrize(
    "values", [{"height": 10**6, "width": 10**6}, {"latent_dim": 10**6}, {"height": 0}]
)
def test_frames_too_large_to_be_real_are_refused(values: dict) -> None:
    with pytest.raises(ValueError, match="must be 1 or more and at most"):
        VaeConfig(**values)


def test_the_largest_networks_that_are_taken_fit_into_memory() -> None:
    with pytest.raises(ValueError, match="number of weights"):
        VaeConfig(height=1024, width=1024, latent_dim=8192)
    assert VaeConfig(network="dancenet").num_weights < 10_000_000
    assert DancerConfig(units=1024, layers=3, num_mixtures=24, dense_units=1000).num_weights < 3e7


def test_a_model_is_not_described_with_a_file_of_somebody_else(tmp_path: Path) -> None:
    folder = write_small_model(tmp_path / "model")
    (tmp_path / "secret").write_bytes((folder / "seeds.npz").read_bytes())
    (folder / "seeds.npz").unlink()
    try:
        (folder / "seeds.npz").symlink_to(tmp_path / "secret")
    except OSError:
        pytest.skip("this system makes no links")
    with pytest.raises(UserError, match="seeds.npz is a link out of the model"):
        registry.describe(folder.path)

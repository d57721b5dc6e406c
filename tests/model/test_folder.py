"""A model folder knows when one of its files is missing, cut or altered."""

from __future__ import annotations

import pytest

from dancenet.model.config import ModelConfig
from dancenet.model.folder import ModelFolder
from dancenet.support.errors import UserError


@pytest.fixture
def folder(tmp_path):
    folder = ModelFolder(tmp_path / "models" / "salsa")
    folder.create()
    folder.write_config(ModelConfig("salsa"))
    (folder / "encoder.onnx").write_bytes(b"encoder")
    (folder / "step.onnx").write_bytes(b"step")
    folder.seal()
    return folder


def test_a_whole_folder_passes(folder):
    folder.check()
    folder.check(("step.onnx",))
    assert folder.exists() and folder.read_config() == ModelConfig("salsa")


def test_a_missing_file_is_named(folder):
    (folder / "step.onnx").unlink()
    folder.check(("encoder.onnx",))
    with pytest.raises(UserError, match="lacks step.onnx"):
        folder.check()


def test_a_cut_file_is_named(folder):
    (folder / "step.onnx").write_bytes(b"st")
    with pytest.raises(UserError, match="step.onnx has 2 bytes and should have 4"):
        folder.check()


def test_an_altered_file_is_named(folder):
    (folder / "step.onnx").write_bytes(b"pest")
    with pytest.raises(UserError, match="step.onnx was altered"):
        folder.check()


def test_the_hash_follows_the_bytes(folder):
    before = folder.sha256
    folder.seal()
    assert folder.sha256 == before
    (folder / "step.onnx").write_bytes(b"pest")
    assert folder.seal() != before


def test_a_damaged_record_is_named(folder):
    (folder / "checksums.json").write_text('{"step.onnx": 3}')
    with pytest.raises(UserError, match="not a record"):
        folder.check()


def test_a_file_that_is_needed_names_the_command_that_makes_it(folder):
    with pytest.raises(UserError, match="has no decoder.onnx; make it with `train`"):
        folder.require("decoder.onnx", "`train`")

"""The person network finds a person in real footage, and says what is wrong with its file."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from films import SHARED

from dancenet.data.footage.segmenter import Segmenter, load_segmenter
from dancenet.data.people import network_files
from dancenet.support.errors import MissingExtra, UserError

MODEL_FILE = SHARED / "models" / network_files.SELFIE.path


def test_without_the_interpreter_the_extra_is_named_before_any_download(monkeypatch):
    monkeypatch.delitem(sys.modules, "ai_edge_litert.interpreter", raising=False)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setattr(network_files, "find", lambda *_: pytest.fail("downloaded for nothing"))
    with pytest.raises(MissingExtra, match=r"person segmentation.*ai-edge-litert.*\[person\]"):
        load_segmenter()


def test_a_missing_model_file_says_so(tmp_path):
    with pytest.raises(UserError, match="no segmentation network"):
        Segmenter(tmp_path / "none.tflite")


def test_a_file_that_is_no_network_says_so(tmp_path):
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "a.tflite"
    path.write_bytes(b"weights" * 100)
    with pytest.raises(UserError, match="is not a network of the LiteRT format"):
        Segmenter(path)


@pytest.mark.skipif(not MODEL_FILE.exists(), reason="the person network is not on this machine")
def test_the_network_finds_the_person_and_nobody_in_an_empty_picture():
    pytest.importorskip("ai_edge_litert")
    from dancenet.data.footage.video import open_footage

    network = load_segmenter(MODEL_FILE)
    picture = next(open_footage(SHARED / "data" / "video" / "green_screen.mp4").frames())
    probability = network(picture)
    assert probability.shape == (256, 256) and probability.dtype == np.float32
    assert 0.1 < (probability > 0.5).mean() < 0.3
    assert probability[200, 105] > 0.9  # the trunk
    assert probability[100, 220] < 0.1  # the screen
    assert (network(np.full((90, 160, 3), 128, np.uint8)) > 0.5).mean() < 0.01


@pytest.mark.skipif(not MODEL_FILE.exists(), reason="the person network is not on this machine")
def test_the_interpreter_announces_nothing(capfd):
    pytest.importorskip("ai_edge_litert")
    load_segmenter(MODEL_FILE)(np.full((90, 160, 3), 128, np.uint8))
    assert capfd.readouterr() == ("", "")

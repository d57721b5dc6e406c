"""The person network is fetched once and checked, and finds a person in real footage."""

from __future__ import annotations

import hashlib
import http.server
import sys
import threading

import numpy as np
import pytest
from films import SHARED

from dancenet.data.footage import segmenter
from dancenet.data.footage.segmenter import (
    MODEL_NAME,
    MODEL_SHA256,
    Segmenter,
    find_model,
    load_segmenter,
)
from dancenet.support.errors import MissingExtra, UserError

CONTENT = b"weights" * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MODEL_FILE = SHARED / "models" / MODEL_NAME


class Handler(http.server.BaseHTTPRequestHandler):
    requests: list[str] = []

    def do_GET(self):
        self.requests.append(self.path)
        if "missing" in self.path:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    Handler.requests.clear()
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    thread.join()
    running.server_close()


def test_the_right_bytes_are_kept_and_not_fetched_twice(server, tmp_path):
    url = f"{server}/model.tflite?generation=1"
    path = find_model(url, SHA256, tmp_path)
    assert path == tmp_path / MODEL_NAME and path.read_bytes() == CONTENT
    assert find_model(url, SHA256, tmp_path) == path
    assert Handler.requests == ["/model.tflite?generation=1"]


def test_wrong_bytes_are_refused_and_not_kept(server, tmp_path):
    with pytest.raises(UserError, match="could not be downloaded.*model_file"):
        find_model(f"{server}/model.tflite", MODEL_SHA256, tmp_path)
    assert not (tmp_path / MODEL_NAME).exists()


def test_an_altered_file_in_the_cache_is_fetched_again(server, tmp_path):
    (tmp_path / MODEL_NAME).write_bytes(b"altered")
    assert find_model(f"{server}/m", SHA256, tmp_path).read_bytes() == CONTENT


def test_a_failed_download_says_where_and_what_to_do_instead(server, tmp_path):
    with pytest.raises(UserError, match="missing.tflite.*method=.background"):
        find_model(f"{server}/missing.tflite", SHA256, tmp_path)


def test_a_download_without_a_connection_is_told_in_a_few_words(tmp_path):
    with pytest.raises(UserError, match=r"m\.tflite \(no connection \(ConnectionError\)\)\. Check"):
        find_model("http://127.0.0.1:9/m.tflite", SHA256, tmp_path)


def test_the_cache_can_be_chosen_by_the_environment(server, tmp_path, monkeypatch):
    monkeypatch.setenv("DANCENET_CACHE", str(tmp_path))
    assert find_model(f"{server}/m", SHA256) == tmp_path / MODEL_NAME


def test_without_the_interpreter_the_extra_is_named_before_any_download(monkeypatch):
    monkeypatch.delitem(sys.modules, "ai_edge_litert.interpreter", raising=False)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setattr(segmenter, "find_model", lambda: pytest.fail("downloaded for nothing"))
    with pytest.raises(MissingExtra, match=r"person segmentation.*ai-edge-litert.*\[person\]"):
        load_segmenter()


def test_a_missing_model_file_says_so(tmp_path):
    with pytest.raises(UserError, match="no segmentation network"):
        Segmenter(tmp_path / "none.tflite")


def test_a_file_that_is_no_network_says_so(tmp_path):
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "a.tflite"
    path.write_bytes(CONTENT)
    with pytest.raises(UserError, match="is not a network that ai-edge-litert can run"):
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

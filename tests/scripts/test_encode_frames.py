"""The commands between frames and latents, there and back, as a person types them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from small_model import DIM, write_small_model

from dancenet.codecs.latents import Latents
from dancenet.data.frames.writer import FrameWriter
from dancenet.model.folder import ModelFolder
from dancenet.support import files
from scripts import encode_frames


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFolder:
    monkeypatch.chdir(tmp_path)
    rows, columns = np.mgrid[:120, :208]
    frames = [
        np.where(np.hypot(rows - 60, columns - 60 - index) < 20, 0, 255).astype(np.uint8)
        for index in range(35)
    ]
    FrameWriter(tmp_path / "imgs").add_clip(frames, source="a.mp4", fps=25, method="drawn")
    return write_small_model(tmp_path / "weights" / "small")


def test_latents_lie_beside_the_frames_and_know_their_encoder(
    model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode_frames.main(["--frames", "imgs", "--model", "small"]) == 0
    latents = Latents.load("latents.npz")
    assert latents.z_mean.shape == (35, DIM)
    assert latents.fps == 25 and latents.sources == ("a.mp4",)
    latents.require_encoder(files.sha256_of(model / "encoder.onnx"), "small")
    said = capsys.readouterr().out
    assert "35 frames of 1 clips" in said
    assert "decode_latents.py" in said


def test_latents_are_replaced_and_other_files_are_not(
    model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--frames", "imgs", "--name", "small", "-o", "mine.npz"]
    assert encode_frames.main(words) == 0
    assert encode_frames.main(words) == 0
    np.savez("mine.npz", thesis=np.zeros(3))
    assert encode_frames.main(words) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert encode_frames.main([*words, "--overwrite"]) == 0


def test_bad_input_is_one_sentence(model: ModelFolder, capsys: pytest.CaptureFixture[str]) -> None:
    def complain(*words: str) -> str:
        assert encode_frames.main(list(words)) == 1
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return said

    Path("empty").mkdir()
    assert "holds no frames" in complain("--frames", "empty", "--model", "small")
    assert "nobody" in complain("--frames", "imgs", "--model", "nobody")
    out = str(Path("nowhere") / "l.npz")
    assert "does not exist" in complain("--frames", "imgs", "--model", "small", "-o", out)
    cv2.imwrite("imgs/20.jpg", np.zeros((50, 50), np.uint8))
    assert "20.jpg is 50x50" in complain("--frames", "imgs", "--model", "small")
    Path("imgs/20.jpg").write_bytes(b"\xff\xd8 no picture")
    assert "not a readable picture" in complain("--frames", "imgs", "--model", "small")
    Path("imgs/20.jpg").unlink()
    assert "20.jpg" in complain("--frames", "imgs", "--model", "small")
    assert not Path("latents.npz").exists()


def test_a_model_without_an_encoder_says_what_writes_it(
    model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    (model / "encoder.onnx").unlink()
    assert encode_frames.main(["--frames", "imgs", "--model", "small"]) == 1
    assert "export.py" in capsys.readouterr().err

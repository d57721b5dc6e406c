"""Latents back to a video, as a person types it."""

from pathlib import Path

import numpy as np
import pytest
from small_model import write_small_model

from dancenet.codecs.latents import Latents
from dancenet.data.frames.writer import FrameWriter
from dancenet.model.folder import ModelFolder
from dancenet.output.video_settings import read_settings
from scripts import decode_latents, encode_frames


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFolder:
    monkeypatch.chdir(tmp_path)
    rows, columns = np.mgrid[:120, :208]
    frames = [
        np.where(np.hypot(rows - 60, columns - 60 - index) < 20, 0, 255).astype(np.uint8)
        for index in range(35)
    ]
    FrameWriter(tmp_path / "imgs").add_clip(frames, source="a.mp4", fps=25, method="drawn")
    folder = write_small_model(tmp_path / "weights" / "small")
    assert encode_frames.main(["--frames", "imgs", "--model", "small"]) == 0
    return folder


def test_a_video_and_its_overlap_with_the_source(
    model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["latents.npz", "--model", "small", "--frames", "imgs", "--scale", "1"]
    assert decode_latents.main(words) == 0
    said = capsys.readouterr().out
    assert "decoded.mp4: 35 frames, 1.4 s" in said
    assert "Overlap with the source frames (IoU): 0." in said
    assert read_settings("decoded.mp4")["kind"] == "reconstruction"


def test_a_part_can_be_chosen(model: ModelFolder, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "small", "--first", "10", "--seconds", "0.4", "--scale", "1"]
    assert decode_latents.main(words) == 0
    assert "10 frames, 0.4 s" in capsys.readouterr().out
    assert decode_latents.main([*words, "--first", "35"]) == 1
    assert "choose a first row from 0 to" in capsys.readouterr().err
    assert decode_latents.main([*words, "--scale", "1000"]) == 1
    assert "choose 1 to 39" in capsys.readouterr().err


def test_latents_that_cannot_be_used_are_one_sentence(
    model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    def complain(*words: str) -> str:
        assert decode_latents.main([*words, "--model", "small"]) == 1
        return capsys.readouterr().err

    assert "There is no file of latents" in complain("nothing.npz")
    Path("cut.npz").write_bytes(Path("latents.npz").read_bytes()[:200])
    assert "not a readable file of latents" in complain("cut.npz")
    with np.load("latents.npz") as archive:
        arrays = dict(archive)
    arrays["z_mean"][3] = np.nan
    np.savez("nan.npz", **arrays)
    assert "NaN or infinity in 1 frames, first in frame 4" in complain("nan.npz")
    (model / "encoder.onnx").write_bytes((model / "encoder.onnx").read_bytes() + b"\0")
    assert "another encoder" in complain("latents.npz")
    assert Latents.is_latents(Path("latents.npz"))
    assert not Path("decoded.mp4").exists()

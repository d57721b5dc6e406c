"""Frames to latents and back to a video: every frame, in order, and only its own."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from small_model import DIM, write_small_model

from dancenet.data.frames.folder import FrameFolder
from dancenet.data.frames.writer import FrameWriter
from dancenet.generation import encode as encoding
from dancenet.model.folder import ModelFolder
from dancenet.support.errors import UserError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return write_small_model(tmp_path_factory.mktemp("weights") / "small")


def write_frames(path: Path, num_frames: int = 40, fps: float = 30.0) -> FrameFolder:
    """Writes discs that travel, in two clips."""
    rows, columns = np.mgrid[:120, :208]
    frames = [
        np.where(np.hypot(rows - 60, columns - 60 - index) < 20, 0, 255).astype(np.uint8)
        for index in range(num_frames)
    ]
    writer = FrameWriter(path)
    half = num_frames // 2
    writer.add_clip(frames[:half], source="a", fps=fps, method="drawn", split="train")
    writer.add_clip(frames[half:], source="b", fps=fps, method="drawn", split="val")
    return FrameFolder.open(path)


def test_every_frame_is_encoded_the_last_included(tmp_path: Path, model: ModelFolder) -> None:
    frames = write_frames(tmp_path / "imgs")
    latents = encoding.encode_frames(model, frames)
    assert latents.z_mean.shape == (40, DIM)
    assert latents.clips == (range(0, 20), range(20, 40))
    assert latents.splits == ("train", "val")
    assert latents.fps == 30
    # The small encoder's first output grows with the disc's column.
    assert (np.diff(latents.z_mean[:, 0]) > 0).all()


def test_latents_are_decoded_beside_their_frames(tmp_path: Path, model: ModelFolder) -> None:
    frames = write_frames(tmp_path / "imgs")
    latents = encoding.encode_frames(model, frames)
    made = encoding.write_reconstruction(
        model,
        latents,
        tmp_path / "both",
        frames=frames,
        scale=1,
        rows=range(5, 30),
        format="frames",
    )
    assert made.num_frames == 25
    assert made.iou is not None and made.iou.shape == (25,)
    assert ((made.iou >= 0) & (made.iou <= 1)).all()
    import cv2

    picture = cv2.imread(str(tmp_path / "both" / "000001.png"), cv2.IMREAD_GRAYSCALE)
    assert picture is not None and picture.shape == (120, 416)
    left = frames.read(6, 6)[0]
    assert ((picture[:, :208] < 128) == (left < 128)).mean() > 0.999, "the source is on the left"


def test_frames_that_are_not_the_latents_own_are_refused(
    tmp_path: Path, model: ModelFolder
) -> None:
    frames = write_frames(tmp_path / "imgs")
    latents = encoding.encode_frames(model, frames)
    others = write_frames(tmp_path / "others", 30)
    with pytest.raises(UserError, match="30 frames and there are 40 latents"):
        encoding.write_reconstruction(model, latents, tmp_path / "d.mp4", frames=others)
    foreign = dataclasses.replace(latents, encoder_sha256="0" * 64)
    with pytest.raises(UserError, match="another encoder"):
        encoding.write_reconstruction(model, foreign, tmp_path / "d.mp4")

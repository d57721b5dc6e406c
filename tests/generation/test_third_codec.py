"""A third space is one more codec: a dot that moves in the plane dances to a video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dancenet.codecs.base import Codec, FrameCodec, Scaler
from dancenet.data.footage.video import open_footage
from dancenet.generation.load import Dancer
from dancenet.generation.settings import DanceSettings
from dancenet.generation.write import make_motions, write_dance
from dancenet.sequence.generate import State
from dancenet.sequence.mixture import Mixture
from dancenet.support.errors import UserError

SCALER = Scaler(np.zeros(2, np.float32), np.eye(2, dtype=np.float32), np.ones(2, np.float32))


class DotCodec(FrameCodec):
    """Vectors (x, y) in pixels from the middle, drawn as a dot with a radius of 10 pixels."""

    kind = "as a dot"

    def decode(self, vectors: np.ndarray, refine: int = 0) -> np.ndarray:
        rows, columns = np.mgrid[:120, :208]
        x, y = (vectors.T + [[104], [60]])[..., None, None]
        return (np.hypot(columns - x, rows - y) > 10).astype(np.float32)


class ToTheRight:
    """Predicts the place one pixel further to the right, surely."""

    dim = 2

    def initial_state(self, batch: int, style: np.ndarray | None = None) -> State:
        return ()

    def step(self, vectors: np.ndarray, state: State) -> tuple[Mixture, State]:
        mu = (vectors + [1, 0])[:, None]
        return Mixture(np.zeros((len(vectors), 1)), mu, np.full_like(mu, 1e-6)), state


def make_dancer() -> Dancer:
    codec: Codec = DotCodec(SCALER, 25.0)
    return Dancer(
        name="dot",
        sha256="",
        codec=codec,
        step_model=ToTheRight(),
        seeds=np.full((1, 1, 2), -20.0, np.float32),
        threads=2,
    )


def test_a_codec_of_a_few_lines_dances_to_a_video(tmp_path: Path) -> None:
    (written,) = write_dance(
        make_dancer(), tmp_path / "dot.mp4", DanceSettings(seconds=1, seed=0, scale=1)
    )
    assert (written.num_frames, written.complete) == (25, True)
    frames = np.stack(list(open_footage(str(tmp_path / "dot.mp4")).frames()))
    columns = [np.nonzero(frame.min(axis=-1) < 128)[1].mean() for frame in frames]
    np.testing.assert_allclose(columns, 104 - 20 + np.arange(1, 26), atol=0.5)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("dot.bvh", DanceSettings(), "dances as a dot, which cannot be written as .bvh"),
        ("dot.mp4", DanceSettings(yaw=90), "dances as a dot, which have one side"),
        ("dot.mp4", DanceSettings(start="l.npz:3"), "as a dot and has no latents to start from"),
    ],
)
def test_what_a_codec_does_not_do_is_said(
    tmp_path: Path, name: str, settings: DanceSettings, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        write_dance(make_dancer(), tmp_path / name, settings)
    with pytest.raises(UserError, match="no latents to store"):
        write_dance(make_dancer(), tmp_path / "dot.mp4", latents_path=tmp_path / "l.npz")
    with pytest.raises(UserError, match="have no joints"):
        make_motions(make_dancer(), DanceSettings())

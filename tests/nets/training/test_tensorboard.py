"""What TensorBoard is given, read back by TensorBoard's own readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")
pytest.importorskip("keras_mdn_layer", reason="the dancer needs the extra 'train'")
pytest.importorskip("tensorboard", reason="the board needs the extra 'train'")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard_files import read_board, read_projector

from dancenet.model.config import DancerConfig
from dancenet.nets.dancer import build_dancer
from dancenet.nets.dancer_trainer import DancerTrainer
from dancenet.nets.training.tensorboard import (
    DancerTensorBoard,
    SourceClip,
    TensorBoardLog,
    mixture_figures,
)
from dancenet.nets.training.windows import BatchOptions, WindowData
from dancenet.sequence.mixture import Mixture

pytestmark = pytest.mark.usefixtures("eagerly")

DIM = 2
STEP = np.array([0.5, 0.25], np.float32)


def parabola(num_frames: int) -> WindowData:
    """Vectors (t^2 / 8, t) in model units."""
    time = np.arange(num_frames, dtype=np.float32)
    vectors = np.stack([time**2 / 8, time], axis=1)
    return WindowData(vectors, BatchOptions(look_back=12, warm_up=2))


def steady(pi: Any, sigmas: Any) -> DancerTrainer:
    """A dancer that stays where it is, whatever it sees, with these weights and sigmas."""
    config = DancerConfig(dim=DIM, units=4, num_mixtures=len(pi), sigma_floor=0.0)
    network = build_dancer(config)
    for weight in network.model.trainable_weights:
        weight.assign(np.zeros(weight.shape, np.float32))
    network.set_step_scale(STEP)
    network.mdn.mdn_pi.bias.assign(np.log(np.asarray(pi, np.float32)))
    # elu(e) + 1 is sigma where e is sigma - 1 and positive.
    network.mdn.mdn_sigmas.bias.assign(np.repeat(np.asarray(sigmas, np.float32) - 1, DIM))
    return DancerTrainer(network)


def test_the_entropy_is_that_of_the_weights_and_its_share_of_log_k() -> None:
    data, pi = parabola(30), [0.5, 0.25, 0.25]
    windows = data.windows([range(30)], 5)
    figures = mixture_figures(steady(pi, [1.0, 1.0, 1.0]), data, windows, STEP)
    expected = 0.5 * np.log(2) + 0.5 * np.log(4)
    assert figures["mixture/entropy"] == pytest.approx(expected, rel=1e-5)
    assert figures["mixture/entropy_share"] == pytest.approx(expected / np.log(3), rel=1e-5)


def test_one_component_has_no_entropy_and_no_share_of_log_one() -> None:
    data = parabola(30)
    figures = mixture_figures(steady([1.0], [1.0]), data, data.windows([range(30)], 5), STEP)
    assert figures["mixture/entropy"] == 0.0 and "mixture/entropy_share" not in figures
    assert figures["won/00"] == 1.0 and figures["mixture/components_used"] == 1.0


def test_each_step_is_won_by_the_component_that_predicted_it_best() -> None:
    # The step from t to t + 1 is ((2 t + 1) / 8, 1), in RMS steps (t / 2 + 1 / 4, 4). Of two
    # Gaussians around 0 the wide one wins where the mean square is above that of the border.
    data = parabola(40)
    windows = data.windows([range(40)], 5)
    figures = mixture_figures(steady([0.5, 0.5], [4.0, 8.0]), data, windows, STEP)
    border = 2 * 2 * np.log(8 / 4) / (1 / 16 - 1 / 64)
    batch = data.still(windows)
    steps = (batch["targets"] - batch["inputs"])[batch["mask"] > 0] / STEP
    wide = (np.square(steps).sum(axis=1) > border).mean()
    assert 0.2 < wide < 0.8
    assert figures["won/01"] == pytest.approx(wide, abs=1e-6)
    assert figures["won/00"] == pytest.approx(1 - wide, abs=1e-6)
    used = np.exp(-wide * np.log(wide) - (1 - wide) * np.log(1 - wide))
    assert figures["mixture/components_used"] == pytest.approx(used, rel=1e-5)


def test_sigma_is_measured_in_rms_steps_and_of_the_winners_only() -> None:
    data = parabola(30)
    windows = data.windows([range(30)], 5)
    figures = mixture_figures(steady([1.0, 1e-30], [3.0, 50.0]), data, windows, STEP)
    names = ("mixture/sigma_05", "mixture/sigma_50", "mixture/sigma_95")
    assert [figures[name] for name in names] == pytest.approx([3.0] * 3, rel=1e-5)
    twice = mixture_figures(steady([1.0, 1e-30], [3.0, 50.0]), data, windows, STEP * 2)
    assert [twice[name] for name in names] == pytest.approx([1.5] * 3, rel=1e-5)


def test_the_jerk_of_the_path_is_beside_that_of_the_real_one() -> None:
    # x = t^2 / 8 has the second difference 1 / 4, in RMS steps 1 / 2; y has none. A dancer that
    # stays where it is repeats the path one frame late.
    data = parabola(40)
    figures = mixture_figures(steady([1.0], [1.0]), data, data.windows([range(40)], 5), STEP)
    assert figures["path/jerk_real"] == pytest.approx(0.5**2 / 2, rel=1e-3)
    assert figures["path/jerk"] == pytest.approx(0.5**2 / 2, rel=1e-3)


def test_what_the_board_wrote_can_be_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, trainer = parabola(40), steady([0.5, 0.5], [4.0, 8.0])
    windows = data.windows([range(40)], 5)
    board = DancerTensorBoard(tmp_path / "board", trainer, data, windows, STEP)
    for epoch in (1, 2):
        board.add({"epoch": epoch, "step": 7 * epoch, "loss": -1.0 / epoch, "gradient_norm": 3.0})
    board.close()
    read = read_board(tmp_path / "board")
    assert read.pop("loss") == {7: -1.0, 14: -0.5}
    assert read.pop("gradient_norm") == {7: 3.0, 14: 3.0}
    figures = mixture_figures(trainer, data, windows, STEP)
    assert read.keys() == figures.keys()
    for name, value in figures.items():
        assert read[name] == pytest.approx({7: value, 14: value}, rel=1e-5)
    assert f"`tensorboard --logdir {tmp_path / 'board'}`" in capsys.readouterr().out


def test_a_figure_carries_a_sentence_about_itself(tmp_path: Path) -> None:
    log = TensorBoardLog(tmp_path, {"loss": "Below zero is no bug."})
    log.add({"epoch": 1, "step": 1, "loss": 0.0, "other": 0.0})
    log.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    said = {name: events.SummaryMetadata(name).summary_description for name in ("loss", "other")}
    assert said == {"loss": "Below zero is no bug.", "other": ""}


class Walker:
    """Goes one step to the right in every frame."""

    dim = DIM

    def __init__(self) -> None:
        self.style: Any = None

    def initial_state(self, batch: int, style: Any = None) -> tuple[np.ndarray, ...]:
        self.style = style
        return ()

    def step(
        self, vectors: np.ndarray, state: tuple[np.ndarray, ...]
    ) -> tuple[Mixture, tuple[np.ndarray, ...]]:
        mu = (vectors + np.array([0, 1], np.float32))[:, None]
        return Mixture(np.zeros((len(vectors), 1)), mu, np.full_like(mu, 1e-9)), state


def test_real_and_generated_vectors_lie_side_by_side_in_the_projector(tmp_path: Path) -> None:
    data = parabola(40)
    board = DancerTensorBoard(
        tmp_path, steady([1.0], [1.0]), data, data.windows([range(40)], 5), STEP
    )
    clips = [
        SourceClip(range(0, 25), "training", "one\tfilm.mp4", "salsa"),
        SourceClip(range(25, 40), "held out", "two.mp4"),
    ]
    board.project(data.vectors, clips, Walker(), 1.0, 10.0)
    board.close()
    vectors, labels = read_projector(tmp_path)
    assert list(labels) == ["kind", "source", "style", "second"]
    kinds = np.array(labels["kind"])
    assert {kind: int((kinds == kind).sum()) for kind in set(kinds)} == {
        "training": 25,
        "held out": 15,
        "generated": 200,
    }
    assert vectors[:40] == pytest.approx(data.vectors, rel=1e-5)
    assert labels["second"][:2] == ["0.00", "0.10"] and labels["second"][25] == "0.00"
    assert labels["source"][0] == "one film.mp4" and labels["source"][39] == "two.mp4"
    assert labels["style"][0] == "salsa" and labels["style"][39] == ""
    # Two seconds of the one stretch that is so long, twenty frames, and then a step a frame.
    assert {labels["source"][row] for row in np.flatnonzero(kinds == "generated")} == {
        "one film.mp4"
    }
    made = vectors[kinds == "generated"]
    seconds = np.array([float(word) for word in labels["second"]])[kinds == "generated"]
    assert made[:, 1] == pytest.approx(19 + 1 + 10 * seconds, abs=1e-3)
    assert made[:, 0] == pytest.approx(19**2 / 8, abs=1e-3)


def test_each_dance_in_the_projector_has_the_style_of_what_it_goes_on_from(tmp_path: Path) -> None:
    data, walker = parabola(60), Walker()
    board = DancerTensorBoard(
        tmp_path, steady([1.0], [1.0]), data, data.windows([range(60)], 5), STEP
    )
    clips = [
        SourceClip(range(0, 30), "training", "one.mp4", "salsa"),
        SourceClip(range(30, 60), "training", "two.mp4", "tango"),
    ]
    styles = np.repeat(np.eye(2, dtype=np.float32), 30, axis=0)
    board.project(data.vectors, clips, walker, 1.0, 10.0, styles)
    board.close()
    assert walker.style.tolist() == [[1, 0], [0, 1]]
    _, labels = read_projector(tmp_path)
    made = zip(labels["kind"], labels["source"], labels["style"])
    assert {(source, style) for kind, source, style in made if kind == "generated"} == {
        ("one.mp4", "salsa"),
        ("two.mp4", "tango"),
    }


def test_the_projector_shows_as_many_generated_vectors_as_real_ones(tmp_path: Path) -> None:
    data = parabola(3000)
    board = DancerTensorBoard(
        tmp_path, steady([1.0], [1.0]), data, data.windows([range(40)], 5), STEP
    )
    clips = [SourceClip(range(n, n + 300), "training", str(n)) for n in range(0, 3000, 300)]
    board.project(data.vectors, clips, Walker(), 1.0, 10.0)
    board.close()
    kinds = read_projector(tmp_path)[1]["kind"]
    assert (kinds.count("training"), kinds.count("generated")) == (1000, 1000)


def test_vectors_without_a_label_each_are_refused(tmp_path: Path) -> None:
    log = TensorBoardLog(tmp_path)
    for labels in ({"kind": ["a"] * 3}, {"kind": ["a"] * 3, "style": ["b"] * 2}):
        with pytest.raises(ValueError, match="3 vectors need two kinds of labels"):
            log.add_vectors(np.zeros((3, 2)), labels)
    log.close()

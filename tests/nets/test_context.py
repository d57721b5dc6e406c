"""A dancer that sees running means: over a whole sequence and step by step, and in its windows."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")
pytest.importorskip("keras_mdn_layer", reason="the dancer needs the extra 'train'")

from dancenet.codecs.base import Scaler
from dancenet.codecs.latents import Latents
from dancenet.model.config import DancerConfig
from dancenet.nets.dancer import KerasStepModel, build_dancer, split_params
from dancenet.nets.dancer_trainer import DancerTrainer, begin_linear
from dancenet.nets.training.windows import BatchOptions, WindowData
from dancenet.sequence.context import running_means

pytestmark = pytest.mark.usefixtures("eagerly")

CONSTANTS = (3.0, 40.0)
CONFIG = DancerConfig(
    dim=4, units=8, num_mixtures=3, look_back=6, velocity_inputs=2, context=CONSTANTS
)


def walk(length: int, seed: int = 0) -> np.ndarray:
    steps = np.random.default_rng(seed).normal(size=(length, 4))
    return (0.2 * np.cumsum(steps, axis=0)).astype(np.float32)


def windows_of(vectors: np.ndarray, clips: list[range]) -> WindowData:
    latents = Latents(
        z_mean=vectors,
        z_log_var=np.zeros_like(vectors),
        fps=30.0,
        clips=tuple(clips),
        splits=(None,) * len(clips),
        sources=("a",) * len(clips),
        encoder_sha256="",
    )
    whole = Scaler(np.zeros(4, np.float32), np.eye(4, dtype=np.float32), np.ones(4, np.float32))
    return WindowData.of_latents(latents, whole, BatchOptions(6, warm_up=0, context=CONSTANTS))


@pytest.mark.parametrize("styles", [(), ("a", "b")])
def test_the_whole_sequence_and_step_by_step_are_the_same(styles: tuple[str, ...]) -> None:
    keras.utils.set_random_seed(1)
    network = build_dancer(
        DancerConfig(
            dim=4, units=8, num_mixtures=3, velocity_inputs=2, context=CONSTANTS, styles=styles
        )
    )
    vectors = np.stack([walk(7), walk(7, 1)])
    context = np.stack([running_means(clip, CONSTANTS).reshape(7, 8) for clip in vectors])
    style = [np.eye(2, dtype=np.float32)] if styles else []
    whole = network.model.predict_on_batch([vectors, context, *style])
    model = KerasStepModel(network)
    state = model.initial_state(2, *style)
    assert len(state) == 2 + 2 + 2 + len(style)
    for index in range(7):
        mixture, state = model.step(vectors[:, index], state)
        for received, part in zip(mixture, split_params(whole[:, index], 4, 3)):
            expected = keras.ops.convert_to_numpy(part)
            assert received == pytest.approx(expected, abs=1e-5)


def test_windows_know_what_came_before_them_in_their_clip() -> None:
    vectors = walk(60)
    data = windows_of(vectors, [range(0, 25), range(25, 60)])
    batch = data.still(np.array([[10, 7], [30, 7]]))
    assert batch["context"].shape == (2, 6, 8)
    of_clip = running_means(vectors[25:60], CONSTANTS).reshape(35, 8)
    assert batch["context"][1] == pytest.approx(of_clip[5:11], abs=1e-6)
    assert batch["inputs"][0] == pytest.approx(vectors[10:16])


def test_training_lowers_the_loss_from_the_linear_start() -> None:
    keras.utils.set_random_seed(2)
    network = build_dancer(CONFIG)
    data = windows_of(walk(200), [range(0, 200)])
    batch = data.draw(data.windows([range(0, 200)], 2), np.random.default_rng(0))
    begin_linear(network, **batch)
    trainer = DancerTrainer(network)
    trainer.compile(optimizer=keras.optimizers.Adam(0.003))
    before = trainer.losses(batch).mean()
    for _ in range(10):
        trainer.train_on_batch(batch)
    assert trainer.losses(batch).mean() < before


def test_a_network_of_single_vectors_has_no_running_means() -> None:
    with pytest.raises(ValueError, match="look_back=1"):
        DancerConfig(dim=4, look_back=1, context=CONSTANTS)

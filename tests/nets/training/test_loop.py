"""The training loop: resuming exactly, stopping, keeping the best, keeping to a time."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")

from dancenet.nets.training import loop
from dancenet.nets.training.loop import Batch, Epoch, Schedule, TrainOptions, TrainResult, TrainTask
from dancenet.nets.training.loop.epochs import TrainingLoop
from dancenet.support.errors import UserError

STEPS = 5


def make_model() -> Any:
    keras.utils.set_random_seed(1)
    # Dropout, because its random state has to be resumed as well.
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(8, activation="tanh"),
            keras.layers.Dropout(0.3, seed=5),
            keras.layers.Dense(1),
        ]
    )
    model.compile(
        optimizer=loop.make_optimizer(Schedule()),
        loss="mse",
        metrics=["mae"],
        jit_compile=loop.jit_compile(),
    )
    return model


def batches(epoch: Epoch) -> Iterator[Batch]:
    for _ in range(epoch.num_steps):
        x = epoch.rng.standard_normal((4, 3)).astype(np.float32)
        yield x, x.sum(axis=1, keepdims=True)


def run(folder: Path, options: TrainOptions, model: Any = None, **arguments: Any) -> TrainResult:
    folder.mkdir(exist_ok=True)
    model = model or make_model()
    x = np.random.default_rng(9).standard_normal((16, 3)).astype(np.float32)
    keywords: dict[str, Any] = {
        "batches": batches,
        "validate": lambda: {
            "val_loss": float(np.mean((model.predict_on_batch(x)[:, 0] - x.sum(1)) ** 2))
        },
        "steps_per_epoch": STEPS,
        "items_per_step": 4,
        **arguments,
    }
    how = {name: keywords.pop(name) for name in ("resume", "started") if name in keywords}
    task = TrainTask(model=model, folder=folder, **keywords)
    return loop.train(task, options.resolve(), **how)


def checkpoint(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / loop.CHECKPOINT) as archive:
        return {name: archive[name] for name in archive.files if name != "content"}


def stop_at(step: int) -> Any:
    def interrupted(epoch: Epoch) -> Iterator[Batch]:
        # A single batch is drawn before training, to compile.
        for index, batch in enumerate(batches(epoch)):
            if epoch.num_steps == STEPS and epoch.first_step + index == step:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    return interrupted


@pytest.mark.parametrize("step", [7, 10, 14], ids=["inside", "first of epoch", "last of epoch"])
def test_a_training_stopped_and_resumed_is_the_uninterrupted_one(tmp_path: Path, step: int) -> None:
    options = TrainOptions(epochs=4, warm_up_steps=3)
    straight = run(tmp_path / "straight", options)
    with pytest.raises(KeyboardInterrupt, match="resume=True"):
        run(tmp_path / "stopped", options, batches=stop_at(step))
    resumed = run(tmp_path / "stopped", options, resume=True)
    first, second = checkpoint(tmp_path / "straight"), checkpoint(tmp_path / "stopped")
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-6, atol=1e-7)
    assert [record["val_loss"] for record in straight.history] == pytest.approx(
        [record["val_loss"] for record in resumed.history], rel=1e-5
    )
    assert [record["loss"] for record in straight.history] == pytest.approx(
        [record["loss"] for record in resumed.history], rel=1e-5
    )
    for name in ("mae", "gradient_norm", "gradient_norm_max"):
        assert [record[name] for record in straight.history] == pytest.approx(
            [record[name] for record in resumed.history], rel=1e-5
        )
    assert resumed.steps == straight.steps == 4 * STEPS


@pytest.mark.parametrize("draw", [0, 1, 3], ids=["compiling", "timing", "later in timing"])
def test_a_training_stopped_before_its_first_step_can_be_resumed(tmp_path: Path, draw: int) -> None:
    options = TrainOptions(epochs=2, warm_up_steps=3)
    straight = run(tmp_path / "straight", options)
    drawn = 0

    def interrupted(epoch: Epoch) -> Iterator[Batch]:
        nonlocal drawn
        for batch in batches(epoch):
            if drawn == draw:
                os.kill(os.getpid(), signal.SIGTERM)
            drawn += 1
            yield batch

    with pytest.raises(KeyboardInterrupt, match="0 epochs and 0 steps are kept"):
        run(tmp_path / "stopped", options, batches=interrupted)
    assert drawn == draw + 1
    resumed = run(tmp_path / "stopped", options, resume=True)
    assert resumed.steps == straight.steps
    first, second = checkpoint(tmp_path / "straight"), checkpoint(tmp_path / "stopped")
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-6, atol=1e-7)


def test_a_stop_in_the_very_last_step_is_a_stop_and_loses_nothing(tmp_path: Path) -> None:
    options = TrainOptions(epochs=2)
    with pytest.raises(KeyboardInterrupt, match="2 epochs and 0 steps are kept"):
        run(tmp_path, options, batches=stop_at(2 * STEPS - 1))
    assert run(tmp_path, options, resume=True).steps == 2 * STEPS


def test_ctrl_c_keeps_every_step_taken(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match="1 epochs and 3 steps are kept"):
        run(tmp_path, TrainOptions(epochs=4), batches=stop_at(7))


def test_the_signal_handlers_are_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    run(tmp_path, TrainOptions(epochs=1))
    assert signal.getsignal(signal.SIGINT) is before


def test_timing_steps_before_training_changes_no_weights(tmp_path: Path) -> None:
    model, reference = make_model(), make_model()
    run(tmp_path, TrainOptions(epochs=1, warm_up_steps=0), model=model)
    epoch = Epoch(0, 0, STEPS, STEPS, np.random.default_rng((0, 0)))
    for index, batch in enumerate(batches(epoch)):
        reference.optimizer.learning_rate = Schedule(warm_up_steps=0).rate(index, STEPS)
        reference.train_on_batch(*batch)
    for first, second in zip(model.weights, reference.weights, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-6)


@pytest.mark.parametrize("keep, epoch, figure", [("best", 2, 1.0), ("last", 3, 2.0)])
def test_the_model_ends_with_the_weights_of_the_epoch_that_is_asked_for(
    tmp_path: Path, keep: str, epoch: int, figure: float
) -> None:
    model = make_model()
    kept: list[list[np.ndarray]] = []
    figures = iter([9.0, 9.0, 3.0, 1.0, 2.0])  # two are measured before the start

    def after_epoch(record: dict[str, float]) -> None:
        kept.append([np.array(weight) for weight in model.weights])

    result = run(
        tmp_path,
        TrainOptions(epochs=3, keep=keep),
        model=model,
        after_epoch=after_epoch,
        validate=lambda: {"val_loss": next(figures)},
    )
    assert (result.best, result.best_epoch) == (figure, epoch)
    for weight, wanted in zip(model.weights, kept[epoch - 1], strict=True):
        assert np.array_equal(weight, wanted)


def test_weights_that_are_neither_the_best_nor_the_last_are_refused() -> None:
    with pytest.raises(ValueError, match="keep must be 'best' or 'last'; received 'first'"):
        TrainOptions(keep="first").resolve()


def test_patience_stops_after_that_many_epochs_without_a_better_one(tmp_path: Path) -> None:
    figures = iter([9.0, 9.0, 3.0, 1.0, 2.0, 1.0, 0.0])
    result = run(
        tmp_path, TrainOptions(epochs=50, patience=2), validate=lambda: {"val_loss": next(figures)}
    )
    assert (result.epochs, result.best_epoch) == (4, 2)


def test_a_loss_of_nan_ends_training_with_one_sentence(tmp_path: Path) -> None:
    def poisoned(epoch: Epoch) -> Iterator[Batch]:
        for x, y in batches(epoch):
            yield (x * np.nan if epoch.number == 1 else x), y

    with pytest.raises(UserError, match=r"loss is nan at step 6 \(epoch 2\).*smaller learning"):
        run(tmp_path, TrainOptions(epochs=3), batches=poisoned)
    assert all(np.isfinite(value).all() for value in checkpoint(tmp_path).values())


def test_the_log_has_one_record_an_epoch(tmp_path: Path) -> None:
    result = run(tmp_path, TrainOptions(epochs=3))
    records = [json.loads(line) for line in (tmp_path / loop.LOG).read_text().splitlines()]
    assert records == result.history
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert [record["step"] for record in records] == [STEPS, 2 * STEPS, 3 * STEPS]
    assert {"loss", "val_loss", "mae", "learning_rate", "seconds"} <= records[0].keys()


def test_a_figure_of_the_log_is_the_mean_over_all_steps_of_its_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, float]] = []
    step = TrainingLoop.step

    def watched(self: Any, batch: Batch) -> dict[str, float]:
        seen.append(step(self, batch))
        return seen[-1]

    monkeypatch.setattr(TrainingLoop, "step", watched)
    history = run(tmp_path, TrainOptions(epochs=3)).history
    assert len(seen) == 3 * STEPS
    for number, record in enumerate(history):
        epoch = seen[number * STEPS : (number + 1) * STEPS]
        for name in ("loss", "mae", "gradient_norm"):
            values = [figures[name] for figures in epoch]
            assert len(set(values)) == STEPS
            assert record[name] == pytest.approx(np.mean(values))
        assert record["gradient_norm_max"] == max(figures["gradient_norm"] for figures in epoch)


def test_the_gradient_is_measured_before_it_is_clipped() -> None:
    # (w x - y)^2 at w = 0 has the gradient -2 y x: of x = (3, 4) and y = 2 it has the norm 20.
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")]
    )
    optimizer = loop.make_optimizer(Schedule(clip_norm=0.5))
    model.compile(optimizer=optimizer, loss="mse", jit_compile=loop.jit_compile())
    model.train_on_batch(np.array([[3.0, 4.0]], np.float32), np.array([[2.0]], np.float32))
    assert float(keras.ops.convert_to_numpy(optimizer.gradient_norm)) == pytest.approx(20, rel=1e-6)


def test_measuring_the_gradient_norm_does_not_change_training() -> None:
    model, reference = make_model(), make_model()
    reference.compile(
        optimizer=keras.optimizers.Adam(1e-3, global_clipnorm=1.0),
        loss="mse",
        metrics=["mae"],
        jit_compile=loop.jit_compile(),
    )
    for batch in batches(Epoch(0, 0, STEPS, STEPS, np.random.default_rng(0))):
        model.train_on_batch(*batch)
        reference.train_on_batch(*batch)
    for first, second in zip(model.weights, reference.weights, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-6)


def test_a_training_without_gradient_norms_can_be_resumed(tmp_path: Path) -> None:
    model = make_model()
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3, global_clipnorm=1.0),
        loss="mse",
        metrics=["mae"],
        jit_compile=loop.jit_compile(),
    )
    first = run(tmp_path, TrainOptions(epochs=1), model=model).history
    assert "gradient_norm" not in first[0]
    history = run(tmp_path, TrainOptions(epochs=2), resume=True).history
    assert history[0] == first[0] and history[1]["gradient_norm"] > 0


def test_a_new_training_forgets_the_log_and_the_best_of_an_older_one(tmp_path: Path) -> None:
    run(tmp_path, TrainOptions(epochs=2), validate=lambda: {"val_loss": -1.0})
    result = run(tmp_path, TrainOptions(epochs=1), validate=lambda: {"val_loss": 1.0})
    assert (result.best, len(result.history)) == (1.0, 1)


def test_more_epochs_can_be_asked_for_when_resuming(tmp_path: Path) -> None:
    run(tmp_path, TrainOptions(epochs=1))
    result = run(tmp_path, TrainOptions(epochs=3), resume=True)
    assert (result.epochs, result.steps) == (3, 3 * STEPS)


def test_a_finished_training_resumes_to_its_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run(tmp_path, TrainOptions(epochs=2))
    again = run(tmp_path, TrainOptions(epochs=2), resume=True)
    assert again.history == first.history
    assert "finished: 2 epochs" in capsys.readouterr().out


def test_the_expected_time_is_printed_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, TrainOptions(epochs=2))
    said = capsys.readouterr().out.splitlines()[0]
    assert "frames a second: 2 epochs of 5 steps" in said
    assert "will take about" in said


def test_a_time_limit_gives_as_many_steps_as_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)

    def slow(epoch: Epoch) -> Iterator[Batch]:
        for batch in batches(epoch):
            clock.now += 1.0
            yield batch

    def validate() -> dict[str, float]:
        clock.now += 2.0
        return {"val_loss": 1.0}

    result = run(
        tmp_path,
        TrainOptions(minutes=10, epochs=1),
        batches=slow,
        validate=validate,
        steps_per_epoch=1000,
    )
    # 600 s: every step takes 1 and every validation 2; the epochs were shortened to have some.
    assert 520 <= result.seconds <= 600
    assert 10 <= result.epochs <= 14
    # The schedule of the learning rate is complete.
    rates = [record["learning_rate"] for record in result.history]
    assert rates[-1] == pytest.approx(1e-3 * Schedule().final_rate, rel=0.05)


def test_a_time_limit_is_kept_when_steps_become_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)

    def slower(epoch: Epoch) -> Iterator[Batch]:
        for batch in batches(epoch):
            clock.now += 1.0 if epoch.number < 2 else 3.0
            yield batch

    result = run(
        tmp_path,
        TrainOptions(minutes=10),
        batches=slower,
        steps_per_epoch=20,
        validate=lambda: {"val_loss": 1.0},
    )
    assert 500 <= result.seconds <= 630


class Clock:
    """Replaces the loop's clock by one that moves when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)


def test_resuming_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no training to resume"):
        run(tmp_path, TrainOptions(), resume=True)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    run(tmp_path, TrainOptions(epochs=1))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse", jit_compile=False)
    with pytest.raises(UserError, match="another network"):
        run(tmp_path, TrainOptions(epochs=2), model=model, resume=True)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    run(tmp_path, TrainOptions(epochs=1))
    path = tmp_path / loop.CHECKPOINT
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match="not a readable checkpoint"):
        run(tmp_path, TrainOptions(epochs=2), resume=True)


def test_another_seed_cannot_resume(tmp_path: Path) -> None:
    run(tmp_path, TrainOptions(epochs=1))
    with pytest.raises(UserError, match="seed=0"):
        run(tmp_path, TrainOptions(epochs=2, seed=3), resume=True)


def test_too_few_batches_are_an_error_of_the_source(tmp_path: Path) -> None:
    def short(epoch: Epoch) -> Iterator[Batch]:
        yield from list(batches(epoch))[:4]

    with pytest.raises((RuntimeError, StopIteration)):
        run(tmp_path, TrainOptions(epochs=1), batches=short)


def test_the_learning_rate_rises_in_a_line_and_falls_on_a_cosine() -> None:
    options = Schedule(learning_rate=1.0, warm_up_steps=10, final_rate=0.1)
    assert [options.rate(step, 110) for step in (0, 4, 9, 10)] == pytest.approx([0.1, 0.5, 1, 1])
    assert options.rate(60, 110) == pytest.approx(0.1 + 0.9 / 2)
    assert options.rate(110, 110) == options.rate(500, 110) == pytest.approx(0.1)
    quarter = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4))
    assert options.rate(35, 110) == pytest.approx(quarter)


def test_saved_weights_appear_whole_and_leave_nothing_else(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    loop.save_weights(model, tmp_path / "net.weights.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["net.weights.h5"]
    other = keras.models.clone_model(model)
    other.load_weights(tmp_path / "net.weights.h5")
    assert np.array_equal(other.weights[0], model.weights[0])


def test_a_log_that_is_not_json_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("{}\nnonsense\n")
    with pytest.raises(UserError, match="not a training log"):
        loop.read_log(tmp_path / "log.jsonl")
    assert loop.read_log(tmp_path / "none.jsonl") == []

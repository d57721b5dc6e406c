"""Training on several devices and by several processes: the same losses as on one device."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")
pytest.importorskip("keras_mdn_layer", reason="the dancer needs the extra 'train'")
pytest.importorskip("tensorflow", reason="the strategies are TensorFlow's")

import strategy_process
from strategy_process import ROWS, STEPS, STOP_AT, some_batches, work
from workplaces import FLAGS

from dancenet.model.folder import ModelFolder
from dancenet.nets.dancer_trainer import masked_mean, shared_means
from dancenet.nets.training.devices import Cluster, Devices, open_devices, read_cluster
from dancenet.support import terminal
from dancenet.support.errors import UserError
from scripts.train_dancer import main

ROOT = Path(__file__).resolve().parents[3]
TOLERANCE = 1e-4  # nats per dimension, and weights
WAIT = 240.0  # seconds after which a process counts as hanging


def start(command: list[str], folder: Path, task: dict[str, Any] | None = None) -> Any:
    """Starts a process; `task` is its TF_CONFIG."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'helpers'}"}
    environment.pop("TF_CONFIG", None)
    if task is not None:
        environment["TF_CONFIG"] = json.dumps(task)
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(processes: list[Any]) -> list[tuple[int, str, str]]:
    """Returns the exit status, output and errors of each; none is left running."""
    try:
        said = [process.communicate(timeout=WAIT) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(processes, said)]


def tasks(count: int = 2) -> list[dict[str, Any]]:
    """Returns the TF_CONFIG of each of some processes on free ports of this machine."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return [
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        for index in range(count)
    ]


def run_processes(strategy: str, folder: Path, *kinds: str) -> None:
    folder.mkdir()
    command = [strategy_process.__file__, strategy, str(folder), *kinds]
    wanted = tasks() if strategy == "multiworker" else [None]
    for index, (status, _, errors) in enumerate(
        finish([start(command, folder, task) for task in wanted])
    ):
        assert status == 0 or (index and kinds[-1] == "gone"), errors


def found(folder: Path, process: str, kind: str) -> dict[str, np.ndarray]:
    with np.load(folder / f"{process}-{kind}.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """What one device finds."""
    folder = tmp_path_factory.mktemp("one")
    return {kind: work(kind, None, folder) for kind in ("steps", "dropped", "straight")}


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what two virtual devices and two processes find."""
    folder = tmp_path_factory.mktemp("several")
    kinds = ("steps", "dropped", "stopped", "resumed")
    run_processes("mirrored", folder / "mirrored", *kinds)
    run_processes("multiworker", folder / "multiworker", *kinds, "other", "gone")
    return folder


PROCESSES = [("mirrored", "mirrored"), ("multiworker", "chief"), ("multiworker", "worker")]


def test_the_shares_of_a_divided_batch_add_up_to_its_mean_and_the_means_do_not() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(ROWS, 6)).astype(np.float32)
    mask = (rng.random((ROWS, 6)) < np.linspace(0.1, 1, ROWS)[:, None]).astype(np.float32)
    whole = float(masked_mean(values, mask))
    assert whole == pytest.approx(float((values * mask).sum() / mask.sum()), abs=1e-6)
    parts = [slice(0, ROWS // 2), slice(ROWS // 2, ROWS)]
    with shared_means(lambda count: mask.sum()):
        shares = [float(masked_mean(values[part], mask[part])) for part in parts]
    assert sum(shares) == pytest.approx(whole, abs=1e-6)
    means = [float(masked_mean(values[part], mask[part])) for part in parts]
    assert abs(np.mean(means) - whole) > 1e-3


def test_the_halves_of_a_test_batch_have_different_weights() -> None:
    trainer = strategy_process.make_trainer()
    for batch in some_batches(10):
        nats, mask = trainer.nats(batch), batch["mask"]
        halves = [slice(0, ROWS // 2), slice(ROWS // 2, ROWS)]
        means = [float(masked_mean(nats[half], mask[half])) for half in halves]
        assert abs(np.mean(means) - float(masked_mean(nats, mask))) > 100 * TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("strategy, process", PROCESSES)
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_ten_steps_on_two_devices_have_the_losses_of_one(
    one: dict[str, Any], several: Path, strategy: str, process: str, optimizer: str
) -> None:
    wanted, got = one["steps"], found(several / strategy, process, "steps")
    losses = wanted[f"{optimizer}_losses"]
    assert len(losses) == 10 and losses[-1] < losses[0]
    np.testing.assert_allclose(got[f"{optimizer}_losses"], losses, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(
        got[f"{optimizer}_weights"], wanted[f"{optimizer}_weights"], rtol=0, atol=TOLERANCE
    )


@pytest.mark.slow
@pytest.mark.parametrize("strategy, process", PROCESSES)
def test_every_device_draws_its_own_dropout(
    one: dict[str, Any], several: Path, strategy: str, process: str
) -> None:
    # Both halves of the batch are the same: dropped alike, they have the loss of one of them.
    losses = found(several / strategy, process, "dropped")["losses"]
    assert np.isfinite(losses).all()
    assert (np.abs(losses - one["dropped"]["losses"]) > 10 * TOLERANCE).all()


@pytest.mark.slow
@pytest.mark.parametrize("strategy, process", PROCESSES)
def test_ctrl_c_stops_all_and_the_resumed_training_is_the_uninterrupted_one(
    one: dict[str, Any], several: Path, strategy: str, process: str
) -> None:
    stopped = str(found(several / strategy, process, "stopped")["stopped"])
    assert f"1 epochs and {STOP_AT + 1 - STEPS} steps are kept" in stopped
    wanted, got = one["straight"], found(several / strategy, process, "resumed")
    assert str(got["stopped"]) == ""
    assert len(wanted["losses"]) == 2
    # With the epoch before the stop, which only the chief's log has, as the best weights.
    np.testing.assert_allclose(got["losses"], wanted["losses"], rtol=0, atol=TOLERANCE)
    if process != "worker":
        np.testing.assert_allclose(got["weights"], wanted["weights"], rtol=0, atol=TOLERANCE)


@pytest.mark.slow
def test_a_training_that_two_processes_began_goes_on_on_one_device(
    one: dict[str, Any], several: Path
) -> None:
    folder = several / "multiworker"
    run = strategy_process.trained(None, folder / "halted", resume=True)
    np.testing.assert_allclose(run["losses"], one["straight"]["losses"], rtol=0, atol=TOLERANCE)


@pytest.mark.slow
def test_when_two_processes_resume_only_the_chief_writes_and_prints(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ModelFolder(workplace / "weights" / "tiny")
    # As many as in the processes that go on.
    monkeypatch.setattr("dancenet.nets.training.dancer_run.MIN_STEPS_PER_EPOCH", 20)
    assert main([*FLAGS, "--epochs", "1"]) == 0
    capsys.readouterr()
    before = set(folder.path.rglob("*"))
    command = [
        str(ROOT / "scripts" / "train_dancer.py"),
        *FLAGS,
        "--epochs",
        "2",
        "--resume",
        "--strategy",
        "multiworker",
    ]
    chief, worker = finish([start(command, workplace, task) for task in tasks()])
    assert chief[0] == worker[0] == 0, (chief, worker)
    assert "2 devices of 2 processes; each takes 4 of the 8 windows" in chief[1]
    assert "Resuming after 1 epochs" in chief[1] and "The dancer is in weights/tiny" in chief[1]
    # The worker goes on from the chief's weights, and has no others.
    assert worker[1:] == ("", "")
    assert {path.name for path in workplace.iterdir()} == {"weights", "latents.npz"}
    assert set(folder.path.rglob("*")) == before
    folder.check()
    record = folder.read_config().training["dancer"]
    assert record["epochs"] == 2 and record["steps"] == 40


@pytest.mark.slow
def test_a_worker_that_was_started_for_another_training_says_so(several: Path) -> None:
    said = str(found(several / "multiworker", "worker", "other")["said"])
    assert "units is 9 here and 8 there; start all of them with the same options" in said
    assert str(found(several / "multiworker", "chief", "other")["said"]) == ""


@pytest.mark.slow
def test_a_process_whose_partner_is_gone_says_so_in_one_sentence(several: Path) -> None:
    said = str(found(several / "multiworker", "chief", "gone")["said"])
    assert said.startswith("Another process of the training is gone (")
    assert "resume" in said and "\n" not in said
    assert not (several / "multiworker" / "worker-gone.npz").exists()


def test_the_chief_is_the_task_chief_or_else_the_first_worker() -> None:
    def text(cluster: dict[str, list[str]], job: str, index: int) -> str:
        return json.dumps({"cluster": cluster, "task": {"type": job, "index": index}})

    workers = {"worker": ["a:1", "b:2"]}
    assert read_cluster(text(workers, "worker", 0)) == Cluster(("a:1", "b:2"), 0)
    assert read_cluster(text(workers, "worker", 1)) == Cluster(("a:1", "b:2"), 1)
    led = {**workers, "chief": ["c:3"]}
    assert read_cluster(text(led, "chief", 0)) == Cluster(("c:3", "a:1", "b:2"), 0)
    assert read_cluster(text(led, "worker", 0)) == Cluster(("c:3", "a:1", "b:2"), 1)
    assert read_cluster(text(led, "worker", 1)).chief == "c:3"


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "needs the environment variable TF_CONFIG.*it is not set"),
        ("", "it is not set"),
        ("{", "TF_CONFIG is malformed"),
        ("[]", "TF_CONFIG is malformed"),
        ('{"cluster": {"worker": ["a:1"]}}', "malformed .*task"),
        ('{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}', "be a list"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "x"}}', "malformed"),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            "this process is worker 1, which is not in its cluster",
        ),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}', "not in its"),
        ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}', "not host:port"),
        (
            '{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}',
            "names an address twice",
        ),
        (
            '{"cluster": {"chief": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}',
            "more than one chief",
        ),
        (
            '{"cluster": {"worker": ["a:1"], "ps": ["b:2"]}, '
            '"task": {"type": "worker", "index": 0}}',
            "names a job 'ps'",
        ),
    ],
)
def test_what_is_wrong_with_tf_config_is_said(text: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_cluster(text)


def test_a_script_without_tf_config_explains_it(
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert main([*FLAGS, "--strategy", "multiworker"]) == 1
    assert "needs the environment variable TF_CONFIG" in capsys.readouterr().err
    assert main([*FLAGS, "--virtual-devices", "2"]) == 1
    assert "needs --strategy mirrored" in capsys.readouterr().err
    assert main([*FLAGS, "--virtual-devices", "2", "--strategy", "multiworker"]) == 1
    assert "needs --strategy mirrored" in capsys.readouterr().err


def test_without_a_gpu_mirrored_says_that_it_has_one_device_and_goes_on(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FLAGS, "--epochs", "1", "--strategy", "mirrored"]) == 0
    said = capsys.readouterr().out
    assert "found one processor and no GPU and uses it" in said
    assert "The dancer is in weights/tiny" in said


def test_a_strategy_needs_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UserError, match="Keras runs on jax; set KERAS_BACKEND=tensorflow"):
        open_devices("mirrored")


@pytest.mark.parametrize(
    "rows, devices, advice",
    [
        (64, 3, "batch_size=63 or batch_size=66"),
        (13, 2, "batch_size=12 or batch_size=14"),
        (2, 4, "batch_size=4"),
    ],
)
def test_a_batch_that_cannot_be_divided_is_refused(rows: int, devices: int, advice: str) -> None:
    several = Devices(SimpleNamespace(num_replicas_in_sync=devices))
    with pytest.raises(UserError, match=f"by {devices} devices; choose {advice}\\."):
        several.stepper(strategy_process.make_trainer(), rows)


def test_a_process_that_does_not_lead_works_in_a_folder_of_its_own_and_is_silent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ModelFolder(tmp_path / "tiny")
    folder.create()
    (folder / "config.json").write_text("{}")
    cluster = Cluster(("a:1", "b:2"), 1)
    with Devices(SimpleNamespace(num_replicas_in_sync=2), cluster).place(folder) as apart:
        assert apart.path != folder.path and (apart / "config.json").read_text() == "{}"
        (apart / "step.onnx").write_bytes(b"")
        terminal.say("nothing")
        assert list(terminal.progress(range(3), enabled=True)) == [0, 1, 2]
        terminal.warn("something")
    assert not apart.path.exists() and not (folder / "step.onnx").exists()
    assert capsys.readouterr() == ("", "warning: something\n")
    terminal.say("again")
    assert capsys.readouterr().out == "again\n"
    with Devices(SimpleNamespace(num_replicas_in_sync=2), Cluster(("a:1", "b:2"), 0)).place(
        folder
    ) as place:
        assert place is folder


def test_a_worker_that_is_stopped_says_who_keeps_what_was_learned(tmp_path: Path) -> None:
    worker = Devices(SimpleNamespace(num_replicas_in_sync=2), Cluster(("a:1", "b:2"), 1))
    with pytest.raises(KeyboardInterrupt, match="The chief keeps the progress"):
        with worker.place(ModelFolder(tmp_path / "none")):
            raise KeyboardInterrupt("kept in /tmp")

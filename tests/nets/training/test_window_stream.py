"""Windows that are read from files are those from memory, batch by batch and bit by bit."""

from __future__ import annotations

import dataclasses
import gc
import importlib
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")
tf = pytest.importorskip("tensorflow", reason="windows are streamed by TensorFlow")
pytest.importorskip("keras_mdn_layer", reason="the dancer needs the extra 'train'")

from workplaces import shorten_trainings

from dancenet.codecs.base import Scaler
from dancenet.codecs.latents import Latents
from dancenet.model.config import ModelConfig, VaeConfig
from dancenet.model.folder import SCALER, ModelFolder
from dancenet.nets.training import window_stream, windows
from dancenet.nets.training.dancer_run import TrainingRun, run_training
from dancenet.nets.training.dataset import Dataset
from dancenet.nets.training.loop import Schedule
from dancenet.nets.training.options import DancerOptions
from dancenet.nets.training.window_stream import StreamedWindows
from dancenet.nets.training.windows import BatchOptions, WindowData
from dancenet.sequence.trajectory_file import TrajectoryFiles, write_trajectory
from dancenet.support.errors import MissingExtra, UserError

ROOT = Path(__file__).resolve().parents[3]
PLAIN = BatchOptions(look_back=12, warm_up=3)
NOISY = BatchOptions(
    look_back=12,
    warm_up=3,
    perturbation=0.4,
    correction_rate=0.1,
    encoder_noise=1.0,
    noise_correlation=0.9,
)
LAYOUTS = {
    "one long clip": [range(0, 400)],
    "clips, short ones among them": [
        range(0, 90),
        range(90, 97),
        range(97, 101),
        range(101, 114),
        range(114, 300),
    ],
    "clips apart, out of order": [range(200, 330), range(3, 80), range(100, 112)],
    "fewer windows than a batch": [range(0, 13), range(13, 27)],
}


def walk(num_rows: int, dim: int = 5, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(size=(num_rows, dim)), axis=0).astype(np.float32)


def pair(
    folder: Path, clips: Sequence[range], options: BatchOptions
) -> tuple[WindowData, StreamedWindows]:
    """Returns the same trajectory in memory and in a file, with a deviation and styles."""
    rows = walk(400)
    deviation = np.exp(walk(400, 7, seed=1) / 10)
    to_model = np.random.default_rng(2).normal(size=(7, 5))
    by_clip = np.eye(3, dtype=np.float32)[np.arange(len(clips)) % 3]
    styles = np.zeros((400, 3), np.float32)
    for clip, style in zip(clips, by_clip):
        styles[clip.start : clip.stop] = style
    write_trajectory(folder / "rows.npy", [rows])
    write_trajectory(folder / "deviation.npy", [deviation])
    files = TrajectoryFiles(folder / "rows.npy", clips)
    uncertain = TrajectoryFiles(folder / "deviation.npy", clips)
    return (
        WindowData(rows, options, deviation, to_model, styles),
        StreamedWindows(files, options, uncertain, to_model, by_clip),
    )


def repeats_of(data: WindowData, windows: np.ndarray) -> np.ndarray:
    """Returns how often each window is shown, counted window by window."""
    styles = data.still(windows)["style"]
    count = styles.sum(axis=0)
    times = np.clip(np.round(np.sqrt(count.max() / np.maximum(count, 1))), 1, 4).astype(int)
    return times[styles.argmax(axis=1)]


def one_by_one(
    data: WindowData,
    clips: Sequence[range],
    stride: int,
    batch_size: int,
    num_steps: int,
    rng: np.random.Generator,
) -> Iterator[dict[str, np.ndarray]]:
    """Draws batch after batch, knowing of none that comes."""
    waiting = np.zeros((0, 2), np.int64)
    for _ in range(num_steps):
        while len(waiting) < batch_size:
            fresh = data.windows(clips, stride, rng)
            fresh = np.repeat(fresh, repeats_of(data, fresh), axis=0)
            waiting = np.concatenate([waiting, rng.permutation(fresh)])
        yield data.draw(waiting[:batch_size], rng)
        waiting = waiting[batch_size:]


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return list(first) == list(second) and all(
        first[name].dtype == second[name].dtype == np.float32
        and np.array_equal(first[name], second[name])
        for name in first
    )


@pytest.mark.parametrize("options", [PLAIN, NOISY], ids=["plain", "noisy"])
@pytest.mark.parametrize("stride", [1, 5, 40])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_seed_gives_the_same_batches_from_a_file_as_from_memory(
    tmp_path: Path, layout: str, stride: int, options: BatchOptions
) -> None:
    clips = LAYOUTS[layout]
    memory, stream = pair(tmp_path, clips, options)
    batch_size = 8
    # Two rounds and a part of a third, so that what is left of a round is carried on twice.
    num_steps = 5 * memory.count_windows(clips, stride) // (2 * batch_size) + 2
    drawn = [
        list(one_by_one(memory, clips, stride, batch_size, num_steps, np.random.default_rng(7))),
        list(memory.batches(clips, stride, batch_size, num_steps, np.random.default_rng(7))),
        list(stream.batches(clips, stride, batch_size, num_steps, np.random.default_rng(7))),
        list(one_by_one(stream, clips, stride, batch_size, num_steps, np.random.default_rng(7))),
    ]
    assert [len(batches) for batches in drawn] == [num_steps] * 4
    assert memory.count_windows(clips, stride) == stream.count_windows(clips, stride)
    for first, *others in zip(*drawn):
        assert all(same(first, other) for other in others)
    other = stream.batches(clips, stride, batch_size, 1, np.random.default_rng(8))
    assert not same(drawn[0][0], next(other))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_round_holds_every_window_once_and_none_crosses_a_clip(
    tmp_path: Path, layout: str
) -> None:
    clips = LAYOUTS[layout]
    write_trajectory(tmp_path / "rows.npy", [np.arange(400, dtype=np.float32)[:, None]])
    stream = StreamedWindows(TrajectoryFiles(tmp_path / "rows.npy", clips), PLAIN)
    windows = np.random.default_rng(0).permutation(stream.windows(clips, 3))
    batches = list(stream.dataset(windows, 8).as_numpy_iterator())
    firsts = np.concatenate([batch["inputs"][:, 0, 0] for batch in batches])
    lasts = np.concatenate([batch["targets"][:, -1, 0] for batch in batches])
    expected = {
        start
        for clip in clips
        if len(clip) >= 5
        for start in range(clip.start, max(clip.stop - 12, clip.start + 1), 3)
    }
    assert len(firsts) == len(expected) and set(firsts) == expected
    for first, last in zip(firsts, lasts):
        assert any(first in clip and last in clip for clip in clips)


def test_the_dataset_is_the_still_batches_with_or_without_the_remainder(tmp_path: Path) -> None:
    clips = LAYOUTS["clips, short ones among them"]
    memory, stream = pair(tmp_path, clips, NOISY)
    windows = np.random.default_rng(3).permutation(memory.windows(clips, 4))
    assert len(windows) % 16
    whole = list(stream.dataset(windows, 16).as_numpy_iterator())
    assert [len(batch["inputs"]) for batch in whole[-2:]] == [16, len(windows) % 16]
    for index, batch in enumerate(whole):
        assert same(batch, memory.still(windows[16 * index : 16 * (index + 1)]))
    even = stream.dataset(windows, 16, drop_remainder=True)
    assert even.element_spec["inputs"].shape == (16, 12, 5)
    found = list(even.as_numpy_iterator())
    assert len(found) == len(windows) // 16
    assert all(same(first, second) for first, second in zip(found, whole))
    assert list(stream.dataset(windows[:3], 16, drop_remainder=True)) == []


def test_a_file_for_each_recording_is_one_clip_each(tmp_path: Path) -> None:
    parts = [walk(count, seed=count) for count in (60, 9, 45, 2)]
    paths = [tmp_path / f"{index}.npy" for index in range(4)]
    for path, part in zip(paths, parts):
        write_trajectory(path, [part])
    stream = StreamedWindows(paths, NOISY, 0.1)
    whole = np.concatenate(parts)
    memory = WindowData(whole, NOISY, np.broadcast_to(np.float32(0.1), whole.shape))
    clips = stream.files.clips
    assert list(map(len, clips)) == [60, 9, 45, 2]
    for first, second in zip(
        memory.batches(clips, 4, 6, 12, np.random.default_rng(1)),
        stream.batches(clips, 4, 6, 12, np.random.default_rng(1)),
    ):
        assert same(first, second)


def test_reads_that_end_in_another_order_are_handed_on_in_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    clips = LAYOUTS["one long clip"]
    memory, stream = pair(tmp_path, clips, PLAIN)
    read = TrajectoryFiles.read_windows
    others_are_read, ended, lock = threading.Event(), [], threading.Lock()
    starts: list[int] = []

    def slow_first(self: TrajectoryFiles, windows: np.ndarray, length: int) -> np.ndarray:
        with lock:
            starts.append(int(windows[0, 0]))
            is_first = len(starts) == 1
        if is_first:
            assert others_are_read.wait(30)
        found = read(self, windows, length)
        with lock:
            ended.append(int(windows[0, 0]))
            if len(ended) == window_stream._READS - 1:
                others_are_read.set()
        return found

    monkeypatch.setattr(TrajectoryFiles, "read_windows", slow_first)
    batches = list(stream.batches(clips, 5, 8, 6, np.random.default_rng(2)))
    assert ended.index(starts[0]) >= window_stream._READS - 1 and len(ended) == 6
    expected = memory.batches(clips, 5, 8, 6, np.random.default_rng(2))
    assert all(same(first, second) for first, second in zip(batches, expected))


def test_a_damaged_file_ends_the_batches_with_one_sentence(tmp_path: Path) -> None:
    clips = LAYOUTS["one long clip"]
    rows = walk(400)
    rows[222, 1] = np.inf
    write_trajectory(tmp_path / "good.npy", [walk(400)])
    np.save(tmp_path / "bad.npy", rows)
    stream = StreamedWindows(tmp_path / "bad.npy", PLAIN)
    with pytest.raises(UserError, match="^[^\n]*bad.npy holds NaN or infinity in row 222; [^\n]*$"):
        list(stream.batches(clips, 2, 8, 30, np.random.default_rng(0)))
    assert stream.still(np.array([[0, 13]]))["inputs"].shape == (1, 12, 5)
    with pytest.raises(tf.errors.OpError, match="bad.npy holds NaN or infinity in row 222"):
        list(stream.dataset(stream.windows(clips, 2), 8))

    stream = StreamedWindows(tmp_path / "good.npy", PLAIN)
    batches = stream.batches(clips, 1, 8, 40, np.random.default_rng(0))
    next(batches)
    os.truncate(tmp_path / "good.npy", 4000)
    with pytest.raises(UserError, match="^[^\n]*good.npy was cut or altered [^\n]*$"):
        list(batches)


def test_a_good_batch_before_a_bad_one_is_given(tmp_path: Path) -> None:
    rows = walk(400)
    rows[333] = np.nan
    np.save(tmp_path / "rows.npy", rows)
    stream = StreamedWindows(tmp_path / "rows.npy", PLAIN)
    windows = stream.windows(stream.files.clips, 13)
    good = 0
    with pytest.raises(UserError, match="row 333"):
        for _ in stream._read_batches(lambda first, last: windows[first:last], 2, 15, False):
            good += 1
    assert good == 12  # the 26th window, rows 325 to 337, is in the 13th batch


def test_windows_outside_the_clips_of_the_files_are_refused(tmp_path: Path) -> None:
    write_trajectory(tmp_path / "rows.npy", [walk(100)])
    files = TrajectoryFiles(tmp_path / "rows.npy", [range(10, 60), range(60, 90)])
    stream = StreamedWindows(files, PLAIN)
    for window in ([50, 13], [0, 13], [85, 13], [9, 2]):
        with pytest.raises(ValueError, match=f"{window[1]} rows from {window[0]} is not inside"):
            stream.still(np.array([[10, 13], window]))
        with pytest.raises(ValueError, match="not inside one clip"):
            stream.dataset(np.array([window]), 4)
    with pytest.raises(ValueError, match="not inside one clip"):
        next(stream.batches([range(40, 80)], 1, 64, 1, np.random.default_rng(0)))


def test_deviations_and_styles_that_do_not_fit_the_files_are_refused(tmp_path: Path) -> None:
    write_trajectory(tmp_path / "rows.npy", [walk(100)])
    write_trajectory(tmp_path / "less.npy", [walk(99)])
    with pytest.raises(ValueError, match="the deviation has 99 rows and the vectors 100"):
        StreamedWindows(tmp_path / "rows.npy", PLAIN, TrajectoryFiles(tmp_path / "less.npy"))
    with pytest.raises(ValueError, match="2 styles for 1 clips"):
        StreamedWindows(tmp_path / "rows.npy", PLAIN, styles=np.eye(2, dtype=np.float32))


def test_an_order_is_freed_when_its_batches_end_or_are_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = LAYOUTS["one long clip"]
    _, stream = pair(tmp_path, clips, PLAIN)
    orders: list[weakref.ref] = []
    order = windows._Order

    def watched(*arguments: object) -> object:
        made = order(*arguments)
        orders.append(weakref.ref(made))
        return made

    monkeypatch.setattr(windows, "_Order", watched)
    for _ in stream.batches(clips, 1, 8, 100, np.random.default_rng(0)):
        pass
    left = stream.batches(clips, 1, 8, 100, np.random.default_rng(0))
    next(left)
    left.close()
    del left
    gc.collect()
    assert len(orders) == 4 and not any(made() for made in orders)


def test_a_program_may_end_in_the_middle_of_batches(tmp_path: Path) -> None:
    clips = LAYOUTS["one long clip"]
    _, stream = pair(tmp_path, clips, PLAIN)
    batches = stream.batches(clips, 1, 8, 40, np.random.default_rng(0))
    next(batches)
    (reading,) = window_stream._open
    window_stream._close_all()  # as Python does at its end
    assert reading.batches is None and reading.order is None and not window_stream._open
    program = (
        "import numpy as np\n"
        "from dancenet.nets.training.window_stream import BatchOptions, StreamedWindows\n"
        "stream = StreamedWindows('rows.npy', BatchOptions(12))\n"
        "batches = stream.batches([range(400)], 1, 8, 40, np.random.default_rng(0))\n"
        "print(next(batches)['inputs'].shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "(8, 12, 5)\n"), done.stderr


def test_a_permutation_of_numbers_is_that_of_the_list_of_windows(tmp_path: Path) -> None:
    clips = LAYOUTS["clips apart, out of order"]
    memory, _ = pair(tmp_path, clips, PLAIN)
    rng, other = np.random.default_rng(4), np.random.default_rng(4)
    table = memory._table(clips, 3, rng)
    assert np.array_equal(
        table.rows(rng.permutation(len(table))), other.permutation(memory.windows(clips, 3, other))
    )
    assert rng.bit_generator.state == other.bit_generator.state


def test_tensorflow_leaves_the_gpu_to_another_backend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_trajectory(tmp_path / "rows.npy", [walk(100)])
    asked: list[tuple] = []
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *what: asked.append(what))
    StreamedWindows(tmp_path / "rows.npy", PLAIN)
    assert not asked
    monkeypatch.setattr(window_stream.keras.backend, "backend", lambda: "jax")
    StreamedWindows(tmp_path / "rows.npy", PLAIN)
    assert asked == [([], "GPU")]


def test_without_tensorflow_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, window_stream.__name__)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingExtra, match="^[^\n]*needs the package 'tensorflow'[^\n]*$") as error:
        importlib.import_module(window_stream.__name__)
    assert str(error.value).startswith("Streaming windows from files")


def test_a_dancer_trained_from_files_is_the_one_trained_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_trainings(monkeypatch)
    lengths = (100, 90, 9, 70)
    time = np.concatenate([0.3 * n + np.arange(n) / 12 for n in lengths])
    z_mean = np.stack([np.sin(time), np.sin(2 * time), np.cos(time)], axis=1).astype(np.float32)
    stops = np.cumsum(lengths).tolist()
    clips = tuple(range(stop - n, stop) for n, stop in zip(lengths, stops))
    latents = Latents(
        z_mean,
        np.full_like(z_mean, -6.0),
        25.0,
        clips,
        ("train", "train", "train", "val"),
        ("a", "b", "c", "d"),
        "x",
    )
    scaler = Scaler.fit_columns(z_mean)
    from_memory = Dataset.of_latents(latents, "lean", 12, 0.0, scaler)
    write_trajectory(tmp_path / "rows.npy", [from_memory.vectors])
    write_trajectory(tmp_path / "deviation.npy", [np.exp(0.5 * latents.z_log_var)])
    made: list[StreamedWindows] = []

    def streamed(options: BatchOptions) -> StreamedWindows:
        made.append(
            StreamedWindows(
                TrajectoryFiles(tmp_path / "rows.npy", clips),
                options,
                TrajectoryFiles(tmp_path / "deviation.npy", clips),
                scaler.basis.T / scaler.scale,
            )
        )
        return made[-1]

    options = DancerOptions(
        units=16,
        num_mixtures=2,
        look_back=12,
        stride=6,
        batch_size=8,
        correction_rate=0.03,
        encoder_noise=1.0,
    )
    schedule = Schedule(epochs=2, warm_up_steps=2, learning_rate=1e-2)
    logs, weights = [], []
    for name, source in (("memory", from_memory.windows), ("files", streamed)):
        folder = ModelFolder(tmp_path / name)
        folder.create()
        folder.write_config(ModelConfig(name, vae=VaeConfig(latent_dim=3)))
        dataset = dataclasses.replace(from_memory, windows=source)
        run_training(
            TrainingRun(
                dataset=dataset,
                folder=folder,
                units_file=SCALER,
                options=options,
                schedule=schedule,
            )
        )
        lines = (folder.training / "dancer" / "log.jsonl").read_text().splitlines()
        logs.append(
            [
                {name: value for name, value in json.loads(line).items() if "loss" in name}
                for line in lines
            ]
        )
        with np.load(folder.training / "dancer" / "best.npz", allow_pickle=False) as best:
            weights.append({key: best[key] for key in best.files})
    assert len(made) == 1 and not len(made[0].vectors)
    assert len(logs[0]) == 2 and {"loss", "val_loss"} <= set(logs[0][0])
    assert logs[0] == logs[1]
    assert list(weights[0]) == list(weights[1]) and weights[0]
    assert all(np.array_equal(weights[0][key], weights[1][key]) for key in weights[0])

"""Many dances are made in groups, so that memory does not grow with their number."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from small_model import write_small_model

from dancenet.generation import trajectory, write
from dancenet.generation.load import Dancer, load_dancer
from dancenet.generation.settings import DanceSettings
from dancenet.generation.trajectory import NotStarted, each_trajectory
from dancenet.generation.write import write_dance
from dancenet.support import files
from dancenet.support.errors import UserError

FIVE = DanceSettings(seconds=0.5, seed=7, scale=1, count=5)


@pytest.fixture(scope="module")
def dancer(tmp_path_factory: pytest.TempPathFactory) -> Dancer:
    return load_dancer(write_small_model(tmp_path_factory.mktemp("weights") / "small").path)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Makes two dances at a time; holds how many were made together, for each group."""
    monkeypatch.setattr(trajectory, "GROUP", 2)
    made: list[int] = []
    generate = trajectory.generate

    def counted(step_model, clips, *arguments, **options):
        made.append(len(clips))
        return generate(step_model, clips, *arguments, **options)

    monkeypatch.setattr(trajectory, "generate", counted)
    return made


def read_all(dancer: Dancer, order: list[int]) -> dict[int, np.ndarray]:
    with each_trajectory(dancer, FIVE, 15, threading.Event(), order[0]) as read:
        return {index: np.stack(list(read(index))) for index in order}


def test_groups_change_nothing_but_the_number_made_together(dancer, batches, monkeypatch):
    in_groups = read_all(dancer, [0, 1, 2, 3, 4])
    assert batches == [2, 2, 1]
    monkeypatch.setattr(trajectory, "GROUP", 1000)
    for index, vectors in read_all(dancer, [0, 1, 2, 3, 4]).items():
        # A product of matrices may round otherwise beside other rows.
        np.testing.assert_allclose(in_groups[index], vectors, atol=1e-5)
    assert batches[3:] == [5]


def test_a_single_dance_of_many_is_made_with_its_own_group_only(dancer, batches):
    again = read_all(dancer, [4])
    assert batches == [1]
    np.testing.assert_array_equal(again[4], read_all(dancer, [0, 4])[4])


def test_a_stop_in_a_later_group_keeps_the_dances_before_it(
    tmp_path: Path, dancer: Dancer, batches: list[int]
) -> None:
    class Interrupting:
        dim = dancer.step_model.dim
        initial_state = dancer.step_model.initial_state

        def step(self, vectors, state):
            if len(batches) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
                batches.append(0)
            return dancer.step_model.step(vectors, state)

    stopping = dataclasses.replace(dancer, step_model=Interrupting())
    written = write_dance(stopping, tmp_path / "d.gif", FIVE)
    assert [one.path.name for one in written] == ["d-1.gif", "d-2.gif"]
    assert all(one.complete for one in written)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d-1.gif", "d-2.gif"]


def test_a_stop_in_the_first_group_writes_nothing(dancer, batches):
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(NotStarted):
        with each_trajectory(dancer, FIVE, 15, stopped):
            pass


@pytest.mark.parametrize(
    "seconds, count, free, words",
    [
        (86_400.0, 1, 10**8, "1 dance of 24 h 00 min would take about 1.0 GB, and 100 MB"),
        (1000.0, 50, 10**8, "50 dances of 17 min would take about 600 MB, and 100 MB"),
    ],
)
def test_what_the_disk_has_no_room_for_is_told_before_anything_is_made(
    tmp_path, dancer, monkeypatch, batches, seconds, count, free, words
):
    usage = shutil.disk_usage(".")._replace(free=free)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage)
    settings = dataclasses.replace(FIVE, seconds=seconds, count=count)
    with pytest.raises(UserError, match=words):
        write_dance(dancer, tmp_path / "d.mp4", settings)
    assert batches == [] and not list(tmp_path.iterdir())


def test_dances_that_wait_need_room_in_the_folder_of_temporary_files(
    tmp_path, dancer, monkeypatch, batches
):
    usage = shutil.disk_usage(".")
    temporary = Path(tempfile.gettempdir()).absolute()
    monkeypatch.setattr(
        files.shutil,
        "disk_usage",
        lambda path: usage._replace(free=100 if path == temporary else 10**12),
    )
    with pytest.raises(UserError, match="the steps of 2 dances while they wait .* (TMPDIR|TEMP)"):
        write_dance(dancer, tmp_path / "d.mp4", FIVE)
    assert batches == [] and not list(tmp_path.iterdir())


def test_large_pictures_are_drawn_by_few_threads_so_that_they_fit_into_memory():
    assert write._num_threads(64, 4) == 64
    assert write._num_threads(64, 12) == 9  # 28 arrays of 2496x1440 bytes are 100 MB
    assert write._num_threads(64, 39) == 1

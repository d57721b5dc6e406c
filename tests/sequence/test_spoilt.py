"""Trajectories in files get one sentence, whatever they hold."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from mutation import check_reader

from dancenet.sequence.trajectory_file import TrajectoryFiles, write_trajectory
from dancenet.support.errors import UserError


def read(path: Path) -> np.ndarray:
    files = TrajectoryFiles(path)
    return files.read(range(files.num_rows))


def test_a_spoilt_trajectory_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "walk.npy"
    write_trajectory(path, [np.ones((20, 3), np.float32)])
    assert check_reader(read, path)


@pytest.mark.parametrize(
    "header",
    [
        "(" * 5000,
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (True, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 5000 + ", 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 3)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (20, 3)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (20, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 3}",
        "{'descr': None, 'fortran_order': False, 'shape': (20, 3)}",
        "__import__('os').abort()",
        "{" * 200 + "}" * 200,
        "\x00",
    ],
    ids=range(12),
)
def test_a_header_may_say_anything(tmp_path: Path, header: str) -> None:
    path = tmp_path / "walk.npy"
    text = header.encode() + b"\n"
    beginning = b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little")
    path.write_bytes(beginning + text + bytes(240))
    with pytest.raises(UserError, match="walk.npy"):
        read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "walk.npy")
    with pytest.raises(UserError, match="not a regular file"):
        TrajectoryFiles(tmp_path / "walk.npy")

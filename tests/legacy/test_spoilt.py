"""Files of 2018 get one sentence, whatever they hold."""

from __future__ import annotations

from pathlib import Path

import files_2018 as old
import numpy as np
from mutation import MANY, check_reader

from dancenet.legacy import h5


def test_spoilt_weights_are_one_sentence(tmp_path: Path) -> None:
    path = old.write(tmp_path / "d.h5", old.dancer_groups(), full=True)
    assert check_reader(lambda path: h5.read_dancer(path, old.DANCER), path, count=MANY // 2)


def test_spoilt_latents_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "lv.npy"
    np.save(path, np.ones((5, 4), np.float32))
    assert check_reader(lambda path: h5.read_latents(path, 4), path, count=MANY // 2)

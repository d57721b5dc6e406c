"""The network of 2018 that a model is compared with is trained when there is none yet."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_model import write_old_model, write_small_model

pytest.importorskip("keras", reason="training needs the extra 'train'")

from dancenet.codecs.latents import Latents
from dancenet.evaluation import recipe_2018
from dancenet.generation.load import load_dancer
from dancenet.model.folder import ModelFolder
from dancenet.nets.export import onnx as export
from dancenet.nets.training import dancer as train_dancer
from dancenet.support import files


def test_the_network_of_2018_is_trained_once_for_the_same_latents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def train(latents: Latents, folder: ModelFolder, *options: Any) -> None:
        asked.append(options)
        for path in write_old_model(tmp_path / "made").path.iterdir():
            if path.is_file():
                shutil.copy(path, folder.path)

    monkeypatch.setattr(train_dancer, "train_dancer", train)
    monkeypatch.setattr(export, "export_dancer", lambda folder: folder.seal())
    source = write_small_model(tmp_path / "small")
    latents = Latents(
        np.zeros((600, 2), np.float32),
        np.zeros((600, 2), np.float32),
        30.0,
        tuple(range(first, first + 60) for first in range(0, 600, 60)),
        (None,) * 10,
        tuple(map(str, range(10))),
        files.sha256_of(source / "encoder.onnx"),
    )
    out = tmp_path / "report"
    for _ in range(2):
        path = recipe_2018.trained_recipe(source, latents, out, 3.0)
        assert recipe_2018.load_recipe(path, load_dancer(source.path)).name == "old"
    assert len(asked) == 1
    options, train_options = asked[0]
    assert (options.network, options.look_back, options.smoothing) == ("dancenet", 1, 0.0)
    assert train_options.minutes == 3.0
    others = dataclasses.replace(latents, z_mean=latents.z_mean + 1)
    recipe_2018.trained_recipe(source, others, out, 3.0)
    assert len(asked) == 2

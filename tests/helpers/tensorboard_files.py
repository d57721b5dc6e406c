"""What was written for TensorBoard, read back by its own readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from google.protobuf import text_format
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from tensorboard.util.tensor_util import make_ndarray

from dancenet.nets.training.tensorboard import PROJECTOR


def read_board(folder: Path) -> dict[str, dict[int, float]]:
    """Returns each figure's values by step."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    return {
        name: {
            event.step: float(make_ndarray(event.tensor_proto)) for event in events.Tensors(name)
        }
        for name in events.Tags()["tensors"]
    }


def read_projector(folder: Path) -> tuple[np.ndarray, dict[str, list[str]]]:
    """Returns the vectors and the labels that a projector's configuration leads to."""
    config = text_format.Parse((folder / PROJECTOR).read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    vectors = np.loadtxt(folder / embedding.tensor_path, delimiter="\t", ndmin=2)
    head, *rows = (
        line.split("\t") for line in (folder / embedding.metadata_path).read_text().splitlines()
    )
    assert len(rows) == len(vectors)
    return vectors, dict(zip(head, (list(column) for column in zip(*rows)), strict=True))

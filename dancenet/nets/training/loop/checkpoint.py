"""Checkpoints of a training, and weight files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dancenet.nets.training.folder import CHECKPOINT
from dancenet.nets.training.loop.optimizer import NORM
from dancenet.nets.training.loop.progress import Progress
from dancenet.support import checked, files
from dancenet.support.arrays import scalar
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, shortened
from dancenet.support.wording import option

__all__ = ["BEST", "CHECKPOINT", "load_variables", "restored", "save_variables", "save_weights"]

BEST = "best.npz"

_FORMAT = 1


def training_variables(model: keras.Model) -> list[Any]:
    """Returns the variables of a checkpoint, in order: of the model, its metrics, its optimiser."""
    seen: dict[int, Any] = {}
    for variable in (*model.variables, *model.metrics_variables, *model.optimizer.variables):
        seen.setdefault(id(variable), variable)
    # The norm of the last gradient only; nothing depends on it.
    seen.pop(id(getattr(model.optimizer, NORM, None)), None)
    return list(seen.values())


def to_numpy(variable: Any) -> np.ndarray:
    """Returns a copy of a variable."""
    # A copy: on some backends the array is a view of memory that training overwrites.
    return np.array(keras.ops.convert_to_numpy(variable))


@contextmanager
def restored(variables: list[Any]) -> Iterator[None]:
    """Gives the variables back their values at the end of the block."""
    before = [to_numpy(variable) for variable in variables]
    yield
    for variable, value in zip(variables, before):
        variable.assign(value)


def save_variables(path: Path, variables: list[Any], content: dict[str, Any]) -> None:
    """Writes Keras variables, in order, and a JSON object to one .npz file, atomically."""
    arrays = {f"{index:04d}": to_numpy(value) for index, value in enumerate(variables)}
    text = json.dumps({"format": _FORMAT, **content})
    with files.atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            # Not compressed: weights do not shrink, and this runs every epoch.
            np.savez(file, content=np.array(text), **arrays)  # type: ignore[arg-type]


def load_variables(path: Path, variables: list[Any]) -> dict[str, Any]:
    """Assigns the arrays of a file of `save_variables` and returns its JSON object.

    Raises:
        UserError: the file is damaged, or belongs to a network of other shapes.
    """
    arrays = checked.read_npz(path, "checkpoint")
    source = f"{quoted(path)} is not a checkpoint of dancenet"
    try:
        text = scalar(str, arrays, "content")
        values = [arrays[f"{index:04d}"] for index in range(len(arrays) - 1)]
    except (KeyError, UserError) as error:
        raise UserError(f"{source}: {shortened(error)}.") from error
    content = checked.convert(dict[str, Any], checked.parse_json(text, source), source)
    fits = len(values) == len(variables) and all(
        value.shape == tuple(variable.shape) and value.dtype.kind in "fiub"
        for value, variable in zip(values, variables)
    )
    if content.get("format") != _FORMAT or not fits:
        raise UserError(
            f"{quoted(path)} belongs to another network or another version of dancenet; train "
            "with the options it was begun with, or start again with "
            f"{option('overwrite')}."
        )
    for variable, value in zip(variables, values):
        variable.assign(value)
    return content


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds besides the variables."""

    seed: int
    asked: dict[str, Any]  # what decided the number of steps
    state: Progress


def load_checkpoint(path: Path, variables: list[Any]) -> Checkpoint:
    """Assigns the variables of a checkpoint, and returns the rest.

    Raises:
        UserError: see `load_variables`.
    """
    content = load_variables(path, variables)
    content.pop("format")
    return checked.build(Checkpoint, content, quoted(path))


def save_weights(model: keras.Model, path: Path) -> None:
    """Writes a Keras `.weights.h5` file, atomically.

    Args:
        model: a model that is not compiled. Keras also saves the optimiser of a compiled one, which
            makes the file three times as large and unreadable for other models.
        path: ends in `.weights.h5`.

    Raises:
        UserError: the folder cannot be written.
    """
    with files.atomic_path(path) as temporary:
        model.save_weights(temporary)

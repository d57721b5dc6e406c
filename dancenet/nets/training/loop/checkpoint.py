"""Checkpoints of a training, and weight files."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dancenet.nets.training.loop.optimizer import NORM
from dancenet.support import checked, files
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import option

CHECKPOINT = "checkpoint.npz"
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
    try:
        content = json.loads(str(arrays.pop("content")))
        values = [arrays[f"{index:04d}"] for index in range(len(arrays))]
    except (KeyError, ValueError) as error:
        raise UserError(f"{quoted(path)} is not a checkpoint of dancenet: {error}.") from error
    shapes = [tuple(variable.shape) for variable in variables]
    if content.get("format") != _FORMAT or [value.shape for value in values] != shapes:
        raise UserError(
            f"{quoted(path)} belongs to another network or another version of dancenet; train with "
            f"the options it was begun with, or start again with {option('overwrite')}."
        )
    for variable, value in zip(variables, values):
        variable.assign(value)
    return content


def save_weights(model: keras.Model, path: Path) -> None:
    """Writes a Keras `.weights.h5` file, atomically.

    Args:
        model: a model that is not compiled. Keras also saves the optimiser of a compiled one, which
            makes the file three times as large and unreadable for other models.
        path: ends in `.weights.h5`.

    Raises:
        UserError: the folder cannot be written.
    """
    files.check_parent(path)
    # Keras insists on the double suffix, so write to a temporary folder.
    with tempfile.TemporaryDirectory(prefix=".weights-", dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        model.save_weights(temporary)
        os.replace(temporary, path)

"""The model folder in a training: permission to begin, a clean start, the record in config.json."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable
from pathlib import Path

from dancenet.model.config import ModelConfig
from dancenet.model.folder import ModelFolder
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import option


def training_folder(folder: ModelFolder, network: str) -> Path:
    """Returns the folder of checkpoints, log and curves of the network "vae" or "dancer"."""
    return folder.training / network


def nothing_to_resume(folder: ModelFolder) -> UserError:
    """Returns the error of a training to resume that does not exist."""
    return UserError(
        f"There is no training to resume in {quoted(folder.path)}; start it without "
        f"{option('resume')}."
    )


def already_there(folder: ModelFolder, what: str, finished: bool) -> UserError:
    """Returns the error of a "model" or "dancer" that a new training would replace."""
    return UserError(
        f"There is {'a' if finished else 'an unfinished'} {what} in {quoted(folder.path)}; "
        f"continue its training with {option('resume')}, replace it with {option('overwrite')}, or "
        "choose another name."
    )


def clear(folder: ModelFolder, replaced: Iterable[str], training: Path) -> None:
    """Deletes the files that a new training will replace, and makes its training folder.

    Args:
        folder: of the model; exists.
        replaced: names of files in it.
        training: the training folder of the network, which is emptied.
    """
    for name in replaced:
        (folder / name).unlink(missing_ok=True)
    if training.exists():
        shutil.rmtree(training)
    training.mkdir(parents=True)


def with_record(config: ModelConfig, network: str, record: dict[str, object]) -> ModelConfig:
    """Returns a configuration with the record of the training of "vae" or "dancer"."""
    return dataclasses.replace(config, training={**config.training, network: record})

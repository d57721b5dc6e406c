"""The model folder in a training: permission to begin, a clean start, the record in config.json.

Nothing heavy is imported, so that permission is asked before TensorFlow is loaded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from dancenet.model.config import ModelConfig
from dancenet.model.folder import DANCER_WEIGHTS, VAE_WEIGHTS, ModelFolder, training_files
from dancenet.support import files
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import option

CHECKPOINT = "checkpoint.npz"


def training_folder(folder: ModelFolder, network: str) -> Path:
    """Returns the folder of checkpoints, log and curves of the network "vae" or "dancer"."""
    return folder.training / network


def nothing_to_resume(folder: ModelFolder) -> UserError:
    """Returns the error of a training to resume that does not exist."""
    return UserError(
        f"There is no training to resume in {quoted(folder.path)}; start it without "
        f"{option('resume')}."
    )


def how_to_go_on(training: Path) -> str:
    """Returns what to do after a stop outside the training loop, which saves at its own."""
    if (training / CHECKPOINT).exists():
        return f"The training is kept in {quoted(training)}; run it again with {option('resume')}."
    return "Nothing was trained yet; the same command begins again."


def already_there(folder: ModelFolder, what: str, finished: bool) -> UserError:
    """Returns the error of a "model" or "dancer" that a new training would replace."""
    return UserError(
        f"There is {'a' if finished else 'an unfinished'} {what} in {quoted(folder.path)}; "
        f"continue its training with {option('resume')}, replace it with {option('overwrite')}, or "
        "choose another name."
    )


def may_resume_vae(folder: ModelFolder, resume: bool, overwrite: bool) -> bool:
    """Returns whether there is a VAE to resume; refuses to replace one unasked.

    Raises:
        UserError: there is a model already, or nothing to resume.
    """
    if overwrite or not folder.exists():
        if resume and not folder.exists():
            raise nothing_to_resume(folder)
        return False
    finished = (folder / VAE_WEIGHTS).exists()
    begun = (training_folder(folder, "vae") / CHECKPOINT).exists()
    if resume and (folder / DANCER_WEIGHTS).exists():
        raise UserError(
            f"The model in {quoted(folder.path)} has a dancer, which fits the latents of this VAE "
            "only; train a further model under another name with "
            f"{option('start_from', folder.path.name)}, or replace both with "
            f"{option('overwrite')}."
        )
    # A training that was stopped before its first checkpoint is begun again.
    if not resume and (finished or begun or (folder / DANCER_WEIGHTS).exists()):
        raise already_there(folder, "model", finished)
    return resume


def may_resume_dancer(folder: ModelFolder, resume: bool, overwrite: bool) -> bool:
    """Returns `resume`; refuses to resume without a checkpoint, and to replace unasked.

    Raises:
        UserError: there is a dancer already, or nothing to resume.
    """
    begun = (training_folder(folder, "dancer") / CHECKPOINT).exists()
    finished = (folder / DANCER_WEIGHTS).exists()
    if resume and not begun:
        raise nothing_to_resume(folder)
    if not resume and (begun or finished) and not overwrite:
        raise already_there(folder, "dancer", finished)
    return resume


def clear(folder: ModelFolder, replaced: Iterable[str], training: Path) -> None:
    """Deletes the files that a new training will replace, and makes its training folder.

    What trainings did not make stays.

    Args:
        folder: of the model; exists.
        replaced: names of files in it.
        training: the training folder of the network, or that of all networks.
    """
    for name in replaced:
        (folder / name).unlink(missing_ok=True)
    files.remove_files(training_files(training), training)
    training.mkdir(parents=True, exist_ok=True)


def with_record(config: ModelConfig, network: str, record: dict[str, object]) -> ModelConfig:
    """Returns a configuration with the record of the training of "vae" or "dancer"."""
    return dataclasses.replace(config, training={**config.training, network: record})

"""What a model folder allows is known before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dancenet.model.config import ModelConfig, VaeConfig
from dancenet.model.folder import DANCER_WEIGHTS, VAE_WEIGHTS, ModelFolder
from dancenet.nets.training.folder import (
    CHECKPOINT,
    how_to_go_on,
    may_resume_dancer,
    may_resume_vae,
    training_folder,
)
from dancenet.support.errors import UserError


@pytest.fixture
def begun(tmp_path: Path) -> ModelFolder:
    """A model folder as a training leaves it that was stopped before its first checkpoint."""
    folder = ModelFolder(tmp_path / "model")
    folder.create()
    folder.write_config(ModelConfig("model", vae=VaeConfig()))
    for network in ("vae", "dancer"):
        training_folder(folder, network).mkdir(parents=True)
    return folder


def checkpoint(folder: ModelFolder, network: str) -> None:
    (training_folder(folder, network) / CHECKPOINT).touch()


@pytest.mark.parametrize("may_resume", [may_resume_vae, may_resume_dancer])
def test_a_training_stopped_before_its_first_checkpoint_is_begun_by_the_same_command(
    begun: ModelFolder, may_resume
) -> None:
    assert may_resume(begun, resume=False, overwrite=False) is False
    told = how_to_go_on(training_folder(begun, "vae"))
    assert told == "Nothing was trained yet; the same command begins again."


@pytest.mark.parametrize(
    "may_resume, network, weights",
    [(may_resume_vae, "vae", VAE_WEIGHTS), (may_resume_dancer, "dancer", DANCER_WEIGHTS)],
)
def test_a_begun_training_is_resumed_or_replaced_and_never_without_being_asked(
    begun: ModelFolder, may_resume, network: str, weights: str
) -> None:
    checkpoint(begun, network)
    assert "run it again with resume=True" in how_to_go_on(training_folder(begun, network))
    with pytest.raises(UserError, match="There is an unfinished"):
        may_resume(begun, resume=False, overwrite=False)
    assert may_resume(begun, resume=True, overwrite=False) is True
    assert may_resume(begun, resume=False, overwrite=True) is False
    (begun / weights).touch()
    with pytest.raises(UserError, match="There is a (model|dancer) in"):
        may_resume(begun, resume=False, overwrite=False)


def test_there_is_nothing_to_resume_without_a_folder(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path / "none")
    for may_resume in (may_resume_vae, may_resume_dancer):
        assert may_resume(folder, resume=False, overwrite=False) is False
        with pytest.raises(UserError, match="no training to resume"):
            may_resume(folder, resume=True, overwrite=False)


def test_asking_for_permission_imports_no_keras() -> None:
    program = "import sys, dancenet.nets.training.folder; sys.exit('keras' in sys.modules)"
    root = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", program], cwd=root).returncode == 0

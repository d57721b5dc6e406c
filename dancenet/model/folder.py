"""A model is a folder that needs nothing else: `config.json`, weights, graphs, checksums."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dancenet.model.config import ModelConfig
from dancenet.support import checked, files, lock
from dancenet.support.errors import UserError
from dancenet.support.names import is_safe_name, quoted
from dancenet.support.wording import command

CONFIG = "config.json"
CHECKSUMS = "checksums.json"
SCALER = "scaler.npz"  # a model of silhouettes has it
CODEC = "codec.npz"  # a model of joints has it
SEEDS = "seeds.npz"
ENCODER_GRAPH = "encoder.onnx"
DECODER_GRAPH = "decoder.onnx"
STEP_GRAPH = "step.onnx"
VAE_WEIGHTS = "vae.weights.h5"
DANCER_WEIGHTS = "dancer.weights.h5"
CARD = "card.md"
_SHA256 = re.compile("[0-9a-f]{64}")
_LARGEST_FILE = 1 << 40  # bytes
TRAINING = "training"

_RELEASED = (
    CONFIG,
    SCALER,
    CODEC,
    SEEDS,
    ENCODER_GRAPH,
    DECODER_GRAPH,
    STEP_GRAPH,
    VAE_WEIGHTS,
    DANCER_WEIGHTS,
)


_TRAINING_FILES = (
    "checkpoint.npz",
    "best.npz",
    "log.jsonl",
    "loss.png",
    "remembered.npz",
    "reconstructions.png",
    "tensorboard/**/events.out.tfevents.*",
    "tensorboard/**/*.tsv",
    "tensorboard/**/projector_config.pbtxt",
)


def made_files(folder: Path) -> Iterator[Path]:
    """Yields the files of a model folder that dancenet makes, its record of them last."""
    yield from training_files(folder / TRAINING)
    for name in (*_RELEASED, CHECKSUMS):
        if (folder / name).is_file():
            yield folder / name


def training_files(folder: Path) -> Iterator[Path]:
    """Yields the files that trainings leave in the folder of all networks, or in that of one."""
    networks = ("vae", "dancer") if folder.name == TRAINING else ("",)
    for network in networks:
        for pattern in _TRAINING_FILES:
            yield from (path for path in (folder / network).glob(pattern) if path.is_file())


@dataclass(frozen=True)
class FileRecord:
    """How a file of a model was when the model was sealed."""

    size_bytes: int
    sha256: str  # 64 hexadecimal digits

    def __post_init__(self) -> None:
        check_digest(self.size_bytes, self.sha256)


@dataclass(frozen=True)
class Checksums:
    """The content of `checksums.json`."""

    files: dict[str, FileRecord]  # by their paths inside the model's folder

    def __post_init__(self) -> None:
        for name in self.files:
            check_path(name)


def check_digest(size_bytes: int, sha256: str) -> None:
    """Raises UserError unless these can be the size and the hash of a file."""
    checked.between("size_bytes", size_bytes, 0, _LARGEST_FILE)
    if not _SHA256.fullmatch(sha256):
        raise UserError(f"sha256 must be 64 hexadecimal digits; received {reprlib.repr(sha256)}.")


def check_path(text: str) -> PurePosixPath:
    """Returns a path inside a model's folder.

    Raises:
        UserError: the path is absolute, leads out of the folder, or cannot be written on every
            system.
    """
    path = PurePosixPath(text)
    if not path.parts or path.is_absolute() or not all(map(is_safe_name, path.parts)):
        raise UserError(f"{reprlib.repr(text)} is not a path inside a model's folder")
    return path


class ModelFolder:
    """One model on disk. Files are replaced atomically; `seal` records their hashes."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def training(self) -> Path:
        """The folder of checkpoints, logs and contact sheets; not part of a released model."""
        return self.path / TRAINING

    def exists(self) -> bool:
        """Tells whether the folder holds a model, finished or not."""
        return (self.path / CONFIG).exists()

    def create(self) -> None:
        """Creates the folder and its parents, if needed."""
        try:
            self.training.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"The model folder {quoted(self.path)} cannot be made ({error.strerror})."
            ) from error

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Keeps other writers out of the folder; makes it, and removes it if it stays empty.

        Raises:
            UserError: another process is writing it, or it cannot be written.
        """
        with lock.hold_folder(self.path, "choose another name"):
            yield

    def read_config(self) -> ModelConfig:
        """Reads `config.json`.

        Raises:
            UserError: there is no model here, or its configuration cannot be read.
        """
        content = checked.read_json(self.path / CONFIG, "model configuration")
        return ModelConfig.from_json(content, quoted(self.path / CONFIG))

    def write_config(self, config: ModelConfig) -> None:
        """Writes `config.json` atomically."""
        files.write_json(self.path / CONFIG, config.to_json())

    def require_silhouettes(self) -> None:
        """Refuses a model that has no frames and no latents, such as one of joints.

        Raises:
            UserError: it is such a model.
        """
        if self.exists() and not (facts := self.read_config().facts).has_latents:
            raise UserError(
                f"The model {quoted(self.path)} dances {facts.dances} and has no picture network; "
                "name a model of silhouettes."
            )

    def require(self, name: str, made_by: str) -> Path:
        """Returns the path of a file of the model.

        Args:
            name: the file's name.
            made_by: the command that makes it, for the error; see `wording.command`.

        Raises:
            UserError: the file does not exist.
        """
        path = self.path / name
        if not path.is_file():
            raise UserError(f"The model {quoted(self.path)} has no {name}; make it with {made_by}.")
        return path

    def seal(self) -> str:
        """Records size and SHA-256 of every file of the model, and returns the model's hash."""
        record = {}
        for name in _RELEASED:
            path = self.path / name
            if path.is_file():
                record[name] = {
                    "size_bytes": path.stat().st_size,
                    "sha256": files.sha256_of(path),
                }
        files.write_json(self.path / CHECKSUMS, record)
        return self.sha256

    @property
    def sha256(self) -> str:
        """The model's hash: SHA-256 over the recorded hashes of its files, in order of name."""
        record = self.checksums
        text = json.dumps({name: record[name].sha256 for name in sorted(record)})
        return hashlib.sha256(text.encode()).hexdigest()

    def check(self, names: tuple[str, ...] | None = None) -> None:
        """Compares files with the record of `seal`.

        Args:
            names: the files to check; all of them if None.

        Raises:
            UserError: a file is missing, truncated or altered.
        """
        record = self.checksums
        advice = (
            f"Fetch the model again with {command('download-weights')}, restore the file from a "
            f"copy, or write the graphs again with {command('export')}."
        )
        for name in record if names is None else names:
            path = self.path / name
            if name not in record or not path.is_file():
                raise UserError(f"The model {quoted(self.path)} lacks {quoted(name)}. {advice}")
            expected = record[name].size_bytes
            size = path.stat().st_size
            if size > expected and differs_in_line_ends(path, record[name].sha256):
                continue
            if size != expected:
                raise UserError(
                    f"{quoted(path)} has {size:,} bytes and should have {expected:,}: it was cut "
                    f"or altered. {advice}"
                )
            if files.sha256_of(path) != record[name].sha256:
                raise UserError(
                    f"{quoted(path)} was altered: its SHA-256 is not as recorded. {advice}"
                )

    @property
    def checksums(self) -> dict[str, FileRecord]:
        """The record of `seal`: size and hash of each file, by name.

        Raises:
            UserError: it is missing, or is not a record of a model's files.
        """
        path = self.path / CHECKSUMS
        content = checked.read_json(path, "record of the model's files")
        source = f"{quoted(path)} is not a record of a model's files"
        return checked.build(Checksums, {"files": content}, source).files


def differs_in_line_ends(path: Path, sha256: str) -> bool:
    """Tells whether a text has the recorded hash but for CRLF, as Git for Windows writes it."""
    if path.suffix != ".json" or path.stat().st_size > checked.LARGEST_JSON:
        return False
    content = path.read_bytes()
    text = content.replace(b"\r\n", b"\n")
    return text != content and hashlib.sha256(text).hexdigest() == sha256

"""The registry of released models: their files, and the addresses that serve them."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from dancenet.model.folder import CARD, CHECKSUMS, ModelFolder, differs_in_line_ends
from dancenet.support import checked, files
from dancenet.support.errors import UserError
from dancenet.support.names import is_safe_name, quoted

REGISTRY = "registry.json"
URL_VARIABLE = "DANCENET_WEIGHTS_URL"
_FORMAT = 1


@dataclass(frozen=True)
class RemoteFile:
    """A file of a released model, and its addresses."""

    path: str  # inside the model's folder; the name of an archive
    size_bytes: int
    sha256: str
    urls: tuple[str, ...] = ()  # tried in turn


@dataclass(frozen=True)
class Release:
    """One entry of `registry.json`. A released name ends in a version; its bytes never change."""

    name: str
    description: str
    license: str = ""
    credits: str = ""
    bundled: bool = False  # part of this repository and of the installed package
    files: tuple[RemoteFile, ...] = ()
    archive: RemoteFile | None = None  # a zip of the files, in place of `files`

    @property
    def downloads(self) -> tuple[RemoteFile, ...]:
        """The files to download: the archive, or each file."""
        return (self.archive,) if self.archive else self.files

    @property
    def is_published(self) -> bool:
        """True if every file has an address."""
        return bool(self.downloads) and all(self.addresses(file) for file in self.downloads)

    def addresses(self, file: RemoteFile) -> tuple[str, ...]:
        """Returns the addresses of one file; DANCENET_WEIGHTS_URL replaces the registered ones."""
        base = os.environ.get(URL_VARIABLE)
        if base:
            return (f"{base.rstrip('/')}/{quote(self.name)}/{quote(file.path)}",)
        return file.urls


def bundled_folder() -> Path:
    """Returns the folder of the bundled models, in the installed package or in the clone."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "bundled"
    return installed if installed.is_dir() else package.parent / "weights"


def read_registry(path: Path | None = None) -> dict[str, Release]:
    """Reads the released models, by name.

    Args:
        path: the registry; None for the one that came with this version.

    Raises:
        UserError: it is missing, or not a registry of this version's format.
    """
    path = path or bundled_folder() / REGISTRY
    content = checked.read_json(path, "registry of models")
    try:
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}, this version reads {_FORMAT}")
        releases = [_release(entry) for entry in content["models"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"The registry {path} cannot be used: {error!r}.") from error
    return {release.name: release for release in releases}


def describe(folder: Path) -> dict[str, Any]:
    """Returns the registry entry of a model folder, to release it; addresses and words are empty.

    Raises:
        UserError: a file of the model is missing, damaged, or a link out of its folder.
    """
    _require_inside(folder, CHECKSUMS)
    record = checked.read_json(folder / CHECKSUMS, "record of the model's files")
    names = [*(record if isinstance(record, dict) else ()), CHECKSUMS]  # `check` refuses the rest
    if os.path.lexists(folder / CARD):
        names.append(CARD)
    for name in names:
        _require_inside(folder, name)
    ModelFolder(folder).check()
    for name in record:
        if differs_in_line_ends(folder / name, record[name]["sha256"]):
            raise UserError(
                f"{quoted(folder / name)} has other line ends than when the model was made, as git "
                "writes them on Windows; restore them, or write the model again."
            )
    listed = tuple(
        RemoteFile(name, (folder / name).stat().st_size, files.sha256_of(folder / name))
        for name in sorted(names)
    )
    entry = dataclasses.asdict(Release(folder.resolve().name, "", files=listed))
    del entry["archive"]
    return entry


def _require_inside(folder: Path, name: str) -> None:
    """Raises UserError if a model's file lies, or leads by a link, outside the model's folder."""
    try:
        path = folder / check_path(name)
    except ValueError as error:
        raise UserError(f"{quoted(folder / CHECKSUMS)} cannot be used: {error}.") from error
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links in a circle
        inside = False
    if not inside:
        raise UserError(
            f"{quoted(path)} is a link out of the model, which is released with its own files "
            "alone; put a copy of the file in its place."
        )


def check_path(text: str) -> PurePosixPath:
    """Returns a path inside a model's folder.

    Raises:
        ValueError: the path is absolute, leads out of the folder, or cannot be written on every
            system.
    """
    path = PurePosixPath(text)
    if not path.parts or path.is_absolute() or not all(map(is_safe_name, path.parts)):
        raise ValueError(f"{text!r} is not a path inside a model's folder")
    return path


def _release(entry: dict[str, Any]) -> Release:
    known = {field.name for field in dataclasses.fields(Release)}
    if set(entry) - known:
        raise ValueError(f"unknown keys {sorted(set(entry) - known)}")
    check_path(entry["name"])
    archive = entry.get("archive")
    release = Release(
        **{
            **entry,
            "files": tuple(_remote_file(file) for file in entry.get("files", ())),
            "archive": None if archive is None else _remote_file(archive),
        }
    )
    if release.archive and release.files:
        raise ValueError(f"{release.name} has files and an archive")
    return release


def _remote_file(entry: dict[str, Any]) -> RemoteFile:
    check_path(entry["path"])
    return RemoteFile(**{**entry, "urls": tuple(entry.get("urls", ()))})

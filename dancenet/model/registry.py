"""The registry of released models: their files, and the addresses that serve them."""

from __future__ import annotations

import dataclasses
import os
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from dancenet.model.folder import (
    CARD,
    CHECKSUMS,
    ModelFolder,
    check_digest,
    differs_in_line_ends,
)
from dancenet.model.folder import check_path as check_path
from dancenet.support import checked, files
from dancenet.support.errors import UserError
from dancenet.support.names import quoted

REGISTRY = "registry.json"
URL_VARIABLE = "DANCENET_WEIGHTS_URL"
_LONGEST_URL = 2000


@dataclass(frozen=True)
class RemoteFile:
    """A file of a released model, and its addresses."""

    path: str  # inside the model's folder; the name of an archive
    size_bytes: int
    sha256: str
    urls: tuple[str, ...] = ()  # tried in turn

    def __post_init__(self) -> None:
        check_path(self.path)
        check_digest(self.size_bytes, self.sha256)
        for url in self.urls:
            if not (url.isascii() and url.isprintable() and len(url) <= _LONGEST_URL):
                raise UserError(f"{reprlib.repr(url)} is not an address.")


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

    def __post_init__(self) -> None:
        checked.check_name("the name of a model", self.name)
        check_path(self.name)
        if self.name.startswith("."):
            raise UserError(f"{reprlib.repr(self.name)} is hidden, and no name of a model.")
        if self.archive and self.files:
            raise UserError(f"{self.name} has files and an archive")
        paths = [file.path for file in self.files]
        if len(set(paths)) < len(paths):
            raise UserError(f"{self.name} has a file twice")

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


@dataclass(frozen=True)
class Registry:
    """The content of `registry.json`."""

    format: Literal[1]
    models: tuple[Release, ...]

    def __post_init__(self) -> None:
        if len(self.by_name) < len(self.models):
            raise UserError("it has a model twice")

    @property
    def by_name(self) -> dict[str, Release]:
        """The releases, by name."""
        return {release.name: release for release in self.models}


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
    return checked.build(Registry, content, f"The registry {quoted(path)}").by_name


def describe(folder: Path) -> dict[str, Any]:
    """Returns the registry entry of a model folder, to release it; addresses and words are empty.

    Raises:
        UserError: a file of the model is missing, damaged, or a link out of its folder.
    """
    _require_inside(folder, CHECKSUMS)
    model = ModelFolder(folder)
    record = model.checksums
    names = [*record, CHECKSUMS]
    if os.path.lexists(folder / CARD):
        names.append(CARD)
    for name in names:
        _require_inside(folder, name)
    model.check()
    for name in record:
        if differs_in_line_ends(folder / name, record[name].sha256):
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
    path = folder / check_path(name)
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links in a circle
        inside = False
    if not inside:
        raise UserError(
            f"{quoted(path)} is a link out of the model, which is released with its own files "
            "alone; put a copy of the file in its place."
        )

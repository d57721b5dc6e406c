"""Finds a model by name: trained here, bundled, downloaded, or still to be fetched."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dancenet.model import registry
from dancenet.model.folder import CONFIG
from dancenet.model.registry import Release
from dancenet.support import files
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, visible
from dancenet.support.wording import command

ORIGINAL = "dancenet-2018"  # the published network of 2018; `dancenet.legacy.download` fetches it
LOCAL_FOLDER = Path("weights")  # in the working directory; the training scripts write here


@dataclass(frozen=True)
class Listing:
    """A model that can be asked for by name."""

    name: str
    place: str  # "yours", "bundled", "downloaded", "remote" or "missing"
    path: Path | None  # None if it is not on this machine
    size_bytes: int | None  # None if nobody has recorded it
    description: str


def downloads_folder() -> Path:
    """Returns the folder where fetched models are kept."""
    return files.cache_folder() / "models"


def list_models() -> list[Listing]:
    """Returns the released models, then those trained in `./weights`."""
    listings = []
    for release in registry.read_registry().values():
        path = _on_disk(release.name)
        size: int | None
        if path is not None:
            place, size = _place(path), _size(path)
        else:
            size = sum(file.size_bytes for file in release.downloads) or None
            place = "remote" if release.is_published else "missing"
        listings.append(Listing(release.name, place, path, size, release.description))
    known = {listing.name for listing in listings}
    for folder in (LOCAL_FOLDER, downloads_folder()):
        for path in sorted(folder.glob("*/" + CONFIG)):
            name = path.parent.name
            if name not in known and not name.startswith("."):
                known.add(name)
                place = _place(path.parent)
                listings.append(Listing(name, place, path.parent, _size(path.parent), ""))
    return listings


def find_model(name_or_path: str | os.PathLike[str]) -> Path:
    """Finds a model's folder; never downloads.

    The order is: an existing folder, `./weights/NAME`, the bundled models, the downloaded ones.

    Args:
        name_or_path: a model's name, or the path of its folder.

    Returns:
        The folder. It holds `config.json`; its other files are not checked.

    Raises:
        UserError: there is no such model; the message lists the models there are.
    """
    name = os.fspath(name_or_path)
    given = Path(os.path.expanduser(name))
    if (given / CONFIG).is_file():
        return given
    if given.is_dir() and len(given.parts) != 1:
        raise UserError(_not_a_model(given))
    found = _on_disk(name) if len(given.parts) == 1 and given.name == name else None
    if found is not None:
        return found
    release = registry.read_registry().get(name)
    if name == ORIGINAL or (release is not None and release.is_published):
        raise UserError(
            f"The model {quoted(name)} is not on this machine yet; fetch it with "
            f"{command('download-weights', name)}."
        )
    if release is not None:
        raise UserError(not_published(release))
    if given.is_dir():
        raise UserError(_not_a_model(given))
    raise UserError(unknown_model(name))


def not_published(release: Release) -> str:
    """Returns the message for a model that has no address."""
    if release.bundled:
        return (
            f"The model {quoted(release.name)} is bundled with dancenet and not published "
            f"elsewhere, but {quoted(registry.bundled_folder() / release.name)} is missing; "
            f"restore it with `git checkout weights/{visible(release.name)}`, or install "
            "dancenet again."
        )
    return f"The model {quoted(release.name)} is known, but not published yet."


def unknown_model(name: str) -> str:
    """Returns the message for a name that no model has."""
    names = [listing.name for listing in list_models() if listing.place != "missing"]
    there = f"there are {', '.join(names)}" if names else "there are none yet"
    return (
        f"There is no model {quoted(name)}; {there}. Give one of these names or a model's folder, "
        f"or train one with {command('train-vae')}."
    )


def _not_a_model(folder: Path) -> str:
    return (
        f"{quoted(folder)} is not a whole model: it has no {CONFIG}. Copy or fetch it again, or "
        "choose another model."
    )


def _on_disk(name: str) -> Path | None:
    # Checked last: `downloads_folder()` imports pooch, which would slow every start.
    for folder in (lambda: LOCAL_FOLDER, registry.bundled_folder, downloads_folder):
        if (folder() / name / CONFIG).is_file():
            return folder() / name
    return None


def _place(path: Path) -> str:
    if path.parent.resolve() == downloads_folder().resolve():
        return "downloaded"
    if path.parent.resolve() == registry.bundled_folder().resolve():
        release = registry.read_registry().get(path.name)
        return "bundled" if release is not None and release.bundled else "yours"
    return "yours"


def _size(path: Path) -> int:
    # Files alone: the folder `training` is not part of the model.
    return sum(file.stat().st_size for file in path.iterdir() if file.is_file())

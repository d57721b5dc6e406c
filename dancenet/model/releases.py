"""Released models: which there are, where they lie, and how they are fetched and checked."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

from dancenet.model.folder import CARD, CHECKSUMS, CONFIG, ModelFolder
from dancenet.support import files, terminal
from dancenet.support.errors import UserError, why_not_fetched

REGISTRY = "registry.json"
URL_VARIABLE = "DANCENET_WEIGHTS_URL"
ORIGINAL = "dancenet-2018"  # the published network of 2018; `dancenet.legacy.download` fetches it
LOCAL_FOLDER = Path("weights")  # of the working directory; where the training scripts write

_FORMAT = 1
CHUNK = 1 << 13  # bytes; what a broken connection loses at most
TIMEOUT = 30  # seconds without an answer
# Weights hardly shrink when packed, so an archive that grows more than this is not one of ours.
_LARGEST_RATIO = 10
_SMALLEST_LIMIT = 1 << 20  # bytes


@dataclass(frozen=True)
class RemoteFile:
    """A file of a released model, and the places that have it."""

    path: str  # inside the model's folder; of an archive, its name
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
    bundled: bool = False  # lies in this repository and in the installed package
    files: tuple[RemoteFile, ...] = ()
    archive: RemoteFile | None = None  # a zip of the files, in place of `files`

    @property
    def downloads(self) -> tuple[RemoteFile, ...]:
        return (self.archive,) if self.archive else self.files


@dataclass(frozen=True)
class Listing:
    """A model that can be asked for by name."""

    name: str
    place: str  # "yours", "bundled", "downloaded", "remote" or "missing"
    path: Path | None  # None if it is not on this machine
    size_bytes: int | None  # None if nobody has recorded it
    description: str


def bundled_folder() -> Path:
    """Returns the folder of the bundled models: of the installed package, or of the clone."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "bundled"
    return installed if installed.is_dir() else package.parent / "weights"


def downloads_folder() -> Path:
    """Returns the folder where fetched models are kept."""
    return files.cache_folder() / "models"


def read_registry(path: Path | None = None) -> dict[str, Release]:
    """Reads the released models, by name.

    Args:
        path: the registry; None for the one that came with this version.

    Raises:
        UserError: it is missing, or not a registry of this version's format.
    """
    path = path or bundled_folder() / REGISTRY
    content = files.read_json(path, "registry of models")
    try:
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}, this version reads {_FORMAT}")
        releases = [_release(entry) for entry in content["models"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"The registry {path} cannot be used: {error!r}.") from error
    return {release.name: release for release in releases}


def list_models() -> list[Listing]:
    """Returns the released models and those trained in `./weights`, in that order."""
    listings = []
    for release in read_registry().values():
        path = _on_disk(release.name)
        size: int | None
        if path is not None:
            place, size = _place(path), _size(path)
        else:
            size = sum(file.size_bytes for file in release.downloads) or None
            place = "remote" if _has_addresses(release) else "missing"
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

    A folder that exists comes first, then `./weights/NAME`, the bundled models, and those
    that were downloaded.

    Args:
        name_or_path: a model's name, or the path of its folder.

    Returns:
        The folder. It holds `config.json`; whether its files are whole is not checked.

    Raises:
        UserError: there is no such model; the message lists those there are.
    """
    name = os.fspath(name_or_path)
    given = Path(name).expanduser()
    if (given / CONFIG).is_file():
        return given
    if given.is_dir() and len(given.parts) != 1:
        raise UserError(_no_model(given))
    found = _on_disk(name) if len(given.parts) == 1 and given.name == name else None
    if found is not None:
        return found
    release = read_registry().get(name)
    if name == ORIGINAL or release is not None and _has_addresses(release):
        raise UserError(
            f"The model {name!r} is not on this machine yet; fetch it with "
            f"`python scripts/download_weights.py {name}`."
        )
    if release is not None:
        raise UserError(_nowhere(release))
    if given.is_dir():
        raise UserError(_no_model(given))
    raise UserError(_unknown(name))


def fetch(name: str) -> Path:
    """Fetches a released model, unless it is here already and whole.

    Each file's SHA-256 is checked. A download that was cut is continued where it stopped, also
    by a later run and from another mirror. The model appears in its place only when it is
    complete.

    Args:
        name: a name of the registry.

    Returns:
        The model's folder: the bundled one, or one among the user's downloads.

    Raises:
        UserError: the name is unknown, the model is published nowhere, or no mirror gave it.
    """
    release = read_registry().get(name)
    if release is None:
        local = LOCAL_FOLDER / name
        if (local / CONFIG).is_file():
            raise UserError(f"{local} was trained here and is not a released model.")
        raise UserError(_unknown(name))
    bundled = bundled_folder() / name
    if release.bundled and (bundled / CONFIG).is_file():
        ModelFolder(bundled).check()
        return bundled
    target = downloads_folder() / name
    if (target / CONFIG).is_file():
        try:
            ModelFolder(target).check()
            return target
        except UserError as damage:
            terminal.warn(f"{str(damage).partition('. ')[0]}. It is fetched again.")
    if not _has_addresses(release):
        raise UserError(_nowhere(release))
    # Kept after a failure, so that the next run goes on from there.
    staging = downloads_folder() / f".{name}.fetching"
    staging.mkdir(parents=True, exist_ok=True)
    _download_all(release, staging)
    whole = staging
    if release.archive is not None:
        archive = staging / release.archive.path
        whole = staging / "unpacked"
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir()
        try:
            unpack(archive, whole)
        except UserError:
            shutil.rmtree(staging)
            raise
    ModelFolder(whole).check()
    files.replace_folder(whole, target)
    shutil.rmtree(staging, ignore_errors=True)
    return target


def describe(folder: Path) -> dict[str, Any]:
    """Returns the registry entry of a model folder, for those who release one.

    The addresses and the words are left to be filled in.

    Raises:
        UserError: the folder is not a whole model.
    """
    ModelFolder(folder).check()
    names = [*files.read_json(folder / CHECKSUMS, "record of the model's files"), CHECKSUMS]
    if (folder / CARD).is_file():
        names.append(CARD)
    listed = tuple(
        RemoteFile(name, (folder / name).stat().st_size, files.sha256_of(folder / name))
        for name in sorted(names)
    )
    entry = dataclasses.asdict(Release(folder.resolve().name, "", files=listed))
    del entry["archive"]
    return entry


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a zip of a model's files, in `folder` or in one folder of any name inside the zip.

    Args:
        archive: the zip.
        folder: an empty folder.

    Raises:
        UserError: it is not a zip, or holds what no model holds: an absolute path, `..`, a
            link, a name twice, or far more bytes than the archive has.
    """
    left = max(_SMALLEST_LIMIT, _LARGEST_RATIO * archive.stat().st_size)
    try:
        with zipfile.ZipFile(archive) as file:
            members = [member for member in file.infolist() if not member.is_dir()]
            for path, member in zip(_member_paths(members), members, strict=True):
                destination = folder / path
                destination.parent.mkdir(parents=True, exist_ok=True)
                # The size in the header may lie, so what comes out is counted.
                with file.open(member) as source, open(destination, "xb") as sink:
                    while chunk := source.read(CHUNK):
                        left -= len(chunk)
                        if left < 0:
                            raise ValueError("it unpacks to far more than a model has")
                        sink.write(chunk)
    except (
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        RuntimeError,
        NotImplementedError,
        EOFError,
        FileExistsError,
        NotADirectoryError,
    ) as error:
        raise UserError(f"The archive {archive.name} was refused: {error}.") from error


def _member_paths(members: Sequence[zipfile.ZipInfo]) -> list[PurePosixPath]:
    paths = []
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise ValueError(f"{member.filename!r} is not a plain file")
        paths.append(_safe_path(member.filename))
    tops = {path.parts[0] for path in paths}
    if len(tops) == 1 and all(len(path.parts) > 1 for path in paths):
        paths = [PurePosixPath(*path.parts[1:]) for path in paths]
    if len(set(paths)) != len(paths):
        raise ValueError("it holds a name twice")
    return paths


def _safe_path(text: str) -> PurePosixPath:
    path = PurePosixPath(text)
    if (
        not path.parts
        or path.is_absolute()
        or ".." in path.parts
        or any(mark in text for mark in ("\\", ":", "\0"))
    ):
        raise ValueError(f"{text!r} is not a path inside a model's folder")
    return path


def _release(entry: dict[str, Any]) -> Release:
    known = {field.name for field in dataclasses.fields(Release)}
    if set(entry) - known:
        raise ValueError(f"unknown keys {sorted(set(entry) - known)}")
    _safe_path(entry["name"])
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
    _safe_path(entry["path"])
    return RemoteFile(**{**entry, "urls": tuple(entry.get("urls", ()))})


def _on_disk(name: str) -> Path | None:
    # The last place takes imports to find that no dance by a bundled model should wait for.
    for folder in (lambda: LOCAL_FOLDER, bundled_folder, downloads_folder):
        if (folder() / name / CONFIG).is_file():
            return folder() / name
    return None


def _place(path: Path) -> str:
    if path.parent.resolve() == downloads_folder().resolve():
        return "downloaded"
    if path.parent.resolve() == bundled_folder().resolve():
        release = read_registry().get(path.name)
        return "bundled" if release is not None and release.bundled else "yours"
    return "yours"


def _size(path: Path) -> int:
    # Not what lies in `training/`, which is no part of the model.
    return sum(file.stat().st_size for file in path.iterdir() if file.is_file())


def _has_addresses(release: Release) -> bool:
    if os.environ.get(URL_VARIABLE):
        return bool(release.downloads)
    return bool(release.downloads) and all(file.urls for file in release.downloads)


def _addresses(release: Release, file: RemoteFile) -> tuple[str, ...]:
    base = os.environ.get(URL_VARIABLE)
    if base:
        return (f"{base.rstrip('/')}/{quote(release.name)}/{quote(file.path)}",)
    return file.urls


def _nowhere(release: Release) -> str:
    if release.bundled:
        return (
            f"The model {release.name!r} is bundled with dancenet and published nowhere else, but "
            f"{bundled_folder() / release.name} is missing; restore it with "
            f"`git checkout weights/{release.name}`, or install dancenet again."
        )
    return f"The model {release.name!r} is known, but published nowhere yet."


def _no_model(folder: Path) -> str:
    return (
        f"{folder} is not a whole model: it has no {CONFIG}. Copy or fetch it again, or choose "
        "another model."
    )


def _unknown(name: str) -> str:
    names = [listing.name for listing in list_models() if listing.place != "missing"]
    there = f"there are {', '.join(names)}" if names else "there are none yet"
    return (
        f"There is no model {name!r}; {there}. Give one of these names or a model's folder, or "
        "train one with `python scripts/train_vae.py`."
    )


def _download_all(release: Release, folder: Path) -> None:
    total = sum(file.size_bytes for file in release.downloads)
    with terminal.progress(
        total=total, description=f"Fetching {release.name}", unit="B", scale=True
    ) as bar:
        for file in release.downloads:
            before = bar.n
            _download(file, _addresses(release, file), folder, bar)
            bar.update(before + file.size_bytes - bar.n)


def _download(file: RemoteFile, urls: Sequence[str], folder: Path, bar: Any) -> None:
    import pooch

    pooch.get_logger().setLevel("ERROR")
    path = folder / file.path
    start, reasons = bar.n, []
    for url in urls:
        bar.n = start
        try:
            pooch.retrieve(
                url,
                known_hash=f"sha256:{file.sha256}",
                fname=path.name,
                path=path.parent,
                downloader=_Resumer(path.with_name(path.name + ".part"), file.size_bytes, bar),
            )
            return
        except (ValueError, OSError) as error:  # requests' errors are OSErrors
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise
            reasons.append(f"{url}: {why_not_fetched(error)}")
    raise UserError(
        f"{file.path} could not be fetched. {'; '.join(reasons)}. Run this again to continue "
        f"where it stopped, or name another place with {URL_VARIABLE}."
    )


class _Resumer:
    """Downloads for pooch, by way of a partial file that outlives a failure."""

    def __init__(self, partial: Path, size_bytes: int, bar: Any) -> None:
        self._partial = partial
        self._size = size_bytes
        self._bar = bar

    def __call__(self, url: str, output_file: str | os.PathLike[str], pooch: Any) -> None:
        scheme = urlsplit(url).scheme
        if scheme not in ("http", "https", "file"):
            raise ValueError("the address begins with neither https://, http:// nor file://")
        present = self._partial.stat().st_size if self._partial.exists() else 0
        if present > self._size:
            self._partial.unlink()
            present = 0
        if present < self._size:
            if scheme == "file":
                present = self._copy(url)
            else:
                present = self._request(url, present)
        if present < self._size:
            raise ValueError(f"it ended after {present:,} of {self._size:,} bytes")
        shutil.move(self._partial, output_file)

    def _copy(self, url: str) -> int:
        from urllib.request import url2pathname

        with open(url2pathname(urlsplit(url).path), "rb") as source:
            return self._write(iter(lambda: source.read(CHUNK), b""), 0)

    def _request(self, url: str, present: int) -> int:
        import requests

        # Counting bytes needs them as they are stored.
        headers = {"Accept-Encoding": "identity"}
        if present:
            headers["Range"] = f"bytes={present}-"
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            response.raise_for_status()
            follows = response.headers.get("Content-Range", "").startswith(f"bytes {present}-")
            # A server that knows no ranges sends everything once more.
            start = present if response.status_code == 206 and follows else 0
            return self._write(response.iter_content(CHUNK), start)

    def _write(self, chunks: Any, start: int) -> int:
        count = start
        self._bar.update(start)
        with open(self._partial, "ab" if start else "wb") as sink:
            for chunk in chunks:
                count += len(chunk)
                if count > self._size:
                    break
                sink.write(chunk)
                self._bar.update(len(chunk))
        if count > self._size:
            self._partial.unlink()
            raise ValueError(f"it has more than the {self._size:,} bytes expected")
        return count

"""Fetches released models: resumable downloads, checked by SHA-256, and safe unpacking."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from dancenet.model import registry, releases
from dancenet.model.folder import CONFIG, ModelFolder
from dancenet.model.registry import URL_VARIABLE, Release, RemoteFile
from dancenet.support import files, terminal
from dancenet.support.errors import UserError, why_not_fetched
from dancenet.support.names import quoted

CHUNK = 1 << 13  # bytes; the most that a broken connection loses
TIMEOUT = 30  # seconds without an answer
# Weights hardly compress, so an archive that grows more than this does not hold a model.
_LARGEST_RATIO = 10
_SMALLEST_LIMIT = 1 << 20  # bytes


def fetch(name: str) -> Path:
    """Fetches a released model, unless it is here already and undamaged.

    Each file's SHA-256 is checked. An interrupted download is continued, also by a later run and
    from another mirror. The model appears in its folder only when it is complete.

    Args:
        name: a name of the registry.

    Returns:
        The model's folder: the bundled one, or one among the user's downloads.

    Raises:
        UserError: the name is unknown, the model is not published, or every mirror failed.
    """
    release = _find_release(name)
    bundled = registry.bundled_folder() / name
    if release.bundled and (bundled / CONFIG).is_file():
        ModelFolder(bundled).check()
        return bundled
    target = releases.downloads_folder() / name
    if (target / CONFIG).is_file():
        try:
            ModelFolder(target).check()
            return target
        except UserError as damage:
            terminal.warn(f"{str(damage).partition('. ')[0]}. It is fetched again.")
    if not release.is_published:
        raise UserError(releases.not_published(release))
    # Kept after a failure, so that the next run continues from there.
    staging = releases.downloads_folder() / f".{name}.fetching"
    staging.mkdir(parents=True, exist_ok=True)
    _download_all(release, staging)
    whole = staging if release.archive is None else _unpack_in(staging, release.archive.path)
    ModelFolder(whole).check()
    files.replace_folder(whole, target)
    shutil.rmtree(staging, ignore_errors=True)
    return target


def _find_release(name: str) -> Release:
    release = registry.read_registry().get(name)
    if release is not None:
        return release
    local = releases.LOCAL_FOLDER / name
    if (local / CONFIG).is_file():
        raise UserError(f"{local} was trained here and is not a released model.")
    raise UserError(releases.unknown_model(name))


def _unpack_in(staging: Path, archive: str) -> Path:
    """Unpacks a downloaded archive; if it is refused, removes the staging folder."""
    whole = staging / "unpacked"
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir()
    try:
        unpack(staging / archive, whole)
    except UserError:
        shutil.rmtree(staging)
        raise
    return whole


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a zip of a model's files.

    Args:
        archive: the zip; the files may lie in one folder of any name inside it.
        folder: an empty folder.

    Raises:
        UserError: it is not a zip, or holds an absolute path, `..`, a link, a name twice, or far
            more bytes than the archive has.
    """
    left = max(_SMALLEST_LIMIT, _LARGEST_RATIO * archive.stat().st_size)
    try:
        with zipfile.ZipFile(archive) as file:
            members = [member for member in file.infolist() if not member.is_dir()]
            for path, member in zip(_member_paths(members), members, strict=True):
                destination = folder / path
                destination.parent.mkdir(parents=True, exist_ok=True)
                # The size in the header may be false, so the bytes are counted.
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
        paths.append(registry.check_path(member.filename))
    tops = {path.parts[0] for path in paths}
    if len(tops) == 1 and all(len(path.parts) > 1 for path in paths):
        paths = [PurePosixPath(*path.parts[1:]) for path in paths]
    if len(set(paths)) != len(paths):
        raise ValueError("it holds a name twice")
    return paths


def _download_all(release: Release, folder: Path) -> None:
    total = sum(file.size_bytes for file in release.downloads)
    with terminal.progress(
        total=total, description=f"Fetching {release.name}", unit="B", scale=True
    ) as bar:
        for file in release.downloads:
            before = bar.n
            _download(file, release.addresses(file), folder, bar)
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
        f"{quoted(file.path)} could not be fetched. {'; '.join(reasons)}. Run this again to "
        f"continue where it stopped, or name another place with {URL_VARIABLE}."
    )


class _Resumer:
    """Downloads for pooch through a partial file that is kept after a failure."""

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

        # Without compression, so that bytes can be counted.
        headers = {"Accept-Encoding": "identity"}
        if present:
            headers["Range"] = f"bytes={present}-"
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            response.raise_for_status()
            follows = response.headers.get("Content-Range", "").startswith(f"bytes {present}-")
            # A server without range support sends the whole file again.
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

"""Fetches released models: resumable downloads, checked by SHA-256, and safe unpacking."""

from __future__ import annotations

import errno
import lzma
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from dancenet.model import registry, releases
from dancenet.model.folder import CONFIG, ModelFolder, made_files
from dancenet.model.registry import URL_VARIABLE, Release, RemoteFile
from dancenet.support import files, lock, terminal
from dancenet.support.errors import UserError, why_not_fetched, write_failed
from dancenet.support.names import folded, quoted, shortened

CHUNK = 1 << 13  # bytes; the most that a broken connection loses
TIMEOUT = 30  # seconds without an answer
# Weights hardly compress, so an archive that grows more than this does not hold a model.
_LARGEST_RATIO = 10
_SMALLEST_LIMIT = 1 << 20  # bytes
_MOST_MEMBERS = 20_000  # files in an archive; that of 2018 may hold its frames, too
# What `zipfile` and the decoders raise for an archive that was cut, altered or made to harm.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    ValueError,
    IndexError,
    RuntimeError,
    NotImplementedError,
    EOFError,
    FileExistsError,
    NotADirectoryError,
)


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
    # Kept after a failure, so that the next run continues from there.
    staging = target.with_name(f".{name}.fetching")
    left = (staging, lock.beside(target), files.old_folder(target))
    if is_whole(target) and not any(map(os.path.lexists, left)):
        return target
    try:
        with lock.hold(lock.beside(target), target, "use another model", wait=True):
            files.restore_folder(target, made_files)
            # It may have come while this process waited.
            if not is_whole(target, "It is fetched again."):
                _fetch(release, staging, target)
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        if files.is_no_room(error):
            raise write_failed(target, error) from error
        raise
    return target


def _fetch(release: Release, staging: Path, target: Path) -> None:
    if not release.is_published:
        raise UserError(releases.not_published(release))
    files.make_folder(staging)
    _remove_others(staging, [file.path for file in release.downloads])
    _download_all(release, staging)
    whole = staging if release.archive is None else _unpack_in(staging, release.archive.path)
    ModelFolder(whole).check()
    put_in_place(whole, target)


def is_whole(folder: Path, otherwise: str | None = None) -> bool:
    """Tells whether a model was fetched and is undamaged; warns of damage if told what follows."""
    if not (folder / CONFIG).is_file():
        return False
    try:
        ModelFolder(folder).check()
    except UserError as damage:
        if otherwise is not None:
            terminal.warn(f"{str(damage).partition('. ')[0]}. {otherwise}")
        return False
    return True


def put_in_place(whole: Path, target: Path) -> None:
    """Puts a fetched model in the place of a damaged one; what is not of the model stays there."""
    names = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file()]

    def ours(folder: Path) -> list[Path]:
        return [*(folder / name for name in names), *made_files(folder)]

    files.replace_folder(whole, target, ours)


def _remove_others(staging: Path, paths: Sequence[str]) -> None:
    """Removes what killed runs left beside the files of a download and their beginnings."""
    kept = {staging / name for path in paths for name in (path, f"{path}.part")}
    others = [path for path in staging.rglob("*") if path.is_file() and path not in kept]
    files.remove_files(others, staging)
    staging.mkdir(exist_ok=True)


def _find_release(name: str) -> Release:
    release = registry.read_registry().get(name)
    if release is not None:
        return release
    local = releases.LOCAL_FOLDER / name
    if (local / CONFIG).is_file():
        raise UserError(f"{quoted(local)} was trained here and is not a released model.")
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
    except _DAMAGED as error:
        raise _refused(archive, error) from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):
            raise
        raise _refused(archive, error) from error  # of bzip2, or a place before the file


def _refused(archive: Path, error: Exception) -> UserError:
    return UserError(f"The archive {quoted(archive.name)} was refused: {shortened(error)}.")


def _member_paths(members: Sequence[zipfile.ZipInfo]) -> list[PurePosixPath]:
    if len(members) > _MOST_MEMBERS:
        raise ValueError(f"it holds {len(members):,} files, far more than a model has")
    paths = []
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise ValueError(f"{quoted(member.filename)} is not a plain file")
        paths.append(registry.check_path(member.filename))
    tops = {path.parts[0] for path in paths}
    if len(tops) == 1 and all(len(path.parts) > 1 for path in paths):
        paths = [PurePosixPath(*path.parts[1:]) for path in paths]
    # Names that differ in case or in the form of accents are one file on Windows and macOS.
    if len({folded(str(path)) for path in paths}) != len(paths):
        raise ValueError("it holds a name twice")
    return paths


def _download_all(release: Release, folder: Path) -> None:
    total = sum(file.size_bytes for file in release.downloads)
    with terminal.progress(
        total=total, description=f"Fetching {release.name}", unit="B", scale=True
    ) as bar:
        for file in release.downloads:
            _download(file, release.addresses(file), folder, bar)


def _download(file: RemoteFile, urls: Sequence[str], folder: Path, bar: Any) -> None:
    reasons = try_addresses(file, urls, folder, bar)
    if reasons is not None:
        raise UserError(
            f"{quoted(file.path)} could not be fetched. {'; '.join(reasons)}. Run this again to "
            f"continue where it stopped, or name another place with {URL_VARIABLE}."
        )


def try_addresses(
    file: RemoteFile, urls: Sequence[str], folder: Path, bar: Any
) -> list[str] | None:
    """Downloads a file and checks its SHA-256, unless it is here already and undamaged.

    Args:
        file: what to fetch; it is put into `folder` under its name when it is complete.
        urls: tried in turn.
        folder: where an interrupted download is kept, too, and continued by the next call.
        bar: shows the bytes.

    Returns:
        None if the file is there, else why each address failed.

    Raises:
        UserError: the disk is full.
    """
    path = folder / file.path
    before = bar.n
    if not (path.is_file() and files.sha256_of(path) == file.sha256):
        reasons = _try_each(file, urls, path, bar)
        if reasons is not None:
            return reasons
    bar.update(before + file.size_bytes - bar.n)
    return None


def _try_each(file: RemoteFile, urls: Sequence[str], path: Path, bar: Any) -> list[str] | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    start, reasons = bar.n, []
    for url in urls:
        bar.n = start
        try:
            _Resumer(partial, file.size_bytes, bar).fetch(url)
            if files.sha256_of(partial) != file.sha256:
                partial.unlink()
                raise ValueError("another hash than the released one")
            files.replace(partial, path)
            return None
        except (ValueError, OSError) as error:  # requests' errors are OSErrors
            if isinstance(error, OSError) and files.is_no_room(error):
                raise write_failed(path, error) from error
            reasons.append(f"{url}: {why_not_fetched(error)}")
    return reasons


class _Resumer:
    """Downloads through a partial file that is kept after a failure."""

    def __init__(self, partial: Path, size_bytes: int, bar: Any) -> None:
        self._partial = partial
        self._size = size_bytes
        self._bar = bar

    def fetch(self, url: str) -> None:
        """Completes the partial file.

        Raises:
            ValueError: the address is of another kind, or the file of another size.
        """
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

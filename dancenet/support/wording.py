"""Names commands and options for messages: in a clone, installed, or in Python.

f"Export the model again with {command('export', f'--name {name}')}."
f"Replace it with {option('overwrite')}."
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_SCRIPTS = {"make": "make_dance"}  # scripts whose name is not the subcommand

# How the current work was started: "script", "command" (`dancenet verb`) or "python".
_caller: ContextVar[str] = ContextVar("caller", default="python")


@contextmanager
def called_as(prog: str) -> Iterator[None]:
    """Sets for the block that the work was started by a command line, with its parser's `prog`."""
    token = _caller.set("command" if prog.startswith("dancenet") else "script")
    try:
        yield
    finally:
        _caller.reset(token)


def command(verb: str, arguments: str = "") -> str:
    """Returns a command line in backticks: a script in a clone, `dancenet` elsewhere.

    Args:
        verb: a subcommand, such as "train-dancer".
        arguments: the arguments after it.
    """
    caller = _caller.get()
    if caller == "script" or (caller == "python" and _is_clone()):
        line = f"python scripts/{_SCRIPTS.get(verb, verb.replace('-', '_'))}.py"
    else:
        line = f"dancenet {verb}"
    return f"`{line} {arguments}".rstrip() + "`"


def option(name: str, value: object = None) -> str:
    """Returns a flag at the terminal, such as `--look-back 11`; in Python, `look_back=11`.

    Args:
        name: the parameter's name, or the flag's without dashes.
        value: None for a switch.
    """
    if _caller.get() == "python":
        return f"{name.replace('-', '_')}={True if value is None else value!r}"
    flag = f"--{name.replace('_', '-')}"
    return flag if value is None else f"{flag} {value}"


def _is_clone() -> bool:
    return (_PACKAGE.parent / "scripts" / "generate_video.py").is_file()

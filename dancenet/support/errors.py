"""Errors whose message is written for the person at the terminal."""

from __future__ import annotations

import errno
import os

from dancenet.support.names import quoted


class UserError(ValueError):
    """A mistake that the user can fix: what is wrong, what was received, what to do next.

    Scripts print the message alone and exit with 1. Anything else that escapes a
    script is a bug and keeps its traceback.
    """


class UnknownSkeleton(UserError):
    """Joint names that do not match the 19-joint body."""


class MissingExtra(UserError):
    """A step needs packages that the light installation leaves out."""

    def __init__(self, step: str, extra: str, missing: str) -> None:
        super().__init__(
            f"{step} needs the package {missing!r}, which is not installed; "
            f'install it with `pip install "dancenet[{extra}]"` '
            f'(in a clone: `pip install -e ".[{extra}]"`).'
        )


def why_not_fetched(error: Exception) -> str:
    """Returns why a download failed, in a few words."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"{response.status_code} {response.reason}"
    if "hash" in str(error):
        return "its bytes are not the released ones (SHA-256 differs)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if type(error).__module__.startswith("requests"):
        return {"ChunkedEncodingError": "the connection broke off"}.get(
            type(error).__name__, f"no connection ({type(error).__name__})"
        )
    return str(error)


def write_failed(path: str | os.PathLike[str], error: OSError) -> UserError:
    """Returns the error for a file that could not be written."""
    name = quoted(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = "The disk is full" if error.errno == errno.ENOSPC else "Your disk quota is used up"
        return UserError(
            f"{what}: {name} was not written. Nothing half-written was left, and an older file is "
            "as it was. Free some space, or choose another output."
        )
    reason = error.strerror or str(error)
    return UserError(
        f"{name} cannot be written ({reason}). Nothing half-written was left, and an older file is "
        "as it was. Choose another output, or change that."
    )

"""Errors whose message is written for the person at the terminal."""


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
            f"install it with `pip install 'dancenet[{extra}]'` "
            f"(in a clone: `pip install -e '.[{extra}]'`)."
        )


class MissingFFmpeg(UserError):
    """Films can be neither read nor written: PyAV is missing, broken, or lacks an encoder."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "Films can be neither read nor written, because the package 'av' (PyAV, which brings "
            f"FFmpeg) cannot be used ({reason}); install it again with "
            "`pip install --force-reinstall 'av>=18,<19'`."
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

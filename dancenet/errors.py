"""Errors whose message is written for the person at the terminal."""


class UserError(ValueError):
    """Something a user can mend: what is wrong, what was received, what to do next.

    Scripts print the message alone and exit with 1. Anything else that escapes a
    script is a bug and keeps its traceback.
    """


class MissingExtra(UserError):
    """A step needs packages that the light installation leaves out."""

    def __init__(self, step: str, extra: str, missing: str) -> None:
        super().__init__(
            f"{step} needs the package {missing!r}, which is not installed; "
            f"install it with `pip install 'dancenet[{extra}]'` "
            f"(in a clone: `pip install -e '.[{extra}]'`)."
        )

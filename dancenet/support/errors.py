"""Errors whose message is written for the person at the terminal."""

from __future__ import annotations

import errno
import importlib.util
import os
import sys

from dancenet.support.names import quoted, visible
from dancenet.support.wording import option

_OURS = ("dancenet", "scripts")

# What libraries write in their own errors when an allocation failed.
_NO_MEMORY = (
    "bad_alloc",
    "bad allocation",
    "insufficient memory",
    "cannot allocate memory",
    "failed to allocate memory",
    "failed to map segment",
    "unable to allocate",
    "out of memory",
    "resource_exhausted",
    "oom when allocating",
    "couldn't allocate",
    "could not allocate",
    "static tls block",
)
_NO_DESCRIPTOR = ("too many open files",)
_NO_THREAD = ("can't start new thread", "resource temporarily unavailable", "pthread_create")
# Libraries whose own errors are looked at; a ValueError or KeyError with such a text is a bug.
_FROM_LIBRARIES = ("cv2", "tensorflow", "onnxruntime", "jaxlib", "torch", "av")

# The packages of modules with another name.
_PACKAGES = {"cv2": "opencv-python-headless", "sklearn": "scikit-learn"}

_MEMORY_FLAGS = ("batch_size", "count", "dances", "seconds", "scale", "threads")

_NO_MORE_THREADS = (
    "no further thread or process can be started; end other programs, raise the limit "
    "(`ulimit -u`), or free memory."
)

LEAST_MEMORY = 0.55e9  # bytes; with less, NumPy, OpenCV and FFmpeg crash instead of failing
TRAINING_MEMORY = 2.5e9  # bytes; with less, TensorFlow crashes or hangs

_FULL = "Nothing half-written was left behind. Free some space, or choose another place."
_REASONS = {
    errno.ENOSPC: f"the disk is full. {_FULL}",
    errno.EDQUOT: f"your share of the disk is used up. {_FULL}",
    errno.EFBIG: "a file would be larger than the disk's format, or `ulimit -f`, allows. " + _FULL,
    errno.EIO: "the disk, or the connection to it, reports an error; copy your files to another.",
    errno.ENOTCONN: "the connection to the disk is broken; mount it again.",
}
if hasattr(errno, "ESTALE"):
    _REASONS[errno.ESTALE] = "the disk was unmounted or its server restarted; mount it again."
_SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.EAGAIN, *_REASONS}
# Errors of a file or of the network that a person can do something about. Others, such as a bad
# descriptor, are bugs.
_ABOUT_FILES = {
    errno.ENAMETOOLONG: "choose a shorter name.",
    errno.EROFS: "the disk can only be read; choose another.",
    errno.ENOENT: "check that it exists, or choose another.",
    errno.EACCES: "check that you have permission, or choose another.",
    errno.EPERM: "check that you have permission, or choose another.",
}


class UserError(ValueError):
    """A mistake that the user can fix: what is wrong, what was received, what to do next.

    Scripts print the message alone and exit with 1. Anything else that escapes a
    script is a bug and keeps its traceback.
    """


class SpoiltFile(UserError):
    """A file is missing, cut or edited; `wrong` says what is wrong without what to do."""

    def __init__(self, wrong: str, advice: str = "make or fetch it again") -> None:
        super().__init__(f"{wrong}; {advice}.")
        self.wrong = wrong


def advising(error: UserError, advice: str) -> UserError:
    """Returns an error about a file with other advice, where more is known of the file."""
    wrong = error.wrong if isinstance(error, SpoiltFile) else str(error).rstrip(".")
    return UserError(f"{wrong}; {advice}.")


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


class MissingFFmpeg(UserError):
    """Films can be neither read nor written: PyAV is missing, broken, or lacks an encoder."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "Films can be neither read nor written, because the package 'av' (PyAV, which brings "
            f"FFmpeg) cannot be used ({reason}); install it again with "
            '`pip install --force-reinstall "av>=18,<19"`.'
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


def check_memory(needed: float, what: str) -> None:
    """Raises UserError if a limit of this process is too low; libraries crash or hang there.

    Args:
        needed: bytes of addresses, of which much is never used; estimated low.
        what: takes them.
    """
    if sys.platform == "win32":  # has no such limit
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if 0 <= limit < needed and limit != resource.RLIM_INFINITY:
        raise UserError(
            f"{what} needs at least {needed / 1e9:.2g} GB of memory, and the limit for this "
            f"process is {limit / 1e9:.2g} GB; raise it with `ulimit -v unlimited`."
        )


def explain(error: BaseException, flags: tuple[str, ...] = ()) -> str | None:
    """Returns the sentence for an error that is nobody's bug; None for any other.

    Args:
        error: what ended the work.
        flags: names of the command's flags, to name those that save memory.
    """
    if isinstance(error, OSError) and error.errno is not None and not _is_memory(error):
        return _explain_os_error(error)
    if _is_memory(error):
        return _not_enough_memory(flags)
    if _says(error, _NO_DESCRIPTOR):
        return _too_many_files()
    if _says(error, _NO_THREAD):
        return _NO_MORE_THREADS
    if isinstance(error, ImportError) and _root(error) not in _OURS:
        return str(why_not_imported(error, "This"))
    if isinstance(error, OSError):  # without a number: a library's own, about a file or a network
        return visible(str(error)) or type(error).__name__
    return None


def let_through(error: BaseException) -> None:
    """Raises an error again that a shortage of the computer's caused, not the file that was read.

    For those who catch whatever a library raises on a damaged file.
    """
    number = getattr(error, "errno", None)
    if number in _SHORTAGES or _is_memory(error) or _says(error, (*_NO_DESCRIPTOR, *_NO_THREAD)):
        raise error


def why_not_imported(error: ImportError, step: str, extra: str | None = None) -> UserError:
    """Returns the error of a step whose packages cannot be imported.

    Args:
        error: the import's.
        step: what needs them, the subject of a sentence.
        extra: the extra of this package that installs them; None if it needs none.

    Returns:
        `MissingExtra` if a package is not there. If it is there and cannot be loaded, the reason.

    Raises:
        ImportError: it is this program's own fault.
    """
    root = _root(error)
    if root in _OURS:
        raise error
    name = _PACKAGES.get(root, root.replace("_", "-"))
    # An extension tells the last part of its name only, which begins with an underscore.
    what = f"the package {name!r}" if root and not root.startswith("_") else "a library"
    # A part of a package that is there is missing if the package is damaged, or of another version.
    is_whole = root == error.name or (root != "" and importlib.util.find_spec(root) is None)
    if isinstance(error, ModuleNotFoundError) and is_whole:
        if extra is not None:
            return MissingExtra(step, extra, name)
        return UserError(
            f"{step} needs {what}, which is not installed; install dancenet again "
            "with `pip install dancenet` (in a clone: `pip install -e .`)."
        )
    if _is_memory(error):
        reason = _not_enough_memory(())
    elif _says(error, _NO_DESCRIPTOR):
        reason = _too_many_files()
    else:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = f"{visible(lines[-1]) if lines else 'no reason is given'}; install it again."
    return UserError(f"{step} needs {what}, which cannot be loaded: {reason}")


def _explain_os_error(error: OSError) -> str | None:
    number = error.errno
    if number in (errno.EMFILE, errno.ENFILE):
        return _too_many_files()
    if number == errno.EAGAIN and not error.filename:
        return _NO_MORE_THREADS
    if number in _REASONS:
        return _REASONS[number]
    if not error.filename:
        # Of the network; or of a file that a library does not name.
        known = number in _ABOUT_FILES or isinstance(error, ConnectionError | TimeoutError)
        return f"{error.strerror}." if known else None
    name = error.filename2 or error.filename
    shown = quoted(os.fsdecode(name)) if isinstance(name, str | bytes) else str(name)
    advice = _ABOUT_FILES.get(
        number or 0, "check that it exists and that you have permission, or choose another."
    )
    return f"{shown} cannot be read or written ({error.strerror}); {advice}"


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    return _says(error, _NO_MEMORY)


def _says(error: BaseException, texts: tuple[str, ...]) -> bool:
    """Tells whether a library's error has one of these texts."""
    library = type(error).__module__.partition(".")[0]
    if not (
        type(error) in (RuntimeError, SystemError, ImportError)
        or (isinstance(error, OSError) and error.errno is None)
        or library in _FROM_LIBRARIES
    ):
        return False
    message = str(error).lower()
    return any(text in message for text in texts)


def _root(error: ImportError) -> str:
    return (error.name or "").partition(".")[0]


def _not_enough_memory(flags: tuple[str, ...]) -> str:
    smaller = [option(name) for name in _MEMORY_FLAGS if name in flags]
    ask = f"ask for less with {_either(smaller)}, " if smaller else ""
    return (
        f"there is not enough memory; {ask}end other programs, or raise the limit if there is "
        "one (`ulimit -v`, or that of a container)."
    )


def _too_many_files() -> str:
    return (
        "too many files are open at once; raise the limit with `ulimit -n 1024` and run it again, "
        "or end other programs."
    )


def _either(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"

"""Opens films: one regular file, of a known kind of container, and nothing that it names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dancenet.data.footage.film.ffmpeg import InputContainer, av
from dancenet.data.footage.pictures import MAX_PIXELS
from dancenet.support import errors
from dancenet.support.errors import UserError
from dancenet.support.names import quoted

# FFmpeg's names of containers that hold their pictures themselves. Playlists, lists of files,
# numbered pictures, texts and devices are not among them: they open what others name.
_CONTAINERS = (
    *("mov", "matroska", "webm", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "gif", "apng"),
    *("mxf", "nut", "dv", "gxf", "lxf", "nsv", "wtv", "rm", "ivf", "dhav", "cine", "live_flv"),
    *("webp_anim", "yuv4mpegpipe", "swf", "flic", "pva", "vivo", "nuv", "smk", "bink"),
    # Streams without a container, as cameras and editors leave them.
    *("h261", "h263", "h264", "hevc", "vvc", "av1", "obu", "m4v", "mpegvideo", "mjpeg", "vc1"),
    *("dirac", "cavsvideo", "dnxhd"),
)
WITHOUT_CLOCK = frozenset(
    "h261 h263 h264 hevc vvc av1 obu m4v mpegvideo mjpeg vc1 dirac cavsvideo dnxhd".split()
)
_OPTIONS = {
    "format_whitelist": ",".join(_CONTAINERS),
    "protocol_whitelist": "none",
    "max_pixels": str(MAX_PIXELS),
}
_SOME_MEMORY = 64 << 20  # bytes that a computer can give that is not short of them
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip")
_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Yields an opened film.

    FFmpeg gets the file's bytes, not its name, so that no name is taken for a protocol, a
    pattern or an option; and no more bytes than there are now, so that a growing file ends.

    Raises:
        UserError: the file is missing, empty, cut off before its index, no regular file, or of
            a kind that is not opened.
    """
    with _opened_file(path) as file:
        content = _Bytes(file, path)
        try:
            # Tags may be in any encoding.
            film = av.open(content, "r", options=_OPTIONS, metadata_errors="replace")
        except av.error.FFmpegError as error:
            blame(error)
            if content.error is not None:
                reason = content.error.strerror
                raise UserError(f"{quoted(path)} cannot be read ({reason}).") from content.error
            raise UserError(_explain_no_film(path)) from error
        with film:
            yield film


def blame(error: Exception) -> None:
    """Raises an error if it is the computer that has no memory or thread left, not the film.

    Where a picture finds no memory, decoders call the film damaged; and where a damaged film claims
    to need too much, they say that there is no memory. So it is tried. EAGAIN comes out only where
    no thread can be started, because its other meaning, "give me more", is dealt with by PyAV. All
    other errors, EIO among them, are of the film: its bytes are read by `_Bytes`.
    """
    if isinstance(error, MemoryError | BlockingIOError | av.error.InvalidDataError):
        try:
            bytearray(_SOME_MEMORY)
        except MemoryError as shortage:
            raise shortage from error
    if isinstance(error, BlockingIOError):
        raise error


class _Bytes:
    """The bytes of a file as FFmpeg asks for them."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        suffix = path.suffix.lower()
        # FFmpeg guesses the kind of a bare stream by its suffix, too.
        self.name = f"film{suffix}" if suffix[1:].isascii() and suffix[1:].isalnum() else "film"
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._position = 0
        self.error: OSError | None = None  # the last that reading met

    def read(self, count: int) -> bytes:
        count = min(count, self._size - self._position)
        if count <= 0:
            return b""
        try:
            self._file.seek(self._position)
            content = self._file.read(count)
        except OSError as error:  # a scratched disc; FFmpeg goes on as with a file cut off
            self.error = error
            return b""
        self._position += len(content)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}.get(whence)
        if base is None or base + offset < 0:
            return -1  # FFmpeg's sign of failure; an exception would come out elsewhere
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position


@contextmanager
def _opened_file(path: Path) -> Iterator[BinaryIO]:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise UserError(f"There is no video {quoted(path)}.") from error
    except OSError as error:
        raise UserError(f"{quoted(path)} cannot be read ({error.strerror}).") from error
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a device")
        raise UserError(
            f"{quoted(path)} is {kind}, and footage is read several times; save it as a file first."
        )
    if status.st_size == 0:
        raise UserError(f"{quoted(path)} is empty (0 bytes); copy it from the camera again.")
    try:
        file = open(path, "rb", buffering=0)
    except OSError as error:
        errors.let_through(error)
        raise UserError(f"{quoted(path)} cannot be read ({error.strerror}).") from error
    with file:
        yield file


def _explain_no_film(path: Path) -> str:
    with open(path, "rb") as file:
        is_mp4 = file.read(8)[4:] in _MP4_BOXES
    if is_mp4:
        return (
            f"{quoted(path)} was cut off before its index was written, so none of it can be "
            "decoded; copy it from the camera again."
        )
    return (
        f"{quoted(path)} is not a video that FFmpeg can read; choose an mp4, mov, webm, gif or the "
        "like, or a folder of pictures (playlists and other lists of files are not followed)."
    )

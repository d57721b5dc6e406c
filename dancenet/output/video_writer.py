"""Writes pictures to a video file that plays anywhere and says how it was made."""

from __future__ import annotations

import contextlib
import os
import types
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dancenet.output import picture_folder
from dancenet.output.picture import BLACK_ON_WHITE, Color
from dancenet.output.video_settings import is_ours
from dancenet.support import files, lock
from dancenet.support.errors import UserError, write_failed
from dancenet.support.names import quoted
from dancenet.support.wording import option

if TYPE_CHECKING:
    from dancenet.output.encoders import Encoder

FORMATS = ("mp4", "gif", "webm", "frames")
GIF_MAX_FPS = 50  # delays are whole hundredths; browsers play one of 1/100 s as 10/100 s


def choose_format(path: str | os.PathLike[str], wanted: str | None = None) -> str:
    """Returns the format of an output path: `wanted`, or what the suffix says.

    Raises:
        UserError: the suffix and `wanted` disagree, or the suffix says nothing.
    """
    suffix = Path(path).suffix.lower().lstrip(".")
    if wanted is None:
        if suffix in ("mp4", "gif", "webm"):
            return suffix
        raise UserError(
            f"The kind of {quoted(path)} is not clear from its name: end it with .mp4, .gif or "
            f".webm, or say {option('format', 'frames')} for a folder of pictures."
        )
    if wanted == "frames":
        if suffix in ("mp4", "gif", "webm"):
            raise UserError(f"{quoted(path)} names a .{suffix} file, but the format is frames.")
    elif suffix != wanted:
        raise UserError(f"{quoted(path)} does not end with .{wanted}, but the format is {wanted}.")
    return wanted


def check_output(path: str | os.PathLike[str], format: str, overwrite: bool = False) -> None:
    """Raises UserError unless an output can be written; worth calling before any work.

    What dancenet made is replaced freely, and any other file only with `overwrite`. Of a folder
    only dancenet's own pictures are replaced, and without `overwrite` it may hold nothing else.
    """
    path = Path(path)
    files.check_parent(path)
    _encoders()
    if format == "frames":
        files.open_folder(path, picture_folder.made_files)
        if path.is_dir():
            picture_folder.check_replaceable(path, overwrite)
        elif os.path.lexists(path):
            raise UserError(f"{quoted(path)} is no folder; choose another output.")
        return
    if path.is_dir():
        raise UserError(
            f"{quoted(path)} is a folder; name a .{format} file, or say "
            f"{option('format', 'frames')}."
        )
    files.check_overwrite(path, overwrite, is_ours)


class VideoWriter:
    """Writes pictures one by one; the file appears, whole, when it is closed.

    As a context manager it keeps the video if the block ends well and leaves nothing, and
    an older file as it was, if the block raises. Memory does not grow with length.

        with VideoWriter("dance.mp4", fps=30, size=(832, 480), settings={"seed": 7}) as video:
            for picture in pictures:
                video.write(picture)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        fps: float,
        size: tuple[int, int],
        format: str | None = None,
        colors: tuple[Color, Color] | None = BLACK_ON_WHITE,
        settings: dict[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        """Checks the output; the encoder starts with the first picture.

        Args:
            path: the file, or the folder for the format 'frames'.
            fps: pictures per second, constant.
            size: (width, height) of the pictures; mp4 and webm need even numbers.
            format: one of FORMATS; by default what the suffix says.
            colors: RGB that levels 0 and 255 are shown in; levels between are blends. None for
                pictures that have colours of their own.
            settings: what made the video, stored in it as JSON for `read_settings`.
            overwrite: replace a file that dancenet did not make.

        Raises:
            UserError: the output may not or cannot be written, or the format cannot hold
                this rate or size.
        """
        self.path = Path(path)
        self.format = choose_format(path, format)
        self.fps = fps
        self.size = (int(size[0]), int(size[1]))
        self.num_frames = 0
        check_output(self.path, self.format, overwrite)
        self._check_spec()
        self._spec = _encoders().VideoSpec(
            format=self.format, fps=fps, size=self.size, colors=colors, settings=settings or {}
        )
        self._encoder: Encoder | None = None
        self._output = contextlib.ExitStack()  # moves the finished output into its place
        self._closed = False

    def write(self, picture: np.ndarray) -> None:
        """Adds one picture.

        Args:
            picture: (H, W) uint8 levels, 0 the first colour ... 255 the second; (H, W, 3) RGB of
                pictures that have colours of their own.

        Raises:
            UserError: the encoder failed or the disk is full; nothing is left behind.
        """
        shape = (*self.size[::-1], *(() if self._spec.colors else (3,)))
        if picture.shape != shape or picture.dtype != np.uint8:
            raise ValueError(
                f"Expected a uint8 picture of shape {shape}; "
                f"received {picture.dtype} {picture.shape}."
            )
        if self._closed:
            raise ValueError(f"{self.path} is closed.")
        with self._discarded_on_failure():
            if self._encoder is None:
                self._encoder = self._start()
            self._encoder.write(picture)
        self.num_frames += 1

    def close(self) -> None:
        """Finishes the video and puts it in its place.

        Raises:
            UserError: no picture was written, the encoder failed, or the disk is full;
                nothing is left behind and an older file is untouched.
        """
        if self._closed:
            return
        with self._discarded_on_failure():
            if self._encoder is None:
                raise UserError(
                    f"{quoted(self.path)} was not written: there was not one frame to show."
                )
            self._encoder.finish()
            self._output.close()
        self._closed = True

    def discard(self) -> None:
        """Stops the encoder and removes what was written; an older file stays."""
        if self._closed:
            return
        self._closed = True
        if self._encoder is not None:
            self._encoder.abort()
        with contextlib.suppress(_Discarded), self._output:
            raise _Discarded

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _check_spec(self) -> None:
        width, height = self.size
        if self.format == "gif" and self.fps > GIF_MAX_FPS:
            raise UserError(
                f"A GIF plays at most {GIF_MAX_FPS} frames per second; received {self.fps:g}. "
                f"Say {option('fps', GIF_MAX_FPS)} or less, or write an mp4."
            )
        if self.format in ("mp4", "webm") and (width % 2 or height % 2):
            raise UserError(
                f"An {self.format} video needs an even width and height; received "
                f"{width}x{height}. Choose an even {option('scale')}."
            )

    def _start(self) -> Encoder:
        if self.format == "frames":
            made, busy = picture_folder.made_files, "choose another output"
            self._output.enter_context(lock.hold(lock.beside(self.path), self.path, busy))
            folder = self._output.enter_context(files.atomic_folder(self.path, made))
            return _encoders().PictureEncoder(folder, self._spec)
        path = self._output.enter_context(files.atomic_path(self.path))
        return _encoders().FilmEncoder(path, self._spec)

    @contextlib.contextmanager
    def _discarded_on_failure(self) -> Iterator[None]:
        try:
            yield
        except _encoders().FAILURES as error:
            self.discard()
            raise self._failure(error) from error
        except BaseException:
            self.discard()
            raise

    def _failure(self, error: Exception) -> UserError:
        if isinstance(error, OSError) and files.is_no_room(error):
            return write_failed(self.path, error)
        reason = getattr(error, "strerror", None) or str(error)
        return UserError(
            f"{quoted(self.path)} was not written: {reason}. Nothing half-written was left, and an "
            "older file is as it was."
        )


def _encoders() -> Any:
    """Returns the module of encoders; raises MissingFFmpeg where PyAV cannot be used."""
    # Imported when a video is written, because a dance of joints needs no FFmpeg.
    from dancenet.output import encoders

    return encoders


class _Discarded(Exception):
    """Tells the output's context that the block failed."""

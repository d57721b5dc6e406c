"""Pictures to a video file that plays anywhere and says how it was made."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np

from dancenet import __version__
from dancenet.output.picture import BLACK_ON_WHITE, Color
from dancenet.support import files
from dancenet.support.errors import UserError

FORMATS = ("mp4", "gif", "webm", "frames")
GENERATOR = "dancenet"
SETTINGS_FILE = "settings.json"  # beside the pictures of the format 'frames'
GIF_MAX_FPS = 50  # delays are whole hundredths; browsers play one of 1/100 s as 10/100 s
GIF_LEVELS = 16  # shades from the dancer's colour to the background's
_GIF_SHADES = np.round(np.arange(256) * (GIF_LEVELS - 1) / 255).astype(np.uint8)
# Two flat colours need no search: 'veryfast' takes 2.5 times the computing for files of half the
# size (0.6 Mbit/s at 832x480), and a second thread adds 40 % to what the first would take.
_X264 = ("-preset", "ultrafast", "-crf", "23", "-threads", "1")
_COMMENT_LIMIT = 1 << 20  # bytes of settings that are read from a file


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
            f"The kind of {path} is not clear from its name: end it with .mp4, .gif or .webm, "
            "or say --format frames for a folder of pictures."
        )
    if wanted == "frames":
        if suffix in ("mp4", "gif", "webm"):
            raise UserError(f"{path} names a .{suffix} file, but --format is frames.")
    elif suffix != wanted:
        raise UserError(f"{path} does not end with .{wanted}, but --format is {wanted}.")
    return wanted


def check_output(path: str | os.PathLike[str], format: str, overwrite: bool = False) -> None:
    """Raises UserError unless an output can be written; worth calling before any work.

    What dancenet made is replaced freely, any other file only with `overwrite`, and a
    folder that holds anything but dancenet's pictures never.
    """
    path = Path(path)
    files.check_parent(path)
    if format == "frames":
        if not path.exists() or (path.is_dir() and (is_ours(path) or not any(path.iterdir()))):
            return
        raise UserError(
            f"{path} exists and is not a folder of pictures made by dancenet; "
            "choose another output."
        )
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a .{format} file, or say --format frames.")
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
        colors: tuple[Color, Color] = BLACK_ON_WHITE,
        settings: dict[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        """Checks the output; the encoder starts with the first picture.

        Args:
            path: the file, or the folder for the format 'frames'.
            fps: pictures per second, constant.
            size: (width, height) of the pictures; mp4 and webm need even numbers.
            format: one of FORMATS; by default what the suffix says.
            colors: RGB that levels 0 and 255 are shown in; levels between are blends.
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
        if self.format == "gif" and fps > GIF_MAX_FPS:
            raise UserError(
                f"A GIF plays at most {GIF_MAX_FPS} frames per second; received {fps:g}. "
                f"Say --fps {GIF_MAX_FPS} or less, or write an mp4."
            )
        if self.format in ("mp4", "webm") and (size[0] % 2 or size[1] % 2):
            raise UserError(
                f"An {self.format} video needs an even width and height; received "
                f"{size[0]}x{size[1]}. Choose an even --scale."
            )
        shades = GIF_LEVELS if self.format == "gif" else 256
        grey = self.format != "gif" and colors == BLACK_ON_WHITE
        self._palette = None if grey else _palette(*colors, shades)  # (256, 4) uint8 BGRA
        self._settings = {"generator": GENERATOR, "version": __version__, **(settings or {})}
        self._encoder: subprocess.Popen[bytes] | None = None
        self._messages: IO[bytes] | None = None
        self._temporary: Path | None = None
        self._undo = contextlib.ExitStack()  # what clears up after a failure
        self._closed = False

    def write(self, picture: np.ndarray) -> None:
        """Adds one picture.

        Args:
            picture: (H, W) uint8 levels, 0 the first colour ... 255 the second.

        Raises:
            UserError: the encoder died or the disk is full; nothing is left behind.
        """
        if picture.shape != self.size[::-1] or picture.dtype != np.uint8:
            raise ValueError(
                f"Expected a uint8 picture of shape {self.size[::-1]}; "
                f"received {picture.dtype} {picture.shape}."
            )
        if self._closed:
            raise ValueError(f"{self.path} is closed.")
        try:
            if self._temporary is None:
                self._start()
            if self.format == "frames":
                self._write_picture(picture)
            else:
                self._feed(picture)
        except BaseException:
            self.discard()
            raise
        self.num_frames += 1

    def close(self) -> None:
        """Finishes the video and puts it in its place.

        Raises:
            UserError: no picture was written, the encoder failed, or the disk is full;
                nothing is left behind and an older file is untouched.
        """
        if self._closed:
            return
        try:
            if self._temporary is None:
                raise UserError(f"{self.path} was not written: there was not one frame to show.")
            if self.format == "frames":
                self._settings["fps"] = self.fps
                _write_bytes(self._temporary / SETTINGS_FILE, _to_json(self._settings, 2))
                _replace_folder(self._temporary, self.path)
            else:
                self._finish_encoder()
                if self.format == "gif":
                    _append_gif_comment(self._temporary, _to_json(self._settings))
                _give_usual_permissions(self._temporary)
                os.replace(self._temporary, self.path)
        except OSError as error:
            self.discard()
            raise UserError(f"{self.path} was not written: {error.strerror}.") from error
        except BaseException:
            self.discard()
            raise
        self._closed = True
        self._undo.pop_all()
        self._release()

    def discard(self) -> None:
        """Stops the encoder and removes what was written; an older file stays."""
        if not self._closed:
            self._closed = True
            self._undo.close()
            self._release()

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

    def _start(self) -> None:
        try:
            if self.format == "frames":
                self._temporary = Path(
                    tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.absolute().parent)
                )
                self._undo.callback(shutil.rmtree, self._temporary, ignore_errors=True)
                return
            handle, name = tempfile.mkstemp(
                prefix=f".{self.path.stem}.",
                suffix=self.path.suffix,
                dir=self.path.absolute().parent,
            )
        except OSError as error:
            raise UserError(f"{self.path} cannot be written: {error.strerror}.") from error
        os.close(handle)
        self._temporary = Path(name)
        self._undo.callback(self._temporary.unlink, missing_ok=True)
        self._messages = tempfile.TemporaryFile()
        self._encoder = subprocess.Popen(
            self._command(self._temporary),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._messages,
            # Ctrl-C goes to every process of a terminal; the encoder is to finish its file.
            **_apart_from_the_terminal(),
        )
        self._undo.callback(self._kill)

    def _command(self, output: Path) -> list[str]:
        pixels = "pal8" if self._palette is not None else "gray"
        rate = Fraction(self.fps).limit_denominator(1001)
        read = [
            "-f",
            "rawvideo",
            "-pix_fmt",
            pixels,
            "-s",
            f"{self.size[0]}x{self.size[1]}",
            "-r",
            f"{rate.numerator}/{rate.denominator}",
            "-i",
            "pipe:0",
            "-an",
        ]
        # Players take 4:2:0 without a word about its colours for different things; this says it.
        # Grey needs no matrix, and ffmpeg 9 tints it red by one level if it is given one.
        matrix = ":out_color_matrix=bt709" if pixels == "pal8" else ""
        colour = [
            "-vf",
            f"scale=out_range=tv{matrix},format=yuv420p,"
            "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv",
        ]
        comment = ["-metadata", "comment=" + _to_json(self._settings).decode()]
        if self.format == "mp4":
            write = [
                *colour,
                "-c:v",
                "libx264",
                *_X264,
                "-movflags",
                "+faststart",
                *comment,
                "-f",
                "mp4",
            ]
        elif self.format == "webm":
            write = [
                *colour,
                "-c:v",
                "libvpx-vp9",
                "-crf",
                "30",
                "-b:v",
                "0",
                "-deadline",
                "realtime",
                "-cpu-used",
                "7",
                "-row-mt",
                "1",
                *comment,
                "-f",
                "webm",
            ]
        else:
            write = ["-c:v", "gif", "-loop", "0", "-f", "gif"]
        return [
            _ffmpeg(),
            "-hide_banner",
            "-nostdin",
            "-loglevel",
            "error",
            "-y",
            *read,
            *write,
            str(output),
        ]

    def _feed(self, picture: np.ndarray) -> None:
        assert self._encoder is not None and self._encoder.stdin is not None
        data = [np.ascontiguousarray(picture)]
        if self._palette is not None:
            # A frame of 'pal8' is its indices and then 256 colours.
            data = [picture if self.format != "gif" else _GIF_SHADES[picture], self._palette]
        try:
            for part in data:
                self._encoder.stdin.write(part.data)
        except OSError as error:
            raise self._failure() from error

    def _write_picture(self, picture: np.ndarray) -> None:
        import cv2

        assert self._temporary is not None
        if self._palette is not None:
            picture = self._palette[picture, :3]
        ok, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 3])
        if not ok:
            raise UserError(f"Picture {self.num_frames + 1} could not be written as PNG.")
        name = f"{self.num_frames + 1:06d}.png"
        try:
            _write_bytes(self._temporary / name, data.tobytes())
        except OSError as error:
            raise UserError(
                f"{self.path / name} could not be written: {error.strerror}. "
                "The pictures before it were removed."
            ) from error

    def _finish_encoder(self) -> None:
        assert self._encoder is not None and self._encoder.stdin is not None
        try:
            self._encoder.stdin.close()
        except OSError as error:
            raise self._failure() from error
        if self._encoder.wait() != 0:
            raise self._failure()

    def _failure(self) -> UserError:
        """Says why the encoder stopped, in its own last words."""
        assert self._encoder is not None and self._messages is not None
        status = self._encoder.wait()
        self._messages.seek(0)
        words = self._messages.read()[-4000:].decode(errors="replace").strip()
        untouched = "Nothing half-written was left, and an older file is as it was."
        if "No space left" in words or "Disk quota" in words:
            return UserError(
                f"The disk is full: {self.path} was not written. {untouched} Free some space, "
                "or choose another place with --out."
            )
        last = words.splitlines()[-1] if words else f"it ended with status {status}"
        return UserError(f"{self.path} was not written: ffmpeg stopped ({last}). {untouched}")

    def _kill(self) -> None:
        assert self._encoder is not None and self._encoder.stdin is not None
        if self._encoder.poll() is None:
            self._encoder.kill()
        with contextlib.suppress(OSError):
            self._encoder.stdin.close()
        self._encoder.wait()

    def _release(self) -> None:
        if self._messages is not None:
            self._messages.close()


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads back the settings that a `VideoWriter` stored.

    Args:
        path: a video file, or a folder of pictures.

    Raises:
        UserError: there is no such file, or it was not made by dancenet.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"There is no video at {path}.")
    try:
        if path.is_dir():
            text = (path / SETTINGS_FILE).read_text(encoding="utf-8")
        elif _starts_with(path, b"GIF8"):
            text = _read_gif_comment(path)
        else:
            text = _read_comment(path)
        settings = json.loads(text)
    except (OSError, ValueError):
        settings = None
    if not isinstance(settings, dict) or settings.get("generator") != GENERATOR:
        raise UserError(
            f"{path} does not say how it was made: it is not a video by dancenet, or a program "
            "that it went through took the note away."
        )
    return settings


def is_ours(path: str | os.PathLike[str]) -> bool:
    """Tells whether dancenet made this video or folder of pictures."""
    try:
        read_settings(path)
    except UserError:
        return False
    return True


def _palette(first: Color, second: Color, shades: int) -> np.ndarray:
    """Returns (256, 4) uint8 BGRA, `shades` colours from the first to the second."""
    share = np.linspace(0, 1, shades)[:, None]
    palette = np.zeros((256, 4), np.uint8)
    palette[:, 3] = 255
    blend = (1 - share) * np.array(first) + share * np.array(second)
    palette[:shades, :3] = np.round(blend)[:, ::-1]
    return palette


def _ffmpeg() -> str:
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise UserError(
            "No ffmpeg was found; install it with `pip install imageio-ffmpeg`, or set "
            "IMAGEIO_FFMPEG_EXE to one."
        ) from error


def _apart_from_the_terminal() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _to_json(settings: dict[str, Any], indent: int | None = None) -> bytes:
    return json.dumps(settings, indent=indent).encode("ascii")


def _write_bytes(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _give_usual_permissions(path: Path) -> None:
    # mkstemp and mkdtemp make private files; a result has the permissions of any new file.
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(path, (0o777 if path.is_dir() else 0o666) & ~umask)


def _replace_folder(new: Path, old: Path) -> None:
    """Puts a folder in the place of another; a kill between leaves both, under some name."""
    _give_usual_permissions(new)
    if not old.exists():
        os.replace(new, old)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{old.name}.old.", dir=old.absolute().parent))
    os.replace(old, aside / old.name)
    try:
        os.replace(new, old)
    except OSError:
        os.replace(aside / old.name, old)
        raise
    finally:
        if old.exists():
            shutil.rmtree(aside, ignore_errors=True)


def _starts_with(path: Path, magic: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(len(magic)) == magic


def _read_comment(path: Path) -> str:
    """Returns the comment of an mp4 or webm as text; empty if there is none."""
    command = [
        _ffmpeg(),
        "-hide_banner",
        "-nostdin",
        "-loglevel",
        "error",
        "-i",
        str(path),
        "-f",
        "ffmetadata",
        "pipe:1",
    ]
    found = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    for line in _unescaped_lines(found.stdout[:_COMMENT_LIMIT].decode(errors="replace")):
        key, _, value = line.partition("=")
        if key.lower() == "comment":
            return value
    return ""


def _unescaped_lines(text: str) -> Iterator[str]:
    """Splits ffmpeg's ffmetadata into lines; a backslash keeps the character after it."""
    line: list[str] = []
    characters = iter(text)
    for character in characters:
        if character == "\n":
            yield "".join(line)
            line = []
        else:
            line.append(next(characters, "") if character == "\\" else character)
    yield "".join(line)


def _append_gif_comment(path: Path, comment: bytes) -> None:
    """Adds a comment extension before a GIF's trailer (GIF89a specification, section 24)."""
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b";":
            raise UserError(f"{path} was not written: the encoder left it without an end.")
        file.seek(-1, os.SEEK_END)
        file.write(b"\x21\xfe")
        for begin in range(0, len(comment), 255):
            part = comment[begin : begin + 255]
            file.write(bytes([len(part)]) + part)
        file.write(b"\x00;")


def _read_gif_comment(path: Path) -> str:
    """Returns the last comment of a GIF; empty if there is none."""
    comment = b""
    with open(path, "rb") as file:
        header = file.read(13)
        if len(header) < 13:
            return ""
        file.seek(_colour_table_bytes(header[10]), os.SEEK_CUR)
        while (kind := file.read(1)) in (b"\x21", b"\x2c"):
            if kind == b"\x2c":
                descriptor = file.read(9)
                if len(descriptor) < 9:
                    break
                # The local colour table, and the byte with the size of the codes.
                file.seek(_colour_table_bytes(descriptor[8]) + 1, os.SEEK_CUR)
                keep = False
            else:
                keep = file.read(1) == b"\xfe"
            parts = []
            while (size := file.read(1)) not in (b"", b"\x00"):
                if keep:
                    parts.append(file.read(size[0]))
                else:
                    file.seek(size[0], os.SEEK_CUR)
            if keep:
                comment = b"".join(parts)
    return comment.decode(errors="replace")


def _colour_table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0

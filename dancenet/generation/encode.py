"""Frames to latents, and latents back to a video: what the picture network keeps of a dance."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np

from dancenet.codecs.latents import Latents
from dancenet.codecs.silhouette import to_network
from dancenet.data.frames.folder import FrameFolder
from dancenet.data.frames.picture import BACKGROUND, DANCER
from dancenet.metrics import reconstruction
from dancenet.model import folder as model_folder
from dancenet.model.folder import ModelFolder
from dancenet.output import picture
from dancenet.output.video_writer import VideoWriter, check_output, choose_format
from dancenet.runtime.onnx import OnnxDecoder, OnnxEncoder, count_threads
from dancenet.support import files, terminal
from dancenet.support.errors import UserError
from dancenet.support.threads import ordered_map

_BATCH = 8  # pictures that a thread reads, encodes or decodes at once


def encode_frames(folder: ModelFolder, frames: FrameFolder) -> Latents:
    """Encodes every frame of a folder, the last included.

    Args:
        folder: a model with an exported encoder.
        frames: the pictures; they are read and encoded in batches.

    Raises:
        UserError: the encoder is missing, cut or altered, a picture cannot be read, or the
            clips have different rates.
    """
    fps = frames.fps
    folder.require_silhouettes()
    path = folder.require(model_folder.ENCODER_GRAPH, "python scripts/export.py")
    folder.check((model_folder.ENCODER_GRAPH,))
    encoder = OnnxEncoder(path, threads=1)

    def encode(first: int) -> tuple[np.ndarray, np.ndarray]:
        last = min(first + _BATCH - 1, frames.num_frames)
        return encoder(to_network(frames.read(first, last)))

    firsts = range(1, frames.num_frames + 1, _BATCH)
    z_mean: list[np.ndarray] = []
    z_log_var: list[np.ndarray] = []
    with (
        terminal.progress(total=frames.num_frames, description="Encoding") as bar,
        ordered_map(encode, firsts, count_threads()) as encoded,
    ):
        for means, log_vars in encoded:
            z_mean.append(means)
            z_log_var.append(log_vars)
            bar.update(len(means))
    try:
        return Latents.from_clips(
            np.concatenate(z_mean),
            np.concatenate(z_log_var),
            frames.clips,
            fps,
            files.sha256_of(path),
        )
    except ValueError as error:
        raise UserError(f"The encoder of {folder.path} cannot be used: {error}.") from error


@dataclass(frozen=True)
class Reconstruction:
    """What came of decoding a file of latents."""

    num_frames: int
    iou: np.ndarray | None  # (T,) of the dancer in the source frame and in the decoded one


def write_reconstruction(
    folder: ModelFolder,
    latents: Latents,
    path: str | Path,
    *,
    frames: FrameFolder | None = None,
    scale: int = 3,
    rows: range | None = None,
    format: str | None = None,
    overwrite: bool = False,
) -> Reconstruction:
    """Decodes latents to a video, to the right of the frames they were made from if given.

    Args:
        folder: the model whose encoder made the latents.
        latents: what to decode; `z_mean` is.
        path: the video.
        frames: the source frames.
        scale: picture pixels per frame pixel.
        rows: the rows to decode, contiguous; all by default.
        format: mp4, gif, webm or frames; by default what the suffix of `path` says.
        overwrite: replace a file that dancenet did not make.

    Raises:
        UserError: the latents are another encoder's, the frames are not theirs, or the
            output cannot be written.
    """
    picture.check_scale(scale)
    format = choose_format(path, format)
    check_output(path, format, overwrite)
    name = str(folder.path)
    folder.require_silhouettes()
    latents.require_encoder(
        files.sha256_of(folder.require(model_folder.ENCODER_GRAPH, "python scripts/export.py")),
        name,
    )
    if frames is not None and frames.num_frames != len(latents.z_mean):
        raise UserError(
            f"{frames.path} has {frames.num_frames} frames and there are {len(latents.z_mean)} "
            "latents: they were not made from these frames."
        )
    graph = folder.require(model_folder.DECODER_GRAPH, "python scripts/export.py")
    folder.check((model_folder.DECODER_GRAPH,))
    decoder = OnnxDecoder(graph, threads=1)
    rows = range(len(latents.z_mean)) if rows is None else rows
    if not rows:
        raise UserError(
            f"There are {len(latents.z_mean)} latents, and none in the part chosen; choose a "
            f"--first from 0 to {len(latents.z_mean) - 1}."
        )
    iou: list[np.ndarray] = []
    settings = {"kind": "reconstruction", "model": folder.read_config().name}
    with ExitStack() as stack:
        writer: VideoWriter | None = None
        stopped = stack.enter_context(terminal.finish_on_interrupt())
        bar = stack.enter_context(terminal.progress(total=len(rows), description="Decoding"))

        def draw(first: int) -> tuple[list[np.ndarray], np.ndarray | None]:
            last = min(first + _BATCH, rows.stop)
            decoded = decoder(latents.z_mean[first:last])
            pictures = [picture.draw(frame, scale) for frame in decoded]
            if frames is None:
                return pictures, None
            sources = frames.read(first + 1, last)
            pictures = [
                np.hstack([picture.draw(source / np.float32(BACKGROUND), scale), drawn])
                for source, drawn in zip(sources, pictures)
            ]
            return pictures, reconstruction.iou(sources == DANCER, decoded < 0.5)

        firsts = takewhile(lambda _: not stopped.is_set(), range(rows.start, rows.stop, _BATCH))
        stack.enter_context(picture.one_thread())
        for pictures, overlap in stack.enter_context(ordered_map(draw, firsts, count_threads())):
            if overlap is not None:
                iou.append(overlap)
            if writer is None:
                height, width = pictures[0].shape
                writer = stack.enter_context(
                    VideoWriter(
                        path,
                        fps=latents.fps,
                        size=(width, height),
                        format=format,
                        settings=settings,
                        overwrite=overwrite,
                    )
                )
            for drawn in pictures:
                writer.write(drawn)
            bar.update(len(pictures))
        if writer is None:
            raise KeyboardInterrupt("Nothing was written: there was not one frame yet.")
    return Reconstruction(writer.num_frames, np.concatenate(iou) if iou else None)

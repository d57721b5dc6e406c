"""Encodes frames into latents, and decodes latents into a video."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from dancenet.codecs.latents import Latents
from dancenet.codecs.silhouette import to_network
from dancenet.data.frames.folder import FrameFolder
from dancenet.data.frames.picture import BACKGROUND, DANCER, HEIGHT, WIDTH
from dancenet.generation.trajectory import until
from dancenet.generation.write import write_pictures
from dancenet.metrics import reconstruction
from dancenet.model import folder as model_folder
from dancenet.model.config import VaeConfig
from dancenet.model.folder import ModelFolder
from dancenet.output import picture
from dancenet.output.video_writer import VideoWriter, check_output, choose_format
from dancenet.runtime.onnx import OnnxDecoder, OnnxEncoder, count_threads
from dancenet.support import files, terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.threads import ordered_map
from dancenet.support.wording import command

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
    path = folder.require(model_folder.ENCODER_GRAPH, command("export"))
    folder.check((model_folder.ENCODER_GRAPH,))
    encoder = OnnxEncoder(path, threads=1)
    vae = folder.read_config().vae
    if vae is not None:
        encoder.require_sizes(dataclasses.replace(vae, height=HEIGHT, width=WIDTH))

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
            fps=fps,
            encoder_sha256=files.sha256_of(path),
        )
    except ValueError as error:
        raise UserError(f"The encoder of {quoted(folder.path)} cannot be used: {error}.") from error


@dataclass(frozen=True)
class Reconstruction:
    """The result of decoding a file of latents."""

    num_frames: int
    iou: np.ndarray | None  # (T,) overlap of the dancer in the source frame and the decoded one


# Many: each is a flag of `decode_latents.py`.
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
        latents: `z_mean` is decoded.
        path: the video.
        frames: the source frames.
        scale: picture pixels per frame pixel.
        rows: the rows to decode, contiguous; all by default.
        format: mp4, gif, webm or frames; by default taken from the suffix of `path`.
        overwrite: replace a file that dancenet did not make.

    Raises:
        UserError: the latents are of another encoder or of other frames, or `path` is taken.
    """
    picture.check_scale(scale)
    check_output(path, choose_format(path, format), overwrite)
    rows = range(len(latents.z_mean)) if rows is None else rows
    decoder = _open_decoder(folder, latents, frames, rows)
    overlaps: dict[int, np.ndarray] = {}  # by the first row of a batch

    def draw(first: int) -> list[np.ndarray]:
        last = min(first + _BATCH, rows.stop)
        decoded = decoder(latents.z_mean[first:last])
        pictures = [picture.draw(frame, scale) for frame in decoded]
        if frames is None:
            return pictures
        sources = frames.read(first + 1, last)
        overlaps[first] = reconstruction.iou(sources == DANCER, decoded < 0.5)
        left = [picture.draw(source / np.float32(BACKGROUND), scale) for source in sources]
        return [np.hstack(pair) for pair in zip(left, pictures)]

    open_video = partial(
        VideoWriter,
        path,
        fps=latents.fps,
        format=choose_format(path, format),
        settings={"kind": "reconstruction", "model": folder.read_config().name},
        overwrite=overwrite,
    )
    with (
        terminal.finish_on_interrupt("the pictures in hand") as stopped,
        terminal.progress(total=len(rows), description="Decoding") as bar,
        picture.one_thread(),
        ordered_map(draw, until(stopped, rows[::_BATCH]), count_threads()) as drawn,
    ):
        num_frames = write_pictures(drawn, lambda size: open_video(size=size), bar.update)
    iou = [overlaps[first] for first in sorted(overlaps)]
    return Reconstruction(num_frames, np.concatenate(iou) if iou else None)


def _open_decoder(
    folder: ModelFolder, latents: Latents, frames: FrameFolder | None, rows: range
) -> OnnxDecoder:
    """Opens a model's decoder, if it fits latents, frames and rows."""
    folder.require_silhouettes()
    encoder = folder.require(model_folder.ENCODER_GRAPH, command("export"))
    latents.require_encoder(files.sha256_of(encoder), str(folder.path))
    if frames is not None and frames.num_frames != len(latents.z_mean):
        raise UserError(
            f"{quoted(frames.path)} has {frames.num_frames} frames and there are "
            f"{len(latents.z_mean)} latents: they were not made from these frames."
        )
    graph = folder.require(model_folder.DECODER_GRAPH, command("export"))
    folder.check((model_folder.DECODER_GRAPH,))
    if not rows:
        raise UserError(
            f"There are {len(latents.z_mean)} latents, and none in the part chosen; choose a "
            f"first row from 0 to {len(latents.z_mean) - 1}."
        )
    decoder = OnnxDecoder(graph, threads=1)
    vae = folder.read_config().vae or VaeConfig()
    decoder.require_sizes(vae.with_latents(latents.z_mean.shape[1]))
    return decoder

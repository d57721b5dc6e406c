"""Finds people in pictures with MediaPipe's selfie segmentation network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dancenet.support import errors, lock, terminal
from dancenet.support.errors import UserError, why_not_fetched
from dancenet.support.files import cache_folder, replace, sha256_of
from dancenet.support.names import quoted
from dancenet.support.temporary import temporary_folder
from dancenet.support.wording import option

MODEL_URL = (
    "https://storage.googleapis.com/mediapipe-assets/selfie_segmentation.tflite"
    "?generation=1683332563830600"
)
MODEL_SHA256 = "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c"
MODEL_NAME = "selfie_segmentation.tflite"
SIDE = 256  # the network's input and output are squares of this many pixels


class Segmenter:
    """The network behind a call: a picture in, the probability of a person out."""

    def __init__(self, model_file: str | Path, num_threads: int = 1) -> None:
        """Loads a network.

        Args:
            model_file: the .tflite file, such as `find_model` returns.
            num_threads: processor cores to use.

        Raises:
            MissingExtra: ai-edge-litert is not installed.
            UserError: the file is missing or is not a person segmentation network.
        """
        model_file = Path(model_file)
        if not model_file.is_file():
            raise UserError(f"There is no segmentation network at {quoted(model_file)}.")
        interpreter_class = _interpreter_class()
        try:
            with terminal.quiet_import():  # it announces its delegate
                # As bytes, because it takes no path that is not UTF-8.
                self._interpreter = interpreter_class(
                    model_content=model_file.read_bytes(), num_threads=num_threads
                )
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            errors.let_through(error)
            raise UserError(
                f"{quoted(model_file)} is not a network that ai-edge-litert can run: "
                f"{str(error).splitlines()[0]}"
            ) from error
        source, result = (
            self._interpreter.get_input_details()[0],
            self._interpreter.get_output_details()[0],
        )
        shapes = (tuple(source["shape"]), tuple(result["shape"]))
        if shapes != ((1, SIDE, SIDE, 3), (1, SIDE, SIDE, 1)):
            raise UserError(
                f"{quoted(model_file)} maps {shapes[0]} to {shapes[1]}; the person segmentation "
                f"network maps (1, {SIDE}, {SIDE}, 3) to (1, {SIDE}, {SIDE}, 1)."
            )
        self._source, self._result = source["index"], result["index"]

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Segments one picture.

        Args:
            picture: (H, W, 3) uint8 RGB; stretched to the network's square.

        Returns:
            (256, 256) float32, the probability that a pixel belongs to a person.
        """
        shrinks = picture.shape[0] * picture.shape[1] > SIDE * SIDE
        square = cv2.resize(
            picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        self._interpreter.set_tensor(
            self._source, np.multiply(square, 1 / 255, dtype=np.float32)[None]
        )
        self._interpreter.invoke()
        return np.array(self._interpreter.get_tensor(self._result)[0, :, :, 0])


def load_segmenter(model_file: str | Path | None = None, num_threads: int = 1) -> Segmenter:
    """Loads the given network, or the public one, downloading it if need be.

    Raises:
        MissingExtra: ai-edge-litert is not installed.
        UserError: the file is not such a network, or cannot be downloaded.
    """
    _interpreter_class()  # before a download that would be of no use
    return Segmenter(model_file or find_model(), num_threads)


def find_model(
    url: str = MODEL_URL, sha256: str = MODEL_SHA256, cache: str | Path | None = None
) -> Path:
    """Returns the path of the network in the user's cache, downloading it the first time.

    Args:
        url: where to fetch it.
        sha256: what its bytes must hash to.
        cache: the folder to keep it in; None for the user's cache, or the folder named by
            the environment variable DANCENET_CACHE.

    Raises:
        UserError: the download failed, or its bytes are not the expected ones.
    """
    import pooch

    folder = Path(cache or cache_folder())
    path = folder / MODEL_NAME
    if path.is_file() and sha256_of(path) == sha256:
        return path
    pooch.get_logger().setLevel("ERROR")
    try:
        with lock.hold(lock.beside(path), path, "give a copy", wait=True):
            if path.is_file() and sha256_of(path) == sha256:  # another process has fetched it
                return path
            with temporary_folder(folder, "fetching") as place:
                pooch.retrieve(
                    url,
                    known_hash=f"sha256:{sha256}",
                    fname=MODEL_NAME,
                    path=place,
                    downloader=pooch.HTTPDownloader(progressbar=False, timeout=30),
                )
                replace(place / MODEL_NAME, path)
    except UserError:
        raise
    except Exception as error:
        errors.let_through(error)
        # pooch and requests share no base class; whatever failed, the way out is the same.
        raise UserError(
            f"The person segmentation network could not be downloaded from {url} "
            f"({why_not_fetched(error)}). Check the connection, give a copy with "
            f"{option('model_file')}, or use {option('method', 'background')} or threshold."
        ) from error
    return path


def _interpreter_class() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise errors.why_not_imported(error, "person segmentation", "person") from error
    return Interpreter

"""Finds people in pictures with MediaPipe's selfie segmentation network."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from dancenet.data.people import litert, network_files
from dancenet.data.people.litert import LiteNetwork
from dancenet.support.errors import UserError
from dancenet.support.names import quoted

SIDE = 256  # the network's input and output are squares of this many pixels


class Segmenter:
    """The network behind a call: a picture in, the probability of a person out."""

    def __init__(self, model_file: str | Path, num_threads: int = 1) -> None:
        """Loads a network.

        Args:
            model_file: the .tflite file, such as `network_files.find` returns.
            num_threads: processor cores to use.

        Raises:
            MissingExtra: ai-edge-litert is not installed.
            UserError: the file is missing or is not a person segmentation network.
        """
        if not Path(model_file).is_file():
            raise UserError(f"There is no segmentation network at {quoted(model_file)}.")
        self._network = LiteNetwork(model_file, num_threads)
        self._network.check(
            "the person segmentation network", [(1, SIDE, SIDE, 3)], [(1, SIDE, SIDE, 1)]
        )

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
        values = np.multiply(square, 1 / 255, dtype=np.float32)[None]
        return self._network.run(values)[0][0, :, :, 0]


def load_segmenter(model_file: str | Path | None = None, num_threads: int = 1) -> Segmenter:
    """Loads the given network, or the public one, downloading it if need be.

    Raises:
        MissingExtra: ai-edge-litert is not installed.
        UserError: the file is not such a network, or cannot be downloaded.
    """
    litert.require()  # before a download that would be of no use
    return Segmenter(network_files.find(network_files.SELFIE, model_file), num_threads)

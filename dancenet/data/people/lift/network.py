"""The lifting network in NumPy: keypoints of a second to joints in space.

It is a stack of dilated convolutions over time with residual connections, and adds to what it
finds a linear map of the frame itself, because most of x and y is in the keypoints already (Pavllo
et al., "3D human pose estimation in video with temporal convolutions and semi-supervised training",
2019). It is trained in Keras, and small enough that NumPy runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancenet.data.motion.joints import JOINTS
from dancenet.data.people.lift.points import NUM_FEATURES
from dancenet.support import arrays, checked
from dancenet.support.errors import UserError
from dancenet.support.names import quoted

WEIGHTS = Path(__file__).with_name("lifter_v1.npz")

DILATIONS = (1, 2, 4, 8)  # of each block's convolution over three frames
MARGIN = sum(DILATIONS)  # frames on either side that a prediction sees

# Joints whose standing is predicted.
FEET = tuple(JOINTS.index(f"{side}_{joint}") for side in "lr" for joint in ("ankle", "toe"))
NUM_OUTPUTS = 3 * (len(JOINTS) - 1) + 1 + 2 + len(FEET)

_FORMAT = 1
_KINDS = ("kernel", "bias")


@dataclass(frozen=True)
class Lifted:
    """What the network says of every frame; x is to the right in the picture, z to the camera."""

    joints: np.ndarray  # (T, 19, 3) metres from the pelvis, y up
    height: np.ndarray  # (T,) metres, the pelvis above the floor
    velocity: np.ndarray  # (T, 2) m/s, the pelvis along x and z
    standing: np.ndarray  # (T, F) probabilities in 0 … 1 that each of FEET stands


def layer_names() -> tuple[str, ...]:
    """Returns the layers from input to output."""
    blocks = [f"block{index}_{part}" for index in range(len(DILATIONS)) for part in ("a", "b")]
    return ("first", *blocks, "last", "direct")


class Lifter:
    """The network with its weights."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        """Takes `LAYER_kernel` (K, in, out) and `LAYER_bias` (out,) of every layer.

        Raises:
            ValueError: they do not fit each other.
        """
        self.weights = {name: array.astype(np.float32) for name, array in weights.items()}
        width = self._shape("first", (1, NUM_FEATURES, -1))
        for index in range(len(DILATIONS)):
            self._shape(f"block{index}_a", (3, width, width))
            self._shape(f"block{index}_b", (1, width, width))
        self._shape("last", (1, width, NUM_OUTPUTS))
        self._shape("direct", (1, NUM_FEATURES, NUM_OUTPUTS))

    def _shape(self, layer: str, expected: tuple[int, int, int]) -> int:
        """Checks a layer's arrays; returns the number of its outputs."""
        for kind in _KINDS:
            if f"{layer}_{kind}" not in self.weights:
                raise ValueError(f"{layer}_{kind} is missing")
        kernel, bias = (self.weights[f"{layer}_{kind}"] for kind in _KINDS)
        fits = kernel.ndim == 3 and all(
            size in (wanted, kernel.shape[2] if wanted < 0 else wanted)
            for size, wanted in zip(kernel.shape, expected)
        )
        if not fits or bias.shape != kernel.shape[2:]:
            raise ValueError(
                f"{layer} has arrays {kernel.shape} and {bias.shape}; expected {expected}"
            )
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise ValueError(f"{layer} has weights that are not finite")
        return int(kernel.shape[2])

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> Lifter:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing, damaged, or of another version.
        """
        content = checked.read_npz(path, "lifting network")
        number = content.pop("format", np.zeros(()))
        if number.shape != () or number.dtype.kind not in "iu" or int(number) != _FORMAT:
            raise UserError(
                f"{quoted(path)} is not a lifting network of the format that this version reads "
                f"({_FORMAT}); install dancenet again."
            )
        if any(array.dtype.kind != "f" for array in content.values()):
            raise UserError(f"{quoted(path)} holds weights that are no numbers.")
        try:
            return cls(content)
        except ValueError as error:
            raise UserError(
                f"{quoted(path)} is a damaged lifting network ({error}); install dancenet again."
            ) from error

    def save(self, path: Path) -> None:
        """Writes the weights as .npz, half as precise, atomically."""
        halves = {name: array.astype(np.float16) for name, array in self.weights.items()}
        arrays.write_npz(path, format=np.int64(_FORMAT), **halves)

    def __call__(self, features: np.ndarray) -> Lifted:
        """Lifts the features (T, F) of one clip at the network's rate, T > 0."""
        row = np.pad(features.astype(np.float32), ((MARGIN, MARGIN), (0, 0)), mode="edge")
        hidden = np.maximum(self._convolve(row, "first"), 0)
        for index, dilation in enumerate(DILATIONS):
            inner = np.maximum(self._convolve(hidden, f"block{index}_a", dilation), 0)
            inner = np.maximum(self._convolve(inner, f"block{index}_b"), 0)
            hidden = hidden[dilation:-dilation] + inner
        direct = self._convolve(features.astype(np.float32), "direct")
        return split(self._convolve(hidden, "last") + direct)

    def _convolve(self, row: np.ndarray, layer: str, dilation: int = 1) -> np.ndarray:
        """Convolves (T, C) over time without padding."""
        kernel, bias = (self.weights[f"{layer}_{kind}"] for kind in _KINDS)
        length = len(row) - dilation * (len(kernel) - 1)
        result = np.tile(bias, (length, 1))
        for tap, matrix in enumerate(kernel):
            result += row[tap * dilation : tap * dilation + length] @ matrix
        return result


def split(outputs: np.ndarray) -> Lifted:
    """Names the columns of the network's outputs (T, NUM_OUTPUTS)."""
    count = 3 * (len(JOINTS) - 1)
    joints = np.zeros((len(outputs), len(JOINTS), 3))
    joints[:, 1:] = outputs[:, :count].reshape(len(outputs), -1, 3)
    return Lifted(
        joints=joints,
        height=outputs[:, count].astype(np.float64),
        velocity=outputs[:, count + 1 : count + 3].astype(np.float64),
        standing=1 / (1 + np.exp(-np.clip(outputs[:, count + 3 :].astype(np.float64), -30, 30))),
    )

"""Opens networks in the LiteRT format (.tflite) and runs them on the processor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dancenet.support import errors, terminal
from dancenet.support.errors import UserError
from dancenet.support.files import open_regular
from dancenet.support.names import quoted, shortened

LARGEST_NETWORK = 256 << 20  # bytes of a file; MoveNet MultiPose in float32 has 19 MB
_MARK = b"TFL3"  # stands at byte 4 of every .tflite


class Tensor(NamedTuple):
    """An input or output of a network."""

    name: str
    shape: tuple[int, ...]  # -1 where the size is free
    dtype: type
    # Of whole numbers that stand for others: (number - zero) * scale; 0 where they do not.
    scale: float = 0.0
    zero: int = 0


class LiteNetwork:
    """A network behind a call: arrays in, arrays out."""

    def __init__(self, path: str | os.PathLike[str], threads: int = 1) -> None:
        """Opens a network.

        Args:
            path: the .tflite file.
            threads: processor cores to use.

        Raises:
            MissingExtra: ai-edge-litert is not installed.
            UserError: the file is missing, damaged, or of another format.
        """
        self.path = path
        self._interpreter = _open(path, threads)
        self._sources = self._interpreter.get_input_details()
        self._results = self._interpreter.get_output_details()
        self.inputs = tuple(map(_describe, self._sources))
        self.outputs = tuple(map(_describe, self._results))
        self._shapes = [tuple(map(int, source["shape"])) for source in self._sources]

    def check(self, what: str, inputs: Sequence[tuple], outputs: Sequence[tuple]) -> None:
        """Refuses a network with inputs or outputs of other shapes.

        Args:
            what: the network that is expected, with its article.
            inputs: their shapes.
            outputs: their shapes.

        Raises:
            UserError: the shapes are others; the message gives both.
        """
        found = [[tensor.shape for tensor in tensors] for tensors in (self.inputs, self.outputs)]
        if found != [list(inputs), list(outputs)]:
            raise UserError(
                f"{quoted(self.path)} is not {what}: it maps {_said(found[0])} to "
                f"{_said(found[1])}, and {what} maps {_said(inputs)} to {_said(outputs)}."
            )

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Runs the network.

        Args:
            inputs: one array for each input, of its type; a free size may be anything.

        Returns:
            One array for each output, in the network's order; they are the caller's.

        Raises:
            UserError: the network cannot be run, because its file is damaged.
        """
        try:
            for index, (source, array) in enumerate(zip(self._sources, inputs, strict=True)):
                if array.shape != self._shapes[index]:
                    self._resize(index, array.shape)
                self._interpreter.set_tensor(source["index"], array)
            self._interpreter.invoke()
        except RuntimeError as error:
            errors.let_through(error)
            raise UserError(
                f"{quoted(self.path)} cannot be run ({shortened(error)}); fetch it again."
            ) from error
        return [self._interpreter.get_tensor(result["index"]) for result in self._results]

    def _resize(self, index: int, shape: tuple[int, ...]) -> None:
        free = self.inputs[index].shape
        if len(free) != len(shape) or any(
            want not in (-1, got) for want, got in zip(free, shape, strict=True)
        ):
            raise ValueError(f"an input of shape {shape} does not fit {free}")
        self._interpreter.resize_tensor_input(self._sources[index]["index"], shape)
        self._interpreter.allocate_tensors()
        self._shapes[index] = shape


def require() -> Any:
    """Returns the class that runs networks.

    Raises:
        MissingExtra: ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise errors.why_not_imported(error, "person segmentation", "person") from error
    return Interpreter


def _open(path: str | os.PathLike[str], threads: int) -> Any:
    interpreter_class = require()
    with open_regular(path, "network") as file:
        content = file.read(LARGEST_NETWORK + 1)
    if len(content) > LARGEST_NETWORK or content[4:8] != _MARK:
        raise UserError(
            f"{quoted(path)} is not a network of the LiteRT format (.tflite); choose one that is, "
            "or fetch it again."
        )
    try:
        with terminal.quiet_import():  # it announces its delegate
            # As bytes, because it takes no path that is not UTF-8.
            interpreter = interpreter_class(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        errors.let_through(error)
        raise UserError(
            f"{quoted(path)} is not a network that ai-edge-litert can run "
            f"({shortened(str(error).splitlines()[0])}); it may be damaged, so fetch it again."
        ) from error
    return interpreter


def _describe(details: dict[str, Any]) -> Tensor:
    # A network without free sizes may leave the signature empty.
    shape = details["shape_signature"] if len(details["shape_signature"]) else details["shape"]
    scale, zero = details["quantization"]
    return Tensor(
        details["name"], tuple(map(int, shape)), details["dtype"], float(scale), int(zero)
    )


def _said(shapes: Sequence[tuple]) -> str:
    return ", ".join(map(str, shapes)) or "nothing"

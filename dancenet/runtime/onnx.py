"""Runs the exported networks on ONNX Runtime; neither Keras nor TensorFlow is needed."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dancenet.model.config import DancerConfig, VaeConfig
from dancenet.model.folder import CONFIG
from dancenet.sequence.generate import State, begin_state
from dancenet.sequence.mixture import Mixture, sample_from_draws
from dancenet.support import errors
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, shortened
from dancenet.support.wording import command

_ZERO = np.zeros((), np.float32)
_NO_TELEMETRY = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")  # names in two versions
_MOST_THREADS = 8  # these networks are too small to feed more


def count_cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def count_threads() -> int:
    """Returns how many threads compute best here: one for each core, up to 8."""
    return min(count_cores(), _MOST_THREADS)


def open_session(path: str | Path, threads: int | None = None) -> Any:
    """Opens an exported graph on the CPU.

    Args:
        path: an .onnx file.
        threads: how many to compute with; by default as many as there are cores, up to 8.

    Returns:
        An `onnxruntime.InferenceSession`.

    Raises:
        UserError: the file is missing, or is not a graph that ONNX Runtime can run.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"There is no exported network at {quoted(path)}; write it with {command('export')}, "
            f"or fetch the model again with {command('download-weights')}."
        )
    onnxruntime = _import_quietly()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or count_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised; the rest is noise at a terminal
    # Threads that spin while they wait take the cores from the video encoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        # It prints a box of stars about some damaged files; the error says the same.
        with contextlib.redirect_stdout(io.StringIO()):
            return onnxruntime.InferenceSession(
                _source(path), options, providers=["CPUExecutionProvider"]
            )
    except Exception as error:  # ONNX Runtime's own exceptions share no public base class
        errors.let_through(error)
        raise _cannot_run(path, error) from error


def _import_quietly() -> Any:
    """Imports ONNX Runtime with its telemetry off, unless the environment asks for it."""
    # Read when it is imported; without, it writes a device id and a database into the user's cache,
    # and sends events to its maker.
    for name in _NO_TELEMETRY:
        os.environ.setdefault(name, "1")
    import onnxruntime

    if os.environ[_NO_TELEMETRY[0]] == "1":
        onnxruntime.disable_telemetry_events()  # builds for Windows read no variable
    return onnxruntime


def _source(path: str | Path) -> str | bytes:
    """Returns a graph's path, or its bytes where ONNX Runtime cannot take the path."""
    try:
        str(path).encode()
    except UnicodeEncodeError:  # a name that is not UTF-8
        return Path(path).read_bytes()
    return str(path)


def _cannot_run(path: str | Path, error: Exception) -> UserError:
    first_line = (str(error).splitlines() or [""])[0]
    return UserError(
        f"{quoted(path)} cannot be run: it was cut, altered, or written for another version of "
        f"ONNX Runtime ({shortened(first_line)}). Write it again with {command('export')}, or "
        f"fetch the model again with {command('download-weights')}."
    )


class _Value(NamedTuple):
    """Type and shape of an input or output."""

    type: str
    shape: tuple[int | str | None, ...]  # with the batch; a text or None is any length

    @classmethod
    def of(cls, value: Any) -> _Value:
        return cls(value.type, tuple(value.shape or ()))


class _Graph:
    """An open graph, whose inputs and outputs have the types and shapes that are expected."""

    def __init__(self, path: str | Path, threads: int | None) -> None:
        self.path = Path(path)
        self._session = open_session(path, threads)
        try:
            self.inputs = {value.name: _Value.of(value) for value in self._session.get_inputs()}
            self.outputs = {value.name: _Value.of(value) for value in self._session.get_outputs()}
        except ValueError as error:  # a name that is not UTF-8
            raise _cannot_run(path, error) from error

    def require(self, names: Sequence[str]) -> None:
        """Raises UserError unless the inputs and outputs are among `names` as expected."""
        there = {**self.inputs, **self.outputs}
        missing = [name for name in names if name not in there]
        if missing:
            raise UserError(
                f"{quoted(self.path)} is not the network that was expected: it lacks "
                f"{', '.join(missing)} and has {shortened(', '.join(sorted(there)))}."
            )

    def require_shape(self, name: str, shape: tuple[int | None, ...]) -> tuple[int, ...]:
        """Refuses an input or output of another type or shape.

        Args:
            name: of the input or output.
            shape: apart from the batch; None for any length.

        Returns:
            The shape apart from the batch.

        Raises:
            UserError: it is another, or not known.
        """
        value = self.inputs.get(name) or self.outputs[name]
        found = value.shape[1:]
        fits = len(found) == len(shape) and all(
            type(length) is int and (length == expected or (expected is None and length > 0))
            for length, expected in zip(found, shape)
        )
        if not fits or value.type != "tensor(float)":
            wanted = ", ".join("any" if length is None else str(length) for length in shape)
            raise UserError(
                f"{quoted(self.path)} does not fit its model: {name} is "
                f"{shortened(f'{value.type} of shape {value.shape}')}, and must be floats of shape "
                f"(batch, {wanted}). Write it again with {command('export')}."
            )
        return tuple(int(length) for length in found if length is not None)

    def run(self, outputs: Sequence[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Runs the graph.

        Raises:
            UserError: a step of the graph failed.
        """
        try:
            return self._session.run(outputs, feed)
        except Exception as error:
            # A wrong feed is a mistake of ours; its exception has no class that can be imported.
            if type(error).__name__ == "InvalidArgument":
                raise
            errors.let_through(error)
            raise _cannot_run(self.path, error) from error


class OnnxEncoder:
    """Frames (B, H, W, 1) float32, 1 background, to `z_mean` and `z_log_var`, (B, L) each."""

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self._graph = _Graph(path, threads)
        self._graph.require(("frames", "z_mean", "z_log_var"))
        self._graph.require_shape("frames", (None, None, 1))
        (dim,) = self._graph.require_shape("z_mean", (None,))
        self._graph.require_shape("z_log_var", (dim,))

    def require_sizes(self, config: VaeConfig) -> None:
        """Raises UserError unless frames and latents are as large as the configuration says."""
        self._graph.require_shape("frames", (config.height, config.width, 1))
        self._graph.require_shape("z_mean", (config.num_latents,))

    def __call__(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        frames = np.ascontiguousarray(frames, np.float32)
        z_mean, z_log_var = self._graph.run(["z_mean", "z_log_var"], {"frames": frames})
        return z_mean, z_log_var


class OnnxDecoder:
    """Latents (B, L) float32 to background probability (B, H, W) float32."""

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self._graph = _Graph(path, threads)
        self._graph.require(("latents", "frames"))
        self._graph.require_shape("latents", (None,))
        self._graph.require_shape("frames", (None, None))

    def require_sizes(self, config: VaeConfig) -> None:
        """Raises UserError unless frames and latents are as large as the configuration says."""
        self._graph.require_shape("frames", (config.height, config.width))
        self._graph.require_shape("latents", (config.num_latents,))

    def __call__(self, latents: np.ndarray) -> np.ndarray:
        latents = np.ascontiguousarray(latents, np.float32)
        return self._graph.run(["frames"], {"latents": latents})[0]


class OnnxStepModel:
    """The dancer, one step at a time. See `sequence.generate.DrawingStepModel`."""

    def __init__(self, path: str | Path, threads: int | None = 1) -> None:
        """Opens `step.onnx`.

        Args:
            path: the graph.
            threads: one by default, because a step ends before a second thread wakes up.

        Raises:
            UserError: the graph is missing, damaged, or not a step of a dancer.
        """
        graph = self._graph = _Graph(path, threads)
        graph.require(("vectors", "pi_logits", "mu", "sigma"))
        (self.dim,) = graph.require_shape("vectors", (None,))
        (self.num_mixtures,) = graph.require_shape("pi_logits", (None,))
        for name in ("mu", "sigma"):
            graph.require_shape(name, (self.num_mixtures, self.dim))
        # Graphs exported with silhouette_v0 do not draw.
        self._draws = "next_vectors" in graph.outputs
        if self._draws:
            graph.require(("gumbel", "normal", "temperature", "whole"))
        others = ("vectors", "gumbel", "normal", "temperature", "whole")
        names = [name for name in graph.inputs if name not in others]
        self._states = {name: graph.require_shape(name, (None,))[0] for name in names}
        self._following = [f"next_{name}" for name in self._states]
        graph.require(self._following)

    def require_config(self, config: DancerConfig) -> None:
        """Refuses a graph of another network; the sizes of a configuration are bounded.

        Raises:
            UserError: the vectors, the mixture or the state are not as the configuration says.
        """
        self._graph.require_shape("vectors", (config.dim,))
        self._graph.require_shape("pi_logits", (config.num_mixtures,))
        for name in self._states:
            if name not in config.state_widths:
                raise UserError(
                    f"{quoted(self._graph.path)} does not fit its model: its state "
                    f"{shortened(name)} is not in {CONFIG}. Write it again with "
                    f"{command('export')}."
                )
            self._graph.require_shape(name, (config.state_widths[name],))
        if config.styles and "style" not in self._states:
            raise UserError(
                f"{quoted(self._graph.path)} does not fit its model: {CONFIG} has styles and it "
                f"takes none. Write it again with {command('export')}."
            )

    def initial_state(self, batch: int, style: np.ndarray | None = None) -> State:
        """Returns zeros, (B, U) for each state in the graph's order, and the style, if any."""
        return begin_state(self._states, batch, style)

    def step(self, vectors: np.ndarray, state: State) -> tuple[Mixture, State]:
        """Takes (B, D) float32 and the state; returns the mixture for the next vectors."""
        outputs = ["pi_logits", "mu", "sigma", *self._following]
        feed = self._feed(vectors, state)
        if self._draws:  # the draw is ignored
            gumbel = np.zeros((len(vectors), self.num_mixtures), np.float32)
            feed |= {"gumbel": gumbel, "normal": feed["vectors"], "temperature": _ZERO}
            feed["whole"] = np.array(True)
        pi_logits, mu, sigma, *following = self._graph.run(outputs, feed)
        return Mixture(pi_logits, mu, sigma), tuple(following)

    def sample(
        self,
        vectors: np.ndarray,
        state: State,
        gumbel: np.ndarray,
        normal: np.ndarray,
        temperature: float,
    ) -> tuple[np.ndarray, State]:
        """Takes one step and draws; in NumPy if the graph does not. See `DrawingStepModel`."""
        if not self._draws:
            mixture, state = self.step(vectors, state)
            return sample_from_draws(mixture, gumbel, normal, temperature), state
        feed = self._feed(vectors, state)
        feed["gumbel"] = np.ascontiguousarray(gumbel, np.float32)
        feed["normal"] = np.ascontiguousarray(normal, np.float32)
        feed["temperature"] = np.array(temperature, np.float32)
        feed["whole"] = np.array(False)
        drawn, *following = self._graph.run(["next_vectors", *self._following], feed)
        return drawn, tuple(following)

    def _feed(self, vectors: np.ndarray, state: State) -> dict[str, np.ndarray]:
        return {
            **dict(zip(self._states, state)),
            "vectors": np.ascontiguousarray(vectors, np.float32),
        }

"""Runs the exported networks on ONNX Runtime; neither Keras nor TensorFlow is needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dancenet.sequence.generate import State, begin_state
from dancenet.sequence.mixture import Mixture, sample_from_draws
from dancenet.support.errors import UserError
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
            f"There is no exported network at {path}; write it with {command('export')}, or fetch "
            f"the model again with {command('download-weights')}."
        )
    onnxruntime = _import_quietly()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or count_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised; the rest is noise at a terminal
    # Threads that spin while they wait take the cores from the video encoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no public base class
        first_line = (str(error).splitlines() or [""])[0]
        raise UserError(
            f"{path} cannot be run: it was cut, altered, or written for another version of ONNX "
            f"Runtime ({first_line}). Write it again with {command('export')}, or fetch the model "
            f"again with {command('download-weights')}."
        ) from error


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


def require_values(session: Any, path: str | Path, names: Sequence[str]) -> None:
    """Raises UserError unless a session's inputs and outputs are among `names` as expected."""
    there = {value.name for value in (*session.get_inputs(), *session.get_outputs())}
    missing = [name for name in names if name not in there]
    if missing:
        raise UserError(
            f"{path} is not the network that was expected: it lacks {', '.join(missing)} and "
            f"has {', '.join(sorted(there))}."
        )


class OnnxEncoder:
    """Frames (B, H, W, 1) float32, 1 background, to `z_mean` and `z_log_var`, (B, L) each."""

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self._session = open_session(path, threads)
        require_values(self._session, path, ("frames", "z_mean", "z_log_var"))

    def __call__(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        frames = np.ascontiguousarray(frames, np.float32)
        z_mean, z_log_var = self._session.run(["z_mean", "z_log_var"], {"frames": frames})
        return z_mean, z_log_var


class OnnxDecoder:
    """Latents (B, L) float32 to background probability (B, H, W) float32."""

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self._session = open_session(path, threads)
        require_values(self._session, path, ("latents", "frames"))

    def __call__(self, latents: np.ndarray) -> np.ndarray:
        latents = np.ascontiguousarray(latents, np.float32)
        return self._session.run(["frames"], {"latents": latents})[0]


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
        self._session = open_session(path, threads)
        require_values(self._session, path, ("vectors", "pi_logits", "mu", "sigma"))
        inputs = {value.name: value.shape for value in self._session.get_inputs()}
        outputs = {value.name: value.shape for value in self._session.get_outputs()}
        self.dim = int(inputs.pop("vectors")[1])
        self.num_mixtures = int(outputs["pi_logits"][1])
        # Graphs exported with silhouette_v0 do not draw.
        self._draws = "next_vectors" in outputs
        for name in ("gumbel", "normal", "temperature", "whole"):
            inputs.pop(name, None)
        self._states = {name: int(shape[1]) for name, shape in inputs.items()}
        self._following = [f"next_{name}" for name in self._states]
        require_values(self._session, path, self._following)

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
        pi_logits, mu, sigma, *following = self._session.run(outputs, feed)
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
        drawn, *following = self._session.run(["next_vectors", *self._following], feed)
        return drawn, tuple(following)

    def _feed(self, vectors: np.ndarray, state: State) -> dict[str, np.ndarray]:
        return {
            **dict(zip(self._states, state)),
            "vectors": np.ascontiguousarray(vectors, np.float32),
        }

"""A model as one TensorFlow SavedModel, for TF Serving and other programs that load those.

It holds the networks, the scaler, the seed clips and the loop of a dance in TensorFlow's own
operations, so it loads without dancenet and Keras.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from dancenet.model.folder import CODEC, SCALER, SEEDS
from dancenet.nets.export import parity, signatures
from dancenet.nets.export.parity import CARRIED_TOLERANCE, JOINT_TOLERANCE, TOLERANCE, Comparison
from dancenet.nets.export.reference import Networks, trial_styles
from dancenet.nets.export.tensorflow.dance import build_functions
from dancenet.sequence.generate import generate
from dancenet.support import files, terminal
from dancenet.support.errors import UserError
from dancenet.support.temporary import sweep, temporary_name
from dancenet.support.wording import command

_TRIAL_FRAMES = 8
# Generation feeds outputs back, so rounding errors grow faster than over given vectors (1e-5 in
# the trial frames of `silhouette_v0`). A wrong state would differ by far more.
GENERATED_TOLERANCE = 1e-3
# TF Serving ignores the files of others in this folder.
DESCRIPTION = f"assets.extra/{signatures.FILE}"


def export_saved_model(networks: Networks, to: Path) -> tuple[Path, list[Comparison]]:
    """Writes a model as the next version in a folder: `to`/1, then `to`/2, as TF Serving expects.

    A version appears whole, after it was read back and compared with Keras, so that a server that
    watches the folder never loads half of one.

    Args:
        networks: a model with a dancer, or the picture network alone, which has the signatures
            `encode` and `decode` only, both for latents. A dancer of joints has no `encode`, and
            its `decode` takes vectors to joints.
        to: a folder, created if needed.

    Returns:
        The version's folder, and a record for each signature.

    Raises:
        UserError: the folder cannot be written, or the model lacks scaler or seeds.
        ParityError: a signature differs from Keras; nothing was written.
    """
    if networks.pictures is None and networks.codec is None:
        raise UserError("A SavedModel holds pictures and dance; it is not made of a dancer alone.")
    if networks.dancer is not None:
        for name in (SCALER if networks.codec is None else CODEC, SEEDS):
            networks.folder.require(name, command("train-dancer"))
    files.make_folder(to)
    # TF Serving ignores names that are not numbers.
    sweep(to)
    temporary = to / temporary_name("export")
    files.check_parent(temporary)
    try:
        _save(networks, temporary)
        run = load(temporary)
        _describe(run, networks, temporary)
        rows = compare(networks, run)
        parity.require_parity(rows)
        return _publish(temporary, to), rows
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty
            to.rmdir()


class Signature:
    """A signature of a SavedModel behind a call: named arrays to named arrays."""

    def __init__(self, loaded: Any, name: str) -> None:
        self._loaded = loaded  # keeps the function alive
        self._function = loaded.signatures[name]
        self.name = name
        self._inputs = self._function.structured_input_signature[1]

    def __call__(self, **arrays: Any) -> dict[str, np.ndarray]:
        given = self._function(
            **{name: tf.constant(value, self._inputs[name].dtype) for name, value in arrays.items()}
        )
        return {name: value.numpy() for name, value in given.items()}

    def describe(self) -> signatures.Section:
        """Returns its inputs and outputs."""
        inputs, outputs = (
            [
                signatures.Value(name, spec.dtype.name, tuple(spec.shape))
                for name, spec in specs.items()
            ]
            for specs in (self._inputs, self._function.structured_outputs)
        )
        return signatures.Section(self.name, "", inputs, outputs)


def load(version: Path) -> dict[str, Signature]:
    """Reads a SavedModel; returns its signatures by name."""
    loaded = tf.saved_model.load(str(version))
    return {name: Signature(loaded, name) for name in loaded.signatures}


class _Trial(NamedTuple):
    """A signature and Keras on the same inputs."""

    name: str
    pairs: list[tuple[np.ndarray, np.ndarray]]  # expected and received
    limit: float  # largest accepted error
    ours: Callable[[], object]  # one call, to be timed
    by_keras: Callable[[], object]
    rounds: int = 9  # timed calls

    def compare(self) -> Comparison:
        error = max(parity.largest_error(*pair) for pair in self.pairs)
        ours, by_keras = parity.time_beside(self.ours, self.by_keras, self.rounds)
        return Comparison(
            name=self.name,
            size_bytes=None,
            error=error,
            limit=self.limit,
            effect="",
            milliseconds=ours,
            keras_milliseconds=by_keras,
        )


def compare(networks: Networks, run: Mapping[str, Signature]) -> list[Comparison]:
    """Runs the signatures of a SavedModel against Keras.

    Args:
        networks: the exported model.
        run: its signatures, from `load`.

    Returns:
        A record for each signature.
    """
    if networks.codec is not None:
        trials = [_try_joints(networks, run["decode"])]
    else:
        trials = [_try_encode(networks, run["encode"]), _try_decode(networks, run["decode"])]
    if networks.dancer is not None:
        trials += [_try_step(networks, run["step"]), _try_generate(networks, run["generate"])]
    return [trial.compare() for trial in trials]


def _try_encode(networks: Networks, run: Signature) -> _Trial:
    frames = networks.frames
    given, expected = run(frames=frames), networks.encode(frames)
    pairs = list(zip(expected, (given["z_mean"], given["z_log_var"])))
    if networks.dancer is not None:
        assert networks.scaler is not None
        pairs.append((networks.scaler.to_model(expected[0]), given["vectors"]))
    return _Trial(
        "encode",
        pairs,
        TOLERANCE,
        ours=lambda: run(frames=frames[:1]),
        by_keras=lambda: networks.encode(frames[:1]),
    )


def _try_decode(networks: Networks, run: Signature) -> _Trial:
    latents, inputs = networks.latents, {"latents": networks.latents}
    if networks.dancer is not None:
        assert networks.scaler is not None
        inputs = {"vectors": networks.scaler.to_model(latents)}
        latents = networks.scaler.to_latents(inputs["vectors"])
    first = {name: values[:1] for name, values in inputs.items()}
    return _Trial(
        "decode",
        [(networks.decode(latents), run(**inputs)["frames"])],
        TOLERANCE,
        ours=lambda: run(**first),
        by_keras=lambda: networks.decode(latents[:1]),
    )


def _try_joints(networks: Networks, run: Signature) -> _Trial:
    assert networks.codec is not None
    codec, vectors = networks.codec, networks.walk.swapaxes(0, 1)
    placement, joints, after = networks.joints
    given = run(vectors=vectors, placement=placement)
    # Metres and radians: absolute differences count, not relative ones.
    error = max(
        parity.largest_difference(joints, given["joints"]),
        parity.largest_difference(after, given["next_placement"]),
    )
    return _Trial(
        "decode",
        [(np.zeros(1), np.array([error]))],
        JOINT_TOLERANCE,
        ours=lambda: run(vectors=vectors[:1], placement=placement[:1]),
        by_keras=lambda: codec.decode(vectors[0]),
    )


def _try_step(networks: Networks, run: Signature) -> _Trial:
    walk, states = networks.walk, networks.state_names
    state = networks.first_state(walk.shape[1])
    pairs = []
    for vectors, (mixture, following) in zip(walk, networks.steps):
        given = run(vectors=vectors, **state)
        state = {name: given[f"next_{name}"] for name in states}
        pairs += [(value, given[name]) for name, value in mixture._asdict().items()]
        pairs += list(zip(following, state.values()))
    first = networks.first_state(1)
    return _Trial(
        "step",
        pairs,
        CARRIED_TOLERANCE,
        ours=lambda: run(vectors=walk[0, :1], **first),
        by_keras=lambda: networks.step_model.step(walk[0, :1], tuple(first.values())),
    )


def _try_generate(networks: Networks, run: Signature) -> _Trial:
    """Compares at temperature 0, where nothing is drawn, with `sequence.generate`."""
    assert networks.seeds is not None and networks.dancer is not None
    style = trial_styles(networks.dancer.config, 1)
    styled = {} if style is None else {"style": style[0]}
    seeds, scaler, codec = networks.seeds[:1], networks.scaler, networks.codec
    rngs = [np.random.default_rng(0)]

    def by_keras() -> tuple[np.ndarray, np.ndarray]:
        made = generate(
            networks.step_model, seeds, _TRIAL_FRAMES, rngs, temperature=0.0, style=style
        )
        vectors = np.concatenate(list(made))
        if codec is not None:
            return vectors, codec.decode(vectors)
        assert scaler is not None
        return vectors, networks.decode(scaler.to_latents(vectors))

    def ours() -> dict[str, np.ndarray]:
        settings = styled if codec is not None else {"refine": 0, **styled}
        return run(seed_clip=0, num_frames=_TRIAL_FRAMES, temperature=0.0, seed=0, **settings)

    given = ours()
    made = given["frames" if codec is None else "joints"]
    return _Trial(
        f"generate, {_TRIAL_FRAMES} frames",
        list(zip(by_keras(), (given["vectors"], made))),
        GENERATED_TOLERANCE,
        ours=ours,
        by_keras=by_keras,
        rounds=1,
    )


def _save(networks: Networks, folder: Path) -> None:
    functions = build_functions(networks)
    module = tf.Module()
    module.weights = functions.variables
    with terminal.quiet_import():  # it prints the folder
        tf.saved_model.save(module, str(folder), functions.signatures())


def _describe(run: Mapping[str, Signature], networks: Networks, folder: Path) -> None:
    path = folder / DESCRIPTION
    files.make_folder(path.parent)
    sections = [run[name].describe() for name in signatures.DOINGS if name in run]
    text = signatures.describe("TensorFlow", networks.config, sections, networks.codec)
    files.write_text(path, text)


def _publish(temporary: Path, to: Path) -> Path:
    """Gives a finished version the next number."""
    while True:
        taken = [int(path.name) for path in to.iterdir() if path.name.isdecimal()]
        version = to / str(max(taken, default=0) + 1)
        try:
            os.rename(temporary, version)
        except OSError:
            if not version.exists():
                raise
            continue  # another export was faster
        return version

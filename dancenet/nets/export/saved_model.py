"""A model as one TensorFlow SavedModel, for TF Serving and whatever else loads those.

It holds the networks, the scaler, the stretches to start from and the loop of a dance, all in
TensorFlow's own operations: who loads it needs neither dancenet nor Keras.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from dancenet.model.folder import CODEC, SCALER, SEEDS
from dancenet.nets.export import parity as comparison
from dancenet.nets.export import signatures
from dancenet.nets.export import tensorflow_layers as tensorflow_graphs
from dancenet.nets.export.onnx import CARRIED_TOLERANCE, JOINT_TOLERANCE, TOLERANCE, trial_styles
from dancenet.nets.export.parity import Comparison, Networks
from dancenet.sequence.generate import generate
from dancenet.support import files, terminal
from dancenet.support.errors import UserError

# Frames decoded at once; more are not faster and take memory.
_BATCH = 16
_TRIAL_FRAMES = 8
# What a dance makes comes back into it, so roundings grow faster than over given vectors: to 1e-5
# in the trial frames of `silhouette_v0`. With a wrong state they are another dance.
GENERATED_TOLERANCE = 1e-3
# TF Serving lets other people's files lie in this folder, and does not look at them.
DESCRIPTION = f"assets.extra/{signatures.FILE}"
# A uniform draw is in [0, 1), and the Gumbel draw made of 0 is not finite.
_TINY = np.finfo(np.float32).tiny


class Pictures:
    """The signatures of a model that has no dancer."""

    def __init__(self, networks: Networks) -> None:
        assert networks.vae is not None and networks.config.vae is not None
        self._config = networks.config.vae
        self._encoder = tensorflow_graphs.Encoder(networks.vae[0])
        self._decoder = tensorflow_graphs.Decoder(networks.vae[1])
        self.variables = [*self._encoder.variables, *self._decoder.variables]

    def signatures(self) -> dict[str, Any]:
        """Returns the functions by name, each with named inputs and outputs."""
        size = (self._config.height, self._config.width)
        return {
            "encode": _function(self.encode, frames=(tf.float32, (None, *size))),
            "decode": _function(
                self.decode_latents, latents=(tf.float32, (None, self._config.latent_dim))
            ),
        }

    def encode(self, frames: Any) -> dict[str, Any]:
        """Takes background probability (B, H, W); returns `z_mean` and `z_log_var` (B, L)."""
        return dict(zip(("z_mean", "z_log_var"), self._encoder(frames)))

    def decode_latents(self, latents: Any) -> dict[str, Any]:
        """Takes (B, L); returns `frames`, background probability (B, H, W)."""
        return {"frames": self._decoder(latents)}


class Motion:
    """The dancer: its steps, the stretches it can start from, and the loop of a dance."""

    def __init__(self, networks: Networks, seeds: Any) -> None:
        """Takes the weights out.

        Args:
            networks: with a dancer.
            seeds: (N, S, D) the stretches.
        """
        assert networks.dancer is not None
        config = networks.dancer.config
        self._dim, self._temperature = config.dim, config.temperature
        self._num_styles = len(config.styles)
        self._step = tensorflow_graphs.Step(networks.dancer)
        self._seeds = seeds
        self.variables = self._step.variables

    def signatures(
        self,
        generate: Callable[..., Any],
        generate_from: Callable[..., Any],
        **settings: tuple[Any, tuple],
    ) -> dict[str, Any]:
        """Returns `step`, `generate` and `generate_from`.

        Args:
            generate: takes what `generate_from` takes, but the number of a stretch, and one style.
            generate_from: takes stretches and the settings, in order.
            settings: dtype and shape of what these take beside those of `dance`, which come last.
        """
        common = {
            "num_frames": (tf.int32, ()),
            "temperature": (tf.float32, ()),
            "seed": (tf.int64, ()),
            **settings,
        }
        one, each = dict(common), dict(common)
        if self._num_styles:
            one["style"] = (tf.float32, (self._num_styles,))
            each["style"] = (tf.float32, (None, self._num_styles))
        state = {name: (tf.float32, (None, width)) for name, width in self._step.states.items()}
        vectors = (tf.float32, (None, self._dim))
        return {
            "step": _function(self._step.named, vectors=vectors, **state),
            "generate": _function(generate, stretch=(tf.int32, ()), **one),
            "generate_from": _function(
                generate_from, vectors=(tf.float32, (None, None, self._dim)), **each
            ),
        }

    def stretch(self, number: Any, seed: Any) -> Any:
        """Takes the number of a stretch, -1 to draw one; returns it, (1, S, D)."""
        count = self._seeds.shape[0]
        with tf.control_dependencies(
            [
                tf.debugging.assert_greater_equal(number, -1, "stretch must be -1 or more"),
                tf.debugging.assert_less(number, count, f"stretch must be below {count}"),
            ]
        ):
            drawn = tf.random.stateless_uniform((), _key(seed, -1), 0, count, tf.int32)
            return tf.gather(self._seeds, tf.where(number < 0, drawn, number)[None])

    def dance(
        self, vectors: Any, num_frames: Any, temperature: Any, seed: Any, style: Any = None
    ) -> Any:
        """Dances on from B given stretches (B, S, D), each with draws, and a style, of its own.

        Args:
            vectors: the stretches.
            num_frames: () T.
            temperature: () as in `generation.settings.DanceSettings`.
            seed: () of all that is drawn.
            style: (B, S) weights, of a model with styles.

        Returns:
            The vectors that follow, (B, T, D).
        """
        with tf.control_dependencies(
            [
                tf.debugging.assert_positive(tf.shape(vectors)[:2], "vectors must hold a stretch"),
                tf.debugging.assert_positive(num_frames, "num_frames must be 1 or more"),
                tf.debugging.assert_non_negative(temperature, "temperature must be 0 or more"),
            ]
        ):
            stretches, num_frames = tf.identity(vectors), tf.identity(num_frames)
        danced = self._walk(stretches, num_frames, temperature, seed, style)
        return tf.debugging.check_numerics(danced, "The network gave a value that is not finite")

    def _walk(
        self, stretches: Any, num_frames: Any, temperature: Any, seed: Any, style: Any
    ) -> Any:
        """Takes (B, S, D); returns the T vectors that follow, (B, T, D)."""
        batch = tf.shape(stretches)[0]
        places = tf.transpose(stretches, (1, 0, 2))
        state = [
            tf.zeros((batch, width)) if name != "style" else style
            for name, width in self._step.states.items()
        ]
        mixture, state = self._step(places[0], state)

        def see(index: Any, mixture: Any, state: Any) -> Any:
            return index + 1, *self._step(places[index], state)

        _, mixture, state = tf.while_loop(
            lambda index, *_: index < tf.shape(places)[0], see, (1, mixture, state)
        )

        def dance(index: Any, written: Any, mixture: Any, state: Any) -> Any:
            vectors = _draw(mixture, temperature * self._temperature, seed, index)
            return index + 1, written.write(index, vectors), *self._step(vectors, state)

        written = tf.TensorArray(tf.float32, num_frames, element_shape=(None, self._dim))
        _, written, _, _ = tf.while_loop(
            lambda index, *_: index < num_frames, dance, (0, written, mixture, state)
        )
        return tf.transpose(written.stack(), (1, 0, 2))


class Dance(Pictures):
    """The signatures of a whole model. Vectors are in model units; latents are inside."""

    def __init__(self, networks: Networks) -> None:
        super().__init__(networks)
        assert networks.dancer is not None
        assert networks.scaler is not None and networks.seeds is not None
        self._dim = networks.dancer.config.dim
        self._units = tensorflow_graphs.Units(networks.scaler, networks.seeds)
        self._motion = Motion(networks, self._units.seeds)
        self.variables += [*self._motion.variables, *self._units.variables]

    def signatures(self) -> dict[str, Any]:
        """Returns the functions by name, each with named inputs and outputs."""
        return super().signatures() | {
            "decode": _function(self.decode, vectors=(tf.float32, (None, self._dim))),
            **self._motion.signatures(self.generate, self.generate_from, refine=(tf.int32, ())),
        }

    def encode(self, frames: Any) -> dict[str, Any]:
        """Takes background probability (B, H, W); returns `vectors` (B, D), and the latents they are of."""
        given = super().encode(frames)
        return given | {"vectors": self._units.to_model(given["z_mean"])}

    def decode(self, vectors: Any) -> dict[str, Any]:
        """Takes (B, D) in model units; returns `frames`, background probability (B, H, W)."""
        return {"frames": self._decoder(self._units.to_latents(vectors))}

    def generate(
        self,
        stretch: Any,
        num_frames: Any,
        temperature: Any,
        seed: Any,
        refine: Any,
        style: Any = None,
    ) -> dict[str, Any]:
        """Dances on from one of the model's own stretches.

        Args:
            stretch: () which; -1 draws one.
            num_frames: () T.
            temperature: () as in `generation.write.DanceSettings`.
            seed: () of all that is drawn.
            refine: () as in `codecs.silhouette.SilhouetteCodec.decode`.
            style: (S,) weights, of a model with styles.

        Returns:
            `frames` (T, H, W), background probability, and `vectors` (T, D) in model units.
        """
        return _one(
            self.generate_from(
                self._motion.stretch(stretch, seed),
                num_frames,
                temperature,
                seed,
                refine,
                _batch(style),
            )
        )

    def generate_from(
        self,
        vectors: Any,
        num_frames: Any,
        temperature: Any,
        seed: Any,
        refine: Any,
        style: Any = None,
    ) -> dict[str, Any]:
        """Dances on from B given stretches (B, S, D), as `Motion.dance` does.

        Returns:
            `frames` (B, T, H, W) and `vectors` (B, T, D).
        """
        danced = self._motion.dance(vectors, num_frames, temperature, seed, style)
        with tf.control_dependencies(
            [
                tf.debugging.assert_non_negative(refine, "settle must be 0 or more"),
            ]
        ):
            flat = tf.reshape(danced, (-1, self._dim))
        frames = self._frames(flat, refine)
        shape = tf.concat([tf.shape(danced)[:2], tf.shape(frames)[1:]], 0)
        return {"frames": tf.reshape(frames, shape), "vectors": danced}

    def _frames(self, vectors: Any, refine: Any) -> Any:
        """Takes (N, D); returns background probability (N, H, W), a few frames at a time."""
        count = tf.shape(vectors)[0]
        batches = -(-count // _BATCH)
        size = (self._config.height, self._config.width)

        def decode(index: Any, written: Any) -> Any:
            chosen = vectors[index * _BATCH : (index + 1) * _BATCH]
            background = self.decode(chosen)["frames"]
            _, background = tf.while_loop(
                lambda turn, _: turn < refine,
                lambda turn, frames: (turn + 1, self._decoder(self._encoder(frames)[0])),
                (0, background),
            )
            return index + 1, written.write(index, background)

        written = tf.TensorArray(
            tf.float32, batches, infer_shape=False, element_shape=(None, *size)
        )
        _, written = tf.while_loop(lambda index, _: index < batches, decode, (0, written))
        return written.concat()


class JointDance:
    """The signatures of a model of joints."""

    def __init__(self, networks: Networks) -> None:
        assert networks.codec is not None and networks.seeds is not None
        self._dim = networks.codec.dim
        self._joints = tensorflow_graphs.Joints(networks.codec)
        self._seeds = tf.Variable(networks.seeds, trainable=False, name="seeds")
        self._motion = Motion(networks, self._seeds)
        self.variables = [*self._motion.variables, *self._joints.variables, self._seeds]

    def signatures(self) -> dict[str, Any]:
        """Returns the functions by name, each with named inputs and outputs."""
        return {
            "decode": _function(
                self._joints.named,
                vectors=(tf.float32, (None, None, self._dim)),
                placement=(tf.float32, (None, 3)),
            ),
            **self._motion.signatures(self.generate, self.generate_from),
        }

    def generate(
        self, stretch: Any, num_frames: Any, temperature: Any, seed: Any, style: Any = None
    ) -> dict[str, Any]:
        """Dances on from one of the model's own stretches; see `Dance.generate`.

        Returns:
            `joints` (T, J, C) in metres, from the middle of the stage, and `vectors` (T, D).
        """
        stretches = self._motion.stretch(stretch, seed)
        return _one(self.generate_from(stretches, num_frames, temperature, seed, _batch(style)))

    def generate_from(
        self, vectors: Any, num_frames: Any, temperature: Any, seed: Any, style: Any = None
    ) -> dict[str, Any]:
        """Dances on from B given stretches; returns `joints` (B, T, J, C) and `vectors`."""
        danced = self._motion.dance(vectors, num_frames, temperature, seed, style)
        joints, _ = self._joints(danced, tf.zeros((tf.shape(danced)[0], 3)))
        return {"joints": joints, "vectors": danced}


def _one(given: dict[str, Any]) -> dict[str, Any]:
    return {name: values[0] for name, values in given.items()}


def _batch(style: Any) -> Any:
    return None if style is None else style[None]


def export_saved_model(networks: Networks, to: Path) -> tuple[Path, list[Comparison]]:
    """Writes a model as the next version in a folder: `to`/1, then `to`/2, as TF Serving has it.

    A version appears whole, after it was read back and held against Keras, so that a server that
    watches the folder never loads half of one.

    Args:
        networks: with a dancer, or the picture network alone: then there are the signatures
            `encode` and `decode` only, and both speak of latents. A dancer of joints has no
            `encode`, and its `decode` makes joints of vectors.
        to: a folder, made if it is not there.

    Returns:
        The version's folder, and a record for each signature.

    Raises:
        UserError: the folder cannot be written, or the model lacks scaler or seeds.
        ParityError: a signature differs from Keras; nothing was written.
    """
    if networks.vae is None and networks.codec is None:
        raise UserError("A SavedModel holds pictures and dance; it is not made of a dancer alone.")
    if networks.dancer is not None:
        for name in (SCALER if networks.codec is None else CODEC, SEEDS):
            networks.folder.require(name, "python scripts/train_dancer.py")
    model: Pictures | JointDance
    if networks.codec is not None:
        model = JointDance(networks)
    else:
        model = Pictures(networks) if networks.dancer is None else Dance(networks)
    files.make_folder(to)
    # A dot and no number: TF Serving passes it by. It gets the rights that any folder gets.
    temporary = to / f".{secrets.token_hex(8)}"
    files.check_parent(temporary)
    try:
        _save(model, temporary)
        run = load(temporary)
        _describe(run, networks, temporary)
        rows = compare(networks, run)
        comparison.require_parity(rows)
        return _publish(temporary, to), rows
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):  # it holds versions
            to.rmdir()


class Signature:
    """A signature of a SavedModel behind a call: named arrays to named arrays."""

    def __init__(self, loaded: Any, name: str) -> None:
        self._loaded = loaded  # the function lives as long as this does
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


def compare(networks: Networks, run: Mapping[str, Signature]) -> list[Comparison]:
    """Runs the signatures of a SavedModel against Keras.

    Args:
        networks: what was exported.
        run: from `load`.

    Returns:
        A record each.
    """
    rows = []

    def add(
        name: str,
        pairs: list[tuple[np.ndarray, np.ndarray]],
        limit: float,
        ours: Callable[[], object],
        by_keras: Callable[[], object],
        rounds: int = 9,
    ) -> None:
        error = max(comparison.largest_error(*pair) for pair in pairs)
        times = comparison.time_beside(ours, by_keras, rounds)
        rows.append(Comparison(name, None, error, limit, "", *times))

    if networks.codec is not None:
        _compare_joints(networks, run["decode"], add)
        _compare_step(networks, run["step"], add)
        _compare_generate(networks, run["generate"], add)
        return rows
    frames, scaler = networks.frames, networks.scaler
    given, expected = run["encode"](frames=frames), networks.encode(frames)
    pairs = list(zip(expected, (given["z_mean"], given["z_log_var"])))
    if networks.dancer is not None:
        assert scaler is not None
        pairs.append((scaler.to_model(expected[0]), given["vectors"]))
    add(
        "encode",
        pairs,
        TOLERANCE,
        lambda: run["encode"](frames=frames[:1]),
        lambda: networks.encode(frames[:1]),
    )
    latents, inputs = networks.latents, {"latents": networks.latents}
    if networks.dancer is not None:
        assert scaler is not None
        inputs = {"vectors": scaler.to_model(latents)}
        latents = scaler.to_latents(inputs["vectors"])
    first = {name: values[:1] for name, values in inputs.items()}
    add(
        "decode",
        [(networks.decode(latents), run["decode"](**inputs)["frames"])],
        TOLERANCE,
        lambda: run["decode"](**first),
        lambda: networks.decode(latents[:1]),
    )
    if networks.dancer is not None:
        _compare_step(networks, run["step"], add)
        _compare_generate(networks, run["generate"], add)
    return rows


def _compare_joints(networks: Networks, run: Any, add: Callable[..., None]) -> None:
    assert networks.codec is not None
    codec, vectors = networks.codec, networks.walk.swapaxes(0, 1)
    placement, joints, after = networks.joints
    given = run(vectors=vectors, placement=placement)
    # Both are metres (and radians), and what counts is how far a joint is off.
    error = max(
        comparison.largest_difference(joints, given["joints"]),
        comparison.largest_difference(after, given["next_placement"]),
    )
    add(
        "decode",
        [(np.zeros(1), np.array([error]))],
        JOINT_TOLERANCE,
        lambda: run(vectors=vectors[:1], placement=placement[:1]),
        lambda: codec.decode(vectors[0]),
    )


def _compare_step(networks: Networks, run: Any, add: Callable[..., None]) -> None:
    walk, states = networks.walk, networks.state_names
    state = networks.first_state(walk.shape[1])
    pairs = []
    for vectors, (mixture, following) in zip(walk, networks.steps):
        given = run(vectors=vectors, **state)
        state = {name: given[f"next_{name}"] for name in states}
        pairs += [(value, given[name]) for name, value in mixture._asdict().items()]
        pairs += list(zip(following, state.values()))
    first = networks.first_state(1)
    add(
        "step",
        pairs,
        CARRIED_TOLERANCE,
        lambda: run(vectors=walk[0, :1], **first),
        lambda: networks.step_model.step(walk[0, :1], tuple(first.values())),
    )


def _compare_generate(networks: Networks, run: Any, add: Callable[..., None]) -> None:
    """At temperature 0 nothing is drawn, so the dance must be that of `sequence.generate`."""
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
        return run(stretch=0, num_frames=_TRIAL_FRAMES, temperature=0.0, seed=0, **settings)

    given = ours()
    made = given["frames" if codec is None else "joints"]
    pairs = list(zip(by_keras(), (given["vectors"], made)))
    name = f"generate, {_TRIAL_FRAMES} frames"
    add(name, pairs, GENERATED_TOLERANCE, ours, by_keras, rounds=1)


def _draw(mixture: Any, temperature: Any, seed: Any, frame: Any) -> Any:
    """Draws one vector of each mixture, as `sequence.mixture.sample_from_draws` does.

    The draws of a row depend on the seed, the frame and the row, and not on how many rows are
    beside it.
    """
    pi_logits, mu, sigma = mixture
    uniform = tf.random.stateless_uniform(
        tf.shape(pi_logits), _key(seed, 2 * frame), minval=_TINY, maxval=1.0
    )
    gumbel = -tf.math.log(-tf.math.log(uniform))
    component = tf.argmax(pi_logits + temperature * gumbel, axis=1, output_type=tf.int32)
    mu = tf.gather(mu, component, batch_dims=1)
    sigma = tf.gather(sigma, component, batch_dims=1)
    normal = tf.random.stateless_normal(tf.shape(mu), _key(seed, 2 * frame + 1))
    return mu + tf.sqrt(temperature) * sigma * normal


def _key(seed: Any, use: Any) -> Any:
    return tf.stack([tf.cast(seed, tf.int64), tf.cast(use, tf.int64)])


def _function(compute: Callable[..., dict[str, Any]], **inputs: tuple[Any, tuple]) -> Any:
    """Returns a function with a fixed signature, its inputs in the order of `compute`'s."""
    return tf.function(compute, autograph=False).get_concrete_function(
        *(tf.TensorSpec(shape, dtype, name) for name, (dtype, shape) in inputs.items())
    )


def _save(model: Pictures | JointDance, folder: Path) -> None:
    module = tf.Module()
    module.weights = model.variables
    with terminal.quiet_import():  # it tells where it saves
        tf.saved_model.save(module, str(folder), model.signatures())


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

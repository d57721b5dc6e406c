"""The functions of a SavedModel: encode, decode, step, and the loop of a dance, in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from dancenet.nets.export.reference import Networks
from dancenet.nets.export.tensorflow.codecs import (
    TensorFlowDecoder,
    TensorFlowEncoder,
    TensorFlowJoints,
    TensorFlowScaler,
)
from dancenet.nets.export.tensorflow.layers import TensorFlowStep
from dancenet.sequence.temperature_variation import MEMORY_SECONDS

# Frames decoded at once; larger batches are not faster and take memory.
_BATCH = 16
# A uniform draw is in [0, 1), and the Gumbel draw made from 0 is not finite.
_TINY = np.finfo(np.float32).tiny


class PictureFunctions:
    """The functions of a model without a dancer."""

    def __init__(self, networks: Networks) -> None:
        assert networks.pictures is not None
        self._config = networks.pictures.config
        self._encoder = TensorFlowEncoder(networks.pictures)
        self._decoder = TensorFlowDecoder(networks.pictures)
        self.variables = [*self._encoder.variables, *self._decoder.variables]

    def signatures(self) -> dict[str, Any]:
        """Returns the functions by name, each with named inputs and outputs."""
        size = (self._config.height, self._config.width)
        return {
            "encode": _function(self.encode, frames=(tf.float32, (None, *size))),
            "decode": _function(
                self.decode_latents, latents=(tf.float32, (None, self._config.num_latents))
            ),
        }

    def encode(self, frames: Any) -> dict[str, Any]:
        """Takes background probability (B, H, W); returns `z_mean` and `z_log_var` (B, L)."""
        return dict(zip(("z_mean", "z_log_var"), self._encoder(frames)))

    def decode_latents(self, latents: Any) -> dict[str, Any]:
        """Takes (B, L); returns `frames`, background probability (B, H, W)."""
        return {"frames": self._decoder(latents)}


class DanceLoop:
    """The dancer: its step, its seed clips, and the loop that generates."""

    def __init__(self, networks: Networks, seeds: Any) -> None:
        """Copies the weights.

        Args:
            networks: a model with a dancer.
            seeds: (N, S, D) the seed clips.
        """
        assert networks.dancer is not None
        config = networks.dancer.config
        self._dim, self._temperature = config.dim, config.temperature
        self._variation = TemperatureFactors(
            config.temperature_variation, MEMORY_SECONDS * networks.config.fps
        )
        self._num_styles = len(config.styles)
        self._step = TensorFlowStep(networks.dancer)
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
            generate: as `generate_from`, with the number of one seed clip and one style.
            generate_from: takes seed clips and the settings, in order.
            settings: dtype and shape of further inputs, after those of `dance`.
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
            "generate": _function(generate, seed_clip=(tf.int32, ()), **one),
            "generate_from": _function(
                generate_from, vectors=(tf.float32, (None, None, self._dim)), **each
            ),
        }

    def seed_clip(self, number: Any, seed: Any) -> Any:
        """Takes the number of a seed clip, -1 to draw one; returns it, (1, S, D)."""
        count = self._seeds.shape[0]
        with tf.control_dependencies(
            [
                tf.debugging.assert_greater_equal(number, -1, "seed_clip must be -1 or more"),
                tf.debugging.assert_less(number, count, f"seed_clip must be below {count}"),
            ]
        ):
            drawn = tf.random.stateless_uniform((), _key(seed, -1), 0, count, dtype=tf.int32)
            return tf.gather(self._seeds, tf.where(number < 0, drawn, number)[None])

    def dance(
        self, vectors: Any, num_frames: Any, temperature: Any, seed: Any, style: Any = None
    ) -> Any:
        """Continues B seed clips, each with its own draws and style.

        Args:
            vectors: (B, S, D) the seed clips.
            num_frames: () T.
            temperature: () as in `generation.settings.DanceSettings`; it varies over time by the
                model's own `temperature_variation`.
            seed: () for all draws.
            style: (B, S) style weights, for a model with styles.

        Returns:
            The vectors that follow, (B, T, D).
        """
        with tf.control_dependencies(
            [
                tf.debugging.assert_positive(tf.shape(vectors)[:2], "vectors must not be empty"),
                tf.debugging.assert_positive(num_frames, "num_frames must be 1 or more"),
                tf.debugging.assert_non_negative(temperature, "temperature must be 0 or more"),
            ]
        ):
            clips, num_frames = tf.identity(vectors), tf.identity(num_frames)
        mixture, state = self._begin(clips, style)

        def advance(index: Any, written: Any, wander: Any, mixture: Any, state: Any) -> Any:
            varied = temperature * self._temperature * self._variation.factors(wander)[:, None]
            following = _draw(mixture, varied, seed, index)
            wander = self._variation.advance(wander, seed, index)
            after = self._step(following, state)
            return index + 1, written.write(index, following), wander, *after

        written = tf.TensorArray(tf.float32, num_frames, element_shape=(None, self._dim))
        wander = self._variation.begin(tf.shape(clips)[0], seed)
        _, written, *_ = tf.while_loop(
            lambda index, *_: index < num_frames, advance, (0, written, wander, mixture, state)
        )
        danced = tf.transpose(written.stack(), (1, 0, 2))
        return tf.debugging.check_numerics(danced, "The network gave a value that is not finite")

    def _begin(self, clips: Any, style: Any) -> tuple[Any, Any]:
        """Steps through seed clips (B, S, D); returns the next vectors' mixture and the state."""
        batch = tf.shape(clips)[0]
        frames = tf.transpose(clips, (1, 0, 2))
        state = [
            tf.zeros((batch, width)) if name != "style" else style
            for name, width in self._step.states.items()
        ]
        mixture, state = self._step(frames[0], state)

        def see(index: Any, mixture: Any, state: Any) -> Any:
            return index + 1, *self._step(frames[index], state)

        _, mixture, state = tf.while_loop(
            lambda index, *_: index < tf.shape(frames)[0], see, (1, mixture, state)
        )
        return mixture, state


class TemperatureFactors:
    """What `sequence.temperature_variation` does: factors of the temperature of B dances.

    Args:
        deviation: standard deviation of their logarithm.
        memory: frames after which the correlation has fallen to 1/e.
    """

    def __init__(self, deviation: float, memory: float) -> None:
        self._deviation, self._kept = deviation, float(np.exp(-1.0 / memory))

    def begin(self, batch: Any, seed: Any) -> Any:
        """Returns the process (B,) at the first frame."""
        return self._normal(batch, seed, -1)

    def advance(self, process: Any, seed: Any, frame: Any) -> Any:
        """Returns the process (B,) one frame later."""
        normal = self._normal(tf.shape(process)[0], seed, frame)
        return self._kept * process + (1.0 - self._kept**2) ** 0.5 * normal

    def factors(self, process: Any) -> Any:
        """Returns the factors (B,), whose mean is 1."""
        return tf.exp(self._deviation * process - self._deviation**2 / 2)

    def _normal(self, batch: Any, seed: Any, frame: Any) -> Any:
        # Below the uses of all other draws; see `_draw` and `DanceLoop.seed_clip`.
        return tf.random.stateless_normal(batch[None], _key(seed, -3 - frame))


class SilhouetteFunctions(PictureFunctions):
    """The functions of a whole model of silhouettes. Inputs and outputs are in model units."""

    def __init__(self, networks: Networks) -> None:
        super().__init__(networks)
        assert networks.dancer is not None
        assert networks.scaler is not None and networks.seeds is not None
        self._dim = networks.dancer.config.dim
        self._scaler = TensorFlowScaler(networks.scaler, networks.seeds)
        self._loop = DanceLoop(networks, self._scaler.seeds)
        self.variables += [*self._loop.variables, *self._scaler.variables]

    def signatures(self) -> dict[str, Any]:
        """Returns the functions by name, each with named inputs and outputs."""
        return super().signatures() | {
            "decode": _function(self.decode, vectors=(tf.float32, (None, self._dim))),
            **self._loop.signatures(self.generate, self.generate_from, refine=(tf.int32, ())),
        }

    def encode(self, frames: Any) -> dict[str, Any]:
        """Takes background probability (B, H, W); returns `vectors` (B, D) and the latents."""
        given = super().encode(frames)
        return given | {"vectors": self._scaler.to_model(given["z_mean"])}

    def decode(self, vectors: Any) -> dict[str, Any]:
        """Takes (B, D) in model units; returns `frames`, background probability (B, H, W)."""
        return {"frames": self._decoder(self._scaler.to_latents(vectors))}

    def generate(
        self,
        seed_clip: Any,
        num_frames: Any,
        temperature: Any,
        seed: Any,
        refine: Any,
        style: Any = None,
    ) -> dict[str, Any]:
        """Continues one of the model's own seed clips.

        Args:
            seed_clip: () number of the seed clip; -1 draws one.
            num_frames: () T.
            temperature: () as in `generation.settings.DanceSettings`.
            seed: () for all draws.
            refine: () as in `codecs.silhouette.SilhouetteCodec.decode`.
            style: (S,) style weights, for a model with styles.

        Returns:
            `frames` (T, H, W), background probability, and `vectors` (T, D) in model units.
        """
        made = self.generate_from(
            self._loop.seed_clip(seed_clip, seed),
            num_frames,
            temperature,
            seed=seed,
            refine=refine,
            style=_batch(style),
        )
        return _first(made)

    def generate_from(
        self,
        vectors: Any,
        num_frames: Any,
        temperature: Any,
        seed: Any,
        refine: Any,
        style: Any = None,
    ) -> dict[str, Any]:
        """Continues B seed clips (B, S, D), as `DanceLoop.dance` does.

        Returns:
            `frames` (B, T, H, W) and `vectors` (B, T, D).
        """
        danced = self._loop.dance(vectors, num_frames, temperature, seed, style)
        with tf.control_dependencies(
            [tf.debugging.assert_non_negative(refine, "refine must be 0 or more")]
        ):
            flat = tf.reshape(danced, (-1, self._dim))
        frames = self._frames(flat, refine)
        shape = tf.concat([tf.shape(danced)[:2], tf.shape(frames)[1:]], 0)
        return {"frames": tf.reshape(frames, shape), "vectors": danced}

    def _frames(self, vectors: Any, refine: Any) -> Any:
        """Takes (N, D); returns background probability (N, H, W), decoded in batches."""
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


class JointFunctions:
    """The functions of a model of joints."""

    def __init__(self, networks: Networks) -> None:
        assert networks.codec is not None and networks.seeds is not None
        self._dim = networks.codec.dim
        self._joints = TensorFlowJoints(networks.codec)
        self._seeds = tf.Variable(networks.seeds, trainable=False, name="seeds")
        self._loop = DanceLoop(networks, self._seeds)
        self.variables = [*self._loop.variables, *self._joints.variables, self._seeds]

    def signatures(self) -> dict[str, Any]:
        """Returns the functions by name, each with named inputs and outputs."""
        return {
            "decode": _function(
                self._joints.named,
                vectors=(tf.float32, (None, None, self._dim)),
                placement=(tf.float32, (None, 3)),
            ),
            **self._loop.signatures(self.generate, self.generate_from),
        }

    def generate(
        self, seed_clip: Any, num_frames: Any, temperature: Any, seed: Any, style: Any = None
    ) -> dict[str, Any]:
        """Continues one of the model's own seed clips; see `SilhouetteFunctions.generate`.

        Returns:
            `joints` (T, J, C) in metres, from the middle of the stage, and `vectors` (T, D).
        """
        clips = self._loop.seed_clip(seed_clip, seed)
        return _first(self.generate_from(clips, num_frames, temperature, seed, _batch(style)))

    def generate_from(
        self, vectors: Any, num_frames: Any, temperature: Any, seed: Any, style: Any = None
    ) -> dict[str, Any]:
        """Continues B seed clips; returns `joints` (B, T, J, C) and `vectors` (B, T, D)."""
        danced = self._loop.dance(vectors, num_frames, temperature, seed, style)
        joints, _ = self._joints(danced, tf.zeros((tf.shape(danced)[0], 3)))
        return {"joints": joints, "vectors": danced}


def build_functions(networks: Networks) -> PictureFunctions | JointFunctions:
    """Returns the functions of a model, by the networks it has."""
    if networks.codec is not None:
        return JointFunctions(networks)
    return PictureFunctions(networks) if networks.dancer is None else SilhouetteFunctions(networks)


def _first(given: dict[str, Any]) -> dict[str, Any]:
    return {name: values[0] for name, values in given.items()}


def _batch(style: Any) -> Any:
    return None if style is None else style[None]


def _draw(mixture: Any, temperature: Any, seed: Any, frame: Any) -> Any:
    """Draws one vector from each mixture, as `sequence.mixture.sample_from_draws` does.

    The draws of a row depend on the seed, the frame and the row only, not on the batch size.
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

"""The codecs in plain TensorFlow: pictures and their place, the scaler, joints."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dancenet.codecs import place
from dancenet.codecs.base import Scaler
from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.nets.export.tensorflow.layers import PlainModel
from dancenet.nets.picture_network import PictureNetwork
from dancenet.nets.vae import LOG_VAR_RANGE


class TensorFlowEncoder:
    """Background probability (B, H, W) to `z_mean` and bounded `z_log_var`, (B, L) each."""

    def __init__(self, network: PictureNetwork) -> None:
        self._model = PlainModel(network.encoder, ("z_mean", "z_log_var"))
        self._centred = network.config.centred
        self.variables = self._model.variables

    def __call__(self, frames: Any) -> tuple[Any, Any]:
        places = None
        if self._centred:
            frames, places = _take_out(frames)
        z_mean, z_log_var = self._model(frames[..., None])
        z_log_var = tf.clip_by_value(z_log_var, *LOG_VAR_RANGE)
        if places is None:
            return z_mean, z_log_var
        log_variance = 0.0 * places + place.LOG_VARIANCE
        return tf.concat([z_mean, places], 1), tf.concat([z_log_var, log_variance], 1)


class TensorFlowDecoder:
    """Latents (B, L) to background probability (B, H, W)."""

    def __init__(self, network: PictureNetwork) -> None:
        config = network.config
        self._centred, self._size = config.centred, (config.height, config.width)
        model = network.logits if config.centred else network.decoder
        self._model = PlainModel(model, ("logits" if config.centred else "background",))
        self.variables = self._model.variables

    def __call__(self, latents: Any) -> Any:
        if not self._centred:
            return tf.reshape(self._model(latents)[0], (-1, *self._size))
        logits = tf.reshape(self._model(latents[:, :-1])[0], (-1, *self._size))
        return _put_back(logits, latents[:, -1:])


def _take_out(frames: Any) -> tuple[Any, Any]:
    """Does what `codecs.place.take_out` does."""
    width = frames.shape[2]
    columns = tf.reduce_sum(tf.cast(frames < 0.5, tf.float32), 1)  # (B, W)
    total = tf.reduce_sum(columns, 1, keepdims=True)
    is_left = tf.cast(2 * tf.cumsum(columns, 1) < total, tf.float32)
    offset = tf.reduce_sum(is_left, 1, keepdims=True) - width // 2
    offset *= tf.minimum(total, 1.0)  # a frame without a figure has no place
    moved = 1 - tf.matmul(1 - frames, _shift(offset, width))
    return moved, offset / place.PIXELS


def _put_back(logits: Any, places: Any) -> Any:
    """Does what `codecs.place.put_back` does."""
    figure = tf.clip_by_value(logits, -place.MAX_LOGIT, place.MAX_LOGIT) - place.MAX_LOGIT
    moved = tf.matmul(figure, _shift(-place.PIXELS * places, logits.shape[2]))
    return tf.nn.sigmoid(moved + place.MAX_LOGIT)


def _shift(offset: Any, width: int) -> Any:
    """Returns matrices (B, W, W) that move columns to the left by `offset` (B, 1)."""
    columns = np.arange(width, dtype=np.float32)
    distance = tf.constant((columns[:, None] - columns)[None])
    return tf.nn.relu(1 - tf.abs(distance - tf.reshape(offset, (-1, 1, 1))))


class TensorFlowScaler:
    """Latents to model units and back, and the model's own seed clips.

    Attributes:
        variables: the constants.
        seeds: (N, S, D).
    """

    def __init__(self, scaler: Scaler, seeds: np.ndarray) -> None:
        self.variables = self._mean, self._basis, self._scale, self.seeds = [
            tf.Variable(np.asarray(value, np.float32), trainable=False, name=name)
            for name, value in (
                ("mean", scaler.mean),
                ("basis", scaler.basis),
                ("scale", scaler.scale),
                ("seeds", seeds),
            )
        ]

    def to_latents(self, vectors: Any) -> Any:
        """Takes (B, D) in model units; returns latents (B, L)."""
        return tf.matmul(vectors * self._scale, self._basis) + self._mean

    def to_model(self, latents: Any) -> Any:
        """Takes latents (B, L); returns (B, D) in model units."""
        return tf.matmul(latents - self._mean, self._basis, transpose_b=True) / self._scale

    def seed_clip(self, number: Any) -> Any:
        """Takes numbers (N,); returns seed clips (N, S, D) in model units."""
        return tf.gather(self.seeds, number)


class TensorFlowJoints:
    """Vectors to joints: `codecs.skeleton.SkeletonCodec.continue_from`.

    It is an affine map, then cumulative sums of the turns and moves over time.

    Attributes:
        variables: the constants.
    """

    def __init__(self, codec: SkeletonCodec, dtype: Any = tf.float64) -> None:
        """Copies the constants.

        Args:
            codec: the dancer's codec.
            dtype: the precision; float32 sums drift by some micrometres in a minute.
        """
        self._dtype = dtype
        self._num_joints, self._is_flat = len(codec.names), codec.is_flat
        scaler, num_axes = codec.scaler, 2 if codec.is_flat else 3
        matrix = np.zeros((codec.dim, len(codec.kept)))
        matrix[:, codec.kept] = scaler.scale.astype(np.float64)[:, None] * scaler.basis
        constant = codec.constant.copy()
        constant[codec.kept] = scaler.mean
        # The columns before the joints, then each joint's from its mirrored twin.
        lead = len(codec.kept) - self._num_joints * num_axes
        columns = lead + num_axes * codec.twin[:, None] + np.arange(num_axes)
        columns = np.concatenate([np.arange(lead), columns.ravel()])
        self._lead = lead
        self.variables = self._matrix, self._constant = [
            tf.Variable(tf.constant(value, dtype), trainable=False, name=name)
            for name, value in (("matrix", matrix[:, columns]), ("constant", constant[columns]))
        ]

    def __call__(self, vectors: Any, placement: Any) -> tuple[Any, Any]:
        """Decodes dances, or parts of them.

        Args:
            vectors: (B, T, D) in model units, T > 0.
            placement: (B, 3) before the first vector: radians about the vertical, and x and z of
                the body's centre in metres. For joints in a picture only x is used; the others
                are returned unchanged.

        Returns:
            joints (B, T, J, C) in metres, and the placement (B, 3) after the last vector.
        """
        vectors, placement = (tf.cast(value, self._dtype) for value in (vectors, placement))
        raw = tf.matmul(vectors, self._matrix) + self._constant
        # Columns stay (B, T, 1), to broadcast with joints (B, T, J). LiteRT cannot insert an axis
        # by None next to an unknown size.
        heading, x, z = tf.split(tf.expand_dims(placement, 1), 3, 2)
        columns = tf.split(raw[:, :, : self._lead], self._lead, 2)
        shape = (-1, tf.shape(raw)[1], self._num_joints, 2 if self._is_flat else 3)
        local = tf.unstack(tf.reshape(raw[:, :, self._lead :], shape), axis=3)
        if self._is_flat:
            move, height = columns
            x += tf.cumsum(move, 1)
            axes, end = [local[0] + x, local[1] + height], [heading, x[:, -1:], z]
        else:
            turn, across, ahead, height = columns
            headings = heading + tf.cumsum(turn, 1)
            to_x, to_z = _turned(across, ahead, headings - turn)
            x, z = x + tf.cumsum(to_x, 1), z + tf.cumsum(to_z, 1)
            joints_x, joints_z = _turned(local[0], local[2], headings)
            axes = [joints_x + x, local[1] + height, joints_z + z]
            heading, circle = headings[:, -1:], tf.constant(2 * np.pi, self._dtype)
            end = [heading - circle * tf.round(heading / circle), x[:, -1:], z[:, -1:]]
        joints, after = tf.stack(axes, 3), tf.squeeze(tf.concat(end, 2), 1)
        return tf.cast(joints, tf.float32), tf.cast(after, tf.float32)

    def named(self, vectors: Any, placement: Any) -> dict[str, Any]:
        """Does the same and names each output."""
        return dict(zip(("joints", "next_placement"), self(vectors, placement)))


def _turned(x: Any, z: Any, angles: Any) -> tuple[Any, Any]:
    """Turns positions about the vertical, from z towards x."""
    cos, sin = tf.cos(angles), tf.sin(angles)
    return x * cos + z * sin, z * cos - x * sin

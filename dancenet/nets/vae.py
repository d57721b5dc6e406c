"""The picture network: a variational autoencoder of silhouettes, in two sizes.

Both sizes have one interface: the encoder maps frames (B, 120, 208, 1) float32, 1 is background, to
`z_mean` and `z_log_var` (B, 128); the decoder maps a latent to the background probability of every
pixel.

* `lean`: strided convolutions from the first layer on, and transposed 4x4 convolutions with
  stride 2 in the decoder.
* `dancenet`: the network of 2018 to the letter.

The layers form a plain sequence (the encoder ends in two heads), so that they can be exported one
by one.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from dancenet.model.config import VaeConfig
from dancenet.support import errors
from dancenet.support.errors import UserError
from dancenet.support.names import quoted

# Outside this range a standard deviation cannot be told from 0, or from the prior's, and its
# exponential can overflow.
LOG_VAR_RANGE = (-10.0, 4.0)
_HALFWAY_WEIGHT = 0.1  # of the frames halfway, beside the reconstruction of all

# Initial weights matter in a short training: with these and he_normal, `lean` had a held-out IoU of
# 0.81 after 600 steps, and 0.67 with Keras's defaults.
# Most pixels are background.
_MOSTLY_BACKGROUND = keras.initializers.Constant(3.0)


def build_encoder(config: VaeConfig) -> keras.Model:
    """Returns the untrained network from frames (B, H, W, 1) to [z_mean, z_log_var] (B, L).

    Raises:
        UserError: the network cannot be built for that size of picture.
    """
    _check_size(config)
    shape = (config.height, config.width, 1)
    frames = x = keras.Input(shape, name="frames")
    if config.network == "dancenet":
        for number, filters in enumerate((128, 64, 32), start=1):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv_{number}")(
                x
            )
            x = layers.MaxPooling2D(2, name=f"pool_{number}")(x)
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dense(128, name="dense")(x)
    else:
        widths = ((8, 4, 2), (24, 3, 2), (48, 3, 2), (64, 3, 2), (40, 1, 1))
        for number, (filters, size, strides) in enumerate(widths, start=1):
            x = layers.Conv2D(
                filters,
                size,
                strides,
                padding="same",
                activation="relu",
                kernel_initializer="he_normal",
                name=f"conv_{number}",
            )(x)
        x = layers.Flatten(name="flatten")(x)
    z_mean = layers.Dense(config.latent_dim, name="z_mean")(x)
    z_log_var = layers.Dense(
        config.latent_dim,
        # Narrow posteriors at the start, so that the noise does not hide the pictures.
        kernel_initializer=keras.initializers.VarianceScaling(0.1),
        bias_initializer=keras.initializers.Constant(-3.0),
        name="z_log_var",
    )(x)
    encoder = keras.Model(frames, [z_mean, z_log_var], name="encoder")
    first = encoder.get_layer("conv_1")
    # Background is 1: with this bias an empty picture gives 0, whatever the kernels.
    first.bias.assign(-ops.sum(first.kernel, axis=(0, 1, 2)))
    return encoder


def build_decoder(config: VaeConfig) -> keras.Model:
    """Returns the untrained network from latents (B, L) to background probability (B, H, W, 1).

    Its layer `logits` is the background probability before the sigmoid.

    Raises:
        UserError: the network cannot be built for that size of picture.
    """
    _check_size(config)
    height, width = config.height // 8, config.width // 8
    latents = x = keras.Input((config.latent_dim,), name="latents")
    if config.network == "dancenet":
        x = layers.Dense(height * width * 32, activation="relu", name="dense_1")(x)
        x = layers.Reshape((height, width, 32), name="reshape")(x)
        x = layers.Dense(128, name="dense_2")(x)
        for number, filters in enumerate((32, 64, 128), start=1):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv_{number}")(
                x
            )
            x = layers.UpSampling2D(2, name=f"up_{number}")(x)
        x = layers.Conv2D(1, 3, padding="same", bias_initializer=_MOSTLY_BACKGROUND, name="logits")(
            x
        )
    else:
        for number, units in enumerate((256, height * width * 12), start=1):
            x = layers.Dense(
                units, activation="relu", kernel_initializer="he_normal", name=f"dense_{number}"
            )(x)
        x = layers.Reshape((height, width, 12), name="reshape")(x)
        x = layers.Conv2D(
            64, 3, padding="same", activation="relu", kernel_initializer="he_normal", name="conv_1"
        )(x)
        for number, filters in enumerate((32, 12), start=1):
            x = layers.Conv2DTranspose(
                filters,
                4,
                strides=2,
                padding="same",
                activation="relu",
                kernel_initializer=_he_transposed(),
                name=f"up_{number}",
            )(x)
        x = layers.Conv2DTranspose(
            1,
            4,
            strides=2,
            padding="same",
            kernel_initializer=_he_transposed(),
            bias_initializer=_MOSTLY_BACKGROUND,
            name="logits",
        )(x)
    background = layers.Activation("sigmoid", name="background")(x)
    return keras.Model(latents, background, name="decoder")


def _he_transposed() -> keras.initializers.Initializer:
    # He et al. 2015, arXiv:1502.01852, eq. 10, for a transposed convolution: an output pixel sees
    # one in strides**2 taps of the kernel, and Keras swaps the inputs and outputs of the kernel.
    # A new one for each layer: an initializer draws its seed when it is made.
    return keras.initializers.VarianceScaling(2.0 * 2**2, "fan_out")


def join(encoder: keras.Model, decoder: keras.Model) -> keras.Model:
    """Returns one network from frames through `z_mean` to background probability.

    `vae.weights.h5` holds its weights.
    """
    z_mean, _ = encoder(encoder.input)
    return keras.Model(encoder.input, decoder(z_mean), name="vae")


def load_vae(config: VaeConfig, path: str | Path) -> tuple[keras.Model, keras.Model]:
    """Builds encoder and decoder and reads their weights from a `vae.weights.h5`.

    Raises:
        UserError: the file is missing, damaged, or of another network.
    """
    encoder, decoder = build_encoder(config), build_decoder(config)
    try:
        with warnings.catch_warnings():
            # Keras only warns if it does not load a layer.
            warnings.simplefilter("error", UserWarning)
            join(encoder, decoder).load_weights(path)
    except FileNotFoundError as error:
        raise UserError(f"There are no VAE weights at {quoted(path)}.") from error
    except (OSError, ValueError, KeyError, UserWarning) as error:
        errors.let_through(error)
        raise UserError(
            f"{quoted(path)} does not hold the weights of a {config.network!r} VAE of "
            f"{config.width}x{config.height} pixels and {config.latent_dim} dimensions: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return encoder, decoder


def sharpen(decoder: keras.Model, logit_gain: float, logit_bias: float = 0.0) -> None:
    """Changes a decoder's logits to logit_gain (logits - logit_bias), in the weights of its layer.

    A decoder trained on cross-entropy is uncertain near an outline, and thin limbs that it is
    uncertain of have gaps. With a positive bias only a pixel that is background with a higher
    probability than a half is drawn as background.

    Args:
        decoder: from `build_decoder`.
        logit_gain: above 1 for sharper edges.
        logit_bias: logit below which a pixel is the dancer's; 0 is a probability of a half.
    """
    layer = decoder.get_layer("logits")
    layer.kernel.assign(layer.kernel * logit_gain)
    layer.bias.assign((layer.bias - logit_bias) * logit_gain)


def unsharpen(decoder: keras.Model, logit_gain: float, logit_bias: float = 0.0) -> None:
    """Undoes `sharpen`, for further training."""
    sharpen(decoder, 1.0, -logit_gain * logit_bias)
    sharpen(decoder, 1.0 / logit_gain)


class VaeTrainer(keras.Model):
    """Encoder, a draw, decoder and their loss, as one model for `train_on_batch`.

    A batch is one dictionary: `frames` (B, H, W, 1) uint8, 0 dancer and 255 background; `noise`
    (B, L) standard normal; `beta` (B, 1), the weight of the KL divergence, the same for all.
    The first rows may be triples of successive frames, M first ones, M halfway ones, M last ones:
    then the mean of the first and the last draw must decode to the frame halfway, too. So what
    lies between two poses stays a body.

    Args:
        encoder: from `build_encoder`.
        decoder: from `build_decoder`.
        free_bits: nats of KL divergence that a dimension may use at no cost, on average over the
            batch (Kingma et al. 2016, arXiv:1606.04934, eq. 15).
        edge_weight: extra weight of the pixels beside the outline in the reconstruction loss.
        num_halfway: M, 0 for a batch without triples.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        free_bits: float = 0.0,
        edge_weight: float = 0.0,
        num_halfway: int = 0,
    ) -> None:
        super().__init__(name="vae_trainer")
        self.encoder = encoder
        # Through the logits: the cross-entropy of a saturated sigmoid has no gradient.
        self.decoder_logits = keras.Model(decoder.input, decoder.get_layer("logits").output)
        self.free_bits = free_bits
        self.edge_weight = edge_weight
        self.num_halfway = num_halfway
        self.reconstruction = keras.metrics.Mean(name="reconstruction")
        self.kl = keras.metrics.Mean(name="kl")
        self.halfway = keras.metrics.Mean(name="halfway")
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Returns `z_mean`, `z_log_var` (B, L) and `logits` (B + M, H, W, 1) of a draw."""
        z_mean, z_log_var = self.encoder(
            _background_probability(inputs["frames"]), training=training
        )
        z_log_var = ops.clip(z_log_var, *LOG_VAR_RANGE)
        latents = z_mean + ops.exp(0.5 * z_log_var) * inputs["noise"]
        if count := self.num_halfway:
            mean = 0.5 * (latents[:count] + latents[2 * count : 3 * count])
            latents = ops.concatenate([latents, mean])
        logits = self.decoder_logits(latents, training=training)
        return {"z_mean": z_mean, "z_log_var": z_log_var, "logits": logits}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Returns reconstruction + beta KL in nats per image, and keeps both for the log."""
        frames = _background_probability(x["frames"])
        count, size = self.num_halfway, ops.shape(frames)[0]
        if count:
            frames = ops.concatenate([frames, frames[count : 2 * count]])
        pixels = bernoulli_nats(frames, y_pred["logits"])
        nats = ops.sum(pixels, axis=(1, 2, 3))
        self.reconstruction.update_state(ops.mean(nats[:size]))
        if self.edge_weight:
            weighted = pixels * self.edge_weight * _edges(frames)
            nats = nats + ops.sum(weighted, axis=(1, 2, 3))
        reconstruction = ops.mean(nats[:size])
        if count:
            halfway = ops.mean(nats[size:])
            self.halfway.update_state(halfway)
            reconstruction = reconstruction + _HALFWAY_WEIGHT * halfway
        divergence = ops.mean(kl_nats(y_pred["z_mean"], y_pred["z_log_var"]), axis=0)
        self.kl.update_state(ops.sum(divergence))
        cost = ops.sum(ops.maximum(divergence, self.free_bits))
        return reconstruction + ops.mean(x["beta"]) * cost


def bernoulli_nats(frames: Any, logits: Any) -> Any:
    """Returns the binary cross-entropy of every pixel, in nats; works on any backend's tensors."""
    return ops.relu(logits) - logits * frames + ops.softplus(-ops.abs(logits))


def kl_nats(z_mean: Any, z_log_var: Any) -> Any:
    """Returns KL(N(z_mean, exp z_log_var) || N(0, 1)) of every dimension, in nats.

    Kingma and Welling 2014, arXiv:1312.6114, appendix B.
    """
    return 0.5 * (ops.square(z_mean) + ops.exp(z_log_var) - 1.0 - z_log_var)


def draw_batch(
    frames: np.ndarray, rng: np.random.Generator, beta: float, latent_dim: int
) -> tuple[dict[str, np.ndarray]]:
    """Returns what `VaeTrainer.train_on_batch` takes for frames (B, H, W) uint8."""
    count = len(frames)
    return (
        {
            "frames": frames[..., None],
            "noise": rng.standard_normal((count, latent_dim), dtype=np.float32),
            "beta": np.full((count, 1), beta, np.float32),
        },
    )


def evaluate(
    trainer: VaeTrainer, frames: np.ndarray, noise: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Measures held-out frames.

    Args:
        trainer: the network.
        frames: (B, H, W) uint8, 0 or 255.
        noise: (B, L) standard normal; the same for every epoch, so that epochs are comparable.

    Returns:
        Metrics of each frame: `reconstruction` (B,) of a draw and `kl` (B, L), in nats, and `iou`
        (B,) between the dancers in the picture and in the reconstruction from `z_mean`. And this
        reconstruction, background probability (B, H, W).
    """
    z_mean, z_log_var = trainer.encoder.predict_on_batch(frames[..., None].astype(np.float32) / 255)
    z_log_var = np.clip(z_log_var, *LOG_VAR_RANGE)
    draws = z_mean + np.exp(0.5 * z_log_var) * noise
    logits = trainer.decoder_logits.predict_on_batch(draws)[..., 0]
    # log(1 + exp(±logit)), by the colour of the pixel.
    nats = np.logaddexp(0, np.where(frames > 0, -logits, logits)).sum((1, 2))
    logits = trainer.decoder_logits.predict_on_batch(z_mean)[..., 0]
    dancer, decoded = frames == 0, logits < 0
    union = np.maximum((dancer | decoded).sum((1, 2)), 1)
    divergence = 0.5 * (z_mean**2 + np.exp(z_log_var) - 1 - z_log_var)
    metrics = {
        "reconstruction": nats,
        "kl": divergence,
        "iou": (dancer & decoded).sum((1, 2)) / union,
    }
    return metrics, 1 / (1 + np.exp(-np.clip(logits, -30, 30)))


def multiply_adds(model: keras.Model) -> int:
    """Counts the multiplications of one frame from the shapes of the model's layers."""
    total = 0
    for layer in model.layers:
        if not layer.weights:
            continue
        kernel = layer.kernel.shape
        # A transposed convolution applies its kernel at every input pixel.
        tensor = layer.input if isinstance(layer, layers.Conv2DTranspose) else layer.output
        total += int(np.prod(kernel)) * int(np.prod(tensor.shape[1:-1]))
    return total


def _background_probability(frames: Any) -> Any:
    return ops.cast(frames, "float32") / 255.0


def _edges(frames: Any) -> Any:
    widest = ops.max_pool(frames, 3, strides=1, padding="same")
    narrowest = -ops.max_pool(-frames, 3, strides=1, padding="same")
    return widest - narrowest


def _check_size(config: VaeConfig) -> None:
    if config.height % 8 or config.width % 8:
        raise UserError(
            f"Pictures of {config.width}x{config.height} cannot be used: both sides must be "
            "multiples of 8."
        )

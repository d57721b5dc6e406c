"""The networks of 2018: their configurations, and the layers that their files hold."""

from __future__ import annotations

from dataclasses import dataclass

from dancenet.model.config import DancerConfig, VaeConfig

VAE_2018 = VaeConfig(network="dancenet")
# The code of 2018 had sigma = elu + 1 + 1e-8; elu + 1 + 1e-7 here needs no further floor.
DANCER_2018 = DancerConfig(
    network="dancenet",
    dim=128,
    units=512,
    layers=3,
    num_mixtures=24,
    dense_units=1000,
    dropout=0.4,
    predict="absolute",
    recurrent_activation="hard_sigmoid_2018",
    sigma_floor=0.0,
    look_back=1,
    smoothing=0.0,
)

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Slot:
    """A layer that a file must hold."""

    name: str  # in our network
    shapes: tuple[Shape, ...]  # shapes of its arrays, in Keras's order


def encoder_slots(config: VaeConfig) -> list[Slot]:
    """Returns the layers of the encoder, in order."""
    flat = config.height // 8 * (config.width // 8) * 32
    return [
        Slot("conv_1", ((3, 3, 1, 128), (128,))),
        Slot("conv_2", ((3, 3, 128, 64), (64,))),
        Slot("conv_3", ((3, 3, 64, 32), (32,))),
        _dense("dense", flat, 128),
        _dense("z_mean", 128, config.latent_dim),
        _dense("z_log_var", 128, config.latent_dim),
    ]


def decoder_slots(config: VaeConfig) -> list[Slot]:
    """Returns the layers of the decoder, in order."""
    return [
        _dense("dense_1", config.latent_dim, config.height // 8 * (config.width // 8) * 32),
        _dense("dense_2", 32, 128),
        Slot("conv_1", ((3, 3, 128, 32), (32,))),
        Slot("conv_2", ((3, 3, 32, 64), (64,))),
        Slot("conv_3", ((3, 3, 64, 128), (128,))),
        Slot("logits", ((3, 3, 128, 1), (1,))),
    ]


def dancer_slots(config: DancerConfig) -> list[Slot]:
    """Returns the layers of the dancer, in order; the mixture has three: means, sigmas, weights."""
    units, size = config.units, config.num_mixtures * config.dim
    return [
        *(
            Slot(
                f"lstm_{index}",
                ((units if index else config.dim, 4 * units), (units, 4 * units), (4 * units,)),
            )
            for index in range(config.layers)
        ),
        _dense("dense", units, config.dense_units),
        _dense("mdn_mus", config.dense_units, size),
        _dense("mdn_sigmas", config.dense_units, size),
        _dense("mdn_pi", config.dense_units, config.num_mixtures),
    ]


def _dense(name: str, inputs: int, outputs: int) -> Slot:
    return Slot(name, ((inputs, outputs), (outputs,)))

"""Options of both trainings, and their defaults."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

from dancenet.model.config import DancerConfig
from dancenet.nets.training.loop.options import Schedule, TrainOptions
from dancenet.nets.training.windows import BatchOptions
from dancenet.support.errors import UserError

FEW_SECONDS = 120.0  # recordings, mirrored ones included; below it a small network trains better
MOST_HALFWAY = 1 / 3  # of a batch: each brings the two frames that it lies between
_PATIENCE = 12  # epochs, if the best ones are kept


class Defaults(NamedTuple):
    """The defaults of a dancer that depend on the dataset."""

    correction_rate: float
    encoder_noise: float
    epochs: int
    keep: str
    units: int | None = None  # None for the network's own
    num_mixtures: int | None = None
    context: tuple[float, ...] = ()


LATENTS = Defaults(correction_rate=0.03, encoder_noise=1.0, epochs=60, keep="best")
# A dancer that trains longer on joints follows the style less.
JOINTS = Defaults(correction_rate=0.015, encoder_noise=0.1, epochs=8, keep="last")
FEW_JOINTS = Defaults(
    correction_rate=0.05, encoder_noise=1.0, epochs=60, keep="last", units=256, num_mixtures=3
)


VAE_SCHEDULE = Schedule(epochs=40, learning_rate=2e-3, clip_norm=300.0)


@dataclass(frozen=True)
class VaeOptions:
    """Options of the VAE's training; see `TrainOptions` for the loop."""

    network: str = "lean"  # "lean" or "dancenet"
    batch_size: int = 32  # frames
    frames_per_epoch: int = 40_000  # largest number
    beta: float = 0.5  # weight of the KL divergence after its warm-up
    beta_steps: int = 2000  # length of the warm-up from 0; at most a tenth of the training
    free_bits: float = 0.0  # nats per dimension
    edge_weight: float = 0.0  # extra weight of the pixels beside the outline
    # Whether figures are moved to the middle first; None for "lean" only. See `codecs.place`.
    centred: bool | None = None
    # Share of each batch that are frames halfway between two others, to be drawn from the mean of
    # their latents, too; see `VaeTrainer`.
    halfway: float = 0.25
    logit_gain: float = 3.0  # applied after training, as the bias; see `vae.sharpen`
    logit_bias: float = 0.5  # in logits
    augment: float = 1.0  # strength of `data.frames.augment`, 0 for the frames as they are
    rehearse: float = 0.5  # share of each batch from the model to start from; see `rehearsal`
    max_validation_frames: int = 1024  # spread evenly over the held-out frames
    sheet_epochs: int = 5  # between two contact sheets
    tensorboard: bool = False

    def __post_init__(self) -> None:
        _check_share(self.rehearse)
        if not 0 <= self.halfway <= MOST_HALFWAY:
            raise UserError(f"halfway must be from 0 to {MOST_HALFWAY:g}; received {self.halfway}.")


@dataclass(frozen=True)
class DancerOptions:
    """Options of the dancer's training; see `TrainOptions` for the loop.

    `network="dancenet"` with a `look_back` of 1 is the recipe of 2018: no state, and latents scaled
    to 0..1; with a longer one it learns sequences. The weights and their names are the same.
    """

    network: str = "lean"  # "lean" or "dancenet"
    head: str | None = None  # "mixture", or "mse" for a plain regression to compare with
    units: int | None = None  # in each LSTM layer; None for the network's own
    layers: int | None = None  # LSTM layers; None for the network's own
    num_mixtures: int | None = None  # K; None for the network's own
    velocity_inputs: int | None = None  # last steps as input beside the vector
    # Time constants of running means beside the vector, in seconds; None for the dataset's.
    context: tuple[float, ...] | None = None
    context_noise: float = 1.0  # largest shift of a window's running means, in model units
    sigma_floor: float | None = None  # in RMS steps ("lean"), or in units of the scaled data
    look_back: int = 64  # vectors seen before a prediction
    stride: int = 16  # vectors between two windows
    batch_size: int = 64  # windows
    perturbation: float = 0.4  # largest deviation, in model units; see `WindowData.draw`
    correction_rate: float | None = None  # share of it undone in a step; None for the dataset's
    encoder_noise: float | None = None  # times the encoder's deviation; None for the dataset's
    noise_correlation: float = 0.98  # correlation from one vector to the next
    smoothing: float = 1.5  # low-pass of latents over time, in frames
    jerk: float = 0.0  # weight of `path_jerk` of the predicted path
    tensorboard: bool = False
    neighbour_correction: float = 0.0  # strength; see `sequence.neighbour_correction`
    # Of joints: share of the windows in which the model to start from dances; see `rehearsal`.
    rehearse: float = 0.0

    def __post_init__(self) -> None:
        _check_share(self.rehearse)
        if self.context is not None:  # a list, from the command line
            object.__setattr__(self, "context", tuple(self.context))

    def config(self, dim: int) -> DancerConfig:
        """Returns the network of these options, for vectors of `dim` dimensions."""
        if self.network == "dancenet":
            config = DancerConfig(
                network="dancenet",
                dim=dim,
                units=512,
                layers=3,
                num_mixtures=24,
                dense_units=1000,
                dropout=0.4,
                predict="absolute",
                recurrent_activation="hard_sigmoid_2018",
                # The range of a scaled latent is about ten standard deviations.
                sigma_floor=0.001 if self.look_back == 1 else 0.01,
                look_back=self.look_back,
                smoothing=self.smoothing,
            )
        else:
            config = DancerConfig(
                network=self.network,
                dim=dim,
                look_back=self.look_back,
                smoothing=self.smoothing,
                velocity_inputs=min(2, self.look_back - 1),
            )
        if self.head == "mse":
            config = dataclasses.replace(config, head="mse", num_mixtures=1)
            if self.network == "lean":
                # Plain, like the LSTM-3LR of Fragkiadaki et al. 2015, arXiv:1508.00271.
                config = dataclasses.replace(config, layers=3, dropout=0.2, velocity_inputs=0)
        return changed(config, **self.network_options())

    def network_options(self) -> dict[str, Any]:
        """Returns the options that replace a default of the network."""
        names = ("head", "units", "layers", "num_mixtures", "sigma_floor", "velocity_inputs")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def batch_options(self, context: tuple[float, ...] = ()) -> BatchOptions:
        """Returns the noise of training; `resolve` must have set it.

        Args:
            context: time constants of running means, in frames.

        Raises:
            ValueError: `correction_rate` or `encoder_noise` is None.
        """
        if self.correction_rate is None or self.encoder_noise is None:
            raise ValueError("resolve the options for a dataset first; received None.")
        return BatchOptions(
            self.look_back,
            perturbation=self.perturbation,
            correction_rate=self.correction_rate,
            encoder_noise=self.encoder_noise,
            noise_correlation=self.noise_correlation,
            context=context,
            context_noise=self.context_noise,
        )


def _check_share(rehearse: float) -> None:
    if not 0 <= rehearse < 1:
        raise UserError(f"rehearse must be at least 0 and below 1; received {rehearse}.")


def defaults_of_joints(seconds: float, start_from: bool) -> Defaults:
    """Returns the defaults for a dataset of recordings.

    Args:
        seconds: length of the dataset.
        start_from: whether the training starts from another dancer, whose size is fixed.
    """
    return FEW_JOINTS if seconds < FEW_SECONDS and not start_from else JOINTS


def resolve(
    options: DancerOptions, train_options: TrainOptions, defaults: Defaults
) -> tuple[DancerOptions, Schedule]:
    """Replaces None by the defaults.

    The plain regression and the network of 2018, which are there for comparison, keep their size.
    """
    keeps_size = options.head == "mse" or options.network != "lean"
    own_size = () if keeps_size else ("units", "num_mixtures", "context")
    names = ("correction_rate", "encoder_noise", *own_size)
    unset = {name: getattr(defaults, name) for name in names if getattr(options, name) is None}
    schedule = Schedule(
        epochs=defaults.epochs,
        keep=defaults.keep,
        patience=_PATIENCE if (train_options.keep or defaults.keep) == "best" else 0,
    )
    return dataclasses.replace(options, **unset), train_options.resolve(schedule)


def changed(config: DancerConfig, **changes: Any) -> DancerConfig:
    """Returns a changed configuration.

    Raises:
        UserError: the values do not fit together.
    """
    try:
        return dataclasses.replace(config, **changes)
    except ValueError as error:
        raise UserError(f"There is no such dancer: {error}") from error

"""The configuration of a model, as frozen records that read and write `config.json`."""

from __future__ import annotations

import dataclasses
import reprlib
from dataclasses import dataclass, field
from typing import Any

from dancenet.support import checked
from dancenet.support.checked import LONGEST_NAME, between
from dancenet.support.errors import UserError

FORMAT = 2
FORMATS = (1, FORMAT)
# Keys of format 1 and their names in format 2, where values of `predict` were renamed, too.
RENAMED = {
    "crispness": "logit_gain",
    "thickness": "logit_bias",
    "steps_seen": "velocity_inputs",
    "wander": "temperature_variation",
    "guard": "neighbour_correction",
    "settle": "refine",
}
_RENAMED_PREDICT = {"step": "delta", "place": "absolute"}
NETWORKS = ("lean", "dancenet")
HEADS = ("mixture", "mse")
SILHOUETTE, SKELETON = "silhouette", "skeleton"
ACTIVATIONS = ("sigmoid", "hard_sigmoid_2018")

# Bounds of what is built from a file: far above what trains, and far below what fills a memory.
MOST_UNITS = 8192  # of a layer, also of a latent and of a vector
MOST_PIXELS = 1 << 20  # of a frame
MOST_WEIGHTS = 200_000_000  # of a network, 800 MB
MOST_STYLES = 1000
MOST_CONTEXT = 16  # running means


@dataclass(frozen=True)
class Space:
    """What all models of one space have in common."""

    dances: str  # the way they dance, for messages
    has_latents: bool  # whether their vectors are latents of a VAE of their own


SPACES = {
    SILHOUETTE: Space("in silhouettes", has_latents=True),
    SKELETON: Space("with joints", has_latents=False),
}


@dataclass(frozen=True)
class VaeConfig:
    """The picture network: frames (H, W) to a latent and back."""

    network: str = "lean"  # "lean" or "dancenet" (the 2018 network)
    height: int = 120  # pixels
    width: int = 208  # pixels
    latent_dim: int = 128  # L
    # The decoder's logits are logit_gain * (learnt logits - logit_bias).
    logit_gain: float = 1.0
    logit_bias: float = 0.0
    # Whether figures are moved to the middle of their frame before they are encoded, and their
    # place is one more number of the latent.
    centred: bool = False

    def __post_init__(self) -> None:
        _check_network(self.network)
        between("height", self.height, 1, MOST_PIXELS)
        between("width", self.width, 1, MOST_PIXELS)
        between("height * width", self.height * self.width, 1, MOST_PIXELS)
        between("latent_dim", self.latent_dim, 1, MOST_UNITS)
        between("logit_gain", self.logit_gain, 0, 1000, above=True)
        between("logit_bias", self.logit_bias, -1000, 1000)
        between("the number of weights", self.num_weights, 0, MOST_WEIGHTS)

    @property
    def num_latents(self) -> int:
        """Numbers that describe a frame: the latent, and the place of a centred figure."""
        return self.latent_dim + self.centred

    def with_latents(self, count: int) -> VaeConfig:
        """Returns the network that describes a frame by `count` numbers."""
        return dataclasses.replace(self, latent_dim=max(1, count - self.centred))

    @property
    def num_weights(self) -> int:
        """About how many numbers the network has."""
        area = (self.height // 8) * (self.width // 8)
        return area * (32 * self.latent_dim + 4096)


@dataclass(frozen=True)
class DancerConfig:
    """The motion network: a vector (D,) and a state to a mixture for the next vector."""

    network: str = "lean"  # "lean" or "dancenet" (the 2018 network)
    dim: int = 128  # D, length of a vector in model units
    units: int = 512  # units of each LSTM layer
    layers: int = 1  # number of LSTM layers
    num_mixtures: int = 5  # K
    dense_units: int = 0  # units of the relu layer before the mixture head; 0 for no such layer
    dropout: float = 0.0  # after each LSTM layer, in training only
    velocity_inputs: int = 0  # number of last steps given as inputs beside the vector
    # Time constants, in frames, of running means of the trajectory that are inputs beside the
    # vector: what the dance was doing in the last seconds. See `sequence.context`.
    context: tuple[float, ...] = ()
    predict: str = "delta"  # "delta" (difference to the next vector) or "absolute" (next vector)
    recurrent_activation: str = "sigmoid"  # or "hard_sigmoid_2018": clip(0.2 x + 0.5, 0, 1)
    sigma_floor: float = 0.05  # added to sigma, in units of the predicted quantity's scale
    look_back: int = 64  # vectors of context in training; 1 trains no state
    smoothing: float = 0.0  # frames; low-pass of training trajectories, see `codecs.base.smooth`
    # Calibrated sampling temperature: generated energy is about 0.9 of real. The user's
    # `temperature` multiplies it.
    temperature: float = 1.0
    # Standard deviation of the logarithm of the temperature over time, which varies the pace; see
    # `sequence.temperature_variation`.
    temperature_variation: float = 0.0
    # Default share of the way back to the nearest real motion, in [0, 1]; the temperature was
    # calibrated with it. See `sequence.neighbour_correction`.
    neighbour_correction: float = 0.0
    styles: tuple[str, ...] = ()  # names of the S styles, whose weights are inputs of every step
    # "mixture", trained on the likelihood, or "mse", trained on the mean squared error: one
    # Gaussian whose sigma is the root mean squared error for every input.
    head: str = "mixture"

    def __post_init__(self) -> None:
        _check_network(self.network)
        if self.head not in HEADS:
            raise ValueError(f"head must be one of {', '.join(HEADS)}; received {self.head!r}.")
        if self.head == "mse" and self.num_mixtures != 1:
            raise ValueError(
                f"a dancer with the head 'mse' has one Gaussian; received {self.num_mixtures}."
            )
        between("the number of styles", len(self.styles), 0, MOST_STYLES)
        if not all(name.strip() and len(name) <= LONGEST_NAME for name in self.styles):
            raise ValueError(
                f"every style needs a name of at most {LONGEST_NAME} letters; received "
                f"{list(self.styles)}."
            )
        if len(set(self.styles)) != len(self.styles):
            raise ValueError(f"styles must differ; received {', '.join(self.styles)}.")
        if self.predict not in ("delta", "absolute"):
            raise ValueError(f"predict must be 'delta' or 'absolute'; received {self.predict!r}.")
        if self.recurrent_activation not in ACTIVATIONS:
            raise ValueError(
                f"recurrent_activation must be one of {', '.join(ACTIVATIONS)}; received "
                f"{self.recurrent_activation!r}."
            )
        between("dim", self.dim, 1, MOST_UNITS)
        between("units", self.units, 1, MOST_UNITS)
        between("layers", self.layers, 1, 64)
        between("num_mixtures", self.num_mixtures, 1, 1000)
        between("dense_units", self.dense_units, 0, MOST_UNITS)
        between("dropout", self.dropout, 0, 1)
        between("velocity_inputs", self.velocity_inputs, 0, 64)
        between("the number of time constants in context", len(self.context), 0, MOST_CONTEXT)
        for frames in self.context:
            between("a time constant in context", frames, 1, 100_000)
        between("sigma_floor", self.sigma_floor, 0, 100)
        between("look_back", self.look_back, 1, 100_000)
        between("smoothing", self.smoothing, 0, 1000)
        between("temperature", self.temperature, 0, 1000, above=True)
        between("temperature_variation", self.temperature_variation, 0, 10)
        between("neighbour_correction", self.neighbour_correction, 0, 1)
        between("the number of weights", self.num_weights, 1, MOST_WEIGHTS)
        if self.context and not self.keeps_state:
            raise ValueError("a network without a state (look_back=1) can have no context.")
        if self.velocity_inputs >= self.look_back:
            raise ValueError(
                f"velocity_inputs must be below look_back ({self.look_back}); received "
                f"{self.velocity_inputs}."
            )

    @property
    def num_weights(self) -> int:
        """About how many numbers the network has."""
        inputs = self.dim * (1 + self.velocity_inputs + len(self.context)) + len(self.styles)
        recurrent = 4 * self.units * (inputs + (2 * self.layers - 1) * self.units)
        last = self.dense_units or self.units
        head = self.num_mixtures * (2 * self.dim + 1)
        return recurrent + self.units * self.dense_units + last * head

    @property
    def keeps_state(self) -> bool:
        """True if generation carries the state from step to step.

        Training on single vectors, as in 2018, only shows the network a zero state and never
        changes the recurrent kernels, so such a network must generate without a state, too.
        """
        return self.look_back > 1

    @property
    def state_widths(self) -> dict[str, int]:
        """Name and width of each entry (B, width) of a state, in order.

        h0, c0, h1, c1, …, then last1, last2, …, then mean1, mean2, …, then `style`. A stateless
        network (`look_back=1`) has only the `style` entry, if it has styles.
        """
        widths: dict[str, int] = {}
        if self.keeps_state:
            for index in range(self.layers):
                widths |= {f"h{index}": self.units, f"c{index}": self.units}
            widths |= {f"last{back + 1}": self.dim for back in range(self.velocity_inputs)}
            widths |= {f"mean{index + 1}": self.dim for index in range(len(self.context))}
        return widths | ({"style": len(self.styles)} if self.styles else {})


@dataclass(frozen=True)
class ModelConfig:
    """The content of `config.json`: one model of one space."""

    name: str
    fps: float = 30.0  # frames per second of the training clips
    space: str = SILHOUETTE  # one of SPACES
    vae: VaeConfig | None = None
    dancer: DancerConfig | None = None
    training: dict[str, Any] = field(default_factory=dict)  # a record of the training, for people

    def __post_init__(self) -> None:
        between("the length of name", len(self.name), 1, 4 * LONGEST_NAME)
        checked.check_rate(self.fps)
        if self.space not in SPACES:
            raise ValueError(f"space must be one of {', '.join(SPACES)}; received {self.space!r}.")

    @property
    def facts(self) -> Space:
        """What the model shares with all models of its space."""
        return SPACES[self.space]

    def to_json(self) -> dict[str, Any]:
        """Returns the record as a JSON object that `from_json` reads back."""
        content = {"format": FORMAT, **dataclasses.asdict(self)}
        if self.dancer is not None:
            for name in ("styles", "context"):
                content["dancer"][name] = list(content["dancer"][name])
        return content

    @classmethod
    def from_json(cls, content: Any, source: str = "config.json") -> ModelConfig:
        """Reads what `to_json` wrote.

        Raises:
            UserError: a key is unknown or missing, a value has the wrong type, or the format is
                not supported; the message names it and `source`.
        """
        received = content.get("format") if isinstance(content, dict) else type(content)
        if not isinstance(content, dict) or type(received) is not int or received not in FORMATS:
            raise UserError(
                f"{source} has format {reprlib.repr(received)}; this version of dancenet reads 1 "
                f"to {FORMAT}."
            )
        if content["format"] == 1:
            content = _upgraded(content)
        fields = {key: value for key, value in content.items() if key != "format"}
        return checked.build(cls, fields, source)


def renamed(content: dict[str, Any]) -> dict[str, Any]:
    """Returns a JSON object of format 1 with the keys of format 2."""
    return {RENAMED.get(key, key): value for key, value in content.items()}


def _upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """Returns a configuration of format 1 as one of format 2; errors are left for `build`."""
    content = dict(content)
    for part in ("vae", "dancer"):
        if isinstance(content.get(part), dict):
            content[part] = renamed(content[part])
    dancer = content.get("dancer")
    if isinstance(dancer, dict) and "predict" in dancer:
        for old, new in _RENAMED_PREDICT.items():
            if dancer["predict"] == old:
                dancer["predict"] = new
                break
    return content


def _check_network(network: str) -> None:
    if network not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}; received {network!r}.")

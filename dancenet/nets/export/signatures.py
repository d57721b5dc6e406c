"""Writes `signatures.md`: the meaning of the inputs and outputs of exported functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.model.config import ModelConfig
from dancenet.sequence.style import style_text

FILE = "signatures.md"

# In the order of the tables.
_MEANINGS = {
    "seed_clip": "number of the model's seed clip to continue; -1 draws one",
    "number": "number of the model's seed clip, from 0",
    "frames": "background probability of every pixel, 0 dancer to 1 background; rows from the top",
    "latents": "vector of the picture network, in its own units",
    "z_mean": "latents: the mean of the encoder's distribution for a frame",
    "z_log_var": "natural logarithm of the variance around `z_mean`",
    "vectors": "poses in model units: latents on their principal axes, each scaled to about 1",
    "joints": "position of each joint, metres: x, y up from the floor, and z if there is depth",
    "placement": "placement of the dancer before the first vector: radians about the vertical, 0 "
    "faces +z and grows towards +x; x and z in metres. Zeros are the middle of the stage",
    "next_placement": "the placement to give to the next part",
    "pi_logits": "logarithms of the components' weights, not normalised",
    "mu": "mean of the next vector by each component, model units",
    "sigma": "standard deviation of the next vector by each component, model units, > 0",
    "num_frames": "number of frames to generate, 1 or more",
    "temperature": "0 always takes the likeliest component, 1 has nearly the energy of real motion",
    "seed": "the same whole number gives the same dance",
    "refine": "number of times each picture is encoded and decoded again, 0 or more; 2 mends limbs",
    "style": "weights of the styles, with sum 1, or zeros for any; the same in every step",
}
_STATE = "state of the dancer: zeros before the first vector, then `next_…` of the step before"
_NEXT = "the state to give to the next step"
DOINGS = {
    "encode": "Frames to latents.",
    "decode": "Poses to frames.",
    "step": "One pose to a mixture of Gaussians for the next. Draw a component k from "
    "softmax(pi_logits / temperature), then the vector mu[k] + sqrt(temperature) sigma[k] "
    "n with n standard normal, and give it to the next step. Begin with a seed clip of real "
    "motion, one vector after the other.",
    "to_latents": "Poses in model units to latents.",
    "to_model": "Latents to poses in model units.",
    "seed_clip": "The model's seed clips: real motion to start from.",
    "generate": "A new dance that continues one of the model's seed clips.",
    "generate_from": "New dances, each continuing a seed clip in `vectors`.",
}
# These replace the texts above for a dancer of joints.
_JOINTS = {
    "decode": "Poses in model units to joints. A long dance can be decoded in parts: give each the "
    "`next_placement` of the part before. Bones and feet are not corrected: lengths jitter and "
    "standing feet slide a little.",
    "vectors": "poses in model units: turn and move since the frame before, and the position of "
    "every joint, each scaled to about 1",
}


@dataclass(frozen=True)
class Value:
    """An input or output."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]  # None or -1 is any number


@dataclass(frozen=True)
class Section:
    """One function."""

    signature: str
    file: str
    inputs: Sequence[Value]
    outputs: Sequence[Value]


def describe(
    title: str, config: ModelConfig, sections: Sequence[Section], codec: SkeletonCodec | None = None
) -> str:
    """Returns a page of Markdown about the functions of an exported model.

    Args:
        title: the format.
        config: the model's configuration.
        sections: the functions in order.
        codec: the codec of a dancer of joints.
    """
    changed = {} if codec is None else _JOINTS
    doings, meanings = DOINGS | changed, _MEANINGS | changed
    lines = [
        f"# {config.name} for {title}",
        "",
        f"{config.fps:g} frames per second of dance. `?` in a shape is any number.",
    ]
    if config.dancer is not None:
        lines[-1] += (
            " The mixture of `step` has nearly the energy of real motion at a temperature of "
            f"{config.dancer.temperature:g}."
        )
        if config.dancer.styles:
            styles = ", ".join(map(style_text, config.dancer.styles))
            lines[-1] += f" The styles are, in order: {styles}."
    if codec is not None:
        joints = ", ".join(
            f"{number} {name} ({parent})"
            for number, (name, parent) in enumerate(zip(codec.names, codec.parents))
        )
        lines += ["", f"The joints, each with the number of its parent, -1 for none: {joints}."]
    for section in sections:
        lines += [
            "",
            f"## `{section.signature}`" + (f" in {section.file}" if section.file else ""),
            "",
            doings[section.signature],
            "",
            "| | name | type | meaning |",
            "|---|---|---|---|",
        ]
        for way, values in (("in", section.inputs), ("out", section.outputs)):
            for value in sorted(values, key=_order):
                sizes = ", ".join("?" if size in (None, -1) else str(size) for size in value.shape)
                meaning = _meaning(value.name, meanings)
                lines.append(f"| {way} | `{value.name}` | {value.dtype} ({sizes}) | {meaning} |")
    return "\n".join(lines) + "\n"


def _order(value: Value) -> tuple[int, str]:
    """Returns a sort key; the file formats do not keep the order."""
    names = list(_MEANINGS)
    return (names.index(value.name) if value.name in names else len(names), value.name)


def _meaning(name: str, meanings: Mapping[str, str]) -> str:
    if name.startswith("next_") and name not in meanings:
        return _NEXT
    return _STATE if re.fullmatch(r"(h|c|last|mean)\d+", name) else meanings[name]

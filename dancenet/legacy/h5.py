"""Reads the weight files that the 2018 DanceNet wrote, with h5py alone.

Keras 2 wrote HDF5 in two layouts: the weights at the root (`save_weights`), or under
`model_weights` beside the optimiser's (`save`). In both, `layer_names` lists the groups and each
group's `weight_names` its arrays; HDF5 itself sorts by name. The rest of a full model, which
includes marshalled code, is never read.

Names depend on what else the program had built and on the Keras that saved, so a layer is found by
its position and its shapes. If two layers have the same shapes (the encoder's two heads, the second
and third LSTM, the mixture's means and sigmas), the lower number in the name comes first: layers
are numbered as they are built, and tf_keras may list them in another order.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from dancenet.legacy.networks import (
    DANCER_2018,
    VAE_2018,
    Shape,
    Slot,
    dancer_slots,
    decoder_slots,
    encoder_slots,
)
from dancenet.model.config import DancerConfig, VaeConfig
from dancenet.support import checked, files
from dancenet.support.arrays import described
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, shortened

_LARGEST_LATENTS = 1 << 30  # bytes; 19 hours at 30 frames a second
_MIXTURE_PARTS = ("mdn_mus", "mdn_sigmas", "mdn_pi")  # names in later keras-mdn-layer
_ROLES = ("kernel", "recurrent_kernel", "bias")


class _Array(NamedTuple):
    name: str  # as the file lists it
    data: h5py.Dataset


@dataclass(frozen=True)
class _Layer:
    """Arrays of a file that belong together."""

    arrays: tuple[_Array, ...]

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return tuple(array.data.shape for array in self.arrays)

    def __str__(self) -> str:
        return " and ".join(f"{array.name} {_text(array.data.shape)}" for array in self.arrays)


class VaeArrays(NamedTuple):
    """The weights of encoder and decoder: one list of arrays for each layer, by our names."""

    encoder: dict[str, list[np.ndarray]]
    decoder: dict[str, list[np.ndarray]]


def read_vae(path: str | Path, config: VaeConfig = VAE_2018) -> VaeArrays:
    """Reads the weights of a VAE.

    If there are groups `encoder` and `decoder`, only they are read: after `add_loss`, tf_keras
    lists the encoder's layers again, in another order. Otherwise the two groups with several
    layers are read, or all layers in one list, encoder first.

    Args:
        path: a file written by Keras 2 or tf_keras.
        config: the network that it must hold.

    Raises:
        UserError: the file cannot be read or holds another network; the message says what was
            expected and found.
    """
    with _Reader(path, "VAE") as reader:
        encoder, decoder = _vae_layers(reader, config)
        return VaeArrays(_values(encoder, reader), _values(decoder, reader))


def read_dancer(
    path: str | Path, config: DancerConfig = DANCER_2018
) -> dict[str, list[np.ndarray]]:
    """Reads the weights of a dancer: a list of arrays for each layer, by our names.

    Raises:
        UserError: as `read_vae`.
    """
    with _Reader(path, "dancer") as reader:
        return _values(_dancer_layers(reader, config), reader)


def tell_kind(
    path: str | Path, vae: VaeConfig = VAE_2018, dancer: DancerConfig = DANCER_2018
) -> str | None:
    """Tells by its shapes what a file holds: "vae", "dancer", or None for anything else."""
    try:
        with _Reader(path, "VAE") as reader:
            _vae_layers(reader, vae)
        return "vae"
    except UserError:
        pass
    try:
        with _Reader(path, "dancer") as reader:
            _dancer_layers(reader, dancer)
        return "dancer"
    except UserError:
        return None


def read_latents(path: str | Path, latent_dim: int = VAE_2018.latent_dim) -> np.ndarray:
    """Reads `lv.npy`, the latents (T, L) or (T, 1, L) that a 2018 dancer was trained on.

    Returns:
        (T, L) float32.

    Raises:
        UserError: it is missing, not a plain array, or has another shape.
    """
    array = checked.read_npy(path, "file of latents (lv.npy)", largest=_LARGEST_LATENTS)
    expected = f"expected (frames, {latent_dim}) or (frames, 1, {latent_dim}) of floats"
    if array.ndim == 3 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 2 or array.shape[1] != latent_dim or array.dtype.kind != "f":
        raise UserError(
            f"{quoted(path)} does not hold latents of this VAE: {expected}, found "
            f"{described(array)}."
        )
    if len(array) < 2:
        raise UserError(f"{quoted(path)} has {len(array)} frames; two or more are needed.")
    if not np.isfinite(array).all():
        raise UserError(f"{quoted(path)} holds NaN or infinity.")
    return array.astype(np.float32)


class _Reader:
    """An open weight file, its groups in the order of `layer_names`; failures are UserErrors."""

    def __init__(self, path: str | Path, what: str) -> None:
        self.path = path
        self.what = what
        self.groups: dict[str, list[_Layer]] = {}  # groups with weights only

    def __enter__(self) -> _Reader:
        try:
            files.open_regular(self.path, "weight file").close()
            self._file = h5py.File(self.path, "r")
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"{quoted(self.path)} cannot be read as HDF5, the format of Keras's weight files: "
                "it was cut, or is another kind of file."
            ) from error
        try:
            self._read_groups()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        self._file.close()
        # Raised by h5py for damaged structures and truncated data.
        damage = (OSError, RuntimeError, KeyError, TypeError, AttributeError, ValueError)
        if isinstance(error, damage) and not isinstance(error, UserError):
            raise UserError(
                f"{quoted(self.path)} is a damaged HDF5 file: {shortened(error)}."
            ) from error

    def refuse(self, expected: str, found: str) -> UserError:
        return UserError(
            f"{quoted(self.path)} does not hold the weights of the 2018 {self.what}: expected "
            f"{expected}; found {shortened(found)}."
        )

    def _read_groups(self) -> None:
        root: Any = self._file.get("model_weights", self._file)
        listed = _names(root, "layer_names")
        if listed is None:
            raise self.refuse(
                "a file of Keras 2, whose attribute layer_names lists its layers",
                f"no such attribute beside {', '.join(root) or 'nothing'}",
            )
        for name in listed:
            group = self._inside(root, name, h5py.Group)
            weight_names = _names(group, "weight_names") or []
            arrays = [
                _Array(weight, self._inside(group, weight, h5py.Dataset)) for weight in weight_names
            ]
            if arrays:
                self.groups[name] = _layers(name, arrays)

    def _inside(self, group: Any, name: str, kind: Any) -> Any:
        found: Any = group.get(name)
        if not isinstance(found, kind):
            raise self.refuse(
                f"{'an array' if kind is h5py.Dataset else 'a group'} {name!r}, which is listed",
                "none",
            )
        outside = found.file.filename != self._file.filename
        if kind is h5py.Dataset:
            outside = outside or found.is_virtual or found.external is not None
        if outside:
            raise self.refuse(f"the data of {name!r} in the file itself", "a link to another file")
        return found


def _names(group: Any, attribute: str) -> list[str] | None:
    """Reads a list of names: bytes or text; Keras cuts a long list into pieces."""
    if attribute in group.attrs:
        pieces = [group.attrs[attribute]]
    else:
        pieces = []
        while f"{attribute}{len(pieces)}" in group.attrs:
            pieces.append(group.attrs[f"{attribute}{len(pieces)}"])
        if not pieces:
            return None
    # An empty list is stored as floats of shape (0,).
    return [
        name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
        for piece in pieces
        for name in np.ravel(piece).tolist()
    ]


def _layers(group: str, arrays: Sequence[_Array]) -> list[_Layer]:
    """Splits the arrays of a group into layers, in the order of their first arrays.

    Arrays of one layer share path and number: in the mixture layer of 2018, `kernel_1` and
    `bias_1` are one layer.
    """
    found: defaultdict[tuple[str, int], list[_Array]] = defaultdict(list)
    for array in arrays:
        path, _, last = array.name.rpartition("/")
        found[path or group, _number(last)[1]].append(array)
    return [_Layer(tuple(_by_role(layer))) for layer in found.values()]


def _by_role(arrays: list[_Array]) -> list[_Array]:
    """Orders kernel, recurrent kernel and bias, if the names tell them apart."""
    roles = [_number(array.name.rpartition("/")[2])[0] for array in arrays]
    if len(set(roles)) < len(roles) or not set(roles) <= set(_ROLES):
        return arrays
    return [
        array
        for _, array in sorted(zip(map(_ROLES.index, roles), arrays), key=lambda pair: pair[0])
    ]


def _number(component: str) -> tuple[str, int]:
    """Splits `dense_2` or `kernel_1:0` into the word and the number, 0 if there is none."""
    match = re.fullmatch(r"(.*?)(?:_(\d+))?(?::\d+)?", component, re.DOTALL)
    assert match is not None
    return match[1], int(match[2] or 0)


def _by_number(layers: Sequence[_Layer]) -> list[_Layer]:
    """Sorts layers with the same shapes by their numbers; the others keep their positions."""
    ordered = list(layers)
    for shapes, count in Counter(layer.shapes for layer in layers).items():
        positions = [index for index, layer in enumerate(layers) if layer.shapes == shapes]
        keys = [_key(layers[index]) for index in positions]
        # Numbers after different words have no common order.
        if count > 1 and len({words for words, _ in keys}) == 1:
            ranked = sorted(zip(keys, positions))
            for position, (_, source) in zip(positions, ranked):
                ordered[position] = layers[source]
    return ordered


def _key(layer: _Layer) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Returns the words and the numbers in a layer's path."""
    components = [_number(component) for component in layer.arrays[0].name.split("/")]
    words = tuple(word for word, _ in components)
    numbers = tuple(number for _, number in components)
    for part, name in enumerate(_MIXTURE_PARTS):
        if name in words:
            return (), (part,)
    return words, numbers


def _vae_layers(reader: _Reader, config: VaeConfig) -> tuple[dict[str, _Layer], dict[str, _Layer]]:
    slots = encoder_slots(config), decoder_slots(config)
    groups = reader.groups
    if {"encoder", "decoder"} <= set(groups):
        parts = [groups["encoder"], groups["decoder"]]
    else:
        parts = [layers for layers in groups.values() if len(layers) > 1]
        row = [layer for layers in groups.values() for layer in layers]
        if len(parts) != 2 and len(row) == sum(map(len, slots)):
            parts = [row[: len(slots[0])], row[len(slots[0]) :]]
    if len(parts) != 2:
        raise reader.refuse(
            "the groups encoder and decoder, 6 layers and 12 arrays each",
            _summary(groups) + _other_file(groups),
        )
    encoder, decoder = (
        _match(part, expected, f"the {name}", reader)
        for part, expected, name in zip(parts, slots, ("encoder", "decoder"))
    )
    return encoder, decoder


def _dancer_layers(reader: _Reader, config: DancerConfig) -> dict[str, _Layer]:
    row = [layer for layers in reader.groups.values() for layer in layers]
    slots = dancer_slots(config)
    if len(row) != len(slots):
        raise reader.refuse(
            f"{config.layers} LSTM layers, a dense one and a mixture layer, "
            f"{sum(len(slot.shapes) for slot in slots)} arrays in all",
            _summary(reader.groups) + _other_file(reader.groups),
        )
    return _match(row, slots, "the dancer", reader)


def _match(
    layers: Sequence[_Layer], slots: Sequence[Slot], where: str, reader: _Reader
) -> dict[str, _Layer]:
    if len(layers) != len(slots):
        raise reader.refuse(
            f"{len(slots)} layers in {where}",
            f"{len(layers)}: {'; '.join(map(str, layers)) or 'none'}",
        )
    matched = {}
    for number, (slot, layer) in enumerate(zip(slots, _by_number(layers)), start=1):
        if layer.shapes != slot.shapes:
            raise reader.refuse(
                f"arrays of {' and '.join(map(_text, slot.shapes))} as layer {number} of {where}",
                str(layer),
            )
        matched[slot.name] = layer
    return matched


def _values(layers: dict[str, _Layer], reader: _Reader) -> dict[str, list[np.ndarray]]:
    found = {}
    for name, layer in layers.items():
        values = []
        for array in layer.arrays:
            if array.data.dtype.kind != "f":
                raise reader.refuse(f"floats in {array.name}", str(array.data.dtype))
            value = np.asarray(array.data[()], np.float32)
            if not np.isfinite(value).all():
                raise reader.refuse(f"finite numbers in {array.name}", "NaN or infinity")
            values.append(value)
        found[name] = values
    return found


def _summary(groups: dict[str, list[_Layer]]) -> str:
    if not groups:
        return "no weights"
    return ", ".join(
        f"{name} with {sum(len(layer.arrays) for layer in layers)} arrays"
        for name, layers in groups.items()
    )


def _other_file(groups: dict[str, list[_Layer]]) -> str:
    """Returns a hint if the two files seem to be swapped."""
    arrays = sum(len(layer.arrays) for layers in groups.values() for layer in layers)
    if arrays in (17, 24):
        return f" (a {'dancer' if arrays == 17 else 'VAE'}? The VAE's file is named first)"
    return ""


def _text(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})"

"""Files of a small network in the layouts of Keras 2 and tf_keras; and the genuine files."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from dancenet.legacy import h5, networks
from dancenet.model.config import VaeConfig
from dancenet.model.folder import ModelFolder
from dancenet.support import files

VAE = dataclasses.replace(networks.VAE_2018, height=16, width=24, latent_dim=4)
DANCER = dataclasses.replace(
    networks.DANCER_2018, dim=4, units=6, layers=3, num_mixtures=3, dense_units=10
)
ROWS = 30

_REAL = Path(__file__).resolve().parents[3] / "shared" / "legacy"

# Group, and the names and arrays inside it.
Group = tuple[str, list[tuple[str, np.ndarray]]]


def real(name: str) -> Path:
    """Returns a genuine file of 2018, or skips the test where there is none."""
    if not (_REAL / name).is_file():
        pytest.skip(f"the genuine files of 2018 are not here ({name})")
    return _REAL / name


def arrays_of(slots: Sequence[networks.Slot], seed: int = 0) -> dict[str, list[np.ndarray]]:
    """Draws the weights of layers, small enough not to saturate."""
    rng = np.random.default_rng(seed)

    def draw(shape: networks.Shape) -> np.ndarray:
        deviation = np.prod(shape[:-1]) ** -0.5 if len(shape) > 1 else 0.1
        return rng.normal(0, deviation, shape).astype(np.float32)

    return {slot.name: [draw(shape) for shape in slot.shapes] for slot in slots}


def encoder_arrays() -> dict[str, list[np.ndarray]]:
    return arrays_of(networks.encoder_slots(VAE), 1)


def decoder_arrays() -> dict[str, list[np.ndarray]]:
    return arrays_of(networks.decoder_slots(VAE), 2)


def dancer_arrays() -> dict[str, list[np.ndarray]]:
    return arrays_of(networks.dancer_slots(DANCER), 3)


def dense(name: str, values: list[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """Names the arrays of a layer with a kernel and a bias."""
    return [(f"{name}/kernel:0", values[0]), (f"{name}/bias:0", values[1])]


def lstm(name: str, values: list[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    roles = ("kernel:0", "recurrent_kernel:0", "bias:0")
    return [(f"{name}/{role}", value) for role, value in zip(roles, values)]


def numbered(word: str, number: int) -> str:
    """Returns a layer's name; number 0 is left out."""
    return f"{word}_{number}" if number else word


def vae_groups(first: int = 1, dense_first: int | None = None) -> list[Group]:
    """Returns encoder and decoder as Keras lists them, counting layers from `first`."""
    encoder, decoder = list(encoder_arrays().values()), list(decoder_arrays().values())
    denses = first if dense_first is None else dense_first
    in_encoder, in_decoder = [], []
    for index, values in enumerate(encoder[:3]):
        in_encoder += dense(numbered("conv2d", first + index), values)
    for index, values in enumerate(encoder[3:]):
        in_encoder += dense(numbered("dense", denses + index), values)
    for index, values in enumerate(decoder[:2]):
        in_decoder += dense(numbered("dense", denses + 3 + index), values)
    for index, values in enumerate(decoder[2:]):
        in_decoder += dense(numbered("conv2d", first + 3 + index), values)
    return [("input_1", []), ("encoder", in_encoder), ("decoder", in_decoder)]


def doubly_listed() -> list[Group]:
    """Returns the groups that tf_keras saves after `add_loss`.

    The encoder's layers are at the top level, too, in the order of the graph's depth, with
    pseudo-layers between them.
    """
    _, encoder, decoder = vae_groups(first=0)
    layers = {
        f"{name}": encoder[1][2 * i : 2 * i + 2]
        for i, name in enumerate(("conv2d", "conv2d_1", "conv2d_2", "dense", "dense_1", "dense_2"))
    }
    order = ("conv2d", "conv2d_1", "conv2d_2", "dense", "dense_2", "dense_1")
    top: list[Group] = [("input_1", []), encoder, decoder]
    top += [group for name in order for group in ((name, layers[name]), (f"tf.math.{name}", []))]
    return top


def dancer_groups(first: int = 1, dense_number: int = 6) -> list[Group]:
    """Returns the dancer as Keras 2.2 lists it."""
    values = dancer_arrays()
    mixture = [values["mdn_mus"], values["mdn_sigmas"], values["mdn_pi"]]
    mdn = numbered("mdn", first)
    in_mixture = [
        (f"{mdn}/{numbered(role, part)}:0", value)
        for part, pair in enumerate(mixture)
        for role, value in zip(("kernel", "bias"), pair)
    ]
    lstms = [
        (name, lstm(name, values[f"lstm_{index}"]))
        for index, name in enumerate(numbered("lstm", first + i) for i in range(3))
    ]
    name = numbered("dense", dense_number)
    return [
        ("input_2", []),
        ("reshape_2", []),
        lstms[0],
        ("dropout_1", []),
        lstms[1],
        ("dropout_2", []),
        lstms[2],
        ("dropout_3", []),
        (name, dense(name, values["dense"])),
        (mdn, in_mixture),
    ]


def tf_keras_dancer() -> list[Group]:
    """Returns the dancer as tf_keras lists it: cells inside the LSTMs, names for the parts."""
    groups = dancer_groups(first=0, dense_number=0)
    values = dancer_arrays()
    renamed: list[Group] = []
    for group, arrays in groups:
        if group.startswith("lstm"):
            arrays = [(name.replace("/", "/lstm_cell/"), value) for name, value in arrays]
        if group.startswith("mdn"):
            arrays = [
                pair
                for part in ("mdn_mus", "mdn_sigmas", "mdn_pi")
                for pair in dense(f"mdn/{part}", values[part])
            ]
        renamed.append((group, arrays))
    return renamed


def as_bytes(names: Sequence[str]) -> np.ndarray:
    return np.array([name.encode() for name in names]) if names else np.zeros(0)


def as_text(names: Sequence[str]) -> Any:
    return np.array(list(names), h5py.string_dtype()) if names else np.zeros(0)


def write(
    path: Path,
    groups: Sequence[Group],
    full: bool = False,
    encode: Callable[[Sequence[str]], Any] = as_bytes,
    chunks: int = 1,
) -> Path:
    """Writes a weight file.

    Args:
        path: the file.
        groups: in the order of `layer_names`.
        full: as `save` writes it, with the optimiser's slots and a configuration.
        encode: converts names to their stored form.
        chunks: number of pieces of `layer_names`; Keras cuts long lists.
    """
    with h5py.File(path, "w") as file:
        root = file
        if full:
            root = file.create_group("model_weights")
            file.attrs["model_config"] = '{"class_name": "Model"}'
            slots = file.create_group("optimizer_weights")
            slots.attrs["weight_names"] = as_bytes(["training/Adam/Variable:0"])
            slots["training/Adam/Variable:0"] = np.zeros((4, 24), np.float32)
        root.attrs["backend"] = "tensorflow"
        root.attrs["keras_version"] = "2.2.0"
        names = [name for name, _ in groups]
        if chunks == 1:
            root.attrs["layer_names"] = encode(names)
        else:
            for index, part in enumerate(np.array_split(names, chunks)):
                root.attrs[f"layer_names{index}"] = encode(part.tolist())
        for name, arrays in groups:
            group = root.create_group(name)
            group.attrs["weight_names"] = encode([weight for weight, _ in arrays])
            for weight, value in arrays:
                group[weight] = value
    return path


def write_latents(path: Path) -> Path:
    """Writes `lv.npy` in its shape of 2018, (T, 1, L)."""
    latents = np.random.default_rng(4).normal(size=(ROWS, 1, VAE.latent_dim))
    np.save(path, latents.astype(np.float32))
    return path


def write_all(folder: Path, full: bool = True) -> tuple[Path, Path, Path]:
    """Writes the three files of a small 2018 DanceNet."""
    return (
        write(folder / "vae_cnn.h5", vae_groups()),
        write(folder / "gendance.h5", dancer_groups(), full=full),
        write_latents(folder / "lv.npy"),
    )


def accept(patch: pytest.MonkeyPatch, vae_config: VaeConfig) -> None:
    """Makes the scripts accept files of a small network instead of those of 2018.

    Args:
        patch: undone after the test.
        vae_config: the network that `write_all` writes during the test.
    """
    from dancenet.legacy.import_model import import_model

    patch.setitem(globals(), "VAE", vae_config)
    patch.setattr(h5.read_vae, "__defaults__", (vae_config,))
    patch.setattr(h5.read_dancer, "__defaults__", (DANCER,))
    patch.setattr(h5.tell_kind, "__defaults__", (vae_config, DANCER))
    patch.setattr(h5.read_latents, "__defaults__", (vae_config.latent_dim,))
    defaults = import_model.__kwdefaults__
    patch.setitem(defaults, "vae_config", vae_config)
    patch.setitem(defaults, "dancer_config", DANCER)


def import_once(patch: pytest.MonkeyPatch, kept: Path) -> None:
    """Imports the same files for the same name only once; after that the model is copied.

    Args:
        patch: undone after the test; `accept` comes before.
        kept: a folder for the models that outlives the test.
    """
    from dancenet.legacy import import_model as module

    original = module.import_model

    def import_model(
        paths: Sequence[Path], folder: ModelFolder, name: str, **others: Any
    ) -> tuple[Any, Any]:
        key = repr([*map(files.sha256_of, paths), name, others])
        if key not in _IMPORTED:
            report = original(module.Files2018(*paths), folder, name, **others)
            _IMPORTED[key] = (kept / str(len(_IMPORTED)), report)
            shutil.copytree(folder.path, _IMPORTED[key][0])
            return report
        place, report = _IMPORTED[key]
        shutil.copytree(place, folder.path, dirs_exist_ok=True)
        return report

    patch.setattr(module, "import_model", import_model)


# By the hashes of the files, and the settings: the model, and what `import_model` returned.
_IMPORTED: dict[str, tuple[Path, Any]] = {}

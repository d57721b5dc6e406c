"""Writes 2018.npz: what small networks of 2018 compute, by plain NumPy in float64.

    python tests/goldens/make_2018.py

`tests/legacy/test_golden.py` writes the same drawn weights as Keras 2.2.0 wrote its files, imports
them, and compares. Nothing here comes from dancenet or Keras: the names, shapes and formulas are
those of the code of 2018 (model.py, mdn.py, dancegen.ipynb) and of Keras 2.2.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np

PATH = Path(__file__).with_name("2018.npz")
HEIGHT, WIDTH, LATENT_DIM = 16, 24, 4  # 120, 208, 128 in 2018; the convolutions keep their widths
UNITS, DENSE_UNITS, NUM_MIXTURES = 6, 10, 3  # 512, 1000, 24 in 2018
ROWS = 30  # of lv.npy
COUNT = 8  # frames and vectors in the golden file
ROLLOUT = 16  # vectors

_FLAT = HEIGHT // 8 * (WIDTH // 8) * 32
_PARAMS = NUM_MIXTURES * LATENT_DIM
_PICTURE = (HEIGHT // 8, WIDTH // 8, 32)
# Layers in the order of Keras's `layer_names`, with the shapes of kernels; biases have the last.
ENCODER = {
    "conv2d_1": (3, 3, 1, 128),
    "conv2d_2": (3, 3, 128, 64),
    "conv2d_3": (3, 3, 64, 32),
    "dense_1": (_FLAT, 128),
    "dense_2": (128, LATENT_DIM),  # z_mean
    "dense_3": (128, LATENT_DIM),  # z_log_var
}
DECODER = {
    "dense_4": (LATENT_DIM, _FLAT),
    "dense_5": (32, 128),
    "conv2d_4": (3, 3, 128, 32),
    "conv2d_5": (3, 3, 32, 64),
    "conv2d_6": (3, 3, 64, 128),
    "conv2d_7": (3, 3, 128, 1),
}
LSTMS = {"lstm_1": LATENT_DIM, "lstm_2": UNITS, "lstm_3": UNITS}  # lengths of their inputs
MIXTURE = {"": _PARAMS, "_1": _PARAMS, "_2": NUM_MIXTURES}  # means, sigmas, weights

Weights = dict[str, np.ndarray]  # by name in the file


def draw_weights() -> tuple[Weights, Weights, Weights]:
    """Returns the arrays of encoder, decoder and dancer, float32.

    `RandomState`, because NumPy promises that its numbers never change (NEP 19).
    """
    rng = np.random.RandomState(2018)

    def draw(*shape: int) -> np.ndarray:
        deviation = np.prod(shape[:-1]) ** -0.5 if len(shape) > 1 else 0.1
        return rng.normal(0, deviation, shape).astype(np.float32)

    def pairs(layers: Mapping[str, tuple[int, ...]]) -> Weights:
        arrays = {}
        for layer, shape in layers.items():
            arrays[f"{layer}/kernel:0"], arrays[f"{layer}/bias:0"] = draw(*shape), draw(shape[-1])
        return arrays

    encoder, decoder, dancer = pairs(ENCODER), pairs(DECODER), {}
    for layer, inputs in LSTMS.items():
        dancer[f"{layer}/kernel:0"] = draw(inputs, 4 * UNITS)
        dancer[f"{layer}/recurrent_kernel:0"] = draw(UNITS, 4 * UNITS)
        dancer[f"{layer}/bias:0"] = draw(4 * UNITS)
    dancer |= pairs({"dense_6": (UNITS, DENSE_UNITS)})
    for part, outputs in MIXTURE.items():
        dancer[f"mdn_1/kernel{part}:0"] = draw(DENSE_UNITS, outputs)
        dancer[f"mdn_1/bias{part}:0"] = draw(outputs)
    return encoder, decoder, dancer


def draw_latents() -> np.ndarray:
    """Returns the content of lv.npy, (T, 1, L) float32."""
    latents = np.random.RandomState(2019).normal(size=(ROWS, 1, LATENT_DIM))
    return latents.astype(np.float32)


def draw_frames() -> np.ndarray:
    """Returns pictures (B, H, W, 1) float32: a black rectangle on white, with grey noise."""
    rng = np.random.RandomState(2020)
    frames = 1 - rng.uniform(0, 0.2, (COUNT, HEIGHT, WIDTH, 1))
    for index, frame in enumerate(frames):
        frame[3 : 10 + index % 4, 2 * index : 2 * index + 7] = rng.uniform(0, 0.1)
    return frames.astype(np.float32)


def write_files(folder: Path) -> tuple[Path, Path, Path]:
    """Writes vae_cnn.h5, gendance.h5 and lv.npy in the layout of Keras 2.2.0."""
    encoder, decoder, dancer = draw_weights()
    paths = folder / "vae_cnn.h5", folder / "gendance.h5", folder / "lv.npy"
    with h5py.File(paths[0], "w") as file:
        _write_layers(file, {"input_1": {}, "encoder": encoder, "decoder": decoder})
    groups: dict[str, Weights] = {"input_2": {}, "reshape_2": {}}
    for number, layer in enumerate(LSTMS, start=1):
        groups |= {layer: _of_layer(dancer, layer), f"dropout_{number}": {}}
    groups |= {layer: _of_layer(dancer, layer) for layer in ("dense_6", "mdn_1")}
    with h5py.File(paths[1], "w") as file:
        _write_layers(file.create_group("model_weights"), groups)
    np.save(paths[2], draw_latents())
    return paths


def _of_layer(weights: Weights, layer: str) -> Weights:
    return {name: value for name, value in weights.items() if name.startswith(f"{layer}/")}


def _write_layers(root: h5py.Group, groups: Mapping[str, Weights]) -> None:
    root.attrs["backend"], root.attrs["keras_version"] = "tensorflow", "2.2.0"
    root.attrs["layer_names"] = np.array([name.encode() for name in groups])
    for name, weights in groups.items():
        group = root.create_group(name)
        # Keras 2.2.0 stored an empty list as floats.
        names = np.array([weight.encode() for weight in weights]) if weights else np.zeros(0)
        group.attrs["weight_names"] = names
        for weight, value in weights.items():
            group[weight] = value


def compute() -> dict[str, np.ndarray]:
    """Returns the golden arrays, with the names of the genuine ones."""
    encoder, decoder, dancer = draw_weights()
    latents = draw_latents()[:, 0].astype(np.float64)
    low, high = latents.min(axis=0), latents.max(axis=0)
    scaled = (latents - low) / (high - low)
    frames = draw_frames()
    z_mean, z_log_var = encode(encoder, frames)
    raw = mixture(dancer, scaled[:COUNT])
    arrays = {
        "frames": frames,
        "z_mean": z_mean,
        "z_log_var": z_log_var,
        "latents": latents[:COUNT],
        "decoded": decode(decoder, latents[:COUNT]),
        "decoded_from_z_mean": decode(decoder, z_mean),
        "latents_scaled": scaled[:COUNT],
        "mdn_raw": raw,
        "mdn_raw_from_unscaled": mixture(dancer, latents[:COUNT]),
        "targets_scaled": scaled[1 : COUNT + 1],
        "mixture_nll": negative_log_likelihood(raw, scaled[1 : COUNT + 1]),
        "scaler_data_min_": low,
        "scaler_data_max_": high,
        "seed_scaled": scaled[0],
    }
    for name, fed in (("legacy", lambda y: low + y * (high - low)), ("fixed", lambda y: y)):
        made = roll_out(dancer, scaled[0], fed)
        arrays[f"rollout_mode_{name}_feedback"] = low + made * (high - low)
    return {name: np.asarray(value, np.float32) for name, value in arrays.items()}


def encode(weights: Weights, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns z_mean and z_log_var (B, L): three times convolution, relu, pooling; then dense."""
    x = frames.astype(np.float64)
    for number in (1, 2, 3):
        x = np.maximum(_convolve(weights, f"conv2d_{number}", x), 0)
        batch, height, width, channels = x.shape
        x = x.reshape(batch, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))
    x = _dense(weights, "dense_1", x.reshape(len(x), -1))
    return _dense(weights, "dense_2", x), _dense(weights, "dense_3", x)


def decode(weights: Weights, latents: np.ndarray) -> np.ndarray:
    """Returns pictures (B, H, W, 1): dense, three times convolution, relu, doubling; sigmoid."""
    x = np.maximum(_dense(weights, "dense_4", latents), 0).reshape(-1, *_PICTURE)
    x = _dense(weights, "dense_5", x)
    for number in (4, 5, 6):
        x = np.maximum(_convolve(weights, f"conv2d_{number}", x), 0)
        x = x.repeat(2, axis=1).repeat(2, axis=2)
    return 1 / (1 + np.exp(-_convolve(weights, "conv2d_7", x)))


def mixture(weights: Weights, vectors: np.ndarray) -> np.ndarray:
    """Returns (B, 2 K D + K): means, standard deviations and logits, from a state of zeros."""
    x = vectors
    for layer in LSTMS:
        gates = x @ weights[f"{layer}/kernel:0"] + weights[f"{layer}/bias:0"]
        i, _, c, o = np.split(gates, 4, axis=1)  # the forget gate multiplies a cell of zeros
        x = _hard_sigmoid(o) * np.tanh(_hard_sigmoid(i) * np.tanh(c))
    x = np.maximum(_dense(weights, "dense_6", x), 0)
    mu, sigma, pi = (
        x @ weights[f"mdn_1/kernel{part}:0"] + weights[f"mdn_1/bias{part}:0"] for part in MIXTURE
    )
    sigma = np.where(sigma > 0, sigma, np.expm1(np.minimum(sigma, 0))) + 1 + 1e-8
    return np.concatenate([mu, sigma, pi], axis=1)


def negative_log_likelihood(raw: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns -log sum_k pi_k N(target; mu_k, sigma_k), (B,) in nats."""
    mu, sigma, logits = np.split(raw, [_PARAMS, 2 * _PARAMS], axis=1)
    shape = (-1, NUM_MIXTURES, LATENT_DIM)
    mu, sigma = mu.reshape(shape), sigma.reshape(shape)
    log_pi = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    z = (targets[:, None] - mu) / sigma
    log_normal = (-0.5 * z**2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)).sum(axis=2)
    return -np.log(np.exp(log_pi + log_normal).sum(axis=1))


def roll_out(
    weights: Weights, seed: np.ndarray, fed_back: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Returns (T, D): each vector is the mean of the likeliest component after the one before."""
    made, fed = [], seed
    for _ in range(ROLLOUT):
        raw = mixture(weights, fed[None])[0]
        component = raw[2 * _PARAMS :].argmax()
        made.append(raw[component * LATENT_DIM : (component + 1) * LATENT_DIM])
        fed = fed_back(made[-1])
    return np.array(made)


def _convolve(weights: Weights, layer: str, x: np.ndarray) -> np.ndarray:
    """Returns a 3x3 convolution with zeros around the picture, as Keras's padding 'same'."""
    kernel, bias = weights[f"{layer}/kernel:0"], weights[f"{layer}/bias:0"]
    height, width = x.shape[1:3]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = (
        padded[:, row : row + height, column : column + width] @ kernel[row, column]
        for row in range(3)
        for column in range(3)
    )
    return sum(taps) + bias


def _dense(weights: Weights, layer: str, x: np.ndarray) -> np.ndarray:
    return x @ weights[f"{layer}/kernel:0"] + weights[f"{layer}/bias:0"]


def _hard_sigmoid(x: np.ndarray) -> np.ndarray:
    """Returns the gate of Keras before 2.3; Keras 3 has another slope."""
    return np.clip(0.2 * x + 0.5, 0, 1)


if __name__ == "__main__":
    np.savez_compressed(PATH, **compute())
    print(f"{PATH}: {PATH.stat().st_size / 1e3:.0f} kB")

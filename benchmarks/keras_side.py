"""Runs the Keras side of `run.py`, including the way of 2018, in its own process.

Each line of standard input is a JSON object with the name of a task, `do`, and its arguments.
Each answer is one line of JSON. The process lives as long as the measurements, so that it can
take turns with what it is compared with.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import keras
import numpy as np
import onnx
from keras_mdn_layer import sample_from_output

from dancenet.codecs.base import Scaler
from dancenet.model.config import DancerConfig, ModelConfig, VaeConfig
from dancenet.model.folder import ModelFolder
from dancenet.nets import dancer, vae
from dancenet.nets.export import onnx as export
from dancenet.nets.training.loop import jit_compile
from dancenet.support.arrays import write_npz

DIM, MIXTURES = 128, 24
DANCER = DancerConfig(
    network="dancenet",
    dim=DIM,
    units=512,
    layers=3,
    num_mixtures=MIXTURES,
    dense_units=1000,
    dropout=0.4,
    predict="absolute",
    sigma_floor=0.0,
)
VAE = VaeConfig(network="dancenet")


class Networks:
    """The networks of 2018, untrained, and the tasks on them."""

    def __init__(self) -> None:
        keras.utils.set_random_seed(0)
        self.encoder, self.decoder = vae.build_encoder(VAE), vae.build_decoder(VAE)
        self.lean_encoder = vae.build_encoder(VaeConfig())
        self.dancer = dancer.build_dancer(DANCER)
        # Drawn vectors keep to one place, as a trained dancer's do.
        self.dancer.mdn.mdn_sigmas.bias.assign(np.full(DIM * MIXTURES, -4.0))
        self._centre()
        self._trainers: dict[str, Any] = {}

    def _centre(self) -> None:
        """Moves the decoder's last bias to where a sixth of the pixels is dark, as in a dance."""
        latents = np.random.default_rng(0).standard_normal((8, DIM)).astype(np.float32)
        logits = self.decoder.get_layer("logits")
        view = keras.Model(self.decoder.input, logits.output)
        values = view.predict_on_batch(latents)
        logits.bias.assign(logits.bias - np.quantile(values, 1 / 6))
        logits.kernel.assign(logits.kernel * 2 / values.std())
        values = view.predict_on_batch(latents)
        logits.bias.assign(logits.bias - np.quantile(values, 1 / 6))

    def write(self, folder: str) -> dict[str, Any]:
        """Writes them as a model folder, and the decoder without folding beside it."""
        model = ModelFolder(folder)
        model.create()
        model.write_config(ModelConfig("bench", 30.0, vae=VAE, dancer=DANCER))
        vae.join(self.encoder, self.decoder).save_weights(model / "vae.weights.h5")
        self.dancer.model.save_weights(model / "dancer.weights.h5")
        export.export_vae(model)
        export.export_dancer(model)
        Scaler(
            np.zeros(DIM, np.float32), np.eye(DIM, dtype=np.float32), np.ones(DIM, np.float32)
        ).save(model / "scaler.npz")
        seeds = np.random.default_rng(0).standard_normal((4, 60, DIM)).astype(np.float32)
        write_npz(model / "seeds.npz", vectors=seeds)
        model.seal()
        plain = export.decoder_graph(self.decoder, fold=False)
        onnx.save(plain, model / "decoder_unfolded.onnx")
        step = onnx.load(model / "step.onnx")
        weights = {w.name: 4 * int(np.prod(w.dims)) for w in step.graph.initializer}
        read = sum(weights.values()) - weights["mdn/kernels"] * (MIXTURES - 1) // MIXTURES
        return {
            "folded": multiply_adds(onnx.load(model / "decoder.onnx")),
            "unfolded": multiply_adds(plain),
            "step_bytes": read,
        }

    def dance(self, frames: int, video_path: str) -> float:
        """Makes a video one frame after the other as the code of 2018 did; returns seconds."""
        began = time.perf_counter()
        video = cv2.VideoWriter(video_path, cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (208, 120))
        vector = np.zeros(DIM, np.float32)
        for _ in range(frames):
            params = self.dancer.model.predict(vector.reshape(1, 1, DIM), verbose=0)
            vector = sample_from_output(params[0, 0], DIM, MIXTURES, temp=0.01)
            picture = self.decoder.predict(vector.reshape(1, DIM), verbose=0)
            grey = (picture[0] * 255).astype(np.uint8)
            video.write(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))
        video.release()
        return time.perf_counter() - began

    def encode(self, network: str, folder: str, frames: int) -> float:
        """Encodes the first pictures of a folder one by one; returns seconds."""
        encoder = {"dancenet": self.encoder, "lean": self.lean_encoder}[network]
        encoder.predict(np.zeros((1, 120, 208, 1)), verbose=0)
        began = time.perf_counter()
        for number in range(1, frames + 1):
            picture = cv2.imread(str(Path(folder) / f"{number}.jpg"), cv2.IMREAD_GRAYSCALE)
            assert picture is not None
            encoder.predict(picture.reshape(1, 120, 208, 1) / 255.0, verbose=0)
        return time.perf_counter() - began

    def train(self, network: str, batch_size: int) -> float:
        """Takes one training step; returns frames a second. The first call compiles, too."""
        if network not in self._trainers:
            config = VaeConfig(network=network)
            trainer = vae.VaeTrainer(vae.build_encoder(config), vae.build_decoder(config))
            trainer.compile(optimizer=keras.optimizers.Adam(), jit_compile=jit_compile())
            self._trainers[network] = trainer
            self.train(network, batch_size)
        rng = np.random.default_rng(0)
        pictures = rng.integers(0, 2, (batch_size, 120, 208), np.uint8) * 255
        batch = vae.draw_batch(pictures, rng, 1.0, 128)
        began = time.perf_counter()
        self._trainers[network].train_on_batch(*batch)
        return batch_size / (time.perf_counter() - began)


def multiply_adds(model: onnx.ModelProto) -> int:
    """Counts the multiplications of one picture in a graph."""
    inferred = onnx.shape_inference.infer_shapes(model)
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input)
    }
    weights = {weight.name: list(weight.dims) for weight in model.graph.initializer}
    total = 0
    for node in model.graph.node:
        if node.op_type in ("Gemm", "Conv", "ConvTranspose"):
            # A transposed convolution applies its kernel at every input pixel.
            at = node.input[0] if node.op_type == "ConvTranspose" else node.output[0]
            total += int(np.prod(weights[node.input[1]]) * np.prod(shapes[at][2:]))
    return total


def main() -> None:
    """Answers tasks until standard input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    networks = Networks()
    with tempfile.TemporaryDirectory() as folder:
        networks.dance(1, str(Path(folder) / "first.mp4"))
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        task = getattr(networks, request.pop("do"))
        print(json.dumps(task(**request)), file=answers, flush=True)


if __name__ == "__main__":
    main()

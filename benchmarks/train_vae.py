"""Measures how fast both VAEs train: frames a second, with and without XLA.

Run it on an idle machine: `python benchmarks/train_vae.py [batch size]`.
"""

from __future__ import annotations

import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402

from dancenet.config import NETWORKS, VaeConfig  # noqa: E402
from dancenet.nets.vae import (  # noqa: E402
    VaeTrainer,
    build_decoder,
    build_encoder,
    draw_batch,
    multiply_adds,
)

STEPS = 8


def frames_per_second(network: str, batch_size: int, xla: bool) -> float:
    """Returns the rate of the median of a few training steps, on random pictures."""
    config = VaeConfig(network=network)
    trainer = VaeTrainer(build_encoder(config), build_decoder(config))
    trainer.compile(optimizer=keras.optimizers.Adam(), jit_compile=xla)
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 2, (batch_size, config.height, config.width), np.uint8) * 255
    batch = draw_batch(pictures, rng, 1.0, config.latent_dim)
    trainer.train_on_batch(*batch)
    times = []
    for _ in range(STEPS):
        began = time.perf_counter()
        trainer.train_on_batch(*batch)
        times.append(time.perf_counter() - began)
    return batch_size / float(np.median(times))


def main() -> None:
    """Prints one line a network and compiler."""
    batch_size = int(sys.argv[1]) if len(sys.argv) > 1 else 32
    for network in NETWORKS:
        config = VaeConfig(network=network)
        parts = build_encoder(config), build_decoder(config)
        million = sum(multiply_adds(part) for part in parts) / 1e6
        for xla in (False, True):
            rate = frames_per_second(network, batch_size, xla)
            print(
                f"{network:8}  {million:5.0f} M multiply-adds a frame  batch {batch_size}  "
                f"XLA {'on ' if xla else 'off'}  {rate:7.1f} frames/s on {os.cpu_count()} cores"
            )


if __name__ == "__main__":
    main()

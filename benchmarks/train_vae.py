"""Measures how fast both VAEs train: frames a second, by batch size and with and without XLA.

    python benchmarks/train_vae.py                        # TensorFlow
    KERAS_BACKEND=jax python benchmarks/train_vae.py      # or torch

Run it on an idle machine. The settings take turns, and the median of their steps is shown.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence

from dancenet.support import terminal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def training_step(network: str, batch_size: int, jit: bool) -> Callable[[], float]:
    """Returns a function that takes one training step and returns its seconds."""
    import keras
    import numpy as np

    from dancenet.model.config import VaeConfig
    from dancenet.nets.vae import VaeTrainer, build_decoder, build_encoder, draw_batch

    config = VaeConfig(network=network)
    trainer = VaeTrainer(build_encoder(config), build_decoder(config))
    trainer.compile(optimizer=keras.optimizers.Adam(), jit_compile=jit)
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 2, (batch_size, config.height, config.width), np.uint8) * 255
    batch = draw_batch(pictures, rng, 1.0, config.latent_dim)

    def step() -> float:
        began = time.perf_counter()
        trainer.train_on_batch(*batch)
        return time.perf_counter() - began

    step()  # compiles
    return step


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--batch-sizes",
        type=terminal.positive(int),
        nargs="+",
        default=[32],
        metavar="B",
        help="frames in a step (default: 32)",
    )
    parser.add_argument(
        "--networks",
        nargs="+",
        default=["lean", "dancenet"],
        metavar="NAME",
        help="which VAEs (default: both)",
    )
    parser.add_argument(
        "--steps", type=terminal.positive(int), default=5, help="of each setting (default: 5)"
    )
    return parser


def work(arguments: argparse.Namespace) -> None:
    """Prints one line a setting."""
    import keras
    import numpy as np

    backend = keras.backend.backend()
    # torch.compile needs a C++ compiler at run time; JAX does not train without XLA.
    compilers = {"tensorflow": (False, True), "jax": (True,), "torch": (False,)}[backend]
    settings = [
        (network, batch_size, jit)
        for network in arguments.networks
        for batch_size in arguments.batch_sizes
        for jit in compilers
    ]
    steps = [training_step(*setting) for setting in settings]
    seconds = [[step() for step in steps] for _ in range(arguments.steps)]
    for (network, batch_size, jit), median in zip(settings, np.median(seconds, axis=0)):
        terminal.say(
            f"{backend:10}  {network:8}  batch {batch_size:3}  XLA {'on ' if jit else 'off'}  "
            f"{batch_size / median:7.1f} frames/s"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

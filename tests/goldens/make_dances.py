"""Writes dances.npz: what the bundled models dance, to a few figures, before a change.

    python tests/goldens/make_dances.py

`test_golden_dances.py` compares. Write the file again only when a dance is meant to differ.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dancenet.codecs.silhouette import SilhouetteCodec
from dancenet.generation.load import load_dancer
from dancenet.generation.settings import DanceSettings
from dancenet.generation.trajectory import trajectories

PATH = Path(__file__).with_name("dances.npz")
FRAMES = (0, 1, 29, 59)  # of a dance, that are kept
SETTINGS = {
    "plain": ("silhouette_v2", DanceSettings(seed=7)),
    # A rate of its own, a second dance beside it, the correction and the temperature's variation.
    "altered": (
        "silhouette_v2",
        DanceSettings(seed=8, fps=24, count=2, neighbour_correction=0.1, temperature_variation=0.1),
    ),
    "salsa": ("skeleton_v1", DanceSettings(seed=7, style="salsa:0.7,modern:0.3")),
}


def compute() -> dict[str, np.ndarray]:
    """Returns vectors of each dance, and what they decode to: latents and pictures, or joints."""
    arrays: dict[str, np.ndarray] = {}
    for name, (model, settings) in SETTINGS.items():
        dancer = load_dancer(model, threads=1)
        vectors = np.stack(list(trajectories(dancer, settings, FRAMES[-1] + 1)), axis=1)[-1]
        arrays[f"{name}_vectors"] = vectors[list(FRAMES)]
        if model.startswith("skeleton"):
            joints = dancer.codec.finish(dancer.codec.decode(vectors))
            arrays[f"{name}_joints"] = joints[list(FRAMES)]
            frames = list(dancer.codec.draw(joints, 30.0))
            arrays[f"{name}_pictures"] = np.stack(frames)[list(FRAMES)]
        else:
            some = vectors[list(FRAMES)]
            arrays[f"{name}_latents"] = dancer.codec.scaler.to_latents(some)
            codec = SilhouetteCodec.of(dancer.codec, dancer.name)
            background = codec.decode(some, settings.refine)
            arrays[f"{name}_pictures"] = np.round(background * 255).astype(np.uint8)
    return arrays


if __name__ == "__main__":
    np.savez_compressed(PATH, **compute())
    print(f"{PATH}: {PATH.stat().st_size / 1e3:.0f} kB")

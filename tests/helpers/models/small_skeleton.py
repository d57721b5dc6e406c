"""A small model of joints with all files of a trained one; its weights are random."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
from export_models import make_folder
from motion_files import bvh_text, dancing

from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.data.mocap.read import read_skeleton
from dancenet.data.motion.clip import SkeletonClip
from dancenet.model.config import SKELETON, DancerConfig
from dancenet.model.folder import CODEC, SEEDS, ModelFolder
from dancenet.support.arrays import write_npz

STYLES = ("ballet", "house")
NUM_SEEDS, SEED_FRAMES = 3, 20


def small_clip(flat: bool = False) -> SkeletonClip:
    """Returns 8 s of nineteen joints that walk a circle and turn, or their picture.

    One joint is always in the place of another, so that the codec has a twin to leave out.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "circle.bvh"
        path.write_text(bvh_text(dancing(240)))
        clip = read_skeleton(path, frame_rate=30)
    positions = clip.positions.copy()
    positions[:, -1] = positions[:, -3]
    if flat:
        positions = positions[..., :2].copy()
    return dataclasses.replace(clip, positions=positions)


def write_small_skeleton_model(
    path: Path, styles: tuple[str, ...] = STYLES, flat: bool = False, variance: float = 0.9
) -> ModelFolder:
    """Writes weights, codec and seed clips of a small model of joints."""
    clip = small_clip(flat)
    codec = SkeletonCodec.fit([clip], variance)
    config = DancerConfig(
        dim=codec.dim, units=24, num_mixtures=3, velocity_inputs=2, temperature=0.6, styles=styles
    )
    folder = make_folder(path, SKELETON, dancer=config)
    codec.save(folder / CODEC)
    vectors = codec.encode(clip.positions)
    starts = np.arange(NUM_SEEDS) * 60
    write_npz(
        folder / SEEDS,
        vectors=vectors[starts[:, None] + np.arange(SEED_FRAMES)],
        names=np.array([f"circle.bvh {start / 30:.1f} s" for start in starts]),
        styles=np.array([*styles, ""] + [""] * NUM_SEEDS)[:NUM_SEEDS],
    )
    folder.seal()
    return folder

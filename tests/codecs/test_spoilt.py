"""Files of latents, scalers, seed clips and codecs get one sentence, whatever they hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hostile import check_arrays
from mutation import check_reader

from dancenet.codecs.base import Scaler
from dancenet.codecs.latents import Latents
from dancenet.codecs.seeds import read_seeds
from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.data.motion.clip import SkeletonClip
from dancenet.support.arrays import write_npz
from dancenet.support.errors import UserError


def write_latents(path: Path) -> None:
    rng = np.random.default_rng(0)
    z_mean = rng.normal(size=(12, 3)).astype(np.float32)
    Latents(
        z_mean=z_mean,
        z_log_var=-np.ones_like(z_mean),
        fps=30.0,
        clips=(range(5), range(5, 12)),
        splits=("train", None),
        sources=("a.mp4", "b.mp4"),
        encoder_sha256="0" * 64,
    ).save(path)


def write_scaler(path: Path) -> None:
    Scaler.fit_columns(np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)).save(path)


def write_seeds(path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 6, 3)).astype(np.float32)
    write_npz(path, vectors=vectors, styles=np.array(["pop", "salsa", "", "pop"]))


def write_codec(path: Path) -> None:
    names, angles = ("root", "left", "right"), np.linspace(0, 6, 40)
    places = np.zeros((40, 3, 3))
    places[:, 1:, 1] = 1 + 0.1 * np.sin(angles)[:, None]
    places[:, 1, 0], places[:, 2, 0] = 0.3 * np.cos(angles), -0.3
    clip = SkeletonClip(
        positions=places.astype(np.float32),
        fps=30.0,
        ok=np.ones(40, bool),
        names=names,
        parents=(-1, 0, 0),
        offsets=np.zeros((3, 3)),
        source="walk",
    )
    SkeletonCodec.fit([clip]).save(path)


@pytest.mark.parametrize(
    ("write", "read"),
    [
        (write_latents, Latents.load),
        (write_scaler, Scaler.load),
        (write_seeds, read_seeds),
        (write_codec, SkeletonCodec.load),
    ],
)
def test_a_spoilt_file_is_one_sentence(
    tmp_path: Path, write: Callable[[Path], None], read: Callable[[Path], object]
) -> None:
    path = tmp_path / "arrays.npz"
    write(path)
    assert check_reader(read, path, count=60)
    assert check_arrays(read, path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"z_mean": np.zeros((12, 3), int)}, r"z_mean must be \(T, L\) floats"),
        ({"z_mean": np.zeros((12, 4), np.float32)}, "must be .T, L."),
        ({"clips": np.zeros((2, 2))}, "clips must be pairs of rows"),
        ({"clips": np.array([[0, 5], [5, 2**62]])}, "the clips hold"),
        ({"clips": np.array([[-(2**63), 2**63 - 1]] * 2)}, "cannot be used"),
        ({"splits": np.array(["train", "test"])}, "a split must be train, val or none"),
        ({"sources": np.array(["a"])}, "a text for each of 2 clips"),
        ({"fps": np.array(1e9)}, "fps must be 0.01 or more and at most 1,000"),
        ({"fps": np.array(1e-300)}, "fps must be 0.01 or more"),
        ({"fps": np.array([30.0])}, "fps is float64 of shape .1,., and must be a number"),
        ({"format": np.array("1")}, "format is <U1"),
        ({"encoder_sha256": np.array(b"a")}, "must be text"),
    ],
)
def test_what_is_wrong_with_latents_is_said(tmp_path: Path, changes: dict, said: str) -> None:
    path = tmp_path / "latents.npz"
    write_latents(path)
    np.savez(path, **{**np.load(path), **changes})
    with pytest.raises(UserError, match=said):
        Latents.load(path)
    with pytest.raises(UserError, match="latents.npz cannot be used: "):
        Latents.load(path)


def test_seed_clips_that_overflow_are_not_taken(tmp_path: Path) -> None:
    write_npz(tmp_path / "seeds.npz", vectors=np.full((1, 2, 3), 1e300))
    with pytest.raises(UserError, match="does not hold seed clips.*NaN or infinity"):
        read_seeds(tmp_path / "seeds.npz")

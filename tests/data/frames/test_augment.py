"""Augmented silhouettes stay silhouettes, whole and in the picture."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.data.frames.augment import augment
from dancenet.data.frames.picture import BACKGROUND, DANCER


def figure(rows=slice(20, 100), columns=slice(60, 90)):
    frame = np.full((120, 208), BACKGROUND, np.uint8)
    frame[rows, columns] = DANCER
    frame[60:70, columns.start : columns.stop + 15] = DANCER  # an arm to one side
    return frame


def columns_of(frame):
    return np.flatnonzero((frame == DANCER).any(axis=0))


def test_strength_zero_without_mirror_changes_nothing():
    frames = np.stack([figure(), figure(slice(0, 120), slice(0, 208))])
    out = augment(frames, np.random.default_rng(0), 0.0, mirror=False)
    assert (out == frames).all()


def test_a_mirrored_dancer_stands_on_the_other_side():
    frames = np.repeat(figure()[None], 20, axis=0)
    out = augment(frames, np.random.default_rng(0), 0.0)
    flipped = [bool((frame == frames[0][:, ::-1]).all()) for frame in out]
    assert 0 < sum(flipped) < len(out)
    assert all(flip or (frame == frames[0]).all() for flip, frame in zip(flipped, out))


def test_a_whole_dancer_stays_whole_and_in_the_picture():
    frames = np.repeat(figure(slice(2, 118))[None], 200, axis=0)
    out = augment(frames, np.random.default_rng(1), 2.0)
    assert set(np.unique(out)) == {DANCER, BACKGROUND}
    dancer = out == DANCER
    assert dancer.any(axis=(1, 2)).all()
    edges = dancer[:, [0, -1]].any(axis=(1, 2)) | dancer[:, :, [0, -1]].any(axis=(1, 2))
    assert not edges.any()


def test_places_and_sizes_vary_with_the_strength():
    frames = np.repeat(figure()[None], 200, axis=0)

    def spread(strength):
        out = augment(frames, np.random.default_rng(2), strength, mirror=False)
        return np.std([columns_of(frame).mean() for frame in out]), np.std(
            (out == DANCER).sum((1, 2))
        )

    weak, strong = spread(0.3), spread(1.0)
    assert weak[0] > 0 and weak[1] > 0
    assert strong[0] > 2 * weak[0] and strong[1] > 2 * weak[1]
    # Uniform in ±14 pixels: a standard deviation of 14 / sqrt(3).
    assert strong[0] == pytest.approx(14 / np.sqrt(3), rel=0.15)


def test_one_seed_gives_one_result_and_an_empty_frame_changes_no_other():
    frames = np.repeat(figure()[None], 3, axis=0)
    out = augment(frames, np.random.default_rng(3))
    frames[1] = BACKGROUND
    again = augment(frames, np.random.default_rng(3))
    assert (out[[0, 2]] == again[[0, 2]]).all()
    assert (again[1] == BACKGROUND).all()

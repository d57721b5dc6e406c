"""Scaling is undone exactly, latents are checked, and a codec joins networks and scaler."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from dancenet.codecs.base import Scaler, smooth
from dancenet.codecs.latents import Latents
from dancenet.codecs.silhouette import SilhouetteCodec, to_network
from dancenet.data.frames.clips import Clip
from dancenet.support.errors import UserError

needs_sklearn = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="fitting needs the extra 'train'"
)


@pytest.fixture
def latents():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6)
    values[:, 3] = 1.5  # a column that never moves
    return values.astype(np.float32)


@pytest.mark.parametrize(
    "fit", [Scaler.fit_columns, pytest.param(lambda x: Scaler.fit_pca(x, 1.0), marks=needs_sklearn)]
)
def test_scaling_is_undone_also_for_a_column_that_never_moves(latents, fit):
    scaler = fit(latents)
    assert scaler.to_latents(scaler.to_model(latents)) == pytest.approx(latents, abs=1e-5)


def test_columns_are_standardised_and_a_still_one_stays_finite(latents):
    scaled = Scaler.fit_columns(latents).to_model(latents)
    moving = [0, 1, 2, 4, 5]
    assert scaled.mean(axis=0) == pytest.approx(np.zeros(6), abs=1e-5)
    assert scaled.std(axis=0)[moving] == pytest.approx(np.ones(5), abs=1e-4)
    assert np.all(np.abs(scaled[:, 3]) < 1e-5)


@needs_sklearn
def test_principal_directions_are_those_of_the_covariance(latents):
    scaler = Scaler.fit_pca(latents, 1.0, 5)
    values, vectors = np.linalg.eigh(np.cov(latents, rowvar=False, dtype=np.float64))
    basis = vectors[:, :0:-1].T
    basis *= np.sign(np.take_along_axis(basis, np.abs(basis).argmax(axis=1)[:, None], axis=1))
    assert scaler.basis == pytest.approx(basis, abs=1e-5)
    assert scaler.scale == pytest.approx(np.sqrt(values[:0:-1]), rel=1e-5)


@needs_sklearn
def test_nothing_that_moves_keeps_its_own_units():
    still = np.full((9, 3), 2.0, np.float32)
    assert Scaler.fit_pca(still).to_latents(np.zeros((1, 3))) == pytest.approx(still[:1])


@needs_sklearn
def test_principal_directions_are_uncorrelated_with_unit_variance(latents):
    scaled = Scaler.fit_pca(latents, 1.0, 5).to_model(latents)
    assert np.cov(scaled.T) == pytest.approx(np.eye(5), abs=1e-3)


@needs_sklearn
def test_as_many_directions_are_kept_as_hold_the_variance():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20_000, 4)) * [10.0, 5.0, 1.0, 0.1]  # shares .793 .198 .008 .0001
    assert [Scaler.fit_pca(values, share).dim for share in (0.7, 0.9, 0.995, 1.0)] == [1, 2, 3, 4]


@needs_sklearn
def test_what_lies_in_the_kept_directions_survives_the_round_trip(latents):
    scaler = Scaler.fit_pca(latents, 0.8)
    assert scaler.dim < 5
    vectors = scaler.to_model(latents)
    assert scaler.to_model(scaler.to_latents(vectors)) == pytest.approx(vectors, abs=1e-5)


@needs_sklearn
def test_a_scaler_is_saved_and_loaded(latents, tmp_path):
    scaler = Scaler.fit_pca(latents)
    scaler.save(tmp_path / "scaler.npz")
    loaded = Scaler.load(tmp_path / "scaler.npz")
    assert np.array_equal(loaded.to_model(latents), scaler.to_model(latents))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"scale": np.zeros(6, np.float32)}, "greater than 0"),
        ({"mean": np.full(6, np.nan, np.float32)}, "mean holds NaN or infinity"),
        ({"mean": np.zeros(5, np.float32)}, r"mean must be floats of shape \(6\)"),
        ({"basis": np.eye(6)[0]}, "basis must be floats"),
        ({"basis": np.eye(6, dtype=complex)}, "basis must be floats"),
    ],
)
def test_a_scaler_that_cannot_work_is_refused(latents, change, message):
    scaler = Scaler.fit_columns(latents)
    values = {"mean": scaler.mean, "basis": scaler.basis, "scale": scaler.scale, **change}
    with pytest.raises(ValueError, match=message):
        Scaler(**values)


def test_a_file_of_something_else_is_no_scaler(tmp_path):
    np.savez(tmp_path / "scaler.npz", x=np.zeros(3))
    with pytest.raises(UserError, match="lacks mean, basis, scale and holds x"):
        Scaler.load(tmp_path / "scaler.npz")


def make_latents(z_mean, **changes):
    clips = [Clip("a.mp4", 30.0, 1, 300, "t", "train"), Clip("é.mp4", 30.0, 301, 500, "t")]
    values = {
        "z_log_var": np.zeros_like(z_mean),
        "clips": clips,
        "fps": 30.0,
        "encoder_sha256": "ab" * 32,
        **changes,
    }
    return Latents.from_clips(z_mean, **values)


def test_latents_are_saved_and_loaded(latents, tmp_path):
    made = make_latents(latents)
    made.save(tmp_path / "latents.npz")
    loaded = Latents.load(tmp_path / "latents.npz")
    assert np.array_equal(loaded.z_mean, latents)
    assert (loaded.clips, loaded.splits) == ((range(0, 300), range(300, 500)), ("train", None))
    assert (loaded.sources, loaded.fps) == (("a.mp4", "é.mp4"), 30.0)
    assert Latents.is_latents(tmp_path / "latents.npz")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_latents_that_are_not_finite_name_the_frame(latents, value):
    latents[41, 2] = value
    with pytest.raises(ValueError, match="NaN or infinity in 1 frames, first in frame 42"):
        make_latents(latents)


def test_a_file_with_nan_is_refused_on_loading(latents, tmp_path):
    make_latents(latents).save(tmp_path / "a.npz")
    arrays = dict(np.load(tmp_path / "a.npz"))
    arrays["z_mean"][3, 3] = np.nan
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match="NaN or infinity"):
        Latents.load(tmp_path / "a.npz")


def test_clips_must_cover_every_row(latents):
    with pytest.raises(ValueError, match="the clips hold 300 rows and there are 500"):
        make_latents(latents, clips=[Clip("a", 30.0, 1, 300, "t")])


def test_latents_of_another_encoder_are_refused(latents):
    made = make_latents(latents)
    made.require_encoder("ab" * 32, "salsa")
    with pytest.raises(UserError, match="another encoder"):
        made.require_encoder("cd" * 32, "salsa")


def test_a_video_is_no_file_of_latents(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"\0\0\0\x18ftypmp42")
    assert not Latents.is_latents(tmp_path / "a.npz")


def test_a_codec_encodes_and_decodes_through_the_scaler():
    # An "encoder" of two pixels and its exact inverse: the round trip must be the identity.
    def encoder(frames):
        z = frames[:, 0, :2, 0]
        return z, np.zeros_like(z)

    frames = np.random.default_rng(0).choice([0, 255], (70, 120, 208)).astype(np.uint8)
    pixels = to_network(frames)[:, 0, :2, 0]
    codec = SilhouetteCodec(encoder, lambda z: z[:, None, :], Scaler.fit_columns(pixels), 30.0)
    vectors = codec.encode(frames)
    assert vectors.shape == (70, codec.dim) == (70, 2)
    assert codec.decode(vectors)[:, 0] == pytest.approx(pixels, abs=1e-6)


def test_the_network_sees_one_for_background():
    frame = np.array([[[0, 255]]], np.uint8)
    assert to_network(frame).tolist() == [[[[0.0], [1.0]]]]


def test_smoothing_keeps_a_still_path_and_the_borders_of_clips():
    steps = np.repeat([[0.0], [8.0]], 20, axis=0).astype(np.float32)
    assert np.array_equal(smooth(steps, [range(0, 20), range(20, 40)], 2.0), steps)
    assert 0.5 < smooth(steps, [range(0, 40)], 2.0)[19, 0] < 4.0


def test_smoothing_weakens_a_wave_as_a_gaussian_does():
    # The transfer function of a Gaussian of deviation s is exp(-(s w)^2 / 2).
    time, period, deviation = np.arange(400.0), 10.0, 1.5
    wave = np.sin(2 * np.pi * time / period)[:, None].astype(np.float32)
    smoothed = smooth(wave, [range(400)], deviation)
    expected = np.exp(-0.5 * (deviation * 2 * np.pi / period) ** 2)
    assert smoothed[50:350].std() / wave[50:350].std() == pytest.approx(expected, rel=0.01)


def test_no_smoothing_changes_nothing():
    vectors = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    assert np.array_equal(smooth(vectors, [range(30)], 0.0), vectors)


def test_refining_passes_the_picture_through_encoder_and_decoder():
    # The decoder adds 1 and the encoder doubles: 3 -> 4 -> 2 * 4 + 1 = 9 -> 2 * 9 + 1 = 19.
    def encoder(frames):
        return 2 * frames[:, :, 0, 0], frames[:, :, 0, 0]

    def decoder(latents):
        return latents[:, :, None] + 1

    scaler = Scaler(np.zeros(1, np.float32), np.eye(1, dtype=np.float32), np.ones(1, np.float32))
    codec = SilhouetteCodec(encoder, decoder, scaler, 30.0)
    three = np.full((1, 1), 3.0, np.float32)
    assert [codec.decode(three, times).item() for times in (0, 1, 2)] == [4.0, 9.0, 19.0]
    with pytest.raises(ValueError, match="needs an encoder"):
        SilhouetteCodec(None, decoder, scaler, 30.0).decode(three, 1)


def joined(bridge):
    """Two blocks (8, 20) that a bar of this darkness joins, or does not."""
    picture = np.ones((8, 20), np.float32)
    picture[2:6, 2:8] = picture[2:6, 12:18] = 0.0
    picture[3:5, 8:12] = 1.0 - bridge
    return picture


def mending_codec():
    """A codec whose only latent is how dark the bar is, and grows by 0.2 whenever it is encoded."""
    seen = []

    def encoder(frames):
        seen.append(len(frames))
        darkness = 1.0 - frames[:, 3, 9, 0]
        return (darkness + 0.2)[:, None], np.zeros((len(frames), 1), np.float32)

    def decoder(latents):
        return np.stack([joined(min(float(latent[0]), 1.0)) for latent in latents])

    codec = SilhouetteCodec(encoder, decoder, Scaler(np.zeros(1), np.eye(1), np.ones(1)), 30.0)
    return codec, seen


def test_a_refined_picture_in_pieces_is_refined_until_it_is_whole_and_no_further():
    codec, seen = mending_codec()
    vectors = np.array([[0.0], [0.5], [0.2]], np.float32)
    bars = 1.0 - codec.decode(vectors, refine=1)[:, 3, 9]
    # Whole beyond a half: after one refining, and after two, one and one more.
    assert bars == pytest.approx([0.6, 0.7, 0.6])
    assert seen == [3, 2, 1]


def test_a_picture_that_does_not_become_whole_is_given_up():
    codec, seen = mending_codec()
    assert 1.0 - codec.decode(np.array([[-9.0]]), refine=1, mend=4)[0, 3, 9] < 0.5
    assert seen == [1] * 5


def test_pictures_that_are_not_to_be_refined_are_left_in_pieces():
    codec, seen = mending_codec()
    assert 1.0 - codec.decode(np.array([[0.1]]))[0, 3, 9] == pytest.approx(0.1)
    assert not seen

"""Windows stay inside clips, noise is as asked, and what is fitted is fitted on training clips."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("keras", reason="the networks need the extra 'train'")

from dancenet.codecs.base import Scaler
from dancenet.codecs.latents import Latents
from dancenet.nets.training import statistics
from dancenet.nets.training.windows import BatchOptions, WindowData, balance_styles
from dancenet.support.errors import UserError

CLIPS = [range(0, 50), range(50, 57), range(57, 120)]


def make_latents(num_frames=120, dim=3, deviation=0.2, clips=CLIPS, seed=0):
    rng = np.random.default_rng(seed)
    z_mean = np.cumsum(rng.normal(size=(num_frames, dim)), axis=0).astype(np.float32)
    z_log_var = np.full_like(z_mean, 2 * np.log(deviation))
    names = tuple(f"clip {index}" for index in range(len(clips)))
    return Latents(z_mean, z_log_var, 30.0, tuple(clips), (None,) * len(clips), names, "x")


def make_data(deviation=0.2, scale=1.0, **options):
    latents = make_latents(deviation=deviation)
    scaler = Scaler(
        np.zeros(3, np.float32), np.eye(3, dtype=np.float32), np.full(3, scale, np.float32)
    )
    options.setdefault("look_back", 16)
    return WindowData.of_latents(latents, scaler, BatchOptions(**options))


@pytest.mark.parametrize("seed", range(5))
def test_windows_never_cross_a_clip_and_have_the_asked_stride(seed):
    data = make_data(warm_up=4)
    windows = data.windows(CLIPS, 5, np.random.default_rng(seed))
    for clip in CLIPS:
        starts = [start for start, _ in windows if start in clip]
        assert starts and all(start + 17 <= clip.stop or len(clip) < 17 for start in starts)
        assert set(np.diff(starts)) <= {5}


def test_a_short_clip_gives_a_short_window_whose_rest_is_masked():
    data = make_data(warm_up=4)
    windows = data.windows([CLIPS[1]], 5)
    assert windows.tolist() == [[50, 7]]
    batch = data.still(windows)
    # 7 rows are 6 predictions, of which the first 4 do not count.
    assert batch["mask"][0].tolist() == [0] * 4 + [1] * 2 + [0] * 10
    assert np.array_equal(batch["targets"][0, :6], data.vectors[51:57])


def test_every_row_is_predicted_with_full_context_over_some_epochs():
    data = make_data(warm_up=4)
    rng = np.random.default_rng(0)
    seen = {
        int(start) + row
        for _ in range(40)
        for start, _ in data.windows([CLIPS[0]], 8, rng)
        for row in range(5, 17)
    }
    assert seen == set(range(5, 50))


def test_clips_too_short_for_any_prediction_are_an_error_that_says_how_long():
    with pytest.raises(UserError, match="the longest part .* has 7 frames, and 10 are needed"):
        make_data().windows([CLIPS[1]], 5)


def test_a_target_is_the_vector_after_its_input():
    data = make_data()
    batch = data.still(np.array([[3, 17]]))
    assert np.array_equal(batch["inputs"][0], data.vectors[3:19])
    assert np.array_equal(batch["targets"][0], data.vectors[4:20])
    assert batch["mask"].tolist() == [[0] * 8 + [1] * 8]


def test_a_look_back_of_one_is_one_prediction_that_counts():
    data = make_data(look_back=1)
    batch = data.still(data.windows(CLIPS, 1))
    assert batch["inputs"].shape == (117, 1, 3) and batch["mask"].all()


def test_a_window_is_displaced_as_a_whole_and_a_share_of_it_is_taken_back():
    data = make_data(perturbation=0.8, correction_rate=0.25)
    windows = np.repeat([[10, 17]], 4000, axis=0)
    batch = data.draw(windows, np.random.default_rng(0))
    off = batch["inputs"] - data.vectors[10:26]
    assert off == pytest.approx(np.repeat(off[:, :1], 16, axis=1), abs=1e-5)
    assert batch["targets"] == pytest.approx(data.vectors[11:27] + 0.75 * off, abs=1e-5)


def test_displacements_are_uniform_in_size_up_to_the_asked_one():
    batch = make_data(perturbation=0.8).draw(
        np.repeat([[10, 17]], 20_000, axis=0), np.random.default_rng(0)
    )
    off = batch["inputs"][:, 0] - make_data().vectors[10]
    # Of a normal draw times a uniform size: the mean square is 0.8² / 3.
    assert np.square(off).mean() == pytest.approx(0.8**2 / 3, rel=0.03)
    assert np.abs(off).mean() == pytest.approx(0.4 * np.sqrt(2 / np.pi), rel=0.03)
    assert np.corrcoef(off.T)[0, 1] == pytest.approx(0, abs=0.03)


def test_nothing_is_displaced_unless_asked_for():
    data = make_data()
    windows = data.windows(CLIPS, 5)
    drawn, still = data.draw(windows, np.random.default_rng(0)), data.still(windows)
    assert all(np.array_equal(drawn[name], still[name]) for name in still)


def test_the_encoders_noise_is_drawn_anew_with_its_variance_in_model_units():
    data = make_data(deviation=0.6, scale=2.0, encoder_noise=0.5)
    windows = np.repeat([[10, 17]], 2000, axis=0)
    rng = np.random.default_rng(0)
    first, second = data.draw(windows, rng), data.draw(windows, rng)
    assert not np.array_equal(first["inputs"], second["inputs"])
    error = first["inputs"] - data.vectors[10:26]
    assert error.std() == pytest.approx(0.3 / 2.0, rel=0.01)
    assert (error[:, 1:] * error[:, :-1]).mean() == pytest.approx(0, abs=1e-3)
    assert np.array_equal(first["targets"], second["targets"])


def test_noise_with_a_memory_drifts_but_has_the_same_variance_in_every_frame():
    memory = 0.9
    data = make_data(deviation=0.3, encoder_noise=1.0, noise_correlation=memory)
    windows = np.repeat([[10, 17]], 20_000, axis=0)
    batch = data.draw(windows, np.random.default_rng(0))
    off = batch["inputs"] - data.vectors[10:26]
    assert off.std(axis=(0, 2)) == pytest.approx(np.full(16, 0.3), rel=0.02)
    correlation = (off[:, :-1] * off[:, 1:]).mean() / (off**2).mean()
    assert correlation == pytest.approx(memory, abs=0.01)
    # The target is where such a drift leads on average, so the rest is the drift's own news.
    assert batch["targets"] == pytest.approx(data.vectors[11:27] + memory * off, abs=1e-5)
    news = batch["inputs"][:, 1:] - batch["targets"][:, :-1]
    assert news.std() == pytest.approx(0.3 * np.sqrt(1 - memory**2), rel=0.02)


@pytest.mark.parametrize(
    "options",
    [
        {"correction_rate": -0.1},
        {"correction_rate": 1.1},
        {"perturbation": -1.0},
        {"encoder_noise": -1.0},
        {"noise_correlation": 1.0},
    ],
)
def test_what_makes_no_sense_is_refused(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"{name} must be .*; received {value}"):
        BatchOptions(8, **options)


def test_the_scaler_sees_training_clips_only():
    latents = make_latents()
    changed = latents.z_mean.copy()
    changed[57:] += 1e3
    for kind in (("lean", 64), ("dancenet", 64), ("dancenet", 1)):
        first = statistics.fit_scaler(latents.z_mean, CLIPS[:2], *kind)
        second = statistics.fit_scaler(changed, CLIPS[:2], *kind)
        assert np.array_equal(first.to_model(latents.z_mean), second.to_model(latents.z_mean))


def test_the_network_of_2018_sees_vectors_between_0_and_1():
    latents = make_latents()
    vectors = statistics.fit_scaler(latents.z_mean, CLIPS[:1], "dancenet", 1).to_model(
        latents.z_mean[CLIPS[0].start : CLIPS[0].stop]
    )
    assert vectors.min(axis=0) == pytest.approx(0) and vectors.max(axis=0) == pytest.approx(1)


def test_the_step_scale_does_not_count_the_cut_between_two_clips():
    vectors = np.concatenate([np.arange(10), np.arange(10) + 500.0])[:, None] * [1.0, 3.0, 0.0]
    scale = statistics.fit_step_scale(vectors.astype(np.float32), [range(10), range(10, 20)])
    assert scale[:2] == pytest.approx([1.0, 3.0])
    assert 0 < scale[2] < 0.01


def test_seeds_are_real_stretches_of_two_seconds_and_named():
    latents = make_latents(400, clips=[range(0, 300), range(300, 400)])
    seeds, names, _ = statistics.choose_seeds(
        latents.z_mean, latents.clips, latents.sources, latents.fps
    )
    assert seeds.shape == (11, 60, 3) and seeds.dtype == np.float32
    assert names[0] == "clip 0 0.0 s" and names[-1] == "clip 1 1.0 s"
    for seed in seeds:
        start = int(np.flatnonzero((latents.z_mean == seed[0]).all(axis=1))[0])
        assert np.array_equal(latents.z_mean[start : start + 60], seed)


def test_many_seeds_are_thinned_out_to_fit_two_megabytes():
    vectors = np.zeros((20_000, 128), np.float32)
    seeds, names, _ = statistics.choose_seeds(vectors, [range(20_000)], ["a"], 30.0)
    assert len(seeds) == len(names) > 32 and seeds.nbytes < 2_000_000


def test_clips_shorter_than_two_seconds_still_give_seeds():
    latents = make_latents()
    seeds, _, _ = statistics.choose_seeds(latents.z_mean, [range(0, 20)], ["a"], 30.0)
    assert seeds.shape == (1, 20, 3)


def test_a_range_inside_a_clip_has_its_name():
    assert statistics.clip_names(make_latents(), [range(60, 90), range(5, 9)]) == [
        "clip 2",
        "clip 0",
    ]


def test_baselines_of_white_noise_are_those_of_its_gaussians():
    # Steps of white noise have variance 2 and correlation -1/2: half a step back leaves 1.5.
    vectors = np.random.default_rng(0).normal(size=(40_000, 2)).astype(np.float32)
    halves = [range(0, 20_000)], [range(20_000, 40_000)]
    entropy = 0.5 * np.log(2 * np.pi * np.e)
    assert statistics.baselines(vectors, *halves) == pytest.approx(
        {"pose": entropy, "stay": entropy + 0.5 * np.log(2), "repeat": entropy + 0.5 * np.log(1.5)},
        abs=0.02,
    )


def test_styles_of_which_there_is_little_are_shown_more_often_by_the_root_of_their_share():
    rare = balance_styles(np.eye(3, dtype=np.float32), np.array([160, 40, 1]))
    # 160 / 40 is 4, whose root is 2; 160 / 1 would be 13, and 4 is the most.
    assert rare.tolist() == [1, 2, 4]
    styles = np.array([[1, 0], [0, 0], [0, 1], [0.5, 0.5]], np.float32)
    # 85 and 10 windows, 8.5 to 1: 3 times, and twice what is half of both.
    assert balance_styles(styles, np.array([80, 7, 5, 10])).tolist() == [1, 1, 3, 2]
    unknown = np.zeros((2, 3), np.float32)
    assert balance_styles(unknown, np.array([5, 9])).tolist() == [1, 1]


def test_a_round_shows_windows_of_rare_styles_more_often_and_says_how_many_there_are():
    styles = np.repeat(np.eye(2, dtype=np.float32), [96, 24], axis=0)
    vectors = np.arange(120, dtype=np.float32)[:, None]
    clips = [range(0, 96), range(96, 120)]
    data = WindowData(vectors, BatchOptions(7, warm_up=2), styles=styles)
    plain = WindowData(vectors, BatchOptions(7, warm_up=2))
    # 12 windows and 3, which are a quarter and so are shown twice.
    assert plain.count_windows(clips, 8) == len(data.windows(clips, 8)) == 15
    assert data.count_windows(clips, 8) == 18
    (batch,) = data.batches(clips, 1, 89 + 2 * 17, 1, np.random.default_rng(0))
    shown = np.unique(batch["inputs"][:, 0, 0].astype(int), return_counts=True)
    assert shown[0].tolist() == [*range(89), *range(96, 113)]
    assert shown[1].tolist() == [1] * 89 + [2] * 17


def test_the_style_of_some_windows_is_not_told_and_of_held_out_ones_always():
    styles = np.repeat(np.eye(2, dtype=np.float32), 100, axis=0)
    data = WindowData(
        np.zeros((200, 3), np.float32), BatchOptions(16, style_dropout=0.25), styles=styles
    )
    windows = np.repeat(data.windows([range(100), range(100, 200)], 8), 200, axis=0)
    told = data.draw(windows, np.random.default_rng(0))["style"]
    assert set(map(tuple, told.tolist())) == {(0, 0), (1, 0), (0, 1)}
    # 4400 draws: three deviations are 0.02.
    assert (told.sum(axis=1) == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert np.array_equal(data.still(windows)["style"], styles[windows[:, 0]])

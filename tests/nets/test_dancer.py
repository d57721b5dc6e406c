"""The dancer: its size, its loss against closed forms and oracles, its two views agreeing."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")
keras_mdn_layer = pytest.importorskip("keras_mdn_layer", reason="needs the extra 'train'")

from motion_files import shared

from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.data.mocap.read import read_skeleton
from dancenet.model.config import DancerConfig
from dancenet.nets.dancer import (
    KerasStepModel,
    build_dancer,
    hard_sigmoid_2018,
    load_dancer,
    split_params,
)
from dancenet.nets.dancer_trainer import (
    DancerTrainer,
    begin_linear,
    masked_mean,
    mean_prediction,
    mixture_nats,
    path_jerk,
    squared_errors,
)
from dancenet.nets.training.loop import Schedule, make_optimizer, save_weights
from dancenet.nets.training.options import DancerOptions
from dancenet.nets.training.statistics import baselines, fit_step_scale
from dancenet.sequence.generate import generate
from dancenet.sequence.mixture import Mixture, entropy, log_likelihood
from dancenet.support.errors import UserError

pytestmark = pytest.mark.usefixtures("eagerly")

SMALL = DancerConfig(dim=4, units=8, layers=2, num_mixtures=3, look_back=6)
VELOCITY_INPUTS = dataclasses.replace(SMALL, velocity_inputs=2)
ABSOLUTE = dataclasses.replace(
    SMALL,
    network="dancenet",
    predict="absolute",
    dense_units=10,
    dropout=0.4,
    recurrent_activation="hard_sigmoid_2018",
    sigma_floor=0.01,
)


FORGETFUL = dataclasses.replace(ABSOLUTE, look_back=1)
STYLES = ("ballet", "house", "salsa")
STYLED = {
    "steps seen": dataclasses.replace(VELOCITY_INPUTS, styles=STYLES),
    "vector alone": dataclasses.replace(SMALL, styles=STYLES),
    "2018, sequences": dataclasses.replace(ABSOLUTE, styles=STYLES),
    "2018": dataclasses.replace(FORGETFUL, styles=STYLES),
}


@pytest.fixture(params=[SMALL, VELOCITY_INPUTS, ABSOLUTE], ids=["step", "steps seen", "place"])
def network(request):
    keras.utils.set_random_seed(3)
    network = build_dancer(request.param)
    network.set_step_scale(np.array([0.1, 0.5, 1.0, 2.0], np.float32))
    return network


def some_vectors(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def random_params(*shape, dim, num_mixtures, seed=0):
    rng = np.random.default_rng(seed)
    size = dim * num_mixtures
    mu = rng.normal(size=(*shape, size))
    sigma = rng.uniform(0.3, 2.0, (*shape, size))
    pi = rng.normal(size=(*shape, num_mixtures))
    return np.concatenate([mu, sigma, pi], axis=-1).astype(np.float32)


def numpy_of(value):
    return keras.ops.convert_to_numpy(value)


def test_the_network_of_2018_has_12198336_weights():
    network = build_dancer(DancerOptions(network="dancenet").config(128))
    assert network.count_params() == 12_198_336
    assert [lstm.count_params() for lstm in network.lstms] == [1_312_768, 2_099_200, 2_099_200]
    assert network.dense.count_params() == 513_000
    assert network.mdn.count_params() == 6_174_168


@pytest.mark.parametrize("dim", [16, 64])
def test_the_lean_network_has_at_most_2_300_000_weights(dim):
    assert build_dancer(DancerOptions().config(dim)).count_params() <= 2_300_000


def test_the_gate_of_2018_is_a_line_of_slope_a_fifth_cut_off_at_2_5():
    x = np.array([-4.0, -2.5, -1.0, 0.0, 1.0, 2.5, 4.0], np.float32)
    assert numpy_of(hard_sigmoid_2018(x)) == pytest.approx([0, 0, 0.3, 0.5, 0.7, 1, 1])


def test_one_standard_gaussian_costs_half_the_log_of_two_pi_e_on_average():
    # E[-log N(x; 0, 1)] = 0.5 log(2 pi e) = 1.4189 nats for each dimension.
    targets = some_vectors(20_000, 5)
    params = np.concatenate([np.zeros(5), np.ones(5), np.zeros(1)]).astype(np.float32)
    nats = numpy_of(mixture_nats(np.tile(params, (20_000, 1)), targets, 1))
    assert nats.mean() == pytest.approx(0.5 * np.log(2 * np.pi * np.e), abs=0.01)


def test_a_narrow_gaussian_at_its_mean_costs_less_than_nothing():
    sigma = 0.01
    params = np.array([[0.5, -0.5, sigma, sigma, 0.0]], np.float32)
    nats = numpy_of(mixture_nats(params, np.array([[0.5, -0.5]], np.float32), 1))
    assert nats == pytest.approx([np.log(sigma) + 0.5 * np.log(2 * np.pi)], rel=1e-5)


def test_the_loss_of_a_sure_network_is_below_zero():
    # The entropy of a Gaussian, log sigma + 0.5 log(2 pi e), is 0 at sigma = 0.242 and falls
    # without end: a prediction ten times as exact costs log 10 nats less.
    def cost(sigma):
        targets = np.float32(sigma) * some_vectors(20_000, 5)
        params = np.concatenate([np.zeros(5), np.full(5, sigma), np.zeros(1)]).astype(np.float32)
        return numpy_of(mixture_nats(np.tile(params, (20_000, 1)), targets, 1)).mean()

    zero = 1 / np.sqrt(2 * np.pi * np.e)
    assert cost(zero) == pytest.approx(0.0, abs=0.01)
    assert cost(1.1 * zero) > 0 > cost(0.9 * zero)
    assert cost(zero / 10) == pytest.approx(-np.log(10), abs=0.01)


@pytest.mark.parametrize("count", [5, 32])
def test_a_mixture_of_equal_components_costs_what_one_of_them_does(count):
    one = random_params(20, dim=6, num_mixtures=1)
    mu, sigma = one[:, :6], one[:, 6:12]
    weights = some_vectors(20, count)
    many = np.concatenate([np.tile(mu, (1, count)), np.tile(sigma, (1, count)), weights], axis=1)
    targets = some_vectors(20, 6, seed=1)
    assert numpy_of(mixture_nats(many, targets, count)) == pytest.approx(
        numpy_of(mixture_nats(one, targets, 1)), rel=1e-5
    )


def test_components_far_apart_cost_the_right_one_and_the_log_of_their_number():
    # Of K far apart and equally likely, the one that is right costs its own nats and log K.
    count, dim = 32, 3
    mu = 1000.0 * np.arange(count)[:, None] + np.zeros(dim)
    params = np.concatenate([mu.ravel(), np.full(count * dim, 0.5), np.zeros(count)])
    params = np.tile(params.astype(np.float32), (count, 1))
    nats = numpy_of(mixture_nats(params, mu.astype(np.float32), count))
    expected = np.log(0.5) + 0.5 * np.log(2 * np.pi) + np.log(count) / dim
    assert nats == pytest.approx(np.full(count, expected), rel=1e-5)


@pytest.mark.parametrize("dim, count", [(6, 4), (165, 32)])
def test_the_loss_is_that_of_keras_mdn_layer_over_the_dimensions(dim, count):
    params = random_params(64, dim=dim, num_mixtures=count)
    targets = some_vectors(64, dim, seed=1)
    oracle = keras_mdn_layer.get_mixture_loss_func(dim, count)(targets, params)
    nats = numpy_of(mixture_nats(params, targets, count))
    assert nats.mean() == pytest.approx(float(numpy_of(oracle)) / dim, rel=1e-5)


def test_the_loss_has_the_slope_of_keras_mdn_layer_in_every_parameter():
    # Finite differences in double precision, in one parameter of all mixtures at a time.
    params = random_params(4, dim=3, num_mixtures=5).astype(np.float64)
    targets = keras.ops.convert_to_tensor(some_vectors(4, 3, seed=1), "float64")
    oracle = keras_mdn_layer.get_mixture_loss_func(3, 5)

    def slope(loss, nudge):
        above, below = (
            keras.ops.convert_to_tensor(params + way * nudge, "float64") for way in (1, -1)
        )
        return float(loss(above) - loss(below)) / 2e-4

    for nudge in 1e-4 * np.eye(params.shape[1]):
        ours = slope(lambda given: keras.ops.mean(mixture_nats(given, targets, 5)) * 3, nudge)
        assert ours == pytest.approx(slope(lambda given: oracle(targets, given), nudge), abs=1e-9)


def test_the_loss_is_the_density_that_dances_are_drawn_from():
    params = random_params(10, 7, dim=3, num_mixtures=5)
    targets = some_vectors(10, 7, 3, seed=1)
    parts = (numpy_of(part).reshape(70, *part.shape[2:]) for part in split_params(params, 3, 5))
    expected = -log_likelihood(Mixture(*parts), targets.reshape(70, 3)) / 3
    assert numpy_of(mixture_nats(params, targets, 5)).ravel() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("count", [1, 3, 32])
def test_the_loss_is_that_of_scikit_learn(count):
    mixture_of_sklearn = pytest.importorskip("sklearn.mixture").GaussianMixture
    targets = some_vectors(300, 4)
    fitted = mixture_of_sklearn(count, covariance_type="diag", random_state=0).fit(targets)
    params = np.concatenate(
        [fitted.means_.ravel(), np.sqrt(fitted.covariances_).ravel(), np.log(fitted.weights_)]
    ).astype(np.float32)
    nats = numpy_of(mixture_nats(np.tile(params, (300, 1)), targets, count))
    assert nats * 4 == pytest.approx(-fitted.score_samples(targets), rel=1e-4, abs=1e-3)


def test_the_loss_is_finite_where_every_density_underflows():
    params = random_params(1, dim=64, num_mixtures=3)
    targets = np.full((1, 64), 1e3, np.float32)
    nats = numpy_of(mixture_nats(params, targets, 3))
    assert np.isfinite(nats).all() and nats[0] > 1e4


def test_only_unmasked_values_count_in_the_mean():
    values = np.array([[1.0, 2.0, 100.0], [3.0, 100.0, 100.0]], np.float32)
    mask = np.array([[1, 1, 0], [1, 0, 0]], np.float32)
    assert float(numpy_of(masked_mean(values, mask))) == pytest.approx(2.0)
    assert float(numpy_of(masked_mean(values, 0 * mask))) == 0.0


def jerk_of(path, mask=None, step_scale=1.0):
    path = np.asarray(path, np.float32)
    mask = np.ones(path.shape[:2], np.float32) if mask is None else np.asarray(mask, np.float32)
    scale = np.broadcast_to(np.float32(step_scale), path.shape[2:])
    return float(numpy_of(path_jerk(path, mask, scale)))


def test_a_straight_line_at_a_steady_speed_has_no_jerk():
    time = np.arange(12.0)[:, None]
    lines = np.stack([3 + 0.5 * time * [1, -2, 0], -1 + time * [0.25, 0, 4]])
    assert jerk_of(lines) == 0.0


def test_a_parabola_has_the_jerk_of_its_acceleration_squared():
    # x = a t^2 has the second difference 2 a wherever it is taken.
    time, a = np.arange(12.0)[None, :, None], np.array([0.5, -0.25, 2.0])
    assert jerk_of(a * time**2) == pytest.approx(np.mean((2 * a) ** 2))
    assert jerk_of(a * time**2 + 3 * time - 7) == pytest.approx(np.mean((2 * a) ** 2))


def test_jerk_is_measured_in_rms_steps():
    time, scale = np.arange(12.0)[None, :, None], np.array([0.5, 4.0])
    assert jerk_of(time**2 * [1, 1], step_scale=scale) == pytest.approx(np.mean((2 / scale) ** 2))


def test_jerk_counts_only_where_three_neighbouring_frames_are_unmasked():
    # Second differences of 2 at steps 1 and 2, of 0 at 3, and of 100 and more where it is masked.
    path = np.array([[0, 1, 4, 9, 14, 1000, -1000, 0, 1, 2]], float)[..., None]
    mask = [[1, 1, 1, 1, 1, 0, 1, 1, 0, 1]]
    assert jerk_of(path, mask) == pytest.approx((4 + 4 + 0) / 3)
    assert jerk_of(path, [[1, 1, 0, 1, 1, 0, 1, 1, 0, 1]]) == 0.0


def test_a_path_of_two_vectors_has_no_jerk():
    assert jerk_of(np.array([[[1.0], [5.0]]])) == 0.0


def test_the_mean_prediction_weighs_every_component():
    pi, mu = np.array([0.2, 0.5, 0.3]), np.array([[1.0, 0.0], [2.0, 10.0], [-4.0, 1.0]])
    params = np.concatenate([mu.ravel(), np.ones(6), np.log(pi) + 5]).astype(np.float32)
    received = numpy_of(mean_prediction(params[None, None], 2, 3))
    assert received == pytest.approx((pi @ mu)[None, None], abs=1e-5)
    one = np.array([[7.0, -7.0, 1.0, 1.0, 3.0]], np.float32)
    assert numpy_of(mean_prediction(one, 2, 1)).tolist() == [[7.0, -7.0]]


def shaken(seed=0):
    """A batch of windows of a path whose steps change from frame to frame."""
    vectors = np.cumsum(some_vectors(8, 7, 4, seed=seed), axis=1)
    return {
        "inputs": vectors[:, :-1],
        "targets": vectors[:, 1:],
        "mask": np.ones((8, 6), np.float32),
    }


def trainer_of(network, jerk, rate=1e-2):
    trainer = DancerTrainer(network, jerk)
    trainer.compile(optimizer=keras.optimizers.Adam(rate), jit_compile=False)
    return trainer


@pytest.mark.parametrize(
    "config",
    [SMALL, VELOCITY_INPUTS, dataclasses.replace(ABSOLUTE, dropout=0.0)],
    ids=["step", "steps seen", "place"],
)
def test_the_jerk_is_logged_beside_the_nats_and_not_added_to_them(config):
    batch, network = shaken(), build_dancer(config)
    network.set_step_scale(np.array([0.1, 0.5, 1.0, 2.0], np.float32))
    trainer = trainer_of(network, 0.5)
    nats = trainer.nats(batch).mean()
    params = network.model.predict_on_batch(batch["inputs"])
    path = numpy_of(mean_prediction(params, 4, 3))
    jerk = np.mean((np.diff(path, n=2, axis=1) / network.step_scale) ** 2)
    figures = trainer.train_on_batch(batch, return_dict=True)
    assert figures.keys() == {"loss", "jerk", "objective"}
    assert figures["loss"] == pytest.approx(nats, rel=1e-4)
    assert figures["jerk"] == pytest.approx(jerk, rel=1e-3)
    assert figures["objective"] == pytest.approx(nats + 0.5 * jerk, rel=1e-3)
    assert trainer_of(network, 0.0).train_on_batch(batch, return_dict=True).keys() == {"loss"}


@pytest.mark.compiled
def test_the_penalty_makes_the_predicted_path_smoother():
    def trained(weight):
        keras.utils.set_random_seed(3)
        network = build_dancer(VELOCITY_INPUTS)
        trainer = trainer_of(network, weight)
        for seed in range(40):
            trainer.train_on_batch(shaken(seed))
        path = mean_prediction(network.model.predict_on_batch(shaken(99)["inputs"]), 4, 3)
        return jerk_of(numpy_of(path), step_scale=network.step_scale)

    assert trained(10.0) < 0.8 * trained(0.0)


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_a_jerk_weight_below_zero_or_not_finite_is_refused(weight):
    with pytest.raises(ValueError, match="jerk must be 0 or more"):
        DancerTrainer(build_dancer(SMALL), weight)


def test_the_whole_sequence_and_step_by_step_are_the_same(network):
    vectors = some_vectors(3, 7, 4)
    whole = network.model.predict_on_batch(vectors)
    model = KerasStepModel(network)
    state = model.initial_state(3)
    for index in range(7):
        mixture, state = model.step(vectors[:, index], state)
        expected = split_params(whole[:, index], 4, 3)
        for received, part in zip(mixture, expected):
            assert received == pytest.approx(numpy_of(part), abs=1e-5)


def test_a_network_that_looks_back_one_vector_sees_each_as_the_first():
    vectors = some_vectors(3, 7, 4)
    keras.utils.set_random_seed(3)
    network = build_dancer(FORGETFUL)
    model = KerasStepModel(network)
    state = model.initial_state(3)
    for index in range(7):
        mixture, state = model.step(vectors[:, index], state)
        expected = split_params(network.model.predict_on_batch(vectors[:, index : index + 1]), 4, 3)
        for received, part in zip(mixture, expected):
            assert received == pytest.approx(numpy_of(part)[:, 0], abs=1e-5)
    assert state == ()


def test_a_network_of_single_vectors_and_one_of_sequences_have_the_same_weights(tmp_path):
    path = tmp_path / "dancer.weights.h5"
    for trained, other in ((FORGETFUL, ABSOLUTE), (ABSOLUTE, FORGETFUL)):
        network = build_dancer(trained)
        save_weights(network.model, path)
        loaded = load_dancer(other, path)
        assert [w.path for w in loaded.model.weights] == [w.path for w in network.model.weights]
        vectors = some_vectors(2, 5, 4)
        assert np.array_equal(
            loaded.model.predict_on_batch(vectors), network.model.predict_on_batch(vectors)
        )


def test_training_on_single_vectors_leaves_the_recurrent_kernels_as_they_were_drawn():
    def kernels(look_back):
        keras.utils.set_random_seed(3)
        network = build_dancer(dataclasses.replace(ABSOLUTE, look_back=look_back))
        before = [numpy_of(lstm.cell.recurrent_kernel).copy() for lstm in network.lstms]
        trainer = DancerTrainer(network)
        trainer.compile(optimizer=keras.optimizers.Adam(1e-2), jit_compile=False)
        vectors = some_vectors(8, look_back + 1, 4)
        mask = np.ones((8, look_back), np.float32)
        trainer.train_on_batch({"inputs": vectors[:, :-1], "targets": vectors[:, 1:], "mask": mask})
        after = [numpy_of(lstm.cell.recurrent_kernel) for lstm in network.lstms]
        return [np.array_equal(*pair) for pair in zip(before, after)]

    assert all(kernels(1)) and not any(kernels(6))


def test_more_velocity_inputs_than_a_window_has_steps_are_refused():
    with pytest.raises(UserError, match=r"velocity_inputs must be below look_back \(1\); rec"):
        DancerOptions(look_back=1, velocity_inputs=1).config(4)
    assert DancerOptions(look_back=1).config(4).velocity_inputs == 0
    assert DancerOptions(look_back=2).config(4).velocity_inputs == 1


def test_velocity_inputs_are_in_rms_steps_and_limited():
    network = build_dancer(VELOCITY_INPUTS)
    network.set_step_scale(np.array([0.5, 1.0, 1.0, 1.0], np.float32))
    places = [np.full((1, 4), value, np.float32) for value in (3.0, 2.0, -9.0)]
    seen = numpy_of(network.motion(places))
    assert seen.tolist() == [[3, 3, 3, 3, 2, 1, 1, 1, 5, 5, 5, 5]]


def test_a_network_with_velocity_inputs_takes_a_sequence_of_one_vector():
    vectors = some_vectors(2, 1, 4)
    assert build_dancer(VELOCITY_INPUTS).model.predict_on_batch(vectors).shape == (2, 1, 27)


def test_sigma_never_falls_below_the_floor(network):
    kernel, bias = network.mdn.mdn_sigmas.weights
    kernel.assign(np.zeros(kernel.shape, np.float32))
    bias.assign(np.full(bias.shape, -50.0, np.float32))
    mixture, _ = KerasStepModel(network).step(
        some_vectors(5, 4), KerasStepModel(network).initial_state(5)
    )
    floor = network.config.sigma_floor * network.step_scale
    assert mixture.sigma == pytest.approx(np.broadcast_to(floor, (5, 3, 4)), rel=1e-3)


def test_a_delta_network_that_predicts_zero_stays_where_it_is():
    network = build_dancer(SMALL)
    for variable in network.mdn.mdn_mus.weights:
        variable.assign(np.zeros(variable.shape, np.float32))
    model, vectors = KerasStepModel(network), some_vectors(5, 4)
    mixture, _ = model.step(vectors, model.initial_state(5))
    assert mixture.mu == pytest.approx(np.repeat(vectors[:, None], 3, axis=1))


def test_a_new_network_begins_at_the_best_linear_prediction():
    # Swinging with noise, x'' = -0.1 x: the next step is linear in the place and the last step.
    rng, noise = np.random.default_rng(0), 0.05
    places = [rng.normal(size=(200, 4)), rng.normal(size=(200, 4))]
    for _ in range(30):
        news = noise * rng.normal(size=(200, 4))
        places.append(1.9 * places[-1] - places[-2] + news)
    vectors = np.stack(places, axis=1).astype(np.float32)
    inputs, targets = vectors[:, :-1], vectors[:, 1:]
    mask = np.ones(inputs.shape[:2], np.float32)
    mask[:, :4] = 0.0
    keras.utils.set_random_seed(3)
    network = build_dancer(dataclasses.replace(VELOCITY_INPUTS, sigma_floor=0.0))
    network.set_step_scale(np.full(4, 1.5, np.float32))
    begin_linear(network, inputs, targets, mask)
    for layer in (network.mdn.mdn_mus, network.mdn.mdn_sigmas, network.mdn.mdn_pi):
        kernel = np.array(numpy_of(layer.kernel))
        kernel[: SMALL.units] = 0.0  # what the LSTM has to say
        layer.kernel.assign(kernel)
    nats = numpy_of(mixture_nats(network.model.predict_on_batch(inputs), targets, 3))
    entropy = np.log(noise) + 0.5 * np.log(2 * np.pi * np.e)
    assert nats[mask > 0].mean() == pytest.approx(entropy, abs=0.05)


def test_training_lowers_the_loss_and_keeps_the_step_scale(network):
    trainer = DancerTrainer(network)
    trainer.compile(optimizer=keras.optimizers.Adam(1e-2), jit_compile=False)
    before = network.step_scale
    vectors = np.cumsum(some_vectors(8, 7, 4), axis=1)
    batch = {
        "inputs": vectors[:, :-1],
        "targets": vectors[:, 1:],
        "mask": np.ones((8, 6), np.float32),
    }
    losses = [float(trainer.train_on_batch(batch, return_dict=True)["loss"]) for _ in range(5)]
    assert losses[-1] < losses[0]
    assert np.array_equal(network.step_scale, before)


def test_a_masked_target_has_no_influence_on_training():
    vectors, mask = some_vectors(2, 6, 4), np.ones((2, 6), np.float32)
    mask[:, :3] = 0.0
    weights = []
    for wrong in (0.0, 1e4):
        keras.utils.set_random_seed(3)
        network = build_dancer(SMALL)
        trainer = DancerTrainer(network)
        trainer.compile(optimizer=keras.optimizers.Adam(1e-2), jit_compile=False)
        targets = vectors + wrong * (1 - mask[..., None])
        trainer.train_on_batch({"inputs": vectors, "targets": targets, "mask": mask})
        weights.append(np.concatenate([value.ravel() for value in network.model.get_weights()]))
    assert np.array_equal(*weights)


def test_a_target_far_from_every_component_leaves_the_weights_finite():
    network = build_dancer(dataclasses.replace(SMALL, num_mixtures=32))
    trainer = DancerTrainer(network, jerk=1.0)
    trainer.compile(optimizer=make_optimizer(Schedule()), jit_compile=False)
    batch = shaken()
    batch["targets"] = batch["targets"] + np.float32(1e6)
    for _ in range(3):
        figures = trainer.train_on_batch(batch, return_dict=True)
    assert np.isfinite(list(figures.values())).all() and figures["loss"] > 1e6
    assert all(np.isfinite(numpy_of(weight)).all() for weight in network.model.weights)


def synthetic_motion(num_frames=626, dim=165):
    """Joints swinging each at its own pace, with a little noise: (T, D), unit variance."""
    rng = np.random.default_rng(0)
    time = np.arange(num_frames)[:, None] / 30
    pace, phase = rng.uniform(0.2, 1.0, dim), rng.uniform(0, 2 * np.pi, dim)
    path = np.sin(2 * np.pi * pace * time + phase) + 0.01 * rng.normal(size=(num_frames, dim))
    return ((path - path.mean(axis=0)) / path.std(axis=0)).astype(np.float32)


def recorded_dance():
    """A recorded dance of 55 joints as its codec gives it: (T, D)."""
    clip = read_skeleton(shared("dance.npy"))
    clip = clip.cut(max((run for run, _ in clip.good_runs()), key=len))
    return SkeletonCodec.fit([clip]).encode(clip.positions)


@pytest.mark.compiled
@pytest.mark.parametrize("motion", [synthetic_motion, recorded_dance])
def test_half_a_minute_of_a_whole_skeleton_trains_thirty_two_components(motion, record_property):
    vectors, look_back = motion(), 16
    assert 500 <= len(vectors) <= 626 and vectors.shape[1] >= 150
    config = DancerConfig(
        dim=vectors.shape[1], units=48, num_mixtures=32, velocity_inputs=2, look_back=look_back
    )
    keras.utils.set_random_seed(3)
    network = build_dancer(config)
    step_scale = fit_step_scale(vectors, [range(len(vectors))])
    network.set_step_scale(step_scale)
    windows = np.stack(
        [vectors[start : start + look_back + 1] for start in range(0, len(vectors) - look_back, 8)]
    )
    mask = np.tile(np.arange(look_back) >= 8, (len(windows), 1)).astype(np.float32)
    inputs, targets = windows[:, :-1], windows[:, 1:]
    begin_linear(network, inputs, targets, mask)
    trainer = DancerTrainer(network, jerk=0.01)
    options, num_steps = Schedule(warm_up_steps=10), 30
    trainer.compile(optimizer=make_optimizer(options), jit_compile=False)
    rng = np.random.default_rng(0)
    losses = []
    for step in range(num_steps):
        trainer.optimizer.learning_rate = options.rate(step, num_steps)
        rows = rng.choice(len(windows), 8, replace=False)
        batch = {"inputs": inputs[rows], "targets": targets[rows], "mask": mask[rows]}
        figures = trainer.train_on_batch(batch, return_dict=True)
        assert np.isfinite(list(figures.values())).all()
        assert np.isfinite(numpy_of(trainer.optimizer.gradient_norm))
        losses.append(figures["loss"])
    everything = [range(len(vectors))]
    assert min(losses) < losses[0]
    assert losses[-1] < baselines(vectors, everything, everything)["repeat"]
    params = network.model.predict_on_batch(inputs[::8])
    logits, mu, sigma = (numpy_of(part) for part in split_params(params, config.dim, 32))
    assert np.isfinite(mu).all() and (sigma >= 0.999 * config.sigma_floor * step_scale).all()
    # Nothing has collapsed: more than one component is likely in a usual frame.
    nats = entropy(logits.reshape(-1, 32))
    record_property("entropy_in_nats", float(nats.mean()))
    assert nats.mean() > np.log(2)


def test_weights_are_saved_and_loaded_with_the_step_scale(network, tmp_path):
    path = tmp_path / "dancer.weights.h5"
    save_weights(network.model, path)
    loaded = load_dancer(network.config, path)
    vectors = some_vectors(2, 5, 4)
    assert np.array_equal(loaded.step_scale, network.step_scale)
    assert np.array_equal(
        loaded.model.predict_on_batch(vectors), network.model.predict_on_batch(vectors)
    )


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "dancer.weights.h5"
    with pytest.raises(UserError, match="no dancer weights"):
        load_dancer(SMALL, path)
    save_weights(build_dancer(SMALL).model, path)
    with pytest.raises(UserError, match="2 x 9 units"):
        load_dancer(dataclasses.replace(SMALL, units=9), path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="does not hold the weights"):
        load_dancer(SMALL, path)


def test_the_same_seed_gives_the_same_dance(network):
    seed = some_vectors(2, 5, 4)

    def dance():
        rngs = np.random.default_rng(1).spawn(2)
        return np.stack(list(generate(KerasStepModel(network), seed, 10, rngs)))

    first = dance()
    assert first.shape == (10, 2, 4) and np.isfinite(first).all()
    assert np.array_equal(first, dance())


def make_styled(config):
    """Builds a network with styles, every weight drawn, so that they all count."""
    rng = np.random.default_rng(5)
    network = build_dancer(config)
    for weight in network.model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape) * 0.3)
    network.set_step_scale(np.array([0.1, 0.5, 1.0, 2.0], np.float32))
    return network


@pytest.fixture(params=list(STYLED))
def styled(request):
    return make_styled(STYLED[request.param])


def test_the_first_layer_and_the_head_take_the_style(styled):
    seen = 4 * (1 + styled.config.velocity_inputs)
    above = styled.config.dense_units or styled.config.units
    beside = 3 + (seen if styled.config.velocity_inputs else 0)
    assert styled.lstms[0].cell.kernel.shape[0] == seen + 3
    assert styled.lstms[1].cell.kernel.shape[0] == styled.config.units
    assert styled.mdn.mdn_mus.kernel.shape[0] == above + beside


def test_with_styles_the_whole_sequence_and_step_by_step_are_the_same(styled):
    # One style each, a blend, and none.
    style = np.array([[1, 0, 0], [0, 1, 0], [0.2, 0.3, 0.5], [0, 0, 0]], np.float32)
    vectors, model = some_vectors(4, 7, 4), KerasStepModel(styled)
    state = model.initial_state(4, style)
    whole = styled.model.predict_on_batch([vectors, style])
    for index in range(7):
        if not styled.config.keeps_state:
            whole = styled.model.predict_on_batch([vectors[:, index : index + 1], style])
        mixture, state = model.step(vectors[:, index], state)
        at = index if styled.config.keeps_state else 0
        for received, part in zip(mixture, split_params(whole[:, at], 4, 3)):
            assert received == pytest.approx(numpy_of(part), abs=1e-5)
        assert np.array_equal(state[-1], style)
    assert len(state) == len(styled.config.state_widths)


def test_two_styles_are_two_dances_and_a_blend_is_a_third(styled):
    seed = np.repeat(some_vectors(1, 5, 4), 4, axis=0)
    style = np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0], [0, 0, 0]], np.float32)
    rngs = [np.random.default_rng(1) for _ in range(4)]
    made = generate(KerasStepModel(styled), seed, 8, rngs, temperature=0.0, style=style)
    dances = np.stack(list(made), axis=1)
    for one in range(4):
        for other in range(one):
            assert np.abs(dances[one] - dances[other]).max() > 1e-2


def test_a_style_of_zero_is_a_network_that_does_not_see_styles(styled):
    plain = build_dancer(dataclasses.replace(styled.config, styles=()))
    for one, other in zip(plain.model.weights, styled.model.weights, strict=True):
        # What the style is multiplied with is the last rows of a kernel.
        one.assign(numpy_of(other)[: one.shape[0]])
    seed = some_vectors(1, 5, 4)

    def dance(network, style=None):
        rngs = [np.random.default_rng(1)]
        return np.stack(list(generate(KerasStepModel(network), seed, 8, rngs, style=style)))

    expected = dance(plain)
    assert dance(styled) == pytest.approx(expected, abs=1e-4)
    assert dance(styled, np.zeros(3)) == pytest.approx(expected, abs=1e-4)
    assert np.abs(dance(styled, np.array([0, 0, 1])) - expected).max() > 1e-2


@pytest.mark.compiled
def test_training_with_styles_requires_them_and_learns_their_difference():
    # The same vector is followed by one step in a style and by the other in the other.
    keras.utils.set_random_seed(3)
    network = build_dancer(dataclasses.replace(SMALL, styles=("up", "down")))
    trainer = DancerTrainer(network)
    trainer.compile(optimizer=keras.optimizers.Adam(3e-2), jit_compile=False)
    inputs = np.zeros((8, 6, 4), np.float32)
    style = np.tile(np.eye(2, dtype=np.float32), (4, 1))
    ways = np.where(style[:, 0] > 0, 1.0, -1.0).astype(np.float32)
    batch = {
        "inputs": inputs,
        "targets": inputs + ways[:, None, None],
        "mask": np.ones((8, 6), np.float32),
    }
    with pytest.raises(ValueError, match="needs the `style`"):
        trainer.nats(batch)
    batch["style"] = style
    for _ in range(60):
        trainer.train_on_batch(batch)
    model = KerasStepModel(network)
    found = [
        list(generate(model, inputs[:1, :2], 1, [np.random.default_rng(0)], 0.0, style=weights))[0]
        for weights in np.eye(2)
    ]
    assert found[0] == pytest.approx(np.ones((1, 4)), abs=0.2)
    assert found[1] == pytest.approx(-np.ones((1, 4)), abs=0.2)
    # The loss of what it was trained on is below that of the styles exchanged.
    assert trainer.nats(batch).mean() < trainer.nats({**batch, "style": style[:, ::-1]}).mean()


def test_a_new_network_begins_at_the_line_of_each_style():
    rng = np.random.default_rng(0)
    style = np.eye(2, dtype=np.float32)[rng.integers(0, 2, 300)]
    pushes = style @ np.array([[0.5, 0, 0, -1], [-0.5, 0.2, 0, 1]])
    noise = 0.05 * rng.normal(size=(300, 12, 4))
    vectors = np.cumsum(pushes[:, None] + noise, axis=1).astype(np.float32)
    inputs, targets = vectors[:, :-1], vectors[:, 1:]
    mask = np.ones(inputs.shape[:2], np.float32)
    keras.utils.set_random_seed(3)
    network = build_dancer(dataclasses.replace(VELOCITY_INPUTS, styles=("a", "b"), sigma_floor=0.0))
    with pytest.raises(ValueError, match="needs the `style`"):
        begin_linear(network, inputs, targets, mask)
    begin_linear(network, inputs, targets, mask, style=style)
    for layer in (network.mdn.mdn_mus, network.mdn.mdn_sigmas, network.mdn.mdn_pi):
        kernel = np.array(numpy_of(layer.kernel))
        kernel[: SMALL.units] = 0.0  # what the LSTM has to say
        layer.kernel.assign(kernel)
    params = network.model.predict_on_batch([inputs, style])
    nats = numpy_of(mixture_nats(params, targets, 3))
    entropy = np.log(0.05) + 0.5 * np.log(2 * np.pi * np.e)
    assert nats[:, 3:].mean() == pytest.approx(entropy, abs=0.05)


REGRESSIONS = {
    "step": dataclasses.replace(SMALL, num_mixtures=1, head="mse"),
    "steps seen": dataclasses.replace(VELOCITY_INPUTS, num_mixtures=1, head="mse"),
    "place": dataclasses.replace(SMALL, num_mixtures=1, head="mse", predict="absolute"),
    "place, steps seen": dataclasses.replace(
        VELOCITY_INPUTS, num_mixtures=1, head="mse", predict="absolute"
    ),
}


@pytest.fixture(params=list(REGRESSIONS))
def regression(request):
    keras.utils.set_random_seed(3)
    network = build_dancer(REGRESSIONS[request.param])
    network.set_step_scale(np.array([0.1, 0.5, 1.0, 2.0], np.float32))
    return network


def walks(count, length, seed=0):
    vectors = np.cumsum(some_vectors(count, length, 4, seed=seed), axis=1)
    mask = np.ones((count, length - 1), np.float32)
    mask[:, 0] = 0.0
    return {"inputs": vectors[:, :-1], "targets": vectors[:, 1:], "mask": mask}


def test_the_square_error_is_in_rms_steps():
    # Off by 0.2, 0.5, 3 and 0 where a step is 0.1, 0.5, 1 and 2: (4 + 1 + 9 + 0) / 4.
    targets = np.array([[1.2, 1.5, 4.0, 1.0]], np.float32)
    params = np.concatenate([np.ones(4), np.full(4, 7.0), [3.0]]).astype(np.float32)[None]
    scale = np.array([0.1, 0.5, 1.0, 2.0], np.float32)
    assert numpy_of(squared_errors(params, targets, scale)) == pytest.approx([3.5], rel=1e-5)
    assert numpy_of(squared_errors(params, targets, 1.0)) == pytest.approx([9.29 / 4 + 0.0], 1e-5)


def test_a_regression_is_trained_on_its_square_error(regression):
    trainer = DancerTrainer(regression)
    trainer.compile(optimizer=keras.optimizers.Adam(1e-2), jit_compile=False)
    batch = walks(8, 7)
    mu = numpy_of(regression.model.predict_on_batch(batch["inputs"]))[..., :4]
    expected = np.square((batch["targets"] - mu) / regression.step_scale).mean(axis=-1)
    assert trainer.losses(batch) == pytest.approx(expected, rel=1e-4)
    reported = trainer.train_on_batch(batch, return_dict=True)["loss"]
    assert float(reported) == pytest.approx(expected[batch["mask"] > 0].mean(), rel=1e-4)
    losses = [float(trainer.train_on_batch(batch, return_dict=True)["loss"]) for _ in range(5)]
    assert losses[-1] < losses[0]


def test_training_a_regression_does_not_change_its_sigma(regression):
    head = regression.mdn
    frozen = [*head.mdn_sigmas.weights, *head.mdn_pi.weights]
    before = [numpy_of(weight).copy() for weight in frozen]
    trainer = DancerTrainer(regression)
    trainer.compile(optimizer=keras.optimizers.Adam(1e-2), jit_compile=False)
    for _ in range(3):
        trainer.train_on_batch(walks(8, 7))
    assert all(np.array_equal(numpy_of(one), two) for one, two in zip(frozen, before))
    assert not numpy_of(head.mdn_sigmas.kernel).any() and not numpy_of(head.mdn_pi.kernel).any()


def test_the_sigma_of_a_regression_is_its_rms_error_for_every_input(regression):
    batch = walks(50, 12)
    trainer = DancerTrainer(regression)
    trainer.fit_residual_sigma(
        [
            {name: value[:20] for name, value in batch.items()},
            {name: value[20:] for name, value in batch.items()},
        ]
    )
    parts = split_params(regression.model.predict_on_batch(batch["inputs"]), 4, 1)
    pi_logits, mu, sigma = (numpy_of(part) for part in parts)
    assert pi_logits.shape == (50, 11, 1) and mu.shape == sigma.shape == (50, 11, 1, 4)
    errors = (batch["targets"] - mu[:, :, 0])[batch["mask"] > 0]
    deviation = np.sqrt(np.square(errors).mean(axis=0))
    assert sigma == pytest.approx(np.broadcast_to(deviation, sigma.shape), rel=1e-4)
    # The mean of z^2 is then 1, and the loss the entropy of those Gaussians.
    expected = np.mean(np.log(deviation)) + 0.5 * np.log(2 * np.pi * np.e)
    assert trainer.nats(batch)[batch["mask"] > 0].mean() == pytest.approx(expected, rel=1e-4)


def test_no_other_sigma_gives_a_regression_a_higher_likelihood(regression):
    batch, trainer = walks(20, 12), DancerTrainer(regression)
    trainer.fit_residual_sigma([batch])
    best = trainer.nats(batch)[batch["mask"] > 0].mean()
    mu = split_params(regression.model.predict_on_batch(batch["inputs"]), 4, 1)[1]
    errors = (batch["targets"] - numpy_of(mu)[:, :, 0])[batch["mask"] > 0]
    deviation = np.sqrt(np.square(errors).mean(axis=0))
    for factor in (0.9, 1.1):
        regression.set_residual_sigma(deviation * factor)
        assert trainer.nats(batch)[batch["mask"] > 0].mean() > best + 1e-3


def test_at_temperature_0_a_regression_dances_its_means(regression):
    model, seed = KerasStepModel(regression), some_vectors(1, 5, 4)
    regression.set_residual_sigma(np.full(4, 0.5))
    made = list(generate(model, seed, 6, [np.random.default_rng(0)], temperature=0.0))
    state = model.initial_state(1)
    for known in np.moveaxis(seed, 1, 0):
        mixture, state = model.step(known, state)
    for vectors in made:
        assert np.array_equal(vectors, mixture.mu[:, 0])
        mixture, state = model.step(vectors, state)
    other = list(generate(model, seed, 6, [np.random.default_rng(0)], temperature=1.0))
    assert np.abs(np.stack(other) - np.stack(made)).max() > 0.1


def test_a_regression_is_saved_with_its_sigma(regression, tmp_path):
    regression.set_residual_sigma(np.array([0.2, 0.4, 0.6, 0.8]))
    path = tmp_path / "dancer.weights.h5"
    save_weights(regression.model, path)
    loaded = KerasStepModel(load_dancer(regression.config, path))
    mixture, _ = loaded.step(some_vectors(2, 4), loaded.initial_state(2))
    assert mixture.sigma == pytest.approx(np.tile([[[0.2, 0.4, 0.6, 0.8]]], (2, 1, 1)), rel=1e-4)


def test_sigma_is_never_below_the_floor_of_a_regression_that_makes_no_errors():
    network = build_dancer(REGRESSIONS["place"])
    network.set_residual_sigma(np.zeros(4))
    model = KerasStepModel(network)
    mixture, _ = model.step(some_vectors(1, 4), model.initial_state(1))
    assert mixture.sigma == pytest.approx(0.05 + 0.001, rel=1e-3)


def test_sigma_can_be_set_for_a_regression_only(network):
    with pytest.raises(ValueError, match="only the sigma of the head 'mse' is set"):
        network.set_residual_sigma(np.ones(4))


def test_a_plain_regression_has_three_layers_and_dropout_by_default():
    config = DancerOptions(head="mse").config(60)
    assert (config.head, config.layers, config.units, config.dropout) == ("mse", 3, 512, 0.2)
    assert (config.num_mixtures, config.velocity_inputs, config.dense_units) == (1, 0, 0)
    asked = DancerOptions(head="mse", layers=1, velocity_inputs=2, units=64).config(60)
    assert (asked.head, asked.layers, asked.velocity_inputs, asked.units) == ("mse", 1, 2, 64)
    with pytest.raises(UserError, match="has one Gaussian; received 5"):
        DancerOptions(head="mse", num_mixtures=5).config(60)
    assert DancerOptions(network="dancenet", head="mse").config(60).dense_units == 1000


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_it_trains_on_the_other_backends(backend):
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    program = """
import numpy as np, keras
from dancenet.model.config import DancerConfig
from dancenet.nets.dancer import build_dancer
from dancenet.nets.dancer_trainer import DancerTrainer
from dancenet.nets.training.loop import Schedule, jit_compile, make_optimizer
network = build_dancer(DancerConfig(dim=4, units=8, layers=1, num_mixtures=2))
trainer = DancerTrainer(network, jerk=0.1)
optimizer = make_optimizer(Schedule(learning_rate=1e-2))
trainer.compile(optimizer=optimizer, jit_compile=jit_compile())
x = np.random.default_rng(0).normal(size=(4, 6, 4)).astype('float32')
batch = {'inputs': x[:, :-1], 'targets': x[:, 1:], 'mask': np.ones((4, 5), 'float32')}
steps = [trainer.train_on_batch(batch, return_dict=True) for _ in range(8)]
losses = [float(step['objective']) for step in steps]
assert losses[-1] < losses[0], losses
assert abs(steps[0]['loss'] + 0.1 * steps[0]['jerk'] - losses[0]) < 1e-4, steps[0]
norm = float(keras.ops.convert_to_numpy(trainer.optimizer.gradient_norm))
assert np.isfinite(norm) and norm > 0, norm
assert np.isfinite(trainer.nats(batch)).all()
"""
    environment = {**os.environ, "KERAS_BACKEND": backend}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]

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

from dancenet.config import DancerConfig  # noqa: E402
from dancenet.errors import UserError  # noqa: E402
from dancenet.nets.dancer import (  # noqa: E402
    DancerTrainer,
    KerasStepModel,
    begin_linear,
    build_dancer,
    hard_sigmoid_2018,
    load_dancer,
    masked_mean,
    mixture_nats,
    split_params,
    squared_errors,
)
from dancenet.nets.train import save_weights  # noqa: E402
from dancenet.nets.train_dancer import DancerOptions  # noqa: E402
from dancenet.sequence.generate import generate  # noqa: E402
from dancenet.sequence.mixture import Mixture, log_likelihood  # noqa: E402

SMALL = DancerConfig(dim=4, units=8, layers=2, num_mixtures=3, look_back=6)
STEPS_SEEN = dataclasses.replace(SMALL, steps_seen=2)
PLACES = dataclasses.replace(
    SMALL, network="dancenet", predict="place", dense_units=10, dropout=0.4,
    recurrent_activation="hard_sigmoid_2018", sigma_floor=0.01,
)


FORGETFUL = dataclasses.replace(PLACES, look_back=1)
STYLES = ("ballet", "house", "salsa")
STYLED = {
    "steps seen": dataclasses.replace(STEPS_SEEN, styles=STYLES),
    "vector alone": dataclasses.replace(SMALL, styles=STYLES),
    "2018, sequences": dataclasses.replace(PLACES, styles=STYLES),
    "2018": dataclasses.replace(FORGETFUL, styles=STYLES),
}


@pytest.fixture(params=[SMALL, STEPS_SEEN, PLACES], ids=["step", "steps seen", "place"])
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


def test_the_loss_is_that_of_keras_mdn_layer_over_the_dimensions():
    params = random_params(64, dim=6, num_mixtures=4)
    targets = some_vectors(64, 6, seed=1)
    oracle = keras_mdn_layer.get_mixture_loss_func(6, 4)(targets, params)
    nats = numpy_of(mixture_nats(params, targets, 4))
    assert nats.mean() == pytest.approx(float(numpy_of(oracle)) / 6, rel=1e-5)


def test_the_loss_is_the_density_that_dances_are_drawn_from():
    params = random_params(10, 7, dim=3, num_mixtures=5)
    targets = some_vectors(10, 7, 3, seed=1)
    parts = (numpy_of(part).reshape(70, *part.shape[2:]) for part in split_params(params, 3, 5))
    expected = -log_likelihood(Mixture(*parts), targets.reshape(70, 3)) / 3
    assert numpy_of(mixture_nats(params, targets, 5)).ravel() == pytest.approx(expected, rel=1e-4)


def test_the_loss_is_that_of_scikit_learn():
    mixture_of_sklearn = pytest.importorskip("sklearn.mixture").GaussianMixture
    targets = some_vectors(300, 4)
    fitted = mixture_of_sklearn(3, covariance_type="diag", random_state=0).fit(targets)
    params = np.concatenate([
        fitted.means_.ravel(), np.sqrt(fitted.covariances_).ravel(), np.log(fitted.weights_)
    ]).astype(np.float32)
    nats = numpy_of(mixture_nats(np.tile(params, (300, 1)), targets, 3))
    assert nats * 4 == pytest.approx(-fitted.score_samples(targets), rel=1e-4)


def test_the_loss_is_finite_where_every_density_underflows():
    params = random_params(1, dim=64, num_mixtures=3)
    targets = np.full((1, 64), 1e3, np.float32)
    nats = numpy_of(mixture_nats(params, targets, 3))
    assert np.isfinite(nats).all() and nats[0] > 1e4


def test_only_what_the_mask_keeps_counts():
    values = np.array([[1.0, 2.0, 100.0], [3.0, 100.0, 100.0]], np.float32)
    mask = np.array([[1, 1, 0], [1, 0, 0]], np.float32)
    assert float(numpy_of(masked_mean(values, mask))) == pytest.approx(2.0)
    assert float(numpy_of(masked_mean(values, 0 * mask))) == 0.0


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
    for trained, other in ((FORGETFUL, PLACES), (PLACES, FORGETFUL)):
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
        network = build_dancer(dataclasses.replace(PLACES, look_back=look_back))
        before = [numpy_of(lstm.cell.recurrent_kernel).copy() for lstm in network.lstms]
        trainer = DancerTrainer(network)
        trainer.compile(optimizer=keras.optimizers.Adam(1e-2), jit_compile=False)
        vectors = some_vectors(8, look_back + 1, 4)
        mask = np.ones((8, look_back), np.float32)
        trainer.train_on_batch(
            {"inputs": vectors[:, :-1], "targets": vectors[:, 1:], "mask": mask}
        )
        after = [numpy_of(lstm.cell.recurrent_kernel) for lstm in network.lstms]
        return [np.array_equal(*pair) for pair in zip(before, after)]

    assert all(kernels(1)) and not any(kernels(6))


def test_more_steps_than_a_window_has_cannot_be_shown():
    with pytest.raises(UserError, match="looks back 1 vectors can be shown at most 0 steps; rec"):
        DancerOptions(look_back=1, steps_seen=1).config(4)
    assert DancerOptions(look_back=1).config(4).steps_seen == 0
    assert DancerOptions(look_back=2).config(4).steps_seen == 1


def test_the_network_is_shown_the_last_steps_in_usual_steps_and_cut_off():
    network = build_dancer(STEPS_SEEN)
    network.set_step_scale(np.array([0.5, 1.0, 1.0, 1.0], np.float32))
    places = [np.full((1, 4), value, np.float32) for value in (3.0, 2.0, -9.0)]
    seen = numpy_of(network.motion(places))
    assert seen.tolist() == [[3, 3, 3, 3, 2, 1, 1, 1, 5, 5, 5, 5]]


def test_a_sequence_of_one_vector_can_be_shown_no_steps_but_is_no_error():
    vectors = some_vectors(2, 1, 4)
    assert build_dancer(STEPS_SEEN).model.predict_on_batch(vectors).shape == (2, 1, 27)


def test_sigma_never_falls_below_the_floor(network):
    kernel, bias = network.mdn.mdn_sigmas.weights
    kernel.assign(np.zeros(kernel.shape, np.float32))
    bias.assign(np.full(bias.shape, -50.0, np.float32))
    mixture, _ = KerasStepModel(network).step(
        some_vectors(5, 4), KerasStepModel(network).initial_state(5)
    )
    floor = network.config.sigma_floor * network.step_scale
    assert mixture.sigma == pytest.approx(np.broadcast_to(floor, (5, 3, 4)), rel=1e-3)


def test_a_network_that_predicts_steps_and_says_zero_stays_where_it_is():
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
    network = build_dancer(dataclasses.replace(STEPS_SEEN, sigma_floor=0.0))
    network.set_step_scale(np.full(4, 1.5, np.float32))
    begin_linear(network, inputs, targets, mask)
    for layer in (network.mdn.mdn_mus, network.mdn.mdn_sigmas, network.mdn.mdn_pi):
        kernel = np.array(numpy_of(layer.kernel))
        kernel[: SMALL.units] = 0.0  # what the LSTM has to say
        layer.kernel.assign(kernel)
    nats = numpy_of(mixture_nats(network.model.predict_on_batch(inputs), targets, 3))
    entropy = np.log(noise) + 0.5 * np.log(2 * np.pi * np.e)
    assert nats[mask > 0].mean() == pytest.approx(entropy, abs=0.05)


def test_training_leaves_the_step_scale_alone_and_lowers_the_loss(network):
    trainer = DancerTrainer(network)
    trainer.compile(optimizer=keras.optimizers.Adam(1e-2), jit_compile=False)
    before = network.step_scale
    vectors = np.cumsum(some_vectors(8, 7, 4), axis=1)
    batch = {
        "inputs": vectors[:, :-1], "targets": vectors[:, 1:], "mask": np.ones((8, 6), np.float32)
    }
    losses = [float(trainer.train_on_batch(batch, return_dict=True)["loss"]) for _ in range(20)]
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


def test_it_dances_the_same_dance_with_the_same_seed(network):
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


def test_the_first_layer_and_the_head_see_the_style(styled):
    seen = 4 * (1 + styled.config.steps_seen)
    above = styled.config.dense_units or styled.config.units
    beside = 3 + (seen if styled.config.steps_seen else 0)
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


def test_training_with_styles_needs_them_and_learns_what_they_say():
    # The same vector is followed by one step in a style and by the other in the other.
    keras.utils.set_random_seed(3)
    network = build_dancer(dataclasses.replace(SMALL, styles=("up", "down")))
    trainer = DancerTrainer(network)
    trainer.compile(optimizer=keras.optimizers.Adam(3e-2), jit_compile=False)
    inputs = np.zeros((8, 6, 4), np.float32)
    style = np.tile(np.eye(2, dtype=np.float32), (4, 1))
    ways = np.where(style[:, 0] > 0, 1.0, -1.0).astype(np.float32)
    batch = {
        "inputs": inputs, "targets": inputs + ways[:, None, None],
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
    network = build_dancer(dataclasses.replace(STEPS_SEEN, styles=("a", "b"), sigma_floor=0.0))
    with pytest.raises(ValueError, match="needs the `style`"):
        begin_linear(network, inputs, targets, mask)
    begin_linear(network, inputs, targets, mask, style)
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
    "steps seen": dataclasses.replace(STEPS_SEEN, num_mixtures=1, head="mse"),
    "place": dataclasses.replace(SMALL, num_mixtures=1, head="mse", predict="place"),
    "place, steps seen": dataclasses.replace(
        STEPS_SEEN, num_mixtures=1, head="mse", predict="place"
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


def test_the_square_error_is_in_usual_steps():
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
    losses = [float(trainer.train_on_batch(batch, return_dict=True)["loss"]) for _ in range(20)]
    assert losses[-1] < losses[0]


def test_training_a_regression_leaves_its_sigma_to_be_set(regression):
    head = regression.mdn
    frozen = [*head.mdn_sigmas.weights, *head.mdn_pi.weights]
    before = [numpy_of(weight).copy() for weight in frozen]
    trainer = DancerTrainer(regression)
    trainer.compile(optimizer=keras.optimizers.Adam(1e-2), jit_compile=False)
    for _ in range(3):
        trainer.train_on_batch(walks(8, 7))
    assert all(np.array_equal(numpy_of(one), two) for one, two in zip(frozen, before))
    assert not numpy_of(head.mdn_sigmas.kernel).any() and not numpy_of(head.mdn_pi.kernel).any()


def test_the_sigma_of_a_regression_is_the_size_of_its_errors_whatever_it_sees(regression):
    batch = walks(50, 12)
    trainer = DancerTrainer(regression)
    trainer.fit_residual_sigma([{name: value[:20] for name, value in batch.items()},
                                {name: value[20:] for name, value in batch.items()}])
    parts = split_params(regression.model.predict_on_batch(batch["inputs"]), 4, 1)
    pi_logits, mu, sigma = (numpy_of(part) for part in parts)
    assert pi_logits.shape == (50, 11, 1) and mu.shape == sigma.shape == (50, 11, 1, 4)
    errors = (batch["targets"] - mu[:, :, 0])[batch["mask"] > 0]
    deviation = np.sqrt(np.square(errors).mean(axis=0))
    assert sigma == pytest.approx(np.broadcast_to(deviation, sigma.shape), rel=1e-4)
    # The mean of z^2 is then 1, and the loss the entropy of those Gaussians.
    expected = np.mean(np.log(deviation)) + 0.5 * np.log(2 * np.pi * np.e)
    assert trainer.nats(batch)[batch["mask"] > 0].mean() == pytest.approx(expected, rel=1e-4)


def test_no_other_sigma_makes_what_a_regression_saw_likelier(regression):
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


def test_only_a_regression_has_its_sigma_set(network):
    with pytest.raises(ValueError, match="only the head 'mse' has it set"):
        network.set_residual_sigma(np.ones(4))


def test_the_plain_regression_has_three_layers_and_dropout_unless_asked_for_others():
    config = DancerOptions(head="mse").config(60)
    assert (config.head, config.layers, config.units, config.dropout) == ("mse", 3, 512, 0.2)
    assert (config.num_mixtures, config.steps_seen, config.dense_units) == (1, 0, 0)
    asked = DancerOptions(head="mse", layers=1, steps_seen=2, units=64).config(60)
    assert (asked.head, asked.layers, asked.steps_seen, asked.units) == ("mse", 1, 2, 64)
    with pytest.raises(UserError, match="has one Gaussian; received 5"):
        DancerOptions(head="mse", num_mixtures=5).config(60)
    assert DancerOptions(network="dancenet", head="mse").config(60).dense_units == 1000


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_it_trains_on_the_other_backends(backend):
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    program = """
import numpy as np, keras
from dancenet.config import DancerConfig
from dancenet.nets.dancer import DancerTrainer, build_dancer
network = build_dancer(DancerConfig(dim=4, units=8, layers=1, num_mixtures=2))
trainer = DancerTrainer(network)
trainer.compile(optimizer=keras.optimizers.Adam(1e-2))
x = np.random.default_rng(0).normal(size=(4, 6, 4)).astype('float32')
batch = {'inputs': x[:, :-1], 'targets': x[:, 1:], 'mask': np.ones((4, 5), 'float32')}
losses = [float(trainer.train_on_batch(batch, return_dict=True)['loss']) for _ in range(8)]
assert losses[-1] < losses[0], losses
"""
    environment = {**os.environ, "KERAS_BACKEND": backend}
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]

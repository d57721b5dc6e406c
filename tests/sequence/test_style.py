"""What style is asked for, and a style exaggerated on a network whose answer to it is known."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.sequence.generate import generate
from dancenet.sequence.mixture import Mixture
from dancenet.sequence.style import StyleGuided, split_style, style_text
from dancenet.support.errors import UserError


class Walker:
    """Walks by the style it is told, and faster by a tenth for every step it has taken."""

    dim = 2

    def initial_state(self, batch, style=None):
        told = np.zeros((batch, 2), np.float32)
        if style is not None:
            told[:] = style
        return np.zeros((batch, 1), np.float32), told

    def step(self, vectors, state):
        taken, told = state
        mu = (vectors + told * (1 + 0.1 * taken))[:, None].repeat(2, axis=1)
        logits = np.concatenate([told[:, :1], np.zeros_like(told[:, :1])], axis=1)
        return Mixture(logits, mu, np.full_like(mu, 0.5)), (taken + 1, told)


STYLE = np.array([[1.0, 0.0], [0.0, 3.0]], np.float32)


def walk(strength, frames=5):
    rngs = np.random.default_rng(0).spawn(2)
    model = Walker() if strength is None else StyleGuided(Walker(), strength)
    seed = np.zeros((2, 3, 2), np.float32)
    return np.stack(list(generate(model, seed, frames, rngs, 0.0, style=STYLE)))


def test_a_strength_of_one_is_the_network_as_it_is():
    np.testing.assert_allclose(walk(1.0), walk(None), rtol=1e-6)


def test_a_strength_of_two_goes_twice_as_far_from_what_it_does_without_a_style():
    np.testing.assert_allclose(walk(2.0), 2 * walk(None), rtol=1e-6)


def test_a_strength_of_zero_forgets_the_style():
    np.testing.assert_array_equal(walk(0.0), np.zeros((5, 2, 2)))


def test_logits_are_exaggerated_and_sigmas_are_not():
    model = StyleGuided(Walker(), 3.0)
    mixture, _ = model.step(np.zeros((2, 2), np.float32), model.initial_state(2, STYLE))
    np.testing.assert_allclose(mixture.pi_logits, [[3, 0], [0, 0]])
    np.testing.assert_array_equal(mixture.sigma, np.full((2, 2, 2), 0.5))


def test_without_a_style_nothing_is_exaggerated():
    model = StyleGuided(Walker(), 5.0)
    vectors = np.ones((2, 2), np.float32)
    mixture, _ = model.step(vectors, model.initial_state(2))
    np.testing.assert_array_equal(mixture.mu, np.ones((2, 2, 2)))


@pytest.mark.parametrize("strength", [-1.0, np.inf, np.nan])
def test_a_strength_that_cannot_be_is_refused(strength):
    with pytest.raises(ValueError, match="0 or more and finite"):
        StyleGuided(Walker(), strength)


ODD = (
    "salsa, cubana",
    "rock:roll",
    '7" single',
    '"',
    " ,",
    "a:0.5,b:0.5",
    "2",
    "ça va",
    "💃",
    "b:",
)


@pytest.mark.parametrize(
    "text, weights",
    [
        ("salsa", {"salsa": 1}),
        (" slow waltz ", {"slow waltz": 1}),
        ("salsa:0.7,modern:0.3", {"salsa": 0.7, "modern": 0.3}),
        ("salsa : 3 , modern", {"salsa": 0.75, "modern": 0.25}),
        ("salsa:1,modern:0", {"salsa": 1, "modern": 0}),
        ('"salsa, cubana":3,modern', {"salsa, cubana": 0.75, "modern": 0.25}),
        ('"say ""hey"":"', {'say "hey":': 1}),
        ('7" single:1', {'7" single': 1}),
    ],
)
def test_a_style_is_a_name_or_a_blend(text, weights):
    assert split_style(text) == pytest.approx(weights)


@pytest.mark.parametrize("name", ODD)
def test_every_style_can_be_asked_for_alone_and_in_a_blend(name):
    known = [*ODD, "modern"]
    assert split_style(name, known) == {name: 1}
    blend = split_style(f"{style_text(name)}:3,modern", known)
    assert blend == pytest.approx({name: 0.75, "modern": 0.25})


def test_a_known_name_is_taken_as_it_is_before_a_blend():
    assert split_style("a,b", ["a", "b", "a,b"]) == {"a,b": 1}
    assert split_style('"a","b"', ["a", "b", "a,b"]) == {"a": 0.5, "b": 0.5}


def test_names_are_compared_as_they_look():
    assert split_style("cafe\u0301", ["caf\u00e9"]) == {"caf\u00e9": 1}
    assert split_style("caf\u00e9:1", ["cafe\u0301"]) == {"cafe\u0301": 1}


def test_names_with_spaces_at_their_ends_are_found():
    assert split_style("salsa", [" salsa "]) == {" salsa ": 1}


@pytest.mark.parametrize(
    "text",
    ["", " ", ",", "salsa,", ",salsa", "a:b", "a:", "a:nan", "a:-1", "a,a", '"a', '"a"b', ":1"],
)
def test_other_texts_are_refused(text):
    with pytest.raises(UserError, match="such as salsa:0.7,modern:0.3; received"):
        split_style(text)

"""What a dance is asked for, before a model is there."""

from __future__ import annotations

import pytest

from dancenet.generation.settings import DanceSettings, split_style, style_text
from dancenet.support.errors import UserError

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


def test_an_empty_style_is_refused_before_a_model_is_loaded():
    with pytest.raises(UserError, match="empty style"):
        DanceSettings(style=" ")

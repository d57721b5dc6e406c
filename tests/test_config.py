"""Configurations round-trip, and an unknown key is an error that names it."""

from __future__ import annotations

import json

import pytest

from dancenet.config import DancerConfig, ModelConfig, VaeConfig
from dancenet.errors import UserError

WHOLE = ModelConfig(
    "salsa", 25.0, vae=VaeConfig("dancenet"), dancer=DancerConfig(dim=40), training={"a": 1}
)


@pytest.mark.parametrize("config", [WHOLE, ModelConfig("begun")])
def test_a_configuration_round_trips_through_json(config):
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    "path, value, message",
    [
        (("colour",), 1, "colour"),
        (("vae", "depth"), 1, "depth"),
        (("format",), 2, "format 2"),
        (("fps",), "thirty", "fps is 'thirty'"),
        (("vae", "latent_dim"), True, "latent_dim is True"),
        (("vae", "network"), "huge", "one of lean, dancenet"),
        (("vae",), 3, "vae is 3"),
    ],
)
def test_what_does_not_fit_is_named(path, value, message):
    content = WHOLE.to_json()
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(UserError, match=message):
        ModelConfig.from_json(content)


def test_a_missing_name_is_an_error():
    with pytest.raises(UserError, match="name"):
        ModelConfig.from_json({"format": 1})


def test_a_list_is_no_configuration():
    with pytest.raises(UserError, match="format"):
        ModelConfig.from_json([])

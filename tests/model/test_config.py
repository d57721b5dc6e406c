"""Configurations round-trip, and an unknown key is an error that names it."""

from __future__ import annotations

import dataclasses
import json

import pytest

from dancenet.model.config import DancerConfig, ModelConfig, VaeConfig
from dancenet.support.errors import UserError

WHOLE = ModelConfig(
    "salsa", 25.0, vae=VaeConfig("dancenet"), dancer=DancerConfig(dim=40), training={"a": 1}
)


STYLED = dataclasses.replace(
    WHOLE, dancer=DancerConfig(dim=40, styles=("ballet", "house dance"), head="mse", num_mixtures=1)
)


@pytest.mark.parametrize("config", [WHOLE, ModelConfig("begun"), STYLED])
def test_a_configuration_round_trips_through_json(config):
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    "path, value, message",
    [
        (("colour",), 1, "colour"),
        (("vae", "depth"), 1, "depth"),
        (("format",), 3, "format 3"),
        (("fps",), "thirty", "fps is 'thirty'"),
        (("space",), "water", "space must be one of silhouette, skeleton; received 'water'"),
        (("vae", "latent_dim"), True, "latent_dim is True"),
        (("vae", "network"), "huge", "one of lean, dancenet"),
        (("vae",), 3, "vae is 3"),
        (("dancer", "head"), "linear", "head must be one of mixture, mse; received 'linear'"),
        (("dancer", "head"), "mse", "has one Gaussian; received 5"),
        (("dancer", "styles"), "ballet", "styles is 'ballet'"),
        (("dancer", "styles"), ["ballet", 3], r"styles\[1\] is 3"),
        (("dancer", "styles"), ["ballet", "ballet"], "styles must differ; received ballet, ballet"),
        (("dancer", "styles"), ["ballet", " "], "every style needs a name"),
    ],
)
def test_a_wrong_key_or_value_is_named(path, value, message):
    content = WHOLE.to_json()
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(UserError, match=message):
        ModelConfig.from_json(content)


def test_the_styles_are_a_list_of_names():
    assert WHOLE.to_json()["dancer"]["styles"] == []
    assert STYLED.to_json()["dancer"]["styles"] == ["ballet", "house dance"]


def test_a_configuration_of_format_1_is_read():
    content = {
        "format": 1,
        "name": "old",
        "vae": {"latent_dim": 128, "crispness": 3.0, "thickness": 0.5},
        "dancer": {"dim": 64, "steps_seen": 2, "predict": "step", "wander": 0.29},
    }
    config = ModelConfig.from_json(content)
    assert config.vae is not None and config.dancer is not None
    assert config.vae.logit_gain == content["vae"]["crispness"]
    assert config.dancer.velocity_inputs == content["dancer"]["steps_seen"]
    assert config.dancer.temperature_variation == content["dancer"]["wander"]
    assert config.dancer.predict == "delta"


def test_names_of_format_1_are_unknown_in_format_2():
    content = WHOLE.to_json()
    content["dancer"]["steps_seen"] = content["dancer"].pop("velocity_inputs")
    with pytest.raises(UserError, match="does not know: steps_seen"):
        ModelConfig.from_json(content)


def test_the_style_is_the_last_entry_of_the_state_and_the_only_one_without_a_state():
    config = DancerConfig(dim=4, units=8, layers=2, velocity_inputs=1, styles=("a", "b", "c"))
    assert config.state_widths == {"h0": 8, "c0": 8, "h1": 8, "c1": 8, "last1": 4, "style": 3}
    forgetful = dataclasses.replace(config, velocity_inputs=0, look_back=1)
    assert forgetful.state_widths == {"style": 3}
    assert dataclasses.replace(forgetful, styles=()).state_widths == {}


def test_a_missing_name_is_an_error():
    with pytest.raises(UserError, match="name"):
        ModelConfig.from_json({"format": 1})


def test_a_list_is_not_a_configuration():
    with pytest.raises(UserError, match="format"):
        ModelConfig.from_json([])

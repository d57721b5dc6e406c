"""Writes interface.json: every flag of every command, and the keys of every file.

    python tests/goldens/make_interface.py

`test_golden_interface.py` compares, so that none is lost or renamed unnoticed. Write the file again
with every change that is meant, and read what git says has changed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from dancenet import cli
from dancenet.codecs import latents, skeleton
from dancenet.codecs.base import MOTION_FORMATS
from dancenet.generation.settings import DanceSettings, Recipe
from dancenet.model import folder
from dancenet.model.config import DancerConfig, ModelConfig, VaeConfig
from dancenet.output import video_writer

PATH = Path(__file__).with_name("interface.json")


def compute() -> dict[str, Any]:
    """Returns the interface as a JSON object."""
    commands = {}
    for command in cli.COMMANDS:
        actions = cli.load_script(command).build_parser()._actions
        commands[command] = {
            (action.option_strings or [action.dest])[-1]: {
                "names": action.option_strings,
                "choices": None if action.choices is None else [str(c) for c in action.choices],
                "default": str(action.default),
            }
            for action in actions
            if action.default != argparse.SUPPRESS
        }
    records = (VaeConfig, DancerConfig, ModelConfig, DanceSettings, Recipe)
    return {
        "commands": commands,
        "records": {
            record.__name__: [field.name for field in dataclasses.fields(record)]
            for record in records
        },
        "arrays": {"latents": list(latents._NAMES), "skeleton codec": list(skeleton._NAMES)},
        "model folder": sorted(
            value
            for name, value in vars(folder).items()
            if name.isupper() and isinstance(value, str)
        ),
        "output formats": sorted([*video_writer.FORMATS, *MOTION_FORMATS]),
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(compute(), indent=1) + "\n", encoding="utf-8")
    print(PATH)

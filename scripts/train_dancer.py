"""Trains the dancer, the network that continues a motion, on latents or on joints."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dancenet.flags import dancer as flags
from dancenet.flags.recordings import read_recordings, stream_recordings
from dancenet.flags.training import given
from dancenet.support import terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted
from dancenet.support.wording import command

if TYPE_CHECKING:
    from dancenet.model.folder import ModelFolder


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = terminal.Parser(description=__doc__)
    flags.add_source(parser)
    flags.add_network(parser)
    flags.add_noise(parser)
    flags.add_course(parser)
    return parser


def work(arguments: argparse.Namespace) -> int | None:
    """Trains, and prints where the result is."""
    from dancenet.model import releases
    from dancenet.model.folder import ModelFolder
    from dancenet.nets.training.folder import may_resume_dancer
    from dancenet.support import errors, signals

    flags.check(arguments)
    folder = ModelFolder(Path("weights") / arguments.name)
    # What is known already is said before the files are read and TensorFlow is loaded.
    if not arguments.strategy:
        may_resume_dancer(folder, arguments.resume, arguments.overwrite)
    train = _TRAININGS[arguments.space](arguments, folder)
    start_from = None
    if arguments.start_from:
        start_from = ModelFolder(releases.find_model(arguments.start_from))
    try:
        with terminal.quiet_import():
            from dancenet.nets import dancer  # noqa: F401
    except ImportError as error:
        raise errors.why_not_imported(error, "Training", "train") from error
    from dancenet.nets.export.onnx import export_dancer

    with contextlib.ExitStack() as stack:
        devices = None
        if arguments.strategy:
            from dancenet.nets.training.devices import open_devices

            devices = open_devices(arguments.strategy, arguments.virtual_devices)
            folder = stack.enter_context(devices.place(folder))
        stack.enter_context(folder.hold())
        train(folder, start_from=start_from, devices=devices, **_options(arguments))
        if devices is not None and not devices.leads:
            return None
        graphs = command("export", "--name", folder.path)
        with signals.saying(lambda: f"The dancer is trained; write its graph with {graphs}."):
            export_dancer(folder)
    terminal.say(
        f"The dancer is in {quoted(folder.path)}; generate with "
        f"{command('generate-video', '--model', arguments.name)}."
    )
    return None


def _on_latents(arguments: argparse.Namespace, folder: ModelFolder) -> Callable[..., Any]:
    """Reads the latents; returns the training on them."""
    from dancenet.codecs.latents import Latents

    if arguments.motions:
        raise UserError(
            f"{quoted(arguments.motions[0])} is named, but silhouettes are learned from --latents; "
            "say --space skeleton to train on files of motion."
        )
    if not folder.exists():
        raise UserError(
            f"There is no model in {quoted(folder.path)}; train its VAE first with "
            f"{command('train-vae', '--name', arguments.name)}."
        )
    latents = Latents.load(arguments.latents)

    def train(place: ModelFolder, **options: Any) -> None:
        from dancenet.nets.training.dancer import train_dancer

        train_dancer(latents, place, **options)

    return train


def _on_joints(arguments: argparse.Namespace, folder: ModelFolder) -> Callable[..., Any]:
    """Reads the recordings, unless they are streamed; returns the training on them."""
    if not arguments.motions:
        raise UserError("--space skeleton needs files of motion, such as dances/*.bvh.")
    recordings = (stream_recordings if arguments.stream else read_recordings)(arguments)
    kept = {} if arguments.variance is None else {"variance": arguments.variance}

    def train(place: ModelFolder, **options: Any) -> None:
        from dancenet.nets.training.dancer import train_skeleton_dancer

        train_skeleton_dancer(recordings, place, **options, **kept)

    return train


# By --space: reads the material, and returns the training on it.
_TRAININGS = {"silhouette": _on_latents, "skeleton": _on_joints}


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the options of both trainings."""
    from dancenet.nets.training.loop import TrainOptions
    from dancenet.nets.training.options import DancerOptions

    return {
        "options": DancerOptions(**given(arguments, DancerOptions)),
        "train_options": TrainOptions(**given(arguments, TrainOptions)),
        "resume": arguments.resume,
        "overwrite": arguments.overwrite,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

"""Flags of both trainings."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from dancenet.support import terminal


# Long: a list of flags.
# Many: one text for each default that differs.
def add_training(
    parser: argparse.ArgumentParser,
    network: str,
    *,
    item: str,
    batch_size: int,
    epochs: str,
    learning_rate: float,
    clip_norm: str,
    patience: str,
) -> None:
    """Adds the flags of both trainings; without a value they are None.

    Args:
        parser: of the script.
        network: "VAE" or "dancer".
        item: plural of the items of a batch.
        batch_size, epochs, learning_rate, clip_norm, patience: the defaults, for the help.
    """
    positive, not_negative = terminal.positive, terminal.not_negative
    group = parser.add_argument_group("training")
    group.add_argument(
        "--epochs",
        type=positive(int),
        help=f"number of epochs, unless --minutes is given (default: {epochs})",
    )
    group.add_argument(
        "--minutes",
        type=positive(float),
        help="time for the training; sets the number of epochs (default: no limit)",
    )
    group.add_argument(
        "--batch-size", type=positive(int), help=f"{item} in a step (default: {batch_size})"
    )
    group.add_argument(
        "--learning-rate",
        type=positive(float),
        help="the highest; it grows from 0 at the start and falls to a fiftieth at the end "
        f"(default: {learning_rate})",
    )
    group.add_argument(
        "--clip-norm",
        type=positive(float),
        help=f"largest norm of the gradient, in {clip_norm}",
    )
    group.add_argument(
        "--patience",
        type=not_negative(int),
        metavar="EPOCHS",
        help="stop after this many epochs without a better validation; 0 never stops (default: "
        f"{patience})",
    )
    group.add_argument("--seed", type=not_negative(int), help="of all random numbers (default: 0)")
    group.add_argument(
        "--start-from",
        type=terminal.model,
        metavar="NAME",
        help=f"a model whose {network} is the start of the training (default: random weights)",
    )
    begun = group.add_mutually_exclusive_group()
    begun.add_argument(
        "--resume",
        action="store_true",
        help="continue a training that was stopped; needs the options it was begun with",
    )
    begun.add_argument("--overwrite", action="store_true", help=f"replace the {network}")
    group.add_argument(
        "--tensorboard",
        action="store_true",
        help=f"write TensorBoard logs to weights/NAME/training/{network.lower()}/tensorboard",
    )


def given(arguments: argparse.Namespace, record: Any) -> dict[str, Any]:
    """Returns the fields of a dataclass that were given a value."""
    names = (field.name for field in dataclasses.fields(record))
    values = {name: getattr(arguments, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}

"""Makes a new dance with a trained model and writes it as a video."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dancenet.flags import dance as flags
from dancenet.support import terminal
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, visible
from dancenet.support.wording import command


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = terminal.Parser(description=__doc__)
    flags.add_dance(parser.add_argument_group("the dance"))
    flags.add_sampling(parser.add_argument_group("sampling"))
    flags.add_look(parser.add_argument_group("the picture"))
    flags.add_output(parser.add_argument_group("the files"))
    return parser


def work(arguments: argparse.Namespace) -> int | None:
    """Generates what the command line asks for."""
    from dancenet.codecs.base import MOTION_FORMATS
    from dancenet.generation.load import load_dancer
    from dancenet.generation.settings import Recipe
    from dancenet.generation.write import write_dance
    from dancenet.support import files

    recipe = Recipe.read(arguments.replay) if arguments.replay else None
    settings = flags.choose_settings(arguments, recipe)
    out, kind = flags.choose_output(arguments)
    if recipe is not None and not arguments.overwrite:
        files.check_apart(out, [arguments.replay])
    dancer = load_dancer(arguments.model or (recipe.model if recipe else flags.DEFAULT_MODEL))
    if recipe is not None:
        try:
            recipe.check(dancer)
        except UserError as error:
            if arguments.model is None:
                raise
            terminal.warn(f"{error} It is made all the same, because --model names it.")
    written = write_dance(
        dancer,
        out,
        settings,
        format=kind,
        latents_path=arguments.latents_out,
        overwrite=arguments.overwrite,
        only=recipe.index if recipe else None,
    )
    for video in written:
        terminal.say(
            f"{quoted(video.path)}: {video.seconds:.1f} s, {video.num_frames} frames, "
            f"by {visible(dancer.name)}, seed {video.settings.seed}"
        )
    if not written or not written[-1].complete or len(written) < (1 if recipe else settings.count):
        last = f"{quoted(written[-1].path)} ends where you stopped it." if written else ""
        raise KeyboardInterrupt(last)
    if written[0].path.suffix.lower().lstrip(".") in MOTION_FORMATS:
        return None
    model = ["--model", arguments.model] if arguments.model else []
    again = command("generate-video", "--replay", written[0].path, *model)
    terminal.say(f"The same dance again: {again}")
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    return terminal.run(build_parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())

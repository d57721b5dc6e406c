"""The command `dancenet`: one subcommand for each script, in the order they are run."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import dancenet
from dancenet.support import terminal
from dancenet.support.names import quoted
from dancenet.support.streams import courteous

# The descriptions are here so that the list is printed without importing the scripts.
COMMANDS = {
    "extract-frames": "videos, pictures or a camera to silhouettes of the dancer",
    "estimate-pose": "films, pictures or a camera to the keypoints of the people in them",
    "train-vae": "silhouettes to a network between pictures and latents",
    "encode-frames": "silhouettes to latents.npz",
    "decode-latents": "latents back to a video, beside the source frames",
    "train-dancer": "latents or motion to a network that dances",
    "train-lifter": "recorded motion to the network that lifts keypoints into space",
    "generate-video": "a trained model to a new dance",
    "evaluate": "is it a dance? measures a model against real dances",
    "import-legacy": "weights of the 2018 DanceNet to a model",
    "export": "trained networks to ONNX, LiteRT or SavedModel",
    "download-weights": "lists the released models, or fetches one",
    "make": "all of it: clips of a dancer to a new dance, in one project folder",
    "render-mocap": "motion capture to silhouettes",
}
_MODULES = {"make": "make_dance"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `dancenet SUBCOMMAND ...`.

    Args:
        argv: the arguments, `sys.argv[1:]` if None.

    Returns:
        The exit status: 0, 2 for a usage error, or what the script returns.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        return _print(overview())
    if arguments[0] == "--version":
        return _print(f"dancenet {dancenet.__version__}")
    name = arguments[0].replace("_", "-")
    if name not in COMMANDS:
        with courteous():
            terminal.say_error(
                "dancenet",
                f"there is no subcommand {quoted(arguments[0])}; there are {', '.join(COMMANDS)}.",
            )
        return 2
    script = load_script(name)
    parser = script.build_parser()
    parser.prog = f"dancenet {name}"
    return terminal.run(parser, script.work, arguments[1:])


def _print(text: str) -> int:
    with courteous():
        terminal.say(text)
    return 0


def overview() -> str:
    """Returns the list of subcommands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {words}" for name, words in COMMANDS.items()]
    return "\n".join(
        [
            f"dancenet {dancenet.__version__}: films of one dancer in, new dances out.",
            "",
            "usage: dancenet SUBCOMMAND [-h] ...",
            "",
            *lines,
            "",
            "`dancenet SUBCOMMAND -h` explains one of them.",
        ]
    )


def load_script(name: str) -> ModuleType:
    """Imports the script of a subcommand.

    Args:
        name: a key of `COMMANDS`.

    Returns:
        The script's module, with `build_parser`, `work` and `main`.
    """
    module = _MODULES.get(name, name.replace("-", "_"))
    if importlib.util.find_spec("dancenet.scripts") is not None:
        return importlib.import_module(f"dancenet.scripts.{module}")
    # A clone that was never installed: the scripts are beside the package.
    path = Path(__file__).resolve().parent.parent / "scripts" / f"{module}.py"
    spec = importlib.util.spec_from_file_location(f"dancenet.scripts.{module}", path)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script

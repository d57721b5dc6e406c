"""Films of one dancer in, new dances out: a VAE for the pictures, an LSTM-MDN for the motion.

    import dancenet

    dancer = dancenet.load_dancer("silhouette_v2")
    dancenet.write_dance(dancer, "dance.mp4", dancenet.DanceSettings(seconds=16, seed=7))

The names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dancenet.generation.load import Dancer, load_dancer
    from dancenet.generation.settings import DanceSettings, Recipe
    from dancenet.generation.write import Written, make_motions, write_dance
    from dancenet.model.releases import find_model
    from dancenet.model.releases import list_models as available_models
    from dancenet.support.errors import UserError

__version__ = "0.1.0"
__all__ = [
    "DanceSettings",
    "Dancer",
    "Recipe",
    "UserError",
    "Written",
    "available_models",
    "find_model",
    "load_dancer",
    "make_motions",
    "write_dance",
]

_MODULES = {
    "DanceSettings": "generation.settings",
    "Dancer": "generation.load",
    "Recipe": "generation.settings",
    "UserError": "support.errors",
    "Written": "generation.write",
    "available_models": "model.releases",
    "find_model": "model.releases",
    "load_dancer": "generation.load",
    "make_motions": "generation.write",
    "write_dance": "generation.write",
}
_OTHER_NAMES = {"available_models": "list_models"}  # in their modules


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    value = getattr(module, _OTHER_NAMES.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

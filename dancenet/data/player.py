"""A page that plays dances of joints from any side: one file, no server, nothing from elsewhere."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dancenet import files
from dancenet.data.bones import infer_parents

if TYPE_CHECKING:
    from dancenet.data.skeleton_clip import SkeletonClip

_STEPS = 65535  # of each axis; over 10 m a step is 0.15 mm
_RADIUS = 0.02  # of a bone, in heights of the body
_USUAL_JOINTS = 25  # a skeleton of more has thinner bones
_TRUNK = ("l_shoulder", "r_shoulder", "r_hip", "l_hip")
_STANDING = 75  # percentile of the height from frame to frame
_FRAME_HEIGHT = 460  # pixels of the page inside a notebook
_SIDES = {"l": 1, "r": 2}


def to_html(clips: SkeletonClip | Sequence[SkeletonClip], title: str = "") -> str:
    """Returns a page that plays one dance, or several to choose from.

    Places are stored to one part in 65,535 of what the dance takes of each axis: to 0.08 mm at
    most on a stage of 10 m.

    Args:
        clips: of any skeletons, in space or in a picture.
        title: of the page; by default the source of the first clip.

    Raises:
        ValueError: there is no clip.
    """
    several = list(clips) if isinstance(clips, Sequence) else [clips]
    if not several:
        raise ValueError("a page needs one clip at least.")
    # "<" would let a name end the script that it stands in.
    data = json.dumps([_pack(clip) for clip in several]).replace("<", "\\u003c")
    head = html.escape(title or several[0].source)
    before, between, after = _template()
    return f"{before}{head}{between}{data}{after}"


def write_html(
    path: str | Path, clips: SkeletonClip | Sequence[SkeletonClip], overwrite: bool = False
) -> None:
    """Writes the page of `to_html`, atomically.

    Raises:
        UserError: the file exists already, or cannot be written.
    """
    files.check_overwrite(path, overwrite)
    files.write_text(Path(path), to_html(clips))


def to_frame(page: str) -> str:
    """Returns a page as a frame that can stand among others, in a notebook."""
    return (
        f'<iframe srcdoc="{html.escape(page)}" sandbox="allow-scripts" '
        f'style="width: 100%; height: {_FRAME_HEIGHT}px; border: 0"></iframe>'
    )


@cache
def _template() -> tuple[str, str, str]:
    text = (Path(__file__).parent / "player.html").read_text(encoding="utf-8")
    before, rest = text.split("TITLE", 1)
    between, after = rest.split("DATA", 1)
    return before, between, after


def _pack(clip: SkeletonClip) -> dict[str, Any]:
    positions = clip.positions.astype(np.float64)
    low = positions.min(axis=(0, 1))
    step = np.maximum(positions.max(axis=(0, 1)) - low, 1e-9) / _STEPS
    numbers = np.round((positions - low) / step).astype("<u2")
    parents = infer_parents(clip.positions) if clip.parents is None else clip.parents
    height = float(np.percentile(np.ptp(positions[..., 1], axis=1), _STANDING))
    heads = [i for i, name in enumerate(clip.names) if name.lower().split(":")[-1] == "head"]
    return {
        "title": clip.source,
        "fps": clip.fps,
        "frames": len(positions),
        "joints": len(clip.names),
        "axes": positions.shape[2],
        "bones": [
            [joint, parent, max(_side(clip.names[joint]), _side(clip.names[parent]))]
            for joint, parent in enumerate(parents) if parent >= 0
        ],
        "head": heads[0] if heads else -1,
        "trunk": [clip.names.index(name) for name in _TRUNK if set(_TRUNK) <= set(clip.names)],
        "height": max(height, 1e-3),
        "radius": _RADIUS * max(height, 1e-3) * min(1.0, (_USUAL_JOINTS / len(clip.names)) ** 0.5),
        "low": low.tolist(),
        "step": step.tolist(),
        "positions": base64.b64encode(numbers.tobytes()).decode("ascii"),
    }


def _side(name: str) -> int:
    """Returns 1 for a joint of the left side, 2 for one of the right, 0 for the middle."""
    plain = name.split(":")[-1]
    for word, side in (("left", 1), ("right", 2)):
        if plain.lower().startswith(word):
            return side
    first, rest = plain[:1], plain[1:]
    if rest[:1] == "_" or (first.islower() and rest[:1].isupper()):
        return _SIDES.get(first.lower(), 0)
    return 0

"""Writes skeletons as one HTML page that plays them, to be turned and zoomed in a browser.

    write_html("dance.html", clip)

The page is `player.html` with the motion inside. It needs no library, server or network, and its
content policy lets it load nothing.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dancenet.data.motion.bones import bone_lengths, infer_parents
from dancenet.support import files

if TYPE_CHECKING:
    from dancenet.data.motion.clip import SkeletonClip

LEVELS = 65535  # steps of a uint16: 10 m are stored to within 0.08 mm
FRAME_HEIGHT = 460  # pixels that the player takes in a notebook
HEAD = 0.062  # radius of the head, in heights of the figure

_TITLE, _MOTION = "<!-- title -->", "<!-- motion -->"
_STANDING_HEIGHT = 75  # percentile of the height from frame to frame
_SLENDERNESS = 0.2  # radius of a joint of unknown name, in lengths of its bone
_THINNEST, _THICKEST = 0.006, 0.026  # radii of such a joint, in heights of the figure

# Radii in heights of the figure, by the beginning of a name without its side; the first that fits.
_RADII = (
    (r"hips?$|buttock|upleg|upperleg|thigh|femur", 0.043),
    (r"knee|leg|lowerleg|shin|calf|tibia", 0.031),
    (r"ankle|foot$", 0.021),
    (r"toe|foot|heel", 0.015),
    (r"elbow|forearm|lowerarm|radius", 0.022),
    (r"wrist|hand$", 0.016),
    (r"shoulder|shldr|arm|upperarm|humerus|clavicle|collar", 0.029),
    (r"pelvis", 0.047),
    (r"spine|abdomen|chest|thorax|torso|lowerback|upperback", 0.046),
    (r"neck", 0.023),
    (r"head", 0.023),
)
_COLLAR = re.compile("clavicle|collar|shoulder")
_ARM = re.compile("(upper)?arm|humerus|shoulder|shldr")
# "left_arm", "LeftArm"; "l_arm", "arm.L", "lArm"; and "lfemur", as the ASF of CMU has them.
_SIDE = re.compile(
    r"(?<![A-Za-z])(left|right)|(Left|Right|LEFT|RIGHT)"
    r"|(?:^|[_.:])([lrLR])(?:[_.]|$)|(?:^|:)([lr])(?=[A-Z])"
    r"|^([lr])(?=(?:hipjoint|femur|tibia|foot|toes|clavicle|humerus|radius|wrist|hand|fingers"
    r"|thumb)$)"
)


def to_html(clips: SkeletonClip | Sequence[SkeletonClip], title: str = "") -> str:
    """Makes the page that plays clips.

    Each coordinate is stored as one of 65536 even steps between its least and its greatest in
    the clip, so it is off by at most 1/131070 of that: 0.08 mm over 10 m.

    Args:
        clips: one, or several to choose from; in space or in a plane.
        title: the page's; by default the source of the clip, or the number of clips.

    Returns:
        A whole HTML document.

    Raises:
        ValueError: there is no clip.
    """
    shown = list(clips) if isinstance(clips, Sequence) else [clips]
    if not shown:
        raise ValueError("a page needs a clip to play. Received: none")
    title = title or (shown[0].source if len(shown) == 1 else f"{len(shown)} dances")
    text = json.dumps({"title": title, "clips": [_describe(clip) for clip in shown]})
    # Escaped, so that no text in it can end the element that holds it.
    text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    page = resources.files("dancenet.output").joinpath("player.html").read_text(encoding="utf-8")
    before, _, rest = page.partition(_TITLE)
    between, _, after = rest.partition(_MOTION)
    return "".join([before, html.escape(title), between, text, after])


def write_html(
    path: str | Path, clips: SkeletonClip | Sequence[SkeletonClip], overwrite: bool = False
) -> None:
    """Writes the page that plays clips, atomically.

    Args:
        path: the file.
        clips: one, or several to choose from.
        overwrite: replace the file if it exists.

    Raises:
        UserError: it exists already, or cannot be written.
        ValueError: there is no clip.
    """
    files.check_overwrite(path, overwrite)
    files.write_text(path, to_html(clips))


def to_frame(page: str) -> str:
    """Returns an element that plays a page inside another, apart from its scripts."""
    return (
        f'<iframe sandbox="allow-scripts" title="dance" width="100%" height="{FRAME_HEIGHT}" '
        f'style="border: 0; border-radius: 8px" srcdoc="{html.escape(page)}"></iframe>'
    )


def _describe(clip: SkeletonClip) -> dict[str, Any]:
    """Returns a clip as the JSON object that the page reads."""
    positions = clip.positions.astype(np.float64)
    parents = clip.parents
    if parents is None:
        parents = infer_parents(positions) if len(clip.names) > 1 else (-1,)
    height = float(np.percentile(np.ptp(positions[..., 1], axis=1), _STANDING_HEIGHT))
    if not height > 0:
        height = float(np.ptp(positions, axis=(0, 1)).max()) or 1.0
    names = _short(clip.names)
    sides = [side_of(name) for name in names]
    lowest, steps = positions.min(axis=(0, 1)), np.ptp(positions, axis=(0, 1)) / LEVELS
    levels = np.rint((positions - lowest) / np.where(steps > 0, steps, 1.0)).astype("<u2")
    return {
        "name": clip.source,
        "fps": clip.fps,
        "frames": clip.num_frames,
        "dims": positions.shape[2],
        "joints": clip.names,
        "parents": parents,
        "sides": sides,
        "radii": [round(radius, 5) for radius in _radii(positions, names, parents, height)],
        "plates": _plates(names, parents, sides),
        "head": _head(positions, names, parents),
        "headRadius": round(HEAD * height, 5),
        "height": round(height, 4),
        "lowest": lowest.tolist(),
        "steps": steps.tolist(),
        "positions": base64.b64encode(levels.tobytes()).decode("ascii"),
    }


def _short(names: Sequence[str]) -> list[str]:
    """Returns names without a common prefix such as "mixamorig:" or "CC_Base_"."""
    same = os.path.commonprefix(list(names)) if len(names) > 1 else ""
    length = max(same.rfind(mark) for mark in "_:") + 1
    return [name[length:] for name in names]


def side_of(name: str) -> str:
    """Returns "l" or "r" for the name of a joint on one side of a body, "" for any other."""
    found = _SIDE.search(name)
    return "" if found is None else found[found.lastindex or 0][0].lower()


def _plain(name: str) -> str:
    """Returns a joint's name in small letters, without a prefix and its side."""
    return re.sub(r"[\W_]+", "", _SIDE.sub("", name).rpartition(":")[2]).lower()


def _radii(
    positions: np.ndarray, names: Sequence[str], parents: Sequence[int], height: float
) -> list[float]:
    """Returns the radius of the figure at each joint, in metres."""
    lengths = bone_lengths(positions, parents)
    radii = []
    for joint, name in enumerate(names):
        plain = _plain(name)
        share = next((share for known, share in _RADII if re.match(known, plain)), None)
        if share is None:
            bones = [lengths[joint]] if parents[joint] >= 0 else []
            bones += [lengths[child] for child, its in enumerate(parents) if its == joint]
            length = float(np.median(bones)) if bones else height
            share = float(np.clip(_SLENDERNESS * length / height, _THINNEST, _THICKEST))
        radii.append(share * height)
    return radii


def _plates(names: Sequence[str], parents: Sequence[int], sides: Sequence[str]) -> list[list[int]]:
    """Returns the corners of chest and pelvis: joints with a limb on either side."""

    def children(joint: int) -> list[int]:
        return [child for child, its in enumerate(parents) if its == joint]

    def of_head(joint: int) -> bool:
        return joint >= 0 and (_plain(names[joint]) == "head" or of_head(parents[joint]))

    plates = []
    for joint, side in enumerate(sides):
        below = children(joint)
        if side or {"l", "r"} - {sides[child] for child in below} or of_head(joint):
            continue
        corners = []
        for child in below:
            beyond = [one for one in children(child) if _ARM.match(_plain(names[one]))]
            if sides[child] and beyond and _COLLAR.match(_plain(names[child])):
                corners.append(beyond[0])  # the collarbone is part of the chest
            elif sides[child] or _plain(names[child]) != "head":
                corners.append(child)
        plates.append([joint, *corners, *([parents[joint]] if parents[joint] >= 0 else [])])
    return plates


def _head(positions: np.ndarray, names: Sequence[str], parents: Sequence[int]) -> list[int]:
    """Returns the joints in whose middle the head is."""
    plain = [_plain(name) for name in names]
    if "head" in plain:
        joint = plain.index("head")
        eyes = [other for other, name in enumerate(plain) if name == "eye"]
        ends = [child for child, its in enumerate(parents) if its == joint]
        return [joint, *(eyes or (ends if len(ends) == 1 else []))]
    for known in ("skull", "nose", "face"):
        if known in plain:
            return [plain.index(known)]
    tips = [joint for joint in range(len(names)) if joint not in parents]
    if not tips or len(names) < 5:
        return []
    return [max(tips, key=lambda joint: float(np.median(positions[:, joint, 1])))]

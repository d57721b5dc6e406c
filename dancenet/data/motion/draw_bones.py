"""Draws any skeleton as the silhouette of a figure: a rounded bone from joint to joint.

The body of `data.motion.draw_body` needs to know which joint is a knee. This one needs the bones
only, and has the same frame, floor and camera.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dancenet.data.frames.picture import WIDTH
from dancenet.data.motion.draw_body import CAMERAS, CIRCLE, SUPERSAMPLE, Pen, aim, fit, rightwards
from dancenet.support.errors import UserError

THICKNESS = 0.036  # radius of a bone, in heights of the figure
HEAD = 0.058  # radius of the head, in heights of the figure
_STANDING_HEIGHT = 75  # percentile of the height from frame to frame
_CHUNK = 256  # frames whose outlines are held at once


def draw_figures(
    positions: np.ndarray,
    fps: float,
    parents: Sequence[int],
    *,
    names: Sequence[str] = (),
    yaw: float = 0.0,
    mirror: bool = False,
    camera: str = "follow",
    supersample: int = SUPERSAMPLE,
) -> Iterator[np.ndarray]:
    """Draws one clip, frame by frame, as `data.motion.draw_body.draw_bodies` does.

    Args:
        positions: (T, J, C), C 3: y up, floor at 0; C 2: x to the right and y up.
        fps: frames per second of `positions`.
        parents: J, the other end of each joint's bone, -1 for none.
        names: J; the head, hips and shoulders are drawn fuller where they are named.
        yaw: degrees about the vertical; 90 looks from +x.
        mirror: swap left and right.
        camera: "follow" or "fixed".
        supersample: how many times finer the outline is drawn before area averaging.

    Returns:
        An iterator over (120, 208) uint8, 0 dancer and 255 background.

    Raises:
        UserError: joints of a picture are to be seen from another side, or have no extent.
        ValueError: unknown camera.
    """
    if camera not in CAMERAS:
        raise ValueError(f"camera must be one of {', '.join(CAMERAS)}. Received: {camera!r}")
    right = rightwards(yaw, mirror)
    if positions.shape[2] == 2:
        if yaw % 360:
            raise UserError(
                f"These joints are places in a picture and cannot be seen turned by {yaw:g} "
                "degrees; leave the yaw at 0."
            )
        places = positions.astype(np.float64) * [right[0], 1.0]
    else:
        view = np.stack([right, [0.0, 1.0, 0.0]], axis=1)
        places = positions.astype(np.float64) @ view
    height = float(np.percentile(np.ptp(positions[..., 1], axis=1), _STANDING_HEIGHT))
    if not height > 0:
        raise UserError("All joints are in one place or on one level; there is nothing to draw.")
    return _draw(places, fps, _bones(parents, names, height), height, camera, supersample)


def _bones(
    parents: Sequence[int], names: Sequence[str], height: float
) -> list[list[tuple[int, float]]]:
    """Returns the parts of the figure, each the hull of balls: joints and radii in metres."""
    thin = THICKNESS * height
    bones = [[(joint, thin), (parent, thin)] for joint, parent in enumerate(parents) if parent >= 0]
    plain = [name.lower() for name in names]
    trunk = [f"{side}_{limb}" for side in "lr" for limb in ("hip", "shoulder")]
    if set(trunk) <= set(plain):
        bones.append([(plain.index(name), 0.8 * thin) for name in trunk])
    bones += [[(joint, HEAD * height)] for joint, name in enumerate(plain) if name == "head"]
    return bones


def _draw(
    places: np.ndarray,
    fps: float,
    bones: list[list[tuple[int, float]]],
    height: float,
    camera: str,
    supersample: int,
) -> Iterator[np.ndarray]:
    reach = HEAD * height
    across, up = places[..., 0], places[..., 1]
    highest, lowest = up.max() + reach, min(0.0, up.min() - THICKNESS * height)
    scale, floor = fit(height, highest, lowest)
    low, high = across.min(axis=1) - reach, across.max(axis=1) + reach
    scale, centre = aim(camera, scale, across.mean(axis=1), low, high, fps)
    pen = Pen(supersample)
    for start in range(0, len(places), _CHUNK):
        rows = slice(start, start + _CHUNK)
        points = np.stack(
            [(across[rows] - centre[rows, None]) * scale + WIDTH / 2, floor - up[rows] * scale],
            axis=-1,
        ).astype(np.float32)
        yield from pen.draw(
            [
                np.concatenate(
                    [points[:, joint, None] + radius * scale * CIRCLE for joint, radius in part],
                    axis=1,
                )
                for part in bones
            ]
        )
